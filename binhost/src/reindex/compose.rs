//! Puts an index together: which entries, in which order, under which header. Pure.

use super::publish::Old;
use crate::packages::{KEPT_KEYS, Values, push_entry, push_header};
use std::collections::BTreeMap;

/// A client sends TIMESTAMP + 5 with its `If-Modified-Since` (`portage/util/_urlopen.py`): a smaller step is a 304 to it.
const STEP_SECONDS: i64 = 6;

/// What makes Portage take two entries for one (`dbapi/virtual.py`, `_instance_key_multi_instance`).
fn instance(entry: &Values) -> [&str; 5] {
    ["CPV", "BUILD_ID", "SIZE", "BUILD_TIME", "_mtime_"].map(|key| entry.get(key).map_or("", String::as_str))
}

fn path(entry: &Values) -> String {
    entry.get("PATH").cloned().unwrap_or_default()
}

/// One entry per instance, in the order of the index; and the paths of those that are left out. Of several, the last
/// counts, as with Portage, whose order is that of the directory; ours is that of the paths.
pub(super) fn instances(entries: Vec<Values>) -> (Vec<Values>, Vec<String>) {
    let mut shadowed = Vec::new();
    let mut kept: BTreeMap<[String; 5], Values> = BTreeMap::new();
    for entry in entries {
        let key = instance(&entry).map(str::to_owned);
        if let Some(former) = kept.insert(key, entry) {
            shadowed.push(path(&former));
        }
    }
    let mut entries: Vec<_> = kept.into_values().collect();
    let number = |entry: &Values| entry.get("BUILD_ID").and_then(|id| id.parse::<i64>().ok());
    entries.sort_by_cached_key(|entry| (entry.get("CPV").cloned(), number(entry), path(entry)));
    (entries, shadowed)
}

/// The index and its TIMESTAMP. What is the same as before keeps its TIMESTAMP, so that no client fetches it again.
pub(super) fn index(old: &Old, mut entries: Vec<Values>, now: i64) -> (i64, String) {
    keep(old, &mut entries);
    let mut header = header(old, &entries);
    let mut text = String::new();
    for entry in &entries {
        push_entry(&mut text, &header, entry.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    }
    let mut whole = |timestamp: i64| {
        header.insert("TIMESTAMP".to_owned(), timestamp.to_string());
        let mut whole = String::new();
        push_header(&mut whole, &header);
        whole + &text
    };
    match old.timestamp() {
        None => (now, whole(now)),
        Some(timestamp) => {
            let same = whole(timestamp);
            if same.as_bytes() == old.text {
                return (timestamp, same);
            }
            let next = now.max(timestamp.saturating_add(STEP_SECONDS));
            (next, whole(next))
        }
    }
}

/// The keys that only an index has stay with their instance; Portage drops them where it has to hash the file.
fn keep(old: &Old, entries: &mut [Values]) {
    let former: BTreeMap<_, _> = old.entries.iter().map(|entry| (instance(entry), entry)).collect();
    for entry in entries {
        let former = former.get(&instance(entry)).filter(|former| former.contains_key("MD5"));
        let kept = KEPT_KEYS.iter().filter_map(|key| Some((*key, former?.get(*key)?)));
        let kept: Vec<_> = kept.map(|(key, value)| (key.to_owned(), value.clone())).collect();
        entry.extend(kept);
    }
}

/// The old header where Portage would read it. Its CHOST is what entries inherit; without one, the most common.
fn header(old: &Old, entries: &[Values]) -> Values {
    let mut header = old.header.clone();
    if header.get("CHOST").is_none_or(String::is_empty) {
        let mut counts = BTreeMap::new();
        for chost in entries.iter().filter_map(|entry| entry.get("CHOST")) {
            *counts.entry(chost).or_insert(0_usize) += 1;
        }
        let most =
            counts.into_iter().max_by(|(one, ones), (other, others)| ones.cmp(others).then(other.cmp(one)));
        header.extend(most.map(|(chost, _)| ("CHOST".to_owned(), chost.clone())));
    }
    header.insert("PACKAGES".to_owned(), entries.len().to_string());
    header.insert("VERSION".to_owned(), "0".to_owned());
    header
}
