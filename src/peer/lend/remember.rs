//! What a store remembers with a content, for trackers that keep no records: the versions that it stands for. Pure.

use bytes::{Bytes, BytesMut};

use crate::wire::limits::MAX_REMEMBERED;
use crate::wire::{Cursor, Field, List, Published};

/// As the vault keeps it.
pub(super) fn write(published: &List<Published, MAX_REMEMBERED>) -> Vec<u8> {
    let mut out = BytesMut::new();
    published.put(&mut out);
    out.into()
}

/// As it was written; nothing if it was written otherwise.
pub(super) fn read(bytes: &[u8]) -> Vec<Published> {
    let mut from = Cursor::new(Bytes::copy_from_slice(bytes));
    let published = List::<Published, MAX_REMEMBERED>::take(&mut from);
    published.map(List::into_vec).unwrap_or_default()
}
