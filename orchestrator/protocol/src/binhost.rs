//! What the orchestrator asks of the binhost: stage, inherit, drop, prepare, promote, and what is there. All of it is
//! idempotent.

use crate::digest::Digest;
use crate::gentoo::{Cpv, RepoName, Slot, Soname, UseFlag, WorldAtom};
use crate::id::{AttemptId, BuildId, GenerationNumber, PackageId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/targets/{target}/runs/{run}/stage`: validate an uploaded artifact, fix its path, make it visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The package of the run.
    pub package: PackageId,
    /// The attempt that made it; one lower than the staged one's is refused.
    pub attempt: AttemptId,
    /// The digest of the uploaded bytes.
    pub built: Digest,
    /// What the artifact must be.
    pub expected: Expected,
}

/// What was asked for; the artifact's metadata must agree (law 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its name and version.
    pub cpv: Cpv,
    /// Slot and sub-slot.
    pub slot: Slot,
    /// The repository of its ebuild.
    pub repository: RepoName,
    /// The enabled flags; compared within the package's IUSE.
    #[serde(rename = "use")]
    pub use_flags: Vec<UseFlag>,
    /// The BUILD_ID that the claim allocated.
    pub build_id: BuildId,
    /// As in `x86_64-pc-linux-gnu`.
    pub chost: String,
    /// The epoch's `CFLAGS=…`, `CXXFLAGS=…` and the like; what is not listed is not compared.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// An artifact that is staged: signed, at its path, in the served staging view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Staged {
    /// The digest of the published bytes.
    pub published: Digest,
    /// Their number.
    pub size: u64,
    /// The path below the target, as in `sys-libs/zlib/zlib-1.3-2.gpkg.tar`.
    pub path: String,
}

/// `PUT /api/v1/targets/{target}/runs/{run}/inherited`: the run's staging view shows these artifacts of earlier runs
/// beside its own, and no other ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inherit {
    /// The published digests, without duplicates.
    pub artifacts: Vec<Digest>,
}

/// `POST /api/v1/targets/{target}/missing`: which of these artifacts have lost their bytes. Such a one can be neither
/// inherited nor prepared (`gone`). The answer has the same form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// Published digests.
    pub artifacts: Vec<Digest>,
}

/// `POST /api/v1/bundles/missing`: which of these bundles the binhost does not have; the answer has the same form. Those
/// that it has are good for another day.
///
/// `POST /api/v1/bundles/retain`: these are needed; what is here and was no bundle, is one from now on. Others go when nobody has sent or asked for them for a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundles {
    /// The digests of the archives.
    pub bundles: Vec<Digest>,
}

/// `PUT /api/v1/targets/{target}/generations/{number}`: write a complete generation that nobody sees yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// The published digests of everything in it, without duplicates.
    pub artifacts: Vec<Digest>,
    /// Portage's `@system`: what every workstation has beside what a package depends on. Its sets are not followed.
    #[serde(default)]
    pub system: Vec<WorldAtom>,
    /// What the set need not contain.
    #[serde(default)]
    pub provided: Provided,
}

/// What workstations have from elsewhere, as Portage's own files in `/etc/portage/profile` declare it (portage(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provided {
    /// `package.provided`: they satisfy atoms of their version, whatever slot and USE flags those name.
    #[serde(default)]
    pub packages: Vec<Cpv>,
    /// `soname.provided`.
    #[serde(default)]
    pub sonames: Vec<Soname>,
}

/// What was prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prepared {
    /// The generation.
    pub number: GenerationNumber,
    /// How many artifacts it holds.
    pub packages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The TIMESTAMP of its index, in Unix seconds.
    pub timestamp: i64,
}

/// `POST /api/v1/targets/{target}/promote`: switch the current generation by one rename.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// The generation to switch to.
    pub number: GenerationNumber,
    /// The generation that must be current, none before the first.
    pub expect: Option<GenerationNumber>,
}

/// `GET /api/v1/targets/{target}/current`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Current {
    /// The generation that clients see.
    pub number: Option<GenerationNumber>,
    /// Its index's TIMESTAMP in Unix seconds.
    pub timestamp: Option<i64>,
}

/// What the binhost is called in a workstation's `binrepos.conf`.
pub const BINREPO: &str = "swarm";

/// Before whatever else a workstation installs from: Gentoo's own binhost has priority 1 where it is set up as it ships.
pub const BINREPO_PRIORITY: u32 = 10;

/// `GET /api/v1/client`: what the binhost says of itself to whoever sets up workstations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientSide {
    /// Where clients reach it, if that is not where the swarm does.
    pub url: Option<String>,
    /// The public keys of those that sign, armored; none where nothing is signed.
    pub keys: Option<String>,
}

/// `GET /readyz`: the binhost can take writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// `ready` or `degraded`.
    pub status: String,
    /// What works less well, in sentences.
    pub degraded: Vec<String>,
    /// Bytes that are free where its directory is; an older binhost does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
}
