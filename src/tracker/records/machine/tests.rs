//! The records against a plain map, through random histories; and that any of them is whole again from a snapshot
//! and the commands behind it.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::*;
use crate::content::ChunkSize;
use crate::content::code::Shape;
use crate::tracker::records::samples::{any_command, copies, name, version};
use crate::wire::{List, Name};

/// Records, and commands that count their slots and clients themselves.
#[derive(Default)]
struct Story {
    records: Records,
    commands: Vec<Command>,
}

impl Story {
    fn apply(&mut self, command: Command) -> Applied {
        self.commands.push(command.clone());
        self.records.apply(self.commands.len() as u64, &command)
    }

    fn publish(&mut self, at: &str, version: &Version, expect: u32) -> Outcome {
        let (name, version) = (name(at), version.clone());
        let publish = Publish { client: ClientId::random(), seq: 1, name, version, expect };
        self.apply(Command::Publish(publish)).outcome
    }

    fn remove(&mut self, at: &str, number: u32) -> Outcome {
        let remove = Remove { client: ClientId::random(), seq: 1, name: name(at), number };
        self.apply(Command::Remove(remove)).outcome
    }

    fn import(&mut self, list: Vec<(&str, Version)>) -> Outcome {
        let published = |(name, version)| Published { name: Name::new(name), version };
        let list = List::new(list.into_iter().map(published).collect());
        self.apply(Command::Import(Import { list })).outcome
    }

    fn numbers(&self, at: &str) -> Vec<(u32, FileId)> {
        self.records.versions(at).iter().map(|version| (version.number, version.id)).collect()
    }
}

fn published(number: u32) -> Outcome {
    Outcome::Published { number, fresh: true }
}

#[test]
fn versions_count_up_and_the_same_again_makes_none() {
    let mut story = Story::default();
    let (one, two) = (version(b"1", copies(2)), version(b"2", copies(2)));
    assert_eq!(story.publish("a", &one, 0), published(1));
    assert_eq!(story.publish("a", &one, 0), Outcome::Published { number: 1, fresh: false });
    assert_eq!(story.publish("a", &two, 1), published(2));
    assert_eq!(story.publish("a", &two, 1), Outcome::Published { number: 2, fresh: false });
    assert_eq!(story.publish("a", &one, 1), Outcome::Refused(Refused::Conflict { latest: 2 }));
    assert_eq!(story.publish("b", &one, 1), Outcome::Refused(Refused::Conflict { latest: 0 }));
    assert_eq!(story.publish("a", &one, 2), published(3));
    assert_eq!(story.records.version("a", 0).map(|latest| latest.number), Some(3));
    assert_eq!(story.records.version("a", 2).map(|second| second.id), Some(two.id));
    assert_eq!((story.records.version("a", 4), story.records.version("b", 0)), (None, None));
}

#[test]
fn a_name_goes_with_its_last_version_and_its_numbering_with_it() {
    let mut story = Story::default();
    for content in [b"1", b"2", b"3"] {
        story.publish("a", &version(content, copies(2)), 0);
    }
    assert_eq!(story.remove("a", 4), Outcome::Refused(Refused::NoVersion(4)));
    assert_eq!(story.remove("a", 3), Outcome::Removed(1));
    assert_eq!(story.remove("a", 3), Outcome::Refused(Refused::NoVersion(3)));
    assert_eq!(story.publish("a", &version(b"4", copies(2)), 0), published(4), "no number is given twice");
    assert_eq!(story.remove("a", 0), Outcome::Removed(3));
    assert_eq!(story.remove("a", 0), Outcome::Refused(Refused::NoName));
    assert_eq!(story.records.bytes, 0);
    assert_eq!(story.publish("a", &version(b"4", copies(2)), 0), published(1));
}

#[test]
fn a_command_that_comes_twice_is_carried_out_once() {
    let mut story = Story::default();
    let client = ClientId::random();
    let publish = |seq, content: &[u8]| {
        let version = version(content, copies(2));
        Command::Publish(Publish { client, seq, name: name("a"), version, expect: 0 })
    };
    assert_eq!(story.apply(publish(1, b"1")).outcome, published(1));
    assert_eq!(story.apply(publish(2, b"2")).outcome, published(2));
    let again = story.apply(publish(2, b"2"));
    assert_eq!((again.outcome, again.changed.len()), (published(2), 0));
    assert_eq!(story.apply(publish(1, b"1")).outcome, Outcome::Refused(Refused::Late));
    assert_eq!(story.numbers("a").len(), 2);
}

#[test]
fn a_content_is_promised_as_long_as_a_version_does_and_as_much_as_any_does() {
    let mut story = Story::default();
    let m = |story: &Story, content| story.records.promise(content).map(|promise| promise.policy.m());
    let (two, three, none) =
        (version(b"x", copies(2)), version(b"x", copies(3)), version(b"x", Policy::NONE));
    let file = (two.id, View::Bytes);
    story.publish("a", &none, 0);
    assert_eq!(m(&story, file), None);
    story.publish("b", &two, 0);
    story.publish("c", &three, 0);
    story.publish("d/", &Version { chunks: 9, ..two.clone() }, 0);
    assert_eq!(m(&story, file), Some(2));
    assert_eq!(story.records.promise((two.id, View::Members)).map(|promise| promise.chunks), Some(9));
    let remove = Remove { client: ClientId::random(), seq: 1, name: name("c"), number: 0 };
    let removed = story.apply(Command::Remove(remove));
    assert_eq!((removed.outcome, removed.changed), (Outcome::Removed(1), BTreeSet::from([file])));
    assert_eq!(m(&story, file), Some(1));
    story.remove("b", 1);
    assert_eq!(m(&story, file), None);
    assert_eq!(story.records.promises().count(), 1, "that of the tree");
}

#[test]
fn a_folder_that_is_coded_promises_a_parity_of_its_members() {
    let mut story = Story::default();
    let parity = FileId([7; 32]);
    let policy = Policy::coded(Shape::new(4, 2).unwrap(), parity, ChunkSize::of_bits(18));
    let folder = Version { size: 700, total: 9 << 18, chunks: 40, ..version(b"x", policy) };
    story.publish("a/", &folder, 0);
    let promised = story.records.promise((folder.id, View::Members)).unwrap();
    let of_parity = story.records.promise((parity, View::Bytes)).unwrap();
    assert_eq!(
        (of_parity.size, of_parity.code),
        (20 << 18, promised.code.map(|code| code.turned(folder.id, 700)))
    );
    story.remove("a/", 0);
    assert_eq!(story.records.promises().count(), 0);
}

#[test]
fn a_code_promises_its_parity_too_and_is_no_more_where_copies_are_asked_for() {
    let mut story = Story::default();
    let (parity, size) = (FileId([7; 32]), 3 << 16);
    let of_three = |policy| Version { size, total: size, chunks: 3, ..version(b"x", policy) };
    let coded = of_three(Policy::coded(Shape::new(2, 1).unwrap(), parity, None));
    let (data, with) = ((coded.id, View::Bytes), (parity, View::Bytes));
    let publish =
        Publish { client: ClientId::random(), seq: 1, name: name("a"), version: coded.clone(), expect: 0 };
    assert_eq!(story.apply(Command::Publish(publish)).changed, BTreeSet::from([data, with]));
    let promised = story.records.promise(data).unwrap();
    assert_eq!((promised.policy, promised.code), (coded.policy, coded.policy.coding()));
    let of_parity = story.records.promise(with).unwrap();
    assert_eq!((of_parity.size, of_parity.chunks, of_parity.policy), (2 << 16, 2, copies(1)));
    assert_eq!(of_parity.code, Some(promised.code.unwrap().turned(data.0, size)));
    let remembered = |story: &Story, content| story.records.published(content, 9).len();
    assert_eq!((remembered(&story, data), remembered(&story, with)), (1, 1), "by who keeps either");
    // Another name asks for two copies, one for a code that survives more.
    story.publish("b", &of_three(copies(2)), 0);
    let now = story.records.promise(data).unwrap();
    assert_eq!((now.policy, now.code), (copies(2), None));
    story.publish("c", &of_three(Policy::coded(Shape::new(2, 2).unwrap(), FileId([8; 32]), None)), 0);
    assert_eq!(story.records.promise(data).unwrap().policy, copies(3));
    story.remove("b", 0);
    assert_eq!(story.records.promise(data).unwrap().policy.k(), 2);
    assert_eq!(story.records.promise(data).unwrap().policy.m(), 2);
    story.remove("c", 0);
    story.remove("a", 0);
    assert_eq!((story.records.promise(data), story.records.promise(with)), (None, None));
    // What stores remember of one that cannot be coded is nothing.
    let impossible = Version { number: 1, ..version(b"x", coded.policy) };
    assert_eq!(story.import(vec![("d", impossible)]), Outcome::Imported(0));
    assert_eq!(story.import(vec![("d", Version { number: 1, ..coded })]), Outcome::Imported(1));
}

#[test]
fn what_stores_remember_is_taken_in_once_and_under_the_next_number_where_its_own_is_taken() {
    let mut story = Story::default();
    let at = |number, stamp_ms, content: &[u8]| Version { number, stamp_ms, ..version(content, copies(2)) };
    let (first, third) = (at(1, 10, b"1"), at(3, 30, b"3"));
    assert_eq!(story.import(vec![("a", third.clone()), ("a", first.clone())]), Outcome::Imported(2));
    assert_eq!(story.import(vec![("a", first.clone()), ("a", third.clone())]), Outcome::Imported(0));
    let (other, older) = (at(3, 50, b"other"), at(3, 40, b"older"));
    let both = vec![("a", other.clone()), ("a", older.clone())];
    assert_eq!(story.import(both.clone()), Outcome::Imported(2));
    assert_eq!(story.import(both), Outcome::Imported(0), "known by another number");
    let numbers = [(1, first.id), (3, third.id), (4, older.id), (5, other.id)];
    assert_eq!(story.numbers("a"), numbers);
    let impossible = Version { chunks: 7, ..first.clone() };
    let bad = vec![("../a", first.clone()), ("b", Version { number: 0, ..first.clone() }), ("c", impossible)];
    assert_eq!(story.import(bad), Outcome::Imported(0));
    assert_eq!(story.import(vec![("z", at(u32::MAX, 1, b"1"))]), Outcome::Imported(0), "none could follow");
}

#[test]
fn each_start_is_a_new_term_of_one_authority() {
    let mut story = Story::default();
    let mut start = |least| {
        let start = Start { authority: Authority::random(), least: Term(least) };
        (story.apply(Command::Start(start.clone())).outcome, start.authority == story.records.authority())
    };
    assert_eq!(start(0), (Outcome::Started(Term(1)), true));
    assert_eq!(start(0), (Outcome::Started(Term(2)), false));
    assert_eq!(start(1000), (Outcome::Started(Term(1000)), false));
    assert_eq!(start(1000), (Outcome::Started(Term(1001)), false));
}

#[test]
fn names_come_in_order_with_their_latest_versions() {
    let mut story = Story::default();
    for (at, content) in [("b", b"1"), ("a/", b"2"), ("b", b"3"), ("c", b"4")] {
        story.publish(at, &version(content, Policy::NONE), 0);
    }
    let after = |after| -> Vec<(String, u32)> {
        let names = story.records.names(Bound::Excluded(after));
        names.map(|(name, version)| (name.as_str().to_owned(), version.number)).collect()
    };
    assert_eq!(after(""), [("a/".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 1)]);
    assert_eq!(after("b"), [("c".to_owned(), 1)]);
}

#[test]
fn what_there_is_no_room_for_is_refused_and_changes_nothing() {
    let mut story = Story::default();
    story.publish("a", &version(b"1", copies(2)), 0);
    story.records.bytes = MAX_BYTES;
    let before = story.records.clone();
    assert_eq!(story.publish("a", &version(b"2", copies(2)), 0), Outcome::Refused(Refused::Full));
    assert_eq!(story.publish("b", &version(b"2", copies(2)), 0), Outcome::Refused(Refused::Full));
    assert_eq!((&story.records.names, story.records.bytes), (&before.names, before.bytes));
    story.records.bytes = 0;
    let versions = &mut story.records.names.get_mut("a").unwrap().versions;
    *versions = (1..=limits::MAX_VERSIONS as u32)
        .map(|number| Version { number, ..version(&number.to_be_bytes(), copies(2)) })
        .collect();
    assert_eq!(story.publish("a", &version(b"x", copies(2)), 0), Outcome::Refused(Refused::TooManyVersions));
}

/// The same by a plain map of names and numbers, for commands of clients that ask once each.
#[derive(Default)]
struct Plain(BTreeMap<(String, u32), Version>, BTreeMap<String, u32>);

impl Plain {
    fn latest(&self, at: &str) -> Option<&Version> {
        self.0.iter().rfind(|((name, _), _)| name == at).map(|(_, version)| version)
    }

    fn publish(&mut self, publish: &Publish) -> Outcome {
        let at = publish.name.as_str();
        let latest = self.latest(at);
        if let Some(same) = latest.filter(|latest| latest.is_like(&publish.version)) {
            return Outcome::Published { number: same.number, fresh: false };
        }
        let latest = latest.map_or(0, |latest| latest.number);
        if publish.expect != 0 && publish.expect != latest {
            return Outcome::Refused(Refused::Conflict { latest });
        }
        let number = self.1.get(at).map_or(1, |last| last + 1);
        self.1.insert(at.to_owned(), number);
        self.0.insert((at.to_owned(), number), Version { number, ..publish.version.clone() });
        published(number)
    }

    fn remove(&mut self, remove: &Remove) -> Outcome {
        let at = remove.name.as_str();
        if self.latest(at).is_none() {
            return Outcome::Refused(Refused::NoName);
        }
        let before = self.0.len();
        self.0.retain(|(name, number), _| name != at || (remove.number != 0 && *number != remove.number));
        if self.latest(at).is_none() {
            self.1.remove(at);
        }
        match before - self.0.len() {
            0 => Outcome::Refused(Refused::NoVersion(remove.number)),
            gone => Outcome::Removed(gone as u32),
        }
    }
}

#[test]
fn random_histories_go_as_a_plain_map_does() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let (mut story, mut plain) = (Story::default(), Plain::default());
        for step in 0..100 {
            let command = any_command(&mut rng, &[ClientId::random()]);
            let expected = match &command {
                Command::Publish(publish) => plain.publish(publish),
                Command::Remove(remove) => plain.remove(remove),
                _ => continue,
            };
            assert_eq!(story.apply(command).outcome, expected, "step {step} of seed {seed}");
            let of = |at| plain.0.iter().filter(move |((name, _), _)| name == at).map(|(_, version)| version);
            for at in ["a", "b", "a/", "b/c"] {
                assert!(story.records.versions(at).iter().eq(of(at)), "step {step} of seed {seed}");
            }
            let promised = plain.0.iter().filter_map(|((at, _), version)| Promise::of(at, version));
            let promised: BTreeSet<Promise> = promised.collect();
            assert!(story.records.promises().eq(promised), "step {step} of seed {seed}");
        }
    }
}

#[test]
fn a_snapshot_of_any_prefix_and_the_commands_behind_it_are_the_whole() {
    for seed in 0..50 {
        let mut rng = Rng::with_seed(seed);
        let clients: Vec<ClientId> = (0..4).map(|_| ClientId::random()).collect();
        let mut whole = Records::default();
        let mut restored: Vec<Records> = Vec::new();
        for slot in 1..60 {
            let command = any_command(&mut rng, &clients);
            let (number, body) = command.encode();
            assert_eq!(Command::decode(number, body), Ok(command.clone()));
            restored.push(Records::restore(whole.snapshot()).unwrap());
            let applied = whole.apply(slot, &command);
            for records in &mut restored {
                assert_eq!(records.apply(slot, &command), applied, "slot {slot} of seed {seed}");
            }
        }
        assert!(restored.iter().all(|records| *records == whole), "seed {seed}");
        let snapshot = whole.snapshot();
        for len in 0..snapshot.len() {
            assert!(Records::restore(snapshot.slice(..len)).is_err(), "{len} bytes of seed {seed}");
        }
    }
}
