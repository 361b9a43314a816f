//! `build-binhost`: the artifact store that drones upload to and workstations install from.

use anyhow::{Context, Result};
use build_binhost::clock::{Clock, SystemClock};
use build_binhost::mirror::{self, Mirror};
use build_binhost::signing::KeyCommand;
use build_binhost::tools::{self, Gc, Verify};
use build_binhost::{access, config::Config, daemon, reindex};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use swarm_protocol::gentoo::TargetName;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// The binhost of Build Swarm: artifact store, generations, Packages index, serving.
#[derive(Parser)]
#[command(version = swarm_protocol::VERSION)]
struct Arguments {
    /// The configuration file.
    #[arg(long, short, default_value = "/etc/build-swarm/binhost.toml", global = true)]
    config: PathBuf,
    /// Check the configuration, say what is wrong and where, and end.
    #[arg(long, global = true)]
    check_config: bool,
    /// Write the log as JSON lines.
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon (the default).
    Serve,
    /// Write the index of a directory of packages, as `emaint binhost --fix` does. Needs no configuration.
    Reindex(reindex::Arguments),
    /// The keys that sign packages.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Read the whole store and say what is wrong, beside the daemon if it runs.
    #[command(after_help = "Exit status: 0 all is good, 3 something is wrong, 1 it could not be verified.")]
    Verify(Verify),
    /// Remove what retention does not keep and nothing refers to, while no daemon runs; that one does it by itself.
    Gc(Gc),
    /// Push what clients need to an S3 store or to another directory, beside the daemon if it runs.
    Mirror(Mirror),
    /// Make a token for a reader: prints it, and the line for the file that `access.readers` names.
    ReaderToken {
        /// The reader's name, as in `https://NAME:TOKEN@binhost/…`.
        name: String,
        /// The targets to read; without any, all of them.
        targets: Vec<TargetName>,
    },
}

/// What `verify` ends with when it found something.
const FAULTS: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log_json = arguments.log_json;
    dispatch(arguments).unwrap_or_else(|error| {
        // Who reads the log as JSON reads its last line, too.
        if log_json {
            error!("{error:#}");
        } else {
            eprintln!("build-binhost: {error:#}");
        }
        ExitCode::FAILURE
    })
}

fn dispatch(arguments: Arguments) -> Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    if arguments.log_json {
        log.json().init();
    } else {
        log.init();
    }
    match &arguments.command {
        Some(Command::Reindex(arguments)) => return reindex::command(arguments),
        Some(Command::ReaderToken { name, targets }) => {
            reader_token(name, targets)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let config = Config::load(&arguments.config)?;
    if arguments.check_config {
        println!("{}: the configuration is good", arguments.config.display());
        return Ok(ExitCode::SUCCESS);
    }
    let command = arguments.command.unwrap_or(Command::Serve);
    tokio::runtime::Runtime::new()?.block_on(run(command, config))
}

async fn run(command: Command, config: Config) -> Result<ExitCode> {
    match command {
        // These need no configuration, and are done by now.
        Command::Reindex(_) | Command::ReaderToken { .. } => {}
        Command::Serve => serve(config).await?,
        Command::Key(command) => print!("{}", command.run(&config.directory, SystemClock.now())?),
        Command::Verify(how) => {
            if !tools::verify(config, how).await? {
                return Ok(FAULTS.into());
            }
        }
        Command::Gc(how) => tools::gc(config, &SystemClock, how).await?,
        Command::Mirror(how) => mirror::run(config, &SystemClock, &how).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn reader_token(name: &str, targets: &[TargetName]) -> Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("the operating system gives no random bytes")?;
    let (token, line) = access::reader(name, targets, random)?;
    println!("{token}\n{line}");
    Ok(())
}

async fn serve(config: Config) -> Result<()> {
    let daemon = daemon::open(config, Arc::new(SystemClock)).await?;
    info!(binhost.listen = %daemon.address(), "the binhost listens");
    if let Some(address) = daemon.tls_address() {
        info!(binhost.tls = %address, "the binhost listens for TLS");
    }
    let stop = CancellationToken::new();
    tokio::spawn(signals(stop.clone())?);
    daemon.run(stop).await;
    info!("the binhost has stopped");
    Ok(())
}

/// The first SIGTERM or SIGINT drains the requests, the second ends the process at once: the store is made for that.
fn signals(stop: CancellationToken) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        for second in [false, true] {
            tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
            if second {
                warn!("a second signal: stopping now");
                std::process::exit(1);
            }
            info!("stopping: no new connections, running requests end");
            stop.cancel();
        }
    })
}
