//! The listing of a folder, fetched to decode parity of its members.

use std::io;
use std::sync::Arc;

use super::side::{Of, Side};
use super::task::of_file;
use crate::content::{Chunk, FileId, Tree};
use crate::peer::share::read_at;
use crate::wire::View;

/// A listing of so many bytes, if one may be as long.
pub(super) fn of(id: FileId, size: u64) -> Option<Of> {
    of_file(id, size).filter(|of| of.size <= Tree::MAX_BYTES)
}

/// What it names, once all of it is here.
///
/// # Errors
/// It cannot be read, or is none.
pub(super) fn read(side: &Side<'_>, of: &Of) -> io::Result<Option<Of>> {
    if !side.here().is_full() {
        return Ok(None);
    }
    let mut bytes = vec![0; of.size as usize];
    for place in (0..of.layout.chunks()).filter_map(|chunk| of.layout.place(Chunk(chunk))) {
        let lying = side.bytes(place)?;
        let part = &mut bytes[place.offset as usize..(place.offset + place.len) as usize];
        read_at(&lying.file, part, lying.offset)?;
    }
    let members = Tree::decode(&bytes).and_then(|tree| tree.layout()).map_err(io::Error::other)?;
    let (ids, layout) = (members.ids.into(), Arc::new(members.layout));
    Ok(Some(Of { view: View::Members, ids, layout, ..of.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_a_listing_may_be_is_not_fetched_as_one() {
        let len = |size| of(FileId([7; 32]), size).map(|listing| listing.size);
        assert_eq!(len(Tree::MAX_BYTES), Some(Tree::MAX_BYTES));
        assert_eq!(len(Tree::MAX_BYTES + 1), None);
    }
}
