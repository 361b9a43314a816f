//! What `swarm update` tells, and how it ends.

use super::ask::{Finding, Install, Outlook};
use super::origin::Origin;
use crate::exit::Exit;
use crate::table::{age, count, indented, left, table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use swarm_protocol::gentoo::{Cpv, TargetName};
use swarm_protocol::resolution::FindingKind;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) target: TargetName,
    pub(super) sync_uri: String,
    pretend: bool,
    #[serde(flatten)]
    origin: Origin,
    /// What changes, or would.
    installs: Vec<Install>,
    /// Why Portage refuses the whole update.
    refused: Vec<Finding>,
    /// What would have to be compiled, and is not.
    lacking: Vec<Lacking>,
    /// emerge's exit status, where it was run.
    pub(super) emerge: Option<i32>,
    /// What the binhost has, and emerge has left out.
    left_out: Vec<Finding>,
    preserved: BTreeMap<String, Vec<PathBuf>>,
    merges: Vec<PathBuf>,
    news: u32,
}

/// Something that the binhost does not have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Lacking {
    #[serde(flatten)]
    pub(super) finding: Finding,
    /// Why the swarm has not built it.
    pub(super) why: Option<String>,
}

impl Report {
    /// Before Portage was asked.
    pub(super) fn new(target: TargetName, sync_uri: String, pretend: bool, origin: Origin) -> Self {
        Self {
            target,
            sync_uri,
            pretend,
            origin,
            installs: vec![],
            refused: vec![],
            lacking: vec![],
            emerge: None,
            left_out: vec![],
            preserved: BTreeMap::new(),
            merges: vec![],
            news: 0,
        }
    }

    /// What Portage would do.
    pub(super) fn plan(&mut self, outlook: Outlook, lacking: Vec<Lacking>) {
        let Outlook { installs, refused, left_out, preserved, merges, news, lacking: _ } = outlook;
        (self.installs, self.refused, self.lacking, self.left_out) = (installs, refused, lacking, left_out);
        (self.preserved, self.merges, self.news) = (preserved, merges, news);
    }

    /// Whether emerge has anything to do that it would not refuse.
    pub(super) fn may_install(&self) -> bool {
        self.refused.is_empty() && !self.installs.is_empty()
    }

    /// What Portage would do after emerge was run: nothing, if emerge has done all.
    pub(super) fn done(&mut self, outlook: Outlook) {
        let Outlook { installs, left_out, preserved, merges, news, .. } = outlook;
        let again = |install: Install| Finding {
            kind: FindingKind::NotUpdated,
            detail: format!("emerge has not installed {}-{}", install.cpv, install.build_id),
            atom: Some(install.cpv),
            wanted_by: vec![],
            workstation: None,
        };
        self.left_out = left_out.into_iter().chain(installs.into_iter().map(again)).collect();
        (self.preserved, self.merges, self.news) = (preserved, merges, news);
    }

    /// How it ends; the most telling first.
    pub(super) fn exit(&self) -> Exit {
        if self.emerge.is_some_and(|status| status != 0) {
            Exit::Emerge
        } else if !self.lacking.is_empty() {
            Exit::Lacking
        } else if !self.refused.is_empty() || !self.left_out.is_empty() {
            Exit::LeftOut
        } else {
            Exit::Ok
        }
    }

    /// What is told before emerge is run; all of it, where it is not.
    pub(super) fn before(&self) -> String {
        let mut blocks = vec![self.head()];
        if self.installs.is_empty() && self.refused.is_empty() {
            blocks.push("Nothing to install.".to_owned());
        } else if !self.installs.is_empty() {
            let number = i64::try_from(self.installs.len()).unwrap_or(i64::MAX);
            let change = if number == 1 { "changes" } else { "change" };
            blocks.push(format!("{} {change}:\n\n{}", count(number, "package"), changes(&self.installs)));
        }
        if !self.refused.is_empty() {
            let findings = indented(self.refused.iter().map(line), 2);
            blocks.push(format!("Portage refuses the update as a whole:{findings}"));
        }
        if !self.lacking.is_empty() {
            let lacking = indented(self.lacking.iter().map(Lacking::lines), 2);
            blocks.push(format!(
                "Not on the binhost; it would have to be compiled, and stays as it is:{lacking}"
            ));
        }
        if !self.left_out.is_empty() {
            let findings = indented(self.left_out.iter().map(line), 2);
            blocks.push(format!("emerge will leave out:{findings}"));
        }
        if self.pretend || !self.may_install() {
            blocks.extend(self.left_to_do());
        }
        blocks.join("\n\n")
    }

    /// What is told after emerge was run.
    pub(super) fn after(&self) -> String {
        let mut blocks = Vec::new();
        match self.emerge {
            Some(0) if self.left_out.is_empty() => blocks.push(self.success()),
            Some(0) => {}
            status => blocks.push(format!("emerge failed, with exit status {}.", status.unwrap_or_default())),
        }
        if !self.left_out.is_empty() {
            let findings = indented(self.left_out.iter().map(line), 2);
            blocks.push(format!("emerge has left out:{findings}"));
        }
        blocks.extend(self.left_to_do());
        blocks.join("\n\n")
    }

    fn success(&self) -> String {
        let what =
            self.origin.generation.map_or("the binhost".to_owned(), |number| format!("generation {number}"));
        if self.lacking.is_empty() {
            format!("This workstation is at {what} of {}.", self.target)
        } else {
            let lacking = i64::try_from(self.lacking.len()).unwrap_or(i64::MAX);
            format!(
                "This workstation has all that {what} of {} offers; it lacks {}.",
                self.target,
                count(lacking, "package")
            )
        }
    }

    fn head(&self) -> String {
        let origin = &self.origin;
        let mut lines = Vec::new();
        if let (Some(number), Some(at), Some(now)) = (origin.generation, origin.promoted_at, origin.now) {
            let by = origin.run.map(|run| format!(", made by run {run}")).unwrap_or_default();
            let newest = if origin.is_newest { ", the newest" } else { "" };
            lines.push(format!(
                "Generation {number} of {}: current since {}{by}{newest}.",
                self.target,
                age(now, at)
            ));
        } else {
            lines.push(format!("Target {}, from {}.", self.target, self.sync_uri));
        }
        lines
            .extend(origin.attention.iter().map(|what| format!("ATTENTION: {}", what.trim_end_matches('.'))));
        lines.join("\n")
    }

    fn left_to_do(&self) -> Vec<String> {
        let mut blocks = Vec::new();
        if !self.preserved.is_empty() {
            let libraries = self.preserved.iter().flat_map(|(cpv, paths)| {
                paths.iter().map(move |path| format!("{} of {cpv}", path.display()))
            });
            blocks.push(format!(
                "Old libraries stay, for programs that were not rebuilt with the new ones:{}",
                indented(libraries, 2)
            ));
        }
        if !self.merges.is_empty() {
            let files = indented(self.merges.iter().map(|path| path.display()), 2);
            blocks.push(format!("Configuration files wait to be merged (`dispatch-conf`):{files}"));
        }
        if self.news > 0 {
            let items = count(i64::from(self.news), "news item");
            blocks.push(format!("{items} not read yet: `eselect news read`."));
        }
        blocks
    }
}

impl Lacking {
    fn lines(&self) -> String {
        let why = self.why.as_ref().map(|why| format!("\n    the swarm: {why}")).unwrap_or_default();
        format!("{}{why}", line(&self.finding))
    }
}

/// A finding in a line: Portage's own words may have many.
fn line(finding: &Finding) -> String {
    let words = finding
        .detail
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n    ");
    let about = match &finding.atom {
        Some(atom) if !words.contains(atom.as_str()) => format!("{atom}: "),
        _ => String::new(),
    };
    let wanted_by = finding.wanted_by.join(" ← ");
    let wanted_by = if wanted_by.is_empty() { wanted_by } else { format!(" (wanted by {wanted_by})") };
    format!("{about}{words}{wanted_by}")
}

fn changes(installs: &[Install]) -> String {
    let rows = installs.iter().map(|install| {
        let parsed: Option<Cpv> = install.cpv.parse().ok();
        let (name, to) = match &parsed {
            Some(cpv) => (cpv.cp(), cpv.version().to_owned()),
            None => (install.cpv.clone(), String::new()),
        };
        let from = install.from.as_ref().map(|from| match from.parse::<Cpv>() {
            Ok(from) => from.version().to_owned(),
            Err(_) => from.clone(),
        });
        let to = format!("{to} (build {})", install.build_id);
        [name, from.unwrap_or_else(|| "new".to_owned()), to]
    });
    table([left("package"), left("from"), left("to")], "", rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::sample;
    use swarm_protocol::id::{GenerationNumber, RunId};

    fn finding(kind: FindingKind, atom: &str, detail: &str) -> Finding {
        Finding {
            kind,
            atom: Some(atom.to_owned()),
            wanted_by: vec!["@world".to_owned()],
            workstation: None,
            detail: detail.to_owned(),
        }
    }

    fn report() -> Report {
        let status = sample::status();
        let origin = Origin {
            now: Some(status.now),
            generation: Some(GenerationNumber(4)),
            promoted_at: Some(status.now - chrono::TimeDelta::hours(3)),
            run: Some(RunId(6)),
            is_newest: true,
            attention: vec![],
        };
        Report::new(
            "desktop".parse().unwrap(),
            "http://binhost:8410/binhost/desktop".to_owned(),
            false,
            origin,
        )
    }

    fn install(cpv: &str, from: Option<&str>) -> Install {
        Install { cpv: cpv.to_owned(), build_id: 2, from: from.map(str::to_owned) }
    }

    #[test]
    fn an_update_and_its_end() {
        let mut report = report();
        let installs =
            vec![install("app-misc/jq-1.8", Some("app-misc/jq-1.7.1")), install("dev-libs/new-1", None)];
        report.plan(Outlook { installs: installs.clone(), news: 1, ..Outlook::default() }, vec![]);
        assert!(report.may_install());
        let before = report.before();
        report.emerge = Some(0);
        let preserved = [("dev-libs/old-2".to_owned(), vec!["/usr/lib64/libold.so.1".into()])].into();
        let merges = vec!["/etc/._cfg0000_jq.conf".into()];
        report.done(Outlook { preserved, merges, news: 1, ..Outlook::default() });
        assert_eq!(report.exit(), Exit::Ok);
        insta::assert_snapshot!("update_that_does_all", format!("{before}\n\n---\n\n{}", report.after()));
        report.done(Outlook { installs, ..Outlook::default() });
        assert_eq!(report.exit(), Exit::LeftOut);
        insta::assert_snapshot!("update_that_emerge_did_not_do", report.after());
        report.emerge = Some(1);
        assert_eq!(report.exit(), Exit::Emerge);
    }

    #[test]
    fn what_the_binhost_lacks_and_what_is_wrong() {
        let mut report = report();
        report.origin.attention = [
            "the nightly update that was due by 2026-11-21 04:00:00 UTC has not come",
            "the swarm has a key that this workstation does not trust",
        ]
        .map(str::to_owned)
        .to_vec();
        let detail = "the generation has no binary of app-misc/yq-1: Portage would compile it";
        let lacking = Lacking {
            finding: finding(FindingKind::NotInstallable, "app-misc/yq-1", detail),
            why: Some("it is quarantined: it failed on two drones".to_owned()),
        };
        report.plan(Outlook::default(), vec![lacking]);
        assert_eq!((report.exit(), report.may_install()), (Exit::Lacking, false));
        insta::assert_snapshot!("update_with_a_package_lacking", report.before());
    }

    #[test]
    fn a_refusal_is_told_in_portages_words() {
        let mut report = report();
        report.origin =
            Origin { attention: vec!["the orchestrator was not reached".to_owned()], ..Origin::default() };
        let refused = vec![finding(
            FindingKind::Unsatisfied,
            "dev-libs/x:=",
            "\nemerge: there are no binary packages\n",
        )];
        report.plan(Outlook { refused, ..Outlook::default() }, vec![]);
        assert_eq!(report.exit(), Exit::LeftOut);
        insta::assert_snapshot!("update_that_portage_refuses", report.before());
    }
}
