//! What a build may use: rules in the configuration, and what they come to for one package of one target.
//!
//! ```toml
//! [[limits]]                      # for all builds
//! memory_bytes = 17179869184
//!
//! [[limits]]                      # for one package
//! atom = "dev-lang/rust"
//! memory_bytes = 34359738368
//! seconds = 86400
//!
//! [[limits]]                      # for a target, or a package of it
//! target = "laptop"
//! atom = "net-misc/needs-network"
//! network = true
//! ```
//!
//! Like `package.env`, every rule that fits counts, in the order of the file, and the last word on a field wins.

use serde::{Deserialize, Deserializer};
use swarm_protocol::gentoo::{Atom, Cpv, TargetName, rule};

/// A rule: for whom, and how much.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The target whose builds it is for; all where absent.
    #[serde(default)]
    pub target: Option<TargetName>,
    /// The packages it is for, by name and version; all where absent.
    #[serde(default, deserialize_with = "atom")]
    pub atom: Option<Atom>,
    /// Bytes of memory of all processes of a build.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Processes and threads of a build at one time.
    #[serde(default)]
    pub processes: Option<u64>,
    /// Logical processors.
    #[serde(default)]
    pub cores: Option<u16>,
    /// `make -jN`, in place of the drone's own `jobs`.
    #[serde(default)]
    pub jobs: Option<u16>,
    /// Bytes of memory that one of these jobs may need: there are no more jobs than the build's memory has room for.
    #[serde(default)]
    pub job_memory_bytes: Option<u64>,
    /// Bytes that a build may write into its root and its PKGDIR.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// Wall-clock time of a build in seconds; the claim's own limit holds as well.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// Whether every phase has the host's network. What the ebuild declares needs no rule.
    #[serde(default)]
    pub network: Option<bool>,
}

fn atom<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Atom>, D::Error> {
    rule::atom(from, "a limit's")
}

impl Rule {
    fn is_for(&self, target: &TargetName, cpv: &Cpv) -> bool {
        rule::is_for((self.target.as_ref(), self.atom.as_ref()), target, cpv)
    }

    /// What is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let counts = [self.cores, self.jobs].map(|count| count.map(u64::from));
        let amounts =
            [self.memory_bytes, self.processes, self.job_memory_bytes, self.disk_bytes, self.seconds];
        if amounts.contains(&Some(0)) || counts.contains(&Some(0)) {
            return Err(("limits", "an amount must be at least 1"));
        }
        if self.network == Some(true) && self.atom.is_none() {
            return Err(("limits.network", "is for single packages: name one in atom"));
        }
        Ok(())
    }
}

/// What one build may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Logical processors.
    pub cores: u16,
    /// Parallel jobs, where a rule has a word on them.
    pub jobs: Option<u16>,
    /// Bytes of memory for each of them.
    pub job_memory_bytes: Option<u64>,
    /// Bytes on disk.
    pub disk_bytes: Option<u64>,
    /// Seconds of wall-clock time.
    pub seconds: Option<u64>,
    /// Whether every phase has the host's network.
    pub network: bool,
}

/// No compiler farm in one package comes near it; a fork bomb does within a second.
const PROCESSES: u64 = 8192;

impl Limits {
    /// Those of a machine with `memory_bytes` and `cores` where no rule says otherwise: the tenth part of the memory stays
    /// for the drone and the kernel.
    #[must_use]
    pub fn of_machine(memory_bytes: u64, cores: u16) -> Self {
        Self {
            memory_bytes: memory_bytes - memory_bytes / 10,
            processes: PROCESSES,
            cores,
            jobs: None,
            job_memory_bytes: None,
            disk_bytes: None,
            seconds: None,
            network: false,
        }
    }

    /// These with what `rules` say of a package of a target.
    #[must_use]
    pub fn with(mut self, rules: &[Rule], target: &TargetName, cpv: &Cpv) -> Self {
        for rule in rules.iter().filter(|rule| rule.is_for(target, cpv)) {
            self.memory_bytes = rule.memory_bytes.unwrap_or(self.memory_bytes);
            self.processes = rule.processes.unwrap_or(self.processes);
            // A rule can narrow the drone's processors, not add to them.
            self.cores = rule.cores.map_or(self.cores, |cores| cores.min(self.cores));
            self.jobs = rule.jobs.or(self.jobs);
            self.job_memory_bytes = rule.job_memory_bytes.or(self.job_memory_bytes);
            self.disk_bytes = rule.disk_bytes.or(self.disk_bytes);
            self.seconds = rule.seconds.or(self.seconds);
            self.network = rule.network.unwrap_or(self.network);
        }
        self
    }

    /// How many jobs a build has beside each other, where it usually has so many; one at least.
    #[must_use]
    pub fn jobs(&self, usual: u16) -> u16 {
        let room = self.job_memory_bytes.map_or(u64::MAX, |each| self.memory_bytes / each.max(1));
        self.jobs.unwrap_or(usual).min(u16::try_from(room).unwrap_or(u16::MAX)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        limits: Vec<Rule>,
    }

    fn rules(text: &str) -> Result<Vec<Rule>, toml::de::Error> {
        toml::from_str::<File>(text).map(|file| file.limits)
    }

    fn limits(rules: &[Rule], target: &str, cpv: &str) -> Limits {
        Limits::of_machine(1000, 4).with(rules, &target.parse().unwrap(), &cpv.parse().unwrap())
    }

    #[test]
    fn the_last_word_wins() {
        let rules = rules(
            "[[limits]]\nmemory_bytes = 500\nseconds = 60\n\
             [[limits]]\natom = \">=dev-lang/rust-1.80\"\nmemory_bytes = 800\ncores = 9\n\
             [[limits]]\ntarget = \"laptop\"\natom = \"dev-lang/rust\"\nnetwork = true\ndisk_bytes = 7\ncores = 2",
        )
        .unwrap();
        let other = limits(&rules, "laptop", "dev-lang/rust-bin-1.90");
        assert_eq!(other, Limits { memory_bytes: 500, seconds: Some(60), ..Limits::of_machine(1000, 4) });
        assert_eq!(limits(&rules, "desk", "dev-lang/rust-1.79"), other);
        let newer = limits(&rules, "desk", "dev-lang/rust-1.80");
        assert_eq!(newer, Limits { memory_bytes: 800, ..other });
        let laptop = limits(&rules, "laptop", "dev-lang/rust-1.80");
        assert_eq!(laptop, Limits { network: true, disk_bytes: Some(7), cores: 2, ..newer });
    }

    #[test]
    fn jobs_are_as_many_as_a_rule_says_and_the_memory_has_room_for() {
        let rules = rules(
            "[[limits]]\njob_memory_bytes = 300\n\
             [[limits]]\natom = \"dev-qt/qtwebengine\"\njobs = 2\n\
             [[limits]]\natom = \"dev-lang/rust\"\njob_memory_bytes = 2000",
        )
        .unwrap();
        let jobs = |cpv| limits(&rules, "desk", cpv).jobs(8);
        assert_eq!(jobs("a/b-1"), 3, "of 900 bytes");
        assert_eq!(jobs("dev-qt/qtwebengine-6"), 2);
        assert_eq!(jobs("dev-lang/rust-1.80"), 1, "there is always one");
        assert_eq!(limits(&[], "desk", "a/b-1").jobs(8), 8);
    }

    #[test]
    fn without_rules_the_machine_sets_the_limits() {
        let free = limits(&[], "desk", "a/b-1");
        assert_eq!((free.memory_bytes, free.cores, free.network), (900, 4, false));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["atom = \"rust\"", "atom = \"a/b:0\"", "atom = \"!a/b\"", "memory = 1", "target = \"A/B\""]
        {
            assert!(rules(&format!("[[limits]]\n{text}")).is_err(), "{text}");
        }
        for text in ["processes = 0", "jobs = 0", "job_memory_bytes = 0", "network = true"] {
            assert!(rules(&format!("[[limits]]\n{text}")).unwrap()[0].check().is_err(), "{text}");
        }
    }
}
