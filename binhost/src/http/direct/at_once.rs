//! A new connection's first question, answered before anybody waits for anything.
//!
//! wget makes a connection for each file. Its question has mostly come by the time the connection is accepted, and a
//! small answer fits into the socket's buffer: then one read, one write and one close are all, and neither epoll nor a
//! task nor another thread hears of it.

use super::super::App;
use super::super::wire::{self, Parsed};
use super::reply::{Source, reply_at_once};
use super::send::{advance, slices};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// What a connection has come to.
#[derive(Default)]
pub(crate) struct Begun {
    /// Read, and not answered.
    pub(super) buffer: Vec<u8>,
    /// To be sent.
    pub(super) rest: VecDeque<Bytes>,
    /// Nothing is to be answered after that.
    pub(super) last: bool,
}

/// Answers what can be answered now on a connection that does not block; none is a connection that is over.
pub(crate) fn at_once(app: &App, mut stream: &TcpStream, keep: bool) -> Option<Begun> {
    let mut begun = Begun { buffer: vec![0; super::BUFFER], ..Begun::default() };
    let read = match stream.read(&mut begun.buffer) {
        Ok(0) => return None,
        Ok(read) => read,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
        Err(_) => return None,
    };
    begun.buffer.truncate(read);
    let Parsed::Question(question) = wire::parse(&begun.buffer) else { return Some(begun) };
    let Some(reply) = reply_at_once(app, &question, keep) else { return Some(begun) };
    let Source::Memory(mut pieces) = reply.source else { return Some(begun) };
    let written = stream.write_vectored(&slices(&pieces));
    match written {
        Ok(sent) => advance(&mut pieces, sent),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(_) => return None,
    }
    if reply.last && pieces.is_empty() {
        return None;
    }
    begun.buffer.drain(..reply.asked);
    Some(Begun { rest: pieces, last: reply.last, ..begun })
}
