//! `swarm drones` and `swarm drone`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{age, between, count, indented, left, moment, or_dash, right, size, span, table};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use swarm_protocol::admin::{Distrusted, Drift, Drone, DroneOrder, UnbroughtDefinition, Work};
use swarm_protocol::state::{AttemptPhase, DroneState};

/// What a drone can be told.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Finish what it has, get nothing new until it is resumed.
    Drain(Named),
    /// Take work again, whether it drains or is grounded.
    Resume(Named),
    /// Get nothing new, and give back at once what it has not started; what it builds, it finishes.
    #[command(after_help = "Examples:\n  swarm drone ground ant --for 30m\n  swarm drone ground ant")]
    Ground {
        /// Which one.
        #[command(flatten)]
        drone: Named,
        /// For how long, as in 90s, 30m, 12h or 7d; until it is resumed where absent.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        seconds: Option<u32>,
    },
    /// Believe its plans and verdicts.
    Trust(Named),
    /// Let it in, where its join token said that a person is asked.
    Approve(Named),
    /// Believe nothing that it made: withdraw its artifacts, and what was built with them; let it drain.
    ///
    /// Runs that have received some of them are cancelled. Generations stay as they are until a next run, which builds
    /// them anew, is promoted: the answer says what clients can still install.
    Distrust(Named),
}

/// Which drone.
#[derive(clap::Args, Debug)]
pub(crate) struct Named {
    /// The drone's name.
    #[arg(value_parser = name)]
    pub(super) name: String,
}

/// The name becomes part of a URL, in which `..` would lead elsewhere however it is escaped.
pub(super) fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if text.len() <= 63 && text.chars().all(allowed) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        Ok(text.to_owned())
    } else {
        Err("a drone's name is 1 to 63 of [a-z0-9.-], as a host's is".to_owned())
    }
}

/// A number with its unit, in seconds; a year at most.
fn duration(text: &str) -> Result<u32, String> {
    const UNITS: [(char, u32); 4] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let seconds = UNITS.iter().find_map(|(unit, seconds)| {
        let number: u32 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    match seconds {
        Some(seconds) if seconds > 0 && seconds <= 365 * 86_400 => Ok(seconds),
        _ => Err("a time is a number and a unit, as in 90s, 30m, 12h or 7d; a year at most".to_owned()),
    }
}

/// `swarm drones`.
pub(crate) async fn list(context: &Context) -> Result<Exit, Failure> {
    // Ages need the time by the swarm's clock, which the status has.
    let status = context.ask(context.client.status(None)).await?;
    context.output.show(&status.drones, |drones| listed(drones, status.now))?;
    Ok(Exit::Ok)
}

/// `swarm drone`.
pub(crate) async fn order(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let (Named { name }, order) = match command {
        Command::Drain(drone) => (drone, DroneOrder::Drain),
        Command::Resume(drone) => (drone, DroneOrder::Resume),
        Command::Ground { drone, seconds } => (drone, DroneOrder::Ground { seconds: *seconds }),
        Command::Trust(drone) => (drone, DroneOrder::Trust),
        Command::Approve(drone) => (drone, DroneOrder::Approve),
        Command::Distrust(Named { name }) => {
            let answer = names::of_drone(context, name, context.client.distrust(name)).await?;
            context.output.show(&answer, withdrawn)?;
            return Ok(Exit::Ok);
        }
    };
    let drone = names::of_drone(context, name, context.client.order_drone(name, order)).await?;
    context.output.show(&drone, obeyed)?;
    Ok(Exit::Ok)
}

fn obeyed(drone: &Drone) -> String {
    let trusted = if drone.trusted { "trusted" } else { "not trusted" };
    let work = match drone.work.as_slice() {
        [] => "holds nothing".to_owned(),
        work => {
            format!("holds {}", work.iter().map(|work| work.cpv.to_string()).collect::<Vec<_>>().join(", "))
        }
    };
    format!("Drone {} is {}, {trusted}, and {work}.", drone.name, state(drone))
}

fn withdrawn(answer: &Distrusted) -> String {
    let mut lines = vec![
        format!("Drone {} is {} and not trusted.", answer.drone.name, state(&answer.drone)),
        format!(
            "{} withdrawn: those that it made, and those that were built with them.",
            count(answer.withdrawn, "artifact")
        ),
    ];
    lines.extend(answer.cancelled.iter().map(|run| format!("Run {run} had received some, and is over.")));
    if !answer.published.is_empty() {
        let installable = answer.published.iter().map(|one| {
            format!("{} (build {}) in generation {} of {}", one.cpv, one.build_id, one.generation, one.target)
        });
        let list = indented(installable, 2);
        lines.push(format!("\nATTENTION: clients can still install what is withdrawn:{list}"));
    }
    let mut targets: Vec<_> = answer.published.iter().map(|one| &one.target).collect();
    targets.dedup();
    lines.extend(targets.iter().map(|target| format!("`swarm run start {target}` builds them anew.")));
    lines.join("\n")
}

fn state(drone: &Drone) -> String {
    let more = match (drone.state, drone.grounded_until, drone.stopping) {
        (DroneState::Grounded, Some(until), _) => format!(" until {} UTC", moment(until)),
        (DroneState::Grounded, None, _) => " until it is resumed".to_owned(),
        (_, _, true) => ", stopping".to_owned(),
        _ => String::new(),
    };
    format!("{}{more}", drone.state)
}

/// What it builds, or why it builds nothing.
pub(super) fn doing(drone: &Drone, now: DateTime<Utc>) -> String {
    if drone.awaits_approval {
        return format!("waits to be let in: `swarm drone approve {}`", drone.name);
    }
    if drone.work.is_empty() {
        return match (drone.state, drone.grounded_until, drone.seen_at) {
            (DroneState::Offline, _, Some(at)) => format!("last heard {} ago", age(now, at)),
            (DroneState::Offline, _, None) => "never heard".to_owned(),
            (DroneState::Grounded, Some(until), _) => format!("for {} more", between(Some(now), Some(until))),
            (DroneState::Grounded, None, _) => "until it is resumed".to_owned(),
            _ => "has nothing to do".to_owned(),
        };
    }
    drone.work.iter().map(|work| building(work, now)).collect::<Vec<_>>().join("; ")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds, shown to people")]
pub(super) fn building(work: &Work, now: DateTime<Utc>) -> String {
    let estimate = span(work.estimate_seconds.max(0.0) as u64);
    match (work.phase, work.started_at) {
        (AttemptPhase::Building, Some(at)) => {
            format!("builds {} for {} of about {estimate}", work.cpv, age(now, at))
        }
        (AttemptPhase::Accepting, _) => format!("hands in {}", work.cpv),
        _ => format!("holds {}", work.cpv),
    }
}

fn listed(drones: &[Drone], now: DateTime<Utc>) -> String {
    let columns = [
        left("drone"),
        left("state"),
        left("trusted"),
        right("live"),
        right("failures"),
        right("memory"),
        right("disk"),
        right("session"),
        right("heard"),
    ];
    let rows = drones.iter().map(|drone| {
        let stopping = if drone.stopping { ", stopping" } else { "" };
        [
            drone.name.clone(),
            format!("{}{stopping}", drone.state),
            (if drone.trusted { "yes" } else { "no" }).to_owned(),
            drone.work.len().to_string(),
            drone.consecutive_failures.to_string(),
            or_dash(drone.memory_free_bytes.map(size)),
            or_dash(drone.disk_free_bytes.map(size)),
            or_dash(drone.session_since.map(|at| age(now, at))),
            or_dash(drone.seen_at.map(|at| format!("{} ago", age(now, at)))),
        ]
    });
    let table = table(columns, "There is no drone yet; `swarm join-token` lets one in.", rows);
    let work = drones.iter().filter(|drone| !drone.work.is_empty() && !drone.awaits_approval);
    let work = work.map(|drone| format!("\n{} {}", drone.name, doing(drone, now)));
    let unbrought = drones.iter().flat_map(|drone| &drone.unbrought).map(|one| format!("\n{}", cannot(one)));
    let waits = drones.iter().filter(|drone| drone.awaits_approval);
    let waits = waits.map(|drone| format!("\n{} {}", drone.name, doing(drone, now)));
    let drift = drones.iter().filter_map(|drone| drifts(drone).map(|drift| format!("\n{drift}")));
    let more: Vec<_> = work.chain(waits).chain(drift).chain(unbrought).collect();
    if more.is_empty() { table } else { format!("{table}\n{}", more.concat()) }
}

/// In what it is not as it should be, but for what it says itself ([`cannot`]).
pub(super) fn drifts(drone: &Drone) -> Option<String> {
    let drift = drone.drift.iter().filter(|drift| **drift != Drift::Epoch).map(|drift| match drift {
        Drift::Clock => {
            let ahead = drone.clock_ahead_seconds.unwrap_or_default();
            let way = if ahead < 0.0 { "behind" } else { "ahead" };
            format!("{} ({:.0} s {way})", drift.words(), ahead.abs())
        }
        _ => drift.words().to_owned(),
    });
    let drift: Vec<_> = drift.collect();
    (!drift.is_empty()).then(|| format!("{} {}", drone.name, drift.join(", ")))
}

/// What a drone cannot bring itself to, and why.
pub(super) fn cannot(one: &UnbroughtDefinition) -> String {
    let UnbroughtDefinition { target, number, drone, reason, since } = one;
    format!(
        "{drone} cannot bring itself to definition {number} of {target} since {} UTC: {reason}",
        moment(*since)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;
    use swarm_protocol::admin::Withdrawn;
    use swarm_protocol::id::{BuildId, GenerationNumber, RunId};

    #[test]
    fn drones_in_a_table() {
        insta::assert_snapshot!(listed(&sample::drones(), sample::status().now));
        insta::assert_snapshot!(sample::drones().iter().map(obeyed).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn what_distrust_says() {
        let ant = sample::drones().swap_remove(1);
        let harmless = Distrusted { drone: ant.clone(), withdrawn: 0, cancelled: vec![], published: vec![] };
        let one = |cpv: &str| Withdrawn {
            target: "amd64-v3".parse().unwrap(),
            generation: GenerationNumber(12),
            cpv: cpv.parse().unwrap(),
            build_id: BuildId(3),
        };
        let published = vec![one("app-misc/jq-1.7"), one("dev-libs/oniguruma-6.9.8")];
        let loud = Distrusted { drone: ant, withdrawn: 2, cancelled: vec![RunId(7)], published };
        insta::assert_snapshot!(format!("{}\n\n---\n\n{}", withdrawn(&harmless), withdrawn(&loud)));
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        assert!(name("ant-2.example.org").is_ok());
        for wrong in ["", "..", "-ant", "a/b", "a?b", "a%2fb", "Ant", "a b", &"a".repeat(64)] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times_to_ground_a_drone_for() {
        let seconds = ["90s", "30m", "12h", "7d"].map(|text| duration(text).unwrap());
        assert_eq!(seconds, [90, 1800, 43_200, 604_800]);
        for wrong in ["", "30", "m", "0s", "-1m", "1w", "366d", "99999999999s", "4294967295d"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
