//! Calls of commands that run for hours: a restart of the orchestrator must not end them.

use crate::connection::Context;
use crate::failure::Failure;
use crate::output;
use std::time::Duration;
use swarm_protocol::client::ClientError;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
/// After how much waiting it gives up.
const ENOUGH: Duration = Duration::from_mins(10);

/// Asks until there is an answer, with growing pauses, and says that it waits.
pub(crate) async fn ask<T>(
    context: &Context,
    mut call: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let (mut pause, mut waited) = (FIRST, Duration::ZERO);
    loop {
        let failure = match context.ask(call()).await {
            Ok(answer) => {
                if !waited.is_zero() {
                    output::say("the orchestrator answers again");
                }
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        if !failure.is_transient() || waited >= ENOUGH {
            return Err(failure);
        }
        if waited.is_zero() {
            output::say("the orchestrator does not answer; trying on");
        }
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(LONGEST);
    }
}
