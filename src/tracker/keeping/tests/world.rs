//! Stores with disks, an uploader that has everything, records, and the planner between them, in virtual time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::content::code::Shape;
use crate::content::{Chunk, ChunkSet, ChunkSize, FileId, Geometry, PeerId};
use crate::tracker::keeping::store::Store;
use crate::tracker::keeping::{Asked, Keeping, Order, Progress, Tally, Terms};
use crate::tracker::records::{Content, Promise};
use crate::wire::{
    Authority, Bits, ClientId, Decline, Health, KeptPart, Label, Lend, Policy, Reluctance, Term, View,
};

pub(super) const GRACE: Duration = Duration::from_secs(3600);
pub(super) const REPAIR_AFTER: Duration = Duration::from_secs(60);
const SETTLING: Duration = Duration::from_secs(6);

/// A file of so many chunks, to be kept in so many copies.
pub(super) fn file(id: u8, chunks: u32, copies: u8) -> Promise {
    let size = u64::from(chunks) << 16;
    assert_eq!(Geometry::of(size).map(Geometry::chunks), Some(chunks));
    let policy = Policy::copies(copies).unwrap();
    Promise { content: (FileId::of(&[id]), View::Bytes), size, total: size, chunks, policy, code: None }
}

/// A file of so many chunks, to be kept as shards of which any `k` of `k + m` suffice.
pub(super) fn coded(id: u8, chunks: u32, k: u8, m: u8) -> Promise {
    let policy = Policy::coded(Shape::new(k, m).unwrap(), FileId::of(&[id, 1]), None);
    Promise { policy, code: policy.coding(), ..file(id, chunks, 1) }
}

/// A folder whose members have so many chunks, half of each, to be kept as such shards.
pub(super) fn coded_folder(id: u8, chunks: u32, k: u8, m: u8) -> Promise {
    let policy = Policy::coded(Shape::new(k, m).unwrap(), FileId::of(&[id, 1]), ChunkSize::of_bits(16));
    let content = (FileId::of(&[id]), View::Members);
    Promise { content, size: 700, total: u64::from(chunks) << 15, chunks, policy, code: policy.coding() }
}

/// Of what a duty is.
pub(super) fn content_of(order: &Order) -> Content {
    match order {
        Order::Keep { content, .. } | Order::Look { content, .. } => *content,
        Order::Discard { content, .. } | Order::Check { content, .. } | Order::Remember(content) => *content,
    }
}

/// How many chunks a duty says to keep.
pub(super) fn chunks_of(order: &Order) -> u32 {
    match order {
        Order::Keep { keep, chunks, .. } => keep.to_set(*chunks).unwrap().count(),
        _ => 0,
    }
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) held: BTreeMap<Content, ChunkSet>,
    /// Its registration at the tracker that gave duties before, and does not know yet that it does no more.
    pub(super) before: Option<u64>,
    pub(super) capacity: u64,
    zone: &'static str,
    /// The registration's connection; none while it is away.
    pub(super) connection: Option<u64>,
    /// That on which it asks for duties.
    pub(super) asks: u64,
    /// True if it is there and asks for nothing.
    pub(super) frozen: bool,
    pub(super) term: Term,
}

/// A tracker that has given duties, and what the records promised then.
pub(super) struct Before {
    keeping: Keeping,
    term: Term,
    promises: BTreeMap<Content, Promise>,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) keeping: Keeping,
    /// One that does not know yet that it gives duties no more.
    pub(super) before: Option<Before>,
    pub(super) disks: Vec<Disk>,
    pub(super) promises: BTreeMap<Content, Promise>,
    term: Term,
    connections: u64,
}

pub(super) fn terms(term: Term) -> Terms {
    Terms {
        authority: Authority(7),
        term,
        lasting: true,
        recovers: false,
        grace: GRACE,
        repair_after: REPAIR_AFTER,
    }
}

pub(super) fn peer(store: usize) -> PeerId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(store as u64 + 1).to_be_bytes());
    PeerId(id)
}

impl World {
    pub(super) fn new(stores: usize) -> World {
        World::in_zones(&vec![""; stores])
    }

    /// A store in each of these zones.
    pub(super) fn in_zones(zones: &[&'static str]) -> World {
        let now = Instant::now();
        let keeping = Keeping::new(terms(Term(1)), now);
        let (disks, promises) = (Vec::new(), BTreeMap::new());
        let mut world = World { now, keeping, before: None, disks, promises, term: Term(1), connections: 0 };
        for zone in zones {
            world.add_store_in(zone);
        }
        world.passes(SETTLING);
        world
    }

    pub(super) fn add_store(&mut self) -> usize {
        self.add_store_in("")
    }

    pub(super) fn add_store_in(&mut self, zone: &'static str) -> usize {
        self.disks.push(Disk { capacity: 100 << 30, zone, ..Disk::default() });
        self.comes(self.disks.len() - 1);
        self.disks.len() - 1
    }

    /// Bytes that a store has in use.
    pub(super) fn used(&self, store: usize) -> u64 {
        World::used_of(&self.disks[store])
    }

    /// Somebody could not get a chunk from a store.
    pub(super) fn doubts(&mut self, store: usize, id: FileId, chunk: Chunk) {
        self.keeping.doubts(peer(store), id, chunk, self.now);
        self.works();
    }

    /// A chunk is not there any more, and the store says so.
    pub(super) fn rots(&mut self, store: usize, content: Content, chunk: Chunk) {
        self.disks[store].held.get_mut(&content).unwrap().remove(chunk);
        self.say(store, content);
    }

    pub(super) fn capacity(&mut self, store: usize, bytes: u64) {
        self.disks[store].capacity = bytes;
        self.lends(store);
    }

    /// Does all that is to be gone over, as those who ask the planner do.
    fn works(&mut self) {
        while self.keeping.work(self.now) {}
    }

    fn connection(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }

    /// Bytes in use: all chunks here have 64 KiB.
    fn used_of(disk: &Disk) -> u64 {
        disk.held.values().map(|held| u64::from(held.count()) << 16).sum()
    }

    fn lends(&mut self, store: usize) {
        let disk = &self.disks[store];
        let Some(connection) = disk.connection else { return };
        let lend = Lend {
            capacity: disk.capacity,
            used: World::used_of(disk),
            zone: Label::new(disk.zone),
            machine: Label::default(),
            authority: Authority(7),
            term: disk.term,
        };
        let lent =
            self.keeping.lend((peer(store), connection), &lend, Label::new("store"), self.now).unwrap();
        assert!(lent.term >= disk.term, "terms rise");
        self.disks[store].term = lent.term;
        self.works();
    }

    /// It registers, says whom it serves, and reports; but not the last word of that.
    pub(super) fn begins(&mut self, store: usize) {
        let (registered, asks) = (self.connection(), self.connection());
        (self.disks[store].connection, self.disks[store].asks) = (Some(registered), asks);
        self.lends(store);
        self.lends(store);
        let held: Vec<Content> = self.disks[store].held.keys().copied().collect();
        held.into_iter().for_each(|content| self.say(store, content));
    }

    pub(super) fn ends_report(&mut self, store: usize) {
        let Some(connection) = self.disks[store].connection else { return };
        self.keeping.kept((peer(store), connection), &[], true, self.now).unwrap();
        self.works();
    }

    pub(super) fn comes(&mut self, store: usize) {
        self.begins(store);
        self.ends_report(store);
    }

    pub(super) fn goes(&mut self, store: usize) {
        if let Some(connection) = self.disks[store].connection.take() {
            self.keeping.gone(peer(store), connection, self.now);
            self.works();
        }
    }

    /// What it says of a content now.
    pub(super) fn part(&self, store: usize, content: Content) -> KeptPart {
        let held = self.disks[store].held.get(&content);
        let chunks = held.map_or_else(|| self.chunks(content), ChunkSet::len);
        let have = held.map_or(Bits::None, Bits::from);
        KeptPart { id: content.0, view: content.1, chunks, have }
    }

    fn chunks(&self, content: Content) -> u32 {
        let known = self.disks.iter().find_map(|disk| disk.held.get(&content)).map(ChunkSet::len);
        known.or_else(|| Some(self.promises.get(&content)?.chunks)).unwrap_or(16)
    }

    pub(super) fn say(&mut self, store: usize, content: Content) {
        let part = self.part(store, content);
        self.says(store, &part);
    }

    pub(super) fn says(&mut self, store: usize, part: &KeptPart) {
        let Some(connection) = self.disks[store].connection else { return };
        self.keeping.kept((peer(store), connection), std::slice::from_ref(part), false, self.now).unwrap();
        self.works();
    }

    pub(super) fn decline(&mut self, store: usize, content: Content, reason: Reluctance) {
        let Some(connection) = self.disks[store].connection else { return };
        let decline = Decline { id: content.0, view: content.1, reason, free: 0 };
        self.keeping.decline((peer(store), connection), &decline, self.now).unwrap();
        self.works();
    }

    /// What the stores that are here are told now.
    pub(super) fn orders(&mut self) -> Vec<(usize, Order)> {
        let mut all = Vec::new();
        for store in 0..self.disks.len() {
            all.extend(self.asks(store).into_iter().map(|order| (store, order)));
        }
        all
    }

    /// How many duties all but this one are told now.
    pub(super) fn told_to_others(&mut self, but: usize) -> usize {
        (0..self.disks.len()).filter(|store| *store != but).map(|store| self.asks(store).len()).sum()
    }

    pub(super) fn asks(&mut self, store: usize) -> Vec<Order> {
        let disk = &self.disks[store];
        let orders = match disk.connection {
            Some(_) => {
                let promises = |content| self.promises.get(&content).copied();
                self.keeping.duties(peer(store), disk.asks, Some(&promises), self.now)
            }
            None => Vec::new(),
        };
        self.works();
        orders
    }

    /// It does all of it.
    pub(super) fn obey(&mut self, store: usize, order: &Order) {
        let held = &mut self.disks[store].held;
        match order {
            Order::Keep { content, chunks, keep, .. } => {
                let keep = keep.to_set(*chunks).unwrap();
                held.entry(*content).or_insert_with(|| ChunkSet::empty(*chunks)).add_runs(&keep.runs());
            }
            Order::Discard { content, chunks } => {
                let Some(set) = held.get_mut(content) else { return };
                let doomed = chunks.to_set(set.len()).unwrap();
                for chunk in doomed.iter() {
                    set.remove(chunk);
                }
                if set.is_empty() {
                    held.remove(content);
                }
            }
            Order::Look { .. } | Order::Check { .. } | Order::Remember(_) => {}
        }
    }

    pub(super) fn store(&mut self, upload: u64, promise: Promise) -> Progress {
        let asked = Asked { key: (ClientId(1), upload), promise, degraded: false };
        self.keeping.store(asked, None, 0, self.now);
        self.works();
        self.keeping.store(asked, None, 0, self.now)
    }

    /// The same where fewer stores will do.
    pub(super) fn store_degraded(&mut self, upload: u64, promise: Promise) -> Progress {
        let asked = Asked { key: (ClientId(1), upload), promise, degraded: true };
        self.keeping.store(asked, None, 0, self.now);
        self.works();
        self.keeping.store(asked, None, 0, self.now)
    }

    pub(super) fn store_after(&mut self, upload: u64, promise: Promise, base: Content) -> Progress {
        let asked = Asked { key: (ClientId(1), upload), promise, degraded: false };
        self.keeping.store(asked, Some(base), 0, self.now);
        self.works();
        self.keeping.store(asked, Some(base), 0, self.now)
    }

    pub(super) fn publish(&mut self, upload: u64, promise: Promise) {
        for promise in [Some(promise), promise.of_parity()].into_iter().flatten() {
            self.promises.insert(promise.content, promise);
            self.keeping.promise(promise.content, Some(&promise), self.now);
        }
        self.keeping.stored((ClientId(1), upload), self.now);
        self.works();
    }

    /// Until it is published.
    pub(super) fn upload(&mut self, upload: u64, promise: Promise) {
        while self.store(upload, promise) != Progress::Safe {
            for (store, order) in self.orders() {
                self.obey(store, &order);
                self.say(store, content_of(&order));
            }
        }
        self.publish(upload, promise);
        let remembered = self.orders();
        assert!(remembered.iter().all(|(_, order)| matches!(order, Order::Remember(_))));
        assert!(self.orders().is_empty(), "who asks again has heard it");
    }

    /// It, and its parity if it is promised as a code.
    fn both(&self, content: Content) -> impl Iterator<Item = Content> + use<> {
        let parity = self.promises.get(&content).and_then(Promise::of_parity);
        std::iter::once(content).chain(parity.map(|parity| parity.content))
    }

    pub(super) fn remove(&mut self, content: Content) {
        for content in self.both(content) {
            self.promises.remove(&content);
            self.keeping.promise(content, None, self.now);
        }
        self.works();
    }

    pub(super) fn passes(&mut self, time: Duration) {
        self.now += time;
        for (store, disk) in self.disks.iter().enumerate().filter(|(_, disk)| !disk.frozen) {
            self.keeping.waits(peer(store), disk.asks);
        }
        self.keeping.tick(self.now);
        self.works();
    }

    /// How many stores are told to give something up; they do.
    pub(super) fn discards(&mut self) -> usize {
        let orders = self.orders();
        let discards = orders.into_iter().filter(|(_, order)| matches!(order, Order::Discard { .. }));
        let discards: Vec<(usize, Order)> = discards.collect();
        for (store, order) in &discards {
            self.obey(*store, order);
            let Order::Discard { content, .. } = order else { continue };
            self.say(*store, *content);
        }
        discards.len()
    }

    pub(super) fn held(&self, store: usize, content: Content) -> Option<ChunkSet> {
        self.disks[store].held.get(&content).cloned()
    }

    /// True if neither a disk nor the planner knows of it.
    pub(super) fn is_empty(&self, content: Content) -> bool {
        self.disks.iter().all(|disk| !disk.held.contains_key(&content))
            && !self.keeping.rows.contains_key(&content)
    }

    pub(super) fn survives(&self) -> u8 {
        self.health().survives
    }

    pub(super) fn health(&self) -> Health {
        let mut tally = Tally::of_all();
        while self.keeping.tally(&mut tally) {}
        self.keeping.health(tally, self.now)
    }

    /// Another tracker gives the duties: it has the records, and stores have to come to it. The one before may go on for
    /// a while.
    pub(super) fn restart(&mut self, overlaps: bool) {
        let (term, promises) = (self.term, self.promises.clone());
        self.term = Term(self.term.0 + 1);
        let keeping = std::mem::replace(&mut self.keeping, Keeping::new(terms(self.term), self.now));
        self.keeping.without = keeping.without;
        self.before = overlaps.then_some(Before { keeping, term, promises });
        for disk in &mut self.disks {
            disk.before = disk.connection.take().filter(|_| overlaps);
        }
        for promise in self.promises.values() {
            self.keeping.promise(promise.content, Some(promise), self.now);
        }
        self.works();
    }

    /// What the tracker before tells a store, and in which term: it read the records before there was another one, and
    /// says only now what follows from them.
    pub(super) fn asks_before(&mut self, store: usize) -> Option<(Term, Vec<Order>)> {
        let Before { keeping, term, promises } = self.before.as_mut()?;
        self.disks[store].before?;
        keeping.tick(self.now);
        while keeping.work(self.now) {}
        let promised = |content| promises.get(&content).copied();
        Some((*term, keeping.duties(peer(store), self.disks[store].asks, Some(&promised), self.now)))
    }

    /// The tracker before hears that a store serves another.
    pub(super) fn goes_over(&mut self, store: usize) {
        if let (Some(Before { keeping, .. }), Some(connection)) =
            (&mut self.before, self.disks[store].before.take())
        {
            keeping.gone(peer(store), connection, self.now);
        }
    }

    /// The records have this again, and the planner is not told yet.
    pub(super) fn imports(&mut self, promise: Promise) {
        let both = std::iter::once(promise).chain(promise.of_parity());
        self.promises.extend(both.map(|promise| (promise.content, promise)));
    }

    /// The planner is told of what the records promise.
    pub(super) fn tells(&mut self, content: Content) {
        for content in self.both(content) {
            let promise = self.promises.get(&content).copied();
            self.keeping.promise(content, promise.as_ref(), self.now);
        }
        self.works();
    }

    /// It is away, and is not waited for any more.
    pub(super) fn forgets(&mut self, store: usize) {
        self.keeping.forgets(peer(store), self.now);
        self.works();
    }

    /// It is to be taken away, or not after all.
    pub(super) fn leaves(&mut self, store: usize, leaving: bool) {
        self.keeping.leaves(peer(store), leaving, self.now);
        self.works();
    }

    pub(super) fn rebalances(&mut self) {
        self.keeping.rebalances();
        self.works();
    }

    pub(super) fn is_leaving(&self, store: usize) -> bool {
        self.known(store).is_some_and(|known| known.leaving)
    }

    /// True if nothing that is promised needs a store that is leaving, as far as the tracker says.
    pub(super) fn is_drained(&self, store: usize) -> bool {
        self.known(store).is_some_and(|known| known.needed_for == Some(0))
    }

    /// True if a store is away for so long that others have taken its place.
    pub(super) fn is_missed(&self, store: usize) -> bool {
        self.known(store).is_some_and(|known| known.missed)
    }

    fn known(&self, store: usize) -> Option<&Store> {
        Some(&self.keeping.stores[self.keeping.stores.find(peer(store))?])
    }

    /// True if it has no room for this.
    pub(super) fn is_full_for(&self, store: usize, order: &Order) -> bool {
        let Order::Keep { content, chunks, keep, .. } = order else { return false };
        let disk = &self.disks[store];
        let keep = keep.to_set(*chunks).unwrap().count();
        let have = disk.held.get(content).map_or(0, ChunkSet::count);
        World::used_of(disk) + (u64::from(keep.saturating_sub(have)) << 16) > disk.capacity
    }
}
