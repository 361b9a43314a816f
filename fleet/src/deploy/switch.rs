//! The moment in which one version follows another: one script there, so that a lost connection leaves nothing half done.

use super::stage::good;
use crate::facts::PENDING;
use crate::plan::PartPlan;
use crate::ssh::{Connection, SshError};
use crate::trouble::Trouble;
use std::time::Duration;

const SCRIPT: &str = concat!(include_str!("../stop.sh"), include_str!("switch.sh"));
/// A daemon that is told to stop may hand its work back before.
const LIMIT: Duration = Duration::from_mins(5);

/// What happens to the staged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Stop, put them into place, start.
    Switch,
    /// Stop, put the previous ones back, start.
    Rollback,
    /// It is good: it starts with the machine from now on.
    Settle,
    /// They are not wanted.
    Discard,
}

impl Verb {
    const fn word(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Rollback => "rollback",
            Self::Settle => "settle",
            Self::Discard => "discard",
        }
    }
}

pub(super) async fn switch(connection: &Connection, plan: &PartPlan, verb: Verb) -> Result<(), Trouble> {
    let mut arguments = vec![verb.word(), plan.part.name, PENDING];
    arguments.extend(plan.writes.iter().map(|write| write.file.path.as_str()));
    let said = connection.script(SCRIPT, &arguments, None, LIMIT).await?;
    good(&said).map_err(|says| Trouble::new("service", says))
}

/// Why a daemon does not come up, as far as it can say: a drone's own preflight, or its last words in the log.
pub(super) async fn reason(connection: &Connection, plan: &PartPlan) -> Option<String> {
    const ASK: Duration = Duration::from_mins(1);
    const SCRIPT: &str = include_str!("last_words.sh");
    let part = plan.part;
    let asked: Result<_, SshError> =
        connection.script(SCRIPT, &[part.name, part.program, part.config], None, ASK).await;
    let lines = asked.ok()?.stdout;
    let lines: Vec<_> =
        lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}
