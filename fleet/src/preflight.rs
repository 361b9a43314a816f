//! Whether a machine is fit for what is to be deployed there: a function of what was found on it. Looked at before anything
//! is touched; what only a start can show, the start shows, and is rolled back.

pub mod march;

use crate::desired::{Desired, DesiredPart};
use crate::facts::{Facts, directory};
use crate::plan::Plan;
use crate::topology::{Node, Role};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// More than this, and tickets and certificates that are good for minutes are no more: nothing is deployed.
const SKEW_REFUSED_SECONDS: i64 = 300;
/// More than this is no clock that somebody looks after.
const SKEW_WEAK_SECONDS: i64 = 10;
/// Large packages need so much, and more.
const STATE_WANTED: u64 = 10 << 30;
const MEMORY_WANTED: u64 = 2 << 30;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, but worse.
    Weak,
    /// Nothing is deployed.
    Refused,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Weak => "weak",
            Self::Refused => "REFUSED",
        })
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, and what to do about it.
    pub says: String,
}

fn note(what: &'static str, says: String) -> Finding {
    Finding { what, severity: Severity::Note, says }
}

fn weak(what: &'static str, says: String) -> Finding {
    Finding { what, severity: Severity::Weak, says }
}

fn refused(what: &'static str, says: String) -> Finding {
    Finding { what, severity: Severity::Refused, says }
}

/// What is found of a machine; `skew_seconds` is how far its clock is ahead of the swarm's.
#[must_use]
pub fn findings(
    facts: &Facts,
    node: &Node,
    desired: &Desired,
    plan: &Plan,
    skew_seconds: i64,
) -> Vec<Finding> {
    let mut found = Vec::new();
    if !desired.parts.is_empty() && !facts.root {
        found.push(refused("account", "the account is not root; say `user = \"root\"` for it".to_owned()));
    }
    found.extend(clock(skew_seconds));
    found.extend(system(facts, node, desired));
    for part in &desired.parts {
        found.extend(architecture(facts, part));
        found.extend(account(facts, part));
        found.extend(port(facts, part));
    }
    found.extend(room(facts, desired, plan));
    if node.is(Role::Drone) {
        found.extend(processor(facts, node));
        found.extend(sandbox(facts, desired));
        found.extend(reach(facts));
    }
    found
}

fn clock(skew: i64) -> Option<Finding> {
    let way = if skew > 0 { "ahead of" } else { "behind" };
    let says = format!("its clock is {} s {way} the swarm's; let chronyd or ntpd set it", skew.abs());
    match skew.abs() {
        SKEW_REFUSED_SECONDS.. => Some(refused("clock", says)),
        SKEW_WEAK_SECONDS.. => Some(weak("clock", says)),
        _ => None,
    }
}

fn system(facts: &Facts, node: &Node, desired: &Desired) -> Vec<Finding> {
    let mut found = Vec::new();
    if !facts.os.contains(&node.os) {
        let is = facts.os.join(" ");
        found.push(weak("system", format!("it is {is}, and not {} as fleet.toml says", node.os)));
    }
    match (facts.init, node.init) {
        _ if desired.parts.is_empty() => {}
        (None, _) => found.push(refused("init", "neither OpenRC nor systemd has started it".to_owned())),
        (Some(is), said) if is != said => {
            let says = format!("it runs {is}, and not {said} as fleet.toml says: `init = \"{is}\"`");
            found.push(refused("init", says));
        }
        _ => {}
    }
    if facts.machine_id.is_none() {
        let says = "it has no /etc/machine-id: dbus-uuidgen --ensure=/etc/machine-id makes one".to_owned();
        let drone = node.is(Role::Drone);
        found.push(if drone { refused("machine id", says) } else { weak("machine id", says) });
    }
    found
}

/// By the header of an ELF file (elf(5), `e_machine`); a program of another kind is not judged.
fn architecture(facts: &Facts, part: &DesiredPart) -> Option<Finding> {
    let program = part.files.first()?.content.bytes();
    let is = match program.strip_prefix(b"\x7fELF")?.get(14..16)? {
        [0x3e, 0] => "x86_64",
        [0xb7, 0] => "aarch64",
        [0xf3, 0] => "riscv64",
        [0x15, 0] => "ppc64le",
        [0x03, 0] => "i686",
        _ => return None,
    };
    let says = format!("{} is a program for {is}, and it is {}", part.part.name, facts.machine);
    (is != facts.machine).then(|| refused("architecture", says))
}

fn account(facts: &Facts, part: &DesiredPart) -> Option<Finding> {
    let (name, account) = (part.part.name, part.part.account);
    let says = format!(
        "{name} runs as {account}, which is no account there: \
         useradd --system --create-home --home-dir {} {account}",
        part.settings.state_dir
    );
    (!facts.service(name).account).then(|| refused("account", says))
}

fn port(facts: &Facts, part: &DesiredPart) -> Option<Finding> {
    let taken = part.settings.port.filter(|port| facts.listens.contains(port))?;
    let ours = facts.processes.iter().any(|process| process.name == part.part.name);
    let says = format!("port {taken} is taken, and not by {}", part.part.name);
    (!ours).then(|| refused("port", says))
}

fn room(facts: &Facts, desired: &Desired, plan: &Plan) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut needed: BTreeMap<&str, u64> = BTreeMap::new();
    for write in plan.parts.iter().flat_map(|part| &part.writes) {
        let directory = directory(&write.file.path).unwrap_or("/");
        *needed.entry(directory).or_default() += write.file.content.bytes().len() as u64;
    }
    for (directory, bytes) in needed {
        let Some(fact) = facts.directories.get(directory) else { continue };
        if !fact.writable {
            found.push(refused(
                "files",
                format!("{directory} cannot be written to: is it mounted read-only?"),
            ));
        } else if fact.free_bytes < bytes {
            let says =
                format!("{directory} has {} KiB free, and {} are needed", fact.free_bytes >> 10, bytes >> 10);
            found.push(refused("disk", says));
        }
    }
    for part in desired.parts.iter().filter(|part| part.part.role != Role::Orchestrator) {
        let directory = &part.settings.state_dir;
        let free = facts.directories.get(directory).map_or(0, |fact| fact.free_bytes);
        if free < STATE_WANTED {
            let says = format!("{} GiB free at {directory}; large packages need 10 and more", free >> 30);
            found.push(weak("disk", says));
        }
    }
    found
}

fn processor(facts: &Facts, node: &Node) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(march) = &node.march {
        match march::missing(march, &facts.cpu_flags) {
            None => found.push(note("processor", format!("nothing is known of -march={march}"))),
            Some(missing) if missing.is_empty() => {}
            Some(missing) => {
                let says = format!("its processors cannot run -march={march}: no {}", missing.join(", "));
                found.push(refused("processor", says));
            }
        }
    }
    if facts.memory_bytes < MEMORY_WANTED {
        found
            .push(weak("memory", format!("{} MiB; compilers need 2 GiB and more", facts.memory_bytes >> 20)));
    }
    found
}

/// What the drone's own preflight looks at more closely, once it is there.
fn sandbox(facts: &Facts, desired: &Desired) -> Vec<Finding> {
    let mut found = Vec::new();
    let drone = desired.parts.iter().find(|part| part.part.role == Role::Drone);
    let Some(root) = drone.and_then(|part| part.settings.base_root.as_deref()) else { return found };
    let portage = drone.and_then(|part| part.settings.portage_directory()).unwrap_or_default();
    if !facts.present.contains(&portage) {
        found.push(refused("base root", format!("{portage} is not there: unpack a stage3 at {root}")));
    }
    if root == "/" {
        if facts.portage.is_none() {
            found.push(refused("Portage", "builds on the live system need Portage there".to_owned()));
        }
        return found;
    }
    if !facts.overlay {
        found.push(refused("overlayfs", "the kernel has none: CONFIG_OVERLAY_FS".to_owned()));
    }
    let missing: Vec<_> = ["mnt", "pid", "net", "ipc", "uts"]
        .into_iter()
        .filter(|name| !facts.namespaces.contains(*name))
        .collect();
    if !missing.is_empty() {
        found.push(refused(
            "namespaces",
            format!("the kernel has no {}: CONFIG_NAMESPACES", missing.join(", ")),
        ));
    }
    if !facts.bwrap {
        found.push(refused("bwrap", "install sys-apps/bubblewrap".to_owned()));
    }
    if facts.cgroup.first().is_none_or(|version| version != "v2") {
        let says =
            "no cgroup v2: a watchdog keeps the limits; rc_cgroup_mode=\"unified\" in /etc/rc.conf gives it";
        found.push(weak("cgroup", says.to_owned()));
    }
    found
}

fn reach(facts: &Facts) -> Vec<Finding> {
    let unreached = facts.reaches.iter().filter(|(_, reached)| !**reached);
    unreached
        .map(|(name, _)| refused("network", format!("it does not reach the {name} at its URL")))
        .collect()
}

/// Machines that are one and the same: behind one address, or copied with their machine id.
#[must_use]
pub fn twins<'a>(machines: impl IntoIterator<Item = (&'a str, &'a Facts)>) -> BTreeMap<&'a str, Finding> {
    let mut by_id: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    for (name, facts) in machines {
        if let Some(id) = &facts.machine_id {
            by_id.entry(id).or_default().push(name);
        }
    }
    let several = by_id.into_values().filter(|names| names.len() > 1);
    let told = several.flat_map(|names| {
        let says = format!("{} have one machine id: one machine, or copies of one", names.join(" and "));
        names.into_iter().map(move |name| (name, refused("machine id", says.clone())))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::desired::{DesiredFile, Settings};
    use crate::facts::{DirectoryFact, ProcessFact, ServiceFact};
    use crate::part::Part;
    use crate::plan;
    use crate::topology::{Init, Topology};
    use std::path::Path;

    fn node() -> Node {
        let text = "[[node]]\nname = 'izar'\naddress = 'izar'\nmarch = 'x86-64-v2'\ninit = 'openrc'\n";
        Topology::parse(text, Path::new("fleet.toml")).unwrap().nodes.remove(0)
    }

    fn desired() -> Desired {
        let program = [b"\x7fELF".as_slice(), &[0; 14], &[0x3e, 0]].concat();
        let content = Content::new(program);
        let file = DesiredFile { path: "/usr/bin/build-drone".to_owned(), mode: 0o755, content, once: false };
        let settings = Settings {
            state_dir: "/var/lib/build-drone".to_owned(),
            base_root: Some("/base".to_owned()),
            port: Some(8080),
            ..Settings::default()
        };
        Desired {
            parts: vec![DesiredPart { part: Part::of(Role::Drone).unwrap(), files: vec![file], settings }],
        }
    }

    fn fit() -> Facts {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let directory = DirectoryFact { free_bytes: 1 << 40, writable: true };
        Facts {
            machine_id: Some("0123".to_owned()),
            machine: "x86_64".to_owned(),
            root: true,
            cpu_flags: "fpu cmov cx8 fxsr mmx syscall sse sse2 cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
                .split(' ')
                .map(str::to_owned)
                .collect(),
            memory_bytes: 8 << 30,
            os: vec!["gentoo".to_owned()],
            init: Some(Init::Openrc),
            cgroup: vec!["v2".to_owned()],
            overlay: true,
            namespaces: words("mnt pid net ipc uts"),
            bwrap: true,
            present: ["/base/etc/portage".to_owned()].into(),
            directories: [("/usr/bin", directory), ("/var/lib/build-drone", directory)]
                .map(|(name, fact)| (name.to_owned(), fact))
                .into(),
            services: [("build-drone".to_owned(), ServiceFact { account: true, ..ServiceFact::default() })]
                .into(),
            ..Facts::default()
        }
    }

    fn found(facts: &Facts, skew: i64) -> Vec<Finding> {
        findings(facts, &node(), &desired(), &plan::plan(facts, &desired()), skew)
    }

    #[test]
    fn of_a_machine_that_is_fit_there_is_nothing_to_say() {
        assert_eq!(found(&fit(), 0), []);
        let mut ours = fit();
        ours.listens.insert(8080);
        ours.processes.push(ProcessFact { name: "build-drone".to_owned(), id: 1, is_installed: true });
        assert_eq!(found(&ours, 0), [], "the port is its own");
    }

    #[test]
    fn each_thing_that_is_missing_has_its_line() {
        let changes: [fn(&mut Facts); 13] = [
            |facts| facts.root = false,
            |facts| facts.machine = "aarch64".to_owned(),
            |facts| facts.init = None,
            |facts| facts.init = Some(Init::Systemd),
            |facts| facts.machine_id = None,
            |facts| facts.directories.values_mut().for_each(|fact| fact.writable = false),
            |facts| facts.directories.values_mut().for_each(|fact| fact.free_bytes = 1),
            |facts| facts.overlay = false,
            |facts| facts.namespaces.retain(|name| name != "pid"),
            |facts| facts.bwrap = false,
            |facts| facts.present.clear(),
            |facts| facts.cpu_flags.retain(|flag| flag != "popcnt"),
            |facts| {
                facts.listens.insert(8080);
                facts.reaches = [("binhost".to_owned(), false), ("orchestrator".to_owned(), true)].into();
            },
        ];
        let lines = changes.iter().flat_map(|change| {
            let mut facts = fit();
            change(&mut facts);
            let found = found(&facts, 0);
            assert!(found.iter().any(|finding| finding.severity == Severity::Refused), "{found:?}");
            found
                .into_iter()
                .map(|finding| format!("{} {}: {}", finding.severity, finding.what, finding.says))
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_clock_an_hour_off_is_refused() {
        assert_eq!(found(&fit(), 3)[..], []);
        assert_eq!(found(&fit(), -30)[0].severity, Severity::Weak);
        let hour = found(&fit(), 3600).remove(0);
        assert_eq!((hour.severity, hour.what), (Severity::Refused, "clock"));
        assert!(hour.says.contains("3600 s ahead of"), "{}", hour.says);
    }

    #[test]
    fn one_machine_under_two_names_is_found() {
        let (one, other) = (fit(), Facts { machine_id: Some("4567".to_owned()), ..fit() });
        let found = twins([("izar", &one), ("naos", &one), ("queen", &other)]);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&"izar", &"naos"]);
        assert!(found["naos"].says.starts_with("izar and naos have one machine id"));
    }
}
