//! The nightly updates that this machine shall begin, and whether anything here will.

use super::Check;
use crate::cron::{Entry, Outcome, Runs, Survey};
use crate::names;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use swarm_protocol::admin::Nightlies;
use swarm_protocol::gentoo::TargetName;

const README: &str = "see cron/README.md for an entry";

/// Judges what stands in this machine's tables by what the swarm expects, if that is known.
pub(super) fn checks(
    survey: &Survey,
    host: &str,
    nightlies: Option<&[(TargetName, Nightlies)]>,
) -> Vec<Check> {
    let mut checks: Vec<_> = survey.entries.iter().map(|entry| of_entry(entry, nightlies)).collect();
    checks.extend(twice(survey));
    if let Some(nightlies) = nightlies {
        checks.extend(expected(survey, host, nightlies));
    }
    let runs: Vec<_> = survey.daemons.iter().map(String::as_str).collect();
    match (&runs[..], &survey.unknown[..]) {
        ([], [unknown, ..]) => checks.push(Check::look(
            "cron",
            format!("{unknown} is no cron daemon that is known here, so its tables were not read"),
            "look yourself whether it runs `swarm nightly`; the orchestrator alarms when it does not",
        )),
        ([], []) => {}
        (runs, _) => checks.push(Check::good("cron", format!("{} runs here", runs.join(", ")))),
    }
    if !survey.unseen.is_empty() {
        let found = format!("{} cannot be read by this account", survey.unseen.join(", "));
        checks.push(Check::look("cron", found, "ask as root to see all tables"));
    }
    checks
}

fn of_entry(entry: &Entry, nightlies: Option<&[(TargetName, Nightlies)]>) -> Check {
    let place = &entry.place;
    match &entry.outcome {
        Outcome::Wrong { why, advice } => Check::broken("cron", format!("{place}: {why}"), advice.clone()),
        Outcome::Unclear(why) => Check::look("cron", format!("{place}: {why}"), "look yourself"),
        Outcome::Runs(runs) => {
            let target = &runs.call.update.target;
            let subject = format!("nightly {target}");
            let found = format!("{place}: {}", in_words(runs));
            if let Some((why, advice)) = unable(runs) {
                return Check::broken(&subject, format!("{found}, but {why}"), advice);
            }
            if let Some(nightlies) = nightlies
                && !nightlies.iter().any(|(name, _)| name == target)
            {
                let names: Vec<_> = nightlies.iter().map(|(name, _)| name.as_str()).collect();
                let why = names::unknown("target", target.as_str(), &names).sentence();
                return Check::broken(&subject, format!("{found}, but {why}"), "correct the line");
            }
            match runs.when.as_str() {
                "@reboot" => {
                    Check::look(&subject, found, "give it a time: the machine may not start for months")
                }
                _ => Check::good(&subject, found),
            }
        }
    }
}

fn in_words(runs: &Runs) -> String {
    let next = runs.next.as_ref().map(|next| format!(", next {next}")).unwrap_or_default();
    let Runs { by, account, when, .. } = runs;
    format!("{by} runs it as {account} at {when}{next}")
}

/// What will stop an entry that its daemon runs.
fn unable(runs: &Runs) -> Option<(String, &'static str)> {
    let program = &runs.call.program;
    let is_program = |path: &Path| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        if !is_program(Path::new(program)) {
            return Some((format!("there is no program {program}"), "correct the path"));
        }
    } else if let Some(path) = &runs.path
        && !path.split(':').any(|directory| is_program(&Path::new(directory).join(program)))
    {
        let why = format!("`{program}` is in none of the directories of its PATH ({path})");
        return Some((why, "set PATH in the table, or give the program's whole path"));
    }
    let token = runs.call.variables.get("SWARM_TOKEN_FILE")?;
    match Path::new(token).try_exists() {
        Ok(false) => Some((format!("there is no token file {token}"), "make a token: `swarm token create`")),
        _ => None,
    }
}

/// Two entries of one target get into each other's way.
fn twice(survey: &Survey) -> Vec<Check> {
    let mut places = BTreeMap::<_, Vec<_>>::new();
    for entry in &survey.entries {
        if let Outcome::Runs(runs) = &entry.outcome {
            places.entry(&runs.call.update.target).or_default().push(entry.place.as_str());
        }
    }
    let several = places.into_iter().filter(|(_, places)| places.len() > 1);
    let check = |(target, places): (&TargetName, Vec<&str>)| {
        let found = format!("several entries run it: {}", places.join(", "));
        Check::look(&format!("nightly {target}"), found, "leave one: two at once are refused")
    };
    several.map(check).collect()
}

/// Targets whose nightly update came from here and will not come again, and targets that nobody updates.
fn expected(survey: &Survey, host: &str, nightlies: &[(TargetName, Nightlies)]) -> Vec<Check> {
    let stands = |target: &TargetName| {
        survey.entries.iter().any(|entry| match &entry.outcome {
            Outcome::Runs(runs) => runs.call.update.target == *target,
            // What is wrong with it has been said, or is for a person to say.
            Outcome::Wrong { .. } | Outcome::Unclear(_) => true,
        })
    };
    let check = |(target, all): &(TargetName, Nightlies)| {
        let subject = format!("nightly {target}");
        let here = all.nightlies.first().is_some_and(|last| last.host == host);
        match all.due_at {
            _ if stands(target) => None,
            Some(_) if here => Some(Check::broken(
                &subject,
                "the last one came from this machine, and nothing here will begin the next one",
                README,
            )),
            Some(_) => None,
            None => Some(Check::look(&subject, "none is expected, so nothing is updated by itself", README)),
        }
    };
    nightlies.iter().filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use crate::commands::doctor::Verdict;
    use crate::commands::sample;
    use crate::cron::Call;
    use clap::Parser;

    fn runs(target: &str, program: &str) -> Outcome {
        let Command::Nightly(update) = Arguments::parse_from(["swarm", "nightly", target]).command else {
            panic!("a nightly update")
        };
        let call = Call { program: program.to_owned(), update, variables: BTreeMap::new() };
        Outcome::Runs(Runs {
            by: "cronie".to_owned(),
            call,
            account: "root".to_owned(),
            when: "17 3 * * *".to_owned(),
            next: Some("2026-11-23 03:17".to_owned()),
            path: Some("/bin:/usr/bin".to_owned()),
        })
    }

    fn told(
        outcomes: Vec<Outcome>,
        host: &str,
        nightlies: Option<&[(TargetName, Nightlies)]>,
    ) -> Vec<String> {
        let entries = outcomes.into_iter().enumerate();
        let entries =
            entries.map(|(line, outcome)| Entry { place: format!("/etc/cron.d/x:{line}"), outcome });
        let survey = Survey { entries: entries.collect(), ..Survey::default() };
        let checks = checks(&survey, host, nightlies).into_iter();
        checks
            .map(|Check { subject, verdict, found, .. }| format!("{verdict:?} {subject}: {found}"))
            .collect()
    }

    #[test]
    fn an_entry_is_good_if_it_can_do_its_work() {
        let known = [("desktop".parse().unwrap(), sample::nightlies())];
        let good = "Good nightly desktop: /etc/cron.d/x:0: cronie runs it as root at 17 3 * * *, next 2026-11-23 03:17";
        assert_eq!(told(vec![runs("desktop", "sh")], "desk", Some(&known)), [good]);
        let [lost] = &told(vec![runs("desktop", "no-such-program")], "desk", Some(&known))[..] else {
            panic!()
        };
        assert!(lost.starts_with("Broken") && lost.contains("`no-such-program` is in none of"), "{lost}");
        let [unknown] = &told(vec![runs("desktp", "/bin/sh")], "other", Some(&known))[..] else { panic!() };
        assert!(unknown.ends_with("but there is no target desktp; did you mean desktop?"), "{unknown}");
        let twice = told(vec![runs("desktop", "sh"), runs("desktop", "sh")], "desk", None);
        assert_eq!(
            twice[2],
            "Look nightly desktop: several entries run it: /etc/cron.d/x:0, /etc/cron.d/x:1"
        );
    }

    #[test]
    fn what_is_expected_of_this_machine() {
        let mut all = [("desktop".parse().unwrap(), sample::nightlies())];
        let here = told(vec![], "desk", Some(&all));
        assert_eq!(
            here,
            [
                "Broken nightly desktop: the last one came from this machine, and nothing here will begin the next one"
            ]
        );
        assert_eq!(told(vec![], "elsewhere", Some(&all)), [""; 0]);
        all[0].1.due_at = None;
        let nobody = told(vec![], "elsewhere", Some(&all));
        assert_eq!(nobody, ["Look nightly desktop: none is expected, so nothing is updated by itself"]);
        assert_eq!(told(vec![], "desk", None), [""; 0], "nothing is known of what is expected");
    }

    #[test]
    fn daemons_that_are_not_known() {
        let survey = Survey { unknown: vec!["crond (process 7)".to_owned()], ..Survey::default() };
        let [check] = &checks(&survey, "desk", None)[..] else { panic!("one check") };
        assert_eq!(check.verdict, Verdict::Look);
    }
}
