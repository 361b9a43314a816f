//! pgmq, a message queue in Postgres, in the place of our queue: pgbench reads a message and archives it. That is less than
//! a package needs: a message waits for no other, goes to whoever asks, and has no history.

use std::path::{Path, PathBuf};
use swarm_tests::database::Database;

/// A queue with messages, and the script that takes one from it.
pub(crate) struct Peer {
    /// Its database, on the same server.
    pub(crate) database: Database,
    /// The script for pgbench.
    pub(crate) script: PathBuf,
}

impl Peer {
    /// Installs pgmq and sends so many messages.
    pub(crate) async fn filled(messages: usize, directory: &Path) -> Self {
        let database = Database::empty().await;
        let queue = pgmq::PGMQueueExt::new_with_pool(database.pool.clone()).await;
        queue.install_sql_from_embedded().await.unwrap();
        queue.create("packages").await.unwrap();
        sqlx::query(
            "SELECT pgmq.send('packages', jsonb_build_object('package', n)) FROM generate_series(1, $1) AS n",
        )
        .bind(i32::try_from(messages).unwrap())
        .execute(&database.pool)
        .await
        .unwrap();
        let script = directory.join("pgmq.sql");
        let text = "SELECT msg_id FROM pgmq.read('packages', 600, 1) \\gset\nSELECT pgmq.archive('packages', :msg_id::bigint);\n";
        std::fs::write(&script, text).unwrap();
        Self { database, script }
    }
}
