//! Reads all that is kept again, so that what rots on the disk is found while others still have it.
//!
//! It is a slow walk: a round is spread over the time in which all is to be read, it gives way to those who are served,
//! and never takes more than a part of the disk's time. How far it is outlives the process.

use std::time::{Duration, Instant};

use super::store::Store;
use super::vault::{Scrubbed, Suspect};
use crate::clock::since_1970_ms;
use crate::threads;

/// Of a disk's time, one part in so many at most.
const SHARE: u32 = 10;
/// Chunks that are looked up at a time.
const AT_A_TIME: usize = 256;
/// How far it is, is written down so often.
const NOTE_EVERY: Duration = Duration::from_secs(3600);
/// How often it is looked whether others are served.
const LOOK: Duration = Duration::from_millis(200);

/// The pace of a round. Pure.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// What a round is planned to take: less than all is to be read in, so that it can give way.
    planned: Duration,
    /// From so long after its beginning on it gives way to nobody.
    late: Duration,
}

impl Pace {
    fn of(period: Duration) -> Pace {
        Pace { planned: period / 3 * 2, late: period / 6 * 5 }
    }

    /// How long to wait before the next chunk of a round that began so long ago, when the last one took so long to read.
    fn pause(self, since: Duration, left: u64, took: Duration) -> Duration {
        let left = u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        (self.planned.saturating_sub(since) / left).max(took * (SHARE - 1))
    }

    fn gives_way(self, since: Duration) -> bool {
        since < self.late
    }
}

/// What reads again, until the peer stops.
pub(super) struct Scrubber<'a> {
    store: &'a Store,
    pace: Pace,
    at: Scrubbed,
    noted: Instant,
}

impl<'a> Scrubber<'a> {
    /// Reads all within `period`.
    pub(super) fn new(store: &'a Store, period: Duration) -> Scrubber<'a> {
        let (at, now_ms) = (store.vault.scrubbed(), since_1970_ms());
        // None has begun, or the clock went back.
        let is_new = at.begun_ms == 0 || at.begun_ms > now_ms;
        let at = if is_new { Scrubbed::begin(now_ms) } else { at };
        Scrubber { store, pace: Pace::of(period), at, noted: Instant::now() }
    }

    pub(super) fn run(mut self) {
        while !self.store.means.stop.is_stopping() {
            threads::may_panic("lend-scrub");
            self.go_on();
        }
        self.note();
    }

    /// The next few chunks, or the next round.
    fn go_on(&mut self) {
        let (suspects, left) = self.store.vault.next_to_scrub(self.at, AT_A_TIME);
        if suspects.is_empty() {
            self.wait(self.pace.pause(self.since(), 1, Duration::ZERO).max(LOOK));
            self.at = Scrubbed::begin(since_1970_ms());
            return self.note();
        }
        let mut took = Duration::ZERO;
        for (suspect, left) in suspects.iter().zip((1..=left).rev()) {
            if self.wait(self.pace.pause(self.since(), left, took)) {
                return;
            }
            let begun = Instant::now();
            self.read(suspect);
            took = begun.elapsed();
            self.at = self.at.past(suspect);
            if self.noted.elapsed() >= NOTE_EVERY {
                self.note();
            }
        }
    }

    fn read(&self, suspect: &Suspect) {
        match self.store.vault.read_again(suspect) {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => self.store.rotted(lost),
            Err(error) => tracing::warn!("what rotted could not be given up: {error}"),
        }
    }

    /// How long ago the round began.
    fn since(&self) -> Duration {
        Duration::from_millis(since_1970_ms().saturating_sub(self.at.begun_ms))
    }

    /// Waits for so long, and then until nobody is served, if there is time; true if the peer stops.
    fn wait(&self, pause: Duration) -> bool {
        let stop = &self.store.means.stop;
        let _ = stop.stopped().recv_timeout(pause);
        while !stop.is_stopping() && self.store.is_busy() && self.pace.gives_way(self.since()) {
            let _ = stop.stopped().recv_timeout(LOOK);
        }
        stop.is_stopping()
    }

    fn note(&mut self) {
        self.noted = Instant::now();
        if let Err(error) = self.store.vault.note_scrubbed(self.at) {
            tracing::debug!("how far the vault was read again is not written down: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_even_catches_up_and_takes_a_part_of_the_disk_at_most() {
        let day = Duration::from_secs(24 * 3600);
        let pace = Pace::of(30 * day);
        assert_eq!(pace.pause(Duration::ZERO, 20, Duration::ZERO), day);
        assert_eq!(pace.pause(10 * day, 10, Duration::ZERO), day);
        assert_eq!(pace.pause(15 * day, 10, Duration::ZERO), day / 2, "it was away");
        let took = Duration::from_millis(3);
        assert_eq!(pace.pause(29 * day, 1 << 40, took), 9 * took);
        assert!(pace.gives_way(24 * day) && !pace.gives_way(25 * day));
    }
}
