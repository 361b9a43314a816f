//! `swarm target workstations`, `swarm target forget`.

use crate::connection::Context;
use crate::failure::Failure;
use crate::names;
use crate::table::{left, moment, or_dash, right, size, table};
use swarm_protocol::admin::Workstation;
use swarm_protocol::gentoo::{TargetName, WorkstationName};

/// Lists a target's workstations.
pub(super) async fn list(context: &Context, name: &TargetName) -> Result<(), Failure> {
    super::named(context, name).await?;
    let workstations = context.ask(context.client.workstations(name)).await?;
    context.output.show(&workstations, |workstations| listed(workstations))
}

fn listed(workstations: &[Workstation]) -> String {
    let rows = workstations.iter().map(|workstation| {
        let Workstation { name, world, provided, installed, pushed_at } = workstation;
        let bytes = installed.map(|installed| size(i64::try_from(installed.bytes).unwrap_or(i64::MAX)));
        [
            name.to_string(),
            moment(*pushed_at),
            world.len().to_string(),
            (provided.packages.len() + provided.sonames.len()).to_string(),
            or_dash(bytes),
        ]
    });
    let columns = [
        left("workstation"),
        left("pushed"),
        right("world entries"),
        right("provided"),
        right("installed packages"),
    ];
    table(columns, "No workstation has been pushed; `swarm target push NAME` on it does.", rows)
}

/// Forgets one of them.
pub(super) async fn forget(
    context: &Context,
    name: &TargetName,
    workstation: &WorkstationName,
) -> Result<(), Failure> {
    super::named(context, name).await?;
    match context.ask(context.client.forget_workstation(name, workstation)).await {
        Err(failure) if failure.is_not_found() => {
            let workstations = context.ask(context.client.workstations(name)).await?;
            let names: Vec<_> = workstations.iter().map(|workstation| workstation.name.as_str()).collect();
            return Err(names::unknown("workstation", workstation.as_str(), &names));
        }
        forgotten => forgotten?,
    }
    let told = serde_json::json!({ "target": name, "forgotten": workstation });
    context.output.show(&told, |_| format!("{name} no longer knows of {workstation}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::Digest;
    use swarm_protocol::binhost::Provided;
    use swarm_protocol::definition::Bundle;

    #[test]
    fn workstations_in_a_table() {
        let workstation = |name: &str, installed| Workstation {
            name: name.parse().unwrap(),
            world: vec!["a/b".parse().unwrap(), "@tools".parse().unwrap()],
            provided: Provided { packages: vec!["a/c-1".parse().unwrap()], sonames: vec![] },
            installed,
            pushed_at: "2025-11-21T08:00:00Z".parse().unwrap(),
        };
        let digest = Digest::of(b"");
        let installed = Bundle { content: digest, bundle: digest, bytes: 3 << 20 };
        insta::assert_snapshot!(listed(&[
            workstation("desk", Some(installed)),
            workstation("lap.example", None)
        ]));
        insta::assert_snapshot!(listed(&[]), @"No workstation has been pushed; `swarm target push NAME` on it does.");
    }
}
