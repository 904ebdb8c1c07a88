//! What tests say to a tracker, and how they read what it answers: sections 8.2 and 8.3.
//!
//! Every test uses names, ids and peers never seen before, so that it can share a tracker with others.

use std::net::IpAddr;

use super::check::{Checked, holds};
use super::client::{Client, Hello};
use super::fields::{Body, Fields};
use super::numbers::{MEMBER, id};
use super::target::Target;

pub(super) const INSPECT: u8 = 0;
pub(super) const FETCH: u8 = 1;
pub(super) const DEAD: u8 = 1;
pub(super) const MISSING: u8 = 2;
pub(super) const CORRUPT: u8 = 3;
/// When all that is offered here was last changed.
pub(super) const MODIFIED: u64 = 1_700_000_000;

pub(super) type Hash = [u8; 32];

/// A client that no other test is.
pub(super) fn any_client() -> [u8; 16] {
    std::array::from_fn(|_| fastrand::u8(..))
}

pub(super) fn any_hash() -> Hash {
    std::array::from_fn(|_| fastrand::u8(..))
}

/// A folder of names that no other test uses.
pub(super) fn any_prefix() -> String {
    format!("conformance/{:016x}", fastrand::u64(..))
}

/// An Offer of a file of four chunks, an original.
pub fn offer(name: &str, hash: Hash, complete: bool) -> Body {
    offer_as(name, hash, complete, true)
}

pub(super) fn offer_as(name: &str, hash: Hash, complete: bool, original: bool) -> Body {
    let body = Body::new().text(name).raw(&hash).u64(200_000).u64(200_000).u32(4);
    body.u8(u8::from(complete)).u8(u8::from(original)).u64(MODIFIED)
}

/// A REGISTER of these Offers by who listens at `port`.
pub fn register(port: u16, offers: &[Body]) -> Body {
    Body::new().u16(port).list(&[]).list(offers)
}

pub(super) fn locate(name: &str, hash: Hash, purpose: u8, max: u16, missing: &[(u32, u32)]) -> Body {
    Body::new().text(name).raw(&hash).u8(purpose).u16(max).ranges(missing)
}

/// The view of a file.
pub(super) const AS_FILE: u8 = 0;
/// The view of a tree's members.
pub(super) const AS_TREE: u8 = 1;

pub(super) fn have(hash: Hash, gained: &[(u32, u32)]) -> Body {
    Body::new().raw(&hash).u8(AS_FILE).ranges(gained)
}

/// A registered peer with its connection.
pub(super) struct Member {
    pub(super) client: Client,
    pub(super) peer: [u8; 16],
}

/// Registers a new peer that can be dialled at `port`.
pub(super) fn member(target: &Target, port: u16, offers: &[Body]) -> Checked<Member> {
    let hello = Hello { listen_port: port, ..Hello::new(MEMBER) };
    let mut client = target.greet_as(&hello)?;
    client.call(id::REGISTER, &register(port, offers), id::REGISTERED)?;
    Ok(Member { client, peer: hello.peer })
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) peer: [u8; 16],
    pub(super) name: String,
    pub(super) addresses: Vec<(IpAddr, u16)>,
    pub(super) have: u32,
    pub(super) load: (u16, u16),
    pub(super) original: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) hash: Hash,
    pub(super) sizes: (u64, u64, u32),
    pub(super) seeders: u32,
    pub(super) leechers: u32,
    pub(super) original: bool,
    pub(super) agreed: bool,
    pub(super) modified: u64,
    pub(super) version: u32,
    /// Shards that suffice, that may be lost, bytes of the data if it is the parity, and the other content's id.
    pub(super) code: Option<(u8, u8, u64, Hash)>,
    pub(super) holders: Vec<Holder>,
}

pub(super) fn read_holder(fields: &mut Fields<'_>) -> Holder {
    Holder {
        peer: fields.peer(),
        name: fields.text().to_owned(),
        addresses: fields.addresses(),
        have: fields.u32(),
        load: (fields.u16(), fields.u16()),
        original: fields.flag(),
    }
}

fn read_code(fields: &mut Fields<'_>) -> Option<(u8, u8, u64, Hash)> {
    match fields.u8() {
        0 => None,
        k => Some((k, fields.u8(), fields.u64(), fields.hash())),
    }
}

pub(super) fn read_variant(fields: &mut Fields<'_>) -> Variant {
    Variant {
        name: fields.text().to_owned(),
        hash: fields.hash(),
        sizes: (fields.u64(), fields.u64(), fields.u32()),
        seeders: fields.u32(),
        leechers: fields.u32(),
        original: fields.flag(),
        agreed: fields.flag(),
        modified: fields.u64(),
        version: fields.u32(),
        code: read_code(fields),
        holders: fields.list(256, read_holder),
    }
}

pub(super) fn located(client: &mut Client, question: &Body) -> Checked<(Vec<Variant>, Vec<String>)> {
    client
        .call(id::LOCATE, question, id::LOCATED)?
        .fields(|fields| (fields.list(64, read_variant), fields.list(8, |fields| fields.text().to_owned())))
}

/// The one variant of a name or id.
pub(super) fn the_variant(client: &mut Client, name: &str, hash: Hash, purpose: u8) -> Checked<Variant> {
    let (mut variants, near) = located(client, &locate(name, hash, purpose, 256, &[]))?;
    holds!(
        variants.len() == 1 && near.is_empty(),
        "one variant and nothing near, not {variants:02x?} and {near:?}"
    );
    Ok(variants.remove(0))
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) hash: Hash,
    pub(super) sizes: (u64, u64),
    pub(super) seeders: u32,
    pub(super) leechers: u32,
    pub(super) version: u32,
}

pub(super) fn listing(
    client: &mut Client,
    pattern: &str,
    after: &str,
    limit: u16,
) -> Checked<(Vec<Entry>, bool)> {
    let question = Body::new().text(pattern).text(after).u16(limit);
    let read_entry = |fields: &mut Fields<'_>| Entry {
        name: fields.text().to_owned(),
        hash: fields.hash(),
        sizes: (fields.u64(), fields.u64()),
        seeders: fields.u32(),
        leechers: fields.u32(),
        version: fields.u32(),
    };
    client
        .call(id::LIST, &question, id::LISTING)?
        .fields(|fields| (fields.list(1000, read_entry), fields.flag()))
}

/// The names of all pages, and the number of pages.
pub(super) fn all_names(client: &mut Client, pattern: &str, limit: u16) -> Checked<(Vec<String>, usize)> {
    let (mut names, mut pages) = (Vec::<String>::new(), 0);
    loop {
        let after = names.last().cloned().unwrap_or_default();
        let (entries, more) = listing(client, pattern, &after, limit)?;
        holds!(!more || !entries.is_empty(), "a page that says there is more has something");
        names.extend(entries.into_iter().map(|entry| entry.name));
        pages += 1;
        if !more {
            return Ok((names, pages));
        }
    }
}
