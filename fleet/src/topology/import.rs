//! A `fleet.toml` out of a list of servers in JSON, as people keep them: an array of objects, alone or below a key such as
//! `servers`, or an object of objects by name.
//!
//! | of `fleet.toml` | in the list |
//! |---|---|
//! | `name` | `name`, `hostname`, `id`, or the key |
//! | `address` | `address`, `ip`, `host`, `ssh_host` |
//! | `user`, `port`, `key`, `jump` | the same, with or without `ssh_` in front; `jump_host`, `key_file` |
//! | `roles` | `roles`, `role`, `type` |
//! | `site` | `site`, `location`, `datacenter` |
//! | `weight` | `weight` |
//!
//! What is not understood is left out and said. The result is read as any topology before anybody sees it.

use super::{Role, Topology, TopologyError};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::Path;

/// A topology made of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text of `fleet.toml`.
    pub text: String,
    /// What was left out, in sentences.
    pub left_out: Vec<String>,
}

/// Why a list cannot become a topology.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// There are no servers in it.
    #[error("no list of servers: an array of objects with names and addresses, or an object of such")]
    NoList,
    /// What came of it makes no sense.
    #[error("what came of it is no topology: {0}")]
    Topology(#[from] TopologyError),
}

type Server = Map<String, Value>;

/// Makes a topology of a list.
pub fn import(json: &str) -> Result<Imported, ImportError> {
    let servers = servers(&serde_json::from_str(json)?).ok_or(ImportError::NoList)?;
    let mut imported = Imported { text: String::new(), left_out: Vec::new() };
    for (name, server) in &servers {
        imported.node(name, server);
    }
    Topology::parse(&imported.text, Path::new("fleet.toml"))?;
    Ok(imported)
}

fn servers(value: &Value) -> Option<Vec<(String, Server)>> {
    let objects = |value: &Value| value.as_object().cloned();
    match value {
        Value::Array(list) => {
            let named = |server: Server| Some((text(&server, &["name", "hostname", "id"])?, server));
            list.iter().map(|server| named(objects(server)?)).collect()
        }
        Value::Object(map) => {
            let below = ["servers", "nodes", "hosts", "drones", "machines"];
            if let Some(list) = below.iter().find_map(|key| map.get(*key)) {
                return servers(list);
            }
            let named = |name: &String, server: Server| {
                (text(&server, &["name", "hostname"]).unwrap_or_else(|| name.clone()), server)
            };
            map.iter().map(|(name, server)| Some(named(name, objects(server)?))).collect()
        }
        _ => None,
    }
}

/// A word or a number by the first of these names.
fn text(server: &Server, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match server.get(*name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

impl Imported {
    fn node(&mut self, name: &str, server: &Server) {
        const FIELDS: [(&str, &[&str]); 6] = [
            ("address", &["address", "ip", "host", "ssh_host"]),
            ("user", &["user", "ssh_user"]),
            ("key", &["key", "ssh_key", "key_file"]),
            ("jump", &["jump", "jump_host", "ssh_jump"]),
            ("site", &["site", "location", "datacenter"]),
            ("os", &["os"]),
        ];
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let name = name.to_ascii_lowercase();
        let mut lines = vec!["[[node]]".to_owned(), format!("name = {}", quoted(&name))];
        for (field, names) in FIELDS {
            lines.extend(text(server, names).map(|value| format!("{field} = {}", quoted(&value))));
        }
        for (field, names) in [("port", ["port", "ssh_port"]), ("weight", ["weight", "weight"])] {
            let number = text(server, &names).and_then(|text| text.parse::<u32>().ok());
            lines.extend(number.map(|number| format!("{field} = {number}")));
        }
        let roles = self.roles(&name, server);
        if !roles.is_empty() {
            lines.push(format!(
                "roles = [{}]",
                roles.iter().map(|role| quoted(role)).collect::<Vec<_>>().join(", ")
            ));
        }
        let known = ["name", "hostname", "id", "port", "ssh_port", "weight", "roles", "role", "type"];
        let is_known =
            |key: &str| known.contains(&key) || FIELDS.iter().any(|(_, names)| names.contains(&key));
        let unknown: Vec<_> = server.keys().filter(|key| !is_known(key)).map(String::as_str).collect();
        if !unknown.is_empty() {
            self.left_out.push(format!("{name}: {}", unknown.join(", ")));
        }
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{}\n", lines.join("\n"));
    }

    fn roles(&mut self, name: &str, server: &Server) -> Vec<String> {
        let said: Vec<String> = match ["roles", "role", "type"].iter().find_map(|key| server.get(*key)) {
            Some(Value::Array(list)) => {
                list.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect()
            }
            Some(Value::String(role)) => vec![role.clone()],
            _ => return Vec::new(),
        };
        let is_role = |role: &String| serde_json::from_value::<Role>(Value::String(role.clone())).is_ok();
        let (roles, unknown): (Vec<_>, Vec<_>) =
            said.into_iter().map(|role| role.to_ascii_lowercase()).partition(is_role);
        self.left_out
            .extend(unknown.iter().map(|role| format!("{name}: role {role}, which is none of ours")));
        roles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_a_topology() {
        let json = r#"{"servers": [
            {"name": "drone-Izar", "ip": "10.0.0.17", "ssh_user": "root", "ssh_port": 2222, "role": "drone", "cores": 8},
            {"hostname": "queen", "host": "queen.example", "roles": ["Orchestrator", "binhost", "nas"], "location": "home"}
        ]}"#;
        let imported = import(json).unwrap();
        insta::assert_snapshot!(format!("{}---\n{}", imported.text, imported.left_out.join("\n")));
    }

    #[test]
    fn by_name_or_not_at_all() {
        let imported =
            import(r#"{"izar": {"address": "izar"}, "naos": {"address": "naos", "port": "22"}}"#).unwrap();
        assert_eq!(imported.text.matches("[[node]]").count(), 2);
        assert!(matches!(import("7"), Err(ImportError::NoList)));
        assert!(matches!(import("{"), Err(ImportError::Json(_))));
        let wrong = import(r#"[{"name": "izar", "ip": "-oProxyCommand=x"}]"#).unwrap_err().to_string();
        assert!(wrong.contains("is no host"), "{wrong}");
    }
}
