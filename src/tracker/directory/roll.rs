//! Who is registered, and with what.
//!
//! Owns the peers, the names and contents that they have registered, and that the three agree: a name is there while
//! a peer has it, a content while it has a name, and every bitmap is counted. What is asked of it, and what time it
//! is, is decided above.

use std::collections::BTreeMap;
use std::ops::{Bound, Index, IndexMut};
use std::time::Instant;

use super::contents::Contents;
use super::denial::Denial;
use super::names::Names;
use super::peer::{Added, Peer, Profile, Sender};
use super::quotas::{Quotas, REGISTRATION_BYTES};
use super::rows::{self, ContentRow, PairRow, PeerRow};
use crate::content::{Claim, FileId, Network, PeerId, Run, SafeName};
use crate::tracker::tables::slab::Slab;
use crate::wire::{self, Offer, View, limits};

/// One peer may have this part of all bytes.
const PEER_SHARE: usize = 8;
/// The peers of one network may have this part of all bytes.
const NETWORK_SHARE: usize = 4;
/// Most different claims about one id that one peer may make: as a file and as a tree.
const MAX_CLAIMS: usize = 2;

/// What the directory may grow to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most registrations (a name and content at a peer) of all peers.
    pub registrations: usize,
    /// Most registrations of one peer.
    pub registrations_per_peer: usize,
    /// Most bytes for all that is kept.
    pub bytes: usize,
    /// Most bytes for the bitmaps of one peer's partial contents.
    pub bitmap_bytes_per_peer: usize,
    /// Most bytes for all bitmaps.
    pub bitmap_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            registrations: 20_000_000,
            registrations_per_peer: limits::MAX_OFFERS_PER_PEER,
            bytes: 3 << 30,
            bitmap_bytes_per_peer: 16 << 20,
            bitmap_bytes: 1 << 30,
        }
    }
}

/// A peer that is gone, with the pairs still to be cleared away.
#[derive(Debug)]
struct Leaving {
    peer: PeerRow,
    originals: Vec<PairRow>,
    copies: Vec<PairRow>,
}

impl Leaving {
    /// The next pair, and whether it is an original.
    fn next(&mut self) -> Option<(PairRow, bool)> {
        let original = self.originals.pop().map(|pair| (pair, true));
        original.or_else(|| self.copies.pop().map(|pair| (pair, false)))
    }
}

/// Peers and what they have registered. Indexed by the peers' rows.
#[derive(Debug)]
pub(super) struct Roll {
    bounds: Bounds,
    names: Names,
    contents: Contents,
    peers: Slab<Peer, rows::Peers>,
    by_id: BTreeMap<PeerId, PeerRow>,
    leaving: Vec<Leaving>,
    quotas: Quotas,
    /// Of the bitmaps alone.
    bitmaps: Quotas,
    registrations: usize,
}

impl Index<PeerRow> for Roll {
    type Output = Peer;
    fn index(&self, peer: PeerRow) -> &Peer {
        &self.peers[peer]
    }
}

impl IndexMut<PeerRow> for Roll {
    fn index_mut(&mut self, peer: PeerRow) -> &mut Peer {
        &mut self.peers[peer]
    }
}

impl Roll {
    pub(super) fn new(bounds: Bounds) -> Roll {
        Roll {
            bounds,
            names: Names::default(),
            contents: Contents::default(),
            peers: Slab::default(),
            by_id: BTreeMap::new(),
            leaving: Vec::new(),
            quotas: Quotas::default(),
            bitmaps: Quotas::default(),
            registrations: 0,
        }
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// How many registrations all peers have.
    pub(super) fn registrations(&self) -> usize {
        self.registrations
    }

    /// The peer of this id, if it is registered.
    pub(super) fn find(&self, id: PeerId) -> Option<PeerRow> {
        self.by_id.get(&id).copied()
    }

    /// How many peers are registered.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The registered peers after one, in order of id.
    pub(super) fn after(&self, id: PeerId) -> impl Iterator<Item = (PeerId, &Peer)> {
        let rest = self.by_id.range((Bound::Excluded(id), Bound::Unbounded));
        rest.map(|(id, peer)| (*id, &self.peers[*peer]))
    }

    /// All registered peers, in order of id.
    pub(super) fn all(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.by_id.iter().map(|(id, peer)| (*id, &self.peers[*peer]))
    }

    /// The sender, if the registration is its own.
    pub(super) fn registered(&self, sender: Sender) -> Result<PeerRow, Denial> {
        let peer = self.find(sender.peer);
        peer.filter(|peer| self.peers[*peer].connection == sender.connection).ok_or(Denial::NotRegistered)
    }

    /// Enters the sender, with nothing yet; an older registration of the same peer is gone.
    pub(super) fn enter(&mut self, sender: Sender, profile: Profile, now: Instant) {
        self.retire(sender.peer);
        let peer = self.peers.add(Peer::new(sender, profile, now));
        self.by_id.insert(sender.peer, peer);
    }

    /// Takes a peer out of every answer; its contents go with [`Roll::sweep`].
    pub(super) fn retire(&mut self, id: PeerId) {
        if let Some(peer) = self.by_id.remove(&id) {
            // What it leaves is still to be cleared away, but stands in nobody's way.
            self.counts(peer, self.peers[peer].bytes, 0);
            self.bitmaps.change(self.peers[peer].network(), self.peers[peer].bitmap_bytes, 0);
            let (originals, copies) = self.peers[peer].goes();
            self.leaving.push(Leaving { peer, originals, copies });
        }
    }

    /// Clears away at most `limit` contents of peers that are gone, or what lies between those that are not. Returns true
    /// if there is more to do.
    pub(super) fn sweep(&mut self, limit: usize) -> bool {
        for _ in 0..limit {
            let Some(leaving) = self.leaving.last_mut() else {
                return self.names.tidy();
            };
            let peer = leaving.peer;
            if let Some((pair, original)) = leaving.next() {
                self.drop_pair(peer, pair, original);
            } else {
                self.leaving.pop();
                self.peers.take(peer);
            }
        }
        !self.leaving.is_empty() || self.names.tidy()
    }

    /// Sees to it that a peer may share these, too.
    pub(super) fn allow(&mut self, peer: PeerRow, added: &[Offer]) -> Result<(), Denial> {
        added.iter().try_for_each(check_offer)?;
        self.check_claims(peer, added)?;
        self.check_room(peer, added)
    }

    /// First takes `removed` away from what a peer shares, then adds `added`, which it may share.
    pub(super) fn update(&mut self, peer: PeerRow, removed: &[(wire::Name, FileId)], added: &[Offer]) {
        for (name, id) in removed {
            self.withdraw(peer, name, id);
        }
        added.iter().for_each(|offer| self.offer(peer, offer));
    }

    /// Adds chunks to what a peer has of a content, as a file or as a tree; or, if anything is wrong, none.
    pub(super) fn gain(
        &mut self,
        peer: PeerRow,
        (id, view): (FileId, View),
        gained: &[Run],
    ) -> Result<(), Denial> {
        let meant = |content: &ContentRow| {
            self.contents.claim(*content).tree == (view == View::Members)
                && self.contents.holds(*content, peer)
        };
        let held: Vec<ContentRow> = self.contents.with_id(&id).filter(meant).collect();
        if held.is_empty() {
            return Err(Denial::NotOffered(id));
        }
        for content in &held {
            if !can_be_gained(gained, self.contents.claim(*content).chunks) {
                return Err(Denial::BadChunks);
            }
            self.afford_bitmap(*content, peer)?;
        }
        for content in held {
            self.counting_bitmap(content, peer, |contents| contents.gain(content, peer, gained));
        }
        Ok(())
    }

    fn check_room(&mut self, peer: PeerRow, added: &[Offer]) -> Result<(), Denial> {
        if self.peers[peer].offers() + added.len() > self.bounds.registrations_per_peer {
            return Err(Denial::Full("contents of this peer"));
        }
        let bytes = added.iter().map(|offer| offer.name.len()).sum();
        self.make_room(peer, bytes + added.len() * REGISTRATION_BYTES, added.len())?;
        if self.names.has_room(bytes, added.len()) { Ok(()) } else { Err(Denial::Full("registrations")) }
    }

    /// Sees to it that so much more may be kept for a peer. If there is no room for it, those for whose network more
    /// is kept make it.
    fn make_room(&mut self, peer: PeerRow, bytes: usize, registrations: usize) -> Result<(), Denial> {
        let own = self.quotas.of(self.peers[peer].network()) + bytes;
        if self.peers[peer].bytes + bytes > self.bounds.bytes / PEER_SHARE {
            return Err(Denial::Full("contents of this peer"));
        }
        if own > self.bounds.bytes / NETWORK_SHARE {
            return Err(Denial::Full("contents of this network"));
        }
        while self.living() + registrations > self.bounds.registrations
            || self.quotas.total() + bytes > self.bounds.bytes
        {
            let heaviest = self.quotas.heaviest().filter(|(_, heaviest)| *heaviest > own);
            let pays = heaviest.and_then(|(network, _)| self.heaviest_of(network, |peer| peer.bytes));
            self.retire(pays.ok_or(Denial::Full("registrations"))?);
        }
        Ok(())
    }

    /// Registrations of those who are not gone.
    fn living(&self) -> usize {
        let left = |leaving: &Leaving| leaving.originals.len() + leaving.copies.len();
        self.registrations - self.leaving.iter().map(left).sum::<usize>()
    }

    /// The peer of a network for which most is kept.
    fn heaviest_of(&self, network: Network, kept: impl Fn(&Peer) -> usize) -> Option<PeerId> {
        let there = self.all().filter(|(_, peer)| peer.network() == network);
        there.max_by_key(|(_, peer)| kept(peer)).map(|(id, _)| id)
    }

    /// What took so many bytes for a peer takes so many from now on.
    fn counts(&mut self, peer: PeerRow, before: usize, after: usize) {
        let peer = &mut self.peers[peer];
        if peer.id.is_some() {
            peer.bytes = peer.bytes + after - before;
            self.quotas.change(peer.network(), before, after);
        }
    }

    /// An id has one true claim, or two (a file may hold a tree's listing). Without this bound one
    /// peer could pile up contents under one id and make everybody's search in it slow.
    fn check_claims(&self, peer: PeerRow, added: &[Offer]) -> Result<(), Denial> {
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

    fn offer(&mut self, peer: PeerRow, offer: &Offer) {
        let (name, claim) = (offer.name.as_bytes(), offer.claim());
        let content = match self.contents.find(&offer.id, &claim) {
            Some(content) => content,
            None => self.contents.add(offer.id, claim),
        };
        let pair = match self.names.find(&self.contents, name, &offer.id, &claim) {
            Ok(pair) => pair,
            Err(place) => self.names.add(&mut self.contents, place, name, content),
        };
        match self.peers[peer].add_pair(pair, offer.original) {
            Added::New => {
                self.registrations += 1;
                self.counts(peer, 0, REGISTRATION_BYTES + name.len());
                let network = self.peers[peer].network();
                self.names.register(pair, network, offer.original, offer.modified);
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

    fn withdraw(&mut self, peer: PeerRow, name: &str, id: &FileId) {
        let pairs: Vec<PairRow> = self.names.with_id(&self.contents, name.as_bytes(), id).collect();
        for pair in pairs {
            if let Some(original) = self.peers[peer].remove_pair(pair) {
                self.drop_pair(peer, pair, original);
            }
        }
    }

    fn drop_pair(&mut self, peer: PeerRow, pair: PairRow, original: bool) {
        let content = self.names.content(pair);
        self.registrations -= 1;
        self.counts(peer, REGISTRATION_BYTES + self.names.text(pair).len(), 0);
        self.counting_bitmap(content, peer, |contents| contents.remove_name(content, peer));
        let network = self.peers[peer].network();
        if let Some(content) = self.names.unregister(&mut self.contents, pair, network, original) {
            self.contents.remove(content);
        }
    }

    /// Sees to it that the peer may have a bitmap of this content. If there is no room for it, those for whose network
    /// more bitmaps are kept make it.
    fn afford_bitmap(&mut self, content: ContentRow, peer: PeerRow) -> Result<(), Denial> {
        let need = self.contents.bitmap_bytes(content).saturating_sub(self.contents.bitmap(content, peer));
        if self.peers[peer].bitmap_bytes + need > self.bounds.bitmap_bytes_per_peer {
            return Err(Denial::Full("partial contents of this peer"));
        }
        let own = self.bitmaps.of(self.peers[peer].network()) + need;
        while need > 0 && self.bitmaps.total() + need > self.bounds.bitmap_bytes {
            let heaviest = self.bitmaps.heaviest().filter(|(_, heaviest)| *heaviest > own);
            let pays = heaviest.and_then(|(network, _)| self.heaviest_of(network, |peer| peer.bitmap_bytes));
            self.retire(pays.ok_or(Denial::Full("partial contents"))?);
        }
        self.make_room(peer, need, 0)
    }

    /// Makes a change to a peer's part of a content and keeps count of the bitmaps' bytes.
    fn counting_bitmap(&mut self, content: ContentRow, peer: PeerRow, change: impl FnOnce(&mut Contents)) {
        let before = self.contents.bitmap(content, peer);
        change(&mut self.contents);
        let after = self.contents.bitmap(content, peer);
        self.peers[peer].bitmap_bytes = self.peers[peer].bitmap_bytes + after - before;
        if self.peers[peer].id.is_some() {
            self.bitmaps.change(self.peers[peer].network(), before, after);
        }
        self.counts(peer, before, after);
    }

    /// True if nothing is left of anybody.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let peers = self.peers.len() + self.by_id.len() + self.leaving.len();
        let rest = self.names.len() + self.contents.len();
        (peers, rest, self.registrations, self.bitmaps.total() + self.quotas.total()) == (0, 0, 0, 0)
    }
}

fn check_offer(offer: &Offer) -> Result<(), Denial> {
    let name = SafeName::new(&*offer.name).map_err(|error| Denial::BadName(offer.name.to_string(), error))?;
    if offer.claim().is_possible(&offer.id) {
        Ok(())
    } else {
        Err(Denial::BadOffer(name.as_str().to_owned()))
    }
}

/// True if so many chunks have all these. Their sum bounds the work, too: no chunk needs to be named twice.
fn can_be_gained(gained: &[Run], chunks: u32) -> bool {
    let sum: u64 = gained.iter().map(|run| u64::from(run.count)).sum();
    sum <= u64::from(chunks) && gained.iter().all(|run| run.end() <= chunks)
}
