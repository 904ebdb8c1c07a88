//! The thread of a link: it registers, reports, asks, and comes back after failures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::{Link, Order};
use super::registry::Registry;
use super::seats::{Seat, Seats};
use crate::content::{FileId, PeerId, Run, shown};
use crate::net::keys;
use crate::net::trace::Side;
use crate::net::{self, Identity, Messages, NetError, Session};
use crate::peer::stop::{Present, Stop};
use crate::swarm::backoff::Backoff;
use crate::threads;
use crate::threads::lock;
use crate::wire::limits::{MAX_FRAME_BYTES, MAX_LABEL_BYTES, MAX_OFFERS, MAX_RANGES};
use crate::wire::{
    Cluster, Common, ErrorCode, FromTracker, GetCluster, HaveChunks, Heartbeat, List, Name, Offer, Register,
    Role, ToTracker, Update, View,
};

/// How long a tracker may take to answer before the link counts as broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause before a broken link is made anew; doubled each time, with jitter.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
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

/// Hears what the tracker at an address says of those that are one with it.
pub(super) type Told = Arc<dyn Fn(&str, &Cluster) + Send + Sync>;

/// The thread of a link.
pub(super) struct Worker {
    pub(super) link: Arc<Link>,
    pub(super) seats: Arc<Seats>,
    pub(super) me: Identity,
    pub(super) registry: Arc<dyn Registry>,
    /// Hears which trackers this one says are one with it.
    pub(super) told: Told,
    pub(super) stop: Arc<Stop>,
    pub(super) _present: Present,
}

type Wire = Messages<FromTracker, ToTracker>;

impl Worker {
    /// Until the peer stops, or the tracker is not one of its any more.
    pub(super) fn run(self) {
        let mut backoff = Backoff::default();
        let mut told: Option<bool> = None;
        let mut in_use_since: Option<Instant> = None;
        while !self.is_over() {
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

    fn is_over(&self) -> bool {
        self.stop.is_stopping() || self.link.is_over()
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
        while Instant::now() < until && !self.is_over() {
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
        let mut next_look = Instant::now();
        let mut last_load = self.registry.load();
        loop {
            while let Some(order) = { lock(&self.link.orders).pop_front() } {
                self.carry_out(line, order)?;
            }
            if self.is_over() {
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
                    // The lease ran out while this process, or the network, slept: register anew. Or the tracker is not one of its
                    // cluster any more, and lets nobody in.
                    FromTracker::Common(Common::Error(error))
                        if matches!(error.code, ErrorCode::NotRegistered | ErrorCode::NoQuorum) =>
                    {
                        return Err(refused(FromTracker::Common(Common::Error(error))));
                    }
                    answer => expect_ok(answer)?,
                }
                last_load = load;
                next_heartbeat = Instant::now() + interval;
            }
            if Instant::now() >= next_look {
                next_look = Instant::now() + (*lease).max(LEAST_INTERVAL);
                // Who does not understand it knows of no others.
                if let FromTracker::Cluster(cluster) = line.call(&GetCluster {}.into())? {
                    (self.told)(&self.link.addr, &cluster);
                }
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
pub(super) fn split_for_frame<T>(items: &mut Vec<T>, name: impl Fn(&T) -> &Name) -> Vec<T> {
    const FIXED_BYTES: usize = 64; // what an offer has beside its name
    let room = MAX_FRAME_BYTES / 2 - FIXED_BYTES - MAX_LABEL_BYTES;
    cut_off(items, (MAX_OFFERS, room), |item| name(item).len() + FIXED_BYTES)
}

/// Cuts off all but the first: no more than so many, of so many bytes together.
pub(in crate::peer) fn cut_off<T>(
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
