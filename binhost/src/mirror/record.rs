//! `.mirror.json`: what was pushed to a mirror.
//!
//! A listing says an object's name and size, but not its bytes: this says their digests, for one request, on every
//! store. It is written after the files that it names, so it never names one that is not there; a file that an
//! interrupted push left unnamed is pushed again.

use super::destination::Destination;
use anyhow::{Context, Result};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use swarm_protocol::Digest;

/// What it says.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The highest TIMESTAMP of an index that was put there, or was about to be.
    pub(super) timestamp: Option<i64>,
    /// The published digests of files, by path.
    pub(super) files: BTreeMap<String, Digest>,
}

impl Record {
    /// Reads it; a mirror without one is new.
    pub(super) async fn read(destination: &Destination, at: &ObjectPath) -> Result<Self> {
        let bytes = match destination.store.get(at).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(Self::default()),
            found => found?.bytes().await?,
        };
        serde_json::from_slice(&bytes).with_context(|| format!("{at} of the mirror is damaged"))
    }

    /// Writes it.
    pub(super) async fn write(&self, destination: &Destination, at: &ObjectPath) -> Result<()> {
        let bytes = serde_json::to_vec(self)?;
        destination.store.put(at, PutPayload::from(bytes)).await?;
        Ok(())
    }
}
