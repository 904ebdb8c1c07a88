//! What a serving peer says of trees and their members: section 5.6.

use super::check::{Check, Checked, Fault, checks, holds, same};
use super::client::Client;
use super::fields::Fields;
use super::numbers::id;
use super::peer::{BYTES, Known, MEMBERS, ask_for_one, get_manifest, open, read_opened};
use super::proof::{Hash, Proof, chunks};
use super::target::Peer;

pub(super) const CHECKS: &[Check<Peer>] = checks! {
    "5.6": a_tree_is_fetched_and_then_its_members_as_one;
};

/// Kinds of entries.
const FILE: u8 = 0;
const FOLDER: u8 = 1;
const LINK: u8 = 2;
const HARD_LINK: u8 = 3;
const LEFT_OUT: u8 = 4;
const MORE_LEFT_OUT: u8 = 5;

/// Size and id of the members of a listing.
fn members(listing: &[u8]) -> Checked<Vec<(u64, Hash)>> {
    let mut fields = Fields::new(listing);
    same!(fields.raw(8), b"p2ptree2", "a listing that begins with");
    let mut modes = vec![fields.u16()];
    let (mut members, mut folders, mut last) = (Vec::new(), vec![String::new()], String::new());
    while !fields.rest().is_empty() {
        let kind = fields.u8();
        if matches!(kind, LEFT_OUT | MORE_LEFT_OUT) {
            break;
        }
        let path = fields.text().to_owned();
        holds!(path > last, "{path:?} before {last:?}");
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        holds!(folders.iter().any(|listed| listed == folder), "the folder of {path:?} before it");
        match kind {
            FILE => {
                modes.push(fields.u16());
                let _mtime = fields.u64();
                let member = (fields.u64(), fields.hash());
                if !members.contains(&member) {
                    members.push(member);
                }
            }
            FOLDER => {
                modes.push(fields.u16());
                let _mtime = fields.u64();
                folders.push(path.clone());
            }
            LINK => holds!(!fields.text().starts_with('/'), "that {path:?} leads to a relative target"),
            HARD_LINK => {
                holds!(fields.text() < path.as_str(), "that {path:?} is a link to what was listed before")
            }
            kind => return Err(Fault::new("an entry of kind 0 to 5", format!("kind {kind}"))),
        }
        last = path;
    }
    holds!(modes.iter().all(|mode| *mode <= 0o777), "modes of nine bits");
    Ok(members)
}

fn a_tree_is_fetched_and_then_its_members_as_one(peer: &Peer) -> Checked {
    let Some(tree) = peer.tree else { return Err(Fault::Skipped("no tree was named")) };
    let mut client = peer.target.greet()?;
    let answer = client.call(id::OPEN, &open(0, tree, BYTES), id::OPENED)?;
    let (size, count) = read_opened(&answer)?;
    let (mut known, mut listing) = (Known::default(), Vec::new());
    for number in 0..count {
        let (index, proof, data) = ask_for_one(&mut client, 0, number, true)?;
        known.check(tree, size, index, &proof, &data)?;
        listing.extend(data);
    }
    same!(*blake3::hash(&listing).as_bytes(), tree, "a listing with the id");
    fetch_members(&mut client, tree, &members(&listing)?)
}

fn fetch_members(client: &mut Client, tree: Hash, members: &[(u64, Hash)]) -> Checked {
    let answer = client.call(id::OPEN, &open(1, tree, MEMBERS), id::OPENED)?;
    let total = members.iter().map(|(size, _)| size).sum();
    let places: Vec<(usize, u32)> =
        (0..).zip(members).flat_map(|(at, (size, _))| (0..chunks(*size)).map(move |n| (at, n))).collect();
    same!(read_opened(&answer)?, (total, places.len() as u32), "OPENED with the members' bytes and chunks");
    let mut known = Known::default();
    for (index, (member, chunk)) in (0..).zip(places) {
        let (size, hash) = members[member];
        let (told, proof, data) = ask_for_one(client, 1, index, true)?;
        same!(told, index, "CHUNK with the number");
        known.check(hash, size, chunk, &proof, &data)?;
        let get = get_manifest(1, member as u32, chunk, 1);
        let manifest = client.call(id::GET_MANIFEST, &get, id::MANIFEST)?.fields(Proof::read)?;
        holds!(manifest.is_right(hash, size), "a right manifest of member {member}");
    }
    Ok(())
}
