//! What goes wrong, and when: a schedule from a seed. Pure.

use crate::wire::Condition;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};
use std::time::Duration;

/// How long things go wrong.
pub const STORM: Duration = Duration::from_secs(12);

/// A process of the swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// One of the two orchestrators.
    Orchestrator(usize),
    /// The binhost.
    Binhost,
    /// One of the drones.
    Drone(usize),
    /// Redis.
    Redis,
    /// Postgres.
    Postgres,
}

/// Something that goes wrong, and comes right again by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// `kill -9`, of several in the same instant; they are started again after a while.
    Kill(Vec<Who>, Duration),
    /// SIGSTOP, and SIGCONT after a while: a machine that swaps, a suspended laptop. Its answers come late.
    Stop(Who, Duration),
    /// The network between two processes.
    Network(Who, Option<Who>, Condition, Duration),
    /// Redis is emptied.
    Flush,
    /// Redis answers nothing for a while.
    SlowRedis(Duration),
    /// Somebody leaves a transaction open.
    HeldSnapshot(Duration),
    /// An orchestrator is killed while its claims wait for locks.
    DeadInMidClaim(usize, Duration),
    /// No space is left on the binhost, or on a drone.
    DiskFull(Who, Duration),
    /// The swarm's clock jumps by so many seconds.
    Jump(i64),
}

/// When each fault begins, in order.
#[must_use]
pub fn schedule(dice: &mut impl Rng, drones: usize) -> Vec<(Duration, Fault)> {
    let count = dice.random_range(4..=9);
    let mut schedule: Vec<_> = (0..count)
        .map(|_| {
            let at = dice.random_range(0.5..STORM.as_secs_f64());
            (Duration::from_secs_f64(at), fault(dice, drones))
        })
        .collect();
    schedule.sort_by_key(|(at, _)| *at);
    schedule
}

fn fault(dice: &mut impl Rng, drones: usize) -> Fault {
    let length = Duration::from_millis(dice.random_range(200..9000));
    let drone = Who::Drone(dice.random_range(0..drones));
    let orchestrator = dice.random_range(0..2);
    let server = [Who::Orchestrator(0), Who::Orchestrator(1), Who::Binhost];
    let all = [&server[..], &[Who::Redis, Who::Postgres, drone, drone]].concat();
    match dice.random_range(0..14) {
        0 | 1 => Fault::Kill(vec![*all.choose(dice).expect("not empty")], length),
        2 => {
            let mut three: Vec<_> = (0..drones).map(Who::Drone).collect();
            three.shuffle(dice);
            three.truncate(3);
            Fault::Kill(three, length)
        }
        3 => Fault::Kill(vec![Who::Orchestrator(0), Who::Orchestrator(1)], length),
        4 | 5 => Fault::Stop(*all.choose(dice).expect("not empty"), length),
        6 => Fault::Network(drone, None, Condition { cut: true, ..Condition::default() }, length),
        7 => {
            let condition = Condition {
                cut: false,
                delay: Duration::from_millis(dice.random_range(5..250)),
                loss: dice.random_range(0.0..0.2),
                doubled: dice.random_range(0.0..0.3),
            };
            Fault::Network(*all[..3].choose(dice).expect("not empty"), Some(drone), condition, length)
        }
        8 => {
            let cut = Condition { cut: true, ..Condition::default() };
            Fault::Network(Who::Binhost, Some(Who::Orchestrator(orchestrator)), cut, length)
        }
        9 => Fault::Flush,
        10 => Fault::SlowRedis(length),
        11 => Fault::HeldSnapshot(length),
        12 => Fault::DeadInMidClaim(orchestrator, length),
        _ => match dice.random_range(0..3) {
            0 => Fault::Jump(dice.random_range(-7200..7200)),
            1 => Fault::DiskFull(Who::Binhost, length),
            _ => Fault::DiskFull(drone, length),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_seed_always_gives_the_same_schedule() {
        let of = |seed| schedule(&mut ChaCha8Rng::seed_from_u64(seed), 5);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        assert!(of(7).is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn a_hundred_seeds_have_every_fault() {
        let all: Vec<_> =
            (0..100).flat_map(|seed| schedule(&mut ChaCha8Rng::seed_from_u64(seed), 5)).collect();
        let has = |wanted: fn(&Fault) -> bool| assert!(all.iter().any(|(_, fault)| wanted(fault)));
        has(|fault| matches!(fault, Fault::Kill(three, _) if three.len() == 3));
        has(|fault| matches!(fault, Fault::Kill(who, _) if who == &[Who::Postgres]));
        has(|fault| matches!(fault, Fault::Stop(Who::Drone(_), _)));
        has(|fault| matches!(fault, Fault::Network(_, _, condition, _) if condition.cut));
        has(|fault| matches!(fault, Fault::Network(_, _, condition, _) if condition.doubled > 0.0));
        has(|fault| matches!(fault, Fault::Flush));
        has(|fault| matches!(fault, Fault::SlowRedis(_)));
        has(|fault| matches!(fault, Fault::HeldSnapshot(_)));
        has(|fault| matches!(fault, Fault::DeadInMidClaim(..)));
        has(|fault| matches!(fault, Fault::DiskFull(Who::Binhost, _)));
        has(|fault| matches!(fault, Fault::DiskFull(Who::Drone(_), _)));
        has(|fault| matches!(fault, Fault::Jump(seconds) if *seconds < 0));
    }
}
