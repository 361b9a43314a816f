//! How long it takes from the claim to the compiler when one line of one ebuild has changed: everything that a build must do
//! in a clean root before it compiles. The ebuild itself says when it gets there.
//!
//! | part | what |
//! |---|---|
//! | `from_claim` | from *claimed*, by Postgres's clock, which is this machine's |
//! | `fetch`, `install` | of that: asking Portage for the archives; installing the closure and checking the root |
//!
//! The drone has the archives and the closure's binaries from the round before, as a drone that rebuilds does.

use crate::report;
use serde_json::json;
use std::fs;
use std::path::Path;
use swarm_protocol::admin::{NewRun, NewTarget};
use swarm_protocol::plan::Plan;
use swarm_protocol::state::RunState;
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm};

const ROUNDS: usize = 5;
const PIGZ: &str = "app-arch/pigz-2.8";
const PLAN: &str = r#"{"packages": [
    {"cpv": "sys-libs/zlib-1.2.13", "slot": "0/1", "repository": "swarm-box"},
    {"cpv": "app-arch/pigz-2.8", "slot": "0", "repository": "swarm-box"}],
    "edges": [[1, 0, ["buildtime", "runtime"]]]}"#;
const MARK: &str = "the compiler begins at ";

pub(crate) async fn run() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let repository = machines::repository(&swarm);
    let ebuild = repository.join("app-arch/pigz/pigz-2.8.ebuild");
    let place = Place { repository: Some(&repository), ..Place::default() };
    let drone = DroneMachine::start_at(&swarm, "ant", place).await;
    let (mut from_claim, mut fetch, mut install) = (Vec::new(), Vec::new(), Vec::new());
    let original = fs::read_to_string(&ebuild).unwrap();
    for round in 0..=ROUNDS {
        change(&ebuild, &original, round);
        let rebuilt = rebuild(&swarm, &drone, round).await;
        // The first brings archives and binaries.
        if round > 0 {
            from_claim.push(rebuilt.from_claim);
            fetch.push(rebuilt.fetch);
            install.push(rebuilt.install);
        }
    }
    report::line(&json!({
        "name": "rebuild", "package": PIGZ, "unit": "s", "n": ROUNDS,
        "from_claim": report::spread(&from_claim), "fetch": report::spread(&fetch),
        "install": report::spread(&install),
    }));
}

/// The one line.
fn change(ebuild: &Path, original: &str, round: usize) {
    let line = format!("src_compile() {{\n\teinfo \"round {round}: {MARK}${{EPOCHREALTIME}}\"\n");
    fs::write(ebuild, original.replacen("src_compile() {\n", &line, 1)).unwrap();
}

struct Rebuilt {
    from_claim: f64,
    fetch: f64,
    install: f64,
}

async fn rebuild(swarm: &Swarm, drone: &DroneMachine, round: usize) -> Rebuilt {
    // A target of its own: a second run of one target would keep what the first built.
    let target = NewTarget {
        name: format!("round-{round}").parse().unwrap(),
        world: vec![],
        provided: machines::libc(),
    };
    swarm.admin.create_target(&target).await.unwrap();
    let plan: Plan = serde_json::from_str(PLAN).unwrap();
    let new = NewRun { epoch: Some(drone.epoch()), plan: Some(plan) };
    let run = swarm.admin.start_run(&target.name, &new).await.unwrap().id;
    swarm.run_reaches(run, RunState::Promoted, 300).await;
    let attempts = swarm.admin.attempts(swarm.package(run, PIGZ).await.id).await.unwrap();
    let [attempt] = attempts.as_slice() else { panic!("more than one attempt: {attempts:?}") };
    let log = swarm.admin.log(attempt.id).await.unwrap();
    let log = String::from_utf8_lossy(&log);
    let at = log.split_once(MARK).unwrap_or_else(|| panic!("it did not compile:\n{log}")).1;
    let compiler: f64 = at.split_whitespace().next().unwrap().parse().unwrap();
    let usage = attempt.usage.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 are exact")]
    let claimed = attempt.claimed_at.timestamp_micros() as f64 / 1e6;
    Rebuilt { from_claim: compiler - claimed, fetch: usage.fetch_seconds, install: usage.install_seconds }
}
