//! What a workstation is set up with: the public keys, and the lines for its `/etc/portage/binrepos.conf`.

use super::answer::{self, Asked, Caching};
use super::failure::Failure;
use super::params::{self, Params};
use super::{App, blocking};
use crate::index::Document;
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use swarm_protocol::Code;
use swarm_protocol::gentoo::TargetName;

/// `GET /binhost/{target}/key.asc`: the keys are the binhost's, whatever the target, and known before its first package.
pub(super) async fn key(
    State(app): State<App>,
    Params(target): Params<String>,
    asked: Asked,
) -> Result<Response, Failure> {
    params::parse::<TargetName>("target", &target)?;
    let unsigned = || Failure::new(Code::NotFound, "this binhost signs nothing");
    let keyring = app.keyring.ok_or_else(unsigned)?;
    let (armored, changed) = blocking(move || Ok(keyring.load()?.public()?)).await?;
    let document = Document::from(armored.into_bytes());
    Ok(answer::document(&document, "application/pgp-keys", changed, &asked, Caching::Public))
}

/// `GET /binhost/{target}/binrepos.conf`
pub(super) async fn binrepos(
    State(app): State<App>,
    Params(target): Params<String>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Failure> {
    let target = params::parse::<TargetName>("target", &target)?;
    let base = match &app.public_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("http://{}", host(&headers)?),
    };
    let document = Document::from(lines(&base, &target, app.keyring.is_some()).into_bytes());
    Ok(answer::document(&document, "text/plain; charset=utf-8", app.clock.now(), &asked, Caching::Never))
}

/// How the client calls this machine. The name goes into a file that Portage parses: it must be nothing but a name.
fn host(headers: &HeaderMap) -> Result<Authority, Failure> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let plain = host.filter(|host| !host.as_str().contains('@'));
    plain.ok_or_else(|| Failure::new(Code::InvalidValue, "the Host header names no host"))
}

fn lines(base: &str, target: &TargetName, signed: bool) -> String {
    format!("[swarm]\npriority = 10\nsync-uri = {base}/binhost/{target}\nverify-signature = {signed}\n")
}
