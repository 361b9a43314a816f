//! What holds for everything that a trusted drone is asked to do for a run: resolving it, judging its generation.

/// How long a run rests after a drone could not do it, in seconds.
pub const PAUSE_SECONDS: f64 = 30.0;
/// How many drones may fail at it before the run fails: nobody retries for ever (law 7).
pub const MOST_FAILURES: i64 = 5;
/// Beyond the time that a drone was given, for its report to arrive, in seconds.
pub const MARGIN_SECONDS: u32 = 60;
