//! What the threads of a store share: the vault, what is to be put into it, and what its trackers are to hear of that.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::agenda::{Agenda, Content};
use super::link::Link;
use super::vault::{Kept, Kind, Owner, Vault};
use crate::content::PeerId;
use crate::peer::config::Lending;
use crate::peer::duties::TakeUp;
use crate::peer::job::Means;
use crate::peer::trackers::Line;
use crate::peer::transfer::{Inlet, Transfer};
use crate::threads::lock;
use crate::wire::{Authority, Call, Decline, Keep, KeptPart, Label, Lend, Lent, Reluctance, Term, View};

/// A store: a peer that lends space.
#[derive(Debug)]
pub(in crate::peer) struct Store {
    pub(in crate::peer) vault: Vault,
    pub(super) means: Arc<Means>,
    links: Mutex<Vec<Arc<Link>>>,
    pub(super) agenda: Mutex<Agenda>,
    /// What is being fetched for it.
    pub(super) fetches: Mutex<BTreeMap<Content, Arc<Transfer>>>,
    zone: String,
    machine: String,
    /// It goes over to other trackers than it served before.
    pub(super) adopts: bool,
    /// In what time all that is kept is read again.
    pub(super) scrub: Duration,
    /// What nobody waits for comes through it.
    pub(super) repairs: Arc<Inlet>,
    /// What becomes of those who call this peer.
    calls: OnceLock<TakeUp>,
}

/// As what a vault keeps a content.
pub(super) fn kind_of(view: View) -> Kind {
    match view {
        View::Bytes => Kind::Bytes,
        View::Members => Kind::Members,
    }
}

pub(super) fn view_of(kind: Kind) -> View {
    match kind {
        Kind::Members => View::Members,
        Kind::Bytes | Kind::Listing => View::Bytes,
    }
}

/// As it is told to trackers.
pub(super) fn part_of(kept: &Kept) -> KeptPart {
    let Kept { id, kind, chunks } = kept;
    KeptPart { id: *id, view: view_of(*kind), chunks: chunks.len(), have: chunks.into() }
}

impl Store {
    pub(super) fn new(vault: Vault, means: &Arc<Means>, lending: &Lending) -> Store {
        let (links, agenda, fetches) = (Mutex::default(), Mutex::default(), Mutex::default());
        Store {
            vault,
            means: means.clone(),
            links,
            agenda,
            fetches,
            zone: lending.zone.clone(),
            machine: lending.machine.clone(),
            adopts: lending.adopts,
            scrub: lending.scrub,
            repairs: Arc::new(Inlet::new(lending.repair_rate)),
            calls: OnceLock::new(),
        }
    }

    /// From now on somebody sees to those who call this peer.
    pub(in crate::peer) fn takes_calls(&self, take_up: TakeUp) {
        let _ = self.calls.set(take_up);
    }

    pub(super) fn called(&self, call: Call) {
        if let Some(take_up) = self.calls.get() {
            take_up.call(call);
        }
    }

    /// From now on there is one more tracker to tell.
    pub(super) fn attend(&self, line: Line) -> Arc<Link> {
        let link = Arc::new(Link::new(line));
        let mut links = lock(&self.links);
        links.retain(|link| !link.line.is_over());
        links.push(link.clone());
        link
    }

    /// What is said of the store.
    pub(super) fn lend(&self) -> Lend {
        let (owner, (capacity, _)) = (self.vault.owner(), self.vault.lendable());
        Lend {
            capacity,
            used: self.vault.space().used.min(capacity),
            zone: Label::new(&self.zone),
            machine: Label::new(&self.machine),
            authority: owner.map_or(Authority::NONE, |owner| Authority(u128::from_be_bytes(owner.authority))),
            term: owner.map_or(Term(0), |owner| Term(u128::from_be_bytes(owner.term))),
        }
    }

    /// Who else has what is to be kept, as far as they can be dialled, and where.
    pub(super) fn sources(&self, keep: &Keep) -> impl Iterator<Item = (PeerId, Vec<SocketAddr>)> {
        let me = self.means.identity.peer.get();
        let others =
            keep.sources.iter().filter(move |source| source.peer != me && !source.addresses.is_empty());
        others.map(|source| (source.peer, source.addresses.iter().map(|address| address.socket()).collect()))
    }

    /// Other chunks are kept of these contents than before.
    pub(super) fn changed(&self, kept: impl IntoIterator<Item = Kept>) {
        for kept in kept {
            let content = (kept.id, view_of(kept.kind));
            lock(&self.links).iter().for_each(|link| link.changed(content, kept.chunks.len()));
        }
    }

    /// A content is not kept as it should be.
    pub(super) fn declined(&self, (id, view): Content, reason: Reluctance) {
        let (_, free) = self.vault.lendable();
        lock(&self.links).iter().for_each(|link| link.declined(Decline { id, view, reason, free }));
    }

    /// Chunks of these contents are not any more what they were: so much is kept of them now.
    pub(super) fn rotted(&self, less: Vec<Kept>) {
        let contents: Vec<Content> = less.iter().map(|kept| (kept.id, view_of(kept.kind))).collect();
        for (id, _) in &contents {
            tracing::warn!("a chunk of {id} has rotted on the disk; it comes again from other stores");
        }
        self.changed(less);
        contents.into_iter().for_each(|content| self.declined(content, Reluctance::Damaged));
    }

    /// True if somebody is sent something of what is kept, or something is being fetched.
    pub(super) fn is_busy(&self) -> bool {
        self.vault.is_read_from() || lock(&self.agenda).is_fetching()
    }

    /// The transfer that brings a content, if one does.
    pub(in crate::peer) fn fetch_of(&self, content: Content) -> Option<Arc<Transfer>> {
        lock(&self.fetches).get(&content).cloned()
    }
}

/// Who gives duties in this term.
pub(super) fn owner(lent: &Lent) -> Owner {
    let (authority, term) = (lent.authority.0.to_be_bytes(), lent.term.0.to_be_bytes());
    Owner { authority, term, lasting: lent.lasting }
}
