//! Sees to what other trackers of the cluster have changed in the records: the planner and the keys go by them.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::member::Service;
use crate::threads;

/// How often it is looked whether the tracker stops.
const LOOK: Duration = Duration::from_millis(100);

/// Starts the thread, which ends when the connections are to close.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(service: Arc<Service>) -> io::Result<JoinHandle<()>> {
    threads::named("tracker-follow").essential(move || {
        while !service.guests.is_closing() {
            threads::may_panic("tracker-follow");
            let Some(several) = service.shared.several() else { return };
            let changed = several.changes().wait(LOOK);
            if changed != Default::default() {
                service.shared.follow(&changed, Instant::now());
                service.attend();
            }
        }
    })
}
