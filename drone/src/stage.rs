//! The stages of an attempt, in order. A build is always in exactly one; heartbeats, logs and failures name it.

use std::fmt;

/// Where an attempt stands on the drone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// The attempt's directories are made.
    Preparing,
    /// The dependencies' binaries are brought from the staging view.
    Collecting,
    /// The package's source archives are brought, with a network where upstream has to be asked.
    Fetching,
    /// All is here, and another build is at work: the attempt is held ahead.
    Waiting,
    /// The dependencies are installed into the root.
    Installing,
    /// The root is compared with the plan.
    Checking,
    /// Portage compiles and packs.
    Building,
    /// The artifact goes to the binhost.
    Uploading,
    /// The orchestrator is asked to accept it.
    Completing,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 9] = [
        Self::Preparing,
        Self::Collecting,
        Self::Fetching,
        Self::Waiting,
        Self::Installing,
        Self::Checking,
        Self::Building,
        Self::Uploading,
        Self::Completing,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Collecting => "collecting",
            Self::Fetching => "fetching",
            Self::Waiting => "waiting",
            Self::Installing => "installing",
            Self::Checking => "checking",
            Self::Building => "building",
            Self::Uploading => "uploading",
            Self::Completing => "completing",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
