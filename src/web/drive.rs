//! HTTP/1 on a blocking thread: hyper's connection is polled, and between two polls the thread waits for its socket, for
//! a wake by another thread, or for the nearest deadline. There is no runtime.
//!
//! A handler may block, for its thread serves one connection. Who sends or takes less than [`LEAST_RATE`] while something
//! is under way is cut; so is who sends no whole header within [`HEADER_PATIENCE`].

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::rt::{ReadBufCursor, Sleep, Timer};
use hyper::service::HttpService;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::tls::{Sealed, Tls};
use crate::net::door::Activity;
use crate::net::wake::Wake;
use crate::threads::lock;

/// How long a header may take, from the end of the answer before.
const HEADER_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a header, and of what is read ahead of a body.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// Bytes a second that a body moves at least, measured over [`RATE_WINDOW`].
const LEAST_RATE: u64 = 1 << 10;
/// How long a body may move more slowly before its connection is cut.
const RATE_WINDOW: Duration = Duration::from_secs(30);
/// Bytes read from the socket at once.
const READ_BYTES: usize = 16 << 10;
/// How long the thread sleeps when nothing is due.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What the connection waits for; its parts in hyper's hands note it here.
#[derive(Debug, Default)]
struct Interest {
    read: bool,
    write: bool,
    until: Option<Instant>,
    /// A handler waits for more of a body.
    body: bool,
    /// Bytes moved, both ways, since the rate was looked at last.
    moved: u64,
}

impl Interest {
    fn by(&mut self, at: Instant) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }
}

/// When the thread is to look again, for hyper and for bodies.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    interest: Arc<Mutex<Interest>>,
}

impl Clock {
    /// The body that is being sent is to be asked again by then.
    pub(super) fn by(&self, at: Instant) {
        lock(&self.interest).by(at);
    }

    /// Whether a handler is waiting for a body: then it has to come.
    pub(super) fn body(&self, waits: bool) {
        lock(&self.interest).body = waits;
    }
}

struct Until {
    clock: Clock,
    at: Instant,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        self.clock.by(self.at);
        Poll::Pending
    }
}

impl Sleep for Until {}

impl Timer for Clock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until { clock: self.clone(), at: deadline })
    }
}

/// The socket in hyper's hands.
struct Socket {
    stream: Arc<TcpStream>,
    interest: Arc<Mutex<Interest>>,
    /// None in the clear.
    sealed: Option<Box<Sealed>>,
}

impl Socket {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.sealed {
            Some(sealed) => sealed.read(&self.stream, buffer),
            None => Ok(recv(&self.stream, buffer, RecvFlags::DONTWAIT)?.0),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sealed {
            Some(sealed) => sealed.write(&self.stream, bytes),
            None => Ok(send(&self.stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?),
        }
    }

    /// What became of a read or write, and what is waited for if nothing did. What is sealed may wait for the socket
    /// though only reading is asked for.
    fn done<T>(&self, result: io::Result<T>, writes: bool) -> Poll<io::Result<T>> {
        let mut interest = lock(&self.interest);
        interest.write |= self.sealed.as_ref().is_some_and(|sealed| sealed.waits());
        match result {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                interest.write |= writes;
                interest.read |= !writes;
                Poll::Pending
            }
            other => Poll::Ready(other),
        }
    }
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut space = [0; READ_BYTES];
        let room = buffer.remaining().min(READ_BYTES);
        let received = this.receive(&mut space[..room]);
        this.done(received, false).map_ok(|taken| {
            buffer.put_slice(&space[..taken]);
            lock(&this.interest).moved += taken as u64;
        })
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = this.send(bytes);
        this.done(sent, true).map_ok(|sent| {
            lock(&this.interest).moved += sent as u64;
            sent
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(sealed) = &mut this.sealed else { return Poll::Ready(Ok(())) };
        let flushed = sealed.flush(&this.stream);
        this.done(flushed, true)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(sealed) = &mut this.sealed {
            sealed.close(&this.stream);
        }
        let _ = this.stream.shutdown(std::net::Shutdown::Write); // it may be over already
        Poll::Ready(Ok(()))
    }
}

/// Other threads wake the connection's own by this.
#[derive(Debug)]
struct Bell(Wake);

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

/// Whether what is under way moves fast enough.
#[derive(Debug, Default)]
struct Pace {
    since: Option<Instant>,
    moved: u64,
}

impl Pace {
    /// Bytes that moved since the last look, while something has to move or nothing has; false if it is too slow.
    fn look(&mut self, moved: u64, has_to: bool, now: Instant) -> bool {
        let since = match self.since {
            Some(since) if has_to => since,
            _ => {
                *self = Pace { since: has_to.then_some(now), moved: 0 };
                return true;
            }
        };
        self.moved += moved;
        let is_over = now.saturating_duration_since(since) >= RATE_WINDOW;
        let is_slow = is_over && self.moved < LEAST_RATE * RATE_WINDOW.as_secs();
        if is_over {
            *self = Pace { since: Some(now), moved: 0 };
        }
        !is_slow
    }
}

/// Serves one connection until it ends. `make` gives the service, which may note deadlines; `life` is when something moved.
///
/// # Errors
/// What ended it, if that is not its regular end.
pub(super) fn serve<S, B>(
    stream: Arc<TcpStream>,
    tls: Option<&Tls>,
    life: &Activity,
    make: impl FnOnce(Clock) -> S,
) -> io::Result<()>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    stream.set_nodelay(true)?;
    let clock = Clock::default();
    let interest = clock.interest.clone();
    let bell = Arc::new(Bell(Wake::new()?));
    let waker = Waker::from(bell.clone());
    let mut context = Context::from_waker(&waker);
    let sealed = tls.map(Tls::begin).transpose()?;
    let socket = Socket { stream: stream.clone(), interest: interest.clone(), sealed };
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(clock.clone())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(socket, make(clock));
    let mut connection = std::pin::pin!(connection);
    let mut pace = Pace::default();
    loop {
        {
            let mut interest = lock(&interest);
            (interest.read, interest.write, interest.until) = (false, false, None);
        }
        if let Poll::Ready(end) = connection.as_mut().poll(&mut context) {
            return end.map_err(io::Error::other);
        }
        let (read, write, until, has_to, moved) = {
            let mut interest = lock(&interest);
            let moved = std::mem::take(&mut interest.moved);
            (interest.read, interest.write, interest.until, interest.write || interest.body, moved)
        };
        let now = Instant::now();
        if moved > 0 {
            life.note(now);
        }
        if !pace.look(moved, has_to, now) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "too slow"));
        }
        let wait = until.map_or(LONGEST_WAIT, |until| until.saturating_duration_since(now));
        let wait = if has_to { wait.min(RATE_WINDOW) } else { wait };
        bell.0.wait_for(&*stream, (read, write), wait)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_move_moves_at_the_least_rate() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let enough = LEAST_RATE * RATE_WINDOW.as_secs();
        let mut pace = Pace::default();
        assert!(pace.look(0, false, after(0)) && pace.look(0, false, after(100)), "nothing has to");
        assert!(pace.look(0, true, after(100)) && pace.look(enough - 1, true, after(129)));
        assert!(pace.look(1, true, after(130)), "just fast enough");
        assert!(pace.look(enough - 1, true, after(159)) && !pace.look(0, true, after(160)));
        let mut pace = Pace::default();
        assert!(
            pace.look(0, true, after(0)) && pace.look(0, false, after(29)) && pace.look(0, true, after(31))
        );
        assert!(pace.look(0, true, after(60)), "the time begins anew when nothing had to move");
    }
}
