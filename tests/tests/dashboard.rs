//! The dashboard in a real browser: signing in, live updates, logs, a rollback, the keyboard, a telephone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use swarm_protocol::drone::{Claim, LogChunk};
use swarm_protocol::state::{FailureClass, RunState};
use swarm_tests::browser::Browser;
use swarm_tests::cache;
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::plans;
use swarm_tests::swarm::{Swarm, target};

/// Names of keys (W3C `WebDriver`, 17.4.2).
const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

async fn signed_in(swarm: &Swarm, width: u32, height: u32) -> Browser {
    let browser = Browser::open(width, height).await;
    browser.go(&swarm.url()).await;
    browser.type_into("#token", &swarm.token).await;
    browser.click("main button").await;
    browser.until("the overview", "return document.querySelector('h1')?.textContent === 'The swarm'").await;
    browser
}

async fn open(browser: &Browser, swarm: &Swarm, path: &str) {
    browser.go(&format!("{}{path}", swarm.url())).await;
}

/// The stream is there: from now on nothing is missed.
async fn live(browser: &Browser) {
    browser
        .until("the page to be live", "return document.getElementById('pulse')?.textContent === 'live'")
        .await;
    // A reload would take this with it.
    browser.run("window.same = true").await;
}

async fn shows(browser: &Browser, text: &str) {
    let script =
        format!("return window.same && document.querySelector('main').innerText.includes({})", json!(text));
    browser.until(&format!("the page to show {text}"), &script).await;
}

async fn complains_of_nothing(browser: &Browser) {
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

async fn send(drone: &ScriptedDrone, claim: &Claim, sequence: i32, text: &str) {
    let zstd_base64 = BASE64_STANDARD.encode(zstd::bulk::compress(text.as_bytes(), 3).unwrap());
    let chunk = LogChunk { fence: drone.fence(claim), sequence, zstd_base64 };
    drone.client.log(claim.attempt, &chunk).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_seen_without_a_reload() {
    let swarm = Swarm::start().await;
    let browser = signed_in(&swarm, 1200, 900).await;
    live(&browser).await;
    let run = swarm.run(plans::epoch(), plans::plan(&["test/a-1", "test/b-1"], &[(1, 0)])).await;
    shows(&browser, &format!("Run {run}")).await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    shows(&browser, "ant").await;

    open(&browser, &swarm, &format!("/runs/{run}")).await;
    live(&browser).await;
    drone.build(&drone.claim(30).await.unwrap()).await;
    shows(&browser, "1 of 2 received").await;
    drone.build(&drone.claim(30).await.unwrap()).await;
    swarm.run_reaches(run, RunState::Promoted, 30).await;
    shows(&browser, "generation 1").await;
    complains_of_nothing(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_and_injects_nothing() {
    let swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    swarm.run(plans::epoch(), plans::plan(&["test/a-1"], &[])).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let hostile = "</pre><script>window.owned = 1</script><img src=/x onerror='window.owned = 1'>";
    send(&drone, &claim, 0, &format!("{hostile}\n\x1b]0;owned\x07x.c: error: {hostile}\n")).await;
    let browser = signed_in(&swarm, 1200, 900).await;
    open(&browser, &swarm, &format!("/attempts/{}/log", claim.attempt)).await;
    browser.until("to follow", "return document.getElementById('pulse').textContent === 'following'").await;
    browser.run("window.same = true").await;
    send(&drone, &claim, 1, &format!("  indented {hostile}\nfatal: the end\n")).await;
    shows(&browser, "fatal: the end").await;
    let tail = browser.run("return document.querySelector('[data-follow]').textContent").await;
    assert_eq!(tail, format!("  indented {hostile}\nfatal: the end\n"));
    browser.click("a[href='#error-1']").await;
    let found = browser.run("return document.querySelector(':target').textContent").await;
    assert!(found.as_str().unwrap().starts_with("x.c: error: </pre>"), "{found}");
    assert_eq!(browser.run("return window.owned ?? 0").await, 0);
    drone.fail(&claim, FailureClass::Package).await;
    let over = "return document.getElementById('pulse').textContent === 'the attempt has ended'";
    browser.until("the end to be told", over).await;
    complains_of_nothing(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_with_the_keyboard() {
    let swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    for cpv in ["test/a-1", "test/a-2"] {
        let run = swarm.run(plans::epoch(), plans::plan(&[cpv], &[])).await;
        drone.build(&drone.claim(30).await.unwrap()).await;
        swarm.run_reaches(run, RunState::Promoted, 30).await;
    }
    let browser = signed_in(&swarm, 1200, 900).await;
    open(&browser, &swarm, &format!("/targets/{}/generations", target())).await;
    let mut stops = Vec::new();
    while stops.last().is_none_or(|stop: &String| stop != "Roll back to 1") {
        browser.press(TAB).await;
        let stop = browser
            .run("return (document.activeElement.innerText || document.activeElement.name || '').trim()");
        stops.push(stop.await.as_str().unwrap().lines().next().unwrap_or_default().to_owned());
        assert!(stops.len() < 40, "the button is not reached: {stops:?}");
    }
    assert_eq!(stops[..2], ["To the content", "Overview"], "the way round the navigation comes first");
    browser.press(ENTER).await;
    let rolled_back = "return document.querySelector('main').innerText.includes('Roll back to 2')";
    browser.until("generation 3 to be current", rolled_back).await;
    complains_of_nothing(&browser).await;
}

/// What a reader of the page by ear stumbles over.
const STUMBLES: &str = r#"
    const stumbles = [];
    const name = (node) => node.outerHTML.slice(0, 80);
    if (document.documentElement.lang !== "en") stumbles.push("no language");
    if (document.querySelectorAll("main").length !== 1) stumbles.push("not one main");
    if (document.querySelectorAll("h1").length !== 1) stumbles.push("not one h1");
    let level = 1;
    for (const heading of document.querySelectorAll("h1, h2, h3")) {
        if (heading.tagName[1] > level + 1) stumbles.push("a level is skipped: " + name(heading));
        level = +heading.tagName[1];
    }
    for (const nav of document.querySelectorAll("nav")) if (!nav.ariaLabel) stumbles.push("a nav without name");
    for (const table of document.querySelectorAll("table")) {
        if (!table.caption) stumbles.push("a table without caption");
        for (const head of table.tHead.querySelectorAll("th")) if (head.scope !== "col") stumbles.push("no scope: " + name(head));
    }
    for (const field of document.querySelectorAll("input:not([type=hidden]), select"))
        if (!field.labels.length) stumbles.push("a field without label: " + name(field));
    for (const link of document.querySelectorAll("a, button"))
        if (!link.textContent.trim()) stumbles.push("a link without words: " + name(link));
    const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
    if (new Set(ids).size !== ids.length) stumbles.push("an id twice: " + ids);
    const { scrollWidth, clientWidth } = document.documentElement;
    if (clientWidth !== 360 || scrollWidth > clientWidth) stumbles.push(`${scrollWidth} pixels wide of ${clientWidth}`);
    return stumbles;
"#;

/// A swarm with something on each page, and the pages.
async fn furnished(swarm: &Swarm) -> (impl Sized, Vec<String>) {
    let drone =
        Arc::new(ScriptedDrone::join(swarm, "a-drone-with-a-name-of-some-length", &plans::epoch()).await);
    let heart = drone.heart();
    let long = format!("test/{}-1", "averylongname".repeat(6));
    let run = swarm.run(plans::epoch(), plans::plan(&[&long, "test/b-1", "test/c-1"], &[(1, 0)])).await;
    drone.build(&drone.claim(30).await.unwrap()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    send(&drone, &claim, 0, &"x".repeat(100_000)).await;
    let paths = vec![
        "/".to_owned(),
        "/runs".to_owned(),
        format!("/runs/{run}"),
        format!("/runs/{run}/timeline"),
        format!("/packages/{}", claim.package),
        format!("/attempts/{}/log", claim.attempt),
        "/drones".to_owned(),
        format!("/drones/{}", drone.name),
        format!("/targets/{}/generations", target()),
        "/health".to_owned(),
        "/events".to_owned(),
        "/runs/99".to_owned(),
    ];
    (heart, paths)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_telephone_and_can_be_heard() {
    let swarm = Swarm::start().await;
    let (_heart, paths) = furnished(&swarm).await;
    let browser = signed_in(&swarm, 500, 800).await;
    // Chromium's windows are not narrower than 500 pixels: a telephone is its emulation.
    browser.telephone(360, 740).await;
    for path in &paths {
        open(&browser, &swarm, path).await;
        let stumbles = browser.run(STUMBLES).await;
        assert_eq!(stumbles, Value::Array(vec![]), "{path}");
    }
    let complaints = browser.complaints().await;
    let expected = |complaint: &String| complaint.contains("/runs/99") && complaint.contains("404");
    assert!(complaints.iter().all(expected), "{complaints:?}");
}

/// Installed by tests/setup-host.
fn axe() -> PathBuf {
    cache().join("axe-4.12.1.min.js")
}

/// What axe-core finds against WCAG 2.2 A and AA, and its own advice, of which each rule names the elements.
const VIOLATIONS: &str = "
    return axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map(
        (one) => one.id + ': ' + one.nodes.map((node) => node.html.slice(0, 100)).join(' ')));
";

#[tokio::test(flavor = "multi_thread")]
async fn every_page_satisfies_axe_in_light_and_dark() {
    let swarm = Swarm::start().await;
    let (_heart, paths) = furnished(&swarm).await;
    let look = std::fs::read_to_string(axe()).unwrap() + VIOLATIONS;
    let browser = signed_in(&swarm, 1200, 900).await;
    for _theme in ["light", "dark"] {
        for path in &paths {
            open(&browser, &swarm, path).await;
            let violations = browser.run(&look).await;
            assert_eq!(violations, Value::Array(vec![]), "{path}");
        }
        browser.dark().await;
    }
    // It looks indeed.
    let _ = browser.run("document.querySelector('main').append(document.createElement('img'))").await;
    assert!(browser.run(&look).await[0].as_str().unwrap().starts_with("image-alt: "));
}
