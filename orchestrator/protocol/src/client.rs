//! The typed HTTP client: one method per call, errors as [`ClientError`].

mod binhost;
mod orchestrator;

pub use binhost::BinhostClient;
pub use orchestrator::{AdminClient, DroneClient};
pub use reqwest::Response;

use crate::gentoo::TargetName;
use crate::id::GenerationNumber;
use crate::kept::{Between, Diff, Kept};
use crate::problem::{Code, Problem};
use crate::request_id;
use crate::resolution::Finding;
use reqwest::{RequestBuilder, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with a problem.
    #[error("{0}")]
    Problem(#[from] Problem),
    /// Something in between answered, or the answer was not understood.
    #[error("unexpected answer {status} from {url}")]
    Unexpected {
        /// The HTTP status.
        status: StatusCode,
        /// The URL that was asked.
        url: String,
    },
    /// The server was not reached, or the connection broke.
    #[error("{}", chain(.0))]
    Transport(#[from] reqwest::Error),
}

/// An error with its causes: reqwest's own text leaves out why a connection failed.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl ClientError {
    /// The problem's code, where the server sent one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// What a whole set was refused for, one by one.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Problem(problem) => &problem.findings,
            _ => &[],
        }
    }

    /// True when the same call may succeed later: the network, a restart, an overload.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Problem(problem) => {
                matches!(problem.code, Code::Unavailable | Code::Internal | Code::DiskFull)
            }
            Self::Unexpected { status, .. } => status.is_server_error(),
            Self::Transport(_) => true,
        }
    }
}

const CONNECT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A base URL and a bearer token.
#[derive(Clone)]
struct Http {
    client: reqwest::Client,
    base: String,
    bearer: Option<String>,
}

impl Http {
    fn new(base: &str, bearer: Option<String>) -> Self {
        // A peer that vanished is noticed within a minute; how long an answer may take is the caller's to say.
        let client = reqwest::Client::builder().connect_timeout(CONNECT).tcp_keepalive(KEEPALIVE).build();
        let client = client.unwrap_or_default();
        Self { client, base: base.trim_end_matches('/').to_owned(), bearer }
    }

    /// The same server, over the same connections, with another bearer token.
    fn with_bearer(&self, bearer: String) -> Self {
        Self { bearer: Some(bearer), ..self.clone() }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(id) = request_id::current() {
            request = request.header(request_id::HEADER, id.as_str());
        }
        match &self.bearer {
            Some(bearer) => request.bearer_auth(bearer),
            None => request,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        json(self.request(reqwest::Method::GET, path)).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        json(self.request(reqwest::Method::POST, path).json(body)).await
    }

    /// The orchestrator passes pins on to the binhost, under the binhost's own path.
    async fn pin(
        &self,
        target: &TargetName,
        number: GenerationNumber,
        pinned: bool,
    ) -> Result<Kept, ClientError> {
        let method = if pinned { reqwest::Method::PUT } else { reqwest::Method::DELETE };
        json(self.request(method, &format!("/api/v1/targets/{target}/generations/{number}/pin"))).await
    }

    /// As [`Http::pin`].
    async fn diff(&self, target: &TargetName, between: Between) -> Result<Diff, ClientError> {
        let path = format!("/api/v1/targets/{target}/diff");
        json(self.request(reqwest::Method::GET, &path).query(&between)).await
    }
}

/// A text as one segment of a path (RFC 3986 2.3: all but the unreserved characters are escaped).
fn segment(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

/// Sends and reads a JSON answer.
async fn json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ClientError> {
    Ok(checked(request).await?.json().await?)
}

/// Sends; an answer that is no success becomes an error.
async fn checked(request: RequestBuilder) -> Result<Response, ClientError> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let url = response.url().to_string();
    match response.json::<Problem>().await {
        Ok(problem) => Err(problem.into()),
        Err(_) => Err(ClientError::Unexpected { status, url }),
    }
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_segment_stays_one() {
        assert_eq!(segment("ant-2.example.org"), "ant-2.example.org");
        assert_eq!(segment("../a b?c#d%é"), "..%2Fa%20b%3Fc%23d%25%C3%A9");
    }
}
