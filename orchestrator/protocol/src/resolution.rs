//! Resolving a run: a trusted drone takes the work, asks Portage's depgraph, and answers with a plan or with Portage's
//! refusal (DESIGN 5.2).
//!
//! A resolution is to a run what an attempt is to a package: one live one per run, numbered, fenced by a token and the
//! drone's session, repeatable (law 2).

use crate::digest::Digest;
use crate::drone::Fence;
use crate::epoch::Epoch;
use crate::gate::Seat;
use crate::gentoo::{Cpv, TargetName, WorldAtom};
use crate::id::{AttemptToken, BuildId, DefinitionId, ResolutionId, RunId, SessionId};
use crate::plan::{BuildKey, Plan};
use crate::state::FailureClass;
use crate::ticket::SignedTicket;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/drone/resolutions`: a long-poll for a run to resolve. For trusted drones.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// The drone's session.
    pub session: SessionId,
    /// The epochs that the drone can resolve under, one of each definition at most. A run that was started without an
    /// epoch takes over that of its definition.
    pub epochs: Vec<HeldEpoch>,
    /// How long to wait for work, in seconds, 60 at most.
    pub wait_seconds: u16,
}

/// An epoch that a drone holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldEpoch {
    /// The definition that it is of; none is the drone's own base root with its own `/etc/portage`.
    pub definition: Option<DefinitionId>,
    /// The epoch.
    pub epoch: Epoch,
}

/// The answer to [`ResolveRequest`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ResolveAnswer {
    /// What to resolve; nothing came within the time where absent.
    pub resolution: Option<Resolution>,
}

/// A drone's task to resolve one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// Part of every report.
    pub resolution: ResolutionId,
    /// Part of every report's [`Fence`].
    pub token: AttemptToken,
    /// The run.
    pub run: RunId,
    /// Its target.
    pub target: TargetName,
    /// The epoch to resolve under: one of the request.
    pub epoch: Digest,
    /// What shall be installable from the generation: the target's world set and its workstations'.
    pub world: Vec<WorldAtom>,
    /// What else shall be installable: what a gate found to be missing.
    #[serde(default)]
    pub wants: Vec<Cpv>,
    /// Whose updates to ask for: what they would merge, the plan has as well.
    #[serde(default)]
    pub seats: Vec<Seat>,
    /// Bearer token for the seats' bundles, where they have some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundles: Option<SignedTicket>,
    /// What Portage shall not take: quarantined packages whose older versions may stay.
    #[serde(default)]
    pub mask: Vec<Cpv>,
    /// The build keys of the binaries in the index, as far as they are known. One whose key is another one now is not
    /// kept.
    #[serde(default)]
    pub keys: Vec<BinaryKey>,
    /// Bearer token for the run's staging view, whose `Packages` lists every binary that the run may keep: what the
    /// current generation has and what the predecessor received.
    pub ticket: SignedTicket,
    /// How long resolving may take, in seconds.
    pub limit_seconds: u64,
}

/// What a binary was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BinaryKey {
    /// The package.
    pub cpv: Cpv,
    /// Which build of it.
    pub build_id: BuildId,
    /// Its build key.
    pub key: BuildKey,
}

/// `POST /api/v1/drone/resolutions/{resolution}/plan`: the run is resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    /// The fence.
    pub fence: Fence,
    /// What to build, and what to keep.
    pub plan: Plan,
    /// What a person should know about the plan; 100 are kept.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// `POST /api/v1/drone/resolutions/{resolution}/fail`: there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unresolved {
    /// The fence.
    pub fence: Fence,
    /// *package*: Portage refuses, so the run fails, with the findings. Any other class: this drone could not ask, and
    /// the run is resolved again.
    pub class: FailureClass,
    /// A sentence; 1,000 characters are kept.
    pub reason: String,
    /// What Portage refuses; 100 are kept.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// One thing that Portage refuses, that a person should know about a plan, or for which a set is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// The atom, the package or the soname that it is about, as Portage prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub atom: Option<String>,
    /// Who asked for it, nearest first: cpvs, or `@world`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted_by: Vec<String>,
    /// The workstation that it concerns; all of them where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workstation: Option<String>,
    /// What Portage says, or what is there in its place; 4,000 characters are kept.
    pub detail: String,
}

/// The kinds of [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// There are ebuilds, but all of them are masked.
    Masked,
    /// No ebuild has that name, version, slot or USE flag.
    Unsatisfied,
    /// An ebuild's `REQUIRED_USE` does not hold.
    RequiredUse,
    /// Two versions are wanted in one slot.
    SlotConflict,
    /// Portage would change USE, keywords, masks or licences by itself (autounmask).
    ConfigurationChange,
    /// Two packages block each other.
    Blocker,
    /// A package was built against another sub-slot than that which is there.
    SubSlot,
    /// A program or library needs a shared library that nothing it depends on has.
    Soname,
    /// Packages need each other to be built.
    Cycle,
    /// The base root has a newer C library or compiler than the plan: what is built there could not be installed.
    BaseAhead,
    /// The plan has a newer toolchain than the base root, with which the run is built; the next one is built with the newer,
    /// where the target has a definition.
    BaseBehind,
    /// Its sources must be fetched by a person.
    FetchRestricted,
    /// It asks questions while it is built.
    Interactive,
    /// It is built from whatever its upstream has at that moment.
    Live,
    /// Its binaries may not be given to everybody.
    Unredistributable,
    /// A workstation wants a package of which the generation has no binary.
    NotInstallable,
    /// The generation has a binary of it, which Portage on the workstation rejects: it would have to be built again.
    RebuildMissing,
    /// With binaries alone, Portage on the workstation would not do what it would do with ebuilds, and not say so.
    NotUpdated,
    /// Portage did not read the generation's index.
    StaleIndex,
    /// Portage was to install the generation, and did not.
    NotInstalled,
    /// Anything else.
    Other,
}
