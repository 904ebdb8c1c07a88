//! What may be said of contents, and what is refused.

use super::*;

#[test]
fn a_file_and_a_listing_of_one_id_are_two_contents() {
    let now = Instant::now();
    let mut directory = directory(now);
    let id = FileId([1; 32]);
    join(&mut directory, peer(1), &[offer("t/", 1, 1, true), offer("saved", 1, 1, true)], now);
    join(&mut directory, peer(2), &[Offer { chunks: 9, ..offer("t/", 1, 1, false) }], now);
    let other = Offer { total: 9 << 16, ..offer("t/", 1, 1, false) };
    join(&mut directory, peer(3), &[offer("saved", 1, 1, false), other], now);
    let holders = |directory: &mut Directory| {
        let mut found: Vec<_> = locate(directory, Wanted::Id(id), now)
            .iter()
            .map(|variant| (variant.name.to_string(), variant.total >> 16, variant.seeders, variant.leechers))
            .collect();
        found.sort();
        found
    };
    let found = holders(&mut directory);
    let row = |name: &str, total, seeders, leechers| (name.to_owned(), total, seeders, leechers);
    assert_eq!(found, [row("saved", 1, 1, 1), row("t/", 1, 0, 1), row("t/", 1, 1, 0), row("t/", 9, 0, 1)]);
    // Who has both as parts says of which it gained.
    directory.have(peer(2), (id, View::Members), &[Run::new(Chunk(8), 1)], now).unwrap();
    assert_eq!(
        directory.have(peer(2), (id, View::Bytes), &[Run::new(Chunk(0), 1)], now),
        Err(Denial::NotOffered(id))
    );
    directory.have(peer(3), (id, View::Members), &[Run::new(Chunk(0), 1)], now).unwrap();
    let found = holders(&mut directory);
    assert_eq!(found, [row("saved", 1, 1, 1), row("t/", 1, 0, 1), row("t/", 1, 1, 0), row("t/", 9, 1, 0)]);
}

#[test]
fn a_false_claim_spoils_nobody_elses_content() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[offer("f", 1, 5, true)], now);
    join(&mut directory, peer(2), &[offer("f", 1, 1, true)], now);
    assert_eq!(locate(&mut directory, Wanted::Name("f"), now).len(), 2);
    assert_eq!(locate(&mut directory, Wanted::Id(FileId([1; 32])), now).len(), 2);
    let many: Vec<Offer> = (1..9).map(|chunks| offer("f", 1, chunks, true)).collect();
    assert_eq!(directory.update(peer(2), &[], &many, now), Err(Denial::BadOffer("f".into())));
}

#[test]
fn wrong_requests_change_nothing() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[offer("f", 1, 4, false)], now);
    let good = offer("g", 2, 1, true);
    let bad_name = directory.update(peer(1), &[], &[good.clone(), offer("../x", 3, 1, true)], now);
    assert!(matches!(bad_name, Err(Denial::BadName(..))));
    let lie = Offer { chunks: 9, ..good.clone() };
    assert_eq!(directory.update(peer(1), &[], &[good, lie], now), Err(Denial::BadOffer("g".into())));
    assert_eq!(locate(&mut directory, Wanted::Name("g"), now), []);
    let id = FileId([1; 32]);
    for runs in [&[(4, 1)][..], &[(0, 5)], &[(u32::MAX, 2)], &[(0, 3), (0, 3)]] {
        let runs: Vec<Run> = runs.iter().map(|(first, count)| Run::new(Chunk(*first), *count)).collect();
        assert_eq!(directory.have(peer(1), (id, View::Bytes), &runs, now), Err(Denial::BadChunks));
    }
    assert_eq!(
        directory.have(peer(1), (FileId([9; 32]), View::Bytes), &[], now),
        Err(Denial::NotOffered(FileId([9; 32])))
    );
    assert_eq!(locate(&mut directory, Wanted::Name("f"), now)[0].holders[0].have, 0);
}

#[test]
fn bitmaps_stay_within_their_bounds() {
    let now = Instant::now();
    let bounds = Bounds { bitmap_bytes_per_peer: 16, ..Bounds::default() };
    let mut directory = Directory::new(LEASE, bounds, 1, now);
    let offers: Vec<Offer> = (1..=3).map(|content| offer(&content.to_string(), content, 64, false)).collect();
    join(&mut directory, peer(1), &offers, now);
    let mut have = |content| {
        directory.have(peer(1), (FileId([content; 32]), View::Bytes), &[Run::new(Chunk(0), 1)], now)
    };
    assert_eq!((have(1), have(2)), (Ok(()), Ok(())));
    assert!(matches!(have(3), Err(Denial::Full(_))));
    directory.have(peer(1), (FileId([1; 32]), View::Bytes), &[Run::new(Chunk(1), 63)], now).unwrap();
    assert_eq!(
        directory.have(peer(1), (FileId([3; 32]), View::Bytes), &[Run::new(Chunk(0), 1)], now),
        Ok(()),
        "a full one needs no bitmap"
    );
}

#[test]
fn there_are_no_more_registrations_than_there_may_be() {
    let now = Instant::now();
    let bounds = Bounds { registrations: 2, ..Bounds::default() };
    let mut directory = Directory::new(LEASE, bounds, 1, now);
    join(&mut directory, peer(1), &[offer("a", 1, 1, true)], now);
    let full = Err(Denial::Full("registrations"));
    let two = [offer("b", 2, 1, true), offer("c", 3, 1, true)];
    assert_eq!(directory.update(peer(1), &[], &two, now), full);
    assert_eq!(directory.update(peer(1), &[], &two[..1], now), Ok(()));
    let removed = [(Name::new("a"), FileId([1; 32]))];
    assert_eq!(directory.update(peer(1), &removed, &two[1..], now), full, "nor for a moment");
    assert_eq!(directory.status(now).registrations, 2, "and nothing was changed");
    assert_eq!(directory.update(peer(1), &removed, &[], now), Ok(()));
    assert_eq!(directory.update(peer(1), &[], &two[1..], now), Ok(()));
}

#[test]
fn a_peer_has_no_more_registrations_than_one_may_have() {
    let now = Instant::now();
    let bounds = Bounds { registrations_per_peer: 2, ..Bounds::default() };
    let mut directory = Directory::new(LEASE, bounds, 1, now);
    let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)].map(|(name, content)| offer(name, content, 1, true));
    join(&mut directory, peer(1), &[a.clone(), b.clone()], now);
    let full = Err(Denial::Full("contents of this peer"));
    assert_eq!(directory.update(peer(1), &[], std::slice::from_ref(&c), now), full);
    join(&mut directory, peer(2), &[], now);
    assert_eq!(directory.update(peer(2), &[], &[a, b, c.clone()], now), full, "all at once");
    assert_eq!(directory.update(peer(2), &[], &[c], now), Ok(()), "others have places of their own");
}

/// So many offers that are kept in 98 bytes each, different for each peer.
fn weights(number: u8, count: u8) -> Vec<Offer> {
    (0..count)
        .map(|nth| offer(&format!("{}{nth}", char::from(b'a' + number)), 1 + number * 10 + nth, 1, true))
        .collect()
}

#[test]
fn a_peer_and_a_network_have_their_shares_and_the_heaviest_network_pays_for_a_lighter_one() {
    let now = Instant::now();
    let bounds = Bounds { bytes: 80 * 98, ..Bounds::default() };
    let mut directory = Directory::new(LEASE, bounds, 1, now);
    let register = |directory: &mut Directory, number: u8, network: u8| {
        let profile = at([10, 0, 0, network]);
        directory.register(peer(number), profile, now).unwrap();
    };
    for number in 0..8 {
        register(&mut directory, number, number / 2);
        assert_eq!(directory.update(peer(number), &[], &weights(number, 10), now), Ok(()));
    }
    let one_more = [offer("z9", 200, 1, true)];
    let full = |of| Err(Denial::Full(of));
    assert_eq!(directory.update(peer(0), &[], &one_more, now), full("contents of this peer"));
    register(&mut directory, 8, 1);
    assert_eq!(directory.update(peer(8), &[], &one_more, now), full("contents of this network"));
    register(&mut directory, 9, 9);
    assert_eq!(directory.update(peer(9), &[], &one_more, now), Ok(()));
    let (peers, _) = directory.peers(PeerId([0; 16]), 99, Origin::default(), now);
    let gone: Vec<u8> = (1..10).filter(|n| !peers.iter().any(|info| info.peer == peer(*n).peer)).collect();
    assert_eq!(gone, [7], "one of those for whose network most is kept");
    assert!(!directory.sweep(99), "what it left is cleared away");
    assert_eq!(directory.update(peer(9), &[], &weights(9, 9), now), Ok(()), "there is room now");
    assert_eq!(directory.status(now).peers, 9);
}

#[test]
fn who_is_as_heavy_as_others_finds_no_room() {
    let now = Instant::now();
    let bounds = Bounds { registrations: 2, ..Bounds::default() };
    let mut directory = Directory::new(LEASE, bounds, 1, now);
    join(&mut directory, peer(1), &weights(1, 1), now);
    join(&mut directory, peer(2), &weights(2, 1), now);
    join(&mut directory, peer(3), &[], now);
    assert_eq!(directory.update(peer(3), &[], &weights(3, 1), now), Err(Denial::Full("registrations")));
    directory.leave(peer(1));
    assert_eq!(directory.update(peer(3), &[], &weights(3, 1), now), Ok(()), "before that was cleared away");
}

#[test]
fn bitmaps_of_all_peers_have_a_bound_too() {
    let now = Instant::now();
    let bounds = Bounds { bitmap_bytes: 16, ..Bounds::default() };
    let mut directory = Directory::new(LEASE, bounds, 1, now);
    for number in 1..=3 {
        join(&mut directory, peer(number), &[offer("f", 1, 64, false)], now);
    }
    let about = (FileId([1; 32]), View::Bytes);
    let mut have = |number| directory.have(peer(number), about, &[Run::new(Chunk(0), 1)], now);
    assert_eq!((have(1), have(2)), (Ok(()), Ok(())));
    assert!(matches!(have(3), Err(Denial::Full(_))));
    directory.leave(peer(1));
    assert!(!directory.sweep(9), "all of it was cleared away");
    assert_eq!(directory.have(peer(3), about, &[Run::new(Chunk(0), 1)], now), Ok(()));
}

#[test]
fn when_all_bitmaps_are_full_the_heaviest_network_pays_for_a_lighter_one() {
    let now = Instant::now();
    let bounds = Bounds { bitmap_bytes: 40, ..Bounds::default() };
    let mut directory = Directory::new(LEASE, bounds, 1, now);
    for (number, network, contents) in [(1, 1, 2), (2, 1, 1), (3, 2, 2), (4, 3, 2)] {
        let profile = at([10, 0, 0, network]);
        directory.register(peer(number), profile, now).unwrap();
        let offers: Vec<Offer> = (1..=contents).map(|nth| offer(&nth.to_string(), nth, 64, false)).collect();
        directory.update(peer(number), &[], &offers, now).unwrap();
    }
    let mut have = |number, content: u8| {
        directory.have(peer(number), (FileId([content; 32]), View::Bytes), &[Run::new(Chunk(0), 1)], now)
    };
    let all = [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2)];
    all.into_iter().for_each(|(number, content)| assert_eq!(have(number, content), Ok(())));
    assert_eq!(have(4, 1), Ok(()), "the first network has three of five");
    assert_eq!(have(1, 1), Err(Denial::NotRegistered), "the peer there that has most");
    assert_eq!(have(2, 1), Ok(()), "and no other");
    assert_eq!(have(4, 2), Ok(()), "it left room for two");
    assert_eq!(directory.status(now).peers, 3);
}

#[test]
fn names_are_moved_together_by_steps_and_found_meanwhile() {
    let now = Instant::now();
    let mut directory = directory(now);
    let long = |nth: usize| format!("{nth:06}{}", format!("/{}", "x".repeat(224)).repeat(4));
    let offers = |from: usize, to: usize| -> Vec<Offer> {
        (from..to).map(|nth| offer(&long(nth), 1 + (nth % 250) as u8, 1, true)).collect()
    };
    join(&mut directory, peer(1), &[], now);
    for start in (0..8000).step_by(1000) {
        directory.update(peer(1), &[], &offers(start, start + 1000), now).unwrap();
    }
    let is_found =
        |directory: &mut Directory, nth: usize| locate(directory, Wanted::Name(&long(nth)), now).len() == 1;
    for start in (0..6000).step_by(1000) {
        let gone: Vec<_> = offers(start, start + 1000).into_iter().map(|of| (of.name, of.id)).collect();
        directory.update(peer(1), &gone, &[], now).unwrap();
    }
    let (mut steps, mut next) = (0, 8000);
    while directory.sweep(128) {
        steps += 1;
        assert!([6000, 7000, 7999].into_iter().all(|nth| is_found(&mut directory, nth)), "step {steps}");
        // Names come and go meanwhile.
        directory.update(peer(1), &[], &offers(next, next + 1), now).unwrap();
        let gone = &offers(next - 1900, next - 1899)[0];
        directory.update(peer(1), &[(gone.name.clone(), gone.id)], &[], now).unwrap();
        next += 1;
    }
    assert!(steps > 9, "{steps} steps for 1.8 MB");
    assert!((6100 + steps..next).all(|nth| is_found(&mut directory, nth)));
    assert_eq!(directory.status(now).names, 2000);
}

#[test]
fn a_peer_may_claim_two_things_of_an_id_and_no_third_at_once_or_later() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[offer("f", 1, 1, true), offer("t/", 1, 2, true)], now);
    let third = offer("u/", 1, 3, true);
    let refused = Err(Denial::BadOffer("u/".into()));
    assert_eq!(directory.update(peer(1), &[], std::slice::from_ref(&third), now), refused);
    let known = [offer("g", 1, 1, true), offer("v/", 1, 2, true)];
    assert_eq!(directory.update(peer(1), &[], &known, now), Ok(()), "under other names");
    join(&mut directory, peer(2), &[third], now);
}

#[test]
fn what_a_peer_leaves_is_cleared_away_in_slices() {
    let now = Instant::now();
    let mut directory = directory(now);
    let offers: Vec<Offer> = (1..=5).map(|n| offer(&n.to_string(), n, 1, true)).collect();
    join(&mut directory, peer(1), &offers, now);
    directory.leave(peer(1));
    assert_eq!(directory.status(now).peers, 0);
    assert_eq!((directory.sweep(2), directory.status(now).registrations), (true, 3));
    assert_eq!((directory.sweep(3), directory.status(now).registrations), (true, 0));
    assert!(!directory.sweep(2), "the peer itself");
    assert!(directory.roll.is_empty());
}

#[test]
fn the_status_counts_what_there_is() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[offer("f", 1, 1, true), offer("g", 1, 1, true)], now);
    join(&mut directory, peer(2), &[offer("f", 1, 1, true)], now);
    locate(&mut directory, Wanted::Name("f"), now);
    let expected = Status {
        uptime_ms: 7,
        epoch: directory.epoch(),
        peers: 2,
        names: 2,
        registrations: 3,
        located: 1,
        settling_ms: 0,
        clock_ms: 0,
    };
    assert_eq!(directory.status(now + Duration::from_millis(7)), expected);
    let other = Directory::new(LEASE, Bounds::default(), 2, now);
    assert_ne!(other.epoch(), directory.epoch());
}
