//! The protocol's messages, numbers, limits and codec.
//!
//! `docs/PROTOCOL.md` is the specification of this module, and a test compares the two in both
//! directions. Pure: bytes in, values out; no socket, no clock.

mod claim;
mod field;
mod frame;
pub mod limits;
mod macros;
mod message;
#[cfg(test)]
mod tests;

pub use field::{Bits, DecodeError, List, Text};
pub use frame::{
    Frame, FrameCodec, FrameError, HEADER_BYTES, PREFACE_BYTES, Preface, PrefaceError, RawHeader,
};
pub use message::*;
