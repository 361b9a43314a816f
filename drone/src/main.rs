//! The `build-drone` program: a thin shell around the library of the same name.

use anyhow::Context;
use build_drone::config::Config;
use build_drone::epoch::own::Own;
use build_drone::preflight::{self, Verdict};
use build_drone::resolver::ask::Question;
use build_drone::resolver::{by_hand, table};
use build_drone::root::{Launcher, dir, enter};
use build_drone::{daemon, enrol, repair};
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use swarm_protocol::repair::{Line, Refusal};
use tracing_subscriber::EnvFilter;

/// The build box's daemon of Build Swarm.
#[derive(Parser)]
#[command(version = swarm_protocol::VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Claim and build packages until stopped.
    Run {
        #[command(flatten)]
        config: ConfigFile,
        /// Say whether the configuration is right, and exit.
        #[arg(long)]
        check_config: bool,
        /// Write the log as JSON lines.
        #[arg(long)]
        log_json: bool,
    },
    /// Trade a join token for the drone's own. The join token is read from the file, from
    /// `BUILD_DRONE_JOIN_TOKEN`, or from standard input.
    Enrol {
        #[command(flatten)]
        config: ConfigFile,
        /// The file that holds the join token.
        #[arg(long, value_name = "FILE")]
        join_token_file: Option<PathBuf>,
    },
    /// Print the epoch that this drone can build under.
    Epoch {
        #[command(flatten)]
        config: ConfigFile,
        /// As JSON: `{"digest": …, "epoch": …}`.
        #[arg(long)]
        json: bool,
    },
    /// Say whether this machine can build, and what is missing.
    Preflight {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Ask the base root's Portage what a world needs, and print the plan. Exit status 1 when Portage refuses.
    Resolve {
        #[command(flatten)]
        config: ConfigFile,
        /// The world: an atom or a set a line, as in /var/lib/portage/world.
        #[arg(long, value_name = "FILE")]
        world: PathBuf,
        /// The `Packages` file of the binaries that may be kept; none where absent.
        #[arg(long, value_name = "FILE")]
        index: Option<PathBuf>,
        /// As JSON: `{"plan": …, "findings": […]}`.
        #[arg(long)]
        json: bool,
    },
    /// What the orchestrator may do here over SSH: the forced command of its key in `authorized_keys`. Reads the verb from
    /// `SSH_ORIGINAL_COMMAND`: `status`, `restart MACHINE_ID`, `reboot MACHINE_ID`; answers as JSON lines.
    Repair {
        #[command(flatten)]
        config: ConfigFile,
        /// The drone's service.
        #[arg(long, value_name = "NAME", default_value = "build-drone")]
        service: String,
    },
    #[command(name = "__enter", hide = true)]
    Enter {
        #[arg(long)]
        spec: PathBuf,
    },
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/build-swarm/drone.toml")]
    config: PathBuf,
}

impl ConfigFile {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config, |name| std::env::var(name).ok())?)
    }
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let log_json = matches!(command, Command::Run { log_json: true, .. });
    dispatch(command).unwrap_or_else(|error| {
        // Who reads the log as JSON reads its last line, too.
        if log_json {
            tracing::error!("{error:#}");
        } else {
            eprintln!("build-drone: {error:#}");
        }
        ExitCode::FAILURE
    })
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        // Before any thread: a mount namespace is a thread's own.
        Command::Enter { spec } => Ok(entered(&spec)),
        Command::Run { config, check_config: true, .. } => {
            config.load()?;
            println!("{}: ok", config.config.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { config, log_json, .. } => {
            trace(log_json);
            let runtime = runtime()?;
            let result = runtime.block_on(daemon::run(config.load()?, Launcher::this_program()));
            // A file that is still being hashed must not hold up a stop.
            runtime.shutdown_timeout(Duration::from_secs(1));
            result.map(|()| ExitCode::SUCCESS)
        }
        Command::Enrol { config, join_token_file } => {
            let config = config.load()?;
            let token = std::env::var("BUILD_DRONE_JOIN_TOKEN").ok();
            let token = enrol::join_token(join_token_file.as_deref(), token)?;
            runtime()?.block_on(enrol::enrol(&config, &token))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Epoch { config, json } => runtime()?.block_on(print_epoch(config.load()?, json)),
        Command::Resolve { config, world, index, json } => {
            runtime()?.block_on(print_plan(config.load()?, &world, index.as_deref(), json))
        }
        Command::Repair { config, service } => {
            let done = runtime()?.block_on(repaired(&config, &service));
            Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Preflight { config } => runtime()?.block_on(print_preflight(&config.load()?)),
    }
}

fn entered(spec: &Path) -> ExitCode {
    let Err(error) = enter::enter(spec);
    eprintln!("build-drone: cannot enter the root: {error:#}");
    ExitCode::from(enter::CANNOT_ENTER)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

fn trace(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { subscriber.json().init() } else { subscriber.with_target(false).init() }
}

async fn print_epoch(mut config: Config, json: bool) -> anyhow::Result<ExitCode> {
    let _scratch = scratch(&mut config)?;
    let epoch = Own::new(config, Launcher::this_program()).current().await?;
    let digest = epoch.digest();
    if json {
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({"digest": digest, "epoch": epoch}))?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("epoch          {digest}");
    println!("compat         {}", epoch.compat.digest());
    println!("base root      {}", epoch.base_root);
    println!("configuration  {}", epoch.configuration);
    for repository in &epoch.repositories {
        println!("repository     {} {}", repository.name, repository.revision);
    }
    println!("profile        {}", epoch.compat.profile);
    println!("chost          {}", epoch.compat.chost);
    for line in epoch.compat.flags.iter().chain(&epoch.compat.abi) {
        println!("               {line}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn print_preflight(config: &Config) -> anyhow::Result<ExitCode> {
    let mut config = config.clone();
    let _scratch = scratch(&mut config)?;
    let checks = preflight::checks(&config, &Launcher::this_program()).await;
    for check in &checks {
        println!("{check}");
    }
    let fit = checks.iter().all(|check| check.verdict != Verdict::Missing);
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn repaired(config: &ConfigFile, service: &str) -> bool {
    // Whoever asked may be gone before the answer; the step is not given up for that.
    let mut say = |line: &Line| {
        let text = serde_json::to_string(line).unwrap_or_default();
        let mut output = std::io::stdout().lock();
        let _ = writeln!(output, "{text}").and_then(|()| output.flush());
    };
    match config.load() {
        Ok(config) => {
            let said = std::env::var("SSH_ORIGINAL_COMMAND").unwrap_or_default();
            repair::run(&config, service, &said, &mut say).await
        }
        Err(error) => {
            say(&Line::Refused { reason: Refusal::Unable, detail: format!("{error:#}") });
            false
        }
    }
}

async fn print_plan(
    mut config: Config,
    world: &Path,
    index: Option<&Path>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let world = by_hand::world(world)?;
    let question = Question { world: &world, ..Question::default() };
    let _scratch = scratch(&mut config)?;
    let (plan, findings) = by_hand::resolve(&config, &Launcher::this_program(), question, index).await?;
    if json {
        println!(
            "{}",
            serde_json::to_string_pretty(&serde_json::json!({"plan": plan, "findings": findings}))?
        );
    } else if let Some(plan) = &plan {
        print!("{}", table::plan(plan));
    }
    if !json {
        eprint!("{}", table::findings(&findings));
    }
    Ok(if plan.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A state directory of our own below the real one, so that a running drone is not disturbed.
fn scratch(config: &mut Config) -> anyhow::Result<Scratch> {
    let path = config.state_dir.join(format!("command-{}", std::process::id()));
    dir::clear(&path.join("attempts")).with_context(|| format!("cannot make {}", path.display()))?;
    config.state_dir.clone_from(&path);
    Ok(Scratch(path))
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("build-drone: cannot remove {}: {error}", self.0.display());
        }
    }
}
