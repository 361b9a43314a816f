use super::*;
use crate::testing::Package;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A directory of packages, and a clock.
struct Pkgdir {
    directory: tempfile::TempDir,
    clock: TestClock,
}

impl Pkgdir {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), clock: TestClock(AtomicI64::new(1_800_000_000)) }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.directory.path().join(path)
    }

    fn add(&self, path: &str, package: &Package<'_>) {
        self.add_bytes(path, &package.bytes());
    }

    fn add_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        File::open(path).unwrap().set_modified(time).unwrap();
    }

    fn reindex(&self) -> Report {
        let jobs = NonZeroUsize::new(2).unwrap();
        reindex(self.directory.path(), true, jobs, &self.clock).unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path("Packages")).unwrap()
    }
}

const ZLIB: &str = "sys-libs/zlib/zlib-1.3.1-2.gpkg.tar";

#[test]
fn what_is_the_same_stays_and_what_changes_is_newer_for_clients() {
    let pkgdir = Pkgdir::new();
    pkgdir.add(ZLIB, &Package::zlib());
    let first = pkgdir.reindex();
    assert_eq!((first.packages, first.read, first.written), (1, 1, true));
    let text = pkgdir.text();
    pkgdir.clock.0.fetch_add(1, Ordering::Relaxed);
    let second = pkgdir.reindex();
    assert_eq!((second.cached, second.read, second.written), (1, 0, false));
    assert_eq!((second.timestamp, pkgdir.text()), (first.timestamp, text));

    // A moment later: a client that has the first one asks with its TIMESTAMP and five seconds.
    pkgdir.add("sys-libs/zlib/zlib-1.3.1-3.gpkg.tar", &Package::new("sys-libs/zlib-1.3.1", 3));
    let third = pkgdir.reindex();
    assert_eq!((third.cached, third.read, third.timestamp), (1, 1, first.timestamp + 6));
    for name in ["Packages", "Packages.gz"] {
        assert_eq!(fs::metadata(pkgdir.path(name)).unwrap().mtime(), third.timestamp, "{name}");
    }
    fs::remove_file(pkgdir.path("Packages.gz")).unwrap();
    let fourth = pkgdir.reindex();
    assert_eq!((fourth.written, fourth.timestamp), (true, third.timestamp));
}

#[test]
fn the_same_set_has_the_same_bytes() {
    let packages = [("a-1", 1), ("a-1", 10), ("a-1", 9), ("b-2_rc1", 1)];
    let build = |order: &[usize]| {
        let pkgdir = Pkgdir::new();
        for at in order {
            let (pf, build_id) = packages[*at];
            let package = Package::new(&format!("cat/{pf}"), build_id);
            pkgdir.add(&format!("cat/{}/{pf}-{build_id}.gpkg.tar", &pf[..1]), &package);
        }
        pkgdir.reindex();
        (pkgdir.text(), fs::read(pkgdir.path("Packages.gz")).unwrap())
    };
    let (text, gzip) = build(&[0, 1, 2, 3]);
    assert_eq!((text.clone(), gzip), build(&[3, 1, 0, 2]));
    let paths: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("PATH: cat/")).collect();
    assert_eq!(paths, ["a/a-1-1.gpkg.tar", "a/a-1-9.gpkg.tar", "a/a-1-10.gpkg.tar", "b/b-2_rc1-1.gpkg.tar"]);
}

#[test]
fn a_changed_file_is_read_again() {
    let pkgdir = Pkgdir::new();
    pkgdir.add(ZLIB, &Package::zlib());
    pkgdir.reindex();
    // As many bytes, the same second.
    let other = Package::zlib().compression("").value("SLOT", "0/7").bytes();
    pkgdir.add(ZLIB, &Package::zlib().compression("").value("SLOT", "0/8"));
    pkgdir.reindex();
    assert!(pkgdir.text().contains("SLOT: 0/8"));
    pkgdir.add_bytes(ZLIB, &other);
    let time = UNIX_EPOCH + Duration::new(1_700_000_000, 1);
    File::open(pkgdir.path(ZLIB)).unwrap().set_modified(time).unwrap();
    pkgdir.reindex();
    assert!(pkgdir.text().contains("SLOT: 0/7"));
    // And one that changes once more while it is new: its time is the run's.
    pkgdir.clock.0.store(1_700_000_001, Ordering::Relaxed);
    fs::remove_file(pkgdir.path(".Packages.reindex-cache")).unwrap();
    pkgdir.reindex();
    assert_eq!(pkgdir.reindex().cached, 0);
}

#[test]
fn what_only_an_index_knows_stays() {
    let pkgdir = Pkgdir::new();
    pkgdir.add(ZLIB, &Package::zlib());
    pkgdir.reindex();
    let text = pkgdir.text();
    let (header, entry) = text.split_once("\n\n").unwrap();
    let edited = format!("{header}\nPROFILE: default/linux\nTTL: 60\n\nDESC: a library\nODD: x\n{entry}");
    fs::write(pkgdir.path("Packages"), edited.replace("LICENSE: ZLIB", "LICENSE: other")).unwrap();
    pkgdir.reindex();
    let text = pkgdir.text();
    for line in ["PROFILE: default/linux\n", "TTL: 60\n", "DESC: a library\n", "LICENSE: ZLIB\n"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("ODD"));
    fs::write(pkgdir.path("Packages"), text.replace("VERSION: 0", "VERSION: 1")).unwrap();
    pkgdir.reindex();
    assert!(!pkgdir.text().contains("PROFILE"), "Portage would not read a header of another version");
}

#[test]
fn of_two_files_that_are_one_instance_one_is_indexed() {
    let pkgdir = Pkgdir::new();
    pkgdir.add("All/zlib-1.3.1.gpkg.tar", &Package::zlib());
    pkgdir.add("sys-libs/zlib-1.3.1.gpkg.tar", &Package::zlib());
    let report = pkgdir.reindex();
    assert_eq!((report.packages, report.left_out[0].code), (1, "shadowed"));
    assert!(pkgdir.text().contains("PATH: sys-libs/zlib-1.3.1.gpkg.tar"));
}

#[test]
fn what_a_crash_left_behind_is_no_obstacle() {
    let pkgdir = Pkgdir::new();
    pkgdir.add(ZLIB, &Package::zlib());
    for name in
        [".Packages.part", ".Packages.gz.part", ".Packages.portage_lockfile", ".Packages.reindex-cache"]
    {
        fs::write(pkgdir.path(name), "half").unwrap();
    }
    assert_eq!(pkgdir.reindex().packages, 1);
    let mut names: Vec<_> =
        fs::read_dir(pkgdir.directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".Packages.reindex-cache", "Packages", "Packages.gz", "sys-libs"]);
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let pkgdir = Pkgdir::new();
    let error = reindex(&pkgdir.path("none"), true, NonZeroUsize::MIN, &pkgdir.clock).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    assert_eq!(pkgdir.reindex().packages, 0);
    assert!(pkgdir.text().starts_with("PACKAGES: 0\n"));
}

#[test]
fn members_that_portage_takes_are_taken() {
    let pkgdir = Pkgdir::new();
    let mut members = Package::zlib().members();
    members.rotate_left(1);
    let mut bytes = Package::container(&members);
    bytes.truncate(bytes.len() - 700);
    pkgdir.add_bytes(ZLIB, &bytes);
    pkgdir.add("sys-libs/zlib-1.3.1.gpkg.tar", &Package::zlib().signed().basename("zlib-1.3.1"));
    let report = pkgdir.reindex();
    assert_eq!((report.packages, &report.left_out), (2, &vec![]));
}

/// Record locks belong to processes, so the other holder is one: Python's `lockf` is what Portage calls.
#[test]
fn portages_lock_is_waited_for() {
    let pkgdir = Pkgdir::new();
    pkgdir.add(ZLIB, &Package::zlib());
    let path = pkgdir.path(".Packages.portage_lockfile");
    let script = "import fcntl,os,sys\n\
        file=open(sys.argv[1],'w')\nfcntl.lockf(file,fcntl.LOCK_EX)\nprint('held',flush=True)\n\
        sys.stdin.read()\nos.unlink(sys.argv[1])\nprint(os.path.exists(sys.argv[2]),flush=True)";
    let mut holder = std::process::Command::new("python3")
        .args(["-c", script])
        .args([&path, &pkgdir.path("Packages")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(holder.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "held\n");
    std::thread::scope(|scope| {
        let run = scope.spawn(|| pkgdir.reindex());
        // The kernel lists who waits with an arrow.
        let own = format!(" {} ", std::process::id());
        let waits = |line: &str| line.contains("-> POSIX") && line.contains(&own);
        let start = Instant::now();
        while !fs::read_to_string("/proc/locks").unwrap().lines().any(waits) {
            assert!(start.elapsed() < Duration::from_secs(20) && !run.is_finished(), "it waits for the lock");
            std::thread::yield_now();
        }
        drop(holder.stdin.take());
        assert_eq!(run.join().unwrap().packages, 1);
    });
    line.clear();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "False\n", "the index was written before the lock was free");
    assert!(holder.wait().unwrap().success());
    assert!(!path.exists());
}
