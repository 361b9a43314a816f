//! What a workstation is set up with: the public keys, and the lines for its `/etc/portage/binrepos.conf`.

use super::answer::{self, Asked, Caching, Resource, Source};
use super::conditions::Validators;
use super::failure::Failure;
use super::params::{self, Params};
use super::respond::respond;
use super::tickets::Bearer;
use super::{App, Scheme, blocking, readers};
use crate::index::Document;
use crate::signing::Keyring;
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use swarm_protocol::Code;
use swarm_protocol::binhost::{BINREPO, BINREPO_PRIORITY, ClientSide};
use swarm_protocol::gentoo::TargetName;

/// `GET /binhost/{target}/key.asc`: the keys are the binhost's, whatever the target, and known before its first package.
pub(super) async fn key(
    State(app): State<App>,
    Params(target): Params<String>,
    asked: Asked,
) -> Result<Response, Failure> {
    let caching = readers::check(&app, &target, &asked.headers)?;
    params::parse::<TargetName>("target", &target)?;
    let unsigned = || Failure::new(Code::NotFound, "this binhost signs nothing");
    let keyring = app.keyring.clone().ok_or_else(unsigned)?;
    let (armored, changed) = blocking(move || Ok(keyring.load()?.public()?)).await?;
    let document = Document::from(armored.into_bytes());
    document_of(&app, &document, "application/pgp-keys", changed, &asked, caching).await
}

/// `GET /binhost/{target}/binrepos.conf`
pub(super) async fn binrepos(
    State(app): State<App>,
    Extension(Scheme(scheme)): Extension<Scheme>,
    Params(target): Params<String>,
    asked: Asked,
) -> Result<Response, Failure> {
    readers::check(&app, &target, &asked.headers)?;
    let target = params::parse::<TargetName>("target", &target)?;
    let base = match &app.public_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("{scheme}://{}", host(&asked.headers)?),
    };
    let document = Document::from(lines(&base, &target, app.keyring.is_some()).into_bytes());
    document_of(&app, &document, "text/plain; charset=utf-8", app.clock.now(), &asked, Caching::Never).await
}

/// `GET /api/v1/client`: the same for the orchestrator, which tells it to workstations over a way of its own.
pub(super) async fn side(bearer: Bearer, State(app): State<App>) -> Result<Json<ClientSide>, Failure> {
    bearer.control()?;
    let (url, keyring) = (app.public_url.as_ref().map(|url| url.as_str().to_owned()), app.keyring.clone());
    let public = |keyring: Keyring| Ok(keyring.load()?.public()?.0);
    let keys = blocking(move || keyring.map(public).transpose()).await?;
    Ok(Json(ClientSide { url, keys }))
}

async fn document_of(
    app: &App,
    document: &Document,
    kind: &'static str,
    modified: i64,
    asked: &Asked,
    caching: Caching,
) -> Result<Response, Failure> {
    let validators = Validators { etag: document.etag.clone(), modified };
    let resource = Resource { validators, kind, size: document.length(), source: Source::Memory(document) };
    respond(answer::answer(&resource, asked, caching)?, &app.store.blobs).await
}

/// How the client calls this machine. The name goes into a file that Portage parses: it must be nothing but a name.
fn host(headers: &HeaderMap) -> Result<Authority, Failure> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let plain = host.filter(|host| !host.as_str().contains('@'));
    plain.ok_or_else(|| Failure::new(Code::InvalidValue, "the Host header names no host"))
}

fn lines(base: &str, target: &TargetName, signed: bool) -> String {
    format!(
        "[{BINREPO}]\npriority = {BINREPO_PRIORITY}\nsync-uri = {base}/binhost/{target}\nverify-signature = {signed}\n"
    )
}
