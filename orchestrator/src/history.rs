//! How long packages will take and what they will need, from what earlier builds took (DESIGN 5.3): those of the same
//! version, else of other versions of the package, else of packages whose sources are about as large, else of its category.
//! Of several the median counts, so that one build on a drone that was busy with something else misleads nobody. Pure.

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
/// How many packages with sources of about the same size say what such a package takes.
const OF_SIZE: usize = 5;

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
    /// How large its source archives were, where that is known.
    pub fetch_bytes: Option<u64>,
}

/// Earlier builds.
#[derive(Debug, Default)]
pub struct History {
    versions: HashMap<Cpv, Vec<Build>>,
    packages: HashMap<String, Vec<Build>>,
    categories: HashMap<String, Vec<Build>>,
    /// Of each package, by the size of the newest sources.
    sizes: HashMap<String, (u64, f64)>,
}

impl History {
    /// Of builds, newest first.
    #[must_use]
    pub fn of(builds: impl IntoIterator<Item = Build>) -> Self {
        let mut history = Self::default();
        for build in builds {
            let package = build.cpv.cp();
            let category = category(&package).to_owned();
            if let Some(bytes) = build.fetch_bytes {
                history.sizes.entry(package.clone()).or_insert((bytes, build.seconds));
            }
            keep(&mut history.categories, category, &build, OF_CATEGORY);
            keep(&mut history.packages, package, &build, NEWEST);
            keep(&mut history.versions, build.cpv.clone(), &build, NEWEST);
        }
        history
    }

    /// How long a package with so many bytes of sources should take on a drone of speed 1.
    #[must_use]
    pub fn seconds(&self, cpv: &Cpv, fetch_bytes: Option<u64>) -> Option<f64> {
        let of = |builds: &Vec<Build>| median(builds.iter().map(|build| build.seconds).collect());
        let of_category = || self.categories.get(category(&cpv.cp())).and_then(of);
        self.of_package(cpv).and_then(of).or_else(|| self.of_size(fetch_bytes?)).or_else(of_category)
    }

    /// What packages take whose sources are half to twice as large. Those without sources are alike.
    fn of_size(&self, bytes: u64) -> Option<f64> {
        let alike = |other: u64| bytes <= other.saturating_mul(2) && other <= bytes.saturating_mul(2);
        let alike: Vec<_> =
            self.sizes.values().filter(|(other, _)| alike(*other)).map(|(_, seconds)| *seconds).collect();
        (alike.len() >= OF_SIZE).then(|| median(alike))?
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
            let fetch_bytes = package.about.as_ref().and_then(|about| about.fetch_bytes);
            package.estimate_seconds = self.seconds(&package.cpv, fetch_bytes);
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
            fetch_bytes: None,
        }))
    }

    #[test]
    fn the_version_counts_before_the_package_and_that_before_the_category() {
        let history = history(&[("a/b-3", 30), ("a/b-2", 20), ("a/c-1", 7)]);
        let seconds = |cpv: &str| history.seconds(&cpv.parse().unwrap(), None);
        assert_eq!(seconds("a/b-2"), Some(20.0));
        assert_eq!(seconds("a/b-4"), Some(25.0));
        assert_eq!(seconds("a/d-1"), Some(20.0));
        assert_eq!(seconds("z/z-1"), None);
    }

    #[test]
    fn one_outlier_misleads_nobody() {
        let history = history(&[("a/b-1", 9000), ("a/b-1", 10), ("a/b-1", 11), ("a/b-1", 12)]);
        assert_eq!(history.seconds(&"a/b-1".parse().unwrap(), None), Some(11.5));
    }

    #[test]
    fn what_is_new_takes_as_long_as_others_of_its_size_before_others_of_its_category() {
        const MIB: u64 = 1 << 20;
        let build = |cpv: &str, seconds, mib: u64| Build {
            cpv: cpv.parse().unwrap(),
            seconds,
            used: Needs { memory_bytes: 0, disk_bytes: 0 },
            halvings: 0,
            fetch_bytes: Some(mib * MIB),
        };
        // One of them often, and once with larger sources: it has one voice, that of its newest build.
        let mut builds = vec![build("a/e-2", 60.0, 10), build("a/e-1", 900.0, 90), build("a/e-1", 900.0, 10)];
        builds.extend(
            [("b/f-1", 40.0), ("c/g-1", 50.0), ("d/h-1", 70.0)].map(|(cpv, time)| build(cpv, time, 9)),
        );
        builds.push(build("z/tiny-1", 1.0, 0));
        let seconds = |builds: &[Build], mib| {
            History::of(builds.to_vec()).seconds(&"z/new-1".parse().unwrap(), Some(mib * MIB))
        };
        assert_eq!(seconds(&builds, 10), Some(1.0), "four are too few: the category counts");
        builds.push(build("e/i-1", 80.0, 20));
        assert_eq!(seconds(&builds, 10), Some(60.0));
        assert_eq!(seconds(&builds, 90), Some(1.0));
        assert_eq!(seconds(&builds, 0), Some(1.0));
        assert_eq!(seconds(&builds, u64::MAX / MIB), Some(1.0));
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
