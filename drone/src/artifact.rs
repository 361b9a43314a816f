//! What a build left in its PKGDIR: exactly one binary package, of the right name, or the build has failed. emerge's exit
//! status is no evidence: it was seen to be 0 with nothing built (PORTAGE.md 1).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use swarm_protocol::Digest;
use swarm_protocol::drone::Claim;

/// A binary package on the drone's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum NoArtifact {
    /// There are none, several, or ones of another name.
    #[error("expected {expected} alone, found {}", if found.is_empty() { "nothing".to_owned() } else { found.join(", ") })]
    Other {
        /// The path that was expected, below PKGDIR.
        expected: String,
        /// What is there.
        found: Vec<String>,
    },
    /// It is larger than the claim allows.
    #[error("the artifact has {size} bytes, {allowed} are allowed")]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// The claim's limit.
        allowed: u64,
    },
    /// PKGDIR cannot be read.
    #[error("PKGDIR cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// The one artifact of `claim` in `pkgdir`.
pub fn find(pkgdir: &Path, claim: &Claim) -> Result<Artifact, NoArtifact> {
    let expected = format!("{}/{}-{}.gpkg.tar", claim.cpv.cp(), claim.cpv.pf(), claim.build_id);
    let mut found = Vec::new();
    packages(pkgdir, Path::new(""), &mut found)?;
    if found != [expected.as_str()] {
        return Err(NoArtifact::Other { expected, found });
    }
    let path = pkgdir.join(expected);
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(&path)?)?;
    let (size, allowed) = (hasher.count(), claim.max_artifact_bytes);
    if size > allowed {
        return Err(NoArtifact::TooLarge { size, allowed });
    }
    Ok(Artifact { path, size, digest: hasher.finalize().into() })
}

/// The binary packages below `dir`. A name without bytes is one that Portage reserved and never filled.
fn packages(dir: &Path, relative: &Path, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir.join(relative))? {
        let entry = entry?;
        let path = relative.join(entry.file_name());
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            packages(dir, &path, found)?;
        } else if is_package(&path) && metadata.len() > 0 {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found.sort();
    Ok(())
}

fn is_package(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [".gpkg.tar", ".xpak", ".tbz2"].iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn exactly_one_of_the_right_name() {
        let dir = tempfile::tempdir().unwrap();
        let claim = testing::claim("sys-libs/zlib-1.3", &[]);
        let put = |name: &str, bytes: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let shown = || find(dir.path(), &claim).unwrap_err().to_string();
        put("Packages", "index");
        assert!(shown().ends_with("found nothing"));
        put("sys-libs/zlib/zlib-1.3-2.gpkg.tar", "");
        assert!(shown().ends_with("found nothing"));
        put("sys-libs/zlib/zlib-1.3-2.gpkg.tar", "bytes");
        let artifact = find(dir.path(), &claim).unwrap();
        assert_eq!((artifact.size, artifact.digest), (5, Digest::of(b"bytes")));
        assert!(find(dir.path(), &Claim { max_artifact_bytes: 4, ..claim.clone() }).is_err());
        put("sys-libs/zlib/zlib-1.3-1.gpkg.tar", "bytes");
        assert!(shown().contains("zlib-1.3-1.gpkg.tar, sys-libs/zlib/zlib-1.3-2"));
    }
}
