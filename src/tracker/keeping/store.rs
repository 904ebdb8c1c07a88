//! One store: what it lends, whom it serves, whether it is here, and what is owed to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Index, IndexMut};
use std::time::{Duration, Instant};

use crate::content::PeerId;
use crate::tracker::records::Content;
use crate::wire::{Label, Lend, StoreInfo, StoreState};

/// Most stores that are remembered.
const MAX_STORES: usize = 4096;

/// A store's number; it keeps it when it goes and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoreRow(pub(super) u16);

/// Where a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its registration has ended.
    Away {
        since: Instant,
        /// True once it has been away for so long that others make new copies.
        missed: bool,
    },
    /// It serves another authority, or knows of another term.
    Foreign { connection: u64 },
    Here {
        connection: u64,
        /// True once it has said all that it holds.
        reported: bool,
    },
}

/// Why a store has something to hear. In this order it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// To keep something for which somebody waits.
    Urgent,
    /// To keep something.
    Keep,
    /// To remember for which names something stands.
    Remember,
    /// To give something up.
    Discard,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) peer: PeerId,
    name: Label,
    pub(super) zone: Label,
    pub(super) machine: Label,
    pub(super) capacity: u64,
    /// As it said last, and what has been made safe there since.
    pub(super) used: u64,
    /// Bytes that it is to keep and does not yet.
    pub(super) owed: u64,
    pub(super) presence: Presence,
    /// How many reports it has begun: what an earlier one named and the last did not, it does not hold.
    pub(super) report: u32,
    /// Contents of which it holds something, or is to.
    pub(super) holds: BTreeSet<Content>,
    pub(super) errands: BTreeSet<(Errand, Content)>,
    /// The connection that waits for duties.
    pub(super) waiting: Option<u64>,
    /// What it was told to remember or give up, and has not asked for duties since.
    pub(super) unsettled: Vec<Content>,
    /// Until then it is given nothing: its disk is damaged.
    pub(super) unfit_until: Option<Instant>,
    /// Chunks that it holds.
    pub(super) chunks: u64,
    /// Bytes of memory that what it reported takes.
    pub(super) bytes: usize,
}

impl Store {
    pub(super) fn new(peer: PeerId, now: Instant) -> Store {
        Store {
            peer,
            name: Label::default(),
            zone: Label::default(),
            machine: Label::default(),
            capacity: 0,
            used: 0,
            owed: 0,
            presence: Presence::Away { since: now, missed: false },
            report: 0,
            holds: BTreeSet::new(),
            errands: BTreeSet::new(),
            waiting: None,
            unsettled: Vec::new(),
            unfit_until: None,
            chunks: 0,
            bytes: 0,
        }
    }

    /// What it said of itself.
    pub(super) fn says(&mut self, lend: &Lend, name: Label) {
        (self.capacity, self.used) = (lend.capacity, lend.used);
        (self.name, self.zone, self.machine) = (name, lend.zone.clone(), lend.machine.clone());
    }

    /// True if it is here, serves us and has said all that it holds: what it holds counts.
    pub(super) fn counts(&self) -> bool {
        matches!(self.presence, Presence::Here { reported: true, .. })
    }

    /// True if its registration is that of this connection.
    pub(super) fn is_on(&self, number: u64) -> bool {
        match self.presence {
            Presence::Away { .. } => false,
            Presence::Here { connection, .. } | Presence::Foreign { connection } => connection == number,
        }
    }

    /// True if it may be given something to keep.
    pub(super) fn takes(&self, now: Instant) -> bool {
        self.counts() && self.unfit_until.is_none_or(|until| until <= now)
    }

    /// Bytes for which there is room.
    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used).saturating_sub(self.owed)
    }

    fn state(&self) -> StoreState {
        match self.presence {
            Presence::Away { .. } => StoreState::Away,
            Presence::Foreign { .. } => StoreState::Foreign,
            Presence::Here { reported: false, .. } => StoreState::Reporting,
            Presence::Here { reported: true, .. } => StoreState::Lending,
        }
    }

    pub(super) fn info(&self) -> StoreInfo {
        StoreInfo {
            peer: self.peer,
            name: self.name.clone(),
            zone: self.zone.clone(),
            machine: self.machine.clone(),
            state: self.state(),
            capacity: self.capacity,
            used: self.used,
            contents: u32::try_from(self.holds.len()).unwrap_or(u32::MAX),
            chunks: self.chunks,
        }
    }
}

/// All stores that were here since the tracker started.
#[derive(Debug, Default)]
pub(super) struct Stores {
    rows: Vec<Store>,
    by_peer: BTreeMap<PeerId, StoreRow>,
}

impl Stores {
    pub(super) fn find(&self, peer: PeerId) -> Option<StoreRow> {
        self.by_peer.get(&peer).copied()
    }

    /// The row of a store, made if there is none; `None` if there are too many.
    pub(super) fn enter(&mut self, peer: PeerId, now: Instant) -> Option<StoreRow> {
        if let Some(row) = self.find(peer) {
            return Some(row);
        }
        if self.rows.len() >= MAX_STORES {
            return None;
        }
        let row = StoreRow(self.rows.len() as u16);
        self.rows.push(Store::new(peer, now));
        self.by_peer.insert(peer, row);
        Some(row)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (StoreRow, &Store)> {
        (0..).map(StoreRow).zip(&self.rows)
    }

    /// True if a store has been away for so long, which has not been said before.
    pub(super) fn misses(&mut self, long: Duration, now: Instant) -> bool {
        let mut any = false;
        for store in &mut self.rows {
            if let Presence::Away { since, missed: missed @ false } = &mut store.presence
                && *since + long <= now
            {
                (*missed, any) = (true, true);
            }
        }
        any
    }

    /// In order of id, those after one.
    pub(super) fn after(&self, peer: PeerId) -> impl Iterator<Item = &Store> {
        let behind = (Bound::Excluded(peer), Bound::Unbounded);
        self.by_peer.range(behind).map(|(_, row)| &self[*row])
    }
}

impl Index<StoreRow> for Stores {
    type Output = Store;
    fn index(&self, row: StoreRow) -> &Store {
        &self.rows[usize::from(row.0)]
    }
}

impl IndexMut<StoreRow> for Stores {
    fn index_mut(&mut self, row: StoreRow) -> &mut Store {
        &mut self.rows[usize::from(row.0)]
    }
}
