//! The part of an epoch that binaries must share to live in one generation, as Portage in a root tells it.

use super::base;
use crate::config::Config;
use crate::emerge::base_environment;
use crate::root::{Command, Foundation, Launcher};
use anyhow::{Context, bail};
use std::path::{Component, Path, PathBuf};
use swarm_bundle::repos::Repo;
use swarm_protocol::epoch::Compat;

/// The variables that make code of one sort or another.
const FLAGS: &[&str] = &[
    "ABI_X86",
    "CFLAGS",
    "CPU_FLAGS_X86",
    "CXXFLAGS",
    "FCFLAGS",
    "FFLAGS",
    "GOAMD64",
    "LDFLAGS",
    "RUSTFLAGS",
];
/// Packages whose versions decide which binaries run: C libraries and compiler runtimes.
const ABI: &[&str] = &["llvm-runtimes/libcxx", "sys-devel/gcc", "sys-libs/glibc", "sys-libs/musl"];
/// The same where the base is a Debian.
const ABI_DPKG: &[&str] = &["libc6", "libgcc-s1", "libstdc++6"];

/// Asks the Portage of a root on `foundation`, in a throw-away root called `name`.
pub async fn of(
    config: &Config,
    launcher: &Launcher,
    foundation: &Foundation,
    name: &str,
) -> anyhow::Result<Compat> {
    let mut argv = ["portageq", "envvar", "ARCH", "CHOST"].map(str::to_owned).to_vec();
    argv.extend(FLAGS.iter().map(|&name| name.to_owned()));
    let command = Command { argv, environment: base_environment(), ..Command::default() };
    let output = launcher.scratch(config, foundation, &format!("portageq-{name}"), &command).await?;
    let (chost, flags) = variables(&output)?;
    Ok(Compat {
        chost,
        flags,
        profile: profile(&foundation.portage_dir(), &foundation.repositories()?)?,
        abi: abi(foundation)?,
    })
}

/// portageq prints a line per variable, an empty one for what is not set.
fn variables(output: &str) -> anyhow::Result<(String, Vec<String>)> {
    let lines: Vec<&str> = output.lines().collect();
    let [arch, chost, values @ ..] = &lines[..] else {
        bail!("portageq says nothing:\n{output}");
    };
    if values.len() != FLAGS.len() {
        bail!("portageq gave {} lines for {} variables:\n{output}", lines.len(), FLAGS.len() + 2);
    }
    // Portage goes on without a profile that it cannot read. It is the profile alone that sets ARCH (PMS 5.3.1).
    if arch.is_empty() || chost.is_empty() {
        bail!("Portage knows no ARCH or no CHOST; is the profile valid?");
    }
    let set = FLAGS.iter().zip(values).filter(|(_, value)| !value.is_empty());
    let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(((*chost).to_owned(), set.map(|(name, value)| format!("{name}={}", words(value))).collect()))
}

/// The profile as `repository:path`; a profile that is a directory of its own is `local:make.profile`.
fn profile(portage_dir: &Path, repositories: &[Repo]) -> anyhow::Result<String> {
    let Ok(target) = portage_dir.join("make.profile").read_link() else {
        return Ok("local:make.profile".to_owned());
    };
    let target = resolved(Path::new("/etc/portage"), &target);
    for repo in repositories {
        if let Ok(path) = target.strip_prefix(Path::new(&repo.location).join("profiles")) {
            return Ok(format!("{}:{}", repo.name, path.display()));
        }
    }
    let path = target.to_str().context("the profile's path is no UTF-8")?;
    Ok(format!("local:{path}"))
}

/// `target`, a symlink's in the directory `from`, without `.` and `..`; nothing is followed.
#[must_use]
pub fn resolved(from: &Path, target: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for part in from.join(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

fn abi(foundation: &Foundation) -> anyhow::Result<Vec<String>> {
    let is_abi = |cpv: &String| {
        let parsed = cpv.parse::<swarm_protocol::gentoo::Cpv>();
        parsed.is_ok_and(|cpv| ABI.contains(&cpv.cp().as_str()))
    };
    let mut abi: Vec<_> =
        base::packages(foundation.installed())?.into_iter().map(|(cpv, _)| cpv).filter(is_abi).collect();
    abi.extend(base::dpkg_versions(foundation.base_root(), ABI_DPKG));
    Ok(abi)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn variables_by_line() {
        let output = "amd64\nx86_64-pc-linux-gnu\n\n-O2  -pipe\n\n\n\n\n\n-Wl,-O1\n\n";
        let (chost, flags) = variables(output).unwrap();
        assert_eq!(
            (chost.as_str(), flags),
            ("x86_64-pc-linux-gnu", vec!["CFLAGS=-O2 -pipe".into(), "LDFLAGS=-Wl,-O1".into()])
        );
        for wrong in ["one\n", "a\nb\n", &"\n".repeat(11), &format!("\nchost{}", "\n".repeat(10))] {
            assert!(variables(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn profiles_by_repository() {
        let root = tempfile::tempdir().unwrap();
        let portage = root.path().join("etc/portage");
        std::fs::create_dir_all(&portage).unwrap();
        let repo =
            |name: &str, location: &str| Repo { name: name.parse().unwrap(), location: location.into() };
        let repos = [repo("gentoo", "/var/db/repos/gentoo"), repo("guru", "/var/db/repos/guru")];
        assert_eq!(profile(&portage, &repos).unwrap(), "local:make.profile");
        symlink("../../var/db/repos/gentoo/profiles/default/linux", portage.join("make.profile")).unwrap();
        assert_eq!(profile(&portage, &repos).unwrap(), "gentoo:default/linux");
    }
}
