//! Ends of transfers, and what still comes then.

use super::*;
use crate::content::Geometry;
use crate::net::bulk::Wake;
use crate::peer::disk::{Manner, Plan};

#[test]
fn a_source_that_comes_when_all_is_over_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let id = FileId::of(b"x");
    let plan = Plan::file(id, Geometry::of(1).unwrap(), "x").unwrap();
    let state = folder.path().join("state");
    let manner = Manner { force: false, noted: false, own: false, delete: false, told: false, fsync: false };
    let (disk, had) = Disk::open(plan, id, &state.join("x"), folder.path(), manner).unwrap();
    let name = SafeName::new("x").unwrap();
    let transfer = Transfer::new(id, View::Bytes, name, disk, had, &crate::peer::Limits::default());
    let link = |id| {
        let wake = Arc::new(Wake::new().unwrap());
        let link = SourceLink::new(id, PeerId([1; 16]), String::new(), String::new(), wake, true);
        let link = Arc::new(link);
        transfer.join(link.clone(), ChunkSet::full(1), Duration::ZERO, None);
        link
    };
    let before = link(transfer.new_source());
    transfer.finish(End::Cancelled);
    let after = link(transfer.new_source());
    for link in [before, after] {
        assert!(link.take_orders().contains(&Order::Close));
    }
}
