//! An orchestrator and binhost that answer by script and remember what they were asked.

#![allow(dead_code, reason = "each test file uses its own part")]

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swarm_protocol::{Code, Problem};
use tokio::time::Instant;

/// What the stub was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The path without the API's prefix, as in `drone/heartbeat`.
    pub(crate) path: String,
    /// The JSON body; null for others.
    pub(crate) body: Value,
    /// The raw body.
    pub(crate) bytes: Bytes,
}

type Script = dyn FnMut(&Asked) -> Answer + Send;

/// What the stub answers.
pub(crate) enum Answer {
    /// 200 with this body.
    Json(Value),
    /// 200 with these bytes.
    Bytes(Vec<u8>),
    /// A problem.
    Problem(Code),
    /// Nothing, for this long.
    Later(Duration),
}

/// The stub.
pub(crate) struct Stub {
    /// Its base URL.
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
struct Shared {
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<Box<Script>>>,
}

impl Stub {
    /// A stub that answers by `script`.
    pub(crate) async fn start(script: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        Self::start_at(|_| script).await
    }

    /// A stub whose script knows the stub's base URL.
    pub(crate) async fn start_at<S>(script: impl FnOnce(String) -> S) -> Self
    where
        S: FnMut(&Asked) -> Answer + Send + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::default();
        let script = script(url.clone());
        let shared = Shared { asked: Arc::clone(&asked), script: Arc::new(Mutex::new(Box::new(script))) };
        let router = Router::new().fallback(answer).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked }
    }

    /// What was asked of paths that contain `path`, in order.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path.contains(path)).cloned().collect()
    }

    /// Waits until `path` was asked `count` times.
    pub(crate) async fn wait(&self, path: &str, count: usize) -> Vec<Asked> {
        let found = until(60, || Some(self.asked(path)).filter(|asked| asked.len() >= count)).await;
        found.unwrap_or_else(|| panic!("{path} was not asked {count} times: {:#?}", self.paths()))
    }

    /// All paths that were asked, in order.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.path.clone()).collect()
    }
}

/// Polls `condition` for at most `seconds`.
pub(crate) async fn until<T>(seconds: u64, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let value = condition();
        if value.is_some() || Instant::now() > end {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    assert!(method == Method::GET || headers.contains_key("authorization") || uri.path().ends_with("enrol"));
    let path = uri.path().trim_start_matches("/api/v1/").to_owned();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let asked = Asked { path, body, bytes };
    shared.asked.lock().unwrap().push(asked.clone());
    let answer = (shared.script.lock().unwrap())(&asked);
    match answer {
        Answer::Json(body) => ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response(),
        Answer::Bytes(bytes) => bytes.into_response(),
        Answer::Problem(code) => {
            let problem = serde_json::to_string(&Problem::new(code, "by script")).unwrap();
            (StatusCode::from_u16(code.status()).unwrap(), problem).into_response()
        }
        Answer::Later(time) => {
            tokio::time::sleep(time).await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// A session as the orchestrator opens it.
pub(crate) fn session(id: i64, url: &str) -> Value {
    json!({"session": id, "name": "ant", "heartbeat_seconds": 1, "binhost_url": url})
}

/// A claim.
pub(crate) fn claim(attempt: i64, cpv: &str, epoch: &Value) -> Value {
    json!({
        "attempt": attempt, "number": 1, "token": format!("00000000-0000-0000-0000-{attempt:012}"),
        "phase": "held", "run": 1, "package": 1, "target": "box", "epoch": epoch, "cpv": cpv, "slot": "0",
        "repository": "swarm-box", "use": [], "build_id": 3, "closure": [], "ticket": "ticket", "distfiles": "ticket",
        "max_artifact_bytes": 1_000_000, "limit_seconds": 300,
    })
}

/// A configuration file in `dir`; the base root is the Gentoo box's. Nothing is held ahead, so that the next claim request
/// says that the hands are empty.
pub(crate) fn config(dir: &Path, url: &str) -> std::path::PathBuf {
    let repo = std::fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/gentoo-box/repo"));
    let repo = repo.unwrap_or_default();
    let text = format!(
        "name = 'ant'\norchestrator_url = '{url}'\ntoken_file = '{dir}/token'\nstate_dir = '{dir}/state'\n\
         base_root = '{BASE}'\nshutdown_patience_seconds = 1\nlookahead = 0\n\
         [[bind]]\nsource = '{repo}'\ntarget = '/var/db/repos/swarm-box'\n",
        dir = dir.display(),
        repo = repo.display(),
    );
    std::fs::write(dir.join("token"), "secret").unwrap();
    let file = dir.join("drone.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// The Gentoo box's base root.
pub(crate) const BASE: &str = "/var/cache/build-swarm/roots/base";
