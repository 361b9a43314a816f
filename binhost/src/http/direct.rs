//! Answers workstations on the bare connection: one read, one write, and files by `sendfile`.
//!
//! Workstations ask plain questions, and many of them. What hyper, axum and an asynchronous file do for one costs
//! several times what the kernel does for it (`README.md` has the numbers). So a plain connection is served here as
//! long as its questions are of that kind and have an answer; with the first other one it goes over to hyper, and with
//! it what was read of it. Under TLS there is no `sendfile`, and hyper serves from the start. What is answered is the
//! same: [`views::find_public`] decides it for both.

use super::answer::Content;
use super::wire::{self, Parsed, Question};
use super::{App, blocking, views};
use crate::error::Doing;
use crate::files::Blob;
use bytes::{Buf, Bytes};
use rustix::net::SendFlags;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocol::Digest;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// How much of a file is sent before others get their turn.
const TURN: usize = 1 << 20;
/// How many pieces go into one write.
const SLICES: usize = 64;

/// What a connection may take up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The largest header, in bytes.
    pub(crate) header_bytes: usize,
    /// For a request's header, and between two requests.
    pub(crate) header: Duration,
    /// Without progress while we send.
    pub(crate) stall: Duration,
}

/// A connection that is for hyper, with what was read of it.
pub(crate) struct HandOver(pub(crate) TcpStream, pub(crate) Vec<u8>);

/// Answers until the connection ends, which is none, or is for hyper. After an answer the client may ask on only if
/// `keep` says so.
pub(crate) async fn serve(
    app: &App,
    mut stream: TcpStream,
    patience: Patience,
    stop: &CancellationToken,
    keep: impl Fn() -> bool,
) -> Option<HandOver> {
    let mut buffer = Vec::with_capacity(2048);
    let mut patient_until = Instant::now() + patience.header;
    loop {
        let question = match wire::parse(&buffer) {
            Parsed::Question(question) => question,
            Parsed::Unfinished if buffer.len() < patience.header_bytes => {
                read(&mut stream, &mut buffer, patient_until, stop).await?;
                continue;
            }
            Parsed::Unfinished | Parsed::Foreign => return Some(HandOver(stream, buffer)),
        };
        let Some(reply) = reply(app, question, &keep).await else { return Some(HandOver(stream, buffer)) };
        let (last, asked) = (reply.last, reply.asked);
        if let Err(error) = send(&stream, reply, patience.stall).await {
            tracing::debug!(%error, "a connection broke");
            return None;
        }
        if last {
            return None;
        }
        buffer.drain(..asked);
        patient_until = Instant::now() + patience.header;
    }
}

/// What goes back, and how many bytes of the buffer it answers.
struct Reply {
    head: Vec<u8>,
    content: Source,
    last: bool,
    asked: usize,
}

/// [`Content`] with its file open.
enum Source {
    Memory(Vec<Bytes>),
    File { file: Arc<File>, first: u64, length: u64 },
}

/// None where there is no answer, or a failure in its place: hyper gives that one.
async fn reply(app: &App, question: Question<'_>, keep: impl Fn() -> bool) -> Option<Reply> {
    let Question { target, path, asked, last, length } = question;
    let answer = views::find_public(app, target, path, &asked).ok()?;
    let last = last || !keep();
    let head = wire::head(&answer, last, app.clock.now());
    tracing::debug!(
        http.method = %asked.method, target.name = target, http.path = path, http.status = answer.status.as_u16(),
        "answered"
    );
    let content = match answer.content {
        Content::Nothing => Source::Memory(Vec::new()),
        Content::Memory(pieces) => Source::Memory(pieces),
        Content::Open { file, first, length, .. } => Source::File { file, first, length },
        Content::Blob { digest, first, length } => match open(app, digest).await? {
            Blob::Small(bytes) => {
                let (first, length) = (usize::try_from(first).ok()?, usize::try_from(length).ok()?);
                // Fewer bytes than there should be are for the other way of serving, whose client sees it end early.
                let end = first.checked_add(length).filter(|end| *end <= bytes.len())?;
                Source::Memory(vec![bytes.slice(first..end)])
            }
            Blob::Large(file) => Source::File { file, first, length },
        },
    };
    Some(Reply { head, content, last, asked: length })
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

/// Reads something more; none at the end, and when the time is up.
async fn read(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    until: Instant,
    stop: &CancellationToken,
) -> Option<()> {
    let idle = buffer.is_empty();
    tokio::select! {
        biased;
        read = timeout_at(until, stream.read_buf(buffer)) => (read.ok()?.ok()? > 0).then_some(()),
        () = stop.cancelled(), if idle => None,
    }
}

async fn send(stream: &TcpStream, reply: Reply, stall: Duration) -> io::Result<()> {
    match reply.content {
        Source::Memory(mut pieces) => {
            pieces.insert(0, reply.head.into());
            send_pieces(stream, pieces.into(), stall).await
        }
        Source::File { file, first, length } => {
            send_head(stream, &reply.head, stall).await?;
            send_file(stream, &file, first, length, stall).await
        }
    }
}

async fn send_pieces(stream: &TcpStream, mut pieces: VecDeque<Bytes>, stall: Duration) -> io::Result<()> {
    while let Some(first) = pieces.front_mut() {
        if first.is_empty() {
            pieces.pop_front();
            continue;
        }
        let slices: Vec<_> = pieces.iter().take(SLICES).map(|piece| IoSlice::new(piece)).collect();
        let mut sent = progress(stream, stall, || stream.try_write_vectored(&slices)).await?;
        for piece in &mut pieces {
            let of_this = sent.min(piece.len());
            piece.advance(of_this);
            sent -= of_this;
        }
    }
    Ok(())
}

/// The file's first bytes follow in the same packet.
async fn send_head(stream: &TcpStream, mut head: &[u8], stall: Duration) -> io::Result<()> {
    let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
    while !head.is_empty() {
        let write = || stream.try_io(Interest::WRITABLE, || Ok(rustix::net::send(stream, head, flags)?));
        let sent = progress(stream, stall, write).await?;
        head = head.get(sent..).unwrap_or_default();
    }
    Ok(())
}

async fn send_file(
    stream: &TcpStream,
    file: &File,
    mut offset: u64,
    length: u64,
    stall: Duration,
) -> io::Result<()> {
    let end = offset + length;
    while offset < end {
        let turn = usize::try_from(end - offset).map_or(TURN, |left| left.min(TURN));
        let write = || {
            stream.try_io(Interest::WRITABLE, || {
                Ok(rustix::fs::sendfile(stream, file, Some(&mut offset), turn)?)
            })
        };
        progress(stream, stall, write).await?;
        if offset < end {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Writes as soon as the client takes something. None taken for too long is an error; so is a file with fewer bytes than
/// it should have: the client sees a connection that ends too early, and asks again.
async fn progress(
    stream: &TcpStream,
    stall: Duration,
    mut write: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match write() {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                timeout(stall, stream.writable()).await??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
