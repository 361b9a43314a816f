//! Why a package is not being built, and why a drone has no work: what the queue says, and what the scheduler would.

use crate::api::error::ApiError;
use crate::app::App;
use crate::db::{drones, packages};
use crate::planner;
use crate::scheduler::{Explanation, explain};
use std::collections::BTreeMap;
use swarm_protocol::admin::{Cause, Drone, PackageDetail, Why};
use swarm_protocol::id::{DroneId, PackageId};
use swarm_protocol::state::{DroneState, Outcome, PackageState, RunState};

/// How many causes an answer has at most.
const MOST: usize = 50;

/// Why a package is not being built.
pub async fn package(app: &App, id: PackageId) -> Result<Why, ApiError> {
    let detail = packages::detail(&app.db, id).await?.ok_or_else(|| ApiError::not_found("package"))?;
    let package = &detail.package;
    let (answer, causes) = match package.state {
        PackageState::Received => ("it is received".to_owned(), vec![]),
        PackageState::Delegated => (held(&detail), vec![]),
        PackageState::Quarantined => {
            let answer = "it failed too often, and waits for a person or for other inputs".to_owned();
            (answer, failures(&detail))
        }
        PackageState::Blocked => {
            let roots = packages::quarantined_before(&app.db, id).await?;
            let causes = roots.into_iter().map(|(cpv, reason)| Cause {
                subject: cpv.to_string(),
                reason: PackageState::Quarantined.to_string(),
                text: reason.unwrap_or_else(|| "it is quarantined".to_owned()),
                until: None,
            });
            ("it waits behind what is quarantined".to_owned(), causes.collect())
        }
        PackageState::Needed if package.unmet > 0 => {
            (format!("it waits for {} packages", package.unmet), unmet(&detail))
        }
        PackageState::Needed if detail.run_state != RunState::Building => {
            (format!("its run is {}", detail.run_state), vec![])
        }
        PackageState::Needed => ready(app, id).await?,
    };
    Ok(Why { subject: package.cpv.to_string(), answer, causes: first(causes) })
}

/// Why a drone has no work.
pub async fn drone(app: &App, name: &str) -> Result<Why, ApiError> {
    let found = drones::list(&app.db, Some(name)).await?.pop();
    let drone = found.ok_or_else(|| ApiError::not_found("drone"))?;
    let (answer, causes) = match drone.state {
        _ if drone.awaits_approval => {
            (format!("it waits for a person to let it in: `swarm drone approve {name}`"), vec![])
        }
        DroneState::Offline => {
            ("it is silent: its process does not run, or cannot reach us".to_owned(), vec![])
        }
        DroneState::Draining => ("it drains: a person wants it to finish".to_owned(), vec![]),
        DroneState::Grounded => (grounded(&drone), vec![]),
        DroneState::Online if drone.stopping => ("it stops when it has done what it has".to_owned(), vec![]),
        DroneState::Online => idle(app, &drone).await?,
    };
    Ok(Why { subject: drone.name, answer, causes: first(causes) })
}

fn first(mut causes: Vec<Cause>) -> Vec<Cause> {
    causes.truncate(MOST);
    causes
}

fn held(detail: &PackageDetail) -> String {
    let drone = detail.package.drone.as_deref().unwrap_or("a drone");
    match detail.tries.iter().rev().find(|attempt| attempt.outcome.is_none()) {
        Some(attempt) if attempt.started_at.is_none() => format!("{drone} holds it and has not started it"),
        _ => format!("{drone} builds it"),
    }
}

fn failures(detail: &PackageDetail) -> Vec<Cause> {
    let failed = detail.tries.iter().rev().filter(|attempt| attempt.outcome == Some(Outcome::Failed));
    failed
        .map(|attempt| Cause {
            subject: attempt.drone.clone(),
            reason: attempt.class.map_or_else(|| Outcome::Failed.to_string(), |class| class.to_string()),
            text: attempt.reason.clone().unwrap_or_default(),
            until: None,
        })
        .collect()
}

fn unmet(detail: &PackageDetail) -> Vec<Cause> {
    let open = detail.waits_for.iter().filter(|wait| wait.state != PackageState::Received);
    open.map(|wait| Cause {
        subject: wait.cpv.to_string(),
        reason: wait.state.to_string(),
        text: format!("{} is {}", wait.cpv, wait.state),
        until: None,
    })
    .collect()
}

async fn ready(app: &App, id: PackageId) -> Result<(String, Vec<Cause>), ApiError> {
    let (snapshot, now) = planner::look(app).await?;
    let explained = explain::of_package(&snapshot, id, now);
    let answer = if explained.is_empty() { "it is ready, and no drone is online" } else { "it is ready" };
    let drones: BTreeMap<_, _> =
        drones::list(&app.db, None).await?.into_iter().map(|d| (d.id, d.name)).collect();
    let name = |id: DroneId| drones.get(&id).cloned().unwrap_or_else(|| id.to_string());
    Ok((answer.to_owned(), explained.iter().map(|one| cause(name(one.drone), one)).collect()))
}

fn grounded(drone: &Drone) -> String {
    match drone.grounded_until {
        Some(until) => format!("it is grounded until {} UTC", until.format("%F %T")),
        None => "it is grounded until a person resumes it".to_owned(),
    }
}

async fn idle(app: &App, drone: &Drone) -> Result<(String, Vec<Cause>), ApiError> {
    if let Some(work) = drone.work.first() {
        return Ok((format!("it has work: {}", work.cpv), vec![]));
    }
    let (snapshot, now) = planner::look(app).await?;
    let explained = explain::of_drone(&snapshot, drone.id, now);
    if explained.is_empty() {
        return Ok(("no package is ready".to_owned(), vec![]));
    }
    let shown = &explained[..explained.len().min(MOST)];
    let names = packages::names(&app.db, &shown.iter().map(|one| one.package).collect::<Vec<_>>()).await?;
    let name = |id: PackageId| names.get(&id).map_or_else(|| id.to_string(), ToString::to_string);
    let causes = shown.iter().map(|one| cause(name(one.package), one)).collect();
    Ok((format!("{} packages are ready", explained.len()), causes))
}

fn cause(subject: String, one: &Explanation) -> Cause {
    Cause { subject, reason: one.reason.word().to_owned(), text: one.reason.to_string(), until: one.until }
}
