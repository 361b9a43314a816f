//! The container: which member comes when, how large it may be, and that the Manifest agrees.

use super::compression::Compression;
use super::digests::MemberDigests;
use super::manifest::{self, ManifestError};
use super::tar::{Entry, Reader, TarError};
use super::{GpkgError, metadata};
use std::io::Read;

/// The version mark is empty; a few words in it would do no harm.
const LARGEST_VERSION: u64 = 4096;
const LARGEST_SIGNATURE: u64 = 64 << 10;
const LARGEST_MANIFEST: u64 = 64 << 10;

/// What is kept of a container.
pub(super) struct Parts {
    pub(super) basename: String,
    pub(super) compression: Compression,
    /// The metadata archive as it stands in the container.
    pub(super) metadata: Vec<u8>,
}

/// The kinds of members, in the order in which they must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Version,
    Metadata(Compression),
    MetadataSignature,
    Image,
    ImageSignature,
    Manifest,
    Other,
}

impl Kind {
    fn of(file: &str) -> Option<Self> {
        match file {
            "gpkg-1" => return Some(Self::Version),
            "Manifest" => return Some(Self::Manifest),
            _ => {}
        }
        let (signed, signature) = file.strip_suffix(".sig").map_or((file, false), |signed| (signed, true));
        if let Some(suffix) = signed.strip_prefix("metadata.tar") {
            let compression = Compression::of_suffix(suffix)?;
            return Some(if signature { Self::MetadataSignature } else { Self::Metadata(compression) });
        }
        Compression::of_suffix(signed.strip_prefix("image.tar")?)?;
        Some(if signature { Self::ImageSignature } else { Self::Image })
    }

    fn rank(self) -> u8 {
        match self {
            Self::Version => 0,
            Self::Metadata(_) => 1,
            Self::MetadataSignature => 2,
            Self::Image => 3,
            Self::ImageSignature => 4,
            Self::Manifest => 5,
            Self::Other => 6,
        }
    }

    fn limit(self) -> u64 {
        match self {
            Self::Version => LARGEST_VERSION,
            Self::Metadata(_) => metadata::LARGEST_TOTAL,
            Self::MetadataSignature | Self::ImageSignature => LARGEST_SIGNATURE,
            Self::Image | Self::Other => u64::MAX,
            Self::Manifest => LARGEST_MANIFEST,
        }
    }
}

/// A member that has passed.
pub(super) struct Seen {
    kind: Kind,
    /// The name without its directory, as the Manifest has it.
    pub(super) file: String,
    pub(super) size: u64,
    /// BLAKE2B and SHA512, where they were taken.
    pub(super) digests: Option<(String, String)>,
}

/// How much of a container is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rigour {
    /// All of it.
    Whole,
    /// What Portage judges before it indexes a package (`portage/gpkg.py`, `_verify_binpkg(metadata_only=True)`).
    Portage,
}

/// Reads the container to its end.
pub(super) fn read(reader: impl Read, rigour: Rigour) -> Result<Parts, GpkgError> {
    let strict = rigour == Rigour::Whole;
    let mut tar = if strict { Reader::new(reader) } else { Reader::lenient(reader) };
    let mut seen: Vec<Seen> = Vec::new();
    let mut basename: Option<String> = None;
    let mut archive = None;
    let mut manifest = None;
    while let Some(entry) = tar.next().map_err(GpkgError::Container)? {
        let (directory, file) = place(&entry.name, basename.as_deref())?;
        basename = Some(directory.to_owned());
        let kind = Kind::of(file).unwrap_or(Kind::Other);
        if strict && kind == Kind::Other {
            return Err(GpkgError::Unknown(entry.name));
        }
        let repeated = seen.iter().any(|member| member.file == file);
        if repeated || strict && (disordered(kind, &seen) || misplaced(kind, file, &seen)) {
            return Err(GpkgError::Order(entry.name));
        }
        let hashed = strict || !matches!(kind, Kind::Image | Kind::ImageSignature);
        let (digests, data) = member(&mut tar, &entry, kind, hashed)?;
        match kind {
            // Of several, Portage takes the first.
            Kind::Metadata(compression) if archive.is_none() => archive = Some((compression, data)),
            Kind::Manifest => manifest = Some(data),
            _ => {}
        }
        let digests = digests.map(MemberDigests::finish);
        seen.push(Seen { kind, file: file.to_owned(), size: entry.size, digests });
    }
    complete(&seen, strict)?;
    let (Some(basename), Some((compression, metadata)), Some(manifest)) = (basename, archive, manifest)
    else {
        return Err(GpkgError::Missing("gpkg-1"));
    };
    seen.retain(|member| member.kind != Kind::Manifest);
    let text = String::from_utf8(manifest).map_err(|_| ManifestError::Text)?;
    manifest::verify(&text, &seen)?;
    Ok(Parts { basename, compression, metadata })
}

/// Splits `DIRECTORY/FILE`, where the directory is that of the members before.
pub(super) fn place<'a>(name: &'a str, before: Option<&str>) -> Result<(&'a str, &'a str), GpkgError> {
    let parts = name.split_once('/').filter(|(directory, file)| {
        !["", ".", ".."].contains(directory)
            && !file.contains('/')
            && before.is_none_or(|before| before == *directory)
    });
    parts.ok_or_else(|| GpkgError::Place(name.to_owned()))
}

fn disordered(kind: Kind, seen: &[Seen]) -> bool {
    seen.last().is_some_and(|last| last.kind.rank() >= kind.rank())
}

/// A signature stands directly behind what it signs, under its name.
fn misplaced(kind: Kind, file: &str, seen: &[Seen]) -> bool {
    let signature = matches!(kind, Kind::MetadataSignature | Kind::ImageSignature);
    signature && seen.last().is_none_or(|last| file.strip_suffix(".sig") != Some(&last.file))
}

/// Reads a member, hashed as it passes if asked for; of the metadata and the Manifest, the bytes are kept as well.
fn member<R: Read>(
    tar: &mut Reader<R>,
    entry: &Entry,
    kind: Kind,
    hashed: bool,
) -> Result<(Option<MemberDigests>, Vec<u8>), GpkgError> {
    if entry.size > kind.limit() {
        let name = entry.name.clone();
        return Err(GpkgError::TooLarge { name, size: entry.size, limit: kind.limit() });
    }
    let keep = matches!(kind, Kind::Metadata(_) | Kind::Manifest);
    let mut digests = hashed.then(MemberDigests::default);
    let mut data = Vec::new();
    let mut buffer = vec![0; usize::try_from(entry.size).unwrap_or(usize::MAX).clamp(1, 64 << 10)];
    loop {
        let count = tar.read(&mut buffer).map_err(GpkgError::Container)?;
        let Some(read @ [_, ..]) = buffer.get(..count) else { return Ok((digests, data)) };
        if let Some(digests) = &mut digests {
            digests.update(read);
        }
        if keep {
            data.extend_from_slice(read);
        }
    }
}

/// Portage needs no image before it installs a package.
fn complete(seen: &[Seen], strict: bool) -> Result<(), GpkgError> {
    for (rank, name) in [(0, "gpkg-1"), (1, "metadata.tar"), (3, "image.tar"), (5, "Manifest")] {
        if (strict || rank != 3) && !seen.iter().any(|member| member.kind.rank() == rank) {
            return Err(GpkgError::Missing(name));
        }
    }
    Ok(())
}

impl From<TarError> for GpkgError {
    fn from(error: TarError) -> Self {
        Self::Container(error)
    }
}
