//! What a cron table says, whatever its daemon's dialect.

use super::schedule::Schedule;
use std::collections::BTreeMap;
use std::fmt;

/// A table as its daemon reads it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The entries that it loads.
    pub(crate) jobs: Vec<Job>,
    /// The lines that it does not.
    pub(crate) faults: Vec<Fault>,
}

/// An entry.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its line, from 1 on.
    pub(crate) line: usize,
    /// When it is due.
    pub(crate) when: When,
    /// The account that the line names; else it is the account whose table it is.
    pub(crate) account: Option<String>,
    /// What the shell gets.
    pub(crate) command: String,
    /// The variables that the table sets before.
    pub(crate) variables: BTreeMap<String, String>,
}

#[cfg(test)]
impl Table {
    /// Its entries, and then its faults, a line each.
    pub(super) fn told(&self) -> Vec<String> {
        let jobs = self.jobs.iter().map(|Job { line, when, account, command, .. }| {
            let account = account.as_deref().map(|account| format!(" as {account}")).unwrap_or_default();
            format!("{line}: {when}{account}: {command}")
        });
        let faults = self.faults.iter().map(|Fault { line, why, whole, .. }| {
            format!("{line}: {why}{}", if *whole { ", and nothing is loaded" } else { "" })
        });
        jobs.chain(faults).collect()
    }
}

/// A line, or all lines, that the daemon does not load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line, from 1 on.
    pub(crate) line: usize,
    /// Its text.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) why: String,
    /// Whether the daemon ignores the whole table for it.
    pub(crate) whole: bool,
}

/// When an entry is due.
#[derive(Clone, Debug)]
pub(crate) enum When {
    /// At these minutes.
    At(Schedule),
    /// Only when the machine has started.
    Boot,
    /// At times that only the daemon knows, in its own words.
    Own(String),
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(schedule) => schedule.fmt(f),
            Self::Boot => f.write_str("@reboot"),
            Self::Own(words) => f.write_str(words),
        }
    }
}

/// The first five words, and what comes after them as it stands.
pub(super) fn five_fields(line: &str) -> Result<([&str; 5], &str), String> {
    let mut fields = [""; 5];
    let mut rest = line.trim_start();
    for field in &mut fields {
        (*field, rest) = word(rest);
    }
    if rest.is_empty() {
        Err("it has no command after five fields of time".to_owned())
    } else {
        Ok((fields, rest))
    }
}

/// The first word, and what comes after it.
pub(super) fn word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_start())
}

/// A variable that a line sets, as Vixie's `load_env` reads it: nothing but blanks around the `=`, perhaps in quotes.
pub(super) fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let bare = |text: &str| {
        let text = text.trim();
        let quoted = ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
        quoted.unwrap_or(text).to_owned()
    };
    let name = bare(name);
    (!name.is_empty() && !name.contains(char::is_whitespace)).then(|| (name, bare(value)))
}
