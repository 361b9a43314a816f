//! Timers of systemd: what `systemctl show` says of them. systemd has read the unit files itself, so what it says is what
//! it does; systemd-cron's timers are among them.

use super::command::{self, Starts};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// A timer whose service is a nightly update.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Its unit.
    pub(crate) unit: String,
    /// What its service starts.
    pub(crate) starts: Starts,
    /// The account that does.
    pub(crate) account: String,
    /// When it is due next, as systemd says it; nothing where it never is.
    pub(crate) next: Option<String>,
    /// Whether it waits for its time.
    pub(crate) active: bool,
    /// Whether it begins with the machine.
    pub(crate) enabled: bool,
    /// Whether its file has changed since it was read.
    pub(crate) changed: bool,
}

/// Whether systemd runs this machine (`sd_booted(3)`).
pub(crate) fn runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Those that systemd has loaded.
pub(crate) fn timers() -> Vec<Timer> {
    let timers = show(
        &["*.timer", "--all"],
        "Id,Unit,ActiveState,UnitFileState,NextElapseUSecRealtime,NeedDaemonReload",
    );
    let services: Vec<_> = timers.iter().filter_map(|timer| timer.get("Unit").map(String::as_str)).collect();
    if services.is_empty() {
        return vec![];
    }
    read(&timers, &show(&services, "Id,ExecStart,User"))
}

type Properties = BTreeMap<String, String>;

fn show(units: &[&str], properties: &str) -> Vec<Properties> {
    let mut command = Command::new("systemctl");
    command.arg("show").args(["--property", properties]).args(units).stdin(Stdio::null()).env("LC_ALL", "C");
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    blocks(&String::from_utf8_lossy(&output))
}

/// One block of `Name=value` lines for each unit.
fn blocks(text: &str) -> Vec<Properties> {
    let block = |text: &str| -> Properties {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    text.split("\n\n").map(block).filter(|block| !block.is_empty()).collect()
}

fn read(timers: &[Properties], services: &[Properties]) -> Vec<Timer> {
    let get = |block: &Properties, name: &str| block.get(name).cloned().unwrap_or_default();
    let timer = |timer: &Properties| {
        let unit = get(timer, "Unit");
        let service = services.iter().find(|service| get(service, "Id") == unit)?;
        let starts = command::read(&argv(&get(service, "ExecStart")));
        let next = get(timer, "NextElapseUSecRealtime");
        let account = get(service, "User");
        (!matches!(starts, Starts::Other)).then(|| Timer {
            unit: get(timer, "Id"),
            starts,
            account: if account.is_empty() { "root".to_owned() } else { account },
            next: Some(next).filter(|next| !next.is_empty() && next != "n/a"),
            active: get(timer, "ActiveState") == "active",
            enabled: get(timer, "UnitFileState") != "disabled",
            changed: get(timer, "NeedDaemonReload") == "yes",
        })
    };
    timers.iter().filter_map(timer).collect()
}

/// Of `{ path=/usr/bin/swarm ; argv[]=/usr/bin/swarm nightly desktop ; ignore_errors=no ; … }`, one for each command.
fn argv(exec: &str) -> String {
    let commands = exec.split("argv[]=").skip(1).filter_map(|text| text.split(" ; ignore_errors=").next());
    commands.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: &str = "Unit=swarm-nightly@desktop.service
NextElapseUSecRealtime=Mon 2026-11-23 03:17:00 UTC
Id=swarm-nightly@desktop.timer
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no

Unit=logrotate.service
NextElapseUSecRealtime=Mon 2026-11-23 00:00:00 UTC
Id=logrotate.timer
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no

Unit=swarm-nightly@laptop.service
NextElapseUSecRealtime=
Id=swarm-nightly@laptop.timer
ActiveState=inactive
UnitFileState=disabled
NeedDaemonReload=yes
";
    const SERVICES: &str = "User=
ExecStart={ path=/usr/bin/swarm ; argv[]=/usr/bin/swarm nightly desktop --wait ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
Id=swarm-nightly@desktop.service

User=builder
ExecStart={ path=/usr/bin/swarm ; argv[]=/usr/bin/swarm nightly laptop ; ignore_errors=no ; start_time=[n/a] }
Id=swarm-nightly@laptop.service

ExecStart={ path=/usr/sbin/logrotate ; argv[]=/usr/sbin/logrotate /etc/logrotate.conf ; ignore_errors=no }
Id=logrotate.service
";

    #[test]
    fn what_systemctl_says_of_timers() {
        let timers = read(&blocks(TIMERS), &blocks(SERVICES));
        let [desktop, laptop] = &timers[..] else { panic!("{timers:?}") };
        assert!(matches!(&desktop.starts, Starts::Nightly(call) if call.program == "/usr/bin/swarm"));
        assert_eq!(
            (desktop.unit.as_str(), desktop.account.as_str()),
            ("swarm-nightly@desktop.timer", "root")
        );
        assert_eq!(desktop.next.as_deref(), Some("Mon 2026-11-23 03:17:00 UTC"));
        assert!(desktop.active && desktop.enabled && !desktop.changed);
        assert_eq!((laptop.account.as_str(), &laptop.next), ("builder", &None));
        assert!(!laptop.active && !laptop.enabled && laptop.changed);
        assert!(read(&blocks(""), &[]).is_empty());
    }
}
