//! Stores by themselves: what a tracker tells them to keep they fetch, keep, report, serve, remember and give up. The tracker
//! is one of the test's own, which says exactly that.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use p2p::content::{Chunk, ChunkSet, FileId, Geometry, PeerId};
use p2p::net::secure::{Expected, Keyring};
use p2p::net::{self, Identity, Messages, trace::Side};
use p2p::wire::{
    Addresses, Authority, Bits, Common, Decline, Discard, Duties, Duty, DutySource, FromServer, FromTracker,
    Holder, Keep, KeptPart, Label, Lend, Lent, List, Located, Name, Offer, Open, Registered, Reluctance,
    Role, Term, ToServer, ToTracker, Variant, View,
};
use support::{Daemon, pattern, run, status_of_a_minute};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const TERM: u128 = 7;
/// How long GET_DUTIES waits.
const LOOK: Duration = Duration::from_millis(500);

/// A tracker that gives the duties that a test puts down.
struct Master {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    authority: u128,
    /// As it says: its records are on a disk.
    lasting: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    peers: BTreeMap<PeerId, Peer>,
    /// What LOCATE is answered with.
    variants: Vec<Variant>,
}

#[derive(Debug, Default, Clone)]
struct Peer {
    name: String,
    addresses: Addresses,
    offers: Vec<Offer>,
    lent: Option<Lend>,
    duties: Vec<Duty>,
    kept: BTreeMap<(FileId, View), KeptPart>,
    /// How often it registered.
    times: usize,
    /// How often all of it was reported.
    reports: usize,
    declined: Vec<Decline>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let me = Identity::new(Keyring::none(), PeerId([77; 16]), "master".into(), 0);
        let session = net::welcome(stream, &me, Side::Tracker, |_| Some(Role::Tracker)).ok()?;
        let mut link = Messages::<ToTracker, FromTracker>::new(session, Side::Tracker);
        let (peer, name) = (link.theirs.peer, link.theirs.name.to_string());
        loop {
            let (request, message) = link.receive().ok()?;
            let answer = self.answer(peer, &name, message);
            self.changed.notify_all();
            link.send(request, &answer).ok()?;
        }
    }

    fn answer(&self, peer: PeerId, name: &str, message: ToTracker) -> FromTracker {
        let mut state = self.state();
        let variants = state.variants.clone();
        let of = state.peers.entry(peer).or_default();
        match message {
            ToTracker::Register(register) => {
                let (addresses, offers) = (register.addresses, register.offers.into_vec());
                let (name, times) = (name.to_owned(), of.times + 1);
                *of = Peer { name, addresses, offers, times, lent: None, ..of.clone() };
                Registered { lease_ms: 30_000, epoch: 1 }.into()
            }
            ToTracker::Update(update) => {
                of.offers.extend(update.added.into_vec());
                Common::Ok.into()
            }
            ToTracker::Lend(lend) => {
                of.lent = Some(lend);
                let (authority, term) = (Authority(self.authority), Term(TERM));
                Lent { authority, term, lasting: self.lasting, recovers: false, report: true, records: false }
                    .into()
            }
            ToTracker::Kept(kept) => {
                for part in kept.parts.into_vec() {
                    of.kept.insert((part.id, part.view), part);
                }
                of.reports += usize::from(kept.last);
                Common::Ok.into()
            }
            ToTracker::Decline(decline) => {
                of.declined.push(decline);
                Common::Ok.into()
            }
            ToTracker::GetDuties(_) => {
                // Who was killed may still seem to wait.
                let times = of.times;
                let idle = |state: &mut State| {
                    state.peers.get(&peer).is_none_or(|of| of.duties.is_empty() && of.times == times)
                };
                let waited = self.changed.wait_timeout_while(state, LOOK, |state| idle(state));
                let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
                let of = state.peers.get_mut(&peer).filter(|of| of.times == times);
                let duties = of.map(|of| std::mem::take(&mut of.duties)).unwrap_or_default();
                Duties { term: Term(TERM), duties: List::new(duties) }.into()
            }
            ToTracker::Locate(_) => Located { variants: List::new(variants), near: List::default() }.into(),
            ToTracker::GetStatus(_) => status_of_a_minute().into(),
            _ => Common::Ok.into(),
        }
    }
}

impl Master {
    fn start(authority: u128) -> Master {
        Master::start_as(authority, true)
    }

    fn start_as(authority: u128, lasting: bool) -> Master {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let shared =
            Arc::new(Shared { authority, lasting, state: Mutex::default(), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = accepting.clone();
                thread::spawn(move || shared.serve(stream));
            }
        });
        Master { addr, shared }
    }

    /// Waits until this is so of the peer of a name.
    #[track_caller]
    fn until<T>(&self, name: &str, what: &str, ready: impl Fn(PeerId, &Peer) -> Option<T>) -> T {
        let find = |state: &State| {
            state.peers.iter().filter(|(_, peer)| peer.name == name).find_map(|(id, peer)| ready(*id, peer))
        };
        let state = self.shared.state();
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| find(state).is_none());
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        find(&state).unwrap_or_else(|| panic!("{name}: {what}; there are {:#?}", state.peers))
    }

    fn tell(&self, name: &str, duty: impl Into<Duty>) {
        let mut state = self.shared.state();
        let peer = state.peers.values_mut().find(|peer| peer.name == name).expect("the peer");
        peer.duties.push(duty.into());
        self.shared.changed.notify_all();
    }

    /// The peers of these names as sources.
    fn sources(&self, names: &[&str]) -> List<DutySource, 16> {
        let state = self.shared.state();
        let peers = state.peers.iter().filter(|(_, peer)| names.contains(&&*peer.name));
        List::new(
            peers
                .map(|(id, peer)| DutySource { peer: *id, addresses: peer.addresses.clone(), spare: false })
                .collect(),
        )
    }

    /// What a peer offers under a name.
    fn offer(&self, peer: &str, name: &str) -> Offer {
        self.until(peer, "it offers that", |_, peer| {
            peer.offers.iter().find(|offer| *offer.name == *name && offer.complete).cloned()
        })
    }

    fn keep(&self, offer: &Offer, view: View, chunks: &ChunkSet, sources: &[&str]) -> Keep {
        Keep {
            id: offer.id,
            view,
            size: offer.size,
            total: offer.total,
            chunks: offer.chunks,
            keep: chunks.into(),
            urgent: true,
            code: None,
            sources: self.sources(sources),
        }
    }

    /// Waits until a store has reported that it keeps exactly these chunks.
    #[track_caller]
    fn until_kept(&self, name: &str, offer: &Offer, view: View, chunks: &ChunkSet) {
        let bits: Bits = chunks.into();
        self.until(name, "it keeps that", |_, peer| {
            peer.kept
                .get(&(offer.id, view))
                .filter(|part| part.have == bits && part.chunks == offer.chunks)
                .map(drop)
        });
    }

    /// From now on LOCATE says that these have all of it.
    fn located(&self, offer: &Offer, names: &[&str]) {
        let holder = |(id, peer): (&PeerId, &Peer)| Holder {
            peer: *id,
            name: Label::new(&peer.name),
            addresses: peer.addresses.clone(),
            have: offer.chunks,
            uploads: 0,
            downloads: 0,
            original: false,
        };
        let mut state = self.shared.state();
        let holders = state.peers.iter().filter(|(_, peer)| names.contains(&&*peer.name)).map(holder);
        let variant = Variant {
            name: offer.name.clone(),
            id: offer.id,
            size: offer.size,
            total: offer.total,
            chunks: offer.chunks,
            seeders: 1,
            leechers: 0,
            original: true,
            agreed: true,
            modified: 0,
            version: 0,
            code: None,
            holders: List::new(holders.collect()),
        };
        state.variants = vec![variant];
    }

    fn peer(&self, folder: &Path, name: &str, more: &[&str]) -> Daemon {
        Daemon::peer(folder, &[&["--tracker", &self.addr.to_string(), "--name", name], more].concat())
    }

    fn store(&self, folder: &Path, name: &str, more: &[&str]) -> Daemon {
        let store = self.peer(folder, name, &[&["--store", "100MB"], more].concat());
        self.until(name, "it lends", |_, peer| (peer.reports > 0).then_some(()));
        store
    }
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// What the disk has given to the slabs of a store.
fn slabs(folder: &Path) -> u64 {
    let inside = fs::read_dir(folder.join(".p2p/vault")).expect("a vault").flatten();
    let slab = inside.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "slab"));
    slab.map(|entry| entry.metadata().expect("a slab").blocks() * 512).sum()
}

/// Every chunk whose number leaves this when divided by three does not belong to it.
fn but(chunks: u32, left: u32) -> ChunkSet {
    let mut set = ChunkSet::empty(chunks);
    (0..chunks).filter(|chunk| chunk % 3 != left).for_each(|chunk| assert!(set.insert(Chunk(chunk))));
    set
}

#[test]
fn what_a_store_is_told_to_keep_outlives_who_brought_it_and_the_stores_own_end() {
    let master = Master::start(1);
    let (shared, kept, got) = (folder(), folder(), folder());
    let bytes = pattern(5_000_000, 1);
    fs::write(shared.path().join("film"), &bytes).expect("a file");
    let alice = master.peer(shared.path(), "alice", &[]);
    let store = master.store(kept.path(), "store", &["--zone", "cellar"]);
    let lent = master.until("store", "it says what it lends", |_, peer| peer.lent.clone());
    assert_eq!((lent.capacity, &*lent.zone, lent.authority), (100_000_000, "cellar", Authority(1)));
    assert!(!lent.machine.is_empty());
    let offer = master.offer("alice", "film");
    let all = ChunkSet::full(offer.chunks);
    master.tell("store", master.keep(&offer, View::Bytes, &all, &["alice"]));
    master.until_kept("store", &offer, View::Bytes, &all);
    let used = master.until("store", "it says what is taken", |_, peer| {
        peer.lent.as_ref().map(|lent| lent.used).filter(|used| *used > 5_000_000)
    });
    assert!(used < 6_000_000, "{used}");
    alice.kill();
    store.kill();

    master.shared.state().peers.values_mut().for_each(|peer| peer.kept.clear());
    let store = master.store(kept.path(), "store", &[]);
    master.until_kept("store", &offer, View::Bytes, &all);
    master.located(&offer, &["store"]);
    let target = got.path().join("film");
    let tracker = master.addr.to_string();
    run(&["get", "film", target.to_str().expect("UTF-8"), "--tracker", &tracker, "--wait", "20s"]).expect(0);
    assert!(fs::read(&target).expect("the file") == bytes);

    // And given up, when it is told so in the term of now.
    let none = ChunkSet::empty(offer.chunks);
    let discard = |chunks: &ChunkSet| Discard { id: offer.id, view: View::Bytes, chunks: chunks.into() };
    master.tell("store", discard(&but(offer.chunks, 0)));
    let mut left = all.clone();
    but(offer.chunks, 0).iter().for_each(|chunk| assert!(left.remove(chunk)));
    master.until_kept("store", &offer, View::Bytes, &left);
    master.tell("store", discard(&all));
    master.until_kept("store", &offer, View::Bytes, &none);
    store.stop().expect(0);
}

#[test]
fn of_another_version_only_what_differs_is_fetched_and_takes_room() {
    let master = Master::start(1);
    let (shared, kept, got) = (folder(), folder(), folder());
    let mut bytes = pattern(8_000_000, 1);
    fs::write(shared.path().join("film"), &bytes).expect("a file");
    let alice = master.peer(shared.path(), "alice", &[]);
    let _store = master.store(kept.path(), "store", &[]);
    let first = master.offer("alice", "film");
    let all = ChunkSet::full(first.chunks);
    master.tell("store", master.keep(&first, View::Bytes, &all, &["alice"]));
    master.until_kept("store", &first, View::Bytes, &all);
    let sent = || {
        let status = run(&["status", shared.path().to_str().expect("UTF-8"), "--json"]).expect(0);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
        status["sent"].as_u64().expect("a number")
    };
    let (sent_before, room_before) = (sent(), slabs(kept.path()));
    bytes[3_000_000] ^= 1;
    fs::write(shared.path().join("film"), &bytes).expect("a file");
    let second = master.until("alice", "it offers the new version", |_, peer| {
        peer.offers.iter().find(|offer| *offer.name == *"film" && offer.id != first.id).cloned()
    });
    master.tell("store", master.keep(&second, View::Bytes, &all, &["alice"]));
    master.until_kept("store", &second, View::Bytes, &all);
    assert_eq!(sent() - sent_before, 65_536, "one chunk has changed");
    assert_eq!(slabs(kept.path()) - room_before, 65_536);
    alice.kill();
    master.located(&second, &["store"]);
    let target = got.path().join("film");
    let tracker = master.addr.to_string();
    run(&["get", "film", target.to_str().expect("UTF-8"), "--tracker", &tracker, "--wait", "20s"]).expect(0);
    assert!(fs::read(&target).expect("the file") == bytes);
}

#[test]
fn stores_keep_parts_of_a_folder_take_them_from_each_other_and_together_have_it_all() {
    let master = Master::start(1);
    let (shared, got) = (folder(), folder());
    let photos = shared.path().join("photos");
    fs::create_dir_all(photos.join("in/side")).expect("a folder");
    fs::write(photos.join("large"), pattern(3_000_000, 2)).expect("a file");
    fs::write(photos.join("empty"), []).expect("a file");
    (0..40).for_each(|at| {
        fs::write(photos.join(format!("in/side/{at}")), pattern(100 + at, at as u8)).expect("a file")
    });
    let alice = master.peer(shared.path(), "alice", &[]);
    let offer = master.offer("alice", "photos/");
    let places = [folder(), folder(), folder()];
    let names = ["one", "two", "three"];
    let stores: Vec<Daemon> =
        places.iter().zip(names).map(|(place, name)| master.store(place.path(), name, &[])).collect();
    let parts: Vec<ChunkSet> = (0..3).map(|left| but(offer.chunks, left)).collect();
    for (name, part) in names.iter().zip(&parts) {
        let others: Vec<&str> =
            names.iter().copied().filter(|other| other != name).chain(["alice"]).collect();
        master.tell(name, master.keep(&offer, View::Members, part, &others));
    }
    for (name, part) in names.iter().zip(&parts) {
        master.until_kept(name, &offer, View::Members, part);
    }
    alice.kill();
    let mut again = Vec::new();
    let tracker = master.addr.to_string();
    for (number, lost) in stores.into_iter().enumerate() {
        master.located(&offer, &names);
        lost.kill();
        let target = got.path().join(number.to_string());
        let target_at = target.to_str().expect("UTF-8");
        run(&["get", "photos/", target_at, "--tracker", &tracker, "--wait", "20s"]).expect(0);
        assert!(fs::read(target.join("large")).expect("a file") == pattern(3_000_000, 2));
        for at in 0..40 {
            let read = fs::read(target.join(format!("in/side/{at}"))).expect("a file");
            assert!(read == pattern(100 + at, at as u8));
        }
        again.push(master.store(places[number].path(), names[number], &[]));
    }
}

#[test]
fn what_cannot_be_kept_is_declined_with_its_reason() {
    let master = Master::start(1);
    let kept = folder();
    let _store = master.store(kept.path(), "store", &[]);
    let keep = |id: &[u8], size: u64| {
        let chunks = Geometry::of(size).expect("a size").chunks();
        let offer = Offer {
            name: Name::new("x"),
            id: FileId::of(id),
            size,
            total: size,
            chunks,
            complete: true,
            original: true,
            modified: 0,
        };
        master.keep(&offer, View::Bytes, &ChunkSet::full(chunks), &[])
    };
    master.tell("store", keep(b"too large", 1 << 30));
    master.tell("store", keep(b"with nobody", 1 << 20));
    let reasons = master.until("store", "it declines both", |_, peer| {
        (peer.declined.len() >= 2)
            .then(|| peer.declined.iter().map(|decline| decline.reason).collect::<BTreeSet<Reluctance>>())
    });
    assert_eq!(reasons, [Reluctance::NoSpace, Reluctance::NoSource].into());
}

#[test]
fn a_fetch_that_is_broken_off_leaves_nothing_but_what_is_kept() {
    let master = Master::start(1);
    let (shared, kept) = (folder(), folder());
    fs::write(shared.path().join("film"), pattern(8_000_000, 1)).expect("a file");
    let alice = master.peer(shared.path(), "alice", &["--up", "1MB/s"]);
    let store = master.store(kept.path(), "store", &[]);
    let offer = master.offer("alice", "film");
    let content = (offer.id, View::Bytes);
    master.tell("store", master.keep(&offer, View::Bytes, &ChunkSet::full(offer.chunks), &["alice"]));
    let is_some = |part: &&KeptPart| part.have.to_set(part.chunks).is_some_and(|have| !have.is_empty());
    master.until("store", "some of it is kept", |_, peer| peer.kept.get(&content).filter(is_some).map(drop));
    // Somebody is served from it while it comes, and stays.
    let me = Identity::new(Keyring::none(), PeerId([78; 16]), "reader".into(), 0);
    let stream = net::dial(&store.target()).expect("a store that listens");
    let session =
        net::greet(stream, (&me, Role::Ask), Expected::Anybody, Side::Fetch, PATIENCE).expect("a peer");
    let mut reader = Messages::<FromServer, ToServer>::new(session, Side::Fetch);
    let opened = reader.call(&Open { slot: 0, id: offer.id, view: View::Bytes }.into()).expect("an answer");
    assert!(matches!(opened, FromServer::Opened(_)), "{opened:?}");
    alice.kill();
    master.until("store", "it has no source", |_, peer| {
        peer.declined.iter().any(|decline| decline.reason == Reluctance::NoSource).then_some(())
    });
    master.until("store", "only what is kept takes room", |_, peer| {
        let part = peer.kept.get(&content)?;
        let bytes = u64::from(part.have.to_set(part.chunks)?.count()) * 65_536;
        let used = peer.lent.as_ref()?.used;
        (slabs(kept.path()) == bytes && used < bytes + (1 << 20)).then_some(())
    });
}

#[test]
fn a_store_goes_over_by_itself_only_from_one_tracker_without_a_disk_to_another() {
    let passing = |authority| Master::start_as(authority, false);
    let (first, second, lasting) = (passing(1), passing(2), Master::start(3));
    let kept = folder();
    first.store(kept.path(), "store", &[]).stop().expect(0);
    second.store(kept.path(), "store", &[]).stop().expect(0);
    let refused = lasting.peer(kept.path(), "store", &["--store", "100MB"]);
    refused.wait_for_log("serves another tracker");
    refused.stop().expect(0);
    lasting.store(kept.path(), "store", &["--adopt"]).stop().expect(0);
    let refused = passing(4).peer(kept.path(), "store", &["--store", "100MB"]);
    refused.wait_for_log("serves another tracker");
    refused.stop().expect(0);
}

#[test]
fn a_store_serves_one_authority_until_it_is_told_to_go_over() {
    let (master, other) = (Master::start(1), Master::start(2));
    let kept = folder();
    master.store(kept.path(), "store", &[]).stop().expect(0);
    let refused = other.peer(kept.path(), "store", &["--store", "100MB"]);
    refused.wait_for_log("serves another tracker");
    refused.stop().expect(0);
    let lent = other.until("store", "it said whom it serves", |_, peer| peer.lent.clone());
    assert_eq!(lent.authority, Authority(1));
    other.store(kept.path(), "store", &["--adopt"]).stop().expect(0);
    let lent = other.until("store", "it said whom it serves", |_, peer| peer.lent.clone());
    assert_eq!((lent.authority, lent.term), (Authority(2), Term(TERM)));
}

#[test]
fn what_nobody_waits_for_comes_when_others_are_not_served() {
    const FILM: usize = 32_000_000;
    let master = Master::start(1);
    let (shared, kept, got) = (folder(), folder(), folder());
    fs::write(shared.path().join("film"), pattern(FILM, 1)).expect("a file");
    fs::write(shared.path().join("other"), pattern(60_000_000, 2)).expect("a file");
    let _alice = master.peer(shared.path(), "alice", &["--up", "8MB/s"]);
    let _store = master.store(kept.path(), "store", &[]);
    let (film, other) = (master.offer("alice", "film"), master.offer("alice", "other"));
    let all = ChunkSet::full(other.chunks);
    let keep = Keep { urgent: false, ..master.keep(&other, View::Bytes, &all, &["alice"]) };
    master.tell("store", keep);
    let held = || {
        master.until("store", "some of it is kept", |_, peer| {
            let part = peer.kept.get(&(other.id, View::Bytes))?;
            part.have.to_set(part.chunks).map(|have| have.count()).filter(|chunks| *chunks > 0)
        })
    };
    held();
    master.located(&film, &["alice"]);
    let target = got.path().join("film");
    let tracker = master.addr.to_string();
    let before = held();
    run(&["get", "film", target.to_str().expect("UTF-8"), "--tracker", &tracker, "--wait", "20s"]).expect(0);
    let came = u64::from(held() - before) * 65_536;
    assert!(fs::read(&target).expect("the file") == pattern(FILM, 1));
    // As much as the film, if both were served alike; and it goes on before the first chunk of that and behind the last.
    assert!(came < FILM as u64 / 4, "{came} bytes came that could wait");
    master.until_kept("store", &other, View::Bytes, &all);
}
