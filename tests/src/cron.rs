//! Real cron daemons, each on a machine of its own as far as cron goes: namespaces of mounts and processes in which only the
//! test's tables exist.

use crate::cli::Said;
use crate::process::{Process, binary};
use crate::swarm::Swarm;
use crate::wait;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A machine with one cron daemon, or none.
pub struct CronMachine {
    tables: PathBuf,
    init: Process,
}

/// What lies over the machine's own directories; `$1` has the tables, the rest is the daemon.
const MACHINE: &str = r#"
for path in etc/crontab etc/cron.d var/spool/cron; do mount --bind "$1/$path" "/$path"; done
mount -t tmpfs run /run
shift
"$@" &
trap 'exit 0' TERM
touch /run/up
wait
"#;

impl CronMachine {
    /// Makes its tables, in a directory of the swarm's.
    #[must_use]
    pub fn tables(swarm: &Swarm, name: &str) -> PathBuf {
        let tables = swarm.path().join(name);
        for directory in ["etc/cron.d", "var/spool/cron/crontabs"] {
            fs::create_dir_all(tables.join(directory)).unwrap();
        }
        fs::write(tables.join("etc/crontab"), "").unwrap();
        tables
    }

    /// Starts it with a daemon that stays in the foreground.
    pub async fn start(tables: PathBuf, daemon: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-ec",
            MACHINE,
            "sh",
        ]);
        command.arg(&tables).args(daemon);
        let init = Process::start(&mut command, &tables.join("log"));
        let machine = Self { tables, init };
        wait::until(30, "the machine to be up", async || {
            machine.child()?;
            machine.command(&["test", "-e", "/run/up"]).status().unwrap().success().then_some(())
        })
        .await;
        machine
    }

    /// Its first process, once there is one.
    fn child(&self) -> Option<String> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.init.id())).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    /// A command in it.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--pid", "--target", &self.child().unwrap()]).args(words);
        command
    }

    /// `swarm doctor` in it.
    pub async fn doctor(&self, swarm: &Swarm) -> Said {
        let mut command = self.command(&[binary("swarm").to_str().unwrap(), "doctor", "--json"]);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("SWARM_URL", swarm.url());
        command.env("SWARM_TOKEN_FILE", token_file(swarm));
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }

    /// What the daemon and its commands have said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.tables.join("log")).unwrap_or_default()
    }
}

/// The file of an admin's token.
#[must_use]
pub fn token_file(swarm: &Swarm) -> PathBuf {
    let file = swarm.path().join("admin.token");
    if !file.exists() {
        fs::write(&file, &swarm.token).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    file
}

/// A file with a mode and an owner.
pub fn write(file: &Path, text: &str, mode: u32, uid: u32) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    chown(file, Some(uid), None).unwrap();
}
