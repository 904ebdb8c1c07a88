//! Which shards are fetched so that one can be decoded that nobody has. Pure.

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

#[cfg(test)]
mod tests {
    use super::Block::{Comes, Gone, Here, Lost, Open};
    use super::*;

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
