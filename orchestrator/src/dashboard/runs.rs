//! Runs: the newest ones, and one with its packages.

use super::error::PageError;
use super::extract::{Path, Query};
use super::live::ANYTHING;
use super::overview::{counts, pace};
use super::page::{self, About, Room, button, table};
use super::visitor::Visitor;
use super::words::{ago, or_dash, seconds, state, taken};
use crate::api::Shared;
use crate::db::listing::{self, Line, Wanted};
use crate::db::runs::Filter;
use crate::db::{self, progress};
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use swarm_protocol::admin::Run;
use swarm_protocol::id::RunId;
use swarm_protocol::state::{PackageState, RunState};

/// Runs on a page.
const RUNS: i64 = 50;

/// `?before=RUN`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    before: Option<RunId>,
}

/// The newest runs.
pub(super) async fn list(
    State(app): State<Shared>,
    visitor: Visitor,
    Query(Before { before }): Query<Before>,
) -> Result<Html<String>, PageError> {
    let runs = listing::runs(&app.db, before, RUNS).await?;
    let now = db::now(&app.db).await?;
    let rows = html! {
        @for run in &runs {
            tr {
                th scope="row" { a href={ "/runs/" (run.id) } { (run.id) } }
                td { (run.target) }
                td { (state(run.state.as_str())) }
                td { (ago(now, run.created_at)) }
                td { (taken(Some(run.created_at), run.ended_at.unwrap_or(now))) }
                td { @if let Some(number) = run.generation { "generation " (number) } }
                td { (run.reason.as_deref().unwrap_or_default()) }
            }
        }
    };
    let columns = ["Run", "Target", "State", "Began", "Took", "Became", "Why"];
    let content = html! {
        h1 { "Runs" }
        div #runs data-live {
            @if runs.is_empty() { p { "No run; " code { "swarm run start TARGET" } " begins one." } }
            @else { (table("Runs, newest first", &columns, &rows)) }
            @if let Some(last) = runs.last() && i64::try_from(runs.len()) == Ok(RUNS) {
                nav aria-label="Pages of runs" { a rel="next" href={ "/runs?before=" (last.id) } { "older →" } }
            }
        }
    };
    let topics = [ANYTHING.to_owned()];
    Ok(page::full(&visitor, &About { title: "Runs", room: Room::Runs, topics: &topics }, &content))
}

/// Packages on a page.
const PAGE: i64 = 100;

/// `?state=STATE&name=PART&page=N`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Empty where a form was sent without a choice.
    #[serde(default)]
    state: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    page: u32,
}

impl Which {
    /// A word that is none is no filter.
    fn state(&self) -> Option<PackageState> {
        PackageState::ALL.iter().copied().find(|state| state.as_str() == self.state)
    }

    /// The same with another page.
    fn path(&self, run: RunId, page: u32) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", &self.state).append_pair("name", &self.name);
        format!("/runs/{run}?{}#packages", query.append_pair("page", &page.to_string()).finish())
    }
}

/// One run.
pub(super) async fn show(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(id): Path<RunId>,
    Query(which): Query<Which>,
) -> Result<Html<String>, PageError> {
    let run = find(&app, id).await?;
    let progress = progress::of_run(&app.db, id).await?;
    let now = db::now(&app.db).await?;
    let wanted = Wanted {
        state: which.state(),
        name: (!which.name.is_empty()).then_some(which.name.as_str()),
        offset: i64::from(which.page) * PAGE,
        // One more says whether there is another page.
        most: PAGE + 1,
    };
    let mut lines = listing::packages(&app.db, id, wanted).await?;
    let more = i64::try_from(lines.len()).is_ok_and(|found| found > PAGE);
    lines.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let title = format!("Run {id} of {}", run.target);
    let content = html! {
        h1 { (title) }
        div #run data-live {
            (facts(&run, now))
            @if run.counts.total > 0 { (counts(&run.counts)) (pace(&run.counts, &progress, run.state)) }
            (findings(&run))
        }
        p {
            a href={ "/runs/" (id) "/timeline" } { "Timeline" } " · "
            a href={ "/events?run=" (id) } { "Events" } " · "
            a href={ "/targets/" (run.target) "/generations" } { "Generations of " (run.target) }
        }
        @if run.state == RunState::Frozen { (button(&visitor, &format!("/runs/{id}/thaw"), "Let it go on")) }
        @if !run.state.is_over() { (button(&visitor, &format!("/runs/{id}/cancel"), "Cancel the run")) }
        h2 #packages { "Packages" }
        (filter(id, &which))
        div #lines data-live { (of_lines(&lines)) (turn(id, &which, more)) }
    };
    let topics = [format!("run:{id}")];
    Ok(page::full(&visitor, &About { title: &title, room: Room::Runs, topics: &topics }, &content))
}

/// A run as the API shows it.
pub(super) async fn find(app: &Shared, id: RunId) -> Result<Run, PageError> {
    let filter = Filter { run: Some(id), ..Filter::default() };
    db::runs::list(&app.db, &filter).await?.pop().ok_or_else(|| PageError::not_found("run"))
}

fn facts(run: &Run, now: DateTime<Utc>) -> Markup {
    html! {
        dl .facts {
            dt { "State" }
            dd { (state(run.state.as_str())) @if let Some(reason) = &run.reason { ": " (reason) } }
            dt { "Began" } dd { (ago(now, run.created_at)) }
            dt { "Took" } dd { (taken(Some(run.created_at), run.ended_at.unwrap_or(now))) }
            @if let Some(number) = run.generation { dt { "Became" } dd { "generation " (number) } }
            @if let Some(number) = run.definition { dt { "Definition" } dd { (number) } }
            @if let Some(epoch) = &run.epoch { dt { "Epoch" } dd { code { (epoch) } } }
            @if let Some(mends) = run.mends { dt { "Mends" } dd { a href={ "/runs/" (mends) } { "run " (mends) } } }
            @if !run.without.is_empty() {
                dt { "Without" } dd { @for cpv in &run.without { (cpv) " " } "(older versions stay)" }
            }
            @if let Some(resolver) = &run.resolver {
                dt { "Resolver" } dd { (resolver.drone) ", since " (ago(now, resolver.since)) }
            }
        }
    }
}

fn findings(run: &Run) -> Markup {
    html! {
        @if !run.findings.is_empty() {
            h2 { "What Portage or the binhost found" }
            ul {
                @for finding in &run.findings {
                    li {
                        @if let Some(atom) = &finding.atom { code { (atom) } ": " }
                        (finding.detail)
                        @if !finding.wanted_by.is_empty() { span .faint { " wanted by " (finding.wanted_by.join(" < ")) } }
                    }
                }
            }
        }
    }
}

fn filter(run: RunId, which: &Which) -> Markup {
    html! {
        form method="get" action={ "/runs/" (run) "#packages" } role="search" {
            label for="state" { "State" }
            select #state name="state" {
                option value="" { "all" }
                @for state in PackageState::ALL {
                    option value=(state) selected[which.state() == Some(*state)] { (state) }
                }
            }
            label for="name" { "Name" }
            input #name name="name" value=(which.name) maxlength="100" size="16";
            button { "Show" }
        }
    }
}

fn of_lines(lines: &[Line]) -> Markup {
    let rows = html! {
        @for line in lines {
            tr {
                th scope="row" {
                    a href={ "/packages/" (line.id) } { (line.cpv) }
                    @if line.stage > 0 { span .faint { " stage " (line.stage) } }
                }
                td { (state(line.state.as_str())) }
                td { (or_dash(line.drone.as_ref())) }
                td .number { (line.unmet) }
                td .number { (line.attempts) }
                td .number { (seconds(line.estimate_seconds)) }
                td .number { (line.priority) }
                td { (line.reason.as_deref().unwrap_or_default()) }
            }
        }
    };
    let columns = ["Package", "State", "Drone", "Waits for", "Attempts", "Estimate", "Priority", "Why"];
    html! {
        @if lines.is_empty() { p .faint { "No package is like that." } }
        @else { (table("Packages, most urgent first", &columns, &rows)) }
    }
}

fn turn(run: RunId, which: &Which, more: bool) -> Markup {
    html! {
        nav aria-label="Pages of packages" {
            @if which.page > 0 { a rel="prev" href=(which.path(run, which.page - 1)) { "← more urgent" } }
            @if more { a rel="next" href=(which.path(run, which.page.saturating_add(1))) { "less urgent →" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_turning_the_page() {
        let which = Which { state: "needed".to_owned(), name: "a&b #".to_owned(), page: 0 };
        assert_eq!(which.path(RunId(7), 3), "/runs/7?state=needed&name=a%26b+%23&page=3#packages");
        assert_eq!(which.state(), Some(PackageState::Needed));
        assert_eq!(Which { state: "odd".to_owned(), ..which }.state(), None);
    }
}
