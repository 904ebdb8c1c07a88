//! What time brings: ends the registrations of peers that have been silent for too long, and clears away what they
//! leave; goes over what stores are to keep, and over nodes.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::crew::Crew;
use crate::net::guests::Guests;
use crate::threads;
use crate::tracker::chronicle::Who;
use crate::tracker::shared::Shared;

/// How often a lease is looked at while it lasts, within bounds.
const CHECKS_PER_LEASE: u32 = 8;
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread, which ends when the connections are to close.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(
    shared: Arc<Shared>,
    guests: Arc<Guests>,
    crew: Arc<Crew>,
    lease: Duration,
) -> io::Result<JoinHandle<()>> {
    let pause = (lease / CHECKS_PER_LEASE).clamp(MIN_PAUSE, MAX_PAUSE);
    threads::small("tracker-lease").essential(move || {
        while guests.pause(pause) {
            threads::may_panic("tracker-lease");
            end_leases(&shared, Instant::now());
            shared.end_keys(Instant::now());
            shared.watch_nodes(Instant::now());
            look_at_nodes(&shared);
            crew.join_ended();
        }
    })
}

fn end_leases(shared: &Shared, now: Instant) {
    let expired = shared.lock().expire(now);
    shared.sweep();
    for (peer, profile) in expired {
        let is_store = shared.keep(now, |keeping| keeping.expire(peer, now));
        tracing::info!("the lease of peer {peer} ran out");
        let who = Who::peer(peer, &profile.name, profile.from.ip, is_store);
        shared.note(who, "was silent until its lease ran out");
    }
    shared.tend(now);
}

/// Notes what became of nodes since the last look.
fn look_at_nodes(shared: &Shared) {
    let (heard, records) = (shared.nodes(), shared.records());
    let from = |node| heard.said(node).map(|said| said.from);
    shared.chronicle().look(records.nodes(), from, shared.clock_ms());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::PeerId;
    use crate::tracker::directory::{Bounds, Directory, Origin, Profile, Sender};

    #[test]
    fn a_lease_that_has_run_out_ends_and_no_other() {
        const LEASE: Duration = Duration::from_secs(30);
        let start = Instant::now();
        let shared = Shared::new(Directory::new(LEASE, Bounds::default(), 1, start));
        for number in [1, 2] {
            let sender = Sender { connection: number.into(), peer: PeerId([number; 16]) };
            let later = start + LEASE / 2 * u32::from(number - 1);
            shared.lock().register(sender, Profile::default(), later).unwrap();
        }
        end_leases(&shared, start + LEASE);
        let (left, _) = shared.lock().peers(PeerId([0; 16]), 9, Origin::default(), start + LEASE);
        assert_eq!(left.iter().map(|info| info.peer).collect::<Vec<_>>(), [PeerId([2; 16])]);
    }

    #[test]
    fn the_thread_ends_as_soon_as_the_connections_are_to_close() {
        let lease = Duration::from_secs(3600);
        let shared = Arc::new(Shared::new(Directory::new(lease, Bounds::default(), 1, Instant::now())));
        let guests = Guests::new(1, lease);
        let thread = start(shared, Arc::clone(&guests), Arc::default(), lease).unwrap();
        guests.begin_to_close();
        thread.join().unwrap();
    }
}
