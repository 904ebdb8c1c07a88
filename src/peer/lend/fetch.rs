//! Fetches what is to be kept: by a transfer like any other, but for where its chunks go and that it is told whom to ask.

use std::sync::Arc;

use super::agenda::Content;
use super::drive::{Failed, drive, outcome, suggest};
use super::hashes;
use super::landing::Slots;
use super::listing;
use super::looks;
use super::store::{Store, view_of};
use super::together;
use super::vault::{Kind, Lot};
use crate::content::{ChunkSet, FileId, Geometry, SafeName, Tree};
use crate::peer::job::{Decoder, Decoding};
use crate::peer::transfer::Transfer;
use crate::threads::{self, lock};
use crate::wire::{Keep, Reluctance, View};

/// Begins with what is to be kept next, as long as there is room for more.
pub(super) fn start_next(store: &Arc<Store>) {
    loop {
        let Some(keeps) = lock(&store.agenda).next() else { return };
        let contents: Vec<Content> = keeps.iter().map(|keep| (keep.id, keep.view)).collect();
        let (fetching, failing, failed) = (store.clone(), store.clone(), contents.clone());
        let ending = contents.clone();
        let present = store.means.stop.enter();
        let fetch = move || {
            let _present = present;
            bring_all(&fetching, &keeps);
            ended(&fetching, &ending);
        };
        let failed = move |_: &str| {
            failed.iter().for_each(|content| failing.declined(*content, Reluctance::Damaged));
            ended(&failing, &failed);
        };
        if let Err(error) = threads::named("lend-fetch").job(fetch, failed) {
            tracing::warn!("no thread to fetch what is to be kept: {error}");
            lock(&store.agenda).ended(&contents);
            return; // it is told again
        }
    }
}

/// Brings one content, or several small ones together; what is not kept then is declined.
fn bring_all(store: &Arc<Store>, keeps: &[Keep]) {
    let declined: Vec<(Content, Reluctance)> = match keeps {
        [keep] => match (Fetch { store, keep }).run() {
            Err(Failed::Declined(reason)) => vec![((keep.id, keep.view), reason)],
            Ok(()) | Err(Failed::Stopped) => Vec::new(),
        },
        several => together::bring(store, several),
    };
    declined.into_iter().for_each(|(content, reason)| store.declined(content, reason));
}

fn ended(store: &Arc<Store>, contents: &[Content]) {
    contents.iter().for_each(|content| drop(lock(&store.fetches).remove(content)));
    lock(&store.agenda).ended(contents);
    start_next(store);
}

/// Others may have by now what is being fetched.
pub(super) fn more_sources(store: &Store, keep: &Keep) {
    if let Some(transfer) = store.fetch_of((keep.id, keep.view)) {
        transfer.set_background(!keep.urgent);
        suggest(store, &transfer, keep);
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
        if !hashes::learn(store, self.keep, view, &ids, &mut lot) {
            return Err(Failed::Declined(Reluctance::NoSource));
        }
        looks::learn(store, self.keep, &lot, &wanted);
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
        let landing = Slots::new(store, &grant, ids);
        let inlets = vec![store.means.inlet.clone()];
        let mut transfer = Transfer::new(self.keep.id, view, name, landing, (had, wanted), limits, inlets);
        transfer.sources.slow_down(store.repairs.clone());
        let transfer = Arc::new(transfer);
        transfer.set_background(!self.keep.urgent);
        lock(&store.fetches).insert((self.keep.id, view), transfer.clone());
        suggest(store, &transfer, self.keep);
        let mut decoding = if kind == Kind::Listing { None } else { self.decoder(&transfer) };
        let end = drive(store, &transfer, decoding.as_ref());
        if let Some(decoding) = &mut decoding {
            decoding.wait();
        }
        grant.end(); // those who are served from it may have the transfer for long
        store.changed(store.vault.commit()?);
        outcome(store, end)
    }

    /// Who decodes what nobody has, if it is a part of a code.
    fn decoder(&self, transfer: &Arc<Transfer>) -> Option<Decoding> {
        let (code, means) = (self.keep.code?, self.store.means.clone());
        let folder = means.state.clone().unwrap_or_else(std::env::temp_dir);
        let inlets = vec![means.inlet.clone()];
        let slow = (!self.keep.urgent).then(|| self.store.repairs.clone());
        let (transfer, size) = (transfer.clone(), self.keep.size);
        Decoder { means, transfer, size, code, folder, inlets, slow }.start()
    }
}
