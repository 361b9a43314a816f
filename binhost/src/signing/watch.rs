//! Keys end on a date that nobody remembers: their last month is announced (law 12).

use super::Key;
use super::keyring::{KeyError, Keyring, date, usable};
use crate::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long before its end a key is a matter for people, in seconds.
const NOTICE: i64 = 30 * 86_400;
/// How often the log says so.
const PERIOD: Duration = Duration::from_hours(24);

/// What will not work for long, in sentences; an error when nothing can be signed now.
pub(crate) fn warnings(keyring: &Keyring, now: i64) -> Result<Vec<String>, KeyError> {
    let keys = keyring.load()?;
    for key in keys.all.iter().filter(|key| key.fingerprint() == keys.signing) {
        usable(key, now)?;
    }
    let ending = keys.all.iter().filter(|key| key.expires() - now <= NOTICE);
    Ok(ending.map(|key| sentence(key, key.fingerprint() == keys.signing, now)).collect())
}

fn sentence(key: &Key, signs: bool, now: i64) -> String {
    let role = if signs { "which signs packages" } else { "which may have signed packages" };
    let ends = if key.expires() > now { "expires" } else { "expired" };
    let (key, on) = (key.fingerprint(), date(key.expires()));
    format!("the key {key}, {role}, {ends} on {on}: `build-binhost key extend {key}`")
}

/// Logs the warnings once a day, until `stop`.
pub(crate) async fn watch(keyring: Keyring, clock: Arc<dyn Clock>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        watch_once(&keyring, clock.now());
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

fn watch_once(keyring: &Keyring, now: i64) {
    match warnings(keyring, now) {
        Ok(warnings) => warnings.iter().for_each(|warning| tracing::warn!("{warning}")),
        Err(error) => tracing::error!(%error, "packages cannot be signed"),
    }
}
