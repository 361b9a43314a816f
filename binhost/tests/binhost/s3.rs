//! A real S3 server on loopback: s3s-fs, whose root directory a second one, without keys, gives to everybody over HTTP,
//! as a bucket with public reads does.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(crate) const KEY: &str = "key-of-the-test";
pub(crate) const SECRET: &str = "secret-of-the-test";

/// A server, ended with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(root: &TempDir, keys: bool) -> Self {
        // Free a moment ago: tests that fail to get it say so at once.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("s3s-fs");
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]).arg(root.path());
        if keys {
            command.args(["--access-key", KEY, "--secret-key", SECRET]);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { child: child.expect("s3s-fs is installed by tests/setup-host"), port }
    }

    async fn answers(&self) {
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the S3 server does not answer");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A store with one bucket, `mirror`.
pub(crate) struct S3 {
    root: TempDir,
    signed: Server,
    public: Server,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("mirror")).unwrap();
        let (signed, public) = (Server::start(&root, true), Server::start(&root, false));
        signed.answers().await;
        public.answers().await;
        Self { root, signed, public }
    }

    /// The environment of a client with the keys.
    pub(crate) fn set_up(&self, command: &mut Command) {
        command
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT", self.endpoint())
            .env("AWS_ALLOW_HTTP", "true");
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.signed.port)
    }

    /// Where everybody reads.
    pub(crate) fn public(&self) -> String {
        format!("http://127.0.0.1:{}/mirror", self.public.port)
    }

    /// An object's file.
    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.root.path().join("mirror").join(key)
    }
}
