//! The real `swarm`, as a person or a script types it.

use crate::process::binary;
use crate::swarm::Swarm;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// `swarm` with these arguments, which stand between blanks.
#[must_use]
pub fn command(swarm: &Swarm, line: &str) -> Command {
    let mut command = Command::new(binary("swarm"));
    command.env_clear().env("SWARM_URL", swarm.url()).env("SWARM_TOKEN", &swarm.token);
    command.args(line.split_whitespace()).stdin(Stdio::null());
    command
}

/// Types a line, and waits for its end.
pub async fn types(swarm: &Swarm, line: &str) -> Said {
    let mut command = command(swarm, line);
    tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
}

/// The same with something on standard input.
pub async fn types_with(swarm: &Swarm, line: &str, input: &str) -> Said {
    let mut command = command(swarm, line);
    let input = input.to_owned();
    let typed = move || {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    };
    tokio::task::spawn_blocking(typed).await.unwrap()
}

/// Types a line that must succeed; what it said to people.
pub async fn ok(swarm: &Swarm, line: &str) -> String {
    let said = types(swarm, line).await;
    assert_eq!(said.code, 0, "swarm {line}: {said:?}");
    said.stdout
}

/// Types a line that must succeed, with `--json`.
pub async fn json(swarm: &Swarm, line: &str) -> Value {
    serde_json::from_str(&ok(swarm, &format!("{line} --json")).await).unwrap()
}
