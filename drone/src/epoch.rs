//! The epochs that this drone can build under: what its base root, configuration and repositories are, by content.
//!
//! | part | of |
//! |---|---|
//! | `base_root` | [`base::id`]: the base root's own id file, or its installed packages |
//! | `configuration` | the content of the base root's `/etc/portage` |
//! | `repositories` | [`swarm_bundle::repos`]: each repository's clean git commit, or the content of its tree |
//! | `compat` | [`compat`]: CHOST, flags, profile, C library and compiler runtime |

pub mod base;
pub mod compat;
pub mod own;

use crate::config::Config;
use crate::root::{Foundation, Launcher};
use own::Own;
use swarm_protocol::Digest;
use swarm_protocol::epoch::Epoch;

/// Knows what the drone holds, and whether it still holds.
pub struct Epochs {
    own: Own,
}

impl Epochs {
    /// Of the base root in `config`, entered by `launcher`.
    #[must_use]
    pub fn new(config: Config, launcher: Launcher) -> Self {
        Self { own: Own::new(config, launcher) }
    }

    /// The epoch as it is now.
    pub async fn current(&self) -> anyhow::Result<Epoch> {
        self.own.current().await
    }

    /// What the roots of an epoch stand on; none where the drone does not hold it, or holds it no longer.
    pub async fn foundation(&self, asked: Digest) -> anyhow::Result<Option<Foundation>> {
        let held = self.own.current().await?.digest() == asked;
        Ok(held.then(|| self.own.foundation().clone()))
    }
}
