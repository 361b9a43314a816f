//! The parts of definitions on this drone's disk, below `state_dir/epochs`:
//!
//! | name | what |
//! |---|---|
//! | `configuration/CONTENT/` | a layer whose only content is an opaque `/etc/portage` |
//! | `trees/CONTENT/` | a repository's tree |
//! | `toolchains/ID/` | a layer over the drone's base root ([`super::toolchain`]), and its fingerprint |
//! | `commits/COMMIT` | a link to the tree of a commit |
//! | `git/ID/` | a bare mirror: [`super::git`] |
//! | `incoming/N/` | what is being made; whatever lies there at the start is removed |
//!
//! A part is named by its content, made aside and renamed, and never written to again. Its content is compared with its
//! name when it is first used by this process, since a power cut or a person may have changed it, and again when anything
//! about its files was touched. A layer is named by what it was made of, which tells nothing of its files: it is compared
//! with the fingerprint that it had when it was made. Several definitions share what they have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use swarm_bundle::tree;
use swarm_protocol::Digest;

/// A part of a definition, by its content, or by what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `/etc/portage`.
    Configuration(Digest),
    /// A repository.
    Tree(Digest),
    /// A layer with another toolchain.
    Toolchain(Digest),
}

impl Part {
    /// Its name.
    #[must_use]
    pub fn id(self) -> Digest {
        match self {
            Self::Configuration(id) | Self::Tree(id) | Self::Toolchain(id) => id,
        }
    }
}

/// The directory of parts.
pub struct Store {
    dir: PathBuf,
    /// Parts whose content was compared, with the fingerprint that they had then.
    compared: Mutex<BTreeMap<PathBuf, Digest>>,
    /// What is being made: nothing is made twice at the same time.
    making: Mutex<BTreeMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
    counter: AtomicU64,
}

const DIRECTORIES: [&str; 5] = ["configuration", "trees", "toolchains", "git", "incoming"];

impl Store {
    /// The store in `state_dir`, without what a former process left unfinished.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("epochs");
        remove(&dir.join("incoming"))?;
        for name in DIRECTORIES.iter().chain(&["commits"]) {
            fs::create_dir_all(dir.join(name))?;
        }
        Ok(Self { dir, compared: Mutex::default(), making: Mutex::default(), counter: AtomicU64::default() })
    }

    /// Where a part is, or would be: a layer of the root, or a tree to bind.
    #[must_use]
    pub fn place(&self, part: Part) -> PathBuf {
        match part {
            Part::Configuration(content) => self.dir.join("configuration").join(content.to_string()),
            Part::Tree(content) => self.dir.join("trees").join(content.to_string()),
            Part::Toolchain(id) => self.dir.join("toolchains").join(id.to_string()),
        }
    }

    /// The layer of a toolchain that is, or is to be, at `place`.
    #[must_use]
    pub fn layer_of(place: &Path) -> PathBuf {
        place.join("layer")
    }

    /// The fingerprint that this layer had when it was made.
    #[must_use]
    pub fn fingerprint_of(place: &Path) -> PathBuf {
        place.join("fingerprint")
    }

    /// Where the mirror with that name is, or would be.
    #[must_use]
    pub fn mirror(&self, id: Digest) -> PathBuf {
        self.dir.join("git").join(id.to_string())
    }

    /// The tree of a commit, where it was exported before.
    #[must_use]
    pub fn tree_of(&self, commit: &str) -> Option<Part> {
        let target = fs::read_link(self.dir.join("commits").join(commit)).ok()?;
        let content = target.file_name()?.to_str()?.parse().ok()?;
        Some(Part::Tree(content))
    }

    /// Notes the tree of a commit.
    pub fn note_commit(&self, commit: &str, content: Digest) -> io::Result<()> {
        let aside = self.incoming()?;
        let link = aside.path().join("link");
        symlink(Path::new("../trees").join(content.to_string()), &link)?;
        fs::rename(link, self.dir.join("commits").join(commit))
    }

    /// A new empty directory, removed with what is still in it when it is dropped.
    pub fn incoming(&self) -> io::Result<Incoming> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("incoming").join(number.to_string());
        fs::create_dir(&path)?;
        Ok(Incoming(path))
    }

    /// Waits for whoever else makes what lies at `place`.
    pub async fn making(&self, place: &Path) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            making.retain(|_, lock| Arc::strong_count(lock) > 1);
            making.entry(place.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }

    /// Whether a part is there and as its name says. One that was changed is moved aside: a root may still stand on it.
    pub fn is_sound(&self, part: Part) -> io::Result<bool> {
        let (place, hashed) = (self.place(part), self.hashed(part));
        if !hashed.is_dir() {
            return Ok(false);
        }
        let seen = tree::fingerprint(&hashed)?;
        if self.compared().get(&place) == Some(&seen) {
            return Ok(true);
        }
        let is_as_made = match part {
            Part::Configuration(content) | Part::Tree(content) => tree::content(&hashed, &[])? == content,
            Part::Toolchain(_) => {
                fs::read_to_string(Self::fingerprint_of(&place)).is_ok_and(|made| made == seen.to_string())
            }
        };
        if is_as_made {
            self.compared().insert(place, seen);
            return Ok(true);
        }
        tracing::warn!(path = %place.display(), "a part of an epoch was changed on this disk; it is made anew");
        self.compared().remove(&place);
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        fs::rename(&place, self.dir.join("incoming").join(format!("changed-{number}")))?;
        Ok(false)
    }

    /// Takes in a part that lies at `made`. Whoever calls has compared its content.
    pub fn keep(&self, part: Part, made: &Path) -> io::Result<()> {
        let place = self.place(part);
        // Two commits, or a commit and a snapshot, may have one tree.
        if self.is_sound(part)? {
            return touch(&place, now());
        }
        fs::rename(made, &place)?;
        let seen = tree::fingerprint(&self.hashed(part))?;
        self.compared().insert(place, seen);
        Ok(())
    }

    /// Marks what is `needed` as used now, and removes what has not been used for `unused`. Gives how much went.
    pub fn sweep(&self, needed: &BTreeSet<PathBuf>, unused: Duration) -> io::Result<usize> {
        let now = now();
        let mut gone = 0;
        for dir in DIRECTORIES.map(|name| self.dir.join(name)) {
            for entry in fs::read_dir(dir)? {
                let path = entry?.path();
                // What is being made may be gone by now.
                let Ok(used) = fs::metadata(&path).and_then(|metadata| metadata.modified()) else { continue };
                if needed.contains(&path) {
                    touch(&path, now)?;
                } else if now.duration_since(used).is_ok_and(|age| age >= unused) {
                    self.compared().remove(&path);
                    remove(&path)?;
                    gone += 1;
                }
            }
        }
        for entry in fs::read_dir(self.dir.join("commits"))? {
            let link = entry?.path();
            if !link.exists() {
                fs::remove_file(link)?;
            }
        }
        Ok(gone)
    }

    /// The tree that must be as it was made.
    fn hashed(&self, part: Part) -> PathBuf {
        match part {
            Part::Configuration(_) => self.place(part).join("etc/portage"),
            Part::Tree(_) => self.place(part),
            Part::Toolchain(_) => Self::layer_of(&self.place(part)),
        }
    }

    fn compared(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Digest>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory for what is being made.
pub struct Incoming(PathBuf);

impl Incoming {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove what was left; the next start will");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A directory's own modification time says when the part was last used. What is in it is not touched, and its content
/// and fingerprint are of what is in it.
fn touch(dir: &Path, now: SystemTime) -> io::Result<()> {
    File::open(dir)?.set_times(FileTimes::new().set_modified(now))
}

fn now() -> SystemTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "a directory's time stamp, compared only with others of this store"
    )]
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with one file, taken in.
    fn kept(store: &Store, text: &str) -> Part {
        let aside = store.incoming().unwrap();
        let tree = aside.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), text).unwrap();
        let part = Part::Tree(tree::content(&tree, &[]).unwrap());
        store.keep(part, &tree).unwrap();
        part
    }

    fn incoming(store: &Store) -> usize {
        fs::read_dir(store.dir.join("incoming")).unwrap().count()
    }

    #[test]
    fn a_part_that_somebody_changed_is_none() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let part = kept(&store, "a");
        assert_eq!(kept(&store, "a"), part, "the same again is no fault");
        assert!(store.is_sound(part).unwrap() && incoming(&store) == 0);
        let file = store.place(part).join("file");
        // Another process has compared nothing yet.
        let store = Store::open(state.path()).unwrap();
        assert!(store.is_sound(part).unwrap());
        fs::write(&file, "b").unwrap();
        fs::write(&file, "a").unwrap();
        assert!(store.is_sound(part).unwrap(), "touched, and the same");
        fs::write(&file, "b").unwrap();
        assert!(!store.is_sound(part).unwrap() && !store.place(part).exists());
        assert_eq!(incoming(&store), 1, "moved aside");
        assert_eq!(incoming(&Store::open(state.path()).unwrap()), 0, "and gone at the next start");
    }

    #[test]
    fn a_layer_is_as_it_was_made_or_none() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let part = Part::Toolchain(Digest::of(b"made of this"));
        assert!(!store.is_sound(part).unwrap());
        let made = store.incoming().unwrap();
        let (made, layer) = (made.path(), Store::layer_of(made.path()));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join("file"), "a").unwrap();
        fs::write(Store::fingerprint_of(made), tree::fingerprint(&layer).unwrap().to_string()).unwrap();
        store.keep(part, made).unwrap();
        let store = Store::open(state.path()).unwrap();
        assert!(store.is_sound(part).unwrap(), "another process finds it");
        fs::write(Store::layer_of(&store.place(part)).join("file"), "b").unwrap();
        assert!(!store.is_sound(part).unwrap() && !store.place(part).exists());
    }

    #[test]
    fn what_nobody_needs_goes() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let (old, needed) = (kept(&store, "old"), kept(&store, "needed"));
        store.note_commit("c0ffee", old.id()).unwrap();
        store.note_commit("facade", needed.id()).unwrap();
        assert_eq!(store.tree_of("c0ffee"), Some(old));
        let day = Duration::from_hours(24);
        for part in [old, needed] {
            touch(&store.place(part), now() - day).unwrap();
        }
        assert!(store.is_sound(old).unwrap(), "its use is no change of it");
        let keep = BTreeSet::from([store.place(needed)]);
        assert_eq!(store.sweep(&keep, day).unwrap(), 1);
        assert_eq!((store.tree_of("c0ffee"), store.tree_of("facade")), (None, Some(needed)));
        assert!(!store.place(old).exists() && store.is_sound(needed).unwrap());
        assert_eq!(store.sweep(&BTreeSet::new(), day).unwrap(), 0, "it was used just now");
    }
}
