//! Drones that bring themselves to what workstations push, on real Portage: two targets on the same drones, a drone that
//! is behind, repositories by commit over ssh, definitions that nobody can hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_protocol::admin::{NewRun, NewTarget, Run};
use swarm_protocol::binhost::Provided;
use swarm_protocol::definition::Source;
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::RunId;
use swarm_protocol::state::RunState;
use swarm_tests::definitions::{self, configuration, push, snapshot};
use swarm_tests::machines::{self, DroneMachine, Machine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, gpkg, wait};

/// A program whose metadata says under which configuration it was built.
const TELLING: &str = r#"# Copyright the Build Swarm authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

DESCRIPTION="Says what it was built with"
HOMEPAGE="https://wiki.gentoo.org/wiki/Binary_package_guide"
S="${WORKDIR}"

LICENSE="public-domain"
SLOT="0"
KEYWORDS="amd64"
IUSE="colour"

src_compile() {
	echo 'int main(void) { return 0; }' > telling.c || die
	${CC:-cc} ${CFLAGS} -o telling telling.c || die
}

src_install() {
	exeinto /opt/telling
	newexe telling ${P}
}
"#;

/// The boxes' repository with a few telling packages in it.
fn telling(swarm: &Swarm, names: &[&str]) -> PathBuf {
    let repository = machines::repository(swarm);
    for name in names {
        let dir = repository.join("swarm-test").join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(format!("{name}-1.ebuild")), TELLING).unwrap();
    }
    repository
}

fn world(names: &[&str]) -> String {
    names.iter().map(|name| format!("swarm-test/{name}\n")).collect()
}

async fn new_target(swarm: &Swarm, name: &str) -> TargetName {
    let name: TargetName = name.parse().unwrap();
    let new = NewTarget { name: name.clone(), world: vec![], provided: Provided::default() };
    swarm.admin.create_target(&new).await.unwrap();
    name
}

async fn start(swarm: &Swarm, target: &TargetName) -> RunId {
    swarm.admin.start_run(target, &NewRun { epoch: None, plan: None }).await.unwrap().id
}

async fn promoted(swarm: &Swarm, run: RunId) -> Run {
    let over = wait::until(240, &format!("run {run} to be over"), async || {
        let run = swarm.admin.run(run).await.ok()?;
        (run.state.is_over() || run.state == RunState::Frozen).then_some(run)
    })
    .await;
    assert_eq!(over.state, RunState::Promoted, "{over:#?}");
    over
}

/// The metadata of the telling packages that a run has built.
async fn metadata(swarm: &Swarm, run: &Run) -> Vec<BTreeMap<String, String>> {
    let client = reqwest::Client::new();
    let mut all = Vec::new();
    for package in swarm.admin.packages(run.id).await.unwrap() {
        let artifact = package.artifact.unwrap();
        if package.cpv.category() == "swarm-test" {
            let url = format!("{}/binhost/{}/{}", swarm.binhost_url(), run.target, artifact.path);
            let answer = client.get(url).send().await.unwrap().error_for_status().unwrap();
            all.push(gpkg::metadata(&answer.bytes().await.unwrap()));
        }
    }
    assert!(!all.is_empty());
    all
}

/// Asserts how all telling packages of a run were built.
async fn built_with(swarm: &Swarm, run: &Run, optimisation: &str, colour: bool) {
    for package in metadata(swarm, run).await {
        let flags: Vec<_> = package["CFLAGS"].split_whitespace().collect();
        let wanted: Vec<_> = flags.iter().filter(|flag| flag.starts_with("-O")).collect();
        assert_eq!(wanted, [&optimisation], "{} under run {}", package["PF"], run.id);
        let has_colour = package["USE"].split_whitespace().any(|flag| flag == "colour");
        assert_eq!(has_colour, colour, "{} under run {}", package["PF"], run.id);
    }
}

async fn builders(swarm: &Swarm, run: &Run) -> BTreeSet<String> {
    let packages = swarm.admin.packages(run.id).await.unwrap();
    packages.into_iter().map(|package| package.artifact.unwrap().drone).collect()
}

/// How often the drone said that it holds a definition, by how many of its parts it had to make.
fn held(drone: &DroneMachine) -> Vec<usize> {
    let log = fs::read_to_string(&drone.log).unwrap();
    let lines = log.lines().filter(|line| line.contains("the drone holds the definition"));
    let made = lines.map(|line| {
        let field = line.split("parts.made=").nth(1).unwrap();
        field.split_whitespace().next().unwrap().parse().unwrap()
    });
    made.collect()
}

async fn holds(drone: &DroneMachine, definitions: usize) -> Vec<usize> {
    let what = format!("{} to hold {definitions} definitions", drone.name);
    wait::until(60, &what, async || Some(held(drone)).filter(|held| held.len() >= definitions)).await
}

/// The inodes of the parts of definitions on a drone's disk.
fn parts(drone: &DroneMachine) -> BTreeSet<u64> {
    let epochs = drone.machine.root().join("var/lib/build-drone/epochs");
    let inode = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().metadata().unwrap().ino();
    let kinds = ["configuration", "trees"].iter();
    kinds.flat_map(|kind| fs::read_dir(epochs.join(kind)).unwrap().map(inode)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_targets_on_the_same_drones_never_mix() {
    const NAMES: [&str; 4] = ["one", "two", "three", "four"];
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let other = new_target(&swarm, "other").await;
    let repository = snapshot(&swarm, &telling(&swarm, &NAMES)).await;
    let fast = configuration(swarm.path().join("fast"), "CFLAGS=\"-O2 -march=x86-64-v2\"\nUSE=\"colour\"");
    let small = configuration(swarm.path().join("small"), "CFLAGS=\"-Os -march=x86-64\"\nUSE=\"-colour\"");
    push(&swarm, &target(), &fast, &repository, &world(&NAMES)).await;
    push(&swarm, &other, &small, &repository, &world(&NAMES)).await;
    let drones = [
        DroneMachine::start_at(&swarm, "ant", Place::default()).await,
        DroneMachine::start_at(&swarm, "bee", Place::default()).await,
    ];
    for drone in &drones {
        let made: usize = holds(drone, 2).await.iter().sum();
        assert_eq!(made, 3, "two configurations, and the repository that they share");
    }
    let runs = [start(&swarm, &target()).await, start(&swarm, &other).await];
    let [fast, small] = [promoted(&swarm, runs[0]).await, promoted(&swarm, runs[1]).await];
    assert_ne!(fast.epoch, small.epoch);
    built_with(&swarm, &fast, "-O2", true).await;
    built_with(&swarm, &small, "-Os", false).await;
    for run in [&fast, &small] {
        assert_eq!(builders(&swarm, run).await, ["ant", "bee"].map(str::to_owned).into(), "run {}", run.id);
    }
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drone_that_is_behind_catches_up_before_it_claims() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let repository = snapshot(&swarm, &telling(&swarm, &["one"])).await;
    let first = configuration(swarm.path().join("first"), "CFLAGS=\"-O2\"\nUSE=\"colour\"");
    let second = configuration(swarm.path().join("second"), "CFLAGS=\"-O1\"\nUSE=\"colour\"");
    push(&swarm, &target(), &first, &repository, &world(&["one"])).await;
    let mut drone = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
    let run = promoted(&swarm, start(&swarm, &target()).await).await;
    built_with(&swarm, &run, "-O2", true).await;
    assert_eq!(held(&drone), [2], "a configuration and a repository");

    // The run begins at once, while the drone is still at the first definition.
    push(&swarm, &target(), &second, &repository, &world(&["one"])).await;
    let behind = promoted(&swarm, start(&swarm, &target()).await).await;
    assert_ne!(behind.epoch, run.epoch);
    built_with(&swarm, &behind, "-O1", true).await;
    assert_eq!(held(&drone), [2, 1], "the repository was there already");

    // Back: all of it is on the disk, and a new process finds it there, too.
    let before = parts(&drone);
    assert_eq!(before.len(), 3);
    push(&swarm, &target(), &first, &repository, &world(&["one"])).await;
    assert_eq!(holds(&drone, 3).await, [2, 1, 0]);
    drone.daemon.take().unwrap().kill();
    drone.start_daemon();
    assert_eq!(holds(&drone, 4).await[3], 0);
    assert_eq!(parts(&drone), before);
    let back = promoted(&swarm, start(&swarm, &target()).await).await;
    assert_eq!(back.epoch, run.epoch, "what is the same has one epoch");

    // What somebody changes on the drone's disk is made anew before anything is built with it.
    let tree = drone.machine.root().join("var/lib/build-drone/epochs/trees");
    let tree = fs::read_dir(tree).unwrap().next().unwrap().unwrap().path();
    let ebuild = tree.join("swarm-test/one/one-1.ebuild");
    fs::write(&ebuild, TELLING.replace("return 0", "return 1")).unwrap();
    let mended = wait::until(90, "the tree to be made anew", async || {
        let text = fs::read_to_string(&ebuild).ok()?;
        (text == TELLING).then_some(held(&drone))
    });
    mended.await;
    assert_eq!(holds(&drone, 5).await[4], 1);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// A machine that serves a git repository over ssh, and the key that opens it.
struct GitServer {
    machine: Machine,
    key: PathBuf,
}

impl GitServer {
    fn start(files: &Path, repository: &Path) -> Self {
        let key = files.join("git-key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let binds = [format!("{}:/srv/work", repository.display())];
        let machine = Machine::server("git", &key.with_extension("pub"), &binds);
        let this = Self { machine, key };
        let _ = this
            .git("init --quiet --initial-branch=main && git add . && git init --quiet --bare /srv/box.git");
        this
    }

    /// Runs git in the work tree.
    fn git(&self, arguments: &str) -> String {
        let identity =
            "export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t";
        let script =
            format!("{identity}; git config --global safe.directory '*'; cd /srv/work; git {arguments}");
        self.machine.ok(&["sh", "-ec", &script]).trim().to_owned()
    }

    /// Commits what is in the work tree, and moves the branch there.
    fn commit(&self) -> String {
        let _ = self
            .git("add . && git commit --quiet -m x && git push --quiet /srv/box.git HEAD:refs/heads/main");
        self.git("rev-parse HEAD")
    }

    fn uri(&self, path: &str) -> String {
        format!("root@{}:{path}", self.machine.ip())
    }

    /// What makes root of another machine known here, and this machine known there.
    fn introduction(&self) -> String {
        let host = self.machine.ok(&["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]);
        let mut script = "install -d -m 700 /root/.ssh\n".to_owned();
        let key = fs::read_to_string(&self.key).unwrap();
        write!(script, "cat >/root/.ssh/id_ed25519 <<'END'\n{key}END\nchmod 600 /root/.ssh/id_ed25519\n")
            .unwrap();
        write!(script, "echo '{} {}' >/root/.ssh/known_hosts\n", self.machine.ip(), host.trim()).unwrap();
        script
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_at_the_commit_that_was_pushed_and_what_is_broken_holds_up_nothing() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let work = telling(&swarm, &["one"]);
    // The archive of a commit is its files, whatever the repository would leave out of one.
    fs::write(work.join(".gitattributes"), "swarm-test export-ignore\n").unwrap();
    let server = GitServer::start(swarm.path(), &work);
    let commit = server.commit();
    let _ = server.machine.ok(&["cp", "-r", "/srv/box.git", "/srv/other.git"]);
    // The branch moves on: what it has now does not compile.
    let ebuild = work.join("swarm-test/one/one-1.ebuild");
    fs::write(&ebuild, TELLING.replace("return 0;", "")).unwrap();
    let moved = server.commit();
    assert_ne!(moved, commit);

    let good = configuration(swarm.path().join("good"), "CFLAGS=\"-O2\"\nUSE=\"colour\"");
    let native = configuration(swarm.path().join("native"), "CFLAGS=\"-O2 -march=native\"");
    let profile = configuration(swarm.path().join("profile"), "");
    fs::remove_file(profile.join("make.profile")).unwrap();
    std::os::unix::fs::symlink("/var/db/repos/swarm-box/profiles/none", profile.join("make.profile"))
        .unwrap();
    let at = |path: &str, commit: &str| {
        definitions::repository(Source::Git { uri: server.uri(path), commit: commit.to_owned() })
    };
    let broken = [
        ("absent", &good, at("/srv/absent.git", &moved), "cannot fetch from"),
        ("unknown", &good, at("/srv/other.git", &"1".repeat(40)), "has no commit"),
        ("native", &native, at("/srv/box.git", &commit), "-march=native"),
        ("profile", &profile, at("/srv/box.git", &commit), "make.profile leads to"),
    ];
    for (name, configuration, repository, _) in &broken {
        let target = new_target(&swarm, name).await;
        push(&swarm, &target, configuration, repository, &world(&["one"])).await;
        start(&swarm, &target).await;
    }
    push(&swarm, &target(), &good, &at("/srv/box.git", &commit), &world(&["one"])).await;
    let prepare = server.introduction();
    let place = Place { prepare: Some(&prepare), ..Place::default() };
    let drone = DroneMachine::start_at(&swarm, "ant", place).await;
    let run = promoted(&swarm, start(&swarm, &target()).await).await;
    built_with(&swarm, &run, "-O2", true).await;
    let log = fs::read_to_string(&drone.log).unwrap();
    for (name, _, _, says) in &broken {
        let target: TargetName = (*name).parse().unwrap();
        let runs = swarm.admin.runs(Some(&target), true).await.unwrap();
        assert_eq!(runs[0].state, RunState::Resolving, "nobody can resolve {name}");
        let said = log.lines().filter(|line| line.contains("WARN") && line.contains(says)).count();
        assert_eq!(said, 1, "{name}: {says}\n{log}");
    }

    // A server that gives single commits gives no more than that: the tip of the branch is never fetched.
    let _ = server.machine.ok(&[
        "git",
        "-C",
        "/srv/box.git",
        "config",
        "uploadpack.allowReachableSHA1InWant",
        "true",
    ]);
    fs::write(&ebuild, TELLING).unwrap();
    fs::rename(&ebuild, ebuild.with_file_name("one-2.ebuild")).unwrap();
    let next = server.commit();
    fs::write(&ebuild, TELLING).unwrap();
    let tip = server.commit();
    push(&swarm, &target(), &good, &at("/srv/box.git", &next), &world(&["one"])).await;
    let run = promoted(&swarm, start(&swarm, &target()).await).await;
    for package in metadata(&swarm, &run).await {
        assert_eq!(package["PF"], "one-2");
    }
    let mirrors = "for mirror in /var/lib/build-drone/epochs/git/*; do git --git-dir $mirror cat-file -t";
    let has = |commit: &str| {
        drone.machine.ok(&["sh", "-c", &format!("{mirrors} {commit} 2>/dev/null; done; true")])
    };
    assert_eq!((has(&next).trim(), has(&tip).trim()), ("commit", ""));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
