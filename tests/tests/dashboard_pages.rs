//! The dashboard without a browser: what pages say, what they refuse, that nothing foreign becomes markup, live streams.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::header::SET_COOKIE;
use reqwest::{RequestBuilder, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::admin::{Attempt, NewNightly};
use swarm_protocol::drone::{Claim, Fail, LogChunk};
use swarm_protocol::id::{AttemptId, RunId};
use swarm_protocol::state::{DroneState, FailureClass, PackageState, RunState};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::pages::{Page, Reader, form_token};
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{plans, wait};
use tokio::time::timeout;

/// What somebody might hope to smuggle in.
const HOSTILE: &str =
    "<script>alert('owned')</script><img src=x onerror=alert(1)>\" autofocus onfocus=\"alert(2)";

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_and_out() {
    let swarm = Swarm::start().await;
    let nobody = Reader::nobody(&swarm);
    let page = nobody.get("/runs?x=1").await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/sign-in?next=%2Fruns%3Fx%3D1"));
    assert!(nobody.read("/sign-in?next=%2Fruns").await.contains("name=\"next\" value=\"/runs\""));
    assert!(nobody.read("/sign-in?next=https://evil").await.contains("name=\"next\" value=\"/\""));

    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    for (token, status) in [("swarm-admin-guess", 401), ("", 401), (drone.token.as_str(), 403)] {
        let page = nobody.send(&[("token", token)], "/sign-in").await;
        assert_eq!(page.status.as_u16(), status);
        assert!(!page.headers.contains_key(SET_COOKIE) && (token.is_empty() || !page.text.contains(token)));
    }
    let page = nobody.send(&[("token", &swarm.token), ("next", "//evil")], "/sign-in").await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/"));
    let cookie = page.headers[SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict") && !cookie.contains("Secure")
    );
    let over_tls = nobody.post(&[("token", &swarm.token)], "/sign-in").header("x-forwarded-proto", "https");
    assert!(over_tls.send().await.unwrap().headers()[SET_COOKIE].to_str().unwrap().contains("; Secure"));

    let viewer = Reader::viewer(&swarm).await;
    assert_eq!(viewer.get("/").await.status, StatusCode::OK);
    let page = viewer.act("/sign-out", &[]).await;
    assert!(page.headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    // Whoever kept the cookie is out when the token is revoked.
    sqlx::query("UPDATE tokens SET revoked_at = swarm_now() WHERE label = 'reader'")
        .execute(&swarm.database.pool)
        .await
        .unwrap();
    assert_eq!(viewer.get("/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(viewer.get("/live?version=x").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_an_address_is_refused() {
    let swarm = Swarm::start().await;
    for path in [format!("/?token={}", swarm.token), format!("/runs?x={}", swarm.token)] {
        let page = Reader::admin(&swarm).await.get(&path).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(
            page.text.contains("A token does not belong into an address")
                && !page.text.contains(&swarm.token)
        );
    }
}

/// A run in which one package is received, one is being built, one failed and one waits; whatever comes from outside is
/// hostile.
async fn busy_swarm() -> (Swarm, RunId, ScriptedDrone, Claim) {
    let swarm = Swarm::start().await;
    let nightly = NewNightly { host: HOSTILE.to_owned(), period_seconds: 86_400 };
    swarm.admin.begin_nightly(&target(), &nightly).await.unwrap();
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let names = ["test/a-1", "test/b-1", "test/c-1", "test/d-1"];
    let run = swarm.run(plans::epoch(), plans::plan(&names, &[(3, 0)])).await;
    drone.build(&drone.claim(30).await.unwrap()).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let failure = drone.failure(&claim, FailureClass::Package);
    let failure = Fail { reason: HOSTILE.to_owned(), excerpt: HOSTILE.to_owned(), ..failure };
    drone.client.fail(claim.attempt, &failure).await.unwrap();
    drone.forget(&claim);
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let log =
        format!("\x1b[31m{HOSTILE}\x1b[0m\n>>> Compiling source in x\nx.c: error: {HOSTILE}\n\u{202e}\x08\n");
    send(&drone, &claim, 0, log.as_bytes()).await;
    (swarm, run, drone, claim)
}

async fn send(drone: &ScriptedDrone, claim: &Claim, sequence: i32, text: &[u8]) {
    let zstd_base64 = BASE64_STANDARD.encode(zstd::bulk::compress(text, 3).unwrap());
    let chunk = LogChunk { fence: drone.fence(claim), sequence, zstd_base64 };
    drone.client.log(claim.attempt, &chunk).await.unwrap();
}

/// Every answer forbids what a page of ours does not need, whatever became of the request.
fn is_guarded(page: &Page) {
    let header = |name: &str| page.headers[name].to_str().unwrap();
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("script-src 'self'"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_says_what_there_is_and_nothing_foreign_is_markup() {
    let (swarm, run, drone, claim) = busy_swarm().await;
    let reader = Reader::viewer(&swarm).await;
    let failed = swarm.package(run, "test/b-1").await.id;
    let attempts: Vec<Attempt> = swarm.admin.attempts(failed).await.unwrap();
    let paths = [
        "/".to_owned(),
        "/runs".to_owned(),
        format!("/runs/{run}"),
        format!("/runs/{run}?state=needed&name=D"),
        format!("/runs/{run}/timeline"),
        format!("/packages/{failed}"),
        format!("/packages/{}", claim.package),
        format!("/attempts/{}/log", claim.attempt),
        format!("/attempts/{}/log", attempts[0].id),
        "/drones".to_owned(),
        format!("/drones/{}", drone.name),
        "/generations".to_owned(),
        format!("/targets/{}/generations", target()),
        "/health".to_owned(),
        "/events".to_owned(),
        format!("/events?run={run}"),
    ];
    let mut outlines = Vec::new();
    for path in &paths {
        let page = reader.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        is_guarded(&page);
        assert_eq!(page.headers["cache-control"], "no-store");
        let text = &page.text;
        for smuggled in ["<script>", "<img", "onerror=alert(1)>\"", "\u{1b}", "\u{202e}", "\u{8}", "style="] {
            assert!(!text.contains(smuggled), "{path} has {smuggled}: {text}");
        }
        assert!(!text.contains(&swarm.token) && text.contains("lang=\"en\"") && text.contains("<main"));
        assert!(!text.contains("action=\"/packages"), "a viewer sees no forms that are not for viewers");
        outlines.push(format!("{path}\n{}", page.outline()));
    }
    insta::assert_snapshot!(outlines.join("\n\n"));
    let escaped = "&lt;script&gt;alert('owned')&lt;/script&gt;";
    for path in
        [format!("/packages/{failed}"), format!("/attempts/{}/log", claim.attempt), "/health".to_owned()]
    {
        assert!(reader.read(&path).await.contains(escaped), "{path} shows what was said");
    }
    let log = reader.read(&format!("/attempts/{}/log", claim.attempt)).await;
    assert!(log.contains("href=\"#error-1\"") && log.contains("<mark id=\"error-1\">x.c: error: "), "{log}");
    assert!(log.contains("&lt;U+202E&gt;␈"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_on_a_page() {
    let swarm = Swarm::start().await;
    let reader = Reader::admin(&swarm).await;
    let cases = [
        ("/runs/9", 404, "There is no such run."),
        ("/runs/9/timeline", 404, "There is no such run."),
        ("/packages/9", 404, "There is no such package."),
        ("/attempts/9/log", 404, "There is no such attempt."),
        ("/attempts/9/log/live?from=0", 404, "There is no such attempt."),
        ("/drones/nobody", 404, "There is no such drone."),
        ("/targets/nowhere/generations", 404, "There is no such target."),
        ("/assets/other.js", 404, "There is no such file."),
        ("/runs/abc", 422, "Invalid value"),
        ("/runs/1?page=-1", 422, "Invalid value"),
        ("/runs/1?odd=1", 422, "Invalid value"),
        ("/events?before=x", 422, "Invalid value"),
    ];
    for (path, status, text) in cases {
        let page = reader.get(path).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        assert!(page.text.contains(text), "{path}: {}", page.text);
        is_guarded(&page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_kept_for_good() {
    let swarm = Swarm::start().await;
    let nobody = Reader::nobody(&swarm);
    let page = nobody.read("/sign-in").await;
    let assets: Vec<_> = page.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert_eq!(assets.len(), 3, "{page}");
    for asset in assets {
        let file = nobody.get(asset).await;
        assert_eq!(file.status, StatusCode::OK);
        assert_eq!(file.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(file.headers["x-content-type-options"], "nosniff");
    }
}

fn drain(form_token: &str) -> [(&str, &str); 2] {
    [("do", "drain"), ("form_token", form_token)]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_with_a_form_of_ours_acts() {
    let swarm = Swarm::start().await;
    let drone = ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await;
    let (admin, viewer) = (Reader::admin(&swarm).await, Reader::viewer(&swarm).await);
    let (own, others) = (&form_token(&admin.read("/").await), form_token(&viewer.read("/").await));
    let path = format!("/drones/{}", drone.name);
    let cases = [
        ("nobody", Reader::nobody(&swarm).post(&drain(own), &path), 401),
        ("a viewer with the admin's form", viewer.post(&drain(own), &path), 403),
        ("a viewer", viewer.post(&drain(&others), &path), 403),
        ("no form token", admin.post(&[("do", "drain")], &path), 403),
        ("another's form token", admin.post(&drain("0"), &path), 403),
        ("another site", admin.post(&drain(own), &path).header("sec-fetch-site", "cross-site"), 403),
        ("another port", admin.post(&drain(own), &path).header("sec-fetch-site", "same-site"), 403),
        ("another origin", admin.post(&drain(own), &path).header("origin", "http://evil"), 403),
        ("no order", admin.post(&[("do", "fly"), ("form_token", own)], &path), 422),
        ("a form without end", admin.post(&drain(own), &path).body("a".repeat(1 << 20)), 413),
    ];
    for (what, request, status) in cases {
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{what}");
    }
    assert_eq!(swarm.admin.drones().await.unwrap()[0].state, DroneState::Online, "nothing was changed");

    // Chromium sends `null` where the policy is no-referrer.
    let request = admin.post(&drain(own), &path).header("origin", "null");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::SEE_OTHER);
    assert_eq!(swarm.admin.drones().await.unwrap()[0].state, DroneState::Draining);
    for (fields, state) in [
        (vec![("do", "resume")], DroneState::Online),
        (vec![("do", "ground"), ("minutes", "5")], DroneState::Grounded),
        (vec![("do", "resume")], DroneState::Online),
        (vec![("do", "ground"), ("minutes", "")], DroneState::Grounded),
    ] {
        let page = admin.act(&path, &fields).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/drones/ant"));
        assert_eq!(swarm.admin.drones().await.unwrap()[0].state, state);
    }
    assert_eq!(admin.act(&path, &[("do", "ground"), ("minutes", "0")]).await.status.as_u16(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_do_what_the_api_does() {
    let swarm = Swarm::start().await;
    let admin = Reader::admin(&swarm).await;
    let run = swarm.run(plans::epoch(), plans::plan(&["test/a-1"], &[])).await;
    for name in ["ant", "bee"] {
        let drone = ScriptedDrone::join(&swarm, name, &plans::epoch()).await;
        let claim = drone.claim(30).await.unwrap();
        drone.start(&claim).await.unwrap();
        drone.fail(&claim, FailureClass::Package).await;
    }
    swarm.package_reaches(run, "test/a-1", PackageState::Quarantined).await;
    let package = swarm.package(run, "test/a-1").await.id;
    let path = format!("/packages/{package}");
    let page = admin.read(&path).await;
    assert!(page.contains("Release it: try again") && !page.contains("Retry now"), "{page}");
    assert!(
        admin
            .act(&format!("{path}/retry"), &[])
            .await
            .text
            .contains("a quarantined package is released instead")
    );
    assert_eq!(admin.act(&format!("{path}/release"), &[]).await.location(), path);
    swarm.package_reaches(run, "test/a-1", PackageState::Needed).await;
    assert_eq!(
        admin.act(&format!("{path}/priority"), &[("priority", "7")]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(swarm.package(run, "test/a-1").await.priority, 7);
    assert_eq!(admin.act(&format!("{path}/priority"), &[("priority", "700")]).await.status.as_u16(), 422);
    assert_eq!(admin.act(&format!("/runs/{run}/cancel"), &[]).await.location(), format!("/runs/{run}"));
    assert_eq!(swarm.admin.run(run).await.unwrap().state, RunState::Cancelled);
    assert_eq!(admin.act(&format!("/runs/{run}/thaw"), &[]).await.status, StatusCode::CONFLICT);
}

/// A log of 100 MB in chunks of 64 KiB, as drones send them, but straight into the table.
async fn large_log(swarm: &Swarm, attempt: AttemptId) -> i32 {
    let line = |number: usize| format!("{number:07} {}\n", "gcc -O2 -c ".repeat(8));
    let chunks = 1600;
    for number in 0..chunks {
        let text: String = (0..680).map(|index| line(number * 680 + index)).collect();
        let zstd = zstd::bulk::compress(text.as_bytes(), 1).unwrap();
        sqlx::query(
            "INSERT INTO log_chunks (attempt_id, sequence, day, zstd)
             SELECT id, $2, (claimed_at AT TIME ZONE 'UTC')::date, $3 FROM attempts WHERE id = $1",
        )
        .bind(attempt.0)
        .bind(i32::try_from(number).unwrap())
        .bind(zstd)
        .execute(&swarm.database.pool)
        .await
        .unwrap();
    }
    i32::try_from(chunks).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_100_megabytes_is_read_from_its_end() {
    let swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    swarm.run(plans::epoch(), plans::plan(&["test/a-1"], &[])).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    let chunks = large_log(&swarm, claim.attempt).await;
    // A line of a million letters, a program that knows no UTF-8, and what compresses to nothing.
    send(&drone, &claim, chunks, &[b"y".repeat(1_000_000), b"\xff\xfe\x00\n".to_vec()].concat()).await;
    send(&drone, &claim, chunks + 1, &b"z\n".repeat(8 << 20)).await;
    send(&drone, &claim, chunks + 2, b"the end\n").await;
    let reader = Reader::viewer(&swarm).await;
    let path = format!("/attempts/{}/log", claim.attempt);
    let end = reader.read(&path).await;
    assert!(end.contains("the end") && end.contains("the rest of this chunk is cut"));
    assert!(end.len() < 4 << 20, "{} bytes", end.len());
    let before = |page: &str| {
        let link = page.split_once(&format!("{path}?before="))?.1;
        Some(format!("{path}?before={}", link.split_once('"').unwrap().0))
    };
    let middle = reader.read(&before(&end).unwrap()).await;
    assert!(middle.contains("more characters]"), "{} bytes", middle.len());
    let earlier = reader.read(&before(&middle).unwrap()).await;
    assert!(earlier.contains("1087999 gcc") && earlier.len() < 1 << 20, "{} bytes", earlier.len());
    let first = reader.read(&format!("{path}?before=2")).await;
    assert!(first.contains("0000000 gcc") && before(&first).is_none(), "nothing is before the beginning");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_told_what_changed_and_only_that() {
    let swarm = Swarm::start().await;
    let reader = Reader::viewer(&swarm).await;
    let version =
        |page: &str| page.split_once("data-version=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let mut stream =
        Stream::open(&reader, &format!("/live?version={}", version(&reader.read("/").await))).await;
    // The feed slept until now: everything may have changed.
    assert!(stream.next().await.contains("\"*\""));
    let run = swarm.run(plans::epoch(), plans::flat(1)).await;
    let change = stream.tells(&format!("\"run:{run}\"")).await;
    assert!(change.contains("event: changed") && change.contains("\"spread_ms\":0"), "{change}");
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    stream.tells("\"drone:ant\"").await;

    // Whoever comes from yesterday, or from another process, is told once, and then what everybody is told.
    let mut slept = Stream::open(&reader, "/live?version=another.7").await;
    assert!(slept.next().await.contains("\"*\""));
    let mut again =
        Stream::of(reader.request("/live?version=another.7").header("last-event-id", "x.1")).await;
    assert!(again.next().await.contains("\"*\""));
    drone.build(&drone.claim(30).await.unwrap()).await;
    for stream in [&mut stream, &mut slept, &mut again] {
        let change = stream.tells("\"package\"").await;
        assert!(change.contains(&format!("\"run:{run}\"")) && !change.contains("\"*\""), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_to_its_end() {
    let swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    swarm.run(plans::epoch(), plans::plan(&["test/a-1"], &[])).await;
    let claim = drone.claim(30).await.unwrap();
    drone.start(&claim).await.unwrap();
    send(&drone, &claim, 0, b"before\n").await;
    let reader = Reader::viewer(&swarm).await;
    let page = reader.read(&format!("/attempts/{}/log", claim.attempt)).await;
    let live = page.split_once("data-follow=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    assert!(page.contains("before\n") && live.ends_with("?from=1"), "{live}");
    let mut stream = Stream::open(&reader, &live).await;
    send(&drone, &claim, 1, b"  <b>compiling</b>\nfatal: no").await;
    let lines = stream.next().await;
    assert!(
        lines.contains("data:   &lt;b&gt;compiling&lt;/b&gt;\n") && lines.contains("<mark>fatal: no</mark>")
    );
    assert!(lines.contains("id: 2"), "a browser that comes again goes on there: {lines}");
    drone.fail(&claim, FailureClass::Package).await;
    assert!(stream.next().await.contains("event: ended"));
    assert!(stream.is_over().await);
    let page = reader.read(&format!("/attempts/{}/log", claim.attempt)).await;
    assert!(!page.contains("data-follow"));
}

/// Server-sent events.
struct Stream {
    bytes: BoxStream<'static, Vec<u8>>,
    buffer: String,
}

impl Stream {
    async fn open(reader: &Reader, path: &str) -> Self {
        Self::of(reader.request(path)).await
    }

    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let bytes = response.bytes_stream().map(|bytes| bytes.unwrap().to_vec());
        Self { bytes: bytes.boxed(), buffer: String::new() }
    }

    /// The next message that is no mere sign of life.
    async fn next(&mut self) -> String {
        loop {
            if let Some((message, rest)) = self.buffer.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.buffer = rest;
                if message.starts_with(':') {
                    continue;
                }
                return message + "\n";
            }
            let more = timeout(Duration::from_secs(30), self.bytes.next()).await.expect("a message");
            self.buffer.push_str(std::str::from_utf8(&more.expect("a message")).unwrap());
        }
    }

    /// The next message that names `what`.
    async fn tells(&mut self, what: &str) -> String {
        loop {
            let message = self.next().await;
            if message.contains(what) {
                return message;
            }
        }
    }

    /// Whether nothing more comes.
    async fn is_over(&mut self) -> bool {
        wait::until(30, "the stream to end", async || self.bytes.next().await.is_none().then_some(true)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_from_the_page() {
    let swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "ant", &plans::epoch()).await);
    let _heart = drone.heart();
    for cpv in ["test/a-1", "test/a-2"] {
        let run = swarm.run(plans::epoch(), plans::plan(&[cpv], &[])).await;
        drone.build(&drone.claim(30).await.unwrap()).await;
        swarm.run_reaches(run, RunState::Promoted, 30).await;
    }
    let admin = Reader::admin(&swarm).await;
    let path = format!("/targets/{}/generations", target());
    let page = admin.read(&path).await;
    assert!(page.contains("Roll back to 1") && !page.contains("Roll back to 2"), "{page}");
    let diff = admin.read("/targets/box/diff?from=2&to=1").await;
    assert!(diff.contains("From generation 2 to 1 of box") && diff.contains("1 (build 1)"), "{diff}");
    assert!(!Reader::viewer(&swarm).await.read(&path).await.contains("Roll back to 1"));
    assert_eq!(admin.act(&path, &[("of", "1")]).await.location(), path);
    wait::until(30, "generation 3 to be current", async || {
        let page = admin.read(&path).await;
        (page.contains("Roll back to 2") && page.contains("rollback to 1")).then_some(())
    })
    .await;
    assert_eq!(admin.act(&path, &[("of", "9")]).await.status, StatusCode::NOT_FOUND);
}
