//! One gate, from the task to its report, which is repeated until it is answered, as a resolution's is
//! ([`crate::resolver::work`]).

use super::seat::{self, Judged};
use super::{directories, smoke, vdb};
use crate::build::{Workshop, check_epoch, deadline};
use crate::resolver::index::{self, Place};
use crate::resolver::verdict::{KEPT, clipped, kept};
use crate::resolver::work::{STOP_LIMIT, answered, stopping};
use crate::root::AttemptDir;
use crate::stop::Stop;
use std::collections::BTreeSet;
use swarm_protocol::drone::Fence;
use swarm_protocol::gate::{Gate, Unjudged, Verdict};
use swarm_protocol::gentoo::Cpv;
use swarm_protocol::id::SessionId;
use swarm_protocol::resolution::Finding;

/// Judges, and reports.
pub async fn run(shop: &Workshop, session: SessionId, gate: &Gate) {
    let (number, link) = (gate.gate, &shop.link);
    tracing::info!(gate = %number, run = %gate.run, target = %gate.target, generation = %gate.number, "judging begins");
    let result = tokio::select! {
        biased;
        result = judge(shop, gate) => result,
        // Once Portage runs, it is killed and waited for; before that, nothing needs an end.
        () = stopping(link, STOP_LIMIT) => Err(Stop::Cancelled),
    };
    let fence = Fence { token: gate.token, session };
    let reported = async {
        match result {
            Ok((findings, missing)) => {
                tracing::info!(gate = %number, findings = findings.len(), missing = missing.len(), "judged");
                let missing = missing.into_iter().collect();
                let verdict = Verdict { fence, findings: kept(findings), missing };
                answered(|| link.client.judged(number, &verdict)).await
            }
            Err(unjudged) => {
                let reason = clipped(&reason(unjudged), KEPT.1);
                tracing::warn!(gate = %number, reason, "the generation is not judged");
                let unjudged = Unjudged { fence, reason };
                answered(|| link.client.unjudged(number, &unjudged)).await
            }
        }
    };
    tokio::select! {
        result = reported => match result {
            Ok(()) => tracing::info!(gate = %number, run = %gate.run, "the verdict is reported"),
            Err(error) => tracing::warn!(gate = %number, %error, "the report was refused; the gate is dropped"),
        },
        () = stopping(link, STOP_LIMIT) => {
            tracing::warn!(gate = %number, "the drone stops before its report was answered");
        }
    }
}

fn reason(stop: Stop) -> String {
    match stop {
        Stop::Failed(failure) => failure.reason,
        Stop::Refused(reason) => reason,
        Stop::Cancelled => "the drone stops".to_owned(),
    }
}

/// All seats' findings, and what they would compile.
async fn judge(shop: &Workshop, gate: &Gate) -> Result<(Vec<Finding>, BTreeSet<Cpv>), Stop> {
    let (config, deadline) = (&shop.link.config, deadline(gate.limit_seconds));
    let foundation = check_epoch(&shop.epochs, gate.epoch).await?;
    // Holds the index; each seat has a root of its own.
    let dir = AttemptDir::create(&directories(config), &gate.gate.to_string())?;
    let packages = dir.packages().join("Packages");
    let place = Place::Generation(&gate.target, gate.number);
    index::bring(&shop.link, place, &gate.ticket, &packages, deadline).await?;
    let judged = Judged {
        config,
        foundation: &foundation,
        launcher: &shop.launcher,
        index: &packages,
        timestamp: gate.timestamp,
        mask: &gate.mask,
        deadline,
        cancel: &shop.link.draining,
    };
    let (mut findings, mut missing) = (Vec::new(), BTreeSet::new());
    for (place, seat) in gate.seats.iter().enumerate() {
        let root = AttemptDir::create(&directories(config), &format!("{}-{place}", gate.gate))?;
        let whom = (seat, gate.bundles.as_ref());
        let answer = match vdb::bring(&shop.link, foundation.installed(), whom, &root, deadline).await {
            Ok(vdb) => seat::ask(judged, &root, seat, vdb).await,
            Err(unbrought) => Err(unbrought),
        };
        tokio::task::spawn_blocking(move || drop(root)).await?;
        let answer = answer?;
        findings.extend(answer.findings);
        missing.extend(answer.missing);
    }
    if let Some(seat) = gate.seats.first().filter(|_| gate.smoke && findings.is_empty()) {
        findings.extend(smoke::install(shop, gate, judged, seat).await?);
    }
    tokio::task::spawn_blocking(move || drop(dir)).await?;
    // A repository that was synced meanwhile may have given some of its new ebuilds.
    check_epoch(&shop.epochs, gate.epoch).await?;
    Ok((findings, missing))
}
