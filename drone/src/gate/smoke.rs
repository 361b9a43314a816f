//! The smoke install: the generation's world is really installed, by the workstation's own command, in a root over the
//! base root that is thrown away. What a depgraph cannot know comes out here: a package that does not unpack, whose
//! `pkg_*` functions fail, whose files collide.

use super::directories;
use super::seat::{self, Answer, Judged};
use crate::build::Workshop;
use crate::emerge::{self, INDEX_DIR};
use crate::failure::{Ending, classify};
use crate::resolver::index::{self, Place};
use crate::resolver::root;
use crate::root::{AttemptDir, Command, End, Mount};
use crate::stage::Stage;
use crate::stop::Stop;
use crate::vdb::VDB;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use swarm_protocol::gate::{Gate, Seat};
use swarm_protocol::resolution::{Finding, FindingKind};

/// Installs what Portage would install on the base root as it is, and says what went wrong.
pub async fn install(
    shop: &Workshop,
    gate: &Gate,
    judged: Judged<'_>,
    seat: &Seat,
) -> Result<Vec<Finding>, Stop> {
    let dir = AttemptDir::create(&directories(judged.config), &format!("{}-smoke", gate.gate))?;
    let answer = seat::in_root(judged, &dir, seat, Vec::new()).await?;
    let found = if answer.findings.is_empty() {
        bring(shop, gate, judged, &dir, &answer).await?;
        let said = emerge(shop, judged, &dir).await?;
        said.map(failed).into_iter().chain(absent(&dir, &answer)).collect()
    } else {
        answer.findings
    };
    tokio::task::spawn_blocking(move || drop(dir)).await?;
    Ok(found)
}

/// Brings the packages that are to be installed, to the paths that the index names.
async fn bring(
    shop: &Workshop,
    gate: &Gate,
    judged: Judged<'_>,
    dir: &AttemptDir,
    answer: &Answer,
) -> Result<(), Stop> {
    let paths = paths(&fs::read_to_string(judged.index)?);
    for (cpv, build_id) in &answer.installs {
        let Some(path) = paths.get(&(cpv.to_string(), build_id.to_string())) else { continue };
        let file = dir.packages().join(path);
        fs::create_dir_all(file.parent().unwrap_or(&file))?;
        let place = Place::Generation(&gate.target, gate.number);
        index::bring_file(&shop.link, place, &gate.ticket, path, &file, judged.deadline).await?;
    }
    fs::copy(judged.index, dir.packages().join("Packages"))?;
    Ok(())
}

/// The paths of an index's entries by cpv and `BUILD_ID`.
fn paths(packages: &str) -> HashMap<(String, String), String> {
    let entries = packages.split("\n\n").map(|block| {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        ((field("CPV"), field("BUILD_ID")), field("PATH"))
    });
    entries.filter(|(_, path)| !path.is_empty()).collect()
}

/// Runs the workstation's command; the last lines of what it says where it fails.
async fn emerge(shop: &Workshop, judged: Judged<'_>, dir: &AttemptDir) -> Result<Option<String>, Stop> {
    let mut mounts = judged.foundation.mounts().to_vec();
    // As the binhost's directory, and apart from where Portage keeps what it fetched.
    mounts.push(Mount { source: dir.packages(), target: INDEX_DIR.into(), read_only: true });
    let command = Command { argv: emerge::smoke(), environment: emerge::smoke_environment(), network: false };
    let limits = (judged.deadline, judged.cancel);
    let run = shop.launcher.run_quietly(judged.foundation, dir, "smoke", mounts, &command, limits);
    let (end, said) = run.await?;
    if end == End::Exit(0) {
        return Ok(None);
    }
    let ending = Ending::of(end).ok_or(Stop::Cancelled)?;
    let failure = classify(Stage::Installing, ending, &said, false);
    Ok(Some(format!("{}\n{}", failure.reason, failure.excerpt)))
}

fn failed(said: String) -> Finding {
    finding(None, said)
}

/// What emerge did not install, whatever it said.
fn absent(dir: &AttemptDir, answer: &Answer) -> Vec<Finding> {
    let vdb = root::in_upper(dir, &format!("/{VDB}"));
    let here = |cpv: &str| Path::new(&vdb).join(cpv).join("BUILD_ID");
    let lacks = answer.installs.iter().filter(|(cpv, build_id)| {
        let installed = fs::read_to_string(here(&cpv.to_string())).unwrap_or_default();
        installed.trim() != build_id.to_string()
    });
    lacks
        .map(|(cpv, build_id)| {
            finding(Some(cpv.to_string()), format!("{cpv}-{build_id} is not there after the installation"))
        })
        .collect()
}

fn finding(atom: Option<String>, detail: String) -> Finding {
    Finding { kind: FindingKind::NotInstalled, atom, wanted_by: vec![], workstation: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_by_build() {
        let index = "TIMESTAMP: 1\n\nCPV: a/b-1\nBUILD_ID: 3\nPATH: a/b/b-1-3.gpkg.tar\n\nCPV: a/c-1\nBUILD_ID: 1\n\
                     PATH: a/c/c-1-1.gpkg.tar\n\n";
        let paths = paths(index);
        assert_eq!(paths[&("a/b-1".to_owned(), "3".to_owned())], "a/b/b-1-3.gpkg.tar");
        assert_eq!(paths.len(), 2);
    }
}
