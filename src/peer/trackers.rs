//! The links to the trackers: one thread each, which registers, reports, asks, and comes back after failures.
//!
//! What a peer registers is soft state: whenever a link is made anew, all of it is told again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::duties::Linked;
use super::stop::{Present, Stop};
use crate::content::{Address, FileId, PeerId, Run, shown};
use crate::net::keys;
use crate::net::trace::Side;
use crate::net::wake::Wake;
use crate::net::{self, Identity, Messages, NetError, Session};
use crate::swarm::backoff::Backoff;
use crate::threads;
use crate::threads::lock;
use crate::wire::limits::{MAX_FRAME_BYTES, MAX_LABEL_BYTES, MAX_OFFERS, MAX_RANGES};
use crate::wire::{
    Common, ErrorCode, FromTracker, HaveChunks, Heartbeat, List, Locate, Located, Name, Offer, Register,
    Report, Role, ToTracker, Update, View,
};

/// How long a tracker may take to answer before the link counts as broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause before a broken link is made anew; doubled each time, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often it is looked whether a tracker that has a link at another address still has it.
const TWIN_PAUSE: Duration = Duration::from_secs(15);
/// Who is told for so long that its id is in use takes another: a connection that is dead is taken over sooner.
const IN_USE_PATIENCE: Duration = Duration::from_secs(4);
/// How often it is looked whether the load has changed, which is told at once.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);
/// Signs of life in one lease.
const HEARTBEATS_PER_LEASE: u32 = 3;
/// Signs of life come no closer together, however short a tracker says the lease is.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);
/// Orders that wait for a link; past it the oldest are dropped, which a new link makes good.
const MAX_ORDERS: usize = 4096;

/// A content, as a file or a tree, and the chunks of it that are here.
pub(super) type Part = ((FileId, View), Vec<Run>);

/// What the peer registers, gathered when a link is made.
pub(super) trait Registry: Send + Sync {
    /// Everything that is offered now.
    fn offers(&self) -> Vec<Offer>;
    /// For contents that are here in part: the chunks that are.
    fn parts(&self) -> Vec<Part>;
    /// Uploads and downloads of now.
    fn load(&self) -> (u16, u16);
    /// The port at the address that a tracker sees, 0 if it is not listened on, and where else others may dial.
    fn listens(&self) -> (u16, Vec<Address>);
}

#[derive(Debug)]
enum Order {
    Update { added: Vec<Offer>, removed: Vec<(Name, FileId)> },
    Have((FileId, View), Vec<Run>),
    Locate(Locate, Sender<Located>),
    Report(Report),
    Ask(ToTracker, Sender<FromTracker>),
}

impl Order {
    /// True of a question that does not depend on what was said before it.
    fn is_question(&self) -> bool {
        matches!(self, Order::Locate(..))
    }
}

/// One tracker.
#[derive(Debug)]
struct Link {
    addr: String,
    wake: Arc<Wake>,
    orders: Mutex<VecDeque<Order>>,
    connected: Arc<Linked>,
    /// How often this peer was registered there.
    registered: Mutex<u64>,
    /// Notified when it is once more.
    anew: Condvar,
    /// What it said when it refused the last question.
    refusal: Mutex<Option<String>>,
}

/// One tracker, for who has more to say to it than what is registered.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Link>);

/// All trackers of a peer, each of which has one link, however many addresses of it were given.
#[derive(Debug)]
pub(super) struct Trackers {
    links: Vec<Arc<Link>>,
    seats: Arc<Seats>,
}

/// The trackers that have a link, by the ids that they say they have.
#[derive(Debug, Default)]
struct Seats(Mutex<BTreeSet<PeerId>>);

/// That a link is the one to its tracker; it is no more when this is dropped.
struct Seat {
    seats: Arc<Seats>,
    tracker: PeerId,
}

impl Seat {
    fn take(seats: &Arc<Seats>, tracker: PeerId) -> Option<Seat> {
        lock(&seats.0).insert(tracker).then(|| Seat { seats: seats.clone(), tracker })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.seats.0).remove(&self.tracker);
    }
}

impl Trackers {
    /// What there is to tell each tracker is kept until its link is there.
    pub(super) fn new(addrs: &[String]) -> std::io::Result<Trackers> {
        let link = |addr: &String| {
            Ok(Arc::new(Link {
                addr: addr.clone(),
                wake: Arc::new(Wake::new()?),
                orders: Mutex::default(),
                connected: Arc::new(Linked::new()?),
                registered: Mutex::default(),
                anew: Condvar::new(),
                refusal: Mutex::default(),
            }))
        };
        let links = addrs.iter().map(link).collect::<std::io::Result<_>>()?;
        Ok(Trackers { links, seats: Arc::default() })
    }

    /// Starts a link to each tracker; when the peer stops, each tells LEAVE if it can.
    pub(super) fn start(
        &self,
        me: &Identity,
        registry: &Arc<dyn Registry>,
        stop: &Arc<Stop>,
    ) -> std::io::Result<()> {
        for link in &self.links {
            stop.wakes(&link.wake);
            let (link, me, registry) = (link.clone(), me.clone(), registry.clone());
            let (seats, stop) = (self.seats.clone(), stop.clone());
            let _present = stop.enter();
            let worker = Worker { link, seats, me, registry, stop, _present };
            threads::named("tracker").essential(move || worker.run())?;
        }
        Ok(())
    }

    /// Each tracker.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        self.links.iter().cloned().map(Line)
    }

    /// The trackers, each with what says whether there is a link to it.
    pub(super) fn linked(&self) -> impl Iterator<Item = (&str, &Arc<Linked>)> {
        self.links.iter().map(|link| (&*link.addr, &link.connected))
    }

    /// The trackers and whether they are connected.
    pub(super) fn states(&self) -> Vec<(String, bool)> {
        self.links.iter().map(|link| (link.addr.clone(), link.connected.get())).collect()
    }

    pub(super) fn any_connected(&self) -> bool {
        self.links.iter().any(|link| link.connected.get())
    }

    /// What one of them said that refused the last question.
    pub(super) fn refusal(&self) -> Option<String> {
        self.links.iter().find_map(|link| lock(&link.refusal).clone())
    }

    pub(super) fn update(&self, added: &[Offer], removed: &[(Name, FileId)]) {
        for link in &self.links {
            link.order(Order::Update { added: added.to_vec(), removed: removed.to_vec() });
        }
    }

    pub(super) fn have(&self, content: (FileId, View), gained: &[Run]) {
        for link in &self.links {
            link.order(Order::Have(content, gained.to_vec()));
        }
    }

    pub(super) fn report(&self, report: &Report) {
        for link in &self.links {
            link.order(Order::Report(report.clone()));
        }
    }

    /// Asks every tracker; answers come as they arrive, none from a tracker that is away.
    pub(super) fn locate(&self, locate: &Locate) -> Receiver<Located> {
        let (sender, receiver) = bounded(self.links.len());
        for link in &self.links {
            link.order(Order::Locate(locate.clone(), sender.clone()));
        }
        receiver
    }
}

impl Link {
    fn order(&self, order: Order) {
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
    pub(super) fn addr(&self) -> &str {
        &self.0.addr
    }

    /// How often this peer was registered there, once that is more than `before`, or after a while.
    pub(super) fn registered(&self, before: u64, patience: Duration) -> u64 {
        let times = lock(&self.0.registered);
        let waited = self.0.anew.wait_timeout_while(times, patience, |times| *times <= before);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Asks over the connection on which this peer is registered; none if that ends before the answer comes, or is
    /// not there.
    pub(super) fn ask(&self, question: impl Into<ToTracker>) -> Option<FromTracker> {
        if !self.0.connected.get() {
            return None;
        }
        let (sender, answer) = bounded(1);
        self.0.order(Order::Ask(question.into(), sender));
        loop {
            match answer.recv_timeout(LOAD_INTERVAL) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) if self.0.connected.get() => {}
                Err(_) => return None,
            }
        }
    }
}

struct Worker {
    link: Arc<Link>,
    seats: Arc<Seats>,
    me: Identity,
    registry: Arc<dyn Registry>,
    stop: Arc<Stop>,
    _present: Present,
}

type Wire = Messages<FromTracker, ToTracker>;

impl Worker {
    fn run(self) {
        let mut backoff = Backoff::default();
        let mut told: Option<bool> = None;
        let mut in_use_since: Option<Instant> = None;
        while !self.stop.is_stopping() {
            let id = self.me.peer.get();
            let outcome = self.greet().and_then(|session| {
                // Another address of a tracker that has its link: this one waits until that is needed.
                let Some(_seat) = Seat::take(&self.seats, session.theirs.peer) else { return Ok(false) };
                let mut line = self.register(session)?;
                self.link.connected.set(true);
                *lock(&self.link.registered) += 1;
                self.link.anew.notify_all();
                if told.is_some() {
                    tracing::warn!("tracker {} is back", self.link.addr); // as visible as that it was lost
                }
                (told, backoff) = (None, Backoff::default());
                in_use_since = None;
                self.serve(&mut line, id).map(|()| true)
            });
            self.link.connected.set(false);
            lock(&self.link.orders).retain(Order::is_question);
            let error = match outcome {
                Ok(true) => return,
                Ok(false) => {
                    self.pause(TWIN_PAUSE);
                    continue;
                }
                Err(error) => error,
            };
            if self.me.peer.get() != id {
                continue; // it was given up for another tracker's sake
            }
            let in_use = matches!(error, NetError::Refused { code: ErrorCode::InUse, .. });
            // Once for each time it is away; but that somebody else is there is news.
            if told.is_none_or(|told| in_use && !told) {
                self.tell(&error, in_use);
                told = Some(in_use);
            }
            in_use_since = in_use_since.filter(|_| in_use).or_else(|| in_use.then(Instant::now));
            let goes_on = in_use_since.is_some_and(|since| since.elapsed() >= IN_USE_PATIENCE);
            if goes_on && self.me.peer.give_up(id) {
                tracing::warn!("tracker {}: that goes on; this peer takes an id of its own", self.link.addr);
                continue;
            }
            self.pause(backoff.next(FIRST_PAUSE, LONGEST_PAUSE, &mut fastrand::Rng::new()));
        }
    }

    fn tell(&self, error: &NetError, in_use: bool) {
        let addr = &self.link.addr;
        match in_use {
            true => tracing::warn!(
                "tracker {addr}: another peer with the id of this one is registered there and lives: was this folder \
                 copied together with its state? trying again"
            ),
            false => tracing::warn!("tracker {addr}: {error}; trying again"),
        }
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.stop.is_stopping() {
            // Questions have no answer, and who asks is not to wait for one.
            lock(&self.link.orders).retain(|order| !order.is_question());
            let left = until.saturating_duration_since(Instant::now());
            let _ = self.link.wake.wait_alone(left);
        }
    }

    fn greet(&self) -> Result<Session, NetError> {
        let stream = net::dial(&self.link.addr)?;
        let expected = self.me.keyring.tracker_at(&self.link.addr);
        net::greet(stream, (&self.me, Role::Member), expected, Side::Tracker, net::HELLO_TIMEOUT)
    }

    fn register(&self, session: Session) -> Result<(Wire, Duration), NetError> {
        let mut line = Wire::new(session, Side::Tracker);
        line.set_timeout(Some(ANSWER_TIMEOUT))?;
        // Orders from before are part of what is registered now, but for questions.
        lock(&self.link.orders).retain(Order::is_question);
        let mut offers = self.registry.offers();
        let rest = split_for_frame(&mut offers, |offer| &offer.name);
        let (port, addresses) = self.registry.listens();
        let register = Register { port, addresses: List::new(addresses), offers: List::new(offers) };
        let lease = match line.call(&register.into())? {
            FromTracker::Registered(registered) => Duration::from_millis(u64::from(registered.lease_ms)),
            // With the new key it is dialled again.
            over if keys::renew(&mut line, &self.me.keyring, &over)? => return Err(NetError::Closed),
            other => return Err(refused(other)),
        };
        self.update(&mut line, rest, Vec::new())?;
        for (content, ranges) in self.registry.parts() {
            self.have(&mut line, content, ranges)?;
        }
        Ok((line, lease))
    }

    fn serve(&self, (line, lease): &mut (Wire, Duration), id: PeerId) -> Result<(), NetError> {
        threads::may_panic("tracker");
        let interval = (*lease / HEARTBEATS_PER_LEASE).max(LEAST_INTERVAL);
        let mut next_heartbeat = Instant::now() + interval;
        let mut last_load = self.registry.load();
        loop {
            while let Some(order) = { lock(&self.link.orders).pop_front() } {
                self.carry_out(line, order)?;
            }
            if self.stop.is_stopping() {
                let _ = line.call(&ToTracker::from(Common::Leave));
                return Ok(());
            }
            if self.me.peer.get() != id {
                return Err(NetError::Closed);
            }
            let load = self.registry.load();
            if Instant::now() >= next_heartbeat || load != last_load {
                let heartbeat = Heartbeat { uploads: load.0, downloads: load.1, space: 0 };
                match line.call(&heartbeat.into())? {
                    // The lease ran out while this process, or the network, slept: register anew.
                    FromTracker::Common(Common::Error(error)) if error.code == ErrorCode::NotRegistered => {
                        return Err(refused(FromTracker::Common(Common::Error(error))));
                    }
                    answer => expect_ok(answer)?,
                }
                last_load = load;
                next_heartbeat = Instant::now() + interval;
            }
            if let Some(FromTracker::Keys(keys)) = line.take_notice() {
                keys::learn(&self.me.keyring, &keys);
            }
            while let Some((request, message)) = line.received()? {
                self.hear(line, request, message)?; // it came along with an answer
            }
            let left = next_heartbeat.saturating_duration_since(Instant::now()).min(LOAD_INTERVAL);
            if self.link.wake.wait_with(line.socket(), left)? {
                // A closed connection shows here too.
                let (request, message) = line.receive()?;
                self.hear(line, request, message)?;
            }
        }
    }

    /// Trackers speak unasked to leave, to see whether we live, or of the swarm's keys.
    fn hear(&self, line: &mut Wire, request: u32, message: FromTracker) -> Result<(), NetError> {
        match message {
            FromTracker::Common(Common::Ping) => line.send(request, &Common::Pong.into()),
            FromTracker::Keys(keys) => {
                keys::learn(&self.me.keyring, &keys);
                Ok(())
            }
            other => Err(refused(other)),
        }
    }

    fn carry_out(&self, line: &mut Wire, order: Order) -> Result<(), NetError> {
        match order {
            Order::Update { added, removed } => self.update(line, added, removed),
            Order::Have(content, ranges) => self.have(line, content, ranges),
            Order::Report(report) => expect_ok(line.call(&report.into())?),
            // Whoever asked may not want to know any more.
            Order::Ask(question, reply) => {
                let answer = line.call(&question)?;
                drop(reply.send(answer));
                Ok(())
            }
            Order::Locate(locate, reply) => {
                let answer = line.call(&locate.into())?;
                *lock(&self.link.refusal) = match &answer {
                    FromTracker::Common(Common::Error(error)) => {
                        let (addr, code, detail) = (&self.link.addr, error.code, shown(&error.detail));
                        Some(format!("the tracker at {addr} says {code}: {detail}"))
                    }
                    _ => None,
                };
                match answer {
                    FromTracker::Located(located) => drop(reply.send(located)),
                    // Whoever asked sees that no answer comes.
                    other => expect_ok(other)?,
                }
                Ok(())
            }
        }
    }

    fn update(
        &self,
        line: &mut Wire,
        mut added: Vec<Offer>,
        mut removed: Vec<(Name, FileId)>,
    ) -> Result<(), NetError> {
        while !added.is_empty() || !removed.is_empty() {
            let more_added = split_for_frame(&mut added, |offer| &offer.name);
            let more_removed = split_for_frame(&mut removed, |(name, _)| name);
            let update = Update { added: List::new(added), removed: List::new(removed) };
            expect_ok(line.call(&update.into())?)?;
            (added, removed) = (more_added, more_removed);
        }
        Ok(())
    }

    fn have(
        &self,
        line: &mut Wire,
        (id, view): (FileId, View),
        mut ranges: Vec<Run>,
    ) -> Result<(), NetError> {
        while !ranges.is_empty() {
            let more = ranges.split_off(ranges.len().min(MAX_RANGES));
            expect_ok(line.call(&HaveChunks { id, view, gained: List::new(ranges) }.into())?)?;
            ranges = more;
        }
        Ok(())
    }
}

/// Cuts off what would make a frame too large, by count or by the bytes of its names. Two lists of half
/// a frame each fit one frame.
fn split_for_frame<T>(items: &mut Vec<T>, name: impl Fn(&T) -> &Name) -> Vec<T> {
    const FIXED_BYTES: usize = 64; // what an offer has beside its name
    let room = MAX_FRAME_BYTES / 2 - FIXED_BYTES - MAX_LABEL_BYTES;
    cut_off(items, (MAX_OFFERS, room), |item| name(item).len() + FIXED_BYTES)
}

/// Cuts off all but the first: no more than so many, of so many bytes together.
pub(super) fn cut_off<T>(
    items: &mut Vec<T>,
    (most, room): (usize, usize),
    bytes_of: impl Fn(&T) -> usize,
) -> Vec<T> {
    let mut bytes = 0;
    let fits = items.iter().take(most).take_while(|item| {
        bytes += bytes_of(item);
        bytes <= room
    });
    let fits = fits.count();
    items.split_off(fits)
}

/// An ERROR about one request is the end of that, and not of the link, but worth a line in the log.
fn expect_ok(answer: FromTracker) -> Result<(), NetError> {
    match answer {
        FromTracker::Common(Common::Ok) => Ok(()),
        FromTracker::Common(Common::Error(error)) => {
            tracing::warn!("the tracker refuses: {} {}", error.code, shown(&error.detail));
            Ok(())
        }
        other => Err(refused(other)),
    }
}

fn refused(answer: FromTracker) -> NetError {
    use crate::wire::Message;
    match answer {
        FromTracker::Common(Common::Error(error)) => error.into(),
        FromTracker::Common(Common::Leave) => NetError::Closed,
        other => NetError::Unexpected(other.label()),
    }
}

#[cfg(test)]
mod tests;
