//! What both benches need: the machine, and the form of a report.
#![allow(dead_code, reason = "neither bench needs all of it")]

pub(crate) mod host;
pub(crate) mod processes;
pub(crate) mod report;

use std::process::ExitCode;

/// Those of `names` that the command line asks for: all where it names none.
pub(crate) fn wanted(names: &[&'static str]) -> Result<Vec<&'static str>, ExitCode> {
    // Cargo adds an option of its own.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(&name.as_str())) {
        eprintln!("there is no bench {unknown}; there are {}", names.join(", "));
        return Err(ExitCode::from(2));
    }
    let is_wanted = |name: &&&str| wanted.is_empty() || wanted.iter().any(|one| one == **name);
    Ok(names.iter().filter(is_wanted).copied().collect())
}

/// A thousand drones have as many connections, at both ends. Processes that are started inherit it.
pub(crate) fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
