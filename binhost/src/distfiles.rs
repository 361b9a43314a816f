//! Source archives (*distfiles*) that drones share, by the digest that Manifests name them by.
//!
//! ```text
//! distfiles/3f/3f8e4c…   the bytes; the modification time says when somebody last sent or asked for them
//! uploads/distfile.9     one on its way
//! ```
//!
//! It is a cache: what is lost, a drone brings from upstream again. So there is no journal, `verify` does not read it, and
//! nothing refers to it. The address is the Manifest's own digest; whoever gets bytes compares them with the Manifest,
//! and nobody can put others there. Bytes that a disk has changed are found when somebody sends the same archive again,
//! which is what a drone does that had to go upstream for the sake of that.
//!
//! They are for the swarm alone, and no mirror has them (law 11). For that reason `RESTRICT="mirror"` and
//! `RESTRICT="fetch"` (PMS 7.3.6) change nothing here: the one forbids to publish an archive on mirrors, the other
//! says that a person has to get it. To use it on several machines of one's own is no publication.

use crate::clock;
use crate::config::Retention;
use crate::durable::{self, TempFile};
use crate::error::{Doing, Error, Result};
use blake2::{Blake2b512, Digest as _};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use swarm_protocol::Code;
use swarm_protocol::distfile::Blake2b;

const DAY: i64 = 86_400;

/// The source archives of a store.
pub(crate) struct Distfiles {
    root: PathBuf,
    uploads: PathBuf,
    /// Makes temporary names unique within the process, which holds the store's lock.
    counter: AtomicU64,
    kept: Mutex<HashMap<Blake2b, Kept>>,
}

/// An archive that is there.
#[derive(Clone, Copy, Debug)]
struct Kept {
    bytes: u64,
    /// When somebody last sent or asked for it, in Unix seconds.
    asked: i64,
}

impl Distfiles {
    /// Looks at what there is. `root` has had its interrupted uploads removed.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let uploads = durable::create_dir(root, Path::new("uploads"))?;
        let root = durable::create_dir(root, Path::new("distfiles"))?;
        let mut kept = HashMap::new();
        for prefix in root.read_dir().doing("list", &root)? {
            let prefix = prefix.doing("list", &root)?.path();
            for entry in prefix.read_dir().doing("list", &prefix)? {
                let path = entry.doing("list", &prefix)?.path();
                let digest = path.file_name().and_then(|name| name.to_str()?.parse().ok());
                let digest: Blake2b = digest
                    .ok_or_else(|| Error::Damaged(format!("{} is no source archive", path.display())))?;
                let metadata = fs::metadata(&path).doing("look at", &path)?;
                let asked = clock::unix_seconds(metadata.modified().doing("look at", &path)?);
                kept.insert(digest, Kept { bytes: metadata.len(), asked });
            }
        }
        Ok(Self { root, uploads, counter: AtomicU64::new(0), kept: Mutex::new(kept) })
    }

    /// Opens an archive for somebody who asks for it, and says how large it is.
    pub(crate) fn read(&self, digest: Blake2b, now: i64) -> Result<(File, u64)> {
        let mut kept = self.kept();
        let absent =
            || Error::refused(Code::NotFound, format!("nobody has sent the source archive {digest}"));
        let entry = kept.get_mut(&digest).ok_or_else(absent)?;
        let path = self.path(digest);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                kept.remove(&digest);
                return Err(absent());
            }
            opened => opened.doing("open", &path)?,
        };
        entry.asked = now;
        file.set_modified(clock::system_time(now)).doing("mark", &path)?;
        let size = file.metadata().doing("look at", &path)?.len();
        Ok((file, size))
    }

    /// Whether an archive that somebody sends is there already, and is what its address says. If it is not, it goes.
    pub(crate) fn is_whole(&self, digest: Blake2b, now: i64) -> Result<bool> {
        let mut file = match self.read(digest, now) {
            Ok((file, _)) => file,
            Err(Error::Refused(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let (path, mut hasher, mut chunk) = (self.path(digest), Blake2b512::new(), vec![0; 1 << 20]);
        loop {
            let length = file.read(&mut chunk).doing("read", &path)?;
            if length == 0 {
                break;
            }
            hasher.update(chunk.get(..length).unwrap_or_default());
        }
        if finished(hasher) == digest {
            return Ok(true);
        }
        tracing::error!(distfile.digest = %digest, "a source archive has changed on the disk; it is removed");
        self.remove(&mut self.kept(), digest)?;
        Ok(false)
    }

    /// Begins an archive that is to have this digest.
    pub(crate) fn receive(&self, digest: Blake2b) -> Result<Incoming> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let file = TempFile::create(self.uploads.join(format!("distfile.{number}")))?;
        Ok(Incoming { file, hasher: Blake2b512::new(), bytes: 0, digest })
    }

    /// Takes an archive that has come whole, and lets others go to make room for it.
    pub(crate) fn keep(&self, incoming: Incoming, retention: Retention, now: i64) -> Result<()> {
        let Incoming { file, hasher, bytes, digest } = incoming;
        let found = finished(hasher);
        if found != digest {
            let detail = format!("the bytes have the BLAKE2B digest {found}, not {digest}");
            return Err(Error::refused(Code::DigestMismatch, detail));
        }
        let path = self.path(digest);
        if let Some(prefix) = path.parent().and_then(Path::file_name) {
            durable::create_dir(&self.root, Path::new(prefix))?;
        }
        // What takes long, before others have to wait.
        file.sync()?;
        let mut kept = self.kept();
        file.persist(&path)?;
        File::open(&path).and_then(|file| file.set_modified(clock::system_time(now))).doing("mark", &path)?;
        kept.insert(digest, Kept { bytes, asked: now });
        for digest in superfluous(&kept, retention, now) {
            self.remove(&mut kept, digest)?;
        }
        Ok(())
    }

    /// Removes what nobody has asked for in a long time; says how many.
    pub(crate) fn sweep(&self, retention: Retention, now: i64) -> Result<usize> {
        let mut kept = self.kept();
        let gone = superfluous(&kept, retention, now);
        for digest in &gone {
            self.remove(&mut kept, *digest)?;
        }
        Ok(gone.len())
    }

    /// How many [`Distfiles::sweep`] would remove.
    pub(crate) fn sweepable(&self, retention: Retention, now: i64) -> usize {
        superfluous(&self.kept(), retention, now).len()
    }

    /// Whoever is reading it reads on.
    fn remove(&self, kept: &mut HashMap<Blake2b, Kept>, digest: Blake2b) -> Result<()> {
        durable::remove_leftover(&self.path(digest))?;
        kept.remove(&digest);
        Ok(())
    }

    fn path(&self, digest: Blake2b) -> PathBuf {
        let name = digest.to_string();
        self.root.join(name.chars().take(2).collect::<String>()).join(name)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Blake2b, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finished(hasher: Blake2b512) -> Blake2b {
    let bytes: [u8; 64] = hasher.finalize().into();
    bytes.into()
}

/// What nobody has asked for in as many days, and of the rest what was asked for longest ago, until the others fit.
fn superfluous(kept: &HashMap<Blake2b, Kept>, retention: Retention, now: i64) -> Vec<Blake2b> {
    let mut by_age: Vec<_> = kept.iter().map(|(digest, kept)| (kept.asked, *digest, kept.bytes)).collect();
    by_age.sort_unstable();
    let mut total: u64 = by_age.iter().map(|(.., bytes)| bytes).sum();
    let goes = |(asked, digest, bytes): (i64, Blake2b, u64)| {
        let old = now - asked >= i64::from(retention.distfile_days) * DAY;
        (old || total > retention.distfile_bytes).then(|| {
            total -= bytes;
            digest
        })
    };
    by_age.into_iter().map_while(goes).collect()
}

/// An archive on its way. Dropped before [`Distfiles::keep`], it leaves nothing.
pub(crate) struct Incoming {
    file: TempFile,
    hasher: Blake2b512,
    bytes: u64,
    digest: Blake2b,
}

impl Incoming {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_go_and_then_the_least_asked_for() {
        let digest = |number| Blake2b::from([number; 64]);
        let kept = [(1, 100), (2, 300), (3, 200)];
        let kept = kept.map(|(number, asked)| (digest(number), Kept { bytes: 10, asked })).into();
        let gone = |bytes, days, now| {
            let retention = Retention { distfile_bytes: bytes, distfile_days: days, ..Retention::default() };
            superfluous(&kept, retention, now)
        };
        assert_eq!(gone(30, 1, 300), []);
        assert_eq!(gone(20, 1, 300), [digest(1)]);
        assert_eq!(gone(5, 1, 300), [digest(1), digest(3), digest(2)]);
        assert_eq!(gone(30, 1, 200 + DAY), [digest(1), digest(3)]);
    }
}
