//! The loop that follows what is wanted: asks the orchestrator for definitions, brings the drone to each, and removes what
//! nobody needs any more.
//!
//! Definitions are brought side by side: one whose server hangs holds up no other. One that cannot be brought about is
//! not held, is tried again after growing pauses, and each reason is said once; the orchestrator hears of it for as long
//! as it lasts.

use super::bring::{self, Held};
use crate::build::Workshop;
use crate::link::{HELD_LIMIT, HOLD, backoff};
use crate::resolver::verdict::{KEPT, clipped};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::drone::{DefinitionsAnswer, DefinitionsRequest, Unbrought, WantedDefinition};
use swarm_protocol::id::DefinitionId;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

/// Between two requests at least.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long a drone waits whose requests are refused.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);
/// How long what nobody needs stays on the disk.
const UNUSED: Duration = Duration::from_hours(24);

/// Follows until the process ends.
pub async fn run(shop: &Arc<Workshop>) -> Infallible {
    let mut follower = Follower {
        shop: shop.clone(),
        wanted: BTreeSet::new(),
        bringing: JoinSet::new(),
        busy: HashMap::new(),
        troubles: BTreeMap::new(),
    };
    let (mut waits, mut refused) = (backoff(), false);
    loop {
        let begun = Instant::now();
        let mut changes = shop.epochs.changes();
        let request = follower.request();
        let link = &shop.link;
        let asked = tokio::select! {
            biased;
            Some(ended) = follower.bringing.join_next_with_id() => {
                follower.ended(ended);
                continue;
            }
            // What is held no longer is wanted anew.
            _ = changes.changed() => continue,
            asked = link.long_poll(request.session, link.client.definitions(&request)) => asked,
        };
        let pause = match asked {
            Ok(answer) => {
                (waits, refused) = (backoff(), false);
                if let Some(answer) = answer {
                    follower.take(answer).await;
                }
                SHORTEST.saturating_sub(begun.elapsed())
            }
            Err(error) if error.is_transient() => waits.next().unwrap_or(HELD_LIMIT),
            Err(error) => {
                if !refused {
                    tracing::warn!(%error, "the orchestrator refuses to tell which definitions are wanted");
                }
                refused = true;
                REFUSED_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// A definition that cannot be brought about.
struct Trouble {
    waits: ExponentialBackoff,
    again: Instant,
    said: String,
}

struct Follower {
    shop: Arc<Workshop>,
    /// As the last answer had it.
    wanted: BTreeSet<DefinitionId>,
    bringing: JoinSet<anyhow::Result<()>>,
    busy: HashMap<Id, DefinitionId>,
    troubles: BTreeMap<DefinitionId, Trouble>,
}

impl Follower {
    /// What we hold, are at, or shall not try yet is known; for the rest we need a ticket.
    fn request(&self) -> DefinitionsRequest {
        let now = Instant::now();
        let holdings = self.shop.epochs.changes().borrow().keys().copied().collect::<BTreeSet<_>>();
        let is_known =
            |id: &&DefinitionId| holdings.contains(id) || self.is_at(**id) || self.waits_for(**id, now);
        let again = self.troubles.values().map(|trouble| trouble.again.saturating_duration_since(now)).min();
        let wait = again.map_or(HOLD, |again| again.clamp(SHORTEST, HOLD));
        DefinitionsRequest {
            session: self.shop.link.desk().session(),
            known: self.wanted.iter().filter(is_known).copied().collect(),
            unbrought: self.troubles.iter().map(Trouble::told).collect(),
            wait_seconds: u16::try_from(wait.as_secs()).unwrap_or(1),
        }
    }

    fn is_at(&self, definition: DefinitionId) -> bool {
        self.busy.values().any(|busy| *busy == definition)
    }

    fn waits_for(&self, definition: DefinitionId, now: Instant) -> bool {
        self.troubles.get(&definition).is_some_and(|trouble| trouble.again > now)
    }

    async fn take(&mut self, answer: DefinitionsAnswer) {
        let wanted = answer.definitions;
        self.wanted = wanted.iter().map(|wanted| wanted.definition.id).collect();
        self.troubles.retain(|id, _| self.wanted.contains(id));
        if let Err(error) = self.tidy(&wanted).await {
            tracing::warn!(error = format!("{error:#}"), "cannot remove what no definition needs");
        }
        let held = self.shop.epochs.held.borrow().values().cloned().collect();
        if let Err(error) = self.shop.epochs.still_holds(held).await {
            tracing::warn!(error = format!("{error:#}"), "cannot look at what is held; its use will");
        }
        for wanted in wanted {
            let id = wanted.definition.id;
            let is_held = self.shop.epochs.held.borrow().contains_key(&id);
            if !is_held && !self.is_at(id) && !self.waits_for(id, Instant::now()) {
                let task = self.bringing.spawn(bring_one(self.shop.clone(), wanted));
                self.busy.insert(task.id(), id);
            }
        }
    }

    /// Forgets the definitions that are neither wanted nor built under, and removes the parts that nobody needs.
    async fn tidy(&self, wanted: &[WantedDefinition]) -> anyhow::Result<()> {
        let epochs = &self.shop.epochs;
        let at_work: BTreeSet<_> =
            self.shop.link.desk().held().iter().map(|live| live.identity().claim.epoch).collect();
        let is_needed =
            |held: &Arc<Held>| self.wanted.contains(&held.definition.id) || at_work.contains(&held.digest);
        epochs.retain(is_needed);
        let held =
            epochs.held.borrow().values().flat_map(|held| held.places(&epochs.store)).collect::<Vec<_>>();
        let wanted = wanted.iter().flat_map(|wanted| bring::places(&wanted.definition, &epochs.store));
        let needed = held.into_iter().chain(wanted).collect();
        let store = epochs.store.clone();
        let gone = tokio::task::spawn_blocking(move || store.sweep(&needed, UNUSED)).await??;
        if gone > 0 {
            tracing::info!(parts = gone, "removed what no definition has needed for a day");
        }
        Ok(())
    }

    fn ended(&mut self, ended: Result<(Id, anyhow::Result<()>), JoinError>) {
        let (task, result) = match ended {
            Ok((task, result)) => (task, result),
            Err(error) => (error.id(), Err(anyhow::Error::new(error))),
        };
        let Some(id) = self.busy.remove(&task) else { return };
        let Err(error) = result else {
            self.troubles.remove(&id);
            return;
        };
        let error = format!("{error:#}");
        let trouble = self.troubles.entry(id).or_insert_with(Trouble::new);
        if trouble.said == error {
            tracing::debug!(definition = %id, error, "the definition still cannot be brought about");
        } else {
            tracing::warn!(definition = %id, error, "the definition cannot be brought about; others go on");
            trouble.said = error;
        }
        trouble.again = Instant::now() + trouble.waits.next().unwrap_or(REFUSED_PAUSE);
    }
}

impl Trouble {
    fn told((definition, trouble): (&DefinitionId, &Self)) -> Unbrought {
        Unbrought { definition: *definition, reason: clipped(&trouble.said, KEPT.1) }
    }

    fn new() -> Self {
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(5))
            .with_max_delay(Duration::from_mins(15))
            .with_jitter()
            .without_max_times();
        Self { waits: waits.build(), again: Instant::now(), said: String::new() }
    }
}

async fn bring_one(shop: Arc<Workshop>, wanted: WantedDefinition) -> anyhow::Result<()> {
    let begun = Instant::now();
    let WantedDefinition { target, definition, ticket } = wanted;
    let (id, number) = (definition.id, definition.number);
    let binhost = BinhostClient::new(&shop.link.session().binhost_url, ticket.0);
    let (held, made) = bring::bring(&shop.epochs, &binhost, definition).await?;
    let elapsed_ms = begun.elapsed().as_millis();
    tracing::info!(definition = %id, %target, number, epoch = %held.digest, parts.made = made, elapsed_ms,
        "the drone holds the definition");
    shop.epochs.holds(held);
    Ok(())
}
