//! Which trackers have a link: one each, however many addresses of it were given or heard of.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::content::PeerId;
use crate::threads::lock;

/// The trackers that have a link, by the ids that they say they have.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<BTreeSet<PeerId>>);

/// That a link is the one to its tracker; it is no more when this is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    tracker: PeerId,
}

impl Seat {
    pub(super) fn take(seats: &Arc<Seats>, tracker: PeerId) -> Option<Seat> {
        lock(&seats.0).insert(tracker).then(|| Seat { seats: seats.clone(), tracker })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.seats.0).remove(&self.tracker);
    }
}
