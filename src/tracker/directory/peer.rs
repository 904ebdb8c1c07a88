//! A registered peer: what it said of itself, and what others say of it.

use std::time::{Duration, Instant};

use super::addresses::{Listens, Origin};
use super::calls::Calls;
use super::doubt::{Doubt, Missed};
use super::rows::PairRow;
use super::takeover::Takeover;
use crate::content::{Network, PeerId};
use crate::tracker::tables::order::Order;
use crate::wire::{Addresses, Holder, Label, List, PeerInfo};

/// By how many uploads each network that complained of corrupt chunks makes a holder dearer.
const CORRUPT_COST: u32 = 64;

/// Who sends a request: the connection, and the peer it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// The connection; never the same number twice.
    pub connection: u64,
    /// The peer.
    pub peer: PeerId,
}

/// What a peer says of itself when it registers.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub listens: Listens,
    /// Where its connection comes from.
    pub from: Origin,
}

/// A peer's load as its heartbeats tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Uploads it serves now.
    pub uploads: u16,
    /// Downloads it runs now.
    pub downloads: u16,
    /// Bytes it would lend to others.
    pub space: u64,
}

/// A registered peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// None once it is gone, and only what it registered is still to be cleared away.
    pub(super) id: Option<PeerId>,
    pub(super) profile: Profile,
    pub(super) connection: u64,
    pub(super) seen: Instant,
    load: Load,
    /// How often it was suggested since its last heartbeat: load that it could not tell yet.
    suggested: u32,
    /// The pairs of name and content that its user put there, in order.
    originals: Order<PairRow>,
    /// Those that it fetched, in order.
    copies: Order<PairRow>,
    pub(super) bitmap_bytes: usize,
    /// All that is kept for it.
    pub(super) bytes: usize,
    /// When it last said what it has.
    stated: Instant,
    /// What other connections that want its place have come to.
    pub(super) takeover: Takeover,
    pub(super) doubt: Doubt,
    /// What others refused it.
    pub(super) missed: Missed,
    /// Who wants to be dialled by it.
    pub(super) calls: Calls,
}

impl Peer {
    pub(super) fn new(sender: Sender, profile: Profile, now: Instant) -> Peer {
        Peer {
            id: Some(sender.peer),
            profile,
            connection: sender.connection,
            seen: now,
            load: Load::default(),
            suggested: 0,
            originals: Order::default(),
            copies: Order::default(),
            bitmap_bytes: 0,
            bytes: 0,
            stated: now,
            takeover: Takeover::default(),
            doubt: Doubt::default(),
            missed: Missed::default(),
            calls: Calls::default(),
        }
    }

    /// It shows life.
    pub(super) fn shows_life(&mut self, now: Instant) {
        self.seen = now;
        self.doubt.shows_life();
    }

    /// It says what it has: what others say it lacks, or has wrong, is old.
    pub(super) fn states(&mut self, now: Instant) {
        self.stated = now;
        self.doubt.states_anew();
    }

    /// True if it has said what it has since then.
    pub(super) fn has_stated_since(&self, then: Instant) -> bool {
        self.stated > then
    }

    /// Where its connection comes from.
    pub(super) fn network(&self) -> Network {
        Network::of(self.profile.from.ip)
    }

    pub(super) fn is_silent(&self, patience: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) >= patience
    }

    /// It says how busy it is.
    pub(super) fn tells_load(&mut self, load: Load) {
        self.load = load;
        self.suggested = 0;
    }

    /// It was suggested to somebody.
    pub(super) fn is_suggested(&mut self) {
        self.suggested += 1;
    }

    /// How busy it is likely to be, in uploads; corrupt chunks count as many.
    pub(super) fn cost(&self, now: Instant) -> u32 {
        let load = u32::from(self.load.uploads).saturating_add(self.suggested);
        load.saturating_add(self.doubt.corrupt(now) as u32 * CORRUPT_COST)
    }

    /// True if it can be dialled by the asker, who asks from there, and is somebody else.
    pub(super) fn can_be_suggested(&self, asker: PeerId, to: Origin) -> bool {
        self.id.is_some_and(|id| id != asker) && self.can_be_dialled_from(to)
    }

    /// True if somebody there could dial it.
    pub(super) fn can_be_dialled_from(&self, to: Origin) -> bool {
        self.profile.listens.is_told(self.profile.from, to)
    }

    /// Where somebody there may dial it.
    pub(super) fn addresses(&self, to: Origin) -> Addresses {
        List::new(self.profile.listens.told(self.profile.from, to))
    }

    /// How many pairs it has registered.
    pub(super) fn offers(&self) -> usize {
        self.originals.len() + self.copies.len()
    }

    /// Adds a pair. A copy that is an original from now on is changed; an original stays one.
    pub(super) fn add_pair(&mut self, pair: PairRow, original: bool) -> Added {
        let Err(place) = self.originals.search(pair) else { return Added::Known };
        match self.copies.search(pair) {
            Ok(copy) if original => {
                self.copies.remove(copy);
                self.originals.insert(place, pair);
                Added::Raised
            }
            Ok(_) => Added::Known,
            Err(_) if original => {
                self.originals.insert(place, pair);
                Added::New
            }
            Err(place) => {
                self.copies.insert(place, pair);
                Added::New
            }
        }
    }

    /// Takes a pair away. True if it was an original; `None` if it was not there.
    pub(super) fn remove_pair(&mut self, pair: PairRow) -> Option<bool> {
        if let Ok(place) = self.originals.search(pair) {
            self.originals.remove(place);
            return Some(true);
        }
        let place = self.copies.search(pair).ok()?;
        self.copies.remove(place);
        Some(false)
    }

    /// True if the pair is registered as an original.
    pub(super) fn has_original(&self, pair: PairRow) -> bool {
        self.originals.search(pair).is_ok()
    }

    /// Is gone from now on; its originals and its copies are still to be cleared away.
    pub(super) fn goes(&mut self) -> (Vec<PairRow>, Vec<PairRow>) {
        self.id = None;
        (std::mem::take(&mut self.originals).into_vec(), std::mem::take(&mut self.copies).into_vec())
    }

    /// As it stands in a list of peers, for who asks from there.
    pub(super) fn info(&self, id: PeerId, to: Origin, now: Instant) -> PeerInfo {
        let silent = now.saturating_duration_since(self.seen);
        PeerInfo {
            peer: id,
            name: Label::new(&*self.profile.name),
            addresses: self.addresses(to),
            offers: self.offers() as u32,
            uploads: self.load.uploads,
            downloads: self.load.downloads,
            silent_ms: u32::try_from(silent.as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// As it stands in an answer to who asks from there; `None` for a peer that is gone.
    pub(super) fn holder(&self, pair: PairRow, have: u32, to: Origin) -> Option<Holder> {
        Some(Holder { original: self.has_original(pair), ..self.keeper(have, to)? })
    }

    /// As it stands in an answer about something that it has not registered.
    pub(super) fn keeper(&self, have: u32, to: Origin) -> Option<Holder> {
        Some(Holder {
            peer: self.id?,
            name: Label::new(&*self.profile.name),
            addresses: self.addresses(to),
            have,
            uploads: self.load.uploads,
            downloads: self.load.downloads,
            original: false,
        })
    }
}

/// What became of a pair that was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    New,
    /// It was a copy and is an original now.
    Raised,
    /// It was there already.
    Known,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::tables::slab::Slab;

    fn profile(port: u16) -> Profile {
        let from = Origin::from(std::net::IpAddr::from([10, 0, 0, 1]));
        Profile { listens: Listens { port, ..Listens::default() }, from, ..Profile::default() }
    }

    fn peer(now: Instant) -> Peer {
        let sender = Sender { connection: 1, peer: PeerId([1; 16]) };
        Peer::new(sender, profile(7), now)
    }

    #[test]
    fn a_pair_is_an_original_or_a_copy_and_once_an_original_stays_one() {
        let mut pairs = Slab::<u8, super::super::rows::Pairs>::default();
        let (one, other) = (pairs.add(1), pairs.add(2));
        let mut peer = peer(Instant::now());
        assert_eq!((peer.add_pair(one, false), peer.add_pair(one, false)), (Added::New, Added::Known));
        assert_eq!((peer.has_original(one), peer.offers()), (false, 1));
        assert_eq!((peer.add_pair(one, true), peer.add_pair(one, true)), (Added::Raised, Added::Known));
        assert_eq!(peer.add_pair(one, false), Added::Known);
        assert_eq!((peer.has_original(one), peer.offers()), (true, 1));
        assert_eq!((peer.add_pair(other, false), peer.offers()), (Added::New, 2));
        assert_eq!(peer.remove_pair(one), Some(true));
        assert_eq!(peer.remove_pair(one), None);
        assert_eq!((peer.remove_pair(other), peer.offers()), (Some(false), 0));
        assert_eq!((peer.add_pair(one, true), peer.add_pair(other, false)), (Added::New, Added::New));
        assert_eq!((peer.goes(), peer.id), ((vec![one], vec![other]), None));
    }

    #[test]
    fn its_cost_is_what_it_says_what_it_was_suggested_for_and_what_others_say() {
        let now = Instant::now();
        let mut peer = peer(now);
        peer.tells_load(Load { uploads: 3, ..Load::default() });
        peer.is_suggested();
        peer.is_suggested();
        assert_eq!(peer.cost(now), 5);
        peer.doubt.accuse_corrupt([10, 0, 0, 1].into(), now);
        peer.doubt.accuse_corrupt([10, 0, 0, 2].into(), now);
        assert_eq!(peer.cost(now), 5 + 2 * CORRUPT_COST);
        peer.tells_load(Load { uploads: u16::MAX, ..Load::default() });
        assert_eq!(peer.cost(now), u32::from(u16::MAX) + 2 * CORRUPT_COST, "it tells of what was suggested");
    }

    #[test]
    fn who_cannot_be_dialled_or_asks_itself_is_not_suggested() {
        let now = Instant::now();
        let (me, somebody) = (PeerId([1; 16]), PeerId([2; 16]));
        let can = |peer: &Peer, asker| peer.can_be_suggested(asker, Origin::default());
        assert!(can(&peer(now), somebody) && !can(&peer(now), me));
        let mut peer = peer(now);
        peer.profile = profile(0);
        assert!(!can(&peer, somebody));
    }
}
