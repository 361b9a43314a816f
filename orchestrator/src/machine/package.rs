//! A package and its attempts. The package's row is the mutex: whoever applies a [`Transition`] holds its lock, has
//! read the run and the addressed attempt under it, and writes the [`Change`] in the same transaction.
//!
//! ```text
//! package:  needed ⇄ delegated → received            needed ⇄ blocked
//!             ↑________________↘ quarantined → needed
//! attempt:  held → building → accepting → ended      held, building → ended
//! ```

use super::retry::{PastFailure, Policy, Verdict, judge};
use std::time::Duration;
use swarm_protocol::Digest;
use swarm_protocol::drone::Fence;
use swarm_protocol::id::{AttemptId, AttemptToken, DroneId, SessionId};
use swarm_protocol::state::{AttemptPhase, FailureClass, Outcome, PackageState};

/// What the package's lock protects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The run is *building*.
    pub run_builds: bool,
    /// Where the package stands.
    pub state: PackageState,
    /// How many of its waits are not received.
    pub unmet: i32,
    /// Its `not_before` lies ahead.
    pub pausing: bool,
    /// The attempt that the transition addresses, live or ended; for the others, the live one.
    pub attempt: Option<Attempt>,
    /// The package's failures in this run, oldest first; the machine reads them where a failure is judged.
    pub failures: Vec<PastFailure>,
}

/// The part of an attempt that transitions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// How far it is.
    pub phase: AttemptPhase,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Who holds it.
    pub drone: DroneId,
    /// In which session.
    pub session: SessionId,
    /// What its reports must carry.
    pub token: AttemptToken,
    /// The digest it completed with.
    pub built: Option<Digest>,
}

/// Everything that can happen to a package. Each variant names its legal source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// *needed*, nothing unmet, no pause, run building → *delegated*; an attempt begins, *held*.
    Claim {
        /// The claimant.
        drone: DroneId,
    },
    /// *held* → *building*.
    Start {
        /// Who reports.
        fence: Fence,
    },
    /// *building* → *accepting*.
    Complete {
        /// Who reports.
        fence: Fence,
        /// What was uploaded.
        built: Digest,
    },
    /// *accepting* → *ended*; the package is *received*.
    Receive,
    /// *accepting* → *ended*: the binhost refused the artifact. Judged as a failure.
    Refuse {
        /// Whose fault it was.
        class: FailureClass,
    },
    /// *held* or *building* → *ended*: the drone reports a failure, and the retry rule judges it.
    Fail {
        /// Who reports.
        fence: Fence,
        /// Whose fault it was.
        class: FailureClass,
    },
    /// *held* or *building* → *ended*; *needed* again at once, nobody's fault.
    HandBack {
        /// Who reports.
        fence: Fence,
    },
    /// *held* or *building* → *ended*: its drone is silent, and may regain it. Judged as infrastructure.
    Reclaim,
    /// *building* → *ended*: it makes no progress. Judged likewise, and not to be regained.
    Stall,
    /// *held* → *ended*: its drone gets no more work. Nobody's fault; needed again at once.
    Return,
    /// *held* or *building* → *ended*: its session is over, or its drone no longer lists it. Judged likewise.
    Lose,
    /// *held* → *ended*; another drone's attempt begins, *held*.
    Steal {
        /// The thief.
        drone: DroneId,
    },
    /// *needed*, the newest attempt of a build *reclaimed* from this very session: the returning drone goes on under a
    /// new one.
    Regain {
        /// The drone that came back.
        session: SessionId,
    },
    /// Any live phase → *ended*: the run is over.
    Cancel,
    /// *quarantined* → *needed*: a person, or a change of its inputs, wants another try.
    Release,
    /// *needed*, pausing after a failure: the pause ends now.
    Retry,
    /// A package and its attempt contradict each other, which no other transition brings about: a *delegated* one that
    /// nobody has is *needed* again; a live attempt of one that is not *delegated* ends, and the package stays as it is.
    Reconcile,
}

/// What a transition changes; nothing else may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Where the package stands afterwards.
    pub state: PackageState,
    /// What happens to the addressed attempt.
    pub attempt: AttemptChange,
    /// A new attempt begins, in this phase, for this drone.
    pub begin: Option<Begin>,
    /// How long nobody may claim the package.
    pub pause: Option<Duration>,
    /// What the packages that wait for this one learn.
    pub spread: Spread,
    /// The event's kind.
    pub event: &'static str,
}

/// What happens to the addressed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptChange {
    /// Nothing.
    Keep,
    /// It moves on.
    Move(AttemptPhase),
    /// It ends.
    End(Outcome, Option<FailureClass>),
}

/// A new attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Begin {
    /// For this drone.
    pub drone: DroneId,
    /// *held*, but *building* for a drone that never stopped.
    pub phase: AttemptPhase,
    /// Whether the former attempt's BUILD_ID is kept; else the next one is allocated.
    pub keeps_build_id: bool,
}

/// What the packages that wait for this one learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spread {
    /// Nothing.
    Nothing,
    /// One of their waits is received: `unmet − 1`.
    Received,
    /// One of their waits is out of reach: they are blocked.
    Stuck,
    /// It is within reach again.
    Unstuck,
}

/// A transition that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// It happens now.
    Change(Change),
    /// It has happened already: the first answer stands (law 2).
    Repeat,
}

/// Why a transition is refused. Nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The report's attempt, token or session is not the live one.
    #[error("the attempt is not this session's live one")]
    Stale,
    /// The package or attempt is not in a source state of the transition.
    #[error("the package's state does not allow it")]
    State,
    /// Something else holds it back: a wait, a pause, the run.
    #[error("the package is not ready")]
    NotReady,
}

/// Judges `transition` against what the lock protects.
pub fn step(cell: &Cell, transition: &Transition, policy: &Policy) -> Result<Step, Refusal> {
    use AttemptPhase::{Accepting, Building, Ended, Held};
    match *transition {
        Transition::Claim { drone } => claim(cell, drone),
        Transition::Start { fence } => match fenced(cell, fence)?.phase {
            Held => Ok(moved(cell, Building, "package.started")),
            Building => Ok(Step::Repeat),
            Accepting | Ended => Err(Refusal::Stale),
        },
        Transition::Complete { fence, built } => complete(cell, fence, built),
        Transition::Receive => receive(cell),
        Transition::Refuse { class } => {
            let attempt = cell.attempt.ok_or(Refusal::State)?;
            match attempt.phase {
                Accepting => Ok(failed(cell, attempt, Outcome::Failed, class, policy)),
                Ended if attempt.outcome == Some(Outcome::Failed) => Ok(Step::Repeat),
                _ => Err(Refusal::State),
            }
        }
        Transition::Fail { fence, class } => {
            let attempt = fenced(cell, fence)?;
            match (attempt.phase, attempt.outcome) {
                (Held | Building, _) => Ok(failed(cell, attempt, Outcome::Failed, class, policy)),
                (Ended, Some(Outcome::Failed)) => Ok(Step::Repeat),
                _ => Err(Refusal::Stale),
            }
        }
        Transition::HandBack { fence } => {
            match (fenced(cell, fence)?.phase, cell.attempt.and_then(|a| a.outcome)) {
                (Held | Building, _) => Ok(ended(Outcome::HandedBack, "package.handed_back")),
                (Ended, Some(Outcome::HandedBack)) => Ok(Step::Repeat),
                _ => Err(Refusal::Stale),
            }
        }
        Transition::Reclaim => taken(cell, Outcome::Reclaimed, policy),
        Transition::Stall => match cell.attempt {
            Some(attempt) if attempt.phase == Building => taken(cell, Outcome::Lost, policy),
            _ => Err(Refusal::State),
        },
        Transition::Return => match cell.attempt {
            Some(attempt) if attempt.phase == Held => Ok(ended(Outcome::HandedBack, "package.handed_back")),
            _ => Err(Refusal::State),
        },
        Transition::Lose => taken(cell, Outcome::Lost, policy),
        Transition::Steal { drone } => match cell.attempt {
            Some(attempt) if attempt.phase == Held && attempt.drone != drone && cell.run_builds => {
                Ok(Step::Change(Change {
                    state: PackageState::Delegated,
                    attempt: AttemptChange::End(Outcome::Stolen, None),
                    begin: Some(Begin { drone, phase: Held, keeps_build_id: false }),
                    pause: None,
                    spread: Spread::Nothing,
                    event: "package.stolen",
                }))
            }
            _ => Err(Refusal::State),
        },
        Transition::Regain { session } => regain(cell, session),
        Transition::Cancel => match cell.attempt {
            Some(attempt) if attempt.phase != Ended => Ok(ended(Outcome::Cancelled, "package.cancelled")),
            _ => Ok(Step::Repeat),
        },
        Transition::Release => match cell.state {
            PackageState::Quarantined => Ok(Step::Change(Change {
                state: PackageState::Needed,
                attempt: AttemptChange::Keep,
                begin: None,
                pause: None,
                spread: Spread::Unstuck,
                event: "package.released",
            })),
            _ => Err(Refusal::State),
        },
        Transition::Retry => match cell.state {
            PackageState::Needed if cell.pausing => Ok(Step::Change(Change {
                state: PackageState::Needed,
                attempt: AttemptChange::Keep,
                begin: None,
                pause: None,
                spread: Spread::Nothing,
                event: "package.retried",
            })),
            _ => Err(Refusal::State),
        },
        Transition::Reconcile => reconcile(cell),
    }
}

/// The addressed attempt, if token and session are its own.
fn fenced(cell: &Cell, fence: Fence) -> Result<Attempt, Refusal> {
    cell.attempt
        .filter(|attempt| attempt.token == fence.token && attempt.session == fence.session)
        .ok_or(Refusal::Stale)
}

fn moved(cell: &Cell, phase: AttemptPhase, event: &'static str) -> Step {
    Step::Change(Change {
        state: cell.state,
        attempt: AttemptChange::Move(phase),
        begin: None,
        pause: None,
        spread: Spread::Nothing,
        event,
    })
}

/// The attempt ends, nobody's fault; the package is needed again at once.
fn ended(outcome: Outcome, event: &'static str) -> Step {
    Step::Change(Change {
        state: PackageState::Needed,
        attempt: AttemptChange::End(outcome, None),
        begin: None,
        pause: None,
        spread: Spread::Nothing,
        event,
    })
}

fn claim(cell: &Cell, drone: DroneId) -> Result<Step, Refusal> {
    if cell.state != PackageState::Needed {
        return Err(Refusal::State);
    }
    if cell.unmet > 0 || cell.pausing || !cell.run_builds {
        return Err(Refusal::NotReady);
    }
    Ok(Step::Change(Change {
        state: PackageState::Delegated,
        attempt: AttemptChange::Keep,
        begin: Some(Begin { drone, phase: AttemptPhase::Held, keeps_build_id: false }),
        pause: None,
        spread: Spread::Nothing,
        event: "package.claimed",
    }))
}

fn complete(cell: &Cell, fence: Fence, built: Digest) -> Result<Step, Refusal> {
    let attempt = fenced(cell, fence)?;
    match (attempt.phase, attempt.outcome) {
        (AttemptPhase::Building, _) => Ok(moved(cell, AttemptPhase::Accepting, "package.completed")),
        (AttemptPhase::Accepting, _) | (AttemptPhase::Ended, Some(Outcome::Received | Outcome::Failed))
            if attempt.built == Some(built) =>
        {
            Ok(Step::Repeat)
        }
        _ => Err(Refusal::Stale),
    }
}

fn receive(cell: &Cell) -> Result<Step, Refusal> {
    let attempt = cell.attempt.ok_or(Refusal::State)?;
    match (attempt.phase, attempt.outcome) {
        (AttemptPhase::Accepting, _) => Ok(Step::Change(Change {
            state: PackageState::Received,
            attempt: AttemptChange::End(Outcome::Received, None),
            begin: None,
            pause: None,
            spread: Spread::Received,
            event: "package.received",
        })),
        (AttemptPhase::Ended, Some(Outcome::Received)) => Ok(Step::Repeat),
        _ => Err(Refusal::State),
    }
}

/// The attempt is taken from its drone: a failure of the infrastructure, unless it is already being accepted.
fn taken(cell: &Cell, outcome: Outcome, policy: &Policy) -> Result<Step, Refusal> {
    match cell.attempt {
        Some(attempt) if matches!(attempt.phase, AttemptPhase::Held | AttemptPhase::Building) => {
            Ok(failed(cell, attempt, outcome, FailureClass::Infrastructure, policy))
        }
        _ => Err(Refusal::State),
    }
}

fn failed(cell: &Cell, attempt: Attempt, outcome: Outcome, class: FailureClass, policy: &Policy) -> Step {
    let mut failures = cell.failures.clone();
    failures.push(PastFailure { drone: attempt.drone, class });
    let event = match outcome {
        Outcome::Reclaimed => "package.reclaimed",
        Outcome::Lost => "package.lost",
        _ => "package.failed",
    };
    let end = AttemptChange::End(outcome, (outcome == Outcome::Failed).then_some(class));
    Step::Change(match judge(&failures, policy) {
        Verdict::Retry { pause } => Change {
            state: PackageState::Needed,
            attempt: end,
            begin: None,
            // What a drone lost by silence may be claimed at once: the next drone is not to blame.
            pause: (outcome == Outcome::Failed).then_some(pause),
            spread: Spread::Nothing,
            event,
        },
        Verdict::Quarantine => Change {
            state: PackageState::Quarantined,
            attempt: end,
            begin: None,
            pause: None,
            spread: Spread::Stuck,
            event: "package.quarantined",
        },
    })
}

fn regain(cell: &Cell, session: SessionId) -> Result<Step, Refusal> {
    let attempt = cell.attempt.filter(|attempt| attempt.session == session).ok_or(Refusal::Stale)?;
    if attempt.outcome != Some(Outcome::Reclaimed) || cell.state != PackageState::Needed || !cell.run_builds {
        return Err(Refusal::State);
    }
    Ok(Step::Change(Change {
        state: PackageState::Delegated,
        attempt: AttemptChange::Keep,
        begin: Some(Begin { drone: attempt.drone, phase: AttemptPhase::Building, keeps_build_id: true }),
        pause: None,
        spread: Spread::Nothing,
        event: "package.regained",
    }))
}

fn reconcile(cell: &Cell) -> Result<Step, Refusal> {
    let (state, attempt) = match (cell.state, cell.attempt.map(|attempt| attempt.phase)) {
        (PackageState::Delegated, None) => (PackageState::Needed, AttemptChange::Keep),
        (PackageState::Delegated, Some(_)) | (_, None | Some(AttemptPhase::Ended)) => {
            return Err(Refusal::State);
        }
        (state, Some(_)) => (state, AttemptChange::End(Outcome::Cancelled, None)),
    };
    Ok(Step::Change(Change {
        state,
        attempt,
        begin: None,
        pause: None,
        spread: Spread::Nothing,
        event: "package.reconciled",
    }))
}
