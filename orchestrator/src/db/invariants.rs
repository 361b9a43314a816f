//! What must be true of the queue at every moment, whatever died in between: asked in one statement, so that all of it is
//! said of one moment. Every transition keeps it; a breach is a fault of ours, or of whoever wrote into the tables.
//!
//! Attempts whose session or run is over are not among them: these end a moment later ([`super::overdue`]).

use super::events::{self, NewEvent};
use sqlx::{PgConnection, PgExecutor};
use std::collections::BTreeSet;
use std::time::Duration;
use swarm_protocol::id::{PackageId, RunId};

/// A rule that the queue keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// `unmet` and `stuck` are what a count of the waits gives.
    Counters,
    /// `attempts` is at least the number of the last attempt: the next one must get a number of its own.
    Attempts,
    /// Somebody has what is *delegated*.
    Holder,
    /// What somebody has is *delegated*.
    Claim,
    /// No pause is longer than the longest one.
    Pause,
    /// Something can be built, is being built or pauses where something is needed: the waits have no cycle.
    WayForward,
    /// Behind *building*, everything is received.
    Complete,
}

impl Invariant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Counters,
        Self::Attempts,
        Self::Holder,
        Self::Claim,
        Self::Pause,
        Self::WayForward,
        Self::Complete,
    ];

    /// A stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Attempts => "attempts",
            Self::Holder => "holder",
            Self::Claim => "claim",
            Self::Pause => "pause",
            Self::WayForward => "way_forward",
            Self::Complete => "complete",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|invariant| invariant.as_str() == word)
    }
}

/// Something of which a rule does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// The rule.
    pub invariant: Invariant,
    /// The run.
    pub run: RunId,
    /// The package, where it is one's.
    pub package: Option<PackageId>,
    /// A sentence for people.
    pub text: String,
}

/// How many breaches are read at once.
const MOST: i64 = 1000;

/// How much longer than the longest pause one may be: it was begun by the clock of a moment ago.
const PAUSE_MARGIN_SECONDS: f64 = 60.0;

/// Breaches of the runs that are not over. Waits are counted for what is not received, from what is not received: that
/// is all that the counters count.
pub async fn breaches(db: impl PgExecutor<'_>, longest_pause: Duration) -> sqlx::Result<Vec<Breach>> {
    let rows = sqlx::query!(
        r#"WITH open AS (
               SELECT p.id, p.run_id, p.cpv, p.state, p.unmet, p.stuck, p.attempts, p.not_before, r.state AS run_state
               FROM runs r JOIN packages p ON p.run_id = r.id WHERE r.ended_at IS NULL AND p.state <> 'received'
           ), counted AS (
               SELECT w.package_id AS id, count(*) AS unmet,
                      count(*) FILTER (WHERE d.state IN ('blocked', 'quarantined')) AS stuck
               FROM open d JOIN waits w ON w.on_package_id = d.id GROUP BY w.package_id
           )
           SELECT 'counters' AS "invariant!", o.run_id AS "run!: RunId", o.id AS "package: PackageId",
                  format('%s has unmet %s and stuck %s, but its waits give %s and %s', o.cpv, o.unmet, o.stuck,
                         COALESCE(c.unmet, 0), COALESCE(c.stuck, 0)) AS "text!"
           FROM open o LEFT JOIN counted c ON c.id = o.id
           WHERE o.unmet <> COALESCE(c.unmet, 0) OR o.stuck <> COALESCE(c.stuck, 0)
           UNION ALL
           SELECT 'attempts', o.run_id, o.id, format('%s has an attempt above its count of %s', o.cpv, o.attempts)
           FROM open o WHERE EXISTS (SELECT FROM attempts a WHERE a.package_id = o.id AND a.number > o.attempts)
           UNION ALL
           SELECT 'holder', o.run_id, o.id, format('%s is delegated, and nobody has it', o.cpv)
           FROM open o
           WHERE o.state = 'delegated'
             AND NOT EXISTS (SELECT FROM attempts a WHERE a.package_id = o.id AND a.phase <> 'ended')
           UNION ALL
           SELECT 'claim', p.run_id, p.id, format('attempt %s of %s is %s, but the package is %s', a.id, p.cpv, a.phase, p.state)
           FROM attempts a JOIN packages p ON p.id = a.package_id
           WHERE a.phase <> 'ended' AND p.state <> 'delegated'
           UNION ALL
           SELECT 'pause', o.run_id, o.id, format('%s pauses until %s', o.cpv, o.not_before)
           FROM open o
           WHERE o.state = 'needed' AND o.not_before > swarm_now() + make_interval(secs => $1)
           UNION ALL
           SELECT 'way_forward', o.run_id, NULL, format('%s packages of run %s wait for each other', count(*), o.run_id)
           FROM open o LEFT JOIN counted c ON c.id = o.id
           WHERE o.run_state = 'building' AND o.state IN ('needed', 'delegated')
           GROUP BY o.run_id HAVING bool_and(o.state = 'needed' AND c.unmet IS NOT NULL)
           UNION ALL
           SELECT 'complete', o.run_id, NULL, format('run %s is %s without %s of its packages', o.run_id, o.run_state, count(*))
           FROM open o WHERE o.run_state IN ('validating', 'promoting') GROUP BY o.run_id, o.run_state
           LIMIT $2"#,
        longest_pause.as_secs_f64() + PAUSE_MARGIN_SECONDS,
        MOST
    );
    let rows = rows.fetch_all(db).await?.into_iter();
    let mut breaches: Vec<_> = rows
        .filter_map(|row| {
            let invariant = Invariant::parse(&row.invariant)?;
            Some(Breach { invariant, run: row.run, package: row.package, text: row.text })
        })
        .collect();
    // Wrong counters look like a cycle as well. Whether there is one is seen when they are right.
    let miscounted = breaches.iter().filter(|breach| breach.invariant == Invariant::Counters);
    let miscounted: BTreeSet<_> = miscounted.map(|breach| breach.run).collect();
    breaches.retain(|breach| breach.invariant != Invariant::WayForward || !miscounted.contains(&breach.run));
    Ok(breaches)
}

/// Writes down that a breach was found.
pub async fn found(tx: &mut PgConnection, breach: &Breach) -> sqlx::Result<()> {
    let data = serde_json::json!({ "invariant": breach.invariant.as_str(), "text": breach.text });
    let (run, package) = (Some(breach.run), breach.package);
    events::append(tx, NewEvent { kind: "invariant.broken", run, package, data, ..NewEvent::default() }).await
}
