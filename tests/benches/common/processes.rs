//! What the swarm's processes take of the machine, as the kernel counts it: resident memory, processor time.

use super::report;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::fs;
use swarm_tests::process::Process;
use swarm_tests::swarm::Swarm;

/// The unit in which `/proc` counts processor time, in all of Linux's ABIs.
const USER_HZ: f64 = 100.0;

/// The daemons of a swarm, by name.
fn daemons(swarm: &Swarm) -> [(&'static str, u32); 3] {
    [("orchestrator", &swarm.orchestrator), ("binhost", &swarm.binhost), ("redis", &swarm.redis)]
        .map(|(name, process)| (name, process.as_ref().map(Process::id).unwrap()))
}

/// Prints what the swarm's processes hold.
pub(crate) fn memory(swarm: &Swarm, when: &str) {
    for (name, pid) in daemons(swarm) {
        memory_of(name, pid, when);
    }
    memory_of_postgres(when);
}

/// Seconds of processor time that each of the swarm's processes has taken; the simulated drones are this process.
pub(crate) fn processor_seconds(swarm: &Swarm) -> BTreeMap<&'static str, f64> {
    let others = [("postgres", postmaster()), ("drones", std::process::id())];
    daemons(swarm).into_iter().chain(others).map(|(name, pid)| (name, processor_seconds_of(pid))).collect()
}

/// Of one process and those that descend from it and live. A daemon's threads are counted when they have ended, too.
fn processor_seconds_of(root: u32) -> f64 {
    let ticks = |pid: u32| -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name, in parentheses, may hold spaces. utime and stime are fields 14 and 15 of proc(5).
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().ok()).sum()
    };
    // Only the swarm's descend: what the bench starts is no part of the drones.
    let processes = if root == std::process::id() { vec![root] } else { tree(root) };
    processes.into_iter().filter_map(ticks).sum::<f64>() / USER_HZ
}

/// Prints what one process holds: `VmRSS` now, `RssAnon` of it the process's own, `VmHWM` the most it ever held.
pub(crate) fn memory_of(name: &str, pid: u32, when: &str) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut line = Map::new();
    line.extend(
        [("name", "memory"), ("process", name), ("when", when), ("unit", "KiB")]
            .map(|(k, v)| (k.into(), v.into())),
    );
    for key in ["VmRSS", "RssAnon", "VmHWM"] {
        line.insert(key.to_owned(), kib(&status, key).into());
    }
    report::line(&line.into());
}

/// Postgres is many processes that share memory, so each page is divided among those that map it.
fn memory_of_postgres(when: &str) {
    let processes = tree(postmaster());
    let pss: u64 = processes
        .iter()
        // A backend may end meanwhile.
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok())
        .map(|rollup| kib(&rollup, "Pss"))
        .sum();
    report::line(&json!({
        "name": "memory", "process": "postgres", "when": when, "unit": "KiB", "processes": processes.len(), "Pss": pss,
    }));
}

/// The server's first process.
fn postmaster() -> u32 {
    let directory = std::env::var("SWARM_TEST_POSTGRES").unwrap();
    let file = fs::read_to_string(format!("{directory}/data/postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

/// `key:   123 kB`; 0 where a process has no memory of its own.
fn kib(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A process and all that descend from it.
fn tree(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
        next += 1;
    }
    all
}

/// The process of that name below `root`: a box's programs have other ids inside than outside.
pub(crate) fn below(root: u32, name: &str) -> u32 {
    let named =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    tree(root).into_iter().find(named).unwrap()
}
