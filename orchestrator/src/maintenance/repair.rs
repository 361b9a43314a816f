//! The ladder (law 13): silent drones are judged at each turn, and what follows is written down before it is done.
//!
//! | judged | what follows |
//! |---|---|
//! | a step | it is written down as taken, and carried out over SSH ([`crate::repair`]) |
//! | a person is asked | an event and an alarm; `swarm fleet confirm` answers |
//! | an open one is over | its outcome is written down |
//! | nothing, although the drone is silent | an event and an alarm say why |
//!
//! The topology is read at each turn: what is switched off there is off at once.

use crate::alarms::{Alarm, Kind};
use crate::app::App;
use crate::config;
use crate::db::overdue::Listened;
use crate::db::repairs::{self, Intent};
use crate::machine::repair::{Patient, Policy, Repair, Rules, Suspended, Verdict, Waits, Witness, judge};
use crate::repair::Errand;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use swarm_fleet::topology::{Node, Topology};
use swarm_protocol::id::{DroneId, RepairId};
use swarm_protocol::repair::Step;
use tracing::info;

/// What was told so far; lost with the process, which then tells once more what still holds.
#[derive(Default)]
pub(super) struct Watch {
    suspended: BTreeMap<DroneId, Suspended>,
    /// When a drone's site was dark last.
    dark: BTreeMap<DroneId, DateTime<Utc>>,
}

/// Judges every drone that may be repaired.
pub(super) async fn look_after(app: &App, watch: &mut Watch, listened: Listened) -> sqlx::Result<()> {
    let Some(settings) = &app.repair else { return Ok(()) };
    let topology = match Topology::load(&settings.topology) {
        Ok(topology) => topology,
        Err(error) => {
            app.alarms.set(Kind::Repair, Some(&format!("no drone is repaired: {error}")));
            return Ok(());
        }
    };
    repairs::end_others(&app.db, settings.dry_run).await?;
    let ward = Ward {
        rules: settings.rules(app.times.grace_seconds),
        listened,
        drones: repairs::drones(&app.db).await?,
        known: repairs::known(&app.db, settings.dry_run).await?,
        topology: &topology,
        settings,
    };
    let mut alarms = vec![];
    for drone in &ward.drones {
        let Some(node) = topology.node(&drone.name) else { continue };
        let dark = watch.dark.get(&drone.id).copied();
        let (verdict, open) = ward.judge(drone, node, dark);
        if verdict == Verdict::Suspended(Suspended::SiteDark) {
            watch.dark.insert(drone.id, listened.as_of);
        }
        ward.follow(app, drone, node, verdict, open).await?;
        let suspended = if let Verdict::Suspended(why) = verdict { Some(why) } else { None };
        watch.tell(app, drone.id, suspended).await?;
        let sentence = sentence(&drone.name, verdict);
        alarms.extend(sentence.map(|text| Alarm::new(Kind::Repair, &drone.name, text)));
    }
    app.alarms.replace(Kind::Repair, alarms);
    Ok(())
}

/// What one turn looks at.
struct Ward<'a> {
    rules: Rules,
    listened: Listened,
    drones: Vec<repairs::Drone>,
    known: std::collections::HashMap<DroneId, Vec<(RepairId, Repair)>>,
    topology: &'a Topology,
    settings: &'a config::Repair,
}

impl Ward<'_> {
    /// The verdict, and the open repair that it may be about.
    fn judge(
        &self,
        drone: &repairs::Drone,
        node: &Node,
        dark: Option<DateTime<Utc>>,
    ) -> (Verdict, Option<RepairId>) {
        let known = self.known.get(&drone.id).map(Vec::as_slice).unwrap_or_default();
        let open = known.iter().find(|(_, repair)| repair.ended.is_none()).map(|(id, _)| *id);
        let patient = Patient {
            policy: Policy { highest: node.repair, reboot_confirmed_by: node.reboot_confirmed_by },
            heard_at: drone.heard_at,
            goodbye_at: drone.goodbye_at,
            attended: drone.attended,
            repairs: known.iter().map(|(_, repair)| *repair).collect(),
        };
        let others = self.drones.iter().filter(|other| other.id != drone.id && other.goodbye_at.is_none());
        let witnesses: Vec<_> = others
            .filter_map(|other| {
                let same_site = self.topology.node(&other.name).is_some_and(|other| other.site == node.site);
                Some(Witness { same_site, heard_at: other.heard_at? })
            })
            .collect();
        let since = dark.map_or(self.listened.since, |dark| dark.max(self.listened.since));
        (judge(&patient, &witnesses, &self.rules, since, self.listened.as_of), open)
    }

    async fn follow(
        &self,
        app: &App,
        drone: &repairs::Drone,
        node: &Node,
        verdict: Verdict,
        open: Option<RepairId>,
    ) -> sqlx::Result<()> {
        match (verdict, open) {
            (Verdict::Begin(step), _) => match self.begin(app, drone, step, false).await? {
                Some(id) => self.carry_out(app, id, drone, node, step).await,
                None => Ok(()),
            },
            (Verdict::Ask, _) => {
                let asked = self.begin(app, drone, Step::Reboot, true).await?;
                info!(drone.name = drone.name, repair = ?asked, "a person is asked whether a machine may be rebooted");
                Ok(())
            }
            (Verdict::Act, Some(id)) => self.act(app, id, drone, node).await,
            (Verdict::End(outcome), Some(id)) => {
                repairs::end(&app.db, id, outcome, None).await?;
                info!(drone.name = drone.name, repair = %id, outcome = outcome.as_str(), "a repair is over");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes the step that was confirmed, unless somebody did or the drone was heard.
    async fn act(&self, app: &App, id: RepairId, drone: &repairs::Drone, node: &Node) -> sqlx::Result<()> {
        if !repairs::act(&app.db, id, self.rules.grace).await? {
            return Ok(());
        }
        self.carry_out(app, id, drone, node, Step::Reboot).await
    }

    async fn begin(
        &self,
        app: &App,
        drone: &repairs::Drone,
        step: Step,
        ask: bool,
    ) -> sqlx::Result<Option<RepairId>> {
        let silent = drone.heard_at.map_or(0, |at| (self.listened.as_of - at).num_seconds());
        let reason = match step {
            Step::Restart => format!("the drone has been silent for {silent} s"),
            Step::Reboot => format!("the drone has been silent for {silent} s, and restarts did not help"),
        };
        let intent = Intent { drone: drone.id, step, reason: &reason, dry_run: self.settings.dry_run, ask };
        repairs::begin(&app.db, intent, self.rules.grace).await
    }

    /// It is written down as taken.
    async fn carry_out(
        &self,
        app: &App,
        repair: RepairId,
        drone: &repairs::Drone,
        node: &Node,
        step: Step,
    ) -> sqlx::Result<()> {
        if self.settings.dry_run {
            return repairs::answer(&app.db, repair, true, "dry run: nothing was done").await;
        }
        match drone.machine_id.parse() {
            Ok(machine_id) => {
                let (drone, route) = (drone.name.clone(), node.route.clone());
                app.hands.send(Errand { repair, drone, step, machine_id, route });
                Ok(())
            }
            Err(error) => {
                let detail = format!("the machine cannot be named: {error}");
                let refused = swarm_protocol::admin::RepairOutcome::Refused;
                repairs::end(&app.db, repair, refused, Some(&detail)).await.map(drop)
            }
        }
    }
}

impl Watch {
    async fn tell(&mut self, app: &App, drone: DroneId, suspended: Option<Suspended>) -> sqlx::Result<()> {
        match suspended {
            None => _ = self.suspended.remove(&drone),
            Some(why) if self.suspended.insert(drone, why) != Some(why) => {
                repairs::suspended(&app.db, drone, words(why)).await?;
            }
            Some(_) => {}
        }
        Ok(())
    }
}

const fn words(why: Suspended) -> &'static str {
    match why {
        Suspended::SiteDark => "its whole site is silent",
        Suspended::Refused => "its node refused",
        Suspended::Spent(Step::Restart) => "no more restarts today",
        Suspended::Spent(Step::Reboot) => "no more reboots today",
    }
}

/// What a person should know.
fn sentence(drone: &str, verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Ask | Verdict::Wait { why: Waits::Confirmation, .. } => Some(format!(
            "drone {drone} is silent, and restarts did not help: `swarm fleet confirm {drone}` reboots it"
        )),
        Verdict::Suspended(why) => {
            let words = words(why);
            Some(format!("drone {drone} is silent and not repaired: {words} (`swarm fleet repairs {drone}`)"))
        }
        _ => None,
    }
}
