//! A workstation with real Portage installs from a binhost that speaks TLS and wants to know who reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use swarm_tests::binhost::{Binhost, expected};
use swarm_tests::machines::{self, Machine};
use swarm_tests::port::Port;
use swarm_tests::process::binary;

const TARGET: &str = "protected";

/// Makes `ca.pem` and, signed by it, `server.pem` with `server.key` for an address.
fn certificates(directory: &Path, address: &str) {
    let openssl = |arguments: &str| {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(directory.join("san"), format!("subjectAltName=IP:{address}\n")).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"));
    openssl(&format!("req {key} -subj /CN=binhost -keyout server.key -out server.csr"));
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    );
}

/// A package that real Portage built.
fn built_by_portage() -> Vec<u8> {
    let base = Machine::up("builder", "base", &[]);
    let _ = base.ok(&["emerge", "--buildpkgonly", "--oneshot", "--quiet", "=swarm-test/trivial-1"]);
    let found = base.ok(&["find", "/var/cache/binpkgs/swarm-test/trivial", "-name", "*.gpkg.tar"]);
    fs::read(base.root().join(found.trim().trim_start_matches('/'))).unwrap()
}

#[tokio::test]
async fn portage_installs_with_a_name_and_a_token_over_tls() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    machines::network();
    let address = IpAddr::from(machines::HOST);
    certificates(files.path(), &address.to_string());
    let made = Command::new(binary("build-binhost")).args(["reader-token", "desktop", TARGET]).output();
    let made = String::from_utf8(made.unwrap().stdout).unwrap();
    let (token, line) = made.split_once('\n').unwrap();
    fs::write(path("readers"), line).unwrap();
    let tls = Port::reserve(address);
    let config = format!(
        "[tls]\nlisten = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\n[access]\nreaders = \"{}\"\n",
        tls.address,
        path("server.pem").display(),
        path("server.key").display(),
        path("readers").display()
    );
    let binhost = Binhost::configured(address, TARGET, &config).await;
    let expected = expected("swarm-test/trivial-1", 1);
    let staged = binhost.stage(&binhost.upload_bytes(1, expected, built_by_portage()).await).await;
    binhost.publish_generation(1, &[staged.published]).await;

    let workstation = Machine::up("reader", "workstation", &[]);
    let root = workstation.root();
    fs::copy(path("ca.pem"), root.join("etc/authority.pem")).unwrap();
    // wget, which fetches packages, and Python, which fetches the index, are told of the authority each in its way.
    fs::write(root.join("root/.wgetrc"), "ca_certificate = /etc/authority.pem\n").unwrap();
    fs::write(root.join("etc/wgetrc"), "ca_certificate = /etc/authority.pem\n").unwrap();
    let reader = |credentials: &str| fs::write(root.join("root/reader"), credentials).unwrap();
    let script = workstation.trust_script();
    let url = format!("https://{}/binhost/{TARGET}", tls.address);
    let trust = format!("BINHOST_READER=\"$(cat /root/reader)\" sh {script} {url}");
    let installed = || root.join("var/db/pkg/swarm-test/trivial-1").exists();
    let install = || {
        let authority = "SSL_CERT_FILE=/etc/authority.pem";
        let emerge = ["emerge", "--usepkgonly", "--getbinpkg", "--oneshot", "swarm-test/trivial"];
        workstation.run(&[&[authority], &emerge[..]].concat())
    };
    reader("desktop:guess");
    assert!(!workstation.run(&["sh", "-c", &trust]).status.success());
    reader(&format!("desktop:{token}"));
    let _ = workstation.ok(&["sh", "-c", &trust]);
    let binrepos = root.join("etc/portage/binrepos.conf");
    assert_eq!(fs::metadata(&binrepos).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = fs::read_to_string(&binrepos).unwrap();
    for stranger in ["", "desktop:guess@"] {
        fs::write(&binrepos, lines.replace(&format!("desktop:{token}@"), stranger)).unwrap();
        assert!(!install().status.success());
        assert!(!installed());
    }
    fs::write(&binrepos, lines).unwrap();
    let output = install();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && installed(), "{}", String::from_utf8_lossy(&said));
    assert!(!binhost.log().contains(token));
}
