//! Who may come in by what, step by step; and what holds of any roster, through random histories.

use fastrand::Rng;

use super::*;
use crate::content::PublicKey;
use crate::tracker::records::machine::Records;
use crate::tracker::records::samples::{any_about_members, found, key, secret, standing};
use crate::tracker::records::{Command, RemoveAs};
use crate::wire::ClientId;

const ADMIN: u8 = 1;
const TRACKER: u8 = 2;

/// A closed swarm, and commands that count their clients themselves.
struct Story {
    roster: Roster,
    commands: u64,
}

impl Story {
    fn new() -> Story {
        let mut roster = Roster::default();
        assert_eq!(roster.found(&found()), Outcome::Members);
        Story { roster, commands: 0 }
    }

    fn client(&mut self) -> (ClientId, u64) {
        self.commands += 1;
        (ClientId(self.commands.into()), 1)
    }

    fn invite(&mut self, by: u8, id: u64, role: MemberRole, uses: u32) -> Result<Outcome, Refused> {
        let ((client, seq), standing) = (self.client(), standing(role));
        let invite = Invite { client, seq, by: key(by), id, key: secret(9), standing, uses, until_ms: 100 };
        self.roster.invite(&invite)
    }

    fn admit(&mut self, invite: u64, number: u8, now_ms: u64) -> Result<Outcome, Refused> {
        let name = Label::new("x");
        self.roster.admit(&Admit { invite, key: key(number), name, now_ms })
    }

    fn enter(&mut self, by: u8, number: u8, own: bool, role: MemberRole) -> Result<Outcome, Refused> {
        let ((client, seq), name) = (self.client(), Label::default());
        let (by, key, standing) = (key(by), key(number), standing(role));
        self.roster.enter(&Enter { client, seq, by, key, name, own, standing, since_ms: 7 })
    }

    fn revoke(&mut self, by: u8, number: u8) -> Result<Outcome, Refused> {
        let (client, seq) = self.client();
        self.roster.revoke(&Revoke { client, seq, by: key(by), key: key(number), secret: secret(20) })
    }

    fn rotate(&mut self, until_ms: u64) -> Result<Outcome, Refused> {
        let (client, seq) = self.client();
        self.roster.rotate(&Rotate { client, seq, by: key(ADMIN), secret: secret(21), until_ms })
    }

    fn role(&self, number: u8) -> Option<MemberRole> {
        self.roster.standing(key(number)).map(|standing| standing.role)
    }

    /// Which epochs let members in at a time, and by which they ask for the new one.
    fn epochs(&self, now_ms: u64) -> (Vec<u32>, Vec<u32>) {
        let (mut open, mut over) = (Vec::new(), Vec::new());
        for key in self.roster.keys(now_ms) {
            match key {
                Key::Member(epoch) => open.push(epoch.number),
                Key::Renew(epoch) => over.push(epoch.number),
                Key::Join(..) => {}
            }
        }
        (open, over)
    }
}

#[test]
fn a_swarm_is_founded_once_and_by_an_admin_and_a_tracker() {
    let mut roster = Roster::default();
    assert!(!roster.is_closed());
    let mut alone = found();
    alone.founders = List::new(alone.founders.iter().take(1).cloned().collect());
    assert_eq!(roster.found(&alone), Outcome::Refused(Refused::Open));
    assert_eq!(roster.found(&found()), Outcome::Members);
    assert_eq!(roster.found(&found()), Outcome::Refused(Refused::Open));
    assert_eq!(roster.epoch().map(|epoch| epoch.number), Some(1));
}

#[test]
fn nobody_invites_revokes_or_rotates_but_an_admin() {
    let mut story = Story::new();
    assert_eq!(story.invite(TRACKER, 1, MemberRole::Reader, 1), Err(Refused::NotAdmin));
    assert_eq!(story.invite(7, 1, MemberRole::Reader, 1), Err(Refused::NotAdmin));
    assert_eq!(story.revoke(TRACKER, ADMIN), Err(Refused::NotAdmin));
    assert_eq!(story.enter(TRACKER, 5, false, MemberRole::Admin), Err(Refused::NotAdmin));
    let (client, seq) = story.client();
    let rotate = Rotate { client, seq, by: key(TRACKER), secret: secret(3), until_ms: 0 };
    assert_eq!(story.roster.rotate(&rotate), Err(Refused::NotAdmin));
}

#[test]
fn an_invite_admits_as_many_as_it_says_and_the_same_key_once() {
    let mut story = Story::new();
    story.invite(ADMIN, 1, MemberRole::Publisher, 2).unwrap();
    assert_eq!(story.admit(2, 5, 0), Err(Refused::NoInvite), "another number");
    assert_eq!(story.admit(1, 5, 100), Err(Refused::NoInvite), "too late");
    for _ in 0..2 {
        assert_eq!(story.admit(1, 5, 0), Ok(Outcome::Members), "its answer may have been lost");
    }
    assert_eq!(story.admit(1, 6, 99), Ok(Outcome::Members));
    assert_eq!(story.admit(1, 7, 0), Err(Refused::NoInvite), "used up");
    assert_eq!((story.role(5), story.role(7)), (Some(MemberRole::Publisher), None));
}

#[test]
fn who_may_do_more_already_goes_on_to_do_so() {
    let mut story = Story::new();
    story.invite(ADMIN, 1, MemberRole::Reader, 9).unwrap();
    story.invite(ADMIN, 2, MemberRole::Publisher, 9).unwrap();
    for (number, invite, role) in [
        (5, 1, MemberRole::Reader),
        (5, 2, MemberRole::Publisher),
        (5, 1, MemberRole::Publisher),
        (ADMIN, 1, MemberRole::Admin),
    ] {
        assert_eq!(story.admit(invite, number, 0), Ok(Outcome::Members));
        assert_eq!(story.role(number), Some(role));
    }
}

#[test]
fn a_members_own_keys_may_do_what_it_may_and_go_with_it() {
    let mut story = Story::new();
    story.invite(ADMIN, 1, MemberRole::Reader, 9).unwrap();
    story.admit(1, 5, 0).unwrap();
    assert_eq!(story.enter(4, 6, true, MemberRole::Admin), Err(Refused::NoMember));
    assert_eq!(story.enter(5, 6, true, MemberRole::Admin), Ok(Outcome::Members));
    assert_eq!(story.role(6), Some(MemberRole::Reader), "what it says of its standing counts nothing");
    assert_eq!(story.enter(6, 7, true, MemberRole::Admin), Ok(Outcome::Members));
    assert_eq!(story.roster.root(key(7)), key(5), "a key of its key is its own");
    assert_eq!(story.enter(ADMIN, 7, true, MemberRole::Admin), Err(Refused::NotAdmin), "another's");
    assert_eq!(story.enter(ADMIN, 5, false, MemberRole::Publisher), Ok(Outcome::Members));
    assert_eq!(story.role(7), Some(MemberRole::Publisher));
    assert_eq!(story.revoke(ADMIN, 5), Ok(Outcome::Rotated(2)));
    for number in [5, 6, 7] {
        assert_eq!((story.role(number), story.roster.is_revoked(key(number))), (None, true));
        assert_eq!(story.admit(1, number, 0), Err(Refused::Revoked));
        assert_eq!(story.enter(ADMIN, number, false, MemberRole::Reader), Err(Refused::Revoked));
    }
}

#[test]
fn a_member_enters_only_so_many_keys_of_its_own() {
    let mut story = Story::new();
    let enter = |story: &mut Story, number| story.enter(ADMIN, number, true, MemberRole::Reader);
    for number in 0..MAX_OWN {
        assert_eq!(enter(&mut story, 10 + number as u8), Ok(Outcome::Members));
    }
    assert_eq!(enter(&mut story, 200), Err(Refused::Full));
}

#[test]
fn the_last_admin_and_the_last_tracker_stay() {
    let mut story = Story::new();
    assert_eq!(story.revoke(ADMIN, ADMIN), Err(Refused::Last));
    assert_eq!(story.revoke(ADMIN, TRACKER), Err(Refused::Last));
    assert_eq!(story.enter(ADMIN, ADMIN, false, MemberRole::Reader), Err(Refused::Last));
    story.enter(ADMIN, 3, false, MemberRole::Admin).unwrap();
    assert_eq!(story.revoke(3, ADMIN), Ok(Outcome::Rotated(2)));
    assert_eq!(story.revoke(3, 9), Err(Refused::NoMember));
}

#[test]
fn an_epoch_lets_in_until_its_grace_ends_and_renews_for_ever() {
    let mut story = Story::new();
    assert_eq!(story.epochs(0), (vec![1], vec![]));
    assert_eq!(story.rotate(50), Ok(Outcome::Rotated(2)));
    assert_eq!(story.epochs(49), (vec![2, 1], vec![]));
    assert_eq!(story.epochs(50), (vec![2], vec![1]));
    assert_eq!(story.roster.next_end_ms(), Some(50));
    story.roster.expire(&Expire { now_ms: 50 });
    assert_eq!(story.epochs(0), (vec![2], vec![1]), "over for good, wherever the clock goes");
    assert_eq!(story.rotate(0), Ok(Outcome::Rotated(3)));
    assert_eq!(story.epochs(0), (vec![3], vec![2, 1]));
}

#[test]
fn who_is_put_out_takes_all_keys_and_invites_with_it() {
    let mut story = Story::new();
    story.enter(ADMIN, 3, false, MemberRole::Admin).unwrap();
    story.invite(3, 1, MemberRole::Admin, 9).unwrap();
    story.rotate(1000).unwrap();
    assert_eq!(story.revoke(ADMIN, 3), Ok(Outcome::Rotated(3)));
    assert_eq!(story.epochs(0), (vec![3], vec![2, 1]), "no grace");
    assert_eq!(story.admit(1, 5, 0), Err(Refused::NoInvite));
}

#[test]
fn invites_end() {
    let mut story = Story::new();
    story.invite(ADMIN, 1, MemberRole::Reader, 9).unwrap();
    story.roster.expire(&Expire { now_ms: 99 });
    assert_eq!(story.roster.invite_ends(1), 100);
    story.roster.expire(&Expire { now_ms: 100 });
    assert_eq!((story.roster.invite_ends(1), story.roster.next_end_ms()), (0, None));
}

#[test]
fn members_come_page_by_page() {
    let mut story = Story::new();
    story.enter(ADMIN, 9, true, MemberRole::Reader).unwrap();
    let page = |after, limit| story.roster.page(after, limit, |here| here == key(TRACKER));
    let (first, more) = page(PublicKey::NONE, 2);
    assert_eq!(
        first.iter().map(|info| (info.key, info.here)).collect::<Vec<_>>(),
        [(key(ADMIN), false), (key(TRACKER), true)]
    );
    assert!(more);
    let (rest, more) = page(key(TRACKER), 0);
    assert_eq!((rest[0].key, rest[0].standing.role, rest[0].own), (key(9), MemberRole::Admin, true));
    assert!(!more);
}

#[test]
fn what_a_member_publishes_nobody_changes_but_it_and_admins() {
    use crate::tracker::records::samples::{copies, name, version};
    use crate::tracker::records::{Publish, PublishAs, Remove};
    let mut records = Records::default();
    let mut slot = 0;
    let mut apply = |command| {
        slot += 1;
        records.apply(slot, &command).outcome
    };
    let admit = |number, invite| Admit { invite, key: key(number), name: Label::default(), now_ms: 0 };
    apply(Command::Found(found()));
    let (client, standing) = (ClientId(1), standing(MemberRole::Publisher));
    let invite = Invite { client, seq: 1, by: key(1), id: 1, key: secret(5), standing, uses: 9, until_ms: 9 };
    apply(Command::Invite(invite));
    apply(Command::Admit(admit(5, 1)));
    apply(Command::Admit(admit(6, 1)));
    let publish = |by: u8, seq, content: &[u8]| {
        let version = version(content, copies(2));
        let publish = Publish { client: ClientId(by.into()), seq, name: name("a"), version, expect: 0 };
        Command::PublishAs(PublishAs { by: key(by), publish })
    };
    let remove = |by: u8, seq| {
        let remove = Remove { client: ClientId(by.into()), seq, name: name("a"), number: 0 };
        Command::RemoveAs(RemoveAs { by: key(by), remove })
    };
    assert_eq!(apply(publish(5, 2, b"1")), Outcome::Published { number: 1, fresh: true });
    assert_eq!(apply(publish(6, 2, b"2")), Outcome::Refused(Refused::NotYours));
    assert_eq!(apply(remove(6, 3)), Outcome::Refused(Refused::NotYours));
    assert_eq!(apply(publish(1, 2, b"2")), Outcome::Published { number: 2, fresh: true });
    assert_eq!(apply(publish(5, 3, b"3")), Outcome::Published { number: 3, fresh: true }, "its own still");
    assert_eq!(apply(remove(5, 4)), Outcome::Removed(3));
    assert_eq!(apply(publish(6, 4, b"2")), Outcome::Published { number: 1, fresh: true }, "free again");
}

#[test]
fn through_any_history_somebody_can_invite_and_a_snapshot_has_all() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let mut records = Records::default();
        records.apply(1, &Command::Found(found()));
        for slot in 2..120 {
            let client = (ClientId(rng.u128(..4)), slot);
            records.apply(slot, &any_about_members(&mut rng, client));
            let roster = records.roster();
            let roles: Vec<MemberRole> = roster
                .members
                .values()
                .filter(|member| !member.own)
                .map(|member| member.standing.role)
                .collect();
            for needed in [MemberRole::Admin, MemberRole::Tracker] {
                assert!(roles.contains(&needed), "seed {seed}, slot {slot}");
            }
            for (key, member) in &roster.members {
                assert!(!roster.is_revoked(*key), "seed {seed}, slot {slot}");
                let root = roster.members.get(&roster.root(*key));
                assert!(root.is_some_and(|root| !root.own), "seed {seed}, slot {slot}: {member:?}");
            }
            assert!(roster.ages.is_sorted_by_key(|age| age.epoch.number));
            assert_eq!(Records::restore(records.snapshot()).as_ref(), Ok(&records), "seed {seed}");
        }
    }
}
