//! The log of an attempt: its end first, a page at a time backwards, and what is added while somebody looks.
//!
//! Never is a whole log in one page or in memory: a page is about [`PAGE_BYTES`] of text, whatever a drone has sent. Who
//! follows gets what is new once a second, by a look at the primary key for each; [`Feed::follower`] bounds their number.
//!
//! [`Feed::follower`]: super::live::Feed::follower

mod text;

use super::error::PageError;
use super::extract::{Path, Query};
use super::live::respond;
use super::page::{self, About, Room};
use super::visitor::Visitor;
use super::words::{state, taken};
use crate::api::Shared;
use crate::chunk::decompressed;
use crate::db::{self, attempts, logs};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::Event;
use axum::response::{Html, Response};
use maud::{Markup, html};
use serde::Deserialize;
use std::time::Duration;
use swarm_protocol::admin::AttemptDetail;
use swarm_protocol::id::AttemptId;
pub(super) use text::harmless;
use text::{Line, Section};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Text on a page, more or less a chunk.
const PAGE_BYTES: usize = 256 << 10;
/// Compressed bytes that are read for it at most, more or less a chunk.
const READ_BYTES: i64 = 256 << 10;
/// Between two looks for those who follow.
const TURN: Duration = Duration::from_secs(1);
/// After the attempt's end, its last lines come within so many looks.
const LAST_LOOKS: u32 = 5;
/// After that a viewer has to show again who it is.
const LONGEST: Duration = Duration::from_hours(1);

/// `?before=CHUNK`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    before: Option<i32>,
}

/// A part of a log.
struct Part {
    /// The number of its first chunk.
    from: i32,
    /// The number after that of its last.
    next: i32,
    text: Vec<u8>,
}

/// The page.
pub(super) async fn show(
    State(app): State<Shared>,
    visitor: Visitor,
    Path(id): Path<AttemptId>,
    Query(Which { before }): Query<Which>,
) -> Result<Html<String>, PageError> {
    // Before the log: what was written until the attempt's end is then on the page.
    let detail = attempts::detail(&app.db, id).await?.ok_or_else(|| PageError::not_found("attempt"))?;
    let now = db::now(&app.db).await?;
    let end = before.unwrap_or(i32::MAX);
    let part = last_part(end, &logs::chunks_before(&app.db, id, end, READ_BYTES).await?);
    let lines = text::lines(&part.text);
    let errors = lines.iter().filter(|line| line.error).count();
    let attempt = &detail.attempt;
    let title = format!("Log of {}, attempt {}", detail.cpv, attempt.number);
    let follows = attempt.ended_at.is_none() && before.is_none();
    let content = html! {
        h1 { "Log of " a href={ "/packages/" (detail.package) } { (detail.cpv) } ", attempt " (attempt.number) }
        p {
            (state(attempt.outcome.map_or(attempt.phase.as_str(), |outcome| outcome.as_str())))
            " on " a href={ "/drones/" (attempt.drone) } { (attempt.drone) }
            ", " (taken(attempt.started_at, attempt.ended_at.unwrap_or(now)))
        }
        (failure(&detail))
        p {
            @if errors > 0 { a href="#error-1" { "First of " (errors) " errors on this page" } }
            @else { span .faint { "No error on this page." } }
            @if before.is_some() { " · " a href={ "/attempts/" (id) "/log" } { "To the end" } }
        }
        @if part.from > 0 {
            nav aria-label="Pages of the log" {
                a rel="prev" href={ "/attempts/" (id) "/log?before=" (part.from) } { "← what was before" }
            }
        }
        div .log { (sections(&text::sections(lines))) @if part.text.is_empty() && !follows { p { "It is empty." } } }
        @if follows {
            h2 { "Since then" }
            div .log {
                pre aria-live="off" data-follow={ "/attempts/" (id) "/log/live?from=" (part.next) } {}
            }
        }
    };
    Ok(page::full(&visitor, &About { title: &title, room: Room::Runs, topics: &[] }, &content))
}

fn failure(detail: &AttemptDetail) -> Markup {
    let attempt = &detail.attempt;
    html! {
        @if let Some(reason) = &attempt.reason {
            section .card aria-label="Why it ended" {
                p { @if let Some(class) = attempt.class { strong { (class) ": " } } (reason) }
                @if let Some(excerpt) = &attempt.excerpt {
                    details { summary { "The log's telling lines" } pre { (harmless(excerpt)) } }
                }
            }
        }
    }
}

/// The end of these chunks that fills a page.
fn last_part(end: i32, chunks: &[(i32, Vec<u8>)]) -> Part {
    let next = chunks.last().map_or(if end == i32::MAX { 0 } else { end }, |(sequence, _)| sequence + 1);
    let mut part = Part { from: next, next, text: Vec::new() };
    let mut pieces = Vec::new();
    let mut bytes = 0;
    for (sequence, chunk) in chunks.iter().rev() {
        if bytes >= PAGE_BYTES {
            break;
        }
        let piece = decompressed(chunk);
        bytes += piece.len();
        part.from = *sequence;
        pieces.push(piece);
    }
    part.text = pieces.into_iter().rev().flatten().collect();
    part
}

/// Folded but for the last one and those with errors.
fn sections(sections: &[Section]) -> Markup {
    let mut errors = 0;
    html! {
        @for (number, section) in sections.iter().enumerate() {
            @let found = section.lines.iter().filter(|line| line.error).count();
            @let open = found > 0 || number + 1 == sections.len();
            details open[open] {
                summary {
                    (section.title.as_deref().unwrap_or("The log goes on"))
                    span .faint { " " (section.lines.len()) " lines" @if found > 0 { ", " (found) " with errors" } }
                }
                pre { (lines(&section.lines, &mut errors)) }
            }
        }
    }
}

/// `errors` counts them over the page.
fn lines(lines: &[Line], errors: &mut usize) -> Markup {
    html! {
        @for line in lines {
            @if line.error {
                @let number = { *errors += 1; *errors };
                mark id={ "error-" (number) } { (line.text) }
            } @else {
                (line.text)
            }
            @if line.complete { "\n" }
        }
    }
}

/// `?from=CHUNK`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    from: i32,
}

/// What is added to a log, as a stream.
pub(super) async fn follow(
    State(app): State<Shared>,
    _: Visitor,
    Path(id): Path<AttemptId>,
    Query(From { from }): Query<From>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    logs::has_ended(&app.db, id).await?.ok_or_else(|| PageError::not_found("attempt"))?;
    let seat = app.feed.follower()?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let until = Instant::now() + LONGEST;
    let follower =
        Follower { app, attempt: id, next: last.unwrap_or(from), silent: 0, over: false, until, _seat: seat };
    let events = futures::stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(respond(events))
}

struct Follower {
    app: Shared,
    attempt: AttemptId,
    next: i32,
    /// Looks since the attempt's end that found nothing.
    silent: u32,
    over: bool,
    until: Instant,
    _seat: OwnedSemaphorePermit,
}

impl Follower {
    /// The next message; none ends the stream.
    async fn next(&mut self) -> Option<Event> {
        while !self.over && Instant::now() < self.until {
            // Before the chunks, so that none which was written until the end is missed.
            let ended = logs::has_ended(&self.app.db, self.attempt).await.ok()??;
            let chunks = logs::next_chunks(&self.app.db, self.attempt, self.next).await.ok()?;
            if let Some((last, _)) = chunks.last() {
                self.next = last + 1;
                self.silent = 0;
                return Some(self.message(&chunks));
            }
            self.silent += u32::from(ended);
            if self.silent > LAST_LOOKS {
                self.over = true;
                return Some(Event::default().event("ended").data("ended"));
            }
            if !self.app.pause(TURN).await {
                return None;
            }
        }
        None
    }

    fn message(&self, chunks: &[(i32, Vec<u8>)]) -> Event {
        let text: Vec<u8> = chunks.iter().flat_map(|(_, chunk)| decompressed(chunk)).collect();
        // Errors are told by their looks here: numbers are the page's.
        let lines = html! {
            pre {
                "\n"
                @for line in text::lines(&text) {
                    @if line.error { mark { (line.text) } } @else { (line.text) }
                    @if line.complete { "\n" }
                }
            }
        };
        Event::default().event("lines").id(self.next.to_string()).data(lines.into_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(text, 3).unwrap()
    }

    #[test]
    fn a_page_is_the_end_of_the_log_and_says_what_is_before() {
        let line = "x".repeat(99) + "\n";
        let chunks: Vec<_> = (10..20).map(|number| (number, chunk(line.repeat(655).as_bytes()))).collect();
        let part = last_part(i32::MAX, &chunks);
        assert_eq!((part.from, part.next), (15, 20), "five chunks of 65,500 bytes fill a page");
        assert_eq!(part.text.len(), 5 * 65_500);
        let empty = last_part(i32::MAX, &[]);
        assert_eq!((empty.from, empty.next, empty.text.len()), (0, 0, 0));
    }

    #[test]
    fn markup_in_a_log_is_text() {
        let hostile = text::lines(b"</pre><script>alert(1)</script> error: no\n");
        let page = sections(&text::sections(hostile)).into_string();
        assert!(page.contains("&lt;/pre&gt;&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(page.contains("<mark id=\"error-1\">"), "{page}");
    }
}
