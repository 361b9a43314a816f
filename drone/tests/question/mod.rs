//! A base root with a world of its own: the Gentoo box's, with one more repository whose ebuilds a test writes, and with
//! what a test binds over the configuration.

#![allow(dead_code, reason = "each test file uses its own part")]

use build_drone::config::Config;
use build_drone::emerge;
use build_drone::gate::seat::{self, Answer, Judged};
use build_drone::gate::{self, vdb};
use build_drone::resolver::ask::Question;
use build_drone::resolver::by_hand;
use build_drone::root::process::Watch;
use build_drone::root::{AttemptDir, Command, End, Foundation, Launcher, Mount};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm_protocol::gate::Seat;
use swarm_protocol::gentoo::WorldAtom;
use swarm_protocol::plan::{Plan, PlannedPackage};
use swarm_protocol::resolution::{BinaryKey, Finding, FindingKind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const BASE: &str = "/var/cache/build-swarm/roots/base";
const REPO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/gentoo-box/repo");
const REPOS_CONF: &str = "[DEFAULT]\nmain-repo = swarm-box\n[swarm-box]\nlocation = /var/db/repos/swarm-box\n\
                          [test]\nlocation = /var/db/repos/test\n";

/// A base root and what is different about it.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    binds: Vec<(PathBuf, String)>,
}

impl Bench {
    /// One whose second repository is empty; none where there is no base root.
    pub(crate) fn new() -> Option<Self> {
        if !Path::new(BASE).join("etc/portage").exists() || !rustix::process::geteuid().is_root() {
            eprintln!("no base root at {BASE}: nothing is tested");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut this = Self { dir, binds: Vec::new() };
        this.binds.push((fs::canonicalize(REPO).unwrap(), "/var/db/repos/swarm-box".to_owned()));
        this.binds.push((this.repo(), "/var/db/repos/test".to_owned()));
        for (file, text) in [
            ("profiles/repo_name", "test\n"),
            ("profiles/categories", "test\n"),
            ("metadata/layout.conf", "masters = swarm-box\nthin-manifests = true\nsign-manifests = false\n"),
        ] {
            this.write(file, text);
        }
        this.bind("/etc/portage/repos.conf", REPOS_CONF);
        Some(this)
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// Writes a file of the second repository.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.repo().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Writes `test/NAME-VERSION`, whose slot is 0 unless `body` says otherwise.
    pub(crate) fn ebuild(&self, name: &str, version: &str, body: &str) {
        let text = format!(
            "EAPI=8\nDESCRIPTION=\"test\"\nHOMEPAGE=\"https://example.org\"\nS=${{WORKDIR}}\n\
             LICENSE=\"public-domain\"\nSLOT=0\nKEYWORDS=\"amd64\"\n{body}\n"
        );
        self.write(&format!("test/{name}/{name}-{version}.ebuild"), &text);
    }

    /// Removes `test/NAME-VERSION`.
    pub(crate) fn remove(&self, name: &str, version: &str) {
        fs::remove_file(self.repo().join(format!("test/{name}/{name}-{version}.ebuild"))).unwrap();
    }

    /// Covers a file of the root, or adds it.
    pub(crate) fn bind(&mut self, target: &str, text: &str) {
        let source = self.dir.path().join(format!("bound-{}", self.binds.len()));
        fs::write(&source, text).unwrap();
        self.binds.push((source, target.to_owned()));
    }

    /// Adds a file to a directory of the root that the test makes.
    pub(crate) fn bind_below(&mut self, directory: &str, name: &str, text: &str) {
        let source = self.dir.path().join(format!("below{}", directory.replace('/', "-")));
        if !source.exists() {
            fs::create_dir(&source).unwrap();
            self.binds.push((source.clone(), directory.to_owned()));
        }
        fs::write(source.join(name), text).unwrap();
    }

    /// Adds `test/PF` to what the root has installed.
    pub(crate) fn installed(&mut self, pf: &str, slot: &str, rdepend: &str) {
        for (field, value) in [
            ("CATEGORY", "test"),
            ("EAPI", "8"),
            ("KEYWORDS", "amd64"),
            ("PF", pf),
            ("RDEPEND", rdepend),
            ("SLOT", slot),
            ("repository", "test"),
        ] {
            self.bind_below(&format!("/var/db/pkg/test/{pf}"), field, &format!("{value}\n"));
        }
    }

    /// A file of the test's own.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// Adds lines to the base root's make.conf.
    pub(crate) fn make_conf(&mut self, lines: &str) {
        let text = fs::read_to_string(Path::new(BASE).join("etc/portage/make.conf")).unwrap();
        self.bind("/etc/portage/make.conf", &format!("{text}\n{lines}\n"));
    }

    /// A drone's configuration file for it.
    pub(crate) fn config_file(&self) -> PathBuf {
        let mut text = format!(
            "name = 'box'\norchestrator_url = 'http://127.0.0.1:1'\ntoken_file = '/nowhere'\n\
             base_root = '{BASE}'\nstate_dir = '{}'\n",
            self.dir.path().join("state").display()
        );
        for (source, target) in &self.binds {
            write!(text, "[[bind]]\nsource = '{}'\ntarget = '{target}'\n", source.display()).unwrap();
        }
        let file = self.dir.path().join("drone.toml");
        fs::write(&file, text).unwrap();
        file
    }

    /// The same, read.
    pub(crate) fn config(&self) -> Config {
        Config::load(&self.config_file(), |_| None).unwrap()
    }

    /// What the base root's Portage says about `world`, with the binaries of an index.
    pub(crate) async fn resolve(
        &self,
        world: &[&str],
        index: Option<&Path>,
    ) -> anyhow::Result<(Option<Plan>, Vec<Finding>)> {
        self.resolve_keyed(world, index, &[]).await
    }

    /// The same, where it is known what the binaries were built from.
    pub(crate) async fn resolve_keyed(
        &self,
        world: &[&str],
        index: Option<&Path>,
        keys: &[BinaryKey],
    ) -> anyhow::Result<(Option<Plan>, Vec<Finding>)> {
        let question = Question { world: &atoms(world), keys, ..Question::default() };
        by_hand::resolve(&self.config(), &launcher(), question, index).await
    }

    /// What the base root's Portage would do with the generation that `index` lists on a machine with this world that
    /// is set up anew. Its TIMESTAMP should be `timestamp`; none is the index's own.
    pub(crate) async fn gate(&self, world: &[&str], index: &Path, timestamp: Option<i64>) -> Answer {
        self.gate_of(world, index, timestamp, &[]).await
    }

    /// The same on a machine that has these installed: `test/PF` with its RDEPEND.
    pub(crate) async fn gate_of(
        &self,
        world: &[&str],
        index: &Path,
        timestamp: Option<i64>,
        installed: &[(&str, &str)],
    ) -> Answer {
        let config = self.config();
        let text = fs::read_to_string(index).unwrap();
        let own = text.lines().find_map(|line| line.strip_prefix("TIMESTAMP: ")).unwrap().parse().unwrap();
        let dir = AttemptDir::create(&gate::directories(&config), "1").unwrap();
        let judged = Judged {
            config: &config,
            foundation: &Foundation::own(&config),
            launcher: &launcher(),
            index,
            timestamp: timestamp.unwrap_or(own),
            mask: &[],
            deadline: Instant::now() + Duration::from_mins(5),
            cancel: &CancellationToken::new(),
        };
        let seat = Seat { name: None, world: atoms(world), installed: None };
        fs::create_dir(dir.installed()).unwrap();
        vdb::seed(&config.base_root, &dir.installed()).unwrap();
        for (pf, rdepend) in installed {
            let entry = dir.installed().join("test").join(pf);
            fs::create_dir_all(&entry).unwrap();
            for (field, value) in [
                ("CATEGORY", "test"),
                ("EAPI", "8"),
                ("KEYWORDS", "amd64"),
                ("PF", pf),
                ("RDEPEND", rdepend),
                ("SLOT", "0"),
                ("repository", "test"),
            ] {
                fs::write(entry.join(field), format!("{value}\n")).unwrap();
            }
        }
        seat::ask(judged, &dir, &seat, vdb::mount(&dir)).await.unwrap()
    }

    /// The plan, of which there must be one.
    pub(crate) async fn plan(&self, world: &[&str], index: Option<&Path>) -> Plan {
        let (plan, findings) = self.resolve(world, index).await.unwrap();
        plan.unwrap_or_else(|| panic!("{findings:#?}"))
    }

    /// The one finding.
    pub(crate) async fn finding(&self, world: &[&str], kind: FindingKind) -> Finding {
        let (plan, findings) = self.resolve(world, None).await.unwrap();
        assert!(plan.is_none(), "{plan:#?}");
        let [finding] = &findings[..] else { panic!("{findings:#?}") };
        assert_eq!(finding.kind, kind, "{finding:#?}");
        assert!(!finding.detail.contains('\u{1b}'), "no colours: {}", finding.detail);
        finding.clone()
    }

    /// Builds everything that `world` needs, by real emerge, and returns the index of the binaries.
    pub(crate) async fn build(&self, world: &[&str]) -> PathBuf {
        let config = self.config();
        let pkgdir = self.dir.path().join("pkgdir");
        fs::create_dir_all(&pkgdir).unwrap();
        let mut argv: Vec<String> =
            ["emerge", "--ignore-default-opts", "--emptytree", "--buildpkg", "--oneshot", "@system"]
                .map(str::to_owned)
                .into();
        argv.extend(world.iter().map(|&atom| atom.to_owned()));
        let mut environment = emerge::resolver_environment();
        environment.remove("PORTAGE_BINHOST");
        environment.extend(
            [
                ("FEATURES", "binpkg-multi-instance -merge-sync"),
                ("CLEAN_DELAY", "0"),
                ("BINPKG_FORMAT", "gpkg"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let foundation = Foundation::own(&config);
        let mut mounts = foundation.mounts().to_vec();
        mounts.push(Mount { source: pkgdir.clone(), target: emerge::PACKAGE_DIR.into(), read_only: false });
        let mut said = Vec::new();
        let watch = Watch {
            output: &mut |bytes| said.extend_from_slice(bytes),
            started: &mut |_| {},
            guard: None,
            deadline: Instant::now() + Duration::from_mins(5),
            cancel: &CancellationToken::new(),
        };
        let dir = AttemptDir::create(&config.state_dir.join("attempts"), "build").unwrap();
        let command = Command { argv, environment, network: false };
        let end = launcher().run(&foundation, &dir, "emerge", mounts, &command, watch).await.unwrap();
        assert_eq!(end, End::Exit(0), "{}", String::from_utf8_lossy(&said));
        pkgdir.join("Packages")
    }
}

pub(crate) fn launcher() -> Launcher {
    Launcher::of(Path::new(env!("CARGO_BIN_EXE_build-drone")))
}

pub(crate) fn atoms(world: &[&str]) -> Vec<WorldAtom> {
    world.iter().map(|atom| atom.parse().unwrap()).collect()
}

/// As in `test/a-1 build` or `test/a-1 keep 3`.
pub(crate) fn shown(plan: &Plan) -> Vec<String> {
    let what = |package: &PlannedPackage| package.keep.map_or("build".to_owned(), |id| format!("keep {id}"));
    plan.packages.iter().map(|package| format!("{} {}", package.cpv, what(package))).collect()
}

/// As in `test/a-1 buildtime+runtime test/b-1`.
pub(crate) fn edges(plan: &Plan) -> Vec<String> {
    let name = |place: u32| plan.packages[usize::try_from(place).unwrap()].cpv.to_string();
    let kinds = |kinds: &[swarm_protocol::state::EdgeKind]| {
        kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join("+")
    };
    plan.edges.iter().map(|edge| format!("{} {} {}", name(edge.0), kinds(&edge.2), name(edge.1))).collect()
}
