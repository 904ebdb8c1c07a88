//! How much is done under one lock: what stores keep is gone over a step at a time.

/// Most work of one step, where looking at a word of a bitmap is 1: about a third of a millisecond.
pub(super) const MOST: usize = 1 << 16;
/// Looking at a content, or changing what a store is to do about it.
pub(super) const CONTENT: usize = 128;
/// Drawing a lot, for a store.
pub(super) const LOT: usize = 16;

/// What a step has done.
#[derive(Debug, Default)]
pub(super) struct Step(usize);

impl Step {
    /// True if the next is for the next step.
    pub(super) fn is_over(&self) -> bool {
        self.0 >= MOST
    }

    /// Does so much.
    pub(super) fn does(&mut self, work: usize) {
        self.0 = self.0.saturating_add(work);
    }

    /// What has been done so far.
    pub(super) fn work(&self) -> usize {
        self.0
    }
}
