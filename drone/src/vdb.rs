//! The installed-package database (VDB) of a build root, read from outside through its overlay's upper layer.
//!
//! Portage keeps one directory per installed package, `var/db/pkg/CATEGORY/PF/`, with one file per field. Everything
//! that a build's dependency step installed is in the upper layer, and what was there before is in the base root. So the
//! comparison needs no mount: a directory that is in the upper layer and not in the base was installed by us; a deleted
//! one is a *whiteout* there, a character device, and no directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use swarm_protocol::drone::Dependency;

/// Where the VDB is below a root.
pub const VDB: &str = "var/db/pkg";

/// The packages that `upper` adds to `base`: cpv → BUILD_ID, which is `None` where the package has none.
pub fn installed(upper: &Path, base: &Path) -> io::Result<BTreeMap<String, Option<i32>>> {
    let mut found = BTreeMap::new();
    for category in directories(&upper.join(VDB))? {
        for pf in directories(&upper.join(VDB).join(&category))? {
            // `-MERGING-pf` is what Portage leaves of an installation that it did not finish.
            let cpv = format!("{category}/{pf}");
            if !base.join(VDB).join(&cpv).exists() || upper.join(VDB).join(&cpv).join("BUILD_ID").exists() {
                let id = fs::read_to_string(upper.join(VDB).join(&cpv).join("BUILD_ID")).ok();
                found.insert(cpv, id.and_then(|id| id.trim().parse().ok()));
            }
        }
    }
    Ok(found)
}

/// The names of packages that the upper layer's packages name in PDEPEND, whatever the condition or version.
pub fn post_dependencies(upper: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for category in directories(&upper.join(VDB))? {
        for pf in directories(&upper.join(VDB).join(&category))? {
            let field = upper.join(VDB).join(&category).join(pf).join("PDEPEND");
            let text = fs::read_to_string(field).unwrap_or_default();
            found.extend(text.split_whitespace().filter(|word| word.contains('/')).map(str::to_owned));
        }
    }
    Ok(found)
}

/// The directories in `dir`, sorted; none where there is no `dir`. Whiteouts are no directories.
pub(crate) fn directories(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// How what is installed differs from what was planned, a sentence per package; empty when it does not.
#[must_use]
pub fn differences(planned: &[Dependency], installed: &BTreeMap<String, Option<i32>>) -> Vec<String> {
    let mut rest = installed.clone();
    let mut differences = Vec::new();
    for Dependency { cpv, build_id, .. } in planned {
        match rest.remove(&cpv.to_string()) {
            None => differences.push(format!("{cpv} is not installed")),
            Some(None) => differences.push(format!("{cpv} was installed without a BUILD_ID")),
            Some(Some(id)) if id != build_id.0 => {
                differences.push(format!("{cpv} has BUILD_ID {id}, planned was {build_id}"));
            }
            Some(Some(_)) => {}
        }
    }
    differences.extend(rest.into_keys().map(|cpv| format!("{cpv} is installed, but not planned")));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::dependency;

    fn add(root: &Path, cpv: &str, fields: &[(&str, &str)]) {
        let dir = root.join(VDB).join(cpv);
        fs::create_dir_all(&dir).unwrap();
        for (name, value) in fields {
            fs::write(dir.join(name), value).unwrap();
        }
    }

    #[test]
    fn what_the_upper_layer_adds() {
        let (upper, base) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(installed(upper.path(), base.path()).unwrap().is_empty());
        add(base.path(), "a/old-1", &[]);
        // Portage touched a package of the base: not installed by us.
        add(upper.path(), "a/old-1", &[("COUNTER", "3")]);
        add(upper.path(), "a/x-1", &[("BUILD_ID", "1\n"), ("PDEPEND", "|| ( >=b/plug-2 ) !c/d")]);
        add(upper.path(), "a/compiled-1", &[]);
        let found = installed(upper.path(), base.path()).unwrap();
        assert_eq!(found, BTreeMap::from([("a/x-1".into(), Some(1)), ("a/compiled-1".into(), None)]));
        assert_eq!(post_dependencies(upper.path()).unwrap(), [">=b/plug-2", "!c/d"]);
    }

    #[test]
    fn every_kind_of_difference() {
        let planned = [dependency("a/x-1"), dependency("a/y-1"), dependency("a/z-1"), dependency("a/w-1")];
        let installed = BTreeMap::from([
            ("a/x-1".to_owned(), Some(1)),
            ("a/y-1".to_owned(), Some(2)),
            ("a/z-1".to_owned(), None),
            ("a/extra-1".to_owned(), Some(1)),
        ]);
        insta::assert_snapshot!(differences(&planned, &installed).join("\n"), @r"
        a/y-1 has BUILD_ID 2, planned was 1
        a/z-1 was installed without a BUILD_ID
        a/w-1 is not installed
        a/extra-1 is installed, but not planned
        ");
        assert!(differences(&planned[..1], &BTreeMap::from([("a/x-1".into(), Some(1))])).is_empty());
    }
}
