//! Bringing a lost node back, as the agent sees it that is to do so: claimed through the log, and only as long as its lease
//! lasts. Pure.
//!
//! The lease begins when it was first asked for, which is before the claim was decided; for the trackers it ends well after
//! that, with room for clocks that are wrong. So no two are at it at once, unless one is paused between a look at its clock
//! and what it does then: whoever comes back of such a pair is fenced.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ledger::{Duty, NodeId};

/// A hook is not begun with less than this part of the lease left: five seconds of thirty.
const LEAST: u32 = 6;
/// An unanswered question is asked again after this part of the lease: two seconds of thirty.
const AGAIN: u32 = 15;
/// So many duties that were begun, or are over, are remembered: an answer that comes late must not begin one again.
const REMEMBERED: usize = 64;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A tracker says what this node is to do, or that there is nothing.
    Told(Option<(Duty, NodeId)>),
    /// The claim of a duty was decided: it is this node's, or is not.
    Claimed(Duty, bool),
    /// The hook has ended.
    Ended,
    /// That it was done is in the log.
    Noted(Duty),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Ask for a duty.
    Claim(Duty),
    /// Run the hook for a node.
    Run(Duty, NodeId),
    /// End the hook, with all that it started.
    Kill,
    /// Tell that it was done, or tried.
    Tell(Duty),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Asking { duty: Duty, target: NodeId, first: Instant, last: Instant },
    Running { duty: Duty, until: Instant, killed: bool },
    Telling { duty: Duty, last: Instant },
}

/// An agent that may be given duties.
#[derive(Debug)]
pub struct Executor {
    lease: Duration,
    state: State,
    /// The last duty that was asked for, and when that was first: its lease runs from then, whatever comes between.
    asked: Option<(Duty, Instant)>,
    /// These were begun, or are over. Not all with smaller numbers are: one that another had first may come here later.
    spent: VecDeque<Duty>,
}

impl Executor {
    /// One with nothing to do, whose leases are so long.
    pub fn new(lease: Duration) -> Executor {
        Executor { lease, state: State::Idle, asked: None, spent: VecDeque::new() }
    }

    /// Takes an event.
    #[must_use]
    pub fn step(&mut self, event: Event, now: Instant) -> Option<Effect> {
        match (event, self.state) {
            (Event::Told(Some((duty, target))), State::Idle) if !self.spent.contains(&duty) => {
                let first = self.asked.filter(|(asked, _)| *asked == duty).map_or(now, |(_, first)| first);
                self.asked = Some((duty, first));
                self.state = State::Asking { duty, target, first, last: now };
                Some(Effect::Claim(duty))
            }
            // It went to another, or ended; or that tracker is behind, and it is asked for again.
            (Event::Told(told), State::Asking { duty, .. }) if told.map(|(told, _)| told) != Some(duty) => {
                self.state = State::Idle;
                None
            }
            (Event::Claimed(decided, granted), State::Asking { duty, target, first, .. })
                if decided == duty =>
            {
                let until = first + self.lease;
                if !granted || now + self.lease / LEAST > until {
                    self.give_up(duty);
                    return None;
                }
                self.spend(duty);
                self.state = State::Running { duty, until, killed: false };
                Some(Effect::Run(duty, target))
            }
            (Event::Ended, State::Running { duty, .. }) => {
                self.state = State::Telling { duty, last: now };
                Some(Effect::Tell(duty))
            }
            // That it is another's turn says that it was noted, or has run out.
            (Event::Told(told), State::Telling { duty, .. }) if told.map(|(told, _)| told) != Some(duty) => {
                self.state = State::Idle;
                None
            }
            (Event::Noted(noted), State::Telling { duty, .. }) if noted == duty => {
                self.state = State::Idle;
                None
            }
            (Event::Tick, _) => self.tick(now),
            _ => None,
        }
    }

    /// When [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle | State::Running { killed: true, .. } => None,
            State::Asking { last, .. } | State::Telling { last, .. } => Some(last + self.lease / AGAIN),
            State::Running { until, .. } => Some(until),
        }
    }

    /// If it was claimed, that runs out.
    fn give_up(&mut self, duty: Duty) {
        self.spend(duty);
        self.state = State::Idle;
    }

    fn spend(&mut self, duty: Duty) {
        if self.spent.len() >= REMEMBERED {
            self.spent.pop_front();
        }
        self.spent.push_back(duty);
    }

    fn tick(&mut self, now: Instant) -> Option<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match &mut self.state {
            State::Asking { duty, first, last, .. } => {
                if *first + self.lease < now + self.lease / LEAST {
                    let duty = *duty;
                    self.give_up(duty);
                    return None;
                }
                *last = now;
                Some(Effect::Claim(*duty))
            }
            State::Running { killed, .. } => {
                *killed = true;
                Some(Effect::Kill)
            }
            State::Telling { duty, last } => {
                *last = now;
                Some(Effect::Tell(*duty))
            }
            State::Idle => None,
        }
    }
}

#[cfg(test)]
impl Executor {
    /// A fault, to see that it is found: the lease begins with the answer.
    pub(super) fn forgets_when_it_asked(&mut self, now: Instant) {
        if let State::Asking { first, .. } = &mut self.state {
            *first = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duty_that_others_had_before_is_taken_up_after_later_ones_and_none_twice() {
        let (mut executor, now) = (Executor::new(Duration::from_secs(30)), Instant::now());
        let target = NodeId([1; 16]);
        for duty in [38, 26] {
            assert_eq!(executor.step(Event::Told(Some((duty, target))), now), Some(Effect::Claim(duty)));
            assert_eq!(executor.step(Event::Claimed(duty, true), now), Some(Effect::Run(duty, target)));
            assert_eq!(executor.step(Event::Ended, now), Some(Effect::Tell(duty)));
            assert_eq!(executor.step(Event::Noted(duty), now), None);
        }
        for duty in [38, 26] {
            assert_eq!(executor.step(Event::Told(Some((duty, target))), now), None, "it was begun");
        }
    }

    const LEASE: Duration = Duration::from_secs(30);
    const TARGET: NodeId = NodeId([1; 16]);

    /// An agent that has asked for this duty, and when.
    fn asking(duty: Duty) -> (Executor, Instant) {
        let (mut executor, now) = (Executor::new(LEASE), Instant::now());
        assert_eq!(executor.step(Event::Told(Some((duty, TARGET))), now), Some(Effect::Claim(duty)));
        (executor, now)
    }

    #[test]
    fn it_begins_only_with_enough_of_the_lease_left_counted_from_its_first_question() {
        let enough = LEASE - LEASE / LEAST;
        let (mut executor, now) = asking(5);
        let granted = executor.step(Event::Claimed(5, true), now + enough);
        assert_eq!((granted, executor.deadline()), (Some(Effect::Run(5, TARGET)), Some(now + LEASE)));
        let (mut executor, now) = asking(5);
        let late = now + enough + Duration::from_millis(1);
        assert_eq!(executor.step(Event::Claimed(5, true), late), None);
        assert_eq!(executor.step(Event::Told(Some((5, TARGET))), late), None, "it runs out now, and is over");
        assert_eq!(executor.step(Event::Told(Some((6, TARGET))), late), Some(Effect::Claim(6)));
    }

    #[test]
    fn what_another_has_is_not_begun_nor_what_was_not_asked_for() {
        let (mut executor, now) = asking(5);
        assert_eq!(executor.step(Event::Claimed(4, true), now), None, "an answer to somebody else");
        assert_eq!(executor.step(Event::Ended, now), None);
        assert_eq!(executor.step(Event::Noted(5), now), None);
        assert_eq!(executor.step(Event::Claimed(5, false), now), None);
        assert_eq!(executor.step(Event::Claimed(5, true), now), None, "it was given up");
        assert_eq!((executor.deadline(), executor.step(Event::Tick, now + LEASE)), (None, None));
    }

    #[test]
    fn a_question_is_asked_again_until_it_is_too_late_for_its_answer() {
        let (mut executor, start) = asking(5);
        let every = LEASE / AGAIN;
        assert_eq!(executor.deadline(), Some(start + every));
        assert_eq!(executor.step(Event::Tick, start + every - Duration::from_nanos(1)), None);
        for turn in 1..=12 {
            let now = start + every * turn;
            assert_eq!(executor.step(Event::Tick, now), Some(Effect::Claim(5)), "{turn}");
        }
        assert_eq!(executor.step(Event::Tick, start + every * 13), None, "four seconds are not enough");
        assert_eq!(executor.deadline(), None);
        assert_eq!(executor.step(Event::Told(Some((5, TARGET))), start + LEASE), None);
    }

    #[test]
    fn a_lease_goes_on_although_a_tracker_that_is_behind_knows_nothing_of_it() {
        let (mut executor, start) = asking(5);
        let later = start + LEASE / 2;
        assert_eq!(executor.step(Event::Told(Some((5, TARGET))), later), None, "it is asked for already");
        assert_eq!(executor.step(Event::Told(None), later), None);
        assert_eq!(executor.deadline(), None);
        assert_eq!(executor.step(Event::Told(Some((5, TARGET))), later), Some(Effect::Claim(5)));
        assert_eq!(executor.step(Event::Claimed(5, true), later), Some(Effect::Run(5, TARGET)));
        assert_eq!(executor.deadline(), Some(start + LEASE), "not one that begins later");
        // Another duty has a lease of its own.
        let (mut executor, start) = asking(5);
        assert_eq!(executor.step(Event::Told(Some((6, TARGET))), start), None);
        assert_eq!(executor.step(Event::Told(Some((6, TARGET))), later), Some(Effect::Claim(6)));
        assert_eq!(executor.step(Event::Claimed(6, true), later), Some(Effect::Run(6, TARGET)));
        assert_eq!(executor.deadline(), Some(later + LEASE));
    }

    #[test]
    fn a_hook_is_ended_with_its_lease_and_that_it_was_tried_is_told_until_it_is_noted() {
        let (mut executor, start) = asking(5);
        assert_eq!(executor.step(Event::Claimed(5, true), start), Some(Effect::Run(5, TARGET)));
        assert_eq!(executor.step(Event::Told(None), start), None, "it goes on with what it began");
        assert_eq!(executor.step(Event::Tick, start + LEASE - Duration::from_nanos(1)), None);
        assert_eq!(executor.step(Event::Tick, start + LEASE), Some(Effect::Kill));
        assert_eq!(
            (executor.deadline(), executor.step(Event::Tick, start + 2 * LEASE)),
            (None, None),
            "once"
        );
        let ended = start + 2 * LEASE;
        assert_eq!(executor.step(Event::Ended, ended), Some(Effect::Tell(5)));
        assert_eq!(executor.step(Event::Told(Some((5, TARGET))), ended), None, "they have not heard yet");
        assert_eq!(executor.step(Event::Noted(4), ended), None);
        assert_eq!(executor.step(Event::Tick, ended + LEASE / AGAIN), Some(Effect::Tell(5)));
        assert_eq!(executor.deadline(), Some(ended + 2 * (LEASE / AGAIN)));
        assert_eq!(executor.step(Event::Noted(5), ended), None);
        assert_eq!(executor.deadline(), None);
    }

    #[test]
    fn that_others_are_told_of_something_else_means_that_it_was_noted() {
        for told in [None, Some((9, TARGET))] {
            let (mut executor, now) = asking(5);
            assert_eq!(executor.step(Event::Claimed(5, true), now), Some(Effect::Run(5, TARGET)));
            assert_eq!(executor.step(Event::Ended, now), Some(Effect::Tell(5)));
            assert_eq!((executor.step(Event::Told(told), now), executor.deadline()), (None, None));
            assert_eq!(executor.step(Event::Told(Some((9, TARGET))), now), Some(Effect::Claim(9)));
        }
    }

    #[test]
    fn so_many_duties_are_remembered() {
        let (mut executor, now) = (Executor::new(LEASE), Instant::now());
        for duty in 1..=REMEMBERED as Duty + 1 {
            assert_eq!(executor.step(Event::Told(Some((duty, TARGET))), now), Some(Effect::Claim(duty)));
            assert_eq!(executor.step(Event::Claimed(duty, false), now), None);
        }
        assert_eq!(executor.spent.len(), REMEMBERED);
        assert_eq!(executor.step(Event::Told(Some((2, TARGET))), now), None);
        assert_eq!(executor.step(Event::Told(Some((1, TARGET))), now), Some(Effect::Claim(1)));
    }
}
