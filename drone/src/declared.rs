//! What an ebuild says about itself beyond its dependencies: here, that it needs the network (PMS 7.3.6 and 7.3.7).
//!
//! | words | Portage gives the network to (`doebuild.py`, `_doebuild_spawn`) |
//! |---|---|
//! | `PROPERTIES="live"` | the phase *unpack* |
//! | `PROPERTIES="test_network"` | the phase *test* |
//! | `RESTRICT="network-sandbox"` | every phase |
//!
//! The words are read from Portage's metadata caches: the repository's own (`metadata/md5-cache`), or what the fetch has
//! just left in the root (`/var/cache/edb/dep`). They may stand under USE conditions; so nothing is decided by them here
//! but that Portage is to decide, phase by phase, with its `network-sandbox`.

use crate::root::Foundation;
use std::fs;
use std::path::Path;
use swarm_protocol::drone::Claim;

/// Whether the claim's ebuild may want a network in some phase; `upper` is the upper layer of a root in which its source
/// archives were fetched.
#[must_use]
pub fn wants_network(foundation: &Foundation, upper: &Path, claim: &Claim) -> bool {
    let repos = foundation.repositories().unwrap_or_default();
    let Some(repo) = repos.into_iter().find(|repo| repo.name == claim.repository) else { return false };
    let entry = Path::new(claim.cpv.category()).join(claim.cpv.pf());
    let own = foundation.on_host(Path::new(&repo.location)).join("metadata/md5-cache").join(&entry);
    let left = upper.join("var/cache/edb/dep").join(repo.location.trim_start_matches('/')).join(&entry);
    [own, left].iter().find_map(|file| fs::read_to_string(file).ok()).is_some_and(|text| says_so(&text))
}

/// Of an entry of either cache: `KEY=VALUE` lines.
fn says_so(entry: &str) -> bool {
    let has = |key: &str, words: &[&str]| {
        let value = entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.is_some_and(|value| value.split_whitespace().any(|word| words.contains(&word)))
    };
    has("PROPERTIES", &["live", "test_network"]) || has("RESTRICT", &["network-sandbox"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_cache() {
        assert!(says_so("EAPI=8\nPROPERTIES=test_network\nSLOT=0\n"));
        assert!(says_so("RESTRICT=!test? ( test ) x? ( network-sandbox )\n"));
        assert!(!says_so("DESCRIPTION=RESTRICT=network-sandbox\nRESTRICT=test\nPROPERTIES=interactive\n"));
    }
}
