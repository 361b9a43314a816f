//! Drones: all of them, and one with its machine and its record.

use super::error::PageError;
use super::extract::Path;
use super::live::PULSE;
use super::overview;
use super::page::{self, About, Room, form, table};
use super::visitor::Visitor;
use super::words::{ago, moment, or_dash, seconds, size, state, taken};
use crate::api::Shared;
use crate::db::record::{self, Ended, Machine};
use crate::db::{self, drones};
use crate::why;
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use swarm_protocol::admin::{Drone, Why};
use swarm_protocol::state::DroneState;

/// How many ended attempts are shown.
const SHOWN: i64 = 50;

/// All drones.
pub(super) async fn list(State(app): State<Shared>, visitor: Visitor) -> Result<Html<String>, PageError> {
    let drones = drones::list(&app.db, None).await?;
    let now = db::now(&app.db).await?;
    let content = html! {
        h1 { "Drones" }
        div #drones data-live { (overview::drones(&drones, now)) }
    };
    let topics = ["drone", "package", PULSE].map(str::to_owned);
    Ok(page::full(&visitor, &About { title: "Drones", room: Room::Drones, topics: &topics }, &content))
}

/// One drone.
pub(super) async fn show(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Html<String>, PageError> {
    let drone =
        drones::list(&app.db, Some(&name)).await?.pop().ok_or_else(|| PageError::not_found("drone"))?;
    let machine = record::machine(&app.db, drone.id).await?;
    let ended = record::ended(&app.db, drone.id, SHOWN).await?;
    let why = why::drone(&app, &drone.name).await?;
    let now = db::now(&app.db).await?;
    let content = html! {
        h1 { (drone.name) }
        div #drone data-live {
            (facts(&drone, &machine, now))
            (work(&drone, &machine, now))
            (idle(&why))
            @for one in &drone.unbrought {
                p .card.alarm {
                    "It cannot bring itself to definition " (one.number) " of " (one.target) ", since " (ago(now, one.since))
                    ": " (one.reason)
                }
            }
        }
        (orders(&visitor, &drone))
        div #ended data-live { (of_ended(&ended, now)) }
    };
    let topics = [format!("drone:{}", drone.name), PULSE.to_owned()];
    Ok(page::full(&visitor, &About { title: &drone.name, room: Room::Drones, topics: &topics }, &content))
}

fn facts(drone: &Drone, machine: &Machine, now: DateTime<Utc>) -> Markup {
    html! {
        dl .facts {
            dt { "State" }
            dd {
                (state(drone.state.as_str()))
                @if drone.stopping { ", stops when it has done what it has" }
                @if drone.state == DroneState::Grounded {
                    @match drone.grounded_until {
                        Some(until) => { " until " (moment(until)) }
                        None => { " until it is resumed" }
                    }
                }
            }
            dt { "Failures in a row" }
            dd {
                (drone.consecutive_failures)
                @if machine.groundings > 0 { "; on probation, grounded " (machine.groundings) " times since it built something" }
            }
            dt { "Heard" } dd { @match drone.seen_at { Some(at) => { (ago(now, at)) } None => { "never" } } }
            dt { "Process" }
            dd {
                @match drone.session_since { Some(at) => { "began " (ago(now, at)) } None => { "none" } }
                @if let Some(version) = &machine.version { ", version " (version) }
            }
            dt { "Load" }
            dd {
                (or_dash(machine.load.map(|load| format!("{load:.2}"))))
                @if let Some(cores) = machine.cores { " on " (cores) " processors" }
            }
            dt { "Memory" }
            dd { (or_dash(drone.memory_free_bytes.map(size))) " free of " (or_dash(machine.memory_bytes.map(size))) }
            dt { "Disk" } dd { (or_dash(drone.disk_free_bytes.map(size))) " free where it builds" }
            dt { "Speed" } dd { (format!("{:.2}", machine.speed)) span .faint { ", where the middle drone has 1" } }
            dt { "Trusted" } dd { @if drone.trusted { "yes: its plans and verdicts are believed" } @else { "no" } }
        }
    }
}

fn work(drone: &Drone, machine: &Machine, now: DateTime<Utc>) -> Markup {
    let rows = html! {
        @for work in &drone.work {
            tr {
                th scope="row" { a href={ "/packages/" (work.package) } { (work.cpv) } }
                td { (state(work.phase.as_str())) @if let Some(phase) = &machine.phase { " " (phase) } }
                td .number { (taken(Some(work.started_at.unwrap_or(work.claimed_at)), now)) }
                td .number { (seconds(work.estimate_seconds / machine.speed)) }
                td { a href={ "/attempts/" (work.attempt) "/log" } { "log" } }
            }
        }
    };
    html! {
        @if !drone.work.is_empty() { (table("Its work", &["Package", "Phase", "For", "Expected", "Log"], &rows)) }
    }
}

fn idle(why: &Why) -> Markup {
    html! {
        section .card aria-label="Why" {
            p { strong { "Now: " } (why.answer) "." }
            ul { @for cause in &why.causes { li { strong { (cause.subject) } ": " (cause.text) } } }
        }
    }
}

fn orders(visitor: &Visitor, drone: &Drone) -> Markup {
    let order = |order: &str, label: &str| {
        let fields = html! { input type="hidden" name="do" value=(order); button { (label) } };
        form(visitor, &format!("/drones/{}", drone.name), &fields)
    };
    let ground = html! {
        input type="hidden" name="do" value="ground";
        label for="minutes" { "Minutes; none: until it is resumed" }
        input #minutes name="minutes" type="number" min="1" max="10080";
        button { "Ground" }
    };
    html! {
        @if drone.state == DroneState::Draining || drone.state == DroneState::Grounded {
            (order("resume", "Resume"))
        }
        @if drone.state != DroneState::Draining {
            (order("drain", "Drain: finish what it has"))
            (form(visitor, &format!("/drones/{}", drone.name), &ground))
        }
    }
}

fn of_ended(ended: &[Ended], now: DateTime<Utc>) -> Markup {
    let rows = html! {
        @for one in ended {
            tr {
                th scope="row" { a href={ "/packages/" (one.package) } { (one.cpv) } }
                td { (state(one.outcome.as_str())) @if let Some(class) = one.class { " " (class) } }
                td { (ago(now, one.ended_at)) }
                td .number { (taken(one.started_at, one.ended_at)) }
                td { (one.reason.as_deref().unwrap_or_default()) }
                td { a href={ "/attempts/" (one.attempt) "/log" } { "log" } }
            }
        }
    };
    html! {
        @if !ended.is_empty() {
            h2 { "Lately" }
            (table("Ended attempts, newest first", &["Package", "Outcome", "Ended", "Built for", "Why", "Log"], &rows))
        }
    }
}
