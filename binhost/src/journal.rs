//! An append-only log of records, safe against `kill -9` and a power cut.
//!
//! One line per record: 16 hexadecimal digits of the BLAKE3 of the rest, a space, the record as JSON.
//!
//! ```text
//! 3f8e4cbb7f5e9a01 {"package":7,"attempt":12,"built":"…","published":"…","at":1700000000}
//! ```
//!
//! [`Journal::append`] returns after fsync, so only the last line can be torn: it was never confirmed to anybody, and
//! [`Journal::open`] cuts it off. A damaged line with good ones behind it is no torn tail but a damaged disk, and
//! nothing is guessed then: opening fails and says where.

use crate::durable::sync_dir;
use crate::error::{Doing, Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use swarm_protocol::Code;

/// A log that can be appended to.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// Bytes of confirmed records; 0 also when there is no file yet.
    length: u64,
    /// An append failed and could not be taken back: what the file holds is not known.
    broken: bool,
}

impl Journal {
    /// Reads the records, and cuts off a torn tail. A missing file is an empty log; the first append creates it.
    pub(crate) fn open<T: DeserializeOwned>(path: PathBuf) -> Result<(Self, Vec<T>)> {
        let bytes = bytes(&path)?;
        let (records, length) = parse(&bytes, &path)?;
        if length < bytes.len() {
            tracing::warn!(path = %path.display(), bytes = bytes.len() - length, "a torn record is cut off");
            let file = OpenOptions::new().write(true).open(&path).doing("open", &path)?;
            file.set_len(length as u64).and_then(|()| file.sync_all()).doing("truncate", &path)?;
        }
        Ok((Self { path, length: length as u64, broken: false }, records))
    }

    /// Adds a record. When this returns well, it is on disk; when not, the log is as before.
    pub(crate) fn append<T: Serialize>(&mut self, record: &T) -> Result<()> {
        if self.broken {
            let why = "an earlier write failed and could not be undone; restart the binhost";
            return Err(Error::refused(Code::Unavailable, why));
        }
        let line = line(record).doing("describe a record for", &self.path)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path);
        let mut file = file.doing("open", &self.path)?;
        if let Err(error) = self.write(&mut file, line.as_bytes()) {
            self.broken = file.set_len(self.length).and_then(|()| file.sync_all()).is_err();
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// False when appends are refused until a restart.
    pub(crate) fn is_able(&self) -> bool {
        !self.broken
    }

    fn write(&self, file: &mut File, line: &[u8]) -> Result<()> {
        file.seek(SeekFrom::Start(self.length)).doing("seek in", &self.path)?;
        file.write_all(line).doing("append to", &self.path)?;
        file.sync_all().doing("sync", &self.path)?;
        match self.path.parent() {
            Some(parent) if self.length == 0 => sync_dir(parent),
            _ => Ok(()),
        }
    }
}

/// The records of a log that somebody else may be appending to: a torn tail is left as it is.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    Ok(parse(&bytes(path)?, path)?.0)
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        bytes => bytes.doing("read", path),
    }
}

fn line<T: Serialize>(record: &T) -> serde_json::Result<String> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{} {json}\n", checksum(json.as_bytes())))
}

fn checksum(json: &[u8]) -> String {
    blake3::hash(json).to_hex().chars().take(16).collect()
}

/// The records, and how many bytes they take.
fn parse<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<(Vec<T>, usize)> {
    let mut records = Vec::new();
    let mut length = 0;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
    for (number, line) in lines.by_ref() {
        let Some(json) = verified(line) else {
            let torn = lines.all(|(_, line)| verified(line).is_none());
            let damaged = || format!("line {} of {} is damaged", number + 1, path.display());
            return if torn { Ok((records, length)) } else { Err(Error::Damaged(damaged())) };
        };
        let unread = |error| format!("line {} of {} is not understood: {error}", number + 1, path.display());
        records.push(serde_json::from_slice(json).map_err(|error| Error::Damaged(unread(error)))?);
        length += line.len();
    }
    Ok((records, length))
}

/// The JSON of a whole line whose checksum matches.
fn verified(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(16)?;
    let json = json.strip_prefix(b" ")?;
    (checksum(json).as_bytes() == sum).then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(records: &[String]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let (mut journal, none) = Journal::open::<String>(path.clone()).unwrap();
        assert!(none.is_empty());
        for record in records {
            journal.append(record).unwrap();
        }
        (directory, path)
    }

    #[test]
    fn a_damaged_middle_is_refused() {
        let (_directory, path) = written(&["one".to_owned(), "two".to_owned()]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(Journal::open::<String>(path).unwrap_err().to_string().contains("line 1"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_torn_tail_is_cut_off_and_the_log_goes_on(
            records in proptest::collection::vec("\\PC{0,12}\n?", 1..5), cut in any::<prop::sample::Index>(), junk in 0..3_u8,
        ) {
            let (_directory, path) = written(&records);
            let bytes = std::fs::read(&path).unwrap();
            let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let cut = last + cut.index(bytes.len() - last);
            let mut torn = bytes[..cut].to_vec();
            torn.extend_from_slice([&b""[..], b"\0\0\0", b"x\ny\n"][usize::from(junk)]);
            std::fs::write(&path, torn).unwrap();
            let (mut journal, kept) = Journal::open::<String>(path.clone()).unwrap();
            prop_assert_eq!(&kept[..], &records[..records.len() - 1]);
            journal.append(&"next").unwrap();
            let (_, all) = Journal::open::<String>(path).unwrap();
            prop_assert_eq!(all.len(), records.len());
            prop_assert_eq!(all.last().unwrap(), "next");
        }
    }
}
