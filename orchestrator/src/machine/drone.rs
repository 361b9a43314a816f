//! A drone: online, offline, grounded, draining.

use swarm_protocol::state::DroneState;

/// Everything that can happen to a drone. Each variant names its legal sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// *offline* → *online*: it is heard.
    Hear,
    /// *online* → *offline*: it is silent for the grace time. A grounded or draining drone gets no work anyway.
    Silence,
    /// *online* or *offline* → *grounded*: too many failures in a row, or a person's order.
    Ground,
    /// *grounded* → *online*: the pause is over.
    Unground,
    /// *online*, *offline* or *grounded* → *draining*: a person wants it to finish.
    Drain,
    /// *draining* or *grounded* → *online*: a person wants it back.
    Resume,
}

impl Transition {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Hear, Self::Silence, Self::Ground, Self::Unground, Self::Drain, Self::Resume];

    /// The event's kind.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::Hear => "drone.online",
            Self::Silence => "drone.offline",
            Self::Ground => "drone.grounded",
            Self::Unground => "drone.ungrounded",
            Self::Drain => "drone.draining",
            Self::Resume => "drone.resumed",
        }
    }
}

/// Where `transition` leads from `state`; `None` where it is illegal or changes nothing.
#[must_use]
pub const fn step(state: DroneState, transition: Transition) -> Option<DroneState> {
    use DroneState::{Draining, Grounded, Offline, Online};
    match (transition, state) {
        (Transition::Hear, Offline)
        | (Transition::Unground, Grounded)
        | (Transition::Resume, Draining | Grounded) => Some(Online),
        (Transition::Silence, Online) => Some(Offline),
        (Transition::Ground, Online | Offline) => Some(Grounded),
        (Transition::Drain, Online | Offline | Grounded) => Some(Draining),
        _ => None,
    }
}
