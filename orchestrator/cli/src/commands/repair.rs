//! `swarm fleet repairs` and `swarm fleet confirm`: what the swarm does to silent drones, and a person's word on a reboot.

use super::drone::Named;
use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::table::{indented, left, moment, or_dash, table};
use clap::Args;
use swarm_protocol::admin::Repair;

/// Whose.
#[derive(Args, Debug)]
pub(crate) struct Of {
    /// Only this drone's.
    #[arg(value_parser = super::drone::name)]
    drone: Option<String>,
}

/// `swarm fleet repairs`.
pub(crate) async fn list(context: &Context, of: &Of) -> Result<Exit, Failure> {
    let call = context.client.repairs(of.drone.as_deref());
    let repairs = match &of.drone {
        Some(name) => names::of_drone(context, name, call).await?,
        None => context.ask(call).await?,
    };
    context.output.show(&repairs, |repairs| listed(repairs))?;
    Ok(Exit::Ok)
}

/// `swarm fleet confirm`.
pub(crate) async fn confirm(context: &Context, Named { name }: &Named) -> Result<Exit, Failure> {
    let repair = names::of_drone(context, name, context.client.confirm_repair(name)).await?;
    context.output.show(&repair, |repair| {
        let how =
            if repair.dry_run { "would be rebooted, if this were no dry run" } else { "is rebooted now" };
        format!("The machine of {} {how}, unless the drone is heard before.", repair.drone)
    })?;
    Ok(Exit::Ok)
}

fn listed(repairs: &[Repair]) -> String {
    let columns = [left("drone"), left("what"), left("begun (UTC)"), left("ended (UTC)"), left("how")];
    let rows = repairs.iter().map(|repair| {
        let dry = if repair.dry_run { " (dry run)" } else { "" };
        [
            repair.drone.clone(),
            format!("{}{dry}", repair.step),
            moment(repair.begun_at),
            or_dash(repair.ended_at.map(moment)),
            standing(repair),
        ]
    });
    let details = repairs.iter().filter_map(|repair| {
        let detail = repair.detail.as_deref().filter(|detail| *detail != "done")?;
        Some(format!("{} of {}: {detail}", repair.step, repair.drone))
    });
    let table = table(columns, "Nothing was repaired yet.", rows);
    let details: Vec<_> = details.collect();
    if details.is_empty() { table } else { format!("{table}\n{}", indented(details, 0)) }
}

fn standing(repair: &Repair) -> String {
    match repair.outcome {
        Some(outcome) => outcome.as_str().to_owned(),
        None if repair.waits_for_person() => format!("waits: `swarm fleet confirm {}`", repair.drone),
        None if repair.acted_at.is_none() => "confirmed".to_owned(),
        None => "waits for the drone".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;
    use swarm_protocol::admin::RepairOutcome;
    use swarm_protocol::id::RepairId;
    use swarm_protocol::repair::Step;

    #[test]
    fn repairs_in_a_table() {
        let now = sample::status().now;
        let repair = |step, outcome: Option<RepairOutcome>, detail: Option<&str>| Repair {
            id: RepairId(1),
            drone: "ant".to_owned(),
            step,
            reason: "the drone has been silent for 600 s".to_owned(),
            dry_run: false,
            begun_at: now,
            confirmed_at: None,
            acted_at: outcome.map(|_| now),
            detail: detail.map(str::to_owned),
            ended_at: outcome.map(|_| now),
            outcome,
        };
        let refused = Some("this is not the machine that was to restart");
        let repairs = [
            repair(Step::Reboot, None, None),
            repair(Step::Restart, Some(RepairOutcome::Refused), refused),
            repair(Step::Restart, Some(RepairOutcome::Revived), Some("done")),
        ];
        insta::assert_snapshot!(listed(&repairs));
        insta::assert_snapshot!(listed(&[]), @"Nothing was repaired yet.");
    }
}
