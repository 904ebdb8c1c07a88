//! Whom LOCATE suggests for fetching.

use std::collections::BTreeMap;

use super::*;
use crate::content::{ChunkSet, Run};

#[test]
fn corrupt_peers_come_last_and_self_and_undialable_never() {
    let now = Instant::now();
    let mut directory = directory(now);
    (1..=3).for_each(|number| join(&mut directory, peer(number), &[offer("f", 1, 1, true)], now));
    directory.register(peer(4), Profile::default(), now).unwrap();
    directory.update(peer(4), &[], &[offer("f", 1, 1, true)], now).unwrap();
    directory.report(peer(3), peer(1).peer, Complaint::Corrupt, (FileId::NONE, Chunk(0)), now).unwrap();
    for _ in 0..20 {
        assert_eq!(fetch(&mut directory, peer(3), &[], now), [peer(2).peer, peer(1).peer]);
    }
}

#[test]
fn missing_chunks_choose_who_has_one_of_them() {
    let now = Instant::now();
    let mut directory = directory(now);
    (1..=9).for_each(|number| join(&mut directory, peer(number), &[offer("f", 1, 9, false)], now));
    for number in 1..=9 {
        directory
            .have(
                peer(number),
                (FileId([1; 32]), View::Bytes),
                &[Run::new(Chunk(u32::from(number) - 1), 1)],
                now,
            )
            .unwrap();
    }
    let mut found = fetch(&mut directory, peer(9), &[Run::new(Chunk(2), 1), Run::new(Chunk(5), 2)], now);
    found.sort_unstable();
    assert_eq!(found, [peer(3).peer, peer(6).peer, peer(7).peer]);
}

#[test]
fn an_answer_compares_no_more_bytes_than_it_may_however_many_contents_it_tells_of() {
    let now = Instant::now();
    let mut directory = directory(now);
    let tree =
        |nth: u8| Offer { size: 9, total: 9, chunks: limits::MAX_CHUNKS, ..offer("f/", nth, 1, false) };
    let trees: Vec<Offer> = (1..=64).map(tree).collect();
    join(&mut directory, peer(1), &trees, now);
    let last = Run::new(Chunk(limits::MAX_CHUNKS - 1), 1);
    for nth in 1..=64 {
        directory.have(peer(1), (FileId([nth; 32]), View::Members), &[last], now).unwrap();
    }
    let mut chunks = ChunkSet::empty(limits::MAX_CHUNKS);
    chunks.add_runs(&[last]);
    for purpose in [Purpose::Fetch, Purpose::Inspect] {
        let asker = PeerId([0; 16]);
        let query = Query {
            wanted: Wanted::Name("f/"),
            purpose,
            max: 0,
            missing: Some(&chunks),
            asker,
            from: Origin::default(),
        };
        let found = directory.locate(&query, now);
        let holders: usize = found.iter().map(|variant| variant.holders.len()).sum();
        assert_eq!((found.len(), holders), (64, 16), "of 256 KiB each, in 4 MiB");
    }
}

#[test]
fn the_less_loaded_are_chosen_and_suggestions_count_as_load() {
    let now = Instant::now();
    let mut directory = directory(now);
    (1..=40).for_each(|number| join(&mut directory, peer(number), &[offer("f", 1, 1, true)], now));
    for number in 1..=40 {
        let load = Load { uploads: if number <= 20 { 1000 } else { 0 }, ..Load::default() };
        directory.heartbeat(peer(number), load, now).unwrap();
    }
    let mut times = BTreeMap::<PeerId, usize>::new();
    for _ in 0..50 {
        fetch(&mut directory, peer(41), &[], now)
            .iter()
            .for_each(|peer| *times.entry(*peer).or_default() += 1);
    }
    let of = |range: std::ops::RangeInclusive<u8>| -> usize {
        range.map(|number| times.get(&peer(number).peer).copied().unwrap_or_default()).sum()
    };
    assert!(of(21..=40) > 3 * of(1..=20), "{} and {}", of(21..=40), of(1..=20));
    assert!(times.values().all(|times| *times < 50), "nobody is suggested every time");
}

/// Peers in one part, by following links from the first.
fn reached(links: &[Vec<usize>]) -> usize {
    let mut both_ways = links.to_vec();
    for (from, targets) in links.iter().enumerate() {
        targets.iter().for_each(|to| both_ways[*to].push(from));
    }
    let (mut seen, mut waiting) = (vec![false; links.len()], vec![0]);
    seen[0] = true;
    while let Some(at) = waiting.pop() {
        for to in &both_ways[at] {
            if !std::mem::replace(&mut seen[*to], true) {
                waiting.push(*to);
            }
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

/// Joins 200 fetchers and one seeder, `at_once` of them before they ask; who suggests whom.
fn swarm_of_200(seed: u64, at_once: u8) -> Vec<Vec<usize>> {
    let now = Instant::now();
    let mut directory = Directory::new(LEASE, Bounds::default(), seed, now);
    join(&mut directory, peer(255), &[offer("f", 1, 100, true)], now);
    let mut links = Vec::new();
    let numbers: Vec<u8> = (0..200).collect();
    for group in numbers.chunks(usize::from(at_once)) {
        group
            .iter()
            .for_each(|number| join(&mut directory, peer(*number), &[offer("f", 1, 100, false)], now));
        for number in group {
            let neighbours = fetch(&mut directory, peer(*number), &[], now);
            assert!(neighbours.len() <= 16);
            // Without the seeder: the fetchers must hold together when it goes.
            links.push(neighbours.iter().map(|peer| usize::from(peer.0[0])).filter(|to| *to < 200).collect());
        }
    }
    links
}

#[test]
fn a_swarm_is_one_graph_of_bounded_degree_whatever_the_order_of_joins() {
    for seed in 0..20 {
        for at_once in [1, 16, 200] {
            let links = swarm_of_200(seed, at_once);
            assert_eq!(reached(&links), 200, "seed {seed}, {at_once} at once");
            let mut degree: Vec<usize> = links.iter().map(Vec::len).collect();
            links.iter().flatten().for_each(|to| degree[*to] += 1);
            let most = degree.iter().max().copied().unwrap_or_default();
            assert!(most <= 100, "seed {seed}, {at_once} at once: degree {most}");
        }
    }
}

#[test]
fn an_answer_names_sixteen_neighbours_or_as_many_as_are_asked_for_and_fit() {
    let now = Instant::now();
    let mut directory = directory(now);
    for number in 0..=255 {
        join(&mut directory, peer(number), &[offer("f", 1, 1, true)], now);
    }
    let others = |number: u16| Sender { connection: 1000 + u64::from(number), peer: PeerId([9; 16]) };
    let mut count = |purpose, max| {
        let (wanted, asker) = (Wanted::Name("f"), others(0).peer);
        let query = Query { wanted, purpose, max, missing: None, asker, from: Origin::default() };
        directory.locate(&query, now)[0].holders.len()
    };
    assert_eq!([0, 5, 100].map(|max| count(Purpose::Fetch, max)), [16, 5, 100]);
    assert_eq!([0, 5, 9999].map(|max| count(Purpose::Inspect, max)), [256, 5, 256]);
}

#[test]
fn many_contents_share_the_holders_that_an_answer_has_room_for() {
    let now = Instant::now();
    let mut directory = directory(now);
    let offers: Vec<Offer> = (1..=64).map(|content| offer("f", content, 1, true)).collect();
    (0..20).for_each(|number| join(&mut directory, peer(number), &offers, now));
    let found = locate(&mut directory, Wanted::Name("f"), now);
    assert_eq!(found.len(), 64);
    assert!(found.iter().all(|variant| variant.holders.len() == 16 && variant.seeders == 20));
}

#[test]
fn half_of_the_places_are_for_seeders_and_what_one_kind_leaves_is_the_others() {
    let now = Instant::now();
    for (seeders, expected) in [(30, 8), (3, 3)] {
        let mut directory = directory(now);
        for number in 0..60 {
            join(&mut directory, peer(number), &[offer("f", 1, 1, number < seeders)], now);
        }
        let named = fetch(&mut directory, peer(99), &[], now);
        let among_seeders = named.iter().filter(|peer| peer.0[0] < seeders).count();
        assert_eq!((named.len(), among_seeders), (16, expected));
    }
}
