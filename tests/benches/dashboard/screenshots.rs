//! The main pages as pictures, in `docs/screenshots`: of a small swarm in the middle of a run.

use crate::fleet;
use std::fs;
use std::path::Path;
use std::time::Duration;
use swarm_protocol::state::FailureClass;
use swarm_tests::browser::Browser;
use swarm_tests::plans::epoch;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/screenshots");

pub(crate) async fn run() {
    let swarm = fleet::swarm().await;
    let fleet = fleet::join(&swarm, 6).await;
    let run = swarm.run(epoch(), fleet::plan(8, 10)).await;
    fleet::build(&fleet, 50, |number| Duration::from_millis(100 + number as u64 * 7919 % 1500)).await;
    for (drone, _) in &fleet[..2] {
        let claim = drone.claim(5).await.unwrap();
        drone.start(&claim).await.unwrap();
        drone.fail(&claim, FailureClass::Package).await;
    }
    fleet::busy(&fleet).await;
    let work =
        swarm.admin.drones().await.unwrap().into_iter().find_map(|drone| drone.work.into_iter().next());
    let package = work.expect("a drone that builds").package;
    let browser = Browser::open(1200, 900).await;
    browser.go(&swarm.url()).await;
    browser.type_into("#token", &swarm.token).await;
    browser.click("main button").await;
    browser.until("the overview", "return document.querySelector('h1')?.textContent === 'The swarm'").await;
    fs::create_dir_all(DIRECTORY).unwrap();
    let pages = [
        ("overview", "/".to_owned()),
        ("run", format!("/runs/{run}")),
        ("timeline", format!("/runs/{run}/timeline")),
        ("package", format!("/packages/{package}")),
        ("drone", "/drones/drone-00".to_owned()),
    ];
    for (name, path) in &pages {
        browser.go(&format!("{}{path}", swarm.url())).await;
        save(&browser, name).await;
    }
    browser.dark().await;
    browser.go(&swarm.url()).await;
    save(&browser, "overview-dark").await;
    browser.telephone(390, 844).await;
    save(&browser, "overview-telephone").await;
}

async fn save(browser: &Browser, name: &str) {
    fs::write(Path::new(DIRECTORY).join(format!("{name}.png")), browser.screenshot().await).unwrap();
}
