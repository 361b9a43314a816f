//! Definitions of targets, and the workstations that they were pushed from.

use crate::binhost::Provided;
use crate::definition::{Bundle, Definition, RepositorySource};
use crate::digest::Digest;
use crate::gentoo::{TargetName, WorkstationName, WorldAtom};
use crate::ticket::SignedTicket;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/bundles`: which of these must be sent, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferBundles {
    /// What a push is made of; 256 at most.
    pub bundles: Vec<NewBundle>,
}

/// A bundle that could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBundle {
    /// The archive.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// The answer to [`OfferBundles`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleUpload {
    /// The binhost's base URL.
    pub binhost_url: String,
    /// Bearer token for sending and reading exactly these bundles.
    pub ticket: SignedTicket,
    /// Those that the binhost does not have. It keeps the others for a day at least.
    pub missing: Vec<Digest>,
}

/// `POST /api/v1/targets/{target}/definitions`: what a workstation pushes. Repeating it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDefinition {
    /// The workstation that it comes from, which is registered, or registered anew.
    pub workstation: NewWorkstation,
    /// `/etc/portage`.
    pub configuration: Bundle,
    /// The repositories, ordered by name.
    pub repositories: Vec<RepositorySource>,
    /// The number of the newest definition that the pusher knew of, 0 before the first: when another push came in
    /// between, this one is refused (`conflict`), unless it says the same.
    pub expect: i32,
}

/// A workstation that registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkstation {
    /// Its name, unique within the target.
    pub name: WorkstationName,
    /// Its world set. A run builds what any workstation of its target wants.
    pub world: Vec<WorldAtom>,
    /// What it has from elsewhere. Generations lack only what every workstation of the target has.
    #[serde(default)]
    pub provided: Provided,
    /// Its installed packages: `/var/db/pkg` without files, contents and environments.
    #[serde(default)]
    pub installed: Option<Bundle>,
}

/// The answer to [`NewDefinition`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PushedDefinition {
    /// The target's newest definition.
    pub newest: DefinitionEntry,
    /// Whether this push made it; else it said the same already.
    pub new: bool,
}

/// A definition as it stands in a target's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefinitionEntry {
    /// What it is.
    pub definition: Definition,
    /// The workstation that it was pushed from.
    pub workstation: WorkstationName,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// The answer to `POST /api/v1/targets/{target}/definitions/{number}/ticket`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleAccess {
    /// The binhost's base URL.
    pub binhost_url: String,
    /// Bearer token for reading the definition's bundles.
    pub ticket: SignedTicket,
}

/// A definition that a drone cannot bring itself to, while that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnbroughtDefinition {
    /// The target.
    pub target: TargetName,
    /// The definition's number.
    pub number: i32,
    /// The drone's name.
    pub drone: String,
    /// Why, as the drone says it.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// A registered workstation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workstation {
    /// Its name.
    pub name: WorkstationName,
    /// Its world set, ordered.
    pub world: Vec<WorldAtom>,
    /// What it has from elsewhere.
    pub provided: Provided,
    /// Its installed packages, where it sent them.
    pub installed: Option<Bundle>,
    /// When it pushed last.
    pub pushed_at: DateTime<Utc>,
}
