//! Lending space to others: what a store keeps, and how it comes to it.
//!
//! A store asks its trackers what it is to keep (`duties`), fetches that (`agenda`, `fetch`, small contents `together`, a
//! transfer by `drive`; `hashes`: but what a version has in common with what is here, `looks`: of what is here all the same
//! its mode and time) into its `vault`, and tells them what is safe there (`report`): all of it when they meet, then what
//! changes. What is there is read again (`scrub`). `link` is one tracker, `store` what all of this shares.

mod agenda;
mod drive;
mod duties;
mod fetch;
mod hashes;
mod landing;
mod link;
mod listing;
mod looks;
mod remember;
mod report;
mod scrub;
mod serving;
mod store;
mod together;
pub mod vault;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::config::Lending;
use super::job::Means;
use super::trackers::Line;
use crate::net::wake::Wake;
use crate::threads;
use duties::Asker;
use report::Reporter;
pub(super) use serving::{Found, Kept};
pub(super) use store::Store;
use vault::{Vault, VaultError};

/// How often it is looked whether the peer stops.
const LOOK: Duration = Duration::from_millis(200);
/// Between two tries to put on the disk what could not be.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens the vault of a peer in its state folder.
pub(super) fn open(state: &Path, lending: &Lending, means: &Arc<Means>) -> Result<Arc<Store>, VaultError> {
    let vault = Vault::open(&state.join("vault"), lending.bytes)?;
    Ok(Arc::new(Store::new(vault, means, lending)))
}

/// Starts the threads of a store.
pub(super) fn start(store: &Arc<Store>) -> io::Result<Vec<JoinHandle<()>>> {
    let committing = store.clone();
    let mut threads = vec![threads::named("lend-commit").essential(move || commit(&committing))?];
    let (scrubbing, period) = (store.clone(), store.scrub);
    let scrub = move || scrub::Scrubber::new(&scrubbing, period).run();
    threads.push(threads::named("lend-scrub").essential(scrub)?);
    let attending = Arc::downgrade(store);
    store.means.holdings.trackers.follow(move |line| match attending.upgrade() {
        Some(store) => attend(&store, line),
        None => Ok(()),
    })?;
    Ok(threads)
}

/// Reports to a tracker and asks it for duties, until the peer stops or the tracker is not one of its any more.
fn attend(store: &Arc<Store>, line: Line) -> io::Result<()> {
    let (link, stop) = (store.attend(line), &store.means.stop);
    let (reporter, present) = (Reporter { store: store.clone(), link: link.clone() }, stop.enter());
    let reporting = move || {
        let _present = present;
        reporter.run();
    };
    drop(threads::named("lend-report").essential(reporting)?);
    let wake = Arc::new(Wake::new()?);
    stop.wakes(&wake);
    let (asker, present) = (Asker { store: store.clone(), link, wake }, stop.enter());
    // It may hang in a name or a dial, so it is not waited for longer than others of that kind.
    let asking = move || {
        let _present = present;
        asker.run();
    };
    threads::named("lend-duties").essential(asking).map(drop)
}

/// Puts on the disk what was fetched, and has it told of, until the peer stops.
fn commit(store: &Store) {
    let stop = &store.means.stop;
    while !stop.is_stopping() {
        if !store.vault.wait_due(LOOK) {
            continue;
        }
        match store.vault.commit() {
            Ok(kept) => store.changed(kept),
            Err(error) => {
                tracing::warn!("what is to be kept is not on the disk: {error}");
                let _ = stop.stopped().recv_timeout(PAUSE);
            }
        }
    }
}
