//! The serving side of connections: opens contents, takes requests, sends chunks, tells of gains.
//!
//! [`connection`] is a connection's thread: its loop and its socket. What a message means and what is to be answered is
//! decided in [`session`], without a socket; what is just being sent is a value of [`sending`]. Whose turn it is, is
//! decided at the desk that all share ([`crate::swarm::desk`]): [`asker`] is one connection's place there, [`uploads`]
//! the lock around it. [`slot`] is one content that an asker has opened, [`held`] what it is served from.

mod asker;
mod complaints;
mod connection;
mod gone;
mod held;
mod host;
mod sending;
mod session;
mod slot;
mod uploads;

pub(super) use complaints::Complaints;
pub(super) use connection::run;
pub(super) use held::{Data, Held, Shared};
pub(super) use host::Host;
pub(super) use uploads::Uploads;
