//! The dialect of Vixie's cron, as Debian's cron, cronie and bcron have it: crontab(5) of each, `entry.c` and `user.c` of
//! the first two, `crontab.c` of the third.
//!
//! ```text
//! SWARM_URL=http://queen:8400
//! 17 3 * * *  root  swarm nightly desktop      # in /etc/crontab and /etc/cron.d
//! 17 3 * * *  swarm nightly desktop            # in an account's own table
//! ```

use super::schedule::{Rules, Schedule};
use super::table::{Fault, Job, Table, When, five_fields, variable, word};
use std::collections::BTreeMap;

/// Whose cron it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Debian,
    Cronie,
    Bcron,
}

impl Dialect {
    /// A table with one wrong line is not loaded at all.
    fn is_all_or_nothing(self) -> bool {
        self == Self::Debian
    }

    /// The last line needs a newline at its end.
    fn wants_newline(self) -> bool {
        self != Self::Bcron
    }

    /// Words like `@daily` stand for times.
    fn knows_words(self) -> bool {
        self != Self::Bcron
    }

    /// `10~20` is chosen at random; a `-` before a line, and `-n` before a command, are options.
    fn is_extended(self) -> bool {
        self == Self::Cronie
    }
}

/// Reads a table; in a system's one, each line names its account.
pub(super) fn read(text: &str, system: bool, dialect: Dialect) -> Table {
    let mut table = Table::default();
    let mut variables = BTreeMap::new();
    let mut lines =
        text.split('\n').enumerate().map(|(index, line)| (index + 1, line.trim_start())).peekable();
    while let Some((line, text)) = lines.next() {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let mut fault = |why: String| {
            let whole = dialect.is_all_or_nothing();
            table.faults.push(Fault { line, text: text.to_owned(), why, whole });
        };
        // What follows the last newline is a line without one.
        if lines.peek().is_none() && dialect.wants_newline() {
            fault("the last line has no newline at its end".to_owned());
        } else if let Some((name, value)) = variable(text) {
            variables.insert(name, value);
        } else {
            match job(text, system, dialect) {
                Ok((when, account, command)) => {
                    table.jobs.push(Job { line, when, account, command, variables: variables.clone() });
                }
                Err(why) => fault(why),
            }
        }
    }
    if table.faults.iter().any(|fault| fault.whole) {
        table.jobs.clear();
    }
    table
}

fn job(line: &str, system: bool, dialect: Dialect) -> Result<(When, Option<String>, String), String> {
    let line = line.strip_prefix('-').filter(|_| dialect.is_extended()).unwrap_or(line);
    let (when, rest) = match line.strip_prefix('@') {
        Some(line) if dialect.knows_words() => {
            let (name, rest) = word(line);
            (named(name).ok_or_else(|| format!("`@{name}` is no time"))?, rest)
        }
        _ => {
            let (fields, rest) = five_fields(line)?;
            let rules = Rules { either_day: true, wraps: false, chooses: dialect.is_extended() };
            (When::At(Schedule::parse(&fields, rules)?), rest)
        }
    };
    let (account, command) = if system { word(rest) } else { ("", rest) };
    let command = command.strip_prefix("-n").filter(|_| dialect.is_extended()).unwrap_or(command);
    let command = first_line(command.trim());
    if command.is_empty() {
        return Err("it has no command".to_owned());
    }
    Ok((when, system.then(|| account.to_owned()), command))
}

/// Of a command, `%` ends what the shell gets; the rest is its standard input.
fn first_line(command: &str) -> String {
    let mut text = String::new();
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'%') => text.extend(letters.next()),
            '%' => break,
            letter => text.push(letter),
        }
    }
    text
}

fn named(word: &str) -> Option<When> {
    let fields = match word {
        "reboot" => return Some(When::Boot),
        "yearly" | "annually" => ["0", "0", "1", "1", "*"],
        "monthly" => ["0", "0", "1", "*", "*"],
        "weekly" => ["0", "0", "*", "*", "0"],
        "daily" | "midnight" => ["0", "0", "*", "*", "*"],
        "hourly" => ["0", "*", "*", "*", "*"],
        _ => return None,
    };
    let rules = Rules { either_day: true, wraps: false, chooses: false };
    Schedule::parse(&fields, rules).ok().map(When::At)
}

#[cfg(test)]
mod tests {
    use super::Dialect::{Bcron, Cronie, Debian};
    use super::*;
    use proptest::prelude::*;

    fn told(text: &str, system: bool, dialect: Dialect) -> Vec<String> {
        read(text, system, dialect).told()
    }

    #[test]
    fn the_entry_that_comes_with_it() {
        let text = include_str!("../../../../cron/cronie");
        for dialect in [Debian, Cronie, Bcron] {
            let table = read(text, true, dialect);
            let [job] = &table.jobs[..] else { panic!("{table:?}") };
            assert_eq!(
                (job.account.as_deref(), job.command.as_str()),
                (Some("root"), "swarm nightly desktop --wait")
            );
            assert_eq!(job.variables["SWARM_TOKEN_FILE"], "/etc/build-swarm/admin.token");
            assert!(table.faults.is_empty());
        }
    }

    #[test]
    fn one_wrong_line_costs_itself_or_everything() {
        let text = "A = 'b c'\n0 3 * * * root one\n0 25 * * * root two\n@daily root three\n";
        assert_eq!(
            told(text, true, Cronie),
            ["2: 0 3 * * * as root: one", "4: 0 0 * * * as root: three", "3: `25` is no hour (0 to 23)"]
        );
        assert_eq!(told(text, true, Debian), ["3: `25` is no hour (0 to 23), and nothing is loaded"]);
        let words = told("@daily root x\n", true, Bcron);
        assert_eq!(words, ["1: it has no command after five fields of time"]);
    }

    #[test]
    fn the_last_line_wants_its_newline() {
        let text = "0 3 * * * one\n0 4 * * * two";
        assert_eq!(
            told(text, false, Cronie),
            ["1: 0 3 * * *: one", "2: the last line has no newline at its end"]
        );
        let all = "2: the last line has no newline at its end, and nothing is loaded";
        assert_eq!(told(text, false, Debian), [all]);
        assert_eq!(told(text, false, Bcron), ["1: 0 3 * * *: one", "2: 0 4 * * *: two"]);
    }

    #[test]
    fn what_is_special() {
        let text = "@reboot one\n-0 3 * * * -n two\n0 3 * * * date +\\%F %in\n0 3 * * *\n@never x\n";
        assert_eq!(
            told(text, false, Cronie),
            [
                "1: @reboot: one",
                "2: 0 3 * * *: two",
                "3: 0 3 * * *: date +%F ",
                "4: it has no command after five fields of time",
                "5: `@never` is no time"
            ]
        );
        assert_eq!(told("0 3 * * * root\n", true, Cronie), ["1: it has no command"]);
    }

    proptest! {
        #[test]
        fn each_line_is_an_entry_or_a_fault_or_sets_something(text in "([ -~]{0,30}\n){0,6}", system: bool) {
            let table = read(&text, system, Cronie);
            let plain = |line: &&str| !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
            let lines = text.lines().filter(plain).filter(|line| variable(line.trim_start()).is_none()).count();
            prop_assert_eq!(table.jobs.len() + table.faults.len(), lines);
        }
    }
}
