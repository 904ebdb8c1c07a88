//! Sealed records: what a closed connection carries behind its handshake.
//!
//! A record is a length of two bytes and so many bytes of ciphertext, the last sixteen of them its tag: a Noise transport
//! message of one to [`MAX_RECORD_BYTES`] bytes. The number of a record is its nonce, so none can be left out, doubled or
//! moved; after [`REKEY_RECORDS`] records of a direction its key is replaced (Noise, section 11.3), and the number goes on.
//! Each value owns its key and its count, so that no nonce is used twice.

use std::fmt;

use bytes::{BufMut, BytesMut};
use ring::aead::MAX_TAG_LEN;
use zeroize::Zeroizing;

use super::cipher::Cipher;
use super::suite::Suite;
use crate::wire::limits::{MAX_RECORD_BYTES, REKEY_RECORDS};

const LENGTH_BYTES: usize = 2;
/// The bytes of a record beside its plaintext: length and tag.
pub const RECORD_OVERHEAD: usize = LENGTH_BYTES + MAX_TAG_LEN;
const _: () = assert!(MAX_RECORD_BYTES + MAX_TAG_LEN <= u16::MAX as usize);

/// A record that is not the next one of its connection, whole and untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was sealed does not open: it was changed on its way, or is not what comes next")]
pub struct Broken;

/// Bytes that `plain` ones take when they are sealed.
pub fn sealed_len(plain: usize) -> usize {
    plain + plain.div_ceil(MAX_RECORD_BYTES) * RECORD_OVERHEAD
}

/// The key of one direction, and the number of the next record.
struct Direction {
    suite: Suite,
    key: Cipher,
    next: u64,
}

impl Direction {
    fn new(suite: Suite, key: &[u8; 32]) -> Result<Direction, Broken> {
        Ok(Direction { suite, key: Cipher::new(suite, key).ok_or(Broken)?, next: 0 })
    }

    /// The nonce of the next record has been used up.
    fn advance(&mut self) -> Result<(), Broken> {
        self.next += 1;
        if self.next.is_multiple_of(REKEY_RECORDS) {
            let mut key = Zeroizing::new([0; 32]);
            let nonce = self.suite.nonce(u64::MAX); // which no record ever has
            let _tag = self.key.seal(nonce, &mut *key).ok_or(Broken)?;
            self.key = Cipher::new(self.suite, &key).ok_or(Broken)?;
        }
        Ok(())
    }
}

/// Seals what this side sends.
pub struct Sealer(Direction);

impl Sealer {
    /// With the key of a handshake.
    pub(super) fn new(suite: Suite, key: &[u8; 32]) -> Result<Sealer, Broken> {
        Direction::new(suite, key).map(Sealer)
    }

    /// As if so many records had been sealed.
    #[cfg(feature = "lab")]
    pub(super) fn pass_over(&mut self, records: u64) -> Result<(), Broken> {
        (0..records).try_for_each(|_| self.0.advance())
    }

    /// Makes a record of one to [`MAX_RECORD_BYTES`] bytes of plaintext, which lie behind the two bytes of its length and
    /// before the sixteen of its tag, as [`RECORD_OVERHEAD`] counts them.
    ///
    /// # Errors
    /// The connection has come to the end of what a key can do, or the slice is not as a record is: this value is of no use
    /// any more.
    pub fn seal_in_place(&mut self, record: &mut [u8]) -> Result<(), Broken> {
        let plain = record.len().checked_sub(RECORD_OVERHEAD).ok_or(Broken)?;
        if plain == 0 || plain > MAX_RECORD_BYTES {
            return Err(Broken);
        }
        let (length, sealed) = record.split_at_mut(LENGTH_BYTES);
        length.copy_from_slice(&(sealed.len() as u16).to_be_bytes());
        let (text, room) = sealed.split_at_mut(plain);
        let Direction { suite, key, next } = &self.0;
        let tag = key.seal(suite.nonce(*next), text).ok_or(Broken)?;
        room.copy_from_slice(&tag);
        self.0.advance()
    }

    /// Puts `plain` behind `out`, in as many records as it takes.
    ///
    /// # Errors
    /// As [`Sealer::seal_in_place`].
    pub fn seal(&mut self, plain: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
        out.reserve(sealed_len(plain.len()));
        for plain in plain.chunks(MAX_RECORD_BYTES) {
            let begins = out.len();
            out.put_bytes(0, LENGTH_BYTES);
            out.put_slice(plain);
            out.put_bytes(0, MAX_TAG_LEN);
            self.seal_in_place(&mut out[begins..])?;
        }
        Ok(())
    }
}

/// Opens what the other side sealed.
pub struct Opener(Direction);

impl Opener {
    /// With the key of a handshake.
    pub(super) fn new(suite: Suite, key: &[u8; 32]) -> Result<Opener, Broken> {
        Direction::new(suite, key).map(Opener)
    }

    /// Opens the whole records that begin at `bytes[sealed]`. Their plaintext is moved to `bytes[end..]`, which is before
    /// them: afterwards `end` is behind it, and `sealed` where the next record begins, of which not all is here yet.
    ///
    /// # Errors
    /// [`Broken`] at the first record that does not open: the connection is of no use any more.
    pub fn open(&mut self, bytes: &mut [u8], end: &mut usize, sealed: &mut usize) -> Result<(), Broken> {
        while let Some(length) = bytes.get(*sealed..).and_then(<[u8]>::first_chunk) {
            let length = usize::from(u16::from_be_bytes(*length));
            if length <= MAX_TAG_LEN || length > MAX_RECORD_BYTES + MAX_TAG_LEN {
                return Err(Broken);
            }
            let begins = *sealed + LENGTH_BYTES;
            if begins + length > bytes.len() {
                break;
            }
            let Direction { suite, key, next } = &self.0;
            let around = bytes.get_mut(*end..begins + length).ok_or(Broken)?;
            *end += key.open(suite.nonce(*next), around, begins - *end).ok_or(Broken)?;
            *sealed = begins + length;
            self.0.advance()?;
        }
        Ok(())
    }
}

/// How far it is, and nothing of its key.
impl fmt::Debug for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.suite, self.next)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({:?})", self.0)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({:?})", self.0)
    }
}
