//! What the private Postgres is told: its settings, and the words of its programs' command lines.

use super::place::Place;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The cluster's superuser. Nobody but the servers' account and root reaches the socket, so it needs no password.
pub(super) const USER: &str = "swarm";
/// The orchestrator's database.
pub(super) const DATABASE: &str = "swarm";
/// Connections beside the pool's: the maintenance's office, dumps, a person's `psql`, and what Postgres reserves.
const MORE_CONNECTIONS: u32 = 20;

/// The words after `initdb -D DIRECTORY`. It syncs what it wrote before it ends.
pub(super) const INITDB: [&str; 8] = [
    "--username",
    USER,
    "--encoding=UTF8",
    // The same order on every machine, whatever locales it has.
    "--locale=C",
    "--data-checksums",
    "--auth-local=trust",
    "--auth-host=reject",
    "--no-instructions",
];

/// The options of the server, as `pg_ctl` hands them to a shell.
pub(super) fn options(place: &Place, connections: u32) -> String {
    let sockets = place.sockets.display().to_string();
    let connections = connections.saturating_add(MORE_CONNECTIONS).to_string();
    let settings = [
        ("listen_addresses", ""),
        ("unix_socket_directories", &sockets),
        ("unix_socket_permissions", "0700"),
        ("max_connections", &connections),
        ("shared_buffers", "64MB"),
        ("fsync", "on"),
        ("max_wal_size", "256MB"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("cluster_name", "build-orchestrator"),
        // One file for each day of the week, each begun anew when its day comes again.
        ("logging_collector", "on"),
        ("log_directory", "log"),
        ("log_filename", "postgresql-%a.log"),
        ("log_rotation_age", "1d"),
        ("log_rotation_size", "0"),
        ("log_truncate_on_rotation", "on"),
    ];
    let words = settings.map(|(name, value)| format!("-c {}", quoted(&format!("{name}={value}"))));
    words.join(" ")
}

/// One word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The URL by which the orchestrator reaches `database`.
pub(super) fn url(sockets: &Path, database: &str) -> String {
    format!("postgres://{USER}@localhost/{database}?host={}", percent_encoded(sockets))
}

/// A path as a part of a URL.
pub(super) fn percent_encoded(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._".contains(&byte);
    let bytes = path.as_os_str().as_bytes().iter();
    bytes
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::postgres::PgConnectOptions;
    use std::path::PathBuf;

    #[test]
    fn a_shell_sees_one_word() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn the_options() {
        let place = Place { state: "/s".into(), sockets: "/s t/run".into(), account: None, owner: 0 };
        let options = options(&place, 16);
        assert!(
            options.starts_with("-c 'listen_addresses=' -c 'unix_socket_directories=/s t/run' "),
            "{options}"
        );
        assert!(options.contains("'max_connections=36'"), "{options}");
    }

    #[test]
    fn a_url_keeps_whatever_the_path_is_made_of() {
        let path = Path::new("/var/lib/a b&c?d#é%");
        let options: PgConnectOptions = url(path, DATABASE).parse().unwrap();
        assert_eq!(options.get_socket().map(PathBuf::as_path), Some(path));
        assert_eq!(options.get_database(), Some(DATABASE));
    }
}
