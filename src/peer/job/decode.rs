//! What nobody has any more of a content that is kept as shards of a code is decoded from what is left: for a fetch that lacks
//! it, and for a store that is to keep it.
//!
//! `decoder` looks after a transfer, as its `task` says, and `losses` sees which of its chunks nobody has. `work` has other chunks of their `columns`,
//! of data and parity, fetched (`side`) to a file without a name (`scratch`), as `swarm/shards.rs` chooses, some columns ahead;
//! `solver` works out a column of which enough is here. `hashes` is how it knows what must come of it, `listing` of which files
//! parity is. A decoded chunk goes the way of any other: it is proved by its file's own id before it counts.

mod columns;
mod decoder;
mod hashes;
mod listing;
mod losses;
mod scratch;
mod side;
mod solver;
mod task;
mod work;

pub(in crate::peer) use decoder::Decoding;
pub(in crate::peer) use task::Decoder;
