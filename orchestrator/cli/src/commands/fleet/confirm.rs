//! Before drones are reset: what that would destroy, and a person's word.

use crate::failure::Failure;
use crate::output::printable;
use std::io::{IsTerminal, Write};
use swarm_fleet::desired::DesiredPart;
use swarm_fleet::force;
use swarm_fleet::survey::Surveyed;
use swarm_fleet::topology::Role;
use swarm_protocol::admin::Drone;

/// The word that a person has to type.
const WORD: &str = "reset";

/// Shows what would be destroyed, and asks.
pub(super) async fn confirm(surveyed: &[Surveyed], drones: &[Drone]) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "--force asks on a terminal before it resets drones; --yes is the answer of a script",
        ));
    }
    let mut lines = Vec::new();
    for one in surveyed {
        let Ok(found) = &one.found else { continue };
        let is_drone = |part: &&DesiredPart| part.part.role == Role::Drone;
        let Some(part) = found.desired.parts.iter().find(is_drone) else { continue };
        let name = one.node.name.as_str();
        let doomed = match force::look(&found.connection, &part.settings.state_dir).await {
            Ok(doomed) => doomed.to_string(),
            Err(trouble) => trouble.to_string(),
        };
        let work = drones.iter().filter(|drone| drone.name == name).flat_map(|drone| &drone.work);
        let builds: Vec<_> = work.map(|work| work.cpv.to_string()).collect();
        let builds =
            if builds.is_empty() { String::new() } else { format!("; builds {}", builds.join(", ")) };
        lines.push(format!("  {name}: {doomed} in {}{builds}\n", part.settings.state_dir));
    }
    let mut error = std::io::stderr().lock();
    write!(
        error,
        "This will be destroyed:\n{}The queue stays as it is. Type `{WORD}` to go on: ",
        printable(&lines.concat())
    )?;
    error.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == WORD { Ok(()) } else { Err(Failure::usage("not confirmed; nothing was done")) }
}
