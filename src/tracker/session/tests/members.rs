//! Who is in a closed swarm, as messages: joining, roles, putting out, and what of that others hear.

use super::*;
use crate::content::PublicKey;
use crate::tracker::records::{Found, Founder, invite_id};
use crate::wire::{
    self, ClientId, GetMembers, Invite, Join, Joined, Keys, MemberRole, Policy, Publish, Remove, Renew,
    Renewed, Revoke, Rotate, Standing, SwarmSecret, Version,
};

const ADMIN: u8 = 1;
const TRACKER: u8 = 2;

fn key(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

fn standing(role: MemberRole) -> Standing {
    Standing { role, prefix: Name::default() }
}

impl Scene {
    /// One of a closed swarm.
    fn closed() -> Scene {
        let scene = Scene::new();
        let founder = |number, role| Founder { key: key(number), name: Label::new("x"), role };
        let founders =
            List::new(vec![founder(ADMIN, MemberRole::Admin), founder(TRACKER, MemberRole::Tracker)]);
        let found =
            Found { swarm: Label::new("lab"), secret: SwarmSecret::new([1; 32]), founders, since_ms: 0 };
        scene.shared.record(Command::Found(found), scene.now).unwrap();
        scene
    }

    /// The connection of this number, of the member of this number.
    fn member(&self, connection: u64, number: u8) -> Session {
        let epoch = self.epoch();
        self.shared.comes(connection, key(number));
        session(connection, number).of(Caller::Member(key(number)), epoch)
    }

    fn epoch(&self) -> u32 {
        self.shared.records().roster().epoch().map_or(0, |epoch| epoch.number)
    }

    /// What it is answered, whatever the connection's fate.
    fn say(&self, session: &mut Session, message: impl Into<ToTracker>) -> FromTracker {
        self.answer(session, message).answer.expect("an answer")
    }

    /// Somebody joins with this role.
    fn join(&self, number: u8, role: MemberRole) {
        let mut admin = self.member(900, ADMIN);
        let invite = invite(number, role);
        let id = invite_id(&invite.key);
        assert!(matches!(self.say(&mut admin, invite), FromTracker::Invited(_)));
        let mut joins = session(901, number).of(Caller::Invited(key(number), id), 0);
        let joined = self.say(&mut joins, Join { name: Label::new("new") });
        let FromTracker::Joined(Joined { swarm, standing: got, epoch, .. }) = joined else {
            panic!("{joined:?}")
        };
        assert_eq!((&*swarm, got, epoch.number), ("lab", standing(role), self.epoch()));
    }
}

fn invite(number: u8, role: MemberRole) -> Invite {
    let (client, key) = (ClientId(number.into()), SwarmSecret::new([number; 32]));
    Invite { client, seq: 1, key, standing: standing(role), uses: 1, valid_ms: 60_000 }
}

fn publish(number: u8, seq: u64, name: &str) -> Publish {
    let offer = offer(name);
    let version = Version {
        number: 0,
        id: ID,
        size: offer.size,
        total: offer.total,
        chunks: offer.chunks,
        policy: Policy::NONE,
        stamp_ms: 0,
        publisher: Label::default(),
    };
    Publish { client: ClientId(number.into()), seq, name: Name::new(name), version, expect: 0 }
}

fn revoke(number: u8) -> Revoke {
    Revoke { client: ClientId(99), seq: number.into(), member: key(number) }
}

#[track_caller]
fn is_refused(answer: &FromTracker, code: ErrorCode) {
    assert!(matches!(answer, FromTracker::Common(Common::Error(error)) if error.code == code), "{answer:?}");
}

#[test]
fn in_an_open_swarm_nobody_joins_or_is_a_member() {
    let scene = Scene::new();
    let mut anybody = session(1, 1);
    for message in [ToTracker::from(Join { name: Label::default() }), Renew {}.into(), revoke(1).into()] {
        is_refused(&scene.say(&mut anybody, message), ErrorCode::NotAllowed);
    }
    assert_eq!(anybody.news(&scene.shared), None);
}

#[test]
fn the_key_of_an_invite_is_for_joining_alone_and_for_whom_it_was_made() {
    let scene = Scene::closed();
    let mut stranger = session(1, 7).of(Caller::Invited(key(7), 5), 0);
    is_refused(&scene.say(&mut stranger, locate("f", Purpose::Fetch)), ErrorCode::NotAllowed);
    is_refused(&scene.say(&mut stranger, Join { name: Label::default() }), ErrorCode::NotAllowed);
    scene.join(7, MemberRole::Publisher);
    let mut member = scene.member(2, 7);
    is_refused(&scene.say(&mut member, Join { name: Label::default() }), ErrorCode::NotAllowed);
    is_refused(&scene.say(&mut member, invite(8, MemberRole::Admin)), ErrorCode::NotAllowed);
    is_refused(
        &scene.say(&mut member, GetMembers { after: PublicKey::NONE, limit: 9 }),
        ErrorCode::NotAllowed,
    );
}

#[test]
fn a_reader_helps_to_serve_what_is_there_and_begins_nothing() {
    let scene = Scene::closed();
    scene.join(7, MemberRole::Publisher);
    scene.join(8, MemberRole::Reader);
    let (mut publisher, mut reader) = (scene.member(1, 7), scene.member(2, 8));
    let _ = scene.answer(&mut reader, register(&[offer("f"), offer("g")]));
    assert_eq!(scene.registrations(), 0, "what is not there is passed over");
    let have = HaveChunks { id: ID, view: View::Bytes, gained: Ranges::default() };
    assert_eq!(scene.answer(&mut reader, have), ok(), "and so is what is said of it");
    let _ = scene.answer(&mut publisher, register(&[offer("f")]));
    let update = |name| Update { added: List::new(vec![offer(name)]), removed: List::default() };
    assert_eq!(scene.answer(&mut reader, update("f")), ok());
    assert_eq!(scene.answer(&mut reader, update("g")), ok());
    assert_eq!(scene.registrations(), 2, "the publisher's, and that of who helps");
    is_refused(&scene.say(&mut reader, publish(8, 2, "g")), ErrorCode::NotAllowed);
}

#[test]
fn who_has_the_key_of_the_swarm_alone_waits_to_be_entered() {
    let scene = Scene::closed();
    scene.join(7, MemberRole::Reader);
    let (mut member, mut unknown) = (scene.member(2, 7), scene.member(3, 50));
    let questions: [ToTracker; 3] =
        [register(&[offer("f")]).into(), locate("f", Purpose::Fetch).into(), publish(50, 2, "g").into()];
    for question in questions.clone() {
        is_refused(&scene.say(&mut unknown, question), ErrorCode::NotAllowed);
    }
    let (name, client, own) = (Label::new("x"), ClientId(7), true);
    let enter =
        wire::Enter { client, seq: 2, key: key(50), name, own, standing: standing(MemberRole::Reader) };
    assert_eq!(scene.say(&mut member, enter.clone()), Common::Ok.into());
    assert_eq!(scene.shared.take_cuts().len(), 1, "it comes again, and tells all it has");
    assert_eq!(scene.say(&mut member, enter), Common::Ok.into());
    assert_eq!(scene.shared.take_cuts(), [], "which was known");
    for (question, refused) in questions.into_iter().zip([false, false, true]) {
        let answer = scene.say(&mut unknown, question);
        assert_eq!(matches!(answer, FromTracker::Common(Common::Error(_))), refused, "{answer:?}");
    }
}

#[test]
fn a_reader_lends_no_space_until_it_is_given_another_role() {
    let scene = Scene::closed();
    scene.join(7, MemberRole::Reader);
    let (mut admin, mut reader) = (scene.member(1, ADMIN), scene.member(2, 7));
    let _ = scene.answer(&mut reader, register(&[]));
    let lends = || {
        ToTracker::from(wire::Decline {
            id: ID,
            view: View::Bytes,
            reason: wire::Reluctance::NoSpace,
            free: 0,
        })
    };
    is_refused(&scene.say(&mut reader, lends()), ErrorCode::NotAllowed);
    let (client, key, standing) = (ClientId(98), key(7), standing(MemberRole::Publisher));
    let enter = wire::Enter { client, seq: 1, key, name: Label::default(), own: false, standing };
    assert_eq!(scene.say(&mut admin, enter), Common::Ok.into());
    assert_eq!(scene.shared.take_cuts().iter().map(|cut| cut.connection).collect::<Vec<_>>(), [2]);
    is_refused(&scene.say(&mut reader, lends()), ErrorCode::NotRegistered);
    let members = scene.say(&mut admin, GetMembers { after: PublicKey::NONE, limit: 9 });
    let FromTracker::Members(wire::Members { members, .. }) = members else { panic!("{members:?}") };
    let changed = members.iter().find(|info| info.key == key).unwrap();
    assert_eq!(
        (&*changed.name, changed.by, changed.standing.role),
        ("new", self::key(ADMIN), MemberRole::Publisher)
    );
}

#[test]
fn what_is_published_may_be_helped_with_and_belongs_to_who_published_it() {
    let scene = Scene::closed();
    [(6, MemberRole::Publisher), (7, MemberRole::Publisher), (8, MemberRole::Reader)]
        .into_iter()
        .for_each(|(number, role)| scene.join(number, role));
    let (mut one, mut other, mut reader) = (scene.member(1, 6), scene.member(2, 7), scene.member(3, 8));
    assert!(matches!(scene.say(&mut one, publish(6, 2, "f")), FromTracker::Stored(_)));
    is_refused(
        &scene.say(&mut other, Remove { client: ClientId(7), seq: 2, name: Name::new("f"), number: 0 }),
        ErrorCode::NotAllowed,
    );
    let _ = scene.answer(&mut reader, register(&[offer("f")]));
    assert_eq!(scene.registrations(), 1);
    let remove = Remove { client: ClientId(6), seq: 3, name: Name::new("f"), number: 0 };
    assert_eq!(scene.say(&mut one, remove), wire::Removed { count: 1 }.into());
}

#[test]
fn who_is_put_out_is_cut_and_heard_no_more_and_the_others_hear_of_the_new_key() {
    let scene = Scene::closed();
    scene.join(7, MemberRole::Publisher);
    scene.join(8, MemberRole::Reader);
    let (mut admin, mut gone, mut stays) = (scene.member(1, ADMIN), scene.member(2, 7), scene.member(3, 8));
    let _unknown = scene.member(4, 50);
    scene.shared.goes(900);
    let waits = scene.answer(&mut stays, GetDuties { term: Term(0), wait_ms: 10_000 });
    assert!(matches!(waits.effect, Some(Effect::Wait(_))));
    scene.shared.take_wakes();
    let answer = scene.say(&mut admin, revoke(7));
    let FromTracker::Keys(Keys { epoch, before, revoked }) = answer else { panic!("{answer:?}") };
    assert_eq!((epoch.number, &before[..], &revoked[..]), (2, &[][..], &[key(7)][..]));
    let cuts: Vec<_> = scene.shared.take_cuts().iter().map(|cut| (cut.connection, cut.revoked)).collect();
    assert_eq!(cuts, [(2, true), (4, false)]);
    assert_eq!(admin.news(&scene.shared), None, "the answer said so");
    assert!(scene.shared.take_wakes().contains(&3));
    let told = stays.go_on(&scene.shared, scene.now);
    assert!(matches!(told.answer, Some(FromTracker::Duties(_))), "it waits no longer: {told:?}");
    let news = stays.news(&scene.shared);
    assert!(matches!(&news, Some(FromTracker::Keys(keys)) if keys.epoch == epoch), "{news:?}");
    assert_eq!(stays.news(&scene.shared), None);
    assert_eq!(gone.news(&scene.shared), None);
    let last = scene.answer(&mut gone, Heartbeat { uploads: 0, downloads: 0, space: 0 });
    is_refused(&last.answer.expect("a word"), ErrorCode::Revoked);
    assert!(last.close);
    let mut late = session(5, 7).of(Caller::Late(key(7)), 0);
    is_refused(&scene.say(&mut late, Renew {}), ErrorCode::Revoked);
}

#[test]
fn who_slept_through_two_epochs_renews_and_nobody_else_does() {
    let scene = Scene::closed();
    scene.join(7, MemberRole::Publisher);
    let mut admin = scene.member(1, ADMIN);
    for seq in 1..3 {
        let rotate = Rotate { client: ClientId(99), seq, grace_ms: 60_000 };
        let answer = scene.say(&mut admin, rotate);
        let FromTracker::Keys(Keys { before, .. }) = answer else { panic!("{answer:?}") };
        let numbers: Vec<u64> = before.iter().map(|grace| grace.epoch.number.into()).collect();
        assert_eq!(numbers, (1..=seq).rev().collect::<Vec<_>>(), "the latest first");
        assert!(before.iter().all(|grace| (1..=60_000).contains(&grace.left_ms)), "{before:?}");
    }
    let mut late = session(5, 7).of(Caller::Late(key(7)), 0);
    let renewed = scene.say(&mut late, Renew {});
    let FromTracker::Renewed(Renewed { standing: got, epoch, before, .. }) = renewed else {
        panic!("{renewed:?}")
    };
    assert_eq!((got.role, epoch.number, before.len()), (MemberRole::Publisher, 3, 2));
    scene.join(8, MemberRole::Reader);
    let answer = scene.say(&mut admin, revoke(8));
    let FromTracker::Keys(Keys { before, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(&before[..], [], "who was put out knows them all");
    is_refused(&scene.say(&mut late, locate("f", Purpose::Fetch)), ErrorCode::UnknownSwarm);
    let mut unknown = session(6, 50).of(Caller::Late(key(50)), 0);
    is_refused(&scene.say(&mut unknown, Renew {}), ErrorCode::NotAllowed);
}

#[test]
fn an_admin_sees_who_is_there() {
    let scene = Scene::closed();
    let mut admin = scene.member(1, ADMIN);
    let members = scene.say(&mut admin, GetMembers { after: PublicKey::NONE, limit: 9 });
    let FromTracker::Members(wire::Members { members, more: false }) = members else { panic!("{members:?}") };
    let seen: Vec<_> = members.iter().map(|info| (info.key, info.standing.role, info.here)).collect();
    assert_eq!(seen, [(key(ADMIN), MemberRole::Admin, true), (key(TRACKER), MemberRole::Tracker, false)]);
}
