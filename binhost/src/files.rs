//! Blobs kept open for a moment, so that a file that many ask for is opened once.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use swarm_protocol::Digest;

/// How long. After that, what is at the address by then is served: damaged bytes may have been set aside for good ones,
/// and what was collected as garbage must give its room back.
const TIME: Duration = Duration::from_secs(5);
/// How many; each takes a file descriptor.
const COUNT: usize = 256;

/// The open ones, each with the moment at which it was opened.
#[derive(Default)]
pub(crate) struct OpenFiles(Mutex<HashMap<Digest, (Arc<File>, Instant)>>);

impl OpenFiles {
    /// The file, if it is open.
    pub(crate) fn get(&self, digest: Digest) -> Option<Arc<File>> {
        let (file, opened) = self.lock().get(&digest).cloned()?;
        (opened.elapsed() < TIME).then_some(file)
    }

    /// Keeps a file that was just opened, if there is room.
    pub(crate) fn keep(&self, digest: Digest, file: File) -> Arc<File> {
        let file = Arc::new(file);
        let mut open = self.lock();
        open.retain(|_, (_, opened)| opened.elapsed() < TIME);
        if open.len() < COUNT {
            open.insert(digest, (Arc::clone(&file), Instant::now()));
        }
        file
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, (Arc<File>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
