//! The network between the nodes of one world: each node is a network namespace with one TUN device, and all packets
//! between them pass through here, where they can be cut off, delayed, lost and doubled.
//!
//! Namespaces are held by open files alone, so nothing of them is left when the process ends, however it ends. The
//! kernel's own means (netem) is a module that many hosts lack.

use nix::sched::{CloneFlags, unshare};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tun_rs::{AsyncDevice, DeviceBuilder, Layer};

/// A place in the network. The first is the harness itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(pub usize);

impl Node {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        let host = u8::try_from(self.0 + 1).expect("a world has fewer than 255 nodes");
        Ipv4Addr::new(10, 0, 0, host)
    }

    fn of(address: [u8; 4]) -> Option<Self> {
        (address[..3] == [10, 0, 0]).then(|| usize::from(address[3]).checked_sub(1).map(Self))?
    }
}

/// What happens to packets between two nodes, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Condition {
    /// None passes.
    pub cut: bool,
    /// How long each takes, on average: from half of it to half as much again, so they overtake each other.
    pub delay: Duration,
    /// The share that is lost.
    pub loss: f64,
    /// The share that arrives twice.
    pub doubled: f64,
}

/// The network.
pub struct Wire {
    namespaces: Vec<File>,
    shared: Arc<Shared>,
    _readers: JoinSet<()>,
}

struct Shared {
    devices: Vec<AsyncDevice>,
    conditions: Mutex<BTreeMap<(Node, Node), Condition>>,
    dice: Mutex<ChaCha8Rng>,
}

impl Wire {
    /// A network of `count` nodes. The calling thread becomes the first of them.
    pub fn new(count: usize, seed: u64) -> io::Result<Self> {
        let (mut namespaces, mut devices) = (Vec::new(), Vec::new());
        for node in (0..count).map(Node) {
            let handle = Handle::current();
            let (namespace, device) = if node == Node(0) {
                plug(node, &handle)?
            } else {
                // A thread of its own: a namespace is a thread's.
                let plugged = std::thread::spawn(move || plug(node, &handle));
                plugged.join().map_err(|_| io::Error::other("the thread of a namespace panicked"))??
            };
            namespaces.push(namespace);
            devices.push(device);
        }
        let shared = Arc::new(Shared {
            devices,
            conditions: Mutex::default(),
            dice: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        });
        let mut readers = JoinSet::new();
        for node in (0..count).map(Node) {
            readers.spawn(carry(shared.clone(), node));
        }
        Ok(Self { namespaces, shared, _readers: readers })
    }

    /// From now on packets between two nodes fare like this.
    pub fn set(&self, one: Node, other: Node, condition: Condition) {
        self.shared.conditions.lock().unwrap().insert(pair(one, other), condition);
    }

    /// From now on all packets pass.
    pub fn mend(&self) {
        self.shared.conditions.lock().unwrap().clear();
    }

    /// The command `program`, to be run at a node. It dies with the thread that starts it.
    #[must_use]
    pub fn command(&self, node: Node, program: &std::path::Path) -> Command {
        let namespace =
            format!("--net=/proc/{}/fd/{}", std::process::id(), self.namespaces[node.0].as_raw_fd());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter", &namespace, "--"]).arg(program);
        command
    }
}

fn pair(one: Node, other: Node) -> (Node, Node) {
    (one.min(other), one.max(other))
}

/// Gives the calling thread a network namespace with an address.
fn plug(node: Node, handle: &Handle) -> io::Result<(File, AsyncDevice)> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let _in_runtime = handle.enter();
    let device = DeviceBuilder::new().name("wire").layer(Layer::L3).build_async()?;
    let address = format!("{}/24", node.address());
    for arguments in [
        &["link", "set", "lo", "up"][..],
        &["addr", "add", &address, "dev", "wire"],
        &["link", "set", "wire", "up"],
    ] {
        let status = Command::new("ip").args(arguments).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("ip {arguments:?}: {status}")));
        }
    }
    Ok((File::open("/proc/thread-self/ns/net")?, device))
}

/// Carries what a node sends, for as long as the world stands.
async fn carry(shared: Arc<Shared>, from: Node) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok(length) = shared.devices[from.0].recv(&mut buffer).await else { return };
        let packet = &buffer[..length];
        let Some(to) = destination(packet).filter(|to| to.0 < shared.devices.len()) else { continue };
        for delay in shared.fate(from, to) {
            if delay.is_zero() {
                // A full queue loses packets, as any network does.
                let _ = shared.devices[to.0].send(packet).await;
            } else {
                let (shared, packet) = (shared.clone(), packet.to_vec());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = shared.devices[to.0].send(&packet).await;
                });
            }
        }
    }
}

/// Where an IPv4 packet goes (RFC 791 3.1); the namespaces speak IPv6 as well, to nobody.
fn destination(packet: &[u8]) -> Option<Node> {
    let version = packet.first()? >> 4;
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (version == 4).then(|| Node::of(address))?
}

impl Shared {
    /// How often a packet arrives, each time after how long.
    fn fate(&self, from: Node, to: Node) -> Vec<Duration> {
        let condition = self.conditions.lock().unwrap().get(&pair(from, to)).copied().unwrap_or_default();
        if condition == Condition::default() {
            return vec![Duration::ZERO];
        }
        let mut dice = self.dice.lock().unwrap();
        if condition.cut || dice.random_bool(condition.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(dice.random_bool(condition.doubled));
        (0..copies).map(|_| condition.delay.mul_f64(dice.random_range(0.5..1.5))).collect()
    }
}
