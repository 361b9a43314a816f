//! Whose turn it is: a person's priority first, then the target that was given least, then the highest rank.
//!
//! A target's share is work, not packages: a build of ten hours counts ten hours, from the moment at which it is given.

use super::{Policy, Ready, Snapshot};
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use swarm_protocol::id::TargetId;

/// The ready packages, one after the other.
pub(super) struct Turns<'a> {
    targets: BTreeMap<TargetId, VecDeque<&'a Ready>>,
    used: BTreeMap<TargetId, f64>,
}

impl<'a> Turns<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, policy: Policy) -> Self {
        let mut ready: Vec<_> = snapshot.ready.iter().collect();
        ready.sort_by(|a, b| match policy {
            Policy::Fifo => a.job.package.cmp(&b.job.package),
            Policy::EarliestFinish | Policy::CriticalPath => before(a, b),
        });
        let mut targets = BTreeMap::<_, VecDeque<_>>::new();
        for ready in ready {
            // The queue's order knows no targets.
            let target = if policy == Policy::Fifo { TargetId(0) } else { ready.job.target };
            targets.entry(target).or_default().push_back(ready);
        }
        Self { targets, used: snapshot.used.clone() }
    }

    /// It was given out, or is waited with.
    pub(super) fn given(&mut self, ready: &Ready) {
        *self.used.entry(ready.job.target).or_default() += ready.job.estimate_seconds;
    }

    fn used(&self, target: TargetId) -> f64 {
        self.used.get(&target).copied().unwrap_or_default()
    }
}

impl<'a> Iterator for Turns<'a> {
    type Item = &'a Ready;

    fn next(&mut self) -> Option<&'a Ready> {
        let heads = self.targets.iter().filter_map(|(target, queue)| Some((*target, *queue.front()?)));
        let (target, _) = heads.min_by(|(a, first), (b, second)| {
            let shares = self.used(*a).total_cmp(&self.used(*b));
            second.priority.cmp(&first.priority).then(shares).then_with(|| before(first, second))
        })?;
        self.targets.get_mut(&target)?.pop_front()
    }
}

fn before(a: &Ready, b: &Ready) -> Ordering {
    b.priority.cmp(&a.priority).then(b.rank.total_cmp(&a.rank)).then(a.job.package.cmp(&b.job.package))
}
