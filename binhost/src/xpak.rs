//! XPAK, the older binary package format (`.tbz2`, `.xpak`): an archive with the build information behind it
//! (`portage/xpak.py`, `man 5 xpak`).
//!
//! # The format
//!
//! Nothing marks the beginning, so a file is read from its end. Integers have four bytes, the highest first.
//!
//! ```text
//! image      a compressed tar of what gets installed
//! "XPAKPACK"                                  ┐
//! length of the index                         │
//! length of the data                          │
//! index      for each value: length of its name, name, its offset within the data, its length
//! data       the values                       │
//! "XPAKSTOP"                                  ┘
//! length of everything from XPAKPACK to XPAKSTOP
//! "STOP"
//! ```
//!
//! With one value, `SLOT` = `0\n`, what follows the image is, in hexadecimal where it is no text:
//!
//! ```text
//! XPAKPACK 00000010 00000002
//!   00000004 SLOT 00000000 00000002
//!   0\n
//! XPAKSTOP 0000002a STOP
//! ```
//!
//! The names are those of the build-info directory: `CATEGORY`, `PF`, `SLOT`, `environment.bz2` and so on. There is no
//! digest and no signature: what can be checked is that all lengths and offsets agree, and that no name comes twice.
//! The image is not touched.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

const HEAD: &[u8; 8] = b"XPAKPACK";
const TAIL: &[u8; 8] = b"XPAKSTOP";
const STOP: &[u8; 4] = b"STOP";
/// Head, the two lengths, and tail.
const FRAME: u64 = 24;
/// The largest segment that is read: it is held in memory, and real ones have some hundred KiB.
const LARGEST: u64 = 64 << 20;

/// Why a file is no XPAK.
#[derive(Debug, thiserror::Error)]
pub enum XpakError {
    /// The bytes do not come.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is no trailer.
    #[error("it does not end like an XPAK")]
    NoTrailer,
    /// The segment is not where the trailer says.
    #[error("the trailer points to where no XPAK segment begins")]
    NoSegment,
    /// The lengths of index and data do not fill the segment.
    #[error("the lengths of its index and its data do not agree with its trailer")]
    Lengths,
    /// The segment is too large to be read.
    #[error("its XPAK segment has {0} bytes, more than it may have")]
    TooLarge(u64),
    /// An index entry is cut off, or points outside of the data.
    #[error("its index is broken at byte {0}")]
    Index(usize),
    /// A name comes twice.
    #[error("the value {0:?} comes twice")]
    Twice(String),
    /// A value or the whole cannot be expressed in four bytes.
    #[error("it is too large for the format")]
    Unwritable,
}

/// A package's build information, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xpak {
    values: BTreeMap<String, Vec<u8>>,
}

impl Xpak {
    /// The value of `name`, as it stands there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// Sets a value.
    pub fn insert(&mut self, name: &str, value: &[u8]) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// Reads the build information behind an image and checks it.
    pub fn read(mut file: impl Read + Seek) -> Result<Self, XpakError> {
        let size = file.seek(SeekFrom::End(0))?;
        let trailer_at = size.checked_sub(16).ok_or(XpakError::NoTrailer)?;
        file.seek(SeekFrom::Start(trailer_at))?;
        let mut trailer = [0; 16];
        file.read_exact(&mut trailer)?;
        if &trailer[..8] != TAIL || &trailer[12..] != STOP {
            return Err(XpakError::NoTrailer);
        }
        let length = u64::from(integer(&trailer, 8).unwrap_or_default());
        if length > LARGEST {
            return Err(XpakError::TooLarge(length));
        }
        let start = size.checked_sub(length + 8).filter(|_| length >= FRAME).ok_or(XpakError::NoSegment)?;
        file.seek(SeekFrom::Start(start))?;
        let mut segment = Vec::new();
        file.take(length).read_to_end(&mut segment)?;
        Self::parse(&segment)
    }

    /// Reads a segment, from XPAKPACK to XPAKSTOP.
    fn parse(segment: &[u8]) -> Result<Self, XpakError> {
        let inner = segment.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(TAIL));
        let inner = inner.ok_or(XpakError::NoSegment)?;
        let lengths = integer(inner, 0).zip(integer(inner, 4)).ok_or(XpakError::Lengths)?;
        let (index_length, data_length) = (lengths.0 as usize, lengths.1 as usize);
        let (index, data) = inner[8..].split_at_checked(index_length).ok_or(XpakError::Lengths)?;
        if data.len() != data_length {
            return Err(XpakError::Lengths);
        }
        let mut values = BTreeMap::new();
        let mut at = 0;
        while at < index.len() {
            let (name, value, next) = item(index, at, data).ok_or(XpakError::Index(at))?;
            if values.insert(name.clone(), value.to_owned()).is_some() {
                return Err(XpakError::Twice(name));
            }
            at = next;
        }
        Ok(Self { values })
    }

    /// Writes segment and trailer; `out` stands behind the image. The same values give the same bytes.
    pub fn write(&self, mut out: impl Write) -> Result<(), XpakError> {
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for (name, value) in &self.values {
            index.extend(length(name.len())?);
            index.extend(name.as_bytes());
            index.extend(length(data.len())?);
            index.extend(length(value.len())?);
            data.extend(value);
        }
        let whole = index.len() + data.len() + 24;
        let segment = [
            &HEAD[..],
            &length(index.len())?,
            &length(data.len())?,
            &index,
            &data,
            TAIL,
            &length(whole)?,
            STOP,
        ];
        segment.iter().try_for_each(|part| out.write_all(part)).map_err(XpakError::Io)
    }
}

fn integer(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn length(length: usize) -> Result<[u8; 4], XpakError> {
    u32::try_from(length).map(u32::to_be_bytes).map_err(|_| XpakError::Unwritable)
}

/// The index entry at `at`: its name, its value, and where the next one begins.
fn item<'a>(index: &[u8], at: usize, data: &'a [u8]) -> Option<(String, &'a [u8], usize)> {
    let name_at = at + 4;
    let name_end = name_at.checked_add(integer(index, at)? as usize)?;
    let name = index.get(name_at..name_end).filter(|name| !name.is_empty())?;
    let start = integer(index, name_end)? as usize;
    let end = start.checked_add(integer(index, name_end + 4)? as usize)?;
    Some((String::from_utf8_lossy(name).into_owned(), data.get(start..end)?, name_end + 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn file(edit: impl Fn(&mut Vec<u8>)) -> Result<Xpak, XpakError> {
        let mut xpak = Xpak::default();
        xpak.insert("SLOT", b"0\n");
        let mut bytes = b"image".to_vec();
        xpak.write(&mut bytes).unwrap();
        edit(&mut bytes);
        Xpak::read(Cursor::new(bytes))
    }

    #[test]
    fn the_sample_is_what_is_written() {
        let mut bytes = Vec::new();
        let mut xpak = Xpak::default();
        xpak.insert("SLOT", b"0\n");
        xpak.write(&mut bytes).unwrap();
        let sample = b"XPAKPACK\0\0\0\x10\0\0\0\x02\0\0\0\x04SLOT\0\0\0\0\0\0\0\x020\nXPAKSTOP\0\0\0\x2aSTOP";
        assert_eq!(bytes, sample);
        assert_eq!(Xpak::read(Cursor::new(bytes)).unwrap(), xpak);
        assert_eq!(file(|_| ()).unwrap().get("SLOT"), Some(&b"0\n"[..]));
    }

    #[test]
    fn wrong_lengths_and_offsets_are_refused() {
        // "image" has 5 bytes, the index begins 16 bytes behind it.
        for (at, value, part) in [
            (5, b'x', "no XPAK segment"),
            (16, 0x11, "lengths"),
            (20, 3, "lengths"),
            (24, 200, "index is broken at byte 0"),
            (32, 1, "index is broken at byte 0"),
            (36, 3, "index is broken at byte 0"),
            (39, b'x', "does not end like"),
            (50, 0x2b, "no XPAK segment"),
            (47, 5, "bytes, more than"),
            (48, 1, "no XPAK segment"),
            (54, b'x', "does not end like"),
        ] {
            let said = file(|bytes| bytes[at] = value).unwrap_err().to_string();
            assert!(said.contains(part), "byte {at}: {said:?} does not say {part:?}");
        }
        for length in 0..55 {
            assert!(file(|bytes| bytes.truncate(length)).is_err(), "{length}");
        }
    }

    #[test]
    fn a_name_comes_once() {
        let index = b"\0\0\0\x01A\0\0\0\0\0\0\0\0".repeat(2);
        let segment = [&HEAD[..], &[0, 0, 0, 26], &[0; 4], &index, TAIL].concat();
        assert!(Xpak::parse(&segment).unwrap_err().to_string().contains("twice"));
    }
}
