//! Brings what a build needs in its root: a PKGDIR that holds exactly the claim's closure, index included.
//!
//! Portage could fetch dependencies from the run's staging view itself. It is not asked to: with an index that lists
//! exactly the closure (see [`crate::index`]) it can install nothing else by accident, a binhost that is away cannot make
//! it compile dependencies silently, build roots need no network for them, and the ticket never enters a build root.
//! PORTAGE.md 3 calls this best.

use crate::cache::Cache;
use crate::download::{self, Unbrought};
use crate::failure::Failure;
use crate::index;
use crate::link::{CALL_LIMIT, Link, backoff, within};
use crate::live::{Identity, Live};
use crate::log::BuildLog;
use crate::stop::Stop;
use std::path::{Component, Path};
use swarm_protocol::Digest;
use swarm_protocol::client::{BinhostClient, ClientError};
use swarm_protocol::drone::Dependency;
use swarm_protocol::state::FailureClass;

/// How often a file is asked for in vain before the attempt fails.
const TRIES: usize = 12;

/// Fills `pkgdir` with the closure of `live`'s claim.
pub async fn collect(
    link: &Link,
    live: &Live,
    cache: &Cache<Digest>,
    pkgdir: &Path,
    log: &BuildLog,
) -> Result<(), Stop> {
    let closure = live.identity().claim.closure.clone();
    if closure.is_empty() {
        return Ok(());
    }
    for dependency in &closure {
        if !is_below(&dependency.path) {
            let reason = format!("the claim's path {:?} leads out of PKGDIR", dependency.path);
            return Err(Failure::new(FailureClass::Infrastructure, reason).into());
        }
        bring(link, live, cache, dependency, pkgdir, log).await?;
    }
    let text = retried(live, log, "Packages", || staging_index(link, live)).await?;
    let text = index::closure(&text, &closure)
        .map_err(|error| Failure::new(FailureClass::Infrastructure, error.to_string()))?;
    tokio::fs::write(pkgdir.join("Packages"), text).await?;
    let (cache, limit) = (cache.clone(), link.config.cache_bytes);
    tokio::task::spawn_blocking(move || cache.prune(limit)).await??;
    Ok(())
}

/// A relative path without `.` and `..`.
pub(crate) fn is_below(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

async fn bring(
    link: &Link,
    live: &Live,
    cache: &Cache<Digest>,
    dependency: &Dependency,
    pkgdir: &Path,
    log: &BuildLog,
) -> Result<(), Stop> {
    let (digest, target) = (dependency.published, pkgdir.join(&dependency.path));
    for source in ["from the cache", "from the binhost"] {
        let (here, target) = (cache.clone(), target.clone());
        if tokio::task::spawn_blocking(move || here.link(digest, &target)).await?? {
            log.note(&format!("{}-{} {source}", dependency.cpv, dependency.build_id));
            return Ok(());
        }
        retried(live, log, &dependency.path, || download(link, live, cache, dependency)).await?;
    }
    Err(Failure::new(FailureClass::Infrastructure, format!("{} does not stay in the cache", dependency.cpv))
        .into())
}

/// Repeats what may succeed later. Each try is noted in the log, so that it counts as progress.
async fn retried<T, F>(live: &Live, log: &BuildLog, what: &str, get: impl Fn() -> F) -> Result<T, Stop>
where
    F: Future<Output = Result<T, Unbrought>>,
{
    let mut waits = backoff();
    let mut tries = 0;
    loop {
        let result = tokio::select! {
            () = live.token().cancelled() => return Err(Stop::Cancelled),
            result = get() => result,
        };
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        log.note(&format!("{what}: {error}"));
        tries += 1;
        if !error.is_transient() || tries == TRIES {
            let reason = format!("the dependency file {what} cannot be brought: {error}");
            return Err(Failure::new(FailureClass::Infrastructure, reason).into());
        }
        tokio::select! {
            () = live.token().cancelled() => return Err(Stop::Cancelled),
            () = tokio::time::sleep(waits.next().unwrap_or(CALL_LIMIT)) => {}
        }
    }
}

fn binhost(link: &Link, identity: &Identity) -> BinhostClient {
    BinhostClient::new(&link.session().binhost_url, identity.claim.ticket.0.clone())
}

async fn staging_index(link: &Link, live: &Live) -> Result<String, Unbrought> {
    let identity = live.identity();
    let client = binhost(link, &identity);
    let call = async {
        let response = client.staging(&identity.claim.target, identity.claim.run, "Packages").await?;
        response.text().await.map_err(ClientError::from)
    };
    Ok(within(CALL_LIMIT, call).await?)
}

/// Streams a file into the cache; it is kept only if size and digest are those of the claim.
async fn download(
    link: &Link,
    live: &Live,
    cache: &Cache<Digest>,
    wanted: &Dependency,
) -> Result<(), Unbrought> {
    let identity = live.identity();
    let client = binhost(link, &identity);
    let (target, run) = (&identity.claim.target, identity.claim.run);
    let call = client.staging(target, run, &wanted.path);
    let part = cache.part();
    download::to_file(call, wanted.published, wanted.size, part.path()).await?;
    cache.keep(&part, wanted.published)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below() {
        assert!(is_below("sys-libs/zlib/zlib-1-1.gpkg.tar"));
        for wrong in ["", "/etc/passwd", "../x", "a/../../x", "./a"] {
            assert!(!is_below(wrong), "{wrong}");
        }
    }
}
