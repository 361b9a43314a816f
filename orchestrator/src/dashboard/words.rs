//! Times, sizes, shares and states as people read them. Pure.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

/// A duration in its two largest units.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A number of seconds that was measured or estimated.
#[expect(clippy::cast_possible_truncation, reason = "it saturates, and no build takes 10¹¹ years")]
pub(super) fn seconds(seconds: f64) -> String {
    span(seconds.round() as i64)
}

/// A moment, in UTC.
pub(super) fn moment(at: DateTime<Utc>) -> Markup {
    let text = at.format("%Y-%m-%d %H:%M:%S").to_string();
    html! { time datetime=(at.to_rfc3339()) { (text) } }
}

/// How long ago a moment was, at `now` by the same clock.
pub(super) fn ago(now: DateTime<Utc>, at: DateTime<Utc>) -> Markup {
    let text = format!("{} ago", span((now - at).num_seconds()));
    html! { time datetime=(at.to_rfc3339()) title=(at.format("%Y-%m-%d %H:%M:%S UTC")) { (text) } }
}

/// How long something took, or takes until now.
pub(super) fn taken(from: Option<DateTime<Utc>>, to: DateTime<Utc>) -> String {
    from.map_or_else(|| "-".to_owned(), |from| span((to - from).num_seconds()))
}

/// Bytes in their largest unit.
pub(super) fn size(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

/// `part` of `whole` in whole percents, rounded down: nothing is called all of it before it is.
pub(super) fn percent(part: i64, whole: i64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{} %", part * 100 / whole) }
}

/// A state's word in its colour.
pub(super) fn state(word: &str) -> Markup {
    html! { span class={ "state " (word) } { (word) } }
}

/// What stands for nothing.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_are_enough() {
        let spans = [-5, 0, 59, 61, 3600, 90_061].map(span);
        assert_eq!(spans, ["0 s", "0 s", "59 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]);
        assert_eq!([0, 1023, 1536, 3 << 30].map(size), ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]);
    }

    #[test]
    fn nothing_is_called_all_before_it_is() {
        assert_eq!(
            [(999, 1000), (7, 7), (0, 0)].map(|(part, all)| percent(part, all)),
            ["99 %", "100 %", "-"]
        );
    }
}
