//! Generations: what clients see and saw, how they differ, and the way back.

use super::error::PageError;
use super::extract::{Path, Query};
use super::page::{self, About, Room, form, table};
use super::visitor::Visitor;
use super::words::{ago, or_dash, state};
use crate::api::auth::Viewer;
use crate::api::{Shared, extract, generations};
use crate::db::{self, status};
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use swarm_protocol::admin::Generation;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::kept::{Between, Change, Diff, Instance};
use swarm_protocol::state::GenerationState;

const TOPICS: [&str; 2] = ["generation", "run"];

/// The targets, each with what its clients see.
pub(super) async fn targets(State(app): State<Shared>, visitor: Visitor) -> Result<Html<String>, PageError> {
    let status = status::read(&app.db, None, vec![]).await?;
    let rows = html! {
        @for target in &status.targets {
            tr {
                th scope="row" { a href={ "/targets/" (target.name) "/generations" } { (target.name) } }
                td .number { (or_dash(target.current)) }
                td { @if let Some(at) = target.promoted_at { (ago(status.now, at)) } }
                td .number { (target.world) }
            }
        }
    };
    let content = html! {
        h1 { "Generations" }
        div #targets data-live {
            (table("Targets", &["Target", "Current generation", "Since", "Atoms and sets in its world"], &rows))
        }
    };
    let topics = TOPICS.map(str::to_owned);
    Ok(page::full(
        &visitor,
        &About { title: "Generations", room: Room::Generations, topics: &topics },
        &content,
    ))
}

/// The generations of a target.
pub(super) async fn list(
    State(app): State<Shared>,
    mut visitor: Visitor,
    Path(target): Path<TargetName>,
) -> Result<Html<String>, PageError> {
    let now = db::now(&app.db).await?;
    visitor.waits();
    let all = generations::list(State(app), Viewer, extract::Path(target.clone())).await?.0;
    let title = format!("Generations of {target}");
    let content = html! {
        h1 { (title) }
        p {
            "A rollback publishes the set of an earlier generation as a new one: workstations take it like any other. "
            "What it would change is under " em { "against the current" } "."
        }
        div #generations data-live { (of_all(&visitor, &target, &all, now)) }
    };
    let topics = TOPICS.map(str::to_owned);
    Ok(page::full(&visitor, &About { title: &title, room: Room::Generations, topics: &topics }, &content))
}

fn of_all(visitor: &Visitor, target: &TargetName, all: &[Generation], now: DateTime<Utc>) -> Markup {
    let current = all.iter().find(|one| one.state == GenerationState::Current).map(|one| one.number);
    let rows = html! {
        @for one in all {
            tr {
                th scope="row" { (one.number) }
                td { (state(one.state.as_str())) @if one.pinned == Some(true) { " pinned" } }
                td { @if let Some(at) = one.promoted_at { (ago(now, at)) } }
                td .number { (one.packages) }
                td {
                    @if let Some(run) = one.run { a href={ "/runs/" (run) } { "run " (run) } }
                    @if let Some(of) = one.republishes { "rollback to " (of) }
                    @if one.run.is_none() && one.republishes.is_none() { "a lost database" }
                    @if let Some(reason) = &one.reason { " " (reason) }
                }
                td {
                    a href={ "/targets/" (target) "/diff?to=" (one.number) } { "what changed" }
                    @if let Some(current) = current && current != one.number && one.removed_at.is_none() {
                        " · "
                        a href={ "/targets/" (target) "/diff?from=" (current) "&to=" (one.number) } { "against the current" }
                    }
                }
                td { (rollback(visitor, target, one)) }
            }
        }
    };
    let columns = ["Generation", "State", "Since", "Packages", "From", "Differences", "Rollback"];
    html! {
        @if all.is_empty() { p { "None yet: a run becomes the first." } }
        @else { (table("Generations, newest first", &columns, &rows)) }
    }
}

/// Only what clients have seen, and what is still kept, can come back.
fn rollback(visitor: &Visitor, target: &TargetName, one: &Generation) -> Markup {
    let label = format!("Roll back to {}", one.number);
    let fields = html! {
        input type="hidden" name="of" value=(one.number);
        label { input type="checkbox" name="force" value="yes"; "even if withdrawn or older libc" }
        button { (label) }
    };
    html! {
        @match one.removed_at {
            Some(_) => span .faint { "removed" },
            None if one.state == GenerationState::Retired => (form(visitor, &format!("/targets/{target}/generations"), &fields)),
            None => {}
        }
    }
}

/// How two generations differ.
pub(super) async fn diff(
    State(app): State<Shared>,
    mut visitor: Visitor,
    Path(target): Path<TargetName>,
    Query(between): Query<Between>,
) -> Result<Html<String>, PageError> {
    visitor.waits();
    let diff = generations::diff(State(app), Viewer, extract::Path(target.clone()), extract::Query(between))
        .await?
        .0;
    let title = match diff.from {
        Some(from) => format!("From generation {from} to {} of {target}", diff.to),
        None => format!("Generation {} of {target}, the first", diff.to),
    };
    let content = html! {
        h1 { (title) }
        (of_diff(&diff))
        p { a href={ "/targets/" (target) "/generations" } { "Generations of " (target) } }
    };
    Ok(page::full(&visitor, &About { title: &title, room: Room::Generations, topics: &[] }, &content))
}

fn of_diff(diff: &Diff) -> Markup {
    let rows = html! { @for change in &diff.changes { (of_change(change)) } };
    html! {
        @if diff.changes.is_empty() { p { "Nothing changes." } }
        @else { (table("What a workstation gets", &["Package", "Slot", "Change", "From", "To"], &rows)) }
    }
}

fn of_change(change: &Change) -> Markup {
    let version = |instance: &Option<Instance>| {
        or_dash(instance.as_ref().map(|one| format!("{} (build {})", one.cpv.version(), one.build_id)))
    };
    html! {
        tr {
            th scope="row" { (change.package) }
            td { (change.slot) }
            td { (change.kind) }
            td { (version(&change.from)) }
            td { (version(&change.to)) }
        }
    }
}
