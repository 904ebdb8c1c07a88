//! One source as the scheduler sees it: what it has, what it owes, how fast it is.

use std::time::{Duration, Instant};

use crate::peer::chunk_set::ChunkSet;

/// A source is asked ahead for what it delivers in this time beyond its round trip: long enough to ride
/// out a scheduling hiccup of either machine, short enough to keep its queue useful to others.
const HORIZON: Duration = Duration::from_millis(60);
/// In flight at a source of which nothing is known yet, in bytes.
const FIRST_WINDOW: u64 = 256 << 10;
/// Most bytes in flight at one source.
const MAX_WINDOW: u64 = 32 << 20;
/// The window grows at most by this factor each time as much as it holds has been delivered.
const MAX_GROWTH: u64 = 4;
/// At least this many requests are in flight, so that one waits while another is on its way.
const MIN_REQUESTS: usize = 1;
/// A rate is measured over this time, or over one window if that comes sooner.
const SAMPLE: Duration = Duration::from_millis(100);
/// But over no less than this: what waited in a buffer comes all at once, and is no rate.
const MIN_SAMPLE: Duration = Duration::from_millis(20);
/// A source is stalled when it is silent for this many times its usual longest pause, or [`MIN_STALL`].
const STALL_PAUSES: u32 = 4;
const MIN_STALL: Duration = Duration::from_millis(400);
/// A stalled source is lost after this many times as long, but not before [`MIN_LOST`].
const LOST_STALLS: u32 = 8;
const MIN_LOST: Duration = Duration::from_secs(10);
/// A source takes over from others at most this often.
const STEAL_INTERVAL: Duration = Duration::from_millis(20);
/// A source that says it is busy is left alone this long.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// What is known of a source, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceView {
    /// Chunks it has.
    pub have: u32,
    /// Wanted chunks it has.
    pub useful: u32,
    /// Bytes a second it delivered lately.
    pub rate: f64,
    /// The shortest time it took to answer.
    pub round_trip: Duration,
    /// Bytes asked of it and not yet here.
    pub inflight_bytes: u64,
    /// Bytes of chunks that came from it.
    pub bytes: u64,
    /// Chunks taken from it.
    pub chunks: u64,
    /// Chunks of it that were thrown away.
    pub corrupt: u32,
    /// How long a chunk asked of it now would take.
    pub cost: Duration,
    /// True if it owes chunks and is silent.
    pub stalled: bool,
}

#[derive(Debug)]
struct Asked {
    chunk: u32,
    bytes: u64,
    begun: bool,
    cancelled: bool,
}

/// A chunk that a source owes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owed {
    pub(super) chunk: u32,
    pub(super) bytes: u64,
    /// Its bytes have begun to arrive.
    pub(super) begun: bool,
    /// How long until it should be here.
    pub(super) due: Duration,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) have: ChunkSet,
    /// It may be asked for whichever chunk it thinks best.
    pub(super) chooses: bool,
    pub(super) any_in_flight: u32,
    any_bytes: u64,
    asked: Vec<Asked>,
    pub(super) inflight_bytes: u64,
    pub(super) corrupt: u32,
    /// Chunks that it says it has, and that were wrong when they came.
    pub(super) doubted: Vec<u32>,
    bytes: u64,
    pub(super) chunks: u64,
    pub(super) stalled: bool,
    round_trip: Duration,
    window: u64,
    /// Bytes a second; 0 until the first sample.
    rate: f64,
    sample_start: Instant,
    sample_bytes: u64,
    last_sign: Instant,
    longest_pause: Duration,
    paused_until: Option<Instant>,
    last_steal: Option<Instant>,
}

impl Source {
    pub(super) fn new(have: ChunkSet, chooses: bool, round_trip: Duration, now: Instant) -> Source {
        Source {
            chooses,
            have,
            any_in_flight: 0,
            any_bytes: 0,
            asked: Vec::new(),
            inflight_bytes: 0,
            corrupt: 0,
            doubted: Vec::new(),
            bytes: 0,
            chunks: 0,
            stalled: false,
            round_trip,
            window: FIRST_WINDOW,
            rate: 0.0,
            sample_start: now,
            sample_bytes: 0,
            last_sign: now,
            longest_pause: Duration::ZERO,
            paused_until: None,
            last_steal: None,
        }
    }

    pub(super) fn view(&self, useful: u32) -> SourceView {
        SourceView {
            have: self.have.count(),
            useful,
            rate: self.rate,
            round_trip: self.round_trip,
            inflight_bytes: self.inflight_bytes,
            bytes: self.bytes,
            chunks: self.chunks,
            corrupt: self.corrupt,
            cost: self.expected(0),
            stalled: self.stalled,
        }
    }

    pub(super) fn asked_chunks(&self) -> impl Iterator<Item = u32> + '_ {
        self.asked.iter().map(|asked| asked.chunk)
    }

    pub(super) fn has_room(&self, now: Instant) -> bool {
        let requests = self.asked.len() + self.any_in_flight as usize;
        let paused = self.paused_until.is_some_and(|until| now < until);
        !paused && !self.stalled && (requests < MIN_REQUESTS || self.inflight_bytes < self.window)
    }

    pub(super) fn ask(&mut self, chunk: u32, bytes: u64, now: Instant) {
        self.wake(now);
        self.asked.push(Asked { chunk, bytes, begun: false, cancelled: false });
        self.inflight_bytes += bytes;
    }

    pub(super) fn ask_any(&mut self, bytes: u64, now: Instant) {
        self.wake(now);
        self.any_in_flight += 1;
        self.any_bytes += bytes;
        self.inflight_bytes += bytes;
    }

    /// An idle source's silence and rate begin anew when it is asked again.
    fn wake(&mut self, now: Instant) {
        if self.inflight_bytes == 0 {
            self.last_sign = now;
            self.sample_start = now;
            self.sample_bytes = 0;
        }
    }

    /// One of the free choices turned out to be `chunk`. False if the chunk was asked for by number.
    pub(super) fn begun(&mut self, chunk: u32) -> bool {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.chunk == chunk) {
            asked.begun = true;
            return false;
        }
        if self.any_in_flight == 0 {
            return false;
        }
        let bytes = self.any_bytes / u64::from(self.any_in_flight);
        self.any_bytes -= bytes;
        self.any_in_flight -= 1;
        self.asked.push(Asked { chunk, bytes, begun: true, cancelled: false });
        true
    }

    /// Forgets `chunk`; its bytes, if it was asked for.
    pub(super) fn settle(&mut self, chunk: u32) -> Option<u64> {
        let at = self.asked.iter().position(|asked| asked.chunk == chunk)?;
        let asked = self.asked.remove(at);
        self.inflight_bytes -= asked.bytes;
        Some(asked.bytes)
    }

    /// Forgets one free choice; its bytes.
    pub(super) fn settle_any(&mut self) -> u64 {
        let bytes = self.any_bytes / u64::from(self.any_in_flight.max(1));
        self.any_in_flight = self.any_in_flight.saturating_sub(1);
        self.any_bytes -= bytes;
        self.inflight_bytes -= bytes;
        bytes
    }

    pub(super) fn back_off(&mut self, now: Instant) {
        self.paused_until = Some(now + BUSY_PAUSE);
    }

    /// `bytes` came: updates rate, window and the idea of a usual pause.
    pub(super) fn delivered(&mut self, bytes: u64, now: Instant) {
        let pause = now.saturating_duration_since(self.last_sign);
        self.longest_pause = pause.max(self.longest_pause * 15 / 16);
        self.last_sign = now;
        self.stalled = false;
        self.bytes += bytes;
        self.sample_bytes += bytes;
        let elapsed = now.saturating_duration_since(self.sample_start);
        if elapsed < MIN_SAMPLE.max(self.round_trip) || (elapsed < SAMPLE && self.sample_bytes < self.window)
        {
            return;
        }
        let sample = self.sample_bytes as f64 / elapsed.as_secs_f64();
        self.rate = if self.rate == 0.0 { sample } else { (self.rate + sample) / 2.0 };
        let aim = (self.rate * (self.round_trip + HORIZON).as_secs_f64()) as u64;
        self.window = aim.clamp(self.window / 2, self.window.saturating_mul(MAX_GROWTH)).clamp(1, MAX_WINDOW);
        self.sample_start = now;
        self.sample_bytes = 0;
    }

    fn stall_time(&self) -> Duration {
        (self.longest_pause.max(self.round_trip) * STALL_PAUSES).max(MIN_STALL)
    }

    /// True, once each time, when the source owes chunks and is silent for too long.
    pub(super) fn stalls(&mut self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.last_sign);
        let stalls = !self.stalled && self.inflight_bytes > 0 && silent > self.stall_time();
        self.stalled |= stalls;
        stalls
    }

    /// True when there is no hope left for a silent source.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.last_sign);
        self.stalled && silent > (self.stall_time() * LOST_STALLS).max(MIN_LOST)
    }

    /// How long `bytes` more would take from here.
    pub(super) fn expected(&self, bytes: u64) -> Duration {
        if self.rate <= 0.0 {
            return self.round_trip + HORIZON;
        }
        self.round_trip
            + Duration::from_secs_f64(((self.inflight_bytes + bytes) as f64 / self.rate).min(3600.0))
    }

    /// The chunks owed that nobody has cancelled: answers come in the order asked.
    pub(super) fn owed(&self, now: Instant) -> impl Iterator<Item = Owed> + '_ {
        let silent = now.saturating_duration_since(self.last_sign);
        let late = silent.saturating_sub(self.round_trip + HORIZON);
        let rate = if self.rate > 0.0 { self.rate } else { FIRST_WINDOW as f64 / HORIZON.as_secs_f64() };
        let mut ahead = 0;
        let owed = self.asked.iter().map(move |asked| {
            ahead += asked.bytes;
            let due = late + Duration::from_secs_f64((ahead as f64 / rate).min(3600.0));
            (asked.cancelled, Owed { chunk: asked.chunk, bytes: asked.bytes, begun: asked.begun, due })
        });
        owed.filter(|(cancelled, _)| !cancelled).map(|(_, owed)| owed)
    }

    pub(super) fn cancelled(&mut self, chunk: u32) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.chunk == chunk) {
            asked.cancelled = true;
        }
    }

    /// One takeover in a while: the last one must have had time to show what it brought.
    pub(super) fn may_steal(&self, now: Instant) -> bool {
        let pause = STEAL_INTERVAL.max(self.round_trip * 2);
        self.last_steal.is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    pub(super) fn has_stolen(&mut self, now: Instant) {
        self.last_steal = Some(now);
    }
}
