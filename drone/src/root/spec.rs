//! What `__enter` shall mount and run. It travels as a JSON file in the attempt's directory, and stays there for whoever
//! asks how a build was run. It holds no secret.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A root to enter, and what to do there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The drone's process: whoever finds it gone must not begin.
    pub parent: u32,
    /// The overlay's lower layers, the uppermost first.
    pub lower: Vec<PathBuf>,
    /// Its upper layer, where everything that is written goes.
    pub upper: PathBuf,
    /// Its work directory, on the same file system as `upper`.
    pub work: PathBuf,
    /// An empty directory to mount it on.
    pub merged: PathBuf,
    /// The name of the machine that builds see.
    pub hostname: String,
    /// Directories of the host in the root, in order.
    pub mounts: Vec<Mount>,
    /// The command runs in the live system: none of the layers, mounts and names is made use of.
    #[serde(default)]
    pub live: bool,
    /// What holds the processes.
    #[serde(default)]
    pub confinement: Confinement,
    /// What to run.
    pub command: Command,
}

/// What the first process of a command takes upon itself and all its children, before it enters the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// The directory of the cgroup to join.
    pub cgroup: Option<PathBuf>,
    /// How many processors it may run on, where no cgroup says so.
    pub cores: Option<u16>,
    /// The largest file that it may write.
    pub file_bytes: Option<u64>,
    /// The size of `/dev/shm`.
    pub shared_memory_bytes: Option<u64>,
}

/// A directory of the host in the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The path on the host.
    pub source: PathBuf,
    /// The path in the root.
    pub target: PathBuf,
    /// Whether writing is refused there.
    pub read_only: bool,
}

/// A program in a root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Whether it may use the host's network.
    pub network: bool,
}
