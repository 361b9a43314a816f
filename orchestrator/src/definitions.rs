//! Definitions of targets: pushed by workstations, fixed by runs, held by drones.

use crate::api::error::ApiError;
use crate::app::App;
use crate::db::definitions::{self, Filter};
use crate::db::events::{self, NewEvent};
use crate::db::{self, targets, workstations};
use crate::poll::Poll;
use crate::wake;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;
use std::sync::Arc;
use swarm_protocol::admin::{NewDefinition, PushedDefinition};
use swarm_protocol::binhost::Provided;
use swarm_protocol::definition::{Definition, RepositorySource};
use swarm_protocol::drone::{DefinitionsAnswer, DefinitionsRequest, WantedDefinition};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{DefinitionId, DroneId, TargetId};
use swarm_protocol::resolution::HeldEpoch;
use swarm_protocol::{Code, Digest};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::info;

/// Takes what a workstation pushes: the target's next definition, unless the newest says the same, and the workstation.
pub async fn push(app: &App, name: &TargetName, new: &NewDefinition) -> Result<PushedDefinition, ApiError> {
    RepositorySource::check_all(&new.repositories)
        .map_err(|error| ApiError::new(Code::InvalidValue, error.to_string()))?;
    let target = targets::id(&app.db, name).await?.ok_or_else(|| ApiError::not_found("target"))?;
    require_bundles(app, new).await?;
    let mut tx = app.db.begin().await?;
    targets::lock(&mut tx, target).await?;
    let newest = definitions::newest(&mut tx, target).await?;
    let number = newest.as_ref().map_or(0, |newest| newest.definition.number);
    let pushed = match newest {
        Some(newest) if newest.definition.says(&new.configuration, &new.repositories) => {
            PushedDefinition { newest, new: false }
        }
        newest if number != new.expect => {
            let by = newest.map_or_else(String::new, |newest| format!(", from {}", newest.workstation));
            let detail =
                format!("another push came first: the newest definition is {number}{by}; push again");
            return Err(ApiError::new(Code::Conflict, detail));
        }
        newest => {
            let next = definitions::New {
                number: number + 1,
                workstation: new.workstation.name.clone(),
                configuration: new.configuration,
                repositories: new.repositories.clone(),
                toolchain: newest.map(|newest| newest.definition.toolchain).unwrap_or_default(),
            };
            PushedDefinition { newest: definitions::insert(&mut tx, target, next).await?, new: true }
        }
    };
    workstations::register(&mut *tx, target, &new.workstation).await?;
    let number = pushed.newest.definition.number;
    let workstation = &new.workstation.name;
    let data = serde_json::json!({ "target": name, "definition": number, "workstation": workstation });
    events::append(&mut tx, NewEvent { kind: "target.pushed", data, ..NewEvent::default() }).await?;
    tx.commit().await?;
    info!(target.name = %name, definition = number, %workstation, new = pushed.new, "a workstation has pushed");
    app.wake.all();
    Ok(pushed)
}

/// Refuses a definition that no drone could bring itself to. What the binhost has is good for a day from now on, and
/// then kept for the definition's sake.
async fn require_bundles(app: &App, new: &NewDefinition) -> Result<(), ApiError> {
    let trees = new.repositories.iter().filter_map(|repository| repository.source.bundle());
    let installed = new.workstation.installed.map(|installed| installed.bundle);
    let bundles = std::iter::once(new.configuration.bundle).chain(trees).chain(installed).collect();
    let missing = missing_bundles(app, bundles).await?;
    match missing.first() {
        None => Ok(()),
        Some(bundle) => {
            let detail = format!("the binhost does not have the bundle {bundle}; send it before");
            Err(ApiError::new(Code::InvalidValue, detail))
        }
    }
}

/// Those that the binhost does not have.
pub async fn missing_bundles(app: &App, bundles: Vec<Digest>) -> Result<Vec<Digest>, ApiError> {
    app.binhost().await?.missing_bundles(bundles).await.map_err(|error| {
        tracing::warn!(%error, "the binhost cannot be asked at the moment");
        ApiError::new(Code::Unavailable, "the binhost does not answer at the moment")
    })
}

/// What a run that begins now is resolved and built under: the newest definition; that of its epoch, where a person
/// names one; none where the target, or that epoch, has none.
pub async fn of_new_run(
    tx: &mut PgConnection,
    target: TargetId,
    epoch: Option<&Epoch>,
) -> sqlx::Result<Option<DefinitionId>> {
    let history = definitions::history(tx, target, Some(definitions::KEPT.into())).await?;
    let mut history = history.into_iter().map(|entry| entry.definition);
    let definition = history.find(|definition| epoch.is_none_or(|epoch| definition.is_of(epoch)));
    Ok(definition.map(|definition| definition.id))
}

/// Refuses epochs that are not what the drone says they are.
pub async fn check_held(app: &App, held: &[HeldEpoch]) -> Result<(), ApiError> {
    let refuse = |detail: String| Err(ApiError::new(Code::InvalidValue, detail));
    let distinct: BTreeSet<_> = held.iter().map(|held| held.definition).collect();
    if held.is_empty() || held.len() > 64 || distinct.len() < held.len() {
        return refuse("epochs has 1 to 64 entries, one of each definition at most".to_owned());
    }
    let ids: Vec<_> = distinct.into_iter().flatten().collect();
    let known = definitions::list(&app.db, &Filter { ids: Some(&ids), ..Filter::default() }).await?;
    for held in held {
        let Some(id) = held.definition else { continue };
        match known.iter().map(|(_, entry)| &entry.definition).find(|definition| definition.id == id) {
            None => return refuse(format!("there is no definition {id}")),
            Some(definition) if !definition.is_of(&held.epoch) => {
                return refuse(format!("epoch {} is not of definition {id}", held.epoch.digest()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Serves a drone's request: at once when other definitions are wanted than it knows, else when that comes about or the
/// request's time is over.
pub async fn serve(
    app: &App,
    drone: DroneId,
    request: &DefinitionsRequest,
) -> Result<DefinitionsAnswer, ApiError> {
    let mut poll = Poll::begin(app, drone, request.session, request.wait_seconds).await?;
    db::unbrought::note(&app.db, drone, &request.unbrought).await?;
    let known: BTreeSet<_> = request.known.iter().copied().collect();
    loop {
        // What was pushed is for drones that a person let in.
        let wanted = if db::drones::awaits_approval(&app.db, drone).await? {
            Arc::default()
        } else {
            app.wanted.at(&app.db, poll.version()).await?
        };
        let ids: BTreeSet<_> = wanted.iter().map(|(_, definition)| definition.id).collect();
        if ids != known || !poll.again().await {
            return Ok(DefinitionsAnswer { definitions: ticketed(app, &wanted).await? });
        }
    }
}

async fn ticketed(app: &App, wanted: &[(TargetName, Definition)]) -> sqlx::Result<Vec<WantedDefinition>> {
    let now = db::now(&app.db).await?;
    let wanted = wanted.iter().cloned().map(|(target, definition)| {
        let ticket = app.bundles_ticket(now, definition.bundles(), None);
        WantedDefinition { target, definition, ticket }
    });
    Ok(wanted.collect())
}

/// The definitions that drones shall hold, read once for all who wait: every change of the queue wakes them.
#[derive(Default)]
pub struct Wanted(Mutex<Option<View>>);

/// What was read, up to which wake-up, and when.
struct View {
    wake: u64,
    read: Instant,
    definitions: Arc<Vec<(TargetName, Definition)>>,
}

impl Wanted {
    /// What is wanted, given everything up to the wake-up `wake`.
    async fn at(&self, db: &PgPool, wake: u64) -> sqlx::Result<Arc<Vec<(TargetName, Definition)>>> {
        let mut guard = self.0.lock().await;
        if let Some(view) = guard.as_ref()
            && view.wake >= wake
            && view.read.elapsed() < wake::NET
        {
            return Ok(Arc::clone(&view.definitions));
        }
        let read = Instant::now();
        let listed = definitions::list(db, &Filter { wanted: true, ..Filter::default() }).await?;
        let listed = listed.into_iter().map(|(target, entry)| (target, entry.definition));
        let definitions = Arc::new(listed.collect::<Vec<_>>());
        *guard = Some(View { wake, read, definitions: Arc::clone(&definitions) });
        Ok(definitions)
    }
}

/// What a target's generations need not contain: what a person declared for the target, and what every one of its
/// workstations has from elsewhere. A generation serves them all, so what one of them lacks must be in it.
#[must_use]
pub fn provided(own: Provided, workstations: &[Provided]) -> Provided {
    Provided {
        packages: with_common(own.packages, workstations.iter().map(|each| each.packages.as_slice())),
        sonames: with_common(own.sonames, workstations.iter().map(|each| each.sonames.as_slice())),
    }
}

/// `own`, and what is in each of `all`; of none, nothing is common.
fn with_common<'a, T: Clone + PartialEq + 'a>(
    mut own: Vec<T>,
    mut all: impl Iterator<Item = &'a [T]>,
) -> Vec<T> {
    let first = all.next().unwrap_or_default();
    let others: Vec<_> = all.collect();
    let common = first.iter().filter(|it| others.iter().all(|other| other.contains(it)));
    let new: Vec<_> = common.filter(|it| !own.contains(it)).cloned().collect();
    own.extend(new);
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_lacks_only_what_every_workstation_has() {
        let packages = |text: &str| Provided {
            packages: text.split_whitespace().map(|cpv| cpv.parse().unwrap()).collect(),
            sonames: vec![],
        };
        let (own, one, two) = (packages("a/own-1"), packages("a/b-1 a/c-1"), packages("a/c-1 a/own-1"));
        assert_eq!(provided(own.clone(), &[]), own);
        assert_eq!(provided(own.clone(), std::slice::from_ref(&one)), packages("a/own-1 a/b-1 a/c-1"));
        assert_eq!(provided(own.clone(), &[one.clone(), two]), packages("a/own-1 a/c-1"));
        assert_eq!(provided(own.clone(), &[one, Provided::default()]), own);
    }
}
