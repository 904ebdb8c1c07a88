//! Who has what: names, contents and their holders, peers and their leases.
//!
//! Owns all state of a tracker. Pure: no socket, no thread, no clock; `now` is an argument and
//! random choices come from a seed. A registration belongs to the connection that made it: what
//! another connection says of the same peer, or its end, does not touch it.
//!
//! A peer that goes is out of every answer at once, but its contents are cleared away in slices by
//! [`Directory::sweep`], so that nobody waits behind a peer with a million files.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::tables::slab::Slab;
use crate::content::{Claim, FileId, PeerId, SafeName};
use crate::wire::{Offer, PeerInfo, Status, View, limits};

mod contents;
mod doubt;
mod fair;
mod glob;
mod holders;
mod listing;
mod locate;
mod names;
mod peer;
mod takeover;
#[cfg(test)]
mod tests;

use contents::Contents;
pub use doubt::Look;
use doubt::LookBudget;
use holders::Runs;
pub use listing::{Near, Page};
pub use locate::{Query, Wanted};
use names::Names;
use peer::{Added, Peer, unmarked};
pub use peer::{Load, Profile, Sender};
pub use takeover::Contested;

/// Most different claims about one id that one peer may make: as a file and as a tree.
const MAX_CLAIMS: usize = 2;

/// What the directory may grow to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most registrations (a name and content at a peer) of all peers.
    pub registrations: usize,
    /// Most bytes for the bitmaps of one peer's partial contents.
    pub bitmap_bytes_per_peer: usize,
    /// Most bytes for all bitmaps.
    pub bitmap_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { registrations: 20_000_000, bitmap_bytes_per_peer: 16 << 20, bitmap_bytes: 1 << 30 }
    }
}

/// Why a request changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// This connection has no registration, or no longer.
    #[error("this needs REGISTER first")]
    NotRegistered,
    /// The sender did not register that content.
    #[error("the content {0} is not registered by this peer")]
    NotOffered(FileId),
    /// A name is not a safe relative path.
    #[error("the name {0:?} is not allowed: {1}")]
    BadName(String, crate::content::NameError),
    /// What an offer says of its content cannot be.
    #[error("the offer of {0:?} cannot be true: id, size, total and chunks do not fit")]
    BadOffer(String),
    /// Chunk numbers beyond the content.
    #[error("there are fewer chunks in the content")]
    BadChunks,
    /// A bound is reached; the text says which.
    #[error("this tracker takes no more {0}")]
    Full(&'static str),
}

/// The whole state of a tracker.
#[derive(Debug)]
pub struct Directory {
    lease: Duration,
    bounds: Bounds,
    started: Instant,
    epoch: u64,
    rng: fastrand::Rng,
    names: Names,
    contents: Contents,
    peers: Slab<Peer>,
    by_id: BTreeMap<PeerId, u32>,
    /// Peers that are gone, with the pairs still to be cleared away, as they are marked there.
    leaving: Vec<(u32, Vec<u32>)>,
    registrations: usize,
    bitmap_bytes: usize,
    located: u64,
    looks: LookBudget,
}

impl Directory {
    /// An empty directory. `seed` decides its random choices and its epoch.
    pub fn new(lease: Duration, bounds: Bounds, seed: u64, now: Instant) -> Directory {
        let mut rng = fastrand::Rng::with_seed(seed);
        Directory {
            lease,
            bounds,
            started: now,
            epoch: rng.u64(..),
            rng,
            names: Names::default(),
            contents: Contents::default(),
            peers: Slab::default(),
            by_id: BTreeMap::new(),
            leaving: Vec::new(),
            registrations: 0,
            bitmap_bytes: 0,
            located: 0,
            looks: LookBudget::default(),
        }
    }

    /// How long a registration lives without a sign of life.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// A number that differs after each start of the tracker.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Registers the sender anew, with nothing yet; an older registration of the same peer is gone.
    ///
    /// # Errors
    /// [`Contested`] while the older one's connection is another one and lives; nothing was changed.
    pub fn register(&mut self, sender: Sender, profile: Profile, now: Instant) -> Result<(), Contested> {
        self.contest(sender, now)?;
        self.retire(sender.peer);
        let peer = Peer {
            id: Some(sender.peer),
            profile,
            connection: sender.connection,
            seen: Some(now),
            stated: Some(now),
            ..Peer::default()
        };
        let number = self.peers.add(peer);
        self.by_id.insert(sender.peer, number);
        Ok(())
    }

    /// Notes a sign of life.
    pub fn touch(&mut self, sender: Sender, now: Instant) {
        if let Ok(peer) = self.registered(sender) {
            self.peers[peer].seen = Some(now);
            self.peers[peer].doubt.shows_life();
        }
    }

    /// Notes that a peer has said what it has: what others say it lacks, or has wrong, is old.
    fn stated(&mut self, peer: u32, now: Instant) {
        self.peers[peer].stated = Some(now);
        self.peers[peer].doubt.states_anew();
    }

    /// Changes what the sender shares: first takes `removed` away, then adds `added`; or, if
    /// anything is wrong with the request, neither.
    ///
    /// # Errors
    /// [`Denial`]; nothing was changed.
    pub fn update(
        &mut self,
        sender: Sender,
        removed: &[(crate::wire::Name, FileId)],
        added: &[Offer],
        now: Instant,
    ) -> Result<(), Denial> {
        let peer = self.registered(sender)?;
        added.iter().try_for_each(check_offer)?;
        self.check_room(peer, added)?;
        for (name, id) in removed {
            self.withdraw(peer, name, id);
        }
        added.iter().for_each(|offer| self.offer(peer, offer));
        self.stated(peer, now);
        Ok(())
    }

    /// Adds chunks to what the sender has of a content.
    ///
    /// # Errors
    /// [`Denial`]; nothing was changed.
    pub fn have(
        &mut self,
        sender: Sender,
        (id, view): (FileId, View),
        gained: &Runs,
        now: Instant,
    ) -> Result<(), Denial> {
        let peer = self.registered(sender)?;
        let meant = |content: &u32| {
            self.contents.claim(*content).tree == (view == View::Members)
                && self.contents.holds(*content, peer)
        };
        let held: Vec<u32> = self.contents.with_id(&id).filter(meant).collect();
        if held.is_empty() {
            return Err(Denial::NotOffered(id));
        }
        // The sum bounds the work, too: no chunk needs to be named twice.
        let sum: u64 = gained.iter().map(|(_, count)| u64::from(*count)).sum();
        for content in &held {
            let chunks = self.contents.claim(*content).chunks;
            let fits =
                |(first, count): &(u32, u32)| first.checked_add(*count).is_some_and(|end| end <= chunks);
            if sum > u64::from(chunks) || !gained.iter().all(fits) {
                return Err(Denial::BadChunks);
            }
            if !self.affords_bitmap(*content, peer) {
                return Err(Denial::Full("partial contents of this peer"));
            }
        }
        for content in held {
            self.counting_bitmap(content, peer, |contents| contents.gain(content, peer, gained));
        }
        self.stated(peer, now);
        Ok(())
    }

    /// Notes the sender's load.
    ///
    /// # Errors
    /// [`Denial::NotRegistered`].
    pub fn heartbeat(&mut self, sender: Sender, load: Load, now: Instant) -> Result<(), Denial> {
        let peer = self.registered(sender)?;
        let peer = &mut self.peers[peer];
        peer.seen = Some(now);
        peer.load = load;
        peer.suggested = 0;
        peer.doubt.shows_life();
        Ok(())
    }

    /// Ends the sender's registration, at its wish or because its connection ended.
    pub fn leave(&mut self, sender: Sender) {
        if self.registered(sender).is_ok() {
            self.retire(sender.peer);
        }
    }

    /// Ends the registrations whose lease ran out, and returns the peers.
    pub fn expire(&mut self, now: Instant) -> Vec<PeerId> {
        let silent = |peer: &Peer| peer.seen.is_some_and(|seen| now.duration_since(seen) >= self.lease);
        let expired: Vec<PeerId> =
            self.by_id.iter().filter(|(_, peer)| silent(&self.peers[**peer])).map(|(id, _)| *id).collect();
        expired.iter().for_each(|peer| self.retire(*peer));
        expired
    }

    /// Clears away at most `limit` contents of peers that are gone. Returns true if there are more.
    pub fn sweep(&mut self, limit: usize) -> bool {
        for _ in 0..limit {
            let Some((peer, pairs)) = self.leaving.last_mut() else {
                return false;
            };
            let peer = *peer;
            match pairs.pop() {
                Some(pair) => {
                    let (pair, original) = unmarked(pair);
                    self.drop_pair(peer, pair, original);
                }
                None => {
                    self.leaving.pop();
                    self.peers.take(peer);
                }
            }
        }
        !self.leaving.is_empty()
    }

    /// How the tracker is.
    pub fn status(&self, now: Instant) -> Status {
        Status {
            uptime_ms: now.duration_since(self.started).as_millis() as u64,
            epoch: self.epoch,
            peers: self.by_id.len() as u32,
            names: self.names.len() as u32,
            registrations: self.registrations as u64,
            located: self.located,
        }
    }

    /// At most `limit` registered peers after one, in order of id, and whether there are more.
    pub fn peers(&self, after: PeerId, limit: usize, now: Instant) -> (Vec<PeerInfo>, bool) {
        let mut rest = self.by_id.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
        let page = rest.by_ref().take(limit.clamp(1, limits::MAX_PEERS));
        let page = page.map(|(id, peer)| self.peers[*peer].info(*id, now)).collect();
        (page, rest.next().is_some())
    }

    fn registered(&self, sender: Sender) -> Result<u32, Denial> {
        let peer = self.by_id.get(&sender.peer).copied();
        peer.filter(|peer| self.peers[*peer].connection == sender.connection).ok_or(Denial::NotRegistered)
    }

    /// Takes a peer out of every answer; its contents go with [`Directory::sweep`].
    fn retire(&mut self, id: PeerId) {
        if let Some(number) = self.by_id.remove(&id) {
            let peer = &mut self.peers[number];
            peer.id = None;
            let pairs = std::mem::take(&mut peer.pairs).into_vec();
            self.leaving.push((number, pairs));
        }
    }

    fn check_room(&self, peer: u32, added: &[Offer]) -> Result<(), Denial> {
        if self.peers[peer].pairs.len() + added.len() > limits::MAX_OFFERS_PER_PEER {
            return Err(Denial::Full("contents of this peer"));
        }
        let bytes = added.iter().map(|offer| offer.name.len()).sum();
        let room = self.registrations + added.len() <= self.bounds.registrations;
        if !room || !self.names.has_room(bytes, added.len()) {
            return Err(Denial::Full("registrations"));
        }
        self.check_claims(peer, added)
    }

    /// An id has one true claim, or two (a file may hold a tree's listing). Without this bound one
    /// peer could pile up contents under one id and make everybody's search in it slow.
    fn check_claims(&self, peer: u32, added: &[Offer]) -> Result<(), Denial> {
        let mut claims: Vec<(FileId, Claim)> = added.iter().map(|offer| (offer.id, offer.claim())).collect();
        claims.sort_unstable();
        claims.dedup();
        for same in claims.chunk_by(|a, b| a.0 == b.0) {
            let id = same[0].0;
            let held = self.contents.with_id(&id).filter(|content| self.contents.holds(*content, peer));
            let others = held.filter(|held| !same.contains(&(id, self.contents.claim(*held)))).count();
            if same.len() + others > MAX_CLAIMS {
                let culprit = added.iter().find(|offer| offer.id == id).map(|offer| offer.name.to_string());
                return Err(Denial::BadOffer(culprit.unwrap_or_default()));
            }
        }
        Ok(())
    }

    fn offer(&mut self, peer: u32, offer: &Offer) {
        let (name, claim) = (offer.name.as_bytes(), offer.claim());
        let content = match self.contents.find(&offer.id, &claim) {
            Some(content) => content,
            None => self.contents.add(offer.id, claim),
        };
        let pair = match self.names.find(&self.contents, name, &offer.id, &claim) {
            Ok(pair) => pair,
            Err(place) => self.names.add(&mut self.contents, place, name, content),
        };
        let added = self.peers[peer].add_pair(pair, offer.original);
        match added {
            Added::New => {
                self.registrations += 1;
                self.names.register(pair, offer.original, offer.modified);
                self.counting_bitmap(content, peer, |contents| {
                    contents.add_name(content, peer, offer.complete);
                });
                return;
            }
            Added::Raised => self.names.raise(pair, offer.modified),
            Added::Known => {}
        }
        if offer.complete {
            self.counting_bitmap(content, peer, |contents| contents.complete(content, peer));
        }
    }

    fn withdraw(&mut self, peer: u32, name: &str, id: &FileId) {
        let pairs: Vec<u32> = self.names.with_id(&self.contents, name.as_bytes(), id).collect();
        for pair in pairs {
            if let Some(original) = self.peers[peer].remove_pair(pair) {
                self.drop_pair(peer, pair, original);
            }
        }
    }

    fn drop_pair(&mut self, peer: u32, pair: u32, original: bool) {
        let content = self.names.content(pair);
        self.registrations -= 1;
        self.counting_bitmap(content, peer, |contents| contents.remove_name(content, peer));
        if let Some(content) = self.names.unregister(&mut self.contents, pair, original) {
            self.contents.remove(content);
        }
    }

    /// True if the peer may have a bitmap of this content.
    fn affords_bitmap(&self, content: u32, peer: u32) -> bool {
        let need = self.contents.bitmap_bytes(content).saturating_sub(self.contents.bitmap(content, peer));
        self.peers[peer].bitmap_bytes + need <= self.bounds.bitmap_bytes_per_peer
            && self.bitmap_bytes + need <= self.bounds.bitmap_bytes
    }

    /// Makes a change to a peer's part of a content and keeps count of the bitmaps' bytes.
    fn counting_bitmap(&mut self, content: u32, peer: u32, change: impl FnOnce(&mut Contents)) {
        let before = self.contents.bitmap(content, peer);
        change(&mut self.contents);
        let after = self.contents.bitmap(content, peer);
        self.bitmap_bytes = self.bitmap_bytes + after - before;
        self.peers[peer].bitmap_bytes = self.peers[peer].bitmap_bytes + after - before;
    }
}

fn check_offer(offer: &Offer) -> Result<(), Denial> {
    let name = SafeName::new(&*offer.name).map_err(|error| Denial::BadName(offer.name.to_string(), error))?;
    match offer.claim().is_possible(&offer.id) {
        true => Ok(()),
        false => Err(Denial::BadOffer(name.as_str().to_owned())),
    }
}
