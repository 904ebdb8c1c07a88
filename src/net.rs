//! Connections: who may come in, preface, HELLO, framing and tracing. Owns sockets, decides nothing.
//!
//! - `dial`: how a connection begins and ends, `race`: at whichever of several addresses, `reach`: and whether that is
//!   the peer that is sought; `identity`: who this side is; `handshake`: preface and HELLO.
//! - `messages`: a blocking connection for everything but chunks; `handle`: its socket, for other threads.
//! - `bulk`: a non-blocking connection that carries chunks, one thread each (`outbox`: sealed); `wake`: how that thread is woken.
//! - `sealing`: what becomes of bytes there; `secure`: closed swarms: keys, handshake, sealed records;
//!   `keys`: how a process learns of new ones; `join_link`: what somebody joins by.
//! - `door`: who may come in; `guests`: who has; `error`: why one is of no use any more; `trace`: what is said on it.

pub(crate) mod bulk;
mod dial;
pub mod door;
mod error;
pub(crate) mod guests;
mod handle;
mod handshake;
mod identity;
pub(crate) mod join_link;
pub(crate) mod keys;
mod messages;
mod outbox;
mod race;
mod reach;
mod sealing;
pub mod secure;
pub mod trace;
pub(crate) mod wake;

pub use dial::{accept, close_gently, dial, dial_any, listen};
pub use error::NetError;
pub use handle::Handle;
pub(crate) use handshake::greet_by;
pub use handshake::{HELLO_TIMEOUT, Session, greet, welcome};
pub use identity::{Identity, OwnId, SOFTWARE};
pub use messages::Messages;
#[cfg(feature = "lab")]
pub(crate) use race::DIAL_TIMEOUT;
pub(crate) use reach::{Unreached, reach};

#[cfg(test)]
pub(crate) mod tests;
