//! The three views of packages: a run's staging, a generation before its promotion, and what everybody sees.

use super::answer::{self, Asked, Caching};
use super::failure::Failure;
use super::params::{self, Params};
use super::tickets::Bearer;
use super::{App, blocking};
use crate::artifact::Artifact;
use crate::index::Files;
use crate::target::View;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;
use swarm_protocol::Code;
use swarm_protocol::gentoo::TargetName;

/// `GET /staging/{target}/{run}/{path}`: a run that has nothing staged has an empty index. Never 304: a build root has
/// no index to compare with, and a wrong guess would build against old libraries.
pub(super) async fn staging(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, run, path)): Params<(String, String, String)>,
    asked: Asked,
) -> Result<Response, Failure> {
    let (target, run) = (params::parse::<TargetName>("target", &target)?, params::run(&run)?);
    bearer.staging(&target, run)?;
    let now = app.clock.now();
    let target = app.store.target(&target);
    match path.as_str() {
        "Packages" | "Packages.gz" => {
            let view = target.map_or_else(|| Arc::new(View::empty(now)), |target| target.view(run, now));
            let timestamp = view.timestamp;
            let files = blocking(move || Ok(view.index())).await?;
            Ok(index(&files, &path, &asked, Caching::Never, timestamp))
        }
        _ => {
            let staged = target.and_then(|target| target.staged(run, &path));
            artifact(&app, staged, &asked, Caching::Never).await
        }
    }
}

/// `GET /generations/{target}/{number}/{path}`: for the gate, which judges a generation before it is promoted.
pub(super) async fn generation(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, number, path)): Params<(String, String, String)>,
    asked: Asked,
) -> Result<Response, Failure> {
    bearer.control()?;
    let (target, number) = (params::parse("target", &target)?, params::number(&number)?);
    let target = app.store.target(&target).ok_or_else(nothing)?;
    let generation = target.generation(number).ok_or_else(nothing)?;
    match path.as_str() {
        "Packages" | "Packages.gz" => {
            let published = blocking(move || target.index_of(generation)).await?;
            Ok(index(&published.files, &path, &asked, Caching::Private, published.generation.timestamp))
        }
        _ => artifact(&app, generation.at(&path), &asked, Caching::Private).await,
    }
}

/// `GET /binhost/{target}/{path}`: the current generation; its index is in memory.
pub(super) async fn public(
    State(app): State<App>,
    Params((target, path)): Params<(String, String)>,
    asked: Asked,
) -> Result<Response, Failure> {
    let target = target.parse().ok().and_then(|target| app.store.target(&target)).ok_or_else(nothing)?;
    match path.as_str() {
        "Packages" | "Packages.gz" => {
            let published = target.published().ok_or_else(nothing)?;
            Ok(index(&published.files, &path, &asked, Caching::Public, published.generation.timestamp))
        }
        _ => artifact(&app, target.public(&path), &asked, Caching::Public).await,
    }
}

fn index(files: &Files, path: &str, asked: &Asked, caching: Caching, timestamp: i64) -> Response {
    // No Content-Encoding: Portage would unpack the body before it unpacks the file (util/_urlopen.py).
    let (document, kind) = match path {
        "Packages" => (&files.text, "text/plain; charset=utf-8"),
        _ => (&files.gzip, "application/gzip"),
    };
    answer::document(document, kind, timestamp, asked, caching)
}

async fn artifact(
    app: &App,
    artifact: Option<Arc<Artifact>>,
    asked: &Asked,
    caching: Caching,
) -> Result<Response, Failure> {
    let artifact = artifact.ok_or_else(nothing)?;
    let path = app.store.blobs.path(artifact.published);
    answer::artifact(&path, &artifact, asked, caching).await
}

fn nothing() -> Failure {
    Failure::new(Code::NotFound, "there is no such file")
}
