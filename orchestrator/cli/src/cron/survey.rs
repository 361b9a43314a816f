//! Everything about `swarm nightly` in the tables of this machine.

use super::accounts::Accounts;
use super::command::{self, Call, Starts};
use super::daemon::{self, Daemon, Holds, Running, Source};
use super::rules::{self, Facts};
use super::systemd::{self, Timer};
use super::table::{Fault, Job, Table, When};
use super::vixie::{self, Dialect};
use super::{dcron, fcron};
use chrono::NaiveDateTime;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What fcron calls the text of a table that it has compiled.
const ORIGINAL: &str = ".orig";

/// What runs, and what stands in the tables.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The cron daemons that run, in words.
    pub(crate) daemons: Vec<String>,
    /// Processes that may be cron daemons and are not known.
    pub(crate) unknown: Vec<String>,
    /// What stands about `swarm nightly`.
    pub(crate) entries: Vec<Entry>,
    /// Places that could not be read.
    pub(crate) unseen: Vec<String>,
}

/// A line, or a timer, about `swarm nightly`.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where it stands.
    pub(crate) place: String,
    /// What comes of it.
    pub(crate) outcome: Outcome,
}

/// What comes of an entry.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A daemon runs it.
    Runs(Runs),
    /// No daemon does.
    Wrong {
        /// Why.
        why: String,
        /// What to do.
        advice: String,
    },
    /// Only a person can say.
    Unclear(String),
}

/// An entry that is run.
#[derive(Debug)]
pub(crate) struct Runs {
    /// By whom, in words.
    pub(crate) by: String,
    /// What.
    pub(crate) call: Call,
    /// As whom.
    pub(crate) account: String,
    /// When, as the table says it.
    pub(crate) when: String,
    /// When it is next, in local time, where that can be known.
    pub(crate) next: Option<String>,
    /// Where its program is looked for, where it has no path and that is known.
    pub(crate) path: Option<String>,
}

/// Looks at this machine at a moment of its local time.
pub(crate) fn survey(now: NaiveDateTime) -> Survey {
    let (running, unknown) = daemon::running();
    let mut look = Look {
        now,
        accounts: Accounts::read(),
        survey: Survey { unknown, ..Survey::default() },
        read: BTreeSet::new(),
    };
    for one in &running {
        look.survey.daemons.push(format!("{} (process {})", one.daemon, one.pid));
        for source in &one.sources {
            look.source(one, source);
        }
    }
    if systemd::runs() {
        look.survey.daemons.push("systemd".to_owned());
        look.survey.entries.extend(systemd::timers().into_iter().map(timer));
    }
    look.leftovers(&running);
    look.survey
}

struct Look {
    now: NaiveDateTime,
    accounts: Accounts,
    survey: Survey,
    /// Files that a daemon that runs would look at.
    read: BTreeSet<PathBuf>,
}

impl Look {
    fn source(&mut self, running: &Running, source: &Source) {
        for file in self.files(&source.path) {
            let name = if file == source.path { "" } else { name(&file) };
            if source.holds == Holds::Compiled && name.strip_suffix(ORIGINAL).is_none() {
                // It is judged with its text.
                self.read.insert(file);
                continue;
            }
            let Some(text) = self.text(&file).filter(|text| mentions(text)) else { continue };
            self.read.insert(file.clone());
            let found = self.file(running.daemon, source.holds, &file, name, &text);
            self.survey.entries.extend(found);
        }
    }

    fn file(&mut self, daemon: Daemon, holds: Holds, file: &Path, name: &str, text: &str) -> Vec<Entry> {
        let place = file.display().to_string();
        let wrong = |why: String, advice: String| {
            vec![Entry { place: place.clone(), outcome: Outcome::Wrong { why, advice } }]
        };
        let copied = name.strip_prefix(':').filter(|_| daemon == Daemon::Bcron);
        let holds = if copied.is_some() { Holds::System } else { holds };
        if let Some(original) = copied {
            self.read.insert(PathBuf::from(format!("/{}", original.replace(':', "/"))));
        }
        let account = match holds {
            Holds::System => None,
            Holds::Root => Some("root"),
            Holds::Accounts => Some(name),
            Holds::Compiled => name.strip_suffix(ORIGINAL),
        };
        let uid = account.and_then(|account| self.accounts.uid(account));
        if let Some(account) = account.filter(|_| uid.is_none()) {
            let why =
                format!("{daemon} takes the file's name for an account, and there is no account `{account}`");
            return wrong(why, "install the table with crontab(1)".to_owned());
        }
        let facts = fs::metadata(file).map(|meta| Facts {
            name,
            regular: meta.is_file(),
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            links: meta.nlink(),
            account: uid,
        });
        if let Ok(facts) = facts
            && let Some((why, advice)) = rules::refused(daemon, holds, &facts)
        {
            return wrong(format!("{daemon} {why}"), advice);
        }
        if holds == Holds::Compiled
            && let Some((why, advice)) = not_compiled(file)
        {
            return wrong(why, advice);
        }
        let table = match daemon {
            Daemon::Debian => vixie::read(text, holds == Holds::System, Dialect::Debian),
            Daemon::Cronie => vixie::read(text, holds == Holds::System, Dialect::Cronie),
            Daemon::Bcron => vixie::read(text, holds == Holds::System, Dialect::Bcron),
            Daemon::Dcron => dcron::read(text),
            Daemon::Fcron => fcron::read(text),
        };
        self.table(daemon, &place, account, &table)
    }

    fn table(&self, daemon: Daemon, place: &str, account: Option<&str>, table: &Table) -> Vec<Entry> {
        let ours = |fault: &&Fault| fault.whole || mentions(&fault.text);
        let faults = table.faults.iter().filter(ours).map(|fault| {
            let all = if fault.whole { "loads nothing of this table" } else { "does not load this line" };
            let outcome = Outcome::Wrong {
                why: format!("{daemon} {all}: {}", fault.why),
                advice: "correct the line".to_owned(),
            };
            Entry { place: format!("{place}:{}", fault.line), outcome }
        });
        let jobs = table.jobs.iter().filter_map(|job| {
            let outcome = self.job(daemon, account, job)?;
            Some(Entry { place: format!("{place}:{}", job.line), outcome })
        });
        faults.chain(jobs).collect()
    }

    fn job(&self, daemon: Daemon, table_of: Option<&str>, job: &Job) -> Option<Outcome> {
        let wrong = |why: String, advice: String| Some(Outcome::Wrong { why, advice });
        let account = job.account.as_deref().or(table_of).unwrap_or_default();
        let in_line = job.account.is_some();
        match command::read(&job.command) {
            Starts::Nightly(_) if self.accounts.uid(account).is_none() => {
                let why = format!(
                    "in this table the sixth field is the account, and there is no account `{account}`"
                );
                wrong(why, "put `root` before the command".to_owned())
            }
            Starts::Nightly(call) => Some(Outcome::Runs(self.runs(daemon, account, job, call))),
            Starts::Refused(why) => {
                wrong(format!("swarm refuses these arguments: {why}"), "correct the line".to_owned())
            }
            Starts::Behind(program) if !in_line && self.accounts.uid(&program).is_some() => {
                let whose = if daemon == Daemon::Dcron {
                    "dcron's tables have"
                } else {
                    "an account's own table has"
                };
                let why = format!("{whose} no account in the lines: {daemon} starts a command `{program}`");
                wrong(why, format!("take `{program}` out of the line"))
            }
            Starts::Behind(program) => Some(Outcome::Unclear(format!(
                "{daemon} starts `{program}`; whether that starts `swarm nightly`, nobody can see from here"
            ))),
            Starts::Other => {
                let whole = format!("{account} {}", job.command);
                (in_line && !matches!(command::read(&whole), Starts::Other)).then(|| Outcome::Wrong {
                    why: format!(
                        "in this table the sixth field is the account, and {daemon} takes `{account}` for it"
                    ),
                    advice: "put `root` before the command".to_owned(),
                })
            }
        }
    }

    fn runs(&self, daemon: Daemon, account: &str, job: &Job, mut call: Call) -> Runs {
        for (name, value) in &job.variables {
            call.variables.entry(name.clone()).or_insert_with(|| value.clone());
        }
        // As `pathnames.h` of each has it; the others pass on what they were started with.
        let path = call.variables.get("PATH").cloned().or_else(|| match daemon {
            Daemon::Debian => Some("/usr/bin:/bin".to_owned()),
            Daemon::Cronie => Some("/usr/bin:/bin:/usr/sbin:/sbin".to_owned()),
            _ => None,
        });
        let next = match &job.when {
            When::At(schedule) => {
                schedule.next(self.now).map(|next| next.format("%Y-%m-%d %H:%M").to_string())
            }
            When::Boot | When::Own(_) => None,
        };
        let when = job.when.to_string();
        Runs { by: daemon.to_string(), call, account: account.to_owned(), when, next, path }
    }

    /// What stands where no daemon that runs looks.
    fn leftovers(&mut self, running: &[Running]) {
        let daemons: Vec<_> = running.iter().map(|one| one.daemon.to_string()).collect();
        for place in daemon::well_known() {
            for file in self.files(&place) {
                if self.read.contains(&file) || !self.text(&file).is_some_and(|text| mentions(&text)) {
                    continue;
                }
                let (why, advice) = match &daemons[..] {
                    [] => (
                        "no cron daemon runs".to_owned(),
                        "start one, and let it start with the machine".to_owned(),
                    ),
                    _ if daemons == ["bcron"] => (
                        "bcron-update has not copied it to where bcron looks".to_owned(),
                        "start bcron-update with /etc/crontab and /etc/cron.d".to_owned(),
                    ),
                    _ => (
                        format!("{} does not look there", daemons.join(" and ")),
                        "see cron/README.md for where its tables are".to_owned(),
                    ),
                };
                let outcome = Outcome::Wrong { why, advice };
                self.survey.entries.push(Entry { place: file.display().to_string(), outcome });
            }
        }
    }

    /// The file, or the files of the directory.
    fn files(&mut self, path: &Path) -> Vec<PathBuf> {
        if path.is_file() {
            return vec![path.to_owned()];
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.note(path, &error);
                return vec![];
            }
        };
        let mut files: Vec<_> =
            entries.flatten().map(|entry| entry.path()).filter(|path| !path.is_dir()).collect();
        files.sort();
        files
    }

    /// A table is text; whatever else lies there has nothing to say.
    fn text(&mut self, file: &Path) -> Option<String> {
        match fs::read(file) {
            Ok(bytes) => String::from_utf8(bytes).ok(),
            Err(error) => {
                self.note(file, &error);
                None
            }
        }
    }

    fn note(&mut self, path: &Path, error: &io::Error) {
        let place = path.display().to_string();
        if error.kind() == io::ErrorKind::PermissionDenied && !self.survey.unseen.contains(&place) {
            self.survey.unseen.push(place);
        }
    }
}

/// Whether a line that is no comment is about it.
fn mentions(text: &str) -> bool {
    let about = |line: &str| line.contains("swarm") && line.contains("nightly");
    text.lines().any(|line| !line.trim_start().starts_with('#') && about(line))
}

fn name(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// fcrontab(1) writes the text, then `new.ACCOUNT`, which the daemon renames to `ACCOUNT` when it has read it.
fn not_compiled(original: &Path) -> Option<(String, String)> {
    let account = name(original).trim_end_matches(ORIGINAL).to_owned();
    if original.with_file_name(format!("new.{account}")).exists() {
        let advice = format!("`fcronsighup {account}` tells it");
        return Some(("fcron has not loaded the table since it was changed".to_owned(), advice));
    }
    let compiled = original.with_file_name(&account);
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let advice = format!("install it: `fcrontab -u {account} FILE`");
    match (time(&compiled), time(original)) {
        (None, _) => Some(("fcron has no compiled table of this one".to_owned(), advice)),
        (Some(compiled), Some(text)) if compiled < text => Some((
            "the table was changed by hand: fcron reads only what fcrontab(1) makes of it".to_owned(),
            advice,
        )),
        _ => None,
    }
}

fn timer(timer: Timer) -> Entry {
    let Timer { unit, starts, account, next, active, enabled, changed } = timer;
    let wrong = |why: &str, advice: String| Outcome::Wrong { why: why.to_owned(), advice };
    let outcome = match starts {
        _ if !active => wrong("the timer is not active", format!("systemctl enable --now {unit}")),
        _ if next.is_none() => {
            wrong("the timer is never due", format!("systemctl cat {unit}; correct OnCalendar="))
        }
        _ if changed => {
            wrong("its file has changed since systemd has read it", "systemctl daemon-reload".to_owned())
        }
        Starts::Nightly(_) if !enabled => {
            wrong("it ends with the next start of the machine", format!("systemctl enable {unit}"))
        }
        Starts::Nightly(call) => Outcome::Runs(Runs {
            by: "systemd".to_owned(),
            call,
            account,
            when: unit.clone(),
            next,
            path: None,
        }),
        Starts::Refused(why) => {
            wrong(&format!("swarm refuses these arguments: {why}"), "correct its service".to_owned())
        }
        Starts::Behind(program) => Outcome::Unclear(format!(
            "systemd starts `{program}`; whether that starts `swarm nightly`, nobody can see from here"
        )),
        Starts::Other => Outcome::Unclear("its service starts something else".to_owned()),
    };
    Entry { place: unit, outcome }
}
