//! What works less well than it should, in sentences, until it works again (law 12). `/readyz` tells them; the leader
//! writes down when each began and ended ([`crate::maintenance`]), so that people are told ([`crate::notify`]).

use crate::app::App;
use crate::db;
use crate::disk;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A maintenance loop that has missed this many turns is stuck.
const MISSED_TURNS: Duration = Duration::from_secs(3);

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What an alarm is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind { $( $(#[$doc])* #[serde(rename = $text)] $variant, )* }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        }
    };
}

kinds! {
    /// The binhost is degraded, or does not answer.
    Binhost = "binhost",
    /// A drone cannot bring itself to a definition.
    Definition = "definition",
    /// A disk is nearly full.
    Disk = "disk",
    /// The private Postgres is not dumped.
    Dump = "dump",
    /// A run waits for a person.
    Frozen = "frozen",
    /// The queue is not what its rules say.
    Invariants = "invariants",
    /// The maintenance loop does not turn.
    Maintenance = "maintenance",
    /// A nightly update did not come, or failed.
    Nightly = "nightly",
    /// A destination of notifications cannot be reached. It is told at `/readyz` only.
    Notify = "notify",
    /// The scheduler fails.
    Planner = "planner",
    /// Redis does not answer.
    Redis = "redis",
    /// A silent drone waits for a person.
    Repair = "repair",
    /// Two processes speak for one drone.
    Sessions = "sessions",
    /// Packages are ready that no drone may build.
    Stranded = "stranded",
    /// Packages are ready that nobody builds.
    Unbuilt = "unbuilt",
    /// A run is not being resolved.
    Unresolved = "unresolved",
}

impl Kind {
    /// What the database says.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// By what one alarm is told from another, however its sentence changes: its kind, and which drone, run or target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The kind.
    pub kind: Kind,
    /// Which one; empty where there is only one.
    pub about: String,
}

/// Something that works less well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What it is about.
    pub subject: Subject,
    /// A sentence.
    pub text: String,
}

impl Alarm {
    /// An alarm about one of several.
    #[must_use]
    pub fn new(kind: Kind, about: impl Into<String>, text: String) -> Self {
        Self { subject: Subject { kind, about: about.into() }, text }
    }
}

/// What this process has found: at most one alarm for each subject.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<BTreeMap<Subject, String>>);

impl Alarms {
    /// Raises the alarm of `kind`, of which there is one, or ends it.
    pub fn set(&self, kind: Kind, alarm: Option<&str>) {
        self.replace(kind, alarm.map(|text| Alarm::new(kind, "", text.to_owned())));
    }

    /// Raises `alarms` of `kind`, and ends all others of it.
    pub fn replace(&self, kind: Kind, alarms: impl IntoIterator<Item = Alarm>) {
        let mut standing = self.lock();
        standing.retain(|subject, _| subject.kind != kind);
        standing.extend(alarms.into_iter().map(|alarm| (alarm.subject, alarm.text)));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Alarm> {
        let alarm =
            |(subject, text): (&Subject, &String)| Alarm { subject: subject.clone(), text: text.clone() };
        self.lock().iter().map(alarm).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Subject, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that works less well now: what this process has found, and what Postgres knows.
pub async fn standing(app: &App) -> sqlx::Result<Vec<Alarm>> {
    db::now(&app.db).await?;
    let mut alarms = app.alarms.all();
    if !app.wake.redis_answers().await {
        let text = "Redis does not answer: drones are woken by looking every few seconds".to_owned();
        alarms.push(Alarm::new(Kind::Redis, "", text));
    }
    for drone in db::sessions::contested(&app.db).await? {
        let text = format!("two processes speak for the drone {drone}");
        alarms.push(Alarm::new(Kind::Sessions, drone, text));
    }
    for one in db::unbrought::list(&app.db).await? {
        let (drone, number, target, reason) = (one.drone, one.number, one.target, one.reason);
        let text = format!("drone {drone} cannot bring itself to definition {number} of {target}: {reason}");
        alarms.push(Alarm::new(Kind::Definition, format!("{drone} {target} {number}"), text));
    }
    alarms.extend(db::nightlies::amiss(&app.db).await?);
    alarms.extend(db::stuck::unresolved(&app.db).await?);
    alarms.extend(db::stuck::unbuilt(&app.db).await?);
    alarms.extend(db::stuck::frozen(&app.db).await?);
    alarms.extend(db::disks::low(&app.db, app.limits.disk_low_bytes).await?);
    alarms
        .extend(app.state_dir.iter().filter_map(|directory| disk::low(directory, app.limits.disk_low_bytes)));
    alarms.extend(db::destinations::failing(&app.db, &app.notify.names()).await?);
    if app.turned.elapsed() > MISSED_TURNS * app.times.maintenance_seconds {
        alarms.push(Alarm::new(Kind::Maintenance, "", "the maintenance loop does not turn".to_owned()));
    }
    Ok(alarms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_lasts_until_its_subject_works() {
        let alarms = Alarms::default();
        alarms.set(Kind::Dump, Some("it fails"));
        alarms.set(Kind::Dump, Some("it still fails"));
        alarms.set(Kind::Planner, None);
        assert_eq!(alarms.all(), [Alarm::new(Kind::Dump, "", "it still fails".to_owned())]);
        alarms.set(Kind::Dump, None);
        assert!(alarms.all().is_empty());
    }

    #[test]
    fn several_of_a_kind_stand_beside_each_other() {
        let alarms = Alarms::default();
        let of = |drone: &str| Alarm::new(Kind::Repair, drone, format!("{drone} is silent"));
        alarms.replace(Kind::Repair, ["ant", "bee"].map(of));
        alarms.set(Kind::Planner, Some("it fails"));
        alarms.replace(Kind::Repair, [of("bee")]);
        assert_eq!(alarms.all().len(), 2);
        assert!(alarms.all().contains(&of("bee")));
    }

    #[test]
    fn a_kind_is_spelled_alike_everywhere() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
    }
}
