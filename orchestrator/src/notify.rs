//! Notifications: people are told what happened, at the destinations that the configuration names.
//!
//! The source is the event log, in which alarms are events as well, so nothing is lost by a dead orchestrator. Only the
//! orchestrator that leads the maintenance sends. For each destination Postgres holds up to where it has been told:
//!
//! 1. what is new is chosen, and how far it goes is written down;
//! 2. it is sent, as one message whose id follows from that;
//! 3. it is written down that it has arrived.
//!
//! A `kill -9` between 2 and 3 sends the same message once more, under the same id. What fails is tried again after a pause
//! that doubles, until all that it would say is older than [`AGE`]; then it is given up, and the next message says how
//! much was. A destination that fails is an alarm at `/readyz`, and disturbs nobody else.

pub(crate) mod http;
mod mail;
mod message;
pub(crate) mod ntfy;
mod program;
pub mod webhook;

use crate::app::App;
use crate::config;
use crate::db::destinations::{self, Filter, Standing};
use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use http::Http;
use message::{Message, SHOWN};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{error, info, warn};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// How long sending may take.
const LIMIT: Duration = Duration::from_secs(30);
/// What is older is not told any more. With the pauses, it bounds the tries to 32.
const AGE: TimeDelta = TimeDelta::days(1);
/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(10);
/// The longest pause.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// After so many transactions without a word for a destination, its place is written down, so that the next leader need not
/// read them again.
const FAR: u64 = 100_000;

/// Why a message did not arrive, in words that hold no secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SendError(String);

/// All destinations of the configuration.
#[derive(Default)]
pub struct Notifier(Vec<Destination>);

/// One of them.
struct Destination {
    name: String,
    filter: Filter,
    interval: TimeDelta,
    way: Way,
}

enum Way {
    Webhook(Box<webhook::Webhook>),
    Ntfy(Box<ntfy::Ntfy>),
    Mail(config::Mail),
    Command(Vec<String>),
}

impl Notifier {
    /// The destinations of a configuration.
    pub fn new(all: &[config::Notify]) -> Result<Self> {
        let destination =
            |one: &config::Notify| Destination::new(one).with_context(|| format!("notify {}", one.name));
        Ok(Self(all.iter().map(destination).collect::<Result<_>>()?))
    }

    /// What they are called.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|destination| destination.name.clone()).collect()
    }

    /// Sends a test message to all destinations, or to the one that is named; says what came of each.
    pub async fn test(&self, name: Option<&str>, now: DateTime<Utc>) -> Vec<(String, Result<(), SendError>)> {
        let wanted = self.0.iter().filter(|destination| name.is_none_or(|name| destination.name == name));
        let tests = wanted.map(|destination| async move {
            let outcome = destination.send(&Message::test(&destination.name, now)).await;
            (destination.name.clone(), outcome)
        });
        futures::future::join_all(tests).await
    }
}

/// Tells every destination until the process stops. None waits for another.
pub async fn run(app: &App) {
    futures::future::join_all(app.notify.0.iter().map(|destination| destination.serve(app))).await;
    app.stop.cancelled().await;
}

impl Destination {
    fn new(config: &config::Notify) -> Result<Self> {
        let way = if let Some(webhook) = &config.webhook {
            Way::Webhook(Box::new(webhook::Webhook::new(Http::new()?, webhook)?))
        } else if let Some(ntfy) = &config.ntfy {
            Way::Ntfy(Box::new(ntfy::Ntfy::new(Http::new()?, ntfy)?))
        } else if let Some(mail) = &config.mail {
            Way::Mail(mail.clone())
        } else {
            Way::Command(config.command.clone().context("it leads nowhere")?)
        };
        let alarms = config.alarms.as_ref();
        Ok(Self {
            name: config.name.clone(),
            filter: Filter {
                kinds: config.events.clone(),
                alarms: alarms.map(|kinds| kinds.iter().map(|kind| kind.as_str().to_owned()).collect()),
                age: AGE,
            },
            interval: TimeDelta::seconds(config.interval_seconds.into()),
            way,
        })
    }

    async fn serve(&self, app: &App) {
        // Up to here nothing is new; lost with the process, which then reads once more.
        let mut seen = 0;
        while app.pause(LOOK).await {
            if !app.leads() {
                continue;
            }
            tokio::select! {
                () = app.stop.cancelled() => return,
                told = self.tell_once(app, &mut seen) => if let Err(error) = told {
                    error!(%error, destination = self.name, "what a destination was told cannot be read");
                }
            }
        }
    }

    /// Tells what is new, if it is time.
    async fn tell_once(&self, app: &App, seen: &mut u64) -> sqlx::Result<()> {
        let db = &app.db;
        let mut standing = destinations::standing(db, &self.name).await?;
        if standing.told > standing.end {
            warn!(
                destination = self.name,
                "the event log begins anew; a destination is told from its end on"
            );
            *seen = 0;
            return destinations::skip(db, &self.name, standing.told, standing.end).await;
        }
        if !is_time(&standing, self.interval) {
            return Ok(());
        }
        if standing.until.is_none() && !self.begin(app, &mut standing, seen).await? {
            return Ok(());
        }
        let Some(until) = standing.until else { return Ok(()) };
        let batch = destinations::batch(db, &self.filter, standing.told, until, SHOWN).await?;
        if batch.count == 0 {
            warn!(destination = self.name, events = batch.old, "what could not be delivered is given up");
            return destinations::given_up(db, &self.name, until, batch.old).await;
        }
        let message = Message::new(&self.name, until, batch, standing.dropped);
        match self.send(&message).await {
            Ok(()) => {
                info!(destination = self.name, message = message.id, "people are told");
                destinations::delivered(db, &self.name, until).await
            }
            Err(error) => {
                warn!(%error, destination = self.name, message = message.id, "a message did not arrive");
                let pause = pause(standing.failures);
                destinations::failed(db, &self.name, until, &error.to_string(), pause).await
            }
        }
    }

    /// Writes down how far the next message goes. `false`: there is nothing to tell.
    async fn begin(&self, app: &App, standing: &mut Standing, seen: &mut u64) -> sqlx::Result<bool> {
        let Standing { told, end, .. } = *standing;
        let from = told.max(*seen);
        if from >= end {
            return Ok(false);
        }
        let news = destinations::batch(&app.db, &self.filter, from, end, 0).await?;
        if news.count + news.old == 0 {
            *seen = end;
            if end - told > FAR {
                destinations::skip(&app.db, &self.name, told, end).await?;
            }
            return Ok(false);
        }
        standing.until = Some(end);
        destinations::begin(&app.db, &self.name, told, end).await
    }

    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let sent = async {
            match &self.way {
                Way::Webhook(webhook) => webhook.send(message).await,
                Way::Ntfy(ntfy) => ntfy.send(message).await,
                Way::Mail(config) => mail::send(config, message).await,
                Way::Command(argv) => {
                    let input = serde_json::to_vec(message).map_err(|error| SendError(error.to_string()))?;
                    program::run(argv, &input).await
                }
            }
        };
        let late = |_| SendError(format!("it took longer than {} seconds", LIMIT.as_secs()));
        timeout(LIMIT, sent).await.map_err(late)?
    }
}

/// Whether a message may go: not too soon after the last one, and after a failure not before its pause is over.
fn is_time(standing: &Standing, interval: TimeDelta) -> bool {
    // By a clock that was set back nobody waits for longer than that.
    let rested = standing.delivered_at.is_none_or(|at| (standing.now - at).abs() >= interval);
    let paused = standing.retry_at.is_some_and(|at| {
        let left = at - standing.now;
        left > TimeDelta::zero() && left <= LONGEST_PAUSE
    });
    rested && !paused
}

/// The pause after so many failures and one more.
fn pause(failures: u32) -> TimeDelta {
    FIRST_PAUSE.checked_mul(1 << failures.min(16)).map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(delivered: Option<i64>, retry: Option<i64>) -> Standing {
        let now: DateTime<Utc> = "2026-11-22T03:00:00Z".parse().unwrap();
        let at = |seconds| now + TimeDelta::seconds(seconds);
        Standing {
            now,
            told: 1,
            until: None,
            end: 2,
            delivered_at: delivered.map(|ago| at(-ago)),
            failures: u32::from(retry.is_some()),
            retry_at: retry.map(at),
            dropped: 0,
        }
    }

    #[test]
    fn messages_keep_their_distance() {
        let minute = TimeDelta::minutes(1);
        assert!(is_time(&standing(None, None), minute));
        assert!(!is_time(&standing(Some(59), None), minute));
        assert!(is_time(&standing(Some(60), None), minute));
        assert!(is_time(&standing(Some(-86_400), None), minute), "the clock was set back");
        assert!(!is_time(&standing(None, Some(1)), minute));
        assert!(is_time(&standing(None, Some(0)), minute));
        assert!(is_time(&standing(None, Some(86_400)), minute), "the clock was set back");
    }

    #[test]
    fn tries_are_bounded() {
        assert_eq!([0, 1, 2].map(|failures| pause(failures).num_seconds()), [10, 20, 40]);
        let mut tries = 1;
        let mut passed = TimeDelta::zero();
        while passed < AGE {
            passed += pause(tries - 1);
            tries += 1;
        }
        assert_eq!(tries, 32 + 1, "the last one finds all of it too old");
    }
}
