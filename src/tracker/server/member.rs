//! One connection, from its HELLO to its end: what arrives is answered by its session.
//!
//! Owns the order on the wire; what is answered is decided by `session`, who may come in by `net::guests`.

use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::askings::Askings;
use super::bells::{Bell, Bells};
use super::caller::caller;
use super::large::Large;
use super::look::Looks;
use super::nodes::Line;
use super::passing::{self, Passing};
use super::receiving::Receiving;
use crate::net::guests::{Guest, Guests};
use crate::net::{self, Identity, Messages, NetError, trace::Side};
use crate::threads;
use crate::tracker::directory::Origin;
use crate::tracker::presence::Cut;
use crate::tracker::session::{self, Caller, Effect, Reply, Session};
use crate::tracker::shared::Shared;
use crate::wire::{
    BetweenNodes, ChangePages, Common, ErrorCode, Forward, FromTracker, Hello, Message, Role, ToTracker,
};

/// Answers waiting on one connection are sent when they are this many bytes.
const MAX_QUEUED_BYTES: usize = 64 << 10;
/// An answer that waits is looked at again so often even if nobody wakes its connection.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

pub(super) type Link = Messages<ToTracker, FromTracker>;

/// What the threads of all connections share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) identity: Arc<Identity>,
    pub(super) shared: Arc<Shared>,
    pub(super) guests: Arc<Guests>,
    pub(super) looks: Arc<Looks>,
    /// How long a connection may be silent.
    pub(super) idle: Duration,
    pub(super) large: Large,
    pub(super) askings: Askings,
    pub(super) bells: Bells,
    /// The way to the other trackers, if this is one of several.
    pub(super) passing: Option<Arc<Passing>>,
    /// PINGs sent.
    pub(super) pings: AtomicU32,
}

impl Service {
    /// Serves a connection until it ends.
    pub(super) fn serve(&self, guest: &Guest) {
        let choose = |role| match role {
            Role::Member => Some(Role::Tracker),
            Role::Node if self.passing.is_some() => Some(Role::Node),
            _ => None,
        };
        match net::welcome(guest.handle.clone(), &self.identity, Side::Tracker, choose) {
            Ok(session) => match (session.theirs.role, &self.passing) {
                (Role::Node, Some(passing)) => self.serve_node(passing, guest, session),
                _ => self.serve_member(guest, session),
            },
            Err(error) => tracing::debug!("{}: {error}", guest.addr),
        }
    }

    /// The same behind HELLO. Apart, for what it needs on the stack no stranger is to cost.
    fn serve_member(&self, guest: &Guest, session: net::Session<net::Handle>) {
        let addr = guest.addr;
        guest.greeted();
        let mut link = Link::new(session, Side::Tracker);
        let ours = guest.handle.stream().local_addr().unwrap_or(addr).ip();
        let (caller, epoch) = caller(self.shared.records().roster(), link.proven);
        let session = Session::new(guest.number, Origin::new(addr.ip(), ours), &link.theirs);
        let mut session = session.of(caller, epoch);
        if let Caller::Member(key) = caller {
            self.shared.comes(guest.number, key);
        }
        let ended = threads::caught(|| self.converse(&mut link, &mut session, guest));
        self.shared.goes(guest.number);
        session.end(&self.shared, Instant::now()); // however it ended: nobody is to be sent to a peer whose connection is gone
        self.attend();
        match ended.unwrap_or_else(|panicked| Err(NetError::Panicked(panicked))) {
            Ok(()) => tracing::debug!("{addr} left"),
            Err(NetError::Closed) if self.guests.is_closing() => {
                let _ = link.send(0, &stopping());
            }
            Err(error) => {
                tracing::debug!("{addr}: {error}");
                link.end(&error);
            }
        }
    }

    /// Answers until the other side leaves or the connection is of no use any more.
    fn converse(&self, link: &mut Link, session: &mut Session, guest: &Guest) -> Result<(), NetError> {
        loop {
            let mut next = Some(self.receive(link, guest.number)?);
            guest.activity.note(Instant::now());
            while let Some((request, message)) = next {
                threads::may_panic("tracker-member");
                if request == 0 && is_request(&message) {
                    return Err(NetError::Unexpected("request number 0"));
                }
                let reply = self.answer(link, session, message, guest)?;
                // LEAVE as a notice has no answer.
                let done = |answer: &&FromTracker| matches!(answer, FromTracker::Common(Common::Ok));
                if let Some(news) = session.news(&self.shared).filter(|_| !reply.close) {
                    link.queue(0, &news);
                }
                if let Some(answer) = reply.answer.as_ref().filter(|answer| request != 0 || !done(answer)) {
                    // An ERROR that ends the connection is about the connection, not the request.
                    let ends = reply.close && matches!(answer, FromTracker::Common(Common::Error(_)));
                    link.queue(if ends { 0 } else { request }, answer);
                }
                if reply.close {
                    return link.flush();
                }
                if let Some(effect) = reply.effect {
                    self.carry_out(effect, guest);
                }
                if link.queued_bytes() >= MAX_QUEUED_BYTES {
                    link.flush()?;
                }
                next = link.received()?;
            }
            link.flush()?;
        }
    }

    /// The answer to one message: of this tracker, or of the one that leads the cluster if only that can give it.
    fn answer(
        &self,
        link: &mut Link,
        session: &mut Session,
        message: ToTracker,
        guest: &Guest,
    ) -> Result<Reply, NetError> {
        let passing = self.passing.as_deref();
        let again = passing.zip(passing::patience(&message, Instant::now()));
        let again = again.map(|again| (again, message.clone()));
        let mut reply = self.answer_here(link, session, message, guest.number)?;
        let Some(((passing, until), message)) = again else { return Ok(reply) };
        while reply.answer.as_ref().is_some_and(passing::is_no_quorum) {
            link.flush()?; // the answers before
            let goes_on = |time| !link.is_cut() && self.guests.pause(time);
            let asked = passing.ask((session, &message), &goes_on, until)?;
            match asked {
                Some(answer) => return Ok(answer.into()),
                None if Instant::now() >= until => return Ok(reply),
                // This tracker leads; what it has to do for that may not be done.
                None if !self.guests.pause(passing::LOOK) => return Err(NetError::Closed),
                None => reply = self.answer_here(link, session, message.clone(), guest.number)?,
            }
        }
        Ok(reply)
    }

    fn answer_here(
        &self,
        link: &mut Link,
        session: &mut Session,
        message: ToTracker,
        connection: u64,
    ) -> Result<Reply, NetError> {
        if let Some(unsure) = session::unsure(&self.shared, &message) {
            return Ok(FromTracker::from(unsure).into());
        }
        let reply = session.answer(&self.shared, message, Instant::now());
        self.in_the_end(link, connection, reply, |now| session.go_on(&self.shared, now))
    }

    /// Serves a connection of another tracker.
    fn serve_node(&self, passing: &Passing, guest: &Guest, session: net::Session<net::Handle>) {
        guest.greeted();
        guest.keep();
        let mut line = Line::new(session, Side::Tracker);
        let ended = threads::caught(|| self.with_node(passing, &mut line, guest));
        let linked = match ended.unwrap_or_else(|panicked| Err(NetError::Panicked(panicked))) {
            Ok(linked) => linked,
            Err(error) => {
                tracing::debug!("{}: {error}", guest.addr);
                return line.end(&error);
            }
        };
        let mut heard = || guest.activity.note(Instant::now());
        if let Err(error) = passing.nodes.talk(line, linked, &mut heard) {
            tracing::debug!("tracker {linked} at {}: {error}", guest.addr);
        }
    }

    /// Answers what is passed on, until this is to be the connection between the two; the number of the other tracker then.
    fn with_node(&self, passing: &Passing, line: &mut Line, guest: &Guest) -> Result<u16, NetError> {
        let key = line.proven.map(|proven| proven.key);
        loop {
            let (request, message) = line.receive()?;
            guest.activity.note(Instant::now());
            let answer = match message {
                _ if !self.shared.is_tracker(key) => {
                    Common::error(ErrorCode::NotAllowed, "only a tracker of the swarm may say that").into()
                }
                BetweenNodes::LinkNodes(link) => match passing.nodes.may_link(&link, key) {
                    Ok(()) => {
                        line.send(request, &Common::Ok.into())?;
                        return Ok(link.node);
                    }
                    Err(refused) => refused.into(),
                },
                BetweenNodes::Confirm(asked) => passing.nodes.confirm(&asked).into(),
                BetweenNodes::Forward(forward) => self.answer_for(line, &forward, guest)?,
                BetweenNodes::ChangePages(change) => {
                    let answer = self.change_pages(passing, change, guest.addr.ip());
                    passing::forwarded(&answer).into()
                }
                BetweenNodes::Common(Common::Ping) => Common::Pong.into(),
                other => return Err(NetError::Unexpected(other.label())),
            };
            line.send(request, &answer)?;
        }
    }

    /// Changes who may come in to pages, as was asked for at the page of another tracker. Who that is nobody has proved in an
    /// open network: there it comes from the address of a tracker of the cluster, at least.
    fn change_pages(&self, passing: &Passing, change: ChangePages, from: IpAddr) -> FromTracker {
        let is_closed = self.shared.records().roster().is_closed();
        if !is_closed && !passing.nodes.is_at_member(from) {
            let detail = format!(
                "{from} is the address of no tracker of the cluster: make the change at the page of the one that leads"
            );
            return Common::error(ErrorCode::NotAllowed, detail).into();
        }
        session::change_pages(&self.shared, change)
    }

    /// Answers a member of another tracker.
    fn answer_for(
        &self,
        line: &mut Line,
        forward: &Forward,
        guest: &Guest,
    ) -> Result<BetweenNodes, NetError> {
        threads::may_panic("tracker-member");
        let message = match ToTracker::decode(forward.message, forward.body.0.clone()) {
            Ok(message) => message,
            Err(error) => {
                let malformed = Common::error(ErrorCode::Malformed, error.to_string());
                return Ok(passing::forwarded(&malformed.into()).into());
            }
        };
        let (peer, name, caller) = passing::asker(forward);
        let hello = Hello { peer, name, ..line.theirs.clone() };
        let from = Origin::new(guest.addr.ip(), guest.addr.ip());
        let mut session = Session::new(guest.number, from, &hello).of(caller, 0);
        let reply = session.answer(&self.shared, message, Instant::now());
        let reply = self.in_the_end(line, guest.number, reply, |now| session.go_on(&self.shared, now))?;
        let nothing = || Common::error(ErrorCode::Internal, "there is no answer to that").into();
        Ok(passing::forwarded(&reply.answer.unwrap_or_else(nothing)).into())
    }

    /// The answer, which may take many steps, or wait for something; none is taken for who is gone.
    pub(super) fn in_the_end<R: Message, S: Message>(
        &self,
        link: &mut Messages<R, S>,
        connection: u64,
        mut reply: Reply,
        mut go_on: impl FnMut(Instant) -> Reply,
    ) -> Result<Reply, NetError> {
        let (mut asking, mut bell) = (None, None);
        loop {
            self.attend();
            let waits = match reply.effect {
                Some(Effect::GoOn) => None,
                Some(Effect::Wait(until)) => Some(until.saturating_duration_since(Instant::now())),
                _ => return Ok(reply),
            };
            match (waits, &bell) {
                (Some(time), Some(bell)) => self.wait(link, bell, time)?,
                (Some(_), None) => bell = Some(self.bells.hang(connection)?),
                (None, _) => {}
            }
            if link.is_cut() {
                return Err(NetError::Closed);
            }
            let began = Instant::now();
            reply = go_on(began);
            if waits.is_none() {
                let asking = asking.get_or_insert_with(|| self.askings.begins(link.addr.ip()));
                if !self.guests.pause(asking.pause_after(began.elapsed())) {
                    return Err(NetError::Closed);
                }
            }
        }
    }

    /// Waits for a while, or until somebody rings, or the other side is gone.
    fn wait<R: Message, S: Message>(
        &self,
        link: &mut Messages<R, S>,
        bell: &Bell<'_>,
        time: Duration,
    ) -> Result<(), NetError> {
        link.flush()?; // the answers before
        Ok(bell.wait(link.socket(), time.min(LONGEST_WAIT))?)
    }

    /// Sees to what changes of the shared state mean for other connections.
    pub(super) fn attend(&self) {
        self.bells.ring(&self.shared.take_wakes());
        for Cut { connection, revoked } in self.shared.take_cuts() {
            let Some(handle) = self.guests.handle(connection) else { continue };
            if revoked {
                handle.interject(0, &session::revoked());
            }
            handle.shutdown(Shutdown::Read); // its thread ends it, and says what it has to say
        }
    }

    fn carry_out(&self, effect: Effect, guest: &Guest) {
        match effect {
            Effect::Look(look) => self.looks.order(look),
            Effect::Keep => guest.keep(),
            Effect::GoOn | Effect::Wait(_) => {} // done before
            Effect::Ping(connection) => {
                if let Some(handle) = self.guests.handle(connection) {
                    handle.interject(self.next_ping(), &Common::Ping);
                }
            }
        }
    }

    /// A number for a PING; 0 is that of notices.
    pub(super) fn next_ping(&self) -> u32 {
        self.pings.fetch_add(1, Ordering::Relaxed).checked_add(1).unwrap_or(1)
    }

    /// The next message. One that is long, or comes slowly, has less room and time than silence has.
    fn receive(&self, link: &mut Link, connection: u64) -> Result<(u32, ToTracker), NetError> {
        let mut receiving = Receiving::new(self.idle);
        let mut under_way = None;
        loop {
            if let Some(received) = link.received()? {
                return Ok(received);
            }
            let partial = link.partial_bytes();
            if under_way.is_none() && Receiving::is_large(partial) {
                let (large, oldest) = self.large.begins(connection);
                under_way = Some(large);
                if let Some(oldest) = oldest {
                    self.guests.cut(oldest);
                }
            }
            let patience = receiving.patience(partial, Instant::now()).ok_or(NetError::TimedOut)?;
            link.set_timeout(Some(patience))?;
            link.fill()?;
        }
    }
}

/// True of what needs an answer, which needs a number. LEAVE may be a notice.
fn is_request(message: &ToTracker) -> bool {
    matches!(message, ToTracker::Common(Common::Ping)) || !matches!(message, ToTracker::Common(_))
}

fn stopping() -> FromTracker {
    Common::error(ErrorCode::Stopping, "the tracker is stopping").into()
}
