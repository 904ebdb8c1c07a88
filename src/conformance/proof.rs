//! Geometry and proofs as section 5 has them, written again from its words.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::check::{Checked, Fault, same};
use super::fields::{Body, Fields};

pub(super) type Hash = [u8; 32];

/// Hashes of a run, and the siblings that prove them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) first: u32,
    pub(super) hashes: Vec<Hash>,
    pub(super) path: Vec<Hash>,
}

impl Proof {
    pub(super) fn read(fields: &mut Fields<'_>) -> Proof {
        let (first, hashes, path) = (fields.u32(), fields.u16().min(4096), fields.u8().min(20)); // more would not fit
        let mut take = |count: usize| (0..count).map(|_| fields.hash()).collect();
        Proof { first, hashes: take(hashes.into()), path: take(path.into()) }
    }

    /// Its bytes, section 2.
    pub(super) fn body(&self) -> Body {
        let head = Body::new().u32(self.first).u16(self.hashes.len() as u16).u8(self.path.len() as u8);
        self.hashes.iter().chain(&self.path).fold(head, |body, hash| body.raw(hash))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == 0 && self.hashes.is_empty() && self.path.is_empty()
    }

    /// The hash of a chunk of the run.
    pub(super) fn hash_of(&self, chunk: u32) -> Checked<Hash> {
        let at = chunk.checked_sub(self.first).map(|at| at as usize);
        let found = at.and_then(|at| self.hashes.get(at)).copied();
        found.ok_or_else(|| {
            Fault::new(format!("a run with chunk {chunk}"), format!("one from {}", self.first))
        })
    }

    /// Section 5.5, line by line.
    pub(super) fn is_right(&self, id: Hash, size: u64) -> bool {
        let chunks = chunks(size);
        let (first, count) = (self.first, self.hashes.len() as u32);
        let span = count.next_power_of_two();
        if count == 0 || first + count > chunks || first % span != 0 {
            return false;
        }
        if count != span && first + count != chunks {
            return false;
        }
        let (mut row, mut width, mut number) = (self.hashes.clone(), chunks, first / span);
        for _ in 0..span.ilog2() {
            if width != 2 {
                row = merge_row(&row);
                width = width.div_ceil(2);
            }
        }
        if let [left, right] = row[..] {
            return self.path.is_empty() && root(left, right) == id;
        }
        let (mut node, mut path) = (row[0], self.path.iter().copied());
        while width > 1 {
            if (number ^ 1) < width {
                let Some(sibling) = path.next() else { return false };
                let (left, right) = if number % 2 == 0 { (node, sibling) } else { (sibling, node) };
                if width == 2 {
                    return path.next().is_none() && root(left, right) == id;
                }
                node = parent(left, right);
            }
            (number, width) = (number / 2, width.div_ceil(2));
        }
        path.next().is_none() && node == id
    }
}

/// All rows of a content's hashes, section 5.4.
#[derive(Debug)]
pub(super) struct Manifest(Vec<Vec<Hash>>);

impl Manifest {
    /// That of a content, and the content's id.
    pub(super) fn of(content: &[u8]) -> (Manifest, Hash) {
        let size = content.len() as u64;
        let parts = (0..).zip(content.chunks(chunk_size(size) as usize));
        let mut rows = vec![parts.map(|(chunk, data)| hash_at(size, chunk, data)).collect::<Vec<_>>()];
        while let Some(row) = rows.last().filter(|row| row.len() > 2) {
            rows.push(merge_row(row));
        }
        (Manifest(rows), *blake3::hash(content).as_bytes())
    }

    /// The proof of a run.
    pub(super) fn prove(&self, first: u32, count: u32) -> Proof {
        let span = count.next_power_of_two();
        let hashes = self.0[0][first as usize..(first + count) as usize].to_vec();
        let (mut number, mut path) = ((first / span) as usize, Vec::new());
        for row in self.0.iter().skip(span.ilog2() as usize) {
            path.extend(row.get(number ^ 1).filter(|_| row.len() > 1));
            number /= 2;
        }
        Proof { first, hashes, path }
    }
}

fn merge_row(row: &[Hash]) -> Vec<Hash> {
    row.chunks(2)
        .map(|pair| match pair {
            [left, right] => parent(*left, *right),
            odd => odd[0],
        })
        .collect()
}

fn parent(left: Hash, right: Hash) -> Hash {
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}

fn root(left: Hash, right: Hash) -> Hash {
    *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()
}

/// The chunk size for a content of this size, section 5.2.
pub(super) fn chunk_size(size: u64) -> u64 {
    let mut chunk_size = 64 << 10;
    while chunk_size < 16 << 20 && size.div_ceil(chunk_size) > 4096 {
        chunk_size *= 2;
    }
    chunk_size
}

pub(super) fn chunks(size: u64) -> u32 {
    size.div_ceil(chunk_size(size)) as u32
}

/// Bytes of a chunk.
pub(super) fn chunk_len(size: u64, chunk: u32) -> u64 {
    chunk_size(size).min(size - u64::from(chunk) * chunk_size(size))
}

/// The hash of a chunk, section 5.3.
pub(super) fn chunk_hash(size: u64, chunk: u32, data: &[u8]) -> Checked<Hash> {
    same!(data.len() as u64, chunk_len(size, chunk), "the length of chunk {chunk},");
    Ok(hash_at(size, chunk, data))
}

fn hash_at(size: u64, chunk: u32, data: &[u8]) -> Hash {
    if chunks(size) == 1 {
        return *blake3::hash(data).as_bytes();
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(u64::from(chunk) * chunk_size(size));
    hasher.update(data).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::conformance::target::pattern;

    fn vectors(kind: &str) -> Vec<Value> {
        let all: Value = serde_json::from_str(include_str!("../../docs/vectors.json")).unwrap();
        all[kind].as_array().unwrap().clone()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn unhex(text: &Value) -> Vec<u8> {
        let digits = text.as_str().unwrap();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// The file was made with `content`; this is the other way to the same numbers.
    #[test]
    fn ids_hashes_and_proofs_are_those_of_the_file_of_vectors() {
        for vector in vectors("contents") {
            let content = pattern(vector["bytes"].as_u64().unwrap() as usize, 0);
            let (manifest, id) = Manifest::of(&content);
            let hashes: Vec<Value> = manifest.0[0].iter().map(|hash| hex(hash).into()).collect();
            assert_eq!((vector["id"].as_str(), &vector["chunk_hashes"]), (Some(&*hex(&id)), &hashes.into()));
        }
        for vector in vectors("proofs") {
            let number = |key: &str| vector[key].as_u64().unwrap();
            let (manifest, id) = Manifest::of(&pattern(number("pattern") as usize, 0));
            let bytes = unhex(&vector["proof"]);
            let proof = Proof::read(&mut Fields::new(&bytes));
            assert_eq!(proof.is_right(id, number("size")), vector["ok"].as_bool().unwrap(), "{vector}");
            if vector["ok"] == true {
                assert_eq!(manifest.prove(number("first") as u32, number("count") as u32), proof);
            }
        }
    }

    #[test]
    fn contents_are_cut_as_in_the_file_of_vectors() {
        for vector in vectors("geometry").iter().filter(|vector| !vector["chunks"].is_null()) {
            let size = vector["bytes"].as_u64().unwrap();
            let cut = (vector["chunk_size"].as_u64().unwrap(), vector["chunks"].as_u64().unwrap());
            assert_eq!((chunk_size(size), u64::from(chunks(size))), cut, "{size}");
        }
    }
}
