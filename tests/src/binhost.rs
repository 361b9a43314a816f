//! A binhost alone: a real process, which a test fills with packages as the orchestrator and a drone would.

use crate::gpkg;
use crate::port::Port;
use crate::process::{Process, binary};
use crate::swarm::answers;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_protocol::Digest;
use swarm_protocol::binhost::{Current, Expected, Prepare, Prepared, Promote, Stage, Staged};
use swarm_protocol::client::{BinhostClient, ClientError};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::{AttemptId, BuildId, GenerationNumber, PackageId, RunId};
use swarm_protocol::ticket::{Scope, Ticket, TicketSigner};
use tempfile::TempDir;

/// The run that everything is staged for.
pub const RUN: RunId = RunId(1);

/// A running binhost, and what is needed to fill it.
pub struct Binhost {
    /// As the orchestrator.
    pub control: BinhostClient,
    /// The target that everything is for. Portage keys its index cache by host and path, so tests have one each.
    pub target: TargetName,
    /// As a drone.
    pub drone: BinhostClient,
    process: Option<Process>,
    directory: TempDir,
    port: Port,
}

/// What was uploaded, and how it is staged.
pub struct Uploaded(pub Stage);

/// What a package of slot 0 without USE flags is staged as.
#[must_use]
pub fn expected(cpv: &str, build_id: i32) -> Expected {
    Expected {
        cpv: cpv.parse().unwrap(),
        slot: "0".parse().unwrap(),
        repository: "swarm-box".parse().unwrap(),
        use_flags: vec![],
        build_id: BuildId(build_id),
        chost: "x86_64-pc-linux-gnu".to_owned(),
        flags: vec![],
    }
}

impl Binhost {
    /// A running binhost.
    pub async fn start(address: IpAddr, target: &str) -> Self {
        Self::configured(address, target, "").await
    }

    /// One with more lines in its configuration.
    pub async fn configured(address: IpAddr, target: &str, lines: &str) -> Self {
        let signer = TicketSigner::new(&[7; 32]);
        // Beside the programs: what benches write is written to a disk, and /tmp may be memory.
        let here = binary("build-binhost").parent().unwrap().to_owned();
        let directory = tempfile::Builder::new().prefix("binhost-test.").tempdir_in(here).unwrap();
        let port = Port::reserve(address);
        let config = format!(
            "listen = \"{}\"\ndirectory = \"{}/store\"\nticket_key = \"{}\"\n{lines}",
            port.address,
            directory.path().display(),
            signer.verifier()
        );
        std::fs::write(directory.path().join("binhost.toml"), config).unwrap();
        let target: TargetName = target.parse().unwrap();
        let (package, attempt) = (PackageId(1), AttemptId(1));
        let scope = Scope::Attempt { target: target.clone(), run: RUN, package, attempt, max_bytes: 4 << 30 };
        let base = format!("http://{}", port.address);
        let client = |scope| BinhostClient::new(&base, signer.sign(&Ticket { scope, expires: i64::MAX }));
        let (control, drone) = (client(Scope::Control), client(scope));
        let mut binhost = Self { control, drone, target, process: None, directory, port };
        binhost.start_again().await;
        binhost
    }

    /// Ends the process with `kill -9`, if it runs, and starts it.
    pub async fn start_again(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        let mut command = Command::new(binary("build-binhost"));
        command.arg("serve").arg("--config").arg(self.directory.path().join("binhost.toml"));
        self.process = Some(Process::start(&mut command, &self.directory.path().join("binhost.log")));
        answers(&format!("{}/readyz", self.url()), 60).await;
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address)
    }

    /// Where clients find the target.
    #[must_use]
    pub fn public(&self, path: &str) -> String {
        format!("{}/binhost/{}/{path}", self.url(), self.target)
    }

    /// The target's directory.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.directory.path().join("store/targets").join(self.target.as_str())
    }

    /// A place for files of the test's own.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `build-binhost` with its configuration; what it prints.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(binary("build-binhost"));
        let config = self.directory.path().join("binhost.toml");
        let output = command.arg("--config").arg(config).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// The most memory that it ever had resident, in MiB.
    #[must_use]
    pub fn peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("binhost.log")).unwrap()
    }

    /// Uploads a package as the drone that built it; every number makes another one.
    pub async fn upload(&self, number: i64, cpv: &str, build_id: i32, metadata: &[(&str, &str)]) -> Uploaded {
        let expected = expected(cpv, build_id);
        let bytes = gpkg::package_of(&expected.cpv, expected.build_id, metadata, &[]);
        self.upload_bytes(number, expected, bytes).await
    }

    /// The same with the package's bytes, and what they are to be.
    pub async fn upload_bytes(&self, number: i64, expected: Expected, bytes: Vec<u8>) -> Uploaded {
        let built = Digest::of(&bytes);
        self.drone.upload(built, bytes.len() as u64, bytes).await.unwrap();
        Uploaded(Stage { package: PackageId(number), attempt: AttemptId(number), built, expected })
    }

    /// Stages it.
    pub async fn stage(&self, Uploaded(stage): &Uploaded) -> Staged {
        self.control.stage(&self.target, RUN, stage).await.unwrap()
    }

    /// Uploads and stages a package; its published digest.
    pub async fn publish(&self, number: i64, cpv: &str, build_id: i32) -> Digest {
        self.stage(&self.upload(number, cpv, build_id, &[]).await).await.published
    }

    /// Prepares a generation.
    pub async fn prepare(&self, number: i64, artifacts: &[Digest]) -> Prepared {
        let prepare = Prepare { artifacts: artifacts.to_vec(), ..Prepare::default() };
        self.control.prepare(&self.target, GenerationNumber(number), &prepare).await.unwrap()
    }

    /// Makes it current after the one before it.
    pub async fn promote(&self, number: i64) -> Result<Current, ClientError> {
        let expect = (number > 1).then_some(GenerationNumber(number - 1));
        self.control.promote(&self.target, &Promote { number: GenerationNumber(number), expect }).await
    }

    /// Both.
    pub async fn publish_generation(&self, number: i64, artifacts: &[Digest]) -> Current {
        self.prepare(number, artifacts).await;
        self.promote(number).await.unwrap()
    }
}
