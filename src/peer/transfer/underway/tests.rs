//! Ends of transfers, and what still comes then.

use super::*;
use crate::api::TransferState;
use crate::content::{Geometry, Run};
use crate::net::wake::Wake;
use crate::peer::disk::{Manner, Plan};
use crate::peer::transfer::link::Who;

/// One of a content of one byte, into this folder.
pub(in crate::peer) fn transfer(folder: &std::path::Path) -> Transfer {
    let id = FileId::of(b"x");
    let plan = Plan::file(id, Geometry::of(1).unwrap(), "x").unwrap();
    let manner = Manner { force: false, noted: false, own: false, delete: false, told: false, fsync: false };
    let (disk, had) = Disk::open(plan, id, &folder.join("state").join("x"), folder, manner).unwrap();
    let chunks = (had, ChunkSet::full(1));
    Transfer::new(id, View::Bytes, SafeName::new("x").unwrap(), disk, chunks, &Limits::default(), Vec::new())
}

fn join(transfer: &Transfer) -> SourceId {
    join_with(transfer, ChunkSet::full(1))
}

/// A source that has these chunks.
fn join_with(transfer: &Transfer, have: ChunkSet) -> SourceId {
    let who = Who { peer: PeerId([1; 16]), name: String::new(), addr: String::new() };
    let link = SourceLink::new(transfer.sources.number(), who, Arc::new(Wake::new().unwrap()), true);
    let link = Arc::new(link);
    let opened = Opened { have, load: None, round_trip: Duration::ZERO, one: true };
    transfer.join(link.clone(), opened);
    link.id
}

fn fetch(transfer: &Transfer, source: SourceId) {
    let proof = Proof { first: 0, hashes: Vec::new(), path: Vec::new() };
    let place = transfer.layout.place(Chunk(0)).unwrap();
    let mut arriving = transfer.intake.begin(Chunk(0), place, proof, source);
    assert!(arriving.take(b"x").unwrap());
    arriving.end(b"x").unwrap();
    transfer.kept(Chunk(0), source);
}

#[test]
fn the_last_chunk_ends_it_and_who_follows_hears_of_that_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let transfer = transfer(folder.path());
    let follower = Arc::new(Follower::new(Arc::new(Wake::new().unwrap())));
    transfer.subscribe(&follower, 3);
    let source = join(&transfer);
    assert!(transfer.end().is_none() && !transfer.is_over() && transfer.is_servable());
    fetch(&transfer, source);
    assert!(matches!(transfer.end(), Some(End::Done)));
    assert!(transfer.is_over() && transfer.has(Chunk(0)) && transfer.is_servable());
    assert_eq!(follower.take(Instant::now()), [(3, vec![Run::new(Chunk(0), 1)])]);
    assert_eq!(std::fs::read(folder.path().join("x")).unwrap(), b"x");
    transfer.finish(End::Cancelled);
    assert!(matches!(transfer.end(), Some(End::Done)), "it ends once");
    assert!(matches!(transfer.wait_news(Duration::from_secs(60)), Some(End::Done)));
    transfer.spoil();
    assert!(!transfer.is_servable());
}

#[test]
fn what_was_cancelled_is_not_served_and_leaves_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let transfer = transfer(folder.path());
    let source = join(&transfer);
    transfer.finish(End::Cancelled);
    assert!(matches!(transfer.end(), Some(End::Cancelled)) && !transfer.is_servable());
    assert!(folder.path().join("state").join("x").exists());
    assert_eq!(transfer.leave(source, PeerId([1; 16])), Trust::Kept);
    assert_eq!(transfer.status().state, TransferState::Cancelled);
    assert_eq!(transfer.status().sources.len(), 1);
}

#[test]
fn what_was_decoded_counts_only_if_it_is_what_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let transfer = transfer(folder.path());
    let place = transfer.layout.place(Chunk(0)).unwrap();
    let supplied = |data: &[u8]| transfer.supply(Chunk(0), place, Proof::default(), data);
    assert!(!supplied(b"y"));
    assert!(!transfer.has(Chunk(0)) && !transfer.is_over());
    assert_eq!(transfer.ledger.view().useful, 0);
    assert!(supplied(b"x"));
    assert!(matches!(transfer.end(), Some(End::Done)));
    assert_eq!(std::fs::read(folder.path().join("x")).unwrap(), b"x");
    assert!(supplied(b"x"), "it is here already");
    assert_eq!(transfer.ledger.view().useful, 1);
}

#[test]
fn what_sources_lack_is_asked_of_sources_alone() {
    let folder = tempfile::tempdir().unwrap();
    let transfer = transfer(folder.path());
    let (none, all) = (ChunkSet::empty(1), ChunkSet::full(1));
    assert_eq!(
        (transfer.lacks_all(), transfer.lacks_of_sources()),
        (all.clone(), none.clone()),
        "nobody is there"
    );
    let poor = join_with(&transfer, none.clone());
    assert_eq!(transfer.lacks_of_sources(), all);
    let rich = join(&transfer);
    assert_eq!((transfer.lacks_all(), transfer.lacks_of_sources()), (all.clone(), none.clone()));
    transfer.leave(rich, PeerId([1; 16]));
    assert_eq!(transfer.lacks_of_sources(), all);
    let rich = join(&transfer);
    fetch(&transfer, rich);
    assert_eq!((transfer.lacks_all(), transfer.lacks_of_sources()), (none.clone(), none));
    transfer.leave(poor, PeerId([1; 16]));
}

#[test]
fn what_a_peer_announced_and_has_not_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let transfer = transfer(folder.path());
    let peer = PeerId([1; 16]);
    transfer.lacks(peer, Chunk(0));
    assert_eq!(transfer.take_missing(), [(peer, Chunk(0))]);
    assert_eq!(transfer.take_missing(), []);
}
