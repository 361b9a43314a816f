//! A workstation from its setup to its updates, by `swarm setup workstation` and `swarm update` alone, on real Portage: what is
//! updated, what is lacking, what is left out, and what is refused because nothing could be verified or reached.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm_protocol::admin::{NewNightly, World};
use swarm_protocol::state::RunState;
use swarm_tests::cli::Said;
use swarm_tests::definitions::{configuration, push_from, snapshot};
use swarm_tests::machines::{self, DroneMachine, Machine, Place};
use swarm_tests::process::binary;
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::wait;

const BINREPOS: &str = "etc/portage/binrepos.conf";
const WORLD: &str = "var/lib/portage/world";

/// Writes `swarm-test/NAME-VERSION`, which has a file that a user may change, and `more`.
fn ebuild(repository: &Path, name: &str, version: &str, more: &str) {
    let dir = repository.join("swarm-test").join(name);
    fs::create_dir_all(&dir).unwrap();
    let text = format!(
        "EAPI=8\nDESCRIPTION=\"test\"\nHOMEPAGE=\"https://example.org\"\nS=\"${{WORKDIR}}\"\nIUSE=\"extra\"\n\
         LICENSE=\"public-domain\"\nSLOT=\"0\"\nKEYWORDS=\"amd64\"\n\
         src_install() {{ insinto /etc; echo ${{PV}} | newins - {name}.conf; }}\n{more}\n"
    );
    fs::write(dir.join(format!("{name}-{version}.ebuild")), text).unwrap();
}

/// A machine with Portage, and `swarm`.
struct Workstation {
    machine: Machine,
    environment: [String; 2],
}

impl Workstation {
    fn new(swarm: &Swarm, repository: &Path, world: &str) -> Self {
        let programs = binary("swarm");
        let binds = [
            format!("{}:/opt/build-swarm:ro", programs.parent().unwrap().display()),
            format!("{}:/var/db/repos/swarm-box:ro", repository.display()),
        ];
        let machine = Machine::up("workstation", "workstation", &binds);
        fs::write(machine.root().join(WORLD), world).unwrap();
        let environment = [format!("SWARM_URL={}", swarm.url()), format!("SWARM_TOKEN={}", swarm.token)];
        Self { machine, environment }
    }

    fn command<'a>(&'a self, line: &'a str) -> Vec<&'a str> {
        let environment = self.environment.iter().map(String::as_str);
        environment.chain(["/opt/build-swarm/swarm"]).chain(line.split(' ')).collect()
    }

    /// Types `swarm` and this line, which must end so.
    fn types(&self, line: &str, code: i32) -> Said {
        let said = Said::from(self.machine.run(&self.command(line)));
        assert_eq!(said.code, code, "swarm {line}\n{}\n{}", said.stdout, said.stderr);
        said
    }

    fn json(&self, line: &str, code: i32) -> Value {
        serde_json::from_str(&self.types(&format!("{line} --json"), code).stdout).unwrap()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.machine.root().join(path)
    }

    fn has(&self, pf: &str) -> bool {
        self.path("var/db/pkg/swarm-test").join(pf).is_dir()
    }
}

/// A swarm with a real drone, and a repository that tests write to.
struct Scene {
    swarm: Swarm,
    repository: PathBuf,
    configuration: PathBuf,
    _drone: DroneMachine,
}

impl Scene {
    async fn new() -> Self {
        let swarm = machines::reachable_swarm(Settings::default()).await;
        let repository = machines::repository(&swarm);
        let configuration = configuration(swarm.path().join("files"), "");
        ebuild(&repository, "left", "1", "");
        let drone = DroneMachine::start_at(&swarm, "ant", Place::default()).await;
        Self { swarm, repository, configuration, _drone: drone }
    }

    /// Pushes what there is, and waits until all of this world is promoted.
    async fn promotes(&self, world: &str) {
        let tree = snapshot(&self.swarm, &self.repository).await;
        push_from(&self.swarm, &target(), "desk", (&self.configuration, &tree), world, None).await;
        let run = self.swarm.unresolved_run().await;
        self.swarm.run_reaches(run, RunState::Promoted, 300).await;
    }
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workstation_is_set_up_and_updated_and_told_what_is_lacking() {
    let scene = Scene::new().await;
    scene.promotes("swarm-test/left\n").await;
    let desk = Workstation::new(&scene.swarm, &scene.repository, "swarm-test/left\n");

    // Not set up; then only shown; then done; then there is nothing to do. What somebody wrote stays.
    contains(&desk.types("update", 2).stderr, &["`swarm setup workstation TARGET`"]);
    let theirs = "[theirs]\nsync-uri = file:///nowhere\n";
    fs::create_dir_all(desk.path(BINREPOS)).unwrap();
    fs::write(desk.path(BINREPOS).join("theirs.conf"), theirs).unwrap();
    let shown = desk.types("setup workstation box --dry-run", 0).stdout;
    contains(&shown, &["+[swarm]", "/binhost/box", "nothing was changed"]);
    assert!(!desk.path(BINREPOS).join("build-swarm.conf").exists());
    let set_up = desk.json("setup workstation box", 0);
    assert_eq!(set_up["keys"][0]["step"], "import", "{set_up}");
    let again = desk.json("setup workstation box", 0);
    assert_eq!((&again["diff"], &again["keys"][0]["step"]), (&"".into(), &"nothing".into()), "{again}");
    fs::remove_file(desk.path(BINREPOS).join("theirs.conf")).unwrap();
    let wrong = format!("setup workstation box --fingerprint {}", "AB".repeat(20));
    contains(&desk.types(&wrong, 13).stderr, &["which is not one of --fingerprint"]);
    contains(&desk.types("update bax", 2).stderr, &["installs from box"]);

    // What would change, the change, and no change.
    contains(&desk.types("update --pretend", 0).stdout, &["Generation 1 of box", "swarm-test/left", "new"]);
    assert!(!desk.has("left-1"));
    let first = desk.json("update", 0);
    assert_eq!((&first["generation"], &first["emerge"]), (&1.into(), &0.into()), "{first}");
    assert!(desk.has("left-1"));
    contains(&desk.types("update", 0).stdout, &["Nothing to install."]);

    // Another USE: emerge would pass over it with status 0.
    fs::write(desk.path("etc/portage/package.use"), "swarm-test/left extra\n").unwrap();
    let use_differs = desk.types("update", 10).stdout;
    contains(&use_differs, &["Not on the binhost", "swarm-test/left-1", "respect_use"]);
    fs::remove_file(desk.path("etc/portage/package.use")).unwrap();

    // An update, beside a package that nobody pushed; a file that the user changed; a night that did not come.
    ebuild(&scene.repository, "left", "2", "");
    scene.promotes("swarm-test/left\n").await;
    ebuild(&scene.repository, "right", "1", "");
    fs::write(desk.path(WORLD), "swarm-test/left\nswarm-test/right\n").unwrap();
    fs::write(desk.path("etc/left.conf"), "mine\n").unwrap();
    let daily = NewNightly { host: "desk".to_owned(), period_seconds: 86_400 };
    scene.swarm.admin.begin_nightly(&target(), &daily).await.unwrap();
    scene.swarm.shift_clock(Duration::from_hours(27)).await;
    let second = desk.types("update", 10).stdout;
    contains(
        &second,
        &[
            "Generation 2 of box",
            "has not come",
            "Not on the binhost",
            "swarm-test/right-1",
            "no run has planned it",
            "it lacks 1 package",
            "/etc/._cfg0000_left.conf",
        ],
    );
    assert!(desk.has("left-2") && !desk.has("left-1") && !desk.has("right-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_installed_that_cannot_be_verified_or_reached() {
    let mut scene = Scene::new().await;
    scene.promotes("swarm-test/left\n").await;
    let desk = Workstation::new(&scene.swarm, &scene.repository, "swarm-test/left\n");
    desk.types("setup workstation box", 0);

    // No key, and a stranger's; the setup mends it.
    let _ = desk.machine.ok(&["mv", "/etc/portage/gnupg", "/root/gnupg"]);
    contains(&desk.types("update", 13).stderr, &["trusts no key", "`swarm setup workstation box`"]);
    let stranger = "mkdir -m 700 /etc/portage/gnupg; gpg --homedir /etc/portage/gnupg --batch --passphrase '' \
                    --quick-gen-key stranger@example.org ed25519 sign never; \
                    gpgconf --homedir /etc/portage/gnupg --kill all";
    let _ = desk.machine.ok(&["sh", "-ec", stranger]);
    contains(&desk.types("update", 13).stderr, &["trusts no key"]);
    assert!(!desk.has("left-1"));
    desk.types("setup workstation box", 0);

    // The binhost is away: bounded, and said; then it comes back while it is waited for.
    scene.swarm.binhost.take().unwrap().kill();
    let away = desk.types("update --patience 2", 14);
    contains(&away.stderr, &["trying on for 2 s", "gives no index", "may be repeated at any time"]);
    let log = scene.swarm.path().join("update.log");
    let mut waiting = desk.machine.spawn(&desk.command("update --patience 120"), &log);
    wait::until(60, "the update to wait for the binhost", async || {
        waiting.output().contains("trying on for 120 s").then_some(())
    })
    .await;
    scene.swarm.start_binhost().await;
    let status = waiting.ended(200).await;
    assert!(status.success() && desk.has("left-1"), "{}", waiting.output());

    // Without an orchestrator, the binhost has all that is needed; only where it comes from is not known.
    scene.swarm.orchestrator.take().unwrap().kill();
    let alone = desk.types("update", 0).stdout;
    contains(
        &alone,
        &["Target box, from http://", "the orchestrator was not reached", "Nothing to install."],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_emerge_fails_and_what_portage_refuses_have_exit_codes_of_their_own() {
    let scene = Scene::new().await;
    let picky = "pkg_preinst() { [[ ! -e ${EROOT}/etc/forbidden ]] || die 'not on this machine'; }";
    ebuild(&scene.repository, "left", "1", picky);
    ebuild(&scene.repository, "mine", "1", "");
    scene.promotes("swarm-test/left\nswarm-test/mine\n").await;
    let desk = Workstation::new(&scene.swarm, &scene.repository, "swarm-test/left\nswarm-test/mine\n");
    desk.types("setup workstation box", 0);

    fs::write(desk.path("etc/forbidden"), "").unwrap();
    let failed = desk.types("update", 12);
    contains(&failed.stdout, &["emerge failed, with exit status 1."]);
    assert!(!desk.has("left-1"));
    fs::remove_file(desk.path("etc/forbidden")).unwrap();
    desk.types("update", 0);
    assert!(desk.has("left-1") && desk.has("mine-1"));

    // What this workstation has beside the target's world blocks the update of it.
    ebuild(&scene.repository, "left", "2", "RDEPEND=\"!!swarm-test/mine\"");
    scene.promotes("swarm-test/left\n").await;
    let refused = desk.types("update", 11);
    contains(&refused.stdout, &["Portage refuses the update as a whole", "swarm-test/mine"]);
    assert!(desk.has("left-1") && desk.has("mine-1") && !desk.has("left-2"));
    fs::write(desk.path(WORLD), "swarm-test/left\n").unwrap();
    let _ = desk.machine.ok(&["emerge", "--quiet", "--unmerge", "swarm-test/mine"]);
    desk.types("update", 0);
    assert!(desk.has("left-2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_stays_for_what_still_needs_it_and_is_told() {
    let scene = Scene::new().await;
    let world = World { world: vec![], provided: machines::libc() };
    scene.swarm.admin.set_world(&target(), &world).await.unwrap();
    // Version 2 has another soname and the same sub-slot: nobody is rebuilt for it.
    let second = scene.repository.join("swarm-test/libabi/libabi-2.ebuild");
    let text = fs::read(&second).unwrap();
    fs::remove_file(&second).unwrap();
    scene.promotes("swarm-test/libabi\nswarm-test/uses-libabi\n").await;
    let desk =
        Workstation::new(&scene.swarm, &scene.repository, "swarm-test/libabi\nswarm-test/uses-libabi\n");
    desk.types("setup workstation box", 0);
    desk.types("update", 0);

    fs::write(&second, text).unwrap();
    scene.promotes("swarm-test/libabi\n").await;
    let said = desk.types("update", 0).stdout;
    assert!(desk.has("libabi-2") && !desk.has("libabi-1") && desk.has("uses-libabi-1"), "{said}");
    contains(&said, &["Old libraries stay", "/opt/swarm/lib/libabi.so.1 of swarm-test/libabi-2"]);
    assert!(desk.machine.run(&["/opt/swarm/bin/uses-libabi"]).status.success());
    let told = desk.json("update", 0);
    assert_eq!(told["preserved"]["swarm-test/libabi-2"][0], "/opt/swarm/lib/libabi.so.1", "{told}");
}
