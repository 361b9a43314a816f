//! Who built what when: drones as rows, builds as bars, what is left open is idle time. Drawn here, as a picture that needs no
//! script, with the same in words below it.

use super::error::PageError;
use super::extract::{Path, Query};
use super::page::{self, About, Room, table};
use super::runs;
use super::visitor::Visitor;
use super::words::{moment, percent, span, state, taken};
use crate::api::Shared;
use crate::db;
use crate::db::timeline::{self, Built};
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use swarm_protocol::id::{PackageId, RunId};
use swarm_protocol::state::Outcome;

/// Builds on a page of the table.
const PAGE: usize = 200;
/// The picture's units: the width of the time, and where it begins, behind the drones' names.
const WIDTH: i64 = 1000;
const LEFT: i64 = 140;
/// The height of a row.
const ROW: usize = 24;
/// Bars that are narrower become one where they touch and are alike: the picture cannot show more, and the page stays small.
const NARROW: i64 = 2;

/// `?page=N`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    page: usize,
}

/// The page.
pub(super) async fn show(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(id): Path<RunId>,
    Query(Which { page }): Query<Which>,
) -> Result<Html<String>, PageError> {
    let run = runs::find(&app, id).await?;
    let builds = timeline::builds(&app.db, id).await?;
    let critical = timeline::critical(&app.db, id).await?;
    let now = db::now(&app.db).await?;
    let title = format!("Timeline of run {id} of {}", run.target);
    let content = html! {
        h1 { "Timeline of " a href={ "/runs/" (id) } { "run " (id) } " of " (run.target) }
        div #timeline data-live {
            @match Chart::of(&builds, &critical, now) {
                None => p { "Nothing has been built yet." },
                Some(chart) => {
                    (picture(&chart))
                    (lanes(&chart))
                    (rows(&builds, &critical, now, page))
                    nav aria-label="Pages of builds" {
                        @if page > 0 { a rel="prev" href={ "?page=" (page - 1) } { "← later" } " " }
                        @if builds.len() > PAGE.saturating_mul(page.saturating_add(1)) {
                            a rel="next" href={ "?page=" (page + 1) } { "earlier →" }
                        }
                    }
                }
            }
        }
    };
    let topics = [format!("run:{id}")];
    Ok(page::full(&visitor, &About { title: &title, room: Room::Runs, topics: &topics }, &content))
}

/// What is drawn.
struct Chart {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    lanes: BTreeMap<String, Lane>,
}

#[derive(Default)]
struct Lane {
    builds: usize,
    busy_seconds: i64,
    bars: Vec<Bar>,
}

#[derive(Debug, PartialEq, Eq)]
struct Bar {
    x: i64,
    width: i64,
    kind: &'static str,
    critical: bool,
    /// How many builds it stands for; the name of the first.
    builds: usize,
    name: String,
}

impl Chart {
    /// Of builds in the order of their beginnings; none of none.
    fn of(builds: &[Built], critical: &HashSet<PackageId>, now: DateTime<Utc>) -> Option<Self> {
        let from = builds.first()?.started_at;
        let to = builds.iter().map(|built| built.ended_at.unwrap_or(now)).max()?.max(from);
        let mut chart = Self { from, to, lanes: BTreeMap::new() };
        for built in builds {
            let (began, ended) = (chart.x(built.started_at), chart.x(built.ended_at.unwrap_or(now)));
            let bar = Bar {
                x: began,
                width: (ended - began).max(1),
                kind: kind(built.outcome),
                critical: critical.contains(&built.package) && built.outcome != Some(Outcome::Failed),
                builds: 1,
                name: built.cpv.to_string(),
            };
            let lane = chart.lanes.entry(built.drone.clone()).or_default();
            lane.builds += 1;
            lane.busy_seconds += (built.ended_at.unwrap_or(now) - built.started_at).num_seconds();
            lane.add(bar);
        }
        Some(chart)
    }

    fn x(&self, at: DateTime<Utc>) -> i64 {
        let whole = (self.to - self.from).num_milliseconds().max(1);
        LEFT + (at - self.from).num_milliseconds() * WIDTH / whole
    }
}

impl Lane {
    fn add(&mut self, bar: Bar) {
        match self.bars.last_mut() {
            Some(last)
                if bar.width < NARROW
                    && bar.x <= last.x + last.width
                    && (last.kind, last.critical) == (bar.kind, bar.critical) =>
            {
                last.width = last.width.max(bar.x + bar.width - last.x);
                last.builds += 1;
            }
            _ => self.bars.push(bar),
        }
    }
}

/// How a bar looks: that of a failure otherwise than that of what was taken from its drone.
fn kind(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        None => "building",
        Some(Outcome::Received) => "received",
        Some(Outcome::Failed) => "failed",
        Some(_) => "lost",
    }
}

fn picture(chart: &Chart) -> Markup {
    let height = ROW * (chart.lanes.len() + 1);
    let seconds = (chart.to - chart.from).num_seconds();
    html! {
        div .scroll tabindex="0" role="region" aria-label="The picture" {
            svg .timeline viewBox={ "0 0 " (LEFT + WIDTH) " " (height) } role="img"
                aria-label={ (chart.lanes.len()) " drones over " (span(seconds)) "; the tables below say the same" } {
                @for (row, (drone, lane)) in chart.lanes.iter().enumerate() {
                    text x="4" y=(ROW * row + 17) textLength=[too_long(drone)] lengthAdjust="spacingAndGlyphs" { (drone) }
                    rect .lane x=(LEFT) y=(ROW * row + 2) width=(WIDTH) height=(ROW - 4) {}
                    @for bar in &lane.bars { (of_bar(bar, row)) }
                }
                @for quarter in 0..=4 {
                    text x=(LEFT + WIDTH * quarter / 4) y=(height - 6)
                        text-anchor=(if quarter == 4 { "end" } else { "start" }) { (span(seconds * quarter / 4)) }
                }
            }
        }
        p .faint {
            "Green was received, red failed, yellow was taken back, blue is being built; what is outlined is the critical \
             path: each of these waited for the one before. Grey is idle time."
        }
    }
}

/// A name that would run into its row is squeezed.
fn too_long(name: &str) -> Option<i64> {
    (name.len() > 20).then_some(LEFT - 8)
}

fn of_bar(bar: &Bar, row: usize) -> Markup {
    let class = if bar.critical { format!("bar {} critical", bar.kind) } else { format!("bar {}", bar.kind) };
    html! {
        rect class=(class) x=(bar.x) y=(ROW * row + 4) width=(bar.width) height=(ROW - 8) {
            title { (bar.name) @if bar.builds > 1 { " and " (bar.builds - 1) " more" } }
        }
    }
}

fn lanes(chart: &Chart) -> Markup {
    let whole = (chart.to - chart.from).num_seconds();
    let rows = html! {
        @for (drone, lane) in &chart.lanes {
            tr {
                th scope="row" { a href={ "/drones/" (drone) } { (drone) } }
                td .number { (lane.builds) }
                td .number { (span(lane.busy_seconds)) }
                td .number { (percent(lane.busy_seconds.min(whole), whole)) }
                td .number { (span(whole - lane.busy_seconds)) }
            }
        }
    };
    table("Drones, since the first build", &["Drone", "Builds", "Busy", "Busy share", "Idle"], &rows)
}

fn rows(builds: &[Built], critical: &HashSet<PackageId>, now: DateTime<Utc>, page: usize) -> Markup {
    let rows = html! {
        @for built in builds.iter().rev().skip(PAGE.saturating_mul(page)).take(PAGE) {
            tr {
                th scope="row" { a href={ "/packages/" (built.package) } { (built.cpv) } }
                td { (built.drone) }
                td { (state(built.outcome.map_or("building", |outcome| outcome.as_str()))) }
                td { (moment(built.started_at)) }
                td .number { (taken(Some(built.started_at), built.ended_at.unwrap_or(now))) }
                td { @if critical.contains(&built.package) { "critical" } }
                td { a href={ "/attempts/" (built.attempt) "/log" } { "log" } }
            }
        }
    };
    let columns = ["Package", "Drone", "Outcome", "Began (UTC)", "Built for", "Path", "Log"];
    table("Builds, latest first", &columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use swarm_protocol::id::AttemptId;

    fn built(package: i64, drone: &str, began: i64, ended: i64) -> Built {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        Built {
            attempt: AttemptId(package),
            package: PackageId(package),
            cpv: format!("a/p{package}x-1").parse().unwrap(),
            drone: drone.to_owned(),
            started_at: at(began),
            ended_at: Some(at(ended)),
            outcome: Some(Outcome::Received),
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(5000)
    }

    #[test]
    fn bars_lie_where_their_time_lies() {
        let builds = [built(1, "ant", 0, 500), built(2, "bee", 250, 1000)];
        let chart = Chart::of(&builds, &[PackageId(2)].into(), now()).unwrap();
        let bar = &chart.lanes["bee"].bars[0];
        assert_eq!((bar.x, bar.width, bar.critical), (LEFT + WIDTH / 4, WIDTH * 3 / 4, true));
        assert!(!chart.lanes["ant"].bars[0].critical);
        assert_eq!(chart.lanes["ant"].busy_seconds, 500);
        assert!(Chart::of(&[], &HashSet::new(), now()).is_none());
    }

    #[test]
    fn thousands_of_short_builds_are_few_bars() {
        let builds: Vec<_> =
            (0..5000).map(|number| built(number, "ant", number * 2, number * 2 + 1)).collect();
        let chart = Chart::of(&builds, &HashSet::new(), now()).unwrap();
        let lane = &chart.lanes["ant"];
        assert_eq!(lane.builds, 5000);
        assert_eq!(lane.bars.iter().map(|bar| bar.builds).sum::<usize>(), 5000);
        assert!(lane.bars.len() < 500, "{}", lane.bars.len());
    }

    #[test]
    fn what_is_being_built_ends_now() {
        let live = Built { ended_at: None, outcome: None, ..built(1, "ant", 0, 0) };
        let chart = Chart::of(&[live], &HashSet::new(), now()).unwrap();
        assert_eq!((chart.lanes["ant"].bars[0].width, chart.lanes["ant"].bars[0].kind), (WIDTH, "building"));
    }
}
