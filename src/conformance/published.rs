//! What a tracker has on record: RESOLVE, GET_VERSIONS, REMOVE and PUBLISH of sections 8.2 and 13.5.

use super::check::{Check, Checked, checks, holds, same};
use super::client::Client;
use super::directory::{
    Hash, INSPECT, any_client, any_hash, any_prefix, listing, member, offer, the_variant,
};
use super::fields::{Body, Fields};
use super::numbers::{code, id};
use super::target::Target;

pub(super) const CHECKS: &[Check<Target>] = checks! {
    "13.5":
        a_name_has_versions_until_they_are_removed,
        a_request_of_a_client_is_carried_out_once_on_whichever_connection_it_comes;
    "13.2": a_published_name_means_its_latest_version_alone;
    "8.2":
        what_cannot_be_published_is_refused,
        only_a_member_says_what_it_remembers;
};

/// A Version of a file of four chunks that promises nothing.
fn version(number: u32, hash: Hash) -> Body {
    Body::new().u32(number).raw(&hash).u64(200_000).u64(200_000).u32(4).u8(0).u8(0).u64(0).text("anna")
}

fn publish(client: [u8; 16], seq: u64, name: &str, hash: Hash, expect: u32) -> Body {
    Body::new().raw(&client).u64(seq).text(name).raw(&version(0, hash).0).u32(expect)
}

fn remove(client: [u8; 16], seq: u64, name: &str, number: u32) -> Body {
    Body::new().raw(&client).u64(seq).text(name).u32(number)
}

/// Number, id and stamp of a Version, and whether the rest of it is what was published.
fn read_version(fields: &mut Fields<'_>) -> (u32, Hash, u64, bool) {
    let (number, hash) = (fields.u32(), fields.hash());
    let sizes = (fields.u64(), fields.u64(), fields.u32()) == (200_000, 200_000, 4);
    let policy = (fields.u8(), fields.u8()) == (0, 0);
    let stamp = fields.u64();
    (number, hash, stamp, fields.text() == "anna" && sizes && policy)
}

/// Number and freshness of what was published.
fn stored(client: &mut Client, body: &Body) -> Checked<(u32, bool)> {
    client.call(id::PUBLISH, body, id::STORED)?.fields(|fields| (fields.u32(), fields.flag()))
}

/// The numbers of a page of versions, and whether there are more.
fn versions(client: &mut Client, name: &str, before: u32, limit: u16) -> Checked<(Vec<u32>, bool)> {
    let body = Body::new().text(name).u32(before).u16(limit);
    let (page, more) = client
        .call(id::GET_VERSIONS, &body, id::VERSIONS)?
        .fields(|fields| (fields.list(1000, read_version), fields.flag()))?;
    holds!(page.iter().all(|(.., right)| *right), "versions as they were published");
    Ok((page.into_iter().map(|(number, ..)| number).collect(), more))
}

/// Number and id of a version, if there is one.
fn resolved(client: &mut Client, name: &str, number: u32) -> Checked<Option<(u32, Hash)>> {
    let body = Body::new().text(name).u32(number);
    let found = client.call(id::RESOLVE, &body, id::RESOLVED)?;
    let version = found.fields(|fields| fields.list(1, read_version))?.pop();
    if let Some((.., stamp, right)) = version {
        holds!(right, "the version as it was published");
        holds!(stamp > 1_600_000_000_000, "the time of the tracker as its stamp, and not {stamp}");
    }
    Ok(version.map(|(number, hash, ..)| (number, hash)))
}

fn error(client: &mut Client, id: u8, body: &Body) -> Checked<String> {
    Ok(code::name(client.ask(id, body)?.error()?))
}

fn a_name_has_versions_until_they_are_removed(target: &Target) -> Checked {
    let mut client = target.greet()?;
    let name = any_prefix();
    let hashes = [any_hash(), any_hash(), any_hash()];
    for (at, hash) in (1..).zip(hashes) {
        same!(stored(&mut client, &publish(any_client(), 1, &name, hash, 0))?, (at, true));
        same!(stored(&mut client, &publish(any_client(), 1, &name, hash, 0))?, (at, false));
    }
    same!(versions(&mut client, &name, 0, 100)?, (vec![3, 2, 1], false));
    same!(versions(&mut client, &name, 0, 2)?, (vec![3, 2], true));
    same!(versions(&mut client, &name, 2, 0)?, (vec![1], false));
    same!(resolved(&mut client, &name, 0)?, Some((3, hashes[2])));
    same!(resolved(&mut client, &name, 1)?, Some((1, hashes[0])));
    same!(resolved(&mut client, &name, 4)?, None);
    same!(resolved(&mut client, &format!("{name}/"), 0)?, None, "a folder of the name is");
    let removed = |client: &mut Client, number| -> Checked<u32> {
        let body = remove(any_client(), 1, &name, number);
        client.call(id::REMOVE, &body, id::REMOVED)?.fields(|fields| fields.u32())
    };
    same!(removed(&mut client, 3)?, 1);
    same!(resolved(&mut client, &name, 0)?, Some((2, hashes[1])));
    same!(removed(&mut client, 0)?, 2);
    same!(resolved(&mut client, &name, 0)?, None);
    same!(versions(&mut client, &name, 0, 10)?, (vec![], false));
    let again = remove(any_client(), 1, &name, 0);
    same!(error(&mut client, id::REMOVE, &again)?, code::name(code::NOT_FOUND));
    Ok(())
}

fn a_request_of_a_client_is_carried_out_once_on_whichever_connection_it_comes(target: &Target) -> Checked {
    let mut client = target.greet()?;
    let (me, name, hash) = (any_client(), any_prefix(), any_hash());
    same!(stored(&mut client, &publish(me, 7, &name, any_hash(), 0))?, (1, true));
    same!(stored(&mut client, &publish(me, 8, &name, hash, 1))?, (2, true));
    let mut other = target.greet()?;
    same!(stored(&mut other, &publish(me, 8, &name, hash, 1))?, (2, true), "the answer of the first time,");
    let late = publish(me, 7, &name, any_hash(), 0);
    same!(error(&mut other, id::PUBLISH, &late)?, code::name(code::CONFLICT));
    let unexpected = publish(any_client(), 1, &name, any_hash(), 1);
    same!(error(&mut other, id::PUBLISH, &unexpected)?, code::name(code::CONFLICT));
    same!(versions(&mut other, &name, 0, 10)?.0, [2, 1]);
    Ok(())
}

fn a_published_name_means_its_latest_version_alone(target: &Target) -> Checked {
    let (name, published, other) = (any_prefix(), any_hash(), any_hash());
    let offers = [offer(&name, other, true), offer(&format!("{name}x"), published, true)];
    let mut client = member(target, 1, &offers)?.client;
    same!(the_variant(&mut client, &name, [0; 32], INSPECT)?.hash, other);
    stored(&mut client, &publish(any_client(), 1, &name, any_hash(), 0))?;
    let nowhere = the_variant(&mut client, &name, [0; 32], INSPECT)?;
    same!((nowhere.version, nowhere.seeders, nowhere.holders.len()), (1, 0, 0));
    stored(&mut client, &publish(any_client(), 1, &name, published, 0))?;
    let variant = the_variant(&mut client, &name, [0; 32], INSPECT)?;
    same!((variant.name.as_str(), variant.hash, variant.version), (name.as_str(), published, 2));
    same!((variant.seeders, variant.holders.len()), (1, 1), "who has it under another name counts, it is");
    same!(
        the_variant(&mut client, "", other, INSPECT)?.version,
        0,
        "what was registered is had by its id, its version"
    );
    let (entries, more) = listing(&mut client, &format!("{name}*"), "", 100)?;
    let found: Vec<(Hash, u32)> = entries.iter().map(|entry| (entry.hash, entry.version)).collect();
    same!((found, more), (vec![(published, 2), (published, 0)], false));
    let (first, more) = listing(&mut client, &format!("{name}*"), "", 1)?;
    same!((first.len(), more), (1, true));
    Ok(())
}

fn what_cannot_be_published_is_refused(target: &Target) -> Checked {
    let mut client = target.greet()?;
    let (name, hash) = (any_prefix(), any_hash());
    for (id, body) in [
        (id::PUBLISH, publish(any_client(), 1, "../a", hash, 0)),
        (id::RESOLVE, Body::new().text("/a").u32(0)),
        (id::GET_VERSIONS, Body::new().text("").u32(0).u16(1)),
        (id::REMOVE, remove(any_client(), 1, "a//b", 0)),
    ] {
        same!(error(&mut client, id, &body)?, code::name(code::BAD_NAME));
    }
    let nothing = publish(any_client(), 1, &name, [0; 32], 0);
    same!(error(&mut client, id::PUBLISH, &nothing)?, code::name(code::MALFORMED));
    // Two copies: who is to keep them has not been asked.
    let mut promised = publish(any_client(), 1, &name, hash, 0);
    let policy = 16 + 8 + 2 + name.len() + 4 + 32 + 8 + 8 + 4;
    promised.0[policy] = 1;
    promised.0[policy + 1] = 1;
    same!(error(&mut client, id::PUBLISH, &promised)?, code::name(code::MALFORMED));
    client.is_alive()?;
    // Any 0 of 1 is no policy.
    promised.0[policy] = 0;
    client.request(id::PUBLISH, &promised);
    client.ends_with(code::MALFORMED)
}

fn only_a_member_says_what_it_remembers(target: &Target) -> Checked {
    let list = Body::new().list(&[Body::new().text(&any_prefix()).raw(&version(4, any_hash()).0)]).u8(1);
    same!(error(&mut target.greet()?, id::RECORDS, &list)?, code::name(code::NOT_REGISTERED));
    member(target, 1, &[])?.client.call(id::RECORDS, &list, id::OK).map(drop)
}
