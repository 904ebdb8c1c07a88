//! Erasure codes: any `k` of `k + m` shards of a group of chunks give back the rest. Pure.
//!
//! [`Stripes`] says which bytes of a content and of its parity are coded together, [`Shape`] what can be coded at all, and
//! [`of_folder`] whether a folder is worth it; `codec` does the arithmetic. The parity is a content of its own, with an id, so its chunks prove themselves as any
//! others do; and what was decoded is proved by the data's own hashes.

mod codec;
mod folder;
mod stripes;

pub use codec::{CodecError, Recovery, SLICE_BYTES, encode};
pub use folder::{Plain, of_folder};
pub use stripes::{Column, Shape, ShapeError, Shard, Stripes};
