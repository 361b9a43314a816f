//! A workstation's world set: `/var/lib/portage/world` and `world_sets`.

use crate::failure::Failure;
use crate::input;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use swarm_protocol::gentoo::WorldAtom;

const DIRECTORY: &str = "var/lib/portage";

/// Reads the files, or those of the workstation whose file system is below `root`.
pub(crate) fn read(root: &Path, files: &[PathBuf]) -> Result<Vec<WorldAtom>, Failure> {
    let mut world = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut add = |path: &Path, text: &str| {
        for (number, entry) in input::entries(text) {
            match entry.parse() {
                Ok(atom) => drop::<bool>(world.insert(atom)),
                Err(error) => wrong.push(format!("{}:{number}: {error}", input::named(path))),
            }
        }
    };
    if files.is_empty() {
        let path = root.join(DIRECTORY).join("world");
        add(&path, &input::read(&path)?);
        // A workstation without sets has no such file.
        let path = root.join(DIRECTORY).join("world_sets");
        if path.exists() {
            add(&path, &input::read(&path)?);
        }
    }
    for path in files {
        add(path, &input::read(path)?);
    }
    if !wrong.is_empty() {
        return Err(Failure::usage(wrong.join("\n")));
    }
    if world.is_empty() {
        return Err(Failure::usage(
            "there is no entry: a target with an empty world set has nothing to build",
        ));
    }
    Ok(world.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(failure: Failure) -> String {
        match failure {
            Failure::Problem { problem, .. } => problem.detail,
            Failure::ReaderGone => unreachable!("nothing was written"),
        }
    }

    #[test]
    fn a_workstations_files() {
        let root = tempfile::tempdir().unwrap();
        let portage = root.path().join(DIRECTORY);
        std::fs::create_dir_all(&portage).unwrap();
        assert!(detail(read(root.path(), &[]).unwrap_err()).contains("/var/lib/portage/world: No such file"));
        std::fs::write(portage.join("world"), "# mine\n\n  app-misc/jq # for scripts\ndev-libs/foo:2\n")
            .unwrap();
        let read = |files: &[PathBuf]| {
            let world = read(root.path(), files)?;
            Ok::<_, Failure>(world.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read(&[]).unwrap(), "app-misc/jq dev-libs/foo:2");
        std::fs::write(portage.join("world_sets"), "@tools\n").unwrap();
        assert_eq!(read(&[]).unwrap(), "@tools app-misc/jq dev-libs/foo:2");
        let other = root.path().join("other");
        std::fs::write(&other, "app-misc/jq\n\njq\nfoo bar\n").unwrap();
        let wrong = detail(read(std::slice::from_ref(&other)).unwrap_err());
        let lines: Vec<_> = wrong.lines().collect();
        assert!(lines[0].contains("other:3: \"jq\" is no atom"), "{wrong}");
        assert!(lines[1].contains("other:4: \"foo bar\" is no atom"), "{wrong}");
        std::fs::write(&other, "# nothing\n").unwrap();
        assert!(detail(read(&[other]).unwrap_err()).starts_with("there is no entry"));
    }
}
