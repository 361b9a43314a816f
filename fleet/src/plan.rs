//! What has to be done on a machine: a function of what is there and what shall be. Nothing, where they agree.

use crate::content::Hash;
use crate::desired::{Desired, DesiredFile, DesiredPart};
use crate::facts::{Facts, PENDING};
use crate::part::Part;
use crate::topology::Role;
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeMap;
use std::fmt;

/// What has to be done on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// By daemon; those with nothing to do are not there.
    pub parts: Vec<PartPlan>,
}

/// What has to be done for one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPlan {
    /// Which.
    pub part: &'static Part,
    /// Files to write.
    pub writes: Vec<Write>,
    /// The drone has no token yet: where it belongs.
    pub enrol: Option<String>,
    /// The service does not start with the machine.
    pub enable: bool,
    /// The service has to start, or to start anew.
    pub start: Option<Start>,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The file.
    pub file: DesiredFile,
    /// What is there now.
    pub former: Option<Hash>,
}

/// Why a service has to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It does not run.
    Stopped,
    /// It runs with what has been replaced, or will be.
    Changed,
    /// A former deploy ended between the change and the restart.
    Pending,
    /// Somebody wants it to be reset before.
    Reset,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "start: it does not run",
            Self::Changed => "restart: what it runs with is another",
            Self::Reset => "reset: all that it builds and keeps is thrown away",
            Self::Pending => "restart: a former deploy did not come to its end",
        })
    }
}

/// What has to be done so that `desired` is there.
#[must_use]
pub fn plan(facts: &Facts, desired: &Desired) -> Plan {
    let parts = desired.parts.iter().map(|part| of_part(facts, part));
    Plan { parts: parts.filter(|part| !part.is_empty()).collect() }
}

/// The same, with every drone reset before it starts.
#[must_use]
pub fn forced(facts: &Facts, desired: &Desired) -> Plan {
    let parts = desired.parts.iter().map(|part| PartPlan {
        start: if part.part.role == Role::Drone { Some(Start::Reset) } else { of_part(facts, part).start },
        ..of_part(facts, part)
    });
    Plan { parts: parts.filter(|part| !part.is_empty()).collect() }
}

fn of_part(facts: &Facts, desired: &DesiredPart) -> PartPlan {
    let service = facts.service(desired.part.name);
    let writes: Vec<_> = desired.files.iter().filter_map(|file| write(facts, file)).collect();
    let mut processes = facts.processes.iter().filter(|process| process.name == desired.part.name).peekable();
    let start = if !service.started || processes.peek().is_none() {
        Some(Start::Stopped)
    } else if facts.present.contains(PENDING) {
        Some(Start::Pending)
    } else if writes.iter().any(|write| !write.file.once) || processes.any(|process| !process.is_installed) {
        Some(Start::Changed)
    } else {
        None
    };
    let token = desired.settings.token_file.clone();
    PartPlan {
        part: desired.part,
        writes,
        enrol: token.filter(|file| !facts.present.contains(file)),
        enable: !service.enabled,
        start,
    }
}

fn write(facts: &Facts, file: &DesiredFile) -> Option<Write> {
    let former = facts.files.get(&file.path);
    let right = former
        .is_some_and(|former| file.once || (former.hash == *file.content.hash() && former.mode == file.mode));
    (!right).then(|| Write { file: file.clone(), former: former.map(|former| former.hash.clone()) })
}

impl PartPlan {
    fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.enrol.is_none() && !self.enable && self.start.is_none()
    }
}

impl Plan {
    /// Nothing has to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The files that people read, of those to be written over.
    #[must_use]
    pub fn former_texts(&self) -> Vec<&str> {
        let writes = self.parts.iter().flat_map(|part| &part.writes);
        let texts = writes.filter(|write| write.former.is_some() && text(&write.file).is_some());
        texts.map(|write| write.file.path.as_str()).collect()
    }

    /// The plan as a diff; `former` are the texts that are there now.
    #[must_use]
    pub fn diff(&self, former: &BTreeMap<String, String>) -> Vec<String> {
        let mut lines = Vec::new();
        for part in &self.parts {
            for write in &part.writes {
                lines.extend(write.diff(former.get(&write.file.path)));
            }
            lines.extend(part.enrol.as_ref().map(|file| format!("+ {file}: enrol with a join token")));
            lines.extend(part.enable.then(|| format!("+ {}: starts with the machine", part.part.name)));
            lines.extend(part.start.map(|start| format!("~ {}: {start}", part.part.name)));
        }
        lines
    }
}

impl Write {
    fn diff(&self, former: Option<&String>) -> Vec<String> {
        let path = &self.file.path;
        let now = self.file.content.hash().short();
        let bytes = self.file.content.bytes().len();
        let mut lines = match &self.former {
            None => vec![format!("+ {path} {now}, {bytes} bytes")],
            Some(hash) if hash == self.file.content.hash() => {
                vec![format!("~ {path} {now}, mode {:o}", self.file.mode)]
            }
            Some(hash) => vec![format!("~ {path} {} -> {now}, {bytes} bytes", hash.short())],
        };
        if let (Some(_), Some(former), Some(text)) = (&self.former, former, text(&self.file)) {
            lines.extend(changed_lines(former, text));
        }
        lines
    }
}

fn text(file: &DesiredFile) -> Option<&str> {
    std::str::from_utf8(file.content.bytes()).ok().filter(|text| !text.contains('\0'))
}

fn changed_lines(former: &str, text: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(former, text);
    let changes = diff.iter_all_changes().filter_map(|change| {
        let sign = match change.tag() {
            ChangeTag::Equal => return None,
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        Some(format!("    {sign}{}", change.value().trim_end_matches('\n')))
    });
    changes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::desired::Settings;
    use crate::facts::{FileFact, ProcessFact, ServiceFact};

    fn file(path: &str, text: &str) -> DesiredFile {
        DesiredFile {
            path: path.to_owned(),
            mode: 0o644,
            content: Content::new(text.as_bytes()),
            once: false,
        }
    }

    fn desired() -> Desired {
        let settings = Settings { token_file: Some("/etc/token".to_owned()), ..Settings::default() };
        let once = DesiredFile { once: true, ..file("/etc/conf.d/build-drone", "#config=\n") };
        let files = vec![file("/usr/bin/build-drone", "program"), file("/etc/drone.toml", "a\nb\n"), once];
        Desired { parts: vec![DesiredPart { part: Part::of(Role::Drone).unwrap(), files, settings }] }
    }

    /// A machine on which all is as it shall be.
    fn done() -> Facts {
        let desired = desired();
        let files = desired.parts[0]
            .files
            .iter()
            .map(|file| (file.path.clone(), FileFact { hash: file.content.hash().clone(), mode: file.mode }));
        Facts {
            files: files.collect(),
            present: ["/etc/token".to_owned()].into(),
            services: [(
                "build-drone".to_owned(),
                ServiceFact { enabled: true, started: true, account: true },
            )]
            .into(),
            processes: vec![ProcessFact { name: "build-drone".to_owned(), id: 7, is_installed: true }],
            ..Facts::default()
        }
    }

    fn diff(facts: &Facts) -> String {
        let former = [("/etc/drone.toml".to_owned(), "a\nc\n".to_owned())].into();
        plan(facts, &desired()).diff(&former).join("\n")
    }

    #[test]
    fn nothing_where_all_is_there() {
        assert_eq!(plan(&done(), &desired()), Plan::default());
        let mut edited = done();
        edited.files.get_mut("/etc/conf.d/build-drone").unwrap().hash = Hash::of(b"the machine's own");
        assert!(plan(&edited, &desired()).is_empty(), "conf.d is the machine's own");
    }

    #[test]
    fn everything_where_nothing_is_there() {
        insta::assert_snapshot!(diff(&Facts::default()));
    }

    #[test]
    fn what_differs_is_written_and_the_service_restarted() {
        let mut facts = done();
        facts.files.get_mut("/etc/drone.toml").unwrap().hash = Hash::of(b"a\nc\n");
        insta::assert_snapshot!(diff(&facts));
        assert_eq!(plan(&facts, &desired()).former_texts(), ["/etc/drone.toml"]);
    }

    #[test]
    fn a_restart_that_did_not_happen_is_made_up_for() {
        let starts = |change: &dyn Fn(&mut Facts)| {
            let mut facts = done();
            change(&mut facts);
            plan(&facts, &desired()).parts[0].start
        };
        assert_eq!(starts(&|facts| facts.present.extend([PENDING.to_owned()])), Some(Start::Pending));
        assert_eq!(starts(&|facts| facts.processes[0].is_installed = false), Some(Start::Changed));
        assert_eq!(starts(&|facts| facts.processes.clear()), Some(Start::Stopped));
        assert_eq!(starts(&|facts| facts.services.clear()), Some(Start::Stopped));
        let mut enabled = done();
        enabled.services.get_mut("build-drone").unwrap().enabled = false;
        let part = plan(&enabled, &desired()).parts.remove(0);
        assert!(part.enable && part.start.is_none(), "to enable it, nothing is restarted");
    }
}
