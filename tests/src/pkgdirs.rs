//! Directories of binary packages (PKGDIRs) that real Portage fills, indexes and reads, for `build-binhost reindex` to be
//! compared with.

use crate::machines::Machine;
use crate::process::binary;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Fills a directory with packages, by Portage's own writers.
const FILL: &str = include_str!("pkgdir.py");

/// Prints an index as Portage reads it: header and entries, defaults and inherited keys in place.
const READ: &str = r#"
import json, portage
index = portage.db[portage.root]["bintree"]._load_pkgindex()
print(json.dumps([index.header, index.packages]))
"#;

/// Values by key.
pub type Values = BTreeMap<String, String>;

/// An index as Portage reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    /// The header.
    pub header: Values,
    /// The entries by their PATH.
    pub entries: BTreeMap<String, Values>,
}

/// A machine with Portage, and directories that it shares with the host.
pub struct Pkgdirs {
    /// The machine.
    pub machine: Machine,
    shared: TempDir,
}

impl Pkgdirs {
    /// Starts the machine.
    #[must_use]
    pub fn start() -> Self {
        let shared = tempfile::tempdir().unwrap();
        let mut binds = vec![format!("{}:/pkgdirs", shared.path().display())];
        // Debian's root has no lz4, but its library.
        if Path::new("/usr/bin/lz4").exists() {
            binds.push("/usr/bin/lz4:/usr/bin/lz4:ro".to_owned());
        }
        fs::write(shared.path().join("fill.py"), FILL).unwrap();
        fs::write(shared.path().join("read.py"), READ).unwrap();
        Self { machine: Machine::up("portage", "base", &binds), shared }
    }

    /// A directory, as the host sees it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }

    /// Writes packages into a directory; `pkgdir.py` tells what kinds there are.
    pub fn fill(&self, name: &str, seed: u32, count: u32, kind: &str) {
        let (directory, seed, count) = (format!("/pkgdirs/{name}"), seed.to_string(), count.to_string());
        let _ = self.machine.ok(&["python3", "/pkgdirs/fill.py", &directory, &seed, &count, kind]);
    }

    /// Copies what is in a directory into another, times included.
    pub fn copy(&self, from: &str, to: &str) {
        let copied = Command::new("cp").arg("-aT").args([self.path(from), self.path(to)]).status().unwrap();
        assert!(copied.success());
    }

    /// Runs `emaint binhost` on a directory.
    pub fn emaint(&self, name: &str, action: &str) {
        let directory = format!("PKGDIR=/pkgdirs/{name}");
        let _ = self.machine.ok(&[&directory, "emaint", "binhost", action]);
    }

    /// Runs `build-binhost reindex` on a directory.
    #[must_use]
    pub fn reindex(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("build-binhost"));
        command.arg("reindex").arg(self.path(name)).args(arguments).output().unwrap()
    }

    /// The same, which must succeed; returns its report.
    #[must_use]
    pub fn reindex_ok(&self, name: &str) -> Value {
        let output = self.reindex(name, &["--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The index of a directory.
    #[must_use]
    pub fn index(&self, name: &str) -> Index {
        let read = ["python3", "/pkgdirs/read.py"];
        let text = self.machine.ok(&[&[&*format!("PKGDIR=/pkgdirs/{name}")], &read[..]].concat());
        let (header, entries): (Values, Vec<Values>) = serde_json::from_str(&text).unwrap();
        let count = entries.len();
        let entries: BTreeMap<_, _> =
            entries.into_iter().map(|entry| (entry["PATH"].clone(), entry)).collect();
        assert_eq!(entries.len(), count, "each path comes once");
        Index { header, entries }
    }
}
