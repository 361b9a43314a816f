//! The epochs that this drone can build under: what base root, configuration and repositories are, by content.
//!
//! | part | of the drone's own | of a definition |
//! |---|---|---|
//! | `base_root` | [`base::id`]: the base root's own id file, or its installed packages | the same, and what of the toolchain is installed over it |
//! | `configuration` | the content of the base root's `/etc/portage` | the pushed one's |
//! | `repositories` | [`swarm_bundle::repos`]: each repository's clean git commit, or the content of its tree | the pushed ones |
//! | `compat` | [`compat`]: CHOST, flags, profile, C library and compiler runtime | the same, in a root of the definition |
//!
//! The drone's own epoch is one; definitions are those that the orchestrator wants, several at once:
//!
//! ```text
//! follow ── definitions wanted? ─▶ bring ─▶ store: configurations, trees, mirrors ─▶ judge, compat ─▶ held
//! claims, resolutions ── all that is held ─▶ work ── foundation of its epoch, checked before and after ─▶ root
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`own`] | the drone's own epoch |
//! | [`follow`] | the loop: asks what is wanted, and brings the drone to it |
//! | [`bring`] | one definition, from bundles and repositories to an epoch |
//! | [`store`] | its parts on the disk, shared, checked, removed when nobody needs them |
//! | [`toolchain`] | the base root of one that moves the toolchain |
//! | [`git`] | mirrors, and trees of commits |
//! | [`judge`] | whether a definition can be built under here |

pub mod base;
pub mod bring;
pub mod compat;
pub mod follow;
pub mod git;
pub mod judge;
pub mod own;
pub mod store;
pub mod toolchain;

use crate::config::Config;
use crate::root::{Foundation, Launcher};
use bring::Held;
use own::Own;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::Store;
use swarm_protocol::Digest;
use swarm_protocol::id::DefinitionId;
use swarm_protocol::resolution::HeldEpoch;
use tokio::sync::watch;

/// How many epochs a request may name.
const LISTED: usize = 64;

/// What the drone holds.
type Holdings = BTreeMap<DefinitionId, Arc<Held>>;

/// Knows what the drone holds, and whether it still holds.
pub struct Epochs {
    config: Config,
    launcher: Launcher,
    own: Own,
    /// Said once: a drone may have no repositories but those of definitions.
    ownless: AtomicBool,
    store: Arc<Store>,
    held: watch::Sender<Holdings>,
}

impl Epochs {
    /// Of the base root in `config`, entered by `launcher`. Definitions live in the state directory.
    pub fn open(config: Config, launcher: Launcher) -> io::Result<Self> {
        Ok(Self {
            own: Own::new(config.clone(), launcher.clone()),
            ownless: AtomicBool::new(false),
            store: Arc::new(Store::open(&config.state_dir)?),
            held: watch::Sender::default(),
            config,
            launcher,
        })
    }

    /// All epochs that are held now, the drone's own last. Fails when that cannot be told and there is no other.
    pub async fn all(&self) -> anyhow::Result<Vec<HeldEpoch>> {
        let held =
            |held: &Arc<Held>| HeldEpoch { definition: Some(held.definition.id), epoch: held.epoch.clone() };
        let mut all: Vec<_> = self.held.borrow().values().take(LISTED - 1).map(held).collect();
        match self.own.current().await {
            Ok(epoch) => {
                self.ownless.store(false, Ordering::Relaxed);
                all.push(HeldEpoch { definition: None, epoch });
            }
            Err(error) if all.is_empty() => return Err(error),
            Err(error) => {
                if !self.ownless.swap(true, Ordering::Relaxed) {
                    let error = format!("{error:#}");
                    tracing::info!(
                        error,
                        "the drone has no epoch of its own; it works under definitions only"
                    );
                }
            }
        }
        Ok(all)
    }

    /// Hears of every change of what is held; only the drone's own epoch changes without a word.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Holdings> {
        self.held.subscribe()
    }

    /// What the roots of an epoch stand on; none where the drone does not hold it, or holds it no longer.
    pub async fn foundation(&self, asked: Digest) -> anyhow::Result<Option<Foundation>> {
        let held = self.held.borrow().values().find(|held| held.digest == asked).cloned();
        match held {
            Some(held) => Ok(self.still_holds(vec![held.clone()]).await?.then(|| held.foundation.clone())),
            None if self.own.current().await?.digest() == asked => Ok(Some(self.own.foundation().clone())),
            None => Ok(None),
        }
    }

    /// Whether all of this is as it was brought; what is not is held no longer.
    async fn still_holds(&self, held: Vec<Arc<Held>>) -> anyhow::Result<bool> {
        let store = self.store.clone();
        let changed = tokio::task::spawn_blocking(move || bring::changed(&held, &store)).await??;
        self.retain(|held| !changed.iter().any(|changed| Arc::ptr_eq(held, changed)));
        Ok(changed.is_empty())
    }

    fn holds(&self, held: Held) {
        self.held.send_modify(|all| drop(all.insert(held.definition.id, Arc::new(held))));
    }

    fn retain(&self, keep: impl Fn(&Arc<Held>) -> bool) {
        self.held.send_if_modified(|all| {
            let before = all.len();
            all.retain(|_, held| keep(held));
            all.len() != before
        });
    }
}
