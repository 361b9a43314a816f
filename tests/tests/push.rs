//! `swarm target push` and what comes after it: the real binary, a made-up workstation, and a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use swarm_bundle::compare::compare;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::definition::Source;
use swarm_tests::cli::{json, ok, types};
use swarm_tests::machines::{self, Machine};
use swarm_tests::process::binary;
use swarm_tests::swarm::{Settings, Swarm, target};

/// A workstation's root, with one repository and one installed package.
struct Workstation(PathBuf);

impl Workstation {
    fn new(swarm: &Swarm) -> Self {
        let this = Self(swarm.path().join("workstation"));
        this.write("var/lib/portage/world", "app-misc/jq\n");
        this.write("var/lib/portage/world_sets", "@tools\n");
        this.write("var/db/repos/local/profiles/default/make.defaults", "ARCH=amd64\n");
        this.write("var/db/pkg/sys-libs/zlib-1.3/SLOT", "0/1\n");
        this.write("var/db/pkg/sys-libs/zlib-1.3/CONTENTS", "obj /usr/lib/libz.so x 1\n");
        this.write("etc/portage/repos.conf", "[local]\nlocation = /var/db/repos/local\n");
        this.write("etc/portage/make.conf", "CFLAGS=\"-O2\"\nGITHUB_TOKEN=\"hidden\"\n");
        this.write("etc/portage/sets/tools", "sys-apps/tree\n");
        symlink("../../var/db/repos/local/profiles/default", this.0.join("etc/portage/make.profile"))
            .unwrap();
        this
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn push(&self, more: &str) -> String {
        format!("target push desktop --root {} --workstation desk {more}", self.0.display())
    }
}

fn changed(pushed: &Value) -> Vec<String> {
    let files = pushed["changes"]["files"].as_array().unwrap().iter();
    files
        .map(|file| format!("{} {}", file["change"].as_str().unwrap(), file["path"].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workstation_is_pushed_compared_and_exported() {
    let swarm = Swarm::start().await;
    let workstation = Workstation::new(&swarm);
    let first = json(&swarm, &workstation.push("")).await;
    assert_eq!(
        (&first["created"], &first["definition"], &first["new"]),
        (&json!(true), &json!(1), &json!(true))
    );
    assert_eq!(first["remarks"][0]["what"], "GITHUB_TOKEN is named like a secret, and left out");
    let again = json(&swarm, &workstation.push("")).await;
    assert_eq!((&again["new"], &again["sent_bytes"]), (&json!(false), &json!(0)), "nothing is sent twice");
    assert!(changed(&again).is_empty());
    // A snapshot that the binhost has lost is packed again.
    let definition = swarm.admin.definitions(&"desktop".parse().unwrap()).await.unwrap().remove(0).definition;
    let bundle = definition.repositories[0].source.bundle().unwrap().to_string();
    fs::remove_file(swarm.binhost_directory().join("blobs").join(&bundle[..2]).join(&bundle)).unwrap();
    let mended = json(&swarm, &workstation.push("")).await;
    assert!(mended["new"] == json!(false) && mended["sent_bytes"].as_u64().unwrap() > 0, "{mended}");
    let diff = format!("target diff desktop --root {}", workstation.0.display());
    assert_eq!(ok(&swarm, &diff).await, "this workstation is as definition 1 of desktop.\n");

    workstation.write("etc/portage/make.conf", "CFLAGS=\"-O3\"\nGITHUB_TOKEN=\"other\"\n");
    workstation.write("etc/portage/package.use/zlib", "sys-libs/zlib static\n");
    fs::remove_file(workstation.0.join("etc/portage/sets/tools")).unwrap();
    workstation.write("var/db/repos/local/profiles/repo_name", "local\n");
    workstation.write("var/lib/portage/world", "app-misc/jq\napp-editors/nano\n");
    let said = ok(&swarm, &diff).await;
    assert!(said.contains("-CFLAGS=\"-O2\"\n+CFLAGS=\"-O3\"\n") && said.contains("local  tree:"), "{said}");
    assert!(!said.contains("other"), "secrets are in no difference: {said}");
    let second = json(&swarm, &workstation.push("--no-installed")).await;
    assert_eq!((&second["created"], &second["definition"]), (&json!(false), &json!(2)));
    let files = ["changed make.conf", "added package.use", "added package.use/zlib", "removed sets/tools"];
    assert_eq!(changed(&second), files);
    assert_eq!(second["changes"]["repositories"][0]["name"], "local");
    assert_eq!(second["world"]["added"], json!(["app-editors/nano"]));
    assert_eq!(
        json(&swarm, "target diff desktop --from 1 --to 2").await["files"],
        second["changes"]["files"]
    );

    let history = ok(&swarm, "target history desktop").await;
    assert!(history.contains("desk") && history.lines().count() == 3, "{history}");
    let listed = json(&swarm, "target workstations desktop").await;
    assert_eq!((&listed[0]["name"], &listed[0]["installed"]), (&json!("desk"), &Value::Null));
    let out = swarm.path().join("out");
    ok(&swarm, &format!("target export desktop {}", out.display())).await;
    let kept = compare(&out.join("etc/portage"), &workstation.0.join("etc/portage")).unwrap();
    let kept: Vec<_> = kept.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(kept, ["make.conf", "make.profile"], "the token is gone, the link is absolute");
    assert_eq!(fs::read_to_string(out.join("etc/portage/make.conf")).unwrap(), "CFLAGS=\"-O3\"\n\n");
    let read = |path: &str| fs::read_to_string(out.join(path)).unwrap();
    assert_eq!(read("var/lib/portage/world"), "app-editors/nano\napp-misc/jq\n");
    assert_eq!(read("var/lib/portage/world_sets"), "@tools\n");
    let repositories: Value = serde_json::from_str(&read("repositories.json")).unwrap();
    assert_eq!(repositories[0]["location"], "/var/db/repos/local");
    let taken = types(&swarm, &format!("target export desktop 1 {}", out.display())).await;
    assert!(taken.code == 2 && taken.stderr.contains("exists"), "{taken:?}");
    let former = swarm.path().join("former");
    ok(&swarm, &format!("target export desktop 1 {}", former.display())).await;
    assert_eq!(fs::read_to_string(former.join("etc/portage/make.conf")).unwrap(), "CFLAGS=\"-O2\"\n\n");
    assert_eq!(types(&swarm, "target diff desktop --from 7 --to 1").await.code, 5);
    ok(&swarm, "target forget desktop desk").await;
    assert_eq!(types(&swarm, "target forget desktop desk").await.code, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_pushed_changes_nothing() {
    let swarm = Swarm::start().await;
    let workstation = Workstation::new(&swarm);
    let portage = workstation.0.join("etc/portage");
    let refused = async |fault: &str| {
        let said = types(&swarm, &workstation.push("")).await;
        assert!(said.code == 2 && said.stderr.contains(fault), "{fault}: {said:?}");
    };
    symlink("nowhere", portage.join("env")).unwrap();
    refused("etc/portage/env is a symlink to nowhere, which does not exist").await;
    fs::remove_file(portage.join("env")).unwrap();
    let junk = fs::File::create(portage.join("junk")).unwrap();
    junk.set_len(2 << 30).unwrap();
    refused("more than 268435456 bytes; the largest file is").await;
    fs::remove_file(portage.join("junk")).unwrap();
    let node = std::process::Command::new("mknod").arg(portage.join("null")).args(["c", "1", "3"]).status();
    assert!(node.unwrap().success());
    refused("etc/portage/null is a device node").await;
    fs::remove_file(portage.join("null")).unwrap();
    workstation.write("var/lib/portage/world", "app-misc/jq\njq-1.7\n");
    refused("world:2: \"jq-1.7\" is no atom").await;
    workstation.write("var/lib/portage/world", "app-misc/jq\n");
    workstation.write("etc/portage/make.conf", "A=1\nRUSTFLAGS=\"-C target-cpu=native\"\n");
    refused("etc/portage/make.conf:2: RUSTFLAGS has target-cpu=native").await;
    let targets = json(&swarm, "target list").await;
    assert_eq!(targets.as_array().unwrap().len(), 1, "no target was made: {targets}");
    assert!(!swarm.binhost_directory().join("bundles").read_dir().unwrap().any(|_| true), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_workstation_comes_back_as_it_is() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let program = binary("swarm");
    let programs = program.parent().unwrap().display();
    let machine = Machine::up("desk", "workstation", &[format!("{programs}:/opt/build-swarm:ro")]);
    let root = machine.root();
    fs::write(root.join("var/lib/portage/world"), machines::WORLD).unwrap();
    fs::write(root.join("root/token"), &swarm.token).unwrap();
    let url = format!("SWARM_URL={}", swarm.url());
    let swarm_command =
        ["env", &url, "SWARM_TOKEN_FILE=/root/token", "/opt/build-swarm/swarm", "--json", "target"];
    let name = target();
    let pushed: Value = serde_json::from_str(
        &machine.ok(&[&swarm_command[..], &["push", name.as_str(), "--workstation", "desk"]].concat()),
    )
    .unwrap();
    assert_eq!((&pushed["definition"], &pushed["remarks"]), (&json!(1), &json!([])));
    let out = swarm.path().join("out");
    ok(&swarm, &format!("target export {name} {}", out.display())).await;
    assert_eq!(compare(&out.join("etc/portage"), &root.join("etc/portage")).unwrap(), []);

    // The repository is the tree that Portage has there, the database what the gate will resolve against.
    let definition = swarm.admin.definitions(&name).await.unwrap().remove(0).definition;
    let Source::Tree { content, bundle, .. } = definition.repositories[0].source else {
        panic!("it is no checkout")
    };
    let access = swarm.admin.read_definition(&name, 1).await.unwrap();
    let binhost = BinhostClient::new(&access.binhost_url, access.ticket.0);
    let archive = binhost.bundle(bundle).await.unwrap().bytes().await.unwrap();
    let tree = swarm.path().join("tree");
    let limits = swarm_bundle::Limits::REPOSITORY;
    assert_eq!(swarm_bundle::unpack(&archive[..], &tree, limits).unwrap(), content);
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("gentoo-box/repo");
    assert_eq!(compare(&tree, &original).unwrap(), []);
    let installed = swarm.admin.workstations(&name).await.unwrap().remove(0).installed;
    assert_eq!(installed.is_some(), root.join("var/db/pkg").is_dir());
}
