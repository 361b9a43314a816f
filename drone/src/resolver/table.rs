//! A plan and findings as people read them.

use std::fmt::Write;
use swarm_protocol::plan::{Plan, PlannedPackage};
use swarm_protocol::resolution::Finding;

/// A line per package, then the totals.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let longest = |width: fn(&PlannedPackage) -> usize| plan.packages.iter().map(width).max().unwrap_or(0);
    let cpv = longest(|package| package.cpv.to_string().len());
    let slot = longest(|package| package.slot.to_string().len());
    let mut text = String::new();
    for package in &plan.packages {
        let what = package.keep.map_or_else(|| "build".to_owned(), |number| format!("keep {number}"));
        let flags: Vec<_> = package.use_flags.iter().map(ToString::to_string).collect();
        let line = format!(
            "{what:8} {:cpv$} {:slot$} {}",
            package.cpv.to_string(),
            package.slot.to_string(),
            flags.join(" ")
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let keep = plan.packages.iter().filter(|package| package.keep.is_some()).count();
    let build = plan.packages.len() - keep;
    let _ = writeln!(text, "{} packages: {build} to build, {keep} to keep", plan.packages.len());
    text
}

/// A sentence per finding, each with Portage's own words below it.
#[must_use]
pub fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "{}", sentence(finding));
        for line in finding.detail.lines() {
            let _ = writeln!(text, "{}", format!("    {line}").trim_end());
        }
    }
    text
}

/// As in `masked: a/b (wanted by a/c-1, @world)`.
#[must_use]
pub fn sentence(finding: &Finding) -> String {
    let kind = serde_json::to_value(finding.kind).unwrap_or_default();
    let kind = kind.as_str().unwrap_or_default().replace('_', " ");
    let atom = finding.atom.as_ref().map(|atom| format!(": {atom}")).unwrap_or_default();
    if finding.wanted_by.is_empty() {
        return format!("{kind}{atom}");
    }
    format!("{kind}{atom} (wanted by {})", finding.wanted_by.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_in_columns() {
        let json = r#"{"edges": [], "packages": [
            {"cpv": "app-misc/jq-1.6", "slot": "0/1", "repository": "box", "use": ["oniguruma", "static-libs"]},
            {"cpv": "sys-libs/zlib-1.2.13", "slot": "0", "repository": "box", "keep": 12}]}"#;
        insta::assert_snapshot!(plan(&serde_json::from_str(json).unwrap()), @r"
        build    app-misc/jq-1.6      0/1 oniguruma static-libs
        keep 12  sys-libs/zlib-1.2.13 0
        2 packages: 1 to build, 1 to keep
        ");
    }

    #[test]
    fn findings_with_what_portage_says() {
        let json = r#"[{"kind": "configuration_change", "atom": "a/b[x]", "wanted_by": ["a/c-1", "@world"],
            "detail": "emerge: there are no ebuilds\n\nbuilt with USE flags"}, {"kind": "other", "detail": ""}]"#;
        let found: Vec<Finding> = serde_json::from_str(json).unwrap();
        insta::assert_snapshot!(findings(&found), @r"
        configuration change: a/b[x] (wanted by a/c-1, @world)
            emerge: there are no ebuilds

            built with USE flags
        other
        ");
    }
}
