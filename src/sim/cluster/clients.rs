//! Simulated clients: each asks for one thing after the other, and asks again elsewhere until it is told what came of it.

use fastrand::Rng;

use super::net::Time;
use crate::content::{FileId, SafeName};
use crate::tracker::cluster::Node;
use crate::tracker::records::{Command, Publish, Remove};
use crate::wire::{ClientId, Label, Policy, Version};

/// What a client wants now.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// None for a fresh read.
    pub(super) command: Option<Command>,
    /// What had been acknowledged when it was first asked for.
    pub(super) floor: u64,
    /// When it is asked for again.
    pub(super) again: Time,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) seq: u64,
    pub(super) wish: Option<Wish>,
    pub(super) target: Node,
}

impl Client {
    pub(super) fn new(number: u128) -> Client {
        Client { id: ClientId(number), seq: 0, wish: None, target: 1 }
    }

    /// Something new.
    pub(super) fn wishes(&mut self, floor: u64, rng: &mut Rng) {
        self.seq += 1;
        let name = ["a", "b", "c/"][rng.usize(..3)];
        let name = SafeName::new(name).expect("a name");
        let (client, seq) = (self.id, self.seq);
        let command = match rng.u8(..10) {
            0..5 => {
                let id = FileId::of(&[client.0.to_be_bytes().as_slice(), &seq.to_be_bytes()].concat());
                let policy = Policy::copies(rng.u8(1..4)).unwrap_or(Policy::NONE);
                let (publisher, stamp_ms) = (Label::new("anna"), 0);
                let version =
                    Version { number: 0, id, size: 1, total: 1, chunks: 1, policy, stamp_ms, publisher };
                let expect = if rng.u8(..4) == 0 { rng.u32(..3) } else { 0 };
                Some(Command::Publish(Publish { client, seq, name, version, expect }))
            }
            5..7 => Some(Command::Remove(Remove { client, seq, name, number: rng.u32(..4) })),
            _ => None,
        };
        self.wish = Some(Wish { command, floor, again: 0 });
    }

    /// The same under another name: what a client without a memory would do.
    pub(super) fn forgets_itself(&mut self, rng: &mut Rng) {
        self.id = ClientId(rng.u128(..));
        let id = self.id;
        match self.wish.as_mut().and_then(|wish| wish.command.as_mut()) {
            Some(Command::Publish(publish)) => publish.client = id,
            Some(Command::Remove(remove)) => remove.client = id,
            _ => {}
        }
    }
}
