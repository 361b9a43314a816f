//! The receive sequence, from *accepting* to *received* (DESIGN 5.6). Every step may be repeated by anybody:
//! the drone that completes again, the sweep, another orchestrator. The binhost's `stage` is idempotent, and only one
//! *Receive* can happen under the package's lock.

use crate::app::App;
use crate::db::receive;
use crate::db::transition::{ApplyError, Note, Subject};
use crate::machine::package::{Refusal, Step, Transition};
use crate::mend;
use std::time::{Duration, Instant};
use swarm_protocol::Code;
use swarm_protocol::binhost::Staged;
use swarm_protocol::client::ClientError;
use swarm_protocol::drone::{Completed, Completion};
use swarm_protocol::id::{AttemptId, RunId};
use swarm_protocol::state::{FailureClass, Outcome};
use tracing::{info, warn};

/// How long the binhost may take to stage one artifact before the drone is asked to repeat its call.
const PATIENCE: Duration = Duration::from_mins(1);

/// Drives an attempt in *accepting* as far as it goes. What has ended already is answered as it ended.
pub async fn drive(app: &App, attempt: AttemptId) -> Result<Completed, ApplyError> {
    let began = Instant::now();
    let Some(accepting) = receive::accepting(&app.db, attempt).await? else {
        return ended(app, attempt).await;
    };
    let binhost = app.binhost().await?;
    let staging = binhost.stage(&accepting.target, accepting.run, &accepting.stage);
    match tokio::time::timeout(PATIENCE, staging).await {
        Ok(Ok(staged)) => received(app, attempt, accepting.run, &staged, began).await,
        // The run was over when it was dropped, in a history that this database does not know of.
        Ok(Err(error)) if error.code() == Some(Code::WrongState) => {
            mend::overtaken(app, accepting.run, &error.to_string()).await?;
            ended(app, attempt).await
        }
        Ok(Err(error)) => {
            if let Some(class) = refusal(&error) {
                refused(app, attempt, class, &error.to_string()).await
            } else {
                warn!(%attempt, %error, "the binhost cannot stage at the moment");
                Ok(Completed { result: Completion::Accepting, reason: None })
            }
        }
        Err(_) => Ok(Completed { result: Completion::Accepting, reason: None }),
    }
}

async fn received(
    app: &App,
    attempt: AttemptId,
    run: RunId,
    staged: &Staged,
    began: Instant,
) -> Result<Completed, ApplyError> {
    let note = Note { staged: Some((run, staged)), ..Note::default() };
    match app.apply(Subject::Attempt(attempt), &Transition::Receive, note).await {
        Ok(applied) => {
            if let Step::Change(_) = applied.step {
                app.metrics.receive(began.elapsed());
                info!(%attempt, package = %applied.package, artifact.path = staged.path, "a package is received");
            }
            Ok(Completed { result: Completion::Received, reason: None })
        }
        Err(ApplyError::Refused(Refusal::State)) => ended(app, attempt).await,
        Err(ApplyError::Busy) => Ok(Completed { result: Completion::Accepting, reason: None }),
        Err(error) => Err(error),
    }
}

async fn refused(
    app: &App,
    attempt: AttemptId,
    class: FailureClass,
    reason: &str,
) -> Result<Completed, ApplyError> {
    warn!(%attempt, reason, "the binhost refused an artifact");
    let note = Note { reason: Some(reason), ..Note::default() };
    match app.apply(Subject::Attempt(attempt), &Transition::Refuse { class }, note).await {
        Ok(_) => Ok(Completed { result: Completion::Failed, reason: Some(reason.to_owned()) }),
        Err(ApplyError::Refused(Refusal::State)) => ended(app, attempt).await,
        Err(error) => Err(error),
    }
}

/// The answer for an attempt that has ended.
async fn ended(app: &App, attempt: AttemptId) -> Result<Completed, ApplyError> {
    match receive::outcome(&app.db, attempt).await? {
        Some((Outcome::Received, _)) => Ok(Completed { result: Completion::Received, reason: None }),
        Some((Outcome::Failed, reason)) => Ok(Completed { result: Completion::Failed, reason }),
        _ => Err(Refusal::Stale.into()),
    }
}

/// Whose fault the binhost's refusal is; `None` when it may accept later.
fn refusal(error: &ClientError) -> Option<FailureClass> {
    match error.code()? {
        // Well formed, but built under other assumptions: the drone is out of step.
        Code::UnexpectedPackage => Some(FailureClass::Epoch),
        // The bytes are not what the drone said, the binhost lost them, or the path is taken: another build helps.
        Code::NotFound
        | Code::Gone
        | Code::DigestMismatch
        | Code::InvalidPackage
        | Code::PathUsed
        | Code::Conflict
        | Code::StaleReport
        | Code::InvalidValue => Some(FailureClass::Infrastructure),
        _ => None,
    }
}
