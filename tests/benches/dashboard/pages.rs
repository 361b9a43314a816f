//! How long pages take and how large they are: 5,000 packages, half of them received, 100 drones that build. And how long
//! `swarm status` takes then, beside a curl that throws the same answer away.

use crate::{fleet, report};
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use swarm_tests::cli;
use swarm_tests::pages::Reader;
use swarm_tests::plans::epoch;
use swarm_tests::swarm::{Swarm, target};

const LAYERS: usize = 25;
const WIDTH: usize = 200;
const DRONES: usize = 100;
/// Each page is read so often.
const READS: usize = 40;
/// Of the log, of 64 KiB each.
const CHUNKS: i32 = 1600;

pub(crate) async fn run() {
    let swarm = fleet::swarm().await;
    let fleet = fleet::join(&swarm, DRONES).await;
    let run = swarm.run(epoch(), fleet::plan(LAYERS, WIDTH)).await;
    fleet::build(&fleet, LAYERS * WIDTH / 2, |_| Duration::ZERO).await;
    fleet::busy(&fleet).await;
    let work =
        swarm.admin.drones().await.unwrap().into_iter().find_map(|drone| drone.work.into_iter().next());
    let work = work.expect("a drone that builds");
    large_log(&swarm, work.attempt.0).await;
    let paths = [
        "/".to_owned(),
        "/runs".to_owned(),
        format!("/runs/{run}"),
        format!("/runs/{run}?state=needed&name=lib4"),
        format!("/runs/{run}/timeline"),
        format!("/packages/{}", work.package),
        format!("/attempts/{}/log", work.attempt),
        "/drones".to_owned(),
        "/drones/drone-00".to_owned(),
        format!("/targets/{}/generations", target()),
        "/health".to_owned(),
        "/events".to_owned(),
    ];
    let reader = Reader::viewer(&swarm).await;
    for path in paths {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..READS {
            let began = Instant::now();
            bytes = reader.read(&path).await.len();
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        report::line(&json!({
            "name": "page", "path": path, "packages": LAYERS * WIDTH, "drones": DRONES, "unit": "ms",
            "bytes": bytes, "whole": report::percentiles(&times),
        }));
    }
    status(&swarm);
}

/// The two take turns, so that both find the machine the same.
fn status(swarm: &Swarm) {
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..READS {
        let mut curl = Command::new("curl");
        // The token is a throw-away of this bench.
        let header = format!("Authorization: Bearer {}", swarm.token);
        curl.args(["-sS", "-f", "-o", "/dev/null", "-H", &header, &format!("{}/api/v1/status", swarm.url())]);
        ours.push(wall(cli::command(swarm, "status")));
        peers.push(wall(curl));
    }
    let ratios: Vec<_> = ours.iter().zip(&peers).map(|(ours, peer)| ours / peer).collect();
    report::line(&json!({
        "name": "status", "packages": LAYERS * WIDTH, "drones": DRONES, "unit": "ms",
        "swarm_status": report::percentiles(&ours), "curl": report::percentiles(&peers),
        "ratio": report::spread(&ratios),
    }));
}

fn wall(mut command: Command) -> f64 {
    let began = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
    began.elapsed().as_secs_f64() * 1000.0
}

async fn large_log(swarm: &Swarm, attempt: i64) {
    let text = "x86_64-pc-linux-gnu-gcc -O2 -pipe -march=x86-64-v3 -c -o part.o part.c\n".repeat(900);
    sqlx::query(
        "INSERT INTO log_chunks (attempt_id, sequence, day, zstd)
         SELECT id, chunk, (claimed_at AT TIME ZONE 'UTC')::date, $3 FROM attempts, generate_series(0, $2 - 1) AS chunk
         WHERE id = $1",
    )
    .bind(attempt)
    .bind(CHUNKS)
    .bind(zstd::bulk::compress(text.as_bytes(), 3).unwrap())
    .execute(&swarm.database.pool)
    .await
    .unwrap();
}
