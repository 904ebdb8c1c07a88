//! One store: what it lends, whom it serves, whether it is here, and what is owed to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Index, IndexMut};
use std::time::{Duration, Instant};

use crate::content::{FileId, PeerId};
use crate::tracker::records::Content;
use crate::wire::{Label, Lend, StoreInfo, StoreState, View};

/// Most stores that are remembered.
const MAX_STORES: usize = 4096;
/// A store that has something to hear and has not asked for so long hangs: it is given nothing more, and what somebody
/// waits for goes to others.
const HANGS_AFTER: Duration = Duration::from_secs(5);
/// A store comes on record, with another name or zone, no more often than this.
const RECORDED_AGAIN: Duration = Duration::from_secs(60);

/// A store's number; it keeps it when it goes and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoreRow(pub(super) u16);

/// Where a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its registration has ended.
    Away,
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
    /// To say what it has of something that it may have most of.
    Look,
    /// To keep something for which somebody waits.
    Urgent,
    /// To remember for which names something stands.
    Remember,
    /// To read chunks again.
    Check,
    /// To keep something of which there are so many copies, or nothing any more of what it was told to.
    Keep(u8),
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
    /// Since when what it holds does not count; what it held then does for a while where nobody waits.
    pub(super) missing_since: Option<Instant>,
    /// True once that is so long ago that others make new copies.
    pub(super) missed: bool,
    /// True if others are to keep what it holds, so that it can go.
    pub(super) leaving: bool,
    /// Contents that are not safe without it, if it is leaving and that has been looked at.
    pub(super) needed_for: Option<u64>,
    /// True if it is not expected to come back.
    pub(super) forgotten: bool,
    /// Numbers of its zone and machine.
    place: (u32, u32),
    /// True if it is on record as it is; and until when it is not put there again, however it changes.
    recorded: bool,
    record_again: Option<Instant>,
    /// How many reports it has begun: what an earlier one named and the last did not, it does not hold.
    pub(super) report: u32,
    /// Contents of which it holds something, or is to.
    pub(super) holds: BTreeSet<Content>,
    /// What it has to hear.
    pub(super) errands: BTreeSet<(Errand, Content)>,
    /// What it has heard, and has not done.
    pub(super) told: BTreeSet<(Errand, Content)>,
    /// The connection that waits for duties.
    pub(super) waiting: Option<u64>,
    /// Since when it has had something to hear, or heard it, and has not asked for more.
    owes_question: Option<Instant>,
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
            presence: Presence::Away,
            missing_since: Some(now),
            missed: false,
            leaving: false,
            needed_for: None,
            forgotten: false,
            place: (0, 0),
            recorded: false,
            record_again: None,
            report: 0,
            holds: BTreeSet::new(),
            errands: BTreeSet::new(),
            told: BTreeSet::new(),
            waiting: None,
            owes_question: None,
            unsettled: Vec::new(),
            unfit_until: None,
            chunks: 0,
            bytes: 0,
        }
    }

    /// What it said of itself.
    pub(super) fn says(&mut self, lend: &Lend, name: Label) {
        (self.capacity, self.used) = (lend.capacity, lend.used);
        self.is_called(name, lend.zone.clone(), lend.machine.clone());
    }

    /// Its name, and where it stands.
    pub(super) fn is_called(&mut self, name: Label, zone: Label, machine: Label) {
        self.recorded &= (&self.name, &self.zone, &self.machine) == (&name, &zone, &machine);
        (self.name, self.zone, self.machine) = (name, zone, machine);
        self.place = self.places();
    }

    /// It is on record as it is, or not any more.
    pub(super) fn is_recorded(&mut self, recorded: bool, now: Instant) {
        (self.recorded, self.record_again) = (recorded, Some(now + RECORDED_AGAIN));
    }

    /// What is to be on record of it and is not: it lends, and has not been put there for a while.
    pub(super) fn unrecorded(&self, now: Instant) -> Option<(Label, Label, Label)> {
        let due = !self.recorded && self.record_again.is_none_or(|again| again <= now);
        (due && self.counts()).then(|| self.labels())
    }

    /// Its name, zone and machine.
    pub(super) fn labels(&self) -> (Label, Label, Label) {
        (self.name.clone(), self.zone.clone(), self.machine.clone())
    }

    /// Numbers of its zone and machine. Who does not say where it stands shares no place with others because of that:
    /// without a zone its machine is one, without a machine it is on one of its own.
    fn places(&self) -> (u32, u32) {
        let machine = match self.machine.is_empty() {
            true => number(b's', &self.peer.0),
            false => number(b'm', self.machine.as_bytes()),
        };
        (if self.zone.is_empty() { machine } else { number(b'z', self.zone.as_bytes()) }, machine)
    }

    /// True if it is to keep something, or take in that it need not, for which nobody waits.
    pub(super) fn owes_copies(&self) -> bool {
        let first = (Errand::Keep(0), (FileId::NONE, View::Bytes));
        let keeps = |(errand, _): &(Errand, Content)| matches!(errand, Errand::Keep(_));
        [&self.errands, &self.told].into_iter().any(|of| of.range(first..).next().is_some_and(keeps))
    }

    /// True if it is here, serves us and has said all that it holds: what it holds counts.
    pub(super) fn counts(&self) -> bool {
        matches!(self.presence, Presence::Here { reported: true, .. })
    }

    /// True if its registration is that of this connection.
    pub(super) fn is_on(&self, number: u64) -> bool {
        match self.presence {
            Presence::Away => false,
            Presence::Here { connection, .. } | Presence::Foreign { connection } => connection == number,
        }
    }

    /// True if what it holds counts, and will tomorrow.
    pub(super) fn stays(&self) -> bool {
        self.counts() && !self.leaving
    }

    /// True if it does not count, but is expected back so soon that nobody is to take its place.
    pub(super) fn is_awaited(&self) -> bool {
        !self.counts() && !self.missed && !self.leaving
    }

    /// True if it may be given something to keep.
    pub(super) fn takes(&self, now: Instant) -> bool {
        self.stays() && !self.hangs(now) && self.unfit_until.is_none_or(|until| until <= now)
    }

    /// It has said all that it holds: from now on it is to ask what to do.
    pub(super) fn has_reported(&mut self, now: Instant) {
        (self.missing_since, self.missed) = (None, false);
        self.owes_question = (!self.errands.is_empty()).then_some(now);
    }

    /// There is something for it to hear.
    pub(super) fn has_to_ask(&mut self, now: Instant) {
        self.owes_question = self.owes_question.or(Some(now));
    }

    /// It asks on this connection.
    pub(super) fn asks(&mut self, connection: u64) {
        (self.waiting, self.owes_question) = (Some(connection), None);
    }

    /// True if its registration lasts and it does not ask what it is to do, as a process that was stopped.
    pub(super) fn hangs(&self, now: Instant) -> bool {
        self.owes_question.is_some_and(|since| since + HANGS_AFTER <= now)
    }

    /// Bytes for which there is room.
    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used).saturating_sub(self.owed)
    }

    /// How full it is, in millionths.
    pub(super) fn fill(&self) -> u128 {
        self.fill_without(0)
    }

    /// How full it is when it has given up so many bytes, in millionths.
    pub(super) fn fill_without(&self, bytes: u64) -> u128 {
        let taken = self.used.saturating_add(self.owed).saturating_sub(bytes);
        u128::from(taken) * 1_000_000 / u128::from(self.capacity.max(1))
    }

    fn state(&self) -> StoreState {
        match self.presence {
            Presence::Away => StoreState::Away,
            Presence::Foreign { .. } => StoreState::Foreign,
            Presence::Here { reported: false, .. } => StoreState::Reporting,
            Presence::Here { reported: true, .. } => match (self.leaving, self.needed_for) {
                (true, Some(0)) => StoreState::Left,
                (true, _) => StoreState::Leaving,
                (false, _) => StoreState::Lending,
            },
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

/// Where copies are to be apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Zone,
    Machine,
    Store,
}

/// All stores that were here since the tracker started, or are on record.
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

    /// Which place a store is in, where copies are to be apart so far.
    pub(super) fn place(&self, at: StoreRow, level: Level) -> u32 {
        match level {
            Level::Zone => self[at].place.0,
            Level::Machine => self[at].place.1,
            Level::Store => at.0.into(),
        }
    }

    /// So many copies are in different zones if there are enough of them, else on different machines if there are; where
    /// there are fewer stores, all of them are to be apart.
    pub(super) fn level(&self, copies: usize) -> Level {
        let needed = self.rows.iter().filter(|store| store.stays()).take(copies).count();
        let enough = |of: fn(&Store) -> u32| {
            let mut places: Vec<u32> = Vec::new();
            for store in self.rows.iter().filter(|store| store.stays()) {
                if places.len() < needed && !places.contains(&of(store)) {
                    places.push(of(store));
                }
            }
            places.len() >= needed
        };
        match (enough(|store| store.place.0), enough(|store| store.place.1)) {
            (true, _) => Level::Zone,
            (_, true) => Level::Machine,
            _ => Level::Store,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (StoreRow, &Store)> {
        (0..).map(StoreRow).zip(&self.rows)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Store> {
        self.rows.iter_mut()
    }

    /// Stores that have been away for so long, which has not been said before.
    pub(super) fn misses(&mut self, long: Duration, now: Instant) -> Vec<StoreRow> {
        let mut missed = Vec::new();
        for (row, store) in (0..).map(StoreRow).zip(&mut self.rows) {
            if !store.missed && store.missing_since.is_some_and(|since| since + long <= now) {
                store.missed = true;
                missed.push(row);
            }
        }
        missed
    }

    /// In order of id, those after one.
    pub(super) fn after(&self, peer: PeerId) -> impl Iterator<Item = &Store> {
        let behind = (Bound::Excluded(peer), Bound::Unbounded);
        self.by_peer.range(behind).map(|(_, row)| &self[*row])
    }
}

/// A number for a name of a place of some kind: FNV-1a, of which two names may have the same one, and then copies are
/// less far apart.
fn number(kind: u8, name: &[u8]) -> u32 {
    let bytes = std::iter::once(&kind).chain(name);
    bytes.fold(0x811c_9dc5, |number, byte| (number ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
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
