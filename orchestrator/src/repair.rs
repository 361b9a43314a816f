//! Repairs over SSH: what the leader has written down is carried out here, beside its turns, for a node may take a minute
//! to answer. Nothing is kept: a step that is lost with the process has been written down as taken, and is not repeated.

use crate::app::App;
use crate::config;
use crate::db::repairs;
use std::sync::Arc;
use std::time::Duration;
use swarm_fleet::ssh::{Said, Ssh, SshError};
use swarm_fleet::topology::Route;
use swarm_protocol::admin::RepairOutcome;
use swarm_protocol::id::RepairId;
use swarm_protocol::repair::{Line, MachineId, Step, Verb};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

/// How much of what a node says is kept, in characters.
const DETAIL: usize = 1000;

/// A step that was written down as taken.
#[derive(Debug)]
pub struct Errand {
    /// Which.
    pub repair: RepairId,
    /// The drone's name, for the log.
    pub drone: String,
    /// What.
    pub step: Step,
    /// The machine that is meant.
    pub machine_id: MachineId,
    /// The way there.
    pub route: Route,
}

/// The errands on their way.
pub struct Hands {
    sender: mpsc::UnboundedSender<Errand>,
    receiver: Mutex<mpsc::UnboundedReceiver<Errand>>,
}

impl Default for Hands {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver: Mutex::new(receiver) }
    }
}

impl Hands {
    /// Carries it out soon. A drone has one open repair, so there are never more than drones.
    pub fn send(&self, errand: Errand) {
        // The receiver lives as long as `self`.
        let _ = self.sender.send(errand);
    }
}

/// Carries errands out until the process stops, and waits for those that are on their way.
pub async fn run(app: &Arc<App>) {
    let mut receiver = app.hands.receiver.lock().await;
    let mut going = JoinSet::new();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => break,
            Some(errand) = receiver.recv() => {
                let app = app.clone();
                going.spawn(async move { carry_out(&app, &errand).await });
            }
            Some(_) = going.join_next() => {}
        }
    }
    while going.join_next().await.is_some() {}
}

async fn carry_out(app: &App, errand: &Errand) {
    let Some(settings) = &app.repair else { return };
    info!(drone.name = errand.drone, repair = %errand.repair, step = %errand.step, "a drone is repaired");
    let answer = ask(settings, errand).await;
    let detail: String = answer.detail().chars().filter(|c| !c.is_control()).take(DETAIL).collect();
    let written = match answer {
        Answer::Done | Answer::Failed(_) => repairs::answer(&app.db, errand.repair, true, &detail).await,
        Answer::Silent(_) => repairs::answer(&app.db, errand.repair, false, &detail).await,
        Answer::Refused(_) | Answer::Unreachable(_) => {
            let refused = matches!(answer, Answer::Refused(_));
            let outcome = if refused { RepairOutcome::Refused } else { RepairOutcome::Unreachable };
            warn!(drone.name = errand.drone, repair = %errand.repair, detail, "a drone was not repaired");
            repairs::end(&app.db, errand.repair, outcome, Some(&detail)).await.map(drop)
        }
    };
    if let Err(error) = written {
        error!(%error, repair = %errand.repair, "the answer of a node could not be written down");
    }
}

/// What a node said.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The step is done.
    Done,
    /// It was begun, and failed.
    Failed(String),
    /// Nothing was done, and a person has to look.
    Refused(String),
    /// Nothing was done.
    Unreachable(String),
    /// It may have been done.
    Silent(String),
}

impl Answer {
    fn detail(&self) -> &str {
        match self {
            Self::Done => "done",
            Self::Failed(detail)
            | Self::Refused(detail)
            | Self::Unreachable(detail)
            | Self::Silent(detail) => detail,
        }
    }
}

/// Speaks to the node: one session, in which the machine is compared and the step is taken.
async fn ask(settings: &config::Repair, errand: &Errand) -> Answer {
    let ssh = match Ssh::new(Some(&settings.known_hosts)) {
        Ok(ssh) => ssh,
        Err(error) => return Answer::Unreachable(format!("ssh cannot be used here: {error}")),
    };
    // This key, for which the node knows one command; not those by which the fleet is deployed.
    let route = Route { key: Some(settings.key_file.clone()), ..errand.route.clone() };
    let connection = match ssh.connect(&route).await {
        Ok(connection) => connection,
        Err(error) => return not_connected(&error),
    };
    let verb = Verb::Do(errand.step, errand.machine_id.clone()).to_string();
    let said = connection.run(&verb, None, Duration::from_secs(settings.ssh_seconds.into())).await;
    let answer = understand(said);
    connection.close().await;
    answer
}

/// A node that is not the known one, or does not know us, will not be another one after a pause.
fn not_connected(error: &SshError) -> Answer {
    match error {
        SshError::HostKeyChanged | SshError::HostKeyUnknown(_) | SshError::Denied(_) => {
            Answer::Refused(error.to_string())
        }
        _ => Answer::Unreachable(error.to_string()),
    }
}

fn understand(said: Result<Said, SshError>) -> Answer {
    let said = match said {
        Ok(said) => said,
        // A machine that reboots may not say so.
        Err(error) => return Answer::Silent(error.to_string()),
    };
    match said.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).next_back() {
        Some(Line::Done) => Answer::Done,
        Some(Line::Failed { detail }) => Answer::Failed(detail),
        Some(Line::Refused { detail, .. }) => Answer::Refused(detail),
        Some(Line::Begun { step }) => {
            Answer::Silent(format!("the {step} was begun, and nothing more was heard"))
        }
        Some(Line::Status { .. }) | None => {
            let words = if said.stderr.trim().is_empty() { &said.stdout } else { &said.stderr };
            let words = words.trim();
            Answer::Refused(format!("`build-drone repair` does not answer there; it said: {words}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stdout: &str, stderr: &str) -> Answer {
        understand(Ok(Said { status: 0, stdout: stdout.to_owned(), stderr: stderr.to_owned() }))
    }

    #[test]
    fn what_a_node_says() {
        let begun = "{\"is\":\"begun\",\"step\":\"restart\"}\n";
        assert_eq!(said(&format!("{begun}{{\"is\":\"done\"}}\n"), ""), Answer::Done);
        let failed = r#"{"is":"failed","detail":"no"}"#;
        assert_eq!(said(&format!("{begun}{failed}"), ""), Answer::Failed("no".to_owned()));
        let refused = r#"{"is":"refused","reason":"other_machine","detail":"no"}"#;
        assert_eq!(said(refused, ""), Answer::Refused("no".to_owned()));
        assert!(matches!(said(begun, ""), Answer::Silent(_)));
        assert_eq!(understand(Err(SshError::Lost)), Answer::Silent(SshError::Lost.to_string()));
        // A key that is not restricted to the helper: nothing was done.
        let Answer::Refused(text) = said("", "sh: restart: not found\n") else { panic!() };
        assert!(text.ends_with("it said: sh: restart: not found"), "{text}");
    }

    #[test]
    fn a_stranger_is_no_node_that_is_away() {
        assert!(matches!(not_connected(&SshError::HostKeyChanged), Answer::Refused(_)));
        assert!(matches!(
            not_connected(&SshError::Unreachable("no route".to_owned())),
            Answer::Unreachable(_)
        ));
    }
}
