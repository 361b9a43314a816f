//! Which installed binaries: a cluster is served by its own major version and by no other, so `PG_VERSION` chooses.
//!
//! Several versions live side by side in directories that the distributions name differently; whatever else there is
//! is found by `PATH`.

use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a directory must hold to serve.
const PROGRAMS: [&str; 5] = ["initdb", "pg_ctl", "postgres", "pg_dump", "pg_restore"];
/// The oldest version that the schema is tested with.
const OLDEST: u32 = 15;
/// Where distributions put libraries: Debian has `postgresql/15/bin` in there, Gentoo `postgresql-15/bin`.
const LIBRARIES: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];

/// An installed Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    /// Its major version.
    pub(super) major: u32,
    /// The directory of its programs.
    pub(super) bin: PathBuf,
}

/// No installed Postgres fits.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// None can make a cluster.
    #[error(
        "no PostgreSQL {OLDEST} or newer is installed ({found}). Install one (Gentoo: dev-db/postgresql with USE=server; \
         Debian: postgresql), or give database.url_file"
    )]
    Missing {
        /// What there is.
        found: String,
    },
    /// The cluster is of another version.
    #[error(
        "the cluster {} was made by PostgreSQL {made_by}, which is not installed ({found}). Install that version again \
         (Gentoo: dev-db/postgresql:{made_by}; Debian: postgresql-{made_by}), then stay with it, or move the data: \
         `build-orchestrator dump FILE`, move the cluster's directory away, `build-orchestrator restore FILE`. Where \
         that version cannot be had, the newest of the nightly dumps serves as FILE",
        data.display()
    )]
    OtherVersion {
        /// The cluster.
        data: PathBuf,
        /// Its major version.
        made_by: u32,
        /// What there is.
        found: String,
    },
}

/// The version to serve the cluster `data` with: its own, or the newest for a cluster yet to be made.
pub(super) fn choose(
    installed: Vec<Installed>,
    data: &Path,
    made_by: Option<u32>,
) -> Result<Installed, Refusal> {
    let found = found(&installed);
    match made_by {
        Some(made_by) => installed
            .into_iter()
            .find(|installed| installed.major == made_by)
            .ok_or_else(|| Refusal::OtherVersion { data: data.to_owned(), made_by, found }),
        None => installed
            .into_iter()
            .filter(|installed| installed.major >= OLDEST)
            .max_by_key(|installed| installed.major)
            .ok_or(Refusal::Missing { found }),
    }
}

fn found(installed: &[Installed]) -> String {
    if installed.is_empty() {
        return "found none".to_owned();
    }
    let versions: Vec<String> = installed
        .iter()
        .map(|installed| format!("{} in {}", installed.major, installed.bin.display()))
        .collect();
    format!("found {}", versions.join(", "))
}

/// The major version that made the cluster `data`; `None`: there is no cluster.
pub(super) fn made_by(data: &Path) -> Result<Option<u32>> {
    let file = data.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => {
            let major = text.trim().parse();
            major.map(Some).with_context(|| format!("{} holds no version: {text:?}", file.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let empty = fs::read_dir(data).map_or(true, |mut entries| entries.next().is_none());
            anyhow::ensure!(empty, "{} is there but holds no cluster: move it away", data.display());
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Every Postgres on this machine.
pub(super) fn installed() -> Vec<Installed> {
    let mut directories: Vec<PathBuf> =
        LIBRARIES.iter().flat_map(|library| slots(library.as_ref())).collect();
    directories.extend(path().filter_map(|directory| {
        // A link in PATH leads to the directory that holds all programs.
        let program = directory.join("initdb").canonicalize().ok()?;
        program.parent().map(Path::to_owned)
    }));
    let mut directories: Vec<PathBuf> =
        directories.into_iter().filter_map(|directory| directory.canonicalize().ok()).collect();
    directories.sort();
    directories.dedup();
    directories.into_iter().filter(|directory| complete(directory)).filter_map(version).collect()
}

/// The program `name` by `PATH`, or where servers are installed that a person's `PATH` may lack.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let more = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(PathBuf::from);
    path().chain(more).map(|directory| directory.join(name)).find(|program| program.is_file())
}

fn path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A relative entry would make the choice depend on where we were started.
    std::env::split_paths(&path).filter(|directory| directory.is_absolute()).collect::<Vec<_>>().into_iter()
}

/// The directories in `library` that may hold a version's programs.
fn slots(library: &Path) -> Vec<PathBuf> {
    let entries = |directory: &Path| {
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let gentoo = entries(library).into_iter().filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("postgresql-"))
    });
    let debian = entries(&library.join("postgresql"));
    gentoo.chain(debian).map(|slot| slot.join("bin")).filter(|bin| bin.is_dir()).collect()
}

fn complete(bin: &Path) -> bool {
    PROGRAMS.iter().all(|program| bin.join(program).is_file())
}

/// Asks the programs, since a directory's name proves nothing.
fn version(bin: PathBuf) -> Option<Installed> {
    let output = Command::new(bin.join("pg_ctl")).arg("--version").output().ok()?;
    let major = major(&String::from_utf8_lossy(&output.stdout))?;
    Some(Installed { major, bin })
}

/// From `pg_ctl (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, or `17beta1`.
fn major(says: &str) -> Option<u32> {
    let version = says.split_once("(PostgreSQL) ")?.1;
    let digits = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(majors: &[u32]) -> Vec<Installed> {
        majors.iter().map(|&major| Installed { major, bin: format!("/usr/lib/{major}").into() }).collect()
    }

    fn chosen(majors: &[u32], made_by: Option<u32>) -> Result<u32, Refusal> {
        choose(installed(majors), Path::new("/state/postgres"), made_by).map(|installed| installed.major)
    }

    #[test]
    fn a_cluster_is_served_by_the_version_that_made_it() {
        assert_eq!(chosen(&[15, 16, 17], Some(16)), Ok(16));
        assert_eq!(chosen(&[15, 17, 16], None), Ok(17), "a new cluster gets the newest");
    }

    #[test]
    fn refusals_name_the_fix() {
        insta::assert_snapshot!("other_version", chosen(&[15, 17], Some(16)).unwrap_err());
        insta::assert_snapshot!("none", chosen(&[], None).unwrap_err());
        insta::assert_snapshot!("too_old", chosen(&[13, 14], None).unwrap_err());
    }

    #[test]
    fn what_the_programs_say() {
        assert_eq!(major("pg_ctl (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("pg_ctl (PostgreSQL) 17beta1\n"), Some(17));
        assert_eq!(major("pg_ctl: command not found"), None);
    }

    #[test]
    fn slots_of_gentoo_and_debian() {
        let library = tempfile::tempdir().unwrap();
        for bin in ["postgresql-16/bin", "postgresql/15/bin", "postgresql/16/lib", "python3/bin"] {
            fs::create_dir_all(library.path().join(bin)).unwrap();
        }
        let mut found = slots(library.path());
        found.sort();
        assert_eq!(found, ["postgresql/15/bin", "postgresql-16/bin"].map(|bin| library.path().join(bin)));
    }

    #[test]
    fn what_is_no_cluster_is_not_taken_for_one() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(made_by(&data.path().join("absent")).unwrap(), None);
        assert_eq!(made_by(data.path()).unwrap(), None, "an empty directory is room for one");
        fs::write(data.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(made_by(data.path()).unwrap(), Some(15));
        fs::write(data.path().join("PG_VERSION"), "").unwrap();
        assert!(made_by(data.path()).is_err());
        fs::rename(data.path().join("PG_VERSION"), data.path().join("else")).unwrap();
        assert!(made_by(data.path()).is_err());
    }
}
