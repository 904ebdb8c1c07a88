//! What our uplink carries, and whether what has begun to leave fills it. Pure.

use std::time::{Duration, Instant};

use crate::content::Rate;

/// Bytes that a socket takes ahead of what has left the host. What it has taken cannot be put in a
/// better order, and gains wait behind it.
pub(crate) const UNSENT_AHEAD: u32 = 16 << 10;
const _: () = assert!(UNSENT_AHEAD > 0, "0 would be no bound at all");
/// A socket that takes a whole chunk at once leaves nothing to be put in order: then all who ask are sent to at
/// the same time, each slowly. It is given what the uplink carries in this time,
const PIECE_TIME: Duration = Duration::from_millis(4);
/// but no less than this, for each piece costs a call and a wake,
const LEAST_PIECE: usize = 16 << 10;
/// and all there is if that is no less than this: chunks are gone in no time anyway.
const MOST_PIECE: usize = 512 << 10;
/// The uplink counts as full while the chunks that have begun are more than so many times what it carries. Its rate
/// is not known exactly; with 0.8 those with equal uplinks lost 1 % for nothing.
const OVERBOOKING: f64 = 1.1;
/// The uplink is booked no further ahead than this, should its rate have been taken for too low.
const MOST_BOOKED: Duration = Duration::from_millis(300);
/// Who is given a turn that another gave up begins its chunk within this time.
const TURN_GAP: Duration = Duration::from_millis(2);
/// Bytes are counted for so long before they make a rate.
const WINDOW: Duration = Duration::from_millis(250);

/// Bytes of a chunk that a socket should be given at a time, the next ones, or another's, when these have left it, at an
/// uplink of this rate; none if that is fast: all at once. One connection alone is no exception: the
/// others' chunks would come behind what its socket had taken. While the rate is not known it is as much as
/// makes sense.
pub(crate) fn piece_bytes(rate: Option<Rate>) -> Option<usize> {
    match rate.map(|rate| rate.bytes_in(PIECE_TIME) as usize) {
        None => Some(MOST_PIECE),
        Some(piece) => (piece < MOST_PIECE).then_some(piece.max(LEAST_PIECE)),
    }
}

/// The uplink as all uploads together use it.
#[derive(Debug)]
pub(crate) struct Uplink {
    limit: Option<Rate>,
    seen: Option<Rate>,
    /// Bytes that have begun to leave since when.
    window: Option<(u64, Instant)>,
    /// In this window a turn was free.
    spare: bool,
    booked_until: Option<Instant>,
}

impl Uplink {
    /// An uplink that nothing is known of, held to `limit` if there is one.
    pub(crate) fn new(limit: Option<Rate>) -> Uplink {
        Uplink { limit, seen: None, window: None, spare: false, booked_until: None }
    }

    /// What all uploads can get together, if it is known: the limit, or what was seen. Seen is the most
    /// that was sent in a short while; it falls only while turns are waited for all the time, for else less
    /// may be all that was asked for.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.limit.or(self.seen)
    }

    /// From now on it is held to `limit`, if there is one.
    pub(crate) fn set_limit(&mut self, limit: Option<Rate>) {
        (self.limit, self.booked_until) = (limit, None);
    }

    /// A turn ended and nobody waited for it.
    pub(crate) fn has_spare(&mut self) {
        self.spare = true;
    }

    /// `bytes` of a chunk begin to leave.
    pub(crate) fn begun(&mut self, bytes: usize, now: Instant) {
        self.count(bytes as u64, now);
        if let Some(rate) = self.rate() {
            let takes = rate.time_for(bytes as u64).div_f64(OVERBOOKING);
            let until = self.booked_until.map_or(now, |until| until.max(now)) + takes;
            self.booked_until = Some(until.min(now + MOST_BOOKED));
        }
    }

    fn count(&mut self, bytes: u64, now: Instant) {
        let (sum, since) = self.window.get_or_insert((0, now));
        let elapsed = now.saturating_duration_since(*since);
        if elapsed < WINDOW {
            *sum += bytes;
            return;
        }
        let sample = Rate::of(*sum, elapsed).map_or(0, Rate::get);
        let seen = self.seen.map_or(0, Rate::get);
        let kept = match std::mem::take(&mut self.spare) {
            true => seen,
            false => (seen * 3 + sample) / 4,
        };
        self.seen = Rate::new(kept.max(sample));
        self.window = Some((bytes, now));
    }

    /// A connection is too slow for its turn: until when it is to keep it all the same, if so. While the uplink is full,
    /// one more connection would only lengthen the queue that makes all of them slow.
    pub(crate) fn give_up(&mut self, now: Instant) -> Option<Instant> {
        let until = self.booked_until.filter(|until| *until > now);
        if until.is_none() {
            self.booked_until = Some(now + TURN_GAP);
        }
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_uplink_is_given_a_chunk_in_pieces() {
        assert_eq!(piece_bytes(Uplink::new(None).rate()), Some(MOST_PIECE), "not known");
        assert_eq!(piece_bytes(Rate::new(1_250_000)), Some(LEAST_PIECE), "10 Mbit/s");
        assert_eq!(piece_bytes(Rate::new(12_500_000)), Some(50_000), "100 Mbit/s");
        assert_eq!(piece_bytes(Rate::new(1_250_000_000)), None, "10 Gbit/s");
        let [below, above] = [-1000, 1000].map(|less| Rate::new((MOST_PIECE as i64 * 250 + less) as u64));
        assert_eq!((piece_bytes(below), piece_bytes(above)), (Some(MOST_PIECE - 4), None));
        assert_eq!(
            piece_bytes(Rate::new(MOST_PIECE as u64 * 250 + 1)),
            None,
            "as much as makes sense is all"
        );
    }

    #[test]
    fn turns_are_given_up_while_the_uplink_is_not_full() {
        const CHUNK: usize = 10_000;
        let (mut uplink, start) = (Uplink::new(Rate::new(1_000_000)), Instant::now());
        assert_eq!(uplink.give_up(start), None, "nothing was sent yet");
        assert_eq!(uplink.give_up(start), Some(start + TURN_GAP), "one at a time");
        let mut now = start + TURN_GAP;
        uplink.begun(CHUNK, now);
        let full = Duration::from_secs_f64(0.010 / OVERBOOKING);
        assert_eq!(uplink.give_up(now), Some(now + full));
        now += full;
        assert_eq!(uplink.give_up(now), None, "its time is over");
        (0..1000).for_each(|_| uplink.begun(CHUNK, now));
        assert_eq!(uplink.give_up(now), Some(now + MOST_BOOKED));
        let mut unknown = Uplink::new(None);
        unknown.begun(CHUNK, now);
        assert_eq!(unknown.give_up(now), None, "a rate that is not known says nothing");
    }

    #[test]
    fn what_was_sent_in_a_window_counts_for_a_quarter_of_the_rate() {
        let (mut uplink, start) = (Uplink::new(None), Instant::now());
        uplink.begun(25_000, start);
        assert_eq!(uplink.rate(), None);
        uplink.begun(12_500, start + WINDOW);
        assert_eq!(uplink.rate(), Rate::new(100_000));
        uplink.begun(0, start + WINDOW * 2);
        assert_eq!(uplink.rate(), Rate::new((3 * 100_000 + 50_000) / 4));
        uplink.begun(0, start + WINDOW * 3);
        assert_eq!(uplink.rate(), Rate::new(3 * 87_500 / 4), "what had begun was counted once");
    }

    #[test]
    fn the_rate_is_what_was_sent_while_all_waited_and_else_the_most() {
        let (mut uplink, start) = (Uplink::new(None), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        let rate = |uplink: &Uplink| uplink.rate().map_or(0, Rate::get);
        (0..10).for_each(|nth| uplink.begun(10_000, at(nth * 50)));
        for nth in 20..30 {
            uplink.has_spare();
            uplink.begun(1_000, at(nth * 50));
        }
        assert!((150_000..=200_000).contains(&rate(&uplink)), "{}", rate(&uplink));
        (30..200).for_each(|nth| uplink.begun(5_000, at(nth * 50)));
        assert!((95_000..=105_000).contains(&rate(&uplink)), "{}", rate(&uplink));
        (200..215).for_each(|nth| uplink.begun(20_000, at(nth * 50)));
        assert!((390_000..=410_000).contains(&rate(&uplink)), "more is believed at once: {}", rate(&uplink));
    }
}
