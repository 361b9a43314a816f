//! `build-binhost key`: what a person does with the keys. A running binhost heeds it at once.

use super::Key;
use super::keyring::{DAYS, Keyring, Keys, date};
use anyhow::Result;
use clap::Subcommand;
use std::path::Path;

/// The keys that sign packages. Run it under the binhost's account.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Show the keys: fingerprint, whether it signs, when it was made, when it expires.
    List,
    /// Make a key. The first one signs; another is published, and signs when told to (`key use`).
    Create {
        /// How long it is valid.
        #[arg(long, default_value_t = DAYS)]
        days: u32,
    },
    /// Sign with this key from now on. Clients must have it by then.
    Use {
        /// Its fingerprint, or the end of it.
        key: String,
    },
    /// Let a key be valid for so many days from now. Clients must fetch it again.
    Extend {
        /// Its fingerprint, or the end of it.
        key: String,
        /// How long it is valid.
        #[arg(long, default_value_t = DAYS)]
        days: u32,
    },
    /// Remove a key that does not sign. Clients that are set up later refuse the packages that it signed.
    Remove {
        /// Its fingerprint, or the end of it.
        key: String,
    },
    /// Print the public keys, as `gpg --import` takes them.
    Export,
}

impl KeyCommand {
    /// Does it to the keys of the binhost in `directory`; what it says.
    pub fn run(self, directory: &Path, now: i64) -> Result<String> {
        let keyring = Keyring::of(directory);
        Ok(match self {
            Self::List => table(&keyring.load()?, now),
            Self::Create { days } => said("made", &keyring.create(now, days)?),
            Self::Use { key } => said("signs from now on", &keyring.switch(&key, now)?),
            Self::Extend { key, days } => said("extended", &keyring.extend(&key, now, days)?),
            Self::Remove { key } => format!("{} removed\n", keyring.remove(&key)?),
            Self::Export => keyring.load()?.public()?.0,
        })
    }
}

fn said(what: &str, key: &Key) -> String {
    format!("{} {what}; it expires on {}\n", key.fingerprint(), date(key.expires()))
}

fn table(keys: &Keys, now: i64) -> String {
    let row = |key: &Key| {
        let state = match key.fingerprint() {
            _ if key.expires() <= now => "expired",
            fingerprint if fingerprint == keys.signing => "signs",
            _ => "published",
        };
        let (created, expires) = (date(key.created()), date(key.expires()));
        format!("{}  {state:<9}  made {created}  expires {expires}\n", key.fingerprint())
    };
    keys.all.iter().map(row).collect()
}
