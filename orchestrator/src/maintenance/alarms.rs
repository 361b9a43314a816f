//! Writes down which alarms begin and end, so that people are told of each once, however long it lasts.
//!
//! What comes and goes within a turn or two is no news, so an alarm is raised when it is found in two looks in a row, and is
//! over when six in a row find it no more.

use crate::alarms::{self, Alarm, Kind, Subject};
use crate::app::App;
use crate::db;
use std::collections::{BTreeMap, BTreeSet};
use tracing::{info, warn};

/// An alarm is raised when so many looks in a row have found it.
const RAISED_AFTER: u32 = 2;
/// One is over when so many looks in a row have not.
const ENDED_AFTER: u32 = 6;

/// How many looks in a row found what is not raised, or did not find what is. Lost with the process, which counts anew.
#[derive(Default)]
pub(super) struct Watch(BTreeMap<Subject, u32>);

/// Looks.
pub(super) async fn look_after(app: &App, watch: &mut Watch) -> sqlx::Result<()> {
    let open = db::alarms::open(&app.db).await?;
    let mut standing = alarms::standing(app).await?;
    // A destination that cannot be reached cannot be told so, and the others are not bothered with it.
    standing.retain(|alarm| alarm.subject.kind != Kind::Notify);
    let (raised, ended) = watch.judge(&open, standing);
    if raised.is_empty() && ended.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    for alarm in &raised {
        warn!(alarm = alarm.subject.kind.as_str(), "an alarm is raised: {}", alarm.text);
        db::alarms::raise(&mut tx, alarm).await?;
    }
    for subject in &ended {
        info!(alarm = subject.kind.as_str(), about = subject.about, "an alarm is over");
        db::alarms::end(&mut tx, subject).await?;
    }
    tx.commit().await
}

impl Watch {
    fn judge(&mut self, open: &BTreeSet<Subject>, standing: Vec<Alarm>) -> (Vec<Alarm>, Vec<Subject>) {
        let found: BTreeSet<_> = standing.iter().map(|alarm| alarm.subject.clone()).collect();
        let former = std::mem::take(&mut self.0);
        // Those that are not as they stand in Postgres.
        let looks = open.symmetric_difference(&found).map(|subject| {
            (subject.clone(), former.get(subject).copied().unwrap_or_default().saturating_add(1))
        });
        self.0 = looks.collect();
        let looks = |subject: &Subject| self.0.get(subject).copied().unwrap_or_default();
        let raised = standing.into_iter().filter(|alarm| looks(&alarm.subject) >= RAISED_AFTER).collect();
        let ended = open.difference(&found).filter(|subject| looks(subject) >= ENDED_AFTER);
        (raised, ended.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_told_once_and_what_flickers_is_one() {
        let (mut watch, mut open) = (Watch::default(), BTreeSet::new());
        let (mut raised, mut ended) = (vec![], vec![]);
        // A blink; an alarm that flickers; its end.
        for (look, found) in "1000110111010100000000".chars().enumerate() {
            let alarm = Alarm::new(Kind::Redis, "", "it is away".to_owned());
            let standing = if found == '1' { vec![alarm] } else { vec![] };
            let (new, over) = watch.judge(&open, standing);
            raised.extend(new.iter().map(|_| look));
            ended.extend(over.iter().map(|_| look));
            open.extend(new.into_iter().map(|alarm| alarm.subject));
            open.retain(|subject| !over.contains(subject));
        }
        assert_eq!((raised, ended), (vec![5], vec![19]));
    }

    #[test]
    fn a_sentence_that_changes_is_the_same_alarm() {
        let (mut watch, open) = (Watch::default(), BTreeSet::new());
        let found = |text: &str| vec![Alarm::new(Kind::Stranded, "", text.to_owned())];
        assert!(watch.judge(&open, found("jq and 2 more")).0.is_empty());
        assert_eq!(watch.judge(&open, found("jq and 3 more")).0, found("jq and 3 more"));
    }
}
