//! The command line: options that every command takes, and the commands. A noun's own arguments are with its file.

use crate::commands::{drone, event, package, run, target, token};
use crate::connection::{self, Options};
use crate::exit::Exit;
use clap::{Parser, Subcommand};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{AttemptId, PackageId};

/// See and steer Build Swarm.
#[derive(Parser, Debug)]
#[command(name = "swarm", version, after_help = help())]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Options,
    /// Print the API's JSON, one document; in failures a problem (RFC 9457).
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

fn help() -> String {
    format!("{}\n\n{}", connection::HELP, Exit::help())
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// The open runs and the drones, at a glance.
    Status,
    /// Targets: kinds of machines to build for.
    #[command(subcommand)]
    Target(target::Command),
    /// Runs: attempts to bring a target to an epoch.
    #[command(subcommand)]
    Run(run::Command),
    /// List the packages of a run, by rank.
    Packages(package::Arguments),
    /// List the attempts at a package, with what its last failure said.
    Attempts {
        /// The package's id, as `swarm packages` shows it.
        package: PackageId,
    },
    /// Print the log of an attempt, as the build wrote it.
    Log {
        /// The attempt's id, as `swarm attempts` shows it.
        attempt: AttemptId,
    },
    /// Let a quarantined package be tried again.
    Release {
        /// The package's id.
        package: PackageId,
    },
    /// List the drones.
    Drones,
    /// Give a drone an order.
    #[command(subcommand)]
    Drone(drone::Command),
    /// List the generations of a target, newest first.
    Generations {
        /// The target.
        target: TargetName,
    },
    /// Make a token by which one new drone joins, and print it.
    JoinToken(token::JoinArguments),
    /// Tokens of people and scripts.
    #[command(subcommand)]
    Token(token::Command),
    /// What happened, in order.
    Events(event::Arguments),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Arguments, ErrorKind> {
        Arguments::try_parse_from(line.split_whitespace()).map_err(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_stand_anywhere() {
        let arguments = parse("swarm run --json show 7 --url http://swarm:8400").unwrap();
        assert!(arguments.json);
        let Command::Run(run::Command::Show { run }) = arguments.command else { panic!("{arguments:?}") };
        assert_eq!(run.0, 7);
    }

    #[test]
    fn every_command_of_the_manual_parses() {
        for line in [
            "swarm status",
            "swarm target list",
            "swarm target create amd64-v3",
            "swarm run start amd64-v3 --epoch -",
            "swarm run start amd64-v3 --epoch epoch.json --plan - --wait",
            "swarm run list",
            "swarm run watch 7",
            "swarm run cancel 7",
            "swarm packages 7 --state quarantined",
            "swarm attempts 12",
            "swarm log 31",
            "swarm release 12",
            "swarm drones",
            "swarm drone drain ant",
            "swarm drone distrust ant.example.org",
            "swarm generations amd64-v3",
            "swarm join-token --trusted --ttl-seconds 60",
            "swarm token create --role viewer --label cron",
            "swarm events --since 812:4 --all",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_before_anything_is_asked() {
        for line in [
            "swarm run show seven",
            "swarm run start amd64-v3",
            "swarm target create A/B",
            "swarm packages 7 --state sleeping",
            "swarm drone drain ../tokens",
            "swarm join-token --ttl-seconds 0",
            "swarm join-token --ttl-seconds 604801",
            "swarm token create --role drone --label ant",
            "swarm --url swarm:8400 status",
            "swarm --token secret status",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
