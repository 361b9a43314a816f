//! The command line: options that every command takes, and the commands. A noun's own arguments are with its file.

use crate::commands::{
    attempt, drone, event, fleet, generated, generation, log, nightly, notify, package, quarantine, run,
    setup, status, target, token, update, why,
};
use crate::connection::{self, Options};
use crate::exit::Exit;
use clap::{Parser, Subcommand};

/// See and steer Build Swarm.
#[derive(Parser, Debug)]
#[command(name = "swarm", version = swarm_protocol::VERSION, after_help = help())]
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
    /// All at a glance: health, targets, open runs with what holds them up, drones with what they do.
    Status(status::Arguments),
    /// Show the whole swarm on a full screen, as it changes: alarms, runs, drones, events. ? shows the keys.
    Watch,
    /// Check what stands between you and a swarm that works by itself, and say what to do.
    ///
    /// It asks the orchestrator, and looks at this machine: the token, the clock, and whether the cron daemon that runs here
    /// has loaded a nightly update, in its own dialect.
    Doctor,
    /// Targets: kinds of machines to build for.
    #[command(subcommand)]
    Target(target::Command),
    /// Runs: attempts to bring a target to an epoch.
    #[command(subcommand)]
    Run(run::Command),
    /// List the packages of a run, by rank.
    Packages(package::Listed),
    /// Show a package: where it stands and why, what it waits for, what waits for it, and its attempts.
    Package(package::Shown),
    /// Say why a package is not being built, or why a drone has no work.
    Why(why::Asked),
    /// End the pause of packages that wait after a failure: they may be claimed at once.
    Retry(package::Named),
    /// Say how urgent a package is: it goes before what has less, and so does what it waits for.
    Priority(package::Prioritised),
    /// Packages that failed for reasons of their own.
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Attempts: single tries of a package on a drone.
    #[command(subcommand)]
    Attempt(attempt::Command),
    /// Print the log of an attempt, as the build wrote it.
    Log(log::Arguments),
    /// List the drones.
    Drones,
    /// Give a drone an order.
    #[command(subcommand)]
    Drone(drone::Command),
    /// The machines of the swarm, over SSH: what is on them, what shall be, and how it gets there.
    #[command(subcommand)]
    Fleet(fleet::Command),
    /// Generations: what a target's clients see, and have seen; compare them, roll back.
    #[command(subcommand)]
    Generations(generation::Command),
    /// Do the nightly update of a target, as one call for cron: sync, push this workstation, begin a run.
    ///
    /// It says that it has begun before it does anything. The orchestrator refuses one while another is on its way, and
    /// raises an alarm when the next one does not come, or the last one failed.
    #[command(after_help = nightly::EXAMPLES)]
    Nightly(nightly::Update),
    /// List the last nightly updates of a target, and when the next one is due.
    Nightlies(nightly::Listed),
    /// Set this machine up.
    #[command(subcommand)]
    Setup(setup::Command),
    /// Update this workstation from its target's current generation, and compile nothing.
    ///
    /// emerge leaves out in silence what the binhost lacks, and ends with 0 for it (PORTAGE.md 1). So Portage is asked
    /// before and after what it would do if it might compile: what would have to be compiled, and what was left out, is
    /// told, with its reason.
    #[command(after_help = update::EXAMPLES)]
    Update(update::Update),
    /// Where people are told what happened.
    #[command(subcommand)]
    Notify(notify::Command),
    /// Make a token by which one new drone joins, and print it.
    JoinToken(token::JoinArguments),
    /// Tokens of people and scripts.
    #[command(subcommand)]
    Token(token::Command),
    /// What happened, in order.
    Events(event::Arguments),
    /// Print what completes command lines in a shell.
    #[command(after_help = generated::EXAMPLES)]
    Completions(generated::Completions),
    /// Write the manual pages: `make man` installs them.
    #[command(hide = true)]
    Man(generated::Man),
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
            "swarm status amd64-v3",
            "swarm watch",
            "swarm doctor --json",
            "swarm target list",
            "swarm target show amd64-v3",
            "swarm target create amd64-v3",
            "swarm target push amd64-v3",
            "swarm target push amd64-v3 --root /mnt",
            "swarm target push amd64-v3 --world world --world -",
            "swarm target push amd64-v3 --workstation ws1 --snapshot-trees --no-installed",
            "swarm target diff amd64-v3",
            "swarm target diff amd64-v3 --from 1 --to 2",
            "swarm target history amd64-v3",
            "swarm target export amd64-v3 out",
            "swarm target export amd64-v3 2 out",
            "swarm target workstations amd64-v3",
            "swarm target forget amd64-v3 ws1",
            "swarm run start amd64-v3",
            "swarm run start amd64-v3 --epoch -",
            "swarm run start amd64-v3 --epoch epoch.json --plan - --wait",
            "swarm run list",
            "swarm run list --target amd64-v3 --open",
            "swarm run watch 7",
            "swarm run cancel 7",
            "swarm packages 7 --state quarantined",
            "swarm packages 7 --drone ant",
            "swarm package 12",
            "swarm package app-misc/jq-1.7 --run 7",
            "swarm retry app-misc/jq 12",
            "swarm priority app-misc/jq 10",
            "swarm priority 12 -5 --run 7",
            "swarm quarantine list --run 7",
            "swarm quarantine release app-misc/jq 12",
            "swarm quarantine release --all",
            "swarm attempt show 31",
            "swarm log 31",
            "swarm log app-misc/jq --follow",
            "swarm drones",
            "swarm drone drain ant",
            "swarm drone ground ant --for 30m",
            "swarm drone ground ant",
            "swarm drone distrust ant.example.org",
            "swarm fleet list --topology fleet.toml",
            "swarm fleet import servers.json",
            "swarm fleet check",
            "swarm fleet status izar naos --topology fleet.toml",
            "swarm fleet deploy izar --canary --parallel 4 --dry-run",
            "swarm fleet repairs",
            "swarm fleet repairs ant",
            "swarm fleet confirm ant",
            "swarm drone approve ant",
            "swarm generations list amd64-v3",
            "swarm generations rollback amd64-v3",
            "swarm generations rollback amd64-v3 --to 7 --force",
            "swarm join-token --trusted --ttl-seconds 60",
            "swarm join-token --name ant --ask",
            "swarm join-token --name ant --replace",
            "swarm token create --role viewer --label cron",
            "swarm token list",
            "swarm token revoke cron",
            "swarm nightly amd64-v3",
            "swarm nightly amd64-v3 --no-sync --no-push --every 12 --wait",
            "swarm nightlies amd64-v3 --expect-none",
            "swarm setup workstation amd64-v3 --dry-run",
            "swarm update",
            "swarm update amd64-v3 --pretend --patience 0",
            "swarm notify test",
            "swarm notify test phone",
            "swarm events --since 812:4 --all",
            "swarm events --since now --follow",
            "swarm completions bash",
            "swarm man pages",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_before_anything_is_asked() {
        for line in [
            "swarm run show seven",
            "swarm run start amd64-v3 --plan plan.json",
            "swarm target create A/B",
            "swarm target push amd64-v3 --root /mnt --world world",
            "swarm target push amd64-v3 --workstation WS1",
            "swarm target diff amd64-v3 --root /mnt --to 2",
            "swarm target export amd64-v3",
            "swarm target forget amd64-v3",
            "swarm packages 7 --state sleeping",
            "swarm quarantine release",
            "swarm quarantine release 12 --all",
            "swarm retry",
            "swarm drone drain ../tokens",
            "swarm drone ground ant --for ever",
            "swarm fleet deploy --parallel 0",
            "swarm fleet deploy --yes",
            "swarm fleet deploy --force --dry-run",
            "swarm fleet confirm",
            "swarm fleet confirm ../tokens",
            "swarm generations rollback amd64-v3 --to 0",
            "swarm join-token --replace",
            "swarm join-token --name ant --replace --ask",
            "swarm join-token --ttl-seconds 0",
            "swarm join-token --ttl-seconds 604801",
            "swarm token create --role drone --label ant",
            "swarm setup workstation amd64-v3 --fingerprint ABCD",
            "swarm update amd64-v3 @system",
            "swarm --url swarm:8400 status",
            "swarm --token secret status",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
