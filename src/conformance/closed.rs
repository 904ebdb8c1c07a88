//! Closed connections: section 3.7, against Noise as snow has it.
//!
//! A member of the swarm, with keys of its own, that says what a member says, and what nobody should.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use snow::params::NoiseParams;
use snow::resolvers::{DefaultResolver, FallbackResolver, RingResolver};
use snow::{Builder, HandshakeState, StatelessTransportState};

use super::check::{Check, Checked, Fault, checks, holds, same};
use super::client::{Client, Hello, frame};
use super::fields::{Body, Fields};
use super::numbers::{PREFACE, code, id};
use super::target::Target;

/// Modes and what they stand for.
pub(super) const MODES: [(u8, &str); 2] =
    [(1, "Noise_XXpsk0_25519_AESGCM_SHA256"), (2, "Noise_XXpsk0_25519_ChaChaPoly_SHA256")];
pub(super) const MAX_RECORD_BYTES: usize = 32_768;
pub(super) const TAG_BYTES: usize = 16;
/// Bytes of the first two messages.
pub(super) const FIRST: usize = 48;
pub(super) const SECOND: usize = 96;

/// A node of a closed swarm under test.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) target: Target,
    /// The secret of the swarm.
    pub(super) secret: [u8; 32],
}

pub(super) const CHECKS: &[Check<Closed>] = checks! {
    "3.7": a_member_is_welcomed_in_both_modes, a_node_has_the_id_of_its_key;
    "3.1": who_speaks_plain_or_in_no_mode_is_refused;
    "3.7": who_names_another_key_and_who_does_not_have_the_one_he_names_hear_the_same,
        no_bit_of_the_first_message_may_change, no_byte_of_the_third_message_may_change,
        messages_have_one_length, the_greeting_may_come_byte_by_byte,
        a_hello_with_another_id_than_that_of_the_key_is_an_impostors,
        requests_may_follow_in_the_same_record, frames_may_be_cut_anywhere_into_records,
        a_record_may_be_as_long_as_the_limit, what_is_no_record_ends_it_without_a_word,
        a_changed_record_ends_it_without_a_word,
        a_record_left_out_or_sent_twice_or_too_early_ends_it_without_a_word,
        a_record_cut_short_ends_it_without_a_word, a_greeting_cut_at_every_byte_ends_it;
};

pub(super) fn noise_fault(error: snow::Error) -> Fault {
    Fault::new("a handshake", error.to_string())
}

pub(super) fn builder<'a>(pattern: NoiseParams) -> Builder<'a> {
    let crypto = FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver));
    Builder::with_resolver(pattern, Box::new(crypto))
}

pub(super) fn derived(context: &str, from: &[u8]) -> [u8; 32] {
    blake3::derive_key(context, from)
}

/// A connection behind its handshake.
struct Tunnel {
    stream: TcpStream,
    noise: StatelessTransportState,
    sent: u64,
    heard: u64,
    /// What has opened and was not looked at.
    plain: Vec<u8>,
    me: [u8; 16],
    theirs: [u8; 16],
}

pub(super) fn id_of(key: &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&derived("p2p v1 peer id", key)[..16]);
    id
}

impl Closed {
    pub(super) fn new(addr: &str, role: u8, theirs: u8, secret: [u8; 32], patience: Duration) -> Closed {
        Closed { target: Target { addr: addr.to_owned(), role, theirs, patience }, secret }
    }

    fn psk(&self) -> [u8; 32] {
        derived("p2p v1 swarm psk", &self.secret)
    }

    /// What a dialler says first, who has this psk, and its side of the handshake.
    fn greeting(
        &self,
        (mode, pattern): (u8, &str),
        psk: &[u8; 32],
    ) -> Checked<(HandshakeState, Vec<u8>, [u8; 16])> {
        let mut said = PREFACE.to_vec();
        said[6] = mode;
        said.extend_from_slice(&derived("p2p v1 key id", psk)[..8]);
        let pattern: NoiseParams = pattern.parse().map_err(noise_fault)?;
        let keys = builder(pattern.clone()).generate_keypair().map_err(noise_fault)?;
        let built = builder(pattern).psk(0, psk).and_then(|built| built.prologue(&said));
        let built = built.and_then(|built| built.local_private_key(&keys.private));
        let mut noise = built.and_then(Builder::build_initiator).map_err(noise_fault)?;
        let mut message = [0; FIRST];
        let written = noise.write_message(&[], &mut message).map_err(noise_fault)?;
        same!(written, FIRST, "the length of message 1");
        let mut all = said;
        all.extend_from_slice(&(FIRST as u16).to_be_bytes());
        all.extend_from_slice(&message);
        Ok((noise, all, id_of(&keys.public)))
    }

    fn dial(&self) -> Checked<TcpStream> {
        self.target.dial().map(Client::into_stream)
    }

    /// A connection on which message 2 has come.
    fn answered(&self, mode: (u8, &str)) -> Checked<(TcpStream, HandshakeState, [u8; 16])> {
        let (mut noise, greeting, me) = self.greeting(mode, &self.psk())?;
        let mut stream = self.dial()?;
        send(&mut stream, &greeting);
        let mut heard = [0; 8 + 2 + SECOND];
        hear(&mut stream, &mut heard)?;
        same!(&heard[..8], &greeting[..8], "the preface");
        same!(heard[8..10].to_vec(), (SECOND as u16).to_be_bytes().to_vec(), "the length of message 2");
        let read = noise.read_message(&heard[10..], &mut [0; SECOND]).map_err(noise_fault)?;
        same!(read, 0, "the payload of message 2");
        Ok((stream, noise, me))
    }

    /// A connection behind message 3.
    fn tunnel(&self, mode: (u8, &str)) -> Checked<Tunnel> {
        let (mut stream, mut noise, me) = self.answered(mode)?;
        send(&mut stream, &third(&mut noise)?);
        Tunnel::new(stream, noise, me)
    }

    /// A connection behind both HELLOs.
    fn member(&self) -> Checked<Tunnel> {
        let mut tunnel = self.tunnel(MODES[0])?;
        let hello = self.hello(&tunnel);
        tunnel.say(&hello)?;
        tunnel.hear_hello(&self.target)?;
        Ok(tunnel)
    }

    fn hello(&self, tunnel: &Tunnel) -> Vec<u8> {
        Hello { peer: tunnel.me, ..Hello::new(self.target.role) }.frame()
    }
}

/// Message 3, and its length before it.
pub(super) fn third(noise: &mut HandshakeState) -> Checked<Vec<u8>> {
    let mut message = [0; SECOND];
    let written = noise.write_message(&[], &mut message).map_err(noise_fault)?;
    Ok([&(written as u16).to_be_bytes(), &message[..written]].concat())
}

/// The other side may have closed already: what it says, or that it says nothing, tells.
fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

pub(super) fn hear(stream: &mut impl Read, bytes: &mut [u8]) -> Checked {
    stream.read_exact(bytes).map_err(|error| Fault::new("more bytes", error.to_string()))
}

/// All that still comes.
fn rest(mut stream: TcpStream) -> Checked<Vec<u8>> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            Err(Fault::new("the end of the connection", error.to_string()))
        }
        _ => Ok(rest),
    }
}

fn ends_without_a_word(stream: TcpStream) -> Checked {
    same!(rest(stream)?, Vec::<u8>::new(), "the last words");
    Ok(())
}

impl Tunnel {
    fn new(stream: TcpStream, noise: HandshakeState, me: [u8; 16]) -> Checked<Tunnel> {
        let theirs = id_of(noise.get_remote_static().unwrap_or_default());
        let noise = noise.into_stateless_transport_mode().map_err(noise_fault)?;
        Ok(Tunnel { stream, noise, sent: 0, heard: 0, plain: Vec::new(), me, theirs })
    }

    /// The record with this number.
    fn record(&self, number: u64, plain: &[u8]) -> Checked<Vec<u8>> {
        let mut sealed = vec![0; 2 + plain.len() + TAG_BYTES];
        let bytes = self.noise.write_message(number, plain, &mut sealed[2..]).map_err(noise_fault)?;
        sealed[..2].copy_from_slice(&(bytes as u16).to_be_bytes());
        Ok(sealed)
    }

    /// The next record.
    fn next(&mut self, plain: &[u8]) -> Checked<Vec<u8>> {
        let record = self.record(self.sent, plain)?;
        self.sent += 1;
        Ok(record)
    }

    fn say(&mut self, plain: &[u8]) -> Checked {
        let record = self.next(plain)?;
        send(&mut self.stream, &record);
        Ok(())
    }

    /// The next frame: its id, number and body.
    fn frame(&mut self) -> Checked<(u8, u32, Vec<u8>)> {
        loop {
            let mut fields = Fields::new(&self.plain);
            let whole = 4 + if self.plain.len() < 4 { 0 } else { fields.u32() as usize };
            if self.plain.len() >= whole.max(9) {
                let (id, request) = (fields.u8(), fields.u32());
                let body = self.plain[9..whole].to_vec();
                self.plain.drain(..whole);
                return Ok((id, request, body));
            }
            let mut length = [0; 2];
            hear(&mut self.stream, &mut length)?;
            let length = usize::from(u16::from_be_bytes(length));
            let fits = (TAG_BYTES + 1..=MAX_RECORD_BYTES + TAG_BYTES).contains(&length);
            holds!(fits, "a record of 1 to {MAX_RECORD_BYTES} bytes, and not of {length} with its tag");
            let (mut sealed, mut plain) = (vec![0; length], vec![0; length]);
            hear(&mut self.stream, &mut sealed)?;
            let opened = self.noise.read_message(self.heard, &sealed, &mut plain).map_err(noise_fault)?;
            self.heard += 1;
            self.plain.extend_from_slice(&plain[..opened]);
        }
    }

    fn hear_hello(&mut self, target: &Target) -> Checked {
        let (id, _, body) = self.frame()?;
        same!(id, id::HELLO, "the message");
        let mut fields = Fields::new(&body);
        let _ = (fields.u16(), fields.u16(), fields.u64());
        same!(fields.u8(), target.theirs, "HELLO with the role");
        same!(fields.peer(), self.theirs, "HELLO with the id of the key:");
        Ok(())
    }

    fn pong(&mut self, number: u32) -> Checked {
        let (id, request, _) = self.frame()?;
        same!((id, request), (id::PONG, number), "the answer to a PING");
        Ok(())
    }
}

fn ping(number: u32) -> Vec<u8> {
    frame(id::PING, number, &Body::new())
}

fn a_member_is_welcomed_in_both_modes(closed: &Closed) -> Checked {
    for mode in MODES {
        let mut tunnel = closed.tunnel(mode)?;
        let hello = closed.hello(&tunnel);
        tunnel.say(&hello)?;
        tunnel.hear_hello(&closed.target)?;
        tunnel.say(&ping(7))?;
        tunnel.pong(7)?;
    }
    Ok(())
}

fn a_node_has_the_id_of_its_key(closed: &Closed) -> Checked {
    let (one, two) = (closed.member()?, closed.member()?);
    same!(one.theirs, two.theirs, "the key of every connection:");
    Ok(())
}

fn who_speaks_plain_or_in_no_mode_is_refused(closed: &Closed) -> Checked {
    for mode in [0, 3, 255] {
        let mut client = closed.target.dial()?;
        let mut preface = PREFACE;
        preface[6] = mode;
        client.send(&[&preface[..], &Hello::new(closed.target.role).frame()].concat());
        client.turned_away(code::UNSUPPORTED_MODE)?;
    }
    Ok(())
}

/// What is answered to a greeting that must not be taken: UNKNOWN_SWARM, in the clear.
fn refusal(closed: &Closed, greeting: &[u8]) -> Checked<Vec<u8>> {
    let mut stream = closed.dial()?;
    send(&mut stream, greeting);
    let said = rest(stream)?;
    holds!(said.len() > 8 + 9 && said[..8] == PREFACE, "a preface of mode 0 and an ERROR");
    let mut fields = Fields::new(&said[12..]);
    same!((fields.u8(), fields.u32(), fields.u16()), (id::ERROR, 1, code::UNKNOWN_SWARM), "the answer");
    Ok(said)
}

fn who_names_another_key_and_who_does_not_have_the_one_he_names_hear_the_same(closed: &Closed) -> Checked {
    for mode in MODES {
        let (_, another, _) = closed.greeting(mode, &[7; 32])?;
        let (_, mut without, _) = closed.greeting(mode, &closed.psk())?;
        without[18..].copy_from_slice(&another[18..]);
        same!(refusal(closed, &another)?, refusal(closed, &without)?, "the answer to a wrong key:");
    }
    Ok(())
}

fn no_bit_of_the_first_message_may_change(closed: &Closed) -> Checked {
    let (_, greeting, _) = closed.greeting(MODES[0], &closed.psk())?;
    for bit in 64..8 * greeting.len() {
        let mut changed = greeting.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // A length that is longer waits for more.
        if !(16..18).contains(&(bit / 8)) {
            refusal(closed, &changed)?;
        }
    }
    Ok(())
}

fn no_byte_of_the_third_message_may_change(closed: &Closed) -> Checked {
    for at in 2..66 {
        let (mut stream, mut noise, _) = closed.answered(MODES[at % 2])?;
        let mut third = third(&mut noise)?;
        third[at] ^= 0x10;
        send(&mut stream, &third);
        ends_without_a_word(stream)?;
    }
    Ok(())
}

fn messages_have_one_length(closed: &Closed) -> Checked {
    for length in [0_u16, 47, 49, u16::MAX] {
        let (_, mut greeting, _) = closed.greeting(MODES[0], &closed.psk())?;
        greeting[16..18].copy_from_slice(&length.to_be_bytes());
        refusal(closed, &greeting)?;
        let (mut stream, mut noise, _) = closed.answered(MODES[0])?;
        let mut third = third(&mut noise)?;
        third[..2].copy_from_slice(&length.to_be_bytes());
        send(&mut stream, &third);
        ends_without_a_word(stream)?;
    }
    Ok(())
}

fn the_greeting_may_come_byte_by_byte(closed: &Closed) -> Checked {
    let (mut noise, greeting, _) = closed.greeting(MODES[0], &closed.psk())?;
    let mut stream = closed.dial()?;
    greeting.iter().for_each(|byte| send(&mut stream, &[*byte]));
    let mut heard = [0; 8 + 2 + SECOND];
    hear(&mut stream, &mut heard)?;
    noise.read_message(&heard[10..], &mut [0; SECOND]).map_err(noise_fault)?;
    Ok(())
}

fn a_hello_with_another_id_than_that_of_the_key_is_an_impostors(closed: &Closed) -> Checked {
    let mut tunnel = closed.tunnel(MODES[0])?;
    tunnel.say(&Hello::new(closed.target.role).frame())?;
    let (id, _, body) = tunnel.frame()?;
    same!((id, Fields::new(&body).u16()), (id::ERROR, code::IMPOSTOR), "the answer");
    ends_without_a_word(tunnel.stream)
}

fn requests_may_follow_in_the_same_record(closed: &Closed) -> Checked {
    let (stream, mut noise, me) = closed.answered(MODES[0])?;
    let third = third(&mut noise)?;
    let mut tunnel = Tunnel::new(stream, noise, me)?;
    let hello = closed.hello(&tunnel);
    let record = tunnel.next(&[&hello[..], &ping(1), &ping(2)].concat())?;
    send(&mut tunnel.stream, &[&third[..], &record].concat());
    tunnel.hear_hello(&closed.target)?;
    tunnel.pong(1)?;
    tunnel.pong(2)
}

fn frames_may_be_cut_anywhere_into_records(closed: &Closed) -> Checked {
    let mut tunnel = closed.tunnel(MODES[1])?;
    for byte in closed.hello(&tunnel) {
        tunnel.say(&[byte])?;
    }
    tunnel.hear_hello(&closed.target)?;
    for byte in ping(9) {
        tunnel.say(&[byte])?;
    }
    tunnel.pong(9)
}

fn a_record_may_be_as_long_as_the_limit(closed: &Closed) -> Checked {
    let mut tunnel = closed.member()?;
    let pings: Vec<u8> = (1..=MAX_RECORD_BYTES.div_ceil(9) as u32).flat_map(ping).collect();
    tunnel.say(&pings[..MAX_RECORD_BYTES])?;
    tunnel.say(&pings[MAX_RECORD_BYTES..])?;
    (1..=MAX_RECORD_BYTES.div_ceil(9) as u32).try_for_each(|number| tunnel.pong(number))
}

fn what_is_no_record_ends_it_without_a_word(closed: &Closed) -> Checked {
    for length in [0, TAG_BYTES, MAX_RECORD_BYTES + TAG_BYTES + 1, usize::from(u16::MAX)] {
        let mut tunnel = closed.member()?;
        send(&mut tunnel.stream, &(length as u16).to_be_bytes());
        ends_without_a_word(tunnel.stream)?;
    }
    Ok(())
}

fn a_changed_record_ends_it_without_a_word(closed: &Closed) -> Checked {
    for at in 2..2 + 9 + TAG_BYTES {
        let mut tunnel = closed.member()?;
        let mut record = tunnel.next(&ping(1))?;
        record[at] ^= 0x40;
        let behind = tunnel.next(&ping(2))?;
        send(&mut tunnel.stream, &[record, behind].concat());
        ends_without_a_word(tunnel.stream)?;
    }
    Ok(())
}

fn a_record_left_out_or_sent_twice_or_too_early_ends_it_without_a_word(closed: &Closed) -> Checked {
    for order in [[1, 2], [0, 0], [1, 0]] {
        let mut tunnel = closed.member()?;
        let all = [tunnel.next(&ping(1))?, tunnel.next(&ping(2))?, tunnel.next(&ping(3))?];
        send(&mut tunnel.stream, &all[order[0]]);
        if order[0] == 0 {
            tunnel.pong(1)?;
        }
        send(&mut tunnel.stream, &all[order[1]]);
        ends_without_a_word(tunnel.stream)?;
    }
    Ok(())
}

fn a_record_cut_short_ends_it_without_a_word(closed: &Closed) -> Checked {
    for bytes in [1, 2, 10, 26] {
        let mut tunnel = closed.member()?;
        let record = tunnel.next(&ping(1))?;
        send(&mut tunnel.stream, &record[..bytes]);
        let _ = tunnel.stream.shutdown(Shutdown::Write);
        ends_without_a_word(tunnel.stream)?;
    }
    Ok(())
}

fn a_greeting_cut_at_every_byte_ends_it(closed: &Closed) -> Checked {
    let (_, greeting, _) = closed.greeting(MODES[0], &closed.psk())?;
    for bytes in 0..greeting.len() {
        let mut stream = closed.dial()?;
        send(&mut stream, &greeting[..bytes]);
        let _ = stream.shutdown(Shutdown::Write);
        ends_without_a_word(stream)?;
    }
    closed.member()?;
    Ok(())
}
