//! `build-drone resolve`: the same question, asked by a person or a test.

use super::ask::{Answer, Portage, Question, directories};
use super::root;
use crate::build::deadline;
use crate::config::Config;
use crate::root::{AttemptDir, Foundation, Launcher};
use crate::stop::Stop;
use anyhow::{Context, bail};
use std::fs;
use std::path::Path;
use swarm_protocol::gentoo::WorldAtom;
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::Finding;
use tokio_util::sync::CancellationToken;

/// How long resolving may take, in seconds.
const LIMIT: u64 = 3600;

/// Reads a world file: an atom or a set a line; what follows a `#` is a comment.
pub fn world(file: &Path) -> anyhow::Result<Vec<WorldAtom>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    atoms(&text)
        .map_err(|(line, error)| anyhow::Error::new(error).context(format!("{}:{line}", file.display())))
}

fn atoms(text: &str) -> Result<Vec<WorldAtom>, (usize, swarm_protocol::gentoo::InvalidAtom)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let lines = lines.enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(place, line)| line.parse().map_err(|error| (place + 1, error))).collect()
}

/// A plan with remarks about it, or the findings because of which there is none.
pub async fn resolve(
    config: &Config,
    launcher: &Launcher,
    question: Question<'_>,
    index: Option<&Path>,
) -> anyhow::Result<(Option<Plan>, Vec<Finding>)> {
    let dir = AttemptDir::create(&directories(config), "by-hand")?;
    let file = root::index_file(&dir)?;
    match index {
        Some(index) => {
            fs::copy(index, file).with_context(|| format!("cannot copy {}", index.display()))?;
        }
        None => fs::write(file, root::EMPTY_INDEX)?,
    }
    let cancel = CancellationToken::new();
    let (deadline, foundation) = (deadline(LIMIT), Foundation::own(config));
    let portage = Portage {
        foundation: &foundation,
        launcher,
        dir: &dir,
        mounts: Vec::new(),
        deadline,
        cancel: &cancel,
    };
    match portage.plan(question).await {
        Ok(Answer::Plan(plan, remarks)) => Ok((Some(plan), remarks)),
        Ok(Answer::Refused(findings)) => Ok((None, findings)),
        Err(Stop::Failed(failure)) => bail!("{} ({})", failure.reason, failure.class),
        Err(other) => bail!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_with_comments() {
        let read = atoms("# mine\napp-misc/jq  # json\n\n@tools\n").unwrap();
        assert_eq!(read.iter().map(WorldAtom::as_str).collect::<Vec<_>>(), ["app-misc/jq", "@tools"]);
        assert_eq!(atoms("a/b\n\njq\n").unwrap_err().0, 3);
    }
}
