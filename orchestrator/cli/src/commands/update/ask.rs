//! One question to this machine's Portage. The program is the one by which drones resolve and judge (`drone/resolver/`), so
//! that a workstation and the gate mean the same; here it runs on the machine itself, and changes nothing but Portage's own
//! cache of the binhost's index.

use crate::failure::Failure;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use swarm_protocol::binhost::BINREPO;
pub(super) use swarm_protocol::resolution::Finding;
use tokio::process::Command;

const PROGRAM: [(&str, &str); 12] = [
    ("resolve.py", include_str!("../../../../../drone/resolver/resolve.py")),
    ("updating.py", include_str!("../../../../../drone/resolver/updating.py")),
    ("about.py", include_str!("../../../../../drone/resolver/about.py")),
    ("findings.py", include_str!("../../../../../drone/resolver/findings.py")),
    ("gate.py", include_str!("../../../../../drone/resolver/gate.py")),
    ("graph.py", include_str!("../../../../../drone/resolver/graph.py")),
    ("index.py", include_str!("../../../../../drone/resolver/index.py")),
    ("keys.py", include_str!("../../../../../drone/resolver/keys.py")),
    ("options.py", include_str!("../../../../../drone/resolver/options.py")),
    ("session.py", include_str!("../../../../../drone/resolver/session.py")),
    ("unsatisfied.py", include_str!("../../../../../drone/resolver/unsatisfied.py")),
    ("words.py", include_str!("../../../../../drone/resolver/words.py")),
];

/// How much of the end of Portage's output is told where it fails.
const TOLD_LINES: usize = 12;

/// What `updating.py` answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// Portage has read the index that the binhost serves, and says what it would do.
    Told(Outlook),
    /// It has not.
    Unreached {
        /// Why.
        unreached: String,
        /// The status of HTTP, where there was an answer.
        status: Option<u16>,
    },
}

/// What Portage would do, and what is left to do for a person.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Outlook {
    /// What emerge would install.
    pub(super) installs: Vec<Install>,
    /// Why emerge would do nothing at all.
    pub(super) refused: Vec<Finding>,
    /// What would have to be compiled.
    pub(super) lacking: Vec<Finding>,
    /// Updates that the binhost has and that emerge would pass over.
    pub(super) left_out: Vec<Finding>,
    /// Libraries that stay for whoever still needs them, by the package that had them.
    pub(super) preserved: BTreeMap<String, Vec<PathBuf>>,
    /// New versions of configuration files that wait to be merged.
    pub(super) merges: Vec<PathBuf>,
    /// News that nobody has read.
    pub(super) news: u32,
}

/// A package that is installed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Install {
    /// What.
    pub(super) cpv: String,
    /// Which build of it.
    pub(super) build_id: u32,
    /// What is installed in that slot.
    pub(super) from: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Unreached { unreached: String, status: Option<u16> },
    Error { error: String },
    Told(Outlook),
}

/// Asks.
pub(super) async fn ask() -> Result<Answer, Failure> {
    let files = tempfile::tempdir().map_err(|error| unusable(&error))?;
    let [request, answer] = ["request.json", "answer.json"].map(|name| files.path().join(name));
    write(files.path()).map_err(|error| unusable(&error))?;
    let shown = ProgressBar::new_spinner().with_message("Portage looks at what would change");
    shown.enable_steady_tick(Duration::from_millis(120));
    let program = files.path().join("resolve.py");
    let mut python = Command::new("python3");
    // No bytecode: the directory is thrown away. Portage's chatter is no answer: the answer is a file.
    python.arg("-B").arg(program).args([&request, &answer]).current_dir("/");
    python.stdin(Stdio::null()).kill_on_drop(true);
    let output = python.output().await;
    shown.finish_and_clear();
    let output = output.map_err(|error| Failure::internal(format!("cannot run python3: {error}")))?;
    let text = fs::read(&answer).unwrap_or_default();
    match serde_json::from_slice(&text) {
        Ok(Written::Told(outlook)) => Ok(Answer::Told(outlook)),
        Ok(Written::Unreached { unreached, status }) => Ok(Answer::Unreached { unreached, status }),
        Ok(Written::Error { error }) => {
            Err(Failure::internal(format!("Portage could not be asked what it would do:\n{}", last(&error))))
        }
        Err(_) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let ended = output.status;
            Err(Failure::internal(format!(
                "Portage could not be asked what it would do ({ended}):\n{}",
                last(&said)
            )))
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    for (name, text) in PROGRAM {
        fs::write(directory.join(name), text)?;
    }
    let request = json!({"question": "update", "repository": BINREPO});
    fs::write(directory.join("request.json"), request.to_string())
}

fn unusable(error: &io::Error) -> Failure {
    Failure::internal(format!("cannot write to the directory of temporary files: {error}"))
}

fn last(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let read = |text: &str| serde_json::from_str::<Written>(text).unwrap();
        let refused = read(r#"{"unreached": "HTTP Error 404: Not Found", "status": 404}"#);
        assert!(matches!(refused, Written::Unreached { status: Some(404), .. }));
        assert!(matches!(read(r#"{"error": "Traceback"}"#), Written::Error { .. }));
        let told = r#"{"installs": [{"cpv": "app-misc/jq-1.7", "build_id": 2, "from": null}], "refused": [], "lacking": [
            {"kind": "not_installable", "atom": "app-misc/yq-1", "wanted_by": ["@world"], "detail": "none"}],
            "left_out": [], "preserved": {"a/b-1": ["/usr/lib/libb.so.1"]}, "merges": ["/etc/._cfg0000_x"], "news": 1}"#;
        let Written::Told(outlook) = read(told) else { panic!("it is told") };
        assert_eq!((outlook.installs.len(), outlook.lacking.len(), outlook.news), (1, 1, 1));
    }

    #[test]
    fn a_long_traceback_is_cut_at_its_beginning() {
        let text = (1..=40).map(|line| line.to_string()).collect::<Vec<_>>().join("\n");
        assert!(last(&text).starts_with("29\n") && last(&text).ends_with("\n40"));
        assert_eq!(last(""), "");
    }
}
