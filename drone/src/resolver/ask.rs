//! One question to the base root's Portage: what does this world need, given these binaries?

use super::root::{self, PROGRAM_DIR};
use crate::config::Config;
use crate::emerge;
use crate::failure::{Failure, last_lines};
use crate::root::{AttemptDir, Command, End, Foundation, Launcher, Mount};
use crate::stop::Stop;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use swarm_protocol::gentoo::{Cpv, WorldAtom};
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::{BinaryKey, Finding};
use swarm_protocol::state::FailureClass;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What Portage says to a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// What to build and to keep, and what Portage remarks about it.
    Plan(Plan, Vec<Finding>),
    /// Why there is no plan; never empty.
    Refused(Vec<Finding>),
}

/// A root in which Portage can be asked. The index lies in it already: [`root::index_file`].
pub struct Portage<'a> {
    /// What the root stands on.
    pub foundation: &'a Foundation,
    /// Enters the root.
    pub launcher: &'a Launcher,
    /// The question's own root.
    pub dir: &'a AttemptDir,
    /// Bound into it beside the foundation's.
    pub mounts: Vec<Mount>,
    /// When it is killed.
    pub deadline: Instant,
    /// Kills it.
    pub cancel: &'a CancellationToken,
}

/// What a run needs.
#[derive(Clone, Copy, Default)]
pub struct Question<'a> {
    /// What shall be installable.
    pub world: &'a [WorldAtom],
    /// What else.
    pub wants: &'a [Cpv],
    /// What shall not be taken.
    pub mask: &'a [Cpv],
    /// What the binaries of the index were built from, as far as it is known.
    pub keys: &'a [BinaryKey],
}

/// The directories of questions; cleared when the drone starts.
#[must_use]
pub fn directories(config: &Config) -> PathBuf {
    config.state_dir.join("resolutions")
}

/// How much of the end of its output is told where it fails.
const TOLD_LINES: usize = 12;

impl Portage<'_> {
    /// Asks what a run has to build and to keep.
    pub async fn plan(&self, question: Question<'_>) -> Result<Answer, Stop> {
        let Question { world, wants, mask, keys } = question;
        let request = json!({"question": "plan", "wants": wants, "keys": keys});
        root::prepare(self.dir, world, mask, request)?;
        answer(&self.ask().await?).map_err(|reason| failed(FailureClass::Infrastructure, reason))
    }

    /// Runs the program in the prepared root, and gives what it wrote.
    pub async fn ask(&self) -> Result<Vec<u8>, Stop> {
        let mut mounts = self.foundation.mounts().to_vec();
        mounts.extend(self.mounts.iter().cloned());
        let limits = (self.deadline, self.cancel);
        let command = command();
        let run = self.launcher.run_quietly(self.foundation, self.dir, "resolve", mounts, &command, limits);
        let (end, said) = run.await?;
        match end {
            End::Cancelled => Err(Stop::Cancelled),
            End::Timeout => {
                Err(failed(FailureClass::Resources, "resolving took longer than allowed".to_owned()))
            }
            End::Signal(9) => {
                Err(failed(FailureClass::Resources, "resolving was killed; out of memory?".to_owned()))
            }
            End::Exit(0) => {
                tokio::fs::read(root::in_upper(self.dir, &root::answer())).await.map_err(|error| {
                    failed(FailureClass::Infrastructure, format!("the resolver left no answer: {error}"))
                })
            }
            end => {
                let said = last_lines(&said, TOLD_LINES);
                Err(failed(FailureClass::Infrastructure, format!("the resolver ended with {end:?}: {said}")))
            }
        }
    }
}

pub(crate) fn failed(class: FailureClass, reason: String) -> Stop {
    Failure::new(class, reason).into()
}

fn command() -> Command {
    let program = format!("{PROGRAM_DIR}/resolve.py");
    Command {
        // No bytecode: the root is thrown away.
        argv: ["python3", "-B", &program, &root::request(), &root::answer()].map(str::to_owned).into(),
        environment: emerge::resolver_environment(),
        network: false,
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Error { error: String },
    Answer { plan: Option<Plan>, findings: Vec<Finding> },
}

/// Reads what the program wrote.
fn answer(text: &[u8]) -> Result<Answer, String> {
    match serde_json::from_slice(text) {
        Ok(Written::Answer { plan: Some(plan), findings }) => Ok(Answer::Plan(plan, findings)),
        Ok(Written::Answer { plan: None, findings }) if !findings.is_empty() => Ok(Answer::Refused(findings)),
        Ok(Written::Answer { plan: None, .. }) => {
            Err("the resolver gave neither a plan nor findings".to_owned())
        }
        Ok(Written::Error { error }) => Err(format!("Portage could not be asked: {}", error.trim_end())),
        Err(error) => Err(format!("the resolver's answer cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::id::BuildId;
    use swarm_protocol::plan::Edge;
    use swarm_protocol::state::EdgeKind;

    #[test]
    fn a_plan() {
        let text = br#"{"findings": [], "plan": {
            "packages": [{"cpv": "a/b-1", "slot": "0/1", "repository": "box", "use": ["x"]},
                         {"cpv": "a/c-1", "slot": "0", "repository": "box", "use": [], "keep": 3}],
            "edges": [[0, 1, ["buildtime", "runtime_post"]]]}}"#;
        let Answer::Plan(plan, _) = answer(text).unwrap() else { panic!() };
        assert_eq!((plan.packages[0].keep, plan.packages[1].keep), (None, Some(BuildId(3))));
        assert_eq!(plan.edges, [Edge(0, 1, vec![EdgeKind::Buildtime, EdgeKind::RuntimePost])]);
    }

    #[test]
    fn findings_are_a_refusal() {
        let text = br#"{"plan": null, "findings": [{"kind": "masked", "atom": "a/b", "wanted_by": ["@world"], "detail": "x"}]}"#;
        assert!(
            matches!(answer(text), Ok(Answer::Refused(findings)) if findings[0].atom.as_deref() == Some("a/b"))
        );
    }

    #[test]
    fn whatever_else_is_no_plan() {
        for (text, says) in [
            (r#"{"error": "Traceback: KeyError\n"}"#, "KeyError"),
            (r#"{"plan": null, "findings": []}"#, "neither"),
            (r#"{"plan": {"packages": [{"cpv": "b"}], "edges": []}, "findings": []}"#, "cannot be read"),
            ("", "cannot be read"),
        ] {
            let reason = answer(text.as_bytes()).unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
    }
}
