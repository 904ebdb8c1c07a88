//! A few values that were asked for lately, within a budget of bytes. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::content::FileId;

/// What an entry takes besides its value, about.
const ENTRY_BYTES: usize = 128;

/// The latest values.
#[derive(Debug)]
pub(super) struct Recent<V> {
    items: HashMap<FileId, Item<V>>,
    /// The ids, by when each was asked for last.
    order: BTreeMap<u64, FileId>,
    /// Counts what is asked.
    asked: u64,
    bytes: usize,
    budget_bytes: usize,
}

#[derive(Debug)]
struct Item<V> {
    value: V,
    bytes: usize,
    /// When it was asked for last.
    asked: u64,
}

impl<V: Clone> Recent<V> {
    /// Keeps values of at most `budget_bytes` together; the newest is kept whatever it takes.
    pub(super) fn new(budget_bytes: usize) -> Recent<V> {
        Recent { items: HashMap::new(), order: BTreeMap::new(), asked: 0, bytes: 0, budget_bytes }
    }

    pub(super) fn get(&mut self, id: FileId) -> Option<V> {
        let item = self.items.get_mut(&id)?;
        self.asked += 1;
        self.order.remove(&item.asked);
        self.order.insert(self.asked, id);
        item.asked = self.asked;
        Some(item.value.clone())
    }

    pub(super) fn put(&mut self, id: FileId, value: V, bytes: usize) {
        if self.items.contains_key(&id) {
            return;
        }
        let bytes = bytes + ENTRY_BYTES;
        self.asked += 1;
        self.order.insert(self.asked, id);
        self.items.insert(id, Item { value, bytes, asked: self.asked });
        self.bytes += bytes;
        while self.bytes > self.budget_bytes && self.items.len() > 1 {
            let oldest = self.order.pop_first().and_then(|(_, id)| self.items.remove(&id));
            self.bytes -= oldest.map_or(0, |item| item.bytes);
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.order.clear();
        self.bytes = 0;
    }
}

/// The latest values that were made in the latest step: those made before it are of no use.
#[derive(Debug)]
pub(super) struct OfStep<V> {
    step: u64,
    values: Recent<V>,
}

impl<V: Clone> OfStep<V> {
    /// As [`Recent::new`].
    pub(super) fn new(budget_bytes: usize) -> OfStep<V> {
        OfStep { step: 0, values: Recent::new(budget_bytes) }
    }

    /// A value that was made in the step.
    pub(super) fn get(&mut self, step: u64, id: FileId) -> Option<V> {
        self.move_to(step).then(|| self.values.get(id)).flatten()
    }

    /// Keeps a value that was made in the step.
    pub(super) fn put(&mut self, step: u64, id: FileId, value: V, bytes: usize) {
        if self.move_to(step) {
            self.values.put(id, value, bytes);
        }
    }

    /// True if the step is not over.
    fn move_to(&mut self, step: u64) -> bool {
        if step > self.step {
            self.values.clear();
            self.step = step;
        }
        step == self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_longest_ago_goes_first() {
        let id = |n| FileId([n; 32]);
        let mut recent = Recent::new(2 * ENTRY_BYTES + 10);
        recent.put(id(1), 'a', 4);
        recent.put(id(2), 'b', 4);
        assert_eq!(recent.get(id(1)), Some('a'));
        recent.put(id(3), 'c', 4);
        assert_eq!([1, 2, 3].map(|n| recent.get(id(n))), [Some('a'), None, Some('c')]);
        recent.put(id(3), 'x', 4);
        assert_eq!(recent.get(id(3)), Some('c'), "one id, one value");
        recent.put(id(4), 'd', 1000);
        assert_eq!([1, 3, 4].map(|n| recent.get(id(n))), [None, None, Some('d')]);
        assert_eq!((recent.items.len(), recent.order.len(), recent.bytes), (1, 1, ENTRY_BYTES + 1000));
        recent.put(id(5), 'e', 4);
        assert_eq!([4, 5].map(|n| recent.get(id(n))), [None, Some('e')]);
        assert_eq!(recent.bytes, ENTRY_BYTES + 4);
    }

    #[test]
    fn what_was_made_in_another_step_is_not_found() {
        let id = |n| FileId([n; 32]);
        let mut recent = OfStep::new(10 * ENTRY_BYTES);
        recent.put(1, id(1), 'a', 4);
        assert_eq!((recent.get(1, id(1)), recent.get(1, id(2))), (Some('a'), None));
        recent.put(2, id(2), 'b', 4);
        recent.put(1, id(3), 'c', 4);
        assert_eq!([1, 2, 3].map(|n| recent.get(2, id(n))), [None, Some('b'), None]);
        assert_eq!(recent.get(1, id(2)), None, "who asks late");
        assert_eq!(recent.get(2, id(2)), Some('b'), "takes nothing from others");
        assert_eq!(recent.get(3, id(2)), None);
    }
}
