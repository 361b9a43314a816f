//! Artifacts whose bytes the binhost has lost: a disk changed them, or somebody removed them. What a run may keep is
//! never collected (the current generation and the views that are not dropped are the binhost's roots), so this is
//! damage. The binhost refuses such an artifact with `gone`; here it is marked, so that no run keeps it any more, and
//! the next one builds it again.

use crate::app::App;
use crate::db::retention;
use swarm_protocol::client::ClientError;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::{Code, Digest};
use tracing::error;

/// If `refusal` says that some of `artifacts` are gone, marks those. `true`: some were marked, and a second call without
/// them may succeed.
pub async fn note(
    app: &App,
    target: &TargetName,
    refusal: &ClientError,
    artifacts: &[Digest],
) -> sqlx::Result<bool> {
    if refusal.code() != Some(Code::Gone) {
        return Ok(false);
    }
    let missing = match app.binhost().await?.missing(target, artifacts.to_vec()).await {
        Ok(missing) => missing,
        Err(error) => {
            error!(%error, "the binhost cannot say which artifacts are gone");
            return Ok(false);
        }
    };
    let marked = retention::lost(&app.db, target, &missing).await?;
    if marked > 0 {
        error!(target.name = %target, artifacts = marked, "the binhost has lost artifacts; they will be built again");
    }
    Ok(marked > 0)
}
