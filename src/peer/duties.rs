//! What a tracker wants this peer to do: one question that waits for its answer, on a connection of its own beside the
//! link, for as long as that is there.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::questions::Questions;
use super::stop::{Present, Stop};
use crate::net::wake::Wake;
use crate::net::{Identity, NetError};
use crate::swarm::backoff::Backoff;
use crate::threads;
use crate::wire::{Call, Duty, Term};

/// First and longest pause after a question without an answer.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often it is looked whether there is a link, should nobody say so.
const LOOK: Duration = Duration::from_secs(60);

/// Takes up a call; that does not take long.
#[derive(Clone)]
pub(super) struct TakeUp(Arc<dyn Fn(Call) + Send + Sync>);

impl TakeUp {
    pub(super) fn new(take_up: impl Fn(Call) + Send + Sync + 'static) -> TakeUp {
        TakeUp(Arc::new(take_up))
    }

    pub(super) fn call(&self, call: Call) {
        (self.0)(call);
    }
}

impl fmt::Debug for TakeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TakeUp")
    }
}

/// Whether there is a link to a tracker.
#[derive(Debug)]
pub(super) struct Linked {
    is: AtomicBool,
    over: AtomicBool,
    changed: Arc<Wake>,
}

impl Linked {
    pub(super) fn new() -> io::Result<Linked> {
        let (is, over) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Linked { is, over, changed: Arc::new(Wake::new()?) })
    }

    pub(super) fn get(&self) -> bool {
        self.is.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, is: bool) {
        self.is.store(is, Ordering::Relaxed);
        self.changed.wake();
    }

    /// There is never to be one again.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.changed.wake();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Starts to ask a tracker, whenever there is a link to it, until the peer stops or there is never to be one again.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(
    (addr, linked): (&str, &Arc<Linked>),
    me: &Identity,
    take_up: &TakeUp,
    stop: &Arc<Stop>,
) -> io::Result<()> {
    let asker = Asker {
        addr: addr.to_owned(),
        linked: linked.clone(),
        me: me.clone(),
        take_up: take_up.clone(),
        stop: stop.clone(),
        _present: stop.enter(),
    };
    threads::named("duties").essential(move || asker.run()).map(drop)
}

/// Who asks one tracker.
struct Asker {
    addr: String,
    linked: Arc<Linked>,
    me: Identity,
    take_up: TakeUp,
    stop: Arc<Stop>,
    _present: Present,
}

impl Asker {
    fn run(self) {
        self.stop.wakes(&self.linked.changed);
        let mut backoff = Backoff::default();
        while !self.is_over() {
            if !self.linked.get() {
                let _ = self.linked.changed.wait_alone(LOOK);
                continue;
            }
            threads::may_panic("duties");
            let mut answered = false;
            if let Err(error) = self.ask_on(&mut answered) {
                tracing::debug!("tracker {} has no duties to tell: {error}", self.addr);
            }
            if answered {
                backoff = Backoff::default();
            }
            let pause = backoff.next(FIRST_PAUSE, LONGEST_PAUSE, &mut fastrand::Rng::new());
            let until = Instant::now() + pause;
            while !self.is_over() && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                let _ = self.linked.changed.wait_alone(left);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.is_stopping() || self.linked.is_over()
    }

    /// Asks again and again on one connection.
    fn ask_on(&self, answered: &mut bool) -> Result<(), NetError> {
        let mut questions = Questions::dial(&self.addr, &self.me, (&self.linked.changed, &self.stop))?;
        while !self.is_over() {
            let Some(answer) = questions.ask(Term::default())? else { break };
            *answered = true;
            for duty in answer.duties.into_vec() {
                // All others are for stores.
                if let Duty::Call(call) = duty {
                    self.take_up.call(call);
                }
            }
        }
        questions.leave();
        Ok(())
    }
}
