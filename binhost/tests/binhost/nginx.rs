//! nginx, the real one, serves the directory that `current` points at.

use crate::harness::*;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use swarm_protocol::Digest;

/// nginx with the location that the README shows, on a unix socket, ended with the test.
struct Nginx {
    child: Child,
    http: reqwest::Client,
}

impl Nginx {
    async fn start(store: &Path, directory: &Path) -> Self {
        let readme = include_str!("../../README.md");
        let location = readme.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
        let location =
            location.replace("/var/lib/build-swarm/binhost", store.to_str().unwrap().trim_end_matches('/'));
        let socket = directory.join("nginx.sock");
        // The store's directory is the test's own, so the workers stay who starts them.
        let config = format!(
            "daemon off; pid nginx.pid; error_log stderr; user root;\nevents {{}}\n\
             http {{ access_log off; server {{ listen unix:{};\n{location}}} }}\n",
            socket.display()
        );
        std::fs::write(directory.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory).args(["-c", "nginx.conf", "-e", "stderr"]).stdin(Stdio::null());
        // A group of its own: its workers go with it.
        let child = command.process_group(0).spawn().unwrap();
        eventually("nginx to listen", || std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
        Self { child, http: reqwest::Client::builder().unix_socket(socket).build().unwrap() }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("http://nginx{path}")).send().await.unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_client_with_an_older_index_still_gets_its_files_from_nginx() {
    let binhost = Binhost::start().await;
    let old = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let new = binhost.publish(2, "sys-libs/zlib-1.3.1", 3).await;
    binhost.prepare(1, &[old]).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(&binhost.path(""), directory.path()).await;
    let date = |seconds| httpdate::fmt_http_date(build_binhost::clock::system_time(seconds));
    let index = nginx.get("/binhost/amd64/Packages").await;
    assert_eq!(index.headers()["last-modified"], date(NOW).as_str(), "Last-Modified is the TIMESTAMP");
    let held = values(&index.text().await.unwrap(), "PATH").remove(0);

    binhost.prepare(2, &[new]).await.unwrap();
    binhost.promote(2, Some(1)).await.unwrap();
    let index = nginx.get("/binhost/amd64/Packages").await;
    assert_eq!(index.headers()["last-modified"], date(NOW + 6).as_str());
    let index = index.text().await.unwrap();
    assert_eq!(index, binhost.text("/binhost/amd64/Packages").await.unwrap());
    assert_eq!(values(&index, "BUILD_ID"), ["3"]);
    for (path, published) in [(held, old), (values(&index, "PATH").remove(0), new)] {
        let file = nginx.get(&format!("/binhost/amd64/{path}")).await;
        assert_eq!(file.status(), 200, "{path}");
        assert_eq!(Digest::of(&file.bytes().await.unwrap()), published, "{path}");
    }
    assert_eq!(nginx.get("/binhost/amd64/.generation.json").await.status(), 403);
}
