//! Our reading of atoms against Portage's own: `match_from_list` and `Atom` of the base root's Portage are the oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use swarm_protocol::gentoo::{Atom, Cpv, Slot};

const BASE: &str = "/var/cache/build-swarm/roots/base";

/// What each atom matches of `[cpv, slot, IUSE, USE]`; null for what is no atom.
const ORACLE: &str = r#"
import json, sys
import portage
portage._internal_caller = True
from portage.dep import Atom, match_from_list
from portage.exception import InvalidAtom
from portage.versions import _pkg_str

class Flags:
    def __init__(self, flags): self.all = frozenset(flags)
    def is_valid_flag(self, flags):
        return flags in self.all if isinstance(flags, str) else all(flag in self.all for flag in flags)

class Use:
    def __init__(self, flags): self.enabled = frozenset(flags)

class Package:
    def __init__(self, cpv, slot, iuse, use):
        self.cpv = _pkg_str(cpv, slot=slot, repo="box")
        self.cp, self.version, self.repo = self.cpv.cp, self.cpv.version, "box"
        self.slot, self.sub_slot = self.cpv.slot, self.cpv.sub_slot
        self.cpv_split = self.cpv.cpv_split
        self.iuse, self.use = Flags(iuse), Use(use)

def matched(text, packages):
    try:
        atom = Atom(text, allow_repo=True)
        if atom.use is not None and atom.use.conditional:
            return None
    except InvalidAtom:
        return None
    return [package in match_from_list(atom, [package]) for package in packages]

question = json.load(sys.stdin)
packages = [Package(*package) for package in question["packages"]]
json.dump([matched(atom, packages) for atom in question["atoms"]], sys.stdout)
"#;

fn portage(question: &Value) -> Vec<Option<Vec<bool>>> {
    let mut python = Command::new("chroot")
        .args([BASE, "python3", "-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

type Package = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// Versions and revisions that are hard to tell apart, slots, flags.
const PACKAGES: [Package; 26] = [
    ("a/b-1", "0", &[], &[]),
    ("a/b-1-r0", "0", &[], &[]),
    ("a/b-1-r1", "0/1", &[], &[]),
    ("a/b-01", "0", &[], &[]),
    ("a/b-1.0", "1", &[], &[]),
    ("a/b-1.0-r3", "1/0", &[], &[]),
    ("a/b-1.01", "1/2", &[], &[]),
    ("a/b-1.1", "1/2.1", &[], &[]),
    ("a/b-1.10", "0/1", &[], &[]),
    ("a/b-10", "0", &[], &[]),
    ("a/b-1a", "0", &[], &[]),
    ("a/b-1a-r2", "0", &[], &[]),
    ("a/b-1_p", "0", &[], &[]),
    ("a/b-1_p0", "0", &[], &[]),
    ("a/b-1_p20240101-r1", "0", &[], &[]),
    ("a/b-1_alpha", "0", &[], &[]),
    ("a/b-1_alpha2_beta", "0", &[], &[]),
    ("a/b-1.2_rc1", "0", &[], &[]),
    ("a/b-2", "2/2.0", &["x", "y"], &["x"]),
    ("a/b-2-r10", "2", &["x", "y"], &["y"]),
    ("a/b-2.0.0", "2", &["x"], &[]),
    ("a/b-0.1", "0", &["y"], &["y"]),
    ("a/b-00.1", "0", &["x", "y", "z"], &["x", "z"]),
    ("a/b-1-2", "0", &[], &[]),
    ("a/bb-1", "0", &[], &[]),
    ("c/b-1", "0", &[], &[]),
];

fn atoms() -> Vec<String> {
    let versions = PACKAGES.iter().filter_map(|(cpv, ..)| cpv.strip_prefix("a/b-"));
    let versions: Vec<_> = versions.chain(["1.0_", "1-r", "1.", "1ab", "2-r1-r1", ""]).collect();
    let mut atoms = Vec::new();
    for operator in ["=", "~", ">", ">=", "<", "<=", "", "!=", "!!<", "==", "=>"] {
        for version in &versions {
            atoms.push(format!("{operator}a/b-{version}"));
            atoms.push(format!("{operator}a/b-{version}*"));
        }
    }
    for slot in
        ["0", "1/2", "1/2=", "2=", "*", "=", "2/2.0=", "0/", "", "0*", "0/1*", "-1", "a_b", "0==", "0/1/2"]
    {
        atoms.push(format!("a/b:{slot}"));
        atoms.push(format!(">=a/b-1:{slot}"));
        atoms.push(format!("!a/b:{slot}"));
    }
    for flag in [
        "x", "-x", "x(+)", "x(-)", "-x(+)", "-x(-)", "z", "z(+)", "-z(-)", "x?", "!x?", "x=", "!x=", "", "+x",
    ] {
        for more in ["", ",y", ",-y(-)", ",", ",y(+)"] {
            atoms.push(format!("a/b[{flag}{more}]"));
            atoms.push(format!("<a/b-3:2=[{flag}{more}]"));
        }
    }
    for other in
        ["a/b::box", "a/b::other", "a/b:0::box[x]", "a/b[x]:0", "a/b::box:0", "b", "a/b/c", "a/-b", "a/b-1:0"]
    {
        atoms.push(other.to_owned());
    }
    atoms
}

/// What we leave out on purpose: `[-x]` of a package without that flag. Which flags are implicit is not in an index, so
/// it counts as off, where Portage sees that the package does not have it.
fn is_believed(atom: &Atom, package: &Package) -> bool {
    let (.., iuse, _) = package;
    let flags = atom.as_str().split_once('[').map_or("", |(_, flags)| flags).trim_end_matches(']');
    let off = flags.split(',').filter_map(|flag| flag.strip_prefix('-')).filter(|flag| !flag.ends_with(')'));
    off.into_iter().any(|flag| !iuse.contains(&flag))
}

#[test]
fn portage_reads_and_matches_the_same() {
    if !Path::new(BASE).exists() || !rustix::process::geteuid().is_root() {
        eprintln!("no base root at {BASE}: nothing is tested");
        return;
    }
    let atoms = atoms();
    let packages: Vec<_> = PACKAGES.iter().filter(|(cpv, ..)| cpv.parse::<Cpv>().is_ok()).collect();
    let said = portage(&json!({ "atoms": atoms, "packages": packages }));
    let (mut read, mut matches, mut differ) = (0, 0, Vec::new());
    for (text, said) in atoms.iter().zip(said) {
        let atom = text.parse::<Atom>().ok();
        let ours = atom
            .as_ref()
            .map(|atom| packages.iter().map(|package| matched(atom, package)).collect::<Vec<_>>());
        let (Some(atom), Some(ours), Some(said)) = (&atom, &ours, &said) else {
            differ.extend((ours.is_some() != said.is_some()).then_some(text.as_str()));
            continue;
        };
        read += 1;
        for ((package, ours), said) in packages.iter().zip(ours).zip(said) {
            assert!(
                ours == said || is_believed(atom, package),
                "{text} {package:?}: we say {ours}, Portage {said}"
            );
            matches += usize::from(*ours);
        }
    }
    // To Portage, that is version 1 with the BUILD_ID 2.
    differ.retain(|text| !text.ends_with("a/b-1-2"));
    assert_eq!(differ, [""; 0], "read by only one of us");
    assert!(read > 300 && matches > 500, "{read} atoms, {matches} matches");
}

fn matched(atom: &Atom, (cpv, slot, iuse, on): &Package) -> bool {
    let (cpv, slot): (Cpv, Slot) = (cpv.parse().unwrap(), slot.parse().unwrap());
    atom.matches_version(&cpv)
        && atom.matches_slot(&slot)
        && atom.matches_repository("box")
        && atom.matches_use(|flag| iuse.contains(&flag), |flag| on.contains(&flag))
}
