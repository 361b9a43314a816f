//! Targets and their world sets.

use super::definition::UnbroughtDefinition;
use crate::binhost::Provided;
use crate::gentoo::{TargetName, WorldAtom};
use crate::id::{GenerationNumber, RunId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/targets`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTarget {
    /// Its name: part of the binhost's URLs.
    pub name: TargetName,
    /// Its world set.
    #[serde(default)]
    pub world: Vec<WorldAtom>,
    /// What its generations need not contain.
    #[serde(default)]
    pub provided: Provided,
}

/// `PUT /api/v1/targets/{target}/world`: what shall be installable from the target's generations. Runs that begin later
/// resolve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The atoms and sets of a workstation's `/var/lib/portage/world` and `world_sets`.
    pub world: Vec<WorldAtom>,
    /// What the generations need not contain, as of the same workstation. Holds from the next generation on.
    #[serde(default)]
    pub provided: Provided,
}

/// `GET /api/v1/targets/{target}/client`: what a workstation is set up with to install from the target's generations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientSetup {
    /// The current generation's URL: `sync-uri` in `binrepos.conf`.
    pub sync_uri: String,
    /// The public keys that packages are signed with, armored; none where they are not signed.
    pub keys: Option<String>,
}

/// A target, with what its clients see.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// Its world set, ordered.
    pub world: Vec<WorldAtom>,
    /// What its generations need not contain.
    pub provided: Provided,
    /// The generation that clients see.
    pub current: Option<GenerationNumber>,
    /// The open run, if there is one.
    pub open_run: Option<RunId>,
    /// Definitions of it that drones cannot bring themselves to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbrought: Vec<UnbroughtDefinition>,
}
