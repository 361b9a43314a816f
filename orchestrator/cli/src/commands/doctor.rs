//! `swarm doctor`: what stands between a person and a swarm that works by itself.
//!
//! Each check says what it found; what is not good says what to do. What the orchestrator cannot be asked about is looked
//! at all the same: a doctor is wanted most when something does not answer.

mod cron;
mod swarm;
mod token;

use crate::connection::Context;
use crate::cron::survey;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::indented;
use crate::{clock, workstation};
use serde::Serialize;
use swarm::Answer;

/// How things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it shall be.
    Good,
    /// It works; a person may want to know.
    Look,
    /// It does not work, or will not when it is needed.
    Broken,
}

/// What was looked at, and found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    subject: String,
    verdict: Verdict,
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Check {
    fn good(subject: &str, found: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), verdict: Verdict::Good, found: found.into(), advice: None }
    }

    fn look(subject: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { subject: subject.to_owned(), verdict: Verdict::Look, found: found.into(), advice }
    }

    fn broken(subject: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Broken, ..Self::look(subject, found, advice) }
    }
}

/// All checks, and the worst of their verdicts.
#[derive(Debug, Serialize)]
struct Report {
    verdict: Verdict,
    checks: Vec<Check>,
}

/// Looks at everything.
pub(crate) async fn examine(context: Result<&Context, Failure>, output: Output) -> Result<Exit, Failure> {
    let mut checks = vec![];
    let answer = match context {
        Ok(context) => {
            checks.extend(context.token_file.as_deref().and_then(token::check));
            swarm::ask(context).await
        }
        Err(failure) => {
            Err(Check::broken("token", failure.sentence(), "`swarm --help` says where it is read from"))
        }
    };
    let answer = match answer {
        Ok(answer) => {
            checks.extend(swarm::checks(&answer));
            Some(answer)
        }
        Err(check) => {
            checks.push(check);
            None
        }
    };
    let host = workstation::host_name().map_or_else(|_| String::new(), |name| name.to_string());
    let local = clock::local().naive_local();
    checks.extend(cron::checks(&survey(local), &host, answer.as_ref().map(Answer::nightlies)));
    let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Good);
    output.show(&Report { verdict, checks }, text)?;
    Ok(if verdict == Verdict::Broken { Exit::Unwell } else { Exit::Ok })
}

fn text(report: &Report) -> String {
    let width = report.checks.iter().map(|check| check.subject.len()).max().unwrap_or_default();
    let lines = report.checks.iter().map(|check| {
        let word = match check.verdict {
            Verdict::Good => "good",
            Verdict::Look => "LOOK",
            Verdict::Broken => "BROKEN",
        };
        let advice = check.advice.iter().map(|advice| format!("do: {advice}"));
        format!("{word:6}  {:width$}  {}{}", check.subject, check.found, indented(advice, 10 + width))
    });
    let end = match report.verdict {
        Verdict::Good => "All is well.",
        Verdict::Look => "It works; some things are worth a look.",
        Verdict::Broken => "Something is broken.",
    };
    format!("{}\n\n{end}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_reads() {
        let checks = vec![
            Check::good("orchestrator", "http://queen:8400 answers"),
            Check::look("drone ant", "has a clock that is wrong", "let chrony set it"),
            Check::broken("cron", "no cron daemon runs", "start one"),
        ];
        insta::assert_snapshot!(text(&Report { verdict: Verdict::Broken, checks }));
    }
}
