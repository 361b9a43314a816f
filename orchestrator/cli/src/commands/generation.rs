//! `swarm generations`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{left, moment, or_dash, right, table};
use swarm_protocol::admin::Generation;
use swarm_protocol::gentoo::TargetName;

/// Lists the generations of a target.
pub(crate) async fn list(context: &Context, target: &TargetName) -> Result<Exit, Failure> {
    let generations = context.ask(context.client.generations(target)).await?;
    context.output.show(&generations, |generations| listed(generations, target))?;
    Ok(Exit::Ok)
}

fn listed(generations: &[Generation], target: &TargetName) -> String {
    let columns =
        [right("generation"), left("state"), right("packages"), right("run"), left("promoted (UTC)")];
    let rows = generations.iter().map(|generation| {
        [
            generation.number.to_string(),
            generation.state.to_string(),
            generation.packages.to_string(),
            generation.run.to_string(),
            or_dash(generation.promoted_at.map(moment)),
        ]
    });
    table(columns, &format!("Target {target} has no generation yet."), rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn generations_in_a_table() {
        let target = "amd64-v3".parse().unwrap();
        insta::assert_snapshot!(listed(&sample::generations(), &target));
        insta::assert_snapshot!(listed(&[], &target), @"Target amd64-v3 has no generation yet.");
    }
}
