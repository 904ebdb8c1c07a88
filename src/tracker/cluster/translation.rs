//! The engine's messages as bytes: those that appending to a log needs, and no others.

use bytes::{Bytes, BytesMut};
use omnipaxos::messages::Message;
use omnipaxos::messages::ballot_leader_election::{
    BLEMessage, HeartbeatMsg, HeartbeatReply, HeartbeatRequest,
};
use omnipaxos::messages::sequence_paxos::{
    AcceptDecide, AcceptSync, Accepted, Decide, NotAccepted, PaxosMessage, PaxosMsg, Prepare, PrepareReq,
    Promise,
};
use omnipaxos::util::{LogSync, SequenceNumber};

use super::durable::{Entries, put_ballot, take_ballot};
use super::entry::Entry;
use crate::wire::{Cursor, DecodeError, Field, put_list};

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const PREPARE_REQ: u8 = 3;
const PREPARE: u8 = 4;
const PROMISE: u8 = 5;
const ACCEPT_SYNC: u8 = 6;
const ACCEPT_DECIDE: u8 = 7;
const ACCEPTED: u8 = 8;
const NOT_ACCEPTED: u8 = 9;
const DECIDE: u8 = 10;

/// A message as bytes; `None` if it is of a kind that is not used.
pub(super) fn encode(message: &Message<Entry>) -> Option<Bytes> {
    let mut out = BytesMut::new();
    (message.get_sender(), message.get_receiver()).put(&mut out);
    let used = match message {
        Message::BLE(said) => {
            put_election(&said.msg, &mut out);
            true
        }
        Message::SequencePaxos(said) => put_paxos(&said.msg, &mut out),
    };
    used.then(|| out.freeze())
}

fn put_election(said: &HeartbeatMsg, out: &mut BytesMut) {
    match said {
        HeartbeatMsg::Request(request) => (REQUEST, request.round).put(out),
        HeartbeatMsg::Reply(reply) => {
            ((REPLY, reply.round), reply.happy).put(out);
            put_ballot(&reply.ballot, out);
            put_ballot(&reply.leader, out);
        }
    }
}

fn put_paxos(said: &PaxosMsg<Entry>, out: &mut BytesMut) -> bool {
    let start = |kind: u8, n, out: &mut BytesMut| {
        kind.put(out);
        put_ballot(n, out);
    };
    match said {
        PaxosMsg::PrepareReq(said) => start(PREPARE_REQ, &said.n, out),
        PaxosMsg::Prepare(said) => {
            start(PREPARE, &said.n, out);
            put_ballot(&said.n_accepted, out);
            (said.decided_idx as u64, said.accepted_idx as u64).put(out);
        }
        PaxosMsg::Promise(said) => {
            start(PROMISE, &said.n, out);
            put_ballot(&said.n_accepted, out);
            (said.decided_idx as u64, said.accepted_idx as u64).put(out);
            said.log_sync.is_some().put(out);
            said.log_sync.iter().for_each(|sync| put_sync(sync, out));
        }
        PaxosMsg::AcceptSync(said) => {
            start(ACCEPT_SYNC, &said.n, out);
            put_number(said.seq_num, said.decided_idx, out);
            put_sync(&said.log_sync, out);
        }
        PaxosMsg::AcceptDecide(said) => {
            start(ACCEPT_DECIDE, &said.n, out);
            put_number(said.seq_num, said.decided_idx, out);
            put_list(&said.entries, out);
        }
        PaxosMsg::Accepted(said) => {
            start(ACCEPTED, &said.n, out);
            (said.accepted_idx as u64).put(out);
        }
        PaxosMsg::NotAccepted(said) => start(NOT_ACCEPTED, &said.n, out),
        PaxosMsg::Decide(said) => {
            start(DECIDE, &said.n, out);
            put_number(said.seq_num, said.decided_idx, out);
        }
        PaxosMsg::ProposalForward(_)
        | PaxosMsg::Compaction(_)
        | PaxosMsg::AcceptStopSign(_)
        | PaxosMsg::ForwardStopSign(_) => return false,
    }
    true
}

fn put_number(number: SequenceNumber, decided: usize, out: &mut BytesMut) {
    ((number.session, number.counter), decided as u64).put(out);
}

fn put_sync(sync: &LogSync<Entry>, out: &mut BytesMut) {
    (sync.sync_idx as u64).put(out);
    put_list(&sync.suffix, out);
}

/// What [`encode`] made bytes of.
///
/// # Errors
/// Nothing did.
pub(super) fn decode(bytes: Bytes) -> Result<Message<Entry>, DecodeError> {
    let mut from = Cursor::new(bytes);
    let (sender, receiver) = <(u64, u64)>::take(&mut from)?;
    let kind = u8::take(&mut from)?;
    let message = match kind {
        REQUEST | REPLY => {
            Message::BLE(BLEMessage { from: sender, to: receiver, msg: take_election(kind, &mut from)? })
        }
        _ => {
            let msg = take_paxos(kind, &mut from)?;
            Message::SequencePaxos(PaxosMessage { from: sender, to: receiver, msg })
        }
    };
    from.finish()?;
    Ok(message)
}

fn take_election(kind: u8, from: &mut Cursor) -> Result<HeartbeatMsg, DecodeError> {
    let round = u32::take(from)?;
    if kind == REQUEST {
        return Ok(HeartbeatMsg::Request(HeartbeatRequest { round }));
    }
    let happy = bool::take(from)?;
    let (ballot, leader) = (take_ballot(from)?, take_ballot(from)?);
    Ok(HeartbeatMsg::Reply(HeartbeatReply { round, ballot, leader, happy }))
}

fn take_paxos(kind: u8, from: &mut Cursor) -> Result<PaxosMsg<Entry>, DecodeError> {
    let n = take_ballot(from)?;
    Ok(match kind {
        PREPARE_REQ => PaxosMsg::PrepareReq(PrepareReq { n }),
        PREPARE => {
            let n_accepted = take_ballot(from)?;
            let (decided_idx, accepted_idx) = take_places(from)?;
            PaxosMsg::Prepare(Prepare { n, decided_idx, n_accepted, accepted_idx })
        }
        PROMISE => {
            let n_accepted = take_ballot(from)?;
            let (decided_idx, accepted_idx) = take_places(from)?;
            let log_sync = bool::take(from)?.then(|| take_sync(from)).transpose()?;
            PaxosMsg::Promise(Promise { n, n_accepted, decided_idx, accepted_idx, log_sync })
        }
        ACCEPT_SYNC => {
            let (seq_num, decided_idx) = take_number(from)?;
            PaxosMsg::AcceptSync(AcceptSync { n, seq_num, decided_idx, log_sync: take_sync(from)? })
        }
        ACCEPT_DECIDE => {
            let (seq_num, decided_idx) = take_number(from)?;
            let entries = Entries::take(from)?.into_vec();
            PaxosMsg::AcceptDecide(AcceptDecide { n, seq_num, decided_idx, entries })
        }
        ACCEPTED => PaxosMsg::Accepted(Accepted { n, accepted_idx: u64::take(from)? as usize }),
        NOT_ACCEPTED => PaxosMsg::NotAccepted(NotAccepted { n }),
        DECIDE => {
            let (seq_num, decided_idx) = take_number(from)?;
            PaxosMsg::Decide(Decide { n, seq_num, decided_idx })
        }
        other => return Err(DecodeError::UnknownMessage(other)),
    })
}

fn take_places(from: &mut Cursor) -> Result<(usize, usize), DecodeError> {
    let (first, second) = <(u64, u64)>::take(from)?;
    Ok((first as usize, second as usize))
}

fn take_number(from: &mut Cursor) -> Result<(SequenceNumber, usize), DecodeError> {
    let ((session, counter), decided) = <((u64, u64), u64)>::take(from)?;
    Ok((SequenceNumber { session, counter }, decided as usize))
}

fn take_sync(from: &mut Cursor) -> Result<LogSync<Entry>, DecodeError> {
    let (at, suffix) = <(u64, Entries)>::take(from)?;
    Ok(LogSync { decided_snapshot: None, suffix: suffix.into_vec(), sync_idx: at as usize, stopsign: None })
}
