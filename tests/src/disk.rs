//! A small disk, which a test can fill (this needs root).

use rustix::fs::FallocateFlags;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A file system of its own, as long as it lives. Whatever uses it must end before.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// One of so many MiB.
    #[must_use]
    pub fn new(mib: u32) -> Self {
        let directory = tempfile::Builder::new().prefix("swarm-disk.").tempdir().unwrap();
        let options = CString::new(format!("size={mib}m,mode=755")).unwrap();
        mount("swarm-disk", directory.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
            .unwrap();
        Self(directory)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves so many MiB free.
    pub fn fill_up_to(&self, mib: u64) {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        let bytes = (stat.f_bavail * stat.f_frsize).checked_sub(mib << 20).expect("less is free already");
        let filler = File::create(self.filler()).unwrap();
        rustix::fs::fallocate(filler, FallocateFlags::empty(), 0, bytes).unwrap();
    }

    /// Makes the room free that was filled.
    pub fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that is just ending may still be in it.
        if let Err(error) = unmount(self.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}
