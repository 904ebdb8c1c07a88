//! The thread of one serving connection: its loop, its socket.
//!
//! One thread, one non-blocking socket. Chunks go from the file to the socket inside the kernel; only
//! short ones are copied, so that many fit one write. Requests are read while a chunk is being sent,
//! so that a cancel comes in time.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asker::Asker;
use super::host::Host;
use super::sending::{Broken, FilePart, Outgoing, Pace};
use super::session::{Answer, Session};
use super::slot::Request;
use crate::net::NetError;
use crate::net::bulk::{Bulk, Filled};
use crate::net::door::Activity;
use crate::net::trace::{self, Direction, Side};
use crate::net::wake::Wake;
use crate::peer::mischief::{Fate, Mischief};
use crate::peer::transfer::Follower;
use crate::swarm::uplink::UNSENT_AHEAD;
use crate::threads;
use crate::wire::{Common, FromServer, HEADER_BYTES, Here, Refusal, Refused, ToServer};

/// A connection on which nothing has moved either way for so long is closed.
const IDLE_PATIENCE: Duration = Duration::from_secs(60);
/// Short chunks are gathered until this much waits to be sent: one turn's worth.
const GATHER_BYTES: usize = 64 << 10;

/// Serves one connection until it ends. Who was called for something says so first.
pub(in crate::peer) fn run(
    host: &dyn Host,
    greeted: crate::net::Session<Arc<TcpStream>>,
    here: Option<Here>,
    activity: &Activity,
    stop: &dyn Fn() -> bool,
) -> Result<(), NetError> {
    let wake = Arc::new(Wake::new()?);
    let listen = greeted.theirs.listen_port;
    socket2::SockRef::from(&greeted.stream).set_tcp_notsent_lowat(UNSENT_AHEAD)?;
    let (mut bulk, theirs) = Bulk::new(greeted, Side::Serve, wake.clone())?;
    if let Some(here) = here {
        bulk.queue(0, here);
    }
    host.join(&wake);
    let follower = Arc::new(Follower::new(wake.clone()));
    let ip = bulk.addr.ip();
    let asker = Asker::join(host.uploads(), theirs.peer, ip, wake);
    let mischief = host.mischief(&theirs.name, asker.number());
    let listen = (listen != 0).then(|| SocketAddr::new(ip, listen));
    let session = Session::new(host, theirs.peer, ip, listen, asker, follower, mischief.lies());
    let mut connection = Connection { bulk, session, outgoing: Outgoing::Nothing, mischief };
    let outcome = threads::caught(|| connection.work(activity, stop))
        .unwrap_or_else(|panicked| Err(NetError::Panicked(panicked)));
    let Connection { bulk, mut session, mischief, .. } = connection;
    if mischief.lost().any(|(_, message)| matches!(message, ToServer::Common(Common::Leave))) {
        session.leaves();
    }
    for content in session.finish() {
        host.finished(content, &theirs.name, ip);
    }
    drop(session);
    if let Err(error) = &outcome {
        bulk.end(error);
    }
    outcome
}

struct Connection<'a> {
    bulk: Bulk<FromServer>,
    session: Session<'a>,
    outgoing: Outgoing,
    mischief: Mischief<(u32, ToServer)>,
}

impl Connection<'_> {
    fn work(&mut self, activity: &Activity, stop: &dyn Fn() -> bool) -> Result<(), NetError> {
        loop {
            self.take_in()?;
            let now = Instant::now();
            let mut unasked = self.session.due_gains(now);
            unasked.extend(self.session.restate(now));
            self.put(unasked);
            let pace = self.send()?;
            let rested = self.session.note_requests(self.outgoing.is_sending());
            if stop() {
                self.bulk.queue(0, Common::Leave);
                let _ = self.bulk.flush(false);
                return Ok(());
            }
            if self.session.is_left() && matches!(pace, Pace::Idle) {
                return Ok(());
            }
            if matches!(pace, Pace::More) {
                if !self.is_choked() && self.bulk.fill()? != Filled::Nothing {
                    activity.note(Instant::now());
                }
                continue;
            }
            if rested {
                continue; // what was not told while there were requests is told now
            }
            self.wait(&pace, activity)?;
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self, pace: &Pace, activity: &Activity) -> Result<(), NetError> {
        let idle = self.bulk.moved() + IDLE_PATIENCE;
        if Instant::now() >= idle {
            return Err(NetError::TimedOut);
        }
        let looks = [self.outgoing.next_look(), self.mischief.next_due(), self.session.next_restating()];
        let until = looks.into_iter().flatten().min().map_or(idle, |next| next.min(idle));
        // Who does not take answers is not asked for more questions.
        let hears = !self.is_choked();
        if self.bulk.wait(hears, !hears || matches!(pace, Pace::Full), Some(until))? && hears {
            self.bulk.fill()?;
            activity.note(Instant::now());
        }
        Ok(())
    }

    /// True while more waits to be sent than may.
    fn is_choked(&mut self) -> bool {
        let waiting = self.bulk.unsent_bytes() + self.bulk.grown_bytes();
        self.session.is_choked(waiting)
    }

    fn put(&mut self, answers: Vec<Answer>) {
        for (request, message) in answers {
            self.bulk.queue(request, message);
        }
    }

    fn take_in(&mut self) -> Result<(), NetError> {
        while !self.is_choked() {
            let bulk = &mut self.bulk;
            let next = self.mischief.next(Instant::now(), || arrived(bulk))?;
            let Some((request, message)) = next else { break };
            let answers = self.session.take(request, message)?;
            self.put(answers);
        }
        Ok(())
    }

    // Sending.

    fn send(&mut self) -> Result<Pace, NetError> {
        if self.outgoing.is_paused(Instant::now()) {
            return self.flush(Pace::NotNow);
        }
        if matches!(self.outgoing, Outgoing::Begun { .. }) {
            return self.send_on();
        }
        if self.mischief.has_cut() {
            return self.cut_off();
        }
        let Some(wish) = self.session.wish() else {
            self.give_back(); // what it had its turn for was cancelled meanwhile
            self.session.asker().rest();
            return self.flush(Pace::Idle);
        };
        if self.bulk.unsent().len() >= GATHER_BYTES && !self.bulk.flush(false)? {
            self.give_back();
            self.session.asker().rest(); // a turn is for who can take it
            return Ok(Pace::Full);
        }
        if !self.session.asker().turn(wish, Instant::now()) || self.must_pause() {
            return self.flush(Pace::NotNow);
        }
        threads::may_panic("serve");
        self.begin_turn();
        self.send_on()
    }

    /// It has paid, and cannot send after all: its turn is another's.
    fn give_back(&mut self) {
        if matches!(self.outgoing, Outgoing::Paid) {
            self.session.asker().done();
        }
    }

    /// Sends the messages that wait; `pace` if all of them are with the system.
    fn flush(&mut self, pace: Pace) -> Result<Pace, NetError> {
        Ok(if self.bulk.flush(false)? { pace } else { Pace::Full })
    }

    /// Under a rate limit, a chunk leaves when all of it could have left at that rate, behind those that
    /// were next before it. True if that is not yet.
    fn must_pause(&mut self) -> bool {
        if matches!(self.outgoing, Outgoing::Paid) {
            return false;
        }
        let now = Instant::now();
        let Some(wait) = self.session.next_bytes().and_then(|bytes| self.session.asker().pay(bytes, now))
        else {
            return false;
        };
        self.outgoing = if wait.is_zero() { Outgoing::Paid } else { Outgoing::Paused(now + wait) };
        !wait.is_zero()
    }

    /// Answers requests: with one long chunk, or with so many short ones that they are worth a turn.
    fn begin_turn(&mut self) {
        let gains = self.session.gains(Instant::now());
        self.put(gains); // they go along
        let one = matches!(self.outgoing, Outgoing::Paid); // the next one has to pay for itself
        let mut part = None;
        while part.is_none() && self.bulk.unsent().len() < GATHER_BYTES {
            let Some(request) = self.session.next_request() else { break };
            part = self.begin(request);
            if one {
                break;
            }
        }
        self.outgoing = Outgoing::begun(part);
    }

    /// Begins to answer a request; what part of a file is to follow, if the answer is a long chunk.
    fn begin(&mut self, request: Request) -> Option<FilePart> {
        let begun = match self.mischief.fate() {
            Fate::Silent => return None,
            Fate::Refused => Err(Refusal::Busy),
            Fate::Denied => Err(Refusal::NotHere),
            fate => self.session.begin(request, fate, self.bulk.unsent()),
        };
        match begun {
            Err(reason) => {
                self.bulk.queue(request.number, Refused { reason });
                None
            }
            Ok(begun) => {
                if trace::on(Side::Serve, true) {
                    let fields = format!("chunk {} of {} B", begun.chunk, begun.bytes);
                    let whole = begun.bytes + HEADER_BYTES;
                    trace::line(
                        Side::Serve,
                        Direction::Out,
                        self.bulk.addr,
                        request.number,
                        "CHUNK",
                        &fields,
                        whole,
                    );
                }
                begun.part.inspect(|_| self.bulk.data_follows())
            }
        }
    }

    fn send_on(&mut self) -> Result<Pace, NetError> {
        self.outgoing.send_on(&mut self.bulk, self.session.asker()).map_err(|broken| match broken {
            Broken::Socket(error) => error,
            Broken::File(error) => {
                if let Some((slot, place)) = self.outgoing.source() {
                    self.session.check(slot, place);
                }
                error
            }
        })
    }

    /// Ends the connection as soon as half of the last chunk has left.
    fn cut_off(&mut self) -> Result<Pace, NetError> {
        match self.flush(Pace::Idle)? {
            Pace::Idle => Err(NetError::Closed),
            pace => Ok(pace),
        }
    }
}

/// The next message that is here.
fn arrived(bulk: &mut Bulk<FromServer>) -> Result<Option<(u32, ToServer)>, NetError> {
    let Some(header) = bulk.header(None, 0)? else { return Ok(None) };
    let message = bulk.message(header)?;
    Ok(message.map(|message| (header.request, message)))
}
