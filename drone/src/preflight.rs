//! What a drone needs of its machine, checked and said plainly, with the remedy.

use crate::config::{Config, Isolation};
use crate::emerge::base_environment;
use crate::epoch::base;
use crate::machine;
use crate::root::{Command, Foundation, Launcher, cgroup};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// The drone works, but worse.
    Weak,
    /// The drone cannot work.
    Missing,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub says: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Weak => "weak",
            Verdict::Missing => "MISSING",
        };
        write!(f, "{word:8} {:12} {}", self.what, self.says)
    }
}

/// All checks, in order.
pub async fn checks(config: &Config, launcher: &Launcher) -> Vec<Check> {
    let mut checks = vec![root_user(), base_root(config), scanelf(&config.base_root), gpg(&config.base_root)];
    match config.isolation {
        Isolation::Root => checks.push(bwrap()),
        Isolation::Host => checks.push(base_id(&config.base_root)),
    }
    checks.extend([
        machine_id(config),
        token_file(&config.token_file),
        disk(config),
        control_groups(),
        git(),
    ]);
    checks.extend(config.ccache.map(|_| ccache(&config.base_root)));
    if checks.iter().all(|check| check.verdict != Verdict::Missing) {
        checks.push(portage(config, launcher).await);
    }
    checks
}

fn check(what: &'static str, good: bool, otherwise: Verdict, found: &str, remedy: &str) -> Check {
    let verdict = if good { Verdict::Good } else { otherwise };
    Check { what, verdict, says: (if good { found } else { remedy }).to_owned() }
}

fn root_user() -> Check {
    let root = rustix::process::geteuid().is_root();
    check(
        "root",
        root,
        Verdict::Missing,
        "runs as root",
        "overlays and owners need root: run build-drone as root",
    )
}

fn bwrap() -> Check {
    let version = version_of("bwrap");
    check(
        "bwrap",
        version.is_some(),
        Verdict::Missing,
        version.as_deref().unwrap_or_default(),
        "install bubblewrap",
    )
}

fn git() -> Check {
    let version = version_of("git");
    let remedy = "install git: without it the drone cannot have repositories that were pushed by commit";
    check("git", version.is_some(), Verdict::Weak, version.as_deref().unwrap_or_default(), remedy)
}

/// What a program says to `--version`, if it is there.
fn version_of(program: &str) -> Option<String> {
    let output = Process::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn base_root(config: &Config) -> Check {
    let portage = config.base_root.join("etc/portage");
    let found = format!("{} with /etc/portage", config.base_root.display());
    let remedy = format!("{} is no directory: unpack a stage3 at base_root", portage.display());
    check("base root", portage.is_dir(), Verdict::Missing, &found, &remedy)
}

/// On the live system every dependency that is installed would make it another base root, and its epoch another one.
fn base_id(base: &Path) -> Check {
    let found = base.join(base::ID_FILE).is_file();
    let remedy = format!(
        "write a line into /{} that names this system: what builds install changes it, and it has to stay the same base root",
        base::ID_FILE
    );
    check("base id", found, Verdict::Missing, "the live system has one", &remedy)
}

/// Portage takes a clear-signed Manifest out of its frame with gpg, even where signatures are not verified
/// (`portage/gpkg.py`, `_verify_binpkg`).
fn gpg(base: &Path) -> Check {
    let found = base.join("usr/bin/gpg").exists();
    let remedy =
        "install app-crypt/gnupg in the base root: without gpg Portage cannot install signed packages";
    check("gpg", found, Verdict::Missing, "in the base root", remedy)
}

/// Without it Portage warns, and compiles without.
fn ccache(base: &Path) -> Check {
    let found = base.join("usr/bin/ccache").exists();
    let remedy = "install dev-util/ccache in the base root, or take [ccache] out of the configuration";
    check("ccache", found, Verdict::Weak, "in the base root", remedy)
}

/// Without scanelf Portage leaves REQUIRES and PROVIDES out, silently (PORTAGE.md 6).
fn scanelf(base: &Path) -> Check {
    let found = ["usr/bin/scanelf", "bin/scanelf"].iter().any(|path| base.join(path).exists());
    let remedy =
        "install app-misc/pax-utils in the base root: without scanelf packages lack their soname data";
    check("scanelf", found, Verdict::Missing, "in the base root", remedy)
}

fn machine_id(config: &Config) -> Check {
    let id = machine::id(&config.machine_id_file);
    let remedy = format!("{} must hold the machine's id", config.machine_id_file.display());
    check("machine id", id.is_ok(), Verdict::Missing, "present", &remedy)
}

fn token_file(path: &Path) -> Check {
    let Ok(metadata) = path.metadata() else {
        let says = format!("{} is not there yet: build-drone enrol", path.display());
        return Check { what: "token", verdict: Verdict::Weak, says };
    };
    let private = metadata.permissions().mode().trailing_zeros() >= 6;
    let remedy = format!("others can read {}: chmod 600", path.display());
    check("token", private, Verdict::Weak, "present, private", &remedy)
}

fn disk(config: &Config) -> Check {
    const WANTED: u64 = 10 << 30;
    let existing = config.state_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let free = machine::disk_free(existing);
    let says = format!("{} GiB free at {}", free >> 30, config.state_dir.display());
    let remedy = format!("{says}; large packages need 10 and more");
    check("disk", free >= WANTED, Verdict::Weak, &says, &remedy)
}

/// Says who keeps builds within their limits.
fn control_groups() -> Check {
    match cgroup::check() {
        Ok(()) => Check {
            what: "limits",
            verdict: Verdict::Good,
            says: "cgroup v2 holds memory, processes and processors; a watchdog the disk".to_owned(),
        },
        Err(error) => Check {
            what: "limits",
            verdict: Verdict::Weak,
            says: format!(
                "a watchdog holds memory, processes and disk, a fifth of a second late: {error:#}. Start the drone in a \
                 cgroup v2 of its own (OpenRC: rc_cgroup_mode=\"unified\")"
            ),
        },
    }
}

/// Enters a root as a build does, and looks around there.
async fn portage(config: &Config, launcher: &Launcher) -> Check {
    let script =
        "test -w /dev/ptmx && test -d /dev/pts || echo no-pty; emerge --version --ignore-default-opts";
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    let command = Command { argv, environment: base_environment(), ..Command::default() };
    let output = launcher.scratch(config, &Foundation::own(config), "preflight", &command).await;
    match output {
        Ok(text) if text.contains("no-pty") => {
            let says = "the root has no /dev/pts: Portage would say 'out of pty devices'".to_owned();
            Check { what: "Portage", verdict: Verdict::Missing, says }
        }
        Ok(text) if text.contains("Portage ") => {
            let says = text.lines().find(|line| line.contains("Portage ")).unwrap_or_default().to_owned();
            Check { what: "Portage", verdict: Verdict::Good, says }
        }
        Ok(text) => {
            Check { what: "Portage", verdict: Verdict::Missing, says: format!("emerge says {text:?}") }
        }
        Err(error) => Check { what: "Portage", verdict: Verdict::Missing, says: format!("{error:#}") },
    }
}
