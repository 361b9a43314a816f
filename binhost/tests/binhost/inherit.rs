//! A run's staging view shows what the run inherits beside what is staged for it.

use crate::harness::*;
use swarm_protocol::binhost::Inherit;
use swarm_protocol::client::BinhostClient;
use swarm_protocol::id::RunId;
use swarm_protocol::ticket::{Scope, Ticket};
use swarm_protocol::{Code, Digest};

const NEXT: RunId = RunId(RUN.0 + 1);

async fn inherit(binhost: &Binhost, artifacts: &[Digest]) -> Result<(), swarm_protocol::client::ClientError> {
    binhost.orchestrator().inherit(&target(), NEXT, &Inherit { artifacts: artifacts.to_vec() }).await
}

/// A drone that resolves [`NEXT`].
fn reader(binhost: &Binhost) -> BinhostClient {
    let scope = Scope::Run { target: target(), run: NEXT };
    BinhostClient::new(&binhost.base(), signer().sign(&Ticket { scope, expires: NOW + 60 }))
}

async fn shown(binhost: &Binhost) -> Vec<String> {
    let index = reader(binhost).staging(&target(), NEXT, "Packages").await.unwrap().text().await.unwrap();
    values(&index, "CPV")
}

#[tokio::test]
async fn what_is_inherited_is_shown_replaced_and_remembered() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let xz = binhost.publish(2, "app-arch/xz-utils-5.6.4", 1).await;
    inherit(&binhost, &[zlib, xz]).await.unwrap();
    inherit(&binhost, &[xz, zlib]).await.expect("it is so already");
    assert_eq!(shown(&binhost).await, ["app-arch/xz-utils-5.6.4", "sys-libs/zlib-1.3.1"]);
    inherit(&binhost, &[zlib]).await.unwrap();
    assert_eq!(code(inherit(&binhost, &[xz, xz]).await), Code::InvalidValue);
    assert_eq!(code(inherit(&binhost, &[Digest::of(b"unknown")]).await), Code::InvalidValue);
    let binhost = binhost.restart(|_| {}).await.unwrap();
    assert_eq!(shown(&binhost).await, ["sys-libs/zlib-1.3.1"]);
    let path = "sys-libs/zlib/zlib-1.3.1-2.gpkg.tar";
    let file = reader(&binhost).staging(&target(), NEXT, path).await.unwrap().bytes().await.unwrap();
    assert_eq!(Digest::of(&file), zlib);
}

#[tokio::test]
async fn the_ticket_of_a_run_reads_its_view_and_does_nothing_else() {
    let binhost = Binhost::start().await;
    let zlib = binhost.publish(1, "sys-libs/zlib-1.3.1", 2).await;
    let reader = reader(&binhost);
    assert_eq!(code(reader.staging(&target(), RUN, "Packages").await), Code::Forbidden);
    let inherit = Inherit { artifacts: vec![zlib] };
    assert_eq!(code(reader.inherit(&target(), NEXT, &inherit).await), Code::Forbidden);
    assert_eq!(code(reader.upload(zlib, 1, "x").await), Code::Forbidden);
}
