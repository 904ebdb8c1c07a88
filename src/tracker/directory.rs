//! Who has what: names, contents and their holders, peers and their leases.
//!
//! Owns all state of a tracker. Pure: no socket, no thread, no clock; `now` is an argument and
//! random choices come from a seed. A registration belongs to the connection that made it: what
//! another connection says of the same peer, or its end, does not touch it.
//!
//! Here is what may be asked of it, and how its parts answer together: `roll` knows who is registered with what,
//! `locate`, `listing` and `near` look things up in it, `doubt`, `looks` and `takeover` judge peers.
//!
//! A peer that goes is out of every answer at once, but its contents are cleared away in slices by
//! [`Directory::sweep`], so that nobody waits behind a peer with a million files.

use std::time::{Duration, Instant};

use crate::content::{Chunk, Claim, FileId, PeerId, Run};
use crate::wire::{self, Call, Complaint, Holder, Offer, PeerInfo, Purpose, Status, View, limits};

mod addresses;
mod calls;
mod contents;
mod crowd;
mod crowded;
mod denial;
mod doubt;
mod draw;
mod fair;
mod glob;
mod holders;
mod listing;
mod locate;
mod looks;
mod names;
mod near;
mod peer;
mod quotas;
mod roll;
mod rows;
mod takeover;
#[cfg(test)]
mod tests;
mod work;

pub use addresses::{Listens, Origin};
pub use denial::Denial;
pub use glob::Glob;
pub use listing::{PAGE_BYTES, Page};
use locate::Search;
pub use locate::{Query, Wanted};
pub use looks::Look;
use looks::Looks;
pub use near::Near;
pub use peer::{Load, Profile, Sender};
pub use roll::Bounds;
use roll::Roll;
use rows::PeerRow;
pub use takeover::Contested;
pub use work::{MAX_PAGE_WORK, NAME_WORK, Step};

/// Who is named so many that can be dialled needs no others.
const ENOUGH: usize = 4;
/// Most holders that cannot be dialled that are called for one question.
const CALLED: usize = 4;

/// The whole state of a tracker.
#[derive(Debug)]
pub struct Directory {
    lease: Duration,
    started: Instant,
    epoch: u64,
    rng: fastrand::Rng,
    roll: Roll,
    looks: Looks,
    located: u64,
    woken: Vec<u64>,
}

impl Directory {
    /// An empty directory. `seed` decides its random choices and its epoch.
    pub fn new(lease: Duration, bounds: Bounds, seed: u64, now: Instant) -> Directory {
        let mut rng = fastrand::Rng::with_seed(seed);
        Directory {
            lease,
            started: now,
            epoch: rng.u64(..),
            rng,
            roll: Roll::new(bounds),
            looks: Looks::default(),
            located: 0,
            woken: Vec::new(),
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

    /// Registers the sender anew, with nothing yet; an older registration of the same peer is gone. Returns true if there was
    /// none.
    ///
    /// # Errors
    /// [`Contested`] while the older one's connection is another one and lives; nothing was changed.
    pub fn register(&mut self, sender: Sender, profile: Profile, now: Instant) -> Result<bool, Contested> {
        let older = self.roll.find(sender.peer);
        if let Some(older) = older {
            let older = &mut self.roll[older];
            if older.connection != sender.connection {
                older.takeover.contest(older.connection, older.seen, now)?;
            }
        }
        self.roll.enter(sender, profile, now);
        Ok(older.is_none())
    }

    /// Notes a sign of life.
    pub fn touch(&mut self, sender: Sender, now: Instant) {
        if let Ok(peer) = self.roll.registered(sender) {
            self.roll[peer].shows_life(now);
        }
    }

    /// Changes what the sender shares: first takes `removed` away, then adds `added`; or, if
    /// anything is wrong with the request, neither.
    ///
    /// # Errors
    /// [`Denial`]; nothing was changed.
    pub fn update(
        &mut self,
        sender: Sender,
        removed: &[(wire::Name, FileId)],
        added: &[Offer],
        now: Instant,
    ) -> Result<(), Denial> {
        self.allow(sender, added)?;
        self.change(sender, removed, added, now)
    }

    /// Sees to it that the sender may share these, too: the first step of an update that is made in several.
    ///
    /// # Errors
    /// [`Denial`]; nothing is to be changed.
    pub fn allow(&mut self, sender: Sender, added: &[Offer]) -> Result<(), Denial> {
        let peer = self.roll.registered(sender)?;
        self.roll.allow(peer, added)
    }

    /// Makes a part of an update that was allowed.
    ///
    /// # Errors
    /// [`Denial::NotRegistered`]: the registration has ended meanwhile.
    pub fn change(
        &mut self,
        sender: Sender,
        removed: &[(wire::Name, FileId)],
        added: &[Offer],
        now: Instant,
    ) -> Result<(), Denial> {
        let peer = self.roll.registered(sender)?;
        self.roll.update(peer, removed, added);
        self.roll[peer].states(now);
        Ok(())
    }

    /// Adds chunks to what the sender has of a content.
    ///
    /// # Errors
    /// [`Denial`]; nothing was changed.
    pub fn have(
        &mut self,
        sender: Sender,
        of: (FileId, View),
        gained: &[Run],
        now: Instant,
    ) -> Result<(), Denial> {
        let peer = self.roll.registered(sender)?;
        self.roll.gain(peer, of, gained)?;
        self.roll[peer].states(now);
        Ok(())
    }

    /// Notes the sender's load.
    ///
    /// # Errors
    /// [`Denial::NotRegistered`].
    pub fn heartbeat(&mut self, sender: Sender, load: Load, now: Instant) -> Result<(), Denial> {
        let peer = self.roll.registered(sender)?;
        self.roll[peer].shows_life(now);
        self.roll[peer].tells_load(load);
        Ok(())
    }

    /// Ends the sender's registration, at its wish or because its connection ended. Returns true if it had one.
    pub fn leave(&mut self, sender: Sender) -> bool {
        let had = self.roll.registered(sender).is_ok();
        if had {
            self.roll.retire(sender.peer);
        }
        had
    }

    /// Ends the registrations whose lease ran out, and returns the peers, with what they said of themselves.
    pub fn expire(&mut self, now: Instant) -> Vec<(PeerId, Profile)> {
        let silent = self.roll.all().filter(|(_, peer)| peer.is_silent(self.lease, now));
        let expired: Vec<_> = silent.map(|(id, peer)| (id, peer.profile.clone())).collect();
        expired.iter().for_each(|(peer, _)| self.roll.retire(*peer));
        expired
    }

    /// Clears away at most `limit` contents of peers that are gone. Returns true if there are more.
    pub fn sweep(&mut self, limit: usize) -> bool {
        self.roll.sweep(limit)
    }

    /// Every content that is looked for, the one with the most seeders first, with some of its holders.
    pub fn locate(&mut self, query: &Query<'_>, now: Instant) -> Vec<wire::Variant> {
        self.located += 1;
        let variants = Search::new(&mut self.roll, &mut self.rng, query, now).answer();
        if let (Purpose::Fetch, Wanted::Id(id), Some(asker)) =
            (query.purpose, query.wanted, self.roll.find(query.asker))
            && variants.iter().map(|variant| variant.holders.len()).sum::<usize>() < ENOUGH
        {
            for peer in locate::hidden(&self.roll, &mut self.rng, (id, query.from), CALLED) {
                self.call(peer, (asker, id), now);
            }
        }
        variants
    }

    /// True if somebody has registered this content under this name.
    pub fn has_name(&self, name: &str, id: &FileId) -> bool {
        self.roll.names().with_id(self.roll.contents(), name.as_bytes(), id).next().is_some()
    }

    /// How many hold all of a content, and how many a part.
    pub fn counts(&self, id: &FileId, claim: &Claim) -> (u32, u32) {
        let contents = self.roll.contents();
        let counts = contents.find(id, claim).map_or((0, 0), |content| contents.counts(content));
        (counts.0 as u32, counts.1 as u32)
    }

    /// Looks at the next names of a listing. Returns true when the page is done.
    pub fn list(&mut self, page: &mut Page) -> bool {
        page.look(&self.roll, &mut self.rng)
    }

    /// Looks at the next names that may be near matches. Returns true when the search is over.
    pub fn near(&self, near: &mut Near) -> bool {
        near.look(self.roll.names())
    }

    /// Who wants to be dialled by the peer that asks on this connection, from there; without anybody it is woken when
    /// there is. Only the address that it is registered from is told.
    pub fn calls(&mut self, sender: Sender, from: Origin, now: Instant) -> Vec<Call> {
        let peer = self.roll.find(sender.peer).filter(|peer| self.roll[*peer].profile.from.ip == from.ip);
        let Some(peer) = peer else { return Vec::new() };
        let calls = self.roll[peer].calls.take(sender.connection, now);
        let call = |(by, id)| {
            let addresses = self.roll[self.roll.find(by)?].addresses(from);
            Some(Call { id, peer: by, addresses })
        };
        calls.into_iter().filter_map(call).collect()
    }

    /// Connections to wake, since last time: somebody calls whoever waits on them.
    pub fn take_woken(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.woken)
    }

    /// Has a peer dial the asker for a content, if it can.
    fn call(&mut self, peer: PeerRow, (by, id): (PeerRow, FileId), now: Instant) {
        let (asker, called) = (&self.roll[by], &self.roll[peer]);
        let Some(who) = asker.id.filter(|_| asker.can_be_dialled_from(called.profile.from)) else { return };
        self.woken.extend(self.roll[peer].calls.add(who, id, now));
    }

    /// Notes a complaint about `accused`, and says whom to look at; what is not known here is passed over.
    ///
    /// # Errors
    /// [`Denial::NotRegistered`].
    pub fn report(
        &mut self,
        sender: Sender,
        accused: PeerId,
        complaint: Complaint,
        about: (FileId, Chunk),
        now: Instant,
    ) -> Result<Option<Look>, Denial> {
        let reporter = self.roll.registered(sender)?;
        let Some(peer) = self.roll.find(accused).filter(|peer| *peer != reporter) else {
            return Ok(None);
        };
        let by = self.roll[reporter].profile.from.ip;
        match complaint {
            Complaint::Dead => {
                // It may live where the reporter cannot dial it: then it can dial the reporter.
                if about.0 != FileId::NONE {
                    self.call(peer, (reporter, about.0), now);
                }
                let peer = &mut self.roll[peer];
                let silent = peer.is_silent(self.lease / 2, now);
                peer.doubt.accuse_dead(by, silent, now);
                return Ok(self.looks.at(peer, now));
            }
            Complaint::Missing => self.roll[reporter].missed.note(accused, about.0, now),
            Complaint::Corrupt => self.roll[peer].doubt.accuse_corrupt(by, now),
        }
        Ok(None)
    }

    /// A look has come to an end: the peer answered at its address, as itself, or it did not.
    pub fn looked(&mut self, look: &Look, answered: bool, now: Instant) {
        if let Ok(peer) = self.roll.registered(look.of) {
            self.roll[peer].doubt.looked(answered, now);
        }
    }

    /// How the tracker is.
    pub fn status(&self, now: Instant) -> Status {
        Status {
            uptime_ms: now.duration_since(self.started).as_millis() as u64,
            epoch: self.epoch,
            peers: self.roll.len() as u32,
            names: self.roll.names().len() as u32,
            registrations: self.roll.registrations() as u64,
            located: self.located,
            settling_ms: 0, // what was before it knows nothing of
            clock_ms: 0,    // nor what a clock shows
        }
    }

    /// True if the sender is registered on its connection.
    pub fn is_registered(&self, sender: Sender) -> bool {
        self.roll.registered(sender).is_ok()
    }

    /// Where a registered peer's connection comes from.
    pub fn origin(&self, peer: PeerId) -> Option<Origin> {
        Some(self.roll[self.roll.find(peer)?].profile.from)
    }

    /// A registered peer as a holder of so many chunks of something that it has not registered, for who asks
    /// from there.
    pub fn keeper(&self, peer: PeerId, have: u32, to: Origin) -> Option<Holder> {
        self.roll[self.roll.find(peer)?].keeper(have, to)
    }

    /// At most `limit` registered peers after one, in order of id, and whether there are more; for who asks from there.
    pub fn peers(&self, after: PeerId, limit: usize, to: Origin, now: Instant) -> (Vec<PeerInfo>, bool) {
        let mut rest = self.roll.after(after);
        let page = rest.by_ref().take(limit.clamp(1, limits::MAX_PEERS));
        let page = page.map(|(id, peer)| peer.info(id, to, now)).collect();
        (page, rest.next().is_some())
    }
}
