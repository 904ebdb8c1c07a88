//! A few values that were asked for lately, within a budget of bytes. Pure.

use std::collections::VecDeque;

use crate::content::FileId;

/// The latest values, newest last.
#[derive(Debug)]
pub(super) struct Recent<V> {
    items: VecDeque<(FileId, V, usize)>,
    bytes: usize,
    budget_bytes: usize,
}

impl<V: Clone> Recent<V> {
    /// Keeps values of at most `budget_bytes` together; the newest is kept whatever it takes.
    pub(super) fn new(budget_bytes: usize) -> Recent<V> {
        Recent { items: VecDeque::new(), bytes: 0, budget_bytes }
    }

    pub(super) fn get(&mut self, id: FileId) -> Option<V> {
        let at = self.items.iter().position(|(known, ..)| *known == id)?;
        let item = self.items.remove(at)?;
        let value = item.1.clone();
        self.items.push_back(item);
        Some(value)
    }

    pub(super) fn put(&mut self, id: FileId, value: V, bytes: usize) {
        if self.items.iter().any(|(known, ..)| *known == id) {
            return;
        }
        self.items.push_back((id, value, bytes));
        self.bytes += bytes;
        while self.bytes > self.budget_bytes && self.items.len() > 1 {
            self.bytes -= self.items.pop_front().map_or(0, |(.., bytes)| bytes);
        }
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_longest_ago_goes_first() {
        let id = |n| FileId([n; 32]);
        let mut recent = Recent::new(10);
        recent.put(id(1), 'a', 4);
        recent.put(id(2), 'b', 4);
        assert_eq!(recent.get(id(1)), Some('a'));
        recent.put(id(3), 'c', 4);
        assert_eq!([1, 2, 3].map(|n| recent.get(id(n))), [Some('a'), None, Some('c')]);
        recent.put(id(4), 'd', 100);
        assert_eq!([1, 3, 4].map(|n| recent.get(id(n))), [None, None, Some('d')]);
    }
}
