//! Whose fault a failure is (law 7): one function over what is known when a step has ended.
//!
//! An exit status is no evidence of success, and little of failure: the words of the log say more, but only those of its
//! last lines. A package that prints "No space left on device" in its tests and goes on has not filled the disk.

use crate::root::{End, Excess};
use crate::stage::Stage;
use std::borrow::Cow;
use swarm_protocol::state::FailureClass;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this status.
    Exit(i32),
    /// It was killed by this signal, not by us.
    Signal(i32),
    /// It took longer than allowed, and was killed.
    Timeout,
    /// It used more than allowed.
    Exceeded(Excess),
}

impl Ending {
    /// How a command ended that was not cancelled.
    #[must_use]
    pub fn of(end: End) -> Option<Self> {
        match end {
            End::Exit(status) => Some(Self::Exit(status)),
            End::Signal(signal) => Some(Self::Signal(signal)),
            End::Timeout => Some(Self::Timeout),
            End::Exceeded(excess) => Some(Self::Exceeded(excess)),
            End::Cancelled => None,
        }
    }
}

/// A failure as it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault.
    pub class: FailureClass,
    /// A sentence.
    pub reason: String,
    /// The telling lines of the log.
    pub excerpt: String,
    /// It wanted more memory than it got.
    pub out_of_memory: bool,
}

impl Failure {
    /// A failure that says all in its sentence.
    #[must_use]
    pub fn new(class: FailureClass, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into(), excerpt: String::new(), out_of_memory: false }
    }
}

/// What a build says that wanted more memory than it got.
const NO_MEMORY: &str = "there is not enough memory";
/// What is said of one that was killed by nobody we know.
const KILLED: &str = "the build was killed, most likely for want of memory";

/// Words at the log's end that tell a cause, and the class they speak for; the first that is found counts.
const CAUSES: &[(FailureClass, &str, &[&str])] = &[
    (
        FailureClass::Infrastructure,
        "the disk is full",
        &["No space left on device", "Disk quota exceeded", "ENOSPC", "Errno 28]"],
    ),
    (
        FailureClass::Resources,
        NO_MEMORY,
        &[
            "Killed signal terminated program",
            "] Killed",
            "out of memory",
            "Cannot allocate memory",
            "memory exhausted",
            "signal 9 [Killed]",
            "LLVM ERROR: Allocation failed",
            "std::bad_alloc",
            "(signal: 9, SIGKILL: kill)",
            "Errno 12]",
        ],
    ),
    (
        FailureClass::Resources,
        "it could not start another process",
        &[
            "fork: Resource temporarily unavailable",
            "fork: retry: Resource temporarily unavailable",
            "Cannot fork",
        ],
    ),
    (
        FailureClass::Resources,
        "a file is larger than the limit on disk space",
        &["File size limit exceeded", "File too large", "Errno 27]"],
    ),
    (
        FailureClass::Resources,
        "the machine does not meet the ebuild's CHECKREQS",
        &["Your system does not meet the minimum requirements", "There is NOT at least"],
    ),
    (
        FailureClass::Infrastructure,
        "the file system is read-only or broken",
        &["Input/output error", "Structure needs cleaning", "Stale file handle"],
    ),
];

/// Words of a fetch that failed for the network's sake.
const NETWORK: &[&str] = &[
    "Temporary failure in name resolution",
    "Name or service not known",
    "unable to resolve host",
    "Could not resolve host",
    "Connection refused",
    "Connection timed out",
    "Connection reset",
    "Network is unreachable",
    "No route to host",
    "503 Service",
    "502 Bad Gateway",
    "504 Gateway",
];

/// Words of a build that looked for a network where there is none. A refused connection is not among them: tests look for
/// servers on their own machine.
const NO_NETWORK: &[&str] = &[
    "Temporary failure in name resolution",
    "Name or service not known",
    "unable to resolve host",
    "Could not resolve host",
    "failed to lookup address information",
    "Network is unreachable",
    "Errno 101]",
];

/// Words of a Portage that never began to build: its tree or configuration is not the plan's.
const EPOCH: &[&str] = &[
    "there are no ebuilds to satisfy",
    "have been masked",
    "there are no binary packages to satisfy",
    "--buildpkgonly requires all dependencies to be merged",
    "The following USE changes are necessary",
    "has unmet requirements",
    "profile is invalid",
    "Your current profile is",
];

/// Classifies a step that did not do its work; `log` is the end of the build's log, `network` whether the step had one.
#[must_use]
pub fn classify(stage: Stage, ending: Ending, log: &str, network: bool) -> Failure {
    let (class, why) = cause(stage, ending, &last_lines(log, 60), network);
    let ended = match ending {
        Ending::Exit(0) => "although emerge says it succeeded".to_owned(),
        Ending::Exit(status) => format!("exit status {status}"),
        Ending::Signal(signal) => format!("killed by signal {signal}"),
        Ending::Timeout => "killed at the time limit".to_owned(),
        Ending::Exceeded(_) => "killed at the limit".to_owned(),
    };
    let out_of_memory = match ending {
        Ending::Exceeded(excess) => matches!(excess, Excess::Memory { .. } | Excess::Machine),
        _ => [NO_MEMORY, KILLED].contains(&&*why),
    };
    Failure { class, reason: format!("{why} while {stage} ({ended})"), excerpt: excerpt(log), out_of_memory }
}

fn cause(stage: Stage, ending: Ending, tail: &str, network: bool) -> (FailureClass, Cow<'static, str>) {
    match ending {
        Ending::Timeout => (FailureClass::Resources, "the time limit was exceeded".into()),
        Ending::Exceeded(excess) => (FailureClass::Resources, excess.to_string().into()),
        Ending::Exit(_) | Ending::Signal(_) => {
            let (class, why) = told(stage, ending, tail, network);
            (class, why.into())
        }
    }
}

/// What the log and the stage tell.
fn told(stage: Stage, ending: Ending, tail: &str, network: bool) -> (FailureClass, &'static str) {
    use FailureClass::{Epoch, Infrastructure, Package, Resources};
    let says = |words: &[&str]| words.iter().any(|word| tail.contains(word));
    if let Some((class, why, _)) = CAUSES.iter().find(|(_, _, words)| says(words)) {
        return (*class, why);
    }
    match (stage, ending) {
        // Only the kernel kills with 9 what we did not kill: it was out of memory.
        (_, Ending::Signal(9)) => (Resources, KILLED),
        (_, Ending::Signal(_)) => (Infrastructure, "emerge itself was killed"),
        (Stage::Fetching, _) if says(NETWORK) => (Infrastructure, "the network failed"),
        (Stage::Fetching | Stage::Installing | Stage::Building, _) if says(EPOCH) => {
            (Epoch, "the repository or configuration differs from the plan")
        }
        (Stage::Fetching, _) => (Package, "a source archive cannot be had"),
        // That it tried is not proof that it failed for it; but it is the package's fault either way.
        (Stage::Building, _) if !network && says(NO_NETWORK) => (
            Package,
            "it needs the network, which its ebuild does not declare (RESTRICT=\"network-sandbox\", or \
             PROPERTIES=\"test_network\" for its tests) and the drone's limits do not allow (network = true),",
        ),
        (Stage::Building, _) => (Package, "the package does not build"),
        (Stage::Installing, _) => (Package, "a dependency cannot be installed"),
        (Stage::Checking, _) => (Epoch, "Portage could not check the root"),
        _ => (Infrastructure, "the drone failed"),
    }
}

/// The last lines of what a command said.
pub(crate) fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The telling lines: those with an error in them and their surroundings, and the last ones; 8,000 characters at most.
fn excerpt(log: &str) -> String {
    const LONGEST: usize = 8000;
    let lines: Vec<&str> = log.lines().collect();
    let end = lines.len().saturating_sub(30);
    let tells = |line: &&str| {
        [" error:", "Error ", "ERROR:", "FAILED", "undefined reference", "fatal:", "No space left"]
            .iter()
            .any(|word| line.contains(word))
    };
    let telling = lines[..end].iter().filter(|line| tells(line)).take(20);
    let chosen: Vec<&str> = telling.chain(&lines[end..]).copied().collect();
    let text = chosen.join("\n");
    let surplus = text.chars().count().saturating_sub(LONGEST);
    text.chars().skip(surplus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass::{Epoch, Infrastructure, Package, Resources};

    #[test]
    fn every_class_by_its_signs() {
        for (stage, ending, log, class) in [
            (
                Stage::Building,
                Ending::Exit(1),
                "foo.c:1:2: error: expected ';'\nmake: *** [foo.o] Error 1",
                Package,
            ),
            (Stage::Building, Ending::Exit(0), "", Package),
            (Stage::Building, Ending::Exit(1), "cc1: No space left on device", Infrastructure),
            (
                Stage::Building,
                Ending::Exit(1),
                "c++: fatal error: Killed signal terminated program cc1plus",
                Resources,
            ),
            (Stage::Building, Ending::Exit(1), "(signal: 9, SIGKILL: kill)", Resources),
            (Stage::Building, Ending::Exit(1), "make: *** [Makefile:3: cc1] Killed", Resources),
            (
                Stage::Building,
                Ending::Exit(1),
                "collect2: fatal error: ld terminated with signal 9 [Killed]\nninja: build stopped",
                Resources,
            ),
            (Stage::Building, Ending::Exit(1), "ld: final link failed: memory exhausted", Resources),
            (Stage::Building, Ending::Exit(1), "LLVM ERROR: Allocation failed", Resources),
            (
                Stage::Building,
                Ending::Exit(1),
                "bash: fork: retry: Resource temporarily unavailable",
                Resources,
            ),
            (Stage::Building, Ending::Exit(1), "dd: error writing 'x': File too large", Resources),
            (Stage::Building, Ending::Signal(9), "", Resources),
            (Stage::Building, Ending::Signal(11), "", Infrastructure),
            (Stage::Building, Ending::Timeout, "No space left on device", Resources),
            (Stage::Building, Ending::Exit(1), "* There is NOT at least 8 GiB RAM", Resources),
            (Stage::Building, Ending::Exit(1), "emerge: there are no ebuilds to satisfy \"=a/b-1\".", Epoch),
            (Stage::Fetching, Ending::Exit(1), "wget: unable to resolve host address 'x'", Infrastructure),
            (Stage::Fetching, Ending::Exit(1), "ERROR 404: Not Found.", Package),
            (
                Stage::Fetching,
                Ending::Exit(1),
                "!!! All ebuilds that could satisfy \"=a/b-1\" have been masked.",
                Epoch,
            ),
            (Stage::Installing, Ending::Exit(1), "* ERROR: a/b-1 failed (preinst phase)", Package),
            (Stage::Checking, Ending::Exit(1), "", Epoch),
            (Stage::Preparing, Ending::Exit(1), "", Infrastructure),
        ] {
            assert_eq!(classify(stage, ending, log, false).class, class, "{stage} {ending:?} {log}");
        }
    }

    #[test]
    fn limits_are_said_with_their_amount() {
        let ending = Ending::Exceeded(Excess::Memory { limit: 64 << 20 });
        let failure = classify(Stage::Building, ending, "No space left on device", false);
        assert_eq!(failure.class, Resources);
        assert_eq!(failure.reason, "it used more than 64 MiB of memory while building (killed at the limit)");
    }

    #[test]
    fn a_network_that_is_missing_is_said_where_it_is_missing() {
        let log = "curl: (6) Could not resolve host: example.org";
        let reason = |stage, network| {
            let failure = classify(stage, Ending::Exit(1), log, network);
            (failure.class, failure.reason.contains("network-sandbox"))
        };
        assert_eq!(reason(Stage::Building, false), (Package, true));
        assert_eq!(reason(Stage::Building, true), (Package, false));
        assert_eq!(reason(Stage::Fetching, true), (Infrastructure, false));
    }

    #[test]
    fn early_words_do_not_count() {
        let log = format!("test: No space left on device\n{}", "ok\n".repeat(100));
        assert_eq!(classify(Stage::Building, Ending::Exit(1), &log, false).class, Package);
    }

    #[test]
    fn the_excerpt_holds_the_first_error_and_the_end() {
        let log = format!("a.c: error: x\n{}the end", "noise\n".repeat(5000));
        let text = excerpt(&log);
        assert!(text.starts_with("a.c: error: x") && text.ends_with("the end") && text.len() < 8001);
        assert_eq!(excerpt(&"\u{e9}".repeat(9000)).chars().count(), 8000);
    }
}
