//! Another Postgres than the one that all tests share: a cluster of a test's own, which ends with it.

use crate::wait;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A running cluster.
pub struct Cluster {
    directory: TempDir,
    bin: PathBuf,
}

impl Cluster {
    /// A new one, of the newest installed version.
    pub async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("swarm-cluster.").tempdir().unwrap();
        let installed = fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path());
        let bin = installed.max().expect("Postgres is installed").join("bin");
        let cluster = Self { directory, bin };
        let place = cluster.socket_directory();
        // Postgres refuses to run as root.
        let chown = Command::new("chown").arg("postgres").arg(&place).output().unwrap();
        assert!(chown.status.success(), "{chown:?}");
        cluster.run("initdb", &["-A", "trust", "-U", "swarm", "--no-sync"]);
        cluster.run("pg_ctl", &["start", "-w", "-l", &format!("{place}/log"), "-o", &cluster.options()]);
        wait::until(30, "the cluster to listen", async || {
            fs::exists(format!("{place}/.s.PGSQL.5432")).unwrap().then_some(())
        })
        .await;
        cluster
    }

    fn options(&self) -> String {
        format!("-k {} -c listen_addresses= -c fsync=off", self.socket_directory())
    }

    /// Where its socket is.
    #[must_use]
    pub fn socket_directory(&self) -> String {
        self.directory.path().display().to_string()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
        command.arg(self.bin.join(program)).arg("-D").arg(self.directory.path().join("data")).args(arguments);
        // It inherits nothing that would keep a pipe open.
        let log = fs::File::create(self.directory.path().join(format!("{program}.out"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).current_dir("/").output().unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program, arguments);
        let said =
            fs::read_to_string(self.directory.path().join(format!("{program}.out"))).unwrap_or_default();
        assert!(output.status.success(), "{program}: {said}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl", &["stop", "-w", "-m", "immediate"]);
    }
}
