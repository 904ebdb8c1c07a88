//! What becomes of a content once it is fetched: it belongs to the share if it lies in the shared folder, else
//! it is lent for as long as this process lives, else to nobody.
//!
//! Whoever has it, it is served only while its files look as they did when they got their names.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::Course;
use crate::content::SafeName;
use crate::peer::disk::Disk;
use crate::peer::share::{Adopted, Expected, Share};
use crate::peer::transfer::Transfer;

/// How long the share may take to find a fetched folder as it should be. It is served by the transfer until
/// then; a folder with other files in it never becomes the one that was fetched.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether the share has it.
const HAND_OVER_LOOK: Duration = Duration::from_millis(50);
/// How often it is looked whether what is lent is still what was fetched, if the look itself is quick.
const LEND_LOOK: Duration = Duration::from_secs(2);
/// Such looks take at most this part of the time.
const LEND_SHARE: u32 = 50;

/// Sees to what a job fetched until somebody else does, or nobody can.
pub(super) fn after(
    share: Option<&Arc<Share>>,
    job: &Course,
    transfer: &Transfer,
    expected: Option<Expected>,
) {
    match share.filter(|share| is_shared(share, job)) {
        Some(share) => {
            let end = Instant::now() + HAND_OVER_PATIENCE;
            let ours = adopt(share, job, transfer);
            drop(expected);
            let tree = job.want.name.is_tree();
            let offered =
                || share.offers_of(transfer.id).iter().any(|offer| offer.name.ends_with('/') == tree);
            while ours && job.want.is_whole() && !offered() && Instant::now() < end {
                if transfer.is_spoilt() || !job.pause(HAND_OVER_LOOK) {
                    break;
                }
            }
        }
        None => lend(job, transfer),
    }
}

/// Serves what was fetched until this process ends, or until a file of it is not what it was.
fn lend(job: &Course, transfer: &Transfer) {
    let mut pause = LEND_LOOK;
    while job.pause(pause) {
        let look = Instant::now();
        if transfer.is_spoilt() || !transfer.disk().is_some_and(Disk::is_as_named) {
            let name = &job.want.name;
            tracing::warn!("{name} is not what was fetched any more; it is no longer shared");
            transfer.spoil();
            return;
        }
        pause = LEND_LOOK.max(look.elapsed() * LEND_SHARE);
    }
}

/// The shared folder is told that this fetch fills a part of it.
pub(super) fn expect(share: &Arc<Share>, job: &Course) -> Option<Expected> {
    let place = place_in(share, job)?;
    Some(share.expect(place.path()))
}

/// True if it goes into the shared folder.
pub(super) fn is_shared(share: &Share, job: &Course) -> bool {
    place_in(share, job).is_some()
}

/// Where the content goes, below the shared folder, if it does.
fn place_in(share: &Share, job: &Course) -> Option<SafeName> {
    let dest = std::path::absolute(&job.dest.path).ok()?;
    let named = || Some(fs::canonicalize(dest.parent()?).ok()?.join(dest.file_name()?));
    // A link to a folder is filled, a link to a file replaced.
    let folder = fs::canonicalize(&dest).ok().filter(|_| job.want.makes_folder());
    let place = folder.or_else(named)?;
    SafeName::new(place.strip_prefix(share.root()).ok()?.to_str()?).ok()
}

/// Enters the finished files into the share; false if they do not lie in the shared folder.
fn adopt(share: &Share, job: &Course, transfer: &Transfer) -> bool {
    let Some(place) = place_in(share, job) else { return false };
    let folder = match job.want.makes_folder() {
        true => place.path(),
        false => place.path().rsplit_once('/').map_or("", |(folder, _)| folder),
    };
    let below = |name: &str| match folder.is_empty() {
        true => SafeName::new(name),
        false => SafeName::new(format!("{folder}/{name}")),
    };
    let Some(disk) = transfer.disk() else { return false };
    let files = disk.finished_files().filter_map(|(name, id, hashes, stamp)| {
        Some(Adopted { path: below(&name).ok()?, id, hashes, stamp })
    });
    let folders = disk.plan().folders.iter().filter_map(|(folder, _)| below(folder).ok());
    share.adopt(folder, files.collect(), &folders.collect::<Vec<_>>(), disk.noted());
    true
}
