//! The Manifest: size and digests of every other member (GLEP 78, and GLEP 74 for the line's form).
//!
//! ```text
//! DATA gpkg-1 0 BLAKE2B 786a… SHA512 cf83…
//! DATA metadata.tar.zst 2519 BLAKE2B 0dc5… SHA512 9b71…
//! DATA image.tar.zst 91733 BLAKE2B 4f33… SHA512 e0a1…
//! ```
//!
//! A signed package's Manifest is clear-signed (RFC 9580, 7): the lines stand between `-----BEGIN PGP SIGNED
//! MESSAGE-----`, headers and an empty line, and `-----BEGIN PGP SIGNATURE-----`.

use super::container::Seen;
use std::collections::BTreeMap;

/// Why a Manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not UTF-8.
    #[error("it is no text")]
    Text,
    /// A line is not `DATA name size ALGORITHM digest …`.
    #[error("line {0} is not \"DATA name size ALGORITHM digest …\"")]
    Line(usize),
    /// The signature's frame is broken.
    #[error("its clear-sign frame is incomplete")]
    Frame,
    /// A member is listed twice.
    #[error("it lists {0:?} twice")]
    Twice(String),
    /// A member is not listed.
    #[error("it does not list {0}")]
    Unlisted(String),
    /// Something is listed that is not there.
    #[error("it lists {0:?}, which is not in the package")]
    Absent(String),
    /// The size differs.
    #[error("{file} has {found} bytes, the Manifest says {listed}")]
    Size {
        /// The member.
        file: String,
        /// Its size.
        found: u64,
        /// What is listed.
        listed: u64,
    },
    /// A digest is not listed; Portage needs both.
    #[error("it has no {algorithm} of {file}")]
    NoDigest {
        /// The member.
        file: String,
        /// BLAKE2B or SHA512.
        algorithm: &'static str,
    },
    /// A digest differs.
    #[error("the {algorithm} of {file} differs")]
    Digest {
        /// The member.
        file: String,
        /// BLAKE2B or SHA512.
        algorithm: &'static str,
    },
}

/// A line: the size and the digests by algorithm.
struct Record<'a> {
    size: u64,
    digests: BTreeMap<&'a str, &'a str>,
}

/// Compares a Manifest's text with the members of its package.
pub(super) fn verify(text: &str, members: &[Seen]) -> Result<(), ManifestError> {
    let mut records = parse(text)?;
    for member in members {
        let record = records.remove(member.file.as_str());
        compare(member, &record.ok_or_else(|| ManifestError::Unlisted(member.file.clone()))?)?;
    }
    records.into_keys().next().map_or(Ok(()), |file| Err(ManifestError::Absent(file.to_owned())))
}

fn compare(member: &Seen, record: &Record<'_>) -> Result<(), ManifestError> {
    let file = || member.file.clone();
    if member.size != record.size {
        return Err(ManifestError::Size { file: file(), found: member.size, listed: record.size });
    }
    let Some((blake2b, sha512)) = &member.digests else { return Ok(()) };
    for (algorithm, found) in [("BLAKE2B", blake2b), ("SHA512", sha512)] {
        let listed = record.digests.get(algorithm);
        let listed = listed.ok_or_else(|| ManifestError::NoDigest { file: file(), algorithm })?;
        if !listed.eq_ignore_ascii_case(found) {
            return Err(ManifestError::Digest { file: file(), algorithm });
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<BTreeMap<&str, Record<'_>>, ManifestError> {
    let mut records = BTreeMap::new();
    for (number, line) in signed_part(text)?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (file, record) = record(line).ok_or(ManifestError::Line(number + 1))?;
        if records.insert(file, record).is_some() {
            return Err(ManifestError::Twice(file.to_owned()));
        }
    }
    Ok(records)
}

fn record(line: &str) -> Option<(&str, Record<'_>)> {
    let mut words = line.split_ascii_whitespace();
    words.next().filter(|word| *word == "DATA")?;
    let file = words.next()?;
    let size = words.next()?.parse().ok()?;
    let mut digests = BTreeMap::new();
    while let Some(algorithm) = words.next() {
        digests.insert(algorithm, words.next()?);
    }
    Some((file, Record { size, digests }))
}

/// What is within the clear-sign frame; all of it where there is none. No line of a Manifest begins with a dash, so
/// there is nothing to unescape.
fn signed_part(text: &str) -> Result<&str, ManifestError> {
    if !text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
        return Ok(text);
    }
    let (_, body) = text.split_once("\n\n").ok_or(ManifestError::Frame)?;
    let (body, _) = body.split_once("-----BEGIN PGP SIGNATURE-----").ok_or(ManifestError::Frame)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        verify(text, &[]).unwrap_err().to_string()
    }

    #[test]
    fn faults_are_named() {
        assert!(verify("\n", &[]).is_ok());
        for (text, part) in [
            ("DATA a\n", "line 1"),
            ("\nDATA a x\n", "line 2"),
            ("DATA a -1\n", "line 1"),
            ("MISC a 1\n", "line 1"),
            ("DATA a 1 SHA512\n", "line 1"),
            ("DATA a 1\nDATA a 1\n", "twice"),
            ("DATA a 1\n", "not in the package"),
            ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n", "frame"),
            ("-----BEGIN PGP SIGNED MESSAGE-----\n\nDATA a 1\n", "frame"),
        ] {
            assert!(fault(text).contains(part), "{text:?}: {}", fault(text));
        }
    }
}
