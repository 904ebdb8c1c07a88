//! Commands for tests.

use fastrand::Rng;

use super::command::{Command, Import, Publish, Remove, Start};
use crate::content::{FileId, SafeName};
use crate::wire::{Authority, ClientId, Label, List, Name, Policy, Published, Term, Version};

pub(super) fn name(text: &str) -> SafeName {
    SafeName::new(text).unwrap()
}

pub(super) fn version(content: &[u8], policy: Policy) -> Version {
    Version {
        number: 0,
        id: FileId::of(content),
        size: content.len() as u64,
        total: content.len() as u64,
        chunks: 1,
        policy,
        stamp_ms: 5,
        publisher: Label::new("anna"),
    }
}

pub(super) fn copies(copies: u8) -> Policy {
    Policy::copies(copies).unwrap()
}

/// Something that may happen: few names, contents, clients and numbers, so that all meet.
pub(super) fn any_command(rng: &mut Rng, clients: &[ClientId]) -> Command {
    let names = ["a", "b", "a/", "b/c"];
    let at = names[rng.usize(..names.len())];
    let (client, seq) = (clients[rng.usize(..clients.len())], rng.u64(1..40));
    let policy = [Policy::NONE, copies(1), copies(2), copies(3)][rng.usize(..4)];
    let some = Version { stamp_ms: rng.u64(..5), ..version(&[rng.u8(..4)], policy) };
    let number = rng.u32(..6);
    match rng.u8(..10) {
        0..5 => Command::Publish(Publish { client, seq, name: name(at), version: some, expect: number / 2 }),
        5..8 => Command::Remove(Remove { client, seq, name: name(at), number: number / 2 }),
        8 => {
            let published = Published { name: Name::new(at), version: Version { number, ..some } };
            Command::Import(Import { list: List::new(vec![published]) })
        }
        _ => Command::Start(Start { authority: Authority::random(), least: Term(rng.u128(..20)) }),
    }
}
