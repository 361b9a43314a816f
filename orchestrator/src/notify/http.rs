//! The HTTP client of webhooks and ntfy. It follows no redirect, reads no answer beyond its status, and none of its errors
//! names the address: with many services the address is the secret.

use super::SendError;
use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::path::{Path, PathBuf};

/// Says that what is sent again is the same (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Who sends.
const AGENT: &str = "build-swarm";

/// Where a request goes: from the configuration, or from a file that it names, read at each request.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Given(String),
    File(PathBuf),
}

impl Address {
    /// The configuration has one of the two.
    pub(super) fn new(url: Option<&String>, file: Option<&PathBuf>) -> Option<Self> {
        url.cloned().map(Self::Given).or_else(|| file.cloned().map(Self::File))
    }

    pub(super) async fn read(&self) -> Result<Uri, SendError> {
        let text = match self {
            Self::Given(url) => url.clone(),
            Self::File(file) => secret(file).await?,
        };
        address(&text).map_err(|error| SendError(error.to_string()))
    }
}

/// A URL that requests can go to.
pub(crate) fn address(text: &str) -> Result<Uri> {
    let uri: Uri = text.parse().ok().context("the url is no URL")?;
    let scheme = uri.scheme_str().unwrap_or_default();
    ensure!(
        ["http", "https"].contains(&scheme) && uri.host().is_some_and(|host| !host.is_empty()),
        "the url must begin with http:// or https:// and a host"
    );
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    ensure!(!authority.contains('@'), "the url must not hold user and password: use token_file");
    Ok(uri)
}

/// The one line of a file that holds a secret.
pub(super) async fn secret(file: &Path) -> Result<String, SendError> {
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|error| SendError(format!("cannot read {}: {error}", file.display())))?;
    let secret = text.trim();
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SendError(format!("{} does not hold one line of plain characters", file.display())));
    }
    Ok(secret.to_owned())
}

/// What is sent.
pub(super) struct Post {
    pub(super) to: Uri,
    pub(super) token_file: Option<PathBuf>,
    pub(super) id: String,
    pub(super) body: Vec<u8>,
}

/// The client; connections are kept for a while.
#[derive(Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    pub(super) fn new() -> Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .context("TLS cannot be used: are the system's CA certificates installed?")?;
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Posts a JSON body. How long that may take is the caller's to say.
    pub(super) async fn post(&self, post: Post) -> Result<(), SendError> {
        let mut request = Request::post(post.to)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header(IDEMPOTENCY_KEY, post.id);
        if let Some(file) = &post.token_file {
            let bearer = HeaderValue::try_from(format!("Bearer {}", secret(file).await?));
            let mut bearer = bearer.map_err(|_| SendError("the token cannot be sent".to_owned()))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let request = request.body(Full::from(post.body)).map_err(|error| SendError(error.to_string()))?;
        let answer = self.0.request(request).await.map_err(|error| SendError(chain(&error)))?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else if status.is_redirection() {
            Err(SendError(format!("the server answered {status}, and redirects are not followed")))
        } else {
            Err(SendError(format!("the server answered {status}")))
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
