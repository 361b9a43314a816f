//! How much a build has written: the bytes below some directories, counted so that counting costs little.
//!
//! Counting walks a tree of perhaps a million files. It is due again when fifty times its cost has passed, or when the file
//! system has lost as much room as the build may still take, whoever took it.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, statvfs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Counts the bytes below some directories of one file system.
#[derive(Debug)]
pub struct Meter {
    places: Vec<PathBuf>,
    limit: u64,
    last: Option<Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    at: Instant,
    cost: Duration,
    bytes: u64,
    free: u64,
}

impl Meter {
    /// Of `places`, which may hold `limit` bytes.
    #[must_use]
    pub fn new(places: Vec<PathBuf>, limit: u64) -> Self {
        Self { places, limit, last: None }
    }

    /// Whether the limit is exceeded; counts where that is due. Takes as long as the walk does.
    pub fn exceeded(&mut self) -> bool {
        let free = self.places.first().map_or(0, |place| free(place));
        if self.last.is_none_or(|last| self.is_due(last, free)) {
            let at = Instant::now();
            let bytes = self.places.iter().map(|place| below(place)).sum();
            self.last = Some(Count { at: Instant::now(), cost: at.elapsed(), bytes, free });
        }
        self.last.is_some_and(|last| last.bytes > self.limit)
    }

    fn is_due(&self, last: Count, free: u64) -> bool {
        let taken = last.free.saturating_sub(free);
        let room = self.limit.saturating_sub(last.bytes);
        let since = last.at.elapsed();
        since >= pause(last.cost, 50) || (taken > room && since >= pause(last.cost, 5))
    }
}

fn pause(cost: Duration, times: u32) -> Duration {
    (cost * times).max(Duration::from_millis(100))
}

fn free(place: &Path) -> u64 {
    statvfs(place).map_or(0, |stat| stat.f_bfree * stat.f_frsize)
}

/// Bytes that the files below `place` take on the disk. What vanishes meanwhile counts nothing.
#[must_use]
pub fn below(place: &Path) -> u64 {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(place, flags, Mode::empty()).map_or(0, |dir| walk(&dir, DEEPEST))
}

/// Each level holds a file descriptor open. Tests of getcwd(3) nest thousands of directories, and write nothing into them.
const DEEPEST: usize = 200;

/// Never by path: the build may put a link where a directory was.
fn walk(dir: &OwnedFd, levels: usize) -> u64 {
    let Ok(entries) = Dir::read_from(dir) else { return 0 };
    let mut bytes = 0;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(stat) = statat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        bytes += u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
        if levels > 0 && FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            bytes += openat(dir, name, flags, Mode::empty()).map_or(0, |dir| walk(&dir, levels - 1));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn counts_what_is_there_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("place");
        fs::create_dir_all(place.join("a/b")).unwrap();
        fs::write(dir.path().join("outside"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(dir.path(), place.join("a/link")).unwrap();
        fs::write(place.join("a/b/file"), vec![1; 200_000]).unwrap();
        let bytes = below(&place);
        assert!((200_000..400_000).contains(&bytes), "{bytes}");
        assert!(Meter::new(vec![place.clone()], 100_000).exceeded());
        assert!(!Meter::new(vec![place], 1 << 20).exceeded());
    }

    #[test]
    fn counting_is_paced_by_its_cost_and_by_the_room_that_is_left() {
        let meter = Meter::new(vec![], 100);
        let ago = |milliseconds| Instant::now() - Duration::from_millis(milliseconds);
        let count = |at| Count { at, cost: Duration::from_millis(40), bytes: 60, free: 1000 };
        assert!(!meter.is_due(count(ago(1000)), 961), "it costs too much to count again");
        assert!(meter.is_due(count(ago(1000)), 959), "somebody took more than the room that was left");
        assert!(!meter.is_due(count(ago(100)), 0), "but not at once");
        assert!(meter.is_due(count(ago(2000)), 1000));
    }
}
