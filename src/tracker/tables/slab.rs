//! Values under small numbers: what lets the directory's tables point at each other with four bytes.
//!
//! Owns the numbering. A number is given again only after its value was taken out; what a number
//! means meanwhile is the business of whoever holds it. Values live in blocks that never move: a
//! vector of millions would leave holes behind each time it grows.

use std::ops::{Index, IndexMut};

/// Values in a block.
const BLOCK: usize = 1024;

/// Values numbered from 0, with freed numbers used again.
#[derive(Debug)]
pub(in crate::tracker) struct Slab<T> {
    blocks: Vec<Vec<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { blocks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T: Default> Slab<T> {
    /// Stores a value and says its number.
    pub(in crate::tracker) fn add(&mut self, value: T) -> u32 {
        self.len += 1;
        match self.free.pop() {
            Some(number) => {
                self[number] = value;
                number
            }
            None => self.append(value),
        }
    }

    fn append(&mut self, value: T) -> u32 {
        let blocks = self.blocks.len();
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => {
                block.push(value);
                ((blocks - 1) * BLOCK + block.len() - 1) as u32
            }
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(value);
                self.blocks.push(block);
                (blocks * BLOCK) as u32
            }
        }
    }

    /// Takes a value out and frees its number.
    pub(in crate::tracker) fn take(&mut self, number: u32) -> T {
        self.len -= 1;
        self.free.push(number);
        std::mem::take(&mut self[number])
    }

    /// How many values are stored.
    pub(in crate::tracker) fn len(&self) -> usize {
        self.len
    }

    /// Every place, freed ones too: they hold the default value.
    pub(in crate::tracker) fn places_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.blocks.iter_mut().flatten()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, number: u32) -> &T {
        &self.blocks[number as usize / BLOCK][number as usize % BLOCK]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.blocks[number as usize / BLOCK][number as usize % BLOCK]
    }
}
