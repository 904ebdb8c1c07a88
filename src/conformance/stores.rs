//! Stores: LEND, KEPT, DECLINE, GET_DUTIES, STORE, GET_HEALTH and GET_STORES of sections 8.2 and 13.5.

use super::check::{Check, Checked, Fault, checks, holds, same};
use super::client::{Client, Hello};
use super::directory::{AS_FILE, FETCH, Hash, Member, any_client, any_hash, any_prefix, member, the_variant};
use super::fields::{Body, Fields};
use super::numbers::{MEMBER, code, id};
use super::target::Target;

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "8.2":
        who_has_not_lent_says_nothing_of_what_it_keeps,
        duties_come_when_there_are_some_or_the_time_is_over;
    "13.5":
        what_two_stores_hold_is_published_and_located_at_them;
};

const LENDING: u8 = 1;
const CHUNKS: u32 = 4;
const NOTHING: [u8; 16] = [0; 16];
/// A tracker that keeps its records in memory makes no version in its first seconds.
const POLLS: usize = 30;

/// LEND by a store that serves this authority in this term.
fn lend(authority: &[u8], term: &[u8]) -> Body {
    Body::new().u64(1 << 30).u64(0).text("").text("a machine").raw(authority).raw(term)
}

/// KEPT of the four chunks of a content, of all or of none.
fn kept(hash: Hash, all: bool) -> Body {
    Body::new().u32(1).raw(&hash).u8(AS_FILE).u32(CHUNKS).u8(all.into()).u8(0)
}

/// A STORE of a file of four chunks in two copies, whose answer may wait for so long.
fn store(client: [u8; 16], name: &str, hash: Hash, wait_ms: u32) -> Body {
    let version = Body::new().u32(0).raw(&hash).u64(200_000).u64(200_000).u32(CHUNKS).u8(1).u8(1);
    let version = version.u64(0).text("anna");
    Body::new().raw(&client).u64(1).text(name).raw(&version.0).u32(0).u8(0).u32(wait_ms)
}

/// Authority and term of LENT, and whether a report is wanted.
fn lent(client: &mut Client, body: &Body) -> Checked<(Vec<u8>, Vec<u8>, bool)> {
    client.call(id::LEND, body, id::LENT)?.fields(|fields| {
        let (authority, term) = (fields.raw(16).to_vec(), fields.raw(16).to_vec());
        let flags = [fields.flag(), fields.flag(), fields.flag(), fields.flag()];
        (authority, term, flags[2])
    })
}

/// A store that has written down whom it serves, and has said that it holds nothing.
fn lending(target: &Target, port: u16) -> Checked<Member> {
    let mut store = member(target, port, &[])?;
    let (authority, term, report) = lent(&mut store.client, &lend(&NOTHING, &NOTHING))?;
    holds!(authority != NOTHING, "an authority");
    same!(report, false, "a report wanted from who serves nobody:");
    let (same, still, report) = lent(&mut store.client, &lend(&authority, &term))?;
    same!((&same, &still), (&authority, &term));
    same!(report, true, "a report wanted:");
    store.client.call(id::KEPT, &Body::new().u32(0).u8(1), id::OK)?;
    Ok(store)
}

/// Ids and states of all stores of the first page.
fn stores(client: &mut Client) -> Checked<Vec<([u8; 16], u8)>> {
    let read = |fields: &mut Fields<'_>| {
        let peer = fields.peer();
        let _names = (fields.text().len(), fields.text().len(), fields.text().len());
        let state = fields.u8();
        let _sizes = (fields.u64(), fields.u64(), fields.u32(), fields.u64());
        (peer, state)
    };
    let answer = client.call(id::GET_STORES, &Body::new().raw(&NOTHING).u16(256), id::STORES)?;
    answer.fields(|fields| (fields.list(256, read), fields.flag())).map(|(stores, _)| stores)
}

/// This needs stores of its own.
fn alone(client: &mut Client) -> Checked {
    let others = stores(client)?.iter().any(|(_, state)| *state == LENDING);
    if others { Err(Fault::Skipped("others lend space to this tracker")) } else { Ok(()) }
}

fn who_has_not_lent_says_nothing_of_what_it_keeps(target: &Target) -> Checked {
    let refused = |client: &mut Client, id: u8, body: &Body| -> Checked<String> {
        Ok(code::name(client.ask(id, body)?.error()?))
    };
    let hash = any_hash();
    let decline = Body::new().raw(&hash).u8(AS_FILE).u8(1).u64(0);
    let mut guest = target.greet()?;
    for (id, body) in
        [(id::LEND, lend(&NOTHING, &NOTHING)), (id::KEPT, kept(hash, true)), (id::DECLINE, decline)]
    {
        same!(refused(&mut guest, id, &body)?, code::name(code::NOT_REGISTERED));
    }
    let mut peer = member(target, 1, &[])?;
    same!(refused(&mut peer.client, id::KEPT, &kept(hash, true))?, code::name(code::NOT_REGISTERED));
    lent(&mut peer.client, &lend(&[7; 16], &[7; 16]))?;
    same!(
        refused(&mut peer.client, id::KEPT, &kept(hash, true))?,
        code::name(code::NOT_REGISTERED),
        "of another's store"
    );
    peer.client.is_alive()
}

fn duties_come_when_there_are_some_or_the_time_is_over(target: &Target) -> Checked {
    let store = lending(target, 1)?;
    let mut asks = target.greet_as(&Hello { peer: store.peer, ..Hello::new(MEMBER) })?;
    let none = asks.call(id::GET_DUTIES, &Body::new().raw(&NOTHING).u32(200), id::DUTIES)?;
    same!(none.fields(|fields| (fields.raw(16).len(), fields.u32()))?, (16, 0));
    asks.is_alive()
}

/// The content and the chunks of the one KEEP that a store is told.
fn told(asks: &mut Client) -> Checked<(Hash, u8, u32)> {
    let duties = asks.call(id::GET_DUTIES, &Body::new().raw(&NOTHING).u32(5000), id::DUTIES)?;
    let mut fields = Fields::new(&duties.body);
    fields.raw(16);
    same!((fields.u32(), fields.u8()), (1, 2), "one duty, a KEEP:");
    let (hash, view) = (fields.hash(), fields.u8());
    same!((fields.u64(), fields.u64(), fields.u32()), (200_000, 200_000, CHUNKS));
    let form = fields.u8();
    Ok((hash, view, form.into()))
}

fn what_two_stores_hold_is_published_and_located_at_them(target: &Target) -> Checked {
    let mut tool = target.greet()?;
    alone(&mut tool)?;
    let (me, name, hash) = (any_client(), any_prefix(), any_hash());
    let mut two = [lending(target, 11)?, lending(target, 12)?];
    let mut begun = false;
    for _ in 0..POLLS {
        let storing = tool.call(id::STORE, &store(me, &name, hash, 500), id::STORING)?;
        begun = storing.fields(|fields| (fields.u32(), fields.u32()))? == (0, 2 * CHUNKS);
        if begun {
            break;
        }
    }
    holds!(begun, "STORING of eight chunks");
    for one in &mut two {
        let mut asks = target.greet_as(&Hello { peer: one.peer, ..Hello::new(MEMBER) })?;
        same!(told(&mut asks)?, (hash, AS_FILE, 1), "all chunks of the content:");
        one.client.call(id::KEPT, &kept(hash, true), id::OK)?;
    }
    let stored = tool.call(id::STORE, &store(me, &name, hash, 5000), id::STORED)?;
    same!(stored.fields(|fields| (fields.u32(), fields.flag()))?, (1, true));
    let variant = the_variant(&mut tool, "", hash, FETCH)?;
    let mut peers: Vec<[u8; 16]> = variant.holders.iter().map(|holder| holder.peer).collect();
    let mut expected = [two[0].peer, two[1].peer];
    peers.sort_unstable();
    expected.sort_unstable();
    same!((peers.as_slice(), variant.seeders), (expected.as_slice(), 2));
    let health = tool.call(id::GET_HEALTH, &Body::new().text(&name), id::HEALTH)?;
    let mut fields = Fields::new(&health.body);
    same!((fields.u32(), fields.u8(), fields.u8()), (1, 1, 1));
    let _beside_others = (fields.u8(), fields.u8()); // of which these stores do not know
    same!(fields.u64(), 200_000);
    let remove = Body::new().raw(&me).u64(2).text(&name).u32(0);
    same!(tool.call(id::REMOVE, &remove, id::REMOVED)?.fields(|fields| fields.u32())?, 1);
    let gone = tool.ask(id::GET_HEALTH, &Body::new().text(&name))?.error()?;
    same!(code::name(gone), code::name(code::NOT_FOUND));
    Ok(())
}
