//! What the directory's tables are made of: values under small numbers, sorted sequences of them, and texts.
//!
//! Each owns its bytes and nothing of what they mean.

pub(super) mod order;
pub(super) mod slab;
pub(super) mod texts;
