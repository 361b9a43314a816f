//! What an idle drone takes from another that holds more than it builds. Only what is not started, and only where it is
//! done sooner by that; the transfer itself is the package machine's.

use super::fit::{Fleet, seconds};
use super::{Drone, Snapshot, Work};
use chrono::{DateTime, Utc};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use swarm_protocol::id::{AttemptId, DroneId, PackageId};

/// How victims are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Of two by chance, the one that is busy for longer.
    #[default]
    TwoChoices,
    /// By chance.
    Random,
    /// Who is busy for the shortest time.
    LeastLoaded,
    /// Who is busy for the longest time.
    MostLoaded,
    /// From whom it succeeded best so far; now and then by chance.
    Adaptive,
}

impl Strategy {
    /// All of them, with the words for them.
    pub const ALL: [(&str, Self); 5] = [
        ("two-choices", Self::TwoChoices),
        ("random", Self::Random),
        ("least-loaded", Self::LeastLoaded),
        ("most-loaded", Self::MostLoaded),
        ("adaptive", Self::Adaptive),
    ];

    /// From its word.
    pub fn parse(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found
            .map(|(_, strategy)| *strategy)
            .ok_or_else(|| format!("{word:?} is none of {}", Self::ALL.map(|(name, _)| name).join(", ")))
    }
}

/// How idle drones take from others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stealing {
    /// How victims are chosen.
    pub strategy: Strategy,
    /// Where chance begins.
    pub seed: u64,
    /// Thieves that were too late, and until when they rest.
    pub resting: BTreeMap<DroneId, DateTime<Utc>>,
    /// How often it succeeded, and how often not, by victim.
    pub record: BTreeMap<DroneId, (u32, u32)>,
}

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loot {
    /// From whom.
    pub victim: DroneId,
    /// Its attempt.
    pub attempt: AttemptId,
    /// Of which package.
    pub package: PackageId,
}

/// How often the adaptive strategy tries anybody.
const CURIOSITY: f64 = 0.1;

/// What every idle drone that asks would take. No two take the same.
pub(super) fn steal(snapshot: &Snapshot, fleet: &Fleet<'_>, now: DateTime<Utc>) -> BTreeMap<DroneId, Loot> {
    let Stealing { strategy, seed, resting, record } = &snapshot.stealing;
    let mut rng = ChaCha8Rng::seed_from_u64(*seed);
    let mut taken = BTreeSet::new();
    let idle = snapshot.drones.iter().filter(|drone| drone.wants > 0 && drone.work.is_empty());
    let mut thieves: Vec<_> =
        idle.filter(|drone| resting.get(&drone.drone).is_none_or(|until| *until <= now)).collect();
    // The fastest first: what it takes is done soonest.
    thieves.sort_by(|a, b| b.speed.total_cmp(&a.speed));
    let mut loot = BTreeMap::new();
    for thief in thieves {
        let victims: Vec<_> = snapshot
            .drones
            .iter()
            .filter(|drone| drone.drone != thief.drone)
            .filter_map(|drone| Victim::of(drone, thief, fleet, &taken, now))
            .collect();
        if let Some(victim) = choose(*strategy, &victims, record, &mut rng) {
            taken.insert(victim.work.attempt);
            let Work { attempt, job, .. } = victim.work;
            loot.insert(thief.drone, Loot { victim: victim.drone, attempt: *attempt, package: job.package });
        }
    }
    loot
}

/// A drone that holds something that the thief would have done sooner.
struct Victim<'a> {
    drone: DroneId,
    /// In how many seconds it has done all that it has.
    free_in: f64,
    work: &'a Work,
}

impl<'a> Victim<'a> {
    fn of(
        drone: &'a Drone,
        thief: &Drone,
        fleet: &Fleet<'_>,
        taken: &BTreeSet<AttemptId>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        // Who builds nothing is about to start what it has.
        drone.work.iter().find(|work| work.started_at.is_some())?;
        let free_in = drone.work.iter().map(|work| work.remaining_seconds(drone.speed, now)).sum();
        // The last: it would wait longest.
        let work = drone
            .work
            .iter()
            .rfind(|work| work.started_at.is_none() && !taken.contains(&work.attempt))
            .filter(|work| fleet.unfit(&work.job, thief).is_none())
            .filter(|work| !work.job.failed_on.contains(&thief.drone))?;
        let here = work.job.estimate_seconds / thief.speed;
        // Nobody knows how long an overdue build still takes: what waits behind it waits no longer than it takes here.
        let waited = now - work.claimed_at >= seconds(here);
        // Of equals, the idle one: the other is overdue, or it would be sooner.
        (here <= free_in || waited).then_some(Self { drone: drone.drone, free_in, work })
    }

    fn longer(&self, other: &Self) -> Ordering {
        self.free_in.total_cmp(&other.free_in).then(other.drone.cmp(&self.drone))
    }
}

/// All strategies in one.
fn choose<'a, 'b>(
    strategy: Strategy,
    victims: &'b [Victim<'a>],
    record: &BTreeMap<DroneId, (u32, u32)>,
    rng: &mut ChaCha8Rng,
) -> Option<&'b Victim<'a>> {
    match strategy {
        Strategy::TwoChoices => victims.sample(rng, 2).max_by(|a, b| a.longer(b)),
        Strategy::Random => victims.choose(rng),
        Strategy::LeastLoaded => victims.iter().min_by(|a, b| a.longer(b)),
        Strategy::MostLoaded => victims.iter().max_by(|a, b| a.longer(b)),
        Strategy::Adaptive if rng.random_bool(CURIOSITY) => victims.choose(rng),
        Strategy::Adaptive => {
            // As if it had succeeded and failed once before: who is unknown is worth a try.
            let rate = |victim: &Victim<'_>| {
                let (won, lost) = record.get(&victim.drone).copied().unwrap_or_default();
                f64::from(won + 1) / f64::from(won + lost + 2)
            };
            victims.iter().max_by(|a, b| rate(a).total_cmp(&rate(b)).then_with(|| a.longer(b)))
        }
    }
}
