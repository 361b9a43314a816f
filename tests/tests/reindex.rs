//! `build-binhost reindex` beside `emaint binhost --fix` of real Portage: the same entries, keys and values, for whatever
//! Portage writes and for what it refuses. Both indexes are read by Portage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use swarm_tests::pkgdirs::{Index, Pkgdirs, Values};

/// Compares entry by entry, so that a failure names the difference.
fn assert_same_entries(portage: &Index, ours: &Index) {
    for (path, entry) in &portage.entries {
        let own = ours.entries.get(path).unwrap_or_else(|| panic!("{path} is not in our index"));
        let keys: std::collections::BTreeSet<_> = entry.keys().chain(own.keys()).collect();
        for key in keys {
            assert_eq!(own.get(key), entry.get(key), "{key} of {path}");
        }
    }
    let more: Vec<_> = ours.entries.keys().filter(|path| !portage.entries.contains_key(*path)).collect();
    assert!(more.is_empty(), "only in our index: {more:?}");
}

/// The header without what differs between two runs.
fn lasting(header: &Values) -> Values {
    header
        .iter()
        .filter(|(key, _)| *key != "TIMESTAMP")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else if !entry.file_name().to_string_lossy().contains("Packages") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn set_time(path: &Path, seconds: u64) {
    File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::new(seconds, 1000)).unwrap();
}

/// Removes, touches and replaces some of the files, always the same ones.
fn change(directory: &Path) {
    for (number, path) in files(directory).iter().enumerate() {
        match number % 7 {
            0 => fs::remove_file(path).unwrap(),
            1 => set_time(path, 1_710_000_000),
            // Other bytes at the same path; for an XPAK they are of no consequence but for the digests.
            2 if path.extension().is_some_and(|suffix| suffix == "tbz2" || suffix == "xpak") => {
                let bytes = [b"more", fs::read(path).unwrap().as_slice()].concat();
                fs::write(path, bytes).unwrap();
                set_time(path, 1_720_000_000);
            }
            _ => {}
        }
    }
}

#[test]
fn the_index_is_what_emaint_makes() {
    let pkgdirs = Pkgdirs::start();
    pkgdirs.fill("ours", 1, 300, "varied");
    pkgdirs.copy("ours", "portage");
    pkgdirs.emaint("portage", "--fix");
    let report = pkgdirs.reindex_ok("ours");
    assert_eq!((report["cached"].as_u64(), report["written"].as_bool()), (Some(0), Some(true)));
    let (portage, ours) = (pkgdirs.index("portage"), pkgdirs.index("ours"));
    assert!(ours.entries.len() > 250, "{}", ours.entries.len());
    assert_same_entries(&portage, &ours);
    for (key, value) in lasting(&ours.header) {
        assert_eq!(portage.header.get(&key), Some(&value), "{key} in the header");
    }

    // With the header that Portage made, once more, after files have come, gone and changed.
    fs::copy(pkgdirs.path("portage/Packages"), pkgdirs.path("ours/Packages")).unwrap();
    pkgdirs.fill("more", 2, 40, "varied");
    for name in ["ours", "portage"] {
        change(&pkgdirs.path(name));
        pkgdirs.copy("more", name);
    }
    pkgdirs.emaint("portage", "--fix");
    let report = pkgdirs.reindex_ok("ours");
    assert!(report["cached"].as_u64() > Some(150), "{report}");
    let (portage, ours) = (pkgdirs.index("portage"), pkgdirs.index("ours"));
    assert_same_entries(&portage, &ours);
    assert_eq!(lasting(&ours.header), lasting(&portage.header));

    // What the cache had is what the files have.
    let text = fs::read(pkgdirs.path("ours/Packages")).unwrap();
    fs::remove_file(pkgdirs.path("ours/.Packages.reindex-cache")).unwrap();
    let again = pkgdirs.reindex_ok("ours");
    assert_eq!((again["cached"].as_u64(), again["written"].as_bool()), (Some(0), Some(false)));
    assert_eq!(fs::read(pkgdirs.path("ours/Packages")).unwrap(), text);

    // And Portage finds nothing to be fixed in it.
    pkgdirs.emaint("ours", "--check");
    pkgdirs.emaint("ours", "--fix");
    assert_eq!(fs::read(pkgdirs.path("ours/Packages")).unwrap(), text);
    let mut unpacked = Vec::new();
    let gzip = File::open(pkgdirs.path("ours/Packages.gz")).unwrap();
    flate2::read::GzDecoder::new(gzip).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
}

/// Portage takes a file without compression for one compressed by `BINPKG_COMPRESS`, so these need a directory and a
/// configuration of their own.
#[test]
fn packages_without_compression() {
    let pkgdirs = Pkgdirs::start();
    configure(&pkgdirs, "BINPKG_COMPRESS=none");
    pkgdirs.fill("ours", 3, 40, "uncompressed");
    pkgdirs.copy("ours", "portage");
    pkgdirs.emaint("portage", "--fix");
    let _ = pkgdirs.reindex_ok("ours");
    let (portage, ours) = (pkgdirs.index("portage"), pkgdirs.index("ours"));
    assert!(ours.entries.len() > 30, "{}", ours.entries.len());
    assert_same_entries(&portage, &ours);
}

fn configure(pkgdirs: &Pkgdirs, lines: &str) {
    let script = format!("echo '{lines}' >> /etc/portage/make.conf");
    let _ = pkgdirs.machine.ok(&["sh", "-c", &script]);
}

/// What emerge itself writes, in each format and compression.
#[test]
fn what_emerge_wrote() {
    let pkgdirs = Pkgdirs::start();
    let kinds = ["gzip", "bzip2", "xz", "zstd", "lz4", "none", "xpak"];
    for kind in kinds {
        let format = if kind == "xpak" { "BINPKG_FORMAT=xpak" } else { "BINPKG_FORMAT=gpkg" };
        let compression = if kind == "xpak" { "bzip2" } else { kind };
        configure(&pkgdirs, &format!("{format}\nBINPKG_COMPRESS={compression}"));
        let directory = format!("PKGDIR=/pkgdirs/{kind}");
        let _ =
            pkgdirs.machine.ok(&[&directory, "emerge", "--quiet", "--buildpkgonly", "swarm-test/trivial"]);
        pkgdirs.copy(kind, "ours");
        fs::remove_file(pkgdirs.path("ours/Packages")).unwrap();
        let report = pkgdirs.reindex_ok("ours");
        assert_eq!(report["packages"], 1, "{kind}: {report}");
        pkgdirs.emaint(kind, "--fix");
        assert_same_entries(&pkgdirs.index(kind), &pkgdirs.index("ours"));
        fs::remove_dir_all(pkgdirs.path("ours")).unwrap();
    }
}

/// What is no package, and what cannot be read, is said and left out; the rest is indexed.
#[test]
fn what_is_no_package_is_left_out() {
    let pkgdirs = Pkgdirs::start();
    pkgdirs.fill("ours", 4, 8, "300");
    let directory = pkgdirs.path("ours");
    let whole = files(&directory);
    let bytes = fs::read(&whole[0]).unwrap();
    let place = directory.join("app-misc");
    fs::write(place.join("cut-1.gpkg.tar"), &bytes[..bytes.len() / 3]).unwrap();
    fs::write(place.join("empty-1.gpkg.tar"), "").unwrap();
    fs::write(place.join("text-1.tbz2"), "no XPAK at all").unwrap();
    let mut flipped = bytes.clone();
    flipped[1600] ^= 1;
    fs::write(place.join("flipped-1.gpkg.tar"), flipped).unwrap();
    std::os::unix::fs::symlink(&whole[0], place.join("link-1.gpkg.tar")).unwrap();
    std::os::unix::fs::symlink(&place, directory.join("linked")).unwrap();
    fs::create_dir(place.join("directory-1.gpkg.tar")).unwrap();
    assert!(
        std::process::Command::new("mkfifo").arg(place.join("pipe-1.gpkg.tar")).status().unwrap().success()
    );
    fs::write(directory.join("Packages"), "garbage\r\nVERSION: 0\nCHOST: x\nURI: http://kept\n\n\0\nCPV\n")
        .unwrap();
    pkgdirs.copy("ours", "portage");

    let output = pkgdirs.reindex("ours", &["--json", "--strict"]);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["packages"], 8);
    let left_out: BTreeMap<_, _> = report["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["path"].as_str().unwrap(), one["code"].as_str().unwrap()))
        .collect();
    let invalid = ["cut", "empty", "flipped"].map(|name| format!("app-misc/{name}-1.gpkg.tar"));
    let mut expected: BTreeMap<_, _> =
        invalid.iter().map(|path| (path.as_str(), "invalid_package")).collect();
    expected.insert("app-misc/text-1.tbz2", "invalid_package");
    assert_eq!(left_out, expected);
    assert_eq!(pkgdirs.reindex("ours", &[]).status.code(), Some(0), "without --strict that is no failure");
    let ours = pkgdirs.index("ours");
    assert_eq!(
        (ours.header.get("URI").map(String::as_str), ours.header["CHOST"].as_str()),
        (Some("http://kept"), "x")
    );

    // Portage's tar reader gives up on an empty file, and emaint with it.
    fs::remove_file(pkgdirs.path("portage/app-misc/empty-1.gpkg.tar")).unwrap();
    pkgdirs.emaint("portage", "--fix");
    assert_same_entries(&pkgdirs.index("portage"), &ours);
}
