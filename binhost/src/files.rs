//! Blobs kept open for a moment, so that a file that many ask for is opened once; small ones are kept as bytes, which
//! travel with the header in one write.

use bytes::Bytes;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use swarm_protocol::Digest;

/// How long. After that, what is at the address by then is served: damaged bytes may have been set aside for good ones,
/// and what was collected as garbage must give its room back.
const TIME: Duration = Duration::from_secs(5);
/// How many; each takes a file descriptor.
const COUNT: usize = 256;
/// What is small, in bytes.
pub(crate) const SMALL: u64 = 64 << 10;

/// A blob that is about to be sent.
#[derive(Clone)]
pub(crate) enum Blob {
    /// All of its bytes.
    Small(Bytes),
    /// A file for `sendfile`.
    Large(Arc<File>),
}

impl Blob {
    /// Reads it, if it is small.
    pub(crate) fn of(mut file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        if size > SMALL {
            return Ok(Self::Large(Arc::new(file)));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Self::Small(bytes.into()))
    }
}

/// The open ones, each with the moment at which it was opened.
#[derive(Default)]
pub(crate) struct OpenFiles(Mutex<HashMap<Digest, (Blob, Instant)>>);

impl OpenFiles {
    /// The blob, if it is open.
    pub(crate) fn get(&self, digest: Digest) -> Option<Blob> {
        let (blob, opened) = self.lock().get(&digest).cloned()?;
        (opened.elapsed() < TIME).then_some(blob)
    }

    /// Keeps a blob that was just opened, if there is room.
    pub(crate) fn keep(&self, digest: Digest, blob: &Blob) {
        let mut open = self.lock();
        open.retain(|_, (_, opened)| opened.elapsed() < TIME);
        if open.len() < COUNT {
            open.insert(digest, (blob.clone(), Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, (Blob, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
