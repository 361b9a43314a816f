//! What the base root's Portage would do with a generation on one workstation.

use crate::config::Config;
use crate::resolver::ask::{Portage, failed};
use crate::resolver::root;
use crate::root::{AttemptDir, Foundation, Launcher, Mount};
use crate::stop::Stop;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;
use swarm_protocol::gate::Seat;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::BuildId;
use swarm_protocol::resolution::Finding;
use swarm_protocol::state::FailureClass;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is judged, for whomever.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    /// The drone's.
    pub config: &'a Config,
    /// What the roots stand on.
    pub foundation: &'a Foundation,
    /// Enters roots.
    pub launcher: &'a Launcher,
    /// The generation's index.
    pub index: &'a Path,
    /// The TIMESTAMP that it must have.
    pub timestamp: i64,
    /// What Portage shall not take.
    pub mask: &'a [Cpv],
    /// When it is killed.
    pub deadline: Instant,
    /// Kills it.
    pub cancel: &'a CancellationToken,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// Why the workstation cannot install the generation; none, where it can.
    pub findings: Vec<Finding>,
    /// What it would compile.
    pub missing: Vec<Cpv>,
    /// What it would install.
    pub installs: Vec<(Cpv, BuildId)>,
}

/// Asks for `seat` in the root at `dir`; `vdb` is what the workstation has installed ([`super::vdb::bring`]).
pub async fn ask(judged: Judged<'_>, dir: &AttemptDir, seat: &Seat, vdb: Mount) -> Result<Answer, Stop> {
    let answer = in_root(judged, dir, seat, vec![vdb]).await?;
    Ok(Answer { findings: of(seat, answer.findings), ..answer })
}

/// Findings, as the seat's workstation's.
pub(crate) fn of(seat: &Seat, findings: Vec<Finding>) -> Vec<Finding> {
    let workstation = seat.name.as_ref().map(ToString::to_string);
    findings.into_iter().map(|finding| Finding { workstation: workstation.clone(), ..finding }).collect()
}

/// Asks in the root at `dir` as it is, but for the mounts.
pub async fn in_root(
    judged: Judged<'_>,
    dir: &AttemptDir,
    seat: &Seat,
    mounts: Vec<Mount>,
) -> Result<Answer, Stop> {
    let Judged { foundation, launcher, deadline, cancel, .. } = judged;
    let portage = Portage { foundation, launcher, dir, mounts, deadline, cancel };
    let request = json!({"question": "gate", "timestamp": judged.timestamp});
    asked(&portage, seat, judged.index, judged.mask, request).await
}

/// Puts a question for `seat`, given these binaries and without these versions.
pub(crate) async fn asked<T: DeserializeOwned>(
    portage: &Portage<'_>,
    seat: &Seat,
    index: &Path,
    mask: &[Cpv],
    request: Value,
) -> Result<T, Stop> {
    std::fs::copy(index, root::index_file(portage.dir)?)?;
    root::prepare(portage.dir, &seat.world, mask, request)?;
    read(&portage.ask().await?).map_err(|reason| {
        let whose = seat.name.as_ref().map(|name| format!("workstation {name}: ")).unwrap_or_default();
        failed(FailureClass::Infrastructure, format!("{whose}{reason}"))
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Error { error: String },
    Answer(T),
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    match serde_json::from_slice(text) {
        Ok(Written::Answer(answer)) => Ok(answer),
        Ok(Written::Error { error }) => Err(format!("Portage could not be asked: {}", error.trim_end())),
        Err(error) => Err(format!("the answer for a workstation cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_an_answer_passes() {
        let passed: Answer = read(br#"{"findings": [], "missing": [], "installs": [["a/b-1", 3]]}"#).unwrap();
        assert_eq!(passed.installs, [("a/b-1".parse().unwrap(), BuildId(3))]);
        for (text, says) in [
            (r#"{"error": "KeyError\n"}"#, "KeyError"),
            (r#"{"findings": []}"#, "cannot be read"),
            (r#"{"plan": null, "findings": []}"#, "cannot be read"),
            ("", "cannot be read"),
        ] {
            assert!(read::<Answer>(text.as_bytes()).unwrap_err().contains(says), "{text}");
        }
    }
}
