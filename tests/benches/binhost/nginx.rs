//! nginx as the peer: the same directory, no access log, files kept open, sent by the kernel.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use swarm_tests::port::Port;
use swarm_tests::process::Process;
use swarm_tests::wait;

/// A running nginx.
pub(crate) struct Nginx {
    process: Process,
    _port: Port,
    pub(crate) base: String,
}

impl Nginx {
    /// Serves `root` at `/binhost/amd64/`.
    pub(crate) async fn start(directory: &Path, root: &Path, workers: usize) -> Self {
        let port = Port::reserve(Ipv4Addr::LOCALHOST.into());
        let address = port.address;
        let (directory, root) = (directory.display(), root.display());
        let config = format!(
            "daemon off;
worker_processes {workers};
user root;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=1000 inactive=60s;
    open_file_cache_valid 60s;
    keepalive_requests 100000000;
    # Portage asks with the TIMESTAMP it holds plus 5 seconds.
    if_modified_since before;
    client_body_temp_path {directory}/nginx-body;
    server {{
        listen {address} backlog=1024;
        location /binhost/amd64/ {{ alias {root}/; }}
    }}
}}
"
        );
        let file = format!("{directory}/nginx.conf");
        fs::write(&file, config).unwrap();
        let log = format!("{directory}/nginx.log");
        let process =
            Process::start(Command::new("/usr/sbin/nginx").args(["-e", &log, "-c", &file]), log.as_ref());
        wait::until(10, "nginx to listen", async || TcpStream::connect(address).ok()).await;
        Self { process, _port: port, base: format!("http://{address}") }
    }

    /// Of its master process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}
