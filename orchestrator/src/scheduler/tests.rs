//! What the scheduler decides.

use super::*;
use chrono::TimeDelta;
use proptest::prelude::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn epoch() -> Digest {
    Digest::of(b"epoch")
}

fn ready(package: i64) -> Ready {
    Ready {
        package: PackageId(package),
        target: TargetId(1),
        epoch: epoch(),
        priority: 0,
        rank: 100.0 - f64::from(i32::try_from(package).unwrap()),
        estimate_seconds: 60.0,
        needs: Needs::default(),
        only_on: None,
        exclusive: None,
        ready_since: at(0),
        not_before: None,
        failed_on: vec![],
    }
}

fn drone(drone: i64, wants: usize) -> Drone {
    Drone {
        drone: DroneId(drone),
        speed: 1.0,
        has: Needs { memory_bytes: 8, disk_bytes: 8 },
        epochs: [epoch()].into(),
        wants,
        returns_until: None,
        work: vec![],
    }
}

/// Builds something that takes `seconds`, since 0.
fn busy(id: i64, speed: f64, seconds: f64) -> Drone {
    let work =
        Work { attempt: AttemptId(id), exclusive: None, estimate_seconds: seconds, started_at: Some(at(0)) };
    Drone { speed, work: vec![work], ..drone(id, 0) }
}

fn decide(ready: &[Ready], drones: &[Drone], second: i64) -> BTreeMap<i64, Decision> {
    let snapshot = Snapshot { ready: ready.to_vec(), drones: drones.to_vec(), used: BTreeMap::new() };
    plan(&snapshot, Policy::EarliestFinish, at(second)).into_iter().map(|(drone, d)| (drone.0, d)).collect()
}

fn claim(packages: &[i64]) -> Decision {
    Decision::Claim(packages.iter().map(|package| PackageId(*package)).collect())
}

fn wait(reason: Reason, recheck_at: Option<i64>) -> Decision {
    Decision::Wait { reason, recheck_at: recheck_at.map(at) }
}

#[test]
fn rank_order_and_nothing_twice() {
    let decisions = decide(&[ready(7), ready(5), ready(6)], &[drone(1, 1), drone(2, 2)], 0);
    assert_eq!(decisions, [(1, claim(&[5])), (2, claim(&[6, 7]))].into());
}

#[test]
fn the_fastest_idle_drone_gets_the_highest_rank() {
    let fast = Drone { speed: 4.0, ..drone(2, 1) };
    let decisions = decide(&[ready(5), ready(6)], &[drone(1, 1), fast], 0);
    // The second would be done on the fast one after 30 s, though it is not idle then: that beats 60 s.
    assert_eq!(decisions[&2], claim(&[5]));
    assert_eq!(decisions[&1], wait(Reason::FasterDrone, Some(60)));
}

#[test]
fn a_package_waits_for_a_faster_drone_no_longer_than_it_takes_on_this_one() {
    let drones = [drone(1, 1), busy(2, 4.0, 80.0)];
    // Fast: free at 20, done at 35. Slow: done at 60.
    assert_eq!(decide(&[ready(5)], &drones, 0)[&1], wait(Reason::FasterDrone, Some(60)));
    // The fast one is overdue since 20, and nobody knows how long it still takes.
    assert_eq!(decide(&[ready(5)], &drones, 59)[&1], wait(Reason::FasterDrone, Some(60)));
    assert_eq!(decide(&[ready(5)], &drones, 60)[&1], claim(&[5]));
}

#[test]
fn a_faster_drone_that_is_busy_for_long_is_not_waited_for() {
    assert_eq!(decide(&[ready(5)], &[drone(1, 1), busy(2, 4.0, 400.0)], 0)[&1], claim(&[5]));
}

#[test]
fn a_drone_that_has_just_finished_is_expected_back() {
    let back = Drone { speed: 4.0, returns_until: Some(at(2)), ..drone(2, 0) };
    let decisions = decide(&[ready(5)], &[drone(1, 1), back.clone()], 0);
    assert_eq!(decisions[&1], wait(Reason::FasterDrone, Some(2)));
    let gone = Drone { returns_until: None, ..back };
    assert_eq!(
        decide(&[ready(5)], &[drone(1, 1), gone], 0)[&1],
        claim(&[5]),
        "idle, and asks for nothing here"
    );
}

#[test]
fn a_pause_is_waited_for() {
    let pausing = Ready { not_before: Some(at(130)), ..ready(5) };
    assert_eq!(decide(&[pausing], &[drone(1, 1)], 100)[&1], wait(Reason::Pausing, Some(130)));
}

#[test]
fn another_drone_tries_first_but_a_lone_one_may_try_again() {
    let failed = [Ready { failed_on: vec![DroneId(1)], not_before: Some(at(90)), ..ready(5) }];
    let both = [drone(1, 1), busy(2, 1.0, 1e6)];
    assert_eq!(decide(&failed, &both, 100)[&1], wait(Reason::FailedHere, Some(150)));
    assert_eq!(decide(&failed, &both, 150)[&1], claim(&[5]), "the other one is too long at work");
    assert_eq!(decide(&failed, &both[..1], 100)[&1], claim(&[5]));
    let unfit = Drone { epochs: BTreeSet::new(), ..drone(2, 1) };
    assert_eq!(decide(&failed, &[drone(1, 1), unfit], 100)[&1], claim(&[5]), "no other could");
}

#[test]
fn an_epoch_that_the_drone_does_not_hold_is_not_for_it() {
    let other = Ready { epoch: Digest::of(b"other"), ..ready(5) };
    assert_eq!(decide(&[other], &[drone(1, 1)], 0)[&1], wait(Reason::OtherEpoch, None));
}

#[test]
fn what_needs_much_goes_to_the_drone_that_has_it_or_to_the_biggest() {
    let big = Drone { has: Needs { memory_bytes: 16, disk_bytes: 4 }, ..drone(2, 1) };
    let drones = [drone(1, 1), big];
    let memory = |memory_bytes| Ready { needs: Needs { memory_bytes, disk_bytes: 0 }, ..ready(5) };
    assert_eq!(decide(&[memory(9)], &drones, 0), [(1, wait(Reason::Memory, None)), (2, claim(&[5]))].into());
    assert_eq!(decide(&[memory(99)], &drones, 0)[&2], claim(&[5]), "nobody has so much: the biggest may try");
    let disk = Ready { needs: Needs { memory_bytes: 0, disk_bytes: 8 }, ..ready(5) };
    assert_eq!(decide(&[disk], &drones, 0), [(1, claim(&[5])), (2, wait(Reason::Disk, None))].into());
}

#[test]
fn rules_keep_packages_for_drones_and_apart_from_each_other() {
    let kept = Ready { only_on: Some([DroneId(2)].into()), ..ready(5) };
    assert_eq!(decide(&[kept], &[drone(1, 1)], 0)[&1], wait(Reason::OtherDrones, None));
    let apart = |package| Ready { exclusive: Some("licence".to_owned()), ..ready(package) };
    let decisions = decide(&[apart(5), apart(6)], &[drone(1, 1), drone(2, 1)], 0);
    assert_eq!(decisions, [(1, claim(&[5])), (2, wait(Reason::Exclusive, None))].into());
    let mut builder = busy(2, 1.0, 10.0);
    builder.work[0].exclusive = Some("licence".to_owned());
    assert_eq!(decide(&[apart(5)], &[drone(1, 1), builder], 0)[&1], wait(Reason::Exclusive, None));
}

#[test]
fn a_persons_wish_comes_first_then_the_target_that_had_least() {
    let of = |target, package| Ready { target: TargetId(target), ..ready(package) };
    let chosen = |ready: &[Ready], used: &[(i64, f64)]| {
        let used = used.iter().map(|(target, seconds)| (TargetId(*target), *seconds)).collect();
        let snapshot = Snapshot { ready: ready.to_vec(), drones: vec![drone(1, 3)], used };
        plan(&snapshot, Policy::EarliestFinish, at(0)).remove(&DroneId(1)).unwrap()
    };
    let both = [of(1, 1), of(1, 2), of(1, 3), of(2, 8), of(2, 9)];
    assert_eq!(chosen(&both, &[]), claim(&[1, 8, 2]), "in turns");
    assert_eq!(chosen(&both, &[(1, 90.0)]), claim(&[8, 9, 1]), "until they are even");
    let wished = [of(1, 1), of(1, 2), Ready { priority: 1, ..of(2, 9) }];
    assert_eq!(chosen(&wished, &[(2, 1e6)]), claim(&[9, 1, 2]));
}

#[test]
fn shares_are_forgotten_by_half_every_hour() {
    let mut shares = Shares::default();
    shares.advance(at(0), [(TargetId(1), 2.0)]);
    shares.advance(at(100), [(TargetId(1), 2.0)]);
    assert_eq!(shares.used(), &[(TargetId(1), 200.0)].into());
    shares.advance(at(3700), []);
    assert_eq!(shares.used(), &[(TargetId(1), 100.0)].into());
    shares.advance(at(360_000), []);
    assert!(shares.used().is_empty());
}

prop_compose! {
    fn any_ready()(
        package in 0..50_i64, target in 0..3_i64, priority in 0..2_i16, rank in 0.0..1e4, estimate in 0.0..1e4,
        memory in 0..20_u64, only in proptest::option::of(0..6_i64), exclusive in proptest::option::of("[ab]"),
        pause in proptest::option::of(0..2000_i64), failed in proptest::collection::vec(0..6_i64, 0..3),
    ) -> Ready {
        Ready {
            target: TargetId(target),
            priority,
            rank,
            estimate_seconds: estimate,
            needs: Needs { memory_bytes: memory, disk_bytes: 0 },
            only_on: only.map(|drone| [DroneId(drone)].into()),
            exclusive,
            not_before: pause.map(at),
            failed_on: failed.into_iter().map(DroneId).collect(),
            ..ready(package)
        }
    }
}

prop_compose! {
    fn any_drone()(
        id in 0..6_i64, speed in 0.1..8.0, memory in 0..20_u64, wants in 0..3_usize,
        work in proptest::collection::vec((0.0..1e4, proptest::option::of(0..1000_i64)), 0..3),
    ) -> Drone {
        let work = work.into_iter().map(|(estimate_seconds, started)| Work {
            attempt: AttemptId(0), exclusive: None, estimate_seconds, started_at: started.map(at),
        });
        Drone { speed, has: Needs { memory_bytes: memory, disk_bytes: 1 }, work: work.collect(), ..drone(id, wants) }
    }
}

proptest! {
    /// Whatever the queue: nobody gets more than he asks for, nothing is given twice or against a rule, and a package
    /// that no rule, pause or epoch holds back is given out once it has waited long enough.
    #[test]
    fn plans_are_sound_and_nobody_starves(
        ready in proptest::collection::vec(any_ready(), 0..20),
        drones in proptest::collection::vec(any_drone(), 0..6),
    ) {
        let by_id = |id: DroneId, drones: &[Drone]| drones.iter().find(|drone| drone.drone == id).cloned();
        let mut drones = drones;
        drones.sort_by_key(|drone| drone.drone);
        drones.dedup_by_key(|drone| drone.drone);
        let mut ready = ready;
        ready.sort_by_key(|ready| ready.package);
        ready.dedup_by_key(|ready| ready.package);
        let snapshot = Snapshot { ready: ready.clone(), drones: drones.clone(), used: BTreeMap::new() };
        let decisions = plan(&snapshot, Policy::EarliestFinish, at(1000));
        let mut given = BTreeSet::new();
        let mut groups = BTreeSet::new();
        for (id, decision) in &decisions {
            let drone = by_id(*id, &drones).unwrap();
            match decision {
                Decision::Claim(packages) => {
                    prop_assert!((1..=drone.wants).contains(&packages.len()));
                    for package in packages {
                        prop_assert!(given.insert(*package), "{package} is given twice");
                        let ready = ready.iter().find(|ready| ready.package == *package).unwrap();
                        prop_assert!(ready.only_on.as_ref().is_none_or(|drones| drones.contains(id)));
                        prop_assert!(ready.not_before.is_none_or(|until| until <= at(1000)));
                        prop_assert!(ready.exclusive.as_ref().is_none_or(|group| groups.insert(group.clone())));
                    }
                }
                Decision::Wait { recheck_at, .. } => {
                    prop_assert!(recheck_at.is_none_or(|recheck| recheck > at(1000)), "it would look again for ever");
                }
            }
        }
        prop_assert_eq!(decisions.len(), drones.iter().filter(|drone| drone.wants > 0).count());
        // Ages later nothing is worth waiting for.
        let later = at(1000) + TimeDelta::days(365);
        let decisions = plan(&snapshot, Policy::EarliestFinish, later);
        let idle = drones.iter().any(|drone| matches!(decisions.get(&drone.drone), Some(Decision::Wait { reason: Reason::FasterDrone, .. })));
        prop_assert!(!idle);
    }
}
