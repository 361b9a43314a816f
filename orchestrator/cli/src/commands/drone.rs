//! `swarm drones` and `swarm drone`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{count, left, moment, or_dash, right, table};
use clap::Subcommand;
use swarm_protocol::admin::{Drone, DroneOrder};

/// What a drone can be told.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Finish what it has, get nothing new.
    Drain(Named),
    /// Take work again.
    Resume(Named),
    /// Believe its plans and verdicts.
    Trust(Named),
    /// Believe its plans and verdicts no longer.
    Distrust(Named),
}

/// Which drone.
#[derive(clap::Args, Debug)]
pub(crate) struct Named {
    /// The drone's name.
    #[arg(value_parser = name)]
    name: String,
}

/// The name becomes part of a URL: whatever no drone can be called must not get there.
fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if text.len() <= 63 && text.chars().all(allowed) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        Ok(text.to_owned())
    } else {
        Err("a drone's name is 1 to 63 of [a-z0-9.-], as a host's is".to_owned())
    }
}

/// `swarm drones`.
pub(crate) async fn list(context: &Context) -> Result<Exit, Failure> {
    let drones = context.ask(context.client.drones()).await?;
    context.output.show(&drones, |drones| listed(drones))?;
    Ok(Exit::Ok)
}

/// `swarm drone`.
pub(crate) async fn order(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let (Named { name }, order) = match command {
        Command::Drain(drone) => (drone, DroneOrder::Drain),
        Command::Resume(drone) => (drone, DroneOrder::Resume),
        Command::Trust(drone) => (drone, DroneOrder::Trust),
        Command::Distrust(drone) => (drone, DroneOrder::Distrust),
    };
    let drone = context.ask(context.client.order_drone(name, order)).await?;
    context.output.show(&drone, obeyed)?;
    Ok(Exit::Ok)
}

fn obeyed(drone: &Drone) -> String {
    let trusted = if drone.trusted { "trusted" } else { "not trusted" };
    let live = count(drone.live, "live attempt");
    format!("Drone {} is {}, {trusted}, with {live}.", drone.name, drone.state)
}

fn listed(drones: &[Drone]) -> String {
    let columns = [
        right("id"),
        left("drone"),
        left("state"),
        left("trusted"),
        right("live"),
        right("failures in a row"),
        left("last heard (UTC)"),
    ];
    let rows = drones.iter().map(|drone| {
        let stopping = if drone.stopping { ", stopping" } else { "" };
        [
            drone.id.to_string(),
            drone.name.clone(),
            format!("{}{stopping}", drone.state),
            (if drone.trusted { "yes" } else { "no" }).to_owned(),
            drone.live.to_string(),
            drone.consecutive_failures.to_string(),
            or_dash(drone.seen_at.map(moment)),
        ]
    });
    table(columns, "There is no drone yet; `swarm join-token` lets one in.", rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn drones_in_a_table() {
        insta::assert_snapshot!(listed(&sample::drones()));
        insta::assert_snapshot!(sample::drones().iter().map(obeyed).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        assert!(name("ant-2.example.org").is_ok());
        for wrong in ["", "..", "-ant", "a/b", "a?b", "a%2fb", "Ant", "a b", &"a".repeat(64)] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }
}
