//! What decoded chunks must be: the chunk hashes of their file, which holders tell and the file's id proves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::content::{ChunkHash, FileId, Geometry, Manifest, PeerId};
use crate::net::NetError;
use crate::peer::job::means::Means;
use crate::peer::transfer::manifest::{Hashes, Holder, Listed};
use crate::swarm::errands::holders_wanted;
use crate::wire::{List, Locate, Name, Purpose, View};

/// Trackers have so long to say who has it.
const PATIENCE: Duration = Duration::from_secs(3);

/// All chunk hashes of a file, as one of its holders tells them; `None` if nobody does.
pub(super) fn learn(means: &Arc<Means>, id: FileId, geometry: Geometry) -> Option<Manifest> {
    if geometry.chunks() == 1 {
        return Manifest::new(geometry, vec![ChunkHash(id.0)]).ok().map(|(manifest, _)| manifest);
    }
    let mut hashes = Hashes::new(Listed { file: 0, id, geometry });
    for (peer, addresses) in holders(means, id, geometry.size()) {
        match ask(means, (peer, &addresses), id, &mut hashes) {
            Ok(()) => {}
            Err(error) => tracing::debug!("peer {peer} does not say what the chunks of {id} are: {error}"),
        }
        if let Some(manifest) = hashes.manifest() {
            return Some(manifest);
        }
    }
    None
}

fn ask(means: &Means, at: (PeerId, &[SocketAddr]), id: FileId, hashes: &mut Hashes) -> Result<(), NetError> {
    let mut holder = Holder::open(&means.identity, at, (id, View::Bytes))?;
    let told = holder.tell(hashes);
    holder.leave();
    told
}

/// Who has some of it, as all trackers say that answer in time.
fn holders(means: &Means, id: FileId, size: u64) -> Vec<(PeerId, Vec<SocketAddr>)> {
    let (name, purpose) = (Name::default(), Purpose::Fetch);
    let max = holders_wanted(means.limits.max_neighbours) as u16;
    let question = Locate { name, id, purpose, max, missing: List::default() };
    let (answers, until) = (means.trackers().locate(&question), Instant::now() + PATIENCE);
    let mut all: Vec<(PeerId, Vec<SocketAddr>)> = Vec::new();
    while let Ok(located) = answers.recv_deadline(until) {
        for variant in located.variants.into_vec().iter().filter(|one| one.size == size && one.id == id) {
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
