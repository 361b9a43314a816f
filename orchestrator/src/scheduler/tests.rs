//! What the scheduler decides.

use super::Strategy;
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
        job: job(package),
        priority: 0,
        rank: 100.0 - f64::from(i32::try_from(package).unwrap()),
        ready_since: at(0),
        not_before: None,
    }
}

fn job(package: i64) -> Job {
    Job {
        package: PackageId(package),
        target: TargetId(1),
        epoch: epoch(),
        estimate_seconds: 60.0,
        needs: Needs::default(),
        only_on: None,
        exclusive: None,
        failed_on: vec![],
    }
}

/// The ready package, after `change`.
fn with(package: i64, change: impl FnOnce(&mut Job)) -> Ready {
    let mut ready = ready(package);
    change(&mut ready.job);
    ready
}

fn work(package: i64, seconds: f64, started: Option<i64>) -> Work {
    let job = Job { estimate_seconds: seconds, ..job(package) };
    Work { attempt: AttemptId(package), job, claimed_at: at(0), started_at: started.map(at) }
}

fn drone(drone: i64, wants: usize) -> Drone {
    Drone {
        drone: DroneId(drone),
        speed: 1.0,
        has: Needs { memory_bytes: 8, disk_bytes: 8 },
        epochs: [epoch()].into(),
        wants,
        ahead: 0,
        returns_until: None,
        work: vec![],
    }
}

/// Builds something that takes `seconds`, since 0.
fn busy(id: i64, speed: f64, seconds: f64) -> Drone {
    Drone { speed, work: vec![work(id, seconds, Some(0))], ..drone(id, 0) }
}

fn decide(ready: &[Ready], drones: &[Drone], second: i64) -> BTreeMap<i64, Decision> {
    let snapshot = Snapshot { ready: ready.to_vec(), drones: drones.to_vec(), ..Snapshot::default() };
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
fn a_package_is_given_ahead_only_behind_short_work() {
    let building = |seconds: f64| Drone { wants: 1, ahead: 1, ..busy(1, 1.0, seconds) };
    assert_eq!(decide(&[ready(5)], &[building(9.0)], 0)[&1], wait(Reason::Busy, Some(4)));
    assert_eq!(decide(&[ready(5)], &[building(9.0)], 4)[&1], claim(&[5]));
    assert_eq!(decide(&[ready(5)], &[building(9.0)], 9)[&1], wait(Reason::Busy, None), "overdue");
    assert_eq!(decide(&[ready(5)], &[building(60.0)], 59)[&1], wait(Reason::Busy, None), "who knows");
    // Nor does an idle one get what it would only begin after a minute.
    let idle = Drone { ahead: 1, ..drone(1, 2) };
    assert_eq!(decide(&[ready(5), ready(6)], &[idle], 0)[&1], claim(&[5]));
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
    let failed = [Ready { not_before: Some(at(90)), ..with(5, |job| job.failed_on = vec![DroneId(1)]) }];
    let both = [drone(1, 1), busy(2, 1.0, 1e6)];
    assert_eq!(decide(&failed, &both, 100)[&1], wait(Reason::FailedHere, Some(150)));
    assert_eq!(decide(&failed, &both, 150)[&1], claim(&[5]), "the other one is too long at work");
    assert_eq!(decide(&failed, &both[..1], 100)[&1], claim(&[5]));
    let unfit = Drone { epochs: [Digest::of(b"other")].into(), ..drone(2, 1) };
    assert_eq!(decide(&failed, &[drone(1, 1), unfit], 100)[&1], claim(&[5]), "no other could");
}

#[test]
fn an_epoch_that_the_drone_does_not_hold_is_not_for_it() {
    let other = with(5, |job| job.epoch = Digest::of(b"other"));
    assert_eq!(decide(&[other], &[drone(1, 1)], 0)[&1], wait(Reason::OtherEpoch, None));
}

#[test]
fn what_needs_much_goes_to_the_drone_that_has_it_or_to_the_biggest() {
    let big = Drone { has: Needs { memory_bytes: 16, disk_bytes: 4 }, ..drone(2, 1) };
    let drones = [drone(1, 1), big];
    let memory = |memory_bytes| with(5, |job| job.needs = Needs { memory_bytes, disk_bytes: 0 });
    assert_eq!(decide(&[memory(9)], &drones, 0), [(1, wait(Reason::Memory, None)), (2, claim(&[5]))].into());
    assert_eq!(decide(&[memory(99)], &drones, 0)[&2], claim(&[5]), "nobody has so much: the biggest may try");
    let disk = with(5, |job| job.needs = Needs { memory_bytes: 0, disk_bytes: 8 });
    assert_eq!(decide(&[disk], &drones, 0), [(1, claim(&[5])), (2, wait(Reason::Disk, None))].into());
}

#[test]
fn rules_keep_packages_for_drones_and_apart_from_each_other() {
    let kept = with(5, |job| job.only_on = Some([DroneId(2)].into()));
    assert_eq!(decide(&[kept], &[drone(1, 1)], 0)[&1], wait(Reason::OtherDrones, None));
    let apart = |package| with(package, |job| job.exclusive = Some("licence".to_owned()));
    let decisions = decide(&[apart(5), apart(6)], &[drone(1, 1), drone(2, 1)], 0);
    assert_eq!(decisions, [(1, claim(&[5])), (2, wait(Reason::Exclusive, None))].into());
    let mut builder = busy(2, 1.0, 10.0);
    builder.work[0].job.exclusive = Some("licence".to_owned());
    assert_eq!(decide(&[apart(5)], &[drone(1, 1), builder], 0)[&1], wait(Reason::Exclusive, None));
}

#[test]
fn a_persons_wish_comes_first_then_the_target_that_had_least() {
    let of = |target, package| with(package, |job| job.target = TargetId(target));
    let chosen = |ready: &[Ready], used: &[(i64, f64)]| {
        let used = used.iter().map(|(target, seconds)| (TargetId(*target), *seconds)).collect();
        let drones = vec![drone(1, 3)];
        let snapshot = Snapshot { ready: ready.to_vec(), drones, used, ..Snapshot::default() };
        plan(&snapshot, Policy::EarliestFinish, at(0)).remove(&DroneId(1)).unwrap()
    };
    let both = [of(1, 1), of(1, 2), of(1, 3), of(2, 8), of(2, 9)];
    assert_eq!(chosen(&both, &[]), claim(&[1, 8, 2]), "in turns");
    assert_eq!(chosen(&both, &[(1, 90.0)]), claim(&[8, 9, 1]), "until they are even");
    let wished = [of(1, 1), of(1, 2), Ready { priority: 1, ..of(2, 9) }];
    assert_eq!(chosen(&wished, &[(2, 1e6)]), claim(&[9, 1, 2]));
}

/// A drone that builds for `seconds`, and holds another package of a minute.
fn ahead(id: i64, speed: f64, seconds: f64) -> Drone {
    let mut drone = busy(id, speed, seconds);
    drone.work.push(work(100 + id, 60.0, None));
    drone
}

fn loot(victim: i64) -> Decision {
    let held = 100 + victim;
    Decision::Steal(Loot { victim: DroneId(victim), attempt: AttemptId(held), package: PackageId(held) })
}

#[test]
fn an_idle_drone_takes_what_it_has_done_sooner() {
    assert_eq!(decide(&[], &[drone(1, 1), ahead(2, 1.0, 10.0)], 0)[&1], loot(2));
    // Four times as fast: free in 2.5 s, done 15 s later.
    let late = wait(Reason::NothingReady, None);
    assert_eq!(decide(&[], &[drone(1, 1), ahead(2, 4.0, 10.0)], 0)[&1], late);
    // What is started stays; so does what a drone is about to start.
    assert_eq!(decide(&[], &[drone(1, 1), busy(2, 1.0, 1e6)], 0)[&1], late);
    let starting = Drone { work: vec![work(7, 60.0, None)], ..drone(2, 0) };
    assert_eq!(decide(&[], &[drone(1, 1), starting], 0)[&1], late);
    let drones = [drone(1, 1), ahead(2, 1.0, 99.0)];
    assert_eq!(decide(&[ready(5)], &drones, 0)[&1], claim(&[5]), "who finds work steals nothing");
}

#[test]
fn what_waits_behind_an_overdue_build_may_be_taken() {
    let overdue = [drone(1, 1), ahead(2, 4.0, 10.0)];
    assert_eq!(decide(&[], &overdue, 59)[&1], wait(Reason::NothingReady, None));
    assert_eq!(decide(&[], &overdue, 60)[&1], loot(2));
}

#[test]
fn thieves_rest_and_never_take_the_same() {
    let drones = [drone(1, 1), drone(2, 1), ahead(3, 1.0, 99.0)];
    let decisions = decide(&[], &drones, 0);
    assert_eq!(decisions, [(1, loot(3)), (2, wait(Reason::NothingReady, None))].into());
    let resting = [(DroneId(1), at(5))].into();
    let stealing = Stealing { resting, ..Stealing::default() };
    let snapshot = Snapshot { drones: drones.to_vec(), stealing, ..Snapshot::default() };
    let decisions = plan(&snapshot, Policy::EarliestFinish, at(0));
    assert_eq!(decisions[&DroneId(2)], loot(3));
}

#[test]
fn strategies_choose_their_victims() {
    let drones = [drone(1, 1), ahead(2, 1.0, 100.0), ahead(3, 1.0, 300.0), ahead(4, 1.0, 200.0)];
    let chosen = |strategy, seed| {
        let record = [(DroneId(2), (0, 9)), (DroneId(3), (0, 9)), (DroneId(4), (9, 0))].into();
        let stealing = Stealing { strategy, seed, record, ..Stealing::default() };
        let snapshot = Snapshot { drones: drones.to_vec(), stealing, ..Snapshot::default() };
        plan(&snapshot, Policy::EarliestFinish, at(0)).remove(&DroneId(1)).unwrap()
    };
    let often = |strategy, victim| (0..1000).filter(|&seed| chosen(strategy, seed) == loot(victim)).count();
    assert_eq!(often(Strategy::LeastLoaded, 2), 1000);
    assert_eq!(often(Strategy::MostLoaded, 3), 1000);
    assert!((280..390).contains(&often(Strategy::Random, 2)));
    assert_eq!(often(Strategy::TwoChoices, 2), 0, "the other one is always busy for longer");
    assert!((610..720).contains(&often(Strategy::TwoChoices, 3)));
    assert!((900..970).contains(&often(Strategy::Adaptive, 4)));
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
        let job = Job {
            target: TargetId(target),
            estimate_seconds: estimate,
            needs: Needs { memory_bytes: memory, disk_bytes: 0 },
            only_on: only.map(|drone| [DroneId(drone)].into()),
            exclusive,
            failed_on: failed.into_iter().map(DroneId).collect(),
            ..job(package)
        };
        Ready { job, priority, rank, not_before: pause.map(at), ..ready(package) }
    }
}

prop_compose! {
    fn any_drone()(
        id in 0..6_i64, speed in 0.1..8.0, memory in 0..20_u64, wants in 0..3_usize, ahead in 0..2_usize,
        works in proptest::collection::vec((100..110_i64, 0.0..1e4, proptest::option::of(0..1000_i64)), 0..3),
    ) -> Drone {
        let works = works.into_iter().enumerate();
        let work = works.map(|(place, (package, seconds, started))| {
            work(1000 * id + 100 * i64::try_from(place).unwrap() + package, seconds, started)
        });
        Drone { speed, has: Needs { memory_bytes: memory, disk_bytes: 1 }, work: work.collect(), ahead, ..drone(id, wants) }
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
        ready.sort_by_key(|ready| ready.job.package);
        ready.dedup_by_key(|ready| ready.job.package);
        let snapshot = Snapshot { ready: ready.clone(), drones: drones.clone(), ..Snapshot::default() };
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
                        let ready = ready.iter().find(|ready| ready.job.package == *package).unwrap();
                        prop_assert!(ready.job.only_on.as_ref().is_none_or(|drones| drones.contains(id)));
                        prop_assert!(ready.not_before.is_none_or(|until| until <= at(1000)));
                        prop_assert!(ready.job.exclusive.as_ref().is_none_or(|group| groups.insert(group.clone())));
                    }
                }
                Decision::Steal(loot) => {
                    prop_assert!(drone.work.is_empty() && given.insert(loot.package));
                    let victim = by_id(loot.victim, &drones).unwrap();
                    let work = victim.work.iter().find(|work| work.attempt == loot.attempt).unwrap();
                    prop_assert!(work.started_at.is_none(), "active work is never stolen");
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

#[test]
fn what_no_drone_may_ever_build_is_stranded() {
    let kept_for = |package: i64, only: i64| with(package, |job| job.only_on = Some([DroneId(only)].into()));
    let foreign = with(7, |job| job.epoch = Digest::of(b"another"));
    let ready = vec![ready(4), kept_for(5, 2), kept_for(6, 9), foreign];
    let stranded = |drones: Vec<Drone>| {
        let snapshot = Snapshot { ready: ready.clone(), drones, ..Snapshot::default() };
        explain::stranded(&snapshot).iter().map(|ready| ready.job.package.0).collect::<Vec<_>>()
    };
    assert_eq!(stranded(vec![drone(1, 1), busy(2, 1.0, 60.0)]), [6, 7], "a busy one will come");
    let unknown = Drone { epochs: BTreeSet::new(), ..drone(3, 0) };
    assert_eq!(stranded(vec![drone(1, 1), unknown]), [5, 6], "it might hold the epoch");
}
