//! Values under small numbers: what lets the directory's tables point at each other with four bytes.
//!
//! Owns the numbering. A number is given again only after its value was taken out; what a number
//! means meanwhile is the business of whoever holds it.

use std::ops::{Index, IndexMut};

/// Values numbered from 0, with freed numbers used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { items: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    /// Stores a value and says its number.
    pub(super) fn add(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.items[number as usize] = value;
                number
            }
            None => {
                self.items.push(value);
                (self.items.len() - 1) as u32
            }
        }
    }

    /// Takes a value out and frees its number.
    pub(super) fn take(&mut self, number: u32) -> T {
        self.free.push(number);
        std::mem::take(&mut self.items[number as usize])
    }

    /// How many values are stored.
    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// Every place, freed ones too: they hold the default value.
    pub(super) fn places_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, number: u32) -> &T {
        &self.items[number as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.items[number as usize]
    }
}
