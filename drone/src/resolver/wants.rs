//! What workstations want beside the world: what each one's update would merge, given what it has installed.
//!
//! The plan comes from nothing, and a workstation from what it has: it may have chosen the other side of a `||`. So each is
//! asked for, in a root with its own database of installed packages, before anything is built (PORTAGE.md 2).

use super::ask::{Portage, directories};
use crate::gate::{seat, vdb};
use crate::link::Link;
use crate::root::{AttemptDir, Foundation, Launcher};
use crate::stop::Stop;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::resolution::{Finding, Resolution};
use tokio::time::Instant;

/// What all workstations want, and what is wrong with their updates.
#[derive(Debug, Default, Deserialize)]
pub struct Wants {
    /// Versions that they would merge.
    pub wants: BTreeSet<Cpv>,
    /// Why some would not.
    pub findings: Vec<Finding>,
}

/// Asks for every seat of the resolution, in roots on `foundation`; `index` lists what the run may keep, without what is outdated.
pub async fn ask(
    link: &Link,
    launcher: &Launcher,
    foundation: &Foundation,
    (resolution, index): (&Resolution, &Path),
    deadline: Instant,
) -> Result<Wants, Stop> {
    let mut all = Wants::default();
    for (place, one) in resolution.seats.iter().enumerate() {
        let name = format!("{}-{place}", resolution.resolution);
        let dir = AttemptDir::create(&directories(&link.config), &name)?;
        let whom = (one, resolution.bundles.as_ref());
        let vdb = vdb::bring(link, foundation.installed(), whom, &dir, deadline).await?;
        let cancel = &link.draining;
        let portage = Portage { foundation, launcher, dir: &dir, mounts: vec![vdb], deadline, cancel };
        let request = json!({"question": "wants"});
        let answer: Wants = seat::asked(&portage, one, index, &resolution.mask, request).await?;
        tokio::task::spawn_blocking(move || drop(dir)).await?;
        all.wants.extend(answer.wants);
        all.findings.extend(seat::of(one, answer.findings));
    }
    Ok(all)
}
