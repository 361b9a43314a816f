//! Completions in a real bash, manual pages in a real man.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails; clippy knows only the #[test] functions"
)]

use std::path::Path;
use std::process::{Command, Output};

fn swarm(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_swarm")).env_clear().args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// What bash offers at the end of a line, where `prev` is the word before the last one.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    let (current, before) = words.split_last().unwrap();
    let program = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={}; _swarm swarm '{current}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.join(" "),
        before.len(),
        before.last().unwrap()
    );
    let output = Command::new("bash").args(["--norc", "-euc", &program]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("swarm");
    std::fs::write(&script, swarm(&["completions", "bash"]).stdout).unwrap();
    assert_eq!(offered(&script, &["swarm", "nigh"]), ["nightly", "nightlies"]);
    assert_eq!(offered(&script, &["swarm", "token", "re"]), ["revoke"]);
    assert!(offered(&script, &["swarm", "nightly", "--ev"]).contains(&"--every".to_owned()));
}

#[test]
fn every_command_has_a_page_that_man_takes_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    swarm(&["man", directory.path().join("pages").to_str().unwrap()]);
    let pages: Vec<_> =
        std::fs::read_dir(directory.path().join("pages")).unwrap().map(|page| page.unwrap().path()).collect();
    let names: Vec<_> = pages.iter().map(|page| page.file_name().unwrap().to_str().unwrap()).collect();
    for name in ["swarm.1", "swarm-doctor.1", "swarm-target-push.1"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.contains(&"swarm-man.1"), "{names:?}");
    let output = Command::new("man")
        .args(["--warnings", "--local-file"])
        .args(&pages)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("swarm nightly desktop --wait"));
}
