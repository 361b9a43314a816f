//! `swarm log`: what a build wrote, and what it writes.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{names, output, patience};
use clap::Args;
use serde::Serialize;
use std::time::Duration;
use swarm_protocol::id::{AttemptId, RunId};

/// Between two looks at a log that grows.
const POLL: Duration = Duration::from_secs(1);

/// Which log.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  swarm log 31\n  swarm log app-misc/jq --follow")]
pub(crate) struct Arguments {
    /// The attempt's id, as `swarm package` shows it; or a package, whose newest attempt is meant.
    #[arg(value_name = "ATTEMPT|PACKAGE")]
    of: String,
    /// The run in which the package is looked for; the open ones where absent.
    #[arg(long)]
    run: Option<RunId>,
    /// Go on until the attempt has ended.
    #[arg(long, short)]
    follow: bool,
}

/// A log as a JSON document: the API itself answers with plain text.
#[derive(Serialize)]
struct Log<'a> {
    attempt: AttemptId,
    log: &'a str,
}

/// `swarm log`.
pub(crate) async fn log(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let attempt = match arguments.of.parse() {
        Ok(attempt) => attempt,
        Err(_) => newest(context, &arguments.of, arguments.run).await?,
    };
    if arguments.follow {
        return follow(context, attempt).await;
    }
    let text = context.ask(context.client.log(attempt)).await?;
    if context.output.is_json() {
        let log = Log { attempt, log: &String::from_utf8_lossy(&text) };
        context.output.show(&log, |_| String::new())?;
    } else if text.is_empty() {
        output::say(&format!("attempt {attempt} has no log (yet)"));
    } else {
        output::raw(&text)?;
    }
    Ok(Exit::Ok)
}

async fn newest(context: &Context, text: &str, run: Option<RunId>) -> Result<AttemptId, Failure> {
    let package = names::package(context, text, run).await?;
    let package = context.ask(context.client.package(package)).await?;
    let newest = package.tries.last().map(|attempt| attempt.id);
    newest.ok_or_else(|| Failure::not_found(format!("no drone has tried {} yet", package.package.cpv)))
}

/// Ends one look after the attempt's end: its last lines may come after the news of it.
async fn follow(context: &Context, attempt: AttemptId) -> Result<Exit, Failure> {
    let (mut cursor, mut over) = (0, false);
    loop {
        let page = patience::ask(context, async || context.client.log_since(attempt, cursor).await).await?;
        cursor = page.cursor;
        if context.output.is_json() && !page.text.is_empty() {
            let log = Log { attempt, log: &String::from_utf8_lossy(&page.text) };
            output::raw(format!("{}\n", output::json_line(&log)?).as_bytes())?;
        } else {
            output::raw(&page.text)?;
        }
        if over && page.text.is_empty() {
            return Ok(Exit::Ok);
        }
        over = page.ended;
        tokio::time::sleep(POLL).await;
    }
}
