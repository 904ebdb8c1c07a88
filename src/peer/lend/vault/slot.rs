//! Slots: where the chunks lie, and of which size. Pure.

/// Slots of up to this many steps differ by one step; larger ones double.
const FINE: u8 = 16;
const STEP_BYTES: u64 = 4 << 10;
/// What a file system spends on a slot beside its bytes, at most: up to two extents in a tree that is half full.
const OVERHEAD_BYTES: u64 = 64;

/// A size of slots; those of one size share a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Class(u8);

/// A slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    /// Its size.
    pub(super) class: Class,
    /// Its number among those of its size.
    pub(super) number: u32,
}

impl Class {
    /// How many sizes there are: 4 KiB to 64 KiB in steps of that, and 128 KiB to 16 MiB by doubling.
    pub(super) const COUNT: usize = FINE as usize + 8;

    /// The smallest that has room for a chunk of so many bytes, 1 to [`crate::content::Geometry::MAX_CHUNK_SIZE`].
    pub(super) fn of(bytes: u64) -> Class {
        let steps = bytes.div_ceil(STEP_BYTES).max(1);
        match u8::try_from(steps) {
            Ok(steps) if steps <= FINE => Class(steps - 1),
            _ => Class(FINE - 1 + (steps.next_power_of_two() / u64::from(FINE)).trailing_zeros() as u8),
        }
    }

    /// Every size, smallest first.
    pub(super) fn all() -> impl Iterator<Item = Class> {
        (0..Class::COUNT as u8).map(Class)
    }

    /// The size with this number, if there is one.
    pub(super) fn numbered(number: u8) -> Option<Class> {
        (usize::from(number) < Class::COUNT).then_some(Class(number))
    }

    /// Its number, in order of size.
    pub(super) fn number(self) -> u8 {
        self.0
    }

    /// Bytes of a slot.
    pub(super) fn bytes(self) -> u64 {
        match self.0 {
            fine if fine < FINE => (u64::from(fine) + 1) * STEP_BYTES,
            coarse => (u64::from(FINE) * STEP_BYTES) << (coarse - FINE + 1),
        }
    }

    /// What a slot counts for: with what the file system needs for it.
    pub(super) fn charge(self) -> u64 {
        self.bytes() + OVERHEAD_BYTES
    }

    /// The name of the file with slots of this size.
    pub(super) fn file_name(self) -> String {
        match self.bytes() >> 10 {
            kib if kib < 1024 => format!("{kib}k.slab"),
            kib => format!("{}m.slab", kib >> 10),
        }
    }
}

impl Slot {
    /// Where it begins in its file.
    pub(super) fn offset(self) -> u64 {
        u64::from(self.number) * self.class.bytes()
    }

    /// The slot so many behind this one.
    #[must_use]
    pub(super) fn plus(self, more: u32) -> Slot {
        Slot { number: self.number + more, ..self }
    }
}

/// Which slots of one size are in use: those allotted, whether anything is in them or not.
#[derive(Debug, Default)]
pub(super) struct Used {
    words: Vec<u64>,
    /// No word before this one has room.
    full_before: usize,
    count: u32,
}

const WORD: u32 = u64::BITS;

impl Used {
    /// Notes that a slot is in use.
    pub(super) fn mark(&mut self, number: u32) {
        let word = (number / WORD) as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.count += u32::from(!self.has(number));
        self.words[word] |= 1 << (number % WORD);
    }

    /// True if a slot is in use.
    pub(super) fn has(&self, number: u32) -> bool {
        self.words.get((number / WORD) as usize).is_some_and(|word| word >> (number % WORD) & 1 == 1)
    }

    /// Takes so many free slots, as runs of first and count, lowest first. `None` if the numbers do not suffice.
    pub(super) fn take(&mut self, count: u32) -> Option<Vec<(u32, u32)>> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        let (mut left, mut word) = (count, self.full_before);
        while left > 0 {
            if word >= self.words.len() {
                self.words.push(0);
            }
            let free = (!self.words[word]).trailing_zeros();
            if free == WORD {
                word += 1;
                continue;
            }
            let Some(number) = u32::try_from(word).ok().and_then(|word| word.checked_mul(WORD)) else {
                runs.iter().for_each(|(first, count)| self.free(*first, *count));
                return None;
            };
            let number = number + free;
            self.words[word] |= 1 << free;
            self.count += 1;
            match runs.last_mut() {
                Some((first, count)) if *first + *count == number => *count += 1,
                _ => runs.push((number, 1)),
            }
            left -= 1;
        }
        self.full_before = word;
        Some(runs)
    }

    /// A run of slots is free again.
    pub(super) fn free(&mut self, first: u32, count: u32) {
        for number in first..first + count {
            let word = (number / WORD) as usize;
            if !self.has(number) {
                continue;
            }
            self.words[word] &= !(1 << (number % WORD));
            self.full_before = self.full_before.min(word);
            self.count -= 1;
        }
    }

    /// How many are in use.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The free slots before the last used one as runs of first and count, and how many there are up to that one.
    pub(super) fn gaps(&self) -> (Vec<(u32, u32)>, u32) {
        let last = self.words.iter().rposition(|word| *word != 0);
        let end = last.map_or(0, |word| word as u32 * WORD + WORD - self.words[word].leading_zeros());
        let mut gaps: Vec<(u32, u32)> = Vec::new();
        for number in (0..end).filter(|number| !self.has(*number)) {
            match gaps.last_mut() {
                Some((first, count)) if *first + *count == number => *count += 1,
                _ => gaps.push((number, 1)),
            }
        }
        (gaps, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Geometry;

    #[test]
    fn a_chunk_lies_in_the_smallest_slot_that_has_room() {
        let sizes: Vec<u64> = Class::all().map(Class::bytes).collect();
        assert_eq!(sizes[..3], [4 << 10, 8 << 10, 12 << 10]);
        assert_eq!(
            sizes[15..],
            [64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20]
        );
        assert_eq!(sizes.last(), Some(&Geometry::MAX_CHUNK_SIZE));
        for (at, size) in sizes.iter().enumerate() {
            let class = Class::numbered(at as u8).unwrap();
            assert_eq!((Class::of(*size), class.bytes(), class.number()), (class, *size, at as u8));
            assert_eq!(Class::of(size - 1), class);
            assert_eq!(
                Class::of(size + 1).bytes(),
                sizes.get(at + 1).copied().unwrap_or(size * 2).min(32 << 20)
            );
        }
        assert_eq!((Class::of(1).bytes(), Class::numbered(24)), (4 << 10, None));
        assert_eq!(
            (Class::of(10 << 10).file_name(), Class::of(16 << 20).file_name()),
            ("12k.slab".into(), "16m.slab".into())
        );
        assert_eq!(Slot { class: Class::of(100_000), number: 3 }.plus(2).offset(), 5 * (128 << 10));
    }

    #[test]
    fn the_lowest_free_slots_are_taken() {
        let mut used = Used::default();
        assert_eq!(used.take(130), Some(vec![(0, 130)]));
        used.free(3, 2);
        used.free(128, 1);
        assert_eq!(used.gaps(), (vec![(3, 2), (128, 1)], 130));
        assert_eq!(used.take(5), Some(vec![(3, 2), (128, 1), (130, 2)]));
        assert!(used.has(131) && !used.has(132) && !used.has(1 << 20));
        used.mark(200);
        used.mark(200);
        assert_eq!(used.count(), 133);
        assert_eq!(used.take(0), Some(vec![]));
        used.free(0, 201);
        assert_eq!(used.gaps(), (vec![], 0));
        assert_eq!(used.take(1), Some(vec![(0, 1)]));
    }
}
