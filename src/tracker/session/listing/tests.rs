//! Tests of LIST: names on record and names that peers offer, in one order, within a frame.

use std::time::{Duration, Instant};

use super::*;
use crate::content::{FileId, PeerId, SafeName};
use crate::tracker::directory::{Bounds, Profile, Sender};
use crate::tracker::records::{Command, Publish};
use crate::wire::{ClientId, Label, Offer, Policy};

const CONTENT: &[u8] = b"published";

/// A directory in which one peer has registered these names, each as a content of its own.
fn directory(names: &[String]) -> Shared {
    let now = Instant::now();
    let mut directory = Directory::new(Duration::from_secs(30), Bounds::default(), 1, now);
    let sender = Sender { connection: 1, peer: PeerId([1; 16]) };
    directory.register(sender, Profile::default(), now).unwrap();
    let offer = |name: &String| Offer {
        name: Name::new(name.as_str()),
        id: FileId::of(name.as_bytes()),
        size: name.len() as u64,
        total: name.len() as u64,
        chunks: 1,
        complete: true,
        original: true,
        modified: 0,
    };
    let offers: Vec<Offer> = names.iter().map(offer).collect();
    offers.chunks(500).for_each(|some| directory.update(sender, &[], some, now).unwrap());
    Shared::new(directory)
}

/// Records in which these names are published.
fn records(names: &[String]) -> Records {
    let mut records = Records::default();
    for (slot, name) in (1..).zip(names) {
        let version = Version {
            number: 0,
            id: FileId::of(CONTENT),
            size: CONTENT.len() as u64,
            total: CONTENT.len() as u64,
            chunks: 1,
            policy: Policy::NONE,
            stamp_ms: 0,
            publisher: Label::default(),
        };
        let name = SafeName::new(name.as_str()).unwrap();
        let publish = Publish { client: ClientId::random(), seq: 1, name, version, expect: 0 };
        records.apply(slot, &Command::Publish(publish));
    }
    records
}

/// All entries that match, page by page, and how many pages that were.
fn all(shared: &Shared, records: &Records, pattern: &str, limit: usize) -> (Vec<(String, u32)>, usize) {
    let (mut entries, mut pages): (Vec<(String, u32)>, _) = (Vec::new(), 0);
    loop {
        let after = entries.last().map_or(String::new(), |(name, _)| name.clone());
        let mut listing = Listing::new(pattern, &after, limit);
        while !listing.look_at_published(records) {}
        while !listing.look_at_registered(&mut shared.lock()) {}
        let page = listing.page(shared).unwrap();
        assert!(page.entries.len() <= limit.max(1), "one content a name here");
        let mut frame = bytes::BytesMut::new();
        wire::Message::put_frame(&wire::FromTracker::from(page.clone()), 1, &mut frame);
        assert!(frame.len() < limits::MAX_FRAME_BYTES);
        entries.extend(page.entries.iter().map(|entry| (entry.name.to_string(), entry.version)));
        pages += 1;
        if !page.more {
            return (entries, pages);
        }
    }
}

#[test]
fn a_published_name_is_what_is_published_and_all_are_in_one_order() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut some = |count| -> Vec<String> {
        (0..count).map(|_| format!("{}/{:04}", if rng.bool() { "a" } else { "b" }, rng.u32(..600))).collect()
    };
    let (registered, published) = (some(400), some(400));
    let (directory, records) = (directory(&registered), records(&published));
    let mut expected: Vec<(String, u32)> = registered.iter().map(|name| (name.clone(), 0)).collect();
    expected.retain(|(name, _)| !published.contains(name));
    expected.extend(published.iter().map(|name| (name.clone(), 1)));
    expected.sort();
    expected.dedup();
    for limit in [0, 1, 7, 100, 10_000] {
        let (entries, pages) = all(&directory, &records, "", limit);
        assert_eq!(entries, expected, "by {limit}");
        assert!(pages >= expected.len() / limit.clamp(1, 1000), "{pages} pages of {limit}");
        expected.retain(|(name, _)| name.starts_with("b/"));
        assert_eq!(all(&directory, &records, "b/*", limit).0, expected, "by {limit}");
        expected = entries;
    }
}

#[test]
fn long_names_of_both_kinds_stay_within_a_frame_together() {
    let long = vec!["x".repeat(250); 15].join("/");
    let some = |end: &str| -> Vec<String> { (0..150).map(|n| format!("{n:04}/{long}{end}")).collect() };
    let (directory, records) = (directory(&some("r")), records(&some("p")));
    let (entries, pages) = all(&directory, &records, "*", 1000);
    assert_eq!((entries.len(), pages > 2), (300, true), "{pages}");
}

#[test]
fn a_published_content_has_the_holders_of_its_id_whatever_they_call_it() {
    let (directory, records) = (directory(&["published".to_owned()]), records(&["other".to_owned()]));
    let mut listing = Listing::new("other", "", 10);
    assert!(listing.look_at_published(&records));
    let page = listing.page(&directory).unwrap();
    assert_eq!((page.entries[0].seeders, page.entries[0].leechers), (1, 0));
}

#[test]
fn what_would_take_too_long_ends_where_it_is_if_that_is_somewhere() {
    let records = records(&["a".to_owned(), "b".to_owned()]);
    let directory = directory(&[]);
    for (pattern, found) in [("b", false), ("a", true)] {
        let mut listing = Listing::new(pattern, "", 10);
        assert!(listing.look_at_published(&records));
        (listing.published.more, listing.published.after) = (true, "a".to_owned());
        assert_eq!(listing.page(&directory).map(|page| page.entries.len()), found.then_some(1), "{pattern}");
    }
}
