//! The base root of a definition that moves the toolchain (PORTAGE.md 7): a layer over the drone's own, in which Portage has
//! installed the definition's packages, from binaries.
//!
//! ```text
//! packages, by digest ─▶ emerge, in a root over the base root ─▶ the VDB is as asked? ─▶ selected ─▶ its upper layer is kept
//! ```
//!
//! **A layer, no copy.** A base root has gigabytes, and this changes some hundred megabytes of it. The layer's VDB is complete
//! and hides the base root's, so whoever reads it from outside needs no mount.
//!
//! **What is newer stays.** Where the base root has a newer version of one of the packages, as after somebody replaced it,
//! it keeps its own; where it has newer ones of all, there is no layer. Whether it is then ahead of a plan, the resolver
//! says.
//!
//! **Selected.** Compilers and binutils have slots, and Gentoo's ebuilds do not turn a machine to another slot by themselves
//! (`toolchain.eclass`, `toolchain-binutils.eclass`): here that is done as a person does it, with gcc-config and
//! binutils-config, by the entry in `/etc/env.d` that the package brings.

use super::base;
use super::store::{Part, Store};
use crate::closure::is_below;
use crate::config::Config;
use crate::download;
use crate::emerge;
use crate::failure::{Ending, classify};
use crate::root::{AttemptDir, Command, End, Foundation, Launcher, Mount};
use crate::stage::Stage;
use crate::vdb::{self, VDB};
use anyhow::{Context, anyhow, bail, ensure};
use rustix::fs::XattrFlags;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use swarm_bundle::tree;
use swarm_protocol::Digest;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::drone::Dependency;
use swarm_protocol::gentoo::Cpv;
use tokio::time::Instant;

/// How long Portage may install.
const LIMIT: Duration = Duration::from_hours(1);

/// Where the layer's VDB is written to in the root.
const COMPLETE: &str = "/var/cache/swarm/installed";

/// What has slots, and is selected: the directory of its entries in `/etc/env.d`, and its program.
const SELECTED: [(&str, &str); 2] = [("gcc", "gcc-config"), ("binutils", "binutils-config")];

/// `SETTLE COMPLETE [PROGRAM ENTRY]…`: selects, proves it, and copies the VDB as it is seen in the root.
const SETTLE: &str = r#"
cp -a /var/db/pkg/. "$1"
shift
while test $# -gt 0; do
    "$1" "$2"
    test "$("$1" -c)" = "$2"
    shift 2
done
"#;

/// Makes layers.
pub struct Toolchains<'a> {
    /// The drone's.
    pub config: &'a Config,
    /// Enters roots.
    pub launcher: &'a Launcher,
    /// Takes the layers in.
    pub store: &'a Arc<Store>,
    /// May read the definition's bundles.
    pub binhost: &'a BinhostClient,
}

impl Toolchains<'_> {
    /// The layer with these packages over the base root `base` of `foundation`, and whether it had to be made. None, where the
    /// base root needs none of them.
    pub async fn bring(
        &self,
        foundation: &Foundation,
        base: Digest,
        packages: &[Dependency],
    ) -> anyhow::Result<Option<(Part, bool)>> {
        let wanted = wanted(packages, &base::packages(foundation.base_root())?);
        if wanted.is_empty() {
            return Ok(None);
        }
        let part = Part::Toolchain(id(base, &wanted));
        let _making = self.store.making(&self.store.place(part)).await;
        let store = self.store.clone();
        if tokio::task::spawn_blocking(move || store.is_sound(part)).await?? {
            return Ok(Some((part, false)));
        }
        let aside = self.store.incoming()?;
        let dir = AttemptDir::create(aside.path(), "root")?;
        self.fetch(&wanted, &dir).await?;
        self.install(foundation, &wanted, &dir).await?;
        self.settle(foundation, &wanted, &dir).await?;
        let store = self.store.clone();
        let kept = move || {
            let made = aside.path().join("made");
            complete(&dir, &made)?;
            store.keep(part, &made)?;
            anyhow::Ok(())
        };
        tokio::task::spawn_blocking(kept).await??;
        Ok(Some((part, true)))
    }

    async fn fetch(&self, wanted: &[Dependency], dir: &AttemptDir) -> anyhow::Result<()> {
        for Dependency { cpv, path, published, size, .. } in wanted {
            ensure!(is_below(path), "the path {path:?} of {cpv} leads out of PKGDIR");
            let file = dir.closure().join(path);
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            let fetched = download::to_file(self.binhost.bundle(*published), *published, *size, &file).await;
            // Its text has its causes already.
            fetched.map_err(|error| anyhow!("the package {cpv}, {published}, cannot be brought: {error}"))?;
        }
        Ok(())
    }

    async fn install(
        &self,
        foundation: &Foundation,
        wanted: &[Dependency],
        dir: &AttemptDir,
    ) -> anyhow::Result<()> {
        let argv = emerge::install(wanted);
        let command = Command { argv, environment: emerge::base_root_environment(), network: false };
        let closure = Mount { source: dir.closure(), target: emerge::CLOSURE_DIR.into(), read_only: true };
        self.run(foundation, dir, "toolchain", closure, &command).await?;
        let installed = vdb::installed(&dir.upper(), foundation.base_root())?;
        let differences = vdb::differences(wanted, &installed);
        ensure!(differences.is_empty(), "emerge says that it installed it, but {}", differences.join("; "));
        Ok(())
    }

    async fn settle(
        &self,
        foundation: &Foundation,
        wanted: &[Dependency],
        dir: &AttemptDir,
    ) -> anyhow::Result<()> {
        let mut argv = ["sh", "-ec", SETTLE, "settle", COMPLETE].map(str::to_owned).to_vec();
        for package in wanted {
            let contents = dir.upper().join(VDB).join(package.cpv.to_string()).join("CONTENTS");
            let contents =
                fs::read_to_string(&contents).with_context(|| format!("{} has no CONTENTS", package.cpv))?;
            for (place, program) in SELECTED {
                argv.extend(
                    entry(&contents, place).into_iter().flat_map(|entry| [program.to_owned(), entry]),
                );
            }
        }
        fs::create_dir(dir.installed())?;
        let complete = Mount { source: dir.installed(), target: COMPLETE.into(), read_only: false };
        let command = Command { argv, environment: emerge::base_environment(), network: false };
        self.run(foundation, dir, "settle", complete, &command).await
    }

    async fn run(
        &self,
        foundation: &Foundation,
        dir: &AttemptDir,
        name: &str,
        mount: Mount,
        command: &Command,
    ) -> anyhow::Result<()> {
        let mut mounts = foundation.mounts().to_vec();
        mounts.push(mount);
        let limits = (Instant::now() + LIMIT, &tokio_util::sync::CancellationToken::new());
        let (end, said) = self.launcher.run_quietly(foundation, dir, name, mounts, command, limits).await?;
        if end == End::Exit(0) {
            return Ok(());
        }
        let Some(ending) = Ending::of(end) else { bail!("the drone stops") };
        let failure = classify(Stage::Installing, ending, &said, false);
        bail!("{}\n{}", failure.reason, failure.excerpt)
    }
}

/// The packages that a base root with these needs: all but those of which it has a newer version.
fn wanted(packages: &[Dependency], installed: &[(String, std::path::PathBuf)]) -> Vec<Dependency> {
    let installed: Vec<Cpv> = installed.iter().filter_map(|(cpv, _)| cpv.parse().ok()).collect();
    let has_newer = |package: &&Dependency| {
        let same = installed.iter().filter(|cpv| cpv.cp() == package.cpv.cp());
        same.max_by(|a, b| a.compare_version(b))
            .is_some_and(|newest| newest.compare_version(&package.cpv).is_gt())
    };
    packages.iter().filter(|package| !has_newer(package)).cloned().collect()
}

/// What decides the layer's content.
fn id(base: Digest, wanted: &[Dependency]) -> Digest {
    let mut digests: Vec<_> = wanted.iter().map(|package| package.published).collect();
    digests.sort_unstable();
    let mut text = format!("toolchain 1\0{base}");
    for digest in digests {
        text.push('\0');
        text.push_str(&digest.to_string());
    }
    Digest::of(text.as_bytes())
}

/// The entry in `/etc/env.d/PLACE` that a package of these CONTENTS brings. A compiler may bring variants of itself, which
/// have longer names.
fn entry(contents: &str, place: &str) -> Option<String> {
    let start = format!("obj /etc/env.d/{place}/");
    let names = contents.lines().filter_map(|line| line.strip_prefix(&start)?.split(' ').next());
    names.min_by_key(|name| name.len()).map(str::to_owned)
}

/// Makes a part of the root's upper layer and its complete VDB. All of it reaches the disk before it has its name: later it is
/// judged by its files' times and sizes alone.
fn complete(dir: &AttemptDir, made: &Path) -> anyhow::Result<()> {
    let vdb = dir.upper().join(VDB);
    fs::remove_dir_all(&vdb)?;
    fs::rename(dir.installed(), &vdb)?;
    rustix::fs::setxattr(&vdb, "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
    for temporary in ["tmp", "var/tmp"] {
        let temporary = dir.upper().join(temporary);
        if temporary.is_dir() {
            fs::remove_dir_all(temporary)?;
        }
    }
    fs::create_dir(made)?;
    let layer = Store::layer_of(made);
    fs::rename(dir.upper(), &layer)?;
    fs::write(Store::fingerprint_of(made), tree::fingerprint(&layer)?.to_string())?;
    rustix::fs::syncfs(File::open(made)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::dependency;

    #[test]
    fn what_is_newer_in_the_base_root_stays() {
        let packages = ["a/old-1", "a/equal-1", "a/new-3", "a/slotted-14"].map(dependency);
        let installed = ["a/old-2", "a/equal-1", "a/slotted-13", "a/slotted-15", "a/other-9", "no cpv"];
        let installed: Vec<_> = installed.iter().map(|cpv| ((*cpv).to_owned(), "".into())).collect();
        let wanted = wanted(&packages, &installed);
        let cpvs: Vec<_> = wanted.iter().map(|package| package.cpv.to_string()).collect();
        assert_eq!(cpvs, ["a/equal-1", "a/new-3"]);
    }

    #[test]
    fn one_layer_for_one_base_root_and_one_set_of_packages() {
        let base = |text: &str| Digest::of(text.as_bytes());
        let packages = ["a/b-1", "a/c-1"].map(dependency);
        let turned = ["a/c-1", "a/b-1"].map(dependency);
        assert_eq!(id(base("1"), &packages), id(base("1"), &turned));
        assert_ne!(id(base("1"), &packages), id(base("2"), &packages));
        assert_ne!(id(base("1"), &packages), id(base("1"), &packages[..1]));
    }

    #[test]
    fn the_entry_of_a_compiler_is_the_shortest() {
        let contents = "dir /etc/env.d/gcc\nobj /etc/env.d/gcc/x86_64-pc-linux-gnu-15-vanilla 0 1\n\
                        obj /etc/env.d/gcc/x86_64-pc-linux-gnu-15 0 1\nobj /usr/bin/gcc-15 0 1\n";
        assert_eq!(entry(contents, "gcc").as_deref(), Some("x86_64-pc-linux-gnu-15"));
        assert_eq!(entry(contents, "binutils"), None);
    }
}
