//! What is read from files, and read again when they change: a renewed certificate, an edited list of readers. Nobody
//! has to send a signal, which the one night it matters is forgotten.

use anyhow::{Context, Result};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the files are looked at, and no oftener; only when somebody asks.
const PAUSE: Duration = Duration::from_secs(1);

/// A value and the files it comes from.
pub(crate) struct Watched<T> {
    files: Vec<PathBuf>,
    read: fn(&[PathBuf]) -> Result<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    stamps: Stamps,
    looked: Instant,
}

/// What changes when a file does: inode, size, seconds and nanoseconds of the modification time. None is missing.
type Stamps = Vec<Option<(u64, u64, i64, i64)>>;

impl<T> Watched<T> {
    /// Reads the files for the first time; here a fault is the caller's.
    pub(crate) fn open(files: Vec<PathBuf>, read: fn(&[PathBuf]) -> Result<T>) -> Result<Self> {
        // Before the files are read: a change in between is seen at the next look.
        let stamps = stamps(&files);
        let value = Arc::new(read(&files).with_context(|| format!("cannot use {}", list(&files)))?);
        let state = State { value, stamps, looked: Instant::now() };
        Ok(Self { files, read, state: Mutex::new(state) })
    }

    /// The value as the files have it. While they make no sense, the last one that did: one of two files may be
    /// written before the other.
    pub(crate) fn get(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= PAUSE {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        Arc::clone(&state.value)
    }

    fn look(&self, state: &mut State<T>) {
        let stamps = stamps(&self.files);
        if stamps == state.stamps {
            return;
        }
        state.stamps = stamps;
        match (self.read)(&self.files) {
            Ok(value) => {
                tracing::info!("{} changed, and is in use", list(&self.files));
                state.value = Arc::new(value);
            }
            Err(error) => tracing::error!(
                "{} changed and cannot be used, what it said before stays in use: {error:#}",
                list(&self.files)
            ),
        }
    }
}

fn stamps(files: &[PathBuf]) -> Stamps {
    let stamp = |path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
    };
    files.iter().map(stamp).collect()
}

fn list(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    names.join(" and ")
}
