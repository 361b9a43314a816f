//! The dialect of Dillon's cron: crontab(1) of dcron, and its `database.c`. No line names an account, not even in
//! /etc/cron.d, and no line sets a variable.
//!
//! ```text
//! 17 3 * * *       env SWARM_URL=http://queen:8400 swarm nightly desktop
//! @daily ID=swarm  swarm nightly desktop
//! ```

use super::schedule::{Rules, Schedule};
use super::table::{Fault, Job, Table, When, five_fields, word};
use std::collections::BTreeMap;

const RULES: Rules = Rules { either_day: false, wraps: true, chooses: false };

/// Words before a command that are options.
const TAGS: [&str; 3] = ["ID=", "AFTER=", "FREQ="];
/// Times that need a name, under which it is noted when they were last.
const FREQUENCIES: [&str; 5] = ["hourly", "daily", "weekly", "monthly", "yearly"];

/// Reads a table.
pub(super) fn read(text: &str) -> Table {
    let mut table = Table::default();
    for (index, text) in text.lines().enumerate() {
        let (line, text) = (index + 1, text.trim_start());
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match job(text) {
            Ok((when, command)) => {
                table.jobs.push(Job { line, when, account: None, command, variables: BTreeMap::new() });
            }
            Err(why) => table.faults.push(Fault { line, text: text.to_owned(), why, whole: false }),
        }
    }
    table
}

fn job(line: &str) -> Result<(When, String), String> {
    let (mut when, mut rest) = time(line)?;
    let mut named = false;
    while let Some(tag) = TAGS.iter().find(|tag| rest.starts_with(**tag)) {
        let (option, after) = word(rest);
        named |= *tag == "ID=" && option.len() > tag.len();
        if *tag == "FREQ=" {
            when = When::Own(format!("{when} {option}"));
        }
        rest = after;
    }
    let repeated =
        matches!(&when, When::Own(words) if words.contains("FREQ=") || FREQUENCIES.contains(&&words[1..]));
    if repeated && !named {
        return Err("it wants a name, as in `@daily ID=swarm COMMAND`".to_owned());
    }
    if rest.is_empty() { Err("it has no command".to_owned()) } else { Ok((when, rest.trim_end().to_owned())) }
}

fn time(line: &str) -> Result<(When, &str), String> {
    if let Some(line) = line.strip_prefix('@') {
        let (name, rest) = word(line);
        let when = match name {
            "reboot" => When::Boot,
            "noauto" => When::Own("never by itself".to_owned()),
            name if FREQUENCIES.contains(&name) => When::Own(format!("@{name}")),
            _ => return Err(format!("`@{name}` is no time")),
        };
        return Ok((when, rest));
    }
    let (fields, rest) = five_fields(line).map_err(|why| match line.split_once('=') {
        Some((name, _)) if !name.contains(char::is_whitespace) => {
            format!("dcron sets no variables: `env {line} COMMAND` does")
        }
        _ => why,
    })?;
    Ok((When::At(Schedule::parse(&fields, RULES)?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(text: &str) -> Vec<String> {
        read(text).told()
    }

    #[test]
    fn the_entry_that_comes_with_it() {
        let [entry] = &told(include_str!("../../../../cron/dcron"))[..] else { panic!("one entry") };
        assert!(
            entry.starts_with("2: 17 3 * * *: env SWARM_URL=") && entry.ends_with("nightly desktop --wait")
        );
    }

    #[test]
    fn an_account_is_taken_for_the_command() {
        assert_eq!(
            told("17 3 * * * root swarm nightly desktop"),
            ["1: 17 3 * * *: root swarm nightly desktop"]
        );
    }

    #[test]
    fn what_is_special() {
        let text = "SWARM_URL=http://q:1\n@daily swarm nightly a\n@daily ID=swarm swarm nightly b\n\
                    * * * * * ID=x FREQ=1d/1h swarm nightly c\n@reboot x\n@noauto ID=y z\n0 22-3 * * * w\n@never\n";
        assert_eq!(
            told(text),
            [
                "3: @daily: swarm nightly b",
                "4: * * * * * FREQ=1d/1h: swarm nightly c",
                "5: @reboot: x",
                "6: never by itself: z",
                "7: 0 22-3 * * *: w",
                "1: dcron sets no variables: `env SWARM_URL=http://q:1 COMMAND` does",
                "2: it wants a name, as in `@daily ID=swarm COMMAND`",
                "8: `@never` is no time",
            ]
        );
    }

    proptest! {
        #[test]
        fn each_line_is_an_entry_or_a_fault(text in "([ -~]{0,30}\n){0,6}") {
            let table = read(&text);
            let plain = |line: &&str| !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
            prop_assert_eq!(table.jobs.len() + table.faults.len(), text.lines().filter(plain).count());
        }
    }
}
