//! A package: where it stands and why, what it waits for, every attempt at it.

use super::error::PageError;
use super::extract::Path;
use super::page::{self, About, Room, button, form, table};
use super::visitor::Visitor;
use super::words::{ago, moment, seconds, size, state, taken};
use crate::api::Shared;
use crate::db::packages;
use crate::why;
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use swarm_protocol::admin::{Attempt, Neighbour, PackageDetail, Why};
use swarm_protocol::id::PackageId;
use swarm_protocol::state::PackageState;

/// How many neighbours are named.
const NAMED: usize = 200;

/// The page.
pub(super) async fn show(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(id): Path<PackageId>,
) -> Result<Html<String>, PageError> {
    let detail = packages::detail(&app.db, id).await?.ok_or_else(|| PageError::not_found("package"))?;
    let why = why::package(&app, id).await?;
    let title = detail.package.cpv.to_string();
    let content = html! {
        h1 { (title) }
        div #package data-live {
            (facts(&detail))
            (reasons(&why, detail.now))
            (attempts(&detail))
        }
        (acts(&visitor, &detail))
        div #neighbours data-live {
            (neighbours("Waits for", &detail.waits_for))
            (neighbours("Is awaited by", &detail.awaited_by))
        }
    };
    let topics = [format!("package:{id}")];
    Ok(page::full(&visitor, &About { title: &title, room: Room::Runs, topics: &topics }, &content))
}

fn facts(detail: &PackageDetail) -> Markup {
    let package = &detail.package;
    html! {
        dl .facts {
            dt { "State" } dd { (state(package.state.as_str())) }
            dt { "Run" }
            dd { a href={ "/runs/" (detail.run) } { (detail.run) " of " (detail.target) } " " (state(detail.run_state.as_str())) }
            dt { "Slot" } dd { (package.slot) @if package.stage > 0 { ", stage " (package.stage) } }
            dt { "Repository" } dd { (detail.repository) }
            dt { "USE" }
            dd { @if detail.use_flags.is_empty() { "none" } @for flag in &detail.use_flags { (flag) " " } }
            dt { "Estimate" }
            dd { (seconds(detail.estimate_seconds)) span .faint { ", with the longest chain behind it " (seconds(package.rank)) } }
            dt { "Priority" } dd { (package.priority) }
            @if let Some(until) = package.not_before { dt { "Not before" } dd { (moment(until)) } }
            @if let Some(drone) = &package.drone { dt { "Drone" } dd { a href={ "/drones/" (drone) } { (drone) } } }
            @if let Some(artifact) = &package.artifact {
                dt { "Artifact" }
                dd {
                    code { (artifact.path) } ", " (size(artifact.size)) ", BUILD_ID " (artifact.build_id) ", built by "
                    a href={ "/drones/" (artifact.drone) } { (artifact.drone) }
                }
                dt { "Published" } dd { code { (artifact.published) } }
            }
            @if let Some(about) = &package.about {
                @if !about.wanted_by.is_empty() { dt { "Wanted by" } dd { (about.wanted_by.join(" < ")) } }
                @if let Some(because) = &about.built_because { dt { "Built because" } dd { (because) } }
                @if !about.license.is_empty() { dt { "Licence" } dd { (about.license) } }
            }
        }
    }
}

fn reasons(why: &Why, now: DateTime<Utc>) -> Markup {
    html! {
        section .card aria-label="Why" {
            p { strong { "Why? " } (why.answer) "." }
            ul {
                @for cause in &why.causes {
                    li {
                        strong { (cause.subject) } ": " (cause.text)
                        @if let Some(until) = cause.until { span .faint { ", for " (taken(Some(now), until)) " yet" } }
                    }
                }
            }
        }
    }
}

fn acts(visitor: &Visitor, detail: &PackageDetail) -> Markup {
    let package = &detail.package;
    let path = format!("/packages/{}", package.id);
    let priority = html! {
        label for="priority" { "Priority" }
        input #priority name="priority" type="number" min="-100" max="100" value=(package.priority);
        button { "Set" }
    };
    html! {
        @match package.state {
            PackageState::Quarantined => (button(visitor, &format!("{path}/release"), "Release it: try again")),
            PackageState::Needed if package.not_before.is_some() =>
                (button(visitor, &format!("{path}/retry"), "Retry now")),
            _ => {}
        }
        @if package.state != PackageState::Received && !detail.run_state.is_over() {
            (form(visitor, &format!("{path}/priority"), &priority))
        }
    }
}

fn attempts(detail: &PackageDetail) -> Markup {
    let rows = html! { @for attempt in detail.tries.iter().rev() { (of_attempt(attempt, detail.now)) } };
    let columns = ["Attempt", "Drone", "Stands", "Claimed", "Built for", "Used", "Why", "Log"];
    html! {
        @if !detail.tries.is_empty() { h2 { "Attempts" } (table("Attempts, newest first", &columns, &rows)) }
    }
}

fn of_attempt(attempt: &Attempt, now: DateTime<Utc>) -> Markup {
    let stands = attempt.outcome.map_or(attempt.phase.as_str(), |outcome| outcome.as_str());
    html! {
        tr {
            th scope="row" { (attempt.number) }
            td { a href={ "/drones/" (attempt.drone) } { (attempt.drone) } }
            td { (state(stands)) @if let Some(class) = attempt.class { " " (class) } }
            td { (ago(now, attempt.claimed_at)) }
            td .number { (taken(attempt.started_at, attempt.ended_at.unwrap_or(now))) }
            td {
                @if let Some(usage) = &attempt.usage {
                    (seconds(usage.user_seconds + usage.system_seconds)) " of processor, "
                    (size(i64::try_from(usage.peak_memory_bytes).unwrap_or(i64::MAX))) " of memory"
                }
            }
            td {
                (attempt.reason.as_deref().unwrap_or_default())
                @if let Some(excerpt) = &attempt.excerpt {
                    details id={ "excerpt-" (attempt.id) } {
                        summary { "The log's telling lines" }
                        pre { (super::log::harmless(excerpt)) }
                    }
                }
            }
            td { a href={ "/attempts/" (attempt.id) "/log" } { "log" } }
        }
    }
}

fn neighbours(title: &str, all: &[Neighbour]) -> Markup {
    html! {
        @if !all.is_empty() {
            @let open = all.iter().filter(|one| one.state != PackageState::Received).count();
            h2 { (title) " " span .faint { (all.len()) ", " (open) " of them not received" } }
            ul {
                // What is open says more than what is done.
                @for one in all.iter().filter(|one| one.state != PackageState::Received).take(NAMED) { (of_neighbour(one)) }
            }
            @if open < all.len() {
                details id={ "received-" (title) } {
                    summary { "Received" }
                    ul {
                        @for one in all.iter().filter(|one| one.state == PackageState::Received).take(NAMED) {
                            (of_neighbour(one))
                        }
                    }
                }
            }
        }
    }
}

fn of_neighbour(one: &Neighbour) -> Markup {
    html! {
        li {
            a href={ "/packages/" (one.id) } { (one.cpv) } @if one.stage > 0 { " stage " (one.stage) }
            " " (state(one.state.as_str()))
        }
    }
}
