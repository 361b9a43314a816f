//! What must be true of every event log, whatever happened to the swarm: read from the log alone, then compared with
//! the tables. Chaos tests end with it.

use crate::wait;
use build_orchestrator::db::invariants::{self, Invariant};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::time::Duration;
use swarm_protocol::admin::Event;
use swarm_protocol::client::AdminClient;
use swarm_protocol::id::{AttemptId, DroneId, PackageId};

/// Tests move the clock, so that a pause may look long.
const ANY_PAUSE: Duration = Duration::from_hours(24 * 365);

/// What the log says of one package.
#[derive(Debug, Default)]
struct History {
    live: Option<AttemptId>,
    owners: BTreeMap<AttemptId, DroneId>,
    received: Vec<AttemptId>,
    /// Its run found it received by an earlier one.
    kept: bool,
}

/// Reads the whole event log and fails the test on the first contradiction. Returns the events.
pub async fn check(admin: &AdminClient, database: &PgPool) -> Vec<Event> {
    let mut events = read(admin, database).await;
    // The cursor orders by transaction; what happened to one package is ordered by id, for its lock is held meanwhile.
    events.sort_by_key(|event| event.id);
    let mut packages: BTreeMap<PackageId, History> = BTreeMap::new();
    for event in &events {
        if let Some(package) = event.package {
            replay(packages.entry(package).or_default(), event);
        }
    }
    for (package, history) in &packages {
        assert!(history.received.len() <= 1, "package {package} was received twice: {history:?}");
    }
    agrees(database, &packages).await;
    events
}

/// The whole event log. Readers are shown events only when nothing older can still commit, so the newest ones may take
/// a moment.
pub async fn read(admin: &AdminClient, database: &PgPool) -> Vec<Event> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(database).await.unwrap();
    let (mut events, mut cursor) = (Vec::new(), "0".to_owned());
    wait::until(30, "all events to be shown", async || {
        loop {
            let page = admin.events(&cursor).await.unwrap();
            if page.events.is_empty() {
                return (events.len() >= usize::try_from(count).unwrap()).then_some(());
            }
            events.extend(page.events);
            cursor = page.cursor;
        }
    })
    .await;
    events
}

fn replay(history: &mut History, event: &Event) {
    let attempt = event.attempt;
    let is_live = || assert_eq!(history.live, attempt, "not the live attempt: {event:?}");
    match event.kind.as_str() {
        "package.claimed" | "package.regained" => {
            assert_eq!(history.live, None, "claimed while claimed: {event:?}");
            assert!(history.received.is_empty() && !history.kept, "claimed after it was received: {event:?}");
            history.live = attempt;
            history.owners.insert(attempt.unwrap(), event.drone.unwrap());
        }
        "package.stolen" => {
            assert!(history.live.is_some(), "nothing to steal: {event:?}");
            history.live = attempt;
            history.owners.insert(attempt.unwrap(), event.drone.unwrap());
        }
        "package.started" | "package.completed" => is_live(),
        "package.received" => {
            is_live();
            history.live = None;
            history.received.extend(attempt);
        }
        "package.failed"
        | "package.reclaimed"
        | "package.lost"
        | "package.handed_back"
        | "package.cancelled"
        | "package.quarantined" => {
            is_live();
            history.live = None;
        }
        "package.released" | "package.retried" | "package.blocked" | "package.unblocked" => {
            assert_eq!(history.live, None, "{event:?}");
        }
        "package.kept" => {
            assert!(history.owners.is_empty() && !history.kept, "it was kept or tried before: {event:?}");
            history.kept = true;
        }
        // As it stands, whatever that is.
        "package.carried_over" | "package.prioritised" => {}
        // Nothing but a clock that jumped back makes a pause too long; the storm knows whether one did.
        "invariant.broken" => assert_eq!(event.data["invariant"], Invariant::Pause.as_str(), "{event:?}"),
        other => panic!("the checker does not know {other}"),
    }
    if let (Some(attempt), Some(drone)) = (attempt, event.drone) {
        assert_eq!(history.owners.get(&attempt), Some(&drone), "another drone's attempt: {event:?}");
    }
}

/// The tables say what the log says, and keep their invariants.
async fn agrees(database: &PgPool, packages: &BTreeMap<PackageId, History>) {
    let rows: Vec<(i64, String, Option<i64>)> = sqlx::query_as(
        "SELECT p.id, p.state::text, (SELECT a.id FROM attempts a WHERE a.package_id = p.id AND a.phase <> 'ended')
         FROM packages p",
    )
    .fetch_all(database)
    .await
    .unwrap();
    let untouched = History::default();
    for (id, state, live) in rows {
        let history = packages.get(&PackageId(id)).unwrap_or(&untouched);
        assert_eq!(history.live.map(|attempt| attempt.0), live, "package {id}: the live attempt");
        assert_eq!(state == "delegated", live.is_some(), "package {id} is {state}");
        assert_eq!(
            state == "received",
            history.kept || !history.received.is_empty(),
            "package {id} is {state}"
        );
    }
    let broken = invariants::breaches(database, ANY_PAUSE).await.unwrap();
    assert_eq!(broken, [], "invariants of the queue");
}
