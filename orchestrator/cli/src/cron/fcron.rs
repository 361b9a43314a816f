//! The dialect of fcron: fcrontab(5), and its `fileconf.c`. Beside crontab's lines (with options after `&`) there are lines
//! by elapsed time (`@`) and by periods (`%`), whose times only fcron knows.
//!
//! ```text
//! SWARM_URL=http://queen:8400
//! &bootrun(true) 17 3 * * * swarm nightly desktop
//! @ 1d                      swarm nightly desktop
//! %nightly,mail(no) * 3-5   swarm nightly desktop
//! ```

use super::schedule::{Rules, Schedule};
use super::table::{Fault, Job, Table, When, five_fields, variable, word};
use std::collections::BTreeMap;

const RULES: Rules = Rules { either_day: false, wraps: true, chooses: false };

/// Reads a table.
pub(super) fn read(text: &str) -> Table {
    let mut table = Table::default();
    let mut variables = BTreeMap::new();
    for (index, text) in text.lines().enumerate() {
        let (line, text) = (index + 1, text.trim());
        let read = match text.chars().next() {
            None | Some('#' | '!') => continue,
            Some('&') => dated(word_with_parentheses(&text[1..]).1),
            Some('@') => elapsed(text),
            Some('%') => periodic(text),
            Some(first) if first.is_ascii_digit() || first == '*' => dated(text),
            Some(_) => match variable(text) {
                Some((name, value)) => {
                    variables.insert(name, value);
                    continue;
                }
                None => Err("it is neither an entry nor a variable".to_owned()),
            },
        };
        match read {
            Ok((when, command)) => {
                let command = command.to_owned();
                table.jobs.push(Job { line, when, account: None, command, variables: variables.clone() });
            }
            Err(why) => table.faults.push(Fault { line, text: text.to_owned(), why, whole: false }),
        }
    }
    table
}

fn dated(text: &str) -> Result<(When, &str), String> {
    let (fields, command) = five_fields(text)?;
    Ok((When::At(Schedule::parse(&fields, RULES)?), command))
}

/// `@OPTIONS 1d12h COMMAND`, or `@daily COMMAND`.
fn elapsed(text: &str) -> Result<(When, &str), String> {
    let (first, rest) = word_with_parentheses(text);
    let (time, command) = word(rest);
    let is_time = time.starts_with(|c: char| c.is_ascii_digit());
    let (when, command) =
        if is_time { (format!("{first} {time}"), command) } else { (first.to_owned(), rest) };
    let when = if first == "@reboot" { When::Boot } else { When::Own(when) };
    if command.is_empty() { Err("it has no command".to_owned()) } else { Ok((when, command)) }
}

/// `%PERIOD,OPTIONS FIELDS COMMAND`: how many fields there are depends on the period.
fn periodic(text: &str) -> Result<(When, &str), String> {
    let (_, mut command) = word_with_parentheses(text);
    while let (field, rest) = word(command)
        && !field.is_empty()
        && field.chars().all(|c| c.is_ascii_digit() || "*,-/~|".contains(c))
    {
        command = rest;
    }
    if command.is_empty() {
        return Err("it has no command".to_owned());
    }
    let when = text[..text.len() - command.len()].trim_end();
    Ok((When::Own(when.to_owned()), command))
}

/// As [`word`], but blanks within parentheses are part of it.
fn word_with_parentheses(text: &str) -> (&str, &str) {
    let mut depth = 0_u32;
    let end = text.find(|letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && letter.is_whitespace()
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (word, rest.trim_start())
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
        let table = read(include_str!("../../../../cron/fcron"));
        let [job] = &table.jobs[..] else { panic!("{table:?}") };
        assert_eq!(
            (job.when.to_string(), job.command.as_str()),
            ("17 3 * * *".into(), "swarm nightly desktop --wait")
        );
        assert_eq!(job.variables["SWARM_URL"], "http://queen:8400");
    }

    #[test]
    fn what_is_special() {
        let text = "!bootrun(true)\n@ 1d12h one\n@first(20),mail(no) 30 two words\n@daily three\n\
                    %nightly,lavg(1, 2) * 3-5 four\n&nice(5),exesev 0 3 * * * five\n@reboot six\nnonsense\n&x 0 99 * * * y\n";
        assert_eq!(
            told(text),
            [
                "2: @ 1d12h: one",
                "3: @first(20),mail(no) 30: two words",
                "4: @daily: three",
                "5: %nightly,lavg(1, 2) * 3-5: four",
                "6: 0 3 * * *: five",
                "7: @reboot: six",
                "8: it is neither an entry nor a variable",
                "9: `99` is no hour (0 to 23)",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "([ -~]{0,30}\n){0,6}") {
            let table = read(&text);
            prop_assert!(table.jobs.len() + table.faults.len() <= text.lines().count());
        }
    }
}
