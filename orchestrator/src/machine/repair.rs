//! The ladder (law 13): what is to be done about a drone that is silent, as a function of what is known of it.
//!
//! | level | what | when |
//! |---|---|---|
//! | 1 | its work is taken back ([`crate::maintenance`]) | after the grace time |
//! | 2 | its service is restarted | after the window, again after growing pauses |
//! | 3 | its machine is rebooted | after so many restarts failed, and confirmed |
//!
//! What happened since the drone was heard last is one *episode*; a heartbeat ends it. Nothing is done to a drone that was
//! heard within the grace time, that said goodbye, that a person has in hand, or whose site fell silent as a whole: then
//! the network or the power is gone, and the drones may be well.

#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use swarm_fleet::topology::{Confirmation, Repair as Highest};
use swarm_protocol::admin::RepairOutcome as Outcome;
use swarm_protocol::repair::Step;

/// The bounds of all repairs.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A drone that was heard within this time is well.
    pub grace: TimeDelta,
    /// How long a drone is silent before anything is done; at least twice the grace time, so that by then it shows whether
    /// its site fell silent with it.
    pub window: TimeDelta,
    /// How long after a step the drone has to be heard.
    pub recovery: TimeDelta,
    /// Between the first step of an episode and the second; it doubles with each further one.
    pub first_pause: TimeDelta,
    /// The longest pause.
    pub longest_pause: TimeDelta,
    /// How long a person is waited for.
    pub confirmation: TimeDelta,
    /// How many restarts fail before a reboot.
    pub restarts_before_reboot: usize,
    /// Restarts of one drone within a day.
    pub restarts_per_day: usize,
    /// Reboots of one machine within a day.
    pub reboots_per_day: usize,
}

/// What the topology allows on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The highest step.
    pub highest: Highest,
    /// Who confirms a reboot.
    pub reboot_confirmed_by: Confirmation,
}

/// One repair of a drone, in the past or going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What.
    pub step: Step,
    /// When it was decided, or a person was asked.
    pub begun_at: DateTime<Utc>,
    /// When a person confirmed it.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// From when on it may have happened. It is written before anything happens.
    pub acted_at: Option<DateTime<Utc>>,
    /// Whether the node answered that the step was done, or failed.
    pub answered: bool,
    /// When it was over, and how.
    pub ended: Option<(DateTime<Utc>, Outcome)>,
}

/// A drone, as the ladder sees it.
#[derive(Clone, Debug)]
pub struct Patient {
    /// What may be done.
    pub policy: Policy,
    /// When it was heard last.
    pub heard_at: Option<DateTime<Utc>>,
    /// When it said that it ends, if it has not begun anew since.
    pub goodbye_at: Option<DateTime<Utc>>,
    /// A person drains it, has grounded it, or has not let it in yet.
    pub attended: bool,
    /// Those of the last day and of this episode, oldest first. At most one is open.
    pub repairs: Vec<Repair>,
}

/// Another drone, which tells whether a silence is the patient's own. One that said goodbye is none.
#[derive(Clone, Copy, Debug)]
pub struct Witness {
    /// It stands at the patient's site.
    pub same_site: bool,
    /// When it was heard last.
    pub heard_at: DateTime<Utc>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Nothing,
    /// Nothing yet.
    Wait {
        /// What for.
        why: Waits,
        /// How long at most.
        until: DateTime<Utc>,
    },
    /// Nothing, although the drone is silent.
    Suspended(Suspended),
    /// Write this step down, then do it.
    Begin(Step),
    /// Ask a person whether the machine may be rebooted.
    Ask,
    /// Do what was confirmed.
    Act,
    /// The open repair is over.
    End(Outcome),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The end of the window.
    Window,
    /// The drone's return after a step.
    Recovery,
    /// The end of the pause between two steps.
    Pause,
    /// A person's word.
    Confirmation,
}

/// Why nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspended {
    /// Every drone that could tell fell silent.
    SiteDark,
    /// The node refused: another machine answers at its address, for instance.
    Refused,
    /// No more of these today.
    Spent(Step),
}

/// What is to be done about `patient`. Silence counts from `listening_since` on: since somebody listened (law 4), and since
/// its site was not dark. When power comes back, the first drone that is heard must not have the others restarted.
#[must_use]
pub fn judge(
    patient: &Patient,
    witnesses: &[Witness],
    rules: &Rules,
    listening_since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Verdict {
    let Some(heard_at) = patient.heard_at else { return Verdict::Nothing };
    let due = heard_at.max(listening_since) + rules.window;
    let case = Case { patient, witnesses, rules, due, now };
    if let Some(open) = patient.repairs.iter().find(|repair| repair.ended.is_none()) {
        return case.go_on(open, heard_at);
    }
    if !case.may_be_touched(heard_at) {
        return Verdict::Nothing;
    }
    if case.is_dark(heard_at) {
        return Verdict::Suspended(Suspended::SiteDark);
    }
    if now < due {
        return Verdict::Wait { why: Waits::Window, until: due };
    }
    case.next_step(heard_at)
}

struct Case<'a> {
    patient: &'a Patient,
    witnesses: &'a [Witness],
    rules: &'a Rules,
    /// The end of the window.
    due: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl Case<'_> {
    /// Whether the drone is silent, and nobody wants it so.
    fn may_be_touched(&self, heard_at: DateTime<Utc>) -> bool {
        let Patient { policy, goodbye_at, attended, .. } = self.patient;
        let fresh = self.now < heard_at + self.rules.grace;
        // A goodbye that our own restart brought about is none.
        let first = self.episode(heard_at).find_map(|repair| repair.acted_at);
        let goodbye = goodbye_at.is_some_and(|at| first.is_none_or(|acted| at < acted));
        policy.highest != Highest::Off && !attended && !goodbye && !fresh
    }

    fn episode(&self, heard_at: DateTime<Utc>) -> impl Iterator<Item = &Repair> {
        self.patient.repairs.iter().filter(move |repair| repair.begun_at > heard_at)
    }

    /// Whether nobody is heard who was heard when the patient was: of its site, or of all where it was alone there.
    fn is_dark(&self, heard_at: DateTime<Utc>) -> bool {
        let then = |witness: &&Witness| witness.heard_at > heard_at - self.rules.window;
        let all: Vec<_> = self.witnesses.iter().filter(then).collect();
        let near: Vec<_> = all.iter().copied().filter(|witness| witness.same_site).collect();
        let asked = if near.is_empty() { all } else { near };
        !asked.is_empty() && asked.iter().all(|witness| witness.heard_at + self.rules.grace <= self.now)
    }

    fn go_on(&self, open: &Repair, heard_at: DateTime<Utc>) -> Verdict {
        if let Some(acted_at) = open.acted_at {
            let until = acted_at + self.rules.recovery;
            return if heard_at > acted_at {
                Verdict::End(Outcome::Revived)
            } else if self.now < until {
                Verdict::Wait { why: Waits::Recovery, until }
            } else if open.answered {
                Verdict::End(Outcome::Failed)
            } else {
                // Whoever was to do it ended before the answer: it may have happened, so it is not repeated.
                Verdict::End(Outcome::Unknown)
            };
        }
        let until = open.begun_at + self.rules.confirmation;
        let allowed = self.patient.policy.highest == Highest::Reboot || open.step == Step::Restart;
        if !allowed || !self.may_be_touched(heard_at) {
            Verdict::End(Outcome::Withdrawn)
        } else if open.confirmed_at.is_none() && self.now < until {
            Verdict::Wait { why: Waits::Confirmation, until }
        } else if open.confirmed_at.is_none() {
            Verdict::End(Outcome::Unconfirmed)
        } else if self.is_dark(heard_at) {
            Verdict::Suspended(Suspended::SiteDark)
        } else if self.now < self.due {
            Verdict::Wait { why: Waits::Window, until: self.due }
        } else {
            Verdict::Act
        }
    }

    fn next_step(&self, heard_at: DateTime<Utc>) -> Verdict {
        let (rules, policy) = (self.rules, self.patient.policy);
        let ended = |repair: &Repair| repair.ended;
        let over: Vec<_> = self.episode(heard_at).filter_map(ended).collect();
        if over.iter().any(|&(at, outcome)| outcome == Outcome::Refused && at > self.now - TimeDelta::days(1))
        {
            return Verdict::Suspended(Suspended::Refused);
        }
        if let Some((at, _)) = over.last() {
            let until = *at + pause(rules, over.len());
            if self.now < until {
                return Verdict::Wait { why: Waits::Pause, until };
            }
        }
        let failed = self.episode(heard_at).filter(|repair| {
            repair.step == Step::Restart
                && ended(repair).is_some_and(|(_, outcome)| outcome == Outcome::Failed)
        });
        let reboots = policy.highest == Highest::Reboot && failed.count() >= rules.restarts_before_reboot;
        let (step, most) = if reboots {
            (Step::Reboot, rules.reboots_per_day)
        } else {
            (Step::Restart, rules.restarts_per_day)
        };
        if self.done_today(step) >= most {
            Verdict::Suspended(Suspended::Spent(step))
        } else if step == Step::Reboot && policy.reboot_confirmed_by == Confirmation::Person {
            Verdict::Ask
        } else {
            Verdict::Begin(step)
        }
    }

    /// How often this step was done, or may have been, within a day.
    fn done_today(&self, step: Step) -> usize {
        let untouched =
            |repair: &Repair| matches!(repair.ended, Some((_, Outcome::Refused | Outcome::Unreachable)));
        let done = self.patient.repairs.iter().filter(|repair| {
            repair.step == step
                && repair.acted_at.is_some_and(|at| at > self.now - TimeDelta::days(1))
                && !untouched(repair)
        });
        done.count()
    }
}

/// After the `number`th step of an episode.
fn pause(rules: &Rules, number: usize) -> TimeDelta {
    let doublings = u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    rules
        .first_pause
        .checked_mul(1 << doublings)
        .map_or(rules.longest_pause, |pause| pause.min(rules.longest_pause))
}
