//! What the base root's Portage would do with a generation on one workstation.

use super::vdb;
use crate::config::Config;
use crate::resolver::ask::{Portage, failed};
use crate::resolver::root;
use crate::root::{AttemptDir, Foundation, Launcher, Mount};
use crate::stop::Stop;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
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

/// Asks for `seat` in the root at `dir`, whose [`AttemptDir::installed`] holds what the workstation has installed; where it
/// is not there, the workstation is set up anew.
pub async fn ask(judged: Judged<'_>, dir: &AttemptDir, seat: &Seat) -> Result<Answer, Stop> {
    if !dir.installed().exists() {
        std::fs::create_dir(dir.installed())?;
        vdb::seed(judged.foundation.base_root(), &dir.installed())?;
    }
    let vdb = Mount { source: dir.installed(), target: PathBuf::from("/var/db/pkg"), read_only: false };
    let answer = in_root(judged, dir, seat, vec![vdb]).await?;
    let of_seat = |finding| Finding { workstation: seat.name.as_ref().map(ToString::to_string), ..finding };
    Ok(Answer { findings: answer.findings.into_iter().map(of_seat).collect(), ..answer })
}

/// Asks in the root at `dir` as it is, but for the mounts.
pub async fn in_root(
    judged: Judged<'_>,
    dir: &AttemptDir,
    seat: &Seat,
    mounts: Vec<Mount>,
) -> Result<Answer, Stop> {
    let Judged { foundation, launcher, deadline, cancel, .. } = judged;
    std::fs::copy(judged.index, root::index_file(dir)?)?;
    let request = json!({"question": "gate", "timestamp": judged.timestamp});
    root::prepare(dir, &seat.world, judged.mask, request)?;
    let portage = Portage { foundation, launcher, dir, mounts, deadline, cancel };
    read(&portage.ask().await?).map_err(|reason| failed(FailureClass::Infrastructure, reason))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Error { error: String },
    Answer(Answer),
}

fn read(text: &[u8]) -> Result<Answer, String> {
    match serde_json::from_slice(text) {
        Ok(Written::Answer(answer)) => Ok(answer),
        Ok(Written::Error { error }) => Err(format!("Portage could not be asked: {}", error.trim_end())),
        Err(error) => Err(format!("the gate's answer cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_an_answer_passes() {
        let passed = read(br#"{"findings": [], "missing": [], "installs": [["a/b-1", 3]]}"#).unwrap();
        assert_eq!(passed.installs, [("a/b-1".parse().unwrap(), BuildId(3))]);
        for (text, says) in [
            (r#"{"error": "KeyError\n"}"#, "KeyError"),
            (r#"{"findings": []}"#, "cannot be read"),
            (r#"{"plan": null, "findings": []}"#, "cannot be read"),
            ("", "cannot be read"),
        ] {
            assert!(read(text.as_bytes()).unwrap_err().contains(says), "{text}");
        }
    }
}
