//! How long packages will take and what they will need, from what earlier builds took (DESIGN 5.3): those of the same
//! version, else of other versions of the package, else of its category. Of several the median counts, so that one build
//! on a drone that was busy with something else misleads nobody. Pure.

use crate::scheduler::Needs;
use crate::speed::median;
use std::collections::HashMap;
use std::hash::Hash;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::plan::Plan;

/// How many of the newest builds of a version or a package count.
const NEWEST: usize = 5;
/// How many of the newest builds of a category count.
const OF_CATEGORY: usize = 50;

/// A build that came to an artifact.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    /// What was built.
    pub cpv: Cpv,
    /// How long it would have taken on a drone of speed 1.
    pub seconds: f64,
    /// What it used.
    pub used: Needs,
    /// How often its drone's number of parallel jobs was halved.
    pub halvings: i16,
}

/// Earlier builds.
#[derive(Debug, Default)]
pub struct History {
    versions: HashMap<Cpv, Vec<Build>>,
    packages: HashMap<String, Vec<Build>>,
    categories: HashMap<String, Vec<Build>>,
}

impl History {
    /// Of builds, newest first.
    #[must_use]
    pub fn of(builds: impl IntoIterator<Item = Build>) -> Self {
        let mut history = Self::default();
        for build in builds {
            let package = build.cpv.cp();
            let category = category(&package).to_owned();
            keep(&mut history.categories, category, &build, OF_CATEGORY);
            keep(&mut history.packages, package, &build, NEWEST);
            keep(&mut history.versions, build.cpv.clone(), &build, NEWEST);
        }
        history
    }

    /// How long a package should take on a drone of speed 1.
    #[must_use]
    pub fn seconds(&self, cpv: &Cpv) -> Option<f64> {
        let category = || self.categories.get(category(&cpv.cp()));
        let builds = self.of_package(cpv).or_else(category)?;
        median(builds.iter().map(|build| build.seconds).collect())
    }

    /// What a package should need: as much as the hungriest of its builds.
    #[must_use]
    pub fn needs(&self, cpv: &Cpv) -> Needs {
        let builds = self.of_package(cpv).map_or(&[][..], Vec::as_slice);
        Needs {
            memory_bytes: builds.iter().map(|build| build.used.memory_bytes).max().unwrap_or_default(),
            disk_bytes: builds.iter().map(|build| build.used.disk_bytes).max().unwrap_or_default(),
        }
    }

    /// How often a drone's number of parallel jobs should be halved: as for the newest build of the package.
    #[must_use]
    pub fn halvings(&self, cpv: &Cpv) -> i16 {
        self.of_package(cpv).and_then(|builds| builds.first()).map_or(0, |build| build.halvings)
    }

    fn of_package(&self, cpv: &Cpv) -> Option<&Vec<Build>> {
        self.versions.get(cpv).or_else(|| self.packages.get(&cpv.cp()))
    }

    /// Fills the estimates that the plan leaves open and that the history knows.
    pub fn fill(&self, plan: &mut Plan) {
        for package in plan.packages.iter_mut().filter(|package| package.estimate_seconds.is_none()) {
            package.estimate_seconds = self.seconds(&package.cpv);
        }
    }
}

fn keep<K: Hash + Eq>(kept: &mut HashMap<K, Vec<Build>>, key: K, build: &Build, most: usize) {
    let kept = kept.entry(key).or_default();
    if kept.len() < most {
        kept.push(build.clone());
    }
}

fn category(package: &str) -> &str {
    package.split_once('/').map_or(package, |(category, _)| category)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each took as many bytes of memory as seconds.
    fn history(builds: &[(&str, u32)]) -> History {
        History::of(builds.iter().map(|&(cpv, seconds)| Build {
            cpv: cpv.parse().unwrap(),
            seconds: seconds.into(),
            used: Needs { memory_bytes: seconds.into(), disk_bytes: 1 },
            halvings: i16::from(cpv == "a/b-2"),
        }))
    }

    #[test]
    fn the_version_counts_before_the_package_and_that_before_the_category() {
        let history = history(&[("a/b-3", 30), ("a/b-2", 20), ("a/c-1", 7)]);
        let seconds = |cpv: &str| history.seconds(&cpv.parse().unwrap());
        assert_eq!(seconds("a/b-2"), Some(20.0));
        assert_eq!(seconds("a/b-4"), Some(25.0));
        assert_eq!(seconds("a/d-1"), Some(20.0));
        assert_eq!(seconds("z/z-1"), None);
    }

    #[test]
    fn one_outlier_misleads_nobody() {
        let history = history(&[("a/b-1", 9000), ("a/b-1", 10), ("a/b-1", 11), ("a/b-1", 12)]);
        assert_eq!(history.seconds(&"a/b-1".parse().unwrap()), Some(11.5));
    }

    #[test]
    fn fewer_jobs_are_remembered() {
        let history = history(&[("a/b-2", 20), ("a/b-1", 90), ("a/c-1", 1)]);
        let halvings = |cpv: &str| history.halvings(&cpv.parse().unwrap());
        assert_eq!(["a/b-2", "a/b-3", "a/b-1", "a/c-1", "a/d-1"].map(halvings), [1, 1, 0, 0, 0]);
    }

    #[test]
    fn the_hungriest_build_says_what_is_needed() {
        let history = history(&[("a/b-2", 20), ("a/b-1", 90), ("a/b-2", 30)]);
        let memory = |cpv: &str| history.needs(&cpv.parse().unwrap()).memory_bytes;
        assert_eq!((memory("a/b-2"), memory("a/b-3"), memory("a/c-1")), (30, 90, 0));
    }
}
