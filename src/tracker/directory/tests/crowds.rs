//! What an answer has room for when there is too much: everybody has a fair chance.

use std::collections::BTreeMap;

use super::*;
use crate::wire::limits::MAX_VARIANTS;

const ID: FileId = FileId([7; 32]);

fn claim(directory: &mut Directory, number: u8, from: u8, chunks: u32, now: Instant) {
    let size = u64::from(chunks) << 16;
    let offer = Offer { id: ID, size, total: size, chunks, ..offer("f", 7, 1, true) };
    let profile = at(IpAddr::from([10, 0, 0, from]));
    directory.register(peer(number), profile, now).unwrap();
    directory.update(peer(number), &[], &[offer], now).unwrap();
}

/// A true size, of one chunk, and two claims of each of a hundred false ones.
fn crowded(true_ones: &[(u8, u8)], now: Instant) -> Directory {
    let mut directory = directory(now);
    true_ones.iter().for_each(|(number, from)| claim(&mut directory, *number, *from, 1, now));
    (0..200).for_each(|number| claim(&mut directory, number, 2, 2 + u32::from(number) / 2, now));
    directory
}

fn finds_the_true_one(directory: &mut Directory, now: Instant) -> bool {
    let wanted = Wanted::Id(ID);
    let query = Query {
        wanted,
        purpose: Purpose::Inspect,
        max: 0,
        missing: None,
        asker: PeerId([0; 16]),
        from: Origin::default(),
    };
    let found = directory.locate(&query, now);
    assert_eq!(found.len(), MAX_VARIANTS);
    found.iter().any(|variant| variant.chunks == 1)
}

#[test]
fn claims_of_one_address_crowd_out_their_own_kind_alone() {
    let now = Instant::now();
    // Of those who make the false claims, one has joined the true one.
    let mut directory = crowded(&[(250, 1), (251, 2)], now);
    assert!((0..50).all(|_| finds_the_true_one(&mut directory, now)));
}

#[test]
fn contents_of_one_peer_crowd_out_no_other_peers_of_its_address() {
    let now = Instant::now();
    let mut directory = directory(now);
    let own: Vec<Offer> = (1..=200).map(|content| offer("f", content, 1, true)).collect();
    for (number, offers) in [(1, &own[..]), (2, &[offer("f", 201, 1, true)])] {
        directory.register(peer(number), at([10, 0, 0, 9]), now).unwrap();
        directory.update(peer(number), &[], offers, now).unwrap();
    }
    for _ in 0..50 {
        let found = locate(&mut directory, Wanted::Name("f"), now);
        assert_eq!(found.len(), MAX_VARIANTS);
        assert!(found.iter().any(|variant| variant.id == FileId([201; 32])));
    }
}

#[test]
fn who_asks_again_sees_others_of_a_crowd_at_one_address() {
    let now = Instant::now();
    let mut directory = crowded(&[(250, 2)], now);
    let found = (0..100).filter(|_| finds_the_true_one(&mut directory, now)).count();
    assert!((20..80).contains(&found), "{found} of 100");
}

const FEW: usize = 16;

/// Peers 1 to `seeders` and then as many leechers as `leechers`, each from an address of its own.
fn swarm(seeders: u8, leechers: u8, now: Instant) -> Directory {
    let mut directory = directory(now);
    for number in 1..=seeders + leechers {
        join(&mut directory, peer(number), &[offer("f", 1, 9, number <= seeders)], now);
    }
    directory
}

/// How often each peer is named in so many answers.
fn named(directory: &mut Directory, purpose: Purpose, times: usize, now: Instant) -> BTreeMap<PeerId, usize> {
    let mut named = BTreeMap::new();
    let (wanted, asker) = (Wanted::Name("f"), PeerId([0; 16]));
    for _ in 0..times {
        let query = Query { wanted, purpose, max: FEW, missing: None, asker, from: Origin::default() };
        let variants = directory.locate(&query, now);
        assert_eq!(variants[0].holders.len(), FEW);
        variants[0].holders.iter().for_each(|holder| *named.entry(holder.peer).or_default() += 1);
    }
    named
}

#[test]
fn every_one_of_many_holders_has_a_fair_chance_to_be_named() {
    let now = Instant::now();
    for purpose in [Purpose::Inspect, Purpose::Fetch] {
        for (seeders, leechers) in [(151, 0), (0, 151)] {
            let mut directory = swarm(seeders, leechers, now);
            let times = named(&mut directory, purpose, 1000, now);
            assert_eq!(times.len(), 151, "{purpose:?}");
            assert!(times.values().all(|times| (60..160).contains(times)), "106 each: {times:?}");
        }
    }
}

#[test]
fn a_question_for_all_holders_has_the_same_answer_each_time_while_there_is_room() {
    let now = Instant::now();
    let mut directory = swarm(9, 7, now);
    let holders = |directory: &mut Directory| locate(directory, Wanted::Name("f"), now)[0].holders.clone();
    let first = holders(&mut directory);
    assert!((0..50).all(|_| holders(&mut directory) == first));
    let order: Vec<PeerId> = first.iter().map(|holder| holder.peer).collect();
    assert_eq!(order, (1..=16).map(|number| peer(number).peer).collect::<Vec<_>>());
}

#[test]
fn many_holders_at_one_address_hide_no_other_in_what_is_shown() {
    let now = Instant::now();
    let mut directory = directory(now);
    for number in 0..150 {
        let profile = at([10, 0, 0, 1]);
        directory.register(peer(number), profile, now).unwrap();
        directory.update(peer(number), &[], &[offer("f", 1, 1, true)], now).unwrap();
    }
    join(&mut directory, peer(200), &[offer("f", 1, 1, true)], now);
    let times = named(&mut directory, Purpose::Inspect, 50, now);
    assert_eq!(times.get(&peer(200).peer), Some(&50));
    assert!(times.len() > 100, "and they hide not each other");
}

#[test]
fn who_is_in_doubt_is_left_out_first_and_originals_come_before_copies() {
    let now = Instant::now();
    let mut directory = swarm(20, 0, now);
    let copy = Offer { original: false, ..offer("f", 1, 9, true) };
    (30..60).for_each(|number| join(&mut directory, peer(number), std::slice::from_ref(&copy), now));
    for by in [1, 2] {
        directory.report(peer(by), peer(7).peer, Complaint::Dead, (FileId::NONE, Chunk(0)), now).unwrap();
    }
    let times = named(&mut directory, Purpose::Inspect, 200, now);
    let expected: Vec<PeerId> = (1..=20).filter(|n| *n != 7).map(|number| peer(number).peer).collect();
    assert_eq!(times.into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn of_more_claims_about_an_id_than_are_looked_at_others_are_seen_each_time() {
    let now = Instant::now();
    let mut directory = directory(now);
    for number in 0..1200_u32 {
        let sender = Sender { connection: number.into(), peer: PeerId(u128::from(number).to_be_bytes()) };
        let size = u64::from(number + 1) << 16;
        let offer = Offer { id: ID, size, total: size, chunks: number + 1, ..offer("f", 7, 1, true) };
        let from = IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
        directory.register(sender, at(from), now).unwrap();
        directory.update(sender, &[], &[offer], now).unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let found = locate(&mut directory, Wanted::Id(ID), now);
        assert_eq!(found.len(), MAX_VARIANTS);
        seen.extend(found.iter().map(|variant| variant.chunks));
    }
    assert_eq!(seen.len(), 1200);
}

#[test]
fn of_more_contents_of_a_name_than_are_looked_at_others_are_seen_each_time() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[], now);
    let of = |number: u16| {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        Offer { id: FileId(id), ..offer("f", 1, 1, true) }
    };
    let offers: Vec<Offer> = (1..=1500).map(of).collect();
    directory.update(peer(1), &[], &offers, now).unwrap();
    join(&mut directory, peer(2), &[offer("e", 1, 1, true), offer("g", 2, 1, true)], now);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let found = locate(&mut directory, Wanted::Name("f"), now);
        assert_eq!(found.len(), MAX_VARIANTS);
        assert!(found.iter().all(|variant| &*variant.name == "f"));
        seen.extend(found.iter().map(|variant| variant.id));
    }
    assert_eq!(seen.len(), 1500);
}

#[test]
fn however_many_contents_of_a_name_one_network_registers_those_of_others_are_seen() {
    let now = Instant::now();
    for honest_first in [true, false] {
        let mut directory = directory(now);
        let of = |number: u16| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            Offer { id: FileId(id), ..offer("f", 1, 1, true) }
        };
        let honest = of(3000);
        let register = |directory: &mut Directory, number: u8, network: u8, offers: &[Offer]| {
            let profile = at([10, 0, 0, network]);
            directory.register(peer(number), profile, now).unwrap();
            directory.update(peer(number), &[], offers, now).unwrap();
        };
        if honest_first {
            register(&mut directory, 1, 1, std::slice::from_ref(&honest));
        }
        // The honest one's is among them: whoever names it first does not hide it.
        register(&mut directory, 2, 2, &(1..=6000).map(of).collect::<Vec<_>>());
        if !honest_first {
            register(&mut directory, 1, 1, std::slice::from_ref(&honest));
        }
        for _ in 0..50 {
            let found = locate(&mut directory, Wanted::Name("f"), now);
            assert_eq!(found.len(), MAX_VARIANTS);
            assert!(found.iter().any(|variant| variant.id == honest.id), "{honest_first}");
        }
        for number in [1, 2] {
            directory.leave(peer(number));
            while directory.sweep(128) {}
        }
        assert!(directory.roll.is_empty() && !directory.roll.names().has_crowd());
    }
}
