//! Fetches what is to be kept: by a transfer like any other, but for where its chunks go and that it is told whom to ask.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::agenda::Content;
use super::hashes;
use super::landing::Slots;
use super::listing;
use super::store::{Store, view_of};
use super::vault::{Kind, Lot, VaultError};
use crate::content::{ChunkSet, FileId, Geometry, SafeName, Tree};
use crate::peer::disk::DiskError;
use crate::peer::job::Gate;
use crate::peer::transfer::{End, Transfer};
use crate::swarm::errands::{Company, Errand, Errands};
use crate::swarm::patience::Patience;
use crate::swarm::scheduler::{Event, TICK};
use crate::threads::{self, lock};
use crate::wire::{DutySource, Keep, Reluctance, View};

/// How long nobody may be there who has what is missing. The tracker knows others by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something is not kept.
enum Failed {
    /// What the tracker is told.
    Declined(Reluctance),
    /// The peer stops.
    Stopped,
}

impl From<VaultError> for Failed {
    fn from(error: VaultError) -> Failed {
        match error.is_no_space() {
            true => Failed::Declined(Reluctance::NoSpace),
            false => {
                tracing::warn!("{error}");
                Failed::Declined(Reluctance::Damaged)
            }
        }
    }
}

/// Begins with what is to be kept next, as long as there is room for more.
pub(super) fn start_next(store: &Arc<Store>) {
    loop {
        let Some(keep) = lock(&store.agenda).next() else { return };
        let content = (keep.id, keep.view);
        let (fetching, failing) = (store.clone(), store.clone());
        let present = store.means.stop.enter();
        let fetch = move || {
            let _present = present;
            let outcome = Fetch { store: &fetching, keep: &keep }.run();
            if let Err(Failed::Declined(reason)) = outcome {
                fetching.declined(content, reason);
            }
            ended(&fetching, content);
        };
        let failed = move |_: &str| {
            failing.declined(content, Reluctance::Damaged);
            ended(&failing, content);
        };
        if let Err(error) = threads::named("lend-fetch").job(fetch, failed) {
            tracing::warn!("no thread to fetch what is to be kept: {error}");
            lock(&store.agenda).ended(content);
            return; // it is told again
        }
    }
}

fn ended(store: &Arc<Store>, content: Content) {
    lock(&store.fetches).remove(&content);
    lock(&store.agenda).ended(content);
    start_next(store);
}

/// Others may have by now what is being fetched.
pub(super) fn more_sources(store: &Store, keep: &Keep) {
    if let Some(transfer) = store.fetch_of((keep.id, keep.view)) {
        transfer.set_background(!keep.urgent);
        suggest(store, &transfer, keep);
    }
}

fn suggest(store: &Store, transfer: &Transfer, keep: &Keep) {
    let me = store.means.identity.peer.get();
    let others = keep.sources.iter().filter(|source| source.peer != me);
    for DutySource { peer, addresses, spare } in others {
        if *spare {
            transfer.spare(*peer);
        }
        transfer.suggest(*peer, addresses);
    }
}

/// One content that is to be kept, or a part of one.
struct Fetch<'a> {
    store: &'a Arc<Store>,
    keep: &'a Keep,
}

impl Fetch<'_> {
    fn run(&self) -> Result<(), Failed> {
        let Keep { id, view, size, chunks, keep, .. } = self.keep;
        let wanted = keep.to_set(*chunks).ok_or(Failed::Declined(Reluctance::NoSource))?;
        let (kind, files) = match view {
            View::Bytes => (Kind::Bytes, vec![(*id, *size)]),
            View::Members => (Kind::Members, self.members()?),
        };
        self.bring(kind, files, wanted)
    }

    /// What the listing names; it is fetched first, if it is not here.
    fn members(&self) -> Result<Vec<(FileId, u64)>, Failed> {
        let Keep { id, size, .. } = self.keep;
        if listing::read(&self.store.vault, *id)?.is_none() {
            let chunks = Geometry::of(*size).map_or(0, Geometry::chunks);
            self.bring(Kind::Listing, vec![(*id, *size)], ChunkSet::full(chunks))?;
        }
        let bytes = listing::read(&self.store.vault, *id)?.ok_or(Failed::Declined(Reluctance::NoSource))?;
        let tree = Tree::decode(&bytes).ok().and_then(|tree| tree.layout().ok());
        let members = tree.ok_or(Failed::Declined(Reluctance::NoSource))?;
        let sizes = members.layout.files().iter().map(|geometry| geometry.size());
        Ok(members.ids.iter().copied().zip(sizes).collect())
    }

    /// Fetches chunks into the vault; they are on the disk, and reported, when this returns.
    fn bring(&self, kind: Kind, files: Vec<(FileId, u64)>, wanted: ChunkSet) -> Result<(), Failed> {
        let (store, view) = (self.store, view_of(kind));
        let ids: Vec<FileId> = files.iter().map(|(id, _)| *id).collect();
        let mut lot = Lot::new(self.keep.id, kind, files, Vec::new())?;
        hashes::learn(store, self.keep, view, &ids, &mut lot);
        let grant = Arc::new(store.vault.reserve(lot, &wanted)?);
        let had = grant.had().clone();
        if !had.is_empty() {
            store.changed(store.vault.commit()?); // what is here can be told, and served
        }
        let name = match view {
            View::Bytes => self.keep.id.to_string(),
            View::Members => format!("{}/", self.keep.id),
        };
        let name = SafeName::new(name).map_err(|_| Failed::Declined(Reluctance::Damaged))?;
        let limits = &store.means.limits;
        let landing = Slots { store: store.clone(), grant: grant.clone(), files: ids };
        let inlets = vec![store.means.inlet.clone()];
        let mut transfer = Transfer::new(self.keep.id, view, name, landing, (had, wanted), limits, inlets);
        transfer.sources.slow_down(store.repairs.clone());
        let transfer = Arc::new(transfer);
        transfer.set_background(!self.keep.urgent);
        lock(&store.fetches).insert((self.keep.id, view), transfer.clone());
        suggest(store, &transfer, self.keep);
        let end = self.drive(&transfer);
        grant.end(); // those who are served from it may have the transfer for long
        store.changed(store.vault.commit()?);
        match end {
            End::Done => Ok(()),
            End::Cancelled if store.means.stop.is_stopping() => Err(Failed::Stopped),
            End::Cancelled => Err(Failed::Declined(Reluctance::NoSource)),
            End::Failed(error) => Err(Failed::Declined(match &*error {
                DiskError::Full(path) => {
                    tracing::warn!("the disk is full: {path}");
                    Reluctance::NoSpace
                }
                other => {
                    tracing::warn!("{other}");
                    Reluctance::Damaged
                }
            })),
        }
    }

    /// Sees a transfer to its end.
    fn drive(&self, transfer: &Arc<Transfer>) -> End {
        let (means, now) = (&self.store.means, Instant::now());
        let limits = &means.limits;
        let mut errands = Errands::new(limits.max_neighbours, limits.refresh, transfer.layout.chunks(), now);
        let mut patience = Patience::new(Some(PATIENCE), Duration::ZERO, now);
        let gate = Gate::new();
        let end = loop {
            if let Some(end) = transfer.wait_news(TICK) {
                break end;
            }
            let now = Instant::now();
            transfer.tell_news();
            transfer.sources.step([Event::Tick], None);
            for errand in transfer.neighbours(|neighbours| errands.turn(neighbours, now)) {
                match errand {
                    Errand::Dial(peer, addr) => gate.dial(means, transfer, peer, &addr),
                    Errand::Close(peer) => transfer.sources.close_last_of(peer),
                    // The tracker that gave the duty sees to that.
                    Errand::Announce | Errand::Locate | Errand::Exchange => {}
                }
            }
            means.report_missing(transfer);
            let arrived = transfer.ledger.useful.load(Ordering::Relaxed);
            let helped = transfer.sources.is_helped();
            let Company { alone, over } = errands.company(&mut patience, helped, arrived, now);
            transfer.set_alone(alone);
            if over || means.stop.is_stopping() {
                transfer.finish(End::Cancelled);
            }
        };
        transfer.tell_news();
        gate.close();
        transfer.sources.wait_for_all();
        end
    }
}
