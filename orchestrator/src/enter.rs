//! How a plan becomes a run's queue (DESIGN 5.2 and 5.3): what is received already is made visible in the run's staging
//! view, then, in one transaction, the former run gives way and the packages enter.
//!
//! The binhost is asked between transactions, never within one. What there is to inherit may grow meanwhile, so it is
//! judged again under the locks, and the binhost is asked again until nothing new has come.

use crate::app::App;
use crate::db::plan;
use crate::db::resolutions::{self, Reported};
use crate::db::runs::{self, RunError, Unplanned};
use crate::db::succession as records;
use crate::graph::Graph;
use crate::history::History;
use crate::lost;
use crate::machine::run::Transition;
use crate::maintenance;
use crate::succession::{self, Fate, NotOffered};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use swarm_protocol::binhost::Inherit;
use swarm_protocol::client::ClientError;
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::{ArtifactId, EpochId, ResolutionId, RunId};
use swarm_protocol::plan::Plan;
use swarm_protocol::resolution::{Finding, FindingKind};
use swarm_protocol::state::{ResolutionOutcome, RunState};
use tracing::{info, warn};

/// How often the binhost is asked at most; builds take longer than a round.
const ROUNDS: usize = 10;

/// A plan that shall enter.
pub struct Entry<'a> {
    /// The run, which is resolving.
    pub run: RunId,
    /// The epoch that the plan was made under.
    pub epoch: EpochId,
    /// The plan.
    pub plan: &'a Plan,
    /// Its graph.
    pub graph: &'a Graph,
    /// What earlier builds took.
    pub history: &'a History,
    /// The resolution that it comes from; a person posted it where absent.
    pub by: Option<(ResolutionId, &'a Reported)>,
    /// What Portage remarked.
    pub findings: &'a [Finding],
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The run builds.
    Building,
    /// It was made against a generation that is no longer current; the run is resolved again.
    Outdated,
}

/// Why a plan does not enter.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The run is not one that awaits a plan.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It keeps what it may not.
    #[error(transparent)]
    NotOffered(#[from] NotOffered),
    /// The binhost cannot be asked.
    #[error("the binhost cannot be asked at the moment: {0}")]
    Binhost(#[from] ClientError),
    /// Packages were received faster than the binhost could be told.
    #[error("too much is received at the moment")]
    Restless,
}

impl From<sqlx::Error> for EnterError {
    fn from(error: sqlx::Error) -> Self {
        Self::Run(error.into())
    }
}

/// Brings a plan into the queue.
pub async fn enter(app: &App, entry: &Entry<'_>) -> Result<Entered, EnterError> {
    let run = runs::unplanned(&app.db, entry.run).await?.ok_or(RunError::NotFound)?;
    let mut visible = BTreeSet::new();
    for _ in 0..ROUNDS {
        let mut tx = app.db.begin().await?;
        let Some(superseded) = lock(&mut tx, &run, entry).await? else {
            tx.commit().await?;
            app.wake.all();
            return Ok(Entered::Outdated);
        };
        let estate = records::estate(&mut tx, entry.run, entry.epoch).await?;
        let fates = succession::fates(entry.plan, entry.graph, &estate)?;
        let kept = kept(&fates);
        if kept.is_subset(&visible) {
            write(&mut tx, entry, superseded, &fates).await?;
            tx.commit().await?;
            info!(run = %entry.run, packages = fates.len(), kept = kept.len(), "a plan is in the queue");
            if let Err(error) = maintenance::end_orphans(app).await {
                // The plan is in; the maintenance loop ends them at its next turn.
                warn!(%error, "the former run's attempts could not be ended at once");
            }
            app.wake.all();
            return Ok(Entered::Building);
        }
        let artifacts = records::published(&mut tx, &kept.iter().copied().collect::<Vec<_>>()).await?;
        tx.rollback().await?;
        let inherit = Inherit { artifacts };
        match app.binhost().await?.inherit(&run.name, entry.run, &inherit).await {
            Ok(()) => visible = kept,
            // What is lost is in the estate no longer.
            Err(error) if lost::note(app, &run.name, &error, &inherit.artifacts).await? => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(EnterError::Restless)
}

fn kept(fates: &[Fate]) -> BTreeSet<ArtifactId> {
    fates
        .iter()
        .filter_map(|fate| match fate {
            Fate::Keep(artifact) => Some(*artifact),
            Fate::Build | Fate::Take(_) => None,
        })
        .collect()
}

/// Locks the target's runs, and checks that the plan may still enter. `None`: it is outdated, and its resolution ended.
/// Else the run that gives way, if there is one.
async fn lock(
    tx: &mut PgConnection,
    run: &Unplanned,
    entry: &Entry<'_>,
) -> Result<Option<Option<RunId>>, EnterError> {
    let open = runs::lock_open(tx, run.target).await?;
    if open.resolving != Some(entry.run) {
        return Err(RunError::State(runs::state(tx, entry.run).await?).into());
    }
    let switching = open.current.filter(|(_, state)| !matches!(state, RunState::Building | RunState::Frozen));
    match (entry.by, switching) {
        (None, Some((_, state))) => Err(RunError::State(state).into()),
        (None, None) => Ok(Some(open.current.map(|(run, _)| run))),
        (Some((resolution, reported)), _) => {
            let current = resolutions::generation(&mut *tx, run.target).await?;
            if switching.is_some() || current != reported.generation {
                let reason = Some("another generation became current meanwhile");
                resolutions::end(&mut *tx, resolution, ResolutionOutcome::Outdated, reason).await?;
                return Ok(None);
            }
            // It may have been given up while this report was on its way.
            if resolutions::end(&mut *tx, resolution, ResolutionOutcome::Planned, None).await? {
                Ok(Some(open.current.map(|(run, _)| run)))
            } else {
                Ok(None)
            }
        }
    }
}

async fn write(
    tx: &mut PgConnection,
    entry: &Entry<'_>,
    superseded: Option<RunId>,
    fates: &[Fate],
) -> Result<(), EnterError> {
    if let Some(superseded) = superseded {
        let reason = format!("run {} took its place", entry.run);
        runs::apply(tx, superseded, Transition::Supersede, Some(&reason)).await?;
    }
    resolutions::end_of_run(&mut *tx, entry.run).await?;
    runs::set_epoch(tx, entry.run, entry.epoch).await?;
    runs::set_system(tx, entry.run, &entry.plan.system).await?;
    runs::apply(tx, entry.run, Transition::Plan, None).await?;
    plan::insert(tx, entry.run, entry.plan, entry.graph, entry.history, fates).await?;
    if let Some((resolution, _)) = entry.by {
        runs::set_toolchain(tx, entry.run, &entry.plan.toolchain).await?;
        let against = against_portage(entry.plan, fates);
        let mut findings = entry.findings.to_vec();
        findings.extend(records::offered_to(tx, resolution, &against).await?.iter().map(remark));
        runs::set_findings(tx, entry.run, &findings).await?;
    }
    Ok(())
}

/// What is kept although Portage would build it.
fn against_portage(plan: &Plan, fates: &[Fate]) -> Vec<ArtifactId> {
    let kept = plan.packages.iter().zip(fates).filter(|(package, _)| package.keep.is_none());
    kept.filter_map(|(_, fate)| match fate {
        Fate::Keep(artifact) => Some(*artifact),
        Fate::Build | Fate::Take(_) => None,
    })
    .collect()
}

/// Built again under the same inputs it would come out the same, and be rejected again (PORTAGE.md 2).
fn remark(cpv: &Cpv) -> Finding {
    Finding {
        kind: FindingKind::Other,
        atom: Some(cpv.to_string()),
        wanted_by: vec![],
        workstation: None,
        detail: "Portage rejects the binary that was built under these very inputs; it is kept all the same"
            .to_owned(),
    }
}
