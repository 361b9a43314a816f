//! Files on their way: staged beside their place, whole and on the disk, by hash. What is there already is not sent.

use crate::desired::DesiredFile;
use crate::facts::one_line;
use crate::plan::{PartPlan, Plan};
use crate::ssh::{Connection, Said, quote};
use crate::trouble::Trouble;
use std::collections::BTreeMap;
use std::time::Duration;

const PUSH: &str = include_str!("push.sh");
/// A program over a slow line.
const PUSH_LIMIT: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_secs(30);

/// Where a file waits.
fn staged(path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    format!("{directory}/.{name}.staged")
}

/// Where a file is, before the switch.
fn place(plan: &PartPlan, path: &str) -> String {
    let is_new = plan.writes.iter().any(|write| write.file.path == path);
    if is_new { staged(path) } else { path.to_owned() }
}

/// Sends a file.
pub(super) async fn push(connection: &Connection, file: &DesiredFile) -> Result<(), Trouble> {
    let mode = format!("{:o}", file.mode);
    let arguments = [file.path.as_str(), file.content.hash().as_str(), &mode];
    let said = connection.script(PUSH, &arguments, Some(file.content.bytes()), PUSH_LIMIT).await?;
    good(&said).map_err(|says| Trouble::new("push", format!("{} was not written: {says}", file.path)))
}

/// The staged program says which version it is, and whether the staged configuration is right: of what cannot run here, and
/// of a mistake in the configuration, the daemon that runs notices nothing.
pub(super) async fn check(connection: &Connection, plan: &PartPlan) -> Result<String, Trouble> {
    let part = plan.part;
    let (program, config) = (quote(&place(plan, part.program)), quote(&place(plan, part.config)));
    let line = format!("{program} --version && {program} {} --config {config} --check-config >&2", part.verb);
    let said = connection.script(&line, &[], None, SHORT).await?;
    good(&said).map_err(|says| Trouble::new("check", format!("it would not start there: {says}")))?;
    Ok(said.stdout.trim().to_owned())
}

/// Lets a drone join: the join token goes in by standard input, and the drone's own stays there.
pub(super) async fn enrol(connection: &Connection, plan: &PartPlan, token: &str) -> Result<(), Trouble> {
    let line = format!(
        "{} enrol --config {} >/dev/null",
        quote(&place(plan, plan.part.program)),
        quote(&place(plan, plan.part.config))
    );
    let said = connection.script(&line, &[], Some(token.as_bytes()), SHORT).await?;
    good(&said).map_err(|says| Trouble::new("enrol", says))
}

/// The texts that a plan would write over.
pub(super) async fn texts(connection: &Connection, plan: &Plan) -> Result<BTreeMap<String, String>, Trouble> {
    let mut texts = BTreeMap::new();
    for path in plan.former_texts() {
        let said = connection.script("cat -- \"$1\"", &[path], None, SHORT).await?;
        if said.status == 0 {
            texts.insert(path.to_owned(), said.stdout);
        }
    }
    Ok(texts)
}

/// Nothing, or what a script said about its failure.
pub(super) fn good(said: &Said) -> Result<(), String> {
    match (said.status, one_line(&said.stderr)) {
        (0, _) => Ok(()),
        (status, says) if says.is_empty() => Err(format!("exit status {status}")),
        (_, says) => Err(says),
    }
}
