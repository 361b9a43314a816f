//! Answers workstations on the bare connection: one read, one write, and files by `sendfile`.
//!
//! Workstations ask plain questions, and many of them. What hyper, axum and an asynchronous file do for one costs
//! several times what the kernel does for it (`README.md` has the numbers). So a plain connection is served here as
//! long as its questions are of that kind and have an answer; with the first other one it goes over to hyper, and with
//! it what was read of it. Under TLS there is no `sendfile`, and hyper serves from the start. What is answered is the
//! same: [`views::find_public`] decides it for both.

mod at_once;
mod reply;
mod send;

pub(crate) use at_once::{Begun, at_once};

use super::App;
use super::wire::{self, Parsed};
use reply::reply;
use send::{send, send_pieces};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How much is read at a time.
const BUFFER: usize = 2048;

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
    begun: Begun,
    patience: Patience,
    stop: &CancellationToken,
    keep: impl Fn() -> bool,
) -> Option<HandOver> {
    let Begun { mut buffer, rest, last } = begun;
    if !rest.is_empty()
        && let Err(error) = send_pieces(&stream, rest, patience.stall).await
    {
        tracing::debug!(%error, "a connection broke");
        return None;
    }
    if last {
        return None;
    }
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
        let Some(reply) = reply(app, &question, keep()).await else { return Some(HandOver(stream, buffer)) };
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
