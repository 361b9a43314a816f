//! What the orchestrator knows: its own parts, the drones, the targets, and whether their nightly updates come.

use super::Check;
use crate::clock;
use crate::commands::drone::drifts;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{age, count, moment};
use chrono::{DateTime, TimeDelta, Utc};
use swarm_protocol::admin::{Drift, Drone, Nightlies, NightlyResult, Status};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::state::DroneState;

/// What it says.
pub(super) struct Answer {
    url: String,
    status: Status,
    nightlies: Vec<(TargetName, Nightlies)>,
    /// This program's version.
    ours: &'static str,
    /// This machine's time when it was asked, and when it had answered.
    asked: [DateTime<Utc>; 2],
}

impl Answer {
    /// The targets with their nightly updates.
    pub(super) fn nightlies(&self) -> &[(TargetName, Nightlies)] {
        &self.nightlies
    }
}

/// Asks it.
pub(super) async fn ask(context: &Context) -> Result<Answer, Check> {
    let before = clock::now();
    let status = context.ask(context.client.status(None)).await.map_err(|failure| silent(&failure))?;
    let asked = [before, clock::now()];
    let mut nightlies = vec![];
    for target in &status.targets {
        let of_target = context.ask(context.client.nightlies(&target.name)).await;
        nightlies.push((target.name.clone(), of_target.map_err(|failure| silent(&failure))?));
    }
    Ok(Answer { url: context.url.clone(), status, nightlies, ours: swarm_protocol::VERSION, asked })
}

fn silent(failure: &Failure) -> Check {
    let advice = match failure {
        Failure::Problem { exit: Exit::NotAllowed, .. } => "make a token: `swarm token create`, by an admin",
        _ => "look at the orchestrator's log, and at /readyz",
    };
    Check::broken("orchestrator", failure.sentence(), advice)
}

/// Judges it.
pub(super) fn checks(answer: &Answer) -> Vec<Check> {
    let status = &answer.status;
    let mut checks = vec![orchestrator(answer), clocks(status.now, answer.asked)];
    let alarms = status
        .degraded
        .iter()
        .map(|alarm| Check::broken("alarm", alarm.clone(), "`swarm status` shows it until it is over"));
    checks.extend(alarms);
    if status.degraded.is_empty() {
        let found =
            "the database, Redis, the binhost, its disk and the maintenance loop work; there is no alarm";
        checks.push(Check::good("alarms", found));
    }
    checks.extend(drones(status));
    checks.extend(targets(status));
    checks.extend(answer.nightlies.iter().filter_map(|(target, all)| nightly(target, all, status.now)));
    checks
}

fn orchestrator(answer: &Answer) -> Check {
    let found = format!("{} answers", answer.url);
    let ours = answer.ours;
    match &answer.status.version {
        Some(version) if version == ours => {
            Check::good("orchestrator", format!("{found}, version {version}"))
        }
        Some(version) => {
            let found = format!("{found}, version {version}; this `swarm` is {ours}");
            Check::look("orchestrator", found, "install the same version on both")
        }
        None => {
            let found =
                format!("{found}, and does not say its version: it is older than this `swarm` ({ours})");
            Check::look("orchestrator", found, "install the same version on both")
        }
    }
}

/// The swarm's time is of some moment between the question and the answer.
fn clocks(swarm: DateTime<Utc>, [asked, answered]: [DateTime<Utc>; 2]) -> Check {
    let wrong = (swarm - answered).max(asked - swarm).max(TimeDelta::zero());
    if wrong.as_seconds_f32() < Drift::CLOCK_SECONDS {
        return Check::good("clock", "this machine's and the swarm's agree");
    }
    let way = if swarm < asked { "ahead of" } else { "behind" };
    let found = format!("this machine's is {} s {way} the swarm's", wrong.num_seconds());
    Check::look("clock", found, "let chrony or ntpd set both")
}

fn drones(status: &Status) -> Vec<Check> {
    let all = &status.drones;
    let online = |drone: &&Drone| drone.state == DroneState::Online && !drone.awaits_approval;
    let mut checks: Vec<_> = all.iter().flat_map(|drone| drone_checks(drone, status)).collect();
    let number = all.iter().filter(online).count();
    if all.is_empty() {
        checks.push(Check::broken(
            "drones",
            "there is none, so nothing is built",
            "`swarm join-token` lets one in",
        ));
    } else if number == 0 {
        let found = format!("none of {} is online, so nothing is built", all.len());
        checks.push(Check::broken("drones", found, "`swarm drones` shows them; start their services"));
    } else {
        let online = format!("{} online", count(i64::try_from(number).unwrap_or(i64::MAX), "drone"));
        checks.push(Check::good("drones", online));
    }
    if number > 0 && !all.iter().filter(online).any(|drone| drone.trusted) {
        let found = "none that is online is trusted, so no run is resolved and no generation judged";
        checks.push(Check::broken("drones", found, "`swarm drone trust NAME`, for one that you trust"));
    }
    checks
}

fn drone_checks(drone: &Drone, status: &Status) -> Vec<Check> {
    let subject = format!("drone {}", drone.name);
    let look = |found: String, advice: String| Check::look(&subject, found, advice);
    let name = &drone.name;
    let mut checks = vec![];
    match drone.state {
        _ if drone.awaits_approval => {
            checks.push(look("waits to be let in".to_owned(), format!("`swarm drone approve {name}`")));
        }
        DroneState::Offline => {
            let heard = drone.seen_at.map(|at| format!(", last heard {} ago", age(status.now, at)));
            let found = format!("is offline{}", heard.unwrap_or_default());
            checks.push(look(found, "start its service, or look at its machine".to_owned()));
        }
        DroneState::Grounded | DroneState::Draining => {
            checks.push(look(
                format!("is {} and gets no work", drone.state),
                format!("`swarm drone resume {name}`"),
            ));
        }
        DroneState::Online => {}
    }
    if let Some(drift) = drifts(drone) {
        let found = drift.strip_prefix(name.as_str()).unwrap_or(&drift).trim_start().to_owned();
        checks.push(look(found, "`swarm fleet deploy`, or set its clock".to_owned()));
    }
    if let (Some(theirs), Some(ours)) = (&drone.version, &status.version)
        && theirs != ours
    {
        let found = format!("is version {theirs}, the orchestrator {ours}");
        checks.push(look(found, "`swarm fleet deploy` brings it there".to_owned()));
    }
    checks
}

fn targets(status: &Status) -> Vec<Check> {
    if status.targets.is_empty() {
        return vec![Check::look(
            "targets",
            "there is none, so there is nothing to build",
            "`swarm target push NAME`",
        )];
    }
    let check = |target: &swarm_protocol::admin::TargetStatus| {
        let subject = format!("target {}", target.name);
        let runs = status.runs.iter().any(|run| run.run.target == target.name);
        match (target.current, target.promoted_at) {
            (Some(number), Some(at)) => {
                let found = format!("generation {number} is current since {}", age(status.now, at));
                Check::good(&subject, found)
            }
            _ if runs => Check::good(&subject, "its first run is open"),
            _ => {
                let advice = format!("`swarm run start {}`", target.name);
                Check::look(&subject, "has no generation, so clients have nothing to install", advice)
            }
        }
    };
    status.targets.iter().map(check).collect()
}

/// What was missed or went wrong is an alarm already; where none is expected, the machine's own tables are looked at.
fn nightly(target: &TargetName, all: &Nightlies, now: DateTime<Utc>) -> Option<Check> {
    let (due, last) = (all.due_at?, all.nightlies.first()?);
    if due < now || last.result == Some(NightlyResult::Failed) {
        return None;
    }
    let found = format!(
        "the last one began {} ago on {}; the next one has to begin before {} UTC",
        age(now, last.started_at),
        last.host,
        moment(due)
    );
    Some(Check::good(&format!("nightly {target}"), found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    fn told(status: Status, nightlies: Vec<(TargetName, Nightlies)>) -> String {
        let asked = [status.now, status.now + TimeDelta::seconds(1)];
        let answer = Answer { url: "http://queen:8400".to_owned(), status, nightlies, ours: "0.1.0", asked };
        let lines = checks(&answer).into_iter().map(|check| {
            let advice = check.advice.map(|advice| format!(" | {advice}")).unwrap_or_default();
            format!("{:?} {}: {}{advice}", check.verdict, check.subject, check.found)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_swarm_with_troubles() {
        let mut all = sample::nightlies();
        all.nightlies.remove(1);
        let mut status = sample::status();
        status.version = Some("0.0.9".to_owned());
        insta::assert_snapshot!(told(status, vec![("amd64-v3".parse().unwrap(), all)]));
    }

    #[test]
    fn a_swarm_that_is_new() {
        let new =
            Status { targets: vec![], runs: vec![], drones: vec![], degraded: vec![], ..sample::status() };
        insta::assert_snapshot!("new_swarm", told(new, vec![]));
    }

    #[test]
    fn clocks_that_differ() {
        let at = |seconds: i64| DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap();
        for (swarm, found) in [
            (at(0), "this machine's and the swarm's agree"),
            (at(-4), "this machine's and the swarm's agree"),
            (at(6), "this machine's and the swarm's agree"),
            (at(-9), "this machine's is 9 s ahead of the swarm's"),
            (at(62), "this machine's is 60 s behind the swarm's"),
        ] {
            assert_eq!(clocks(swarm, [at(0), at(2)]).found, found);
        }
    }
}
