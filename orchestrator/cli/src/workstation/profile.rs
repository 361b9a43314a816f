//! Where `make.profile` leads: into a repository, which drones have at the same place, or to a directory of the
//! workstation's own, which is sent.

use super::{below, unread};
use crate::failure::Failure;
use std::fs;
use std::path::{Component, Path, PathBuf};
use swarm_bundle::repos::Repo;

const LINK: &str = "/etc/portage/make.profile";

/// A profile as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// A symlink to this path of the workstation's.
    Repository(PathBuf),
    /// A directory, as this machine sees it.
    Directory {
        /// Where it is.
        path: PathBuf,
        /// Whether `make.profile` only leads there.
        is_link: bool,
    },
}

/// The profile of the workstation at `root`.
pub(super) fn of(root: &Path, repos: &[Repo]) -> Result<Profile, Failure> {
    let link = below(root, LINK);
    let Ok(metadata) = fs::symlink_metadata(&link) else {
        return Err(Failure::usage(format!(
            "there is no {}: choose a profile with `eselect profile set`",
            link.display()
        )));
    };
    if !metadata.is_symlink() {
        return directory(link, false);
    }
    let target = fs::read_link(&link).map_err(|error| unread(&link, &error))?;
    let named = plain(&Path::new("/etc/portage").join(&target));
    let there = below(root, &named.to_string_lossy());
    if !there.is_dir() {
        return Err(Failure::usage(format!(
            "{} leads to nothing: {} is no directory; choose a profile with `eselect profile set`",
            link.display(),
            there.display()
        )));
    }
    // By its name, or, where the repository's own directory is reached by other symlinks, by where it really is.
    let real = there.canonicalize().map_err(|error| unread(&there, &error))?;
    for repo in repos {
        if named.starts_with(&repo.location) {
            return Ok(Profile::Repository(named));
        }
        let location = below(root, &repo.location).canonicalize();
        if let Some(rest) =
            location.ok().and_then(|location| Some(real.strip_prefix(location).ok()?.to_owned()))
        {
            return Ok(Profile::Repository(Path::new(&repo.location).join(rest)));
        }
    }
    directory(there, true)
}

/// A directory that inherits by relative paths from beside itself would do so from nowhere on a drone.
fn directory(path: PathBuf, is_link: bool) -> Result<Profile, Failure> {
    let parents = path.join("parent");
    if let Ok(text) = fs::read_to_string(&parents) {
        for (number, parent) in crate::input::entries(&text) {
            if parent.starts_with("..") {
                return Err(Failure::usage(format!(
                    "{}:{number}: {parent} is not sent with the profile; name it as REPOSITORY:PATH (portage(5))",
                    parents.display()
                )));
            }
        }
    }
    Ok(Profile::Directory { path, is_link })
}

/// Without `.` and `..`; nothing is followed.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
