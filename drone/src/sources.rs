//! Source archives: fetched once for the swarm.
//!
//! 1. Portage says which archives the ebuild has under this configuration, and what its Manifest says of them
//!    (`steps/archives.py`).
//! 2. The drone's own cache has them, or the binhost, where another drone has sent them.
//! 3. Only for the rest emerge asks upstream, with the network, as the target's configuration has it.
//! 4. What came from upstream is kept in the cache and offered to the binhost.
//!
//! Whoever an archive comes from, it is the one that the Manifest names, by size and BLAKE2B, or it is refused: a binhost
//! that gives other bytes costs a question to upstream, and is told by our sending it the right ones. Portage compares
//! once more, with every digest of the Manifest, before it unpacks. An archive without BLAKE2B in its Manifest has no
//! address, and each drone brings it from upstream.
//!
//! `RESTRICT="mirror"` and `RESTRICT="fetch"` (PMS 7.3.6) do not matter here: they forbid to publish an archive and to
//! get it without a person. The swarm's archives are published to nobody, and a person who puts a file with
//! `RESTRICT="fetch"` into a local mirror of one drone (`[[bind]]` and `GENTOO_MIRRORS`) has got it for all of them.

use crate::build::Workshop;
use crate::cache::Cache;
use crate::download::{self, Unbrought};
use crate::live::Live;
use crate::log::BuildLog;
use crate::offers::Offer;
use crate::stop::Stop;
use serde::Deserialize;
use std::path::{Component, Path};
use swarm_protocol::Code;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::distfile::Blake2b;

/// What an ebuild needs before it can be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sources {
    /// Its archives.
    pub archives: Vec<Archive>,
    /// It may have more, which no Manifest names.
    pub live: bool,
}

/// An archive as the Manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Archive {
    /// The file's name in DISTDIR.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Its digest, where the Manifest has that one.
    pub blake2b: Option<Blake2b>,
}

impl Archive {
    fn is_file_name(&self) -> bool {
        let mut parts = Path::new(&self.name).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
    }
}

/// Reads what the program said, among whatever Portage said besides.
pub fn read(output: &str) -> Result<Sources, String> {
    let line = output.lines().rev().find(|line| line.starts_with('{'));
    let sources: Sources =
        serde_json::from_str(line.unwrap_or_default()).map_err(|error| error.to_string())?;
    match sources.archives.iter().find(|archive| !archive.is_file_name()) {
        Some(archive) => Err(format!("{:?} is no file name", archive.name)),
        None => Ok(sources),
    }
}

/// Brings archives without asking upstream.
pub struct Collect<'a> {
    /// The workshop.
    pub shop: &'a Workshop,
    /// For whom.
    pub live: &'a Live,
    /// DISTDIR.
    pub distdir: &'a Path,
    /// Where it is noted.
    pub log: &'a BuildLog,
}

impl Collect<'_> {
    /// Puts into DISTDIR what the drone's cache and the binhost have; gives those that upstream must be asked for.
    pub async fn known<'s>(&self, sources: &'s Sources) -> Result<Vec<&'s Archive>, Stop> {
        let (mut missing, mut binhost) = (Vec::new(), true);
        for archive in &sources.archives {
            let Some(digest) = archive.blake2b else {
                missing.push(archive);
                continue;
            };
            if self.link(digest, archive).await? {
                self.log.note(&format!("{} from the cache", archive.name));
            } else if binhost && self.binhost_has(digest, archive, &mut binhost).await? {
                self.log.note(&format!("{} from the binhost", archive.name));
            } else {
                missing.push(archive);
            }
        }
        Ok(missing)
    }

    /// Takes into the cache what came from upstream, and offers it to the binhost.
    pub async fn offer(&self, brought: &[&Archive]) -> Result<(), Stop> {
        for archive in brought {
            let Some(digest) = archive.blake2b else { continue };
            let (cache, file) = (self.cache().clone(), self.distdir.join(&archive.name));
            match tokio::task::spawn_blocking(move || cache.adopt(&file, digest)).await? {
                Ok(true) => {
                    self.log.note(&format!("{} from upstream", archive.name));
                    let ticket = self.live.identity().claim.distfiles.clone();
                    self.shop.offers.make(Offer { digest, size: archive.size, ticket });
                }
                // Portage does not go on with such a file, and says so itself.
                Ok(false) => self.log.note(&format!("{} is not what the Manifest names", archive.name)),
                Err(error) => self.log.note(&format!("{} cannot be kept: {error}", archive.name)),
            }
        }
        let (cache, limit) = (self.cache().clone(), self.shop.link.config.distfile_bytes);
        tokio::task::spawn_blocking(move || cache.prune(limit)).await??;
        Ok(())
    }

    fn cache(&self) -> &Cache<Blake2b> {
        &self.shop.archives
    }

    async fn link(&self, digest: Blake2b, archive: &Archive) -> Result<bool, Stop> {
        let (cache, target) = (self.cache().clone(), self.distdir.join(&archive.name));
        Ok(tokio::task::spawn_blocking(move || cache.link(digest, &target)).await??)
    }

    /// Asks the binhost once. One that does not answer is not asked for the next archive: upstream may be nearer.
    async fn binhost_has(
        &self,
        digest: Blake2b,
        archive: &Archive,
        answers: &mut bool,
    ) -> Result<bool, Stop> {
        let ticket = self.live.identity().claim.distfiles.0.clone();
        let client = BinhostClient::new(&self.shop.link.session().binhost_url, ticket);
        let part = self.cache().part();
        let brought = tokio::select! {
            () = self.live.token().cancelled() => return Err(Stop::Cancelled),
            brought = download::to_file(client.distfile(digest), digest, archive.size, part.path()) => brought,
        };
        match brought {
            Ok(()) => {
                self.cache().keep(&part, digest)?;
                return self.link(digest, archive).await;
            }
            Err(Unbrought::Call(error)) if error.code() == Some(Code::NotFound) => {}
            Err(Unbrought::Disk(error)) => return Err(error.into()),
            Err(error @ Unbrought::OtherBytes) => {
                tracing::warn!(distfile.name = archive.name, distfile.digest = %digest,
                    "the binhost's source archive is not what the Manifest names");
                self.log.note(&format!("{}: {error}; upstream is asked", archive.name));
            }
            Err(Unbrought::Call(error)) => {
                *answers = false;
                self.log.note(&format!("{}: {error}; upstream is asked", archive.name));
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says() {
        let blake2b = "ab".repeat(64);
        let line = format!(
            r#"{{"archives": [{{"name": "a.tar.xz", "size": 3, "blake2b": "{blake2b}"}}], "live": false}}"#
        );
        let sources = read(&format!("!!! a warning\n{line}\n")).unwrap();
        assert_eq!(sources.archives[0].blake2b, Some(blake2b.parse().unwrap()));
        let without = line.replace(&format!("\"{blake2b}\""), "null");
        assert_eq!(read(&without).unwrap().archives[0].blake2b, None);
        for wrong in
            [String::new(), "Traceback".into(), line.replace("a.tar", "../a"), line.replace("ab", "AB")]
        {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
