//! The schema: both ways, and in agreement with the machines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use build_orchestrator::db::MIGRATIONS;
use build_orchestrator::machine::{drone, package, retry, run};
use sqlx::PgPool;
use std::collections::BTreeSet;
use swarm_protocol::Digest;
use swarm_protocol::drone::Fence;
use swarm_protocol::id::{AttemptId, AttemptToken, DroneId, SessionId};
use swarm_protocol::state::{
    AttemptPhase, DroneState, EdgeKind, FailureClass, GateOutcome, GenerationState, Outcome, PackageState,
    ResolutionOutcome, Role, RunState,
};
use swarm_tests::database::Database;

#[tokio::test]
async fn migrations_go_up_down_and_up_again() {
    let database = Database::empty().await;
    MIGRATIONS.run(&database.pool).await.unwrap();
    let before = objects(&database.pool).await;
    assert!(before.len() > 100, "the schema has its objects: {}", before.len());
    MIGRATIONS.undo(&database.pool, 0).await.unwrap();
    let left: Vec<_> =
        objects(&database.pool).await.into_iter().filter(|o| !o.contains("_sqlx_migrations")).collect();
    assert_eq!(left, Vec::<String>::new(), "what the way down left behind");
    MIGRATIONS.run(&database.pool).await.unwrap();
    assert_eq!(objects(&database.pool).await, before);
}

/// Every relation, function, type, constraint and trigger of the schema.
async fn objects(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT 'relation ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
         UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
         UNION ALL SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
         UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
         UNION ALL SELECT 'trigger ' || tgrelid::regclass || tgname FROM pg_trigger WHERE NOT tgisinternal
         ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_states_are_spelled_as_in_the_protocol() {
    let database = Database::migrated().await;
    let enums: Vec<(&str, Vec<&str>)> = vec![
        ("package_state", PackageState::ALL.iter().map(|s| s.as_str()).collect()),
        ("attempt_phase", AttemptPhase::ALL.iter().map(|s| s.as_str()).collect()),
        ("attempt_outcome", Outcome::ALL.iter().map(|s| s.as_str()).collect()),
        ("failure_class", FailureClass::ALL.iter().map(|s| s.as_str()).collect()),
        ("run_state", RunState::ALL.iter().map(|s| s.as_str()).collect()),
        ("resolution_outcome", ResolutionOutcome::ALL.iter().map(|s| s.as_str()).collect()),
        ("gate_outcome", GateOutcome::ALL.iter().map(|s| s.as_str()).collect()),
        ("drone_state", DroneState::ALL.iter().map(|s| s.as_str()).collect()),
        ("generation_state", GenerationState::ALL.iter().map(|s| s.as_str()).collect()),
        ("token_role", Role::ALL.iter().map(|s| s.as_str()).collect()),
        ("edge_kind", EdgeKind::ALL.iter().map(|s| s.as_str()).collect()),
    ];
    for (name, expected) in enums {
        let labels: Vec<String> = sqlx::query_scalar(
            "SELECT enumlabel::text FROM pg_enum WHERE enumtypid = $1::regtype ORDER BY enumsortorder",
        )
        .bind(name)
        .fetch_all(&database.pool)
        .await
        .unwrap();
        assert_eq!(labels, expected, "{name}");
    }
}

type Moves = BTreeSet<(String, String)>;

async fn moves(pool: &PgPool, table: &str) -> Moves {
    let query = format!("SELECT before::text, after::text FROM {table}");
    sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(pool).await.unwrap().into_iter().collect()
}

fn pair(before: &str, after: &str) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

#[tokio::test]
async fn postgres_allows_exactly_the_moves_of_the_machines() {
    let pool = Database::migrated().await.pool;
    let runs: BTreeSet<_> = RunState::ALL
        .iter()
        .flat_map(|&state| {
            run::Transition::ALL.iter().filter_map(move |&t| Some((state, run::step(state, t)?)))
        })
        .map(|(before, after)| pair(before.as_str(), after.as_str()))
        .collect();
    assert_eq!(moves(&pool, "run_moves").await, runs);
    let drones: BTreeSet<_> = DroneState::ALL
        .iter()
        .flat_map(|&state| {
            drone::Transition::ALL.iter().filter_map(move |&t| Some((state, drone::step(state, t)?)))
        })
        .map(|(before, after)| pair(before.as_str(), after.as_str()))
        .collect();
    assert_eq!(moves(&pool, "drone_moves").await, drones);
    let (packages, attempts) = package_moves();
    assert_eq!(moves(&pool, "package_moves").await, packages);
    assert_eq!(moves(&pool, "attempt_moves").await, attempts);
}

/// All moves that the package machine can make, found by trying every transition on every cell.
fn package_moves() -> (Moves, Moves) {
    // Blocking and unblocking are what `spread` does to the dependents.
    let mut packages: BTreeSet<_> = [pair("needed", "blocked"), pair("blocked", "needed")].into();
    let mut attempts = BTreeSet::new();
    for (cell, transition) in
        cells().iter().flat_map(|cell| transitions().into_iter().map(move |t| (cell, t)))
    {
        let Ok(package::Step::Change(change)) = package::step(cell, &transition, &retry::Policy::DEFAULT)
        else {
            continue;
        };
        if change.state != cell.state {
            packages.insert(pair(cell.state.as_str(), change.state.as_str()));
        }
        if let Some(attempt) = cell.attempt {
            let after = match change.attempt {
                package::AttemptChange::Keep => continue,
                package::AttemptChange::Move(phase) => phase,
                package::AttemptChange::End(..) => AttemptPhase::Ended,
            };
            attempts.insert(pair(attempt.phase.as_str(), after.as_str()));
        }
    }
    (packages, attempts)
}

const TOKEN: AttemptToken = AttemptToken(sqlx::types::Uuid::nil());

fn transitions() -> Vec<package::Transition> {
    use package::Transition as T;
    let fence = Fence { token: TOKEN, session: SessionId(1) };
    let (drone, built, class) = (DroneId(2), Digest::of(b""), FailureClass::Package);
    vec![
        T::Claim { drone },
        T::Start { fence },
        T::Complete { fence, built },
        T::Receive,
        T::Refuse { class },
        T::Fail { fence, class },
        T::HandBack { fence },
        T::Reclaim,
        T::Stall,
        T::Return,
        T::Lose,
        T::Steal { drone },
        T::Regain { session: SessionId(1) },
        T::Cancel,
        T::Release,
        T::Retry,
        T::Reconcile,
    ]
}

/// Every consistent combination of package state, attempt phase and outcome, with and without earlier failures.
fn cells() -> Vec<package::Cell> {
    let past = retry::PastFailure { drone: DroneId(9), class: FailureClass::Package };
    let mut attempts = vec![None];
    for &phase in AttemptPhase::ALL {
        let outcomes: Vec<_> = if phase == AttemptPhase::Ended {
            Outcome::ALL.iter().copied().map(Some).collect()
        } else {
            vec![None]
        };
        attempts.extend(outcomes.into_iter().map(|outcome| {
            let (id, drone, session) = (AttemptId(1), DroneId(1), SessionId(1));
            Some(package::Attempt { id, phase, outcome, drone, session, token: TOKEN, built: None })
        }));
    }
    let mut cells = Vec::new();
    for &state in PackageState::ALL {
        for attempt in &attempts {
            let live = attempt.is_some_and(|attempt| attempt.phase != AttemptPhase::Ended);
            if live != (state == PackageState::Delegated) {
                continue;
            }
            for failures in [vec![], vec![past]] {
                let attempt = *attempt;
                cells.extend([false, true].map(|pausing| package::Cell {
                    run_builds: true,
                    state,
                    unmet: 0,
                    pausing,
                    attempt,
                    failures: failures.clone(),
                }));
            }
        }
    }
    cells
}

#[tokio::test]
async fn an_illegal_move_is_refused_by_postgres_itself() {
    let pool = Database::migrated().await.pool;
    sqlx::raw_sql(
        "INSERT INTO targets (name) VALUES ('t');
         INSERT INTO epochs (target_id, digest, compat, content) SELECT 1, repeat('a', 64), repeat('a', 64), '{}';
         INSERT INTO runs (target_id, epoch_id) VALUES (1, 1);",
    )
    .execute(&pool)
    .await
    .unwrap();
    let error = sqlx::query("UPDATE runs SET state = 'promoting'").execute(&pool).await.unwrap_err();
    assert!(error.to_string().contains("run 1 cannot move from resolving to promoting"), "{error}");
    let second = sqlx::query("INSERT INTO runs (target_id, epoch_id) VALUES (1, 1)").execute(&pool).await;
    assert!(second.unwrap_err().to_string().contains("runs_one_resolving"));
}

#[tokio::test]
async fn the_one_clock_can_be_shifted() {
    let pool = Database::migrated().await.pool;
    let before = build_orchestrator::db::now(&pool).await.unwrap();
    sqlx::query("UPDATE clock_shift SET shift = '1 hour'").execute(&pool).await.unwrap();
    let after = build_orchestrator::db::now(&pool).await.unwrap();
    assert!((after - before).num_minutes() >= 60);
}
