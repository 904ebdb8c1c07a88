//! What trackers write and say, as bytes: it comes back as it was, no part of it is taken for all, and of what a disk has
//! the last counts.

use bytes::{BufMut, Bytes, BytesMut};
use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::messages::Message;
use omnipaxos::messages::ballot_leader_election::{
    BLEMessage, HeartbeatMsg, HeartbeatReply, HeartbeatRequest,
};
use omnipaxos::messages::sequence_paxos::{
    AcceptDecide, AcceptSync, Accepted, Compaction, Decide, NotAccepted, PaxosMessage, PaxosMsg, Prepare,
    PrepareReq, Promise,
};
use omnipaxos::util::{LogSync, SequenceNumber};

use super::durable::{Found, Head, Identity, Kept, Write};
use super::entry::{Address, Chain, ClusterId, Entry, Mark, Member, Members, What, cluster_of, member};
use super::rules::{Rule, Rules};
use super::said::{At, Frame, Greeting, Link, Said};
use super::{Incarnation, translation};
use crate::content::{FileId, PublicKey};
use crate::tracker::records::samples::name;
use crate::tracker::records::{Command, Remove};
use crate::wire::{ClientId, Cursor, DecodeError, Field};

const MIB: usize = 1 << 20;

fn mark(number: u64) -> Mark {
    Mark { process: 7, number }
}

fn barrier(number: u64) -> Entry {
    Entry::new(mark(number), &What::Barrier)
}

fn removal(number: u32) -> What {
    let name = name("films/one.mkv");
    What::Command(Command::Remove(Remove { client: ClientId(4), seq: 9, name, number }))
}

fn members(nodes: &[u16]) -> Members {
    let one = |node: &u16| Member {
        node: *node,
        address: Address::new(format!("10.0.0.{node}:9700")),
        incarnation: Incarnation(u128::from(*node) << 70),
        key: PublicKey([*node as u8; 32]),
    };
    Members::new(nodes.iter().map(one).collect())
}

fn ballot(n: u32) -> Ballot {
    Ballot { config_id: 3, n, priority: 2, pid: 5 }
}

fn head(snapshot: &[u8]) -> Head {
    Head {
        cluster: ClusterId(1 << 100),
        epoch: 4,
        base: 77,
        chain: Chain(u128::MAX - 1),
        members: members(&[1, 2, 9]),
        bytes: snapshot.len() as u64,
        hash: FileId::of(snapshot),
    }
}

fn bytes_of(field: &impl Field) -> Bytes {
    let mut out = BytesMut::new();
    field.put(&mut out);
    out.freeze()
}

#[test]
fn an_entry_says_what_was_put_into_it_and_nothing_else_is_one() {
    for what in [What::Barrier, What::End(members(&[2, 3])), removal(1)] {
        let entry = Entry::new(mark(3), &what);
        let mut from = Cursor::new(bytes_of(&entry));
        let back = Entry::take(&mut from).unwrap();
        from.finish().unwrap();
        assert_eq!((&back, back.what().unwrap()), (&entry, what));
        let whole = bytes_of(&entry);
        for end in 0..whole.len() {
            let part = Entry::take(&mut Cursor::new(whole.slice(..end)));
            assert_eq!(part, Err(DecodeError::Truncated), "{end} of {} bytes", whole.len());
        }
    }
    let said = |said: &[u8]| {
        let mut out = BytesMut::from(&bytes_of(&(mark(1), said.len() as u32))[..]);
        out.put_slice(said);
        Entry::take(&mut Cursor::new(out.freeze())).unwrap().what()
    };
    assert_eq!(said(&[]), Err(DecodeError::Truncated));
    assert_eq!(said(&[3]), Err(DecodeError::BadValue { what: "an entry", got: 3 }));
    let end = [&[1][..], &bytes_of(&members(&[1])), &[0]].concat();
    assert_eq!(said(&end), Err(DecodeError::Trailing(1)));
    assert_eq!(said(&[2]), Err(DecodeError::Truncated), "a command of no number");
}

#[test]
fn a_chain_differs_by_all_that_is_before() {
    let (one, other) = (barrier(1), barrier(2));
    let start = Chain::default();
    let chains = [
        start,
        one.chain(start),
        other.chain(start),
        other.chain(one.chain(start)),
        one.chain(other.chain(start)),
        Entry::new(mark(1), &removal(1)).chain(start),
        Entry::new(mark(1), &removal(2)).chain(start),
    ];
    for (at, chain) in chains.iter().enumerate() {
        assert!(!chains[..at].contains(chain), "the one at {at} is another's");
    }
    assert_eq!(one.chain(start), barrier(1).chain(start), "and by nothing else");
}

#[test]
fn a_cluster_is_who_founded_it() {
    assert_eq!(cluster_of(&members(&[1, 2])), cluster_of(&members(&[1, 2])));
    assert_ne!(cluster_of(&members(&[1, 2])), cluster_of(&members(&[1, 3])));
    let mut elsewhere = members(&[1, 2]).into_vec();
    elsewhere[1].incarnation = Incarnation(5);
    assert_ne!(cluster_of(&members(&[1, 2])), cluster_of(&Members::new(elsewhere)), "another disk");
    assert_eq!(member(&members(&[1, 9]), 9).map(|member| member.key), Some(PublicKey([9; 32])));
    assert_eq!(member(&members(&[1, 9]), 2), None);
}

/// What a disk has on which all of this was written.
fn found(writes: &[Write], rules: Rules) -> Found {
    let mut found = Found::default();
    let records = writes.iter().flat_map(Write::records);
    records.for_each(|record| found.take(record, rules).unwrap());
    found
}

#[test]
fn of_what_is_written_the_last_counts_and_a_log_has_one_end() {
    let identity = Identity { node: 2, incarnation: Incarnation(12) };
    let snapshot = Bytes::from_static(b"all the records");
    let first = [
        Write::Identity(identity.clone()),
        Write::Begin(head(&snapshot), snapshot.clone()),
        Write::Promise(ballot(1)),
        Write::Entries(0, vec![barrier(1), barrier(2), barrier(3)]),
        Write::Round(ballot(1)),
        Write::Promise(ballot(6)),
        Write::Entries(1, vec![Entry::new(mark(4), &removal(2))]),
        Write::Decided(1),
        Write::Decided(2),
    ];
    let here = found(&first, Rules::default());
    assert_eq!(here.identity, Some(identity.clone()));
    assert_eq!(here.begun, Some((head(&snapshot), snapshot.clone())));
    let log = vec![barrier(1), Entry::new(mark(4), &removal(2))];
    let kept = Kept { promise: Some(ballot(6)), round: Some(ballot(1)), log, decided: 2 };
    assert_eq!(here.kept, kept);

    let last = |write: &Write| found(&[&first[..], std::slice::from_ref(write)].concat(), Rules::default());
    let again = last(&Write::Begin(head(b""), Bytes::new()));
    assert_eq!(again.begun, Some((head(b""), Bytes::new())), "the snapshot before is no part of it");
    assert_eq!((again.kept, again.identity), (Kept::default(), Some(identity)));
    assert_eq!(last(&Write::Entries(2, vec![barrier(8)])).kept.log.len(), 3, "it goes on at its end");
    assert_eq!(last(&Write::Entries(0, vec![])).kept.log, []);

    let lasting: Vec<bool> = first.iter().map(Write::must_last).collect();
    assert_eq!(lasting, [true, true, true, true, true, true, true, false, false]);
}

#[test]
fn a_large_snapshot_is_written_in_pieces_of_which_a_record_can_be() {
    let snapshot = Bytes::from((0..33 * MIB).map(|at| (at / MIB) as u8).collect::<Vec<u8>>());
    let begin = Write::Begin(head(&snapshot), snapshot.clone());
    let lengths: Vec<usize> = begin.records().iter().map(|(_, body)| body.len()).collect();
    assert_eq!(lengths[..3], [16 * MIB, 16 * MIB, MIB]);
    assert_eq!(lengths.len(), 4);
    let back = found(&[begin], Rules::default()).begun.unwrap();
    assert_eq!(back.0, head(&snapshot));
    assert!(back.1 == snapshot);
}

#[test]
fn a_record_of_another_version_is_refused() {
    let mut found = Found::default();
    for kind in [0, 0x8f, 0x97, 0xff] {
        let taken = found.take((kind, Bytes::new()), Rules::default());
        assert_eq!(taken, Err(DecodeError::UnknownMessage(kind)));
    }
    for write in [
        Write::Identity(Identity { node: 2, incarnation: Incarnation(12) }),
        Write::Begin(head(b""), Bytes::new()),
        Write::Promise(ballot(1)),
        Write::Round(ballot(1)),
        Write::Entries(0, vec![barrier(1)]),
        Write::Decided(3),
    ] {
        let (kind, body) = write.records().pop().unwrap();
        let longer = Bytes::from([&body[..], &[0]].concat());
        assert_eq!(found.take((kind, longer), Rules::default()), Err(DecodeError::Trailing(1)), "{write:?}");
        for end in 0..body.len() {
            let part = found.take((kind, body.slice(..end)), Rules::default());
            assert_eq!(part, Err(DecodeError::Truncated), "{end} bytes of {write:?}");
        }
    }
}

/// One of each thing that is said on a connection, the greeting first.
fn all_said() -> Vec<Said> {
    vec![
        Said::Greeting(Greeting { node: 9, incarnation: Incarnation(3), list: 1 << 40 }),
        Said::At(At { cluster: ClusterId(8), epoch: 2, slot: 55, chain: Chain(6) }),
        Said::Ask(3, 1 << 33),
        Said::Piece(head(b"records"), 2, Bytes::from_static(b"cords")),
        Said::Engine(2, Bytes::from_static(b"anything")),
    ]
}

#[test]
fn a_connection_carries_what_is_said_in_order_and_ends_where_something_is_missing() {
    let (mut near, mut far) = (Link::new(1), Link::new(1));
    let frames: Vec<Bytes> = all_said().iter().map(|said| near.frame(said)).collect();
    assert!(matches!(far.take(frames[1].clone(), Rules::default()), Frame::Wrong), "one is missing");
    for (frame, said) in frames.iter().zip(all_said()) {
        far.silent = 4;
        let fixed = if matches!(said, Said::Engine(..)) { 13 } else { frame.len() };
        for end in 0..fixed {
            let part = far.take(frame.slice(..end), Rules::default());
            assert!(matches!(part, Frame::Wrong), "{end} bytes of {said:?}: {part:?}");
        }
        assert_eq!(far.silent, 4, "what is wrong is no sign of life");
        let taken = far.take(frame.clone(), Rules::default());
        assert!(matches!(&taken, Frame::Says(same) if *same == said), "{taken:?}");
        assert_eq!(far.silent, 0);
        assert!(matches!(far.take(frame.clone(), Rules::default()), Frame::Wrong), "it came before");
        // Who it is at the other end the seam keeps.
        if let Said::Greeting(greeting) = said {
            far.greeting = Some(greeting);
        }
    }
}

#[test]
fn who_has_not_greeted_says_nothing() {
    for said in all_said() {
        let taken = Link::new(1).take(Link::new(1).frame(&said), Rules::default());
        assert_eq!(matches!(taken, Frame::Says(_)), matches!(said, Said::Greeting(_)), "{said:?}");
    }
    let unknown = [&1_u64.to_be_bytes()[..], &[6]].concat();
    assert!(matches!(Link::new(1).take(unknown.into(), Rules::default()), Frame::Wrong));
}

#[test]
fn without_their_rules_old_logs_stay_and_frames_may_be_missing() {
    let kept = [Write::Entries(0, vec![barrier(1)]), Write::Begin(head(b""), Bytes::new())];
    assert_eq!(found(&kept, Rules::without(Rule::OldLogGoes)).kept.log, [barrier(1)]);
    let mut near = Link::new(1);
    near.frame(&all_said()[0]);
    let second = near.frame(&all_said()[1]);
    let taken = Link::new(1).take(second, Rules::without(Rule::LinkNumbers));
    assert!(matches!(taken, Frame::Says(Said::At(_))), "{taken:?}");
}

/// One of each message of the engine that is used.
fn all_messages() -> Vec<Message<Entry>> {
    let n = ballot(8);
    let n_accepted = ballot(7);
    let seq_num = SequenceNumber { session: 2, counter: 1 << 50 };
    let entries = vec![barrier(1), Entry::new(mark(2), &removal(1))];
    let sync = LogSync { decided_snapshot: None, suffix: entries.clone(), sync_idx: 1 << 20, stopsign: None };
    let election = [
        HeartbeatMsg::Request(HeartbeatRequest { round: 31 }),
        HeartbeatMsg::Reply(HeartbeatReply { round: 32, ballot: ballot(4), leader: ballot(5), happy: true }),
    ];
    let promise = |log_sync| Promise { n, n_accepted, decided_idx: 11, accepted_idx: 12, log_sync };
    let paxos = [
        PaxosMsg::PrepareReq(PrepareReq { n }),
        PaxosMsg::Prepare(Prepare { n, decided_idx: 13, n_accepted, accepted_idx: 14 }),
        PaxosMsg::Promise(promise(None)),
        PaxosMsg::Promise(promise(Some(sync.clone()))),
        PaxosMsg::AcceptSync(AcceptSync { n, seq_num, decided_idx: 15, log_sync: sync }),
        PaxosMsg::AcceptDecide(AcceptDecide { n, seq_num, decided_idx: 16, entries }),
        PaxosMsg::Accepted(Accepted { n, accepted_idx: 17 }),
        PaxosMsg::NotAccepted(NotAccepted { n }),
        PaxosMsg::Decide(Decide { n, seq_num, decided_idx: 18 }),
    ];
    let election = election.into_iter().map(|msg| Message::BLE(BLEMessage { from: 1, to: 2, msg }));
    let paxos = paxos.into_iter().map(|msg| Message::SequencePaxos(PaxosMessage { from: 3, to: 9, msg }));
    election.chain(paxos).collect()
}

#[test]
fn what_the_engine_says_arrives_as_it_was_and_no_part_of_it_does() {
    for message in all_messages() {
        let bytes = translation::encode(&message).unwrap();
        let back = translation::decode(bytes.clone()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{message:?}"));
        for end in 0..bytes.len() {
            assert!(translation::decode(bytes.slice(..end)).is_err(), "{end} bytes of {message:?}");
        }
        let longer = Bytes::from([&bytes[..], &[0]].concat());
        assert_eq!(translation::decode(longer).unwrap_err(), DecodeError::Trailing(1));
    }
}

#[test]
fn what_the_engine_never_says_is_neither_sent_nor_taken() {
    let unused = [PaxosMsg::ProposalForward(vec![barrier(1)]), PaxosMsg::Compaction(Compaction::Trim(3))];
    for msg in unused {
        assert_eq!(translation::encode(&Message::SequencePaxos(PaxosMessage { from: 1, to: 2, msg })), None);
    }
    for kind in [0, 11, u8::MAX] {
        let ours = translation::encode(&all_messages()[2]).unwrap();
        let mut bytes = BytesMut::from(&ours[..]);
        bytes[16] = kind;
        assert_eq!(translation::decode(bytes.freeze()).unwrap_err(), DecodeError::UnknownMessage(kind));
    }
}
