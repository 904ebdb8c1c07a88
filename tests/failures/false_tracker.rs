//! A tracker that says what a test wants it to, whether it can be true or not.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::BytesMut;
use p2p::content::PeerId;
use p2p::net::secure::Keyring;
use p2p::net::{self, Identity, Messages, trace::Side};
use p2p::wire::{Common, FromTracker, List, Located, Message, Offer, Registered, Role, ToTracker, Variant};

use crate::support::status_of_a_minute;

/// A tracker that answers every LOCATE alike. It ends with the test's process.
pub struct FalseTracker {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    variants: Vec<Variant>,
    /// In its answers, these bytes are others.
    changed: (Vec<u8>, Vec<u8>),
    offered: Mutex<Vec<Offer>>,
    located: Mutex<u64>,
}

impl FalseTracker {
    pub fn start(variants: Vec<Variant>) -> FalseTracker {
        FalseTracker::with_bytes(variants, (b"", b""))
    }

    /// One in whose answers some bytes are replaced by as many others.
    pub fn with_bytes(variants: Vec<Variant>, (from, to): (&[u8], &[u8])) -> FalseTracker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let changed = (from.to_vec(), to.to_vec());
        let shared =
            Arc::new(Shared { variants, changed, offered: Mutex::default(), located: Mutex::default() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = accepting.clone();
                thread::spawn(move || shared.serve(stream));
            }
        });
        FalseTracker { addr, shared }
    }

    /// Where it listens.
    pub fn target(&self) -> String {
        self.addr.to_string()
    }

    /// All that was ever offered to it.
    pub fn offered(&self) -> Vec<Offer> {
        self.shared.offered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was asked for a content.
    pub fn located(&self) -> u64 {
        *self.shared.located.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let me = Identity::new(Keyring::none(), PeerId([77; 16]), "false".into(), 0);
        let mut writer = stream.try_clone().ok()?;
        let session = net::welcome(stream, &me, Side::Tracker, |_| Some(Role::Tracker)).ok()?;
        let mut link = Messages::<ToTracker, FromTracker>::new(session, Side::Tracker);
        loop {
            let (request, message) = link.receive().ok()?;
            let mut bytes = BytesMut::new();
            self.answer(message).put_frame(request, &mut bytes);
            std::io::Write::write_all(&mut writer, &self.change(&bytes)).ok()?;
        }
    }

    fn answer(&self, message: ToTracker) -> FromTracker {
        let note = |offers: &[Offer]| {
            self.offered.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(offers);
        };
        match message {
            ToTracker::Register(register) => {
                note(&register.offers);
                Registered { lease_ms: 30_000, epoch: 1 }.into()
            }
            ToTracker::Update(update) => {
                note(&update.added);
                Common::Ok.into()
            }
            ToTracker::Locate(_) => {
                *self.located.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                Located { variants: List::new(self.variants.clone()), near: List::default() }.into()
            }
            ToTracker::GetStatus(_) => status_of_a_minute().into(),
            _ => Common::Ok.into(),
        }
    }

    fn change(&self, bytes: &[u8]) -> Vec<u8> {
        let (from, to) = &self.changed;
        let mut bytes = bytes.to_vec();
        let places: Vec<usize> = match from.len() {
            0 => Vec::new(),
            len => (0..bytes.len().saturating_sub(len)).filter(|at| bytes[*at..].starts_with(from)).collect(),
        };
        places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
        bytes
    }
}
