//! How much is done under one lock: questions that look at many names are answered a step at a time.

/// Most work of one step: about a third of a millisecond.
pub(super) const MAX_WORK_A_STEP: usize = 1 << 18;
/// Work of passing over a name, where looking at one of its bytes is 1.
pub const NAME_WORK: usize = 64;
/// Most work for a page of names: some ten seconds, after which nobody waits any more.
pub const MAX_PAGE_WORK: usize = MAX_WORK_A_STEP << 15;
/// Work of choosing a content among those of its name.
pub(super) const CONTENT_WORK: usize = 256;

/// What a step has done.
#[derive(Debug, Default)]
pub struct Step(usize);

impl Step {
    /// True if the next name is for the next step.
    pub fn is_over(&self) -> bool {
        self.0 >= MAX_WORK_A_STEP
    }

    /// Does so much.
    pub fn does(&mut self, work: usize) {
        self.0 = self.0.saturating_add(work);
    }

    /// What has been done so far.
    pub fn work(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_over_when_its_work_is_done() {
        let mut step = Step::default();
        step.does(MAX_WORK_A_STEP - 1);
        assert!(!step.is_over());
        step.does(1);
        assert!(step.is_over());
        step.does(usize::MAX);
        assert_eq!((step.is_over(), step.work()), (true, usize::MAX));
    }
}
