//! Which phase of an ebuild runs, and how long each took, by the lines that Portage prints at their beginning
//! (`phase-functions.sh`, `misc-functions.sh`):
//!
//! | line | what begins |
//! |---|---|
//! | `>>> Unpacking source...` | *unpack* |
//! | `>>> Preparing source in …` | *prepare* |
//! | `>>> Configuring source in …` | *configure* |
//! | `>>> Compiling source in …` | *compile* |
//! | `>>> Test phase …` | *test*, also where it is not enabled |
//! | `>>> Install … into …` | *install* |
//! | `>>> Completed installing …` | *package*: what follows is the binary package |
//!
//! Portage 3.0.82 and later has a feature for that, `observability`. It is not used: its file is written at most once a
//! second and renewed every two, so that a package of seconds would have hardly a phase, while these lines come at
//! their moment, and from every Portage.

use swarm_protocol::drone::Phases;
use tokio::time::Instant;

/// The beginning of a line, and the phase that it begins.
const LINES: [(&str, Phase); 7] = [
    (">>> Unpacking source", Phase::Unpack),
    (">>> Preparing source in ", Phase::Prepare),
    (">>> Configuring source in ", Phase::Configure),
    (">>> Compiling source in ", Phase::Compile),
    (">>> Test phase", Phase::Test),
    (">>> Install ", Phase::Install),
    (">>> Completed installing ", Phase::Package),
];
/// Longer lines are none of these.
const LONGEST: usize = 64;

/// A phase of an ebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `src_unpack`
    Unpack,
    /// `src_prepare`
    Prepare,
    /// `src_configure`
    Configure,
    /// `src_compile`
    Compile,
    /// `src_test`
    Test,
    /// `src_install`
    Install,
    /// Portage packs.
    Package,
}

impl Phase {
    /// Portage's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unpack => "unpack",
            Self::Prepare => "prepare",
            Self::Configure => "configure",
            Self::Compile => "compile",
            Self::Test => "test",
            Self::Install => "install",
            Self::Package => "package",
        }
    }

    fn of(self, phases: &mut Phases) -> &mut f64 {
        match self {
            Self::Unpack => &mut phases.unpack,
            Self::Prepare => &mut phases.prepare,
            Self::Configure => &mut phases.configure,
            Self::Compile => &mut phases.compile,
            Self::Test => &mut phases.test,
            Self::Install => &mut phases.install,
            Self::Package => &mut phases.package,
        }
    }
}

/// Follows the output of a build.
#[derive(Debug, Default)]
pub struct Follower {
    /// The beginning of the line that is not complete.
    line: Vec<u8>,
    running: Option<(Phase, Instant)>,
    took: Phases,
}

impl Follower {
    /// Takes a piece of output that came at `now`; a phase, if one begins with it.
    pub fn see(&mut self, bytes: &[u8], now: Instant) -> Option<Phase> {
        let mut begun = None;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            // A line tells as soon as it is known how it begins.
            if let Some(phase) = begins(&self.line)
                && self.running.is_none_or(|(running, _)| running != phase)
            {
                self.enter(Some(phase), now);
                begun = Some(phase);
            }
            if piece.ends_with(b"\n") {
                self.line.clear();
            }
        }
        begun
    }

    /// How long each phase took, when the build ends at `now`.
    #[must_use]
    pub fn end(mut self, now: Instant) -> Phases {
        self.enter(None, now);
        self.took
    }

    fn enter(&mut self, phase: Option<Phase>, now: Instant) {
        if let Some((running, since)) = self.running.take() {
            *running.of(&mut self.took) += now.saturating_duration_since(since).as_secs_f64();
        }
        self.running = phase.map(|phase| (phase, now));
    }
}

fn begins(line: &[u8]) -> Option<Phase> {
    LINES.iter().find(|(start, _)| line.starts_with(start.as_bytes())).map(|(_, phase)| *phase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lines_in_pieces() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut follower = Follower::default();
        assert_eq!(follower.see(b" * a/b-1\n>>> Unpack", at(1)), None);
        assert_eq!(follower.see(b"ing source...\n", at(1)), Some(Phase::Unpack));
        assert_eq!(
            follower.see(b">>> Source unpacked in /w\n>>> Preparing source in /w ...\n", at(3)),
            Some(Phase::Prepare)
        );
        let both = b">>> Configuring source in /w ...\n>>> Compiling source in /w ...\nmake";
        assert_eq!(follower.see(both, at(4)), Some(Phase::Compile));
        assert_eq!(
            follower.see(b" >>> Install x into y\n", at(9)),
            None,
            "it is said in the middle of a line"
        );
        assert_eq!(follower.see(&[b'x'; 1000], at(9)), None);
        assert_eq!(follower.see(b"\n>>> Install a/b-1 into /image\n", at(10)), Some(Phase::Install));
        let took = follower.end(at(11));
        let wanted = Phases { unpack: 2.0, prepare: 1.0, compile: 6.0, install: 1.0, ..Phases::default() };
        assert_eq!(took, wanted);
    }
}
