//! Listings that are kept for their members' sake.

use std::os::unix::fs::FileExt;

use super::vault::{Kind, Vault, VaultError};
use crate::content::{Chunk, FileId, Tree};

/// The bytes of a file that is kept whole, if it could be a listing.
pub(super) fn read(vault: &Vault, id: FileId) -> Result<Option<Vec<u8>>, VaultError> {
    let Some(content) = vault.serve(id, Kind::Bytes) else { return Ok(None) };
    let layout = content.layout();
    if !content.have().is_full() || layout.size() > Tree::MAX_BYTES {
        return Ok(None);
    }
    let mut bytes = vec![0; layout.size() as usize];
    for place in (0..layout.chunks()).filter_map(|chunk| layout.place(Chunk(chunk))) {
        let Some(located) = content.locate(place)? else { return Ok(None) };
        let part = &mut bytes[place.offset as usize..(place.offset + place.len) as usize];
        if located.file.read_exact_at(part, located.offset).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}
