//! What the log of a vault says, entry by entry. Pure.
//!
//! Integers are big-endian. Files and roots have numbers, which are never given twice in one log.

use bytes::{Buf, BufMut};

use super::slot::{Class, Slot};

use crate::content::{Chunk, ChunkHash, FileId, Looks, Proof, Run};

/// What is kept of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The content's bytes.
    Bytes,
    /// The files that a listing names.
    Members,
    /// The listing itself, for the sake of its members: it is not reported, and goes with them.
    Listing,
}

/// Who may have things deleted, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The id of the trackers that this vault serves.
    pub authority: [u8; 16],
    /// The highest term of theirs that was heard; terms compare as big-endian numbers.
    pub term: [u8; 16],
    /// True if they are the same after each start, for their records are on a disk: then the vault goes over to no others
    /// by itself.
    pub lasting: bool,
}

/// How far all is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scrubbed {
    /// When this round began, in milliseconds since 1970; 0: none has.
    pub begun_ms: u64,
    /// The slot that was read last in it.
    pub(super) at: Option<Slot>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// A file has this number.
    File { file: u32, id: FileId, size: u64 },
    /// The proof of a run of its chunks.
    Proof { file: u32, proof: &'a [u8] },
    /// A run of its chunks lies in a run of slots.
    Chunks { file: u32, first: u32, count: u32, slot: Slot },
    /// A run of its chunks is the same as that in a run of slots which another file has.
    Share { file: u32, first: u32, count: u32, slot: Slot },
    /// Chunks of it are not there any more.
    Lost { file: u32, first: u32, count: u32 },
    /// What is kept of a content has this number, and these files in order.
    Root { root: u32, id: FileId, kind: Kind, files: Vec<u32> },
    /// Chunks of it are to be kept; those of a content without any are none.
    Claim { root: u32, runs: Vec<Run> },
    /// They are no longer.
    Gone { root: u32, runs: Vec<Run> },
    /// What trackers want to be remembered with it.
    Records { root: u32, records: &'a [u8] },
    /// Mode and time of a single file, as they were told.
    Looks { root: u32, looks: Looks },
    /// Whom this vault serves.
    Owner(Owner),
    /// How far all is read again.
    Scrubbed(Scrubbed),
}

const FILE: u8 = 1;
const CHUNKS: u8 = 3;
const LOST: u8 = 4;
const ROOT: u8 = 5;
const CLAIM: u8 = 6;
const GONE: u8 = 7;
const LOOKS: u8 = 9;
const OWNER: u8 = 10;
const SHARE: u8 = 11;
const SCRUBBED: u8 = 12;

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Bytes => 0,
            Kind::Members => 1,
            Kind::Listing => 2,
        }
    }

    fn numbered(number: u8) -> Option<Kind> {
        [Kind::Bytes, Kind::Members, Kind::Listing].into_iter().find(|kind| kind.number() == number)
    }
}

impl Entry<'_> {
    /// The kind of a proof's entry, and of that of records: whoever copies one need not look into it.
    pub(super) const PROOF: u8 = 2;
    pub(super) const RECORDS: u8 = 8;

    /// Its kind and its body.
    pub(super) fn encode(&self) -> (u8, Vec<u8>) {
        let mut out = Vec::new();
        let kind = match self {
            Entry::File { file, id, size } => {
                out.put_u32(*file);
                out.put_slice(&id.0);
                out.put_u64(*size);
                FILE
            }
            Entry::Proof { file, proof } => {
                out.put_u32(*file);
                out.put_slice(proof);
                Entry::PROOF
            }
            Entry::Chunks { file, first, count, slot } | Entry::Share { file, first, count, slot } => {
                [*file, *first, *count, slot.number].into_iter().for_each(|number| out.put_u32(number));
                out.put_u8(slot.class.number());
                if matches!(self, Entry::Chunks { .. }) { CHUNKS } else { SHARE }
            }
            Entry::Lost { file, first, count } => {
                [*file, *first, *count].into_iter().for_each(|number| out.put_u32(number));
                LOST
            }
            Entry::Root { root, id, kind, files } => {
                out.put_u32(*root);
                out.put_slice(&id.0);
                out.put_u8(kind.number());
                files.iter().for_each(|file| out.put_u32(*file));
                ROOT
            }
            Entry::Claim { root, runs } | Entry::Gone { root, runs } => {
                out.put_u32(*root);
                runs.iter().flat_map(|run| [run.first.0, run.count]).for_each(|number| out.put_u32(number));
                if matches!(self, Entry::Claim { .. }) { CLAIM } else { GONE }
            }
            Entry::Records { root, records } => {
                out.put_u32(*root);
                out.put_slice(records);
                Entry::RECORDS
            }
            Entry::Looks { root, looks } => {
                out.put_u32(*root);
                out.put_u16(looks.mode);
                out.put_i64(looks.mtime_ns);
                LOOKS
            }
            Entry::Owner(owner) => {
                out.put_slice(&owner.authority);
                out.put_slice(&owner.term);
                out.put_u8(u8::from(owner.lasting));
                OWNER
            }
            Entry::Scrubbed(Scrubbed { begun_ms, at }) => {
                out.put_u64(*begun_ms);
                if let Some(slot) = at {
                    out.put_u8(slot.class.number());
                    out.put_u32(slot.number);
                }
                SCRUBBED
            }
        };
        (kind, out)
    }

    /// The entry of this kind with this body; `None` if there is none such.
    pub(super) fn decode(kind: u8, mut body: &[u8]) -> Option<Entry<'_>> {
        let from = &mut body;
        let entry = match kind {
            FILE => {
                Entry::File { file: number(from)?, id: FileId(*array(from)?), size: from.try_get_u64().ok()? }
            }
            Entry::PROOF => Entry::Proof { file: number(from)?, proof: std::mem::take(from) },
            CHUNKS | SHARE => {
                let [file, first, count, at] = [number(from)?, number(from)?, number(from)?, number(from)?];
                let class = Class::numbered(from.try_get_u8().ok()?)?;
                first.checked_add(count)?;
                at.checked_add(count)?;
                let slot = Slot { class, number: at };
                match kind {
                    CHUNKS => Entry::Chunks { file, first, count, slot },
                    _ => Entry::Share { file, first, count, slot },
                }
            }
            LOST => {
                let [file, first, count] = [number(from)?, number(from)?, number(from)?];
                first.checked_add(count)?;
                Entry::Lost { file, first, count }
            }
            ROOT => {
                let (root, id) = (number(from)?, FileId(*array(from)?));
                let kind = Kind::numbered(from.try_get_u8().ok()?)?;
                let (files, []) = std::mem::take(from).as_chunks() else { return None };
                let files = files.iter().map(|file| u32::from_be_bytes(*file)).collect();
                Entry::Root { root, id, kind, files }
            }
            CLAIM => Entry::Claim { root: number(from)?, runs: runs(from)? },
            GONE => Entry::Gone { root: number(from)?, runs: runs(from)? },
            Entry::RECORDS => Entry::Records { root: number(from)?, records: std::mem::take(from) },
            LOOKS => {
                let root = number(from)?;
                let looks = Looks { mode: from.try_get_u16().ok()?, mtime_ns: from.try_get_i64().ok()? };
                Entry::Looks { root, looks }
            }
            OWNER => {
                let (authority, term) = (*array(from)?, *array(from)?);
                let lasting = match from.try_get_u8().ok()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                Entry::Owner(Owner { authority, term, lasting })
            }
            SCRUBBED => {
                let begun_ms = from.try_get_u64().ok()?;
                let at = match from.try_get_u8() {
                    Ok(class) => Some(Slot { class: Class::numbered(class)?, number: number(from)? }),
                    Err(_) => None,
                };
                Entry::Scrubbed(Scrubbed { begun_ms, at })
            }
            _ => return None,
        };
        body.is_empty().then_some(entry)
    }
}

fn number(from: &mut &[u8]) -> Option<u32> {
    from.try_get_u32().ok()
}

fn array<'a, const N: usize>(from: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    from.split_off(..N)?.first_chunk()
}

fn runs(from: &mut &[u8]) -> Option<Vec<Run>> {
    let mut runs = Vec::with_capacity(from.len() / 8);
    while !from.is_empty() {
        runs.push(Run::new(Chunk(number(from)?), number(from)?));
    }
    Some(runs)
}

/// A proof, as [`Entry::Proof`] has it: its first chunk, how many hashes, those, and the path.
pub(super) fn encode_proof(proof: &Proof) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + 1 + (proof.hashes.len() + proof.path.len()) * ChunkHash::BYTES);
    out.put_u32(proof.first);
    out.put_u8(proof.hashes.len() as u8);
    proof.hashes.iter().chain(&proof.path).for_each(|hash| out.put_slice(&hash.0));
    out
}

/// A proof that was encoded; `None` if it was not.
pub(super) fn decode_proof(mut proof: &[u8]) -> Option<Proof> {
    let from = &mut proof;
    let (first, count) = (number(from)?, usize::from(from.try_get_u8().ok()?));
    let (hashes, []) = proof.as_chunks() else { return None };
    let (hashes, path) = hashes.split_at_checked(count)?;
    let of = |hashes: &[[u8; ChunkHash::BYTES]]| hashes.iter().copied().map(ChunkHash).collect();
    Some(Proof { first, hashes: of(hashes), path: of(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back_and_nothing_shorter_or_longer_does() {
        let id = FileId([7; 32]);
        let proof =
            Proof { first: 16, hashes: vec![ChunkHash([1; 32]); 16], path: vec![ChunkHash([2; 32]); 3] };
        let proof_bytes = encode_proof(&proof);
        assert_eq!(decode_proof(&proof_bytes), Some(proof));
        let slot = Slot { class: Class::of(70_000), number: 9 };
        let owner = Owner { authority: [1; 16], term: [2; 16], lasting: true };
        let looks = Looks { mode: 0o640, mtime_ns: -5 };
        let entries = [
            Entry::File { file: 1, id, size: 1 << 40 },
            Entry::Proof { file: 1, proof: &proof_bytes },
            Entry::Chunks { file: 1, first: 2, count: 3, slot },
            Entry::Share { file: 1, first: 2, count: 3, slot },
            Entry::Lost { file: 1, first: 2, count: 3 },
            Entry::Root { root: 4, id, kind: Kind::Members, files: vec![1, 2] },
            Entry::Root { root: 4, id, kind: Kind::Listing, files: vec![] },
            Entry::Claim { root: 4, runs: vec![Run::new(Chunk(0), 1), Run::new(Chunk(5), 6)] },
            Entry::Gone { root: 4, runs: vec![] },
            Entry::Records { root: 4, records: b"records" },
            Entry::Looks { root: 4, looks },
            Entry::Owner(owner),
            Entry::Scrubbed(Scrubbed { begun_ms: 7, at: Some(slot) }),
        ];
        for entry in entries {
            let (kind, body) = entry.encode();
            assert_eq!(Entry::decode(kind, &body), Some(entry.clone()));
            for len in 0..body.len() {
                assert_ne!(
                    Entry::decode(kind, &body[..len]),
                    Some(entry.clone()),
                    "{entry:?} of {len} bytes"
                );
            }
            let open_ended = matches!(entry, Entry::Proof { .. } | Entry::Records { .. });
            let longer = [&body[..], &[0]].concat();
            assert_eq!(Entry::decode(kind, &longer).is_some(), open_ended, "{entry:?}");
        }
        assert_eq!(Entry::decode(0, &[]), None);
        let past_the_end = Entry::Chunks { file: 1, first: u32::MAX, count: 2, slot }.encode();
        assert_eq!(Entry::decode(past_the_end.0, &past_the_end.1), None);
        assert_eq!(decode_proof(&proof_bytes[..proof_bytes.len() - 1]), None);
        assert_eq!(decode_proof(&[0, 0, 0, 0, 1]), None);
    }
}
