//! How fast one source is: its rate and window as measured, what it says of its load, whether it has fallen silent.

use std::time::{Duration, Instant};

use super::load::{FIRST_WINDOW, HORIZON, SourceLoad};
use crate::content::Rate;

/// A source is asked ahead for what it delivers in this time beyond its round trip: long enough for requests
/// that wait behind our own chunks in a full uplink (50 ms), short enough to keep its queue useful to others.
const ASK_AHEAD: Duration = Duration::from_millis(80);
/// Most bytes in flight at one source.
const MAX_WINDOW: u64 = 32 << 20;
/// The window grows at most by this factor each time as much as it holds has been delivered.
const MAX_GROWTH: u64 = 4;
/// A rate is measured over this time, or over one window if that comes sooner.
const SAMPLE: Duration = Duration::from_millis(100);
/// But over no less than this: what waited in a buffer comes all at once, and is no rate.
const MIN_SAMPLE: Duration = Duration::from_millis(20);
/// A source is stalled when it is silent for this many times its usual longest pause, or [`MIN_STALL`].
const STALL_PAUSES: u32 = 4;
pub(super) const MIN_STALL: Duration = Duration::from_millis(400);
/// Each time that it stalled since it delivered something, twice as long, but no more often than this.
const MOST_DOUBLINGS: u32 = 6;
/// Of a source that has delivered nothing yet: so many times what it should take, within bounds.
const NEW_STALL: u32 = 2;
const MOST_NEW_STALL: Duration = Duration::from_secs(20);
/// A source that stalled and then answered is left alone for its stall time, but no longer than this.
const MOST_STALL_PAUSE: Duration = Duration::from_secs(1);
/// A stalled source is lost after this many times as long, but not before [`MIN_LOST`].
const LOST_STALLS: u32 = 8;
const MIN_LOST: Duration = Duration::from_secs(10);
/// What is asked within this time after a delivery follows from it.
const AT_ONCE: Duration = Duration::from_millis(1);
/// What an idle source says of its load is asked again after this.
const LOAD_AGE: Duration = Duration::from_secs(1);
/// A source that says it is busy is left alone this long.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// What a source said of its load, and when.
#[derive(Debug, Clone, Copy)]
struct Told {
    load: SourceLoad,
    at: Instant,
}

/// The pace of one source. `owed` is always the bytes asked of it and not yet here.
#[derive(Debug)]
pub(super) struct Pace {
    round_trip: Duration,
    told: Option<Told>,
    /// When its load was asked for, until it answers.
    load_asked: Option<Instant>,
    window: u64,
    /// None until the first sample.
    rate: Option<Rate>,
    /// Bytes that came in all.
    bytes: u64,
    sample_start: Instant,
    sample_bytes: u64,
    last_sign: Instant,
    longest_pause: Duration,
    /// It owes something and is silent.
    stalled: bool,
    /// How often it stalled since it delivered something.
    stalls: u32,
    paused_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(round_trip: Duration, now: Instant) -> Pace {
        Pace {
            round_trip,
            told: None,
            load_asked: None,
            window: FIRST_WINDOW,
            rate: None,
            bytes: 0,
            sample_start: now,
            sample_bytes: 0,
            last_sign: now,
            longest_pause: Duration::ZERO,
            stalled: false,
            stalls: 0,
            paused_until: None,
        }
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    pub(super) fn rate(&self) -> Option<Rate> {
        self.rate
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn load(&self) -> Option<SourceLoad> {
        self.told.map(|told| told.load)
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// True if more may be asked of it than it owes.
    pub(super) fn has_room(&self, owed: u64) -> bool {
        owed < self.window
    }

    /// True unless it is silent, or has said that it is busy.
    pub(super) fn is_well(&self, now: Instant) -> bool {
        !self.stalled && !self.is_paused(now)
    }

    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    pub(super) fn back_off(&mut self, now: Instant) {
        self.paused_until = Some(now + BUSY_PAUSE);
    }

    /// It is about to be asked for more: an idle source's silence and rate begin anew.
    pub(super) fn asks(&mut self, owed: u64, now: Instant) {
        // Who is asked again as soon as it has delivered was not idle: the round trip is part of its rate.
        let idle = now.saturating_duration_since(self.last_sign) >= AT_ONCE;
        if owed == 0 && (idle || self.bytes == 0) {
            self.last_sign = now;
            // Nothing can be here before that, however fast the source is.
            self.sample_start = now + self.round_trip;
            self.sample_bytes = 0;
        }
    }

    /// `bytes` came: updates rate, window and the idea of a usual pause.
    pub(super) fn delivered(&mut self, bytes: u64, now: Instant) {
        let pause = now.saturating_duration_since(self.last_sign);
        self.longest_pause = pause.max(self.longest_pause * 15 / 16);
        self.last_sign = now;
        self.stalled = false;
        self.stalls = 0;
        self.bytes += bytes;
        self.sample_bytes += bytes;
        let elapsed = now.saturating_duration_since(self.sample_start);
        if elapsed < MIN_SAMPLE.max(self.round_trip) || (elapsed < SAMPLE && self.sample_bytes < self.window)
        {
            return;
        }
        let Some(sample) = Rate::of(self.sample_bytes, elapsed) else { return };
        let rate = self.rate.map_or(sample, |rate| rate.mean(sample));
        self.rate = Some(rate);
        // Far sources have a long pipe: as much again must be asked for while it is on its way, or the
        // window could not grow to what the source can give.
        let aim = rate.bytes_in(self.round_trip + ASK_AHEAD.max(self.round_trip));
        self.window = aim.clamp(self.window / 2, self.window.saturating_mul(MAX_GROWTH)).clamp(1, MAX_WINDOW);
        self.sample_start = now;
        self.sample_bytes = 0;
    }

    // Silence.

    pub(super) fn silent(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_sign)
    }

    fn stall_time(&self, owed: u64) -> Duration {
        let usual = (self.longest_pause.max(self.round_trip) * STALL_PAUSES).max(MIN_STALL);
        let usual = usual * (1 << self.stalls.min(MOST_DOUBLINGS)); // or its turn would never come, however often it is asked
        if !self.is_new() {
            return usual;
        }
        // Others may be served before us, as it said.
        usual.max((self.expected(owed, 0) * NEW_STALL).min(MOST_NEW_STALL))
    }

    /// It answered, if not with a chunk: one that stalled may be asked again, but later each time.
    pub(super) fn answered(&mut self, owed: u64, now: Instant) {
        if self.stalled && owed == 0 {
            self.stalled = false;
            self.paused_until = Some(now + self.stall_time(owed).min(MOST_STALL_PAUSE));
        }
    }

    /// True, once each time, when the source owes chunks and is silent for too long.
    pub(super) fn stalls(&mut self, owed: u64, now: Instant) -> bool {
        let stalls = !self.stalled && owed > 0 && self.silent(now) > self.stall_time(owed);
        self.stalled |= stalls;
        self.stalls += u32::from(stalls);
        stalls
    }

    /// True when there is no hope left for a silent source.
    pub(super) fn is_lost(&self, owed: u64, now: Instant) -> bool {
        self.stalled && self.silent(now) > (self.stall_time(owed) * LOST_STALLS).max(MIN_LOST)
    }

    // What to expect.

    /// True until a rate has been measured.
    pub(super) fn is_new(&self) -> bool {
        self.rate.is_none()
    }

    /// What to expect: the rate measured, else its share of what it says it can.
    pub(super) fn speed(&self) -> Option<Rate> {
        self.rate.or_else(|| self.load().map(|load| load.share()))
    }

    /// How long `bytes` more than it owes would take from here.
    pub(super) fn expected(&self, owed: u64, bytes: u64) -> Duration {
        let queue = self.speed().map_or(HORIZON, |speed| speed.time_for(owed + bytes));
        self.round_trip + queue
    }

    // Load.

    /// It told its load; if it was asked for, the time since is a round trip.
    pub(super) fn told(&mut self, load: SourceLoad, owed: u64, now: Instant) {
        self.told = Some(Told { load, at: now });
        let Some(asked) = self.load_asked.take() else { return };
        let round_trip = now.saturating_duration_since(asked);
        // Longer may be the queue in front of the answer, but for an idle source.
        let longer = if owed == 0 { round_trip } else { self.round_trip };
        self.round_trip = round_trip.min((self.round_trip * 7 + longer) / 8);
    }

    /// True, once in a while, if its load should be asked for: to know its turn when it was first asked
    /// for something, `first_asked`, or to know an idle source.
    pub(super) fn should_tell(&mut self, owed: u64, first_asked: Option<Instant>, now: Instant) -> bool {
        let Some(told) = self.told.filter(|_| self.load_asked.is_none()) else { return false };
        let wanted = if owed == 0 {
            now.saturating_duration_since(told.at) >= LOAD_AGE
        } else {
            self.is_new() && first_asked.is_some_and(|asked| told.at <= asked)
        };
        if wanted {
            self.load_asked = Some(now);
        }
        wanted
    }
}

#[cfg(test)]
mod tests;
