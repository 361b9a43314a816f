//! Where everything is: nodes, addresses, files, configurations.

use super::{GRACE, HERE, PORT};
use crate::fault::Who;
use crate::wire::Node;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use swarm_tests::swarm::output;

/// The node where a process runs. Redis and Postgres are reached by sockets of the file system.
pub(super) fn node(who: Who) -> Node {
    match who {
        Who::Orchestrator(number) => Node(1 + number),
        Who::Binhost => Node(3),
        Who::Drone(number) => Node(4 + number),
        Who::Redis | Who::Postgres => HERE,
    }
}

pub(super) fn listens(who: Who) -> SocketAddr {
    (node(who).address(), PORT).into()
}

pub(super) fn log_of(who: Who) -> String {
    match who {
        Who::Orchestrator(number) => format!("orchestrator-{number}.log"),
        Who::Binhost => "binhost.log".to_owned(),
        Who::Drone(number) => format!("drone-{number}.log"),
        Who::Redis | Who::Postgres => "redis.log".to_owned(),
    }
}

pub(super) fn config_of(orchestrator: usize) -> String {
    ["orchestrator.toml", "second.toml"][orchestrator].to_owned()
}

/// Writes the daemons' configurations; an admin's token.
pub(super) fn configure(path: &Path, database: &str) -> String {
    let binhost = listens(Who::Binhost);
    for number in 0..2 {
        let config = format!(
            "listen = \"{listen}\"\nticket_key_file = \"{0}/ticket.key\"\n[database]\nurl = \"{database}\"\n\
             [redis]\nurl = \"redis+unix://{0}/redis.sock\"\n[binhost]\nurl = \"http://{binhost}\"\n\
             [times]\nheartbeat_seconds = 1\ngrace_seconds = {GRACE}\nmaintenance_seconds = 1\n\
             grounded_seconds = 1\n[retries]\nfirst_pause_seconds = 0\n",
            path.display(),
            listen = listens(Who::Orchestrator(number)),
        );
        fs::write(path.join(config_of(number)), config).unwrap();
    }
    let key = output(&["ticket-key"], path);
    let token = output(&["token"], path);
    let config = format!(
        "listen = \"{binhost}\"\ndirectory = \"{}/binhost\"\nticket_key = \"{key}\"\n",
        path.display()
    );
    fs::write(path.join("binhost.toml"), config).unwrap();
    token
}
