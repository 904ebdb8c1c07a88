//! The tracker's threads: one accepts, one ends leases, one turns away, and one for each connection.
//!
//! Owns sockets and threads, decides nothing about the directory. Every open connection is in one
//! table from before its thread starts until its thread ends, so that a stop reaches all of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Config;
use super::look::Looks;
use super::session::{Effect, Session, Shared};
use crate::net::door::{Activity, Door, Entry};
use crate::net::{self, Control, Handle, Identity, NetError, trace::Side};
use crate::say;
use crate::threads;
use crate::wire::{self, Common, ErrorCode, FromTracker, Message, Preface, Role, ToTracker};

/// Stack of each thread: the read buffer and a few frames, and room to spare.
pub(super) const STACK_BYTES: usize = 128 << 10;
/// How long to wait before accepting again when the system has no more descriptors or threads.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections may take to read the last message when the tracker stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);
/// Answers waiting on one connection are sent when they are this many bytes.
const MAX_QUEUED_BYTES: usize = 64 << 10;
/// A message that has not arrived whole may have so many bytes without being counted as large.
const MAX_SMALL_BYTES: usize = 16 << 10;
/// Most large messages under way at a time.
const MAX_LARGE_MESSAGES: usize = 32;
/// A message that has begun may take this long to arrive whole.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(30);
/// Connections waiting to be turned away; more are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// What all threads of a tracker share.
#[derive(Debug)]
pub(super) struct Server {
    config: Config,
    identity: Identity,
    shared: Shared,
    listener: TcpListener,
    connections: Mutex<Connections>,
    looks: Looks,
    /// Told when a connection ends and when the tracker begins to stop.
    changed: Condvar,
}

#[derive(Debug)]
struct Connections {
    open: BTreeMap<u64, Handle>,
    door: Door,
    /// Connections with a large message under way, the oldest first.
    large: VecDeque<u64>,
    accepted: u64,
    /// PINGs sent.
    pings: u32,
    stopping: bool,
}

/// Starts the threads that are there from the start.
pub(super) fn spawn(server: &Arc<Server>) -> io::Result<Vec<JoinHandle<()>>> {
    let (turn_away, turned_away) = bounded(MAX_TURNED_AWAY);
    let (accepting, expiring) = (Arc::clone(server), Arc::clone(server));
    server.looks.spawn(&Arc::downgrade(server))?;
    // Nobody waits for those who are turned away.
    threads::named("tracker-refuse").stack(STACK_BYTES).essential(move || refuse_all(&turned_away))?;
    Ok(vec![
        threads::named("tracker-accept")
            .stack(STACK_BYTES)
            .essential(move || accepting.accept(&turn_away))?,
        threads::named("tracker-lease").stack(STACK_BYTES).essential(move || expiring.expire())?,
    ])
}

impl Server {
    pub(super) fn new(config: Config, identity: Identity, shared: Shared, listener: TcpListener) -> Server {
        let connections = Mutex::new(Connections {
            open: BTreeMap::new(),
            door: Door::new(config.max_connections, config.lease, Instant::now()),
            large: VecDeque::new(),
            accepted: 0,
            pings: 0,
            stopping: false,
        });
        Server {
            config,
            identity,
            shared,
            listener,
            connections,
            looks: Looks::new(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Ends all connections and lets all threads run out.
    pub(super) fn stop(&self) {
        let mut connections = self.connections();
        connections.stopping = true;
        // The thread of each connection wakes up with "closed", and has its last word.
        connections.shutdown(Shutdown::Read);
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        self.changed.notify_all();
        let busy = |connections: &mut Connections| !connections.open.is_empty();
        let (connections, _) = self
            .changed
            .wait_timeout_while(connections, STOP_PATIENCE, busy)
            .unwrap_or_else(PoisonError::into_inner);
        connections.shutdown(Shutdown::Both);
        drop(self.changed.wait_while(connections, busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// Blocks until the last connection of a stopping tracker has ended.
    pub(super) fn wait(&self) {
        let running = |connections: &mut Connections| !connections.stopping || !connections.open.is_empty();
        drop(self.changed.wait_while(self.connections(), running).unwrap_or_else(PoisonError::into_inner));
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a while. Returns false as soon as the tracker is stopping.
    fn pause(&self, time: Duration) -> bool {
        let running = |connections: &mut Connections| !connections.stopping;
        let waited = self.changed.wait_timeout_while(self.connections(), time, running);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }

    fn accept(self: Arc<Server>, turn_away: &Sender<TcpStream>) {
        let mut said = say::Seldom::default();
        loop {
            let outcome =
                self.listener.accept().and_then(|(stream, addr)| self.admit(stream, addr, turn_away));
            if let Err(error) = outcome {
                if !self.pause(ACCEPT_PAUSE) {
                    return;
                }
                if said.is_due(Instant::now()) {
                    tracing::warn!("cannot take a connection: {error}; trying again");
                }
            }
        }
    }

    /// Starts the thread of a new connection, or turns it away.
    fn admit(
        self: &Arc<Server>,
        stream: TcpStream,
        addr: SocketAddr,
        turn_away: &Sender<TcpStream>,
    ) -> io::Result<()> {
        threads::may_panic("tracker-accept");
        let Some((number, stream, activity)) = self.connections().let_in(stream, addr, turn_away) else {
            return Ok(());
        };
        let open = Open { server: Arc::clone(self), number, activity };
        let serve = move || open.server.serve(stream, addr, &open);
        threads::named("tracker-member").stack(STACK_BYTES).connection(serve).map(drop)
    }

    fn serve(&self, stream: Handle, addr: SocketAddr, open: &Open) {
        let choose = |role| (role == Role::Member).then_some(Role::Tracker);
        let session = match net::welcome(stream, &self.identity, Side::Tracker, choose) {
            Ok(session) => session,
            Err(error) => return tracing::debug!("{addr}: {error}"),
        };
        let number = open.number;
        self.connections().door.greeted(number, Instant::now());
        let mut control = Control::<ToTracker, FromTracker>::new(session, Side::Tracker);
        let mut session = Session::new(number, addr.ip(), &control.theirs);
        let ended = threads::caught(|| self.converse(&mut control, &mut session, open));
        session.end(&self.shared); // however it ended: nobody is to be sent to a peer whose connection is gone
        let ended = ended.unwrap_or_else(|panicked| Err(NetError::Panicked(panicked)));
        match ended {
            Ok(()) => tracing::debug!("{addr} left"),
            Err(NetError::Closed) if self.connections().stopping => {
                let _ = control.send(0, &stopping());
            }
            Err(error) => {
                tracing::debug!("{addr}: {error}");
                control.end(&error);
            }
        }
    }

    /// Answers until the other side leaves or the connection is of no use any more.
    fn converse(
        &self,
        control: &mut Control<ToTracker, FromTracker>,
        session: &mut Session,
        open: &Open,
    ) -> Result<(), NetError> {
        loop {
            let mut next = Some(self.receive(control, open)?);
            open.activity.note(Instant::now());
            while let Some((request, message)) = next {
                threads::may_panic("tracker-member");
                let reply = session.answer(&self.shared, message, Instant::now());
                if let Some(answer) = &reply.answer {
                    // An ERROR that ends the connection is about the connection, not the request.
                    let ends = reply.close && matches!(answer, FromTracker::Common(Common::Error(_)));
                    control.queue(if ends { 0 } else { request }, answer);
                }
                if reply.close {
                    return control.flush();
                }
                reply.effect.into_iter().for_each(|effect| self.carry_out(effect));
                if control.queued_bytes() >= MAX_QUEUED_BYTES {
                    control.flush()?;
                }
                next = control.received()?;
            }
            control.flush()?;
        }
    }

    fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Look(look) => self.looks.order(look),
            Effect::Ping(connection) => {
                let mut connections = self.connections();
                connections.pings = connections.pings.checked_add(1).unwrap_or(1);
                let (number, handle) = (connections.pings, connections.open.get(&connection).cloned());
                drop(connections);
                if let Some(handle) = handle {
                    handle.interject(number, &Common::Ping);
                }
            }
        }
    }

    /// The next message. One that is long, or comes slowly, has less room and time than silence has.
    fn receive(
        &self,
        control: &mut Control<ToTracker, FromTracker>,
        open: &Open,
    ) -> Result<(u32, ToTracker), NetError> {
        let mut begun = None;
        let mut large = None;
        loop {
            if let Some(received) = control.received()? {
                return Ok(received);
            }
            let partial = control.partial_bytes();
            if partial > MAX_SMALL_BYTES && large.is_none() {
                large = Some(self.large_message(open.number));
            }
            let timeout = match partial {
                0 => self.config.idle,
                _ => {
                    let since = *begun.get_or_insert_with(Instant::now);
                    let left = MESSAGE_PATIENCE.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        return Err(NetError::TimedOut);
                    }
                    left.min(self.config.idle)
                }
            };
            control.set_timeout(Some(timeout))?;
            control.fill()?;
        }
    }

    /// Notes that a large message is under way; when there are too many, the oldest ends with its
    /// connection: an honest one takes moments.
    fn large_message(&self, number: u64) -> Large<'_> {
        let mut connections = self.connections();
        if connections.large.len() >= MAX_LARGE_MESSAGES
            && let Some(oldest) = connections.large.pop_front()
        {
            connections.cut(oldest);
        }
        connections.large.push_back(number);
        Large { server: self, number }
    }

    fn expire(self: Arc<Server>) {
        const CHECKS_PER_LEASE: u32 = 8;
        let between = self.config.lease / CHECKS_PER_LEASE;
        let between = between.clamp(Duration::from_millis(5), Duration::from_secs(1));
        while self.pause(between) {
            threads::may_panic("tracker-lease");
            let expired = self.shared.lock().expire(Instant::now());
            self.shared.sweep();
            for peer in expired {
                tracing::info!("the lease of peer {peer} ran out");
            }
        }
    }
}

impl Connections {
    /// Takes a connection in, or turns it away.
    fn let_in(
        &mut self,
        stream: TcpStream,
        addr: SocketAddr,
        turn_away: &Sender<TcpStream>,
    ) -> Option<(u64, Handle, Activity)> {
        let number = self.accepted + 1;
        let entry = match self.stopping {
            true => Entry::Full,
            false => self.door.enter(number, addr.ip(), Instant::now()),
        };
        let Entry::Welcome { activity, instead_of } = entry else {
            // If even the queue of those to turn away is full, the connection just closes.
            let _ = turn_away.try_send(stream);
            return None;
        };
        if let Some(gone) = instead_of {
            self.cut(gone);
        }
        self.accepted = number;
        let stream = Handle::from(stream);
        self.open.insert(number, stream.clone());
        Some((number, stream, activity))
    }

    /// Cuts a connection: its thread sees the end and clears up.
    fn cut(&self, number: u64) {
        if let Some(stream) = self.open.get(&number) {
            stream.shutdown(Shutdown::Both);
        }
    }

    fn shutdown(&self, how: Shutdown) {
        for stream in self.open.values() {
            stream.shutdown(how);
        }
    }
}

/// A connection's row in the table; takes it out when its thread ends, however it ends.
struct Open {
    server: Arc<Server>,
    number: u64,
    activity: Activity,
}

/// A large message under way; no more when it is dropped.
struct Large<'a> {
    server: &'a Server,
    number: u64,
}

impl Drop for Large<'_> {
    fn drop(&mut self) {
        self.server.connections().large.retain(|number| *number != self.number);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut connections = self.server.connections();
        connections.open.remove(&self.number);
        connections.door.leave(self.number);
        drop(connections);
        self.server.changed.notify_all();
    }
}

fn stopping() -> FromTracker {
    let detail = wire::Text::new("the tracker is stopping");
    Common::Error(wire::Error { code: ErrorCode::Stopping, detail }).into()
}

/// Tells connections beyond the limit why they are closed.
fn refuse_all(turned_away: &Receiver<TcpStream>) {
    let detail = wire::Text::new("this tracker has as many connections as it takes");
    let message = Common::Error(wire::Error { code: ErrorCode::Limit, detail });
    let mut bytes = bytes::BytesMut::from(&Preface::OURS.encode()[..]);
    message.put_frame(0, &mut bytes);
    for mut stream in turned_away {
        threads::may_panic("tracker-refuse");
        // A new connection's buffer takes these few bytes at once; who does not read them loses them.
        if stream.set_nonblocking(true).is_ok() && io::Write::write_all(&mut stream, &bytes).is_ok() {
            let _ = stream.set_nonblocking(false);
            net::close_gently(&stream);
        }
    }
}
