//! Law 9, asked of real Portage and of many plain clients: generations are seen whole, in their order, and a path never
//! names other bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::net::Ipv4Addr;
use swarm_protocol::Digest;
use swarm_tests::binhost::{Binhost, RUN};
use swarm_tests::machines::{self, Machine};
use swarm_tests::readers::Readers;
use swarm_tests::wait;

/// Asks the binhost as emerge does, index cache and all, and prints what Portage then holds.
const SYNC: &str = r#"
import portage
bintree = portage.db[portage.root]["bintree"]
bintree.populate(getbinpkgs=True, getbinpkg_refresh=True)
for cpv in sorted(bintree.dbapi.cpv_all()):
    print(cpv, cpv.build_id)
"#;

/// What Portage runs to download: waits until the test has promoted something else.
const FETCH: &str = r#"#!/bin/sh
touch /gate/synced
tries=0
until [ -e /gate/go ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || exit 1
    sleep 0.1
done
exec wget -O "$1/$2" "$3"
"#;

/// A workstation of this URL.
fn workstation(url: &str, binds: &[String]) -> Machine {
    let machine = Machine::up("client", "workstation", binds);
    let repos = format!("[swarm]\nsync-uri = {url}\npriority = 10\nverify-signature = false\n");
    fs::write(machine.root().join("etc/portage/binrepos.conf"), repos).unwrap();
    machine
}

fn synced(machine: &Machine) -> Vec<String> {
    machine.ok(&["python3", "-c", SYNC]).lines().map(str::to_owned).collect()
}

/// A binhost that boxes reach. Portage keys its index cache by host and path: each test has a target of its own.
async fn reachable(target: &str) -> Binhost {
    machines::network();
    Binhost::start(machines::HOST.into(), target).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_promotions_within_seconds_and_a_rollback_all_reach_a_client() {
    let binhost = reachable("steps").await;
    let [one, two, three] = [1, 2, 3].map(|version| format!("test/a-{version}"));
    let mut sets = Vec::new();
    for (number, cpv) in [&one, &two, &three].into_iter().enumerate() {
        sets.push(binhost.publish(i64::try_from(number).unwrap() + 1, cpv, 1).await);
    }
    let machine = workstation(&binhost.public(""), &[]);
    // The last one is the rollback: the first set under a new TIMESTAMP.
    for (number, (set, cpv)) in [(0, &one), (1, &two), (2, &three), (0, &one)].into_iter().enumerate() {
        let _ = binhost.publish_generation(i64::try_from(number).unwrap() + 1, &[sets[set]]).await;
        assert_eq!(synced(&machine), [format!("{cpv} 1")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_synced_before_a_promotion_gets_the_bytes_that_its_index_names() {
    let binhost = reachable("paths").await;
    let old = binhost.publish(1, "test/a-1", 1).await;
    let new = binhost.publish(2, "test/a-1", 2).await;
    let _ = binhost.publish_generation(1, &[old]).await;
    let gate = binhost.path().join("gate");
    fs::create_dir(&gate).unwrap();
    fs::write(gate.join("fetch"), FETCH).unwrap();
    let machine = workstation(&binhost.public(""), &[format!("{}:/gate", gate.display())]);
    let log = binhost.path().join("client.log");
    let fetch = "FETCHCOMMAND=sh /gate/fetch ${DISTDIR} ${FILE} ${URI}";
    let emerge =
        ["emerge", "--ignore-default-opts", "--usepkgonly", "--getbinpkg", "--fetchonly", "=test/a-1"];
    let mut client = machine.spawn(&[&[fetch][..], &emerge].concat(), &log);
    wait::until(60, "the client to have read the index", async || gate.join("synced").exists().then_some(()))
        .await;
    let _ = binhost.publish_generation(2, &[new]).await;
    fs::write(gate.join("go"), "").unwrap();
    let status = client.ended(90).await;
    let said = client.output();
    assert!(status.success() && !said.contains("Digest verification failed"), "{said}");
    let fetched = machine.root().join("var/cache/binhost/swarm/test/a/a-1-1.gpkg.tar");
    assert_eq!(Digest::of(&fs::read(fetched).unwrap()), old);
    assert_eq!(synced(&machine), ["test/a-1 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn portage_reads_a_staging_view_s_many_gzip_members() {
    let binhost = reachable("members").await;
    let mut staged = Vec::new();
    for number in 1..=200 {
        let cpv = format!("test/p{number}x-1");
        let _ = binhost.publish(number, &cpv, 1).await;
        staged.push(format!("{cpv} 1"));
    }
    staged.sort();
    let gzip =
        binhost.control.staging(&binhost.target, RUN, "Packages.gz").await.unwrap().bytes().await.unwrap();
    let members = gzip.windows(3).filter(|bytes| *bytes == [0x1f, 0x8b, 8]).count();
    assert!(members > 4, "{members}");
    let served = binhost.path().join("served");
    fs::create_dir(&served).unwrap();
    // The only index that is there: Portage has to take it.
    fs::write(served.join("Packages.gz"), &gzip).unwrap();
    let machine = workstation("http://127.0.0.1:8000/", &[format!("{}:/served", served.display())]);
    let log = binhost.path().join("http.log");
    let _server = machine.spawn(&["python3", "-m", "http.server", "--directory", "/served", "8000"], &log);
    wait::until(30, "the box's server", async || {
        let connect = "import socket; socket.create_connection(('127.0.0.1', 8000))";
        machine.run(&["python3", "-c", connect]).status.success().then_some(())
    })
    .await;
    assert_eq!(synced(&machine), staged);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_among_fifty_clients_sees_a_mixed_set() {
    let binhost = Binhost::start(Ipv4Addr::LOCALHOST.into(), "readers").await;
    let mut sets: [Vec<Digest>; 2] = Default::default();
    for number in 1..=60 {
        let cpv = format!("test/p{number}x-1");
        let first = binhost.publish(number, &cpv, 1).await;
        sets[0].push(first);
        // A third of them is rebuilt, one is dropped.
        match number % 3 {
            0 => sets[1].push(binhost.publish(1000 + number, &cpv, 2).await),
            _ if number > 1 => sets[1].push(first),
            _ => {}
        }
    }
    let readers = Readers::start(50, &binhost.public(""));
    for number in 1..=20 {
        let _ = binhost.publish_generation(number, &sets[usize::from(number % 2 == 0)]).await;
    }
    let seen = readers.end().await;
    assert_eq!(seen.mixed, Vec::<String>::new());
    assert!(seen.timestamps.len() > 1 && seen.files >= 200, "{seen:?}");
}
