//! `build-drone enrol`: trades an admin's one-time join token for the drone's own.
//!
//! The join token comes from a file, from `BUILD_DRONE_JOIN_TOKEN`, or from standard input, never from the command line,
//! where every user of the machine could read it.

use crate::config::Config;
use crate::link::{CALL_LIMIT, within};
use crate::{machine, secret};
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use swarm_protocol::client::DroneClient;
use swarm_protocol::drone::Enrol;

/// Where the join token comes from.
pub fn join_token(file: Option<&Path>, environment: Option<String>) -> anyhow::Result<SecretString> {
    match (file, environment) {
        (Some(path), _) => secret::read(path),
        (None, Some(token)) => secret::read_from(token.as_bytes()).context("BUILD_DRONE_JOIN_TOKEN"),
        (None, None) => secret::read_from(std::io::stdin()).context("standard input holds no join token"),
    }
}

/// Enrols, and writes the drone's token.
pub async fn enrol(config: &Config, join_token: &SecretString) -> anyhow::Result<()> {
    let enrol = Enrol {
        join_token: join_token.expose_secret().to_owned(),
        name: config.name.clone(),
        machine_id: machine::id(&config.machine_id_file)?,
        host_key: machine::host_key(&config.ssh_host_key_file)?,
    };
    // Before the token is used up: can its successor be kept?
    let directory = config.token_file.parent().context("token_file has no directory")?;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let client = DroneClient::new(&config.orchestrator_url, None);
    let enrolled =
        within(CALL_LIMIT, client.enrol(&enrol)).await.context("the orchestrator did not enrol us")?;
    secret::write(&config.token_file, &enrolled.token.into())
        .with_context(|| format!("enrolled, but cannot write {}", config.token_file.display()))?;
    println!(
        "enrolled as {} (drone {}); token in {}",
        config.name,
        enrolled.drone,
        config.token_file.display()
    );
    Ok(())
}
