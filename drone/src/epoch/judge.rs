//! Whether a definition can be built under on this drone: what its epoch does not tell must not decide a build's result.

use super::compat::resolved;
use crate::config::Config;
use crate::emerge::base_environment;
use crate::root::{Command, Foundation, Launcher};
use anyhow::{Context, bail, ensure};
use std::fs;
use std::path::Path;
use swarm_bundle::repos::Repo;
use swarm_bundle::tree;
use swarm_protocol::epoch::Compat;
use swarm_protocol::id::DefinitionId;

/// What a compiler is told where it shall look at the machine itself.
const NATIVE: &[&str] = &["-march=native", "-mcpu=native", "-mtune=native", "target-cpu=native"];

/// Refuses flags that mean another code on each machine (PORTAGE.md 8): in what Portage says of the whole configuration,
/// and in `env/`, from which `package.env` takes flags for single packages.
pub fn no_native(compat: &Compat, portage_dir: &Path) -> anyhow::Result<()> {
    if let Some(flag) = compat.flags.iter().find_map(|flags| native(flags)) {
        bail!("its flags say {flag}: {REMEDY}");
    }
    let env = portage_dir.join("env");
    if !env.is_dir() {
        return Ok(());
    }
    for path in tree::paths(&env, &[])? {
        let file = env.join(&path);
        let text = if file.is_file() { fs::read(&file)? } else { Vec::new() };
        if let Some(flag) = native(&String::from_utf8_lossy(&text)) {
            bail!("env/{} says {flag}: {REMEDY}", path.display());
        }
    }
    Ok(())
}

const REMEDY: &str = "that is another code on each machine; name the processor and push again";

fn native(text: &str) -> Option<&'static str> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut words = code.flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'".contains(c)));
    words.find_map(|word| NATIVE.iter().find(|flag| word.ends_with(**flag)).copied())
}

/// Refuses a root whose Portage knows other repositories than the definition's, or knows them elsewhere: an ebuild of
/// the base root, say, that no epoch tells of.
pub async fn same_repositories(
    config: &Config,
    launcher: &Launcher,
    foundation: &Foundation,
    definition: DefinitionId,
) -> anyhow::Result<()> {
    let wanted = foundation.repositories()?;
    let argv = ["sh", "-c", QUESTION, "sh"].map(str::to_owned).into_iter();
    let argv = argv.chain(wanted.iter().map(|repo| repo.name.to_string())).collect();
    let command = Command { argv, environment: base_environment(), ..Command::default() };
    let name = format!("repositories-{definition}");
    let answer = launcher.scratch(config, foundation, &name, &command).await?;
    compare(&answer, &wanted)
}

/// The names of all repositories in one line, then a line for the location of each that is asked for.
const QUESTION: &str = "portageq get_repos / && portageq get_repo_path / \"$@\"";

fn compare(answer: &str, wanted: &[Repo]) -> anyhow::Result<()> {
    let mut lines = answer.lines();
    let names = lines.next().context("portageq tells no repositories")?;
    let is_wanted = |name: &&str| wanted.iter().any(|repo| repo.name.as_str() == *name);
    if let Some(name) = names.split_whitespace().find(|name| !is_wanted(name)) {
        bail!("Portage also finds repository {name}, of which the definition knows nothing");
    }
    for Repo { name, location } in wanted {
        let found = lines.next().unwrap_or_default();
        ensure!(
            found == location,
            "repository {name} belongs at {location}, and Portage finds it at {found:?}"
        );
    }
    Ok(())
}

/// Refuses a profile that is not there.
pub fn profile(foundation: &Foundation) -> anyhow::Result<()> {
    let link = foundation.portage_dir().join("make.profile");
    let metadata = fs::symlink_metadata(&link).context("it has no make.profile")?;
    if metadata.is_symlink() {
        let target = resolved(Path::new("/etc/portage"), &fs::read_link(&link)?);
        if !foundation.on_host(&target).is_dir() {
            bail!("its make.profile leads to {}, which is not there", target.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_look_at_the_machine() {
        for text in
            ["CFLAGS=-O2 -march=native", "CFLAGS=\"-march=native\"\n", "RUSTFLAGS=-Ctarget-cpu=native"]
        {
            assert!(native(text).is_some(), "{text}");
        }
        for text in ["CFLAGS=-O2 -march=x86-64-v3", "# -march=native", "USE=native", "-march=nativeish"] {
            assert_eq!(native(text), None, "{text}");
        }
    }

    #[test]
    fn what_portage_finds_is_the_definitions() {
        let repo = |name: &str| Repo { name: name.parse().unwrap(), location: format!("/repos/{name}") };
        let wanted = [repo("gentoo"), repo("guru")];
        compare("guru gentoo\n/repos/gentoo\n/repos/guru\n", &wanted).unwrap();
        for (answer, says) in [
            ("guru gentoo local\n/repos/gentoo\n/repos/guru\n", "also finds repository local"),
            ("gentoo\n/repos/gentoo\n\n", "guru belongs at /repos/guru"),
            ("guru gentoo\n/other\n/repos/guru\n", "finds it at \"/other\""),
            ("", "tells no"),
        ] {
            let said = compare(answer, &wanted).unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn the_environments_of_packages_are_read_too() {
        let portage = tempfile::tempdir().unwrap();
        let compat = Compat { chost: String::new(), flags: vec![], profile: String::new(), abi: vec![] };
        no_native(&compat, portage.path()).unwrap();
        fs::create_dir_all(portage.path().join("env/dev-libs")).unwrap();
        fs::write(portage.path().join("env/dev-libs/fast"), "CFLAGS=\"${CFLAGS} -mtune=native\"\n").unwrap();
        let said = no_native(&compat, portage.path()).unwrap_err().to_string();
        assert!(said.starts_with("env/dev-libs/fast says -mtune=native"), "{said}");
    }
}
