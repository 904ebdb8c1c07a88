//! Ends of transfers, and what still comes then.

use super::*;
use crate::content::{Geometry, Run};
use crate::net::wake::Wake;
use crate::peer::disk::{Manner, Plan};
use crate::peer::transfer::link::Who;

fn transfer(folder: &std::path::Path) -> Transfer {
    let id = FileId::of(b"x");
    let plan = Plan::file(id, Geometry::of(1).unwrap(), "x").unwrap();
    let manner = Manner { force: false, noted: false, own: false, delete: false, told: false, fsync: false };
    let (disk, had) = Disk::open(plan, id, &folder.join("state").join("x"), folder, manner).unwrap();
    let chunks = (had, ChunkSet::full(1));
    Transfer::new(id, View::Bytes, SafeName::new("x").unwrap(), disk, chunks, &Limits::default(), Vec::new())
}

fn join(transfer: &Transfer) -> SourceId {
    let who = Who { peer: PeerId([1; 16]), name: String::new(), addr: String::new() };
    let link = SourceLink::new(transfer.sources.number(), who, Arc::new(Wake::new().unwrap()), true);
    let link = Arc::new(link);
    let opened = Opened { have: ChunkSet::full(1), load: None, round_trip: Duration::ZERO, one: true };
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
