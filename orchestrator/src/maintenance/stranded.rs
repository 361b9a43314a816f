//! Packages that are ready, and that no drone may build as things are: a rule names drones that are gone, or nobody holds
//! the epoch (law 12). Only a person, or another drone, can help.

use crate::alarms::Kind;
use crate::app::App;
use crate::db::packages;
use crate::planner;
use crate::scheduler::explain;
use chrono::TimeDelta;

/// How long a package may be ready before it is worth a sentence.
const PATIENCE: TimeDelta = TimeDelta::minutes(5);

/// Raises the alarm, or ends it. Where no drone is online at all, another one tells ([`crate::db::stuck::unbuilt`]).
pub(super) async fn look_for(app: &App) -> sqlx::Result<()> {
    let (snapshot, now) = planner::look(app).await?;
    let online = !snapshot.drones.is_empty();
    let mut stranded = explain::stranded(&snapshot);
    stranded.retain(|ready| online && now - ready.ready_since > PATIENCE);
    let sentence = match stranded.first().map(|ready| ready.job.package) {
        None => None,
        Some(first) => packages::names(&app.db, &[first]).await?.get(&first).map(|cpv| {
            let more = stranded.len() - 1;
            let others = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{cpv}{others} can be built by no drone that is online: `swarm why {cpv}` says why")
        }),
    };
    app.alarms.set(Kind::Stranded, sentence.as_deref());
    Ok(())
}
