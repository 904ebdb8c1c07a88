//! What decoded chunks must be: the chunk hashes of their files, which holders tell and the files' ids prove.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::side::{Of, is_of};
use crate::content::{Manifest, PeerId};
use crate::net::NetError;
use crate::peer::job::means::Means;
use crate::peer::transfer::manifest::{Hashes, Holder, Listed};
use crate::swarm::errands::holders_wanted;
use crate::wire::{List, Locate, Name, Purpose};

/// Trackers have so long to say who has it.
const PATIENCE: Duration = Duration::from_secs(3);

/// All chunk hashes of these files of a content, by their places, as its holders tell them; of each that somebody knows.
pub(super) fn learn(means: &Arc<Means>, of: &Of, files: &[usize]) -> BTreeMap<usize, Manifest> {
    let mut known = BTreeMap::new();
    let listed = |file: &usize| Listed { file: *file, id: of.ids[*file], geometry: of.layout.files()[*file] };
    let mut missing: Vec<Hashes> = files.iter().map(listed).map(Hashes::new).collect();
    for (peer, addresses) in holders(means, of) {
        if missing.is_empty() {
            break;
        }
        if let Err(error) = ask(means, (peer, &addresses), of, &mut missing) {
            tracing::debug!("peer {peer} does not say what the chunks of {} are: {error}", of.id);
        }
        missing.retain(|hashes| match hashes.manifest() {
            Some(manifest) => known.insert(hashes.listed.file, manifest).is_some(),
            None => true,
        });
    }
    known
}

fn ask(means: &Means, at: (PeerId, &[SocketAddr]), of: &Of, files: &mut [Hashes]) -> Result<(), NetError> {
    let mut holder = Holder::open(&means.identity, at, (of.id, of.view))?;
    let told = holder.tell_all(files);
    holder.leave();
    told
}

/// Who has some of it, as all trackers say that answer in time.
fn holders(means: &Means, of: &Of) -> Vec<(PeerId, Vec<SocketAddr>)> {
    let (name, purpose) = (Name::default(), Purpose::Fetch);
    let max = holders_wanted(means.limits.max_neighbours) as u16;
    let question = Locate { name, id: of.id, purpose, max, missing: List::default() };
    let (answers, until) = (means.trackers().locate(&question), Instant::now() + PATIENCE);
    let mut all: Vec<(PeerId, Vec<SocketAddr>)> = Vec::new();
    while let Ok(located) = answers.recv_deadline(until) {
        for variant in located.variants.into_vec().iter().filter(|one| is_of(one, of)) {
            for holder in means.others(variant) {
                let addresses = holder.addresses.iter().map(|address| address.socket()).collect();
                if all.iter().all(|(peer, _)| *peer != holder.peer) {
                    all.push((holder.peer, addresses));
                }
            }
        }
        if !all.is_empty() {
            break;
        }
    }
    all
}
