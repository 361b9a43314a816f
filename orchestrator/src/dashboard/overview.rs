//! How is everything? What `swarm status` says, with throughput and what is left.

use super::error::PageError;
use super::forecast;
use super::live::{ANYTHING, PULSE};
use super::page::{self, About, Room, table};
use super::visitor::Visitor;
use super::words::{ago, percent, seconds, state, taken};
use crate::api::{Shared, health};
use crate::db::progress::Progress;
use crate::db::{progress, status};
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use swarm_protocol::admin::{Counts, Drone, Obstacle, RunStatus, Status};
use swarm_protocol::state::RunState;

/// How many quarantined packages of a run are named.
const NAMED: usize = 20;

/// The page.
pub(super) async fn show(State(app): State<Shared>, visitor: Visitor) -> Result<Html<String>, PageError> {
    let status = status::read(&app.db, None, health::degraded(&app).await?).await?;
    let mut runs = Vec::new();
    for run in &status.runs {
        runs.push((run, progress::of_run(&app.db, run.run.id).await?));
    }
    let content = html! {
        h1 { "The swarm" }
        div #overview data-live {
            (alarms(&status.degraded))
            (targets(&status, &runs))
            (drones(&status.drones, status.now))
        }
    };
    let topics = [ANYTHING, PULSE].map(str::to_owned);
    Ok(page::full(&visitor, &About { title: "Overview", room: Room::Overview, topics: &topics }, &content))
}

/// What works less well.
pub(super) fn alarms(degraded: &[String]) -> Markup {
    html! {
        @if degraded.is_empty() {
            p .faint { "Nothing is degraded." }
        } @else {
            section .card.alarm aria-label="Degraded" {
                h2 { "Degraded" }
                ul { @for sentence in degraded { li { (sentence) } } }
            }
        }
    }
}

fn targets(status: &Status, runs: &[(&RunStatus, Progress)]) -> Markup {
    html! {
        @if status.targets.is_empty() {
            p { "There is no target yet; " code { "swarm target push NAME" } " makes one." }
        }
        @for target in &status.targets {
            section .card {
                h2 { (target.name) }
                p {
                    @match (target.current, target.promoted_at) {
                        (Some(number), Some(at)) => {
                            a href={ "/targets/" (target.name) "/generations" } { "Generation " (number) }
                            " is current, since " (ago(status.now, at)) "."
                        }
                        _ => { "No generation yet." }
                    }
                }
                @let mut open = runs.iter().filter(|(run, _)| run.run.target == target.name).peekable();
                @if open.peek().is_none() { p .faint { "No open run." } }
                @for (run, progress) in open { (of_run(run, progress, status.now)) }
            }
        }
    }
}

fn of_run(status: &RunStatus, progress: &Progress, now: DateTime<Utc>) -> Markup {
    let run = &status.run;
    html! {
        h3 {
            a href={ "/runs/" (run.id) } { "Run " (run.id) } " " (state(run.state.as_str()))
        }
        p .faint { "Began " (ago(now, run.created_at)) "." }
        @if let Some(reason) = &run.reason { p { (reason) } }
        @if let Some(resolver) = &run.resolver {
            p { "Resolved by " (resolver.drone) ", since " (ago(now, resolver.since)) "." }
        }
        @if run.counts.total > 0 {
            (counts(&run.counts))
            (pace(&run.counts, progress, run.state))
        }
        @for obstacle in status.quarantined.iter().take(NAMED) { (of_obstacle(obstacle)) }
        @if status.quarantined.len() > NAMED {
            p { a href={ "/runs/" (run.id) "?state=quarantined#packages" } { "All that is quarantined" } }
        }
    }
}

fn of_obstacle(obstacle: &Obstacle) -> Markup {
    html! {
        p {
            (state("quarantined")) " "
            a href={ "/packages/" (obstacle.package) } { (obstacle.cpv) }
            @if obstacle.blocks > 0 { ", " (obstacle.blocks) " blocked behind it" }
            ": " (obstacle.reason.as_deref().unwrap_or("no reason is known"))
        }
    }
}

/// The five counts of a run's queue, and how far it is.
pub(super) fn counts(counts: &Counts) -> Markup {
    let five = counts.by_state().map(|(state, number)| (state.as_str(), number));
    html! {
        dl .counts { @for (word, number) in five { div { dt { (word) } dd class=[(number > 0).then_some(word)] { (number) } } } }
        progress max=(counts.total) value=(counts.received) aria-label="received" {
            (percent(counts.received, counts.total))
        }
        p .faint {
            (counts.received) " of " (counts.total) " received (" (percent(counts.received, counts.total)) "), "
            (counts.kept) " of them kept; " (counts.ready) " ready."
        }
    }
}

/// How fast it goes, how often it works, and what is left.
pub(super) fn pace(counts: &Counts, progress: &Progress, run: RunState) -> Markup {
    let ended = counts.succeeded + counts.failed;
    html! {
        dl .facts {
            dt { "Success" }
            dd {
                (percent(counts.succeeded, ended)) ": " (counts.succeeded) " of " (ended)
                " attempts that came to an end; begun: " (counts.attempted)
                ", packages quarantined: " (counts.quarantined) ", blocked: " (counts.blocked)
            }
            dt { "Received" }
            dd { (progress.received_by_hour.first().copied().unwrap_or_default()) " in the last hour" (hours(progress)) }
            dt { "Left" }
            dd { (left(progress, run)) }
        }
    }
}

fn left(progress: &Progress, run: RunState) -> Markup {
    html! {
        @match (run, forecast::left(progress)) {
            (RunState::Building, Some(left)) => {
                "between " (seconds(left.least)) " and " (seconds(left.most))
                ", if the drones that are online stay"
            }
            (RunState::Building, None) if progress.work_seconds > 0.0 => { "nobody knows: no drone is online" }
            (RunState::Frozen, _) => { "it waits for a person" }
            _ => { "nothing to build" }
        }
    }
}

/// The last 24 hours as columns, oldest first.
fn hours(progress: &Progress) -> Markup {
    let most = progress.received_by_hour.iter().copied().max().unwrap_or_default().max(1);
    let words = format!("Received in each of the last 24 hours; {most} at most");
    html! {
        svg .hours viewBox="0 0 240 40" preserveAspectRatio="none" role="img" aria-label=(words) {
            @for (column, number) in progress.received_by_hour.iter().rev().enumerate() {
                @let height = if *number > 0 { (number * 40 / most).max(1) } else { 0 };
                rect x=(column * 10) y=(40 - height) width="9" height=(height) {}
            }
        }
    }
}

/// The drones as a table.
pub(super) fn drones(drones: &[Drone], now: DateTime<Utc>) -> Markup {
    let rows = html! {
        @for drone in drones {
            tr {
                th scope="row" { a href={ "/drones/" (drone.name) } { (drone.name) } }
                td { (state(drone.state.as_str())) @if drone.stopping { " stops" } }
                td { (doing(drone, now)) }
                td { @match drone.seen_at { Some(at) => { (ago(now, at)) } None => { "never" } } }
                td .number { (drone.consecutive_failures) }
            }
        }
    };
    html! {
        @if drones.is_empty() {
            p { "There is no drone yet; " code { "swarm join-token" } " lets one in." }
        } @else {
            (table("Drones", &["Name", "State", "Does", "Heard", "Failures in a row"], &rows))
        }
    }
}

fn doing(drone: &Drone, now: DateTime<Utc>) -> Markup {
    html! {
        @for work in &drone.work {
            div {
                (state(work.phase.as_str())) " "
                a href={ "/packages/" (work.package) } { (work.cpv) } " "
                a .faint href={ "/attempts/" (work.attempt) "/log" } { "log" }
                span .faint {
                    " for " (taken(Some(work.started_at.unwrap_or(work.claimed_at)), now))
                    " of about " (seconds(work.estimate_seconds))
                }
            }
        }
    }
}
