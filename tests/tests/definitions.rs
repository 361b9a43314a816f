//! Definitions: what a workstation pushes, what a run makes of it, what drones are told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::admin::{NewBundle, NewDefinition, NewToken, NewWorkstation, PushedDefinition, World};
use swarm_protocol::binhost::Provided;
use swarm_protocol::client::{AdminClient, BinhostClient, ClientError};
use swarm_protocol::definition::{Bundle, Definition, RepositorySource, Source};
use swarm_protocol::drone::{DefinitionsAnswer, DefinitionsRequest, Unbrought};
use swarm_protocol::epoch::Epoch;
use swarm_protocol::gentoo::WorldAtom;
use swarm_protocol::id::DefinitionId;
use swarm_protocol::resolution::HeldEpoch;
use swarm_protocol::state::{Role, RunState};
use swarm_protocol::{Code, Digest};
use swarm_tests::drone::ScriptedDrone;
use swarm_tests::swarm::{Swarm, target};
use swarm_tests::{checker, plans, wait};

/// A bundle of which the orchestrator knows no more than this.
fn bundle(name: &str) -> (Bundle, Vec<u8>) {
    let bytes = format!("the archive {name}").into_bytes();
    let content = Digest::of(format!("the tree {name}").as_bytes());
    (Bundle { content, bundle: Digest::of(&bytes), bytes: bytes.len() as u64 }, bytes)
}

fn world(atoms: &str) -> Vec<WorldAtom> {
    atoms.split_whitespace().map(|atom| atom.parse().unwrap()).collect()
}

fn commit(digit: char) -> RepositorySource {
    let source =
        Source::Git { uri: "https://example.org/gentoo".to_owned(), commit: String::from(digit).repeat(40) };
    RepositorySource { name: "gentoo".parse().unwrap(), location: "/var/db/repos/gentoo".to_owned(), source }
}

fn tree(name: &str) -> RepositorySource {
    let Bundle { content, bundle, bytes } = bundle(name).0;
    RepositorySource {
        name: "local".parse().unwrap(),
        location: "/var/db/repos/local".to_owned(),
        source: Source::Tree { content, bundle, bytes },
    }
}

/// What `workstation` pushes: the configuration of that name, two repositories.
fn definition(workstation: &str, configuration: &str, expect: i32) -> NewDefinition {
    NewDefinition {
        workstation: NewWorkstation {
            name: workstation.parse().unwrap(),
            world: world(&format!("test/of-{workstation} test/common")),
            provided: Provided::default(),
            installed: None,
        },
        configuration: bundle(configuration).0,
        repositories: vec![commit('1'), tree("local")],
        expect,
    }
}

async fn send(admin: &AdminClient, names: &[&str]) {
    let bundles: Vec<_> = names.iter().map(|name| bundle(name)).collect();
    let offered = bundles.iter().map(|(it, _)| NewBundle { digest: it.bundle, bytes: it.bytes }).collect();
    let upload = admin.offer_bundles(offered).await.unwrap();
    let binhost = BinhostClient::new(&upload.binhost_url, upload.ticket.0);
    for (Bundle { bundle, bytes, .. }, content) in bundles {
        if upload.missing.contains(&bundle) {
            binhost.upload_bundle(bundle, bytes, content).await.unwrap();
        }
    }
}

async fn push(swarm: &Swarm, new: &NewDefinition) -> Result<PushedDefinition, ClientError> {
    swarm.admin.push_definition(&target(), new).await
}

/// Pushes and sends; the definition.
async fn pushed(swarm: &Swarm, workstation: &str, configuration: &str, expect: i32) -> Definition {
    send(&swarm.admin, &[configuration, "local"]).await;
    push(swarm, &definition(workstation, configuration, expect)).await.unwrap().newest.definition
}

fn epoch_of(definition: &Definition) -> Epoch {
    Epoch {
        configuration: definition.configuration.content,
        repositories: definition.revisions(),
        ..plans::epoch()
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Code {
    result.unwrap_err().code().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_defines_once_and_refuses_what_nobody_could_hold() {
    let swarm = Swarm::start().await;
    let new = definition("one", "first", 0);
    let unsent = push(&swarm, &new).await.unwrap_err();
    assert!(unsent.code() == Some(Code::InvalidValue) && unsent.to_string().contains("send it before"));
    let refused = [
        NewDefinition { repositories: vec![], ..new.clone() },
        NewDefinition { repositories: vec![tree("local"), commit('1')], ..new.clone() },
        NewDefinition { repositories: vec![commit('x')], ..new.clone() },
    ];
    for new in &refused {
        assert_eq!(code(push(&swarm, new).await), Code::InvalidValue);
    }
    assert!(swarm.admin.workstations(&target()).await.unwrap().is_empty(), "nothing has changed");
    assert_eq!(code(swarm.admin.offer_bundles(vec![]).await), Code::InvalidValue);

    send(&swarm.admin, &["first", "local"]).await;
    let first = push(&swarm, &new).await.unwrap();
    assert!(first.new && first.newest.definition.number == 1);
    let again = push(&swarm, &new).await.unwrap();
    assert_eq!((again.new, &again.newest), (false, &first.newest), "its answer was lost");
    let late = push(&swarm, &definition("two", "second", 0)).await.unwrap_err();
    assert_eq!(late.code(), Some(Code::InvalidValue), "{late}");
    send(&swarm.admin, &["second"]).await;
    let late = push(&swarm, &definition("two", "second", 0)).await.unwrap_err();
    assert!(
        late.code() == Some(Code::Conflict) && late.to_string().contains("definition is 1, from one"),
        "{late}"
    );
    let second = push(&swarm, &definition("two", "second", 1)).await.unwrap();
    assert!(second.new && second.newest.definition.number == 2);
    let history = swarm.admin.definitions(&target()).await.unwrap();
    assert_eq!(history, [second.newest, first.newest]);

    // Another workstation of the same configuration registers, and defines nothing.
    let third = push(&swarm, &definition("three", "second", 0)).await.unwrap();
    assert_eq!((third.new, third.newest.definition.number), (false, 2));
    let names = async || {
        let workstations = swarm.admin.workstations(&target()).await.unwrap();
        workstations.iter().map(|it| it.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["one", "three", "two"]);
    swarm.admin.forget_workstation(&target(), &"one".parse().unwrap()).await.unwrap();
    assert_eq!(
        code(swarm.admin.forget_workstation(&target(), &"one".parse().unwrap()).await),
        Code::NotFound
    );
    assert_eq!(names().await, ["three", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_the_history_and_no_bundle() {
    let swarm = Swarm::start().await;
    pushed(&swarm, "one", "first", 0).await;
    let new = NewToken { role: Role::Viewer, label: "test".to_owned() };
    let viewer = AdminClient::new(&swarm.url(), swarm.admin.create_token(&new).await.unwrap().token);
    assert_eq!(viewer.definitions(&target()).await.unwrap().len(), 1);
    assert_eq!(viewer.workstations(&target()).await.unwrap().len(), 1);
    assert_eq!(code(viewer.read_definition(&target(), 1).await), Code::Forbidden);
    assert_eq!(
        code(viewer.push_definition(&target(), &definition("one", "first", 1)).await),
        Code::Forbidden
    );
    let offer = vec![NewBundle { digest: Digest::of(b""), bytes: 1 }];
    assert_eq!(code(viewer.offer_bundles(offer).await), Code::Forbidden);

    assert_eq!(code(swarm.admin.read_definition(&target(), 2).await), Code::NotFound);
    let access = swarm.admin.read_definition(&target(), 1).await.unwrap();
    let binhost = BinhostClient::new(&access.binhost_url, access.ticket.0);
    for name in ["first", "local"] {
        let (Bundle { bundle, .. }, bytes) = bundle(name);
        assert_eq!(binhost.bundle(bundle).await.unwrap().bytes().await.unwrap(), bytes);
    }
    let (other, bytes) = bundle("other");
    let sent = binhost.upload_bundle(other.bundle, other.bytes, bytes).await;
    assert_eq!(code(sent), Code::Forbidden, "it is for reading");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_definition_is_resolved_by_a_drone_that_holds_it() {
    let swarm = Swarm::start().await;
    let own = world("test/own test/common");
    swarm.admin.set_world(&target(), &World { world: own, provided: Provided::default() }).await.unwrap();
    let first = pushed(&swarm, "one", "first", 0).await;
    pushed(&swarm, "two", "first", 1).await;
    let run = swarm.unresolved_run().await;
    // What is pushed later is for later runs.
    let second = pushed(&swarm, "one", "second", 1).await;

    let stranger = ScriptedDrone::join(&swarm, "stranger", &plans::epoch()).await;
    assert!(stranger.resolve(0).await.is_none(), "it has another configuration");
    let refusals = [
        vec![],
        vec![HeldEpoch { definition: Some(DefinitionId(77)), epoch: epoch_of(&first) }],
        vec![HeldEpoch { definition: Some(first.id), epoch: plans::epoch() }],
        vec![HeldEpoch { definition: Some(first.id), epoch: epoch_of(&first) }; 2],
    ];
    for epochs in refusals {
        let request = swarm_protocol::resolution::ResolveRequest { epochs, ..stranger.resolve_request(0) };
        assert_eq!(code(stranger.client.resolve(&request).await), Code::InvalidValue);
    }
    let newer = ScriptedDrone::join(&swarm, "newer", &plans::epoch()).await;
    let newer = newer.under(second.id, &epoch_of(&second));
    assert!(newer.resolve(0).await.is_none(), "the run began before");
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let drone = Arc::new(drone.under(first.id, &epoch_of(&first)));
    let _heart = drone.heart();
    let resolution = drone.resolve(20).await.unwrap();
    assert_eq!((resolution.run, resolution.epoch), (run, epoch_of(&first).digest()));
    assert_eq!(resolution.world, world("test/common test/of-one test/of-two test/own"));
    drone.resolved(&resolution, plans::flat(1)).await.unwrap();
    drone.build(&drone.claim(30).await.unwrap()).await;
    drone.judged(&drone.gate(20).await.unwrap(), vec![], &[]).await.unwrap();
    let run = swarm.run_reaches(run, RunState::Promoted, 30).await;
    assert_eq!(run.epoch, Some(epoch_of(&first).digest()));
    checker::check(&swarm.admin, &swarm.database.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_named_epoch_is_of_the_definition_that_it_belongs_to() {
    let swarm = Swarm::start().await;
    let first = pushed(&swarm, "one", "first", 0).await;
    pushed(&swarm, "one", "second", 1).await;
    let of = async |epoch: Epoch| {
        let run = swarm.run(epoch, plans::flat(1)).await;
        sqlx::query_scalar::<_, Option<i64>>("SELECT definition_id FROM runs WHERE id = $1")
            .bind(run.0)
            .fetch_one(&swarm.database.pool)
            .await
            .unwrap()
    };
    assert_eq!(of(epoch_of(&first)).await, Some(first.id.0));
    assert_eq!(of(plans::epoch()).await, None);
}

async fn wanted(drone: &ScriptedDrone, known: &[DefinitionId], wait_seconds: u16) -> DefinitionsAnswer {
    let unbrought = vec![];
    let request =
        DefinitionsRequest { session: drone.session, known: known.to_vec(), unbrought, wait_seconds };
    drone.client.definitions(&request).await.unwrap()
}

fn ids(answer: &DefinitionsAnswer) -> Vec<DefinitionId> {
    answer.definitions.iter().map(|wanted| wanted.definition.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn drones_hear_at_once_what_they_shall_hold() {
    let swarm = Swarm::start().await;
    let drone = Arc::new(ScriptedDrone::join(&swarm, "one", &plans::epoch()).await);
    assert_eq!(ids(&wanted(&drone, &[], 0).await), []);
    let waiting = drone.clone();
    let waiting = tokio::spawn(async move { wanted(&waiting, &[], 60).await });
    let first = pushed(&swarm, "one", "first", 0).await;
    let answer = tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
    assert_eq!(answer.definitions[0].definition, first);
    let ticket = answer.definitions[0].ticket.0.clone();
    let binhost = BinhostClient::new(&swarm.binhost_url(), ticket);
    assert!(binhost.bundle(first.configuration.bundle).await.is_ok());
    assert_eq!(code(binhost.bundle(Digest::of(b"other")).await), Code::Forbidden);

    // An open run wants its definition beside the newest one; what nobody wants is no longer named.
    let run = swarm.unresolved_run().await;
    let second = pushed(&swarm, "one", "second", 1).await;
    assert_eq!(ids(&wanted(&drone, &[first.id], 60).await), [second.id, first.id]);
    assert_eq!(ids(&wanted(&drone, &[first.id, second.id], 0).await), [second.id, first.id]);
    swarm.admin.cancel_run(run).await.unwrap();
    assert_eq!(ids(&wanted(&drone, &[first.id, second.id], 60).await), [second.id]);
    let stale = DefinitionsRequest {
        session: swarm_protocol::id::SessionId(drone.session.0 + 1),
        known: vec![],
        unbrought: vec![],
        wait_seconds: 0,
    };
    assert_eq!(code(drone.client.definitions(&stale).await), Code::StaleSession);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drone_cannot_bring_itself_to_is_told_once_and_an_alarm_while_it_lasts() {
    let swarm = Swarm::start().await;
    let drone = ScriptedDrone::join(&swarm, "one", &plans::epoch()).await;
    let first = pushed(&swarm, "one", "first", 0).await;
    let run = swarm.unresolved_run().await;
    assert_eq!(swarm.admin.run(run).await.unwrap().definition, Some(1));
    let say = async |reasons: &[&str]| {
        let unbrought = |reason: &&str| Unbrought { definition: first.id, reason: (*reason).to_owned() };
        let request = DefinitionsRequest {
            session: drone.session,
            known: vec![],
            // What nobody has pushed is passed over.
            unbrought: reasons
                .iter()
                .map(unbrought)
                .chain([Unbrought { definition: DefinitionId(77), reason: "what?".to_owned() }])
                .collect(),
            wait_seconds: 0,
        };
        drone.client.definitions(&request).await.unwrap();
    };
    let seen = async || {
        let target = swarm.admin.targets().await.unwrap().remove(0).unbrought;
        let of_drone = swarm.admin.drones().await.unwrap().remove(0).unbrought;
        assert_eq!(target, of_drone);
        target.into_iter().map(|one| (one.number, one.reason)).collect::<Vec<_>>()
    };
    let alarms = async || {
        let degraded = swarm.admin.status(None).await.unwrap().degraded;
        degraded.into_iter().filter(|alarm| alarm.contains("definition")).collect::<Vec<_>>()
    };
    let events = async || {
        let events = checker::read(&swarm.admin, &swarm.database.pool).await;
        let kinds = events.into_iter().filter(|event| event.kind == "drone.definition_unbrought");
        kinds.map(|event| event.data["reason"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for reason in ["no such host", "no such host", "no such commit"] {
        say(&[reason]).await;
        assert_eq!(seen().await, [(1, reason.to_owned())]);
        let alarm = format!("drone one cannot bring itself to definition 1 of box: {reason}");
        assert_eq!(alarms().await, [alarm]);
    }
    assert_eq!(events().await, ["no such host", "no such commit"]);
    say(&[]).await;
    assert_eq!((seen().await, alarms().await, events().await.len()), (vec![], vec![], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_kept_for_the_newest_definitions_and_for_what_is_in_use() {
    let mut swarm = Swarm::start().await;
    pushed(&swarm, "one", "used", 0).await;
    swarm.unresolved_run().await;
    let (installed, bytes) = bundle("installed");
    let offered = vec![NewBundle { digest: installed.bundle, bytes: installed.bytes }];
    let upload = swarm.admin.offer_bundles(offered).await.unwrap();
    let binhost = BinhostClient::new(&upload.binhost_url, upload.ticket.0);
    binhost.upload_bundle(installed.bundle, installed.bytes, bytes).await.unwrap();
    let names: Vec<_> = (2..=23).map(|number| format!("configuration {number}")).collect();
    for (name, expect) in names.iter().zip(1..) {
        pushed(&swarm, "one", name, expect).await;
    }
    let mut last = definition("one", &names[21], 23);
    last.workstation.installed = Some(installed);
    push(&swarm, &last).await.unwrap();
    // A day later.
    swarm.binhost.take().unwrap().kill();
    let marks = swarm.binhost_directory().join("bundles");
    let mark = |name: &str| marks.join(bundle(name).0.bundle.to_string());
    for entry in marks.read_dir().unwrap() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        let asked = file.metadata().unwrap().modified().unwrap();
        file.set_modified(asked - Duration::from_hours(25)).unwrap();
    }
    swarm.start_binhost().await;
    wait::until(30, "the oldest definitions to lose their bundles", async || {
        (!mark(&names[0]).exists() && !mark(&names[1]).exists()).then_some(())
    })
    .await;
    for name in ["used", "local", "installed"].into_iter().chain(names[2..].iter().map(String::as_str)) {
        assert!(mark(name).exists(), "{name}");
    }
}
