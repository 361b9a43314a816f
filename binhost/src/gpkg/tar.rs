//! A reader of the tars within a GPKG: regular files only, in one pass, in constant memory.
//!
//! A tar is a sequence of 512-byte blocks: a header, the member's bytes padded with zeros to a whole block, the next
//! header; two zero blocks end it (POSIX ustar, `tarfile.py`). GPKG needs two dialects: ustar, whose `prefix` field
//! comes before the name, and GNU, which puts a name over 100 bytes into a member of type `L` before the one it is
//! for, and a size over 8 GiB into base 256. Whatever else a tar can hold — links, devices, pax headers, sparse
//! files — is refused by its type, which a general reader would have to interpret.

use std::io::{self, Read};

const BLOCK: u64 = 512;
/// The longest name: what a path may have on Linux.
const LONGEST_NAME: u64 = 4096;

/// Why a tar cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes do not come.
    #[error("it cannot be read: {0}")]
    Io(#[source] io::Error),
    /// It ends too early.
    #[error("the file ends in the middle of it")]
    Truncated,
    /// A block that should be a header is none.
    #[error("at byte {0} stands no tar header")]
    NoHeader(u64),
    /// The header's sum is wrong.
    #[error("the tar header at byte {0} has a wrong checksum")]
    Checksum(u64),
    /// The header's size is no number.
    #[error("the tar header at byte {0} has no valid size")]
    Size(u64),
    /// The header's name is empty, too long, or has characters that no member of a package has.
    #[error("the tar header at byte {0} has no valid name")]
    Name(u64),
    /// The member is no regular file.
    #[error("the member {name:?} has the tar entry type {kind:?}; only regular files may be in a package")]
    Kind {
        /// The member.
        name: String,
        /// Its type as the tar has it.
        kind: char,
    },
    /// Something comes after the end mark.
    #[error("there are bytes after the end of the archive")]
    Trailing,
}

/// A member's header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name with its directories.
    pub(super) name: String,
    /// The number of bytes that [`Reader::read`] gives.
    pub(super) size: u64,
}

/// Reads members one after the other.
pub(super) struct Reader<R> {
    inner: R,
    position: u64,
    remaining: u64,
    padding: u64,
    lenient: bool,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, position: 0, remaining: 0, padding: 0, lenient: false }
    }

    /// Takes whatever follows the first member and is no header for the end of the archive, as `tarfile.py` does.
    pub(super) fn lenient(inner: R) -> Self {
        Self { lenient: true, ..Self::new(inner) }
    }

    /// The next member; the rest of the current one is skipped. At the end, that nothing follows is checked.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut long_name = None;
        loop {
            self.skip_member()?;
            let at = self.position;
            let block = match self.block() {
                Err(TarError::Truncated) if self.lenient && at > 0 => return Ok(None),
                block => block?,
            };
            if !self.lenient && block.iter().all(|byte| *byte == 0) {
                return self.end(long_name.is_some(), at);
            }
            let header = match Header::parse(&block, at) {
                Err(_) if self.lenient && at > 0 => return self.drain(),
                header => header?,
            };
            self.remaining = header.size;
            self.padding = header.size.next_multiple_of(BLOCK) - header.size;
            if header.kind == b'L' && long_name.is_none() {
                long_name = Some(self.long_name(&header, at)?);
                continue;
            }
            let name = long_name.unwrap_or(header.name);
            return match header.kind {
                b'0' | 0 => Ok(Some(Entry { name, size: header.size })),
                kind => Err(TarError::Kind { name, kind: char::from(kind) }),
            };
        }
    }

    /// Bytes of the current member; 0 when it is at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let wanted = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.read_some(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(TarError::Truncated);
        }
        self.remaining = self.remaining.saturating_sub(count as u64);
        Ok(count)
    }

    fn long_name(&mut self, header: &Header, at: u64) -> Result<String, TarError> {
        if header.size > LONGEST_NAME {
            return Err(TarError::Name(at));
        }
        let mut bytes = Vec::new();
        let mut buffer = [0; 512];
        loop {
            match self.read(&mut buffer)? {
                0 => return name(until_zero(&bytes)).ok_or(TarError::Name(at)),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn skip_member(&mut self) -> Result<(), TarError> {
        let mut buffer = [0; 8192];
        while self.read(&mut buffer)? > 0 {}
        self.remaining = std::mem::take(&mut self.padding);
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    fn block(&mut self) -> Result<[u8; 512], TarError> {
        let mut block = [0; 512];
        let mut filled = 0;
        while filled < block.len() {
            match self.read_some(&mut block[filled..])? {
                0 => return Err(TarError::Truncated),
                count => filled += count,
            }
        }
        Ok(block)
    }

    fn drain(&mut self) -> Result<Option<Entry>, TarError> {
        let mut buffer = [0; 8192];
        while self.read_some(&mut buffer)? > 0 {}
        Ok(None)
    }

    /// After a zero block: one more, then nothing but whole zero blocks.
    fn end(&mut self, named: bool, at: u64) -> Result<Option<Entry>, TarError> {
        let second = self.block()?;
        let mut zero = second.iter().all(|byte| *byte == 0);
        let mut buffer = [0; 8192];
        loop {
            let count = self.read_some(&mut buffer)?;
            zero &= buffer[..count].iter().all(|byte| *byte == 0);
            if !zero {
                return Err(TarError::Trailing);
            }
            if count == 0 {
                break;
            }
        }
        if !self.position.is_multiple_of(BLOCK) {
            return Err(TarError::Truncated);
        }
        if named { Err(TarError::NoHeader(at)) } else { Ok(None) }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.inner.read(buffer) {
                Ok(count) => {
                    self.position += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Io(error)),
            }
        }
    }
}

struct Header {
    name: String,
    size: u64,
    kind: u8,
}

impl Header {
    fn parse(block: &[u8; 512], at: u64) -> Result<Self, TarError> {
        let ustar = match &block[257..265] {
            b"ustar\x0000" => true,
            b"ustar  \0" => false,
            _ => return Err(TarError::NoHeader(at)),
        };
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let stored: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        if number(&block[148..156]) != Some(sum - stored + 8 * u64::from(b' ')) {
            return Err(TarError::Checksum(at));
        }
        let size = number(&block[124..136]).ok_or(TarError::Size(at))?;
        let (prefix, base) = (until_zero(&block[345..500]), until_zero(&block[..100]));
        let whole = if ustar && !prefix.is_empty() { [prefix, b"/", base].concat() } else { base.to_vec() };
        Ok(Self { name: name(&whole).ok_or(TarError::Name(at))?, size, kind: block[156] })
    }
}

fn until_zero(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A name of printable ASCII: cpvs and metadata keys have no other characters.
fn name(bytes: &[u8]) -> Option<String> {
    let printable = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    printable.then(|| bytes.iter().copied().map(char::from).collect())
}

/// Octal digits between spaces and zeros, or base 256 where the first bit is set. At most 2⁶².
fn number(field: &[u8]) -> Option<u64> {
    let value = if field.first()? & 0x80 != 0 {
        let (first, rest) = field.split_first()?;
        let start = u64::from(first & 0x7f);
        rest.iter().try_fold(start, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)))?
    } else {
        let text = std::str::from_utf8(until_zero(field)).ok()?.trim_matches(' ');
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        u64::from_str_radix(if digits { text } else { "x" }, 8).ok()?
    };
    (value <= 1 << 62).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, value) in [
            (&b"00000000012\0"[..], Some(10)),
            (b"      12 \0\0\0", Some(10)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(2 << 32)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", None),
            (b"+0000000012\0", None),
            (b"00000000019\0", None),
            (b"-0000000001\0", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }
}
