//! `swarm fleet` and the servers: a binhost that is reached by way of another machine, an orchestrator beside another one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use swarm_protocol::client::AdminClient;
use swarm_tests::cli::Said;
use swarm_tests::fleet::{self, Fleet};
use swarm_tests::machines::{self, Machine};
use swarm_tests::swarm::{Settings, Swarm, output};
use swarm_tests::wait;

/// What came of the only machine.
fn result(said: &Said) -> String {
    let rows: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    rows[0]["result"].as_str().unwrap().to_owned()
}

/// Makes the account that a daemon runs as.
fn account(machine: &Machine, name: &str) {
    let home = format!("/var/lib/{name}");
    let _ = machine.ok(&["useradd", "--system", "--create-home", "--home-dir", &home, name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binhost_behind_a_jump_host() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let fleet = Fleet::new(&swarm, &["gate", "store"]);
    let (gate, store) = (fleet.node("gate"), fleet.node("store"));
    let ip = store.ip();
    let ticket_key = output(&["ticket-key"], swarm.path());
    let config = format!(
        "listen = \"{{{{address}}}}:8410\"\ndirectory = \"/var/lib/build-binhost\"\nticket_key = \"{ticket_key}\"\n"
    );
    let node = format!(
        "roles = [\"binhost\"]\njump = \"root@{}:22\"\nconfig = {{ binhost = \"binhost.toml\" }}\n",
        gate.ip()
    );
    fleet.last_is(&swarm, &node, ("binhost.toml", &config));
    fleet.program("build-binhost", &fleet::stripped("build-binhost"));
    // From here it is reached by way of the other only.
    let _ = store.ok(&["ip", "route", "add", "unreachable", "10.88.0.1"]);

    let said = fleet.types(&swarm, "deploy store --json").await;
    assert!(said.code == 1 && said.stdout.contains("useradd --system --create-home"), "{said:?}");
    account(store, "build-binhost");
    let said = fleet.types(&swarm, "deploy store --json").await;
    assert_eq!((said.code, &*result(&said)), (0, "done"), "{said:?}");
    let _ = gate.ok(&["curl", "-sS", "--fail", &format!("http://{ip}:8410/readyz")]);
    let said = fleet.types(&swarm, "deploy store --json").await;
    assert_eq!((said.code, &*result(&said)), (0, "unchanged"), "{said:?}");

    fs::write(fleet.files.join("known_hosts"), format!("{ip} {}\n", fleet::host_key(store))).unwrap();
    let said = fleet.types(&swarm, "status store --json").await;
    assert!(
        said.code == 1 && said.stdout.contains("by way of root@"),
        "its key is not pinned any more: {said:?}"
    );
}

/// A directory with the sockets of the swarm's Postgres and Redis, for any account.
fn sockets(swarm: &Swarm) -> PathBuf {
    let directory = swarm.path().join("sockets");
    fs::create_dir(&directory).unwrap();
    let postgres = std::env::var("SWARM_TEST_POSTGRES").unwrap();
    let redis = swarm.path().join("redis.sock");
    fs::set_permissions(&redis, fs::Permissions::from_mode(0o777)).unwrap();
    for socket in [Path::new(&postgres).join(".s.PGSQL.5432"), redis] {
        fs::hard_link(&socket, directory.join(socket.file_name().unwrap())).unwrap();
    }
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_beside_another_one() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let binds = [format!("{}:/srv/sockets", sockets(&swarm).display())];
    let fleet = Fleet::with(&swarm, &["queen"], &binds);
    let queen = fleet.node("queen");
    let (database, _) = swarm.database.url.split_once('?').unwrap();
    let config = format!(
        "listen = \"{{{{address}}}}:8400\"\nticket_key_file = \"/etc/build-swarm/ticket.key\"\n\
         [database]\nurl = \"{database}?host=/srv/sockets\"\n\
         [redis]\nurl = \"redis+unix:///srv/sockets/redis.sock\"\n[binhost]\nurl = \"{{{{binhost_url}}}}\"\n"
    );
    let node = "roles = [\"orchestrator\"]\nconfig = { orchestrator = \"orchestrator.toml\" }\n";
    fleet.last_is(&swarm, node, ("orchestrator.toml", &config));
    let program = fleet::stripped("build-orchestrator");
    fleet.program("build-orchestrator", &program);
    account(queen, "build-orchestrator");
    let key = fs::read(swarm.path().join("ticket.key")).unwrap();
    fs::create_dir_all(queen.root().join("etc/build-swarm")).unwrap();
    fs::write(queen.root().join("etc/build-swarm/ticket.key"), key).unwrap();
    // Nobody writes a syslog there.
    let log = "output_log=/var/lib/build-orchestrator/log\n";
    fs::create_dir_all(queen.root().join("etc/conf.d")).unwrap();
    fs::write(queen.root().join("etc/conf.d/build-orchestrator"), log).unwrap();
    let _ = queen.ok(&["chown", "build-orchestrator", "/etc/build-swarm/ticket.key"]);
    let _ = queen.ok(&["chmod", "600", "/etc/build-swarm/ticket.key"]);

    let said = fleet.types(&swarm, "deploy --json").await;
    assert_eq!((said.code, &*result(&said)), (0, "done"), "{said:?}");
    let url = format!("http://{}:8400", queen.ip());
    let second = AdminClient::new(&url, swarm.token.clone());
    assert_eq!(second.status(None).await.unwrap().targets.len(), 1, "it is of the same swarm");
    let owner = queen.ok(&["ps", "-C", "build-orchestra", "-o", "user:20="]);
    assert_eq!(owner.trim(), "build-orchestrator");
    let said = fleet.types(&swarm, "deploy --json").await;
    assert_eq!((said.code, &*result(&said)), (0, "unchanged"), "{said:?}");

    // One that says its version, and does not serve.
    let broken = "#!/bin/sh\ncase $* in --version | *--check-config) exit 0 ;; esac\n\
                  echo 'build-orchestrator: it has no heart' >&2\nexit 1\n";
    fleet.program("build-orchestrator", broken.as_bytes());
    let said = fleet.types(&swarm, "deploy --json --verify-seconds 8").await;
    assert_eq!((said.code, &*result(&said)), (1, "rolled_back"), "{said:?}");
    assert!(
        said.stdout.contains("within 8 s: build-orchestrator: it has no heart; what ran before"),
        "{said:?}"
    );
    assert!(fs::read(queen.root().join("usr/bin/build-orchestrator")).unwrap() == program);
    wait::until(30, "what ran before to serve again", async || second.status(None).await.ok()).await;
}
