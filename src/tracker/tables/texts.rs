//! The bytes of all names, one behind the other: six bytes of bookkeeping a name instead of forty.
//!
//! Owns the bytes only; who refers to them, and when they are dead, is for the caller to say.

/// Dead bytes below which tidying up is not worth it.
const MIN_DEAD_BYTES: usize = 1 << 20;
/// Bytes of the length before each text.
const LENGTH_BYTES: usize = 2;

/// Bytes of a block. Blocks never move or grow: one buffer would leave holes each time it did.
const BLOCK_BYTES: usize = 1 << 16;
/// Most bytes that the last text which did not fit may leave unused in a block.
const MAX_TEXT_BYTES: usize = 4096 + LENGTH_BYTES;

/// Texts one behind the other, each with its length before it.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    blocks: Vec<Vec<u8>>,
    dead: usize,
}

impl Texts {
    /// True if `bytes` more in `texts` more texts still have addresses.
    pub(crate) fn has_room(&self, bytes: usize, texts: usize) -> bool {
        const MOST_BLOCKS: usize = (u32::MAX as usize + 1) / BLOCK_BYTES;
        let more = (bytes + texts * LENGTH_BYTES) / (BLOCK_BYTES - MAX_TEXT_BYTES) + 1;
        self.blocks.len() + more <= MOST_BLOCKS
    }

    /// Stores a text of at most 4096 bytes and says where it is.
    pub(crate) fn add(&mut self, text: &[u8]) -> u32 {
        let fits = |block: &Vec<u8>| block.len() + LENGTH_BYTES + text.len() <= BLOCK_BYTES;
        if !self.blocks.last().is_some_and(fits) {
            self.blocks.push(Vec::with_capacity(BLOCK_BYTES));
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        let at = (number * BLOCK_BYTES + block.len()) as u32;
        block.extend_from_slice(&(text.len() as u16).to_be_bytes());
        block.extend_from_slice(text);
        at
    }

    /// The text that is there.
    pub(crate) fn get(&self, at: u32) -> &[u8] {
        let (block, at) = (at as usize / BLOCK_BYTES, at as usize % BLOCK_BYTES);
        let (length, rest) = self.blocks[block].split_at(at).1.split_at(LENGTH_BYTES);
        &rest[..length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))]
    }

    /// Gives a text up. Returns true if [`Texts::tidy`] is worth its while.
    pub(crate) fn release(&mut self, at: u32) -> bool {
        self.dead += LENGTH_BYTES + self.get(at).len();
        self.dead > MIN_DEAD_BYTES && self.dead > self.blocks.len() * BLOCK_BYTES / 2
    }

    /// Moves the living texts together, and tells each owner where its text is now.
    pub(crate) fn tidy<'a>(&mut self, living: impl Iterator<Item = &'a mut u32>) {
        let mut tidied = Texts::default();
        for at in living {
            *at = tidied.add(self.get(*at));
        }
        *self = tidied;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> Vec<u8> {
        number.to_string().repeat(1 + number % 700).into_bytes()
    }

    #[test]
    fn texts_are_found_where_they_were_put_and_where_tidying_puts_them() {
        let mut texts = Texts::default();
        let mut at: Vec<u32> = (0..2000).map(|number| texts.add(&text(number))).collect();
        assert!(at.iter().enumerate().all(|(number, at)| texts.get(*at) == text(number)));
        assert!(texts.blocks.iter().all(|block| block.capacity() == BLOCK_BYTES), "no block has grown");
        let before = texts.blocks.len();
        let worth_it: Vec<bool> = at[..1500].iter().map(|at| texts.release(*at)).collect();
        assert!(!worth_it[0] && worth_it[1499]);
        at.drain(..1500);
        texts.tidy(at.iter_mut());
        assert!(at.iter().enumerate().all(|(number, at)| texts.get(*at) == text(1500 + number)));
        assert!(texts.blocks.len() < before / 2 && texts.dead == 0);
    }

    #[test]
    fn a_block_is_filled_to_its_last_byte() {
        let mut texts = Texts::default();
        let whole = vec![b'x'; MAX_TEXT_BYTES - LENGTH_BYTES];
        let fit = BLOCK_BYTES / MAX_TEXT_BYTES;
        for _ in 0..fit {
            texts.add(&whole);
        }
        let rest = BLOCK_BYTES - fit * MAX_TEXT_BYTES - LENGTH_BYTES;
        let last = texts.add(&whole[..rest]);
        assert_eq!((texts.blocks.len(), texts.blocks[0].len()), (1, BLOCK_BYTES));
        assert_eq!(texts.get(last), &whole[..rest]);
        assert_eq!(texts.add(b""), BLOCK_BYTES as u32, "in the next one");
        assert_eq!(texts.get(BLOCK_BYTES as u32), b"");
    }

    #[test]
    fn there_is_room_while_all_have_addresses() {
        let texts = Texts::default();
        assert!(texts.has_room(1 << 30, 1 << 20) && texts.has_room(0, 0));
        assert!(!texts.has_room(1 << 32, 1) && !texts.has_room(0, 1 << 31));
    }
}
