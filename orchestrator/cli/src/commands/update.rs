//! `swarm update`: a workstation is brought to its target's current generation, by emerge, and nothing is compiled.
//!
//! emerge's exit status proves nothing (PORTAGE.md 1), so Portage's own depgraph is asked before and after what it would
//! do if it might compile. What it would compile, the binhost lacks; what it would still install, emerge has left out.
//!
//! | module | what |
//! |---|---|
//! | [`ask`] | one question to this machine's Portage, and its answer |
//! | [`emerge`] | the command itself |
//! | [`origin`] | which generation it is, and whether something is wrong with the nights |
//! | [`report`] | all that is told. Pure |

mod ask;
mod emerge;
mod origin;
mod report;

use crate::connection::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, printable, raw};
use crate::patience::Pauses;
use crate::workstation::binrepos;
use crate::workstation::keyring::{self, Key, Keyring};
use crate::workstation::portage::{self, Places};
use ask::{Answer, Outlook};
use clap::Args;
use report::{Lacking, Report};
use std::time::Duration;
use swarm_protocol::admin::ClientSetup;
use swarm_protocol::gentoo::TargetName;

pub(crate) const EXAMPLES: &str = "Examples:
  swarm update                  # what would change, and from which generation; then emerge; then the check
  swarm update --pretend        # only say what would change
  swarm update --json           # the same for a script; what emerge says is on standard error";

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How often emerge is begun anew after the binhost was away.
const ROUNDS: u32 = 3;

/// What is updated.
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// The target that this workstation is set up for; anything else is refused.
    target: Option<TargetName>,
    /// Say what would change, and change nothing.
    #[arg(long, short)]
    pretend: bool,
    /// For how long a binhost is waited for that is not reached.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
}

/// `swarm update`.
pub(crate) async fn run(context: &Context, what: &Update) -> Result<Exit, Failure> {
    portage::only_root("swarm update")?;
    let places = portage::places()?;
    let (target, uri) = set_up_for(&places, what.target.as_ref())?;
    let (mut origin, setup) = origin::find(context, &target).await?;
    origin.attention.extend(trusted(&places, &target, setup.as_ref())?);
    let mut report = Report::new(target, uri, what.pretend, origin);
    let patience = Duration::from_secs(what.patience);
    let (outlook, _) = outlook(&report.sync_uri, patience).await?;
    let lacking = explained(context, &report.target, outlook.lacking.clone()).await;
    report.plan(outlook, lacking);
    tell(context, &report.before())?;
    if !what.pretend && report.may_install() {
        installed(context, &mut report, patience).await?;
        tell(context, &report.after())?;
    }
    if context.output.is_json() {
        context.output.show(&report, |_| String::new())?;
    }
    Ok(report.exit())
}

/// Which target this machine installs from, and where that is.
fn set_up_for(places: &Places, named: Option<&TargetName>) -> Result<(TargetName, String), Failure> {
    let again = named.map_or("TARGET", TargetName::as_str);
    let Some(uri) = binrepos::configured(&places.binrepos)? else {
        return Err(Failure::usage(format!(
            "{} has no binhost of a swarm: `swarm setup workstation {again}` writes it",
            places.binrepos.display()
        )));
    };
    let target = uri.rsplit('/').next().and_then(|name| name.parse::<TargetName>().ok());
    match (target, named) {
        (Some(target), Some(named)) if target != *named => Err(Failure::usage(format!(
            "this workstation installs from {target}; `swarm setup workstation {named}` lets it install from {named}"
        ))),
        (Some(target), _) => Ok((target, uri)),
        (None, _) => Err(Failure::usage(format!(
            "{uri} in {} is no target's URL: `swarm setup workstation {again}` writes the right one",
            places.binrepos.display()
        ))),
    }
}

/// Refuses where nothing could be verified; sentences about keys that came later.
fn trusted(
    places: &Places,
    target: &TargetName,
    setup: Option<&ClientSetup>,
) -> Result<Vec<String>, Failure> {
    if !binrepos::verifies(&places.binrepos)? {
        return Ok(Vec::new());
    }
    let ring = Keyring::new(&places.keyring).keys()?;
    let (home, fix) = (places.keyring.display(), format!("`swarm setup workstation {target}` sees to it"));
    let is_trusted =
        |key: &Key| ring.iter().any(|there| there.fingerprint == key.fingerprint && there.is_trusted());
    let Some(armored) = setup.and_then(|setup| setup.keys.as_deref()) else {
        if ring.iter().any(Key::is_trusted) {
            return Ok(Vec::new());
        }
        return Err(Failure::untrusted(format!(
            "no key in {home} is trusted, and Portage would install nothing: {fix}"
        )));
    };
    let (known, unknown): (Vec<_>, Vec<_>) = keyring::announced(armored)?.into_iter().partition(is_trusted);
    let unknown: Vec<_> = unknown.into_iter().map(|key| key.fingerprint).collect();
    if known.is_empty() {
        return Err(Failure::untrusted(format!(
            "this workstation trusts no key that the swarm signs with ({}), and Portage would install nothing: {fix}",
            unknown.join(", ")
        )));
    }
    let one = |key: String| format!("the swarm has a key that this workstation does not trust, {key}: {fix}");
    Ok(unknown.into_iter().map(one).collect())
}

/// What Portage would do, once the binhost is reached; and whether that had to be waited for.
async fn outlook(uri: &str, patience: Duration) -> Result<(Outlook, bool), Failure> {
    let mut pauses = Pauses::new(FIRST_PAUSE, patience);
    loop {
        let (why, status) = match ask::ask().await? {
            Answer::Told(outlook) => return Ok((outlook, pauses.have_begun())),
            Answer::Unreached { unreached, status } => (unreached, status),
        };
        // What the binhost refuses, it will refuse in a minute too.
        if status.is_some_and(|status| (400..500).contains(&status)) || pauses.are_over() {
            return Err(Failure::no_binhost(unreached(uri, &why, status)));
        }
        if !pauses.have_begun() {
            output::say(&format!(
                "the binhost is not reached ({why}); trying on for {} s",
                patience.as_secs()
            ));
        }
        pauses.pause().await;
    }
}

fn unreached(uri: &str, why: &str, status: Option<u16>) -> String {
    let hint = match status {
        Some(401 | 403) => {
            "it wants to know who reads: run `swarm setup workstation` with BINHOST_READER=NAME:TOKEN in the environment"
        }
        Some(404) => "has the target a generation yet? `swarm generations list` says so",
        _ => "does it run, and is the way to it open? `swarm update` may be repeated at any time",
    };
    format!("the binhost at {uri} gives no index: {why}; {hint}")
}

/// Why the swarm does not have what is lacking, in its own words.
async fn explained(context: &Context, target: &TargetName, lacking: Vec<ask::Finding>) -> Vec<Lacking> {
    let mut explained = Vec::new();
    let packages = if lacking.is_empty() { Vec::new() } else { origin::packages(context, target).await };
    for finding in lacking {
        let cpv = finding.atom.clone().unwrap_or_default();
        let planned = packages.iter().find(|package| package.stage == 0 && package.cpv.to_string() == cpv);
        let why = match planned {
            Some(package) => {
                context.ask(context.client.why_package(package.id)).await.map(|why| why.answer).ok()
            }
            None if packages.is_empty() => None,
            None => Some(format!(
                "no run has planned it: has this workstation been pushed (`swarm target push {target}`), and a run begun since?"
            )),
        };
        explained.push(Lacking { finding, why });
    }
    explained
}

/// Runs emerge, anew where the binhost was away meanwhile, and looks at what came of it.
async fn installed(context: &Context, report: &mut Report, patience: Duration) -> Result<(), Failure> {
    for round in 1.. {
        let status = emerge::run(context.output.is_json()).await?;
        report.emerge = Some(status);
        let (outlook, waited) = outlook(&report.sync_uri, patience).await?;
        let again = status != 0 && waited && round < ROUNDS;
        if !again {
            report.done(outlook);
            break;
        }
        output::say("the binhost is there again; once more");
    }
    Ok(())
}

/// A part of the answer as it comes; scripts get all of it at the end.
fn tell(context: &Context, text: &str) -> Result<(), Failure> {
    if context.output.is_json() || text.is_empty() {
        return Ok(());
    }
    raw(format!("{}\n", printable(text)).as_bytes())
}
