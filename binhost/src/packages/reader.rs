//! Reads an index, block by block, in memory that its longest block bounds.

use super::lines::{LONGEST, Line, Lines};
use super::{INHERITED, Values, default, is_known, read_as};
use std::fmt;
use std::io::{self, BufRead};

/// The most keys of a header; Portage writes some fifty.
const MOST_KEYS: usize = 4096;
/// The most faults that are told one by one.
const MOST_FAULTS: usize = 20;

/// What was wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no colon in it.
    #[error("it is not \"KEY: value\"")]
    NoColon,
    /// It is too long; it was skipped.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// Its block has too many keys; it was skipped.
    #[error("its block has more than {MOST_KEYS} keys")]
    TooMany,
    /// The entry whose block ends here has no CPV; it was skipped.
    #[error("the entry before it has no CPV")]
    NoCpv,
}

/// A line that was not taken as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its number, from 1.
    pub line: u64,
    /// What was wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

/// An index whose header is read; iterating reads the entries, with defaults and inherited keys in place.
#[derive(Debug)]
pub struct Index<R> {
    blocks: Blocks<R>,
    header: Values,
    ended: bool,
}

impl<R: BufRead> Index<R> {
    /// Reads the header.
    pub fn read(reader: R) -> io::Result<Self> {
        let mut blocks = Blocks { lines: Lines::new(reader), number: 0, skipped: Vec::new() };
        let header = blocks.next(|_| true)?;
        Ok(Self { blocks, header, ended: false })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Values {
        &self.header
    }

    /// The lines that were not taken as they stand, so far; the first few of them.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.blocks.skipped
    }

    fn entry(&mut self) -> io::Result<Option<Values>> {
        loop {
            let mut entry = self.blocks.next(is_known)?;
            if entry.is_empty() {
                return Ok(None);
            }
            if entry.get("CPV").is_none_or(String::is_empty) {
                self.blocks.skip(Fault::NoCpv);
                continue;
            }
            for key in ["EAPI", "SLOT"] {
                entry.entry(key.to_owned()).or_insert_with(|| default(key).to_owned());
            }
            for key in INHERITED {
                if let Some(value) = self.header.get(*key).filter(|value| !value.is_empty()) {
                    entry.entry((*key).to_owned()).or_insert_with(|| value.clone());
                }
            }
            return Ok(Some(entry));
        }
    }
}

impl<R: BufRead> Iterator for Index<R> {
    type Item = io::Result<Values>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.entry().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

#[derive(Debug)]
struct Blocks<R> {
    lines: Lines<R>,
    number: u64,
    skipped: Vec<Skipped>,
}

impl<R: BufRead> Blocks<R> {
    fn skip(&mut self, fault: Fault) {
        if self.skipped.len() < MOST_FAULTS {
            self.skipped.push(Skipped { line: self.number, fault });
        }
    }

    /// The lines up to the next empty one, or the end.
    fn next(&mut self, known: impl Fn(&str) -> bool) -> io::Result<Values> {
        let mut block = Values::new();
        loop {
            self.number += 1;
            let line = match self.lines.next()? {
                None | Some(Line::Bytes([])) => return Ok(block),
                Some(Line::Bytes(line)) => String::from_utf8_lossy(line).into_owned(),
                Some(Line::TooLong) => {
                    self.skip(Fault::TooLong);
                    continue;
                }
            };
            let Some((key, value)) = line.split_once(':') else {
                self.skip(Fault::NoColon);
                continue;
            };
            let key = read_as(key);
            if block.len() >= MOST_KEYS && !block.contains_key(key) {
                self.skip(Fault::TooMany);
            } else if known(key) {
                let mut characters = value.chars();
                characters.next();
                block.insert(key.to_owned(), characters.as_str().to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn read(text: &[u8]) -> (Values, Vec<Values>, Vec<Skipped>) {
        let mut index = Index::read(text).unwrap();
        let entries = index.by_ref().map(Result::unwrap).collect();
        (index.header().clone(), entries, index.skipped().to_vec())
    }

    #[test]
    fn crlf_and_garbage_are_read_as_portage_does() {
        let text = b"VERSION: 0\r\nnothing\r\nREPO: r\r\n\r\nCPV:  a/b-1\nODD: 1\n\xff: 1\n\nSIZE: 1\n\nCPV: a/b-2\nREPO: s";
        let (header, entries, skipped) = read(text);
        assert_eq!(header.keys().collect::<Vec<_>>(), ["VERSION", "repository"]);
        let cpvs: Vec<_> = entries.iter().map(|entry| (&*entry["CPV"], &*entry["repository"])).collect();
        assert_eq!(cpvs, [(" a/b-1", "r"), ("a/b-2", "s")]);
        let said: Vec<_> = skipped.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["line 2: it is not \"KEY: value\"", "line 10: the entry before it has no CPV"]);
    }

    #[test]
    fn two_empty_lines_end_it() {
        assert_eq!(read(b"VERSION: 0\n\nCPV: a/b-1\n\n\nCPV: a/b-2\n").1.len(), 1);
        assert_eq!(read(b"VERSION: 0\n\nODD: 1\n\nCPV: a/b-2\n").1.len(), 0);
        assert_eq!(read(b""), (Values::new(), vec![], vec![]));
    }

    #[test]
    fn a_line_without_end_is_skipped() {
        let head = b"VERSION: 0\n\nCPV: a/b-1\nUSE: ";
        let long = io::repeat(b'x').take(100 << 20);
        let text = head.chain(long).chain(&b"\nSIZE: 1\n"[..]);
        let mut index = Index::read(io::BufReader::new(text)).unwrap();
        let entry = index.next().unwrap().unwrap();
        assert_eq!((entry.get("USE"), &*entry["SIZE"]), (None, "1"));
        assert_eq!(index.skipped(), [Skipped { line: 4, fault: Fault::TooLong }]);
    }
}
