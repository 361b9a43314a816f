//! Signed packages and real Portage with `verify-signature = true`: what it installs, what it refuses, and how keys
//! come and go under it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use md5::Md5;
use sha1::{Digest as _, Sha1};
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_protocol::Digest;
use swarm_protocol::binhost::Expected;
use swarm_tests::binhost::{Binhost, expected};
use swarm_tests::gpkg::{hex, tar};
use swarm_tests::machines::{HOST, Machine, network};
use swarm_tests::port::Port;
use swarm_tests::process::Process;
use swarm_tests::wait;

const PATH: &str = "swarm-test/trivial/trivial-1-1.gpkg.tar";
const INSTALLED: &str = "opt/swarm/share/swarm-test/trivial";
const EMERGE: [&str; 6] =
    ["emerge", "--usepkgonly", "--getbinpkg", "--oneshot", "--nodeps", "=swarm-test/trivial-1"];

/// Clients know an index by host and path: each binhost has a target of its own.
async fn start(target: &str) -> Binhost {
    Binhost::start(HOST.into(), target).await
}

/// Uploads and stages a package; its published digest.
async fn stage(binhost: &Binhost, number: i64, cpv: &str, build_id: i32, bytes: Vec<u8>) -> Digest {
    let slot = if cpv.contains("libsub") { "0/1" } else { "0" };
    let expected = Expected { slot: slot.parse().unwrap(), ..expected(cpv, build_id) };
    binhost.stage(&binhost.upload_bytes(number, expected, bytes).await).await.published
}

fn key(binhost: &Binhost, arguments: &[&str]) -> String {
    binhost.command(&[&["key"], arguments].concat())
}

fn signing_key(binhost: &Binhost) -> String {
    let list = key(binhost, &["list"]);
    let line = list.lines().find(|line| line.contains("  signs  ")).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

/// What Portage builds: `trivial` with the `BUILD_ID`s 1 and 2, and `libsub`.
fn built() -> [Vec<u8>; 3] {
    let machine = Machine::up("build", "base", &[]);
    let environment = ["PKGDIR=/var/cache/built", "FEATURES=binpkg-multi-instance"];
    for cpv in ["swarm-test/trivial-1", "swarm-test/libsub-1", "swarm-test/trivial-1"] {
        let emerge = ["emerge", "--buildpkgonly", "--oneshot", "--nodeps", &format!("={cpv}")];
        let _ = machine.ok(&[&environment[..], &emerge].concat());
    }
    let paths = [PATH, "swarm-test/trivial/trivial-1-2.gpkg.tar", "swarm-test/libsub/libsub-1-1.gpkg.tar"];
    paths.map(|path| fs::read(machine.root().join("var/cache/built").join(path)).unwrap())
}

/// A workstation that trusts a binhost's keys.
fn workstation(binhost: &Binhost) -> Machine {
    let machine = Machine::up("workstation", "workstation", &[]);
    machine.trust(&binhost.url(), &binhost.target);
    machine
}

/// Portage does not install it, and says why.
fn refuses(machine: &Machine, what: &str, said: &str) {
    let output = machine.run(&EMERGE);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!machine.root().join(INSTALLED).exists(), "{what}: it was installed\n{text}");
    assert!(text.contains(said), "{what}: {said:?} is not in\n{text}");
    forget_downloads(machine);
}

fn installs(machine: &Machine, cpv: &str, file: &str) {
    let atom = format!("={cpv}");
    let text = machine.ok(&[&EMERGE[..5], &[&atom]].concat());
    assert!(machine.root().join(file).exists(), "{text}");
}

/// Portage keeps what it fetched, good or bad.
fn forget_downloads(machine: &Machine) {
    let _ = machine.ok(&["sh", "-c", "rm -rf /var/cache/binhost/* /var/cache/binpkgs/*"]);
}

type Members = Vec<(String, Vec<u8>)>;

fn members(package: &[u8]) -> Members {
    let mut archive = tar::Archive::new(package);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    entries.collect()
}

/// A server between binhost and workstation that serves other bytes, under an index that is true of them.
struct Mirror {
    directory: PathBuf,
    port: Port,
    _process: Process,
    index: String,
}

impl Mirror {
    async fn of(binhost: &Binhost) -> Self {
        let directory = binhost.path().join("mirror");
        fs::create_dir(&directory).unwrap();
        let port = Port::reserve(HOST.into());
        let mut command = Command::new("python3");
        command.args(["-m", "http.server", "--bind", &port.address.ip().to_string(), "--directory"]);
        command.arg(&directory).arg(port.address.port().to_string());
        let process = Process::start(&mut command, &binhost.path().join("mirror.log"));
        let address = port.address;
        wait::until(30, "the mirror to listen", async || TcpStream::connect(address).ok()).await;
        let index = reqwest::get(binhost.public("Packages")).await.unwrap().text().await.unwrap();
        Self { directory, port, _process: process, index }
    }

    /// Serves `package` in the place of the true one, to `machine`.
    fn serve(&self, case: usize, package: &[u8], machine: &Machine) {
        let digests = [
            ("SIZE", package.len().to_string()),
            ("MD5", hex(Md5::digest(package))),
            ("SHA1", hex(Sha1::digest(package))),
        ];
        let line = |line: &str| {
            let key = digests.iter().find(|(key, _)| line.starts_with(&format!("{key}: ")));
            key.map_or(line.to_owned(), |(key, value)| format!("{key}: {value}")) + "\n"
        };
        let directory = self.directory.join(case.to_string());
        let file = directory.join(PATH);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, package).unwrap();
        fs::write(directory.join("Packages"), self.index.lines().map(line).collect::<String>()).unwrap();
        let binrepos =
            format!("[swarm]\nsync-uri = http://{}/{case}\nverify-signature = true\n", self.port.address);
        fs::write(machine.root().join("etc/portage/binrepos.conf"), binrepos).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn portage_installs_what_we_signed_and_nothing_else() {
    network();
    let [first, second, _] = built();
    let (binhost, stranger) = (start("signed").await, start("stranger").await);
    let published = stage(&binhost, 1, "swarm-test/trivial-1", 1, first.clone()).await;
    let other = stage(&binhost, 2, "swarm-test/trivial-1", 2, second).await;
    binhost.publish_generation(1, &[published]).await;
    let strange = stage(&stranger, 1, "swarm-test/trivial-1", 1, first.clone()).await;
    let read = |binhost: &Binhost, digest: Digest| {
        let name = digest.to_string();
        fs::read(binhost.path().join("store/blobs").join(&name[..2]).join(&name)).unwrap()
    };
    let (good, other) = (members(&read(&binhost, published)), members(&read(&binhost, other)));
    let edited = |edit: &dyn Fn(&mut Members)| {
        let mut members = good.clone();
        edit(&mut members);
        tar(&members)
    };
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let machine = workstation(&binhost);
    let mirror = Mirror::of(&binhost).await;
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("a changed image", edited(&|m| flip(&mut m[3].1)), "BADSIG"),
        ("changed metadata", edited(&|m| flip(&mut m[1].1)), "BADSIG"),
        ("a changed Manifest", edited(&|m| replace(&mut m[5].1, "DATA gpkg-1 0", "DATA gpkg-1 1")), "BADSIG"),
        ("the metadata's signature for the image", edited(&|m| m[4].1 = m[2].1.clone()), "BADSIG"),
        ("no signature of the image", edited(&|m| drop(m.remove(4))), "Missing files"),
        ("another package's image", edited(&|m| m[3..5].clone_from_slice(&other_image(&other))), "mismatch"),
        (
            "another package's archives",
            edited(&|m| m[1..5].clone_from_slice(&renamed(&other[1..5]))),
            "mismatch",
        ),
        ("no signature at all", first, "NODATA"),
        ("an unknown key", read(&stranger, strange), "NO_PUBKEY"),
    ];
    for (number, (what, package, said)) in cases.into_iter().enumerate() {
        mirror.serve(number, &package, &machine);
        refuses(&machine, what, said);
    }
    mirror.serve(99, &tar(&good), &machine);
    installs(&machine, "swarm-test/trivial-1", INSTALLED);
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(std::mem::take(bytes)).unwrap();
    assert!(text.contains(from));
    *bytes = text.replace(from, to).into_bytes();
}

/// Members of BUILD_ID 2 under the directory of BUILD_ID 1.
fn renamed(members: &[(String, Vec<u8>)]) -> Members {
    members
        .iter()
        .map(|(name, bytes)| (name.replace("trivial-1-2/", "trivial-1-1/"), bytes.clone()))
        .collect()
}

fn other_image(other: &Members) -> Members {
    renamed(&other[3..5])
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_and_go_under_a_workstation() {
    network();
    let [first, second, libsub] = built();
    let binhost = start("rotated").await;
    let old = signing_key(&binhost);
    let lib = stage(&binhost, 1, "swarm-test/libsub-1", 1, libsub).await;
    let trivial = stage(&binhost, 2, "swarm-test/trivial-1", 1, first).await;
    binhost.publish_generation(1, &[lib, trivial]).await;
    let machine = workstation(&binhost);

    // A key that has expired at the client, until the binhost extends it and the client fetches it.
    expire(&machine, &binhost, &old).await;
    refuses(&machine, "an expired key", "EXPKEYSIG");
    key(&binhost, &["extend", &old]);
    machine.trust(&binhost.url(), &binhost.target);
    installs(&machine, "swarm-test/libsub-1", "opt/swarm/share/swarm-test/libsub");

    // A rotation that the client has not followed, and one that it has.
    let made = key(&binhost, &["create"]);
    let new = made.split(' ').next().unwrap();
    key(&binhost, &["use", new]);
    let rebuilt = stage(&binhost, 3, "swarm-test/trivial-1", 2, second).await;
    binhost.publish_generation(2, &[lib, rebuilt]).await;
    refuses(&machine, "a key that came later", "NO_PUBKEY");
    let script = machine.trust_script();
    let unexpected = machine.run(&["sh", &script, &binhost.public(""), &old]);
    assert!(String::from_utf8_lossy(&unexpected.stderr).contains("was not expected"), "{unexpected:?}");
    let _ = machine.ok(&["sh", &script, &binhost.public(""), &old, new]);
    installs(&machine, "swarm-test/trivial-1", INSTALLED);
    // What the old key signed is good to whoever holds both.
    forget_downloads(&machine);
    installs(&machine, "swarm-test/libsub-1", "opt/swarm/share/swarm-test/libsub");
    key(&binhost, &["remove", &old]);
    assert_eq!(signing_key(&binhost), new);
}

/// The key as it would be at its end: GnuPG itself shortens it, and the workstation gets that.
async fn expire(machine: &Machine, binhost: &Binhost, key: &str) {
    let secret = binhost.path().join("store/keys").join(format!("{key}.asc"));
    copy(&secret, &machine.root().join("root/secret.asc"));
    let gpg = "export GNUPGHOME=/root/other; mkdir -m 700 $GNUPGHOME; gpg --batch --quiet --import /root/secret.asc; \
               rm /root/secret.asc";
    let _ = machine.ok(&["sh", "-ec", gpg]);
    let _ = machine.ok(&["gpg", "--homedir=/root/other", "--batch", "--quick-set-expire", key, "seconds=1"]);
    wait::until(30, "the key to expire", async || {
        let listed =
            machine.ok(&["gpg", "--homedir=/root/other", "--batch", "--with-colons", "--list-keys", key]);
        listed.contains("pub:e:").then_some(())
    })
    .await;
    let import = "gpg --homedir /root/other --export | gpg --homedir /etc/portage/gnupg --batch --import; \
                  gpgconf --homedir /root/other --kill all";
    let _ = machine.ok(&["sh", "-ec", import]);
}

fn copy(from: &Path, to: &Path) {
    fs::write(to, fs::read(from).unwrap()).unwrap();
}
