//! Serving: what Portage and wget ask a binhost, answered by ours and by nginx from the same files, in turns.
//!
//! Both have as many workers as the machine has cores, which they share with the load. The third side of each case is
//! our own slow path, hyper and axum: what is served there under TLS, less the TLS. wrk asks with 16 connections at
//! once, 4 for the largest file; wget makes one for each request. Requests per second depend on what else the machine
//! does; the processor time that a server takes for one request does so much less.

use crate::load::{Load, load};
use crate::nginx::Nginx;
use crate::{report, site};
use serde_json::{Value, json};

/// Turns of each server; the figures are medians.
const TURNS: usize = 3;

struct Case {
    name: &'static str,
    path: String,
    headers: Vec<String>,
    /// At the same time.
    connections: u32,
}

pub(crate) async fn run() {
    let site = site::Site::start().await;
    let workers = std::thread::available_parallelism().unwrap().get();
    let nginx = Nginx::start(site.binhost.path(), &site.binhost.directory().join("current"), workers).await;
    for case in cases(&site) {
        same_answer(&site, &nginx, &case).await;
        for close in [false, true] {
            measure(&case, close, &site, &nginx);
        }
    }
}

fn cases(site: &site::Site) -> Vec<Case> {
    let case = |name, path: &str| Case {
        name,
        path: format!("/binhost/amd64/{path}"),
        headers: Vec::new(),
        connections: 16,
    };
    let unmodified = Case {
        headers: vec![format!("If-Modified-Since: {}", site.last_modified)],
        ..case("304", "Packages.gz")
    };
    let files = site.files.iter().map(|(name, path)| case(name, path));
    // With more, the largest would not come to their end within a turn.
    let files = files.map(|case| Case { connections: if case.name == "50 MB" { 4 } else { 16 }, ..case });
    [unmodified, case("Packages.gz", "Packages.gz")].into_iter().chain(files).collect()
}

/// Nothing is compared that differs.
async fn same_answer(site: &site::Site, nginx: &Nginx, case: &Case) {
    let mut answers = Vec::new();
    for base in [site.binhost.url(), nginx.base.clone()] {
        let mut request = reqwest::Client::new().get(format!("{base}{}", case.path));
        for header in &case.headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let modified = response.headers()["last-modified"].clone();
        answers.push((response.status(), modified, response.bytes().await.unwrap()));
    }
    assert!(answers[0] == answers[1], "{}: {} {}", case.name, answers[0].0, answers[1].0);
}

fn measure(case: &Case, close: bool, site: &site::Site, nginx: &Nginx) {
    let url = site.binhost.url();
    let ours = (url.as_str(), site.binhost.id());
    let nginx = (nginx.base.as_str(), nginx.id());
    let mut headers = case.headers.clone();
    headers.extend(close.then(|| "Connection: close".to_owned()));
    // What asks for another protocol is hyper's.
    let slow = [&headers[..], &["Upgrade: none".to_owned()]].concat();
    let mut loads: [Vec<Load>; 3] = Default::default();
    for _ in 0..TURNS {
        let turn = [(ours, &headers), (nginx, &headers), (ours, &slow)];
        for (loads, ((base, id), headers)) in loads.iter_mut().zip(turn) {
            loads.push(load(&format!("{base}{}", case.path), headers, case.connections, id));
        }
    }
    let [ours, nginx, hyper] = loads.map(|turns| {
        let figures = |of: fn(&Load) -> f64| report::spread(&turns.iter().map(of).collect::<Vec<_>>());
        json!({
            "requests_per_s": figures(|load| load.per_second),
            "p99_ms": figures(|load| load.p99_ms),
            "processor_us": figures(|load| load.processor_us),
        })
    });
    let median = |side: &Value| side["requests_per_s"]["median"].as_f64().unwrap();
    report::line(&json!({
        "name": "serving", "case": case.name, "connections": if close { "one per request" } else { "kept" },
        "ours_to_nginx": report::rounded(median(&ours) / median(&nginx)),
        "ours": ours, "nginx": nginx, "hyper": hyper,
    }));
}
