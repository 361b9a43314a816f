//! Build roots: an overlay over the base root, entered by one process tree at a time.
//!
//! ```text
//! drone ──fork──▶ build-drone __enter ──exec──▶ bwrap ──▶ (pid 1 of a namespace) ──▶ emerge
//!                 new mount namespace,           /proc, /dev, binds, no network,
//!                 overlay mounted there          environment of the list
//! ```
//!
//! The overlay is mounted in a mount namespace that only these processes are in, and the processes die with the drone
//! (`PR_SET_PDEATHSIG`, then the death of the namespace's pid 1). So a `kill -9` of the drone leaves neither mounts nor
//! processes, only files, and those are removed at the next start ([`dir::clear`]).
//!
//! | module | what |
//! |---|---|
//! | [`foundation`] | what a root stands on: layers and mounts |
//! | [`dir`] | the directories of an attempt |
//! | [`spec`] | what to mount and run, as a file for `__enter` |
//! | [`bwrap`] | the arguments of bwrap, a pure function |
//! | [`enter`] | the hidden subcommand |
//! | [`process`] | running it: output, end, killing |
//! | [`guard`] | what it may use and what it has used |
//! | [`cgroup`], [`tree`], [`disk`] | how that is known: from the kernel, from `/proc`, from the files |

pub mod bwrap;
pub mod cgroup;
pub mod dir;
pub mod disk;
pub mod enter;
pub mod foundation;
pub mod guard;
pub mod process;
pub mod spec;
pub mod tree;

pub use dir::AttemptDir;
pub use foundation::Foundation;
pub use guard::{Excess, Guard};
pub use process::{End, Launcher};
pub use spec::{Command, Confinement, Mount, Spec};
