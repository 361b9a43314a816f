//! Writing to a bare connection, as fast as it takes what we have.

use super::reply::{Reply, Source};
use bytes::{Buf, Bytes};
use rustix::net::SendFlags;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How much of a file is sent before others get their turn.
const TURN: usize = 1 << 20;
/// How many pieces go into one write.
const SLICES: usize = 64;

/// Sends an answer.
pub(super) async fn send(stream: &TcpStream, reply: Reply, stall: Duration) -> io::Result<()> {
    match reply.source {
        Source::Memory(pieces) => send_pieces(stream, pieces, stall).await,
        Source::File { head, file, first, length } => {
            send_head(stream, &head, stall).await?;
            send_file(stream, &file, first, length, stall).await
        }
    }
}

/// Sends all pieces, in their order.
pub(super) async fn send_pieces(
    stream: &TcpStream,
    mut pieces: VecDeque<Bytes>,
    stall: Duration,
) -> io::Result<()> {
    while !pieces.is_empty() {
        let sent = {
            let slices = slices(&pieces);
            progress(stream, stall, || stream.try_write_vectored(&slices)).await?
        };
        advance(&mut pieces, sent);
    }
    Ok(())
}

/// What one write may take.
pub(super) fn slices(pieces: &VecDeque<Bytes>) -> Vec<IoSlice<'_>> {
    pieces.iter().take(SLICES).map(|piece| IoSlice::new(piece)).collect()
}

/// Forgets what was sent, and what is empty.
pub(super) fn advance(pieces: &mut VecDeque<Bytes>, mut sent: usize) {
    while let Some(first) = pieces.front_mut() {
        let of_this = sent.min(first.len());
        first.advance(of_this);
        sent -= of_this;
        if !first.is_empty() {
            return;
        }
        pieces.pop_front();
    }
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
