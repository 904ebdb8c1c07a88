//! Hearsay only reorders, and is taken back.

use std::net::SocketAddr;

use super::*;
use crate::tracker::directory::doubt::{LOOK_EVERY, SUSPICION, VOUCHED};

const NOTHING: (FileId, Chunk) = (FileId::NONE, Chunk(0));

fn swarm(seeders: std::ops::RangeInclusive<u8>, now: Instant) -> Directory {
    let mut directory = directory(now);
    seeders.for_each(|number| join(&mut directory, peer(number), &[offer("f", 1, 1, true)], now));
    directory
}

fn dead(directory: &mut Directory, by: u8, of: u8, now: Instant) -> Option<Look> {
    directory.report(peer(by), peer(of).peer, Complaint::Dead, NOTHING, now).unwrap()
}

fn look(of: u8) -> Look {
    Look { of: peer(of), addr: SocketAddr::new([10, 0, 0, of].into(), 7) }
}

/// True if `of` comes behind all others in every answer.
fn is_last(directory: &mut Directory, of: u8, now: Instant) -> bool {
    let inspect = Query {
        wanted: Wanted::Name("f"),
        purpose: Purpose::Inspect,
        max: 0,
        missing: None,
        asker: PeerId([0; 16]),
        from: Origin::default(),
    };
    let shown = directory.locate(&inspect, now)[0].holders.last().map(|holder| holder.peer);
    let asker = peer(200);
    let fetched: Vec<_> = (0..20).map(|_| fetch(directory, asker, &[], now).last().copied()).collect();
    let last = fetched.iter().all(|last| *last == Some(peer(of).peer));
    assert_eq!(shown == Some(peer(of).peer), last, "for all purposes alike");
    last
}

#[test]
fn who_is_called_dead_is_looked_at_where_its_registration_came_from() {
    let start = Instant::now();
    let mut directory = swarm(1..=4, start);
    assert_eq!(dead(&mut directory, 2, 1, start), Some(look(1)));
    assert_eq!(dead(&mut directory, 3, 1, start + LOOK_EVERY / 2), None, "not again so soon");
    assert_eq!(dead(&mut directory, 4, 1, start + LOOK_EVERY), Some(look(1)));
    assert_eq!(dead(&mut directory, 2, 2, start), None, "nobody accuses itself");
    // The address it wants others to dial may be anybody's; who cannot be dialled is not.
    let victim = Address::new([10, 1, 1, 1].into(), 22).unwrap();
    let profile = Profile { listens: Listens { port: 22, stated: vec![victim] }, ..at([10, 9, 9, 9]) };
    directory.register(peer(9), profile, start).unwrap();
    directory.register(peer(8), Profile { listens: Listens::default(), ..at([10, 8, 8, 8]) }, start).unwrap();
    let there = SocketAddr::new([10, 9, 9, 9].into(), 22);
    assert_eq!(dead(&mut directory, 2, 9, start), Some(Look { of: peer(9), addr: there }));
    assert_eq!(dead(&mut directory, 2, 8, start), None);
}

#[test]
fn a_peer_that_two_networks_call_dead_comes_last_until_it_says_a_word() {
    let start = Instant::now();
    let mut directory = swarm(1..=4, start);
    dead(&mut directory, 2, 1, start);
    dead(&mut directory, 2, 1, start);
    assert!(!is_last(&mut directory, 1, start), "one voice, however often");
    dead(&mut directory, 3, 1, start);
    assert!(is_last(&mut directory, 1, start));
    assert!(!is_last(&mut directory, 1, start + SUSPICION), "for a while");
    directory.touch(peer(1), start);
    assert!(!is_last(&mut directory, 1, start), "its own word weighs more");
}

#[test]
fn one_voice_is_enough_with_the_peers_own_silence() {
    let start = Instant::now();
    let mut directory = swarm(1..=4, start);
    let later = start + LEASE / 2;
    dead(&mut directory, 2, 1, later);
    assert!(is_last(&mut directory, 1, later));
}

#[test]
fn what_the_tracker_sees_counts_more_than_what_it_hears() {
    let start = Instant::now();
    let mut directory = swarm(1..=4, start);
    let seen = dead(&mut directory, 2, 1, start).unwrap();
    dead(&mut directory, 3, 1, start);
    directory.looked(&seen, true, start);
    assert!(!is_last(&mut directory, 1, start));
    for by in 2..=4 {
        assert_eq!(dead(&mut directory, by, 1, start), None);
    }
    assert!(!is_last(&mut directory, 1, start), "it was seen to answer");
    assert!(dead(&mut directory, 2, 1, start + VOUCHED).is_some(), "a while ago");
    directory.looked(&seen, false, start);
    assert!(is_last(&mut directory, 1, start));
    directory.heartbeat(peer(1), Default::default(), start).unwrap();
    assert!(!is_last(&mut directory, 1, start), "a sign of life heals");
    let of_old = Look { of: Sender { connection: 99, ..peer(1) }, ..seen };
    directory.looked(&of_old, false, start);
    assert!(!is_last(&mut directory, 1, start), "that was another registration");
}

#[test]
fn the_only_holder_is_named_whatever_is_said() {
    let start = Instant::now();
    let mut directory = directory(start);
    join(&mut directory, peer(1), &[offer("f", 1, 4, true)], start);
    // More leechers than an answer has places.
    (2..=60).for_each(|number| join(&mut directory, peer(number), &[offer("f", 1, 4, false)], start));
    for by in 2..=60 {
        dead(&mut directory, by, 1, start);
        for (complaint, chunk) in [(Complaint::Missing, 0), (Complaint::Missing, 1), (Complaint::Corrupt, 0)]
        {
            directory
                .report(peer(by), peer(1).peer, complaint, (FileId([1; 32]), Chunk(chunk)), start)
                .unwrap();
        }
    }
    directory.looked(&look(1), false, start);
    for asker in [2, 60, 200] {
        let named = fetch(&mut directory, peer(asker), &[Run::new(Chunk(0), 1)], start);
        assert_eq!(named, [peer(1).peer], "nobody else has the chunk");
        assert!(fetch(&mut directory, peer(asker), &[], start).contains(&peer(1).peer));
    }
}

#[test]
fn what_a_peer_missed_comes_last_for_that_peer_until_the_holder_states_it_anew() {
    let start = Instant::now();
    let mut directory = swarm(1..=3, start);
    let about = (FileId([1; 32]), Chunk(0));
    directory.report(peer(3), peer(1).peer, Complaint::Missing, about, start).unwrap();
    let order = |directory: &mut Directory, asker: u8| {
        let orders: Vec<_> = (0..20).map(|_| fetch(directory, peer(asker), &[], start)).collect();
        (orders.iter().all(|order| order[0] == peer(2).peer), orders[0].len())
    };
    assert_eq!(order(&mut directory, 3), (true, 2));
    assert!(!order(&mut directory, 200).0, "nobody else's business");
    let later = start + Duration::from_millis(1);
    directory.update(peer(1), &[], &[offer("f", 1, 1, true)], later).unwrap();
    assert!(!order(&mut directory, 3).0);
}
