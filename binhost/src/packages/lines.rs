//! Lines of bounded length, as Python's text files have them: LF, CR LF, or CR alone ends one.

use std::io::{self, BufRead};

/// The longest line that is kept. The longest of real indexes are dependencies, some ten KiB.
pub(super) const LONGEST: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    /// The last line ended in CR: an LF that follows is a part of that end.
    after_cr: bool,
    line: Vec<u8>,
}

/// A line without its end.
pub(super) enum Line<'a> {
    Bytes(&'a [u8]),
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, after_cr: false, line: Vec::new() }
    }

    /// The next line; of one that is too long, nothing is kept.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut length = 0_usize;
        loop {
            let buffer = self.reader.fill_buf()?;
            if std::mem::take(&mut self.after_cr) && buffer.first() == Some(&b'\n') {
                self.reader.consume(1);
                continue;
            }
            if buffer.is_empty() && length == 0 {
                return Ok(None);
            }
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &buffer[..end.unwrap_or(buffer.len())];
            length = length.saturating_add(part.len());
            if length <= LONGEST {
                self.line.extend_from_slice(part);
            }
            self.after_cr = end.is_some_and(|end| buffer[end] == b'\r');
            let ended = end.is_some() || buffer.is_empty();
            let count = part.len() + usize::from(end.is_some());
            self.reader.consume(count);
            if ended {
                let line = if length <= LONGEST { Line::Bytes(&self.line) } else { Line::TooLong };
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], capacity: usize) -> Vec<String> {
        let mut lines = Lines::new(io::BufReader::with_capacity(capacity, text));
        let mut found = Vec::new();
        while let Some(Line::Bytes(line)) = lines.next().unwrap() {
            found.push(String::from_utf8(line.to_owned()).unwrap());
        }
        found
    }

    #[test]
    fn all_ends_are_ends() {
        for capacity in [1, 2, 100] {
            assert_eq!(lines(b"a\nb\r\nc\rd\r\r\n\n\re", capacity), ["a", "b", "c", "d", "", "", "", "e"]);
            assert_eq!(lines(b"a\r\n", capacity), ["a"]);
            assert_eq!(lines(b"\n", capacity), [""]);
            assert!(lines(b"", capacity).is_empty());
        }
    }
}
