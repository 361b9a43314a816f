//! The drones of a world.

use super::{HERE, PORT, World};
use crate::script::{Script, Temper};
use rand::{Rng, RngExt};
use std::fs;
use std::net::SocketAddr;
use swarm_protocol::admin::NewJoinToken;
use swarm_protocol::client::DroneClient;
use swarm_protocol::drone::Enrol;
use swarm_protocol::gentoo::Cpv;
use swarm_tests::plans;

impl World {
    /// Makes a drone of the world: its token, its configuration, its script.
    pub(super) async fn enrol(&mut self, number: usize, seed: u64, dice: &mut impl Rng, bad: &[Cpv]) {
        let name = format!("drone-{number}");
        let file = |kind: &str| self.path.join(format!("{name}.{kind}"));
        let machine_id = format!("machine of {name}");
        fs::write(file("machine"), &machine_id).unwrap();
        let join = NewJoinToken { trusted: true, ttl_seconds: 600, ..NewJoinToken::default() };
        let join_token = self.admin.create_join_token(&join).await.unwrap().token;
        let url = format!("http://{}", SocketAddr::from((HERE.address(), PORT)));
        let enrol = Enrol { join_token, name: name.clone(), machine_id, host_key: None };
        let enrolled = DroneClient::new(&url, None).enrol(&enrol).await.unwrap();
        fs::write(file("token"), enrolled.token).unwrap();
        let config = format!(
            "name = \"{name}\"\norchestrator_url = \"{url}\"\ntoken_file = \"{}\"\nbase_root = \"/\"\n\
             state_dir = \"{}\"\nmachine_id_file = \"{}\"\n",
            file("token").display(),
            file("state").display(),
            file("machine").display()
        );
        fs::write(file("toml"), config).unwrap();
        let temper = match (number, dice.random_range(0..3)) {
            (0, 0) => Temper::Broken,
            (1, 0) => Temper::Lies,
            (_, 1) => Temper::Stutters,
            _ => Temper::Honest,
        };
        let script = Script {
            seed,
            temper,
            slowness: [1.0, 1.0, 1.5, 2.0, 3.0][dice.random_range(0..5)],
            lookahead: dice.random_range(0..3),
            epoch: plans::epoch(),
            bad: bad.to_vec(),
            spoilt: self.spoilt(),
            disk_full: file("full"),
            journal: file("journal"),
        };
        fs::write(file("script"), serde_json::to_vec(&script).unwrap()).unwrap();
        self.scripts.push(script);
    }
}
