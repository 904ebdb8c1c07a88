//! Claims about an id that are not so: whoever fetches gets the true content or nothing, and is not kept waiting.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use p2p::content::{Address, Claim, FileId, PeerId};
use p2p::wire::{Holder, Label, List, Name, Variant};

use crate::client::{Body, Client, Hello, MEMBER, id, register};
use crate::false_tracker::FalseTracker;
use crate::lab::{DONE, Lab, UNREACHABLE, one_file, outcome};
use crate::liar::{Liar, Lie};
use crate::support::{Daemon, Sample, pattern, run};

const USAGE: i32 = 2;
/// How much later than without false claims a content may be here.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// What a busy machine adds to everything.
const SLACK: Duration = Duration::from_secs(2);

/// The Offer of a file of so many bytes.
pub fn offer(name: &str, hash: [u8; 32], size: u64) -> Body {
    let chunks = Claim::of_file(size).expect("a size").chunks;
    offer_of(name, hash, (size, size, chunks))
}

pub fn offer_of(name: &str, hash: [u8; 32], (size, total, chunks): (u64, u64, u32)) -> Body {
    Body::new().text(name).raw(&hash).u64(size).u64(total).u32(chunks).u8(1).u8(1).u64(0)
}

/// Registers an offer, by a peer that is said to listen at `port`.
#[track_caller]
pub fn claim(lab: &Lab, offer: Body, port: u16) -> Client {
    let (mut member, _) = Client::greet(&lab.tracker.target(), &Hello::new(MEMBER)).unwrap();
    member.call(id::REGISTER, &register(port, &[offer]), id::REGISTERED).unwrap();
    member
}

/// What a tracker says of a content of this size with one holder at `ip`.
fn variant(name: &str, content: FileId, claim: Claim, ip: [u8; 4], port: u16) -> Variant {
    let holder = Holder {
        peer: PeerId([9; 16]),
        name: Label::new("somebody"),
        addresses: List::new(vec![Address::new(ip.into(), port).expect("it can be dialled")]),
        have: claim.chunks,
        uploads: 0,
        downloads: 0,
        original: true,
    };
    Variant {
        name: Name::new(name),
        id: content,
        size: claim.size,
        total: claim.total,
        chunks: claim.chunks,
        seeders: 2,
        leechers: 0,
        original: true,
        agreed: true,
        modified: 0,
        version: 0,
        code: None,
        holders: List::new(vec![holder]),
    }
}

fn file(size: u64) -> Claim {
    Claim::of_file(size).expect("a size")
}

/// `get` of what a false tracker tells of, into `dest`.
#[track_caller]
fn get(tracker: &FalseTracker, what: &str, dest: &str, args: &[&str]) -> crate::support::Output {
    let common = ["get", what, dest, "--listen", "127.0.0.1:0", "--tracker", &tracker.target()];
    run(&[&common, args].concat())
}

#[test]
fn no_bytes_under_the_id_of_some_are_never_a_file() {
    let content = FileId::of(b"content");
    let tracker = FalseTracker::start(vec![variant(
        "file",
        content,
        Claim { size: 0, total: 0, chunks: 0, tree: false },
        [10, 0, 0, 1],
        1,
    )]);
    let place = tempfile::tempdir().expect("a folder");
    let dest = place.path().join("file");
    let there = dest.to_str().expect("a UTF-8 path");
    for what in ["file".to_owned(), content.to_string(), format!("p2p:{content}?name=file&size=7")] {
        let failed = get(&tracker, &what, there, &["--wait", "500ms"]);
        assert_ne!(failed.code(), DONE, "{what}: {}", failed.stdout);
        assert!(!dest.exists(), "{what}");
        // A right file stays what it is, whatever may be replaced.
        fs::write(&dest, "content").expect("a file");
        let failed = get(&tracker, &what, there, &["--wait", "500ms", "--force"]);
        assert_ne!(failed.code(), DONE, "{what}: {}", failed.stdout);
        assert_eq!(fs::read(&dest).expect("the file"), b"content");
        fs::remove_file(&dest).expect("the file goes");
    }
    assert_eq!(get(&tracker, &format!("p2p:{content}?name=file&size=0"), there, &[]).code(), USAGE);
}

#[test]
fn a_running_peer_takes_no_false_claim_over() {
    let content = pattern(200_000, 1);
    let hash = FileId::of(&content);
    let source = Lab::new();
    let sample = one_file("file", content.clone());
    let honest = source.peer(&sample, "honest", &[]);
    let nothing =
        variant("file", hash, Claim { size: 0, total: 0, chunks: 0, tree: false }, [127, 0, 0, 1], 1);
    let truth = variant("file", hash, file(200_000), [127, 0, 0, 1], honest.addr().port());
    let tracker = FalseTracker::start(vec![nothing, truth]);
    let folder = Sample::empty();
    let _peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    let dest = folder.path().join("file");
    get(&tracker, "file", dest.to_str().expect("a UTF-8 path"), &["--wait", "20s"]).expect(DONE);
    assert!(fs::read(&dest).expect("the file") == content);
    let about = tracker.offered().into_iter().filter(|offer| offer.id == hash);
    assert!(about.map(|offer| offer.size).all(|size| size == 200_000));
}

#[test]
fn an_address_that_nobody_can_dial_keeps_nobody_past_the_wait() {
    let content = FileId::of(b"content");
    let variants = vec![variant("file", content, file(7), [10, 9, 9, 9], 9)];
    let tracker = FalseTracker::with_bytes(variants, (&[10, 9, 9, 9], &[0; 4]));
    let place = tempfile::tempdir().expect("a folder");
    let start = Instant::now();
    let dest = place.path().to_str().expect("a UTF-8 path");
    let failed = get(&tracker, &content.to_string(), dest, &["--wait", "1s"]);
    assert_ne!(failed.code(), DONE);
    assert!(!failed.stderr.contains("panicked"), "{}", failed.stderr);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    let link = format!("p2p:{content}?tracker=a%00b:1");
    assert_eq!(get(&tracker, &link, dest, &[]).code(), USAGE);
}

#[test]
fn impossible_claims_of_a_tree_neither_spin_nor_hang() {
    let content = FileId::of(b"listing");
    let large = |size| Claim { size, total: 5, chunks: 1, tree: true };
    let variants = [300 << 20, 301 << 20].map(|size| variant("t/", content, large(size), [127, 0, 0, 1], 1));
    let place = tempfile::tempdir().expect("a folder");
    let dest = place.path().to_str().expect("a UTF-8 path");
    let tracker = FalseTracker::start(variants.to_vec());
    assert_ne!(get(&tracker, "t/", dest, &["--wait", "1s"]).code(), DONE);
    assert!(tracker.located() < 20, "{}", tracker.located());
    // What is possible, and nobody can prove.
    let variants = [100, 101].map(|size| variant("t/", content, large(size), [127, 0, 0, 1], 1));
    let tracker = FalseTracker::start(variants.to_vec());
    let start = Instant::now();
    let failed = get(&tracker, "t/", dest, &["--wait", "1s"]).expect(UNREACHABLE);
    assert!(failed.stderr.contains("2 different sizes"), "{}", failed.stderr);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert!(tracker.located() < 20, "{}", tracker.located());
}

/// A file that an honest peer shares.
struct Town {
    lab: Lab,
    content: Vec<u8>,
    hash: [u8; 32],
    _honest: (Daemon, Sample),
}

impl Town {
    fn new(len: usize) -> Town {
        let lab = Lab::new();
        let content = pattern(len, 3);
        let hash = *blake3::hash(&content).as_bytes();
        let sample = one_file("file", content.clone());
        let honest = lab.peer(&sample, "honest", &[]);
        lab.wait_for_seeders("file", 1);
        Town { lab, content, hash, _honest: (honest, sample) }
    }

    #[track_caller]
    fn fetch(&self, what: &str) -> Duration {
        let start = Instant::now();
        let status = outcome(&self.lab.get(what, &["--wait", "20s"]).expect(DONE));
        let took = start.elapsed();
        assert_eq!(status["bytes_total"], self.content.len());
        self.lab.expect_file("file", &self.content);
        fs::remove_file(self.lab.fetched("file")).expect("the file goes");
        took
    }
}

#[test]
fn twenty_false_sizes_delay_the_true_one_by_a_second_at_most() {
    for len in [5_000, 300_000] {
        let town = Town::new(len);
        let alone = town.fetch("file");
        // Connections to it are made, and never answered.
        let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = mute.local_addr().expect("its address").port();
        let ports = [1, port, port, port];
        let sizes = (1..=20).map(|nth| len as u64 - nth);
        let members: Vec<Client> = sizes
            .zip(ports.into_iter().cycle())
            .map(|(size, port)| claim(&town.lab, offer("file", town.hash, size), port))
            .collect();
        // Of one of them there are more holders than of the true one.
        let more = claim(&town.lab, offer("file", town.hash, len as u64 - 1), port);
        let link = format!("p2p:{}?name=file&size={len}", FileId(town.hash));
        for what in ["file", &FileId(town.hash).to_string(), &link] {
            let beside = town.fetch(what);
            println!("{len} bytes: {alone:?} alone, {beside:?} beside {} claims", members.len() + 1);
            assert!(beside <= alone + MAX_DELAY + SLACK, "{beside:?}, alone {alone:?}");
        }
        drop((members, more));
    }
}

#[test]
fn who_serves_another_content_under_the_id_pays_for_it() {
    let town = Town::new(300_000);
    let longer = pattern(700_000, 4);
    let lie = Lie::Impostor(town.hash);
    let liars: Vec<Liar> =
        (0..3).map(|_| Liar::start(&town.lab, "file", longer.clone(), lie.clone())).collect();
    town.fetch(&FileId(town.hash).to_string());
    assert!(liars.iter().any(Liar::was_asked));
}

#[test]
fn whoever_believed_the_only_claim_believes_the_proof_of_another_that_comes_later() {
    let lab = Lab::new();
    let content = pattern(300_000, 5);
    let hash = *blake3::hash(&content).as_bytes();
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = mute.local_addr().expect("its address").port();
    let _liar = claim(&lab, offer("file", hash, 300_001), port);
    let fetching = lab.fetching("file", &["--wait", "forever"]);
    mute.accept().expect("it is asked");
    let sample = one_file("file", content.clone());
    let _honest = lab.peer(&sample, "honest", &[]);
    let output = fetching.wait().expect(DONE);
    assert_eq!(outcome(&output)["bytes_total"], content.len());
    lab.expect_file("file", &content);
}

#[test]
fn false_claims_of_a_folder_keep_nobody_from_it() {
    let lab = Lab::new();
    let mut sample = Sample::empty();
    (0..9).for_each(|nth| drop(sample.add(&format!("t/{nth}"), pattern(70_000, nth))));
    let _honest = lab.peer(&sample, "honest", &[]);
    lab.wait_for_seeders("t/", 1);
    let found = lab.ask(&["find", "t/", "--json", "--wait", "0"]).expect(DONE);
    let found = crate::lab::json(found.stdout.lines().next().expect("a line"));
    let hash = found["id"].as_str().expect("an id").parse::<FileId>().expect("an id").0;
    let total = 9 * 70_000;
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = mute.local_addr().expect("its address").port();
    let lies =
        [(100, total, 18), (101, 1, 1), (1 << 20, total, 18), (8, 0, 0), (256 << 20, u64::MAX, 1 << 21)];
    let _members: Vec<Client> =
        lies.into_iter().map(|lie| claim(&lab, offer_of("t/", hash, lie), port)).collect();
    let start = Instant::now();
    lab.get("t/", &["--wait", "20s"]).expect(DONE);
    println!("beside {} claims of a folder: {:?}", lies.len(), start.elapsed());
    assert!(start.elapsed() < MAX_DELAY + SLACK + SLACK, "{:?}", start.elapsed());
    sample.expect_copy("t/", &lab.fetched("t"));
}

#[test]
fn the_size_in_a_link_binds() {
    let town = Town::new(300_000);
    let link = format!("p2p:{}?name=file&size=300001", FileId(town.hash));
    let refused = town.lab.get(&link, &["--wait", "0"]).expect(UNREACHABLE);
    assert!(refused.stderr.contains("nothing else is tried"), "{}", refused.stderr);
    assert!(!town.lab.fetched("file").exists());
}

#[test]
fn what_is_claimed_as_a_file_and_as_a_folder_is_what_its_bytes_say() {
    let lab = Lab::new();
    let content = pattern(200_000, 1);
    let sample = one_file("folder/file", content.clone());
    let _peer = lab.peer(&sample, "honest", &[]);
    lab.wait_for_seeders("folder/", 1);
    let file = FileId::of(&content);
    let folder: FileId = lab.id_of("folder/").and_then(|id| id.parse().ok()).expect("an id");
    // One claims the file as a folder, in the same size, and one the folder as a file.
    let as_folder = offer_of("file/", file.0, (200_000, 5, 1));
    let _one = claim(&lab, as_folder, 9);
    let _other = claim(&lab, offer("folder", folder.0, 100), 9);
    for (what, name) in [(format!("id:{file}"), "a"), (format!("p2p:{file}"), "b")] {
        lab.get(&what, &["--wait", "20s", "--as", name]).expect(DONE);
        lab.expect_file(name, &content);
    }
    lab.get(&format!("id:{folder}"), &["--wait", "20s", "--as", "c"]).expect(DONE);
    lab.expect_file("c/file", &content);
    // Asked of a running peer, too.
    let other = Sample::empty();
    let _running = lab.peer(&other, "running", &[]);
    let dest = other.path().join("d");
    lab.ask(&["get", &format!("id:{file}"), dest.to_str().expect("a UTF-8 path"), "--wait", "20s"])
        .expect(DONE);
    assert!(fs::read(&dest).expect("the file") == content);
}
