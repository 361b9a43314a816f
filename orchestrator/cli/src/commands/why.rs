//! `swarm why`: why a package is not being built, or a drone has no work.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{left, moment, prose, table};
use clap::Args;
use swarm_protocol::admin::Why;
use swarm_protocol::id::RunId;

/// Of what.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  swarm why dev-lang/rust\n  swarm why drone-izar\n  swarm why jq --run 7"
)]
pub(crate) struct Asked {
    /// A drone's name; or a package's id, category/name-version, category/name, or name.
    #[arg(value_name = "PACKAGE|DRONE")]
    subject: String,
    /// The run in which a package is looked for; the open ones where absent.
    #[arg(long)]
    run: Option<RunId>,
}

/// `swarm why`.
pub(crate) async fn show(context: &Context, asked: &Asked) -> Result<Exit, Failure> {
    let subject = &asked.subject;
    let may_be_drone = asked.run.is_none() && !subject.contains('/');
    let drones = if may_be_drone { context.ask(context.client.drones()).await? } else { vec![] };
    let drones: Vec<_> = drones.iter().map(|drone| drone.name.as_str()).collect();
    let why = if drones.contains(&subject.as_str()) {
        context.ask(context.client.why_drone(subject)).await?
    } else {
        match names::package(context, subject, asked.run).await {
            Ok(id) => context.ask(context.client.why_package(id)).await?,
            Err(failure) if failure.is_not_found() && names::nearest(subject, &drones).is_some() => {
                return Err(names::unknown("drone", subject, &drones));
            }
            Err(failure) => return Err(failure),
        }
    };
    context.output.show(&why, shown)?;
    Ok(Exit::Ok)
}

pub(super) fn shown(why: &Why) -> String {
    let answer = format!("{}: {}.", why.subject, why.answer);
    if why.causes.is_empty() {
        return answer;
    }
    let rows = why.causes.iter().map(|cause| {
        [cause.subject.clone(), cause.text.clone(), cause.until.map(moment).unwrap_or_default()]
    });
    format!("{answer}\n\n{}", table([left("of"), prose("why"), left("until (UTC)")], "", rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::admin::Cause;

    #[test]
    fn an_answer_with_its_causes() {
        let until = "2026-11-21T20:15:00Z".parse().ok();
        let cause = |subject: &str, reason: &str, text: &str, until| Cause {
            subject: subject.to_owned(),
            reason: reason.to_owned(),
            text: text.to_owned(),
            until,
        };
        let mut why = Why {
            subject: "dev-lang/rust-1.85.1".to_owned(),
            answer: "it is ready".to_owned(),
            causes: vec![
                cause("drone-izar", "memory", "it takes more memory than the drone has", None),
                cause("drone-tarn", "busy", "the drone builds something else", until),
            ],
        };
        insta::assert_snapshot!(shown(&why));
        why.causes.clear();
        assert_eq!(shown(&why), "dev-lang/rust-1.85.1: it is ready.");
    }
}
