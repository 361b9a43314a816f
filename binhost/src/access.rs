//! Who may read a target: names and tokens in a file, one reader a line.
//!
//! ```text
//! # NAME  BLAKE3 of the token  TARGET… (none: all)
//! desktop 6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85
//! laptop  c1b2a1f2a8b3d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e amd64 arm64
//! ```
//!
//! The token comes as the password of Basic (RFC 7617), which is what Portage and wget make of
//! `sync-uri = https://NAME:TOKEN@…`, or as a Bearer token (RFC 6750) without the name.
//!
//! Tokens are random, 256 bits, made by `build-binhost reader-token`. That is why a plain hash is enough: nobody guesses
//! one, so there is nothing that a slow hash would have to slow down, and each request can afford it. A password that a
//! person thought up does not belong here.

use crate::watched::Watched;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blake3::Hash;
use std::path::{Path, PathBuf};
use swarm_protocol::gentoo::TargetName;

/// The readers of a file, as it stands.
pub(crate) struct Access(Watched<Vec<Reader>>);

#[derive(Debug)]
struct Reader {
    name: String,
    token: Hash,
    /// None is all of them.
    targets: Vec<TargetName>,
}

/// Why a request may not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Without a name and token, or with those of nobody.
    Unknown,
    /// A reader, but of other targets.
    Elsewhere,
}

impl Access {
    pub(crate) fn open(file: &Path) -> Result<Self> {
        Watched::open(vec![file.to_owned()], read).map(Self)
    }

    /// Judges the value of an `Authorization` header.
    pub(crate) fn check(&self, target: &str, authorization: Option<&str>) -> Result<(), Denied> {
        judge(&self.0.get(), target, authorization)
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<Reader>> {
    let mut readers = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(std::fs::read_to_string(file)?.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                readers.push(parse(line).with_context(|| format!("line {number}"))?);
            }
        }
    }
    Ok(readers)
}

fn parse(line: &str) -> Result<Reader> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(token)) = (words.next(), words.next()) else {
        bail!("a name and the BLAKE3 of a token are expected")
    };
    ensure!(!name.contains(':'), "a name has no colon (RFC 7617)");
    let token = Hash::from_hex(token).context("the BLAKE3 of a token has 64 hexadecimal digits")?;
    let targets =
        words.map(|word| word.parse().with_context(|| format!("target {word}"))).collect::<Result<_>>()?;
    Ok(Reader { name: name.to_owned(), token, targets })
}

fn judge(readers: &[Reader], target: &str, authorization: Option<&str>) -> Result<(), Denied> {
    let (name, token) = authorization.and_then(credentials).ok_or(Denied::Unknown)?;
    let token = blake3::hash(token.as_bytes());
    // Hashes are compared in constant time (`blake3::Hash`).
    let same =
        |reader: &&Reader| reader.token == token && name.as_ref().is_none_or(|name| *name == reader.name);
    let reader = readers.iter().find(same).ok_or(Denied::Unknown)?;
    let here = reader.targets.is_empty() || reader.targets.iter().any(|one| one.as_str() == target);
    if here { Ok(()) } else { Err(Denied::Elsewhere) }
}

/// The name, if the scheme has one, and the token.
fn credentials(authorization: &str) -> Option<(Option<String>, String)> {
    let (scheme, value) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, value.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (name, token) = pair.split_once(':')?;
    Some((Some(name.to_owned()), token.to_owned()))
}

/// A new token, and the line for the file; `random` is fresh from the operating system.
pub fn reader(name: &str, targets: &[TargetName], random: [u8; 32]) -> Result<(String, String)> {
    let token = Hash::from_bytes(random).to_hex().to_string();
    let targets = targets.iter().fold(String::new(), |list, target| list + " " + target.as_str());
    let line = format!("{name} {}{targets}", blake3::hash(token.as_bytes()).to_hex());
    // A name that cannot be read back is refused here.
    parse(&line).map(|_| (token, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(pair: &str) -> String {
        format!("basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn readers() {
        let (everywhere, first) = reader("desktop", &[], [1; 32]).unwrap();
        let (somewhere, second) = reader("laptop", &["amd64".parse().unwrap()], [2; 32]).unwrap();
        let readers = [parse(&first).unwrap(), parse(&second).unwrap()];
        for (authorization, target, expected) in [
            (basic(&format!("desktop:{everywhere}")), "arm64", Ok(())),
            (basic(&format!("laptop:{somewhere}")), "amd64", Ok(())),
            (format!("Bearer {somewhere}"), "amd64", Ok(())),
            (format!("bearer {somewhere}"), "arm64", Err(Denied::Elsewhere)),
            (basic(&format!("desktop:{somewhere}")), "amd64", Err(Denied::Unknown)),
            (basic("desktop:"), "amd64", Err(Denied::Unknown)),
            (basic("desktop"), "amd64", Err(Denied::Unknown)),
            ("Basic ☃".to_owned(), "amd64", Err(Denied::Unknown)),
            (everywhere.clone(), "amd64", Err(Denied::Unknown)),
            (format!("Digest {everywhere}"), "amd64", Err(Denied::Unknown)),
            (first.clone(), "amd64", Err(Denied::Unknown)),
        ] {
            assert_eq!(judge(&readers, target, Some(&authorization)), expected, "{authorization} {target}");
        }
        assert_eq!(judge(&readers, "amd64", None), Err(Denied::Unknown));
        let hash = second.split(' ').nth(1).unwrap();
        assert_eq!(
            judge(&readers, "amd64", Some(&format!("Bearer {hash}"))),
            Err(Denied::Unknown),
            "who reads the file has no token"
        );
    }

    #[test]
    fn lines_that_make_no_sense() {
        let hash = "0".repeat(64);
        for (line, fault) in [
            ("desktop".to_owned(), "a name and"),
            ("desktop hunter2".to_owned(), "64 hexadecimal digits"),
            (format!("desk:top {hash}"), "colon"),
            (format!("desktop {hash} AMD64"), "target AMD64"),
        ] {
            let error = format!("{:#}", parse(&line).unwrap_err());
            assert!(error.contains(fault), "{error}");
            assert!(!error.contains("hunter2"), "a token put there by mistake is not repeated");
        }
    }
}
