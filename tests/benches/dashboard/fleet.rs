//! Drones that build in as much time as they are told, and plans for them.

use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use swarm_protocol::plan::Plan;
use swarm_tests::drone::{Heart, ScriptedDrone};
use swarm_tests::plans::epoch;
use swarm_tests::swarm::{Settings, Swarm};

/// Drones, each with its beating heart.
pub(crate) type Fleet = Vec<(Arc<ScriptedDrone>, Heart)>;

/// With the times of production; only a run's end is noticed sooner.
pub(crate) async fn swarm() -> Swarm {
    let times = "heartbeat_seconds = 5\ngrace_seconds = 60\nmaintenance_seconds = 1\n";
    Swarm::start_with(Settings { times, ..Settings::default() }).await
}

/// Lets so many in.
pub(crate) async fn join(swarm: &Swarm, count: usize) -> Fleet {
    let drones = (0..count).map(|number| async move {
        let drone = ScriptedDrone::join(swarm, &format!("drone-{number:02}"), &epoch()).await;
        let drone = Arc::new(drone);
        let heart = drone.heart();
        (drone, heart)
    });
    join_all(drones).await
}

/// Layers of packages, each of which waits for two of the layer before.
pub(crate) fn plan(layers: usize, width: usize) -> Plan {
    let count = layers * width;
    let package = |number: usize| {
        let estimate = 5 + number * 7919 % 600;
        json!({ "cpv": format!("dev-libs/lib{number}x-1.{}", number % 10), "slot": "0", "repository": "gentoo",
                "use": ["nls", "static-libs"], "estimate_seconds": estimate })
    };
    let edges = (width..count).flat_map(|number| {
        let below = number - number % width - width;
        [number % width, (number + 1) % width].map(|of| json!([number, below + of, ["buildtime"]]))
    });
    let (packages, edges): (Vec<_>, Vec<_>) = ((0..count).map(package).collect(), edges.collect());
    serde_json::from_value(json!({ "packages": packages, "edges": edges })).unwrap()
}

/// The fleet builds this many packages, each in the time that `takes` says of its number.
pub(crate) async fn build(fleet: &Fleet, count: usize, takes: fn(usize) -> Duration) {
    let begun = Arc::new(AtomicUsize::new(0));
    let working = fleet.iter().map(|(drone, _)| {
        let (drone, begun) = (drone.clone(), begun.clone());
        tokio::spawn(async move {
            while begun.load(Ordering::Relaxed) < count {
                let Some(claim) = drone.claim(2).await else { continue };
                let number = begun.fetch_add(1, Ordering::Relaxed);
                drone.start(&claim).await.unwrap();
                tokio::time::sleep(takes(number)).await;
                drone.build_started(&claim).await;
            }
        })
    });
    join_all(working).await;
}

/// Each drone begins to build a package, and is at it for good.
pub(crate) async fn busy(fleet: &Fleet) {
    for (drone, _) in fleet {
        if let Some(claim) = drone.claim(2).await {
            drone.start(&claim).await.unwrap();
        }
    }
}
