//! TCP ports of a test's own. One below the ephemeral range, locked by a file for as long as the test wants it: neither
//! another test nor an outgoing connection can take it, not even between a daemon's death and its restart.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, create_dir_all};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;

/// Linux gives outgoing connections ports from 32768.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A reserved port.
pub struct Port {
    /// The address with the port.
    pub address: SocketAddr,
    _lock: File,
}

impl Port {
    /// Reserves a port on `address`.
    #[must_use]
    pub fn reserve(address: IpAddr) -> Self {
        let directory = Path::new("/tmp/swarm-test-ports");
        create_dir_all(directory).unwrap();
        for port in RANGE {
            let lock = File::create(directory.join(port.to_string())).unwrap();
            let address = SocketAddr::new(address, port);
            let free = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
            if free && TcpListener::bind(address).is_ok() {
                return Self { address, _lock: lock };
            }
        }
        panic!("every port of {RANGE:?} is taken");
    }
}
