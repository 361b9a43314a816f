//! The log of a build: a file on the drone, sent to the orchestrator as it grows.
//!
//! The file is the queue: a build never waits for the network, and an orchestrator that is away for hours gets
//! everything afterwards. What exceeds the cap is counted, not kept.
//!
//! [`BuildLog`] is the writing side, [`Shipper`] cuts chunks and knows what was sent.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Bytes of raw log in one chunk at most.
pub const CHUNK: u64 = 64 << 10;
/// Bytes of the log's end that are kept at hand for a failure's classification.
const TAIL: usize = 64 << 10;

/// The writing side of a log.
pub struct BuildLog {
    file: File,
    cap: u64,
    state: Mutex<State>,
    length: watch::Sender<Length>,
}

#[derive(Default)]
struct State {
    tail: VecDeque<u8>,
    /// All bytes, those beyond the cap included.
    seen: u64,
}

/// How long the file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// Bytes in the file.
    pub bytes: u64,
    /// Nothing will be added.
    pub closed: bool,
}

impl BuildLog {
    /// An empty log in a new file at `path`, which will hold `cap` bytes of output at most.
    pub fn create(path: &Path, cap: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let length = watch::Sender::new(Length::default());
        Ok(Self { file, cap, state: Mutex::default(), length })
    }

    /// Adds output. A log that cannot be written must not fail a build: the bytes are counted all the same.
    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.seen;
        state.seen += bytes.len() as u64;
        state.tail.extend(bytes);
        let surplus = state.tail.len().saturating_sub(TAIL);
        state.tail.drain(..surplus);
        let room = usize::try_from(self.cap.saturating_sub(before)).unwrap_or(usize::MAX);
        let kept = &bytes[..room.min(bytes.len())];
        let note = format!("\n>>> swarm: the log ends here: more than {} bytes\n", self.cap);
        let note = if before <= self.cap && state.seen > self.cap { note.as_str() } else { "" };
        if (&self.file).write_all(kept).and_then(|()| (&self.file).write_all(note.as_bytes())).is_ok() {
            self.length.send_modify(|length| length.bytes += (kept.len() + note.len()) as u64);
        }
    }

    /// Adds a line of the drone's own.
    pub fn note(&self, text: &str) {
        self.write(format!(">>> swarm: {text}\n").as_bytes());
    }

    /// Nothing will be added.
    pub fn close(&self) {
        self.length.send_modify(|length| length.closed = true);
    }

    /// All bytes so far, those beyond the cap included.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen
    }

    /// The end of what was written since [`Self::seen`] was `mark`.
    #[must_use]
    pub fn tail_since(&self, mark: u64) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = usize::try_from(state.seen.saturating_sub(mark)).unwrap_or(usize::MAX);
        let surplus = state.tail.len().saturating_sub(wanted);
        let bytes: Vec<u8> = state.tail.iter().skip(surplus).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Hears when the file grows.
    #[must_use]
    pub fn lengths(&self) -> watch::Receiver<Length> {
        self.length.subscribe()
    }

    /// Reads the chunk at `offset`, compressed; empty at the end.
    pub fn chunk(&self, offset: u64) -> io::Result<Chunk> {
        let mut bytes = vec![0; usize::try_from(CHUNK).unwrap_or_default()];
        let count = self.file.read_at(&mut bytes, offset)?;
        let zstd = zstd::bulk::compress(&bytes[..count], 3)?;
        Ok(Chunk { raw: count as u64, zstd })
    }
}

/// A piece of log.
#[derive(Debug)]
pub struct Chunk {
    /// Its bytes before compression.
    pub raw: u64,
    /// The compressed bytes.
    pub zstd: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(log: &BuildLog) -> Vec<u8> {
        let (mut offset, mut all) = (0, Vec::new());
        loop {
            let chunk = log.chunk(offset).unwrap();
            if chunk.raw == 0 {
                return all;
            }
            offset += chunk.raw;
            all.extend(zstd::bulk::decompress(&chunk.zstd, 1 << 20).unwrap());
        }
    }

    #[test]
    fn chunks_give_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let log = BuildLog::create(&dir.path().join("log"), 1 << 20).unwrap();
        let lines = "a line of the log\n".repeat(10_000);
        log.write(lines.as_bytes());
        assert_eq!(read_all(&log), lines.as_bytes());
        assert_eq!(*log.lengths().borrow(), Length { bytes: lines.len() as u64, closed: false });
        assert!(log.tail_since(0).len() == TAIL && lines.ends_with(&log.tail_since(0)));
    }

    #[test]
    fn the_cap_is_said_once_and_progress_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = BuildLog::create(&dir.path().join("log"), 4).unwrap();
        for _ in 0..3 {
            log.write(b"abc");
        }
        assert_eq!(
            String::from_utf8(read_all(&log)).unwrap(),
            "abca\n>>> swarm: the log ends here: more than 4 bytes\n"
        );
        assert_eq!((log.seen(), log.tail_since(0).as_str()), (9, "abcabcabc"));
        assert_eq!(log.tail_since(7), "bc");
    }
}
