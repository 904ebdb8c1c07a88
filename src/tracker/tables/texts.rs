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
    /// Blocks that are empty, to be filled again.
    free: Vec<usize>,
    /// The block that is being filled.
    open: Option<usize>,
    /// Bytes of texts that were given up, but for those in blocks that are being left.
    dead: usize,
    /// While the living texts are moved: the blocks that they leave.
    left: Option<Left>,
}

#[derive(Debug)]
struct Left {
    /// For each block whether it is one of them.
    is: Vec<bool>,
    blocks: Vec<usize>,
}

impl Texts {
    /// True if `bytes` more in `texts` more texts still have addresses.
    pub(crate) fn has_room(&self, bytes: usize, texts: usize) -> bool {
        const MOST_BLOCKS: usize = (u32::MAX as usize + 1) / BLOCK_BYTES;
        let more = (bytes + texts * LENGTH_BYTES) / (BLOCK_BYTES - MAX_TEXT_BYTES) + 1;
        self.used() + more <= MOST_BLOCKS
    }

    fn used(&self) -> usize {
        self.blocks.len() - self.free.len()
    }

    /// Stores a text of at most 4096 bytes and says where it is.
    pub(crate) fn add(&mut self, text: &[u8]) -> u32 {
        let fits = |block: &usize| self.blocks[*block].len() + LENGTH_BYTES + text.len() <= BLOCK_BYTES;
        let number = self.open.filter(fits).unwrap_or_else(|| self.new_block());
        self.open = Some(number);
        let block = &mut self.blocks[number];
        let at = (number * BLOCK_BYTES + block.len()) as u32;
        block.extend_from_slice(&(text.len() as u16).to_be_bytes());
        block.extend_from_slice(text);
        at
    }

    fn new_block(&mut self) -> usize {
        let block = Vec::with_capacity(BLOCK_BYTES);
        if let Some(number) = self.free.pop() {
            self.blocks[number] = block;
            return number;
        }
        self.blocks.push(block);
        self.blocks.len() - 1
    }

    /// The text that is there.
    pub(crate) fn get(&self, at: u32) -> &[u8] {
        let (block, at) = (at as usize / BLOCK_BYTES, at as usize % BLOCK_BYTES);
        let (length, rest) = self.blocks[block].split_at(at).1.split_at(LENGTH_BYTES);
        &rest[..length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))]
    }

    /// Gives a text up.
    pub(crate) fn release(&mut self, at: u32) {
        if !self.is_left(at) {
            self.dead += LENGTH_BYTES + self.get(at).len();
        }
    }

    /// True if the text is in a block that is being left.
    fn is_left(&self, at: u32) -> bool {
        let block = at as usize / BLOCK_BYTES;
        self.left.as_ref().is_some_and(|left| left.is.get(block).copied().unwrap_or_default())
    }

    /// True if it is worth while to move the living texts together.
    pub(crate) fn is_untidy(&self) -> bool {
        self.left.is_none() && self.dead > MIN_DEAD_BYTES && self.dead > self.used() * BLOCK_BYTES / 2
    }

    /// Begins to tidy up: all blocks are to be left. Each living text is to be [moved](Texts::moves), and then those
    /// blocks to be [freed](Texts::frees); texts may come and go meanwhile.
    pub(crate) fn begins_to_tidy(&mut self) {
        let is: Vec<bool> = self.blocks.iter().map(|block| !block.is_empty()).collect();
        let blocks = (0..is.len()).filter(|block| is[*block]).collect();
        self.left = Some(Left { is, blocks });
        self.open = None;
        self.dead = 0;
    }

    /// Moves a living text out of a block that is being left. Returns the bytes moved, and says where it is now.
    pub(crate) fn moves(&mut self, at: &mut u32) -> usize {
        if !self.is_left(*at) {
            return 0;
        }
        let text = self.get(*at).to_vec();
        *at = self.add(&text);
        text.len()
    }

    /// Frees so many of the blocks that were left by all living texts. Returns true if there are more.
    pub(crate) fn frees(&mut self, most: usize) -> bool {
        let Some(left) = &mut self.left else { return false };
        let keeps = left.blocks.len().saturating_sub(most);
        for number in left.blocks.drain(keeps..) {
            self.blocks[number] = Vec::new();
            self.free.push(number);
        }
        if keeps == 0 {
            self.left = None;
        }
        keeps > 0
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
        let release = |texts: &mut Texts, at: u32| {
            texts.release(at);
            texts.is_untidy()
        };
        let worth_it: Vec<bool> = at.drain(..1500).map(|at| release(&mut texts, at)).collect();
        assert!(!worth_it[0] && worth_it[1499]);
        texts.begins_to_tidy();
        assert!(!texts.is_untidy());
        // Texts come and go meanwhile.
        texts.release(at.remove(0));
        at.push(texts.add(&text(2000)));
        let moved: usize = at.iter_mut().map(|at| texts.moves(at)).sum();
        assert_eq!(moved, (1501..2000).map(|number| text(number).len()).sum::<usize>());
        let right = |texts: &Texts, at: &[u32]| {
            at.iter().enumerate().all(|(number, at)| texts.get(*at) == text(1501 + number))
        };
        assert!(right(&texts, &at));
        assert!(texts.frees(before - 1) && !texts.frees(9) && !texts.frees(9));
        assert!(right(&texts, &at) && texts.used() < before / 2 && texts.dead == 0);
        // What is free is filled again.
        let blocks = texts.blocks.len();
        (0..1000).for_each(|number| at.push(texts.add(&text(2001 + number))));
        assert!(right(&texts, &at) && texts.blocks.len() == blocks);
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
        /// What is sure to fit into a block, whatever the lengths of the texts.
        const SURE: usize = 65_536 - 4098;
        let mut texts = Texts::default();
        assert!(texts.has_room(65_536 * SURE - 1, 0) && !texts.has_room(65_536 * SURE, 0));
        assert!(
            texts.has_room(0, 32_768 * SURE - 1) && !texts.has_room(0, 32_768 * SURE),
            "their lengths count"
        );
        texts.add(b"x");
        assert!(texts.has_room(65_535 * SURE - 1, 0) && !texts.has_room(65_535 * SURE, 0), "a block is used");
    }

    #[test]
    fn it_is_untidy_when_more_than_a_mebibyte_and_half_of_what_is_used_is_dead() {
        let mut texts = Texts::default();
        let at = texts.add(b"abc");
        texts.release(at);
        assert_eq!(texts.dead, 5, "its length is dead, too");
        let is_untidy = |used: usize, dead| {
            Texts { blocks: vec![Vec::new(); used], dead, ..Texts::default() }.is_untidy()
        };
        assert_eq!([1 << 20, (1 << 20) + 1].map(|dead| is_untidy(1, dead)), [false, true]);
        assert_eq!([1 << 21, (1 << 21) + 1].map(|dead| is_untidy(64, dead)), [false, true]);
    }
}
