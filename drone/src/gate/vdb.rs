//! What a workstation has installed, as a directory to be bound over the root's `/var/db/pkg`.

use crate::link::Link;
use crate::resolver::ask::failed;
use crate::resolver::index::{self, Place};
use crate::root::{AttemptDir, Mount};
use crate::stop::Stop;
use crate::vdb::{VDB, directories};
use anyhow::{Context, bail};
use std::fs::{self, File};
use std::path::Path;
use swarm_bundle::Limits;
use swarm_protocol::gate::Seat;
use swarm_protocol::state::FailureClass;
use swarm_protocol::ticket::SignedTicket;
use tokio::time::Instant;

/// Brings what the seat's workstation has installed, where it is known, to [`AttemptDir::installed`]; else the machine is
/// one that is set up anew ([`seed`]). Gives what is to be mounted.
pub async fn bring(
    link: &Link,
    base_root: &Path,
    (seat, ticket): (&Seat, Option<&SignedTicket>),
    root: &AttemptDir,
    end: Instant,
) -> Result<Mount, Stop> {
    let into = root.installed();
    if let (Some(installed), Some(ticket)) = (seat.installed, ticket) {
        let archive = root.packages().join("installed.tar.zst");
        let place = Place::Bundle(installed.bundle);
        index::bring_file(link, place, ticket, "the bundle of installed packages", &archive, end).await?;
        let tree = into.clone();
        let content = tokio::task::spawn_blocking(move || {
            swarm_bundle::unpack(File::open(archive)?, &tree, Limits::CONFIGURATION)
                .map_err(anyhow::Error::new)
        });
        if content.await?? != installed.content {
            let reason = "the bundle of installed packages holds another tree than was pushed".to_owned();
            return Err(failed(FailureClass::Infrastructure, reason));
        }
    } else {
        fs::create_dir(&into)?;
        seed(base_root, &into)?;
    }
    Ok(mount(root))
}

/// Puts it in the place of the base root's.
#[must_use]
pub fn mount(root: &AttemptDir) -> Mount {
    Mount { source: root.installed(), target: Path::new("/").join(VDB), read_only: false }
}

/// The package by which Portage knows the C library (`portage.const.LIBC_PACKAGE_ATOM`).
const LIBC: &str = "virtual/libc";
/// Its fields that say which library that is, and where it comes from.
const FIELDS: &[&str] =
    &["EAPI", "IUSE", "IUSE_EFFECTIVE", "KEYWORDS", "RDEPEND", "SLOT", "USE", "repository"];

/// Writes into `vdb` what a machine that is set up anew has: version 0 of `virtual/libc`, and nothing else.
///
/// Portage injects a dependency on the C library into every binary with ELF files. Before it compares a binary's
/// dependencies with its ebuild's, it takes out the library that the *installed* `virtual/libc` names
/// (`depgraph._changed_deps`); where none is installed, all of these binaries count as changed, as they would on no
/// machine that runs. It looks at the virtual only, so the library itself, like everything else, must come from the
/// generation, in a version that the binaries accept; and so must the virtual, which is older than any.
pub fn seed(base_root: &Path, vdb: &Path) -> anyhow::Result<()> {
    let category = base_root.join(VDB).join("virtual");
    let installed = directories(&category)?.into_iter().find(|pf| pf.starts_with("libc-"));
    let Some(installed) = installed else { bail!("the base root has no {LIBC} installed (PORTAGE.md 2)") };
    let entry = vdb.join(LIBC).with_file_name("libc-0");
    fs::create_dir_all(&entry)?;
    for field in FIELDS {
        let source = category.join(&installed).join(field);
        if source.exists() {
            fs::copy(&source, entry.join(field))
                .with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    for (field, value) in [("CATEGORY", "virtual"), ("PF", "libc-0"), ("BUILD_TIME", "0"), ("COUNTER", "0")] {
        fs::write(entry.join(field), format!("{value}\n"))?;
    }
    Ok(fs::write(entry.join("CONTENTS"), "")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_virtual_and_what_it_names() {
        let (base, vdb) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(seed(base.path(), vdb.path()).unwrap_err().to_string().contains("no virtual/libc"));
        let entry = base.path().join(VDB).join("virtual/libc-1-r1");
        fs::create_dir_all(&entry).unwrap();
        fs::create_dir_all(base.path().join(VDB).join("sys-libs/glibc-2.41")).unwrap();
        fs::write(entry.join("RDEPEND"), "sys-libs/glibc:2.2\n").unwrap();
        fs::write(entry.join("BUILD_TIME"), "7\n").unwrap();
        seed(base.path(), vdb.path()).unwrap();
        let read = |field: &str| fs::read_to_string(vdb.path().join("virtual/libc-0").join(field)).unwrap();
        assert_eq!((&*read("RDEPEND"), &*read("BUILD_TIME")), ("sys-libs/glibc:2.2\n", "0\n"));
        assert_eq!(directories(vdb.path()).unwrap(), ["virtual"]);
    }
}
