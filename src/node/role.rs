//! One role of a node as its agent sees it: a state machine, events and `now` in, at most one effect out. Pure.
//!
//! A role is up as long as it is wanted, whatever happens to its process: whoever ends is started again, at once the first
//! time and later each time it does not last, and nobody is given up. Only bad usage waits for a person or another
//! configuration, for trying again cannot help there. Between two starts lies the end of the one before: a role has one
//! process at a time.
//!
//! The curve is that of other supervisors (Erlang's supervisors escalate and systemd stops after some starts; both
//! leave a host without its service for a fault that would have gone by itself; Kubernetes backs off and goes on).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rescue::pause;

/// Whoever lasted so long is as good as new when it ends.
pub const SOUND: Duration = Duration::from_secs(60);
/// So many ends within [`SOUND`] are a loop.
pub const LOOP: usize = 5;
/// From SIGABRT, which leaves a core where the system keeps them, to SIGKILL.
pub const ABORT_PATIENCE: Duration = Duration::from_secs(5);
/// Most by which a role may put off the end of its start at a time.
const MOST_EXTENSION: Duration = Duration::from_secs(3600);
/// The exit code of bad usage.
const BAD_USAGE: i32 = 2;

/// How patient the agent is with roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The second pause; the first is none, and each that follows is twice the one before.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// From start to ready.
    pub start: Duration,
    /// Between two signs of life.
    pub watchdog: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            pause: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            start: Duration::from_secs(60),
            watchdog: Duration::from_secs(30),
            stop: Duration::from_secs(10),
        }
    }
}

/// What a role does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is not up, and not to be.
    Stopped,
    /// It is to be up, and others are to be ready first.
    Waiting,
    /// It has a process, and that is not ready yet.
    Starting {
        /// Since when.
        since: Instant,
        /// When it is given up.
        until: Instant,
    },
    /// It is ready.
    Running {
        /// Since when.
        since: Instant,
        /// When it last gave a sign of life.
        heard: Instant,
    },
    /// Its process is to end.
    Stopping {
        /// When it is killed; none: it was.
        kill: Option<Instant>,
        /// It is on its way out because it hung, or did not get ready: that counts as an end of its own.
        failed: bool,
    },
    /// Its process has ended, and the next is started then.
    Pausing {
        /// When.
        until: Instant,
    },
    /// Its process says that what it was told makes no sense: the same is not tried again.
    Broken,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What happens to a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is to be up, or not.
    Wanted(bool),
    /// Whether those it starts after are ready, or will not be.
    MayStart(bool),
    /// It is to be started anew, as a person asks, or because its configuration is another.
    Restart,
    /// Its process has ended, or there is none because the system refused one.
    Ended(End),
    /// Its process is ready.
    Ready,
    /// Its process needs so much longer to get ready.
    Extend(Duration),
    /// Its process could answer a request just now.
    Alive,
    /// Time has passed.
    Tick,
}

/// What is to be done to the process of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start it: there is none.
    Start,
    /// Ask it to end: SIGTERM.
    Terminate,
    /// End it, and leave what shows where it was: SIGABRT.
    Abort,
    /// End it: SIGKILL.
    Kill,
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    patience: Patience,
    state: State,
    wanted: bool,
    may_start: bool,
    /// Ends in a row of processes that did not last.
    tries: u32,
    /// When processes ended that were not asked to, within [`SOUND`].
    ends: VecDeque<Instant>,
    rng: fastrand::Rng,
}

impl Role {
    /// A role that is not up yet. The seed is that of its jitter.
    pub fn new(patience: Patience, seed: u64) -> Role {
        Role {
            patience,
            state: State::Stopped,
            wanted: false,
            may_start: false,
            tries: 0,
            ends: VecDeque::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// What it does.
    pub fn state(&self) -> State {
        self.state
    }

    /// True if it is to be up.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// True if it ends again and again.
    pub fn is_looping(&self, now: Instant) -> bool {
        let lately = |at: &&Instant| now.saturating_duration_since(**at) < SOUND;
        self.ends.iter().filter(lately).count() >= LOOP
    }

    /// True if those that start after it need not wait for it any longer: it is ready, or will not be soon.
    pub fn is_settled(&self) -> bool {
        match self.state {
            State::Running { .. } | State::Stopped | State::Broken => true,
            State::Waiting | State::Starting { .. } => false,
            State::Stopping { .. } | State::Pausing { .. } => !self.ends.is_empty(),
        }
    }

    /// When [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { until, .. } | State::Pausing { until } => Some(until),
            State::Running { heard, .. } => Some(heard + self.patience.watchdog),
            State::Stopping { kill, .. } => kill,
            State::Stopped | State::Waiting | State::Broken => None,
        }
    }

    /// Takes an event; the effect is to be carried out before the next one.
    #[must_use]
    pub fn step(&mut self, event: Event, now: Instant) -> Option<Effect> {
        match event {
            Event::Wanted(wanted) => self.want(wanted, now),
            Event::MayStart(may) => {
                self.may_start = may;
                (self.state == State::Waiting).then(|| self.start(now)).flatten()
            }
            Event::Restart => self.restart(now),
            Event::Ended(end) => self.ended(end, now),
            Event::Ready => {
                if matches!(self.state, State::Starting { .. }) {
                    self.state = State::Running { since: now, heard: now };
                }
                None
            }
            Event::Extend(time) => {
                if let State::Starting { until, .. } = &mut self.state {
                    *until = (*until).max(now + time.min(MOST_EXTENSION));
                }
                None
            }
            Event::Alive => {
                if let State::Running { heard, .. } = &mut self.state {
                    *heard = now;
                }
                None
            }
            Event::Tick => self.tick(now),
        }
    }

    fn want(&mut self, wanted: bool, now: Instant) -> Option<Effect> {
        self.wanted = wanted;
        match (self.state, wanted) {
            (State::Stopped | State::Broken, true) => {
                self.tries = 0;
                self.start(now)
            }
            (State::Waiting | State::Pausing { .. } | State::Broken, false) => {
                self.state = State::Stopped;
                None
            }
            (State::Starting { .. } | State::Running { .. }, false) => self.terminate(now),
            // What is ending ends, and is started then if it is wanted.
            _ => None,
        }
    }

    fn restart(&mut self, now: Instant) -> Option<Effect> {
        self.tries = 0;
        match self.state {
            State::Starting { .. } | State::Running { .. } => self.terminate(now),
            State::Pausing { .. } | State::Broken if self.wanted => self.start(now),
            _ => None,
        }
    }

    fn terminate(&mut self, now: Instant) -> Option<Effect> {
        self.state = State::Stopping { kill: Some(now + self.patience.stop), failed: false };
        Some(Effect::Terminate)
    }

    fn start(&mut self, now: Instant) -> Option<Effect> {
        if !self.may_start {
            self.state = State::Waiting;
            return None;
        }
        self.state = State::Starting { since: now, until: now + self.patience.start };
        Some(Effect::Start)
    }

    fn ended(&mut self, end: End, now: Instant) -> Option<Effect> {
        let asked = match self.state {
            State::Starting { .. } => false,
            State::Running { since, .. } => {
                if now.saturating_duration_since(since) >= SOUND {
                    self.tries = 0;
                }
                false
            }
            State::Stopping { failed, .. } => !failed,
            // It has no process.
            State::Stopped | State::Waiting | State::Pausing { .. } | State::Broken => return None,
        };
        if !asked {
            self.ends.retain(|at| now.saturating_duration_since(*at) < SOUND);
            self.ends.push_back(now);
        }
        if !self.wanted {
            self.state = State::Stopped;
            None
        } else if asked {
            self.start(now)
        } else if end == End::Code(BAD_USAGE) {
            self.state = State::Broken;
            None
        } else {
            self.pause(now)
        }
    }

    fn pause(&mut self, now: Instant) -> Option<Effect> {
        let Patience { pause: first, longest, .. } = self.patience;
        let pause = pause(self.tries, first, longest, &mut self.rng);
        self.tries = self.tries.saturating_add(1);
        self.state = State::Pausing { until: now + pause };
        if pause.is_zero() { self.start(now) } else { None }
    }

    fn tick(&mut self, now: Instant) -> Option<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match self.state {
            State::Pausing { .. } => self.start(now),
            State::Starting { .. } => {
                self.state = State::Stopping { kill: Some(now + self.patience.stop), failed: true };
                Some(Effect::Terminate)
            }
            State::Running { since, .. } => {
                if now.saturating_duration_since(since) >= SOUND {
                    self.tries = 0;
                }
                self.state = State::Stopping { kill: Some(now + ABORT_PATIENCE), failed: true };
                Some(Effect::Abort)
            }
            State::Stopping { failed, .. } => {
                self.state = State::Stopping { kill: None, failed };
                Some(Effect::Kill)
            }
            State::Stopped | State::Waiting | State::Broken => None,
        }
    }
}

#[cfg(test)]
mod tests;
