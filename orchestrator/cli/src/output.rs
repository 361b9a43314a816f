//! Standard output: one document per command, a text for people or the API's JSON.

use crate::exit::Exit;
use crate::failure::Failure;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// JSON, or text for people.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether scripts read it.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether a line can be written over.
    pub(crate) fn is_terminal(self) -> bool {
        !self.json && std::io::stdout().is_terminal()
    }

    /// Shows `value`: as it is to scripts, through `text` to people.
    pub(crate) fn show<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let document = if self.json { pretty(value)? } else { printable(&text(value)) };
        raw(format!("{}\n", document.trim_end_matches('\n')).as_bytes())
    }

    /// Tells the failure, and what to exit with.
    pub(crate) fn failure(self, failure: &Failure) -> Exit {
        let Failure::Problem { exit, problem } = failure else { return Exit::Failed };
        say(&problem.to_string());
        if self.json
            && let Ok(line) = serde_json::to_string(problem)
        {
            // The sentence is out already; if this fails too, the exit code still tells.
            let _ = raw(format!("{line}\n").as_bytes());
        }
        *exit
    }
}

/// A sentence beside the answer, on standard error.
pub(crate) fn say(sentence: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "swarm: {}", printable(sentence));
}

/// Bytes as they are.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// One line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::internal(error.to_string()))
}

fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::internal(error.to_string()))
}

/// Text without control characters: drones and builds write some of it, and must not steer a person's terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_build_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\u{9b}1m\rb\nc"), "a\u{fffd}[2J\u{fffd}1m\u{fffd}b\nc");
    }
}
