//! Plain tables of at most [`WIDTH`] columns, and the words in them. Pure: a value in, a text out.

use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use std::fmt::Display;
use swarm_protocol::Digest;
use swarm_protocol::admin::Counts;

/// Columns of a terminal that everybody has.
const WIDTH: u16 = 100;

/// What a cell of names or numbers gets without wrapping; the columns of prose share the rest.
const NAME: u16 = 40;
/// Between two columns.
const GAP: u16 = 2;

/// A column: its title, and how its cells are set.
pub(crate) struct Column {
    title: &'static str,
    alignment: CellAlignment,
    prose: bool,
}

/// A column of names, times and the like.
pub(crate) const fn left(title: &'static str) -> Column {
    Column { title, alignment: CellAlignment::Left, prose: false }
}

/// A column of numbers.
pub(crate) const fn right(title: &'static str) -> Column {
    Column { title, alignment: CellAlignment::Right, prose: false }
}

/// A column of sentences, which may wrap.
pub(crate) const fn prose(title: &'static str) -> Column {
    Column { title, alignment: CellAlignment::Left, prose: true }
}

/// A table, or the sentence `empty` where there is no row.
pub(crate) fn table<const N: usize>(
    columns: [Column; N],
    empty: &str,
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(columns.iter().map(|column| column.title));
    table.add_rows(rows);
    if table.is_empty() {
        return empty.to_owned();
    }
    let widths = table.column_max_content_widths();
    for ((set, column), width) in table.column_iter_mut().zip(columns).zip(widths) {
        set.set_padding((0, GAP));
        set.set_cell_alignment(column.alignment);
        if !column.prose {
            set.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width.min(NAME) + GAP)));
        }
    }
    table.trim_fmt()
}

/// Lines of `name  value`.
pub(crate) fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = rows.iter().map(|(name, value)| format!("{name:width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Each text on a line of its own, below what comes before.
pub(crate) fn indented<T: Display>(texts: impl IntoIterator<Item = T>, by: usize) -> String {
    let lines = texts.into_iter().map(|text| format!("\n{:by$}{text}", ""));
    lines.collect::<Vec<_>>().concat()
}

/// What stands for nothing.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A time by Postgres's clock, in UTC.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time from one moment to another, once both are known.
pub(crate) fn between(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> String {
    or_dash(from.zip(to).map(|(from, to)| span(u64::try_from((to - from).num_seconds()).unwrap_or(0))))
}

/// How long ago something was, at `now` by the same clock.
pub(crate) fn age(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    between(Some(at), Some(now))
}

/// A duration in its two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// Bytes in their largest unit.
pub(crate) fn size(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

/// As much of a digest as people compare.
pub(crate) fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// Succeeded attempts of those that succeeded or failed: one that still builds, or was taken back, says nothing.
pub(crate) fn success_rate(counts: &Counts) -> String {
    let judged = counts.succeeded + counts.failed;
    if judged == 0 {
        return "—".to_owned();
    }
    let permille = counts.succeeded * 1000 / judged;
    format!("{}.{} %", permille / 10, permille % 10)
}

/// A count with its noun: `1 drone`, `2 drones`.
pub(crate) fn count(number: i64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        let spans = [0, 59, 60, 192, 3599, 3600, 7500, 86_399, 86_400, 273_600].map(span);
        assert_eq!(spans.join(", "), "0s, 59s, 1m 0s, 3m 12s, 59m 59s, 1h 0m, 2h 5m, 23h 59m, 1d 0h, 3d 4h");
    }

    #[test]
    fn sizes_are_readable() {
        let sizes = [0, 1023, 1024, 1536, 0x10_0000, 0x4000_0000, 0x6000_0000].map(size);
        assert_eq!(sizes.join(", "), "0 B, 1023 B, 1.0 KiB, 1.5 KiB, 1.0 MiB, 1.0 GiB, 1.5 GiB");
    }

    #[test]
    fn a_clock_that_went_back_gives_no_nonsense() {
        let [early, late] = [100, 200].map(|seconds| DateTime::from_timestamp(seconds, 0));
        assert_eq!(between(early, late), "1m 40s");
        assert_eq!(between(late, early), "0s");
        assert_eq!(between(early, None), "-");
    }

    #[test]
    fn a_rate_needs_attempts() {
        let rate = |succeeded, failed| success_rate(&Counts { succeeded, failed, ..Counts::default() });
        assert_eq!([rate(0, 0), rate(0, 2), rate(2, 1), rate(7, 0)], ["—", "0.0 %", "66.6 %", "100.0 %"]);
    }

    #[test]
    fn a_long_text_wraps_and_the_table_fits() {
        let text = table(
            [right("id"), left("package"), prose("note")],
            "nothing",
            [["7".to_owned(), "sys-libs/zlib-1.3".to_owned(), "words and words ".repeat(12)]],
        );
        assert!(text.lines().all(|line| line.len() <= usize::from(WIDTH)), "{text}");
        insta::assert_snapshot!(text);
    }
}
