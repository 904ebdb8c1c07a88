//! A relay between two processes that notes every byte it carries.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What was carried, each direction of each connection for itself.
type Tape = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

/// A relay. Its threads end with its connections and with the test.
pub(crate) struct Wiretap {
    addr: SocketAddr,
    tape: Tape,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Wiretap {
    /// One whose target is said later: connections before that are closed.
    pub(crate) fn new() -> Wiretap {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let (tape, target) = (Tape::default(), Arc::<Mutex<Option<SocketAddr>>>::default());
        let (notes, to) = (tape.clone(), target.clone());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let target = *to.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(far) = target.and_then(|target| TcpStream::connect(target).ok()) {
                    carry(&near, &far, &notes);
                    carry(&far, &near, &notes);
                }
            }
        });
        Wiretap { addr, tape, target }
    }

    /// Where it carries what comes from now on.
    pub(crate) fn point_at(&self, target: SocketAddr) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
    }

    /// Where it listens, as an argument.
    pub(crate) fn target(&self) -> String {
        self.addr.to_string()
    }

    /// All that was carried so far.
    pub(crate) fn tape(&self) -> Vec<Vec<u8>> {
        let tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        tape.iter().map(|way| way.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }
}

/// Carries one direction of a connection on a thread of its own.
fn carry(from: &TcpStream, to: &TcpStream, tape: &Tape) {
    let noted = Arc::<Mutex<Vec<u8>>>::default();
    tape.lock().unwrap_or_else(PoisonError::into_inner).push(noted.clone());
    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(got @ 1..) = from.read(&mut buffer) {
            noted.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..got]);
            if to.write_all(&buffer[..got]).is_err() {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
    });
}
