//! `build-drone repair`: what the orchestrator may do on this machine over SSH, and nothing else (law 13).
//!
//! It is the forced command of the orchestrator's key; the protocol, and the line for `authorized_keys`, are in
//! [`swarm_protocol::repair`]. The command comes in `SSH_ORIGINAL_COMMAND` (sshd(8)), as one text that no shell reads.

pub mod service;

use crate::config::Config;
use crate::machine;
use service::{Fault, Manager};
use swarm_protocol::repair::{Line, MachineId, Refusal, Step, UnknownVerb, Verb};

/// Does what `said` asks; every line of the answer goes to `say` as soon as it is true. `false` where it was not done.
pub async fn run(config: &Config, service: &str, said: &str, say: &mut impl FnMut(&Line)) -> bool {
    let outcome = match judge(config, said, Manager::running()) {
        Ok(Order::Status(own, manager)) => {
            let service = match manager {
                Some(manager) => manager.says(service).await,
                None => None,
            };
            Line::Status {
                machine_id: own,
                init: manager.map(|manager| manager.as_str().to_owned()),
                service,
                version: swarm_protocol::VERSION.to_owned(),
            }
        }
        Ok(Order::Do(step, manager)) => {
            say(&Line::Begun { step });
            let done = match step {
                Step::Restart => manager.restart(service).await,
                Step::Reboot => manager.reboot().await,
            };
            done.map_or_else(|Fault(detail)| Line::Failed { detail }, |()| Line::Done)
        }
        Err(refused) => refused,
    };
    say(&outcome);
    matches!(outcome, Line::Status { .. } | Line::Done)
}

/// What is to be done, by whom.
#[derive(Debug, PartialEq)]
enum Order {
    Status(MachineId, Option<Manager>),
    Do(Step, Manager),
}

fn judge(config: &Config, said: &str, manager: Option<Manager>) -> Result<Order, Line> {
    let refuse = |reason, detail: String| Line::Refused { reason, detail };
    let verb = said.parse().map_err(|error: UnknownVerb| refuse(Refusal::UnknownVerb, error.to_string()))?;
    let own = machine::id(&config.machine_id_file).map_err(|error| format!("{error:#}"));
    let own = own.and_then(|id| id.parse::<MachineId>().map_err(|error| error.to_string()));
    let own =
        own.map_err(|error| refuse(Refusal::Unable, format!("this machine does not know itself: {error}")))?;
    match (verb, manager) {
        (Verb::Status, manager) => Ok(Order::Status(own, manager)),
        (Verb::Do(step, meant), _) if meant != own => {
            let detail = format!(
                "this is not the machine that was to {step}: its id is another one; nothing was done"
            );
            Err(refuse(Refusal::OtherMachine, detail))
        }
        (Verb::Do(step, _), Some(manager)) => Ok(Order::Do(step, manager)),
        (Verb::Do(..), None) => {
            let detail = "neither OpenRC nor systemd runs here; nothing was done".to_owned();
            Err(refuse(Refusal::Unable, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn config(id: &str) -> (tempfile::TempDir, Config) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("machine-id");
        std::fs::write(&file, id).unwrap();
        let config = Config { machine_id_file: file, ..testing::config("/base", &[]) };
        (directory, config)
    }

    fn refused(config: &Config, said: &str, manager: Option<Manager>) -> Refusal {
        match judge(config, said, manager) {
            Err(Line::Refused { reason, .. }) => reason,
            other => panic!("{said}: {other:?}"),
        }
    }

    #[test]
    fn only_this_machine_and_only_these_verbs() {
        let (_directory, config) = config("0123\n");
        let openrc = Some(Manager::OpenRc);
        assert_eq!(judge(&config, "restart 0123", openrc), Ok(Order::Do(Step::Restart, Manager::OpenRc)));
        assert_eq!(judge(&config, "reboot 0123", openrc), Ok(Order::Do(Step::Reboot, Manager::OpenRc)));
        assert_eq!(refused(&config, "reboot 0124", openrc), Refusal::OtherMachine);
        assert_eq!(refused(&config, "restart 012", openrc), Refusal::OtherMachine);
        assert_eq!(refused(&config, "restart 0123", None), Refusal::Unable);
        for said in ["", "reboot", "sh", "restart 0123; reboot", "reboot 0123 now"] {
            assert_eq!(refused(&config, said, openrc), Refusal::UnknownVerb, "{said}");
        }
    }

    #[test]
    fn a_machine_that_does_not_know_itself_does_nothing() {
        let (_directory, config) = config("");
        assert_eq!(refused(&config, "reboot 0123", Some(Manager::OpenRc)), Refusal::Unable);
    }
}
