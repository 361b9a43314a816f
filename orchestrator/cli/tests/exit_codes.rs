//! The real binary against a server that is not there, or that says what it is told to say: what a script sees.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails; clippy knows only the #[test] functions"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn swarm(url: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm"));
    command.env_clear().env("HOME", "/nonexistent").env("SWARM_URL", url).env("SWARM_TOKEN", "secret");
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

fn ends(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    (stdout, stderr)
}

/// A URL at which nobody listens: tcpmux has left this world, and no test is ever given a port that low.
const NOBODY: &str = "http://127.0.0.1:1";

/// A server that gives the answers in turn, the last one for ever. It ends with the test's process.
fn server(answers: Vec<(u16, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let last = answers.last().cloned();
        let answers = answers.into_iter().chain(std::iter::repeat_with(|| last.clone().unwrap()));
        for (connection, (status, body)) in listener.incoming().zip(answers) {
            answer(&connection.unwrap(), status, &body);
        }
    });
    url
}

fn answer(mut connection: &TcpStream, status: u16, body: &str) {
    let head = BufReader::new(connection).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let head: Vec<String> = head.collect();
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("authorization: Bearer secret")), "{head:?}");
    let length = body.len();
    write!(connection, "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .unwrap();
}

fn problem(status: u16, code: &str, detail: &str) -> (u16, String) {
    let text = format!(
        r#"{{"type":"about:blank","title":"T","status":{status},"code":"{code}","detail":"{detail}"}}"#
    );
    (status, text)
}

fn run(state: &str, received: u32) -> (u16, String) {
    let counts = format!(
        r#"{{"total":2,"needed":0,"ready":0,"delegated":0,"received":{received},"blocked":0,"quarantined":0,
            "kept":0,"attempted":2,"succeeded":1,"failed":0}}"#
    );
    let text = format!(
        r#"{{"id":7,"target":"demo","state":"{state}","epoch":"{}","generation":null,"reason":null,
            "created_at":"2025-11-21T08:00:00Z","ended_at":null,"counts":{counts}}}"#,
        "0".repeat(64)
    );
    (200, text)
}

#[test]
fn a_server_that_is_not_there_is_a_failure_that_says_what_to_do() {
    let (stdout, stderr) = ends(&swarm(NOBODY, "drones").output().unwrap(), 1);
    assert_eq!(stdout, "");
    assert!(stderr.starts_with("swarm: the orchestrator was not reached; is it running"), "{stderr}");
    assert!(stderr.ends_with("(unavailable)\n"), "{stderr}");
}

#[test]
fn a_script_gets_the_problem_as_json() {
    let (stdout, _) = ends(&swarm(NOBODY, "drones --json").output().unwrap(), 1);
    let problem: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&"unavailable".into(), &503.into()));
}

#[test]
fn without_a_token_nothing_is_asked() {
    let (_, stderr) = ends(&swarm(NOBODY, "drones").env_remove("SWARM_TOKEN").output().unwrap(), 6);
    assert!(stderr.starts_with("swarm: there is no token: give --token-file"), "{stderr}");
    let (_, stderr) = ends(&swarm(NOBODY, "drones --token-file /nonexistent/token").output().unwrap(), 6);
    assert!(stderr.contains("/nonexistent/token"), "{stderr}");
}

#[test]
fn wrong_usage() {
    ends(&swarm(NOBODY, "fly").output().unwrap(), 2);
    ends(&swarm(NOBODY, "run start demo --epoch /nonexistent/epoch.json").output().unwrap(), 2);
    ends(&swarm(NOBODY, "run start demo --epoch - --plan -").output().unwrap(), 2);
    let (_, stderr) = ends(&swarm(NOBODY, "run start demo --epoch -").output().unwrap(), 2);
    assert!(stderr.starts_with("swarm: standard input is no epoch: "), "{stderr}");
}

#[test]
fn refusals_of_the_server() {
    for (status, code, exit) in [
        (404, "not_found", 5),
        (401, "unauthenticated", 6),
        (403, "forbidden", 6),
        (409, "wrong_state", 1),
        (422, "plan_cycle", 2),
        (503, "unavailable", 1),
    ] {
        let url = server(vec![problem(status, code, "there is no such run")]);
        let (_, stderr) = ends(&swarm(&url, "run show 7").output().unwrap(), exit);
        assert_eq!(stderr, format!("swarm: there is no such run ({code})\n"));
    }
}

#[test]
fn an_answer_that_is_not_the_orchestrators() {
    let page = "<html>It works!</html>".to_owned();
    for status in [200, 404] {
        let (_, stderr) = ends(&swarm(&server(vec![(status, page.clone())]), "drones").output().unwrap(), 1);
        assert!(stderr.ends_with("(internal)\n"), "{stderr}");
    }
}

fn page(first: u32, count: u32, cursor: &str, more: bool) -> (u16, String) {
    let event = |id| {
        format!(
            r#"{{"id":{id},"at":"2025-11-21T08:00:00Z","kind":"run.started","run":7,"target":"demo","package":null,
                "cpv":null,"attempt":null,"drone":null,"drone_name":null,"data":{{}}}}"#
        )
    };
    let events = (first..first + count).map(event).collect::<Vec<_>>().join(",");
    (200, format!(r#"{{"events":[{events}],"cursor":"{cursor}","more":{more}}}"#))
}

#[test]
fn watching_ends_with_the_run() {
    for (state, exit) in [("promoted", 0), ("frozen", 3), ("failed", 4), ("cancelled", 4), ("superseded", 4)]
    {
        let url = server(vec![page(1, 0, "1:0", false), run(state, 1)]);
        let (stdout, _) = ends(&swarm(&url, "run watch 7").output().unwrap(), exit);
        assert!(stdout.contains(&format!("Run 7 of demo is {state}")), "{stdout}");
    }
}

#[test]
fn watching_shows_changes_and_survives_a_restart() {
    let news = |id| page(id, 1, &format!("1:{id}"), false);
    let answers = vec![
        page(1, 0, "1:0", false),
        run("building", 1),
        problem(503, "unavailable", "starting"),
        news(1),
        run("building", 1),
        news(2),
        problem(503, "unavailable", "starting"),
        run("building", 2),
        news(3),
        run("promoted", 2),
    ];
    let (stdout, stderr) = ends(&swarm(&server(answers), "run watch 7 --json").output().unwrap(), 0);
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states: Vec<_> = lines.iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["building", "building", "promoted"]);
    let away = "swarm: the orchestrator does not answer; trying on\nswarm: the orchestrator answers again\n";
    assert_eq!(stderr, away.repeat(2));
}

#[test]
fn all_events_are_one_document() {
    let url = server(vec![page(1, 3, "1:3", true), page(4, 3, "1:6", true), page(7, 1, "1:7", false)]);
    let (stdout, _) = ends(&swarm(&url, "events --all --json").output().unwrap(), 0);
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((answer["events"].as_array().unwrap().len(), &answer["cursor"]), (7, &"1:7".into()));
}

#[test]
fn a_world_file_that_is_none_is_refused_before_anything_is_asked() {
    let root = tempfile::tempdir().unwrap();
    let push = format!("target push demo --root {}", root.path().display());
    let (_, stderr) = ends(&swarm(NOBODY, &push).output().unwrap(), 2);
    assert!(stderr.contains("var/lib/portage/world: No such file"), "{stderr}");
    std::fs::create_dir_all(root.path().join("var/lib/portage")).unwrap();
    std::fs::write(root.path().join("var/lib/portage/world"), "app-misc/jq\njq-1.7\n").unwrap();
    let (_, stderr) = ends(&swarm(NOBODY, &push).output().unwrap(), 2);
    assert!(stderr.contains("world:2: \"jq-1.7\" is no atom"), "{stderr}");
}

#[test]
fn a_log_comes_as_it_is_and_a_reader_may_leave() {
    let log = "\u{1b}[32m>>>\u{1b}[0m Emerging\n".repeat(100_000);
    let url = server(vec![(200, log.clone())]);
    let (stdout, _) = ends(&swarm(&url, "log 31").output().unwrap(), 0);
    assert!(stdout == log, "the log was changed");

    let mut child = swarm(&url, "log 31").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (_, stderr) = ends(&child.wait_with_output().unwrap(), 1);
    assert_eq!(stderr, "");
}

#[test]
fn the_token_file_is_read_and_its_token_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file: &Path = &directory.path().join("token");
    std::fs::write(file, "secret\n").unwrap();
    let mut command = swarm(&server(vec![(200, "[]".to_owned())]), "target list");
    let output = command.env_remove("SWARM_TOKEN").env("SWARM_TOKEN_FILE", file).output().unwrap();
    let (stdout, _) = ends(&output, 0);
    assert_eq!(stdout, "There is no target yet; `swarm target push NAME` makes one.\n");
}
