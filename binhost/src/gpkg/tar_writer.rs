//! A writer of the container's tar, as Portage's `tarfile` writes it.
//!
//! ustar where every name and size fits, GNU for the whole container where one does not (`portage/gpkg.py`,
//! `_get_tar_format_from_stats`). ustar takes a name of 100 bytes, or a `prefix` of 155 before it; GNU puts a longer
//! name into a member of type `L` before the one it is for, and a size of 8 GiB or more into base 256.

use std::io::{self, Write};

const BLOCK: usize = 512;
const NAME: usize = 100;
const PREFIX: usize = 155;
/// From here on Portage writes GNU, a little before eleven octal digits end.
const LARGEST_USTAR: u64 = 8_000_000_000;

/// Which tar the container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Ustar,
    Gnu,
}

impl Dialect {
    /// For members below `directory` of which none has a longer name than `longest`, and a container of `total` bytes.
    pub(super) fn of(directory: &str, longest: &str, total: u64) -> Self {
        let whole = directory.len() + 1 + longest.len();
        let fits = whole <= NAME || (directory.len() <= PREFIX && longest.len() <= NAME);
        if fits && total < LARGEST_USTAR { Self::Ustar } else { Self::Gnu }
    }
}

/// Writes members one after the other.
pub(super) struct Writer<W> {
    inner: W,
    dialect: Dialect,
    directory: String,
    /// Of every member, in Unix seconds.
    mtime: u64,
    /// Bytes that the current member still lacks.
    padding: usize,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(inner: W, dialect: Dialect, directory: &str, mtime: u64) -> Self {
        Self { inner, dialect, directory: directory.to_owned(), mtime, padding: 0 }
    }

    /// Begins a member; its `size` bytes go to [`Writer::write`], then comes [`Writer::end`].
    pub(super) fn begin(&mut self, file: &str, size: u64) -> io::Result<()> {
        let whole = format!("{}/{file}", self.directory);
        let (prefix, name) = match self.dialect {
            _ if whole.len() <= NAME => ("", whole.as_str()),
            Dialect::Ustar => (self.directory.as_str(), file),
            Dialect::Gnu => {
                self.long_name(&whole)?;
                ("", whole.get(..NAME).unwrap_or(file))
            }
        };
        let header = header(self.dialect, prefix, name, b'0', size, self.mtime);
        self.start(&header, size)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        let padding = std::mem::take(&mut self.padding);
        self.inner.write_all(&[0; BLOCK][..padding])
    }

    /// A whole member from memory.
    pub(super) fn member(&mut self, file: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin(file, bytes.len() as u64)?;
        self.write(bytes)?;
        self.end()
    }

    /// The end mark.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        Ok(self.inner)
    }

    fn long_name(&mut self, name: &str) -> io::Result<()> {
        let size = name.len() as u64 + 1;
        let header = header(Dialect::Gnu, "", "././@LongLink", b'L', size, 0);
        self.start(&header, size)?;
        self.inner.write_all(name.as_bytes())?;
        self.inner.write_all(&[0])?;
        self.end()
    }

    fn start(&mut self, header: &[u8; BLOCK], size: u64) -> io::Result<()> {
        // What is left over is below 512 and fits any word.
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        self.padding = (BLOCK - over) % BLOCK;
        self.inner.write_all(header)
    }
}

fn header(dialect: Dialect, prefix: &str, name: &str, kind: u8, size: u64, mtime: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, &number(size));
    put(136, &number(mtime));
    put(148, b"        ");
    put(156, &[kind]);
    match dialect {
        Dialect::Ustar => put(257, b"ustar\x0000"),
        Dialect::Gnu => put(257, b"ustar  \0"),
    }
    put(345, prefix.as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Eleven octal digits; base 256 for what has more, which is GNU's.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < 1 << 33 {
        field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
    field
}

#[cfg(test)]
mod tests {
    use super::super::tar::Reader;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (length, dialect) in [(20, Dialect::Ustar), (155, Dialect::Ustar), (156, Dialect::Gnu)] {
            let directory = "d".repeat(length);
            assert_eq!(Dialect::of(&directory, "image.tar.zst.sig", 1), dialect, "{length}");
            let mut writer = Writer::new(Vec::new(), dialect, &directory, 7);
            let data = [3; 700];
            writer.member("gpkg-1", b"").unwrap();
            writer.member("image.tar.zst", &data).unwrap();
            let tar = writer.finish().unwrap();
            let mut reader = Reader::new(&tar[..]);
            for (file, size) in [("gpkg-1", 0), ("image.tar.zst", 700)] {
                let entry = reader.next().unwrap().unwrap();
                assert_eq!((entry.name, entry.size), (format!("{directory}/{file}"), size));
            }
            assert_eq!(reader.next().unwrap(), None);
        }
    }

    #[test]
    fn a_huge_member_makes_it_gnu() {
        let size = 9 << 30;
        assert_eq!(Dialect::of("huge-1-1", "image.tar", size), Dialect::Gnu);
        let mut writer = Writer::new(Vec::new(), Dialect::Gnu, "huge-1-1", 7);
        writer.begin("image.tar", size).unwrap();
        let entry = Reader::new(&writer.inner[..]).next().unwrap().unwrap();
        assert_eq!((entry.name.as_str(), entry.size), ("huge-1-1/image.tar", size));
    }
}
