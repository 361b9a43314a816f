//! A schedule of faults as single acts: what begins, and what ends it. Pure.

use crate::fault::{Fault, Who};
use crate::wire::Condition;
use std::time::Duration;

/// One thing that is done to a world. Each may be done twice, or to what is already dead.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// `kill -9`.
    Kill(Vec<Who>),
    /// Starts again what is dead.
    Start(Vec<Who>),
    /// SIGSTOP.
    Stop(Who),
    /// SIGCONT.
    Continue(Who),
    /// Sets the network between two processes, or between one and everybody.
    Network(Who, Option<Who>, Condition),
    /// Empties Redis.
    Flush,
    /// Redis answers nothing for so long.
    SlowRedis(Duration),
    /// Opens a transaction with a snapshot.
    Hold,
    /// Locks every package that is needed.
    Lock,
    /// Ends both.
    LetGo,
    /// Leaves no space.
    Fill(Who),
    /// Makes space.
    Free(Who),
    /// Shifts the clock by seconds.
    Jump(i64),
}

/// Between the lock and the death of who waits for it.
const MID_CLAIM: Duration = Duration::from_millis(400);

/// All acts of a schedule, in order.
#[must_use]
pub fn acts(schedule: &[(Duration, Fault)]) -> Vec<(Duration, Act)> {
    let mut acts: Vec<_> = schedule.iter().flat_map(|(at, fault)| of(*at, fault)).collect();
    acts.sort_by_key(|(at, _)| *at);
    acts
}

fn of(at: Duration, fault: &Fault) -> Vec<(Duration, Act)> {
    let span = |begin: Act, length: Duration, end: Act| vec![(at, begin), (at + length, end)];
    match fault.clone() {
        Fault::Kill(who, length) => span(Act::Kill(who.clone()), length, Act::Start(who)),
        Fault::Stop(who, length) => span(Act::Stop(who), length, Act::Continue(who)),
        Fault::Network(one, other, condition, length) => {
            let begin = Act::Network(one, other, condition);
            span(begin, length, Act::Network(one, other, Condition::default()))
        }
        Fault::Flush => vec![(at, Act::Flush)],
        Fault::SlowRedis(length) => vec![(at, Act::SlowRedis(length))],
        Fault::HeldSnapshot(length) => span(Act::Hold, length, Act::LetGo),
        Fault::DeadInMidClaim(orchestrator, length) => {
            let victim = vec![Who::Orchestrator(orchestrator)];
            vec![
                (at, Act::Lock),
                (at + MID_CLAIM, Act::Kill(victim.clone())),
                (at + 2 * MID_CLAIM, Act::LetGo),
                (at + 2 * MID_CLAIM + length, Act::Start(victim)),
            ]
        }
        Fault::DiskFull(who, length) => span(Act::Fill(who), length, Act::Free(who)),
        Fault::Jump(seconds) => vec![(at, Act::Jump(seconds))],
    }
}
