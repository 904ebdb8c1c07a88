//! What every message can do, whatever its direction.
//!
//! Requests have numbers other than 0 and get exactly one answer with the same number; notices
//! have the number 0 and get none.

use bytes::{Bytes, BytesMut};

use super::field::DecodeError;
use super::frame::{HEADER_BYTES, RawHeader};

/// A message of one direction.
pub trait Message: Sized + std::fmt::Debug {
    /// The message id.
    fn id(&self) -> u8;
    /// The message's name in PROTOCOL.md.
    fn label(&self) -> &'static str;
    /// Appends the fields.
    fn put_body(&self, out: &mut BytesMut);
    /// Reads the message `id` from its body.
    ///
    /// # Errors
    /// When the id is unknown in this direction or the body is not exactly its fields.
    fn decode(id: u8, body: Bytes) -> Result<Self, DecodeError>;

    /// Appends the whole frame.
    fn put_frame(&self, request: u32, out: &mut BytesMut) {
        let start = out.len();
        let header = RawHeader { body_bytes: 0, id: self.id(), request };
        header.put(out);
        self.put_body(out);
        let body_bytes = out.len() - start - HEADER_BYTES;
        RawHeader { body_bytes, ..header }.put_over(&mut out[start..]);
    }
}
