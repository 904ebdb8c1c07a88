//! What nobody has any more of a content that is kept as shards of a code is decoded from what is left: for a fetch that lacks
//! it, and for a store that is to keep it.
//!
//! `decoder` sees which chunks of a transfer nobody has, and has other chunks of their `columns`, of data and parity,
//! fetched (`side`) to a file without a name (`scratch`), as `swarm/shards.rs` chooses, some columns ahead; `solver` works out a
//! column of which enough is here. `hashes` is how it knows what must come of it. A decoded chunk goes the way of any other: it
//! is proved by the content's own id before it counts.

mod columns;
mod decoder;
mod hashes;
mod scratch;
mod side;
mod solver;

pub(in crate::peer) use decoder::{Decoder, Decoding};
