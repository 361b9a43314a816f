//! What a workstation has from elsewhere, as Portage's own files below `/etc/portage/profile` declare it (portage(5)):
//! `package.provided`, a cpv a line, and `soname.provided`, a multilib category and sonames a line. Either may be a
//! directory of such files. A line that begins with `-` takes away what a profile declares; we take none from there.

use crate::failure::Failure;
use crate::input;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use swarm_protocol::binhost::Provided;

/// Where the files are on a workstation.
pub(crate) const DIRECTORY: &str = "etc/portage/profile";

/// Reads the files in `directory`; one that is not there declares nothing.
pub(crate) fn read(directory: &Path) -> Result<Provided, Failure> {
    let (mut packages, mut sonames, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (path, number, line) in lines(&directory.join("package.provided"))? {
        match line.parse() {
            Ok(cpv) => drop::<bool>(packages.insert(cpv)),
            Err(error) => wrong.push(format!("{}:{number}: {error}", path.display())),
        }
    }
    for (path, number, line) in lines(&directory.join("soname.provided"))? {
        let mut words = line.split(' ');
        let category = words.next().unwrap_or_default();
        for word in words {
            match format!("{category}: {word}").parse() {
                Ok(soname) => drop::<bool>(sonames.insert(soname)),
                Err(error) => wrong.push(format!("{}:{number}: {error}", path.display())),
            }
        }
    }
    if wrong.is_empty() {
        Ok(Provided { packages: packages.into_iter().collect(), sonames: sonames.into_iter().collect() })
    } else {
        Err(Failure::usage(wrong.join("\n")))
    }
}

/// The entries of a file, or of all files in a directory, with where they stand.
fn lines(path: &Path) -> Result<Vec<(PathBuf, usize, String)>, Failure> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let unread = |error| Failure::usage(format!("{}: {error}", path.display()));
        files.clear();
        for entry in path.read_dir().map_err(unread)? {
            files.push(entry.map_err(unread)?.path());
        }
        files.retain(|file| !input::named(file).ends_with('~') && file.is_file());
        files.sort();
    } else if !path.exists() {
        return Ok(vec![]);
    }
    let mut lines = Vec::new();
    for file in files {
        let text = input::read(&file)?;
        let entries = input::entries(&text).filter(|(_, entry)| !entry.starts_with('-'));
        lines.extend(entries.map(|(number, entry)| (file.clone(), number, entry)));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_workstations_files() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), Provided::default());
        let packages = directory.path().join("package.provided");
        fs::write(&packages, "# by hand\nsys-kernel/gentoo-sources-6.12 # mine\n-a/b-1\n").unwrap();
        let sonames = directory.path().join("soname.provided");
        fs::create_dir(&sonames).unwrap();
        fs::write(sonames.join("1"), "x86_64 libcuda.so.1 libGLX_nvidia.so.0\n").unwrap();
        fs::write(sonames.join("2"), "x86_32 libcuda.so.1\n").unwrap();
        let provided = read(directory.path()).unwrap();
        let sonames: Vec<_> = provided.sonames.iter().map(ToString::to_string).collect();
        assert_eq!(provided.packages, ["sys-kernel/gentoo-sources-6.12".parse().unwrap()]);
        assert_eq!(sonames, ["x86_32: libcuda.so.1", "x86_64: libGLX_nvidia.so.0", "x86_64: libcuda.so.1"]);
        fs::write(&packages, "\nsys-kernel/gentoo-sources\n").unwrap();
        let Err(Failure::Problem { problem, .. }) = read(directory.path()) else {
            unreachable!("it has no version")
        };
        assert!(
            problem.detail.contains("package.provided:2: \"sys-kernel/gentoo-sources\" is no"),
            "{}",
            problem.detail
        );
    }
}
