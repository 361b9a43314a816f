//! What a resolution comes to, in the orchestrator's terms. Pure but for the log.

use super::ask::Answer;
use super::table::sentence;
use crate::stop::Stop;
use swarm_protocol::drone::Fence;
use swarm_protocol::resolution::{Finding, Resolved, Unresolved};
use swarm_protocol::state::FailureClass;

/// The report to make.
#[derive(Debug)]
pub enum Verdict {
    /// There is a plan.
    Resolved(Resolved),
    /// There is none.
    Unresolved(Unresolved),
}

/// How much of a refusal is reported: findings, characters of a reason, characters of a finding's detail.
pub(crate) const KEPT: (usize, usize, usize) = (100, 1000, 4000);

impl Verdict {
    /// Judges a result.
    #[must_use]
    pub fn of(result: Result<Answer, Stop>, fence: Fence) -> Self {
        match result {
            Ok(Answer::Plan(plan, findings)) => {
                let keep = plan.packages.iter().filter(|package| package.keep.is_some()).count();
                tracing::info!(
                    build = plan.packages.len() - keep,
                    keep,
                    edges = plan.edges.len(),
                    remarks = findings.len(),
                    "resolved"
                );
                Self::Resolved(Resolved { fence, plan, findings: kept(findings) })
            }
            Ok(Answer::Refused(findings)) => {
                let reason = refusal(&findings);
                Self::none(fence, FailureClass::Package, &reason, findings)
            }
            Err(Stop::Failed(failure)) => Self::none(fence, failure.class, &failure.reason, Vec::new()),
            Err(Stop::Refused(reason)) => {
                Self::none(fence, FailureClass::Infrastructure, &reason, Vec::new())
            }
            Err(Stop::Cancelled) => {
                Self::none(fence, FailureClass::Infrastructure, "the drone stops", Vec::new())
            }
        }
    }

    fn none(fence: Fence, class: FailureClass, reason: &str, findings: Vec<Finding>) -> Self {
        tracing::warn!(failure.class = %class, reason, findings = findings.len(), "the run is not resolved");
        let findings = kept(findings);
        Self::Unresolved(Unresolved { fence, class, reason: clipped(reason, KEPT.1), findings })
    }
}

pub(crate) fn kept(findings: Vec<Finding>) -> Vec<Finding> {
    let findings = findings.into_iter().take(KEPT.0);
    findings.map(|finding| Finding { detail: clipped(&finding.detail, KEPT.2), ..finding }).collect()
}

fn refusal(findings: &[Finding]) -> String {
    let first = findings.first().map(sentence).unwrap_or_default();
    match findings.len() {
        0 | 1 => format!("Portage refuses: {first}"),
        count => format!("Portage refuses {count} times; first: {first}"),
    }
}

pub(crate) fn clipped(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocol::id::{AttemptToken, SessionId};
    use swarm_protocol::resolution::FindingKind;

    fn unresolved(result: Result<Answer, Stop>) -> Unresolved {
        let fence = Fence { token: AttemptToken::random(), session: SessionId(1) };
        match Verdict::of(result, fence) {
            Verdict::Unresolved(unresolved) => unresolved,
            Verdict::Resolved(resolved) => panic!("{resolved:?}"),
        }
    }

    #[test]
    fn a_refusal_is_clipped_to_what_is_kept() {
        let finding = Finding {
            kind: FindingKind::Masked,
            atom: Some("a/b".to_owned()),
            wanted_by: vec!["@world".to_owned()],
            workstation: None,
            detail: "\u{e9}".repeat(5000),
        };
        let unresolved = unresolved(Ok(Answer::Refused(vec![finding; 120])));
        assert_eq!(unresolved.reason, "Portage refuses 120 times; first: masked: a/b (wanted by @world)");
        assert_eq!((unresolved.class, unresolved.findings.len()), (FailureClass::Package, 100));
        assert_eq!(unresolved.findings[0].detail.chars().count(), 4000);
    }

    #[test]
    fn a_stop_is_nobodys_fault() {
        let unresolved = unresolved(Err(Stop::Cancelled));
        assert_eq!(
            (unresolved.class, &*unresolved.reason),
            (FailureClass::Infrastructure, "the drone stops")
        );
    }
}
