//! When a line of a crontab is due: the five fields of crontab(5), in local time.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, Timelike};
use std::fmt;

/// In what daemons differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Where both kinds of days are restricted, one of them suffices (Vixie); others have rules of their own.
    pub(super) either_day: bool,
    /// A range may go past the end and begin anew: `22-3`.
    pub(super) wraps: bool,
    /// `10~20` is a value that is chosen when the table is loaded (cronie).
    pub(super) chooses: bool,
}

/// The minutes at which a line is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    days_match: DaysMatch,
    /// Which of the minutes, only the daemon knows.
    chosen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DaysMatch {
    /// One of them is any day, so both have to match.
    Both,
    Either,
    /// The daemon's own rule, which is not known here.
    Other,
}

/// A field: its name, its lowest and highest value, and the names that stand for values from the lowest on.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of the month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: MONTHS },
    Field { name: "day of the week", low: 0, high: 7, names: WEEKDAYS },
];

/// A day that comes at most every eight years (29 February, around 2100) is found; one that never comes is not sought for
/// ever.
const HORIZON_DAYS: u64 = 366 * 8 + 1;

impl Schedule {
    /// Reads the five fields, or says which one is wrong.
    pub(super) fn parse(fields: &[&str; 5], rules: Rules) -> Result<Self, String> {
        let mut chosen = false;
        let mut sets = [0; 5];
        for ((set, text), field) in sets.iter_mut().zip(fields).zip(&FIELDS) {
            *set = field.read(text, rules, &mut chosen)?;
        }
        let [minutes, hours, days, months, weekdays] = sets;
        // 7 is Sunday as well.
        let weekdays = (weekdays | weekdays >> 7) & 0x7f;
        let days_match = match (fields[2].starts_with('*') || fields[4].starts_with('*'), rules.either_day) {
            (true, _) => DaysMatch::Both,
            (false, true) => DaysMatch::Either,
            (false, false) => DaysMatch::Other,
        };
        Ok(Self { text: fields.join(" "), minutes, hours, days, months, weekdays, days_match, chosen })
    }

    /// The first minute after `after` at which it is due, if it ever is and that can be known here.
    pub(crate) fn next(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        if self.chosen || self.days_match == DaysMatch::Other {
            return None;
        }
        let mut first = after.hour() * 60 + after.minute() + 1;
        for later in 0..HORIZON_DAYS {
            let day = after.date().checked_add_days(Days::new(later))?;
            if self.falls_on(day)
                && let Some(minute) = (first..24 * 60).find(|minute| self.is_at(*minute))
            {
                return day.and_hms_opt(minute / 60, minute % 60, 0);
            }
            first = 0;
        }
        None
    }

    fn falls_on(&self, day: NaiveDate) -> bool {
        let of_month = has(self.days, day.day());
        let of_week = has(self.weekdays, day.weekday().num_days_from_sunday());
        let matches = match self.days_match {
            DaysMatch::Either => of_month || of_week,
            DaysMatch::Both | DaysMatch::Other => of_month && of_week,
        };
        matches && has(self.months, day.month())
    }

    fn is_at(&self, minute: u32) -> bool {
        has(self.hours, minute / 60) && has(self.minutes, minute % 60)
    }
}

/// As it stands in the table.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn has(set: u64, value: u32) -> bool {
    set >> value & 1 == 1
}

impl Field {
    fn read(&self, text: &str, rules: Rules, chosen: &mut bool) -> Result<u64, String> {
        text.split(',').try_fold(0, |set, part| Ok(set | self.part(part, rules, chosen)?))
    }

    fn part(&self, part: &str, rules: Rules, chosen: &mut bool) -> Result<u64, String> {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: u32 = step.parse().map_err(|_| self.wrong(part))?;
        if step == 0 {
            return Err(self.wrong(part));
        }
        let choice = range.split_once('~').filter(|_| rules.chooses);
        let (from, to) = if range == "*" {
            (self.low, self.high)
        } else if let Some((from, to)) = choice {
            *chosen = true;
            let end = |text: &str, open| if text.is_empty() { Ok(open) } else { self.value(text) };
            (end(from, self.low)?, end(to, self.high)?)
        } else if let Some((from, to)) = range.split_once('-') {
            (self.value(from)?, self.value(to)?)
        } else {
            let value = self.value(range)?;
            if part.contains('/') {
                return Err(format!(
                    "{}: a step wants a range before it, as in `*/{step}`",
                    self.wrong(part)
                ));
            }
            (value, value)
        };
        if from > to && !rules.wraps {
            return Err(format!("{}: the range goes backwards", self.wrong(part)));
        }
        let to = if from > to { to + self.high - self.low + 1 } else { to };
        let values = (from..=to).step_by(step as usize);
        let size = self.high - self.low + 1;
        Ok(values.fold(0, |set, value| set | 1 << (self.low + (value - self.low) % size)))
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named.and_then(|place| u32::try_from(place).ok()) {
            Some(place) => self.low + place,
            None => text.parse().map_err(|_| self.wrong(text))?,
        };
        if (self.low..=self.high).contains(&value) { Ok(value) } else { Err(self.wrong(text)) }
    }

    fn wrong(&self, text: &str) -> String {
        format!("`{text}` is no {} ({} to {})", self.name, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    const VIXIE: Rules = Rules { either_day: true, wraps: false, chooses: true };

    fn schedule(text: &str) -> Result<Schedule, String> {
        let fields: Vec<_> = text.split(' ').collect();
        Schedule::parse(fields[..].try_into().unwrap(), VIXIE)
    }

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
    }

    fn next(text: &str, after: &str) -> String {
        let next = schedule(text).unwrap().next(at(after));
        next.map_or("never".to_owned(), |next| next.format("%Y-%m-%d %H:%M").to_string())
    }

    #[test]
    fn the_next_time() {
        assert_eq!(next("17 3 * * *", "2026-11-22 06:40"), "2026-11-23 03:17");
        assert_eq!(next("17 3 * * *", "2026-11-23 03:16"), "2026-11-23 03:17");
        assert_eq!(next("17 3 * * *", "2026-11-23 03:17"), "2026-11-24 03:17");
        assert_eq!(next("*/20 * * * *", "2026-11-22 23:41"), "2026-11-23 00:00");
        assert_eq!(next("0 0 29 feb *", "2026-11-22 06:40"), "2028-02-29 00:00");
        assert_eq!(next("0 4 * * Sun", "2026-11-22 06:40"), "2026-11-29 04:00");
        assert_eq!(next("0 4 * * 7", "2026-11-22 03:59"), "2026-11-22 04:00");
        assert_eq!(next("0 4 1 * mon", "2026-11-22 06:40"), "2026-11-23 04:00", "one of the days suffices");
        assert_eq!(next("0 0 30 2 *", "2026-11-22 06:40"), "never");
        assert_eq!(next("0~30 3 * * *", "2026-11-22 06:40"), "never", "the daemon has chosen");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("60 3 * * *", "`60` is no minute (0 to 59)"),
            ("0 24 * * *", "`24` is no hour (0 to 23)"),
            ("0 3 0 * *", "`0` is no day of the month (1 to 31)"),
            ("0 3 * foo *", "`foo` is no month (1 to 12)"),
            ("0 3 * * 8", "`8` is no day of the week (0 to 7)"),
            ("*/0 3 * * *", "`*/0` is no minute (0 to 59)"),
            ("9-3 3 * * *", "`9-3` is no minute (0 to 59): the range goes backwards"),
            ("5/10 3 * * *", "`5/10` is no minute (0 to 59): a step wants a range before it, as in `*/10`"),
            (", 3 * * *", "`` is no minute (0 to 59)"),
        ] {
            assert_eq!(schedule(text).unwrap_err(), why, "{text}");
        }
        let wraps = Rules { wraps: true, ..VIXIE };
        let night = Schedule::parse(&["0", "22-1", "*", "*", "*"], wraps).unwrap();
        assert_eq!(night.next(at("2026-11-22 23:00")), Some(at("2026-11-23 00:00")));
    }

    fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
        prop_oneof![
            Just("*".to_owned()),
            (low..=high).prop_map(|value| value.to_string()),
            (low..=high, low..=high, 1u32..9).prop_map(|(a, b, step)| format!(
                "{}-{}/{step}",
                a.min(b),
                a.max(b)
            )),
            (low..=high, low..=high).prop_map(|(a, b)| format!("{a},{b}")),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_due_before_the_next_time(
            fields in (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)),
            start in 0i64..60 * 24 * 400,
        ) {
            let after = at("2026-01-01 00:00") + TimeDelta::minutes(start);
            let text = format!("{} {} {} {} {}", fields.0, fields.1, fields.2, fields.3, fields.4);
            let schedule = schedule(&text).unwrap();
            let due = |at: NaiveDateTime| schedule.falls_on(at.date()) && schedule.is_at(at.hour() * 60 + at.minute());
            // A day of both kinds, with one of them any, comes within a dozen years at the latest.
            if let Some(next) = schedule.next(after) {
                prop_assert!(next > after && due(next), "{text}: {next}");
                let mut between = after + TimeDelta::minutes(1);
                while between < next && between < after + TimeDelta::days(3) {
                    prop_assert!(!due(between), "{text} is due at {between}, before {next}");
                    between += TimeDelta::minutes(1);
                }
            }
        }

        #[test]
        fn no_text_is_too_strange(fields in prop::array::uniform5("[-*/~,a-z0-9]{0,12}")) {
            let fields = [0, 1, 2, 3, 4].map(|index: usize| fields[index].as_str());
            if let Ok(schedule) = Schedule::parse(&fields, Rules { wraps: true, ..VIXIE }) {
                let after = at("2026-11-22 06:40");
                prop_assert!(schedule.next(after).is_none_or(|next| next > after));
            }
        }
    }
}
