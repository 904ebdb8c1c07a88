//! What a tracker answers: sections 8.2, 8.3, 10.2 and 13.
//!
//! Every test uses names, ids and peers never seen before, so that it can share a tracker with others.

use crate::client::{Body, Client, Fields, Hello, MAX_FRAME_BYTES, MEMBER, code, frame, id};
use crate::support::eventually;
use crate::target::{self, Target};

const INSPECT: u8 = 0;
const FETCH: u8 = 1;
const DEAD: u8 = 1;
const MISSING: u8 = 2;
const CORRUPT: u8 = 3;
/// When all that is offered here was last changed.
const MODIFIED: u64 = 1_700_000_000;

type Hash = [u8; 32];

fn any_hash() -> Hash {
    std::array::from_fn(|_| fastrand::u8(..))
}

/// A folder of names that no other test uses.
fn any_prefix() -> String {
    format!("conformance/{:016x}", fastrand::u64(..))
}

/// An Offer of a file of four chunks, an original.
fn offer(name: &str, hash: Hash, complete: bool) -> Body {
    offer_as(name, hash, complete, true)
}

fn offer_as(name: &str, hash: Hash, complete: bool, original: bool) -> Body {
    let body = Body::new().text(name).raw(&hash).u64(200_000).u64(200_000).u32(4);
    body.u8(u8::from(complete)).u8(u8::from(original)).u64(MODIFIED)
}

fn register(port: u16, offers: &[Body]) -> Body {
    Body::new().text("").u16(port).list(offers)
}

fn locate(name: &str, hash: Hash, purpose: u8, max: u16, missing: &[(u32, u32)]) -> Body {
    Body::new().text(name).raw(&hash).u8(purpose).u16(max).ranges(missing)
}

/// The view of a file.
const AS_FILE: u8 = 0;
/// The view of a tree's members.
const AS_TREE: u8 = 1;

fn have(hash: Hash, gained: &[(u32, u32)]) -> Body {
    Body::new().raw(&hash).u8(AS_FILE).ranges(gained)
}

/// A registered peer with its connection.
struct Member {
    client: Client,
    peer: [u8; 16],
}

/// Registers a new peer that can be dialled at `port`.
#[track_caller]
fn member(target: &Target, port: u16, offers: &[Body]) -> Member {
    let hello = Hello { listen_port: port, ..Hello::new(MEMBER) };
    let mut client = target.greet_as(&hello);
    client.call(id::REGISTER, &register(port, offers), id::REGISTERED);
    Member { client, peer: hello.peer }
}

#[derive(Debug, PartialEq, Eq)]
struct Holder {
    peer: [u8; 16],
    name: String,
    host: String,
    port: u16,
    have: u32,
    load: (u16, u16),
    original: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Variant {
    name: String,
    hash: Hash,
    sizes: (u64, u64, u32),
    seeders: u32,
    leechers: u32,
    original: bool,
    agreed: bool,
    modified: u64,
    holders: Vec<Holder>,
}

fn read_holder(fields: &mut Fields<'_>) -> Holder {
    Holder {
        peer: fields.peer(),
        name: fields.text().to_owned(),
        host: fields.text().to_owned(),
        port: fields.u16(),
        have: fields.u32(),
        load: (fields.u16(), fields.u16()),
        original: fields.flag(),
    }
}

fn read_variant(fields: &mut Fields<'_>) -> Variant {
    Variant {
        name: fields.text().to_owned(),
        hash: fields.hash(),
        sizes: (fields.u64(), fields.u64(), fields.u32()),
        seeders: fields.u32(),
        leechers: fields.u32(),
        original: fields.flag(),
        agreed: fields.flag(),
        modified: fields.u64(),
        holders: fields.list(256, read_holder),
    }
}

#[track_caller]
fn located(client: &mut Client, question: &Body) -> (Vec<Variant>, Vec<String>) {
    client
        .call(id::LOCATE, question, id::LOCATED)
        .fields(|fields| (fields.list(64, read_variant), fields.list(8, |fields| fields.text().to_owned())))
}

/// The one variant of a name or id.
#[track_caller]
fn the_variant(client: &mut Client, name: &str, hash: Hash, purpose: u8) -> Variant {
    let (mut variants, near) = located(client, &locate(name, hash, purpose, 256, &[]));
    assert_eq!((variants.len(), near.len()), (1, 0), "{variants:?}");
    variants.remove(0)
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    hash: Hash,
    sizes: (u64, u64),
    seeders: u32,
    leechers: u32,
}

#[track_caller]
fn listing(client: &mut Client, pattern: &str, after: &str, limit: u16) -> (Vec<Entry>, bool) {
    let question = Body::new().text(pattern).text(after).u16(limit);
    let read_entry = |fields: &mut Fields<'_>| Entry {
        name: fields.text().to_owned(),
        hash: fields.hash(),
        sizes: (fields.u64(), fields.u64()),
        seeders: fields.u32(),
        leechers: fields.u32(),
    };
    client
        .call(id::LIST, &question, id::LISTING)
        .fields(|fields| (fields.list(1000, read_entry), fields.flag()))
}

/// The names of all pages, and the number of pages.
fn all_names(client: &mut Client, pattern: &str, limit: u16) -> (Vec<String>, usize) {
    let (mut names, mut pages) = (Vec::<String>::new(), 0);
    loop {
        let after = names.last().cloned().unwrap_or_default();
        let (entries, more) = listing(client, pattern, &after, limit);
        assert!(!more || !entries.is_empty(), "a page that says there is more has something");
        names.extend(entries.into_iter().map(|entry| entry.name));
        pages += 1;
        if !more {
            return (names, pages);
        }
    }
}

#[test]
fn a_registered_content_is_found_by_name_and_by_id() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let seeder = member(&target, 4001, &[offer(&name, hash, true)]);
    let mut guest = target.greet();
    let by_name = the_variant(&mut guest, &name, [0; 32], INSPECT);
    assert_eq!(by_name.sizes, (200_000, 200_000, 4));
    assert_eq!((by_name.name.as_str(), by_name.hash), (name.as_str(), hash));
    assert_eq!((by_name.seeders, by_name.leechers), (1, 0));
    let [holder] = &by_name.holders[..] else { panic!("{by_name:?}") };
    assert_eq!((holder.peer, holder.port, holder.have), (seeder.peer, 4001, 4));
    assert_eq!(holder.name, "conformance");
    assert!(holder.host.parse::<std::net::IpAddr>().is_ok(), "the connection's address: {holder:?}");
    assert_eq!(the_variant(&mut guest, "", hash, INSPECT), by_name);
    assert_eq!(the_variant(&mut guest, &name, [0; 32], FETCH), by_name);
}

#[test]
fn a_stated_host_is_passed_on() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let mut client = target.greet();
    let body = Body::new().text("peer.example").u16(4001).list(&[offer(&name, hash, true)]);
    client.call(id::REGISTER, &body, id::REGISTERED).fields(|fields| {
        assert!(fields.u32() > 0, "a lease");
        fields.u64()
    });
    assert_eq!(the_variant(&mut target.greet(), &name, [0; 32], INSPECT).holders[0].host, "peer.example");
}

#[test]
fn a_host_that_is_none_is_malformed() {
    let target = target::tracker();
    for host in ["peer\0.example", "peer example", "peer\n", "[::1]", "pêer", "\x1b[2J", &"a".repeat(256)] {
        let mut client = target.greet();
        client.request(id::REGISTER, &Body::new().text(host).u16(4001).list(&[]));
        client.ends_with(code::MALFORMED);
    }
}

#[test]
fn what_nobody_has_is_an_empty_answer() {
    let target = target::tracker();
    let mut client = target.greet();
    let (variants, near) = located(&mut client, &locate("", any_hash(), INSPECT, 0, &[]));
    assert_eq!((variants.len(), near.len()), (0, 0));
    let (variants, _) = located(&mut client, &locate(&any_prefix(), [0; 32], INSPECT, 0, &[]));
    assert!(variants.is_empty());
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let target = target::tracker();
    let prefix = any_prefix();
    let name = format!("{prefix}/holiday-pictures.zip");
    let _seeder = member(&target, 4001, &[offer(&name, any_hash(), true)]);
    let wrong = format!("{prefix}/holyday-pictures.zip");
    let (variants, near) = located(&mut target.greet(), &locate(&wrong, [0; 32], INSPECT, 0, &[]));
    assert!(variants.is_empty());
    assert!(near.contains(&name), "{near:?}");
}

#[test]
fn what_needs_a_registration_says_so_and_the_connection_goes_on() {
    let target = target::tracker();
    let mut client = target.greet();
    for (id, body) in [
        (id::UPDATE, Body::new().list(&[]).list(&[])),
        (id::TRACKER_HAVE, have(any_hash(), &[])),
        (id::HEARTBEAT, Body::new().u16(0).u16(0).u64(0)),
        (id::REPORT, Body::new().raw(&[9; 16]).raw(&any_hash()).u32(0).u8(DEAD)),
    ] {
        assert_eq!(client.ask(id, &body).error(), code::NOT_REGISTERED, "{id:02x}");
    }
    client.is_alive();
}

#[test]
fn unsafe_names_are_refused_and_nothing_is_registered() {
    let target = target::tracker();
    let mut client = target.greet();
    let hash = any_hash();
    let long_part = "x".repeat(256);
    for name in ["", "/", "/etc/passwd", "..", "a/../b", "./a", "a//b", "a//", "a\0b", ".p2p/x", &long_part] {
        let offers = [offer(&any_prefix(), hash, true), offer(name, hash, true)];
        assert_eq!(client.ask(id::REGISTER, &register(1, &offers)).error(), code::BAD_NAME, "{name:?}");
        let question = locate(name, [0; 32], INSPECT, 0, &[]);
        assert_eq!(client.ask(id::LOCATE, &question).error(), code::BAD_NAME, "{name:?}");
    }
    let heartbeat = Body::new().u16(0).u16(0).u64(0);
    assert_eq!(client.ask(id::HEARTBEAT, &heartbeat).error(), code::NOT_REGISTERED);
    assert!(located(&mut client, &locate("", hash, INSPECT, 0, &[])).0.is_empty());
}

#[test]
fn awkward_names_are_taken_as_they_are() {
    let target = target::tracker();
    let prefix = any_prefix();
    let names = ["a b", "\"'\n\t", "ünïcode/\u{1f600}", "...", "*?[", "-", "x".repeat(255).as_str()]
        .map(|name| format!("{prefix}/{name}"));
    let offers: Vec<Body> = names.iter().map(|name| offer(name, any_hash(), true)).collect();
    let _seeder = member(&target, 1, &offers);
    let mut guest = target.greet();
    for name in &names {
        assert_eq!(the_variant(&mut guest, name, [0; 32], INSPECT).name, *name);
    }
}

#[test]
fn offers_that_cannot_be_true_are_refused() {
    let target = target::tracker();
    let mut member = member(&target, 1, &[]);
    let (file, tree) = (any_prefix(), any_prefix() + "/");
    let about = |name: &str, hash: Hash, size: u64, total: u64, chunks: u32| {
        Body::new().text(name).raw(&hash).u64(size).u64(total).u32(chunks).u8(1).u8(1).u64(0)
    };
    let claim = |name: &str, size: u64, total: u64, chunks: u32| about(name, any_hash(), size, total, chunks);
    for bad in [
        claim(&file, 200_000, 200_000, 3),
        claim(&file, 200_000, 200_000, 5),
        claim(&file, 200_000, 200_001, 4),
        claim(&file, 0, 0, 1),
        claim(&file, (1 << 44) + 1, (1 << 44) + 1, 1 << 20),
        claim(&file, u64::MAX, u64::MAX, u32::MAX),
        claim(&tree, 100, 100, (1 << 21) + 1),
        claim(&tree, (256 << 20) + 1, 100, 1),
        claim(&file, 0, 0, 0),
        claim(&tree, 0, 0, 0),
        about(&file, *blake3::hash(b"").as_bytes(), 1, 1, 1),
        about(&file, [0; 32], 1, 1, 1),
    ] {
        let update = Body::new().list(&[bad]).list(&[]);
        assert_eq!(member.client.ask(id::UPDATE, &update).error(), code::MALFORMED);
    }
    let good = [
        about(&file, *blake3::hash(b"").as_bytes(), 0, 0, 0),
        claim(&file, 1 << 44, 1 << 44, 1 << 20),
        claim(&tree, 100, 1 << 50, 9),
    ];
    member.client.call(id::UPDATE, &Body::new().list(&good).list(&[]), id::OK);
}

#[test]
fn update_takes_away_and_adds_or_does_neither() {
    let target = target::tracker();
    let prefix = any_prefix();
    let [old, new, other] = ["old", "new", "other"].map(|name| format!("{prefix}/{name}"));
    let hash = any_hash();
    let removed = |name: &str| Body::new().text(name).raw(&hash);
    let mut member = member(&target, 1, &[offer(&old, hash, true)]);
    let update = Body::new().list(&[offer(&new, hash, true)]).list(&[removed(&old), removed(&other)]);
    member.client.call(id::UPDATE, &update, id::OK);
    let names = |client: &mut Client| all_names(client, &format!("{prefix}/*"), 100).0;
    assert_eq!(names(&mut member.client), [&*new]);
    let broken =
        Body::new().list(&[offer(&other, hash, true), offer("..", hash, true)]).list(&[removed(&new)]);
    assert_eq!(member.client.ask(id::UPDATE, &broken).error(), code::BAD_NAME);
    assert_eq!(names(&mut member.client), [new]);
}

#[test]
fn an_incomplete_content_grows_until_its_holder_seeds() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let mut leecher = member(&target, 4001, &[offer(&name, hash, false)]);
    let mut guest = target.greet();
    let mut counts = |expected: (u32, u32, u32)| {
        let variant = the_variant(&mut guest, &name, [0; 32], INSPECT);
        assert_eq!((variant.seeders, variant.leechers, variant.holders[0].have), expected);
    };
    counts((0, 1, 0));
    leecher.client.call(id::TRACKER_HAVE, &have(hash, &[(1, 2)]), id::OK);
    counts((0, 1, 2));
    leecher.client.call(id::TRACKER_HAVE, &have(hash, &[(1, 1), (3, 1)]), id::OK);
    counts((0, 1, 3));
    leecher.client.call(id::TRACKER_HAVE, &have(hash, &[(0, 1)]), id::OK);
    counts((1, 0, 4));
}

#[test]
fn have_is_checked() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let mut member = member(&target, 1, &[offer(&name, hash, false)]);
    for bad in [&[(0, 5)][..], &[(4, 1)], &[(u32::MAX, 2)], &[(0, 4), (0, 1)]] {
        assert_eq!(member.client.ask(id::TRACKER_HAVE, &have(hash, bad)).error(), code::MALFORMED, "{bad:?}");
    }
    let tree = Body::new().raw(&hash).u8(AS_TREE).ranges(&[(0, 1)]);
    assert_eq!(member.client.ask(id::TRACKER_HAVE, &tree).error(), code::NOT_REGISTERED, "it is a file");
    let unknown = member.client.ask(id::TRACKER_HAVE, &have(any_hash(), &[(0, 1)]));
    assert_eq!(unknown.error(), code::NOT_REGISTERED);
    member.client.is_alive();
}

#[test]
fn locate_can_ask_for_holders_of_missing_chunks() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let mut low = member(&target, 4001, &[offer(&name, hash, false)]);
    low.client.call(id::TRACKER_HAVE, &have(hash, &[(0, 2)]), id::OK);
    let mut high = member(&target, 4002, &[offer(&name, hash, false)]);
    high.client.call(id::TRACKER_HAVE, &have(hash, &[(2, 2)]), id::OK);
    let mut guest = target.greet();
    for purpose in [INSPECT, FETCH] {
        let mut holders = |missing: &[(u32, u32)]| {
            let (variants, _) = located(&mut guest, &locate(&name, [0; 32], purpose, 256, missing));
            assert_eq!(variants[0].leechers, 2, "all are counted");
            let mut ports: Vec<u16> = variants[0].holders.iter().map(|holder| holder.port).collect();
            ports.sort_unstable();
            ports
        };
        assert_eq!(holders(&[]), [4001, 4002]);
        assert_eq!(holders(&[(0, 1)]), [4001]);
        assert_eq!(holders(&[(3, 1)]), [4002]);
        assert_eq!(holders(&[(1, 2)]), [4001, 4002]);
    }
}

#[test]
fn for_fetching_only_others_that_can_be_dialled_are_named() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let offers = [offer(&name, hash, true)];
    let (mut seeder, _hidden) = (member(&target, 4001, &offers), member(&target, 0, &offers));
    let seen = the_variant(&mut seeder.client, &name, [0; 32], INSPECT);
    assert_eq!((seen.seeders, seen.holders.len()), (2, 2));
    let own = the_variant(&mut seeder.client, &name, [0; 32], FETCH);
    assert_eq!((own.seeders, own.holders.len()), (2, 0));
    assert_eq!(the_variant(&mut target.greet(), &name, [0; 32], FETCH).holders.len(), 1);
}

#[test]
fn max_limits_the_holders_and_counts_stay_whole() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let members: Vec<Member> =
        (0..20).map(|n| member(&target, 4000 + n, &[offer(&name, hash, true)])).collect();
    let mut guest = target.greet();
    for (purpose, max, expected) in
        [(INSPECT, 3, 3), (INSPECT, u16::MAX, 20), (FETCH, 3, 3), (FETCH, 0, 16), (FETCH, 256, 20)]
    {
        let (variants, _) = located(&mut guest, &locate(&name, [0; 32], purpose, max, &[]));
        assert_eq!((variants[0].seeders, variants[0].holders.len()), (20, expected), "{purpose} {max}");
    }
    let (first, again) =
        (the_variant(&mut guest, &name, [0; 32], INSPECT), the_variant(&mut guest, &name, [0; 32], INSPECT));
    assert_eq!(first, again, "INSPECT does not change its order");
    drop(members);
}

#[test]
fn two_contents_under_one_name_are_both_shown() {
    let target = target::tracker();
    let (name, one, two) = (any_prefix(), any_hash(), any_hash());
    let _first = member(&target, 4001, &[offer(&name, one, true)]);
    let _second = member(&target, 4002, &[offer(&name, two, true)]);
    let mut guest = target.greet();
    let (variants, _) = located(&mut guest, &locate(&name, [0; 32], INSPECT, 0, &[]));
    let mut found: Vec<Hash> = variants.iter().map(|variant| variant.hash).collect();
    found.sort_unstable();
    let mut expected = [one, two];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(the_variant(&mut guest, "", two, INSPECT).holders[0].port, 4002);
    let (entries, more) = listing(&mut guest, &name, "", 1);
    let listed: Vec<Hash> = entries.iter().map(|entry| entry.hash).collect();
    assert_eq!((listed, more), (expected.to_vec(), false), "one page, in order of id");
}

#[test]
fn leave_and_a_cut_end_the_registration() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let mut guest = target.greet();
    let mut leaving = member(&target, 4001, &[offer(&name, hash, true)]);
    leaving.client.call(id::LEAVE, &Body::new(), id::OK);
    assert!(located(&mut guest, &locate(&name, [0; 32], INSPECT, 0, &[])).0.is_empty());
    leaving.client.has_ended();
    drop(member(&target, 4001, &[offer(&name, hash, true)]));
    eventually("the tracker notices the cut", || {
        located(&mut guest, &locate(&name, [0; 32], INSPECT, 0, &[])).0.is_empty().then_some(())
    });
}

#[test]
fn a_peer_that_answers_ping_keeps_its_registration() {
    let target = target::tracker();
    let prefix = any_prefix();
    let [first, second] = ["first", "second"].map(|name| format!("{prefix}/{name}"));
    let hash = any_hash();
    let hello = Hello::new(MEMBER);
    let (mut old, mut new) = (target.greet_as(&hello), target.greet_as(&hello));
    old.call(id::REGISTER, &register(4001, &[offer(&first, hash, true)]), id::REGISTERED);
    let claim = register(4002, &[offer(&second, hash, true)]);
    let mut guest = target.greet();
    for _ in 0..2 {
        assert_eq!(new.ask(id::REGISTER, &claim).error(), code::IN_USE);
        let ping = old.read();
        assert_eq!((ping.id, ping.request == 0, ping.body.len()), (id::PING, false, 0));
        old.send(&frame(id::PONG, ping.request, &Body::new()));
        old.is_alive();
    }
    let heartbeat = Body::new().u16(0).u16(0).u64(0);
    assert_eq!(new.ask(id::HEARTBEAT, &heartbeat).error(), code::NOT_REGISTERED);
    assert_eq!(all_names(&mut guest, &format!("{prefix}/*"), 100).0, [&*first]);
    drop(old);
    eventually("who has gone is in nobody's way", || {
        (new.ask(id::REGISTER, &claim).id == id::REGISTERED).then_some(())
    });
    assert_eq!(all_names(&mut guest, &format!("{prefix}/*"), 100).0, [second]);
}

#[test]
fn a_peer_that_is_silent_is_taken_over_within_two_seconds() {
    let target = target::tracker();
    let prefix = any_prefix();
    let [first, second] = ["first", "second"].map(|name| format!("{prefix}/{name}"));
    let hash = any_hash();
    let hello = Hello::new(MEMBER);
    let (mut old, mut new) = (target.greet_as(&hello), target.greet_as(&hello));
    old.call(id::REGISTER, &register(4001, &[offer(&first, hash, true)]), id::REGISTERED);
    let claim = register(4002, &[offer(&second, hash, true)]);
    assert_eq!(new.ask(id::REGISTER, &claim).error(), code::IN_USE);
    eventually("the newcomer is registered", || {
        (new.ask(id::REGISTER, &claim).id == id::REGISTERED).then_some(())
    });
    let mut guest = target.greet();
    let names = |client: &mut Client| all_names(client, &format!("{prefix}/*"), 100).0;
    assert_eq!(names(&mut guest), [&*second]);
    assert_eq!(old.read().id, id::PING);
    let heartbeat = Body::new().u16(0).u16(0).u64(0);
    assert_eq!(old.ask(id::HEARTBEAT, &heartbeat).error(), code::NOT_REGISTERED);
    old.call(id::LEAVE, &Body::new(), id::OK);
    old.has_ended();
    new.call(id::HEARTBEAT, &heartbeat, id::OK);
    assert_eq!(names(&mut guest), [second]);
}

#[test]
fn registering_again_forgets_what_was_before() {
    let target = target::tracker();
    let prefix = any_prefix();
    let [first, second] = ["first", "second"].map(|name| format!("{prefix}/{name}"));
    let mut member = member(&target, 1, &[offer(&first, any_hash(), true)]);
    let again = register(1, &[offer(&second, any_hash(), true), offer(&second, any_hash(), true)]);
    member.client.call(id::REGISTER, &again, id::REGISTERED);
    let names = all_names(&mut member.client, &format!("{prefix}/*"), 100).0;
    assert_eq!(names, [second.clone(), second]);
}

#[test]
fn patterns_match_as_said() {
    let target = target::tracker();
    let prefix = any_prefix();
    let all = ["a.txt", "b.txt", "bb.txt", "d/a.txt", "ü.txt"];
    let offers: Vec<Body> =
        all.iter().map(|name| offer(&format!("{prefix}/{name}"), any_hash(), true)).collect();
    let mut member = member(&target, 1, &offers);
    for (pattern, expected) in [
        (format!("{prefix}/*"), &all[..]),
        (prefix.clone(), &all),
        (format!("{prefix}/?.txt"), &["a.txt", "b.txt", "ü.txt"]),
        (format!("{prefix}/*a.txt"), &["a.txt", "d/a.txt"]),
        (format!("{}*b.txt", &prefix[..prefix.len() - 1]), &["b.txt", "bb.txt"]),
        (format!("{prefix}/??.txt"), &["bb.txt"]),
        (format!("{prefix}/A.txt"), &[]),
        (format!("{prefix}/*?*.md"), &[]),
    ] {
        let names = all_names(&mut member.client, &pattern, 100).0;
        let expected: Vec<String> = expected.iter().map(|name| format!("{prefix}/{name}")).collect();
        assert_eq!(names, expected, "{pattern}");
    }
}

#[test]
fn pages_together_have_every_name_once_in_order() {
    let target = target::tracker();
    let prefix = any_prefix();
    let expected: Vec<String> = (0..500).map(|n| format!("{prefix}/{n:04}")).collect();
    let offers: Vec<Body> = expected.iter().rev().map(|name| offer(name, any_hash(), true)).collect();
    let mut member = member(&target, 1, &offers);
    for limit in [1, 7, 499, 500, 501, u16::MAX] {
        let (names, pages) = all_names(&mut member.client, &format!("{prefix}/*"), limit);
        assert_eq!(names, expected, "by {limit}");
        assert!(limit > 500 || pages >= 500 / usize::from(limit), "{pages} pages of {limit}");
    }
}

#[test]
fn answers_stay_within_a_frame_however_long_the_names() {
    let target = target::tracker();
    let prefix = any_prefix();
    let long = vec!["x".repeat(250); 15].join("/");
    let expected: Vec<String> = (0..400).map(|n| format!("{prefix}/{n:04}/{long}")).collect();
    let hash = any_hash();
    let offers: Vec<Body> = expected.iter().map(|name| offer(name, hash, true)).collect();
    let mut member = member(&target, 1, &offers[..100]);
    for part in offers[100..].chunks(100) {
        member.client.call(id::UPDATE, &Body::new().list(part).list(&[]), id::OK);
    }
    let (names, pages) = all_names(&mut member.client, &format!("{prefix}/*"), 1000);
    assert!(names == expected && pages > 1, "{} names on {pages} pages", names.len());
    assert!(!located(&mut member.client, &locate("", hash, INSPECT, 0, &[])).0.is_empty());
}

#[test]
fn reports_are_taken_and_do_not_remove_a_living_peer() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let accused = member(&target, 4001, &[offer(&name, hash, true)]);
    let mut reporter = member(&target, 4002, &[]);
    let mut report = |complaint: u8, chunk: u32| {
        let body = Body::new().raw(&accused.peer).raw(&hash).u32(chunk).u8(complaint);
        reporter.client.call(id::REPORT, &body, id::OK);
    };
    for _ in 0..10 {
        report(DEAD, 0);
        report(CORRUPT, 1);
    }
    report(MISSING, u32::MAX);
    let mut guest = target.greet();
    let variant = the_variant(&mut guest, &name, [0; 32], FETCH);
    assert_eq!((variant.seeders, variant.holders.len()), (1, 1));
    report(MISSING, 2);
    let variant = the_variant(&mut guest, &name, [0; 32], INSPECT);
    assert_eq!((variant.seeders, variant.leechers, variant.holders[0].have), (1, 0, 4));
    let stranger = Body::new().raw(&[9; 16]).raw(&hash).u32(0).u8(CORRUPT);
    reporter.client.call(id::REPORT, &stranger, id::OK);
}

#[test]
fn load_travels_from_heartbeats_to_answers() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let mut member = member(&target, 4001, &[offer(&name, hash, true)]);
    member.client.call(id::HEARTBEAT, &Body::new().u16(3).u16(2).u64(1 << 40), id::OK);
    assert_eq!(the_variant(&mut member.client, &name, [0; 32], INSPECT).holders[0].load, (3, 2));
}

#[test]
fn status_counts() {
    let target = target::tracker();
    let mut guest = target.greet();
    let mut status = || {
        guest.call(id::GET_STATUS, &Body::new(), id::STATUS).fields(|fields| {
            let (_uptime, epoch) = (fields.u64(), fields.u64());
            let (peers, names) = (fields.u32(), fields.u32());
            (epoch, peers, names, fields.u64(), fields.u64())
        })
    };
    let (epoch, ..) = status();
    let hash = any_hash();
    let mut member =
        member(&target, 1, &[offer(&any_prefix(), hash, true), offer(&any_prefix(), hash, true)]);
    located(&mut member.client, &locate("", hash, INSPECT, 0, &[]));
    let (same, peers, names, registrations, located) = status();
    assert_eq!(same, epoch, "as long as the tracker runs");
    assert!(peers >= 1 && names >= 2 && registrations >= 2 && located >= 1);
}

#[test]
fn peers_are_listed_page_by_page() {
    let target = target::tracker();
    let members: Vec<Member> = (0..5).map(|n| member(&target, 4000 + n, &[])).collect();
    let mut guest = target.greet();
    let mut all: Vec<([u8; 16], u16)> = Vec::new();
    loop {
        let after = all.last().map_or([0; 16], |(peer, _)| *peer);
        let body = Body::new().raw(&after).u16(2);
        let (page, more) = guest.call(id::GET_PEERS, &body, id::PEERS).fields(|fields| {
            let page = fields.list(2, |fields| {
                let (peer, _name, _host, port) = (fields.peer(), fields.text(), fields.text(), fields.u16());
                let (_offers, _uploads, _downloads) = (fields.u32(), fields.u16(), fields.u16());
                let _silent_ms = fields.u32();
                (peer, port)
            });
            (page, fields.flag())
        });
        all.extend(page);
        if !more {
            break;
        }
    }
    assert!(all.is_sorted_by(|a, b| a.0 < b.0), "in order of id");
    for (member, port) in members.iter().zip(4000..) {
        assert!(all.contains(&(member.peer, port)));
    }
}

#[test]
fn a_session_may_come_byte_by_byte() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let mut client = target.greet();
    client.trickle(&frame(id::REGISTER, 2, &register(4001, &[offer(&name, hash, true)])));
    assert_eq!(client.answer_to(2).id, id::REGISTERED);
    client.trickle(&frame(id::LOCATE, 3, &locate(&name, [0; 32], INSPECT, 0, &[])));
    assert_eq!(client.answer_to(3).id, id::LOCATED);
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let target = target::tracker();
    let (name, hash) = (any_prefix(), any_hash());
    let mut member = member(&target, 4001, &[offer(&name, hash, false)]);
    let kinds: [(u8, Body, u8); 7] = [
        (id::LOCATE, locate(&name, [0; 32], FETCH, 1, &[]), id::LOCATED),
        (id::UPDATE, Body::new().list(&[]).list(&[]), id::OK),
        (id::TRACKER_HAVE, have(hash, &[(0, 1)]), id::OK),
        (id::LIST, Body::new().text(&name).text("").u16(1), id::LISTING),
        (id::HEARTBEAT, Body::new().u16(0).u16(0).u64(0), id::OK),
        (id::GET_STATUS, Body::new(), id::STATUS),
        (id::LOCATE, locate("..", [0; 32], FETCH, 1, &[]), id::ERROR),
    ];
    let requests: Vec<(u32, &(u8, Body, u8))> = (100..1100).zip(kinds.iter().cycle()).collect();
    let bytes: Vec<u8> =
        requests.iter().flat_map(|(number, (id, body, _))| frame(*id, *number, body)).collect();
    member.client.send(&bytes);
    for (number, (_, _, answer)) in requests {
        assert_eq!(member.client.answer_to(number).id, *answer);
    }
}

#[test]
fn frames_up_to_the_limit_are_taken() {
    let target = target::tracker();
    let prefix = any_prefix();
    let long = vec!["x".repeat(250); 4].join("/");
    let offers: Vec<Body> =
        (0..900).map(|n| offer(&format!("{prefix}/{n}/{long}"), any_hash(), true)).collect();
    let body = register(1, &offers);
    assert!((900 << 10..MAX_FRAME_BYTES).contains(&body.0.len()), "{} bytes", body.0.len());
    target.greet().call(id::REGISTER, &body, id::REGISTERED);
}

#[test]
fn a_name_means_its_originals() {
    let target = target::tracker();
    let (name, old, new) = (any_prefix(), any_hash(), any_hash());
    let mut copier = member(&target, 4001, &[offer_as(&name, old, true, false)]);
    let stand_in = the_variant(&mut copier.client, &name, [0; 32], INSPECT);
    assert_eq!((stand_in.hash, stand_in.original, stand_in.holders[0].original), (old, false, false));
    let mut author = member(&target, 4002, &[offer(&name, new, true)]);
    let made = the_variant(&mut author.client, &name, [0; 32], INSPECT);
    assert_eq!((made.hash, made.original, made.modified), (new, true, MODIFIED));
    let (entries, _) = listing(&mut author.client, &name, "", 9);
    assert_eq!(entries.iter().map(|entry| entry.hash).collect::<Vec<_>>(), [new]);
    let by_id = the_variant(&mut author.client, "", old, FETCH);
    assert_eq!((by_id.seeders, by_id.original, by_id.holders.len()), (1, false, 1), "copies serve their id");
    let update = Body::new().list(&[offer(&name, old, true)]).list(&[]);
    copier.client.call(id::UPDATE, &update, id::OK);
    let (both, _) = located(&mut author.client, &locate(&name, [0; 32], INSPECT, 0, &[]));
    assert_eq!(both.len(), 2, "it was made an original");
}
