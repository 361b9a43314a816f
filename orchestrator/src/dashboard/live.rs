//! Live updates: which pages have become old, told to all viewers from one reading of the event log.
//!
//! While somebody looks, one task reads the events once a second and names what they are about: `run:3`, `drone:ant`. Each
//! viewer gets the same few bytes by server-sent events, and fetches its page anew if it shows one of these. The message
//! says over which time all viewers spread their fetches, and how long each rests afterwards: the longer the more there
//! are, so that together they fetch [`FETCHES_A_SECOND`] pages. And [`Feed::turn`] lets a few be made at a time, so that
//! claims and reports always find a connection to Postgres. So no number of open dashboards can hurt the queue.
//!
//! A page knows the version of the feed that it was made at, and a message carries the newest. Whoever comes (back) with
//! another one, after a day or after a restart, gets one message "everything", and no flood.

use super::error::PageError;
use super::extract::Query;
use super::visitor::Visitor;
use crate::api::Shared;
use crate::app::App;
use crate::db::events::{self, Cursor};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm_protocol::admin;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

/// Streams at a time. Whoever comes later sees pages that do not renew themselves.
const SEATS: usize = 1000;
/// Streams that follow logs, of which each asks for itself.
const FOLLOWERS: usize = 100;
/// Pages that are made at a time. Each takes four connections at most, of the sixteen that the pool has by default; one is
/// done in milliseconds.
const PAGES: usize = 3;
/// Between two readings.
const TURN: Duration = Duration::from_secs(1);
/// After how many turns heartbeats are taken to have changed something: they are no events.
const PULSE_TURNS: u32 = 30;
/// How many pages all viewers fetch in a second.
const FETCHES_A_SECOND: u64 = 10;
/// After that a viewer has to show again who it is: its token may have been revoked.
const LONGEST: Duration = Duration::from_hours(1);
/// More is everything.
const MOST_TOPICS: usize = 200;
/// How many messages a viewer may be behind.
const BEHIND: usize = 16;

/// What proxies must do with a stream: pass on what comes, when it comes.
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");
/// Well below the idle time after which proxies cut connections.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Everything may have changed.
const EVERYTHING: &str = "*";
/// Something has.
pub(super) const ANYTHING: &str = "any";
/// Loads, free memory and the like have.
pub(super) const PULSE: &str = "pulse";

/// The one subscription.
pub struct Feed {
    /// Versions of several processes, or of two lives of one, do not compare.
    life: Uuid,
    version: AtomicU64,
    changes: broadcast::Sender<Arc<[String]>>,
    arrived: Notify,
    seats: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            life: Uuid::new_v4(),
            version: AtomicU64::new(0),
            changes: broadcast::Sender::new(BEHIND),
            arrived: Notify::new(),
            seats: Arc::new(Semaphore::new(SEATS)),
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
            turns: Arc::new(Semaphore::new(PAGES)),
        }
    }
}

impl Feed {
    /// The newest version.
    pub(super) fn version(&self) -> String {
        format!("{}.{}", self.life.simple(), self.version.load(Ordering::Acquire))
    }

    /// Waits until a page may be made.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.turns.clone().acquire_owned().await.ok()
    }

    /// A place among those who follow logs, if there is one left.
    pub(super) fn follower(&self) -> Result<OwnedSemaphorePermit, PageError> {
        seat(&self.followers)
    }

    fn publish(&self, topics: BTreeSet<String>) {
        self.version.fetch_add(1, Ordering::AcqRel);
        let everything = topics.len() > MOST_TOPICS;
        let topics = if everything { [EVERYTHING.to_owned()].into() } else { topics };
        // Without a receiver nobody misses it: the next page is newer.
        let _ = self.changes.send(topics.into_iter().collect());
    }

    async fn until_somebody_looks(&self) -> bool {
        let slept = self.changes.receiver_count() == 0;
        while self.changes.receiver_count() == 0 {
            self.arrived.notified().await;
        }
        slept
    }

    /// Over which time all viewers fetch what one message says: one alone does so at once.
    fn spread_ms(&self) -> u64 {
        let others = self.changes.receiver_count().saturating_sub(1) as u64;
        others * 1000 / FETCHES_A_SECOND
    }
}

fn seat(seats: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, PageError> {
    seats.clone().try_acquire_owned().map_err(|_| {
        let text = "As many browsers are looking as may. This page does not renew itself.";
        PageError::new(StatusCode::SERVICE_UNAVAILABLE, "Too many viewers", text)
    })
}

/// Reads for all viewers until the process stops; while there are none, nothing.
pub async fn run(app: &App) {
    let mut cursor = None;
    let mut said = false;
    for turn in 1_u32.. {
        tokio::select! {
            () = app.stop.cancelled() => return,
            slept = app.feed.until_somebody_looks() => if slept { cursor = None },
        }
        match news(app, &mut cursor).await {
            Ok(mut topics) => {
                said = false;
                if turn.is_multiple_of(PULSE_TURNS) {
                    topics.insert(PULSE.to_owned());
                }
                if !topics.is_empty() {
                    app.feed.publish(topics);
                }
            }
            Err(error) if !std::mem::replace(&mut said, true) => {
                warn!(%error, "the dashboard cannot read events; it goes on trying");
            }
            Err(_) => {}
        }
        if !app.pause(TURN).await {
            return;
        }
    }
}

/// What happened after the cursor. After a sleep, or where it is too much to name, everything.
async fn news(app: &App, cursor: &mut Option<Cursor>) -> sqlx::Result<BTreeSet<String>> {
    if let Some(before) = cursor {
        let page = events::since(&app.db, before, None).await?;
        if !page.more {
            *cursor = page.cursor.parse().ok();
            return Ok(topics(&page.events));
        }
    }
    *cursor = Some(events::end(&app.db).await?);
    Ok([EVERYTHING.to_owned()].into())
}

/// What the events are about.
fn topics(events: &[admin::Event]) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    for event in events {
        topics.insert(ANYTHING.to_owned());
        topics.extend(event.kind.split('.').next().map(str::to_owned));
        topics.extend(event.run.map(|run| format!("run:{run}")));
        topics.extend(event.package.map(|package| format!("package:{package}")));
        topics.extend(event.drone_name.as_ref().map(|name| format!("drone:{name}")));
    }
    topics
}

/// `?version=VERSION`: what the page was made at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    version: String,
}

/// The stream of one viewer.
pub(super) async fn stream(
    State(app): State<Shared>,
    _: Visitor,
    Query(Seen { version }): Query<Seen>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let seat = seat(&app.feed.seats)?;
    let changes = app.feed.changes.subscribe();
    app.feed.arrived.notify_one();
    // A browser that reconnects by itself says what it got last, not what its page was made at.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or(&version);
    let missed = last != app.feed.version();
    let viewer = Viewer { app, changes, missed, until: Instant::now() + LONGEST, _seat: seat };
    let events = futures::stream::unfold(viewer, async |mut viewer| {
        let event = viewer.next().await?;
        Some((Ok(event), viewer))
    });
    Ok(respond(events))
}

/// An answer that goes on.
pub(super) fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    ([UNBUFFERED], Sse::new(events).keep_alive(alive)).into_response()
}

struct Viewer {
    app: Shared,
    changes: broadcast::Receiver<Arc<[String]>>,
    missed: bool,
    until: Instant,
    _seat: OwnedSemaphorePermit,
}

impl Viewer {
    /// The next message; none ends the stream, and the browser comes again.
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.missed) {
            return Some(self.message(&[EVERYTHING.to_owned()]));
        }
        tokio::select! {
            () = self.app.stop.cancelled() => None,
            () = tokio::time::sleep_until(self.until) => None,
            change = self.changes.recv() => match change {
                Ok(topics) => Some(self.message(&topics)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(self.message(&[EVERYTHING.to_owned()])),
                Err(broadcast::error::RecvError::Closed) => None,
            },
        }
    }

    fn message(&self, topics: &[String]) -> Event {
        let data = json!({ "topics": topics, "spread_ms": self.app.feed.spread_ms() });
        Event::default().event("changed").id(self.app.feed.version()).data(data.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_named_is_everything() {
        let feed = Feed::default();
        let mut viewer = feed.changes.subscribe();
        let before = feed.version();
        feed.publish((0..=MOST_TOPICS).map(|number| format!("run:{number}")).collect());
        assert_eq!(*viewer.try_recv().unwrap(), [EVERYTHING.to_owned()]);
        assert_ne!(feed.version(), before);
        feed.publish(["run:1".to_owned()].into());
        assert_eq!(*viewer.try_recv().unwrap(), ["run:1".to_owned()]);
    }

    #[test]
    fn many_viewers_take_turns() {
        let feed = Feed::default();
        let mut viewers = vec![feed.changes.subscribe()];
        assert_eq!(feed.spread_ms(), 0, "who is alone looks at once");
        viewers.extend((0..500).map(|_| feed.changes.subscribe()));
        assert_eq!(feed.spread_ms(), 50_000, "{} viewers fetch 10 pages a second", viewers.len());
    }

    #[test]
    fn versions_of_two_lives_differ() {
        assert_ne!(Feed::default().version(), Feed::default().version());
    }
}
