//! Whether a program does what `docs/PROTOCOL.md` says: raw bytes spoken to a tracker, to a peer that serves, and to a
//! command that fetches.
//!
//! Encoder, geometry and proofs are written here once more, from the document alone, so that a mistake of `wire` or
//! `content` is not made here as well. A check holds, does not, or is skipped for want of something to check it with.

mod asker;
mod check;
mod client;
mod closed;
mod command;
mod directory;
mod fields;
mod framing;
mod handshake;
mod listing;
mod locating;
mod nodes;
mod notices;
mod numbers;
mod peer;
mod pipelining;
mod proof;
mod published;
mod registering;
mod relay;
mod stage;
mod stores;
mod target;
mod trees;

use std::time::Duration;

use check::Check;
pub use check::{Checked, Fault};
pub use client::{Client, Frame, Hello, PATIENCE, frame};
use closed::Closed;
use command::Asker;
pub use directory::{offer, register};
pub use fields::{Body, Fields};
pub use numbers::*;
pub use target::Shared;
use target::{Peer, Target};

/// What came of one check.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was checked, in words.
    pub name: String,
    /// The section of `docs/PROTOCOL.md` that says so.
    pub section: &'static str,
    /// How it ended.
    pub result: Checked,
}

fn run<S>(checks: &[Check<S>], subject: &S, tell: &mut dyn FnMut(Outcome)) {
    for check in checks {
        let result = (check.run)(subject);
        tell(Outcome { name: check.name.replace('_', " "), section: check.section, result });
    }
}

/// Checks the tracker at `addr`, on which nobody else registers names that begin with `conformance`; it may take
/// `patience` for anything. `tell` hears of each check as it ends.
pub fn tracker(addr: &str, patience: Duration, tell: &mut dyn FnMut(Outcome)) {
    let target = Target::tracker(addr, patience);
    let checks = [
        handshake::CHECKS,
        handshake::OF_TRACKERS,
        framing::CHECKS,
        framing::OF_TRACKERS,
        pipelining::CHECKS,
        registering::CHECKS,
        locating::CHECKS,
        listing::CHECKS,
        published::CHECKS,
        stores::CHECKS,
        nodes::CHECKS,
    ];
    checks.iter().for_each(|checks| run(checks, &target, tell));
}

/// Checks the peer at `addr`, which holds all of what it is said to share.
pub fn server(addr: &str, shared: &Shared, patience: Duration, tell: &mut dyn FnMut(Outcome)) {
    let peer = Peer::new(addr, shared, patience);
    [handshake::CHECKS, framing::CHECKS].iter().for_each(|checks| run(checks, &peer.target, tell));
    let checks = [handshake::OF_SERVERS, framing::OF_SERVERS, peer::CHECKS, trees::CHECKS, notices::CHECKS];
    checks.iter().for_each(|checks| run(checks, &peer, tell));
}

/// Checks the handshake and the records of the tracker or peer at `addr`, in whose swarm this is the secret.
pub fn closed(addr: &str, role: u8, secret: [u8; 32], patience: Duration, tell: &mut dyn FnMut(Outcome)) {
    let theirs = if role == MEMBER { TRACKER } else { SERVE };
    run(closed::CHECKS, &Closed::new(addr, role, theirs, secret, patience), tell);
}

/// Checks a command that fetches a file, run anew for each check. In its arguments `{tracker}` stands for the tracker
/// to ask, `{name}` and `{id}` for the content, `{size}` for its bytes, `{dest}` for a folder to put it into.
/// With the secret of a swarm, which the command has to know as well, all of it is sealed.
pub fn asker(
    command: &[String],
    secret: Option<[u8; 32]>,
    patience: Duration,
    tell: &mut dyn FnMut(Outcome),
) {
    run(asker::CHECKS, &Asker { command: command.to_vec(), secret, patience }, tell);
}
