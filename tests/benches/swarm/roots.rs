//! What a clean root costs beside the build in it: the base root of the Gentoo box, and `true` for a build.
//!
//! | part | what |
//! |---|---|
//! | `made` | the attempt's directories |
//! | `ran` | `__enter`, the overlay, bwrap with its namespaces and binds, `true`, and the end of all of it |
//! | `removed` | the directories again |
//!
//! And a look of the watchdog at the processes of this machine, which a build pays five times a second.

use crate::report;
use build_drone::config::Config;
use build_drone::limits::Limits;
use build_drone::root::process::Watch;
use build_drone::root::{AttemptDir, Command, End, Foundation, Guard, Launcher, tree};
use serde_json::json;
use std::time::{Duration, Instant};
use swarm_tests::process::binary;
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 200;
const BASE: &str = "/var/cache/build-swarm/roots/base";

pub(crate) async fn run() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("drone.toml");
    let text = format!(
        "name = 'bench'\norchestrator_url = 'http://127.0.0.1:1'\ntoken_file = '/nowhere'\nbase_root = '{BASE}'\n\
         state_dir = '{}'\n[[bind]]\nsource = '/usr'\ntarget = '/mnt'\n",
        state.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let config = Config::load(&file, |_| None).unwrap();
    let (foundation, launcher) = (Foundation::own(&config), Launcher::of(&binary("build-drone")));
    let (mut made, mut ran, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let dir = AttemptDir::create(&config.state_dir.join("attempts"), "1").unwrap();
        made.push(milliseconds(begun));
        let begun = Instant::now();
        nothing(&foundation, &launcher, &dir).await;
        ran.push(milliseconds(begun));
        let begun = Instant::now();
        drop(dir);
        removed.push(milliseconds(begun));
    }
    report::line(&json!({
        "name": "roots", "unit": "ms", "n": ROUNDS, "made": report::percentiles(&made),
        "ran": report::percentiles(&ran), "removed": report::percentiles(&removed),
    }));
    let processes = tree::below(1).len();
    let looks = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        assert!(!tree::below(std::process::id()).is_empty());
        milliseconds(begun)
    });
    let looks: Vec<_> = looks.collect();
    report::line(&json!({
        "name": "watchdog", "unit": "ms", "n": ROUNDS, "processes": processes, "look": report::percentiles(&looks),
    }));
}

async fn nothing(foundation: &Foundation, launcher: &Launcher, dir: &AttemptDir) {
    let guard = Guard::new(Limits::of_machine(1 << 30, 1));
    let watch = Watch {
        output: &mut |_| {},
        started: &mut |_| {},
        guard: Some(&guard),
        deadline: tokio::time::Instant::now() + Duration::from_mins(1),
        cancel: &CancellationToken::new(),
    };
    let command = Command { argv: vec!["true".to_owned()], ..Command::default() };
    let end =
        launcher.run(foundation, dir, "true", foundation.mounts().to_vec(), &command, watch).await.unwrap();
    assert_eq!(end, End::Exit(0));
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}
