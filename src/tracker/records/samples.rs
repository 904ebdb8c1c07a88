//! Commands for tests.

use fastrand::Rng;

use super::command::{Command, Import, Publish, PublishAs, Remove, RemoveAs, Start};
use super::nodes::{
    DutyAssigned, DutyClaimed, DutyEnded, DutyExpired, DutyOpened, NodeBack, NodeDrained, NodeLost, SetNodes,
};
use super::roster::{Admit, Enter, Expire, Found, Founder, Invite, Revoke, Rotate};
use crate::content::{FileId, PublicKey, SafeName};
use crate::wire::{
    Authority, ClientId, Label, Life, List, MemberRole, Name, NodeId, NodesChange, Policy, Published,
    Standing, SwarmSecret, Term, Version,
};

pub(in crate::tracker) fn name(text: &str) -> SafeName {
    SafeName::new(text).unwrap()
}

pub(in crate::tracker) fn version(content: &[u8], policy: Policy) -> Version {
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

pub(in crate::tracker) fn copies(copies: u8) -> Policy {
    Policy::copies(copies).unwrap()
}

/// Something that may happen: few names, contents, clients and numbers, so that all meet.
pub(in crate::tracker) fn any_command(rng: &mut Rng, clients: &[ClientId]) -> Command {
    let names = ["a", "b", "a/", "b/c"];
    let at = names[rng.usize(..names.len())];
    let (client, seq) = (clients[rng.usize(..clients.len())], rng.u64(1..40));
    let policy = [Policy::NONE, copies(1), copies(2), copies(3)][rng.usize(..4)];
    let some = Version { stamp_ms: rng.u64(..5), ..version(&[rng.u8(..4)], policy) };
    let number = rng.u32(..6);
    match rng.u8(..17) {
        10..14 => any_about_members(rng, (client, seq)),
        14..17 => any_about_nodes(rng, (client, seq)),
        0..5 => Command::Publish(Publish { client, seq, name: name(at), version: some, expect: number / 2 }),
        5..8 => Command::Remove(Remove { client, seq, name: name(at), number: number / 2 }),
        8 => {
            let published = Published { name: Name::new(at), version: Version { number, ..some } };
            Command::Import(Import { list: List::new(vec![published]) })
        }
        _ => Command::Start(Start { authority: Authority::random(), least: Term(rng.u128(..20)) }),
    }
}

/// Something about nodes: few of them, lives and duties, so that all meet.
pub(super) fn any_about_nodes(rng: &mut Rng, (client, seq): (ClientId, u64)) -> Command {
    let (node, other) = (NodeId([rng.u8(..3); 16]), NodeId([rng.u8(..3); 16]));
    let life = Life { start: rng.u64(..3), drawn: rng.u32(..2) };
    let duty = rng.u64(..60);
    match rng.u8(..10) {
        0..2 => Command::NodeBack(NodeBack { node, life, name: Label::new("x"), host: Label::new("h") }),
        2 => Command::NodeLost(NodeLost { node }),
        3 => Command::NodeDrained(NodeDrained { node, drained: rng.bool() }),
        4 => Command::DutyOpened(DutyOpened { target: node, executor: other }),
        5 => Command::DutyAssigned(DutyAssigned { duty, executor: node }),
        6 => Command::DutyClaimed(DutyClaimed { duty, executor: node, life }),
        7 => Command::DutyEnded(DutyEnded { duty, executor: node }),
        8 => Command::DutyExpired(DutyExpired { duty }),
        _ => {
            let change = NodesChange::ALL[rng.usize(..3)];
            Command::SetNodes(SetNodes { client, seq, change, node })
        }
    }
}

/// Few keys.
pub(in crate::tracker) fn key(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

pub(in crate::tracker) fn standing(role: MemberRole) -> Standing {
    Standing { role, prefix: Name::default() }
}

pub(in crate::tracker) fn secret(number: u8) -> SwarmSecret {
    SwarmSecret::new([number; 32])
}

/// The founding by 1, an admin, and 2, a tracker.
pub(in crate::tracker) fn found() -> Found {
    let founder = |number, role| Founder { key: key(number), name: Label::new("x"), role };
    let founders = List::new(vec![founder(1, MemberRole::Admin), founder(2, MemberRole::Tracker)]);
    Found { swarm: Label::new("lab"), secret: secret(1), founders, since_ms: 5 }
}

/// Something about members: few keys, invites and times, so that all meet.
pub(in crate::tracker) fn any_about_members(rng: &mut Rng, (client, seq): (ClientId, u64)) -> Command {
    let (by, other) = (key(rng.u8(1..4)), key(rng.u8(1..9)));
    let standing = standing(MemberRole::ALL[rng.usize(..4)]);
    let (secret, now_ms) = (secret(rng.u8(..)), rng.u64(..50));
    let name = Label::new("x");
    match rng.u8(..12) {
        0 => Command::Found(found()),
        1 | 2 => {
            let (id, uses) = (rng.u64(..4), rng.u32(..3));
            Command::Invite(Invite { client, seq, by, id, key: secret, standing, uses, until_ms: now_ms })
        }
        3..6 => Command::Admit(Admit { invite: rng.u64(..4), key: other, name, now_ms }),
        6 | 7 => {
            let own = rng.bool();
            Command::Enter(Enter { client, seq, by, key: other, name, own, standing, since_ms: now_ms })
        }
        8 => Command::Revoke(Revoke { client, seq, by, key: other, secret }),
        9 => Command::Rotate(Rotate { client, seq, by, secret, until_ms: now_ms }),
        10 => Command::Expire(Expire { now_ms }),
        _ if rng.bool() => {
            let version = version(&[rng.u8(..4)], Policy::NONE);
            let publish = Publish { client, seq, name: self::name("a"), version, expect: 0 };
            Command::PublishAs(PublishAs { by, publish })
        }
        _ => Command::RemoveAs(RemoveAs {
            by,
            remove: Remove { client, seq, name: self::name("a"), number: 0 },
        }),
    }
}
