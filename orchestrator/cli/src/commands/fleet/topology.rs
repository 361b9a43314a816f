//! `swarm fleet list` and `swarm fleet import`.

use super::File;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output::{Output, raw, say};
use crate::table::{left, or_dash, right, table};
use serde::Serialize;
use std::path::Path;
use swarm_fleet::topology::import::{self, Imported};
use swarm_fleet::topology::{Node, Role};

/// A machine, as the file has it.
#[derive(Serialize)]
struct Listed {
    name: String,
    address: String,
    user: Option<String>,
    port: Option<u16>,
    jump: Option<String>,
    roles: Vec<Role>,
    site: String,
    weight: u32,
    repair: String,
}

impl From<&Node> for Listed {
    fn from(node: &Node) -> Self {
        Self {
            name: node.name.to_string(),
            address: node.route.host.to_string(),
            user: node.route.user.as_ref().map(ToString::to_string),
            port: node.route.port,
            jump: node.route.jump.as_ref().map(ToString::to_string),
            roles: node.roles.clone(),
            site: node.site.clone(),
            weight: node.weight,
            repair: node.repair.to_string(),
        }
    }
}

pub(super) fn list(output: Output, file: &File) -> Result<Exit, Failure> {
    let nodes: Vec<_> = file.load()?.nodes.iter().map(Listed::from).collect();
    output.show(&nodes, |nodes| listed(nodes))?;
    Ok(Exit::Ok)
}

fn listed(nodes: &[Listed]) -> String {
    let columns = [
        left("node"),
        left("address"),
        left("by way of"),
        left("roles"),
        left("site"),
        right("weight"),
        left("repair"),
    ];
    let rows = nodes.iter().map(|node| {
        let user = node.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
        let port = node.port.map_or_else(String::new, |port| format!(":{port}"));
        [
            node.name.clone(),
            format!("{user}{}{port}", node.address),
            or_dash(node.jump.clone()),
            node.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            node.site.clone(),
            node.weight.to_string(),
            node.repair.clone(),
        ]
    });
    table(columns, "The topology has no node.", rows)
}

pub(super) fn import(output: Output, list: &Path) -> Result<Exit, Failure> {
    let text = input::read(list)?;
    let Imported { text, left_out } =
        import::import(&text).map_err(|error| Failure::usage(format!("{}: {error}", input::named(list))))?;
    for what in &left_out {
        say(&format!("left out: {what}"));
    }
    if output.is_json() {
        output.show(&serde_json::json!({ "topology": text, "left_out": left_out }), |_| String::new())?;
    } else {
        raw(text.as_bytes())?;
    }
    Ok(Exit::Ok)
}
