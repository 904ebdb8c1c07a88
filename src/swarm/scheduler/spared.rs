//! Sources that are to be spared, and for how long the others have done nothing: then there is nothing to spare them for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::event::SourceId;

/// A source that is to be spared is asked by number when no other has brought or got anything for so long.
pub(super) const SPARE_AFTER: Duration = Duration::from_millis(500);
/// And for what others say they have when they have done nothing for so long.
const SPARE_LONG: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(super) struct Spared {
    sources: BTreeSet<SourceId>,
    /// When another than those brought or got something last, or the first source came.
    others_gained: Option<Instant>,
}

impl Spared {
    pub(super) fn spare(&mut self, id: SourceId) {
        self.sources.insert(id);
    }

    pub(super) fn contains(&self, id: SourceId) -> bool {
        self.sources.contains(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    pub(super) fn one_came(&mut self, now: Instant) {
        self.others_gained.get_or_insert(now);
    }

    /// A source has brought or got something.
    pub(super) fn note_gain(&mut self, id: SourceId, now: Instant) {
        if !self.contains(id) {
            self.others_gained = Some(now);
        }
    }

    /// True if they may be asked for what no other has.
    pub(super) fn are_needed(&self, now: Instant) -> bool {
        self.idle(now) >= SPARE_AFTER
    }

    /// True if they may be asked for what others have as well.
    pub(super) fn are_needed_most(&self, now: Instant) -> bool {
        self.idle(now) >= SPARE_LONG
    }

    fn idle(&self, now: Instant) -> Duration {
        self.others_gained.map_or(SPARE_LONG, |gained| now.saturating_duration_since(gained))
    }
}
