//! A TCP proxy that does to connections what networks do: cuts, silence, delay, a trickle, wrong bytes.
//!
//! Two threads a connection, one for each way. What it does is looked up for each block, so that a test
//! changes it while connections are under way. Positions are counted in bytes from the start of a
//! connection, for each way apart.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::deadline::DEADLINE;

/// Bytes carried at once, without a rate.
const BLOCK_BYTES: usize = 64 << 10;

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who dialled to whom the proxy stands for.
    In,
    /// Back from there.
    Out,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// As by a machine that has lost its memory of it: RST to both ends.
    Reset,
    /// As by an end of the stream: FIN to both ends.
    End,
}

/// What is done to connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// After so many bytes that way the connection is cut.
    pub cut: Option<(Way, u64, Cut)>,
    /// Only so many connections are still to be cut; none: all.
    pub cuts_left: Option<usize>,
    /// Nothing is carried either way, and nobody is told: a half-open connection.
    pub held: bool,
    /// Each block is carried so much later.
    pub delay: Duration,
    /// At most so many bytes a second each way, of all connections together: the rate of a link.
    pub rate: Option<u64>,
    /// The byte at this position that way is turned over.
    pub corrupt: Option<(Way, u64)>,
    /// New connections are cut at once.
    pub refuse: bool,
    /// The same as `held`, for connections up to this number.
    held_up_to: u64,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    open: BTreeMap<u64, (TcpStream, TcpStream)>,
    accepted: u64,
    carried: [u64; 2],
    /// When the link has room again, each way.
    free: [Option<Instant>; 2],
    stopping: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `time`, or while `waits`; false if the proxy is stopping.
    fn wait(&self, time: Duration, waits: impl Fn(&State) -> bool) -> bool {
        let on = |state: &mut State| !state.stopping && waits(state);
        let waited = self.changed.wait_timeout_while(self.lock(), time, on);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }
}

/// The proxy; its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy for `target`, an address that may come to life later.
    pub fn to(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Proxy::with(listener, move || target)
    }

    /// A proxy whose target is told later, with [`Later::set`]: for a program that must know the proxy's
    /// address before it has its own.
    pub fn later() -> (Proxy, Later) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let later = Later::default();
        let target = later.clone();
        (Proxy::with(listener, move || target.get()), later)
    }

    fn with(listener: TcpListener, target: impl Fn() -> SocketAddr + Send + 'static) -> Proxy {
        let addr = listener.local_addr().expect("its address");
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&accepting, &listener, target));
        Proxy { addr, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens, as an argument.
    pub fn target(&self) -> String {
        self.addr.to_string()
    }

    /// Changes what it does from now on, also to connections under way.
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.lock().faults);
        self.shared.changed.notify_all();
    }

    /// Cuts every connection that is open now; how many those were.
    pub fn cut_all(&self, how: Cut) -> usize {
        let state = self.shared.lock();
        state.open.values().for_each(|(near, far)| cut(near, far, how));
        state.open.len()
    }

    /// From now on what is open now carries nothing, and nobody is told; what comes later does.
    pub fn hold_open_ones(&self) {
        let mut state = self.shared.lock();
        state.faults.held_up_to = state.accepted;
    }

    /// Connections taken so far.
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Bytes carried that way so far, of all connections.
    pub fn carried(&self, way: Way) -> u64 {
        self.shared.lock().carried[way as usize]
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        // The acceptor sees the flag with the next connection: this one.
        let _ = TcpStream::connect(self.addr);
        self.cut_all(Cut::Reset);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// A target told later.
#[derive(Debug, Clone, Default)]
pub struct Later(Arc<(Mutex<Option<SocketAddr>>, Condvar)>);

impl Later {
    /// Tells it.
    pub fn set(&self, target: SocketAddr) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
        self.0.1.notify_all();
    }

    fn get(&self) -> SocketAddr {
        let told = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(told, DEADLINE, |target| target.is_none());
        let told = *waited.unwrap_or_else(PoisonError::into_inner).0;
        // Port 0 refuses: a target that never came.
        told.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, target: impl Fn() -> SocketAddr) {
    let mut pumps: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((near, _)) = listener.accept() {
        if shared.lock().stopping {
            break;
        }
        pumps.retain(|pump| !pump.is_finished());
        let far = match shared.lock().faults.refuse {
            true => None,
            false => TcpStream::connect(target()).ok(),
        };
        let Some(far) = far else {
            reset(&near);
            continue;
        };
        if let Ok(both) = connect(shared, near, far) {
            pumps.extend(both);
        }
    }
    drop(pumps.into_iter().map(JoinHandle::join).collect::<Vec<_>>());
}

fn connect(shared: &Arc<Shared>, near: TcpStream, far: TcpStream) -> io::Result<[JoinHandle<()>; 2]> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ends = (near.try_clone()?, far.try_clone()?);
    let back = (far.try_clone()?, near.try_clone()?);
    let number = {
        let mut state = shared.lock();
        state.accepted += 1;
        let number = state.accepted;
        state.open.insert(number, ends);
        number
    };
    let running = Arc::new(());
    let pump = |way, (from, to): (TcpStream, TcpStream)| {
        let (shared, running) = (Arc::clone(shared), Arc::clone(&running));
        thread::spawn(move || {
            let _ = Pump { shared: &shared, number, way, from: &from, to: &to, at: 0 }.run();
            let _ = to.shutdown(Shutdown::Write);
            // The last of the two closes the row.
            if Arc::into_inner(running).is_some() {
                shared.lock().open.remove(&number);
            }
        })
    };
    let pumps = [pump(Way::In, (near, far)), pump(Way::Out, back)];
    drop(running);
    Ok(pumps)
}

struct Pump<'a> {
    shared: &'a Shared,
    number: u64,
    way: Way,
    from: &'a TcpStream,
    to: &'a TcpStream,
    at: u64,
}

impl Pump<'_> {
    fn run(&mut self) -> io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            self.cut_here()?;
            let most = self.block_bytes();
            let got = self.from.read(&mut block[..most])?;
            if got == 0 {
                return Ok(());
            }
            self.pass(&mut block[..got])?;
        }
    }

    /// No more than up to the cut, and no more than a twentieth of a second gives.
    fn block_bytes(&self) -> usize {
        let faults = self.shared.lock().faults;
        let paced = faults.rate.map_or(BLOCK_BYTES, |rate| (rate / 20).clamp(1, BLOCK_BYTES as u64) as usize);
        match faults.cut {
            Some((way, at, _)) if way == self.way && at > self.at => paced.min((at - self.at) as usize),
            _ => paced,
        }
    }

    /// When a block has got through the link.
    fn due(&self, bytes: usize, faults: &Faults) -> Instant {
        let now = Instant::now();
        let through = faults.rate.map_or(now, |rate| {
            let mut state = self.shared.lock();
            let free = &mut state.free[self.way as usize];
            let start = free.map_or(now, |free| free.max(now));
            *free.insert(start + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64))
        });
        through + faults.delay
    }

    fn pass(&mut self, block: &mut [u8]) -> io::Result<()> {
        let faults = self.shared.lock().faults;
        let due = self.due(block.len(), &faults);
        let left = due.saturating_duration_since(Instant::now());
        let on = left.is_zero() || self.shared.wait(left, |_| true);
        let held = |state: &State| state.faults.held || self.number <= state.faults.held_up_to;
        if !on || !self.shared.wait(Duration::from_secs(3600), held) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Some((way, at)) = faults.corrupt
            && way == self.way
            && let Some(byte) = at.checked_sub(self.at).and_then(|at| block.get_mut(at as usize))
        {
            *byte = !*byte;
        }
        let mut to = self.to;
        to.write_all(block)?;
        self.at += block.len() as u64;
        self.shared.lock().carried[self.way as usize] += block.len() as u64;
        Ok(())
    }

    /// Cuts the connection if this is the place for it.
    fn cut_here(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        let Some((way, at, how)) = state.faults.cut else { return Ok(()) };
        if way != self.way || self.at != at || state.faults.cuts_left == Some(0) {
            return Ok(());
        }
        if let Some(left) = &mut state.faults.cuts_left {
            *left -= 1;
        }
        drop(state);
        cut(self.from, self.to, how);
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

fn cut(one: &TcpStream, other: &TcpStream, how: Cut) {
    for end in [one, other] {
        match how {
            Cut::Reset => reset(end),
            Cut::End => drop(end.shutdown(Shutdown::Both)),
        }
    }
}

/// Ends a connection so that the other side sees a reset, however many handles there are to it.
fn reset(end: &TcpStream) {
    // Who waits in a read comes back first: the system may refuse to disconnect under a waiting thread.
    let _ = end.shutdown(Shutdown::Read);
    let until = Instant::now() + Duration::from_secs(1);
    while rustix::net::connect_unspec(end) == Err(rustix::io::Errno::BUSY) && Instant::now() < until {
        thread::yield_now();
    }
}
