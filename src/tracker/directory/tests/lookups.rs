//! What is known of one name, content or peer.

use super::*;
use crate::wire::{Label, List};

#[test]
fn a_name_and_a_content_are_known_while_somebody_has_them() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[offer("f", 1, 2, true)], now);
    join(&mut directory, peer(2), &[offer("f", 1, 2, false), offer("g", 2, 1, true)], now);
    let has = |directory: &Directory, name, content| directory.has_name(name, &FileId([content; 32]));
    let named = [("f", 1), ("f", 2), ("g", 2), ("e", 1)].map(|(name, id)| has(&directory, name, id));
    assert_eq!(named, [true, false, true, false]);
    let claim = offer("f", 1, 2, true).claim();
    assert_eq!(directory.counts(&FileId([1; 32]), &claim), (1, 1));
    assert_eq!(directory.counts(&FileId([1; 32]), &Claim { total: 1, ..claim }), (0, 0), "another claim");
    assert_eq!(directory.counts(&FileId([2; 32]), &claim), (0, 0));
    directory.leave(peer(1));
    while directory.sweep(9) {}
    assert_eq!(directory.counts(&FileId([1; 32]), &claim), (0, 1));
    directory.leave(peer(2));
    while directory.sweep(9) {}
    assert!(!has(&directory, "f", 1) && !has(&directory, "g", 2));
}

#[test]
fn of_a_peer_is_known_where_it_is_and_on_which_connection() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[], now);
    directory.heartbeat(peer(1), Load { uploads: 3, downloads: 4, space: 5 }, now).unwrap();
    let other = Sender { connection: 9, ..peer(1) };
    let registered = [peer(1), other, peer(2)].map(|sender| directory.is_registered(sender));
    assert_eq!(registered, [true, false, false]);
    let from = Origin::from(IpAddr::from([10, 0, 0, 1]));
    assert_eq!((directory.origin(peer(1).peer), directory.origin(peer(2).peer)), (Some(from), None));
    let keeper = Holder {
        peer: peer(1).peer,
        name: Label::new("p1"),
        addresses: List::new(vec![Address::new([10, 0, 0, 1].into(), 7).unwrap()]),
        have: 5,
        uploads: 3,
        downloads: 4,
        original: false,
    };
    assert_eq!(directory.keeper(peer(1).peer, 5, Origin::default()), Some(keeper));
    assert_eq!(directory.keeper(peer(2).peer, 5, Origin::default()), None);
    assert_eq!(directory.lease(), LEASE);
}
