//! The records of a closed swarm's tracker, by which everybody knows it.

use std::fs;

use crate::text;
use crate::user::User;

#[test]
fn a_tracker_without_its_records_is_not_taken_for_the_one_that_has_them() {
    let owner = User::new();
    let addr = owner.tracker().addr().to_string();
    let (records, away) = (owner.home.path().join("p2p/tracker"), owner.home.path().join("away"));
    fs::rename(&records, &away).unwrap();
    let keys = owner.keys();
    let refused = owner.run(&["tracker", "--listen", &addr, "--swarm", text(&keys)]).expect(1).stderr;
    assert!(refused.contains("put that folder back") && refused.contains(text(&records)), "{refused}");
    let _ = fs::remove_dir_all(&records);
    fs::rename(&away, &records).unwrap();
    let _tracker = owner.tracker_at(&addr);
    owner.run(&["members"]).expect(0);
}
