//! What a workstation pushes, as a test wants it: a configuration like the boxes', repositories, a world.

use crate::swarm::Swarm;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_bundle::{Limits, pack};
use swarm_protocol::admin::{NewBundle, NewDefinition, NewWorkstation};
use swarm_protocol::binhost::Provided;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::definition::{Bundle, Definition, RepositorySource, Source};
use swarm_protocol::gentoo::TargetName;

/// Where the boxes' ebuild repository is in every root.
const LOCATION: &str = "/var/db/repos/swarm-box";

/// The boxes' `/etc/portage`, in a new directory at `dir`, with these lines added to make.conf.
#[must_use]
pub fn configuration(dir: PathBuf, make_conf: &str) -> PathBuf {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("gentoo-box/etc/portage");
    let copied = Command::new("cp").arg("-r").args([&original, &dir]).status().unwrap();
    assert!(copied.success());
    symlink(format!("{LOCATION}/profiles/swarm/amd64"), dir.join("make.profile")).unwrap();
    let text = fs::read_to_string(dir.join("make.conf")).unwrap();
    fs::write(dir.join("make.conf"), format!("{text}\n{make_conf}\n")).unwrap();
    dir
}

/// The boxes' repository from `source`.
#[must_use]
pub fn repository(source: Source) -> RepositorySource {
    RepositorySource { name: "swarm-box".parse().unwrap(), location: LOCATION.to_owned(), source }
}

/// The repository at `tree` as a snapshot that the binhost has.
pub async fn snapshot(swarm: &Swarm, tree: &Path) -> RepositorySource {
    let Bundle { content, bundle, bytes } = send(swarm, tree, Limits::REPOSITORY).await;
    repository(Source::Tree { content, bundle, bytes })
}

/// Pushes from the workstation `desk`: makes the target's next definition.
pub async fn push(
    swarm: &Swarm,
    target: &TargetName,
    configuration: &Path,
    repository: &RepositorySource,
    world: &str,
) -> Definition {
    push_from(swarm, target, "desk", (configuration, repository), world, None).await
}

/// The same from another workstation, which may send its database of installed packages.
pub async fn push_from(
    swarm: &Swarm,
    target: &TargetName,
    workstation: &str,
    (configuration, repository): (&Path, &RepositorySource),
    world: &str,
    installed: Option<&Path>,
) -> Definition {
    let configuration = send(swarm, configuration, Limits::CONFIGURATION).await;
    let installed = match installed {
        Some(tree) => Some(send(swarm, tree, Limits::CONFIGURATION).await),
        None => None,
    };
    let newest = swarm.admin.definitions(target).await.unwrap();
    let new = NewDefinition {
        workstation: NewWorkstation {
            name: workstation.parse().unwrap(),
            world: world.split_whitespace().map(|atom| atom.parse().unwrap()).collect(),
            provided: Provided::default(),
            installed,
        },
        configuration,
        repositories: vec![repository.clone()],
        expect: newest.first().map_or(0, |newest| newest.definition.number),
    };
    swarm.admin.push_definition(target, &new).await.unwrap().newest.definition
}

/// Packs a tree and sends it to the binhost.
async fn send(swarm: &Swarm, tree: &Path, limits: Limits) -> Bundle {
    let file = tempfile::NamedTempFile::new().unwrap();
    let is_profile = |path: &Path| path == Path::new("make.profile");
    let packed = pack(tree, &[], is_profile, limits, &mut file.reopen().unwrap()).unwrap();
    let new = NewBundle { digest: packed.bundle, bytes: packed.bytes };
    let upload = swarm.admin.offer_bundles(vec![new]).await.unwrap();
    if !upload.missing.is_empty() {
        let binhost = BinhostClient::new(&upload.binhost_url, upload.ticket.0);
        let bytes = fs::read(file.path()).unwrap();
        binhost.upload_bundle(packed.bundle, packed.bytes, bytes).await.unwrap();
    }
    Bundle { content: packed.content, bundle: packed.bundle, bytes: packed.bytes }
}
