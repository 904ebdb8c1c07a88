//! Wire tracing: one line a message on standard error, switched on per side.
//!
//! The switches are process-wide, set once at the start, and cost one load when they are off.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::clock::since_1970;
use crate::say;
use crate::wire::Message;

/// The part a process plays on a connection, as far as tracing is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A connection to a tracker, or at the tracker itself.
    Tracker,
    /// A connection on which this peer serves.
    Serve,
    /// A connection on which this peer fetches.
    Fetch,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Received.
    In,
    /// Sent.
    Out,
}

/// Nothing is traced.
pub const OFF: u8 = 0;
/// All but chunk traffic is traced.
pub const CALM: u8 = 1;
/// Every message is traced.
pub const ALL: u8 = 2;

static LEVELS: [AtomicU8; 3] = [const { AtomicU8::new(OFF) }; 3];

/// Longest text of a message's fields on a line, in characters.
const MAX_FIELDS_CHARS: usize = 240;

/// Sets how much of a side is traced: [`OFF`], [`CALM`] or [`ALL`].
pub fn set(side: Side, level: u8) {
    LEVELS[side as usize].store(level, Ordering::Relaxed);
}

/// True if messages of this side are traced; `chunk_traffic` for GET_CHUNK, CHUNK, HAVE and their like.
pub fn on(side: Side, chunk_traffic: bool) -> bool {
    LEVELS[side as usize].load(Ordering::Relaxed) >= if chunk_traffic { ALL } else { CALM }
}

/// Traces a message that is not chunk traffic or knows by its name that it is.
pub fn message<M: Message + fmt::Debug>(
    side: Side,
    direction: Direction,
    addr: SocketAddr,
    request: u32,
    message: &M,
    bytes: usize,
) {
    let label = message.label();
    if on(side, is_chunk_traffic(label)) {
        line(side, direction, addr, request, label, &format!("{message:?}"), bytes);
    }
}

fn is_chunk_traffic(label: &str) -> bool {
    matches!(label, "GET_CHUNK" | "CHUNK" | "HAVE" | "CANCEL" | "REFUSED" | "PING" | "PONG")
}

/// Writes one line: time, side, direction, other side, message, request, bytes, fields.
pub fn line(
    side: Side,
    direction: Direction,
    addr: SocketAddr,
    request: u32,
    label: &str,
    fields: &str,
    bytes: usize,
) {
    let now = since_1970();
    let (hours, minutes, seconds) = (now.as_secs() / 3600 % 24, now.as_secs() / 60 % 60, now.as_secs() % 60);
    let side = match side {
        Side::Tracker => "tracker",
        Side::Serve => "serve",
        Side::Fetch => "fetch",
    };
    let arrow = match direction {
        Direction::In => "<-",
        Direction::Out => "->",
    };
    let fields: String = fields.chars().take(MAX_FIELDS_CHARS).collect();
    say::line(&format!(
        "{hours:02}:{minutes:02}:{seconds:02}.{:06} {side} {arrow} {addr} {label} #{request} {bytes} B {fields}",
        now.subsec_micros()
    ));
}
