//! What a message is answered with, and what else is to be done.

use std::time::Instant;

use crate::tracker::directory::Look;
use crate::wire::{Common, FromTracker};

/// What the tracker's threads are to do beside answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Dial a peer back, and tell the directory whether it answers.
    Look(Look),
    /// Send PING on the connection of this number: whatever it says is a sign of life.
    Ping(u64),
    /// Keep this connection's place before those of others: it is registered.
    Keep,
    /// The answer takes another step: [`go_on`](super::Session::go_on), or nothing if nobody waits for it any more.
    GoOn,
    /// There is nothing to answer yet: [`go_on`](super::Session::go_on) whenever this connection is woken, and at this time at the
    /// latest. Other messages on the connection wait meanwhile, so whoever asks such things has one for them alone.
    Wait(Instant),
}

/// An answer, and whether the connection ends after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Reply {
    /// What to send; nothing is owed to an ERROR.
    pub answer: Option<FromTracker>,
    /// True if the connection should be closed once the answer is sent.
    pub close: bool,
    /// What else is to be done.
    pub effect: Option<Effect>,
}

impl From<FromTracker> for Reply {
    fn from(answer: FromTracker) -> Reply {
        Reply { answer: Some(answer), close: false, effect: None }
    }
}

impl From<Common> for Reply {
    fn from(answer: Common) -> Reply {
        FromTracker::from(answer).into()
    }
}
