//! Reading request bodies: bounded in size and in the pauses between their pieces.

use super::App;
use super::failure::Failure;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use std::time::Duration;
use swarm_protocol::Code;

/// A body that is read piece by piece.
pub(super) struct Pieces {
    body: Body,
    stall: Duration,
    /// What may still come.
    left: u64,
    limit: u64,
    /// The client waits for our word before it sends: nothing needs draining.
    expects: bool,
}

impl Pieces {
    /// A body of at most `limit` bytes; one that announces more is refused at once.
    pub(super) fn new(body: Body, headers: &HeaderMap, limit: u64, stall: Duration) -> Result<Self, Failure> {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let expects = headers.contains_key(EXPECT);
        let pieces = Self { body, stall, left: limit, limit, expects };
        if length.is_some_and(|length| length > limit) { Err(pieces.too_large()) } else { Ok(pieces) }
    }

    /// The next bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = tokio::time::timeout(self.stall, self.body.frame()).await;
            let frame = frame.map_err(|_| broken("the body stopped coming"))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| broken("the body ends before its announced end"))?;
            if let Ok(data) = frame.into_data() {
                self.left = self.left.checked_sub(data.len() as u64).ok_or_else(|| self.too_large())?;
                return Ok(Some(data));
            }
        }
    }

    /// Reads to the end, which is thrown away.
    pub(super) async fn skip(mut self) -> Result<(), Failure> {
        if !self.expects {
            while self.next().await?.is_some() {}
        }
        Ok(())
    }

    fn too_large(&self) -> Failure {
        Failure::new(Code::TooLarge, format!("more than {} bytes are not taken here", self.limit))
    }
}

fn broken(detail: &str) -> Failure {
    Failure::new(Code::InvalidBody, detail)
}

/// Reads a JSON body of the documented shape; unknown fields are refused.
pub(super) async fn json<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Failure> {
    let mut pieces = Pieces::new(body, headers, app.limits.body_bytes as u64, app.limits.stall_time())?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(&piece);
    }
    serde_json::from_slice(&bytes).map_err(|error| broken(&error.to_string()))
}
