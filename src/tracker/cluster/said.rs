//! What trackers of a cluster say to each other, and the connections on which they say it: numbered frames, and what is known
//! of who is at the other end.

use bytes::{BufMut, Bytes, BytesMut};

use super::durable::Head;
use super::entry::{Chain, ClusterId, Incarnation, Node};
use super::rules::{Rule, Rules};
use crate::wire::{Cursor, DecodeError, Field, layout};

layout! {
    /// The first thing that both ends of a connection say.
    Greeting {
        /// Who says it.
        node: Node,
        /// Its disk.
        incarnation: Incarnation,
        /// The hash of the list of first members it was given.
        list: u64,
    }
}

layout! {
    /// Where somebody is.
    At {
        /// The cluster; before the first epoch the one that it would found, 0 if it has not met all.
        cluster: ClusterId,
        /// The epoch that it has begun; 0 before the first.
        epoch: u32,
        /// Up to which slot it has applied; before the first epoch 1 if the other end of this connection has said there that it
        /// would found the same, else 0.
        slot: u64,
        /// The chain up to there.
        chain: Chain,
    }
}

impl At {
    /// True if this is the word of somebody who would found this cluster.
    pub(super) fn would_found(&self, cluster: ClusterId) -> bool {
        self.epoch == 0 && self.cluster == cluster && cluster != ClusterId::default()
    }
}

/// Something said on a connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// Who is at this end.
    Greeting(Greeting),
    /// Where it is.
    At(At),
    /// What the engine of this epoch says.
    Engine(u32, Bytes),
    /// The snapshot of this epoch or a later one is wanted, from this byte on.
    Ask(u32, u64),
    /// A piece of the snapshot with which an epoch begins, from this byte on.
    Piece(Head, u64, Bytes),
}

impl Said {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Said::Greeting(greeting) => {
                out.put_u8(1);
                greeting.put(out);
            }
            Said::At(at) => {
                out.put_u8(2);
                at.put(out);
            }
            Said::Engine(epoch, said) => {
                (3_u8, *epoch).put(out);
                out.put_slice(said);
            }
            Said::Ask(epoch, at) => (4_u8, (*epoch, *at)).put(out),
            Said::Piece(head, at, bytes) => {
                (5_u8, *at).put(out);
                head.put(out);
                (bytes.len() as u32).put(out);
                out.put_slice(bytes);
            }
        }
    }

    fn take(mut bytes: Bytes) -> Result<Said, DecodeError> {
        let mut first = Cursor::new(bytes.split_to(bytes.len().min(1)));
        let kind = u8::take(&mut first)?;
        if kind == 3 {
            let mut epoch = Cursor::new(bytes.split_to(bytes.len().min(4)));
            return Ok(Said::Engine(Field::take(&mut epoch)?, bytes));
        }
        let mut from = Cursor::new(bytes);
        let said = match kind {
            1 => Said::Greeting(Field::take(&mut from)?),
            2 => Said::At(Field::take(&mut from)?),
            4 => {
                let (epoch, at) = Field::take(&mut from)?;
                Said::Ask(epoch, at)
            }
            5 => {
                let (at, head) = <(u64, Head)>::take(&mut from)?;
                let len = u32::take(&mut from)?;
                Said::Piece(head, at, from.take(len as usize)?)
            }
            other => return Err(DecodeError::UnknownMessage(other)),
        };
        from.finish()?;
        Ok(said)
    }
}

/// A connection to another tracker.
#[derive(Debug)]
pub(super) struct Link {
    /// Which of the connections to this tracker it is.
    pub(super) id: u64,
    /// Numbers of the last frames that went out and came in.
    sent: u64,
    got: u64,
    /// Who is at the other end.
    pub(super) greeting: Option<Greeting>,
    /// Where that is.
    pub(super) at: Option<At>,
    /// What it was told last before the first epoch: which cluster this tracker would found, and whether that is the other's
    /// word, too.
    pub(super) told: Option<(ClusterId, bool)>,
    /// The epoch in which the engines have been told of each other on this connection.
    pub(super) joint: u32,
    /// Ticks since the last frame came.
    pub(super) silent: u32,
}

/// What a frame means for its connection.
#[derive(Debug)]
pub(super) enum Frame {
    /// It says this.
    Says(Said),
    /// The connection is to be ended.
    Wrong,
}

impl Link {
    pub(super) fn new(id: u64) -> Link {
        Link { id, sent: 0, got: 0, greeting: None, at: None, told: None, joint: 0, silent: 0 }
    }

    /// The next frame of this connection.
    pub(super) fn frame(&mut self, said: &Said) -> Bytes {
        self.sent += 1;
        let mut out = BytesMut::new();
        self.sent.put(&mut out);
        said.put(&mut out);
        out.freeze()
    }

    /// A frame that came.
    pub(super) fn take(&mut self, mut frame: Bytes, rules: Rules) -> Frame {
        let mut number = Cursor::new(frame.split_to(frame.len().min(8)));
        let (Ok(number), Ok(said)) = (u64::take(&mut number), Said::take(frame)) else { return Frame::Wrong };
        let greeted = self.greeting.is_some() || matches!(said, Said::Greeting(_));
        if (number != self.got + 1 || !greeted) && rules.hold(Rule::LinkNumbers) {
            return Frame::Wrong;
        }
        self.silent = 0;
        self.got = number;
        Frame::Says(said)
    }
}

/// A snapshot on its way here.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) from: Node,
    pub(super) head: Option<Head>,
    pub(super) got: BytesMut,
    pub(super) ticks: u32,
}
