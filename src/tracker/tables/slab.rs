//! Values under small numbers: what lets the directory's tables point at each other with four bytes.
//!
//! Owns the numbering. A number is given again only after its value was taken out; what a number
//! means meanwhile is the business of whoever holds it. Values live in blocks that never move: a
//! vector of millions would leave holes behind each time it grows.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

/// Values in a block.
const BLOCK: usize = 1024;

/// The number of a value in the slab whose values `M` stands for: four bytes, in an `Option`, too.
pub(crate) struct Row<M> {
    /// One more than the place, so that 0 is left for `None`.
    number: NonZeroU32,
    of: PhantomData<fn() -> M>,
}

impl<M> Row<M> {
    fn at(place: usize) -> Row<M> {
        Row { number: NonZeroU32::MIN.saturating_add(place as u32), of: PhantomData }
    }

    fn place(self) -> usize {
        self.number.get() as usize - 1
    }

    /// How many rows `other`, which is no earlier one, comes after this one.
    pub(crate) fn distance(self, other: Row<M>) -> usize {
        other.place() - self.place()
    }

    /// The row so many after this one, whether or not it has a value.
    pub(crate) fn later(self, rows: usize) -> Row<M> {
        Row::at(self.place() + rows)
    }
}

// Written out, because derived ones would ask the same of `M`.
impl<M> Clone for Row<M> {
    fn clone(&self) -> Row<M> {
        *self
    }
}

impl<M> Copy for Row<M> {}

impl<M> PartialEq for Row<M> {
    fn eq(&self, other: &Row<M>) -> bool {
        self.number == other.number
    }
}

impl<M> Eq for Row<M> {}

impl<M> PartialOrd for Row<M> {
    fn partial_cmp(&self, other: &Row<M>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for Row<M> {
    fn cmp(&self, other: &Row<M>) -> Ordering {
        self.number.cmp(&other.number)
    }
}

impl<M> Hash for Row<M> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.number.hash(hasher);
    }
}

impl<M> fmt::Debug for Row<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}", self.place())
    }
}

/// Values numbered from 0, with freed numbers used again. `M` stands for its rows where the values' own type
/// cannot, because they point at each other.
#[derive(Debug)]
pub(crate) struct Slab<T, M = T> {
    blocks: Vec<Vec<Option<T>>>,
    free: Vec<Row<M>>,
    len: usize,
}

impl<T, M> Default for Slab<T, M> {
    fn default() -> Slab<T, M> {
        Slab { blocks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T, M> Slab<T, M> {
    /// Values in a block.
    pub(crate) const BLOCK: usize = BLOCK;
    /// Most values, so that each has a row.
    pub(crate) const MAX: usize = u32::MAX as usize;

    /// Stores a value and says its row.
    pub(crate) fn add(&mut self, value: T) -> Row<M> {
        self.len += 1;
        match self.free.pop() {
            Some(row) => {
                *self.place_mut(row) = Some(value);
                row
            }
            None => self.append(value),
        }
    }

    fn append(&mut self, value: T) -> Row<M> {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        let block = self.blocks.last_mut().expect("there is one with room");
        block.push(Some(value));
        Row::at(before + block.len() - 1)
    }

    /// Takes a value out and frees its row.
    pub(crate) fn take(&mut self, row: Row<M>) -> T {
        let value = self.place_mut(row).take().expect("a row is taken once");
        self.len -= 1;
        self.free.push(row);
        value
    }

    /// How many values are stored.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The next values from a place on, each with the place behind it; none at all behind the last place.
    pub(crate) fn next_mut(&mut self, place: usize) -> Option<impl Iterator<Item = (usize, &mut T)>> {
        let rest =
            self.blocks.get_mut(place / BLOCK)?.get_mut(place % BLOCK..).filter(|rest| !rest.is_empty());
        let places = rest?.iter_mut().enumerate();
        Some(places.filter_map(move |(nth, value)| Some((place + nth + 1, value.as_mut()?))))
    }

    fn place_mut(&mut self, row: Row<M>) -> &mut Option<T> {
        &mut self.blocks[row.place() / BLOCK][row.place() % BLOCK]
    }
}

impl<T, M> Index<Row<M>> for Slab<T, M> {
    type Output = T;
    fn index(&self, row: Row<M>) -> &T {
        self.blocks[row.place() / BLOCK][row.place() % BLOCK].as_ref().expect("a row has its value")
    }
}

impl<T, M> IndexMut<Row<M>> for Slab<T, M> {
    fn index_mut(&mut self, row: Row<M>) -> &mut T {
        self.place_mut(row).as_mut().expect("a row has its value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_row_is_used_again_and_no_value_is_lost() {
        let mut slab: Slab<String> = Slab::default();
        let rows: Vec<Row<String>> = (0..3 * BLOCK).map(|value| slab.add(value.to_string())).collect();
        assert_eq!(
            rows.iter().map(|row| row.place()).collect::<Vec<_>>(),
            (0..3 * BLOCK).collect::<Vec<_>>()
        );
        assert_eq!((slab.take(rows[7]), slab.len()), ("7".to_owned(), 3 * BLOCK - 1));
        let values = |slab: &mut Slab<String>, place| slab.next_mut(place).map(Iterator::count);
        assert_eq!(values(&mut slab, 0), Some(BLOCK - 1), "nothing is at the freed place");
        assert_eq!((values(&mut slab, 3 * BLOCK - 5), values(&mut slab, 3 * BLOCK)), (Some(5), None));
        let again = slab.add("seven".to_owned());
        assert_eq!((again, slab.len()), (rows[7], 3 * BLOCK));
        slab[again].push('!');
        assert_eq!((slab[rows[7]].as_str(), slab[rows[BLOCK]].as_str()), ("seven!", "1024"));
        let seventh = slab.next_mut(7).and_then(|mut values| values.next());
        assert_eq!(seventh.map(|(place, value)| (place, &**value)), Some((8, "seven!")));
        assert_eq!((rows[7].distance(rows[BLOCK]), rows[7].later(BLOCK - 7)), (BLOCK - 7, rows[BLOCK]));
        assert_eq!(slab.blocks.len(), 3);
    }

    #[test]
    #[should_panic(expected = "a row has its value")]
    fn a_freed_row_has_no_value() {
        let mut slab: Slab<String> = Slab::default();
        let row = slab.add("x".to_owned());
        slab.take(row);
        let _ = &slab[row];
    }

    #[test]
    fn a_row_costs_four_bytes_with_or_without_a_value() {
        assert_eq!((size_of::<Row<String>>(), size_of::<Option<Row<String>>>()), (4, 4));
    }

    #[test]
    fn the_last_of_the_most_values_has_a_row_and_rows_are_told_by_their_places() {
        let last = Row::<u8>::at(Slab::<u8>::MAX - 1);
        assert_eq!((last.place(), format!("{last:?}")), (Slab::<u8>::MAX - 1, "row 4294967294".to_owned()));
        assert_ne!(Row::<u8>::at(Slab::<u8>::MAX).place(), Slab::<u8>::MAX, "one more has none");
    }
}
