//! The link to one tracker, as others than its thread see it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::content::{FileId, Run};
use crate::net::wake::Wake;
use crate::peer::duties::Linked;
use crate::threads::lock;
use crate::wire::{FromTracker, Locate, Located, Name, Offer, Report, ToTracker, View};

/// How often it is looked whether the one who is asked is still there.
const LOOK: Duration = Duration::from_secs(1);
/// Orders that wait for a link; past it the oldest are dropped, which a new link makes good.
const MAX_ORDERS: usize = 4096;

/// What is to be said to a tracker.
#[derive(Debug)]
pub(super) enum Order {
    Update { added: Vec<Offer>, removed: Vec<(Name, FileId)> },
    Have((FileId, View), Vec<Run>),
    Locate(Locate, Sender<Located>),
    Report(Report),
    Ask(ToTracker, Sender<FromTracker>),
}

impl Order {
    /// True of a question that does not depend on what was said before it.
    pub(super) fn is_question(&self) -> bool {
        matches!(self, Order::Locate(..))
    }
}

/// One tracker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) addr: String,
    pub(super) wake: Arc<Wake>,
    pub(super) orders: Mutex<VecDeque<Order>>,
    pub(super) connected: Arc<Linked>,
    /// How often this peer was registered there.
    pub(super) registered: Mutex<u64>,
    /// Notified when it is once more.
    pub(super) anew: Condvar,
    /// What it said when it refused the last question.
    pub(super) refusal: Mutex<Option<String>>,
}

/// One tracker, for who has more to say to it than what is registered.
#[derive(Debug, Clone)]
pub(in crate::peer) struct Line(pub(super) Arc<Link>);

impl Link {
    /// What there is to tell the tracker is kept until its link is there.
    pub(super) fn new(addr: &str) -> io::Result<Arc<Link>> {
        Ok(Arc::new(Link {
            addr: addr.to_owned(),
            wake: Arc::new(Wake::new()?),
            orders: Mutex::default(),
            connected: Arc::new(Linked::new()?),
            registered: Mutex::default(),
            anew: Condvar::new(),
            refusal: Mutex::default(),
        }))
    }

    /// The tracker is not one of this peer's any more.
    pub(super) fn end(&self) {
        self.connected.end();
        self.wake.wake();
    }

    pub(super) fn is_over(&self) -> bool {
        self.connected.is_over()
    }

    pub(super) fn order(&self, order: Order) {
        let mut orders = lock(&self.orders);
        if orders.len() >= MAX_ORDERS {
            orders.pop_front();
        }
        orders.push_back(order);
        drop(orders);
        self.wake.wake();
    }
}

impl Line {
    /// The tracker's address.
    pub(in crate::peer) fn addr(&self) -> &str {
        &self.0.addr
    }

    /// True once the tracker is not one of this peer's any more.
    pub(in crate::peer) fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// The tracker's address, and what says whether there is a link to it.
    pub(in crate::peer) fn linked(&self) -> (&str, &Arc<Linked>) {
        (&self.0.addr, &self.0.connected)
    }

    /// How often this peer was registered there, once that is more than `before`, or after a while.
    pub(in crate::peer) fn registered(&self, before: u64, patience: Duration) -> u64 {
        let times = lock(&self.0.registered);
        let waited = self.0.anew.wait_timeout_while(times, patience, |times| *times <= before);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Asks over the connection on which this peer is registered; none if that ends before the answer comes, or is
    /// not there.
    pub(in crate::peer) fn ask(&self, question: impl Into<ToTracker>) -> Option<FromTracker> {
        if !self.0.connected.get() {
            return None;
        }
        let (sender, answer) = bounded(1);
        self.0.order(Order::Ask(question.into(), sender));
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) if self.0.connected.get() => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
impl Line {
    /// One to a tracker that answers so, and is gone when it answers nothing.
    pub(in crate::peer) fn answered(
        mut answer: impl FnMut(ToTracker) -> Option<FromTracker> + Send + 'static,
    ) -> Line {
        let link = Link::new("t:1").unwrap();
        link.connected.set(true);
        let asked = link.clone();
        let answering = move || {
            while !asked.is_over() {
                asked.wake.wait_alone(LOOK).unwrap();
                for order in std::mem::take(&mut *lock(&asked.orders)) {
                    let Order::Ask(question, sender) = order else { continue };
                    match answer(question) {
                        Some(answer) => sender.send(answer).unwrap(),
                        None => asked.connected.set(false),
                    }
                }
            }
        };
        crate::threads::named("test").connection(answering).unwrap();
        Line(link)
    }

    /// The tracker is not one of this peer's any more.
    pub(in crate::peer) fn end(&self) {
        self.0.end();
    }
}
