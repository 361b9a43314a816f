//! TLS, as curl and wget check it, with a certificate authority of our own.

use crate::harness::*;
use crate::serving::{FILE, INDEX, promote};
use build_binhost::config::{Limits, Tls};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use swarm_protocol::Digest;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A certificate authority and what it signed, in a directory.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        this.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        this.issue("first");
        this
    }

    /// A certificate for this host, in place of the one before.
    fn issue(&self, name: &str) {
        std::fs::write(self.path("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
        self.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout new.key -out new.csr"));
        self.openssl("x509 -req -in new.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out new.pem");
        std::fs::rename(self.path("new.pem"), self.path("server.pem")).unwrap();
        std::fs::rename(self.path("new.key"), self.path("server.key")).unwrap();
    }

    fn openssl(&self, arguments: &str) {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> Tls {
        Tls {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
        }
    }
}

async fn run(program: &str, arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env("HOME", directory);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn curl_and_wget_trust_it_and_resume() {
    let authority = Authority::new();
    let binhost = Binhost::configured("", |config| config.tls = Some(authority.config())).await;
    promote(&binhost).await;
    let url = format!("https://{}{FILE}", binhost.tls.unwrap());
    let directory = authority.0.path();
    let bytes = binhost.get(FILE).await.bytes().await.unwrap();
    let curl = run("curl", &["-sS", "--fail", "--cacert", "ca.pem", &url], directory).await;
    assert_eq!(curl.stdout, bytes, "{}", String::from_utf8_lossy(&curl.stderr));
    std::fs::write(directory.join("part"), &bytes[..100]).unwrap();
    let wget =
        run("wget", &["--no-config", "-c", "--ca-certificate=ca.pem", "-O", "part", &url], directory).await;
    assert!(wget.status.success(), "{}", String::from_utf8_lossy(&wget.stderr));
    assert!(String::from_utf8_lossy(&wget.stderr).contains("206 Partial Content"));
    assert_eq!(Digest::of(&std::fs::read(directory.join("part")).unwrap()), Digest::of(&bytes));
    let distrustful = run("curl", &["-sS", &url], directory).await;
    assert_eq!(distrustful.status.code(), Some(60), "an authority that is not known");
    let binrepos = url.replace(FILE, "/binhost/amd64/binrepos.conf");
    let lines = run("curl", &["-sS", "--cacert", "ca.pem", &binrepos], directory).await.stdout;
    let lines = String::from_utf8(lines).unwrap();
    assert!(
        lines.contains(&format!("sync-uri = https://{}/binhost/amd64\n", binhost.tls.unwrap())),
        "{lines}"
    );
    // The swarm's own calls go on as before, and the plain address is not TLS's.
    assert_eq!(binhost.text("/healthz").await.unwrap(), "alive\n");
    let plain = run("curl", &["-sS", &url.replace("https", "http")], directory).await;
    assert!(!plain.status.success());
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let binhost = Binhost::configured("", |config| config.tls = Some(authority.config())).await;
    promote(&binhost).await;
    let url = format!("https://{}{INDEX}", binhost.tls.unwrap());
    let arguments = ["-sSv", "--cacert", "ca.pem", url.as_str()];
    let subject = async || {
        let curl = run("curl", &arguments, authority.0.path()).await;
        assert!(curl.status.success(), "{}", String::from_utf8_lossy(&curl.stderr));
        let said = String::from_utf8_lossy(&curl.stderr).into_owned();
        said.lines().find_map(|line| line.split("subject: CN=").nth(1)).unwrap().to_owned()
    };
    assert_eq!(subject().await, "first");
    authority.issue("second");
    let mut looks = 0;
    while subject().await != "second" {
        looks += 1;
        assert!(looks < 200, "the renewed certificate is never used");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // A key that is not the certificate's: as in the moment between the two writes of a renewal, only longer.
    std::fs::copy(authority.path("ca.key"), authority.path("server.key")).unwrap();
    for _ in 0..30 {
        assert_eq!(subject().await, "second");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_handshake_that_never_comes_gives_its_slot_back() {
    let authority = Authority::new();
    let binhost = Binhost::configured("", |config| {
        config.tls = Some(authority.config());
        config.limits = Limits { connections: 1, header_seconds: 1, ..Limits::default() };
    })
    .await;
    let mut silent = TcpStream::connect(binhost.tls.unwrap()).await.unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), silent.read(&mut [0; 16])).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    assert_eq!(binhost.text("/healthz").await.unwrap(), "alive\n");
}

#[tokio::test]
async fn files_that_make_no_sense_are_named_at_the_start() {
    let authority = Authority::new();
    for (certificate, key, fault) in [
        ("none", "server.key", "none"),
        ("server.key", "server.key", "holds no certificate"),
        ("server.pem", "server.pem", "private key"),
        ("server.pem", "ca.key", "server.pem"),
    ] {
        let tls =
            Tls { certificate: authority.path(certificate), key: authority.path(key), ..authority.config() };
        let error = format!("{:#}", Binhost::refused(|config| config.tls = Some(tls)).await);
        assert!(error.contains(fault), "{error}");
    }
}
