//! What works less well than it should, in sentences, until it works again (law 12). `/readyz` tells them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The alarms of this process: at most one for each subject.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<BTreeMap<&'static str, String>>);

impl Alarms {
    /// Raises the alarm of `subject`, or ends it.
    pub fn set(&self, subject: &'static str, alarm: Option<&str>) {
        let mut alarms = self.lock();
        match alarm {
            Some(alarm) => alarms.insert(subject, alarm.to_owned()),
            None => alarms.remove(subject),
        };
    }

    /// All of them.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_lasts_until_its_subject_works() {
        let alarms = Alarms::default();
        alarms.set("dump", Some("it fails"));
        alarms.set("dump", Some("it still fails"));
        alarms.set("else", None);
        assert_eq!(alarms.sentences(), ["it still fails"]);
        alarms.set("dump", None);
        assert!(alarms.sentences().is_empty());
    }
}
