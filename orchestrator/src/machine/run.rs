//! A run: `resolving → building → validating → promoting → promoted`, with its ways out.

use swarm_protocol::state::RunState;

/// Everything that can happen to a run. Each variant names its legal sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// *resolving* → *building*: the plan is in the queue.
    Plan,
    /// *building* → *frozen*: nothing proceeds without a person.
    Freeze,
    /// *frozen* → *building*: a person released something.
    Thaw,
    /// *building* → *validating*: everything is received; the digest list is frozen.
    Validate,
    /// *validating* → *promoting*: the gate passed; the intent to switch is recorded.
    Promote,
    /// *promoting* → *promoted*: the binhost has switched.
    Promoted,
    /// *building* → *promoted*: what it would publish is what is current.
    Unchanged,
    /// *resolving*, *validating* or *promoting* → *failed*: the epoch cannot be reached.
    Fail,
    /// *resolving*, *building* or *frozen* → *cancelled*.
    Cancel,
    /// *resolving*, *building* or *frozen* → *superseded*.
    Supersede,
}

impl Transition {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Plan,
        Self::Freeze,
        Self::Thaw,
        Self::Validate,
        Self::Promote,
        Self::Promoted,
        Self::Unchanged,
        Self::Fail,
        Self::Cancel,
        Self::Supersede,
    ];

    /// The event's kind.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::Plan => "run.planned",
            Self::Freeze => "run.frozen",
            Self::Thaw => "run.thawed",
            Self::Validate => "run.validating",
            Self::Promote => "run.promoting",
            Self::Promoted => "run.promoted",
            Self::Unchanged => "run.unchanged",
            Self::Fail => "run.failed",
            Self::Cancel => "run.cancelled",
            Self::Supersede => "run.superseded",
        }
    }
}

/// Where `transition` leads from `state`; `None` where it is illegal.
#[must_use]
pub const fn step(state: RunState, transition: Transition) -> Option<RunState> {
    use RunState::{
        Building, Cancelled, Failed, Frozen, Promoted, Promoting, Resolving, Superseded, Validating,
    };
    match (transition, state) {
        (Transition::Plan, Resolving) | (Transition::Thaw, Frozen) => Some(Building),
        (Transition::Freeze, Building) => Some(Frozen),
        (Transition::Validate, Building) => Some(Validating),
        (Transition::Promote, Validating) => Some(Promoting),
        (Transition::Promoted, Promoting) | (Transition::Unchanged, Building) => Some(Promoted),
        (Transition::Fail, Resolving | Validating | Promoting) => Some(Failed),
        (Transition::Cancel, Resolving | Building | Frozen) => Some(Cancelled),
        (Transition::Supersede, Resolving | Building | Frozen) => Some(Superseded),
        _ => None,
    }
}
