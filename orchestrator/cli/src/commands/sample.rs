//! A small swarm to render: what the snapshots show.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use swarm_protocol::Digest;
use swarm_protocol::admin::{
    Artifact, Attempt, Counts, Deployed, Drift, Drone, Event, Events, Generation, Need, Neighbour, Nightlies,
    Nightly, NightlyResult, Obstacle, Package, PackageDetail, Resolver, Run, RunStatus, Status, TargetStatus,
    UnbroughtDefinition, Work,
};
use swarm_protocol::drone::{Phases, Usage};
use swarm_protocol::epoch::{Compat, Epoch};
use swarm_protocol::id::{
    AttemptId, BuildId, DroneId, EventId, GenerationNumber, NightlyId, PackageId, RunId,
};
use swarm_protocol::plan::About;
use swarm_protocol::resolution::{Finding, FindingKind};
use swarm_protocol::state::{
    AttemptPhase, DroneState, EdgeKind, FailureClass, GenerationState, Outcome, PackageState, RunState,
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

pub(super) fn nightlies() -> Nightlies {
    let nightly = |id, result: Option<NightlyResult>, reason: Option<&str>, run| Nightly {
        id: NightlyId(id),
        target: "desktop".parse().unwrap(),
        host: "desk".to_owned(),
        started_at: at(id * 86_400),
        period_seconds: 86_400,
        ended_at: result.map(|_| at(id * 86_400 + 754)),
        result,
        reason: reason.map(ToOwned::to_owned),
        run,
    };
    let failed = "emaint sync --auto failed: exit status: 1";
    let nightlies = vec![
        nightly(3, None, None, None),
        nightly(2, Some(NightlyResult::Failed), Some(failed), None),
        nightly(1, Some(NightlyResult::Succeeded), None, Some(RunId(7))),
    ];
    Nightlies { due_at: Some(at(3 * 86_400 + 93_600)), nightlies }
}

fn run(id: i64, state: RunState, counts: Counts) -> Run {
    Run {
        id: RunId(id),
        target: "amd64-v3".parse().unwrap(),
        state,
        epoch: Some(epoch().digest()),
        definition: Some(4),
        without: vec![],
        mends: None,
        findings: vec![],
        resolver: None,
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
        kept: 31,
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
    let without = vec!["app-misc/jq-1.8".parse().unwrap()];
    Run {
        generation,
        without,
        mends: Some(RunId(4)),
        ended_at: Some(at(7503)),
        ..run(5, RunState::Promoted, counts)
    }
}

pub(super) fn cancelled() -> Run {
    let reason = Some("a person cancelled it".to_owned());
    Run { reason, ended_at: Some(at(75)), ..run(4, RunState::Cancelled, Counts::default()) }
}

pub(super) fn resolving() -> Run {
    let resolver = Some(Resolver { drone: "ant".to_owned(), since: at(60) });
    Run { epoch: None, resolver, ..run(8, RunState::Resolving, Counts::default()) }
}

pub(super) fn refused() -> Run {
    let finding = |kind, atom: &str, wanted_by: &[&str], detail: &str| Finding {
        kind,
        atom: Some(atom.to_owned()),
        wanted_by: wanted_by.iter().map(ToString::to_string).collect(),
        workstation: None,
        detail: detail.to_owned(),
    };
    let findings = vec![
        finding(
            FindingKind::Masked,
            "dev-libs/oniguruma",
            &["app-misc/jq-1.7", "@world"],
            "masked by: ~amd64 keyword",
        ),
        finding(
            FindingKind::RequiredUse,
            "app-editors/nano",
            &[],
            "The following REQUIRED_USE flag constraints are unsatisfied:\n    any-of ( ncurses slang )",
        ),
    ];
    let reason = Some("Portage refuses the world set".to_owned());
    Run {
        epoch: None,
        reason,
        findings,
        ended_at: Some(at(75)),
        ..run(9, RunState::Failed, Counts::default())
    }
}

pub(super) fn drones() -> Vec<Drone> {
    let drone = |id, name: &str, state| Drone {
        id: DroneId(id),
        name: name.to_owned(),
        state,
        grounded_until: None,
        trusted: id == 1,
        session_since: (id < 3).then(|| at(id)),
        seen_at: (id < 3).then(|| at(7195 + id)),
        memory_free_bytes: (id < 3).then_some(6 << 30),
        disk_free_bytes: (id < 3).then_some(118 << 30),
        stopping: id == 2,
        work: vec![],
        unbrought: if id == 2 { unbrought() } else { vec![] },
        consecutive_failures: 0,
        awaits_approval: id == 4,
        host_key: None,
        version: (id < 3).then(|| "0.1.0".to_owned()),
        runs: Deployed::default(),
        expected: Deployed::default(),
        clock_ahead_seconds: (id == 2).then_some(-3600.0),
        drift: if id == 2 { vec![Drift::Program, Drift::Clock] } else { vec![] },
    };
    let builds =
        Drone { work: vec![work(31, 22, "app-arch/pigz-2.8")], ..drone(1, "ant", DroneState::Online) };
    let until = Some(at(7800));
    vec![
        builds,
        drone(2, "bee-2.example.org", DroneState::Draining),
        Drone { grounded_until: until, ..drone(3, "hornet", DroneState::Grounded) },
        drone(4, "wasp", DroneState::Offline),
    ]
}

pub(super) fn unbrought() -> Vec<UnbroughtDefinition> {
    vec![UnbroughtDefinition {
        target: "amd64-v3".parse().unwrap(),
        number: 4,
        drone: "bee-2.example.org".to_owned(),
        reason: "its repository guru: https://example.org/guru.git has no commit 1111".to_owned(),
        since: at(7000),
    }]
}

pub(super) fn work(attempt: i64, package: i64, cpv: &str) -> Work {
    Work {
        attempt: AttemptId(attempt),
        run: RunId(7),
        package: PackageId(package),
        cpv: cpv.parse().unwrap(),
        phase: AttemptPhase::Building,
        claimed_at: at(7000),
        started_at: Some(at(7001)),
        estimate_seconds: 312.0,
    }
}

pub(super) fn obstacles() -> Vec<Obstacle> {
    let obstacle = |id, cpv: &str, reason: Option<&str>, blocks| Obstacle {
        package: PackageId(id),
        cpv: cpv.parse().unwrap(),
        reason: reason.map(str::to_owned),
        blocks,
    };
    vec![
        obstacle(
            24,
            "dev-libs/oniguruma-6.9.8",
            Some("failed on two drones for its own reasons: compile"),
            4,
        ),
        obstacle(31, "sys-apps/less-643", None, 0),
    ]
}

pub(super) fn status() -> Status {
    let target = |name: &str, current, promoted_at| TargetStatus {
        name: name.parse().unwrap(),
        world: 42,
        current: Option::map(current, GenerationNumber),
        promoted_at,
    };
    let on = |name: &str, run: Run| Run { target: name.parse().unwrap(), ..run };
    Status {
        version: Some("0.1.0".to_owned()),
        now: at(7200),
        degraded: vec!["Redis does not answer: drones are woken by looking every few seconds".to_owned()],
        targets: vec![
            target("amd64-v3", Some(12), Some(at(-86_400))),
            target("arm64", None, None),
            target("laptop", Some(3), Some(at(0))),
        ],
        runs: vec![
            RunStatus { run: resolving(), quarantined: vec![] },
            RunStatus { run: building(), quarantined: obstacles() },
            RunStatus { run: on("arm64", frozen()), quarantined: vec![] },
        ],
        drones: drones(),
    }
}

pub(super) fn detail(id: PackageId) -> PackageDetail {
    let neighbour = |package: Package| Neighbour {
        id: package.id,
        cpv: package.cpv,
        stage: package.stage,
        state: package.state,
    };
    let package = packages().into_iter().find(|package| package.id == id).unwrap();
    let quarantined = package.state == PackageState::Quarantined;
    PackageDetail {
        run: RunId(7),
        run_state: RunState::Building,
        target: "amd64-v3".parse().unwrap(),
        repository: "gentoo".parse().unwrap(),
        use_flags: ["nls", "static-libs"].map(|flag| flag.parse().unwrap()).to_vec(),
        needs: if id.0 > 21 { vec![need()] } else { vec![] },
        estimate_seconds: 312.0,
        waits_for: packages().into_iter().take(1).map(neighbour).collect(),
        awaited_by: packages().into_iter().filter(|_| quarantined).skip(4).map(neighbour).collect(),
        tries: if quarantined { attempts() } else { vec![] },
        now: at(480),
        package,
    }
}

fn need() -> Need {
    Need { cpv: "sys-libs/zlib-1.3".parse().unwrap(), kinds: vec![EdgeKind::Buildtime, EdgeKind::Runtime] }
}

fn about() -> About {
    About {
        keywords: ["amd64", "~arm64"].map(str::to_owned).to_vec(),
        license: "BSD-2".to_owned(),
        wanted_by: ["app-misc/jq-1.7", "@world"].map(str::to_owned).to_vec(),
        fetch_bytes: Some(5 << 20),
        built_because: Some("dev-libs/oniguruma-6.9.8-3 is not taken: respect_use static-libs".to_owned()),
    }
}

pub(crate) fn packages() -> Vec<Package> {
    let package = |id, cpv: &str, state| Package {
        id: PackageId(id),
        cpv: cpv.parse().unwrap(),
        stage: 0,
        slot: "0/1".parse().unwrap(),
        state,
        unmet: 0,
        rank: 3792.4,
        priority: 0,
        attempts: 1,
        drone: (state == PackageState::Delegated).then(|| "ant".to_owned()),
        not_before: None,
        reason: None,
        artifact: None,
        about: (id == 24).then(about),
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
            not_before: Some(at(600)),
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
        usage: Some(Usage {
            sampled: true,
            user_seconds: 301.26,
            system_seconds: 20.5,
            peak_memory_bytes: 700 << 20,
            read_bytes: 0,
            written_bytes: 123_456_789,
            fetch_seconds: 1.25,
            install_seconds: 4.0,
            build_seconds: 186.5,
            phases: Phases {
                unpack: 0.4,
                configure: 21.3,
                compile: 158.0,
                install: 6.2,
                ..Phases::default()
            },
        }),
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
        usage: None,
    };
    vec![first, second]
}

pub(super) fn generations() -> Vec<Generation> {
    let generation = |number, state, promoted_at| Generation {
        number: GenerationNumber(number),
        state,
        run: Some(RunId(number + 2)),
        republishes: None,
        packages: 14,
        promoted_at,
        removed_at: None,
        reason: None,
        pinned: (number < 5).then_some(number == 2),
    };
    let rollback = Generation {
        run: None,
        republishes: Some(GenerationNumber(2)),
        ..generation(5, GenerationState::Preparing, None)
    };
    vec![
        rollback,
        generation(4, GenerationState::Current, Some(at(7503))),
        generation(3, GenerationState::Retired, Some(at(-43_200))),
        generation(2, GenerationState::Retired, Some(at(-86_400))),
        Generation {
            removed_at: Some(at(0)),
            pinned: None,
            ..generation(1, GenerationState::Retired, Some(at(-172_800)))
        },
    ]
}

pub(super) fn events() -> Events {
    let event = |id, kind: &str, data| Event {
        id: EventId(id),
        at: at(id),
        kind: kind.to_owned(),
        run: Some(RunId(7)),
        target: Some("amd64-v3".parse().unwrap()),
        package: None,
        cpv: None,
        attempt: None,
        drone: None,
        drone_name: None,
        data,
    };
    let claimed = Event {
        package: Some(PackageId(22)),
        attempt: Some(AttemptId(31)),
        cpv: Some("app-arch/pigz-2.8".parse().unwrap()),
        drone: Some(DroneId(1)),
        drone_name: Some("ant".to_owned()),
        ..event(3, "package.claimed", json!({}))
    };
    let frozen =
        event(4, "run.frozen", json!({"reason": "1 quarantined, nothing left to build", "count": 1}));
    Events {
        events: vec![event(1, "run.started", json!({})), claimed, frozen],
        cursor: "812:4".to_owned(),
        more: false,
    }
}
