//! `[gate]`.

use serde::Deserialize;

/// `[gate]`: what is asked of Portage before clients see a generation.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// Whether the generation of a run that a drone resolved must pass. One whose plan a person posted is not judged.
    pub required: bool,
    /// What becomes of a run whose packages are quarantined.
    pub quarantined: Quarantined,
    /// Whether the generation is also installed, in a root that is thrown away.
    pub smoke: bool,
    /// How long judging may take, in seconds.
    pub limit_seconds: u32,
    /// How long a generation waits for a drone that judges it before its run fails, in seconds.
    pub patience_seconds: u32,
}

/// `gate.quarantined`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quarantined {
    /// They hold the run until a person decides.
    Hold,
    /// A successor is resolved without them: their older versions stay, where Portage and the gate agree.
    Older,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            required: true,
            quarantined: Quarantined::Hold,
            smoke: false,
            limit_seconds: 1800,
            patience_seconds: 3600,
        }
    }
}
