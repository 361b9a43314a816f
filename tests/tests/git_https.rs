//! Repositories by commit over https, from `git-http-backend` behind nginx (`epochs.rs` has ssh): what drones fetch, and
//! from whom they do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::path::Path;
use swarm_protocol::Code;
use swarm_protocol::admin::{NewDefinition, NewRun, NewTarget, NewWorkstation};
use swarm_protocol::binhost::Provided;
use swarm_protocol::definition::{RepositorySource, Source};
use swarm_protocol::gentoo::TargetName;
use swarm_protocol::state::RunState;
use swarm_tests::definitions::{configuration, push, repository};
use swarm_tests::git_https::GitHttps;
use swarm_tests::machines::{self, DroneMachine, Place};
use swarm_tests::swarm::{Settings, Swarm, target};
use swarm_tests::{checker, wait};

const WORLD: &str = "swarm-test/trivial\n";

fn source(uri: String, commit: &str) -> RepositorySource {
    repository(Source::Git { uri, commit: commit.to_owned() })
}

async fn begin(swarm: &Swarm, target: &TargetName, files: &Path, repository: &RepositorySource) {
    push(swarm, target, files, repository, WORLD).await;
    swarm.admin.start_run(target, &NewRun { epoch: None, plan: None }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_comes_over_https_and_from_nobody_who_is_not_known() {
    let swarm = machines::reachable_swarm(Settings::default()).await;
    let work = machines::repository(&swarm);
    let server = GitHttps::start(&swarm.path().join("git"), &work).await;
    let commit = server.commit();
    let ebuild = work.join("swarm-test/trivial/trivial-1.ebuild");
    let text = fs::read_to_string(&ebuild).unwrap();
    fs::write(&ebuild, text.replace("src_install() {", "src_install() {\n\tdie 'the branch moved on'"))
        .unwrap();
    let tip = server.commit();
    let files = configuration(swarm.path().join("files"), "");
    begin(&swarm, &target(), &files, &source(server.uri(), &commit)).await;
    for (name, uri) in [("untrusted", server.untrusted()), ("elsewhere", server.elsewhere())] {
        let name: TargetName = name.parse().unwrap();
        let new = NewTarget { name: name.clone(), world: vec![], provided: Provided::default() };
        swarm.admin.create_target(&new).await.unwrap();
        // A commit that the drone has would be as good from anywhere.
        begin(&swarm, &name, &files, &source(uri, &tip)).await;
    }
    let prepare = server.introduction();
    let place = Place { prepare: Some(&prepare), ..Place::default() };
    let drone = DroneMachine::start_at(&swarm, "ant", place).await;

    let run = swarm.admin.runs(Some(&target()), true).await.unwrap()[0].id;
    swarm.run_reaches(run, RunState::Promoted, 240).await;
    let mirrors = "for mirror in /var/lib/build-drone/epochs/git/*; do git --git-dir $mirror cat-file -t";
    let has = |commit: &str| {
        let found = drone.machine.ok(&["sh", "-c", &format!("{mirrors} {commit} 2>&1; done; true")]);
        found.lines().any(|line| line == "commit")
    };
    assert_eq!((has(&commit), has(&tip)), (true, false), "the commit alone is fetched");

    for (target, uri, says) in [
        ("untrusted", server.untrusted(), "server certificate verification failed"),
        ("elsewhere", server.elsewhere(), "not supported or disabled"),
    ] {
        let warned = wait::until(90, "the drone to say why", async || {
            let log = fs::read_to_string(&drone.log).unwrap();
            let line = log.lines().find(|line| line.contains("WARN") && line.contains(&uri))?;
            Some(line.to_owned())
        })
        .await;
        assert!(warned.contains("cannot fetch from") && warned.contains(says), "{target}: {warned}");
        let told = wait::until(30, "the swarm to know", async || {
            let targets = swarm.admin.targets().await.unwrap();
            targets.into_iter().find(|one| one.name.as_str() == target)?.unbrought.pop()
        });
        assert!(told.await.reason.contains(says));
        let runs = swarm.admin.runs(Some(&target.parse().unwrap()), true).await.unwrap();
        assert_eq!(runs[0].state, RunState::Resolving, "nobody can resolve {target}");
    }
    http_is_refused(&swarm, &source(server.plain(), &commit)).await;
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

/// Without a certificate anybody on the way could change what drones execute.
async fn http_is_refused(swarm: &Swarm, repository: &RepositorySource) {
    let newest = swarm.admin.definitions(&target()).await.unwrap().remove(0);
    let new = NewDefinition {
        workstation: NewWorkstation {
            name: newest.workstation,
            world: vec![],
            provided: Provided::default(),
            installed: None,
        },
        configuration: newest.definition.configuration,
        repositories: vec![repository.clone()],
        expect: newest.definition.number,
    };
    let refused = swarm.admin.push_definition(&target(), &new).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::InvalidValue), "{refused}");
    assert!(refused.to_string().contains("none of https or ssh"), "{refused}");
}
