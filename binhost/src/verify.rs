//! Verifies a whole store, reading only, beside the daemon that serves it: no lock is needed (`target::scan` says why).
//!
//! Every blob is read and hashed. Then each target is scanned: its journals must parse, each generation must have an
//! index that lists what its sidecar names, and files that are hard links of their blobs, and everything that a view or
//! a generation refers to, and every bundle, must be there. A finding names its path, and what needs it.

use crate::blobs::{self, Entry};
use crate::bundles;
use crate::error::{Doing, Error, Result};
use crate::target::scan::{Scan, scan};
use rustix::fs::{Advice, fadvise};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use swarm_protocol::Digest;

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A blob no longer has its digest.
    Damaged,
    /// A blob or a file is not there.
    Missing,
    /// A file that this program does not leave in such a place.
    Strange,
    /// A generation's file is not its blob.
    NotLinked,
    /// An index does not list what its generation has, or bears another time.
    Index,
    /// A generation's description is unreadable, or names what the journals do not know.
    Sidecar,
    /// A journal is damaged, or names what the others do not know.
    Journal,
    /// The link to the current generation leads nowhere.
    Current,
}

/// A fault in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// With this file.
    pub path: PathBuf,
    /// In a sentence.
    pub detail: String,
    /// The descriptions and journals that refer to it.
    pub needed_by: Vec<PathBuf>,
}

/// What a verification saw.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many blobs were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong; nothing, in a good store.
    pub findings: Vec<Finding>,
    /// The damaged blobs, and which inode was read.
    #[serde(skip)]
    pub(crate) damaged: Vec<(Digest, u64)>,
}

/// Verifies the store in `root`. `pace` is told of every piece that was read; it may take its time, and ends the
/// verification by an error.
pub(crate) fn verify(root: &Path, mut pace: impl FnMut(usize) -> Result<()>) -> Result<Report> {
    let directory = blobs::directory(root);
    let mut report = Report::default();
    for (entry, path) in blobs::entries(&directory)? {
        match entry {
            Entry::Blob(digest) => report.blob(digest, path, &mut pace)?,
            Entry::Damaged => {}
            Entry::Strange => report.found(Fault::Strange, path, "it is no blob"),
        }
    }
    // Only now: what is referred to from here on stays for at least a day.
    let Scan { mut findings, references } = scan_all(root, &directory)?;
    if !findings.is_empty() {
        let again = scan_all(root, &directory)?.findings;
        findings.retain(|finding| again.contains(finding));
    }
    report.findings.append(&mut findings);
    let marks = bundles::scan(root)?;
    for path in marks.strange {
        report.found(Fault::Strange, path, "it marks no bundle");
    }
    let references = [references, marks.references].concat();
    report.refer(&references, &directory)?;
    Ok(report)
}

fn scan_all(root: &Path, blobs: &Path) -> Result<Scan> {
    let targets = root.join("targets");
    let mut paths = Vec::new();
    for entry in targets.read_dir().doing("list", &targets)? {
        paths.push(entry.doing("list", &targets)?.path());
    }
    paths.sort_unstable();
    let mut all = Scan::default();
    for path in paths {
        let Scan { findings, references } = scan(&path, blobs);
        all.findings.extend(findings);
        all.references.extend(references);
    }
    Ok(all)
}

impl Report {
    fn found(&mut self, fault: Fault, path: PathBuf, detail: impl Into<String>) {
        self.findings.push(Finding { fault, path, detail: detail.into(), needed_by: Vec::new() });
    }

    fn blob(
        &mut self,
        digest: Digest,
        path: PathBuf,
        pace: &mut impl FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        match read(&path, pace) {
            // It was collected.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            // A read that fails is a damaged disk, and no reason to leave the other blobs unread.
            Err(Error::Io { doing, source }) if source.kind() != ErrorKind::Interrupted => {
                self.found(Fault::Damaged, path, format!("{doing}: {source}"));
            }
            Err(error) => return Err(error),
            Ok(read) => {
                self.blobs += 1;
                self.bytes += read.bytes;
                if read.digest != digest {
                    let detail = format!("its {} bytes have the digest {}", read.bytes, read.digest);
                    self.found(Fault::Damaged, path, detail);
                    self.damaged.push((digest, read.inode));
                }
            }
        }
        Ok(())
    }

    /// Says what needs each bad blob, and which ones are needed and not there.
    fn refer(&mut self, references: &[(Digest, PathBuf)], directory: &Path) -> Result<()> {
        let mut needed: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
        for (digest, by) in references {
            let by_all = needed.entry(blobs::place(directory, *digest)).or_default();
            if by_all.last() != Some(by) {
                by_all.push(by.clone());
            }
        }
        let known: HashSet<PathBuf> = self.findings.iter().map(|finding| finding.path.clone()).collect();
        let mut missing = Vec::new();
        for path in needed.keys().filter(|path| !known.contains(*path)) {
            if !path.try_exists().doing("look for", path)? {
                missing.push(path.clone());
            }
        }
        missing.sort_unstable();
        for path in missing {
            self.found(Fault::Missing, path, "it is needed, and not there");
        }
        for finding in &mut self.findings {
            finding.needed_by = needed.remove(&finding.path).unwrap_or_default();
        }
        Ok(())
    }
}

struct Seen {
    digest: Digest,
    bytes: u64,
    inode: u64,
}

fn read(path: &Path, pace: &mut impl FnMut(usize) -> Result<()>) -> Result<Seen> {
    let mut file = File::open(path).doing("open", path)?;
    let inode = file.metadata().doing("look at", path)?.ino();
    // What the kernel still has in memory says nothing of the disk. Only a hint: without it, less is seen.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    let mut hasher = blake3::Hasher::new();
    let (mut bytes, mut chunk) = (0, vec![0; CHUNK]);
    loop {
        let length = file.read(&mut chunk).doing("read", path)?;
        if length == 0 {
            break;
        }
        hasher.update(&chunk[..length]);
        bytes += length as u64;
        pace(length)?;
    }
    Ok(Seen { digest: hasher.finalize().into(), bytes, inode })
}
