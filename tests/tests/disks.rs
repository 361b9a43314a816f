//! Disks that are nearly full: the binhost's, and the one where the private servers are. Each is a real, small file system.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use swarm_tests::cli::{ok, types};
use swarm_tests::disk::SmallDisk;
use swarm_tests::embedded::Embedded;
use swarm_tests::swarm::Swarm;
use swarm_tests::wait;

/// The lines of a swarm's metrics about disks.
async fn free_bytes(url: &str, token: &str) -> String {
    let scrape =
        reqwest::Client::new().get(format!("{url}/metrics")).bearer_auth(token).send().await.unwrap();
    let text = scrape.text().await.unwrap();
    let lines = text.split_inclusive('\n');
    lines.filter(|line| line.starts_with("swarm_disk_free_bytes{")).collect()
}

/// What alarms said in events of a kind.
async fn told(swarm: &Swarm, kind: &str) -> Vec<String> {
    let texts = sqlx::query_scalar("SELECT data->>'text' FROM events WHERE kind = $1 ORDER BY id").bind(kind);
    texts.fetch_all(&swarm.database.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binhosts_disk_is_an_alarm_until_there_is_room() {
    let disk = SmallDisk::new(64);
    let mut swarm = Swarm::start().await;
    let config = swarm.path().join("binhost.toml");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace(
        &swarm.binhost_directory().display().to_string(),
        &disk.path().join("binhost").display().to_string(),
    );
    fs::write(&config, format!("{text}[limits]\ndisk_low_bytes = {}\n", 32 << 20)).unwrap();
    swarm.binhost.take().unwrap().kill();
    swarm.start_binhost().await;
    wait::until(30, "the binhost's disk to be known", async || {
        free_bytes(&swarm.url(), &swarm.token).await.contains("disk=\"binhost\"").then_some(())
    })
    .await;
    assert!(!ok(&swarm, "status").await.contains("nearly full"));

    disk.fill_up_to(20);
    wait::until(30, "the alarm", async || {
        let raised = told(&swarm, "alarm.raised").await;
        raised
            .iter()
            .any(|text| text.contains("the binhost is degraded: its disk is nearly full: "))
            .then_some(())
    })
    .await;
    let said = types(&swarm, "doctor").await;
    assert!(said.code == 8 && said.stdout.contains("limits.disk_low_bytes asks for 32"), "{said:?}");

    disk.clear();
    wait::until(60, "the end of the alarm", async || {
        let over = told(&swarm, "alarm.ended").await;
        (over.iter().any(|text| text.contains("nearly full"))
            && !ok(&swarm, "status").await.contains("nearly full"))
        .then_some(())
    })
    .await;
    // It ends before its disk does.
    drop(swarm);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_servers_disk_is_an_alarm_until_there_is_room() {
    let disk = SmallDisk::new(512);
    let state = disk.path().join("state");
    let limits = format!("[limits]\ndisk_low_bytes = {}\n", 128 << 20);
    let mut swarm = Embedded::with(state.to_str().unwrap(), &limits);
    swarm.start().await;
    assert_eq!(swarm.degraded().await, Some(vec![]));
    let token = swarm.prints(&["token"]);
    assert!(free_bytes(&swarm.url(), &token).await.contains("disk=\"state_dir\""));

    disk.fill_up_to(100);
    let said = swarm.degraded().await.unwrap().concat();
    assert!(
        said.contains("the orchestrator's disk is nearly full: ") && said.contains("asks for 128"),
        "{said}"
    );
    assert!(said.contains("times.log_retention_days"), "it says what to do: {said}");

    disk.clear();
    assert_eq!(swarm.degraded().await, Some(vec![]));
}
