//! A swarm that repairs its drones' machines: boxes with OpenRC and an sshd, a key that may do nothing else there, a topology.

use crate::machines::{DroneMachine, Place, reachable_swarm};
use crate::swarm::{Settings, Swarm};
use crate::{checker, wait};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_protocol::admin::{Drone, Repair, RepairOutcome};

/// The swarm, the orchestrator's key, and the nodes.
pub struct Ward {
    /// The swarm.
    pub swarm: Swarm,
    keys: PathBuf,
    nodes: Vec<Node>,
}

/// What the topology says of a drone's machine.
struct Node {
    name: String,
    address: String,
    policy: String,
    known_host: String,
}

impl Ward {
    /// A swarm whose orchestrator may repair; `ladder` are lines of `[repair]`.
    pub async fn start(ladder: &str) -> Self {
        let mut swarm = reachable_swarm(Settings::soon_silent()).await;
        let keys = swarm.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(keys.join("repair"))
            .status()
            .unwrap();
        assert!(made.success());
        let public = fs::read_to_string(keys.join("repair.pub")).unwrap();
        let helper = "/opt/build-swarm/build-drone repair --config /etc/build-swarm/drone.toml";
        fs::write(keys.join("authorized"), format!("restrict,command=\"{helper}\" {public}")).unwrap();
        let config = swarm.path().join("orchestrator.toml");
        let text = fs::read_to_string(&config).unwrap();
        let path = swarm.path().display();
        let repair = format!(
            "[repair]\ntopology = '{path}/fleet.toml'\nkey_file = '{path}/keys/repair'\n\
             known_hosts = '{path}/known_hosts'\nwindow_seconds = 8\nssh_seconds = 25\nrecovery_seconds = 30\n\
             first_pause_seconds = 1\nlongest_pause_seconds = 1\n{ladder}\n"
        );
        fs::write(config, format!("{text}{repair}")).unwrap();
        swarm.orchestrator.take().unwrap().kill();
        let mut ward = Self { swarm, keys, nodes: vec![] };
        ward.write();
        ward.swarm.start_orchestrator().await;
        ward
    }

    /// A drone's machine; `policy` are lines of its node.
    pub async fn node(&mut self, name: &str, policy: &str) -> DroneMachine {
        let place = Place { authorized_keys: Some(&self.keys.join("authorized")), ..Place::default() };
        let drone = DroneMachine::start_at(&self.swarm, name, place).await;
        self.nodes.push(Node {
            name: name.to_owned(),
            address: drone.machine.ip(),
            policy: policy.to_owned(),
            known_host: drone.machine.known_host(),
        });
        self.write();
        drone
    }

    /// Somebody mistakes one machine's address for another one's.
    pub fn mistake(&mut self, name: &str, address: String) {
        self.nodes.iter_mut().find(|node| node.name == name).unwrap().address = address;
        self.write();
    }

    fn write(&self) {
        let node = |Node { name, address, policy, .. }: &Node| {
            format!("[[node]]\nname = \"{name}\"\naddress = \"{address}\"\n{policy}\n")
        };
        let nodes: String = self.nodes.iter().map(node).collect();
        let known: String = self.nodes.iter().map(|node| node.known_host.as_str()).collect();
        // The orchestrator reads it at any time.
        replace(&self.swarm.path().join("fleet.toml"), &format!("[ssh]\nuser = \"root\"\n{nodes}"));
        replace(&self.swarm.path().join("known_hosts"), &known);
    }

    /// The repairs of a drone, oldest first.
    pub async fn repairs(&self, drone: &str) -> Vec<Repair> {
        let mut repairs = self.swarm.admin.repairs(Some(drone)).await.unwrap();
        repairs.reverse();
        repairs
    }

    /// Waits until the `number`th repair of a drone is over.
    pub async fn ended(&self, drone: &str, number: usize, seconds: u64) -> (Repair, RepairOutcome) {
        wait::until(seconds, &format!("repair {number} of {drone} to be over"), async || {
            let repair = self.repairs(drone).await.into_iter().nth(number - 1)?;
            let outcome = repair.outcome?;
            Some((repair, outcome))
        })
        .await
    }

    /// The drone, as the swarm sees it.
    pub async fn drone(&self, name: &str) -> Drone {
        self.swarm.admin.drones().await.unwrap().into_iter().find(|drone| drone.name == name).unwrap()
    }

    /// The kinds of the events about repairs, in order, with what they say.
    pub async fn events(&self) -> Vec<(String, serde_json::Value)> {
        let events = checker::read(&self.swarm.admin, &self.swarm.database.pool).await;
        let about = events.into_iter().filter(|event| event.kind.starts_with("repair."));
        about.map(|event| (event.kind, event.data)).collect()
    }
}

fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}
