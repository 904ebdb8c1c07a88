//! Each message and each role, as `docs/PROTOCOL.md` has the table.

use bytes::Bytes;

use super::*;
use crate::content::{FileId, PublicKey};
use crate::wire::{self, ClientId, Label, List, Message, Name, Policy, Published, SwarmSecret, Version};

const DOC: &str = include_str!("../../../docs/PROTOCOL.md");
const NAME: &str = "a/b";

fn standing(role: MemberRole) -> Standing {
    Standing { role, prefix: Name::default() }
}

fn version() -> Version {
    Version {
        number: 0,
        id: FileId::of(b"x"),
        size: 1,
        total: 1,
        chunks: 1,
        policy: Policy::NONE,
        stamp_ms: 0,
        publisher: Label::default(),
    }
}

/// One of each message.
fn messages() -> Vec<ToTracker> {
    let (client, seq, name) = (ClientId(1), 1, Name::new(NAME));
    let (key, expect, version) = (PublicKey([1; 32]), 0, version());
    let reader = standing(MemberRole::Reader);
    let published = Published { name: name.clone(), version: version.clone() };
    let made: Vec<ToTracker> = vec![
        wire::Publish { client, seq, name: name.clone(), version: version.clone(), expect }.into(),
        wire::Store { client, seq, name: name.clone(), version, expect, degraded: false, wait_ms: 0 }.into(),
        wire::Remove { client, seq, name, number: 0 }.into(),
        wire::Records { published: List::new(vec![published]), last: true }.into(),
        wire::Invite { client, seq, key: SwarmSecret::NONE, standing: reader.clone(), uses: 1, valid_ms: 1 }
            .into(),
        wire::Enter { client, seq, key, name: Label::default(), own: false, standing: reader }.into(),
    ];
    let blank = |(id, label): &(u8, &str)| {
        if let Some(made) = made.iter().find(|made| made.id() == *id) {
            return made.clone();
        }
        // A body of zeros, but for the one field that has no zero.
        let body = |length: usize| match *label {
            "REPORT" => [vec![0; 52], vec![1]].concat(),
            "SET_STORE" => [vec![0; 40], vec![1]].concat(),
            "SET_NODES" => [vec![0; 24], vec![1], vec![0; 16]].concat(),
            "DECLINE" => [vec![0; 33], vec![1], vec![0; 8]].concat(),
            _ => vec![0; length],
        };
        let read = (0..200).find_map(|length| ToTracker::decode(*id, Bytes::from(body(length))).ok());
        read.unwrap_or_else(|| panic!("{label}"))
    };
    ToTracker::TABLE.iter().map(blank).collect()
}

/// The table's rows: message, then a cell for each kind of sender.
fn rows() -> Vec<(String, Vec<bool>)> {
    let section = DOC.split("\n### 13.9 ").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let table = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| message"));
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    table
        .map(cells)
        .flat_map(|cells| {
            let allowed: Vec<bool> = cells[1..].iter().map(|cell| cell.starts_with("yes")).collect();
            let names = cells[0].split(", ").map(str::to_owned).collect::<Vec<_>>();
            names.into_iter().map(move |name| (name, allowed.clone()))
        })
        .collect()
}

#[test]
fn the_table_of_the_protocol_is_that_of_the_code() {
    let [reader, publisher, admin, tracker] =
        [MemberRole::Reader, MemberRole::Publisher, MemberRole::Admin, MemberRole::Tracker].map(standing);
    let senders = [
        Who::Anybody,
        Who::Member(None),
        Who::Member(Some(&reader)),
        Who::Member(Some(&publisher)),
        Who::Member(Some(&admin)),
        Who::Member(Some(&tracker)),
        Who::Invited,
        Who::Late,
    ];
    let documented = rows();
    for message in messages() {
        let row = documented.iter().find(|(name, _)| name == message.label());
        let (_, allowed) = row.unwrap_or_else(|| panic!("{} is not in the table", message.label()));
        let coded = senders.map(|who| may(who, &message).is_ok());
        assert_eq!(allowed[..], coded, "{}", message.label());
    }
    assert_eq!(documented.len(), ToTracker::TABLE.len() + 1, "and one row for a key of the sender's own");
}

#[test]
fn who_is_in_the_roster_enters_keys_of_its_own() {
    let (name, reader) = (Label::default(), standing(MemberRole::Reader));
    let (client, key) = (ClientId(1), PublicKey([1; 32]));
    let enter = wire::Enter { client, seq: 1, key, name, own: true, standing: reader.clone() }.into();
    assert_eq!(may(Who::Member(Some(&reader)), &enter), Ok(()));
    assert_eq!(may(Who::Member(None), &enter), Err(NotAllowed::Unknown));
    assert_eq!(may(Who::Anybody, &enter), Err(NotAllowed::Open));
}

#[test]
fn a_publisher_names_what_is_under_its_prefix() {
    let under = |prefix: &str| Standing { role: MemberRole::Publisher, prefix: Name::new(prefix) };
    let publish = |standing: &Standing| may_publish(Who::Member(Some(standing)), NAME);
    assert_eq!((publish(&under("")), publish(&under("a/"))), (Ok(()), Ok(())));
    assert_eq!(publish(&under("b/")), Err(NotAllowed::Prefix("b/".to_owned())));
    let admin = Standing { role: MemberRole::Admin, prefix: Name::new("b/") };
    assert_eq!(publish(&admin), Ok(()), "that of others counts nothing");
}

#[test]
fn what_a_store_remembers_is_as_good_as_published() {
    let published = |name| Published { name: Name::new(name), version: version() };
    let records = wire::Records { published: List::new(vec![published("a/b"), published("c")]), last: true };
    let some = Standing { role: MemberRole::Publisher, prefix: Name::new("a/") };
    let refused = may(Who::Member(Some(&some)), &records.into());
    assert_eq!(refused, Err(NotAllowed::Prefix("a/".to_owned())));
}

#[test]
fn everybody_pings_and_leaves() {
    for who in [Who::Anybody, Who::Member(None), Who::Invited, Who::Late] {
        assert_eq!(may(who, &wire::Common::Leave.into()), Ok(()));
    }
}
