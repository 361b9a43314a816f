//! Whether the command of a cron entry is a nightly update. As much of the shell as such lines have; the arguments are read
//! by the parser that `swarm` itself uses.

use crate::arguments::{Arguments, Command};
use crate::commands::nightly::Update;
use clap::Parser;
use std::collections::BTreeMap;

/// Programs that run another one, and where that one may stand among their arguments.
const WRAPPERS: &[&str] = &[
    "chronic",
    "chrt",
    "command",
    "doas",
    "env",
    "exec",
    "flock",
    "ionice",
    "nice",
    "nohup",
    "setsid",
    "sudo",
    "systemd-cat",
    "systemd-inhibit",
    "taskset",
    "time",
    "timeout",
];
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "ksh", "zsh"];

/// What a command starts.
#[derive(Debug)]
pub(crate) enum Starts {
    /// A nightly update.
    Nightly(Call),
    /// `swarm nightly` with arguments that it refuses, and why.
    Refused(String),
    /// Something that has `swarm nightly …` as its arguments.
    Behind(String),
    /// Something else.
    Other,
}

/// A call of `swarm nightly`.
#[derive(Debug)]
pub(crate) struct Call {
    /// The program, as it is called.
    pub(crate) program: String,
    /// Its arguments.
    pub(crate) update: Update,
    /// The variables that the line sets for it.
    pub(crate) variables: BTreeMap<String, String>,
}

/// Reads a command line.
pub(crate) fn read(line: &str) -> Starts {
    let mut behind = Starts::Other;
    for words in simple_commands(line) {
        match simple(&words) {
            Starts::Other => {}
            Starts::Behind(program) => behind = Starts::Behind(program),
            found => return found,
        }
    }
    behind
}

fn simple(words: &[String]) -> Starts {
    let mut variables = BTreeMap::new();
    let mut rest = words;
    loop {
        let Some((first, after)) = rest.split_first() else { return Starts::Other };
        let name = base(first);
        if let Some((name, value)) = assignment(first) {
            variables.insert(name.to_owned(), value.to_owned());
        } else if name == "swarm" {
            return call(first, after, variables);
        } else if SHELLS.contains(&name) {
            let script = after.iter().skip_while(|word| *word != "-c").nth(1);
            return script.map_or(Starts::Other, |script| read(script));
        } else if WRAPPERS.contains(&name) {
            // Its options have values of their own: what comes next is the program, or an assignment before it.
            let next = after.iter().position(|word| base(word) == "swarm" || assignment(word).is_some());
            let shell = after.iter().position(|word| SHELLS.contains(&base(word)));
            let Some(next) = next.into_iter().chain(shell).min() else { return Starts::Other };
            rest = &after[next..];
            continue;
        } else {
            let hidden = after.windows(2).any(|pair| base(&pair[0]) == "swarm" && pair[1] == "nightly");
            return if hidden { Starts::Behind(first.clone()) } else { Starts::Other };
        }
        rest = after;
    }
}

fn call(program: &str, arguments: &[String], variables: BTreeMap<String, String>) -> Starts {
    let line = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    match Arguments::try_parse_from(line) {
        Ok(Arguments { command: Command::Nightly(update), .. }) => {
            Starts::Nightly(Call { program: program.to_owned(), update, variables })
        }
        Err(error) if arguments.iter().any(|word| word == "nightly") => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Starts::Refused(first.trim_start_matches("error: ").to_owned())
        }
        _ => Starts::Other,
    }
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(plain))
        .then_some((name, value))
}

/// The words of each simple command of a line, without redirections.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![vec![]];
    let (mut word, mut quote, mut is_word) = (String::new(), None, false);
    let mut letters = line.chars().peekable();
    let end = |word: &mut String, is_word: &mut bool, commands: &mut Vec<Vec<String>>| {
        if std::mem::take(is_word)
            && let Some(command) = commands.last_mut()
        {
            command.push(std::mem::take(word));
        }
    };
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                word.extend(letters.next());
                is_word = true;
            }
            (letter, Some(open)) if letter == open => quote = None,
            (letter, Some(_)) => word.push(letter),
            ('\'' | '"', None) => {
                quote = Some(letter);
                is_word = true;
            }
            ('#', None) if !is_word => break,
            ('&', None) if word.ends_with(['<', '>']) || letters.peek() == Some(&'>') => word.push(letter),
            (';' | '&' | '|' | '(' | ')' | '\n', None) => {
                end(&mut word, &mut is_word, &mut commands);
                commands.push(vec![]);
            }
            (letter, None) if letter.is_whitespace() => end(&mut word, &mut is_word, &mut commands),
            (letter, None) => {
                word.push(letter);
                is_word = true;
            }
        }
    }
    end(&mut word, &mut is_word, &mut commands);
    commands.into_iter().map(|words| without_redirections(&words)).collect()
}

/// `>>log`, `2>&1`, and `> log`, whose file is a word of its own.
fn without_redirections(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut skip = false;
    for word in words {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        if std::mem::take(&mut skip) {
            continue;
        }
        if operator.starts_with(['<', '>']) {
            skip = operator.trim_start_matches(['<', '>', '|']).is_empty();
        } else {
            kept.push(word.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(line: &str) -> String {
        match read(line) {
            Starts::Nightly(Call { program, update, variables }) => {
                let variables: Vec<_> =
                    variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
                format!("{}{program} {}", variables.concat(), update.target)
            }
            Starts::Refused(why) => why,
            Starts::Behind(program) => format!("behind {program}"),
            Starts::Other => "other".to_owned(),
        }
    }

    #[test]
    fn what_a_line_starts() {
        for (line, starts) in [
            ("swarm nightly desktop --wait", "swarm desktop"),
            ("/usr/bin/swarm nightly desktop --wait >>/var/log/swarm.log 2>&1", "/usr/bin/swarm desktop"),
            ("swarm nightly desktop > log 2> 'other log'", "swarm desktop"),
            ("swarm --url http://queen:8400 nightly --every 12 desktop", "swarm desktop"),
            ("env SWARM_URL=http://q:1 swarm nightly desktop", "SWARM_URL=http://q:1 swarm desktop"),
            (
                "SWARM_TOKEN_FILE='/a b' nice -n 19 swarm nightly desktop",
                "SWARM_TOKEN_FILE=/a b swarm desktop",
            ),
            ("flock -n /run/lock/x timeout 6h swarm nightly desktop", "swarm desktop"),
            ("cd / && swarm nightly desktop || echo no", "swarm desktop"),
            ("sh -c 'A=1 swarm nightly desktop'", "A=1 swarm desktop"),
            ("nice sh -c \"exec swarm nightly desktop\"", "swarm desktop"),
            ("root swarm nightly desktop", "behind root"),
            ("echo done; root /usr/bin/swarm nightly desktop", "behind root"),
            ("swarm nightlies desktop", "other"),
            ("swarm status # swarm nightly desktop", "other"),
            ("echo 'swarm nightly desktop'", "other"),
            ("swarm nightly", "the following required arguments were not provided:"),
            ("swarm nightly desktop --wiat", "unexpected argument '--wiat' found"),
            ("", "other"),
        ] {
            assert_eq!(told(line), starts, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in "[ -~\\n]{0,60}") {
            read(&line);
        }

        #[test]
        fn quoting_changes_nothing(target in "[a-z][a-z0-9]{0,8}", before in "( |A=b |nice |cd /; ){0,2}") {
            for line in [
                format!("{before}swarm nightly {target}"),
                format!("{before}swarm 'nightly' \"{target}\""),
                format!("{before}sw\\arm  nightly\t{target} 2>&1 >>log"),
            ] {
                prop_assert!(
                    matches!(read(&line), Starts::Nightly(call) if call.update.target.as_str() == target),
                    "{}", line
                );
            }
        }
    }
}
