//! Health: what works less well, and whether the nightly updates come.

use super::error::PageError;
use super::live::{ANYTHING, PULSE};
use super::overview::alarms;
use super::page::{self, About, Room, table};
use super::visitor::Visitor;
use super::words::{ago, moment, or_dash, span, state, taken};
use crate::api::{Shared, health};
use crate::db::{self, nightlies, targets};
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use swarm_protocol::admin::{Nightlies, Nightly};
use swarm_protocol::gentoo::TargetName;

/// The page.
pub(super) async fn show(State(app): State<Shared>, visitor: Visitor) -> Result<Html<String>, PageError> {
    let degraded = health::degraded(&app).await?;
    let now = db::now(&app.db).await?;
    let mut all = Vec::new();
    for target in targets::list(&app.db, None).await? {
        let Some(id) = targets::id(&app.db, &target.name).await? else { continue };
        let due_at = nightlies::due(&app.db, id).await?;
        all.push((target.name, Nightlies { due_at, nightlies: nightlies::list(&app.db, id).await? }));
    }
    let content = html! {
        h1 { "Health" }
        div #health data-live {
            (alarms(&degraded))
            @for (target, nightlies) in &all { (of_target(target, nightlies, now)) }
        }
    };
    let topics = [ANYTHING, PULSE].map(str::to_owned);
    Ok(page::full(&visitor, &About { title: "Health", room: Room::Health, topics: &topics }, &content))
}

fn of_target(target: &TargetName, all: &Nightlies, now: DateTime<Utc>) -> Markup {
    let rows = html! { @for one in &all.nightlies { (of_nightly(one, now)) } };
    html! {
        h2 { "Nightly updates of " (target) }
        p {
            @match all.due_at {
                Some(at) if at < now => { strong { "The next one is missing." } " It was due at " (moment(at)) " UTC." }
                Some(at) => { "The next one has to begin by " (moment(at)) " UTC." }
                None => { "None is expected." }
            }
        }
        @if !all.nightlies.is_empty() {
            (table("Newest first", &["Began", "Where", "Result", "Took", "Run", "Every", "Why"], &rows))
        }
    }
}

fn of_nightly(one: &Nightly, now: DateTime<Utc>) -> Markup {
    html! {
        tr {
            th scope="row" { (ago(now, one.started_at)) }
            td { (one.host) }
            td { @match one.result { Some(result) => (state(result.as_str())), None => "on its way" } }
            td .number { (taken(Some(one.started_at), one.ended_at.unwrap_or(now))) }
            td { @match one.run { Some(run) => a href={ "/runs/" (run) } { (run) }, None => (or_dash::<String>(None)) } }
            td { (span(i64::from(one.period_seconds))) }
            td { (one.reason.as_deref().unwrap_or_default()) }
        }
    }
}
