//! The links to trackers: one thread each, which tells how the node is, and hears what it is to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::news::{News, Told};
use crate::content::shown;
use crate::net::trace::Side;
use crate::net::{self, Identity, Messages, NetError, keys};
use crate::rescue::Duty;
use crate::swarm::backoff::Backoff;
use crate::threads::{self, lock};
use crate::wire::{Claim, Common, DutyDone, ErrorCode, FromTracker, Message, NodeBeat, Role, ToTracker};

/// How long a tracker may take to answer before the link counts as broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause before a broken link is made anew.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Beats come no closer together and no further apart, whatever a tracker says.
const LEAST_INTERVAL: Duration = Duration::from_millis(20);
const MOST_INTERVAL: Duration = Duration::from_secs(60);
/// What may wait to be told on one link; whoever tells more is not heard.
const MAX_ACTS: usize = 16;

/// What a tracker is to be told besides beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Claim(Duty),
    Done(Duty),
}

/// Finds out who the node is, and by which keys: it may have got them since it was asked last.
pub(super) type Who = Arc<dyn Fn() -> io::Result<Identity> + Send + Sync>;

/// All links.
#[derive(Debug)]
pub(super) struct Beats {
    said: Arc<Mutex<NodeBeat>>,
    links: Vec<Sender<Act>>,
}

impl Beats {
    /// Beats to each of these trackers from now on; what they tell is heard as news, with the number of the tracker.
    ///
    /// # Errors
    /// It cannot be found out who the node is, or the system gives no thread.
    pub(super) fn start(
        trackers: &[String],
        (who, first): (Who, NodeBeat),
        state: &Path,
        tell: &Sender<News>,
    ) -> io::Result<Beats> {
        let (me, said) = (who()?, Arc::new(Mutex::new(first)));
        let mut links = Vec::new();
        for (number, addr) in trackers.iter().enumerate() {
            let (act, acts) = bounded(MAX_ACTS);
            let link = Link {
                number,
                addr: addr.clone(),
                who: who.clone(),
                me: me.clone(),
                said: said.clone(),
                state: state.to_owned(),
                acts,
                tell: tell.clone(),
            };
            threads::named("node-beats").essential(move || link.run())?;
            links.push(act);
        }
        Ok(Beats { said, links })
    }

    /// What beats say from now on.
    pub(super) fn say(&self, change: impl FnOnce(&mut NodeBeat)) {
        change(&mut lock(&self.said));
    }

    /// Tells the tracker of this number, if its link has room: whoever hears no answer tells it again.
    pub(super) fn act(&self, tracker: usize, act: Act) {
        if let Some(link) = self.links.get(tracker) {
            let _ = link.try_send(act);
        }
    }
}

/// One link, as its thread has it.
struct Link {
    number: usize,
    addr: String,
    who: Who,
    me: Identity,
    said: Arc<Mutex<NodeBeat>>,
    state: PathBuf,
    acts: Receiver<Act>,
    tell: Sender<News>,
}

type Line = Messages<FromTracker, ToTracker>;

impl Link {
    /// Until the agent is gone.
    fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut is_told = false;
        loop {
            let Err(error) = self.beat(|| {
                if std::mem::take(&mut is_told) {
                    tracing::warn!("tracker {} is back", self.addr);
                }
                backoff = Backoff::default();
            }) else {
                return;
            };
            // The tracker may be of this node, and have founded its swarm just now, or have been about to.
            if matches!(error, NetError::Refused { .. })
                && let Ok(me) = (self.who)()
            {
                self.me = me;
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!("tracker {}: {error}; trying again", self.addr);
            }
            let until = Instant::now() + backoff.next(FIRST_PAUSE, LONGEST_PAUSE, &mut fastrand::Rng::new());
            loop {
                match self.acts.recv_deadline(until) {
                    Ok(_) => {} // whoever told it tells it again
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    /// Beats on one connection; returns when the agent is gone.
    fn beat(&self, mut answered: impl FnMut()) -> Result<(), NetError> {
        let stream = net::dial(&self.addr)?;
        let expected = self.me.keyring.tracker_at(&self.addr);
        let session =
            net::greet(stream, (&self.me, Role::Member), expected, Side::Tracker, net::HELLO_TIMEOUT)?;
        let mut line = Line::new(session, Side::Tracker);
        let is_closed = line.proven.is_some();
        line.set_timeout(Some(ANSWER_TIMEOUT))?;
        loop {
            let beat = self.fresh();
            let orders = match line.call(&beat.into())? {
                FromTracker::NodeOrders(orders) => orders,
                // Nobody leads the trackers: for a moment there is nothing to be heard, and nobody who would miss this node.
                FromTracker::Common(Common::Error(error)) if error.code == ErrorCode::NoQuorum => {
                    std::thread::sleep(LONGEST_PAUSE);
                    continue;
                }
                other if keys::renew(&mut line, &self.me.keyring, &other)? => return Err(NetError::Closed),
                other => return Err(self.refused(other)),
            };
            answered();
            let interval = Duration::from_millis(orders.beat_ms.into());
            let next = Instant::now() + interval.clamp(LEAST_INTERVAL, MOST_INTERVAL);
            if !self.told(Told::Orders(orders, is_closed)) {
                return Ok(());
            }
            if let Some(FromTracker::Keys(keys)) = line.take_notice() {
                keys::learn(&self.me.keyring, &keys);
            }
            loop {
                match self.acts.recv_deadline(next) {
                    Ok(act) => self.act(&mut line, act)?,
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
        }
    }

    fn act(&self, line: &mut Line, act: Act) -> Result<(), NetError> {
        let life = lock(&self.said).life;
        let question = match act {
            Act::Claim(duty) => Claim { duty, life }.into(),
            Act::Done(duty) => DutyDone { duty, life }.into(),
        };
        let told = match (act, line.call(&question)?) {
            (Act::Claim(duty), FromTracker::Common(Common::Ok)) => Told::Claimed(duty, true),
            (Act::Claim(duty), FromTracker::Common(Common::Error(error)))
                if error.code == ErrorCode::Over =>
            {
                Told::Claimed(duty, false)
            }
            (Act::Done(duty), FromTracker::Common(Common::Ok)) => Told::Noted(duty),
            (_, other) => return Err(self.refused(other)),
        };
        self.told(told);
        Ok(())
    }

    /// False if the agent is gone.
    fn told(&self, told: Told) -> bool {
        self.tell.send(News::Tracker(self.number, told)).is_ok()
    }

    /// Why a link is given up for a while; that this life is over is news.
    fn refused(&self, answer: FromTracker) -> NetError {
        match answer {
            FromTracker::Common(Common::Error(error)) => {
                if error.code == ErrorCode::Fenced {
                    tracing::warn!("tracker {}: {}", self.addr, shown(&error.detail));
                    self.told(Told::Fenced);
                }
                error.into()
            }
            FromTracker::Common(Common::Leave) => NetError::Closed,
            other => NetError::Unexpected(other.label()),
        }
    }

    /// What is said now, with what only the system knows.
    fn fresh(&self) -> NodeBeat {
        let beat = lock(&self.said).clone();
        let free =
            rustix::fs::statvfs(&self.state).map_or(0, |about| about.f_bavail.saturating_mul(about.f_frsize));
        NodeBeat { free, load: load(), ..beat }
    }
}

/// Hundredths of the load average of the last minute; 0 if that is not known.
fn load() -> u32 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    (load * 100.0) as u32
}
