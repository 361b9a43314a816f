//! The nightly dump: a task of its own, so that it holds up no other duty. No cron is needed for the private Postgres.
//!
//! The dumps' names say when they were made, by Postgres's clock (law 5), so a restart neither skips one nor adds one.

use super::place::Place;
use super::postgres::Postgres;
use crate::alarms::Kind;
use crate::app::App;
use crate::config;
use crate::db;
use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::{info, warn};

/// How a dump is called.
const NAME: &str = "swarm-%Y%m%dT%H%M%SZ.dump";
/// Between two looks at the most, and after a failure at the least.
const LOOK: Duration = Duration::from_mins(1);

/// Dumps whenever the newest dump is old enough, until the process stops.
pub(super) async fn run(app: &App, postgres: &Postgres, settings: &config::Embedded) {
    let period = Duration::from_secs(settings.dump_seconds.into());
    loop {
        match dump_once(app, postgres, period, settings.dumps_kept).await {
            Ok(Some(file)) => info!(file = %file.display(), "the database was dumped"),
            Ok(None) => {}
            Err(error) => warn!(error = format!("{error:#}"), "the nightly dump failed; it is tried again"),
        }
        if !app.pause(period.min(LOOK)).await {
            return;
        }
    }
}

/// Makes a dump if one is due, and removes those beyond `kept`. A failure is an alarm until a dump succeeds (law 12).
async fn dump_once(app: &App, postgres: &Postgres, period: Duration, kept: usize) -> Result<Option<PathBuf>> {
    let dumped = tokio::select! {
        () = app.stop.cancelled() => return Ok(None),
        dumped = dump_if_due(app, postgres, period) => dumped,
    };
    let alarm = dumped.as_ref().err().map(|_| "the nightly dump of the database fails; the log says why");
    app.alarms.set(Kind::Dump, alarm);
    let file = dumped?;
    if file.is_some() {
        prune(&postgres.place.dumps(), kept)?;
    }
    Ok(file)
}

async fn dump_if_due(app: &App, postgres: &Postgres, period: Duration) -> Result<Option<PathBuf>> {
    let now = db::now(&app.db).await?;
    let file = file(&postgres.place, now)?;
    let newest = dumps(&postgres.place.dumps())?.pop();
    let newest = newest.as_deref().and_then(made_at);
    if !is_due(newest, now, period) {
        return Ok(None);
    }
    postgres.dump(&file).await?;
    Ok(Some(file))
}

/// A name from the future, left by a clock that was set back, does not hold dumps up.
fn is_due(newest: Option<DateTime<Utc>>, now: DateTime<Utc>, period: Duration) -> bool {
    let period = TimeDelta::from_std(period).unwrap_or(TimeDelta::MAX);
    newest.is_none_or(|newest| (now - newest).abs() >= period)
}

/// The file of a dump made now, its directory made.
pub(super) fn file(place: &Place, now: DateTime<Utc>) -> Result<PathBuf> {
    let directory = place.dumps();
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory.join(now.format(NAME).to_string()))
}

fn made_at(file: &Path) -> Option<DateTime<Utc>> {
    let name = file.file_name()?.to_str()?;
    NaiveDateTime::parse_from_str(name, NAME).ok().map(|time| time.and_utc())
}

/// The dumps in `directory`, oldest first. Whatever else lies there is somebody else's.
fn dumps(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if made_at(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn prune(directory: &Path, kept: usize) -> Result<()> {
    let found = dumps(directory)?;
    for old in &found[..found.len().saturating_sub(kept)] {
        fs::remove_file(old).with_context(|| format!("cannot remove {}", old.display()))?;
    }
    Ok(())
}

/// Removes what a dump left that was killed. Only the lock's holder may.
pub(super) fn clear(directory: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(super::dump::UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_dump_is_due_when_the_newest_is_old() {
        let day = Duration::from_hours(24);
        let now = at("2026-11-21T03:00:00Z");
        assert!(is_due(None, now, day));
        assert!(!is_due(Some(at("2026-11-20T03:00:01Z")), now, day));
        assert!(is_due(Some(at("2026-11-20T03:00:00Z")), now, day));
        assert!(is_due(Some(at("2027-01-01T00:00:00Z")), now, day), "the clock was set back");
    }

    #[test]
    fn the_oldest_go_and_strangers_stay() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let name = |time: DateTime<Utc>| time.format(NAME).to_string();
        let times = ["2026-11-19T03:00:00Z", "2026-11-20T03:00:00Z", "2026-11-21T03:00:00Z"].map(at);
        for time in times {
            fs::write(file(&name(time)), "").unwrap();
        }
        fs::write(file("before-the-upgrade.dump"), "").unwrap();
        fs::write(file(".dump.x1"), "").unwrap();
        prune(directory.path(), 2).unwrap();
        clear(directory.path()).unwrap();
        assert_eq!(
            dumps(directory.path()).unwrap(),
            times[1..].iter().map(|&time| file(&name(time))).collect::<Vec<_>>()
        );
        assert_eq!(made_at(&file(&name(times[2]))), Some(times[2]));
        assert!(file("before-the-upgrade.dump").exists() && !file(".dump.x1").exists());
    }
}
