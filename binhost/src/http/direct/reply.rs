//! What goes back for a question: from memory where it can, which needs no waiting.

use super::super::answer::Content;
use super::super::wire::{self, Question};
use super::super::{App, blocking, views};
use crate::error::Doing;
use crate::files::{Blob, SMALL};
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use swarm_protocol::Digest;

/// What goes back, and how many bytes of the buffer it answers.
pub(super) struct Reply {
    pub(super) source: Source,
    pub(super) last: bool,
    pub(super) asked: usize,
}

/// The bytes to send.
pub(super) enum Source {
    /// Head and content.
    Memory(VecDeque<Bytes>),
    /// The content is in a file.
    File { head: Vec<u8>, file: Arc<File>, first: u64, length: u64 },
}

/// The reply to a question. None where there is no answer, or a failure in its place: hyper gives that one.
pub(super) async fn reply(app: &App, question: &Question<'_>, keep: bool) -> Option<Reply> {
    let decided = decide(app, question, keep)?;
    let source = match decided.content {
        Content::Open { file, first, length, .. } if length > SMALL => {
            Source::File { head: decided.head, file, first, length }
        }
        Content::Blob { digest, first, length } => match open(app, digest).await? {
            Blob::Small(bytes) => memory(decided.head, vec![part(&bytes, first, length)?]),
            Blob::Large(file) => Source::File { head: decided.head, file, first, length },
        },
        Content::Nothing => memory(decided.head, Vec::new()),
        Content::Memory(pieces) | Content::Open { pieces, .. } => memory(decided.head, pieces),
    };
    Some(Reply { source, last: decided.last, asked: question.length })
}

/// The same if it is small and in memory.
pub(super) fn reply_at_once(app: &App, question: &Question<'_>, keep: bool) -> Option<Reply> {
    let decided = decide(app, question, keep)?;
    let pieces = match decided.content {
        Content::Nothing => Vec::new(),
        Content::Open { pieces, length, .. } if length <= SMALL => pieces,
        Content::Blob { digest, first, length } => match app.files.get(digest)? {
            Blob::Small(bytes) => vec![part(&bytes, first, length)?],
            Blob::Large(_) => return None,
        },
        Content::Memory(_) | Content::Open { .. } => return None,
    };
    Some(Reply { source: memory(decided.head, pieces), last: decided.last, asked: question.length })
}

struct Decided {
    head: Vec<u8>,
    content: Content,
    last: bool,
}

fn decide(app: &App, question: &Question<'_>, keep: bool) -> Option<Decided> {
    let Question { target, path, asked, last, .. } = question;
    let answer = views::find_public(app, target, path, asked).ok()?;
    let last = *last || !keep;
    let head = wire::head(&answer, last, app.clock.now());
    tracing::debug!(
        http.method = %asked.method, target.name = target, http.path = path, http.status = answer.status.as_u16(),
        "answered"
    );
    Some(Decided { head, content: answer.content, last })
}

fn memory(head: Vec<u8>, pieces: Vec<Bytes>) -> Source {
    Source::Memory(std::iter::once(head.into()).chain(pieces).collect())
}

/// Fewer bytes than there should be are for the other way of serving, whose client sees it end early.
fn part(bytes: &Bytes, first: u64, length: u64) -> Option<Bytes> {
    let (first, length) = (usize::try_from(first).ok()?, usize::try_from(length).ok()?);
    let end = first.checked_add(length).filter(|end| *end <= bytes.len())?;
    Some(bytes.slice(first..end))
}

async fn open(app: &App, digest: Digest) -> Option<Blob> {
    if let Some(blob) = app.files.get(digest) {
        return Some(blob);
    }
    let store = Arc::clone(&app.store);
    let opened =
        blocking(move || Blob::of(store.blobs.open_blob(digest)?).doing("read", &store.blobs.path(digest)));
    let blob = opened.await.ok()?;
    app.files.keep(digest, &blob);
    Some(blob)
}
