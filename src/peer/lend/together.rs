//! Brings several small contents at once: by one transfer, with one connection to each source, on which each content has
//! a slot of its own. So a hundred thousand of them are not as many dials, threads and waits.

use std::sync::Arc;

use super::agenda::Content;
use super::drive::{Failed, drive, outcome, suggest};
use super::landing::{Several, Slots};
use super::looks;
use super::store::Store;
use super::vault::{Grant, Kind, Lot};
use crate::content::{Chunk, ChunkSet, SafeName};
use crate::peer::transfer::Transfer;
use crate::wire::{Keep, Reluctance, View};

/// Brings files of one chunk each; which of them are not kept, and why.
pub(super) fn bring(store: &Arc<Store>, keeps: &[Keep]) -> Vec<(Content, Reluctance)> {
    let (mut declined, mut coming) = (Vec::new(), Vec::new());
    for keep in keeps {
        match reserve(store, keep) {
            // What is here is so for another's sake, too, from the next commit on.
            Ok(grant) if grant.had().is_full() => {}
            Ok(grant) => coming.push((keep, grant)),
            Err(failed) => declined.extend(declines(keep, failed)),
        }
    }
    let mut missing = coming;
    let failed = match fetch(store, &mut missing) {
        Ok(()) => return declined,
        Err(Failed::Stopped) => return declined,
        Err(Failed::Declined(reason)) => reason,
    };
    declined.extend(missing.into_iter().map(|(keep, _)| ((keep.id, keep.view), failed)));
    declined
}

fn declines(keep: &Keep, failed: Failed) -> Option<(Content, Reluctance)> {
    match failed {
        Failed::Declined(reason) => Some(((keep.id, keep.view), reason)),
        Failed::Stopped => None,
    }
}

fn reserve(store: &Store, keep: &Keep) -> Result<Arc<Grant>, Failed> {
    let lot = Lot::new(keep.id, Kind::Bytes, vec![(keep.id, keep.size)], Vec::new())?;
    let wanted = ChunkSet::full(1);
    looks::learn(store, keep, &lot, &wanted);
    Ok(Arc::new(store.vault.reserve(lot, &wanted)?))
}

/// Fetches into these slots; what came is on the disk, and reported, when this returns, and what did not is left.
fn fetch(store: &Arc<Store>, coming: &mut Vec<(&Keep, Arc<Grant>)>) -> Result<(), Failed> {
    let Some((first, _)) = coming.first() else {
        store.changed(store.vault.commit()?);
        return Ok(());
    };
    let broken = || Failed::Declined(Reluctance::Damaged);
    let (id, name) = (first.id, SafeName::new(first.id.to_string()).map_err(|_| broken())?);
    let slots = coming.iter().map(|(keep, grant)| Slots::new(store, grant, vec![keep.id]));
    let landing = Several::new(slots.collect()).ok_or_else(broken)?;
    let count = coming.len() as u32;
    let wanted = (ChunkSet::empty(count), ChunkSet::full(count));
    let (limits, inlets) = (&store.means.limits, vec![store.means.inlet.clone()]);
    let mut transfer = Transfer::new(id, View::Bytes, name, landing, wanted, limits, inlets);
    transfer.comes_apart();
    transfer.sources.slow_down(store.repairs.clone());
    let transfer = Arc::new(transfer);
    transfer.set_background(true);
    coming.iter().for_each(|(keep, _)| suggest(store, &transfer, keep));
    let end = drive(store, &transfer, None);
    coming.iter().for_each(|(_, grant)| grant.end());
    store.changed(store.vault.commit()?);
    let mut number = 0;
    coming.retain(|_| {
        number += 1;
        !transfer.has(Chunk(number - 1))
    });
    outcome(store, end)
}
