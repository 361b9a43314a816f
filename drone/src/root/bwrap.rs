//! The arguments of `bwrap` for a spec. Pure, so that a snapshot shows the whole sandbox.
//!
//! Capabilities are kept: Portage changes owners, mounts and drops privileges itself. What isolates is the namespaces,
//! and that only the overlay and the listed directories can be written.

use super::spec::Spec;
use std::ffi::OsString;

/// The arguments that make bwrap enter `spec.merged` and run the command.
#[must_use]
pub fn arguments(spec: &Spec) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let mut add = |words: &[&std::ffi::OsStr]| all.extend(words.iter().map(|&word| word.to_owned()));
    for flag in ["--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-uts"] {
        add(&[flag.as_ref()]);
    }
    if !spec.command.network {
        add(&["--unshare-net".as_ref()]);
    }
    add(&["--hostname".as_ref(), spec.hostname.as_ref()]);
    add(&["--cap-add".as_ref(), "ALL".as_ref()]);
    add(&["--bind".as_ref(), spec.merged.as_os_str(), "/".as_ref()]);
    add(&["--proc".as_ref(), "/proc".as_ref(), "--dev".as_ref(), "/dev".as_ref()]);
    if let Some(bytes) = spec.confinement.shared_memory_bytes {
        // Unbounded, it is half of the machine's memory, and no process's.
        let bytes = bytes.to_string();
        add(&["--perms".as_ref(), "1777".as_ref(), "--size".as_ref(), bytes.as_ref()]);
        add(&["--tmpfs".as_ref(), "/dev/shm".as_ref()]);
    }
    for mount in &spec.mounts {
        let kind = if mount.read_only { "--ro-bind" } else { "--bind" };
        add(&[kind.as_ref(), mount.source.as_os_str(), mount.target.as_os_str()]);
    }
    add(&["--chdir".as_ref(), "/".as_ref(), "--clearenv".as_ref()]);
    for (name, value) in &spec.command.environment {
        add(&["--setenv".as_ref(), name.as_ref(), value.as_ref()]);
    }
    add(&["--".as_ref()]);
    all.extend(spec.command.argv.iter().map(OsString::from));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{Command, Confinement, Mount};

    fn spec(network: bool) -> Spec {
        let mount = |source: &str, target: &str, read_only| Mount {
            source: source.into(),
            target: target.into(),
            read_only,
        };
        Spec {
            parent: 1,
            lower: vec!["/base".into()],
            upper: "/state/attempts/7/upper".into(),
            work: "/state/attempts/7/work".into(),
            merged: "/state/attempts/7/root".into(),
            hostname: "build".to_owned(),
            live: false,
            mounts: vec![
                mount("/host/repo", "/var/db/repos/box", true),
                mount("/state/pkg", "/var/cache/swarm/packages", false),
            ],
            confinement: Confinement { shared_memory_bytes: Some(1 << 30), ..Confinement::default() },
            command: Command {
                argv: vec!["emerge".to_owned(), "=a/b-1".to_owned()],
                environment: [("HOME".to_owned(), "/root".to_owned())].into(),
                network,
            },
        }
    }

    fn shown(network: bool) -> String {
        let arguments = arguments(&spec(network));
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ").replace(" --", "\n--")
    }

    #[test]
    fn the_whole_sandbox() {
        insta::assert_snapshot!(shown(false));
    }

    #[test]
    fn the_network_is_shared_only_where_asked() {
        assert!(shown(false).contains("--unshare-net") && !shown(true).contains("--unshare-net"));
    }
}
