//! Every call of `emerge`: its arguments and its whole environment, as a function of what is to be done.
//!
//! The commands are those of PORTAGE.md 3 and 5. Two rules hold for all of them: `--ignore-default-opts`, since
//! `EMERGE_DEFAULT_OPTS` in the target's make.conf is written for workstations and breaks builds here; and an
//! environment that is listed, never inherited, since emerge stores it inside the package.
//!
//! | step | network | PKGDIR | what |
//! |---|---|---|---|
//! | [`Step::Sources`] | no | none of ours | which source archives the package has; no emerge (`steps/archives.py`) |
//! | [`Step::Fetch`] | yes | none of ours | those of them that nobody in the swarm has |
//! | [`Step::Install`] | no | the closure | the closure, by exact version, as binaries, in the claim's order |
//! | [`Step::Check`] | no | the closure | what Portage thinks is still missing: nothing, it should say |
//! | [`Step::Build`] | no, but see [`Network`] | the artifact's | the package alone |

use std::collections::BTreeMap;
use swarm_protocol::drone::{Claim, Dependency};

/// Where the per-claim PKGDIR of dependencies is bound in the root, read-only.
pub const CLOSURE_DIR: &str = "/var/cache/swarm/closure";
/// Where the PKGDIR of the artifact is bound in the root.
pub const PACKAGE_DIR: &str = "/var/cache/swarm/packages";
/// Where the build's source archives are bound in the root; writable for the fetch only.
pub const DIST_DIR: &str = "/var/cache/swarm/distfiles";

/// Where the `Packages` file that the resolver offers to Portage lies in the root.
pub const INDEX_DIR: &str = "/var/cache/swarm/index";

/// What compilers and packers write in place of the time (reproducible-builds.org, `SOURCE_DATE_EPOCH`), so that the same
/// package built again, elsewhere and later, is the same. Nothing that is in an epoch has a date, so it is one for all:
/// the beginning of 2000, since ZIP knows no year before 1980, and in no time zone may it fall before.
const SOURCE_DATE: &str = "946684800";

/// The program of [`Step::Sources`].
const ARCHIVES: &str = include_str!("../steps/archives.py");

/// One call of emerge in the life of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Say which source archives there are.
    Sources,
    /// Bring the source archives.
    Fetch,
    /// Install the closure.
    Install,
    /// Say what is missing.
    Check,
    /// Compile and pack.
    Build,
}

/// Where the target's directory of ccache is bound in the root.
pub const CCACHE_DIR: &str = "/var/cache/swarm/ccache";

/// What a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Parallel compilations.
    pub jobs: u16,
    /// The network of [`Step::Build`].
    pub network: Network,
    /// The size of the target's [`CCACHE_DIR`] in bytes, where there is one.
    pub ccache_bytes: Option<u64>,
}

/// The network of [`Step::Build`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// None: the step has a network namespace of its own.
    None,
    /// The host's, and Portage takes it from every phase for which the ebuild does not ask: its `network-sandbox`.
    Declared,
    /// The host's in every phase: the configuration says so.
    All,
}

/// What to run in the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// Whether it may use the network.
    pub network: bool,
}

/// The call of emerge for `step` of `claim`.
#[must_use]
pub fn invocation(step: Step, claim: &Claim, terms: Terms) -> Invocation {
    let Terms { jobs, network, ccache_bytes } = terms;
    let mut environment = environment(step, jobs);
    if let (Step::Build, Some(bytes)) = (step, ccache_bytes) {
        ccache(&mut environment, bytes);
    }
    if let (Step::Build, Network::Declared, Some(features)) = (step, network, environment.get_mut("FEATURES"))
    {
        // FEATURES are incremental: the last word wins.
        features.push_str(" network-sandbox");
    }
    Invocation {
        argv: argv(step, claim),
        environment,
        network: step == Step::Fetch || (step == Step::Build && network != Network::None),
    }
}

/// Portage's FEATURES=ccache. A root's compiler is another file than the last root's of the same bytes, and a rebuilt one
/// can have the same size and time: so it is told by its contents.
fn ccache(environment: &mut BTreeMap<String, String>, bytes: u64) {
    if let Some(features) = environment.get_mut("FEATURES") {
        features.push_str(" ccache");
    }
    environment.extend(
        [
            ("CCACHE_COMPILERCHECK", "content"),
            ("CCACHE_DIR", CCACHE_DIR),
            ("CCACHE_MAXSIZE", &format!("{}Mi", bytes >> 20)),
            // With FEATURES=userpriv it is Portage's user that compiles.
            ("CCACHE_UMASK", "002"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
}

/// The call as a log shows it: a program in an argument by its name.
#[must_use]
pub fn shown(call: &Invocation) -> String {
    let words = call.argv.iter().map(|word| if word == ARCHIVES { "archives.py" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn argv(step: Step, claim: &Claim) -> Vec<String> {
    match step {
        Step::Sources => {
            let repository = claim.repository.to_string();
            ["python3", "-B", "-c", ARCHIVES, &claim.cpv.to_string(), &repository].map(str::to_owned).into()
        }
        Step::Fetch => emerge(&["--fetchonly", "--nodeps", "--oneshot"], [ebuild_atom(claim)]),
        Step::Install => install(&claim.closure),
        Step::Check => {
            let options = [
                "--pretend",
                "--onlydeps",
                "--onlydeps-with-rdeps=n",
                "--usepkg",
                "--update",
                "--deep",
                "--newuse",
                "--ignore-world=y",
                "--oneshot",
            ];
            let exclude = format!("--usepkg-exclude={}:{}", claim.cpv.cp(), claim.slot.slot());
            emerge(&options, [exclude, ebuild_atom(claim)])
        }
        Step::Build => emerge(&["--buildpkgonly", "--oneshot", "--quiet-build=n"], [ebuild_atom(claim)]),
    }
}

fn emerge(options: &[&str], rest: impl IntoIterator<Item = String>) -> Vec<String> {
    let always = ["emerge", "--ignore-default-opts", "--color=n", "--ask=n", "--autounmask=n"];
    always.iter().chain(options).map(|&word| word.to_owned()).chain(rest).collect()
}

/// Installs the binaries of PKGDIR by exact version, in this order.
#[must_use]
pub fn install(packages: &[Dependency]) -> Vec<String> {
    let atoms = packages.iter().map(|package| format!("={}", package.cpv));
    emerge(&["--nodeps", "--usepkgonly", "--oneshot", "--quiet-build=n"], atoms)
}

/// The environment of an installation in a base root. It is that of a build's root, but PKGDIR has no index, so Portage reads
/// the packages themselves; and files in `/etc` are the packages', as in a stage3.
#[must_use]
pub fn base_root_environment() -> BTreeMap<String, String> {
    let mut environment = environment(Step::Install, 1);
    if let Some(features) = environment.get_mut("FEATURES") {
        features.push_str(" -pkgdir-index-trusted");
    }
    environment.insert("CONFIG_PROTECT".to_owned(), "-*".to_owned());
    environment
}

/// The package by exact version and repository: another repository may hold the same version.
fn ebuild_atom(claim: &Claim) -> String {
    format!("={}::{}", claim.cpv, claim.repository)
}

/// Portage's FEATURES of every step. The root is already a namespace of its own, and Portage's would need more rights;
/// what travels in the target's make.conf for workstations (asking a binhost, signing, verifying) is switched off; and a root
/// that is thrown away need not reach the disk (`merge-sync`).
const FEATURES: &[&str] = &[
    "-binpkg-request-signature",
    "-binpkg-signing",
    "-getbinpkg",
    "-ipc-sandbox",
    "-merge-sync",
    "-merge-wait",
    "-mount-sandbox",
    "-network-sandbox",
    "-news",
    "-pid-sandbox",
];

fn features(step: Step) -> String {
    let own: &[&str] = match step {
        Step::Sources | Step::Fetch => &[],
        // Digests of the closure were checked against the claim, so its signatures need no keyring here.
        Step::Install | Step::Check => {
            &["-buildpkg", "binpkg-ignore-signature", "binpkg-multi-instance", "pkgdir-index-trusted"]
        }
        // The seeded index is only believed with `pkgdir-index-trusted`: its file is not there (see `index`).
        Step::Build => &["binpkg-multi-instance", "pkgdir-index-trusted"],
    };
    FEATURES.iter().chain(own).copied().collect::<Vec<_>>().join(" ")
}

/// The environment in which the resolver loads Portage: the only binaries are those of [`INDEX_DIR`].
#[must_use]
pub fn resolver_environment() -> BTreeMap<String, String> {
    let features = [FEATURES, &["-buildpkg", "binpkg-multi-instance"]].concat().join(" ");
    let mut environment = base_environment();
    environment.extend(
        [
            ("FEATURES", features.as_str()),
            // Not a directory of the base root's, which may hold binaries.
            ("PKGDIR", PACKAGE_DIR),
            // It stands for make.conf's; binrepos.conf comes besides, and is covered.
            ("PORTAGE_BINHOST", &format!("file://{INDEX_DIR}")),
            ("PORTAGE_TMPDIR", "/var/tmp"),
            // Portage iterates over sets of strings: with another seed it may choose otherwise.
            ("PYTHONHASHSEED", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    environment
}

/// A workstation's own command, as the gate's smoke install runs it.
#[must_use]
pub fn smoke() -> Vec<String> {
    let options = ["--usepkg", "--usepkgonly", "--getbinpkg", "--update", "--deep", "--newuse", "@world"];
    emerge(&options, [])
}

/// Its environment: that of the resolver, which sees the same index. The packages come from the drone, which has checked
/// nothing but that they are the generation's, so no keyring is needed for their signatures.
#[must_use]
pub fn smoke_environment() -> BTreeMap<String, String> {
    let mut environment = resolver_environment();
    if let Some(features) = environment.get_mut("FEATURES") {
        features.push_str(" binpkg-ignore-signature");
    }
    environment.extend(
        [("CLEAN_DELAY", "0"), ("EMERGE_WARNING_DELAY", "0"), ("PORTAGE_ELOG_SYSTEM", "echo")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    environment
}

fn environment(step: Step, jobs: u16) -> BTreeMap<String, String> {
    let pkgdir = match step {
        Step::Sources | Step::Build | Step::Fetch => PACKAGE_DIR,
        Step::Install | Step::Check => CLOSURE_DIR,
    };
    let mut environment = base_environment();
    environment.extend(
        [
            ("BINPKG_FORMAT", "gpkg"),
            ("CLEAN_DELAY", "0"),
            ("DISTDIR", DIST_DIR),
            ("EMERGE_WARNING_DELAY", "0"),
            ("FEATURES", &features(step)),
            ("MAKEOPTS", &format!("-j{jobs}")),
            ("PKGDIR", pkgdir),
            // Messages of ebuilds belong into the log, not into somebody's mail.
            ("PORTAGE_ELOG_SYSTEM", "echo"),
            ("PORTAGE_TMPDIR", "/var/tmp"),
            ("SOURCE_DATE_EPOCH", SOURCE_DATE),
            ("TZ", "UTC"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    environment
}

/// The environment of every command in a root, emerge or not.
#[must_use]
pub fn base_environment() -> BTreeMap<String, String> {
    [
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
        // The second is for Portage before 3.0.5x; neither is stored in packages.
        ("NO_COLOR", "1"),
        ("NOCOLOR", "true"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("TERM", "dumb"),
        ("USER", "root"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const TERMS: Terms = Terms { jobs: 4, network: Network::None, ccache_bytes: None };

    fn listed(step: Step) -> String {
        let call = invocation(step, &testing::claim("app-arch/pigz-2.8", &["sys-libs/zlib-1.3.1"]), TERMS);
        let environment: Vec<_> = call.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{}\nnetwork={}\n{}", shown(&call), call.network, environment.join("\n"))
    }

    #[test]
    fn every_call_as_it_is_made() {
        for step in [Step::Sources, Step::Fetch, Step::Install, Step::Check, Step::Build] {
            insta::assert_snapshot!(format!("{step:?}"), listed(step));
        }
    }

    #[test]
    fn only_the_fetch_has_a_network() {
        let claim = testing::claim("a/b-1", &[]);
        for step in [Step::Install, Step::Check, Step::Build] {
            assert!(!invocation(step, &claim, TERMS).network, "{step:?}");
        }
    }

    #[test]
    fn ccache_is_of_the_build_alone() {
        let claim = testing::claim("a/b-1", &[]);
        let call =
            |step| invocation(step, &claim, Terms { ccache_bytes: Some(5 << 30), ..TERMS }).environment;
        let build = call(Step::Build);
        assert!(build["FEATURES"].ends_with(" ccache"));
        assert_eq!((build["CCACHE_MAXSIZE"].as_str(), build["CCACHE_DIR"].as_str()), ("5120Mi", CCACHE_DIR));
        assert!(!call(Step::Install).contains_key("CCACHE_DIR"));
    }

    #[test]
    fn a_network_while_building_is_portages_to_share_out_or_the_configurations() {
        let claim = testing::claim("a/b-1", &[]);
        let call = |step, network| {
            let call = invocation(step, &claim, Terms { network, ..TERMS });
            (call.network, call.environment["FEATURES"].ends_with(" network-sandbox"))
        };
        assert_eq!(call(Step::Build, Network::Declared), (true, true));
        assert_eq!(call(Step::Build, Network::All), (true, false));
        assert_eq!(call(Step::Check, Network::All), (false, false));
    }
}
