//! What tests say to a tracker, and how they read what it answers: sections 8.2 and 8.3.
//!
//! Every test uses names, ids and peers never seen before, so that it can share a tracker with others.

use crate::client::{Body, Client, Fields, Hello, MEMBER, id};
use crate::target::Target;

pub const INSPECT: u8 = 0;
pub const FETCH: u8 = 1;
pub const DEAD: u8 = 1;
pub const MISSING: u8 = 2;
pub const CORRUPT: u8 = 3;
/// When all that is offered here was last changed.
pub const MODIFIED: u64 = 1_700_000_000;

pub type Hash = [u8; 32];

pub fn any_hash() -> Hash {
    std::array::from_fn(|_| fastrand::u8(..))
}

/// A folder of names that no other test uses.
pub fn any_prefix() -> String {
    format!("conformance/{:016x}", fastrand::u64(..))
}

/// An Offer of a file of four chunks, an original.
pub fn offer(name: &str, hash: Hash, complete: bool) -> Body {
    offer_as(name, hash, complete, true)
}

pub fn offer_as(name: &str, hash: Hash, complete: bool, original: bool) -> Body {
    let body = Body::new().text(name).raw(&hash).u64(200_000).u64(200_000).u32(4);
    body.u8(u8::from(complete)).u8(u8::from(original)).u64(MODIFIED)
}

pub fn register(port: u16, offers: &[Body]) -> Body {
    Body::new().text("").u16(port).list(offers)
}

pub fn locate(name: &str, hash: Hash, purpose: u8, max: u16, missing: &[(u32, u32)]) -> Body {
    Body::new().text(name).raw(&hash).u8(purpose).u16(max).ranges(missing)
}

/// The view of a file.
pub const AS_FILE: u8 = 0;
/// The view of a tree's members.
pub const AS_TREE: u8 = 1;

pub fn have(hash: Hash, gained: &[(u32, u32)]) -> Body {
    Body::new().raw(&hash).u8(AS_FILE).ranges(gained)
}

/// A registered peer with its connection.
pub struct Member {
    pub client: Client,
    pub peer: [u8; 16],
}

/// Registers a new peer that can be dialled at `port`.
#[track_caller]
pub fn member(target: &Target, port: u16, offers: &[Body]) -> Member {
    let hello = Hello { listen_port: port, ..Hello::new(MEMBER) };
    let mut client = target.greet_as(&hello);
    client.call(id::REGISTER, &register(port, offers), id::REGISTERED);
    Member { client, peer: hello.peer }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Holder {
    pub peer: [u8; 16],
    pub name: String,
    pub host: String,
    pub port: u16,
    pub have: u32,
    pub load: (u16, u16),
    pub original: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Variant {
    pub name: String,
    pub hash: Hash,
    pub sizes: (u64, u64, u32),
    pub seeders: u32,
    pub leechers: u32,
    pub original: bool,
    pub agreed: bool,
    pub modified: u64,
    pub holders: Vec<Holder>,
}

pub fn read_holder(fields: &mut Fields<'_>) -> Holder {
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

pub fn read_variant(fields: &mut Fields<'_>) -> Variant {
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
pub fn located(client: &mut Client, question: &Body) -> (Vec<Variant>, Vec<String>) {
    client
        .call(id::LOCATE, question, id::LOCATED)
        .fields(|fields| (fields.list(64, read_variant), fields.list(8, |fields| fields.text().to_owned())))
}

/// The one variant of a name or id.
#[track_caller]
pub fn the_variant(client: &mut Client, name: &str, hash: Hash, purpose: u8) -> Variant {
    let (mut variants, near) = located(client, &locate(name, hash, purpose, 256, &[]));
    assert_eq!((variants.len(), near.len()), (1, 0), "{variants:?}");
    variants.remove(0)
}

#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub hash: Hash,
    pub sizes: (u64, u64),
    pub seeders: u32,
    pub leechers: u32,
}

#[track_caller]
pub fn listing(client: &mut Client, pattern: &str, after: &str, limit: u16) -> (Vec<Entry>, bool) {
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
pub fn all_names(client: &mut Client, pattern: &str, limit: u16) -> (Vec<String>, usize) {
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
