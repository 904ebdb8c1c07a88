//! What stands before a scripted tracker or server where the asker speaks sealed: it shakes hands as section 3.7 says, and
//! passes on what is said, opened or sealed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use snow::{Builder, StatelessTransportState};

use super::check::{Checked, Fault, same};
use super::closed::{
    FIRST, MAX_RECORD_BYTES, MODES, SECOND, TAG_BYTES, builder, derived, hear, id_of, noise_fault, third,
};
use super::numbers::PREFACE;
use crate::threads;

/// The dialler's preface and key id, and message 1 behind its length.
const GREETING: usize = 16 + 2 + FIRST;
/// Message 3 behind its length.
const LAST: usize = 2 + 64;

/// A node of the swarm, with keys of its own.
#[derive(Debug, Clone)]
pub(super) struct Node {
    psk: [u8; 32],
    private: Vec<u8>,
    /// The id of its key.
    pub(super) peer: [u8; 16],
}

impl Node {
    /// One of the swarm with this secret.
    pub(super) fn new(secret: &[u8; 32]) -> Checked<Node> {
        let pattern = MODES[0].1.parse().map_err(noise_fault)?;
        let keys = builder(pattern).generate_keypair().map_err(noise_fault)?;
        let psk = derived("p2p v1 swarm psk", secret);
        Ok(Node { psk, private: keys.private, peer: id_of(&keys.public) })
    }

    /// Where others dial it who speak sealed; what they say goes on to `inner` in the clear.
    pub(super) fn before(&self, inner: SocketAddr, patience: Duration) -> Checked<SocketAddr> {
        let node = self.clone();
        relay(patience, move |outer| {
            let noise = node.welcome(&outer)?;
            Ok((TcpStream::connect(inner).map_err(unset)?, outer, noise))
        })
    }

    /// Where somebody dials in the clear who speaks as this node with another at `outer`, sealed.
    pub(super) fn towards(&self, outer: SocketAddr, patience: Duration) -> Checked<SocketAddr> {
        let node = self.clone();
        relay(patience, move |inner| {
            let outer = TcpStream::connect(outer).map_err(unset)?;
            outer.set_read_timeout(Some(patience)).map_err(unset)?;
            let noise = node.greet(&outer)?;
            Ok((inner, outer, noise))
        })
    }

    fn builder<'a>(&'a self, mode: u8, prologue: &'a [u8]) -> Checked<Builder<'a>> {
        let known = MODES.iter().find(|(known, _)| *known == mode);
        let (_, pattern) = known.ok_or_else(|| Fault::new("a preface of mode 1 or 2", mode.to_string()))?;
        let built = builder(pattern.parse().map_err(noise_fault)?).psk(0, &self.psk);
        let built = built.and_then(|built| built.prologue(prologue));
        built.and_then(|built| built.local_private_key(&self.private)).map_err(noise_fault)
    }

    /// The accepter's side of a handshake.
    fn welcome(&self, mut outer: &TcpStream) -> Checked<StatelessTransportState> {
        let mut said = [0; GREETING];
        hear(&mut outer, &mut said)?;
        same!(&said[8..16], &derived("p2p v1 key id", &self.psk)[..8], "the key id");
        let built = self.builder(said[6], &said[..16])?;
        let mut noise = built.build_responder().map_err(noise_fault)?;
        noise.read_message(&said[18..], &mut []).map_err(noise_fault)?;
        let mut second = [0; SECOND];
        let written = noise.write_message(&[], &mut second).map_err(noise_fault)?;
        let answer = [&said[..8], &(written as u16).to_be_bytes(), &second[..written]].concat();
        outer.write_all(&answer).map_err(unset)?;
        let mut last = [0; LAST];
        hear(&mut outer, &mut last)?;
        noise.read_message(&last[2..], &mut []).map_err(noise_fault)?;
        noise.into_stateless_transport_mode().map_err(noise_fault)
    }

    /// The dialler's side of one.
    fn greet(&self, mut outer: &TcpStream) -> Checked<StatelessTransportState> {
        let mut said = PREFACE.to_vec();
        said[6] = MODES[0].0;
        said.extend_from_slice(&derived("p2p v1 key id", &self.psk)[..8]);
        let prologue = said.clone();
        let built = self.builder(said[6], &prologue)?;
        let mut noise = built.build_initiator().map_err(noise_fault)?;
        let mut first = [0; FIRST];
        noise.write_message(&[], &mut first).map_err(noise_fault)?;
        said.extend_from_slice(&(FIRST as u16).to_be_bytes());
        said.extend_from_slice(&first);
        outer.write_all(&said).map_err(unset)?;
        let mut heard = [0; 8 + 2 + SECOND];
        hear(&mut outer, &mut heard)?;
        noise.read_message(&heard[10..], &mut []).map_err(noise_fault)?;
        outer.write_all(&third(&mut noise)?).map_err(unset)?;
        noise.into_stateless_transport_mode().map_err(noise_fault)
    }
}

/// Takes connections, and passes on what is said between the two that `meet` makes of each: that in the clear, the sealed
/// one. Its threads end with the process.
fn relay(
    patience: Duration,
    meet: impl Fn(TcpStream) -> Checked<(TcpStream, TcpStream, StatelessTransportState)> + Send + Sync + 'static,
) -> Checked<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(unset)?;
    let addr = listener.local_addr().map_err(unset)?;
    let meet = Arc::new(meet);
    let relaying = move || {
        for stream in listener.incoming().flatten() {
            let meet = meet.clone();
            let _ = threads::named("relay").connection(move || {
                let _ = stream.set_read_timeout(Some(patience));
                if let Ok((inner, outer, noise)) = meet(stream) {
                    pass(inner, outer, noise);
                }
            });
        }
    };
    threads::named("relay").connection(relaying).map_err(unset)?;
    Ok(addr)
}

fn pass(inner: TcpStream, outer: TcpStream, noise: StatelessTransportState) {
    let noise = Arc::new(noise);
    let (Ok(mut back), Ok(mut forth)) = (inner.try_clone(), outer.try_clone()) else { return };
    let sealing = noise.clone();
    let _ = threads::named("relay").connection(move || {
        let _ = seal(&mut back, &mut forth, &sealing);
        let _ = forth.shutdown(Shutdown::Write);
    });
    let (mut inner, mut outer) = (inner, outer);
    let _ = open(&mut outer, &mut inner, &noise);
    let _ = inner.shutdown(Shutdown::Write);
}

/// Seals what is said in the clear behind the preface, until that ends.
fn seal(inner: &mut TcpStream, outer: &mut TcpStream, noise: &StatelessTransportState) -> Checked {
    hear(inner, &mut [0; PREFACE.len()])?;
    let (mut plain, mut sealed) = (vec![0; MAX_RECORD_BYTES], vec![0; 2 + MAX_RECORD_BYTES + TAG_BYTES]);
    for number in 0.. {
        let got = inner.read(&mut plain).map_err(unset)?;
        if got == 0 {
            break;
        }
        let bytes = noise.write_message(number, &plain[..got], &mut sealed[2..]).map_err(noise_fault)?;
        sealed[..2].copy_from_slice(&(bytes as u16).to_be_bytes());
        outer.write_all(&sealed[..2 + bytes]).map_err(unset)?;
    }
    Ok(())
}

/// Opens records, and says what is in them in the clear behind a preface, until they end.
fn open(outer: &mut TcpStream, inner: &mut TcpStream, noise: &StatelessTransportState) -> Checked {
    inner.write_all(&PREFACE).map_err(unset)?;
    let (mut sealed, mut plain) =
        (vec![0; MAX_RECORD_BYTES + TAG_BYTES], vec![0; MAX_RECORD_BYTES + TAG_BYTES]);
    for number in 0.. {
        let mut length = [0; 2];
        hear(outer, &mut length)?;
        let length = usize::from(u16::from_be_bytes(length));
        let Some(record) = sealed.get_mut(..length) else { break };
        hear(outer, record)?;
        let opened = noise.read_message(number, record, &mut plain).map_err(noise_fault)?;
        inner.write_all(&plain[..opened]).map_err(unset)?;
    }
    Ok(())
}

/// This side is not what it takes.
fn unset(error: io::Error) -> Fault {
    Fault::new("a stage for the check", error.to_string())
}
