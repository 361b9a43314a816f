//! Newtype ids. A row's id is a positive 64-bit integer that Postgres allocates; an [`AttemptToken`] and a
//! [`SessionNonce`] are random and made to be unguessable or collision-free, never counted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! row_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    )*};
}

row_id! {
    /// A kind of machine to build for.
    TargetId;
    /// One version of what a target is.
    DefinitionId;
    /// The row that holds an epoch's hash for one target.
    EpochId;
    /// One attempt to bring a target to an epoch.
    RunId;
    /// One try of judging one run's generation on one drone.
    GateId;
    /// One try of resolving one run on one drone.
    ResolutionId;
    /// One row of a run's queue.
    PackageId;
    /// One try of one package on one drone.
    AttemptId;
    /// A build box's daemon, across restarts.
    DroneId;
    /// One start of a drone's process.
    SessionId;
    /// One binary package file.
    ArtifactId;
    /// The row of a generation; people speak of its number.
    GenerationId;
    /// One nightly update of a target.
    NightlyId;
    /// One step of reviving a drone.
    RepairId;
    /// One line of the event log.
    EventId;
    /// A token, whose secret nobody knows from it.
    TokenId;
}

macro_rules! random_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh random value.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }
    )*};
}

random_id! {
    /// The random part of a claim: whoever reports for an attempt must know it.
    AttemptToken;
    /// Made by a drone's process at its start, so that a repeated "open session" opens one session.
    SessionNonce;
}

/// A token is a secret: its `Debug` form must be harmless in a log.
impl fmt::Debug for AttemptToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptToken(…)")
    }
}

impl fmt::Debug for SessionNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionNonce({})", self.0)
    }
}

/// Portage's `BUILD_ID`: allocated per target and cpv, from 1, never reused (law 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
pub struct BuildId(pub i32);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a generation within its target, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
pub struct GenerationNumber(pub i64);

impl fmt::Display for GenerationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
