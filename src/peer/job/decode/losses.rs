//! Which chunks of a transfer nobody has.

use std::time::{Duration, Instant};

use crate::content::ChunkSet;
use crate::peer::transfer::Transfer;
use crate::swarm::shards::Missed;

/// What nobody has for so long is decoded,
const PATIENCE: Duration = Duration::from_millis(250);
/// or for so long, if all have said what they have whom trackers named.
const ALL_SAID: Duration = Duration::from_millis(40);
/// For so long the first source is waited for: before, nobody has anything.
const FIRST_SOURCE: Duration = Duration::from_secs(3);

/// What is missed of a transfer.
pub(super) struct Losses {
    started: Instant,
    missed: Missed,
    /// The transfer was told to ask for neighbouring chunks one after the other.
    in_order: bool,
}

impl Losses {
    pub(super) fn new(transfer: &Transfer, now: Instant) -> Losses {
        Losses { started: now, missed: Missed::new(transfer.layout.chunks(), now), in_order: false }
    }

    /// What nobody has had for long enough.
    pub(super) fn look(&mut self, transfer: &Transfer, now: Instant) -> ChunkSet {
        let lost = match transfer.sources.any() {
            true => transfer.lacks_of_sources(),
            false if now < self.started + FIRST_SOURCE => ChunkSet::empty(transfer.layout.chunks()),
            false => transfer.lacks_all(),
        };
        let expects = transfer.neighbours(|neighbours| neighbours.expects());
        let patience = if expects { PATIENCE } else { ALL_SAID };
        let long = self.missed.look(&lost, patience, now);
        if !long.is_empty() && !self.in_order {
            // Columns are to be whole soon, one after the other.
            self.in_order = true;
            transfer.goes_in_order();
        }
        long.clone()
    }
}
