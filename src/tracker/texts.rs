//! The bytes of all names, one behind the other: six bytes of bookkeeping a name instead of forty.
//!
//! Owns the bytes only; who refers to them, and when they are dead, is for the caller to say.

/// Dead bytes below which tidying up is not worth it.
const MIN_DEAD_BYTES: usize = 1 << 20;
/// Bytes of the length before each text.
const LENGTH_BYTES: usize = 2;

/// Texts in one buffer, each with its length before it.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    dead: usize,
}

impl Texts {
    /// True if `bytes` more in `texts` more texts still have addresses.
    pub(super) fn has_room(&self, bytes: usize, texts: usize) -> bool {
        self.bytes.len() + bytes + texts * LENGTH_BYTES <= u32::MAX as usize
    }

    /// Stores a text of at most 65,535 bytes and says where it is.
    pub(super) fn add(&mut self, text: &[u8]) -> u32 {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(text);
        at
    }

    /// The text that is there.
    pub(super) fn get(&self, at: u32) -> &[u8] {
        let (length, rest) = self.bytes.split_at(at as usize).1.split_at(LENGTH_BYTES);
        &rest[..length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))]
    }

    /// Gives a text up. Returns true if [`Texts::tidy`] is worth its while.
    pub(super) fn release(&mut self, at: u32) -> bool {
        self.dead += LENGTH_BYTES + self.get(at).len();
        self.dead > MIN_DEAD_BYTES && self.dead > self.bytes.len() / 2
    }

    /// Moves the living texts together, and tells each owner where its text is now.
    pub(super) fn tidy<'a>(&mut self, living: impl Iterator<Item = &'a mut u32>) {
        let mut tidied = Texts::default();
        for at in living {
            *at = tidied.add(self.get(*at));
        }
        *self = tidied;
    }
}
