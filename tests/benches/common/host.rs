//! The machine that was measured: numbers mean nothing without it.

use serde_json::{Value, json};
use std::process::Command;
use swarm_tests::database::Database;

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The value of `key: value` in a file of `/proc`.
fn field(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

/// The first line of every report.
pub(crate) fn machine() -> Value {
    json!({
        "name": "machine",
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().unwrap(),
        "memory": field("/proc/meminfo", "MemTotal"),
        "load": std::fs::read_to_string("/proc/loadavg").unwrap().split(' ').next(),
        "kernel": said("uname", &["-sr"]),
        "rustc": said("rustc", &["--version"]),
        "commit": said("git", &["describe", "--always", "--dirty"]),
    })
}

/// The second one, where they take part.
pub(crate) async fn services() -> Value {
    let database = Database::empty().await;
    let show = async |setting: &str| -> String {
        let value = sqlx::query_scalar("SELECT current_setting($1)").bind(setting);
        value.fetch_one(&database.pool).await.unwrap()
    };
    let data = show("data_directory").await;
    json!({
        "name": "services",
        "postgres": {
            "version": show("server_version").await,
            "fsync": show("fsync").await,
            "synchronous_commit": show("synchronous_commit").await,
            "full_page_writes": show("full_page_writes").await,
            "file_system": said("stat", &["--file-system", "--format=%T", &data]),
        },
        "redis": said("redis-server", &["--version"]),
    })
}
