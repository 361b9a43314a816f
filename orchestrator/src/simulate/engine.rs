//! The simulated swarm: a clock that jumps from event to event, and the production scheduler in between.

use super::graph::Graph;
use super::report::{Report, Span};
use crate::machine::retry::{self, PastFailure, Verdict};
use crate::scheduler::{
    Decision, Drone, Job, Loot, Needs, Policy, Ready, Snapshot, Stealing, Strategy, Work, plan,
};
use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::LogNormal;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use swarm_protocol::Digest;
use swarm_protocol::id::{AttemptId, DroneId, PackageId, TargetId};
use swarm_protocol::state::FailureClass;

/// The drones.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// How much faster each is than a drone of speed 1.
    pub speeds: Vec<f64>,
    /// How many packages each holds beside the one that it builds.
    pub ahead: usize,
    /// From whom idle ones take what is not started.
    pub strategy: Strategy,
}

/// What the scheduler does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Luck {
    /// Build times are off their estimates by a factor whose logarithm has this standard deviation.
    pub noise: f64,
    /// The share of attempts that fail, below 1.
    pub failures: f64,
    /// Where chance begins.
    pub seed: u64,
}

impl Luck {
    /// What is drawn for a node, whatever the order in which nodes are built.
    fn of(&self, node: usize) -> NodeLuck {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(node as u64);
        let noise = LogNormal::new(0.0, self.noise).map_or(1.0, |noise| rng.sample(noise));
        NodeLuck { rng, noise }
    }
}

struct NodeLuck {
    rng: ChaCha8Rng,
    noise: f64,
}

/// Everything is built on the fleet.
#[must_use]
pub fn simulate(graph: &Graph, fleet: &Fleet, policy: Policy, luck: Luck) -> Report {
    let mut swarm = Swarm::new(graph, fleet, luck);
    loop {
        let decisions = plan(&swarm.snapshot, policy, swarm.now);
        let mut recheck: Option<DateTime<Utc>> = None;
        for (drone, decision) in decisions {
            match decision {
                Decision::Claim(packages) => {
                    for package in packages {
                        swarm.claim(index(drone), package);
                    }
                }
                Decision::Steal(loot) => swarm.steal(index(drone), loot),
                Decision::Wait { recheck_at, .. } => {
                    recheck = recheck.into_iter().chain(recheck_at).min();
                }
            }
        }
        let next = swarm.ends.peek().map(|Reverse(end)| end.at);
        // A time to look again counts as long as something can come of it.
        match next.into_iter().chain(recheck.filter(|_| !swarm.snapshot.ready.is_empty())).min() {
            Some(at) => swarm.now = at,
            None => break,
        }
        while swarm.ends.peek().is_some_and(|Reverse(end)| end.at <= swarm.now) {
            if let Some(Reverse(end)) = swarm.ends.pop() {
                swarm.end(&end);
            }
        }
    }
    let seconds: Vec<_> =
        graph.seconds.iter().zip(&swarm.luck).map(|(seconds, luck)| seconds * luck.noise).collect();
    swarm.report.finish(graph.lower_bound(&seconds, &fleet.speeds), graph.seconds.len());
    swarm.report
}

/// An attempt's end. The earliest first; then in the order of drones, so that nothing depends on a heap's whims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at: DateTime<Utc>,
    drone: usize,
    node: usize,
    began: DateTime<Utc>,
    fails: bool,
}

struct Swarm<'a> {
    graph: &'a Graph,
    ranks: Vec<f64>,
    dependents: Vec<Vec<usize>>,
    unmet: Vec<usize>,
    failures: BTreeMap<usize, Vec<PastFailure>>,
    failure_share: f64,
    luck: Vec<NodeLuck>,
    snapshot: Snapshot,
    now: DateTime<Utc>,
    ends: BinaryHeap<Reverse<End>>,
    report: Report,
}

impl<'a> Swarm<'a> {
    fn new(graph: &'a Graph, fleet: &Fleet, luck: Luck) -> Self {
        let mut dependents = vec![Vec::new(); graph.seconds.len()];
        for (node, waits) in graph.waits.iter().enumerate() {
            for &on in waits {
                dependents[on].push(node);
            }
        }
        let drone = |(index, &speed): (usize, &f64)| Drone {
            drone: DroneId(id(index)),
            speed,
            has: Needs::default(),
            epochs: [epoch()].into(),
            wants: 1 + fleet.ahead,
            ahead: fleet.ahead,
            returns_until: None,
            work: Vec::new(),
        };
        let stealing = Stealing { strategy: fleet.strategy, seed: luck.seed, ..Stealing::default() };
        let drones = fleet.speeds.iter().enumerate().map(drone).collect();
        let mut swarm = Self {
            graph,
            ranks: graph.ranks(),
            dependents,
            unmet: graph.waits.iter().map(std::collections::BTreeSet::len).collect(),
            failures: BTreeMap::new(),
            failure_share: luck.failures,
            luck: (0..graph.seconds.len()).map(|node| luck.of(node)).collect(),
            snapshot: Snapshot { drones, stealing, ..Snapshot::default() },
            now: DateTime::UNIX_EPOCH,
            ends: BinaryHeap::new(),
            report: Report::default(),
        };
        for node in (0..graph.seconds.len()).filter(|&node| graph.waits[node].is_empty()) {
            swarm.ready(node);
        }
        swarm
    }

    fn ready(&mut self, node: usize) {
        let failed = self.failures.get(&node);
        let job = Job {
            package: PackageId(id(node)),
            target: TargetId(0),
            epoch: epoch(),
            estimate_seconds: self.graph.seconds[node],
            needs: Needs::default(),
            only_on: None,
            exclusive: None,
            failed_on: failed.into_iter().flatten().map(|failure| failure.drone).collect(),
        };
        let rank = self.ranks[node];
        self.snapshot.ready.push(Ready { job, priority: 0, rank, ready_since: self.now, not_before: None });
    }

    fn claim(&mut self, drone: usize, package: PackageId) {
        let Some(place) = self.snapshot.ready.iter().position(|ready| ready.job.package == package) else {
            return;
        };
        let job = self.snapshot.ready.remove(place).job;
        let work = Work { attempt: AttemptId(package.0), job, claimed_at: self.now, started_at: None };
        self.take(drone, work);
    }

    fn steal(&mut self, thief: usize, loot: Loot) {
        let work = &mut self.snapshot.drones[index(loot.victim)].work;
        let Some(place) = work.iter().position(|work| work.attempt == loot.attempt) else { return };
        let work = Work { claimed_at: self.now, ..work.remove(place) };
        self.report.stolen += 1;
        self.snapshot.drones[index(loot.victim)].wants += 1;
        self.take(thief, work);
    }

    fn take(&mut self, drone: usize, work: Work) {
        let taker = &mut self.snapshot.drones[drone];
        taker.work.push(work);
        taker.wants -= 1;
        self.go_on(drone);
    }

    /// Starts what is first, if it is not.
    fn go_on(&mut self, drone: usize) {
        let builder = &mut self.snapshot.drones[drone];
        let Some(work) = builder.work.first_mut().filter(|work| work.started_at.is_none()) else { return };
        work.started_at = Some(self.now);
        let node = node(work.job.package);
        let luck = &mut self.luck[node];
        let fails = luck.rng.random_bool(self.failure_share);
        let part = if fails { luck.rng.random::<f64>() } else { 1.0 };
        let at = self.now + seconds(work.job.estimate_seconds * luck.noise * part / builder.speed);
        self.ends.push(Reverse(End { at, drone, node, began: self.now, fails }));
    }

    fn end(&mut self, end: &End) {
        let drone = &mut self.snapshot.drones[end.drone];
        drone.work.remove(0);
        drone.wants += 1;
        self.go_on(end.drone);
        let span = Span::of(end.node, end.drone, end.began, end.at);
        if end.fails {
            self.report.failed.push(span);
            self.retry(end);
            return;
        }
        self.report.schedule.push(span);
        for dependent in self.dependents[end.node].clone() {
            self.unmet[dependent] -= 1;
            if self.unmet[dependent] == 0 {
                self.ready(dependent);
            }
        }
    }

    /// By the rule for failures that are not the package's own.
    fn retry(&mut self, end: &End) {
        let failure = PastFailure { drone: DroneId(id(end.drone)), class: FailureClass::Infrastructure };
        let failures = self.failures.entry(end.node).or_default();
        failures.push(failure);
        if let Verdict::Retry { pause } = retry::judge(failures, &retry::Policy::DEFAULT) {
            self.ready(end.node);
            if let Some(ready) = self.snapshot.ready.last_mut() {
                ready.not_before = Some(self.now + pause);
            }
        }
    }
}

fn epoch() -> Digest {
    Digest::of(b"simulated")
}

fn id(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

fn node(package: PackageId) -> usize {
    usize::try_from(package.0).unwrap_or_default()
}

fn index(drone: DroneId) -> usize {
    usize::try_from(drone.0).unwrap_or_default()
}

fn seconds(seconds: f64) -> TimeDelta {
    #[expect(clippy::cast_possible_truncation, reason = "a graph's times are bounded")]
    TimeDelta::microseconds((seconds * 1e6).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::Strategy;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn world() -> Graph {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/graphs/world-291.json");
        Graph::parse(&std::fs::read(file).unwrap()).unwrap()
    }

    fn fleet(speeds: &[f64], ahead: usize, strategy: Strategy) -> Fleet {
        Fleet { speeds: speeds.to_vec(), ahead, strategy }
    }

    fn ratio(graph: &Graph, speeds: &[f64], policy: Policy, luck: Luck) -> f64 {
        simulate(graph, &fleet(speeds, 0, Strategy::default()), policy, luck).ratio
    }

    const FOUR: &[f64] = &[1.0, 1.0, 2.0, 4.0];
    const EIGHT: &[f64] = &[1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0];

    #[test]
    fn waiting_for_the_fast_drone_reaches_the_bound() {
        let graph = world();
        for (speeds, greedy) in [(FOUR, 1.3), (EIGHT, 1.4)] {
            assert!(ratio(&graph, speeds, Policy::EarliestFinish, Luck::default()) <= 1.02);
            assert!(ratio(&graph, speeds, Policy::CriticalPath, Luck::default()) > greedy);
        }
        assert!(ratio(&graph, EIGHT, Policy::Fifo, Luck::default()) > 1.2);
    }

    #[test]
    fn bad_estimates_cost_little() {
        let graph = world();
        let fleets = [0, 1].map(|ahead| fleet(EIGHT, ahead, Strategy::default()));
        for fleet in fleets {
            let luck = |seed| Luck { noise: 0.5, seed, failures: 0.0 };
            let ratio = |seed| simulate(&graph, &fleet, Policy::EarliestFinish, luck(seed)).ratio;
            let ratios: Vec<_> = (0..40).map(ratio).collect();
            let mean = ratios.iter().sum::<f64>() / 40.0;
            let worst = ratios.iter().copied().fold(0.0, f64::max);
            assert!(mean <= 1.05 && worst <= 1.15, "{} ahead: mean {mean}, worst {worst}", fleet.ahead);
        }
    }

    prop_compose! {
        fn any_graph()(
            seconds in proptest::collection::vec(0.0..100.0, 1..30),
            pairs in proptest::collection::vec((0..30_usize, 0..30_usize), 0..60),
        ) -> Graph {
            let count = seconds.len();
            let mut waits = vec![BTreeSet::new(); count];
            for (node, on) in pairs.into_iter().filter(|(node, on)| node % count != on % count) {
                waits[node % count].insert(on % count);
            }
            Graph::of(seconds, waits)
        }
    }

    proptest! {
        /// Everything is built once, after all it waits for, and no drone builds two things at a time.
        #[test]
        fn schedules_are_possible(
            graph in any_graph(),
            speeds in proptest::collection::vec(0.5..4.0, 1..5),
            policy in prop_oneof![Just(Policy::EarliestFinish), Just(Policy::CriticalPath), Just(Policy::Fifo)],
            strategy in prop::sample::select(Strategy::ALL.map(|(_, strategy)| strategy).to_vec()),
            ahead in 0..3_usize, noise in 0.0..1.0, failures in 0.0..0.3, seed: u64,
        ) {
            let fleet = fleet(&speeds, ahead, strategy);
            let report = simulate(&graph, &fleet, policy, Luck { noise, failures, seed });
            prop_assert_eq!(report.schedule.len() + report.unbuilt, graph.seconds.len());
            let built: BTreeMap<_, _> = report.schedule.iter().map(|span| (span.node, span)).collect();
            prop_assert_eq!(built.len(), report.schedule.len(), "nothing is built twice");
            let spans = || report.schedule.iter().chain(&report.failed);
            for span in spans() {
                prop_assert!(span.start <= span.end);
                for on in &graph.waits[span.node] {
                    prop_assert!(built[on].end <= span.start, "{} waits for {on}", span.node);
                }
            }
            for drone in 0..fleet.speeds.len() {
                let mut own: Vec<_> = spans().filter(|span| span.drone == drone).collect();
                own.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.end.total_cmp(&b.end)));
                prop_assert!(own.windows(2).all(|pair| pair[0].end <= pair[1].start));
            }
            // Times are whole microseconds.
            prop_assert!(report.unbuilt > 0 || report.ratio >= 1.0 - 1e-3);
            let again = simulate(&graph, &fleet, policy, Luck { noise, failures, seed });
            prop_assert_eq!(again, report, "the same seed, the same luck");
        }
    }
}
