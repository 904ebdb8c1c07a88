//! Stores, uploads and who asks for what is kept, as messages.

use super::*;
use crate::wire::{
    Authority, Bits, ClientId, Duties, Duty, GetDuties, GetHealth, GetStores, Health, Kept, KeptPart, Lend,
    Lent, Policy, Remove, Removed, SetStore, Store, StoreChange, StoreState, Stored, Stores, Storing, Term,
    Version,
};

const NAME: &str = "f";

fn lend(authority: Authority, term: Term) -> Lend {
    Lend { capacity: 1 << 30, used: 0, zone: Label::default(), machine: Label::new("m"), authority, term }
}

fn kept(have: Bits) -> Kept {
    let part = KeptPart { id: ID, view: View::Bytes, chunks: 3, have };
    Kept { parts: List::new(vec![part]), last: false }
}

fn store_of(copies: u8) -> Store {
    let offer = offer(NAME);
    let version = Version {
        number: 0,
        id: ID,
        size: offer.size,
        total: offer.total,
        chunks: offer.chunks,
        policy: Policy::copies(copies).unwrap(),
        stamp_ms: 0,
        publisher: Label::new("anna"),
    };
    let (client, name) = (ClientId(9), Name::new(NAME));
    Store { client, seq: 1, name, version, expect: 0, degraded: false, wait_ms: 5000 }
}

fn duties(wait_ms: u32) -> GetDuties {
    GetDuties { term: Term(0), wait_ms }
}

#[track_caller]
pub(super) fn answer(reply: Reply) -> FromTracker {
    assert_eq!((reply.close, &reply.effect), (false, &None));
    reply.answer.expect("an answer")
}

impl Scene {
    /// One after the first seconds, in which stores that were here before may not have come yet.
    fn settled() -> Scene {
        let mut scene = Scene::new();
        scene.now += Duration::from_secs(6);
        scene
    }

    /// A store that has written down whom it serves, and holds nothing.
    fn lending(&self, connection: u64) -> Session {
        let mut session = session(connection, connection as u8);
        let registered = self.answer(&mut session, register(&[]));
        assert_eq!(registered.effect, Some(Effect::Keep));
        let Some(FromTracker::Lent(lent)) = self.answer(&mut session, lend(Authority::NONE, Term(0))).answer
        else {
            panic!("no LENT")
        };
        assert!(!lent.report, "it serves nobody yet");
        let lent = answer(self.answer(&mut session, lend(lent.authority, lent.term)));
        assert!(matches!(lent, FromTracker::Lent(Lent { report: true, records: true, .. })), "{lent:?}");
        assert_eq!(self.answer(&mut session, Kept { parts: List::default(), last: true }), ok());
        session
    }

    /// What a store is told on a connection of its own.
    fn duties(&self, asking: &mut Session) -> Vec<Duty> {
        match answer(self.answer(asking, duties(0))) {
            FromTracker::Duties(Duties { duties, .. }) => duties.into_vec(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_upload_waits_for_two_stores_and_is_recorded_once() {
    let scene = Scene::settled();
    let (mut one, mut two) = (scene.lending(1), scene.lending(2));
    let _sharer = scene.registered(3, NAME);
    let mut uploader = session(4, 4);
    let reply = scene.answer(&mut uploader, store_of(2));
    assert!(matches!(reply, Reply { answer: None, effect: Some(Effect::Wait(_)), .. }), "{reply:?}");
    let (mut asks_one, mut asks_two) = (session(5, 1), session(6, 2));
    for (asking, other) in [(&mut asks_one, 2), (&mut asks_two, 1)] {
        let duties = scene.duties(asking);
        let [Duty::Keep(keep)] = &duties[..] else { panic!("{duties:?}") };
        assert_eq!((keep.id, keep.chunks, &keep.keep, keep.urgent), (ID, 3, &Bits::All, true));
        let sources: Vec<(PeerId, bool)> = keep.sources.iter().map(|from| (from.peer, from.spare)).collect();
        assert_eq!(sources, [(PeerId([3; 16]), true), (PeerId([other; 16]), false)]);
    }
    assert_eq!(scene.answer(&mut one, kept(Bits::All)), ok());
    assert!(scene.shared.take_wakes().contains(&4), "the uploader may have something to hear");
    let reply = uploader.go_on(&scene.shared, scene.now);
    assert!(matches!(reply.effect, Some(Effect::Wait(_))), "{reply:?}");
    assert_eq!(scene.answer(&mut two, kept(Bits::All)), ok());
    let stored = FromTracker::from(Stored { number: 1, fresh: true });
    assert_eq!(answer(uploader.go_on(&scene.shared, scene.now)), stored);
    assert_eq!(answer(scene.answer(&mut uploader, store_of(2))), stored, "the same change is made once");
    let again = Store { seq: 2, ..store_of(2) };
    let stored = FromTracker::from(Stored { number: 1, fresh: false });
    assert_eq!(answer(scene.answer(&mut uploader, again)), stored);
}

/// Two stores hold all that is published.
fn published() -> (Scene, [Session; 2]) {
    let scene = Scene::settled();
    let (mut one, mut two) = (scene.lending(1), scene.lending(2));
    let mut uploader = session(4, 4);
    let _waits = scene.answer(&mut uploader, store_of(2));
    for store in [&mut one, &mut two] {
        assert_eq!(scene.answer(store, kept(Bits::All)), ok());
    }
    assert!(matches!(answer(uploader.go_on(&scene.shared, scene.now)), FromTracker::Stored(_)));
    (scene, [one, two])
}

#[test]
fn a_store_comes_on_record_when_it_keeps_something_that_is_promised() {
    let on_record = |scene: &Scene, store| scene.shared.records().store(PeerId([store; 16])).is_some();
    let (scene, _stores) = published();
    let _empty = scene.lending(3);
    for store in 1..4 {
        let mut asks = session(10 + u64::from(store), store);
        let _told = scene.duties(&mut asks);
    }
    assert_eq!([1, 2, 3].map(|store| on_record(&scene, store)), [true, true, false]);
    // Of one that is to leave somebody has spoken.
    let leaves = |store| SetStore {
        client: ClientId(8),
        seq: u64::from(store),
        store: PeerId([store; 16]),
        change: StoreChange::Leave,
    };
    assert_eq!(answer(scene.answer(&mut session(20, 20), leaves(3))), Common::Ok.into());
    assert!(on_record(&scene, 3));
    assert_eq!(code(scene.answer(&mut session(21, 20), leaves(4))), ErrorCode::NotFound, "nobody knows it");
    // One that is away can be forgotten, whether it has come on record or not.
    let mut goes = scene.lending(5);
    let forget = SetStore { seq: 9, change: StoreChange::Forget, ..leaves(5) };
    assert_eq!(code(scene.answer(&mut session(22, 20), forget.clone())), ErrorCode::Conflict, "it is here");
    let _left = scene.answer(&mut goes, Common::Leave);
    assert_eq!(answer(scene.answer(&mut session(23, 20), forget)), Common::Ok.into());
    assert!(!on_record(&scene, 5));
}

#[test]
fn stores_are_located_by_the_id_of_what_they_keep() {
    let (scene, _stores) = published();
    let mut fetcher = session(7, 7);
    let by_id = Locate { name: Name::default(), id: ID, ..locate("", Purpose::Fetch) };
    let Some(FromTracker::Located(located)) = scene.answer(&mut fetcher, by_id).answer else { panic!() };
    let [variant] = &located.variants[..] else { panic!("{located:?}") };
    assert_eq!((variant.id, variant.size, variant.chunks, variant.seeders), (ID, 3 << 16, 3, 2));
    let mut holders: Vec<(PeerId, Vec<Address>, u32)> =
        variant.holders.iter().map(|holder| (holder.peer, holder.addresses.to_vec(), holder.have)).collect();
    holders.sort();
    let store = |number: u8| (PeerId([number; 16]), vec![address([10, 0, 0, number])], 3);
    assert_eq!(holders, [store(1), store(2)]);
}

#[test]
fn how_safe_it_is_follows_the_stores_that_are_here() {
    let (scene, [one, mut two]) = published();
    let health = |name: &str| -> Health {
        let mut tool = session(8, 8);
        match answer(scene.answer(&mut tool, GetHealth { name: Name::new(name) })) {
            FromTracker::Health(health) => health,
            other => panic!("{other:?}"),
        }
    };
    let numbers = |health: &Health| (health.contents, health.survives, health.promised, health.lost);
    assert_eq!(numbers(&health("")), (1, 1, 1, 0));
    assert_eq!(health(NAME), health(""));
    one.end(&scene.shared, scene.now);
    let fewer = health(NAME);
    assert_eq!((numbers(&fewer), fewer.endangered), ((1, 0, 1, 0), 3 << 16));
    assert_eq!(fewer.away.iter().map(|store| store.peer).collect::<Vec<_>>(), [PeerId([1; 16])]);
    let _left = scene.answer(&mut two, Common::Leave);
    assert_eq!(health(NAME).lost, 3 << 16);
    let mut tool = session(9, 9);
    let stores = answer(scene.answer(&mut tool, GetStores { after: PeerId([0; 16]), limit: 9 }));
    let FromTracker::Stores(Stores { stores, more: false }) = stores else { panic!("{stores:?}") };
    assert_eq!(stores.iter().map(|store| store.state).collect::<Vec<_>>(), [StoreState::Away; 2]);
    let unknown = GetHealth { name: Name::new("g") };
    assert_eq!(code(scene.answer(&mut tool, unknown)), ErrorCode::NotFound);
}

#[test]
fn what_is_removed_is_promised_no_more() {
    let (scene, _stores) = published();
    let mut tool = session(8, 8);
    let remove = Remove { client: ClientId(8), seq: 1, name: Name::new(NAME), number: 0 };
    assert_eq!(answer(scene.answer(&mut tool, remove)), Removed { count: 1 }.into());
    let everything = GetHealth { name: Name::default() };
    let FromTracker::Health(health) = answer(scene.answer(&mut tool, everything)) else { panic!() };
    assert_eq!((health.contents, health.survives), (0, 0));
}

#[test]
fn stores_speak_on_their_registration_and_uploads_are_refused_where_there_are_too_few() {
    let scene = Scene::settled();
    let mut guest = session(1, 1);
    let lend = lend(Authority::NONE, Term(0));
    assert_eq!(code(scene.answer(&mut guest, lend)), ErrorCode::NotRegistered);
    assert_eq!(code(scene.answer(&mut guest, kept(Bits::All))), ErrorCode::NotRegistered);
    let mut peer = scene.registered(2, NAME);
    assert_eq!(code(scene.answer(&mut peer, kept(Bits::All))), ErrorCode::NotRegistered, "no LEND");
    assert_eq!(code(scene.answer(&mut guest, store_of(2))), ErrorCode::NoStores);
    let _one = scene.lending(3);
    let _two = scene.lending(4);
    let mut large = store_of(2);
    (large.version.size, large.version.total, large.version.chunks) = (2 << 30, 2 << 30, 4096);
    assert_eq!(code(scene.answer(&mut guest, large)), ErrorCode::NoSpace);
    let mut nothing = store_of(1);
    nothing.version.policy = Policy::NONE;
    assert_eq!(code(scene.answer(&mut guest, nothing)), ErrorCode::Malformed);
}

#[test]
fn who_waits_for_duties_is_woken_when_there_are_some_and_answered_when_time_is_over() {
    let mut scene = Scene::settled();
    let (_one, _two) = (scene.lending(1), scene.lending(2));
    let mut asks = session(5, 1);
    let until = scene.now + Duration::from_secs(10);
    let waits = Reply { answer: None, close: false, effect: Some(Effect::Wait(until)) };
    assert_eq!(scene.answer(&mut asks, duties(u32::MAX)), waits);
    let mut uploader = session(6, 6);
    let _waits = scene.answer(&mut uploader, store_of(2));
    assert!(scene.shared.take_wakes().contains(&5));
    let told = answer(asks.go_on(&scene.shared, scene.now));
    assert!(matches!(&told, FromTracker::Duties(told) if told.duties.len() == 1), "{told:?}");
    assert!(scene.duties(&mut asks).is_empty(), "it has been told");
    scene.now += Duration::from_secs(31);
    assert_eq!(scene.duties(&mut asks).len(), 1, "and is told again");
    scene.now += Duration::from_secs(1);
    let mut uploader = session(7, 7);
    let storing = answer(scene.answer(&mut uploader, Store { wait_ms: 0, ..store_of(2) }));
    assert_eq!(storing, Storing { covered: 0, needed: 6 }.into());
}
