//! The directory against a stupid twin, and its rules one by one, in virtual time.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::content::Host;
use crate::wire::{Complaint, Name, Purpose, Variant, View};

pub(super) const LEASE: Duration = Duration::from_secs(30);

pub(super) fn peer(number: u8) -> Sender {
    Sender { connection: u64::from(number), peer: PeerId([number; 16]) }
}

pub(super) fn offer(name: &str, content: u8, chunks: u32, complete: bool) -> Offer {
    let size = u64::from(chunks) << 16;
    let id = FileId([content; 32]);
    Offer { name: Name::new(name), id, size, total: size, chunks, complete, original: true, modified: 0 }
}

/// What a name stands for.
fn view_of(name: &Name) -> View {
    if name.ends_with('/') { View::Members } else { View::Bytes }
}

/// True if both are of one content: a file and a listing of one id are two.
fn alike(a: &Offer, b: &Offer) -> bool {
    (a.id, view_of(&a.name)) == (b.id, view_of(&b.name))
}

pub(super) fn directory(start: Instant) -> Directory {
    Directory::new(LEASE, Bounds::default(), 1, start)
}

pub(super) fn join(directory: &mut Directory, sender: Sender, offers: &[Offer], now: Instant) {
    let from = IpAddr::V4(Ipv4Addr::new(10, 0, 0, sender.connection as u8));
    let host = Host::new(&from.to_string()).unwrap();
    let profile = Profile { name: format!("p{}", sender.connection), host, port: 7, from };
    directory.register(sender, profile, now).unwrap();
    directory.update(sender, &[], offers, now).unwrap();
}

fn locate(directory: &mut Directory, wanted: Wanted<'_>, now: Instant) -> Vec<Variant> {
    let query = Query { wanted, purpose: Purpose::Inspect, max: 0, missing: &[], asker: PeerId([0; 16]) };
    directory.locate(&query, now)
}

pub(super) fn fetch(directory: &mut Directory, asker: Sender, missing: &Runs, now: Instant) -> Vec<PeerId> {
    let wanted = Wanted::Name("f");
    let query = Query { wanted, purpose: Purpose::Fetch, max: 0, missing, asker: asker.peer };
    let variants = directory.locate(&query, now);
    variants.iter().flat_map(|variant| variant.holders.iter().map(|holder| holder.peer)).collect()
}

/// Everything about who has what, scanned from one list each time.
#[derive(Default)]
struct Twin {
    /// Connection, name, offer, and which chunks.
    rows: Vec<(Sender, Offer, Vec<bool>)>,
}

impl Twin {
    fn update(&mut self, sender: Sender, removed: &[(Name, FileId)], added: &[Offer]) {
        let gone = |row: &(Sender, Offer, _), (name, id): &(Name, FileId)| {
            row.0 == sender && row.1.name == *name && row.1.id == *id
        };
        self.rows.retain(|row| !removed.iter().any(|pair| gone(row, pair)));
        for offer in added {
            let mut held = self.rows.iter().filter(|row| row.0 == sender && alike(&row.1, offer));
            let none = vec![offer.complete; offer.chunks as usize];
            let has =
                held.next().map_or(none.clone(), |row| if offer.complete { none } else { row.2.clone() });
            let there = |row: &(Sender, Offer, _)| row.0 == sender && alike(&row.1, offer);
            self.rows.iter_mut().filter(|row| there(row)).for_each(|row| row.2 = has.clone());
            match self.rows.iter_mut().find(|row| there(row) && row.1.name == offer.name) {
                Some(row) => row.1.original |= offer.original,
                None => self.rows.push((sender, offer.clone(), has)),
            }
        }
    }

    fn set(&mut self, sender: Sender, content: &Offer, chunk: usize, to: bool) {
        for row in self.rows.iter_mut().filter(|row| row.0 == sender && alike(&row.1, content)) {
            row.2[chunk] = to;
        }
    }

    fn holders(&self, id: FileId) -> Vec<(PeerId, usize)> {
        let mut found: Vec<(bool, PeerId, usize)> = self
            .rows
            .iter()
            .filter(|row| row.1.id == id)
            .map(|row| {
                let have = row.2.iter().filter(|has| **has).count();
                (row.1.name.ends_with('/'), row.0.peer, have)
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        let mut found: Vec<_> = found.into_iter().map(|(_, peer, have)| (peer, have)).collect();
        found.sort_unstable();
        found
    }

    fn pairs(&self) -> Vec<(String, FileId)> {
        let made = |name: &Name| self.rows.iter().any(|row| row.1.original && row.1.name == *name);
        let counts = |offer: &Offer| offer.original || !made(&offer.name);
        let counting = self.rows.iter().filter(|row| {
            self.rows
                .iter()
                .any(|other| other.1.name == row.1.name && other.1.id == row.1.id && counts(&other.1))
        });
        let mut pairs: Vec<_> = counting.map(|row| (row.1.name.to_string(), row.1.id)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

fn check(directory: &mut Directory, twin: &Twin, now: Instant) {
    let mut page = Page::new("", "", 1000);
    assert!(directory.list(&mut page));
    let listed: Vec<_> = page.entries.iter().map(|entry| (entry.name.to_string(), entry.id)).collect();
    assert_eq!(listed, twin.pairs());
    for content in 0..8 {
        let id = FileId([content; 32]);
        let found = locate(directory, Wanted::Id(id), now);
        let mut holders: Vec<_> = found
            .iter()
            .flat_map(|variant| variant.holders.iter().map(|holder| (holder.peer, holder.have as usize)))
            .collect();
        holders.sort_unstable();
        assert_eq!(holders, twin.holders(id));
        let all = |variant: &&Variant| variant.holders.len() as u32 == variant.seeders + variant.leechers;
        assert!(found.iter().all(|variant| all(&variant)));
    }
    assert_eq!(directory.status(now).registrations, twin.rows.len() as u64);
}

#[test]
fn agrees_with_a_twin_that_scans_everything() {
    for seed in 0..20 {
        let now = Instant::now();
        let (mut rng, mut directory) = (fastrand::Rng::with_seed(seed), directory(now));
        let mut twin = Twin::default();
        (1..=6).for_each(|number| join(&mut directory, peer(number), &[], now));
        for _ in 0..300 {
            let sender = peer(rng.u8(1..=6));
            // A content's chunks follow from its number, as they do from an id: 1 to 70.
            let content = rng.u8(1..8);
            let chunks = u32::from(content) * 10;
            let name = ["f", "a/b", "a", "ä", "z/"][rng.usize(..5)];
            let random = Offer { original: rng.bool(), ..offer(name, content, chunks, rng.bool()) };
            match rng.u8(..8) {
                0 => {
                    directory.leave(sender);
                    join(&mut directory, sender, &[], now);
                    while directory.sweep(3) {}
                    twin.rows.retain(|row| row.0 != sender);
                }
                1..=3 => {
                    directory.update(sender, &[], std::slice::from_ref(&random), now).unwrap();
                    twin.update(sender, &[], &[random]);
                }
                4 => {
                    let removed = [(random.name.clone(), random.id)];
                    directory.update(sender, &removed, &[], now).unwrap();
                    twin.update(sender, &removed, &[]);
                }
                5 | 6 => {
                    let first = rng.u32(..chunks);
                    let count = rng.u32(..=chunks - first);
                    if directory
                        .have(sender, (random.id, view_of(&random.name)), &[(first, count)], now)
                        .is_ok()
                    {
                        (first..first + count)
                            .for_each(|chunk| twin.set(sender, &random, chunk as usize, true));
                    }
                }
                _ => {
                    // Whatever others say of a peer, what it has is what it said.
                    let (by, about) = (peer(7), (random.id, rng.u32(..chunks)));
                    join(&mut directory, by, &[], now);
                    let complaint = [Complaint::Dead, Complaint::Missing, Complaint::Corrupt][rng.usize(..3)];
                    directory.report(by, sender.peer, complaint, about, now).unwrap();
                }
            }
            check(&mut directory, &twin, now);
        }
        (1..=7).for_each(|number| directory.leave(peer(number)));
        while directory.sweep(1) {}
        assert_eq!((directory.registrations, directory.bitmap_bytes, directory.names.len()), (0, 0, 0));
        assert_eq!(directory.peers.len(), 0);
    }
}

#[test]
fn a_lease_ends_without_a_sign_of_life() {
    let start = Instant::now();
    let mut directory = directory(start);
    join(&mut directory, peer(1), &[offer("f", 1, 1, true)], start);
    join(&mut directory, peer(2), &[offer("f", 1, 1, true)], start);
    directory.touch(peer(2), start + LEASE / 2);
    assert_eq!(directory.expire(start + LEASE - Duration::from_nanos(1)), []);
    assert_eq!(directory.expire(start + LEASE), [peer(1).peer]);
    // Out of the answers at once, even before its contents are cleared away.
    assert_eq!(locate(&mut directory, Wanted::Name("f"), start)[0].holders.len(), 1);
    assert_eq!(directory.update(peer(1), &[], &[], start), Err(Denial::NotRegistered));
    assert_eq!(directory.expire(start + LEASE + LEASE / 2), [peer(2).peer]);
    while directory.sweep(1) {}
    assert_eq!(locate(&mut directory, Wanted::Name("f"), start), []);
}

#[test]
fn a_registration_belongs_to_its_connection() {
    let now = Instant::now();
    let mut directory = directory(now);
    let (old, new) = (Sender { connection: 1, ..peer(1) }, Sender { connection: 2, ..peer(1) });
    join(&mut directory, old, &[offer("old", 1, 1, true)], now);
    directory.leave(new);
    assert_eq!(directory.have(new, (FileId([1; 32]), View::Bytes), &[], now), Err(Denial::NotRegistered));
    directory.leave(old);
    join(&mut directory, new, &[offer("new", 2, 1, true)], now);
    directory.leave(old);
    while directory.sweep(9) {}
    assert_eq!(directory.have(old, (FileId([2; 32]), View::Bytes), &[], now), Err(Denial::NotRegistered));
    assert_eq!(locate(&mut directory, Wanted::Name("old"), now), []);
    assert_eq!(locate(&mut directory, Wanted::Name("new"), now)[0].seeders, 1);
}

#[test]
fn both_contents_of_a_name_are_found_and_a_content_under_all_its_names() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[offer("f", 1, 1, true), offer("g", 1, 1, true)], now);
    join(&mut directory, peer(2), &[offer("f", 2, 1, true)], now);
    join(&mut directory, peer(3), &[offer("h", 2, 1, true)], now);
    let variants = locate(&mut directory, Wanted::Name("f"), now);
    let found: Vec<_> = variants.iter().map(|variant| (variant.id.0[0], variant.seeders)).collect();
    assert_eq!(found, [(2, 2), (1, 1)], "the content that more peers have comes first");
    let by_id = locate(&mut directory, Wanted::Id(FileId([1; 32])), now);
    assert_eq!((by_id.len(), &*by_id[0].name, by_id[0].seeders), (1, "f", 1));
}

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
    directory.have(peer(2), (id, View::Members), &[(8, 1)], now).unwrap();
    assert_eq!(directory.have(peer(2), (id, View::Bytes), &[(0, 1)], now), Err(Denial::NotOffered(id)));
    directory.have(peer(3), (id, View::Members), &[(0, 1)], now).unwrap();
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
        assert_eq!(directory.have(peer(1), (id, View::Bytes), runs, now), Err(Denial::BadChunks));
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
    let mut have = |content| directory.have(peer(1), (FileId([content; 32]), View::Bytes), &[(0, 1)], now);
    assert_eq!((have(1), have(2)), (Ok(()), Ok(())));
    assert!(matches!(have(3), Err(Denial::Full(_))));
    directory.have(peer(1), (FileId([1; 32]), View::Bytes), &[(1, 63)], now).unwrap();
    assert_eq!(
        directory.have(peer(1), (FileId([3; 32]), View::Bytes), &[(0, 1)], now),
        Ok(()),
        "a full one needs no bitmap"
    );
}

#[test]
fn corrupt_peers_come_last_and_self_and_undialable_never() {
    let now = Instant::now();
    let mut directory = directory(now);
    (1..=3).for_each(|number| join(&mut directory, peer(number), &[offer("f", 1, 1, true)], now));
    directory.register(peer(4), Profile::default(), now).unwrap();
    directory.update(peer(4), &[], &[offer("f", 1, 1, true)], now).unwrap();
    directory.report(peer(3), peer(1).peer, Complaint::Corrupt, (FileId::NONE, 0), now).unwrap();
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
            .have(peer(number), (FileId([1; 32]), View::Bytes), &[(u32::from(number) - 1, 1)], now)
            .unwrap();
    }
    let mut found = fetch(&mut directory, peer(9), &[(2, 1), (5, 2)], now);
    found.sort_unstable();
    assert_eq!(found, [peer(3).peer, peer(6).peer, peer(7).peer]);
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
fn pages_lose_no_variant() {
    let now = Instant::now();
    let mut directory = directory(now);
    for number in 1..=5 {
        let offers: Vec<Offer> =
            (0..40).map(|name| offer(&format!("d/{name:02}"), number, 1, true)).collect();
        join(&mut directory, peer(number), &offers, now);
    }
    join(&mut directory, peer(6), &[offer("c", 1, 1, true), offer("e", 1, 1, true)], now);
    let (mut after, mut entries, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let mut page = Page::new("d/*", &after, 7);
        while !directory.list(&mut page) {}
        entries.extend(page.entries.iter().map(|entry| (entry.name.to_string(), entry.id)));
        pages += 1;
        if !page.more {
            break;
        }
        after = page.entries.last().unwrap().name.to_string();
    }
    assert_eq!((entries.len(), pages), (200, 20));
    assert!(entries.is_sorted());
}

#[test]
fn near_matches_come_nearest_first_and_in_slices() {
    let now = Instant::now();
    let mut directory = directory(now);
    let mut offers: Vec<Offer> = (0..900).map(|name| offer(&format!("bulk/{name:04}"), 1, 1, true)).collect();
    offers.push(offer("x/report.pdf", 2, 1, true));
    offers.push(offer("reprot.pdf", 3, 1, true));
    offers.push(offer("old-report.pdf.gz", 4, 1, true));
    join(&mut directory, peer(1), &offers, now);
    let mut near = Near::new("a/Report.pdf");
    while !directory.near(&mut near) {}
    let names: Vec<String> = near.names().into_iter().map(Name::into_string).collect();
    assert_eq!(names, ["x/report.pdf", "reprot.pdf", "old-report.pdf.gz"]);
}

#[test]
fn names_are_tidied_up_without_losing_one() {
    let now = Instant::now();
    let mut directory = directory(now);
    let name = |number: u32| format!("{}/{number}", "long".repeat(30));
    let all: Vec<Offer> = (0..16_000).map(|number| offer(&name(number), 1, 1, true)).collect();
    join(&mut directory, peer(1), &[], now);
    all.chunks(1000).for_each(|offers| directory.update(peer(1), &[], offers, now).unwrap());
    let removed: Vec<_> = all.iter().skip(1).step_by(2).chain(all.iter().step_by(4)).collect();
    for offer in &removed {
        directory.update(peer(1), &[(offer.name.clone(), offer.id)], &[], now).unwrap();
    }
    for (number, offer) in all.iter().enumerate() {
        let found = locate(&mut directory, Wanted::Name(&offer.name), now).len();
        assert_eq!(found, usize::from(number % 4 == 2), "{number}");
    }
}

#[test]
fn peers_are_paged_in_order() {
    let now = Instant::now();
    let mut directory = directory(now);
    (1..=5).for_each(|number| join(&mut directory, peer(number), &[], now));
    let (page, more) = directory.peers(peer(2).peer, 2, now + Duration::from_millis(7));
    let ids: Vec<_> = page.iter().map(|info| (info.peer, info.silent_ms)).collect();
    assert_eq!((ids, more), (vec![(peer(3).peer, 7), (peer(4).peer, 7)], true));
    assert!(!directory.peers(peer(3).peer, 2, now).1);
}

fn copy(name: &str, content: u8) -> Offer {
    Offer { original: false, modified: 9, ..offer(name, content, 1, true) }
}

fn ids(variants: &[Variant]) -> Vec<u8> {
    variants.iter().map(|variant| variant.id.0[0]).collect()
}

fn listed(directory: &Directory) -> Vec<(String, u8)> {
    let mut page = Page::new("", "", 1000);
    assert!(directory.list(&mut page));
    page.entries.iter().map(|entry| (entry.name.to_string(), entry.id.0[0])).collect()
}

#[test]
fn a_name_means_its_originals_and_copies_stand_in_for_none() {
    let now = Instant::now();
    let mut directory = directory(now);
    let named = |directory: &mut Directory| ids(&locate(directory, Wanted::Name("f"), now));
    join(&mut directory, peer(1), &[copy("f", 1)], now);
    join(&mut directory, peer(2), &[copy("f", 1)], now);
    join(&mut directory, peer(3), &[copy("f", 2)], now);
    assert_eq!(named(&mut directory), [1, 2], "only copies: all of them");
    join(&mut directory, peer(4), &[offer("f", 3, 1, true)], now);
    assert_eq!(named(&mut directory), [3]);
    assert_eq!(listed(&directory), [("f".into(), 3)]);
    let old = locate(&mut directory, Wanted::Id(FileId([1; 32])), now);
    assert_eq!(
        (old[0].seeders, old[0].original, old[0].holders.len()),
        (2, false, 2),
        "still found by its id"
    );
    let fetched = Offer { complete: false, ..copy("f", 3) };
    directory.update(peer(1), &[], &[fetched], now).unwrap();
    let new = locate(&mut directory, Wanted::Name("f"), now);
    let holders: Vec<_> = new[0].holders.iter().map(|holder| (holder.peer, holder.original)).collect();
    assert_eq!(holders, [(peer(4).peer, true), (peer(1).peer, false)]);
    directory.leave(peer(4));
    while directory.sweep(9) {}
    assert_eq!(named(&mut directory), [1, 2, 3], "the last original is gone");
}

#[test]
fn a_copy_becomes_an_original_and_an_original_stays_one() {
    let now = Instant::now();
    let mut directory = directory(now);
    join(&mut directory, peer(1), &[copy("f", 1), copy("g", 1)], now);
    join(&mut directory, peer(2), &[Offer { modified: 5, ..offer("f", 2, 1, true) }], now);
    directory.update(peer(1), &[], &[Offer { modified: 3, ..offer("f", 1, 1, true) }], now).unwrap();
    directory.update(peer(1), &[], &[copy("f", 1)], now).unwrap();
    let both = locate(&mut directory, Wanted::Name("f"), now);
    let seen: Vec<_> =
        both.iter().map(|variant| (variant.id.0[0], variant.original, variant.modified)).collect();
    assert_eq!(seen, [(1, true, 3), (2, true, 5)], "an original's time, not that of the copy it was");
    let f = |content| [(Name::new("f"), FileId([content; 32]))];
    directory.update(peer(1), &f(1), &[copy("f", 1)], now).unwrap();
    assert_eq!(ids(&locate(&mut directory, Wanted::Name("f"), now)), [2], "removed, it is a copy again");
    directory.update(peer(2), &f(2), &[], now).unwrap();
    assert_eq!(ids(&locate(&mut directory, Wanted::Name("f"), now)), [1]);
}

#[test]
fn what_originals_call_a_content_is_agreed_on_whatever_copies_say() {
    let now = Instant::now();
    let mut directory = directory(now);
    let shown = |directory: &mut Directory| {
        let found = locate(directory, Wanted::Id(FileId([1; 32])), now);
        (found[0].name.to_string(), found[0].agreed)
    };
    join(&mut directory, peer(1), &[copy(".a", 1), copy("x/z", 1)], now);
    assert_eq!(shown(&mut directory), (".a".into(), false), "copies alone, which do not agree");
    join(&mut directory, peer(2), &[offer("y/z", 1, 1, true)], now);
    assert_eq!(shown(&mut directory), ("y/z".into(), true));
    join(&mut directory, peer(3), &[offer("b/z", 1, 1, true)], now);
    assert_eq!(shown(&mut directory), ("b/z".into(), true), "only the last part counts");
    join(&mut directory, peer(4), &[offer(".bashrc", 1, 1, true)], now);
    assert_eq!(shown(&mut directory), (".bashrc".into(), false));
    let many: Vec<Offer> = (0..99).map(|n| offer(&format!("{n}/z"), 2, 1, true)).collect();
    join(&mut directory, peer(5), &many, now);
    assert!(!locate(&mut directory, Wanted::Id(FileId([2; 32])), now)[0].agreed, "too many to tell");
}
