//! A resolved run: the packages, and typed edges between them, in the shape of `shared/graphs`:
//!
//! ```json
//! {"packages":[{"cpv":"sys-libs/zlib-1.3","slot":"0/1","repository":"gentoo","use":["static-libs"]},
//!              {"cpv":"app-arch/pigz-2.8","slot":"0","repository":"gentoo"},
//!              {"cpv":"app-misc/jq-1.7","slot":"0","repository":"gentoo","keep":3}],
//!  "edges":[[1,0,["buildtime","runtime"]]]}
//! ```

use crate::digest::Digest;
use crate::gentoo::{Cpv, RepoName, Slot, UseFlag, WorldAtom};
use crate::id::BuildId;
use crate::state::EdgeKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run has to build and to keep, and in which order it can be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The packages. No cpv twice.
    pub packages: Vec<PlannedPackage>,
    /// The dependency edges between them.
    pub edges: Vec<Edge>,
    /// How packages that wait for each other are staged; without it a plan with such packages is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stagings: Vec<Staging>,
    /// Portage's `@system`: what packages may use without a dependency on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<WorldAtom>,
    /// Where the plan moves the toolchain beyond that of the base root: what a base root with the new one has of it, each
    /// after what it needs at run time (PORTAGE.md 7).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub toolchain: Vec<Cpv>,
}

/// One package of the generation that the run shall become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedPackage {
    /// What it is.
    pub cpv: Cpv,
    /// Its slot with sub-slot.
    pub slot: Slot,
    /// The repository its ebuild comes from.
    pub repository: RepoName,
    /// The enabled USE flags.
    #[serde(default, rename = "use")]
    pub use_flags: Vec<UseFlag>,
    /// Keep the binary of this BUILD_ID, which the run's staging view shows, and build nothing. Only a drone that
    /// resolves a run is offered binaries to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<BuildId>,
    /// What it is, or would be, built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<BuildKey>,
    /// What a person wants to know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// How long it is expected to build on a drone of speed 1, in seconds; unknown where absent.
    #[serde(default)]
    pub estimate_seconds: Option<f64>,
}

/// What a person wants to know of a planned package. Nothing is decided by it, but that the size of its sources tells how
/// long a package takes that was never built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The ebuild's KEYWORDS.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// LICENSE, as far as it holds with the package's USE.
    #[serde(default)]
    pub license: String,
    /// Who wants it, nearest first, up to the set that it belongs to.
    #[serde(default)]
    pub wanted_by: Vec<String>,
    /// The size of its source archives, where it is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_bytes: Option<u64>,
    /// Why no binary is kept in its place, where it is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_because: Option<String>,
}

/// The hash of everything that decides what a package's build gives but the packages that it is built with: ebuild,
/// eclasses, files, USE, environment, patches, toolchain (`drone/resolver/keys.py`). Portage compares less (PORTAGE.md 2).
pub type BuildKey = Digest;

/// A component of the waits: packages that wait for each other, and how they come to be all the same (PORTAGE.md 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Staging {
    /// All of them, as indices into [`Plan::packages`].
    pub members: Vec<u32>,
    /// Those whose first stage has less USE. With it, none of the members waits for itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reduced: Vec<Reduced>,
    /// Where no flag breaks the cycle: members whose first stage is an earlier build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitutes: Vec<Substitute>,
}

/// A package with less USE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reduced {
    /// Its index into [`Plan::packages`].
    pub package: u32,
    /// The flags of its USE that are off.
    pub disabled: Vec<UseFlag>,
    /// Its edges then, in place of those in [`Plan::edges`].
    pub edges: Vec<(u32, Vec<EdgeKind>)>,
}

/// An earlier build that stands for a package, of the same slot and sub-slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Substitute {
    /// The index of the package that it stands for into [`Plan::packages`].
    pub package: u32,
    /// What it is.
    pub cpv: Cpv,
    /// The BUILD_ID of the binary, which the run's staging view shows; without one, the base root has it installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<BuildId>,
    /// Its enabled USE flags.
    #[serde(default, rename = "use")]
    pub use_flags: Vec<UseFlag>,
    /// Its edges, in place of those in [`Plan::edges`]: what it needs at run time.
    pub edges: Vec<(u32, Vec<EdgeKind>)>,
}

/// `[dependent, dependency, kinds]`, where the first two are indices into [`Plan::packages`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge(pub u32, pub u32, pub Vec<EdgeKind>);
