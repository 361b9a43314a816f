//! A binhost that only known readers may read.

use crate::harness::*;
use crate::process::Process;
use crate::serving::{FILE, INDEX, promote};
use build_binhost::access::reader;
use build_binhost::config::Access;
use reqwest::Method;
use std::path::PathBuf;
use std::process::Command;
use swarm_protocol::Code;
use tempfile::TempDir;

/// Reads everything.
const DESKTOP: [u8; 32] = [1; 32];
/// Reads another target.
const LAPTOP: [u8; 32] = [2; 32];

struct Protected {
    binhost: Binhost,
    readers: PathBuf,
    directory: TempDir,
    desktop: String,
    laptop: String,
}

async fn protected() -> Protected {
    let directory = tempfile::tempdir().unwrap();
    let readers = directory.path().join("readers");
    let (desktop, first) = reader("desktop", &[], DESKTOP).unwrap();
    let (laptop, second) = reader("laptop", &["arm64".parse().unwrap()], LAPTOP).unwrap();
    std::fs::write(&readers, format!("# who reads\n\n{first}\n{second}\n")).unwrap();
    let access = Access { readers: readers.clone() };
    let binhost = Binhost::configured("", |config| config.access = Some(access)).await;
    promote(&binhost).await;
    Protected { binhost, readers, directory, desktop, laptop }
}

#[tokio::test]
async fn only_readers_read() {
    let Protected { binhost, desktop, laptop, directory: _directory, .. } = protected().await;
    let setup = ["/binhost/amd64/key.asc", "/binhost/amd64/binrepos.conf"];
    for path in [INDEX, FILE, "/binhost/amd64/nothing", "/binhost/nowhere/Packages"].into_iter().chain(setup)
    {
        let ask = |reader: Option<(&str, &str)>| {
            let request = binhost.request(Method::GET, path);
            match reader {
                Some((name, token)) => request.basic_auth(name, Some(token)),
                None => request,
            }
            .send()
        };
        for reader in [None, Some(("desktop", "guess")), Some(("laptop", desktop.as_str()))] {
            let refused = ask(reader).await.unwrap();
            let schemes: Vec<_> = refused.headers().get_all("www-authenticate").iter().cloned().collect();
            assert_eq!(schemes, ["Bearer", "Basic realm=\"binhost\", charset=\"UTF-8\""]);
            assert_eq!(problem(refused).await.code, Code::Unauthenticated, "{path}");
        }
        let elsewhere = ask(Some(("laptop", &laptop))).await.unwrap();
        assert_eq!(problem(elsewhere).await.code, Code::Forbidden, "{path}");
    }
    for path in [INDEX, FILE] {
        let basic =
            binhost.request(Method::GET, path).basic_auth("desktop", Some(&desktop)).send().await.unwrap();
        assert_eq!(
            (basic.status().as_u16(), &basic.headers()["cache-control"]),
            (200, &"private, no-cache".parse().unwrap())
        );
        let bearer = binhost.request(Method::GET, path).bearer_auth(&desktop).send().await.unwrap();
        assert_eq!(bearer.bytes().await.unwrap(), basic.bytes().await.unwrap());
    }
    assert_eq!(binhost.text("/healthz").await.unwrap(), "alive\n");
    assert!(binhost.staging().await.contains("zlib"), "drones come with tickets");
}

#[tokio::test]
async fn wget_is_a_reader_by_its_url_and_by_netrc() {
    let Protected { binhost, desktop, directory, .. } = protected().await;
    let netrc = format!("machine 127.0.0.1 login desktop password {desktop}\n");
    let home = directory.path();
    std::fs::write(home.join(".netrc"), netrc).unwrap();
    let host = binhost.address;
    for (url, home, good) in [
        (format!("http://desktop:{desktop}@{host}{FILE}"), "/nonexistent", true),
        (format!("http://{host}{FILE}"), home.to_str().unwrap(), true),
        (format!("http://{host}{FILE}"), "/nonexistent", false),
    ] {
        let mut wget = Command::new("wget");
        wget.args(["--no-config", "-q", "-O", "/dev/null", &url]).env("HOME", home);
        let status = tokio::task::spawn_blocking(move || wget.status().unwrap()).await.unwrap();
        assert_eq!(status.success(), good, "{status}");
    }
}

#[tokio::test]
async fn an_edited_file_is_taken_up_and_a_broken_one_is_not() {
    let Protected { binhost, readers, desktop, directory: _directory, .. } = protected().await;
    let status =
        async || binhost.request(Method::GET, INDEX).bearer_auth(&desktop).send().await.unwrap().status();
    let becomes = async |wanted: u16| {
        for _ in 0..200 {
            if status().await == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("never {wanted}");
    };
    let good = std::fs::read_to_string(&readers).unwrap();
    std::fs::write(&readers, "# nobody\n").unwrap();
    becomes(401).await;
    std::fs::write(&readers, &good).unwrap();
    becomes(200).await;
    std::fs::write(&readers, "desktop hunter2\n").unwrap();
    // Long enough for the next look at the file.
    for _ in 0..30 {
        assert_eq!(status().await, 200);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[test]
fn the_real_program_makes_tokens_and_keeps_them_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_build-binhost"))
        .args(["reader-token", "desktop", "amd64"])
        .output()
        .unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let (token, line) = made.split_once('\n').unwrap();
    let readers = directory.path().join("readers");
    std::fs::write(&readers, line).unwrap();
    let config = Process::config(directory.path());
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}[access]\nreaders = \"{}\"\n", readers.display())).unwrap();
    let log = directory.path().join("log");
    let process = Process::logging(&config, &log);
    for (url, status) in [("desktop", "404"), ("guest", "401")] {
        let url = format!(
            "http://{url}:{token}@{}/binhost/amd64/Packages",
            process.base.trim_start_matches("http://")
        );
        let curl = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(curl.stdout).unwrap(), status);
    }
    process.kill();
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("http.status=401") && !logged.contains(token), "{logged}");
}
