//! The SQL of a package's life, as the orchestrator really sends it: read from Postgres's log while one drone claims,
//! starts and completes one package. Nobody keeps a copy of the statements that could drift.
//!
//! Postgres logs a statement before it runs it, so whatever a call did stands in the log when its answer is here.

use std::path::PathBuf;
use std::time::Duration;
use swarm_tests::database::Database;
use swarm_tests::wait;

/// Begins the lines of the orchestrator's connections; what continues a line begins with a tab.
const PREFIX: &str = "\n@build-orchestrator@ ";

/// So long must nothing be logged: longer than the maintenance gathers wake-ups.
const QUIET: Duration = Duration::from_millis(500);
/// How sqlx asks for a type that a connection has not met yet: once per connection, no part of any call.
const TYPE_LOOKUP: &str = "SELECT pg_type.oid";

/// A statement and its parameters, each a literal as Postgres writes it: `'42'`, `NULL`.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) parameters: Vec<String>,
}

/// The server's log, while it names every statement.
pub(crate) struct Log<'a> {
    database: &'a Database,
    file: PathBuf,
    read: usize,
}

impl<'a> Log<'a> {
    /// Lets the server log every statement, and waits until nothing happens by itself.
    pub(crate) async fn open(database: &'a Database) -> Self {
        set(database, &["log_line_prefix = '@%a@ '", "log_statement = 'all'"]).await;
        let file = PathBuf::from(std::env::var("SWARM_TEST_POSTGRES").unwrap()).join("log");
        let mut log = Self { database, file, read: 0 };
        let mut interval = tokio::time::interval(QUIET);
        // The first tick is at once, and the setting may not have reached every connection yet.
        interval.tick().await;
        wait::until(30, "a quiet orchestrator", async || {
            interval.tick().await;
            log.since().is_empty().then_some(())
        })
        .await;
        log
    }

    /// The orchestrator's statements since the last call.
    pub(crate) fn since(&mut self) -> Vec<Statement> {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let new = &text[self.read..];
        let mut statements = parse(new);
        statements.retain(|statement| !statement.text.starts_with(TYPE_LOOKUP));
        self.read = text.len();
        statements
    }

    /// Ends the logging.
    pub(crate) async fn close(self) {
        set(self.database, &["log_line_prefix = DEFAULT", "log_statement = DEFAULT"]).await;
    }
}

async fn set(database: &Database, settings: &[&str]) {
    for setting in settings {
        let statement = sqlx::AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"));
        sqlx::query(statement).execute(&database.pool).await.unwrap();
    }
    sqlx::query("SELECT pg_reload_conf()").execute(&database.pool).await.unwrap();
}

fn parse(log: &str) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    // Others' lines end an entry as well.
    let entries = format!("\n{log}").replace("\n\t", "\u{1}");
    for line in entries.split('\n') {
        let Some(entry) = line.strip_prefix(PREFIX.trim_start()) else { continue };
        let entry = entry.replace('\u{1}', "\n");
        if let Some(parameters) = entry.strip_prefix("DETAIL:  parameters: ") {
            statements.last_mut().unwrap().parameters = literals(parameters);
        } else if let Some(executed) = entry.strip_prefix("LOG:  ") {
            // `statement: BEGIN`, `execute sqlx_s_1: SELECT …`
            if let Some((_, text)) = executed.split_once(": ") {
                statements.push(Statement { text: text.to_owned(), parameters: Vec::new() });
            }
        }
    }
    statements
}

/// The values of `$1 = 'a', $2 = NULL`; a quote within a value is doubled.
fn literals(text: &str) -> Vec<String> {
    let (mut values, mut rest) = (Vec::new(), text);
    while let Some((_, value)) = rest.split_once(" = ") {
        let (mut quoted, mut end) = (false, value.len());
        for (index, character) in value.char_indices() {
            match character {
                '\'' => quoted = !quoted,
                ',' if !quoted => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        values.push(value[..end].to_owned());
        rest = &value[end..];
    }
    values
}
