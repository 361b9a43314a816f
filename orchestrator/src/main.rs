//! `build-orchestrator`: the brain of Build Swarm.

mod simulation;

use anyhow::{Context, Result};
use build_orchestrator::config::Config;
use build_orchestrator::{db, embedded, server};
use clap::{Parser, Subcommand};
use secrecy::SecretString;
use std::path::PathBuf;
use std::process::ExitCode;
use swarm_protocol::admin::NewToken;
use swarm_protocol::state::Role;
use swarm_protocol::ticket::TicketSigner;
use tracing::error;
use tracing_subscriber::EnvFilter;

/// The brain of Build Swarm: API, queue, scheduler, maintenance.
#[derive(Parser)]
#[command(version = swarm_protocol::VERSION)]
struct Arguments {
    /// The configuration file.
    #[arg(long, short, default_value = "/etc/build-swarm/orchestrator.toml", global = true)]
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
    /// Bring the database to this version's schema.
    Migrate,
    /// Make a token by which a person or script may use the API, and print it.
    Token {
        /// admin or viewer.
        #[arg(long, value_parser = role, default_value = "admin")]
        role: Role,
        /// Who will use it.
        #[arg(long, default_value = "made on the orchestrator's machine")]
        label: String,
    },
    /// Write the private Postgres's data to a file.
    Dump {
        /// The file to make; without it, one beside the nightly dumps. Its name is printed.
        file: Option<PathBuf>,
    },
    /// Read a dump into the private Postgres; the orchestrator must not run.
    Restore {
        /// The dump.
        file: PathBuf,
        /// Throw away what the database holds.
        #[arg(long)]
        replace: bool,
    },
    /// Print the public key by which the binhost verifies tickets.
    TicketKey,
    /// Run the scheduler on a dependency graph and a fleet that do not exist, and say how long it would take.
    Simulate(simulation::Options),
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "admin" => Ok(Role::Admin),
        "viewer" => Ok(Role::Viewer),
        _ => Err("a token's role is admin or viewer; a drone gets its token by enrolment".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log_json = arguments.log_json;
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Who reads the log as JSON reads its last line, too.
            if log_json {
                error!("{error:#}");
            } else {
                eprintln!("build-orchestrator: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if arguments.log_json {
        log.json().init();
    } else {
        log.init();
    }
    if let Some(Command::Simulate(options)) = &arguments.command {
        return simulation::run(options);
    }
    let config = Config::load(&arguments.config)?;
    if arguments.check_config {
        for warning in embedded::check(&config)? {
            println!("warning: {warning}");
        }
        println!("{}: the configuration is good", arguments.config.display());
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(run(&config, arguments.command.unwrap_or(Command::Serve)))
}

async fn run(config: &Config, command: Command) -> Result<()> {
    match command {
        Command::Serve => server::serve(config).await,
        Command::Migrate => embedded::with_database(config, migrate).await,
        Command::Token { role, label } => {
            let token = embedded::with_database(config, async |url| token(&url, role, &label).await).await?;
            println!("{token}");
            Ok(())
        }
        Command::Dump { file } => {
            println!("{}", embedded::dump(config, file).await?.display());
            Ok(())
        }
        Command::Restore { file, replace } => embedded::restore(config, &file, replace).await,
        Command::TicketKey => {
            let signer = TicketSigner::new(&server::ticket_key(&config.ticket_key_file)?);
            println!("{}", signer.verifier());
            Ok(())
        }
        // It needs no configuration.
        Command::Simulate(options) => simulation::run(&options),
    }
}

async fn migrate(url: SecretString) -> Result<()> {
    let pool = db::connect(&url, 1).await.context("cannot connect to the database")?;
    db::MIGRATIONS.run(&pool).await.context("cannot migrate the database")
}

async fn token(url: &SecretString, role: Role, label: &str) -> Result<String> {
    let pool = db::connect(url, 1).await.context("cannot connect to the database")?;
    let token =
        db::tokens::generate(role.as_str()).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let mut tx = pool.begin().await?;
    db::tokens::create(&mut tx, &token, &NewToken { role, label: label.to_owned() }).await?;
    tx.commit().await?;
    Ok(token)
}
