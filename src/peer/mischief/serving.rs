//! The misbehaviour and slowness of one serving connection, as its thread meets them: between the socket and what is
//! made of its messages. A peer that is told to do nothing of the kind has one that does nothing.

use std::time::{Duration, Instant};

use super::faults::{Fate, FaultPlan, Faults};
use super::latency::Line;
use crate::net::NetError;

/// What one connection does wrong on purpose; `T` is a message from the asker.
#[derive(Debug)]
pub(in crate::peer) struct Mischief<T> {
    faults: Option<Faults>,
    /// Messages that a latency keeps from being here yet.
    late: Option<Line<T>>,
}

impl<T> Mischief<T> {
    /// That of the connection with this number, whose asker is so far away.
    pub(in crate::peer) fn new(plan: Option<&FaultPlan>, latency: Duration, number: u32) -> Mischief<T> {
        let delay = plan.map_or(Duration::ZERO, |plan| plan.delay);
        Mischief { faults: plan.map(|plan| Faults::new(plan, number)), late: Line::of(latency + delay) }
    }

    /// What becomes of the next answer.
    pub(in crate::peer) fn fate(&mut self) -> Fate {
        self.faults.as_mut().map_or(Fate::Sound, Faults::next)
    }

    /// True once the connection is to end as soon as what was queued has left.
    pub(in crate::peer) fn has_cut(&self) -> bool {
        self.faults.as_ref().is_some_and(Faults::has_cut)
    }

    /// True if it says that it has what it has not.
    pub(in crate::peer) fn lies(&self) -> bool {
        self.faults.as_ref().is_some_and(Faults::lies)
    }

    /// The next message of those that have `arrived`; where a latency is imposed, when its time has come.
    pub(in crate::peer) fn next(
        &mut self,
        now: Instant,
        mut arrived: impl FnMut() -> Result<Option<T>, NetError>,
    ) -> Result<Option<T>, NetError> {
        let Some(late) = &mut self.late else { return arrived() };
        while let Some(message) = arrived()? {
            late.push(message, now).map_err(|_| NetError::Unexpected("so many requests at once"))?;
        }
        Ok(late.pop(now))
    }

    /// When the next message is there that has arrived.
    pub(in crate::peer) fn next_due(&self) -> Option<Instant> {
        self.late.as_ref().and_then(Line::next_due)
    }

    /// Messages that had arrived and will not be there any more.
    pub(in crate::peer) fn lost(&self) -> impl Iterator<Item = &T> {
        self.late.iter().flat_map(Line::lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_plan_nothing_is_changed() {
        let mut plain: Mischief<u8> = Mischief::new(None, Duration::ZERO, 0);
        let now = Instant::now();
        assert!((0..100).all(|_| plain.fate() == Fate::Sound) && !plain.has_cut() && !plain.lies());
        assert_eq!(plain.next(now, || Ok(Some(7))).unwrap(), Some(7));
        assert_eq!((plain.next_due(), plain.lost().count()), (None, 0));
    }

    #[test]
    fn what_has_arrived_waits_for_the_latency_and_the_delay_of_the_plan() {
        let ms = Duration::from_millis;
        let plan = FaultPlan { delay: ms(20), lie: 1.0, drop: 1.0, ..FaultPlan::default() };
        let mut mischief = Mischief::new(Some(&plan), ms(100), 0);
        let start = Instant::now();
        let mut arrived = vec![2, 1];
        assert_eq!(mischief.next(start, || Ok(arrived.pop())).unwrap(), None);
        assert!(arrived.is_empty(), "they are read, and wait on the line");
        assert_eq!(mischief.next_due(), Some(start + ms(120)));
        assert_eq!(mischief.next(start + ms(120), || Ok(None)).unwrap(), Some(1));
        assert_eq!(mischief.lost().collect::<Vec<_>>(), [&2]);
        assert!(mischief.lies() && !mischief.has_cut());
        assert_eq!(mischief.fate(), Fate::Cut);
        assert!(mischief.has_cut());
        assert!(mischief.next(start, || Err(NetError::Closed)).is_err());
    }

    #[test]
    fn who_sends_more_than_fits_the_line_is_cut_off() {
        let mut mischief = Mischief::new(None, Duration::from_secs(1), 0);
        assert!(mischief.next(Instant::now(), || Ok(Some(0))).is_err());
    }
}
