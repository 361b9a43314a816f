//! `build-drone`: claims packages from the orchestrator, builds each in a clean root, brings the artifact to the binhost.
//!
//! A drone keeps nothing that cannot be lost. What it is allowed to build is a [`Claim`](swarm_protocol::drone::Claim);
//! what it says of it is fenced by attempt, token and session and repeated until answered; what it builds it builds from
//! its base root under one epoch, without a network but for the fetch
//! and where an ebuild says that it needs one.
//!
//! | module | what |
//! |---|---|
//! | [`config`], [`limits`], [`secret`], [`preflight`], [`enrol`] | what stands before the first claim |
//! | [`epoch`] | what this drone can build under, by content |
//! | [`daemon`] | the process: loops, signals, order |
//! | [`link`], [`session`], [`heartbeat`], [`report`] | the way to the orchestrator, its retries and its fences |
//! | [`desk`], [`live`] | the attempts held, and what revokes, regains, cancels them |
//! | [`claims`], [`attempt`] | from a claim to its end |
//! | [`resolver`] | resolving runs: what Portage says is to be built |
//! | [`gate`] | judging generations: what Portage would do with them |
//! | [`errands`] | the loops that ask for the work of these two |
//! | [`build`], [`deliver`], [`stage`], [`stop`] | the stages of an attempt |
//! | [`root`] | clean roots: overlay, namespaces, processes |
//! | [`host`] | builds on the live system |
//! | [`emerge`], [`declared`], [`index`], [`pretend`], [`vdb`], [`artifact`] | Portage: commands, files, lists. Pure |
//! | [`closure`] | dependency binaries |
//! | [`sources`], [`offers`] | source archives, and how they become the swarm's |
//! | [`cache`], [`address`] | files of both kinds, kept by digest |
//! | [`download`] | files from the binhost |
//! | [`phases`] | what an ebuild is at, by what Portage prints. Pure |
//! | [`log`], [`shipper`] | the build log and its way to the orchestrator |
//! | [`failure`] | whose fault it was. Pure |
//! | [`machine`] | /proc |
//! | [`repair`] | what the orchestrator may do here over SSH |

pub mod address;
pub mod artifact;
pub mod attempt;
pub mod build;
pub mod cache;
pub mod claims;
pub mod closure;
pub mod config;
pub mod daemon;
pub mod declared;
pub mod deliver;
pub mod desk;
pub mod download;
pub mod emerge;
pub mod enrol;
pub mod epoch;
pub mod errands;
pub mod failure;
pub mod gate;
pub mod heartbeat;
pub mod host;
pub mod index;
pub mod limits;
pub mod link;
pub mod live;
pub mod log;
pub mod machine;
pub mod offers;
pub mod phases;
pub mod preflight;
pub mod pretend;
pub mod reduced;
pub mod repair;
pub mod report;
pub mod resolver;
pub mod root;
pub mod secret;
pub mod session;
pub mod shipper;
pub mod sources;
pub mod stage;
pub mod stop;
#[cfg(test)]
pub(crate) mod testing;
pub mod vdb;
