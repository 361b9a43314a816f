//! A small swarm to render: what the snapshots show.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use swarm_protocol::Digest;
use swarm_protocol::admin::{Artifact, Attempt, Counts, Drone, Event, Events, Generation, Package, Run};
use swarm_protocol::epoch::{Compat, Epoch};
use swarm_protocol::id::{AttemptId, BuildId, DroneId, EventId, GenerationNumber, PackageId, RunId};
use swarm_protocol::state::{
    AttemptPhase, DroneState, FailureClass, GenerationState, Outcome, PackageState, RunState,
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_763_711_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub(super) fn epoch() -> Epoch {
    let compat = Compat {
        chost: "x86_64-pc-linux-gnu".to_owned(),
        flags: vec!["CFLAGS=-O2".to_owned()],
        profile: "gentoo:default/linux/amd64/23.0".to_owned(),
        abi: vec!["sys-libs/glibc-2.41".to_owned()],
    };
    Epoch { base_root: Digest::of(b"root"), configuration: Digest::of(b"etc"), repositories: vec![], compat }
}

fn run(id: i64, state: RunState, counts: Counts) -> Run {
    Run {
        id: RunId(id),
        target: "amd64-v3".parse().unwrap(),
        state,
        epoch: Some(epoch().digest()),
        findings: vec![],
        generation: None,
        reason: None,
        created_at: at(0),
        ended_at: None,
        counts,
    }
}

pub(super) fn building() -> Run {
    let counts = Counts {
        total: 2500,
        needed: 1200,
        ready: 17,
        delegated: 20,
        received: 1279,
        kept: 0,
        blocked: 0,
        quarantined: 1,
        attempted: 1301,
        succeeded: 1279,
        failed: 2,
    };
    run(7, RunState::Building, counts)
}

pub(super) fn frozen() -> Run {
    let counts = Counts {
        total: 14,
        received: 9,
        blocked: 4,
        quarantined: 1,
        attempted: 12,
        succeeded: 9,
        failed: 2,
        ..Counts::default()
    };
    let reason = Some("1 quarantined, 4 blocked behind them, nothing left to build".to_owned());
    Run { reason, ..run(6, RunState::Frozen, counts) }
}

pub(super) fn promoted() -> Run {
    let counts = Counts { total: 14, received: 14, attempted: 14, succeeded: 14, ..Counts::default() };
    let generation = Some(GenerationNumber(3));
    Run { generation, ended_at: Some(at(7503)), ..run(5, RunState::Promoted, counts) }
}

pub(super) fn cancelled() -> Run {
    let reason = Some("a person cancelled it".to_owned());
    Run { reason, ended_at: Some(at(75)), ..run(4, RunState::Cancelled, Counts::default()) }
}

pub(super) fn drones() -> Vec<Drone> {
    let drone = |id, name: &str, state| Drone {
        id: DroneId(id),
        name: name.to_owned(),
        state,
        trusted: id == 1,
        seen_at: (id < 3).then(|| at(id)),
        stopping: id == 2,
        live: id - 1,
        consecutive_failures: 0,
    };
    vec![
        drone(1, "ant", DroneState::Online),
        drone(2, "bee-2.example.org", DroneState::Draining),
        drone(3, "wasp", DroneState::Offline),
    ]
}

pub(super) fn packages() -> Vec<Package> {
    let package = |id, cpv: &str, state| Package {
        id: PackageId(id),
        cpv: cpv.parse().unwrap(),
        slot: "0/1".parse().unwrap(),
        state,
        unmet: 0,
        rank: 3792.4,
        attempts: 1,
        not_before: None,
        reason: None,
        artifact: None,
    };
    let artifact = Artifact {
        built: Digest::of(b"built"),
        published: Digest::of(b"published"),
        build_id: BuildId(1),
        path: "sys-libs/zlib/zlib-1.3-1.gpkg.tar".to_owned(),
        size: 123_456,
        drone: "ant".to_owned(),
    };
    let reason = Some("failed on two drones for its own reasons: compile".to_owned());
    let behind = Some("waits behind dev-libs/oniguruma-6.9.8".to_owned());
    vec![
        Package { artifact: Some(artifact), ..package(21, "sys-libs/zlib-1.3", PackageState::Received) },
        package(22, "app-arch/pigz-2.8", PackageState::Delegated),
        Package {
            not_before: Some(at(60)),
            ..package(23, "dev-qt/qtwebengine-6.8.2_p20250115-r1", PackageState::Needed)
        },
        Package { reason, attempts: 4, ..package(24, "dev-libs/oniguruma-6.9.8", PackageState::Quarantined) },
        Package {
            reason: behind,
            unmet: 1,
            attempts: 0,
            ..package(25, "app-misc/jq-1.7", PackageState::Blocked)
        },
    ]
}

pub(super) fn attempts() -> Vec<Attempt> {
    let first = Attempt {
        id: AttemptId(31),
        number: 1,
        drone: "ant".to_owned(),
        phase: AttemptPhase::Ended,
        outcome: Some(Outcome::Failed),
        class: Some(FailureClass::Package),
        reason: Some("emerge: compile failed".to_owned()),
        excerpt: Some(
            "regparse.c:7:1: error: unknown type name 'OnigUChar'\nmake: *** [Makefile:3] Error 1".to_owned(),
        ),
        claimed_at: at(0),
        started_at: Some(at(2)),
        ended_at: Some(at(194)),
    };
    let second = Attempt {
        id: AttemptId(35),
        number: 2,
        drone: "bee-2.example.org".to_owned(),
        phase: AttemptPhase::Building,
        outcome: None,
        class: None,
        reason: None,
        excerpt: None,
        claimed_at: at(300),
        started_at: Some(at(301)),
        ended_at: None,
    };
    vec![first, second]
}

pub(super) fn generations() -> Vec<Generation> {
    let generation = |number, state, promoted_at| Generation {
        number: GenerationNumber(number),
        state,
        run: RunId(number + 2),
        packages: 14,
        promoted_at,
    };
    vec![
        generation(4, GenerationState::Preparing, None),
        generation(3, GenerationState::Current, Some(at(7503))),
        generation(2, GenerationState::Retired, Some(at(-86_400))),
    ]
}

pub(super) fn events() -> Events {
    let event = |id, kind: &str, data| Event {
        id: EventId(id),
        at: at(id),
        kind: kind.to_owned(),
        run: Some(RunId(7)),
        package: None,
        attempt: None,
        drone: None,
        data,
    };
    let claimed = Event {
        package: Some(PackageId(22)),
        attempt: Some(AttemptId(31)),
        drone: Some(DroneId(1)),
        ..event(3, "package.claimed", json!({}))
    };
    let frozen =
        event(4, "run.frozen", json!({"reason": "1 quarantined, nothing left to build", "count": 1}));
    Events { events: vec![event(1, "run.started", json!({})), claimed, frozen], cursor: "812:4".to_owned() }
}
