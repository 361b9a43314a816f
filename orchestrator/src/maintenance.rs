//! The maintenance loop: one leader among the orchestrators, each duty a file of its own with one `*_once`-like
//! function that may run at any time and any number of times.
//!
//! Silence counts only while we were listening (law 4): the leader judges no drone before it has been in office for a
//! full grace time, and begins anew when its Postgres session broke or the clocks jumped.

mod alarms;
mod blame;
mod gates;
mod invariants;
mod leader;
mod orphans;
mod pardon;
mod pruning;
mod repair;
mod resolutions;
mod retention;
mod silence;
mod speeds;
mod stranded;
mod sweep;

use crate::app::App;
use crate::db;
use crate::promote;
use leader::Office;
pub use orphans::end as end_orphans;
pub use retention::bundles as retain_bundles;
pub use silence::return_unstarted;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::{error, info};

/// How long wake-ups are gathered before the quick duties run.
const GATHER: Duration = Duration::from_millis(50);

/// The duties that cost more come once in this many turns.
const SELDOM_TURNS: u32 = 6;

/// What the loop remembers between turns. It is lost with the process, and nothing goes wrong by that.
#[derive(Default)]
struct Memory {
    /// Present while this process leads.
    office: Option<Office>,
    /// When the duties that cost more came last.
    seldom: Option<Instant>,
    invariants: invariants::Watch,
    repair: repair::Watch,
    alarms: alarms::Watch,
}

impl Memory {
    fn is_time_for_more(&mut self, app: &App) -> bool {
        let rest = Duration::from_secs(app.times.maintenance_seconds.into()) * SELDOM_TURNS;
        let due = self.seldom.is_none_or(|last| last.elapsed() >= rest);
        if due {
            self.seldom = Some(Instant::now());
        }
        due
    }
}

/// Runs until the process stops.
pub async fn run(app: &App) {
    let mut wakes = app.wake.subscribe();
    let period = Duration::from_secs(app.times.maintenance_seconds.into());
    let mut memory = Memory::default();
    loop {
        if let Err(error) = turn(app, &mut memory).await {
            error!(%error, "a turn of the maintenance loop failed; the next one tries again");
            // Whatever was wrong, silence is judged anew from here.
            memory.office = None;
        }
        app.turned(memory.office.is_some());
        // Whatever may have finished a run wakes us; the rest comes with the clock.
        let due = Instant::now() + period;
        while Instant::now() < due {
            tokio::select! {
                () = app.stop.cancelled() => return,
                woken = timeout(due - Instant::now(), wakes.changed()) => {
                    if woken.is_err() { break }
                }
            }
            if !app.pause(GATHER).await {
                return;
            }
            wakes.borrow_and_update();
            if memory.office.is_some()
                && let Err(error) = promote::advance(app).await
            {
                error!(%error, "a run could not be advanced; the next turn tries again");
            }
        }
    }
}

/// One turn of all duties, if this process is the leader.
async fn turn(app: &App, memory: &mut Memory) -> anyhow::Result<()> {
    match &mut memory.office {
        None => {
            memory.office = Office::take(app).await?;
            if memory.office.is_some() {
                info!("this orchestrator leads the maintenance");
            }
        }
        Some(office) => office.hold(app).await?,
    }
    let Some(office) = &memory.office else { return Ok(()) };
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
    retention::drop_views(app).await?;
    repair::look_after(app, &mut memory.repair, office.listened()).await?;
    if memory.is_time_for_more(app) {
        invariants::look_after(app, &mut memory.invariants).await?;
        stranded::look_for(app).await?;
        retention::look(app).await?;
        pruning::prune(app).await?;
    }
    // What the other duties have found is known by now.
    alarms::look_after(app, &mut memory.alarms).await?;
    Ok(())
}
