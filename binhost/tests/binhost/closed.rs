//! Prepare refuses a set that does not fit together, and says what is wrong; stage refuses what was built against another
//! library than the run has.

use crate::harness::*;
use crate::package::Package;
use swarm_protocol::binhost::{Prepare, Prepared, Promote, Provided};
use swarm_protocol::client::ClientError;
use swarm_protocol::id::GenerationNumber;
use swarm_protocol::resolution::FindingKind;
use swarm_protocol::{Code, Digest};

/// Prepares with nothing declared but what `provided` says.
async fn prepare(
    binhost: &Binhost,
    number: i64,
    artifacts: &[Digest],
    provided: Provided,
) -> Result<Prepared, ClientError> {
    let asked = Prepare { artifacts: artifacts.to_vec(), system: vec![], provided };
    binhost.orchestrator().prepare(&target(), GenerationNumber(number), &asked).await
}

#[tokio::test]
async fn a_set_that_does_not_fit_is_refused_with_its_findings() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let error = prepare(&binhost, 1, &[zlib], Provided::default()).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::BrokenSet));
    let said = error.to_string();
    assert!(
        said.starts_with("the set does not fit together (3 findings): sys-libs/zlib-1.3.1 wants "),
        "{said}"
    );
    let findings: Vec<_> =
        error.findings().iter().map(|finding| (finding.kind, finding.atom.as_deref().unwrap())).collect();
    assert_eq!(
        findings,
        [
            (FindingKind::Unsatisfied, ">=sys-libs/glibc-2.36"),
            (FindingKind::Unsatisfied, "dev-libs/libfoo:0/2="),
            (FindingKind::Soname, "x86_64: libc.so.6"),
        ]
    );
    assert!(error.findings().iter().all(|finding| finding.wanted_by == ["sys-libs/zlib-1.3.1"]));
    assert!(!binhost.path("targets/amd64/generations/1").exists(), "nothing was written");
    prepare(&binhost, 1, &[zlib], provided())
        .await
        .expect("the number is free, and what is missing is declared");
}

#[tokio::test]
async fn what_was_current_once_may_be_so_again() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let xz = binhost.publish(2, "app-arch/xz-utils-5.6.4", 1).await;
    prepare(&binhost, 1, &[zlib], provided()).await.unwrap();
    prepare(&binhost, 2, &[zlib, xz], provided()).await.unwrap();
    binhost.promote(1, None).await.unwrap();
    // Nothing is declared any longer: new sets are judged by that, and the old one is not.
    prepare(&binhost, 3, &[zlib], Provided::default()).await.unwrap();
    let binhost = binhost.restart(|_| {}).await.unwrap();
    prepare(&binhost, 4, &[zlib], Provided::default()).await.unwrap();
    let never_current = prepare(&binhost, 5, &[zlib, xz], Provided::default()).await;
    assert_eq!(never_current.unwrap_err().code(), Some(Code::BrokenSet));
    let promote = Promote { number: GenerationNumber(4), expect: Some(GenerationNumber(1)) };
    binhost.orchestrator().promote(&target(), &promote).await.unwrap();
}

#[tokio::test]
async fn a_package_bound_to_another_sub_slot_than_the_run_has_is_not_staged() {
    let binhost = Binhost::start().await;
    let foo = |version: i32, sub_slot: &str| {
        Package::new(&format!("dev-libs/libfoo-{version}"), 1).value("SLOT", sub_slot)
    };
    let consumer = binhost.upload(&Package::zlib()).await;
    let newer = binhost.upload(&foo(3, "0/3")).await;
    let mut expected_newer = expected("dev-libs/libfoo-3", 1);
    expected_newer.slot = "0/3".parse().unwrap();
    binhost.stage(1, 1, newer, expected_newer).await.unwrap();
    let error = binhost.stage(2, 2, consumer, zlib()).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::UnexpectedPackage));
    let said = error.to_string();
    assert!(said.contains("bound to dev-libs/libfoo:0/2=, but the run has dev-libs/libfoo-3:0/3"), "{said}");
    // Another attempt of the library brings the sub-slot that was meant.
    let meant = binhost.upload(&foo(2, "0/2")).await;
    let mut expected_meant = expected("dev-libs/libfoo-2", 1);
    expected_meant.slot = "0/2".parse().unwrap();
    binhost.stage(1, 3, meant, expected_meant).await.unwrap();
    binhost.stage(2, 4, consumer, zlib()).await.unwrap();
}
