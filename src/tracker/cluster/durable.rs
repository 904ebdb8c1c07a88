//! What a tracker of a cluster must find again: who it is, with what its epoch began, and what the engine was told to keep.
//! As values, and as records of a log.

use bytes::{Bytes, BytesMut};
use omnipaxos::ballot_leader_election::Ballot;

use super::entry::{Chain, ClusterId, Entry, Incarnation, Members, Node};
use super::rules::{Rule, Rules};
use crate::content::FileId;
use crate::wire::{Cursor, DecodeError, Field, List, layout};

/// Kinds of records in a log, beside those of the records' own (`records/journal.rs`).
const IDENTITY: u8 = 0x90;
const PROMISE: u8 = 0x91;
const ROUND: u8 = 0x92;
const ENTRIES: u8 = 0x93;
const DECIDED: u8 = 0x94;
const PIECE: u8 = 0x95;
const BEGIN: u8 = 0x96;

/// Bytes of a snapshot in one record.
const PIECE_BYTES: usize = 16 << 20;
/// Entries in one record: as many as there are.
pub(super) type Entries = List<Entry, { u32::MAX as usize }>;

layout! {
    /// Who a tracker is.
    Identity {
        /// Its number.
        node: Node,
        /// Its disk.
        incarnation: Incarnation,
    }
}

layout! {
    /// How an epoch begins. All trackers have the same of the same epoch.
    Head {
        /// The cluster.
        cluster: ClusterId,
        /// The epoch's number.
        epoch: u32,
        /// The slot of the end of the epoch before; the first entry has the next one.
        base: u64,
        /// The chain up to there.
        chain: Chain,
        /// Who votes.
        members: Members,
        /// Bytes of the snapshot.
        bytes: u64,
        /// Its id, by which it is proved when it came from another.
        hash: FileId,
    }
}

/// Something to be written. What one step wants written is on the disk wholly or not at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Who this is; first of all.
    Identity(Identity),
    /// An epoch begins: this and the identity take the place of everything before.
    Begin(Head, Bytes),
    /// No smaller ballot is taken any more.
    Promise(Ballot),
    /// The log is as the leader of this ballot has it.
    Round(Ballot),
    /// From this place on the log has these entries, and no others.
    Entries(usize, Vec<Entry>),
    /// So many entries are decided. Need not be synced.
    Decided(usize),
}

impl Write {
    /// False if it does no harm when it is lost.
    pub fn must_last(&self) -> bool {
        !matches!(self, Write::Decided(_))
    }

    /// As records of a log, in order: kind and body.
    pub fn records(&self) -> Vec<(u8, Bytes)> {
        let one = |kind, put: &dyn Fn(&mut BytesMut)| {
            let mut out = BytesMut::new();
            put(&mut out);
            vec![(kind, out.freeze())]
        };
        match self {
            Write::Identity(identity) => one(IDENTITY, &|out| identity.put(out)),
            Write::Begin(head, snapshot) => {
                let pieces = (0..snapshot.len()).step_by(PIECE_BYTES);
                let piece = |at: usize| snapshot.slice(at..snapshot.len().min(at + PIECE_BYTES));
                let mut records: Vec<_> = pieces.map(|at| (PIECE, piece(at))).collect();
                records.extend(one(BEGIN, &|out| head.put(out)));
                records
            }
            Write::Promise(ballot) => one(PROMISE, &|out| put_ballot(ballot, out)),
            Write::Round(ballot) => one(ROUND, &|out| put_ballot(ballot, out)),
            Write::Entries(from, entries) => one(ENTRIES, &|out| {
                (*from as u64).put(out);
                crate::wire::put_list(entries, out);
            }),
            Write::Decided(count) => one(DECIDED, &|out| (*count as u64).put(out)),
        }
    }
}

/// What the engine was told to keep.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// The promise, if there is one.
    pub promise: Option<Ballot>,
    /// The ballot of the log, if there is one.
    pub round: Option<Ballot>,
    /// The log.
    pub log: Vec<Entry>,
    /// How many of its entries are decided.
    pub decided: usize,
}

/// What was found on a disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Who it is; none if the disk is empty.
    pub identity: Option<Identity>,
    /// How its epoch began, and the snapshot with it.
    pub begun: Option<(Head, Bytes)>,
    /// What the engine kept.
    pub kept: Kept,
    pieces: BytesMut,
}

impl Found {
    /// Takes in the next record of a log.
    ///
    /// # Errors
    /// This version does not know it.
    pub fn take(&mut self, (kind, body): (u8, Bytes), rules: Rules) -> Result<(), DecodeError> {
        if kind == PIECE {
            self.pieces.extend_from_slice(&body);
            return Ok(());
        }
        let mut from = Cursor::new(body);
        match kind {
            IDENTITY => self.identity = Some(Field::take(&mut from)?),
            BEGIN => {
                self.begun = Some((Head::take(&mut from)?, self.pieces.split().freeze()));
                if rules.hold(Rule::OldLogGoes) {
                    self.kept = Kept::default();
                }
            }
            PROMISE => self.kept.promise = Some(take_ballot(&mut from)?),
            ROUND => self.kept.round = Some(take_ballot(&mut from)?),
            ENTRIES => {
                let (at, entries) = <(u64, Entries)>::take(&mut from)?;
                self.kept.log.truncate(at as usize);
                self.kept.log.extend(entries.into_vec());
            }
            DECIDED => self.kept.decided = u64::take(&mut from)? as usize,
            other => return Err(DecodeError::UnknownMessage(other)),
        }
        from.finish()
    }
}

/// A ballot as fields: its configuration, number, priority, node.
pub(super) fn put_ballot(ballot: &Ballot, out: &mut BytesMut) {
    ((ballot.config_id, ballot.n), (ballot.priority, ballot.pid)).put(out);
}

/// What [`put_ballot`] wrote.
///
/// # Errors
/// It is none.
pub(super) fn take_ballot(from: &mut Cursor) -> Result<Ballot, DecodeError> {
    let ((config_id, n), (priority, pid)) = Field::take(from)?;
    Ok(Ballot { config_id, n, priority, pid })
}
