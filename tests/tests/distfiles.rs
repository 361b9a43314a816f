//! Source archives are fetched once for the swarm: upstream is a web server that logs what it is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use blake2::{Blake2b512, Digest as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_protocol::admin::{Attempt, NewRun, NewTarget};
use swarm_protocol::binhost::Provided;
use swarm_protocol::plan::Plan;
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine, HOST, Place};
use swarm_tests::port::Port;
use swarm_tests::process::Process;
use swarm_tests::swarm::{Settings, Swarm};
use swarm_tests::{cli, wait};

const ARCHIVE: &[u8] = b"the source of all\n";
const PLAN: &str =
    r#"{"packages": [{"cpv": "swarm-test/fetched-1", "slot": "0", "repository": "swarm-box"}], "edges": []}"#;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A web server with one archive, and a repository whose package has it for its source.
struct Upstream {
    repository: PathBuf,
    log: PathBuf,
    _server: Process,
    _port: Port,
}

impl Upstream {
    async fn start(swarm: &Swarm) -> Self {
        let (files, log) = (swarm.path().join("upstream"), swarm.path().join("upstream.log"));
        fs::create_dir(&files).unwrap();
        fs::write(files.join("fetched-1.txt"), ARCHIVE).unwrap();
        let port = Port::reserve(HOST.into());
        let mut server = Command::new("python3");
        server.args(["-u", "-m", "http.server", "--bind", &port.address.ip().to_string(), "--directory"]);
        let server = Process::start(server.arg(&files).arg(port.address.port().to_string()), &log);
        wait::until(30, "upstream to serve", async || {
            tokio::net::TcpStream::connect(port.address).await.ok().map(drop)
        })
        .await;
        let repository = machines::repository(swarm);
        package(&repository.join("swarm-test/fetched"), &format!("http://{}", port.address));
        Self { repository, log, _server: server, _port: port }
    }

    fn served(&self) -> usize {
        fs::read_to_string(&self.log).unwrap().matches("GET /fetched-1.txt").count()
    }
}

/// `RESTRICT="mirror"` keeps archives from mirrors, and does not keep a swarm from sharing them.
fn package(directory: &Path, upstream: &str) {
    fs::create_dir(directory).unwrap();
    let ebuild = format!(
        "EAPI=8\nDESCRIPTION=\"Fetched from a server\"\nSRC_URI=\"{upstream}/fetched-1.txt\"\nS=\"${{WORKDIR}}\"\n\
         LICENSE=\"public-domain\"\nSLOT=\"0\"\nKEYWORDS=\"amd64\"\nRESTRICT=\"mirror\"\n\
         src_install() {{\n\tinsinto /opt/swarm/share/swarm-test\n\tdoins \"${{DISTDIR}}/fetched-1.txt\"\n}}\n"
    );
    fs::write(directory.join("fetched-1.ebuild"), ebuild).unwrap();
    let (blake2b, sha512) = (hex(&Blake2b512::digest(ARCHIVE)), hex(&sha2::Sha512::digest(ARCHIVE)));
    let manifest = format!("DIST fetched-1.txt {} BLAKE2B {blake2b} SHA512 {sha512}\n", ARCHIVE.len());
    fs::write(directory.join("Manifest"), manifest).unwrap();
}

/// Where the binhost keeps the archive.
fn shared(swarm: &Swarm) -> PathBuf {
    let name = hex(&Blake2b512::digest(ARCHIVE));
    swarm.binhost_directory().join("distfiles").join(&name[..2]).join(&name)
}

/// Has `drone` build the package for a target of its own; the attempt, and its log.
async fn built(swarm: &Swarm, drone: &DroneMachine, target: &str) -> (Attempt, String) {
    let target = target.parse().unwrap();
    let new = NewTarget { name: target, world: vec![], provided: Provided::default() };
    swarm.admin.create_target(&new).await.unwrap();
    let plan: Plan = serde_json::from_str(PLAN).unwrap();
    let run = NewRun { epoch: Some(drone.epoch()), plan: Some(plan) };
    let run = swarm.admin.start_run(&new.name, &run).await.unwrap().id;
    swarm.run_reaches(run, RunState::Promoted, 120).await;
    let package = swarm.package(run, "swarm-test/fetched-1").await.id;
    let attempt = swarm.admin.attempts(package).await.unwrap().remove(0);
    let log = swarm.admin.log(attempt.id).await.unwrap();
    assert_eq!(attempt.drone, drone.name);
    (attempt, String::from_utf8_lossy(&log).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_serves_an_archive_once_for_three_drones_and_a_bad_copy_does_no_harm() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let upstream = Upstream::start(&swarm).await;
    let place = || Place { repository: Some(&upstream.repository), ..Place::default() };
    let mut drones = Vec::new();
    for name in ["one", "two", "three"] {
        if let Some(former) = drones.last() {
            let DroneMachine { name, .. } = former;
            cli::ok(&swarm, &format!("drone drain {name}")).await;
        }
        drones.push(DroneMachine::start_at(&swarm, name, place()).await);
        let (_, log) = built(&swarm, drones.last().unwrap(), name).await;
        let from =
            if name == "one" { "fetched-1.txt from upstream" } else { "fetched-1.txt from the binhost" };
        assert!(log.contains(from), "{log}");
        // No build waits for it.
        wait::until(30, "the archive to be the swarm's", async || shared(&swarm).exists().then_some(()))
            .await;
    }
    assert_eq!(upstream.served(), 1);
    let third = drones.last().unwrap();
    let (_, log) = built(&swarm, third, "again").await;
    assert!(log.contains("fetched-1.txt from the cache"), "{log}");

    // The binhost's disk has changed it, and the drone's cache is lost.
    fs::write(shared(&swarm), ARCHIVE.to_ascii_uppercase()).unwrap();
    let _ = third.machine.ok(&["sh", "-c", "rm /var/lib/build-drone/distfiles/*"]);
    let (attempt, log) = built(&swarm, third, "bad").await;
    assert!(log.contains("the binhost sent other bytes than were asked for; upstream is asked"), "{log}");
    assert!(log.contains("fetched-1.txt from upstream") && upstream.served() == 2, "{log}");
    assert_eq!(attempt.number, 1, "nothing failed");
    wait::until(30, "the binhost's copy to be good again", async || {
        (fs::read(shared(&swarm)).ok()? == ARCHIVE).then_some(())
    })
    .await;
    let said = fs::read_to_string(swarm.path().join("binhost.log")).unwrap();
    assert!(said.contains("a source archive has changed on the disk"), "{said}");
    // The drone's own copy may go bad as well.
    let _ =
        third.machine.ok(&["sh", "-c", "for f in /var/lib/build-drone/distfiles/*; do echo bad > $f; done"]);
    let (_, log) = built(&swarm, third, "own").await;
    assert!(log.contains("fetched-1.txt from the binhost"), "{log}");
    assert_eq!(upstream.served(), 2);
}
