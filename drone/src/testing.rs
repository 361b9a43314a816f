//! Samples for unit tests.

use crate::config::Config;
use swarm_protocol::Digest;
use swarm_protocol::drone::{Claim, Dependency};
use swarm_protocol::id::{AttemptId, AttemptToken, BuildId, PackageId, RunId};
use swarm_protocol::state::AttemptPhase;

/// The configuration of a drone with that base root and these binds, each as (source, target).
pub(crate) fn config(base_root: &str, binds: &[(&str, &str)]) -> Config {
    let bind =
        |(source, target): &(&str, &str)| format!("[[bind]]\nsource = '{source}'\ntarget = '{target}'\n");
    let binds: String = binds.iter().map(bind).collect();
    let fields = "name = 'ant'\norchestrator_url = 'http://queen:7700'\ntoken_file = '/etc/t'\n";
    toml::from_str(&format!("{fields}base_root = '{base_root}'\n{binds}")).unwrap()
}

/// A claim for `cpv` whose closure is `closure`, each with BUILD_ID 1.
pub(crate) fn claim(cpv: &str, closure: &[&str]) -> Claim {
    Claim {
        attempt: AttemptId(7),
        number: 1,
        token: AttemptToken::random(),
        phase: AttemptPhase::Held,
        run: RunId(3),
        package: PackageId(5),
        target: "amd64".parse().unwrap(),
        epoch: Digest::of(b"epoch"),
        cpv: cpv.parse().unwrap(),
        slot: "0/1".parse().unwrap(),
        repository: "box".parse().unwrap(),
        use_flags: Vec::new(),
        build_id: BuildId(2),
        closure: closure.iter().map(|cpv| dependency(cpv)).collect(),
        stage: 0,
        reduced: vec![],
        halvings: 0,
        ticket: swarm_protocol::ticket::SignedTicket("ticket".to_owned()),
        distfiles: swarm_protocol::ticket::SignedTicket("ticket".to_owned()),
        max_artifact_bytes: 1 << 30,
        limit_seconds: 60,
    }
}

/// A dependency on `cpv` with BUILD_ID 1.
pub(crate) fn dependency(cpv: &str) -> Dependency {
    let cpv: swarm_protocol::gentoo::Cpv = cpv.parse().unwrap();
    Dependency {
        path: format!("{}/{}-1.gpkg.tar", cpv.cp(), cpv.pf()),
        published: Digest::of(cpv.to_string().as_bytes()),
        size: 10,
        build_id: BuildId(1),
        cpv,
    }
}
