//! `swarm setup workstation`: a Gentoo machine installs from a target's generations.
//!
//! The orchestrator says where the binhost is and which keys sign there: the keys need not be believed as they come from
//! where the packages come from.

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;
use crate::workstation::binrepos::{self, Wanted};
use crate::workstation::keyring::{self, Key, Keyring, Step};
use crate::workstation::portage;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use swarm_protocol::gentoo::TargetName;

/// Who a reader is, where only known readers install; never an argument, which everybody on the machine could read.
const READER: &str = "BINHOST_READER";

/// What can be set up.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Let this Gentoo machine install from a target's generations: its place in binrepos.conf, and the keys that
    /// packages are signed with.
    ///
    /// Lines of other origin stay. It may be repeated at any time, and has to be when the binhost gets a new key. Where
    /// the binhost lets only known readers install, `BINHOST_READER=NAME:TOKEN` in the environment says who this is.
    #[command(
        after_help = "Examples:\n  swarm setup workstation desktop --dry-run\n  swarm setup workstation desktop\n  swarm update"
    )]
    Workstation(Workstation),
}

/// Which workstation.
#[derive(Args, Debug)]
pub(crate) struct Workstation {
    /// The target that it installs from.
    target: TargetName,
    /// Show what would change, and change nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// A key's fingerprint (`build-binhost key list`): keys that are none of these are refused. May be given several times.
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    fingerprint: Vec<String>,
}

fn fingerprint(text: &str) -> Result<String, String> {
    let digits: String = text.split_whitespace().collect::<String>().to_uppercase();
    if digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(digits)
    } else {
        Err("a fingerprint is 40 hexadecimal digits, as `build-binhost key list` prints it".to_owned())
    }
}

/// What was done, or would be.
#[derive(Serialize)]
struct Done {
    target: TargetName,
    sync_uri: String,
    dry_run: bool,
    /// The file of the binhost's lines.
    file: PathBuf,
    /// How it changes; empty where it does not.
    diff: String,
    /// Where keys are kept.
    keyring: PathBuf,
    keys: Vec<DoneKey>,
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct DoneKey {
    fingerprint: String,
    step: Step,
}

/// `swarm setup`.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Exit, Failure> {
    let Command::Workstation(what) = command;
    let done = workstation(context, what).await?;
    context.output.show(&done, told)?;
    Ok(Exit::Ok)
}

async fn workstation(context: &Context, what: &Workstation) -> Result<Done, Failure> {
    let places = portage::places()?;
    if !what.dry_run {
        portage::only_root("swarm setup workstation")?;
    }
    let call = context.client.client_setup(&what.target);
    let setup = names::of_target(context, &what.target, call).await?;
    let keys = setup.keys.as_deref().map(keyring::announced).transpose()?.unwrap_or_default();
    expected(&keys, &what.fingerprint)?;
    let ring = Keyring::new(&places.keyring);
    let there = ring.keys()?;
    let reader = std::env::var(READER).ok().filter(|reader| !reader.is_empty());
    let wanted = Wanted { sync_uri: setup.sync_uri.clone(), reader, verify: setup.keys.is_some() };
    let edit = binrepos::plan(&places.binrepos, &wanted)?;
    if !what.dry_run {
        // The keys first: a binhost that is listed and not trusted would make every emerge fail.
        if let Some(armored) = &setup.keys {
            ring.trust(armored, &keys)?;
        }
        if edit.changes() {
            edit.write()?;
        }
    }
    Ok(Done {
        target: what.target.clone(),
        sync_uri: setup.sync_uri,
        dry_run: what.dry_run,
        diff: if edit.changes() { edit.diff() } else { String::new() },
        file: edit.path,
        keyring: places.keyring,
        keys: keys
            .iter()
            .map(|key| DoneKey { fingerprint: key.fingerprint.clone(), step: key.step(&there) })
            .collect(),
        remarks: edit.remarks,
    })
}

/// Whoever names fingerprints believes no others.
fn expected(keys: &[Key], fingerprints: &[String]) -> Result<(), Failure> {
    if fingerprints.is_empty() {
        return Ok(());
    }
    match keys.iter().find(|key| !fingerprints.contains(&key.fingerprint)) {
        Some(key) => Err(Failure::untrusted(format!(
            "the swarm announces the key {}, which is not one of --fingerprint: nothing was changed",
            key.fingerprint
        ))),
        None if keys.is_empty() => Err(Failure::untrusted(
            "packages of this swarm are not signed, and --fingerprint wants a key: nothing was changed",
        )),
        None => Ok(()),
    }
}

fn told(done: &Done) -> String {
    let (file, ring) = (done.file.display(), done.keyring.display());
    let mut lines = Vec::new();
    if done.diff.is_empty() {
        lines.push(format!("{file} stays as it is."));
    } else {
        lines.push(done.diff.trim_end().to_owned());
    }
    for DoneKey { fingerprint, step } in &done.keys {
        lines.push(match step {
            Step::Import => format!("Key {fingerprint}: imported into {ring}, and trusted."),
            Step::Renew => format!("Key {fingerprint}: renewed in {ring}."),
            Step::Trust => format!("Key {fingerprint}: trusted in {ring}."),
            Step::Nothing => format!("Key {fingerprint}: stays as it is in {ring}."),
        });
    }
    if done.keys.is_empty() {
        lines.push(
            "ATTENTION: packages of this swarm are not signed; Portage will not verify them.".to_owned(),
        );
    }
    lines.extend(done.remarks.iter().map(|remark| format!("ATTENTION: {remark}.")));
    lines.push(if done.dry_run {
        "This is what would be done; nothing was changed.".to_owned()
    } else {
        format!("This machine installs from {}. `swarm update` updates it.", done.sync_uri)
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told() {
        let key = |digit: &str, step| DoneKey { fingerprint: digit.repeat(40), step };
        let again = Done {
            target: "desktop".parse().unwrap(),
            sync_uri: "http://binhost:8410/binhost/desktop".to_owned(),
            dry_run: false,
            file: "/etc/portage/binrepos.conf/build-swarm.conf".into(),
            diff: String::new(),
            keyring: "/etc/portage/gnupg".into(),
            keys: vec![],
            remarks: vec![],
        };
        insta::assert_snapshot!("set_up_again", told(&again));
        let new = Done {
            dry_run: true,
            diff: "--- a\n+++ a\n@@ -0,0 +1 @@\n+[swarm]\n".to_owned(),
            keys: vec![key("A", Step::Import), key("B", Step::Nothing)],
            remarks: vec![
                "mine.conf has the same binhost a second time, as [mine]: remove that section".to_owned(),
            ],
            ..again
        };
        insta::assert_snapshot!("set_up_for_the_first_time", told(&new));
    }

    #[test]
    fn fingerprints() {
        assert_eq!(fingerprint(&"ab cd ".repeat(10)).unwrap(), "ABCD".repeat(10));
        for wrong in ["", "abcd", &"g".repeat(40)] {
            assert!(fingerprint(wrong).is_err(), "{wrong}");
        }
    }
}
