//! The workstation's database of installed packages (VDB), as the gate needs it (PORTAGE.md 1): every field of every
//! package but those that only an uninstallation reads.

use super::{Packed, below, packed, unread, unwritten};
use crate::failure::Failure;
use std::fs;
use std::path::Path;
use swarm_bundle::Limits;
use tempfile::TempDir;

const DIRECTORY: &str = "/var/db/pkg";

/// Packs the database of the workstation at `root`; nothing where there is none.
pub(crate) fn read(root: &Path) -> Result<Option<Packed>, Failure> {
    let from = below(root, DIRECTORY);
    if !from.is_dir() {
        return Ok(None);
    }
    let copy = TempDir::new().map_err(|error| unwritten(&error))?;
    for category in directories(&from)? {
        for package in directories(&from.join(&category))? {
            let at = Path::new(&category).join(&package);
            fs::create_dir_all(copy.path().join(&at)).map_err(|error| unwritten(&error))?;
            fields(&from.join(&at), &copy.path().join(&at))?;
        }
    }
    packed(copy.path(), &[], |_| false, Limits::CONFIGURATION).map(Some)
}

/// What is named like a category or a package: Portage's own work in progress begins with `-`, its locks with a dot.
fn directories(path: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unread(path, &error))? {
        let entry = entry.map_err(|error| unread(path, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(['-', '.']) && entry.path().is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn fields(from: &Path, to: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(from).map_err(|error| unread(from, &error))? {
        let entry = entry.map_err(|error| unread(from, &error))?;
        let (name, path) = (entry.file_name(), entry.path());
        let left_out = matches!(name.to_str(), Some("CONTENTS" | "environment.bz2"))
            || path.extension().is_some_and(|extension| extension == "ebuild");
        if !left_out && path.is_file() {
            fs::copy(&path, to.join(&name)).map_err(|error| unread(&path, &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn fields_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path()).unwrap().is_none());
        let package = root.path().join("var/db/pkg/sys-libs/zlib-1.3");
        fs::create_dir_all(&package).unwrap();
        fs::create_dir_all(root.path().join("var/db/pkg/sys-libs/-MERGING-xz-5")).unwrap();
        for name in ["SLOT", "USE", "CONTENTS", "environment.bz2", "zlib-1.3.ebuild"] {
            fs::write(package.join(name), name).unwrap();
        }
        let packed = read(root.path()).unwrap().unwrap();
        let into = root.path().join("unpacked");
        swarm_bundle::unpack(File::open(packed.archive.path()).unwrap(), &into, Limits::CONFIGURATION)
            .unwrap();
        let paths: Vec<_> = swarm_bundle::tree::paths(&into, &[]).unwrap();
        let expected = ["sys-libs", "sys-libs/zlib-1.3", "sys-libs/zlib-1.3/SLOT", "sys-libs/zlib-1.3/USE"];
        assert_eq!(paths, expected.map(std::path::PathBuf::from));
    }
}
