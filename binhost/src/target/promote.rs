//! Switching the current generation: one symlink, replaced by one rename.

use super::generation::Generation;
use crate::durable;
use crate::error::{Doing, Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use swarm_protocol::Code;
use swarm_protocol::binhost::Promote;
use swarm_protocol::id::GenerationNumber;

pub(super) const LINK: &str = "current";
const NEW_LINK: &str = ".current.new";

/// A line of `promotions.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Promotion {
    pub(super) number: GenerationNumber,
}

/// The generation to switch to; none when it is current already.
pub(super) fn decide(
    promote: &Promote,
    current: Option<&Generation>,
    wanted: Option<Arc<Generation>>,
) -> Result<Option<Arc<Generation>>> {
    let now = current.map(|generation| generation.number);
    if now == Some(promote.number) {
        return Ok(None);
    }
    if now != promote.expect {
        let name =
            |number: Option<GenerationNumber>| number.map_or("none".to_owned(), |number| number.to_string());
        let detail = format!("current is {}, not {}", name(now), name(promote.expect));
        return Err(Error::refused(Code::NotCurrent, detail));
    }
    let missing = || Error::refused(Code::NotFound, format!("generation {} is not prepared", promote.number));
    let wanted = wanted.ok_or_else(missing)?;
    if current.is_some_and(|current| wanted.timestamp <= current.timestamp) {
        let detail =
            "clients ignore an index that is older than theirs: publish the old set as a new generation";
        return Err(Error::refused(Code::WrongState, detail));
    }
    Ok(Some(wanted))
}

/// Points `current` at a generation.
pub(super) fn switch(target: &Path, number: GenerationNumber) -> Result<()> {
    let new = target.join(NEW_LINK);
    remove_leftover(target)?;
    std::os::unix::fs::symlink(format!("generations/{number}"), &new).doing("create", &new)?;
    durable::rename(&new, &target.join(LINK))
}

/// Removes the link that an interrupted switch left.
pub(super) fn remove_leftover(target: &Path) -> Result<()> {
    durable::remove_leftover(&target.join(NEW_LINK))
}

/// Which generation `current` points at.
pub(super) fn read(target: &Path) -> Result<Option<GenerationNumber>> {
    let link = target.join(LINK);
    let to = match fs::read_link(&link) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        to => to.doing("read", &link)?,
    };
    let number = to.to_str().and_then(|to| to.strip_prefix("generations/")?.parse().ok());
    let strange =
        || Error::Damaged(format!("{} points at {}, which is no generation", link.display(), to.display()));
    number.map(GenerationNumber).map(Some).ok_or_else(strange)
}
