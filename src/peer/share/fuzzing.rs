//! Promises of the index about bytes that nobody wrote on purpose, for [`crate::fuzzing`].

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::index::Index;
use super::record::Record;
use crate::content::{ChunkHash, FileId};
use crate::peer::stamp::Stamp;

/// Rows of the index that gets damaged.
const ROWS: u64 = 300;

/// An index of these bytes, or, if the first is not 0, a sound one with damage that they describe, opens;
/// nothing wrong in it is believed; and a row put into it is there when it is opened again.
pub(crate) fn index(bytes: &[u8], scratch: &Path) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let state = scratch.join("state");
    fs::create_dir_all(&state).expect("the fuzzer's folder can be written");
    let content = match kind {
        0 => rest.to_vec(),
        _ => damaged(sound(scratch), rest),
    };
    fs::write(state.join("index"), content).expect("the fuzzer's folder can be written");
    let open = || Index::open(&state).expect("nobody else has it open");
    let (index, rows) = open();
    for (path, row) in &rows {
        let number = path.strip_prefix("file ").and_then(|number| number.parse().ok());
        assert!(number.is_some_and(|number| row.id == id(number)), "{path:?} was never hashed as {row:?}");
    }
    for number in 0..ROWS {
        if let Some(found) = index.hashes(id(number)) {
            assert!(found == hashes(number), "the chunk hashes of {number} are wrong");
        }
    }
    index.prune(0, |_| true);
    index.put(&Arc::from("file 1000000"), &record(1_000_000), vec![ChunkHash([1; 32]); 2]);
    index.commit();
    drop(index);
    let (index, rows) = open();
    assert!(rows.iter().any(|(path, row)| &**path == "file 1000000" && row.id == id(1_000_000)));
    drop(index);
    fs::remove_dir_all(&state).expect("the fuzzer's folder can be emptied");
}

fn id(number: u64) -> FileId {
    FileId::of(&number.to_be_bytes())
}

fn record(number: u64) -> Record {
    let stamp = Stamp { size: number << 17, mtime_ns: 5, inode: number, ctime_ns: 6 };
    Record { stamp, mode: 0o644, linked: false, id: id(number) }
}

fn hashes(number: u64) -> Vec<ChunkHash> {
    vec![ChunkHash([number as u8; 32]); (number % 40) as usize]
}

/// The bytes of a sound index, made once.
fn sound(scratch: &Path) -> Vec<u8> {
    let state = scratch.join("sound");
    if !state.exists() {
        let (index, _) = Index::open(&state).expect("nobody else has it open");
        for number in 0..ROWS {
            index.put(&Arc::from(format!("file {number}")), &record(number), hashes(number));
        }
    }
    fs::read(state.join("index")).expect("the sound index")
}

/// Damage in steps of six bytes: what, where (three bytes), how much, with what.
fn damaged(mut content: Vec<u8>, steps: &[u8]) -> Vec<u8> {
    let (steps, _) = steps.as_chunks::<6>();
    for [what, a, b, c, much, with] in steps {
        if content.is_empty() {
            break;
        }
        let at = u32::from_be_bytes([0, *a, *b, *c]) as usize % content.len();
        let end = (at + (usize::from(*much) << (what >> 4))).min(content.len());
        match what % 5 {
            0 => content.truncate(at),
            1 => content[at..end].fill(*with),
            2 => content[at] ^= 1 << (with % 8),
            3 => content.extend_from_within(at..end),
            _ => content.copy_within(at..end, 0),
        }
    }
    content
}
