//! Programs that are told: a command of the configuration, or sendmail. Their arguments stand in the configuration; whatever
//! comes from elsewhere goes through standard input.

use super::SendError;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::{ExitStatus, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a program gets of our environment: the rest may hold secrets of ours.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// A program that has not ended, with all that it started. What it leaves behind when it ends is its own: a sendmail may
/// deliver in the background.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs `argv` with `input`. Whoever drops this ends it, with all that it started.
pub(super) async fn run(argv: &[String], input: &[u8]) -> Result<(), SendError> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| SendError("there is no program".to_owned()))?;
    let environment = ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| SendError(format!("cannot run {program}: {error}")))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group(group);
    if let Some(mut stdin) = child.stdin.take() {
        // A program need not read all of it: how it ends is what counts.
        let _ = stdin.write_all(input).await;
    }
    let status = child.wait().await.map_err(|error| SendError(format!("{program} is lost: {error}")))?;
    group.0 = None;
    if status.success() { Ok(()) } else { Err(SendError(format!("{program} ended with {}", how(status)))) }
}

fn how(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn a_program_gets_its_input_and_none_of_our_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        run(&sh(&format!("cat > {0}; env >> {0}", out.display())), b"hello\n").await.unwrap();
        let said = std::fs::read_to_string(out).unwrap();
        assert!(said.starts_with("hello\n") && said.contains("PATH="), "{said}");
        assert!(!said.contains("CARGO"), "{said}");
    }

    #[tokio::test]
    async fn how_it_ends_is_what_counts() {
        let long = vec![b'x'; 1 << 20];
        run(&sh("exit 0"), &long).await.unwrap();
        assert_eq!(run(&sh("exit 3"), b"").await.unwrap_err().0, "/bin/sh ended with exit status 3");
        let missing = run(&["/nowhere".to_owned()], b"").await.unwrap_err();
        assert!(missing.0.starts_with("cannot run /nowhere: "), "{missing:?}");
    }
}
