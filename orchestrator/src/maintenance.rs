//! The maintenance loop: one leader among the orchestrators, each duty a file of its own with one `*_once`-like
//! function that may run at any time and any number of times.
//!
//! Silence counts only while we were listening (law 4): the leader judges no drone before it has been in office for a
//! full grace time, and begins anew when its Postgres session broke or the clocks jumped.

mod blame;
mod gates;
mod leader;
mod orphans;
mod pardon;
mod resolutions;
mod retention;
mod silence;
mod speeds;
mod sweep;

use crate::app::App;
use crate::db;
use crate::promote;
use leader::Office;
pub use orphans::end as end_orphans;
use retention::Asked;
pub use retention::bundles as retain_bundles;
pub use silence::return_unstarted;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{error, info};

/// How long wake-ups are gathered before the quick duties run.
const GATHER: Duration = Duration::from_millis(50);

/// Runs until the process stops.
pub async fn run(app: &App) {
    let mut wakes = app.wake.subscribe();
    let period = Duration::from_secs(app.times.maintenance_seconds.into());
    let mut office: Option<Office> = None;
    let mut asked = Asked::default();
    loop {
        if let Err(error) = turn(app, &mut office, &mut asked).await {
            error!(%error, "a turn of the maintenance loop failed; the next one tries again");
            // Whatever was wrong, silence is judged anew from here.
            office = None;
        }
        app.turned.now();
        // Whatever may have finished a run wakes us; the rest comes with the clock.
        let due = tokio::time::Instant::now() + period;
        while tokio::time::Instant::now() < due {
            tokio::select! {
                () = app.stop.cancelled() => return,
                woken = timeout(due - tokio::time::Instant::now(), wakes.changed()) => {
                    if woken.is_err() { break }
                }
            }
            if !app.pause(GATHER).await {
                return;
            }
            wakes.borrow_and_update();
            if office.is_some()
                && let Err(error) = promote::advance(app).await
            {
                error!(%error, "a run could not be advanced; the next turn tries again");
            }
        }
    }
}

/// One turn of all duties, if this process is the leader.
async fn turn(app: &App, office: &mut Option<Office>, asked: &mut Asked) -> anyhow::Result<()> {
    match office {
        None => {
            *office = Office::take(app).await?;
            if office.is_some() {
                info!("this orchestrator leads the maintenance");
            }
        }
        Some(office) => office.hold(app).await?,
    }
    let Some(office) = office else { return Ok(()) };
    db::logs::rotate(&app.db, app.times.log_retention_days).await?;
    orphans::end(app).await?;
    pardon::grounded(app).await?;
    silence::notice(app, office.listened()).await?;
    resolutions::end_lost(app).await?;
    gates::end_lost(app, office.listened()).await?;
    silence::reclaim(app, office.listened()).await?;
    sweep::redrive(app).await?;
    blame::judge(app).await?;
    speeds::measure(app).await?;
    promote::advance(app).await?;
    retention::follow(app, asked).await?;
    Ok(())
}
