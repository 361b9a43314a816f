//! The states of every machine, each with its one spelling: in JSON, in Postgres, on the command line.
//! Which moves are legal is said by the orchestrator's `machine` module; the words are those of the design.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident $type_name:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = $type_name))]
        pub enum $name {
            $(
                $(#[$vdoc])*
                #[serde(rename = $text)]
                #[cfg_attr(feature = "sqlx", sqlx(rename = $text))]
                $variant,
            )*
        }

        impl $name {
            /// Every value, in the order in which Postgres declares them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The one spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

states! {
    /// Where a package of a run's queue stands.
    PackageState "package_state" {
        /// To be built; claimable when its `unmet` count is 0.
        Needed = "needed",
        /// A drone holds a live attempt.
        Delegated = "delegated",
        /// Its artifact is staged.
        Received = "received",
        /// Waits behind a quarantined package.
        Blocked = "blocked",
        /// Failed for reasons of its own, or beyond its budget.
        Quarantined = "quarantined",
    }

    /// How far an attempt is.
    AttemptPhase "attempt_phase" {
        /// Claimed, not started.
        Held = "held",
        /// The drone said that it compiles.
        Building = "building",
        /// The drone has uploaded and completed; the binhost is being asked to stage.
        Accepting = "accepting",
        /// Over; its outcome says how.
        Ended = "ended",
    }

    /// How an attempt ended.
    Outcome "attempt_outcome" {
        /// Its artifact was staged.
        Received = "received",
        /// It failed; the class says why.
        Failed = "failed",
        /// Its drone fell silent or stalled.
        Reclaimed = "reclaimed",
        /// Its drone gave it back unfinished.
        HandedBack = "handed_back",
        /// Another drone stole it before it started.
        Stolen = "stolen",
        /// Its drone opened a new session, or no longer listed it.
        Lost = "lost",
        /// Its run ended or was cancelled.
        Cancelled = "cancelled",
    }

    /// Whose fault a failure is; each class has its own retry rule (law 7).
    FailureClass "failure_class" {
        /// Network, disk full, drone died, upload refused.
        Infrastructure = "infrastructure",
        /// Out of memory, timed out.
        Resources = "resources",
        /// The drone is out of step with the run's epoch.
        Epoch = "epoch",
        /// The package does not fetch, compile or install.
        Package = "package",
    }

    /// Where a run stands.
    RunState "run_state" {
        /// Its plan is awaited.
        Resolving = "resolving",
        /// Packages are being built.
        Building = "building",
        /// Nothing proceeds without a person: something is quarantined, or failures were epidemic.
        Frozen = "frozen",
        /// The digest list is frozen; the generation is being prepared and judged.
        Validating = "validating",
        /// The intent to switch is recorded.
        Promoting = "promoting",
        /// Its generation is, or was, current.
        Promoted = "promoted",
        /// It cannot reach its epoch.
        Failed = "failed",
        /// A person ended it.
        Cancelled = "cancelled",
        /// A successor took its place.
        Superseded = "superseded",
    }

    /// How a resolution ended.
    ResolutionOutcome "resolution_outcome" {
        /// Its plan is in the queue.
        Planned = "planned",
        /// Portage refused.
        Refused = "refused",
        /// The drone could not ask Portage.
        Failed = "failed",
        /// Its drone fell silent, began anew, or took too long.
        Lost = "lost",
        /// Another generation became current meanwhile, or the run got its plan from elsewhere.
        Outdated = "outdated",
    }

    /// How a gate ended.
    GateOutcome "gate_outcome" {
        /// Every workstation can install the generation.
        Passed = "passed",
        /// Some workstation cannot.
        Refused = "refused",
        /// The drone could not ask Portage.
        Failed = "failed",
        /// Its drone fell silent, began anew, or took too long.
        Lost = "lost",
        /// The run needs no verdict any more.
        Outdated = "outdated",
    }

    /// Where a drone stands.
    DroneState "drone_state" {
        /// Heard from, and given work.
        Online = "online",
        /// Not heard from for the grace time.
        Offline = "offline",
        /// Too many failures in a row; no new work for a while.
        Grounded = "grounded",
        /// Finishes what it has, gets nothing new.
        Draining = "draining",
    }

    /// Where a generation stands.
    GenerationState "generation_state" {
        /// The binhost is asked to write it.
        Preparing = "preparing",
        /// Written; not yet current.
        Prepared = "prepared",
        /// What clients see.
        Current = "current",
        /// Was current.
        Retired = "retired",
        /// The gate refused it.
        Refused = "refused",
    }

    /// What a bearer token may do.
    Role "token_role" {
        /// Everything.
        Admin = "admin",
        /// Speak for one drone.
        Drone = "drone",
        /// Read.
        Viewer = "viewer",
    }

    /// The kinds of dependency edges, as Portage's digraph prints its priorities.
    EdgeKind "edge_kind" {
        /// DEPEND and BDEPEND.
        Buildtime = "buildtime",
        /// RDEPEND and IDEPEND.
        Runtime = "runtime",
        /// PDEPEND: never waited for.
        RuntimePost = "runtime_post",
    }
}

impl RunState {
    /// The states after which a run never changes again.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Promoted | Self::Failed | Self::Cancelled | Self::Superseded)
    }
}
