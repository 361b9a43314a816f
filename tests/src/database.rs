//! A database of its own for each test, on the server that `tests/with-services` started.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

/// A test's database.
pub struct Database {
    /// Its URL, as daemons are given it.
    pub url: String,
    /// A pool of its own.
    pub pool: PgPool,
}

fn socket_directory() -> String {
    std::env::var("SWARM_TEST_POSTGRES")
        .expect("run the tests by `make test`, or by `tests/with-services cargo test`")
}

impl Database {
    /// An empty database.
    pub async fn empty() -> Self {
        Self::empty_in(&socket_directory()).await
    }

    /// An empty database of the server whose socket is in `directory`.
    pub async fn empty_in(directory: &str) -> Self {
        let options = PgConnectOptions::new().socket(directory).username("swarm");
        let mut admin = PgConnection::connect_with(&options.clone().database("postgres")).await.unwrap();
        // Not by process id: within one `make test` it comes round again, and databases stay until the end.
        let name = sqlx::query_scalar("SELECT 'test_' || replace(gen_random_uuid()::text, '-', '')");
        let name: String = name.fetch_one(&mut admin).await.unwrap();
        // It is made of hexadecimal digits.
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
        let pool =
            PgPoolOptions::new().max_connections(4).connect_with(options.database(&name)).await.unwrap();
        Self { url: format!("postgres://swarm@localhost/{name}?host={directory}"), pool }
    }

    /// A database with the schema in it.
    pub async fn migrated() -> Self {
        let database = Self::empty().await;
        build_orchestrator::db::MIGRATIONS.run(&database.pool).await.unwrap();
        database
    }
}
