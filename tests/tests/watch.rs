//! `swarm watch` in a real terminal (tmux), against a real orchestrator: what it shows, what keys do, an orchestrator that
//! goes and comes back, and a terminal that is as it was afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use swarm_tests::cli::types;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::process::binary;
use swarm_tests::swarm::Swarm;
use swarm_tests::{plans, wait};

/// A tmux server of its own, with one pane.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Types into a shell that knows the swarm.
    fn open(swarm: &Swarm, line: &str) -> Self {
        let terminal = Self { socket: swarm.path().join("tmux") };
        let token = swarm.path().join("token");
        fs::write(&token, &swarm.token).unwrap();
        let script = format!(
            "export SWARM_URL={} SWARM_TOKEN_FILE={} PATH={}:$PATH; {line}; echo ended $?; stty -a; exec cat",
            swarm.url(),
            token.display(),
            binary("swarm").parent().unwrap().display()
        );
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "40", &script]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").arg("-S").arg(&self.socket).args(arguments).output().unwrap();
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen is so.
    async fn shows(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        wait::until(30, &format!("the screen to show {what}"), async || {
            let shown = self.shown();
            is_so(&shown).then_some(shown)
        })
        .await
    }

    /// It has ended, and the terminal takes lines again and shows what was there before.
    async fn is_restored(&self) {
        let shown = self
            .shows("the shell again", |shown| shown.contains("ended 0") && shown.contains("icanon"))
            .await;
        assert!(
            !shown.contains("-icanon") && !shown.contains("-echo ") && !shown.contains("Open runs"),
            "{shown}"
        );
        assert_eq!(self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim(), "0");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_follows_the_swarm_through_a_restart() {
    let mut swarm = Swarm::start().await;
    let terminal = Terminal::open(&swarm, "swarm watch");
    terminal
        .shows("an empty swarm", |shown| shown.contains("No run is open.") && shown.contains("box:"))
        .await;

    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    swarm.run(plans::epoch(), plans::flat(3)).await;
    let claim = drone.claim(30).await.unwrap();
    terminal
        .shows("the run, its drone and what happened", |shown| {
            shown.contains("0/3 received") && shown.contains("ant ") && shown.contains("run.started")
        })
        .await;
    drone.build(&claim).await;
    terminal.shows("progress", |shown| shown.contains("1/3 received")).await;

    // Why the drone has no work; help; and back.
    terminal.press("Tab");
    terminal.press("Enter");
    terminal.shows("an answer", |shown| shown.contains(" Why ") && shown.contains("ant: ")).await;
    // Alone: a terminal takes Escape and a key at once for that key with Alt.
    terminal.press("Escape");
    terminal.shows("the drones again", |shown| !shown.contains(" Why ")).await;
    terminal.press("?");
    terminal.shows("help", |shown| shown.contains("from pane to pane")).await;
    terminal.press("Escape");
    terminal.shows("the runs again", |shown| !shown.contains("from pane to pane")).await;

    // An orchestrator that does not answer holds up no key.
    swarm.orchestrator.as_ref().unwrap().signal(Signal::STOP);
    terminal.press("Enter");
    terminal.shows("that it asks", |shown| shown.contains("The swarm is asked")).await;
    terminal.press("Escape");
    terminal.shows("the drones again", |shown| !shown.contains("The swarm is asked")).await;
    swarm.orchestrator.as_ref().unwrap().signal(Signal::CONT);

    swarm.orchestrator.take().unwrap().kill();
    terminal.shows("that it is alone", |shown| shown.contains("not reached since")).await;
    swarm.start_orchestrator().await;
    terminal.shows("the swarm again", |shown| !shown.contains("not reached") && shown.contains("1/3")).await;
    terminal.press("q");
    terminal.is_restored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_restores_the_terminal_and_without_one_it_says_what_else_there_is() {
    let swarm = Swarm::start().await;
    let pid = swarm.path().join("pid");
    let line = format!("sh -c 'echo $$ >{}; exec swarm watch'", pid.display());
    let terminal = Terminal::open(&swarm, &line);
    terminal.shows("the screen", |shown| shown.contains("No run is open.")).await;
    let pid: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    terminal.is_restored().await;

    let said = types(&swarm, "watch").await;
    assert!(said.code == 2 && said.stderr.contains("`swarm status` says the same once"), "{said:?}");
}
