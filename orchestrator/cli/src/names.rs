//! What people call things: names that are nearly right get a suggestion, packages are found by name.

use crate::connection::Context;
use crate::failure::Failure;
use std::collections::BTreeSet;
use swarm_protocol::admin::{Package, Target};
use swarm_protocol::client::ClientError;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{PackageId, RunId};

/// Asks about a target; if it is not there, says which one may have been meant.
pub(crate) async fn of_target<T>(
    context: &Context,
    name: &TargetName,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Failure> {
    match context.ask(call).await {
        Err(failure) if failure.is_not_found() => {
            let targets = context.ask(context.client.targets()).await?;
            // What is missing may be something of the target's.
            let is_there = targets.iter().any(|target| target.name == *name);
            Err(if is_there { failure } else { unknown_target(name, &targets) })
        }
        answer => answer,
    }
}

/// There is no such target among `targets`.
pub(crate) fn unknown_target(name: &TargetName, targets: &[Target]) -> Failure {
    let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
    unknown("target", name.as_str(), &names)
}

/// Asks about a drone; if it is not there, says which one may have been meant.
pub(crate) async fn of_drone<T>(
    context: &Context,
    name: &str,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Failure> {
    match context.ask(call).await {
        Err(failure) if failure.is_not_found() => {
            let drones = context.ask(context.client.drones()).await?;
            let names: Vec<_> = drones.iter().map(|drone| drone.name.as_str()).collect();
            Err(unknown("drone", name, &names))
        }
        answer => answer,
    }
}

/// The packages that `texts` call: by id, or by name in `run`, or else in the open runs.
pub(crate) async fn packages(
    context: &Context,
    texts: &[String],
    run: Option<RunId>,
) -> Result<Vec<PackageId>, Failure> {
    if let Some(ids) = texts.iter().map(|text| text.parse().ok()).collect() {
        return Ok(ids);
    }
    let all = candidates(context, run).await?;
    texts.iter().map(|text| text.parse().or_else(|_| find(text, &all))).collect()
}

/// The package that `text` calls.
pub(crate) async fn package(context: &Context, text: &str, run: Option<RunId>) -> Result<PackageId, Failure> {
    let found = packages(context, &[text.to_owned()], run).await?;
    found.first().copied().ok_or_else(|| Failure::not_found(format!("there is no package {text}")))
}

/// The packages of the named run; else of the open runs; else of the newest run.
async fn candidates(context: &Context, run: Option<RunId>) -> Result<Vec<Package>, Failure> {
    if let Some(run) = run {
        return context.ask(context.client.packages(run)).await;
    }
    let mut runs = context.ask(context.client.runs(None, true)).await?;
    if runs.is_empty() {
        runs = context.ask(context.client.runs(None, false)).await?;
        runs.truncate(1);
    }
    let mut packages = Vec::new();
    for run in runs.iter().map(|run| run.id) {
        packages.extend(context.ask(context.client.packages(run)).await?);
    }
    Ok(packages)
}

/// By `category/name-version`, `category/name` or the name alone.
fn find(text: &str, packages: &[Package]) -> Result<PackageId, Failure> {
    let is_meant = |package: &&Package| {
        let cpv = &package.cpv;
        [cpv.to_string().as_str(), cpv.cp().as_str(), cpv.name()].contains(&text)
    };
    let found: Vec<_> = packages.iter().filter(is_meant).collect();
    match found.as_slice() {
        [package] => Ok(package.id),
        [] => {
            let names = packages.iter().flat_map(|package| [package.cpv.to_string(), package.cpv.cp()]);
            let names: Vec<_> = names.collect();
            Err(unknown("package", text, &names.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        several => {
            let list: Vec<_> = several.iter().map(|p| format!("{} ({})", p.id, p.cpv)).collect();
            Err(Failure::usage(format!("{text} may be several packages; give an id: {}", list.join(", "))))
        }
    }
}

/// There is no such thing; something may be called nearly so.
pub(crate) fn unknown(noun: &str, wanted: &str, names: &[&str]) -> Failure {
    let hint = match nearest(wanted, names) {
        Some(name) => format!("; did you mean {name}?"),
        None => String::new(),
    };
    Failure::not_found(format!("there is no {noun} {wanted}{hint}"))
}

/// The name that is most like `wanted`, if one is at all: one that contains it, or differs by a third at most.
pub(crate) fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(wanted, name);
    let names: BTreeSet<_> = names.iter().copied().collect();
    let close = names.iter().copied().filter(|name| {
        distance(name) * 3 <= wanted.chars().count() || (wanted.len() >= 3 && name.contains(wanted))
    });
    close.min_by_key(|name| distance(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;

    #[test]
    fn slips_are_forgiven_and_strangers_are_not() {
        let names = ["amd64-v3", "arm64", "desktop"];
        assert_eq!(nearest("amd64v3", &names), Some("amd64-v3"));
        assert_eq!(nearest("dekstop", &names), Some("desktop"));
        assert_eq!(nearest("desk", &names), Some("desktop"));
        assert_eq!(nearest("laptop-of-mine", &names), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn a_package_is_found_by_what_is_unambiguous() {
        let packages = sample::packages();
        for text in ["dev-libs/oniguruma-6.9.8", "dev-libs/oniguruma", "oniguruma"] {
            assert_eq!(find(text, &packages).unwrap(), PackageId(24));
        }
        let detail = |text: &str, packages: &[Package]| match find(text, packages).unwrap_err() {
            Failure::Problem { problem, .. } => problem.detail,
            Failure::ReaderGone => unreachable!("nothing was written"),
        };
        assert_eq!(
            detail("dev-libs/onigurama", &packages),
            "there is no package dev-libs/onigurama; did you mean dev-libs/oniguruma?"
        );
        let twice = [packages[3].clone(), packages[3].clone()];
        assert!(detail("oniguruma", &twice).starts_with("oniguruma may be several packages"));
    }
}
