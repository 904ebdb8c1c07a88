//! Which shards are fetched so that one can be decoded that nobody has, and since when nobody has it. Pure.

use std::time::{Duration, Instant};

use crate::content::ChunkSet;

/// How a shard's part of a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    /// It is here, or is zeros.
    Here,
    /// It is fetched in any case.
    Comes,
    /// Nobody has it, and it is to be decoded.
    Lost,
    /// Somebody may have it, who has not been asked.
    Open,
    /// Nobody had it who was asked.
    Gone,
}

/// Which shards are to be fetched beside those that come in any case, so that `k` are here in the end: none if enough are, and
/// `None` if there are too few. Where several will do, `turn` says with which it begins: so columns ask different holders.
pub(crate) fn needed(k: usize, blocks: &[Block], turn: usize) -> Option<Vec<usize>> {
    let sure = blocks.iter().filter(|block| matches!(block, Block::Here | Block::Comes)).count();
    let in_turn = (0..blocks.len()).map(|nth| (nth + turn) % blocks.len());
    let open = in_turn.filter(|index| blocks[*index] == Block::Open);
    let chosen: Vec<usize> = open.take(k.saturating_sub(sure)).collect();
    (sure + chosen.len() >= k).then_some(chosen)
}

/// Chunks that nobody has, by whether that has been so for some time.
#[derive(Debug)]
pub(crate) struct Missed {
    long: ChunkSet,
    /// All the time since then.
    short: ChunkSet,
    since: Instant,
}

impl Missed {
    /// Nothing is missed of a content of so many chunks.
    pub(crate) fn new(chunks: u32, now: Instant) -> Missed {
        Missed { long: ChunkSet::empty(chunks), short: ChunkSet::empty(chunks), since: now }
    }

    /// Takes in what nobody has now, and says which of it nobody had at any look for as long as `patience`, or at most twice
    /// as long.
    pub(crate) fn look(&mut self, nobody_has: &ChunkSet, patience: Duration, now: Instant) -> &ChunkSet {
        self.long = self.long.intersection(nobody_has);
        self.short = self.short.intersection(nobody_has);
        let is_over = now.saturating_duration_since(self.since) >= patience;
        if is_over {
            self.long = self.long.union(&self.short);
        }
        if is_over || self.short.is_empty() {
            (self.short, self.since) = (nobody_has.difference(&self.long), now);
        }
        &self.long
    }
}

#[cfg(test)]
mod tests {
    use super::Block::{Comes, Gone, Here, Lost, Open};
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(10);

    #[test]
    fn what_nobody_has_for_long_enough_is_missed_and_no_more_once_somebody_has_it() {
        let set = |chunks: &[u32]| ChunkSet::of(8, chunks);
        let start = Instant::now();
        let mut missed = Missed::new(8, start);
        let mut look = |chunks: &[u32], ms| {
            missed.look(&set(chunks), PATIENCE, start + Duration::from_millis(ms)).clone()
        };
        assert_eq!(look(&[], 100), set(&[]));
        assert_eq!(look(&[1, 2], 103), set(&[]));
        assert_eq!(look(&[1, 2, 3], 112), set(&[]));
        assert_eq!(look(&[1, 3], 113), set(&[1]), "somebody has 2 again, and 3 was missed later");
        assert_eq!(look(&[1, 2, 3], 122), set(&[1]));
        assert_eq!(look(&[1, 2, 3], 123), set(&[1, 3]));
        assert_eq!(look(&[2, 3], 124), set(&[3]));
        assert_eq!(look(&[1, 2, 3], 133), set(&[2, 3]), "1 is missed anew");
    }

    #[test]
    fn as_many_are_fetched_as_are_lacking_and_no_more() {
        // A fetch in 4 + 2 that has three of four, and lacks one.
        assert_eq!(needed(4, &[Here, Comes, Lost, Here, Open, Open], 0), Some(vec![4]));
        assert_eq!(needed(4, &[Here, Comes, Lost, Here, Open, Open], 5), Some(vec![5]));
        assert_eq!(needed(4, &[Here, Lost, Lost, Here, Open, Open], 5), Some(vec![5, 4]));
        // A store that is to have one, and has nothing.
        assert_eq!(needed(4, &[Open, Open, Lost, Open, Open, Open], 3), Some(vec![3, 4, 5, 0]));
        assert_eq!(needed(4, &[Open, Here, Here, Here, Lost, Here], 0), Some(vec![]));
    }

    #[test]
    fn who_cannot_have_enough_fetches_nothing() {
        assert_eq!(needed(4, &[Here, Lost, Lost, Here, Open, Gone], 0), None);
        assert_eq!(needed(2, &[Lost, Gone, Here], 1), None);
        assert_eq!(needed(2, &[Lost, Open, Here], 1), Some(vec![1]));
    }
}
