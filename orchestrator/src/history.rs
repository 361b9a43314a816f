//! How long packages will take, from how long they took: the same version, else the newest build of another version of the
//! package (DESIGN 5.3). Pure.

use std::collections::HashMap;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::plan::Plan;

/// How long builds took, in seconds, newest first.
#[derive(Debug, Default)]
pub struct History {
    versions: HashMap<Cpv, f64>,
    packages: HashMap<String, f64>,
}

impl History {
    /// Of builds, newest first.
    #[must_use]
    pub fn of(builds: impl IntoIterator<Item = (Cpv, f64)>) -> Self {
        let mut history = Self::default();
        for (cpv, seconds) in builds {
            history.packages.entry(cpv.cp()).or_insert(seconds);
            history.versions.entry(cpv).or_insert(seconds);
        }
        history
    }

    /// Fills the estimates that the plan leaves open and that the history knows.
    pub fn fill(&self, plan: &mut Plan) {
        for package in plan.packages.iter_mut().filter(|package| package.estimate_seconds.is_none()) {
            let known = self.versions.get(&package.cpv).or_else(|| self.packages.get(&package.cpv.cp()));
            package.estimate_seconds = known.copied();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_version_counts_before_the_newest() {
        let builds = [("a/b-3", 30.0), ("a/b-2", 20.0), ("a/b-2", 5.0)];
        let history = History::of(builds.map(|(cpv, seconds)| (cpv.parse().unwrap(), seconds)));
        let package = |cpv: &str| json!({"cpv": cpv, "slot": "0", "repository": "r"});
        let mut packages = ["a/b-2", "a/b-4", "a/c-1", "a/b-3"].map(package);
        packages[3]["estimate_seconds"] = 7.0.into();
        let mut plan: Plan = serde_json::from_value(json!({"packages": packages, "edges": []})).unwrap();
        history.fill(&mut plan);
        let estimates: Vec<_> = plan.packages.iter().map(|package| package.estimate_seconds).collect();
        assert_eq!(estimates, [Some(20.0), Some(30.0), None, Some(7.0)]);
    }
}
