//! `swarm doctor`: what it says of a swarm, and of cron tables that real daemons read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use serde_json::Value;
use std::path::Path;
use swarm_protocol::admin::{EndNightly, NewNightly, NewTarget, NightlyResult};
use swarm_protocol::binhost::Provided;
use swarm_protocol::gentoo::TargetName;
use swarm_tests::cli::{Said, command, types};
use swarm_tests::cron::{CronMachine, token_file, write};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::process::binary;
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{plans, wait};

/// The checks of a subject, as `verdict: found`.
fn of(said: &Said, subject: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["subject"] == subject);
    checks
        .map(|check| format!("{}: {}", check["verdict"].as_str().unwrap(), check["found"].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_that_works_and_one_that_does_not() {
    let mut swarm = Swarm::start().await;
    let said = types(&swarm, "doctor --json").await;
    assert_eq!(said.code, 8, "{said:?}");
    assert_eq!(of(&said, "drones"), ["broken: there is none, so nothing is built"]);
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let _heart = std::sync::Arc::new(drone).heart();
    let said = types(&swarm, "doctor --json").await;
    assert_eq!(of(&said, "drones"), ["good: 1 drone online"]);
    assert_eq!(of(&said, "clock"), ["good: this machine's and the swarm's agree"]);
    assert!(of(&said, "alarms")[0].starts_with("good: "), "{said:?}");
    assert!(of(&said, "orchestrator")[0].starts_with("good: "), "{said:?}");
    assert_eq!(of(&said, "target box"), ["look: has no generation, so clients have nothing to install"]);

    swarm.redis.take().unwrap().kill();
    let said = types(&swarm, "doctor --json").await;
    assert_eq!(said.code, 8);
    assert!(of(&said, "alarm")[0].starts_with("broken: Redis does not answer"), "{said:?}");

    swarm.orchestrator.take().unwrap().kill();
    let said = types(&swarm, "doctor --json").await;
    assert_eq!(said.code, 8);
    assert!(of(&said, "orchestrator")[0].starts_with("broken: the orchestrator was not reached"), "{said:?}");

    let mut without = command(&swarm, "doctor --json");
    let said = Said::from(without.env_remove("SWARM_TOKEN").output().unwrap());
    assert!(of(&said, "token")[0].starts_with("broken: there is no token"), "{said:?}");
    let file = token_file(&swarm);
    write(&file, &swarm.token, 0o644, 0);
    let mut careless = command(&swarm, &format!("doctor --json --token-file {}", file.display()));
    let said = Said::from(careless.output().unwrap());
    assert!(
        of(&said, "token")[0].ends_with("mode 0644: other accounts of this machine can use the token"),
        "{said:?}"
    );
}

/// A table of one entry for a target of its own.
struct Case {
    target: &'static str,
    file: &'static str,
    /// What comes before `swarm`.
    line: &'static str,
    /// Its variables, where they are not those that it needs.
    variables: Option<&'static str>,
    newline: bool,
    mode: u32,
    uid: u32,
    /// What the doctor says, where it is not good.
    broken: Option<&'static str>,
}

const GOOD: Case = Case {
    target: "good",
    file: "etc/cron.d/build-swarm",
    line: "* * * * *  root ",
    variables: None,
    newline: true,
    mode: 0o644,
    uid: 0,
    broken: None,
};

const SPOOL: Case = Case { file: "var/spool/cron/crontabs/root", line: "*/1 * * * *", mode: 0o600, ..GOOD };

impl Case {
    fn lay_out(&self, swarm: &Swarm, tables: &Path) {
        let own = format!(
            "SWARM_URL={}\nSWARM_TOKEN_FILE={}\nPATH={}:/usr/bin:/bin\n",
            swarm.url(),
            token_file(swarm).display(),
            binary("swarm").parent().unwrap().display()
        );
        let variables = self.variables.map_or(own.clone(), |variables| variables.replace("OWN\n", &own));
        let newline = if self.newline { "\n" } else { "" };
        let text =
            format!("{variables}{} swarm nightly {} --no-sync --no-push{newline}", self.line, self.target);
        write(&tables.join(self.file), &text, self.mode, self.uid);
    }
}

/// Debian's cron.
fn of_debians() -> Vec<Case> {
    vec![
        GOOD,
        Case { target: "main", file: "etc/crontab", line: "@hourly root true\n* * * * * root", ..GOOD },
        Case { target: "spool", ..SPOOL },
        Case {
            target: "wrapped",
            file: "etc/cron.d/wrapped",
            line: "* * * * * root cd / && nice -n 5 env A=b",
            ..GOOD
        },
        Case {
            target: "dotted",
            file: "etc/cron.d/build.swarm",
            broken: Some(
                "cron reads no file whose name has other characters than letters, digits, `-` and `_`",
            ),
            ..GOOD
        },
        Case {
            target: "endless",
            file: "etc/cron.d/endless",
            newline: false,
            broken: Some("cron loads nothing of this table: the last line has no newline at its end"),
            ..GOOD
        },
        Case {
            target: "writable",
            file: "etc/cron.d/writable",
            mode: 0o666,
            broken: Some("cron reads no file that others may write"),
            ..GOOD
        },
        Case {
            target: "foreign",
            file: "etc/cron.d/foreign",
            uid: 65534,
            broken: Some("cron reads it only if root owns it"),
            ..GOOD
        },
        Case {
            target: "bare",
            file: "etc/cron.d/bare",
            line: "* * * * *",
            broken: Some("in this table the sixth field is the account, and cron takes `swarm` for it"),
            ..GOOD
        },
        Case {
            target: "stranger",
            file: "etc/cron.d/stranger",
            line: "* * * * * no-such-account",
            broken: Some(
                "in this table the sixth field is the account, and there is no account `no-such-account`",
            ),
            ..GOOD
        },
        Case {
            target: "minute",
            file: "etc/cron.d/minute",
            line: "* * * * * root true\n60 * * * * root true\n* * * * * root",
            broken: Some("cron loads nothing of this table: `60` is no minute (0 to 59)"),
            ..GOOD
        },
        Case {
            target: "trapped",
            file: "var/spool/cron/crontabs/nobody",
            line: "* * * * * root",
            uid: 65534,
            broken: Some("an account's own table has no account in the lines: cron starts a command `root`"),
            ..SPOOL
        },
        Case {
            target: "loose",
            file: "var/spool/cron/crontabs/daemon",
            uid: 1,
            mode: 0o644,
            broken: Some("cron wants mode 0600"),
            ..SPOOL
        },
        Case {
            target: "pathless",
            file: "etc/cron.d/pathless",
            variables: Some("OWN\nPATH=/usr/bin:/bin\n"),
            broken: Some("but `swarm` is in none of the directories of its PATH (/usr/bin:/bin)"),
            ..GOOD
        },
        Case {
            target: "tokenless",
            file: "etc/cron.d/tokenless",
            variables: Some("OWN\nSWARM_TOKEN_FILE=/nowhere/token\n"),
            broken: Some("but there is no token file /nowhere/token"),
            ..GOOD
        },
    ]
}

async fn create(swarm: &Swarm, name: &str) -> TargetName {
    let name: TargetName = name.parse().unwrap();
    let new = NewTarget { name: name.clone(), world: vec![], provided: Provided::default() };
    swarm.admin.create_target(&new).await.unwrap();
    name
}

async fn begun(swarm: &Swarm, target: &str) -> usize {
    swarm.admin.nightlies(&target.parse().unwrap()).await.unwrap().nightlies.len()
}

/// What the doctor calls good, the daemon runs; what it calls broken, it does not.
async fn tried(name: &str, daemon: &[&str], cases: Vec<Case>) {
    let swarm = Swarm::start().await;
    let tables = CronMachine::tables(&swarm, name);
    for case in &cases {
        create(&swarm, case.target).await;
        case.lay_out(&swarm, &tables);
    }
    let machine = CronMachine::start(tables, daemon).await;
    let said = machine.doctor(&swarm).await;
    assert!(said.stdout.contains(&format!("{name} (process ")), "{said:?}");
    for case in &cases {
        let all = [of(&said, "cron"), of(&said, &format!("nightly {}", case.target))].concat();
        let place = format!("/{}:", case.file);
        let about: Vec<_> = all.iter().filter(|check| check.contains(&place)).collect();
        match (case.broken, &about[..]) {
            (Some(why), [one]) => assert!(one.starts_with("broken: ") && one.ends_with(why), "{one}"),
            (None, [one]) => {
                assert!(
                    one.starts_with("good: ") && one.contains(&format!("{name} runs it as root at ")),
                    "{one}"
                );
            }
            _ => panic!("{}: {about:?} of {all:#?}", case.target),
        }
    }
    // When one has come twice, its daemon has had a whole minute for every other.
    let good = || cases.iter().filter(|case| case.broken.is_none());
    wait::until(150, "every good entry to have come, and one twice", async || {
        let mut least = usize::MAX;
        for case in good() {
            least = least.min(begun(&swarm, case.target).await);
        }
        (least >= 1 && begun(&swarm, good().next()?.target).await >= 2).then_some(())
    })
    .await;
    for case in cases.iter().filter(|case| case.broken.is_some()) {
        assert_eq!(begun(&swarm, case.target).await, 0, "{} came: {}", case.target, machine.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_cron() {
    tried("cron", &["cron", "-f"], of_debians()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_daemon() {
    let swarm = Swarm::start().await;
    let tables = CronMachine::tables(&swarm, "none");
    GOOD.lay_out(&swarm, &tables);
    let machine = CronMachine::start(tables, &["sleep", "infinity"]).await;
    let said = machine.doctor(&swarm).await;
    assert_eq!(said.code, 8);
    assert_eq!(of(&said, "cron"), ["broken: /etc/cron.d/build-swarm: no cron daemon runs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_from_here_is_expected_from_here() {
    let swarm = Swarm::start().await;
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let new = NewNightly { host, period_seconds: 86_400 };
    let begun = swarm.admin.begin_nightly(&target(), &new).await.unwrap();
    let end = EndNightly { result: NightlyResult::Succeeded, reason: None, run: None };
    swarm.admin.end_nightly(begun.id, &end).await.unwrap();
    let machine = CronMachine::start(CronMachine::tables(&swarm, "none"), &["sleep", "infinity"]).await;
    let said = machine.doctor(&swarm).await;
    let [last, next] = &of(&said, "nightly box")[..] else { panic!("{said:?}") };
    assert!(last.starts_with("good: the last one began "), "{last}");
    assert_eq!(next, "broken: the last one came from this machine, and nothing here will begin the next one");
}
