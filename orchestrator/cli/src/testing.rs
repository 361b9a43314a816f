//! What several tests need.

use crate::failure::Failure;
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// The sentence of a failure.
pub(crate) fn detail(failure: Failure) -> String {
    match failure {
        Failure::Problem { problem, .. } => problem.detail,
        Failure::ReaderGone => unreachable!("nothing was written"),
    }
}

/// The root of a workstation with one repository and a profile in it.
pub(crate) fn workstation() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let profile = root.path().join("var/db/repos/gentoo/profiles/default");
    fs::create_dir_all(&profile).unwrap();
    fs::write(profile.join("make.defaults"), "ARCH=amd64\n").unwrap();
    let portage = root.path().join("etc/portage");
    fs::create_dir_all(&portage).unwrap();
    fs::write(portage.join("repos.conf"), "[gentoo]\nlocation = /var/db/repos/gentoo\n").unwrap();
    symlink("../../var/db/repos/gentoo/profiles/default", portage.join("make.profile")).unwrap();
    root
}
