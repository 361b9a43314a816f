//! Drones that bring themselves to what workstations push, on real Portage: two targets on the same drones, a drone that
//! is behind, repositories by commit over ssh, definitions that nobody can hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_protocol::admin::{NewRun, NewTarget, Run};
use swarm_protocol::binhost::Provided;
use swarm_protocol::definition::{RepositorySource, Source};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::id::RunId;
use swarm_protocol::state::RunState;
use swarm_tests::definitions::{self, configuration, push, snapshot};
use swarm_tests::machines::{self, DroneMachine, Machine, Place};
use swarm_tests::process::Process;
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
    names.iter().flat_map(|name| ["swarm-test/", name, "\n"]).collect()
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
    _silence: Process,
}

const SILENT: u16 = 2222;

impl GitServer {
    fn start(files: &Path, repository: &Path) -> Self {
        let key = files.join("git-key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let binds = [format!("{}:/srv/work", repository.display())];
        let machine = Machine::server("git", &key.with_extension("pub"), &binds);
        let listen =
            format!("import socket, time; here = socket.create_server(('', {SILENT})); time.sleep(3600)");
        let silence = machine.spawn(&["python3", "-c", &listen], &files.join("silence.log"));
        let this = Self { machine, key, _silence: silence };
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

    /// The boxes' repository, from here.
    fn repository(&self, path: &str, commit: &str) -> RepositorySource {
        let uri = format!("root@{}:{path}", self.machine.ip());
        definitions::repository(Source::Git { uri, commit: commit.to_owned() })
    }

    /// One behind a port where somebody listens and says nothing.
    fn silent_repository(&self, commit: &str) -> RepositorySource {
        let uri = format!("ssh://root@{}:{SILENT}/srv/box.git", self.machine.ip());
        definitions::repository(Source::Git { uri, commit: commit.to_owned() })
    }

    /// A drone that this machine lets in.
    async fn drone(&self, swarm: &Swarm) -> DroneMachine {
        let prepare = self.introduction();
        DroneMachine::start_at(swarm, "ant", Place { prepare: Some(&prepare), ..Place::default() }).await
    }

    /// What makes root of another machine known here, and this machine known there.
    fn introduction(&self) -> String {
        let host = self.machine.ok(&["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]);
        let mut script = "install -d -m 700 /root/.ssh\n".to_owned();
        let key = fs::read_to_string(&self.key).unwrap();
        write!(script, "cat >/root/.ssh/id_ed25519 <<'END'\n{key}END\nchmod 600 /root/.ssh/id_ed25519\n")
            .unwrap();
        writeln!(script, "echo '{} {}' >/root/.ssh/known_hosts", self.machine.ip(), host.trim()).unwrap();
        script
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_at_the_commit_that_was_pushed_although_the_branch_moved_on() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let work = telling(&swarm, &["one"]);
    // The tree of a commit is its files, whatever the repository would leave out of an archive.
    fs::write(work.join(".gitattributes"), "swarm-test export-ignore\n").unwrap();
    let server = GitServer::start(swarm.path(), &work);
    let commit = server.commit();
    let ebuild = work.join("swarm-test/one/one-1.ebuild");
    fs::write(&ebuild, TELLING.replace("return 0;", "does not compile")).unwrap();
    let _ = server.commit();
    let good = configuration(swarm.path().join("good"), "CFLAGS=\"-O2\"\nUSE=\"colour\"");
    push(&swarm, &target(), &good, &server.repository("/srv/box.git", &commit), &world(&["one"])).await;
    let drone = server.drone(&swarm).await;
    let run = promoted(&swarm, start(&swarm, &target()).await).await;
    built_with(&swarm, &run, "-O2", true).await;

    // A server that gives single commits is asked for no more than that: the branch's tip is never fetched.
    let setting = ["config", "uploadpack.allowReachableSHA1InWant", "true"];
    let _ = server.machine.ok(&[&["git", "-C", "/srv/box.git"], &setting[..]].concat());
    fs::write(&ebuild, TELLING).unwrap();
    fs::rename(&ebuild, ebuild.with_file_name("one-2.ebuild")).unwrap();
    let next = server.commit();
    fs::write(&ebuild, TELLING).unwrap();
    let tip = server.commit();
    push(&swarm, &target(), &good, &server.repository("/srv/box.git", &next), &world(&["one"])).await;
    let run = promoted(&swarm, start(&swarm, &target()).await).await;
    for package in metadata(&swarm, &run).await {
        assert_eq!(package["PF"], "one-2");
    }
    let mirror = "git --git-dir /var/lib/build-drone/epochs/git/* cat-file -t";
    let has = |commit: &str| drone.machine.run(&["sh", "-c", &format!("{mirror} {commit}")]).status.success();
    assert_eq!((has(&next), has(&tip)), (true, false));
    assert_eq!(held(&drone), [2, 1]);
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// Pushes what nobody can hold, each to a target of its own with a run; and why, as the drone says.
async fn push_broken(swarm: &Swarm, server: &GitServer, good: &Path) -> Vec<(TargetName, &'static str)> {
    let commit = server.commit();
    let native = configuration(swarm.path().join("native"), "CFLAGS=\"-O2 -march=native\"");
    let profile = configuration(swarm.path().join("profile"), "");
    fs::remove_file(profile.join("make.profile")).unwrap();
    symlink("/var/db/repos/swarm-box/profiles/none", profile.join("make.profile")).unwrap();
    let lost = swarm.path().join("lost");
    fs::create_dir(&lost).unwrap();
    let lost = snapshot(swarm, &lost).await;
    let Source::Tree { bundle, .. } = lost.source else { panic!("{lost:?}") };
    let box_git = server.repository("/srv/box.git", &commit);
    let nobodys = "1".repeat(40);
    let mut broken = Vec::new();
    for (name, configuration, repository, says) in [
        ("hangs", good, server.silent_repository(&nobodys), "cannot fetch from ssh://"),
        ("absent", good, server.repository("/srv/absent.git", &nobodys), "cannot fetch from root@"),
        ("unknown", good, server.repository("/srv/box.git", &nobodys), "has no commit"),
        ("native", &native, box_git.clone(), "-march=native"),
        ("profile", &profile, box_git.clone(), "make.profile leads to"),
        ("lost", good, lost, "are no longer here"),
    ] {
        let target = new_target(swarm, name).await;
        push(swarm, &target, configuration, &repository, &world(&["one"])).await;
        start(swarm, &target).await;
        broken.push((target, says));
    }
    let digest = bundle.to_string();
    fs::remove_file(swarm.binhost_directory().join("blobs").join(&digest[..2]).join(&digest)).unwrap();
    broken
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_held_is_said_once_and_holds_up_nothing() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let server = GitServer::start(swarm.path(), &telling(&swarm, &["one"]));
    let good = configuration(swarm.path().join("good"), "CFLAGS=\"-O2\"\nUSE=\"colour\"");
    let broken = push_broken(&swarm, &server, &good).await;
    let repository = server.repository("/srv/box.git", &server.git("rev-parse HEAD"));
    push(&swarm, &target(), &good, &repository, &world(&["one"])).await;
    let drone = server.drone(&swarm).await;
    let run = promoted(&swarm, start(&swarm, &target()).await).await;
    built_with(&swarm, &run, "-O2", true).await;
    for (target, _) in &broken {
        let runs = swarm.admin.runs(Some(target), true).await.unwrap();
        assert_eq!(runs[0].state, RunState::Resolving, "nobody can resolve {target}");
    }
    let warned = |log: &str, says: &str| {
        log.lines().filter(|line| line.contains("WARN") && line.contains(says)).count()
    };
    let log = wait::until(90, "the drone to give up the server that hangs", async || {
        let log = fs::read_to_string(&drone.log).unwrap();
        (warned(&log, broken[0].1) > 0).then_some(log)
    })
    .await;
    for (target, says) in &broken {
        assert_eq!(warned(&log, says), 1, "{target}: {says}\n{log}");
    }
    let place = |what: &str| log.find(what).unwrap();
    assert!(
        place("the drone holds the definition") < place(broken[0].1),
        "the one that hangs is not waited for"
    );
    checker::check(&swarm.admin, &swarm.database.pool).await;
}
