//! One source as the scheduler sees it: what it has, what it owes, how fast it is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::load::{FIRST_WINDOW, HORIZON, SourceLoad, seconds};
use super::reason::Reason;
use crate::content::ChunkSet;

/// A source is asked ahead for what it delivers in this time beyond its round trip: long enough for requests
/// that wait behind our own chunks in a full uplink (50 ms), short enough to keep its queue useful to others.
const ASK_AHEAD: Duration = Duration::from_millis(80);
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
pub(super) const MIN_STALL: Duration = Duration::from_millis(400);
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
/// A source takes over from others at most this often.
const STEAL_INTERVAL: Duration = Duration::from_millis(20);
/// A source is new for this long.
const JUST_NOW: Duration = Duration::from_millis(20);
/// What an idle source says of its load is asked again after this.
const LOAD_AGE: Duration = Duration::from_secs(1);
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
    /// What it said of its load last.
    pub load: Option<SourceLoad>,
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
    /// Why it is, or is not, asked.
    pub reason: Reason,
}

#[derive(Debug)]
struct Asked {
    chunk: u32,
    bytes: u64,
    at: Instant,
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

/// What a source said of its load, and when.
#[derive(Debug, Clone, Copy)]
struct Told {
    load: SourceLoad,
    at: Instant,
}

#[derive(Debug)]
pub(super) struct Source {
    came: Instant,
    /// How many chunks more were here than there when it came; none if it had all, and so gains nothing.
    head_start: Option<i64>,
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
    /// Chunks that it had and has lost once.
    lost: BTreeSet<u32>,
    /// A wrong chunk of it was put down to a change of the file.
    excused: bool,
    bytes: u64,
    pub(super) chunks: u64,
    pub(super) stalled: bool,
    /// How often it stalled since it delivered something.
    stalls: u32,
    pub(super) round_trip: Duration,
    told: Option<Told>,
    /// When its load was asked for, until it answers.
    load_asked: Option<Instant>,
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
    pub(super) fn new(
        have: ChunkSet,
        mine: u32,
        chooses: bool,
        round_trip: Duration,
        now: Instant,
    ) -> Source {
        Source {
            came: now,
            head_start: (!have.is_full()).then(|| i64::from(mine) - i64::from(have.count())),
            chooses,
            have,
            any_in_flight: 0,
            any_bytes: 0,
            asked: Vec::new(),
            inflight_bytes: 0,
            corrupt: 0,
            doubted: Vec::new(),
            lost: BTreeSet::new(),
            excused: false,
            bytes: 0,
            chunks: 0,
            stalled: false,
            stalls: 0,
            round_trip,
            told: None,
            load_asked: None,
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

    pub(super) fn view(&self, useful: u32, chunk_bytes: u64, reason: Reason) -> SourceView {
        SourceView {
            have: self.have.count(),
            useful,
            rate: self.rate,
            round_trip: self.round_trip,
            inflight_bytes: self.inflight_bytes,
            load: self.told.map(|told| told.load),
            bytes: self.bytes,
            chunks: self.chunks,
            corrupt: self.corrupt,
            cost: self.expected(chunk_bytes),
            stalled: self.stalled,
            reason,
        }
    }

    /// How many chunks more than the source this side gained since it came, if it now has `mine`; nothing is known
    /// of one that had them all.
    pub(super) fn lead(&self, mine: u32) -> Option<i64> {
        self.head_start.map(|head_start| i64::from(mine) - i64::from(self.have.count()) - head_start)
    }

    pub(super) fn asked_chunks(&self) -> impl Iterator<Item = u32> + '_ {
        self.asked.iter().map(|asked| asked.chunk)
    }

    pub(super) fn has_room(&self, now: Instant) -> bool {
        let requests = self.asked.len() + self.any_in_flight as usize;
        self.is_well(now) && (requests < MIN_REQUESTS || self.inflight_bytes < self.window)
    }

    /// True unless it is silent, or has said that it is busy.
    pub(super) fn is_well(&self, now: Instant) -> bool {
        !self.stalled && !self.paused(now)
    }

    pub(super) fn paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    pub(super) fn ask(&mut self, chunk: u32, bytes: u64, now: Instant) {
        self.wake(now);
        self.asked.push(Asked { chunk, bytes, at: now, begun: false, cancelled: false });
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
        // Who is asked again as soon as it has delivered was not idle: the round trip is part of its rate.
        let idle = now.saturating_duration_since(self.last_sign) >= AT_ONCE;
        if self.inflight_bytes == 0 && (idle || self.bytes == 0) {
            self.last_sign = now;
            // Nothing can be here before that, however fast the source is.
            self.sample_start = now + self.round_trip;
            self.sample_bytes = 0;
        }
    }

    /// One of the free choices turned out to be `chunk`. False if the chunk was asked for by number.
    pub(super) fn begun(&mut self, chunk: u32, now: Instant) -> bool {
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
        self.asked.push(Asked { chunk, bytes, at: now, begun: true, cancelled: false });
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

    /// The file under a chunk has changed, as it says. A chunk that was wrong before may have come of that: one
    /// is excused, and no more, so that a liar gains no more.
    pub(super) fn lost(&mut self, chunk: u32, now: Instant) {
        if self.corrupt > 0 && !self.excused {
            self.corrupt -= 1;
            self.excused = true;
        }
        if !self.lost.insert(chunk) {
            self.back_off(now); // it has said anew that it has it, and has not
        }
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
        self.stalls = 0;
        self.bytes += bytes;
        self.sample_bytes += bytes;
        let elapsed = now.saturating_duration_since(self.sample_start);
        if elapsed < MIN_SAMPLE.max(self.round_trip) || (elapsed < SAMPLE && self.sample_bytes < self.window)
        {
            return;
        }
        let sample = self.sample_bytes as f64 / elapsed.as_secs_f64();
        self.rate = if self.rate == 0.0 { sample } else { (self.rate + sample) / 2.0 };
        // Far sources have a long pipe: as much again must be asked for while it is on its way, or the
        // window could not grow to what the source can give.
        let aim = (self.rate * (self.round_trip + ASK_AHEAD.max(self.round_trip)).as_secs_f64()) as u64;
        self.window = aim.clamp(self.window / 2, self.window.saturating_mul(MAX_GROWTH)).clamp(1, MAX_WINDOW);
        self.sample_start = now;
        self.sample_bytes = 0;
    }

    fn stall_time(&self) -> Duration {
        let usual = (self.longest_pause.max(self.round_trip) * STALL_PAUSES).max(MIN_STALL);
        let usual = usual * (1 << self.stalls.min(6)); // or its turn would never come, however often it is asked
        match self.is_new() {
            // Others may be served before us, as it said.
            true => usual.max((self.expected(0) * NEW_STALL).min(MOST_NEW_STALL)),
            false => usual,
        }
    }

    /// It answered, if not with a chunk: one that stalled may be asked again, but later each time.
    pub(super) fn answered(&mut self, now: Instant) {
        if self.stalled && self.inflight_bytes == 0 {
            self.stalled = false;
            self.paused_until = Some(now + self.stall_time().min(MOST_STALL_PAUSE));
        }
    }

    /// True, once each time, when the source owes chunks and is silent for too long.
    pub(super) fn stalls(&mut self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.last_sign);
        let stalls = !self.stalled && self.inflight_bytes > 0 && silent > self.stall_time();
        self.stalled |= stalls;
        self.stalls += u32::from(stalls);
        stalls
    }

    /// True when there is no hope left for a silent source.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.last_sign);
        self.stalled && silent > (self.stall_time() * LOST_STALLS).max(MIN_LOST)
    }

    /// True until a rate has been measured.
    pub(super) fn is_new(&self) -> bool {
        self.rate <= 0.0
    }

    /// Bytes a second to expect: what was measured, else its share of what it says it can.
    pub(super) fn speed(&self) -> Option<f64> {
        match self.is_new() {
            true => self.told.map(|told| told.load.share()),
            false => Some(self.rate),
        }
    }

    /// How long `bytes` more would take from here.
    pub(super) fn expected(&self, bytes: u64) -> Duration {
        let queue = self.speed().map_or(HORIZON, |speed| seconds(self.inflight_bytes + bytes, speed));
        self.round_trip + queue
    }

    /// It told its load, and took so long to answer.
    pub(super) fn told(&mut self, load: SourceLoad, round_trip: Option<Duration>, now: Instant) {
        self.told = Some(Told { load, at: now });
        self.load_asked = None;
        if let Some(round_trip) = round_trip {
            // Longer may be the queue in front of the answer, but for an idle source.
            let longer = if self.inflight_bytes == 0 { round_trip } else { self.round_trip };
            self.round_trip = round_trip.min((self.round_trip * 7 + longer) / 8);
        }
    }

    /// True, once in a while, if its load should be asked for: to know its turn when it was first asked
    /// for something, or to know an idle source.
    pub(super) fn should_tell(&mut self, now: Instant) -> bool {
        let old = |told: &Told| now.saturating_duration_since(told.at) >= LOAD_AGE;
        let wanted = self.load_asked.is_none()
            && self.told.as_ref().is_some_and(|told| match self.inflight_bytes {
                0 => old(told),
                _ => self.is_new() && self.asked.first().is_some_and(|first| told.at <= first.at),
            });
        if wanted {
            self.load_asked = Some(now);
        }
        wanted
    }

    /// True if it came now, and so has said now what its load is.
    pub(super) fn has_just_come(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.came) < JUST_NOW
    }

    /// How long ago its load was asked for, if it has not answered.
    pub(super) fn load_asked(&self, now: Instant) -> Option<Duration> {
        self.load_asked.map(|asked| now.saturating_duration_since(asked))
    }

    /// The chunks owed that nobody has cancelled: answers come in the order asked.
    pub(super) fn owed(&self, now: Instant) -> impl Iterator<Item = Owed> + '_ {
        let silent = now.saturating_duration_since(self.last_sign);
        let late = silent.saturating_sub(self.round_trip + HORIZON);
        let rate = self.speed().unwrap_or(FIRST_WINDOW as f64 / HORIZON.as_secs_f64());
        let mut ahead = 0;
        let owed = self.asked.iter().map(move |asked| {
            ahead += asked.bytes;
            let due = match self.is_new() {
                false => late + self.trip_left(asked, now) + seconds(ahead, rate),
                true => {
                    // Nothing has come: the time runs from when it was asked for.
                    let at = asked.at + self.round_trip + seconds(ahead, rate);
                    at.saturating_duration_since(now) + now.saturating_duration_since(at + HORIZON)
                }
            };
            (asked.cancelled, Owed { chunk: asked.chunk, bytes: asked.bytes, begun: asked.begun, due })
        });
        owed.filter(|(cancelled, _)| !cancelled).map(|(_, owed)| owed)
    }

    fn trip_left(&self, asked: &Asked, now: Instant) -> Duration {
        (asked.at + self.round_trip).saturating_duration_since(now)
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
