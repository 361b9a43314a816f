//! Plans and epochs for scripted drones.

use serde_json::json;
use swarm_protocol::Digest;
use swarm_protocol::epoch::{Compat, Epoch, Repository};
use swarm_protocol::plan::Plan;

/// An epoch of no real configuration.
#[must_use]
pub fn epoch() -> Epoch {
    Epoch {
        base_root: Digest::of(b"base root"),
        configuration: Digest::of(b"configuration"),
        repositories: vec![Repository { name: "test".parse().unwrap(), revision: "1".to_owned() }],
        compat: Compat {
            chost: "x86_64-pc-linux-gnu".to_owned(),
            flags: vec!["CFLAGS=-O2".to_owned()],
            profile: "test:default".to_owned(),
            abi: vec!["sys-libs/glibc-2.36".to_owned()],
        },
    }
}

/// A plan of `packages`, where each `(dependent, dependency)` is a build-time and a runtime edge.
#[must_use]
pub fn plan(packages: &[&str], edges: &[(u32, u32)]) -> Plan {
    let packages: Vec<_> = packages
        .iter()
        .map(|cpv| json!({"cpv": cpv, "slot": "0", "repository": "test", "estimate_seconds": 1.0}))
        .collect();
    let edges: Vec<_> = edges.iter().map(|(from, to)| json!([from, to, ["buildtime", "runtime"]])).collect();
    serde_json::from_value(json!({ "packages": packages, "edges": edges })).unwrap()
}

/// A plan of `count` packages that do not wait for each other.
#[must_use]
pub fn flat(count: usize) -> Plan {
    let names: Vec<_> = (0..count).map(|index| format!("test/p{index}x-1")).collect();
    plan(&names.iter().map(String::as_str).collect::<Vec<_>>(), &[])
}
