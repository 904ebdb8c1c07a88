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
}
