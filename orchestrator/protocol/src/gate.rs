//! The gate: before clients see a generation, a trusted drone asks Portage what each workstation would do with it
//! (law 8). An exit status is no evidence; `drone/resolver/gate.py` says what is.
//!
//! A gate is to a prepared generation what a resolution is to a run: one live one, numbered, fenced by a token and the
//! drone's session, repeatable (law 2).

use crate::definition::Bundle;
use crate::digest::Digest;
use crate::drone::Fence;
use crate::gentoo::{Cpv, TargetName, WorkstationName, WorldAtom};
use crate::id::{AttemptToken, GateId, GenerationNumber, RunId, SessionId};
use crate::resolution::Finding;
use crate::ticket::SignedTicket;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/drone/gates`: a long-poll for a generation to judge. For trusted drones.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRequest {
    /// The drone's session.
    pub session: SessionId,
    /// The epochs that the drone holds.
    pub epochs: Vec<Digest>,
    /// How long to wait for work, in seconds, 60 at most.
    pub wait_seconds: u16,
}

/// The answer to [`GateRequest`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GateAnswer {
    /// What to judge; nothing came within the time where absent.
    pub gate: Option<Gate>,
}

/// A drone's task to judge one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Part of every report.
    pub gate: GateId,
    /// Part of every report's [`Fence`].
    pub token: AttemptToken,
    /// The run that the generation is of.
    pub run: RunId,
    /// Its target.
    pub target: TargetName,
    /// The generation.
    pub number: GenerationNumber,
    /// The TIMESTAMP of its index: Portage must have read this one.
    pub timestamp: i64,
    /// The epoch to judge under: the run's.
    pub epoch: Digest,
    /// Whom to ask for, one after the other; never empty.
    pub seats: Vec<Seat>,
    /// What Portage shall not take, as in [`crate::resolution::Resolution::mask`].
    #[serde(default)]
    pub mask: Vec<Cpv>,
    /// Whether to install the generation as well, in a root that is thrown away.
    pub smoke: bool,
    /// Bearer token for the generation.
    pub ticket: SignedTicket,
    /// Bearer token for the seats' bundles, where they have some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundles: Option<SignedTicket>,
    /// How long judging may take, in seconds.
    pub limit_seconds: u64,
}

/// A workstation in the eyes of resolver and gate: what it wants, and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// The workstation's name; absent for the empty one, which stands for a machine that is set up anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<WorkstationName>,
    /// Its world set.
    pub world: Vec<WorldAtom>,
    /// Its installed-package database; where absent, it is judged as if it were set up anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<Bundle>,
}

/// `POST /api/v1/drone/gates/{gate}/verdict`: Portage was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The fence.
    pub fence: Fence,
    /// Why the generation must not be seen, 100 at most; none: it passed.
    pub findings: Vec<Finding>,
    /// What workstations want, and would have to compile: a successor of the run may build it.
    #[serde(default)]
    pub missing: Vec<Cpv>,
}

/// `POST /api/v1/drone/gates/{gate}/fail`: Portage could not be asked; another drone shall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unjudged {
    /// The fence.
    pub fence: Fence,
    /// A sentence; 1,000 characters are kept.
    pub reason: String,
}
