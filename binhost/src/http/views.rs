//! The three views of packages: a run's staging, a generation before its promotion, and what everybody sees.

use super::answer::{self, Answer, Asked, Caching, Resource, Source};
use super::conditions::Validators;
use super::failure::Failure;
use super::params::{self, Params};
use super::readers;
use super::respond::respond;
use super::tickets::Bearer;
use super::{App, blocking};
use crate::artifact::Artifact;
use crate::index::{Document, Files};
use crate::target::{Published, View};
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
    let answer = match path.as_str() {
        "Packages" | "Packages.gz" => {
            let view = target.map_or_else(|| Arc::new(View::empty(now)), |target| target.view(run, now));
            let timestamp = view.timestamp;
            let files = blocking(move || Ok(view.index())).await?;
            index(&files, &path, &asked, Caching::Never, timestamp)
        }
        _ => {
            let staged = target.and_then(|target| target.staged(run, &path));
            artifact(staged, &asked, Caching::Never)
        }
    };
    respond(answer?, &app.store.blobs).await
}

/// `GET /generations/{target}/{number}/{path}`: for the gate, which judges a generation before it is promoted.
pub(super) async fn generation(
    bearer: Bearer,
    State(app): State<App>,
    Params((target, number, path)): Params<(String, String, String)>,
    asked: Asked,
) -> Result<Response, Failure> {
    let (target, number) = (params::parse::<TargetName>("target", &target)?, params::number(&number)?);
    bearer.generation(&target, number)?;
    let target = app.store.target(&target).ok_or_else(nothing)?;
    let generation = target.generation(number).ok_or_else(nothing)?;
    let answer = match path.as_str() {
        "Packages" | "Packages.gz" => {
            let published = blocking(move || target.index_of(generation)).await?;
            index(&published.files, &path, &asked, Caching::Private, published.generation.timestamp)
        }
        _ => artifact(generation.at(&path), &asked, Caching::Private),
    };
    respond(answer?, &app.store.blobs).await
}

/// `GET /binhost/{target}/{path}`: what workstations install from.
pub(super) async fn public(
    State(app): State<App>,
    Params((target, path)): Params<(String, String)>,
    asked: Asked,
) -> Result<Response, Failure> {
    respond(find_public(&app, &target, &path, &asked)?, &app.store.blobs).await
}

/// The answer to a workstation, from memory: the current generation's index, or an artifact of any that was current.
pub(super) fn find_public(app: &App, target: &str, path: &str, asked: &Asked) -> Result<Answer, Failure> {
    let caching = readers::check(app, target, &asked.headers)?;
    let target = target.parse().ok().and_then(|target| app.store.target(&target)).ok_or_else(nothing)?;
    match path {
        "Packages" | "Packages.gz" => {
            let published = target.published().ok_or_else(nothing)?;
            let Published { generation, files, open } = published.as_ref();
            let (document, file) =
                if path == "Packages" { (&files.text, &open.text) } else { (&files.gzip, &open.gzip) };
            let source = Source::Open(document, file);
            answer::answer(&of_index(document, path, generation.timestamp, source), asked, caching)
        }
        _ => artifact(target.public(path), asked, caching),
    }
}

fn index(
    files: &Files,
    path: &str,
    asked: &Asked,
    caching: Caching,
    timestamp: i64,
) -> Result<Answer, Failure> {
    let document = if path == "Packages" { &files.text } else { &files.gzip };
    let source = Source::Memory(document);
    answer::answer(&of_index(document, path, timestamp, source), asked, caching)
}

/// No Content-Encoding: Portage would unpack the body before it unpacks the file (`util/_urlopen.py`).
fn of_index<'a>(document: &Document, path: &str, timestamp: i64, source: Source<'a>) -> Resource<'a> {
    Resource {
        validators: Validators { etag: document.etag.clone(), modified: timestamp },
        kind: if path == "Packages" { "text/plain; charset=utf-8" } else { "application/gzip" },
        size: document.length(),
        source,
    }
}

fn artifact(artifact: Option<Arc<Artifact>>, asked: &Asked, caching: Caching) -> Result<Answer, Failure> {
    answer::answer(&Resource::of(&*artifact.ok_or_else(nothing)?), asked, caching)
}

fn nothing() -> Failure {
    Failure::new(Code::NotFound, "there is no such file")
}
