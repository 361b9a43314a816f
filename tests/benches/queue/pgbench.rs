//! pgbench's side of the comparison: the statements of one package's life as a script, and its runs.
//!
//! To make a script of what was logged, each parameter must say what it stands for. So every sequence begins at a
//! thousand million of its own before anything is inserted, and an id is known by its first digit.

use crate::statements::Statement;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use swarm_tests::database::Database;

const BILLION: i64 = 1_000_000_000;
/// The tables whose ids a script replaces, in the order of their billions, and the script's names for them.
const TABLES: [(&str, &str); 5] = [
    ("packages", "package"),
    ("drones", "drone"),
    ("sessions", "session"),
    ("attempts", "attempt"),
    ("artifacts", "artifact"),
];
/// The number of the claim request that is logged: beyond every number that a drone reaches, so that no heartbeat
/// takes the script's attempts for forgotten ones.
pub(crate) const REQUEST: i64 = 6 * BILLION;
/// The first package.
pub(crate) const FIRST_PACKAGE: i64 = BILLION;

/// Gives each table's ids their billion; before anything is inserted.
pub(crate) async fn number(database: &Database) {
    for ((table, _), number) in TABLES.iter().zip(1..) {
        let statement = format!("ALTER TABLE {table} ALTER COLUMN id RESTART WITH {}", number * BILLION);
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&database.pool).await.unwrap();
    }
}

/// A script that brings one package of its client's own chain from needed to received. `path` is the artifact's in the log;
/// every artifact needs one of its own.
pub(crate) fn script(calls: &[(&str, Vec<Statement>)], chain_length: usize, path: &str) -> String {
    let mut script = format!(
        "\\set drone {} + :client_id\n\\set session {} + :client_id\n\\set request {REQUEST} + :n\n\
         \\set package {FIRST_PACKAGE} + :client_id * {chain_length} + :n\n\\set n :n + 1\n",
        2 * BILLION,
        3 * BILLION,
    );
    for (call, statements) in calls {
        writeln!(script, "-- {call}").unwrap();
        for statement in statements {
            writeln!(script, "{}", line(statement, path)).unwrap();
        }
    }
    script
}

fn line(statement: &Statement, path: &str) -> String {
    let mut text = statement.text.clone();
    // From the back: $1 is a part of $12.
    for (index, literal) in statement.parameters.iter().enumerate().rev() {
        text = text.replace(&format!("${}", index + 1), &value(literal, path));
    }
    // These two tell the ids that later statements name.
    for (table, name) in [TABLES[3], TABLES[4]] {
        if text.starts_with(&format!("INSERT INTO {table}")) {
            let (insert, _) = text.rsplit_once("RETURNING id").unwrap();
            return format!("{insert}RETURNING id AS {name} \\gset");
        }
    }
    text + ";"
}

/// What stands in the script for a logged parameter.
fn value(literal: &str, path: &str) -> String {
    let bare = literal.trim_matches('\'');
    if bare == path {
        return format!("{literal} || :package");
    }
    let Ok(number) = bare.parse::<i64>() else {
        let names_an_id =
            bare.split(|c: char| !c.is_ascii_digit()).any(|part| part.len() == 10 && part.contains("0000"));
        assert!(
            !names_an_id,
            "a parameter names an id in a way that the script does not understand: {literal}"
        );
        return literal.to_owned();
    };
    match number / BILLION {
        0 => literal.to_owned(),
        6 => ":request".to_owned(),
        billion => {
            let table = usize::try_from(billion - 1).ok().and_then(|index| TABLES.get(index));
            format!(":{}", table.unwrap_or_else(|| panic!("whose id is {number}?")).1)
        }
    }
}

/// Runs the script: `clients` clients, each of which does `each` packages of its chain, from its `done`th on. Returns the
/// packages per second.
pub(crate) fn run(database: &Database, script: &Path, clients: usize, each: usize, done: usize) -> f64 {
    let threads = std::thread::available_parallelism().unwrap().get().min(clients);
    let (_, name) = database.url.rsplit_once("localhost/").unwrap();
    let output = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--username=swarm", "--host"])
        .arg(std::env::var("SWARM_TEST_POSTGRES").unwrap())
        .args(["--client", &clients.to_string(), "--jobs", &threads.to_string()])
        .args(["--transactions", &each.to_string(), "--define", &format!("n={done}"), "--file"])
        .arg(script)
        .arg(name.split('?').next().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("pgbench says no rate: {text}"))
}
