//! `swarm packages` and `swarm release`.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{left, moment, prose, right, size, table};
use clap::Args;
use swarm_protocol::admin::Package;
use swarm_protocol::id::{PackageId, RunId};
use swarm_protocol::state::PackageState;

/// Which packages.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The run's id.
    run: RunId,
    /// Only those that are: needed, delegated, received, blocked, quarantined.
    #[arg(long, value_parser = state)]
    state: Option<PackageState>,
}

fn state(text: &str) -> Result<PackageState, String> {
    let state = PackageState::ALL.iter().find(|state| state.as_str() == text);
    state.copied().ok_or_else(|| {
        let all: Vec<_> = PackageState::ALL.iter().map(|state| state.as_str()).collect();
        format!("a package is one of {}", all.join(", "))
    })
}

/// `swarm packages`.
pub(crate) async fn list(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut packages = context.ask(context.client.packages(arguments.run)).await?;
    packages.retain(|package| arguments.state.is_none_or(|state| package.state == state));
    context.output.show(&packages, |packages| listed(packages, arguments))?;
    Ok(Exit::Ok)
}

/// `swarm release`.
pub(crate) async fn release(context: &Context, package: PackageId) -> Result<Exit, Failure> {
    let package = context.ask(context.client.release(package)).await?;
    context.output.show(&package, |package| {
        format!("{} is {} again; its former failures are forgiven.", package.cpv, package.state)
    })?;
    Ok(Exit::Ok)
}

fn listed(packages: &[Package], arguments: &Arguments) -> String {
    let columns = [
        right("id"),
        left("package"),
        left("slot"),
        left("state"),
        right("waits"),
        right("tries"),
        prose("note"),
    ];
    let rows = packages.iter().map(|package| {
        [
            package.id.to_string(),
            package.cpv.to_string(),
            package.slot.to_string(),
            package.state.to_string(),
            package.unmet.to_string(),
            package.attempts.to_string(),
            note(package),
        ]
    });
    let empty = match arguments.state {
        Some(state) => format!("No package of run {} is {state}.", arguments.run),
        None => format!("Run {} has no package.", arguments.run),
    };
    table(columns, &empty, rows)
}

fn note(package: &Package) -> String {
    if let Some(reason) = &package.reason {
        return reason.clone();
    }
    match (&package.artifact, package.not_before) {
        (Some(artifact), _) => format!("{} from {}", size(artifact.size), artifact.drone),
        // A pause that was served is of no interest, and which ones were, only the server's clock knows.
        (None, Some(at)) if package.state == PackageState::Needed => format!("not before {}", moment(at)),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn packages_in_a_table() {
        let arguments = Arguments { run: RunId(7), state: None };
        insta::assert_snapshot!(listed(&sample::packages(), &arguments));
    }

    #[test]
    fn no_packages() {
        let none = |state| listed(&[], &Arguments { run: RunId(7), state });
        assert_eq!(none(None), "Run 7 has no package.");
        assert_eq!(none(Some(PackageState::Blocked)), "No package of run 7 is blocked.");
    }
}
