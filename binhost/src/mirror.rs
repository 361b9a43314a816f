//! `build-binhost mirror`: pushes what clients need of a target to an S3-compatible store, or to another directory.
//!
//! ```text
//! DESTINATION/TARGET/Packages, Packages.gz        the current index
//! DESTINATION/TARGET/sys-libs/zlib/…              the files of every kept generation that was published
//! DESTINATION/TARGET/key.asc                      the public keys, where packages are signed
//! DESTINATION/TARGET/.mirror.json                 what this command knows of the mirror (`record`)
//! ```
//!
//! `DESTINATION/TARGET` is a client's `sync-uri`. The keys go first, then the files, the index last, and only then, with `--prune`, goes
//! what no kept generation has. So whatever index is there, its files are; an interrupted push is repeated, and does
//! again only what is missing. Two pushes to one place at a time are not kept apart.
//!
//! # What a client sees
//!
//! An object's `Last-Modified` is the time of its upload, and cannot be set. Portage sends `If-Modified-Since:` the
//! TIMESTAMP of the index that it holds, plus 5 seconds (`util/_urlopen.py`), and takes what is sent back if
//! `Last-Modified` is later than that TIMESTAMP (`dbapi/bintree.py`). Three things follow.
//!
//! * An index uploaded less than 6 seconds after the TIMESTAMP of the one before it would look unmodified. So the push
//!   waits until that time is over, then asks the store for the new object's time, since its clock is the one that
//!   counts, and uploads again until that is late enough.
//! * An index uploaded more than 5 seconds after its own TIMESTAMP, which is the rule, never gives a 304: each client
//!   fetches it each time. That costs its bytes and nothing else.
//! * An *older* index uploaded later would be taken. So a push that would go back is refused: a rollback is a new
//!   generation.

mod destination;
mod http;
mod push;
mod record;

use crate::clock::Clock;
use crate::config::Config;
use crate::signing::Keyring;
use crate::target::public;
use crate::tools::print;
use anyhow::{Context, Result, ensure};
use push::{Push, Pushed};
use std::fmt::Write as _;
use std::path::PathBuf;
use swarm_protocol::gentoo::TargetName;
use url::Url;

/// What is pushed, and where to.
#[derive(Clone, Debug, clap::Args)]
pub struct Mirror {
    /// `s3://BUCKET/PREFIX`, or `file:///DIRECTORY`.
    destination: Url,
    /// Only this target; may be repeated.
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<TargetName>,
    /// Remove packages from the mirror that no kept generation has.
    #[arg(long)]
    prune: bool,
    /// A TOML file that only its owner can read, with the keys of an S3 store: `access_key_id`, `secret_access_key`,
    /// `region`, `endpoint`, `allow_http`. It overrides the environment's `AWS_ACCESS_KEY_ID` and so on.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Pushes.
pub async fn run(config: Config, clock: &dyn Clock, how: &Mirror) -> Result<()> {
    let destination = destination::open(&how.destination, how.credentials.as_deref())?;
    let targets = config.directory.join("targets");
    let names = if how.targets.is_empty() { all(&targets)? } else { how.targets.clone() };
    let keys = keys(&config)?;
    let mut done = Vec::new();
    for name in names {
        let directory = targets.join(name.as_str());
        ensure!(directory.is_dir(), "there is no target {name} in {}", targets.display());
        let public = tokio::task::spawn_blocking(move || public::read(&directory)).await?;
        let Some(public) = public.with_context(|| format!("target {name} cannot be read"))? else { continue };
        let push = Push::new(&destination, &name, &config.directory, clock);
        let pushed =
            push.run(&public, keys.as_deref(), how.prune).await.with_context(|| format!("target {name}"))?;
        done.push(pushed);
    }
    print(&done, how.json, |done| done.iter().map(said).collect())
}

/// The public keys, as the daemon has them in `key.asc`.
fn keys(config: &Config) -> Result<Option<String>> {
    let keys = config.signing.enabled.then(|| Keyring::of(&config.directory).load()?.public());
    Ok(keys.transpose().context("cannot read the keys that sign packages")?.map(|(armored, _)| armored))
}

fn all(targets: &std::path::Path) -> Result<Vec<TargetName>> {
    let mut names = Vec::new();
    for entry in targets.read_dir().with_context(|| format!("cannot list {}", targets.display()))? {
        let name = entry?.file_name();
        names.extend(name.to_str().and_then(|name| name.parse().ok()));
    }
    names.sort_by(|a: &TargetName, b| a.as_str().cmp(b.as_str()));
    Ok(names)
}

fn said(pushed: &Pushed) -> String {
    let Pushed { target, generation, files, bytes, present, pruned, index } = pushed;
    let mut text = format!("{target}: {files} files of {bytes} bytes pushed, {present} were there");
    if *pruned > 0 {
        let _ = write!(text, ", {pruned} removed");
    }
    let index = if *index { "is there now" } else { "was there" };
    let _ = writeln!(text, "; the index of generation {generation} {index}");
    text
}
