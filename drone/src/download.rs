//! Downloads from the binhost into a file, which is complete and what was asked for, or an error.

use crate::address::Address;
use crate::link::{CALL_LIMIT, CallError, within};
use std::path::Path;
use std::time::Duration;
use swarm_protocol::client::{ClientError, Response};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// How long a download may deliver nothing.
const STALL: Duration = Duration::from_mins(1);

/// Why a file was not brought.
#[derive(Debug, thiserror::Error)]
pub enum Unbrought {
    /// The binhost did not give it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It gave something else.
    #[error("the binhost sent other bytes than were asked for")]
    OtherBytes,
    /// The disk did not take it.
    #[error("cannot be written: {0}")]
    Disk(#[from] std::io::Error),
}

impl Unbrought {
    /// Whether the same may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::OtherBytes => true,
            Self::Disk(_) => false,
        }
    }
}

/// Writes what `call` answers to `file`: exactly `size` bytes with the digest `wanted`.
pub async fn to_file<A: Address>(
    call: impl Future<Output = Result<Response, ClientError>>,
    wanted: A,
    size: u64,
    file: &Path,
) -> Result<(), Unbrought> {
    let mut response = within(CALL_LIMIT, call).await?;
    let mut file = File::create(file).await?;
    let (mut hasher, mut written) = (A::Hasher::default(), 0);
    loop {
        let next = async { response.chunk().await.map_err(ClientError::from) };
        let Some(bytes) = within(STALL, next).await? else { break };
        written += bytes.len() as u64;
        if written > size {
            return Err(Unbrought::OtherBytes);
        }
        A::update(&mut hasher, &bytes);
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    if written != size || A::of(hasher) != wanted {
        return Err(Unbrought::OtherBytes);
    }
    Ok(())
}
