//! Chunks that were refused because their file had changed: once the bytes are there again, touched, renamed or
//! put back, the asker is told so, and believes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::held::Held;
use crate::content::Chunk;

/// First and longest pause between two looks at what is gone.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Most files looked at in one look.
const MAX_FILES: usize = 64;

/// What of one slot was refused as gone.
#[derive(Debug, Default)]
pub(super) struct Gone {
    chunks: BTreeSet<Chunk>,
    next: Option<Instant>,
    pause: Duration,
    /// Where the last look ended.
    cursor: Chunk,
}

impl Gone {
    /// A chunk is refused as gone.
    pub(super) fn note(&mut self, chunk: Chunk, now: Instant) {
        self.chunks.insert(chunk);
        if self.next.is_none() {
            self.pause = FIRST_PAUSE;
            self.next = Some(now + self.pause);
        }
    }

    /// When to look whether it is here again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    fn in_turn(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.chunks.range(self.cursor..).chain(self.chunks.range(..self.cursor)).copied()
    }

    /// These are told of; the others later.
    fn found(&mut self, back: &[Chunk], now: Instant) {
        back.iter().for_each(|chunk| _ = self.chunks.remove(chunk));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next = (!self.chunks.is_empty()).then_some(now + self.pause);
    }

    /// Chunks of `held` that were refused and are here again.
    pub(super) fn come_back(&mut self, held: &mut Held, now: Instant) -> Vec<Chunk> {
        if self.next.is_none_or(|next| now < next) {
            return Vec::new();
        }
        let mut files = BTreeMap::new();
        let mut back = Vec::new();
        let gone: Vec<Chunk> = self.in_turn().collect();
        for chunk in gone {
            let Some(place) = held.layout().place(chunk) else { continue };
            if files.len() >= MAX_FILES && !files.contains_key(&place.file) {
                self.cursor = chunk;
                break;
            }
            if *files.entry(place.file).or_insert_with(|| held.data(chunk, place).is_ok()) {
                back.push(chunk);
            }
        }
        self.found(&back, now);
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_looked_at_again_less_and_less_often() {
        let start = Instant::now();
        let mut gone = Gone::default();
        assert_eq!(gone.next(), None);
        gone.note(Chunk(3), start);
        gone.note(Chunk(5), start + FIRST_PAUSE / 2);
        assert_eq!(gone.next(), Some(start + FIRST_PAUSE), "the first refusal counts");
        gone.found(&[], start);
        assert_eq!(gone.next(), Some(start + FIRST_PAUSE * 2));
        (0..10).for_each(|_| gone.found(&[], start));
        assert_eq!(gone.next(), Some(start + LONGEST_PAUSE));
        gone.cursor = Chunk(4);
        assert!(gone.in_turn().eq([5, 3].map(Chunk)));
        gone.found(&[Chunk(3), Chunk(5)], start);
        assert_eq!(gone.next(), None, "all of it is here");
        gone.note(Chunk(3), start);
        assert_eq!(gone.next(), Some(start + FIRST_PAUSE), "and gone another time");
    }
}
