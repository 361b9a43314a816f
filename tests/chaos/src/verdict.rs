//! What must be true after every storm, beyond what [`swarm_tests::checker`] reads from the event log alone: the log is
//! held against the drones' journals, the budgets, and the bytes at the binhost.

use crate::journal::{self, Entry, Millis};
use crate::world::{GRACE, Shift, World};
use std::collections::BTreeMap;
use swarm_protocol::Digest;
use swarm_protocol::admin::{Event, Package};
use swarm_protocol::id::PackageId;

/// A heartbeat is on its way for so long at most, when nothing is in its way.
const SLACK: Millis = 500;

/// Everything that is wrong.
pub async fn violations(world: &World, events: &[Event], packages: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    let journals: BTreeMap<_, _> = world
        .scripts
        .iter()
        .enumerate()
        .map(|(number, script)| (format!("drone-{number}"), journal::read(&script.journal)))
        .collect();
    for (drone, entries) in &journals {
        wrong.extend(entries.iter().filter_map(|entry| match entry {
            Entry::Violation { what } => Some(format!("{drone}: {what}")),
            _ => None,
        }));
    }
    for event in events {
        let Some(journal) = event.drone_name.as_ref().and_then(|name| journals.get(name)) else { continue };
        wrong.extend(robbed(event, journal, &world.shifts));
    }
    if world.shifts.is_sorted_by_key(|shift| shift.total) {
        let broken = events.iter().filter(|event| event.kind == "invariant.broken");
        wrong.extend(broken.map(|event| format!("no clock went back: {event:?}")));
    }
    wrong.extend(over_budget(events));
    wrong.extend(published(world, packages).await);
    for (file, log) in world.logs() {
        wrong.extend(
            log.lines().filter(|line| line.contains("panicked")).map(|line| format!("{file}: {line}")),
        );
    }
    wrong
}

/// Whether an event took an attempt from a drone that was well and said so (law 4).
fn robbed(event: &Event, journal: &[Entry], shifts: &[Shift]) -> Option<String> {
    let (attempt, reason) = (event.attempt?, event.data.get("reason")?.as_str()?);
    let at = wall_clock(event.at.timestamp_millis(), shifts)?;
    let heard = |from: Millis| {
        journal.iter().find(|entry| match entry {
            Entry::Beat { asked, answered, held } => {
                *asked >= from && *answered < at && held.contains(&attempt)
            }
            _ => false,
        })
    };
    let beat = match reason {
        "its drone is silent" => heard(at - Millis::from(GRACE) * 1000 + SLACK),
        "its drone no longer lists it" => {
            let ended = |entry: &&Entry| matches!(entry, Entry::Ended { at: ended, attempt: of, .. } if *of == attempt && *ended <= at + SLACK);
            journal.iter().find(ended).is_none().then(|| heard(at - SLACK)).flatten()
        }
        _ => None,
    };
    beat.map(|beat| {
        format!("{} at {at} ({reason}) though the drone was well: {beat:?}: {event:?}", event.kind)
    })
}

/// The host's time of an event: the swarm's clock without the jumps before it.
fn wall_clock(at: Millis, shifts: &[Shift]) -> Option<Millis> {
    let ends = shifts.iter().skip(1).map(|next| next.at).chain([Millis::MAX]);
    shifts.iter().zip(ends).find_map(|(shift, end)| {
        let wall = at - shift.total;
        (shift.at <= wall + SLACK && wall <= end.saturating_add(SLACK)).then_some(wall)
    })
}

/// Packages that were tried again after what should have been their last failure (law 7). Counted here by the words of
/// the documentation, not by the code that decides.
fn over_budget(events: &[Event]) -> Vec<String> {
    let mut failures: BTreeMap<PackageId, BTreeMap<String, u32>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for event in events {
        let Some(package) = event.package else { continue };
        let failed = failures.entry(package).or_default();
        match event.kind.as_str() {
            "package.reclaimed" | "package.lost" => {
                *failed.entry("infrastructure".to_owned()).or_default() += 1;
            }
            "package.failed" => {
                let class = event.data.get("class").and_then(|class| class.as_str()).unwrap_or("unknown");
                *failed.entry(class.to_owned()).or_default() += 1;
            }
            "package.released" => failed.clear(),
            "package.claimed" => {
                let budget = |class: &str| match class {
                    "package" | "resources" => 3,
                    "infrastructure" => 8,
                    "epoch" => 5,
                    _ => 0,
                };
                wrong.extend(
                    failed
                        .iter()
                        .filter(|(class, count)| **count >= budget(class))
                        .map(|(class, count)| format!("{event:?} after {count} failures of class {class}")),
                );
            }
            _ => {}
        }
    }
    wrong
}

/// Received packages whose bytes are not at the binhost as they were accepted.
async fn published(world: &World, packages: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in packages {
        let Some(artifact) = &package.artifact else {
            wrong.push(format!("{} is {} and has no artifact", package.cpv, package.state));
            continue;
        };
        match world.published(&artifact.path).await {
            Some(bytes) if Digest::of(&bytes) == artifact.published => {}
            Some(_) => wrong.push(format!("{} has other bytes than were accepted", artifact.path)),
            None => wrong.push(format!("{} is not published", artifact.path)),
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::id::AttemptId;

    fn event(kind: &str, at: Millis, data: &serde_json::Value) -> Event {
        let at = serde_json::to_value(chrono(at)).unwrap();
        serde_json::from_value(serde_json::json!({
            "id": 1, "at": at, "kind": kind, "run": 1, "target": null, "package": 1, "cpv": null, "attempt": 7,
            "drone": 1, "drone_name": "drone-0", "data": data,
        }))
        .unwrap()
    }

    fn chrono(at: Millis) -> String {
        let seconds = at / 1000;
        format!("1970-01-01T00:{:02}:{:02}.{:03}Z", seconds / 60, seconds % 60, at % 1000)
    }

    const STILL: [Shift; 1] = [Shift { at: 0, total: 0 }];

    #[test]
    fn a_drone_that_was_heard_was_robbed_and_a_silent_one_was_not() {
        let taken = event("package.reclaimed", 60_000, &serde_json::json!({"reason": "its drone is silent"}));
        let beat = |at| Entry::Beat { asked: at, answered: at + 5, held: vec![AttemptId(7)] };
        assert!(robbed(&taken, &[beat(58_000)], &STILL).is_some());
        assert!(robbed(&taken, &[beat(55_000)], &STILL).is_none());
    }

    #[test]
    fn jumps_of_the_clock_are_taken_out() {
        let shifts = [STILL[0], Shift { at: 50_000, total: 3_600_000 }];
        assert_eq!(wall_clock(40_000, &shifts), Some(40_000));
        assert_eq!(wall_clock(3_660_000, &shifts), Some(60_000));
    }

    #[test]
    fn nobody_tries_beyond_the_budget() {
        let failed = || event("package.failed", 1_000, &serde_json::json!({"class": "package"}));
        let claimed = || event("package.claimed", 1_000, &serde_json::json!({}));
        assert!(over_budget(&[failed(), failed(), claimed()]).is_empty());
        assert_eq!(over_budget(&[failed(), failed(), failed(), claimed()]).len(), 1);
        let released = event("package.released", 1_000, &serde_json::json!({}));
        assert!(over_budget(&[failed(), failed(), failed(), released, claimed()]).is_empty());
    }
}
