//! A peer that lies: written with raw sockets, it says it has everything and then does otherwise. How much
//! it can delay an honest swarm is stated here.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use p2p::content::{Geometry, Manifest, hash_chunk, proof_run};

use crate::claims::{claim, offer};
use crate::client::{
    ANY_CHUNK, Body, Client, Fields, Hello, MEMBER, PREFACE, SERVE, frame, id, refusal, register,
};
use crate::lab::{DONE, Lab, one_file, outcome};
use crate::support::{Proxy, Sample, pattern};

const CHUNK_BYTES: usize = 64 << 10;

/// What a liar does with those who ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// It lacks these chunks, and refuses them as not here.
    Lacks(Vec<u32>),
    /// It sends wrong bytes under the right proof.
    Garbage,
    /// It answers nothing but PING.
    Nothing,
    /// It does not even answer OPEN.
    Mute,
    /// It sends so many bytes every tenth of a second.
    Slow(usize),
    /// It refuses every chunk as busy.
    Busy,
    /// It tells of the same chunks again and again.
    Chatter,
    /// It asks whether the other side lives, for ever, and reads no answer.
    Pings,
    /// It sends a chunk nobody asked for.
    Unasked,
    /// It registers what it has under this id, which is another's.
    Impostor([u8; 32]),
}

/// A lying peer, registered as one that has all of a content.
pub struct Liar {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    addr: std::net::SocketAddr,
    _member: Client,
}

struct Shared {
    lie: Lie,
    content: Vec<u8>,
    manifest: Manifest,
    asked: Mutex<BTreeSet<u32>>,
    open: Mutex<(Vec<TcpStream>, bool)>,
}

impl Liar {
    /// Starts one, and registers it under `name`.
    #[track_caller]
    pub fn start(lab: &Lab, name: &str, content: Vec<u8>, lie: Lie) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let mut hello = Hello::new(MEMBER);
        (hello.name, hello.listen_port) = ("liar".to_owned(), addr.port());
        let (mut member, _) = Client::greet(&lab.tracker.target(), &hello).unwrap();
        let size = content.len() as u64;
        let claimed = match lie {
            Lie::Impostor(hash) => hash,
            _ => *blake3::hash(&content).as_bytes(),
        };
        let offer = offer(name, claimed, size);
        member.call(id::REGISTER, &register(addr.port(), &[offer]), id::REGISTERED).unwrap();
        let manifest = manifest(&content);
        let shared =
            Arc::new(Shared { lie, content, manifest, asked: Mutex::default(), open: Mutex::default() });
        let accepting = shared.clone();
        let acceptor = thread::spawn(move || accept(&accepting, &listener, hello.peer));
        Liar { shared, acceptor: Some(acceptor), addr, _member: member }
    }

    /// True if somebody has asked it for anything.
    pub fn was_asked(&self) -> bool {
        !self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

fn manifest(content: &[u8]) -> Manifest {
    let geometry = Geometry::of(content.len() as u64).expect("a geometry");
    let chunks = (0..geometry.chunks()).filter_map(|number| geometry.index(number));
    let hashes = chunks.map(|chunk| {
        let start = geometry.offset(chunk) as usize;
        hash_chunk(geometry, chunk, &content[start..start + geometry.len(chunk) as usize])
    });
    Manifest::new(geometry, hashes.collect()).expect("hashes that fit").0
}

impl Drop for Liar {
    fn drop(&mut self) {
        {
            let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.1 = true;
            open.0.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, peer: [u8; 16]) {
    let mut threads = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        let Ok(handle) = stream.try_clone() else { continue };
        {
            let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.1 {
                break;
            }
            open.0.push(handle);
        }
        let shared = shared.clone();
        threads.push(thread::spawn(move || drop(Lying { shared, stream }.run(peer))));
    }
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

struct Lying {
    shared: Arc<Shared>,
    stream: TcpStream,
}

impl Lying {
    fn run(mut self, peer: [u8; 16]) -> std::io::Result<()> {
        let mut preface = [0; 8];
        self.stream.read_exact(&mut preface)?;
        self.read()?;
        let mut hello = Hello::new(SERVE);
        (hello.peer, hello.name) = (peer, "liar".to_owned());
        self.stream.write_all(&[&PREFACE[..], &hello.frame()].concat())?;
        loop {
            let (kind, request, body) = self.read()?;
            match kind {
                id::PING => self.send(&frame(id::PONG, request, &Body::new()))?,
                id::OPEN if self.shared.lie == Lie::Mute => {}
                id::OPEN => {
                    let size = self.shared.content.len();
                    let opened =
                        Body::new().u64(size as u64).u32(size.div_ceil(CHUNK_BYTES) as u32).u8(1).u8(0);
                    self.send(&frame(id::OPENED, request, &opened))?;
                    if self.shared.lie == Lie::Unasked {
                        self.chunk(9999, 0)?;
                    }
                    if self.shared.lie == Lie::Pings {
                        let pings = frame(id::PING, 7, &Body::new()).repeat(7000);
                        loop {
                            self.send(&pings)?;
                        }
                    }
                    if self.shared.lie == Lie::Chatter {
                        let all = Body::new().u16(0).ranges(&[(0, u32::MAX); 200]);
                        (0..1000).try_for_each(|_| self.send(&frame(id::SERVER_HAVE, 0, &all)))?;
                    }
                }
                id::GET_CHUNK => self.get_chunk(request, &body)?,
                _ => {}
            }
        }
    }

    fn read(&mut self) -> std::io::Result<(u8, u32, Vec<u8>)> {
        let mut header = [0; 9];
        self.stream.read_exact(&mut header)?;
        let mut fields = Fields::new(&header);
        let (length, kind, request) = (fields.u32() as usize, fields.u8(), fields.u32());
        let mut body = vec![0; length.saturating_sub(5)];
        self.stream.read_exact(&mut body)?;
        Ok((kind, request, body))
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn get_chunk(&mut self, request: u32, body: &[u8]) -> std::io::Result<()> {
        let mut fields = Fields::new(body);
        let (_slot, first, count) = (fields.u16(), fields.u32(), fields.u16());
        for at in 0..u32::from(count) {
            let refuse = |reason| frame(id::REFUSED, request + at, &Body::new().u8(reason));
            if first == ANY_CHUNK {
                self.send(&refuse(refusal::NOTHING_BETTER))?;
                continue;
            }
            self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(first + at);
            match &self.shared.lie {
                Lie::Nothing => {}
                Lie::Busy => self.send(&refuse(refusal::BUSY))?,
                Lie::Lacks(lacking) if lacking.contains(&(first + at)) => {
                    self.send(&refuse(refusal::NOT_HERE))?
                }
                _ => self.chunk(request + at, first + at)?,
            }
        }
        Ok(())
    }

    /// A chunk with its proof, as honest as the lie allows.
    fn chunk(&mut self, request: u32, chunk: u32) -> std::io::Result<()> {
        let content = &self.shared.content;
        let start = chunk as usize * CHUNK_BYTES;
        let mut data = content[start..content.len().min(start + CHUNK_BYTES)].to_vec();
        if self.shared.lie == Lie::Garbage {
            data.iter_mut().for_each(|byte| *byte = !*byte);
        }
        let geometry = Geometry::of(content.len() as u64).expect("a geometry");
        let run = proof_run(geometry, geometry.index(chunk).expect("a chunk"));
        let proof = self.shared.manifest.prove(run).expect("a run");
        let head = Body::new().u32(chunk).u32(proof.first).u16(proof.hashes.len() as u16);
        let head = head.u8(proof.path.len() as u8);
        let hashes = proof.hashes.iter().chain(&proof.path).fold(head, |body, hash| body.raw(&hash.0));
        let whole = frame(id::CHUNK, request, &hashes.raw(&data));
        match self.shared.lie {
            Lie::Slow(bytes) => whole.chunks(bytes).try_for_each(|part| {
                thread::sleep(Duration::from_millis(100));
                self.stream.write_all(part)
            }),
            _ => self.send(&whole),
        }
    }
}

/// An honest seeder behind a link of a known rate, and liars beside it.
struct Town {
    lab: Lab,
    content: Vec<u8>,
    _honest: (crate::support::Daemon, Proxy, Sample),
}

const BYTES: usize = 4 << 20;
/// So that the file takes about a second.
const RATE: u64 = 4 << 20;
/// With liars it may take so many times as long, and a little more for the time that it takes to find out.
const MAX_DELAY_FACTOR: u32 = 2;
const FINDING_OUT: Duration = Duration::from_secs(1);

impl Town {
    fn new() -> Town {
        let lab = Lab::new();
        let content = pattern(BYTES, 3);
        let sample = one_file("file", content.clone());
        let (honest, link) = lab.peer_behind_proxy(&sample, "honest", &[]);
        link.set(|faults| faults.rate = Some(RATE));
        lab.wait_for_seeders("file", 1);
        Town { lab, content, _honest: (honest, link, sample) }
    }

    fn fetch(&self) -> (Duration, serde_json::Value) {
        let start = Instant::now();
        let status = outcome(&self.lab.get("file", &["--wait", "20s"]).expect(DONE));
        let took = start.elapsed();
        self.lab.expect_file("file", &self.content);
        std::fs::remove_file(self.lab.fetched("file")).expect("the file goes");
        (took, status)
    }

    /// Fetches alone and beside some liars.
    #[track_caller]
    fn expect_bounded_delay(&self, lie: &Lie, liars: usize) -> serde_json::Value {
        let (alone, _) = self.fetch();
        let liars: Vec<Liar> =
            (0..liars).map(|_| Liar::start(&self.lab, "file", self.content.clone(), lie.clone())).collect();
        let (beside, status) = self.fetch();
        println!("{lie:?}: alone {alone:?}, beside {} liars {beside:?}", liars.len());
        let most = alone * MAX_DELAY_FACTOR + FINDING_OUT;
        assert!(beside <= most, "{beside:?} is more than {most:?}\n{status}");
        assert!(matches!(lie, Lie::Mute | Lie::Unasked | Lie::Chatter) || liars.iter().any(Liar::was_asked));
        status
    }
}

#[test]
fn garbage_delays_an_honest_swarm_by_a_bounded_factor_and_its_sender_is_banned() {
    let town = Town::new();
    let status = town.expect_bounded_delay(&Lie::Garbage, 3);
    let rejected = status["ledger"]["rejected"].as_u64().expect("bytes");
    // Each is closed after three wrong chunks, and what was on its way then.
    assert!((1..=3 * 16 * CHUNK_BYTES as u64).contains(&rejected), "{rejected} bytes were wrong");
}

#[test]
fn silence_delays_an_honest_swarm_by_a_bounded_factor() {
    Town::new().expect_bounded_delay(&Lie::Nothing, 3);
}

#[test]
fn many_who_do_not_even_open_delay_an_honest_swarm_by_a_bounded_factor() {
    // As many as one transfer is connected to.
    Town::new().expect_bounded_delay(&Lie::Mute, 16);
}

#[test]
fn slowness_delays_an_honest_swarm_by_a_bounded_factor() {
    Town::new().expect_bounded_delay(&Lie::Slow(500), 3);
}

#[test]
fn feigned_business_delays_an_honest_swarm_by_a_bounded_factor() {
    Town::new().expect_bounded_delay(&Lie::Busy, 3);
}

#[test]
fn chatter_delays_an_honest_swarm_by_a_bounded_factor() {
    Town::new().expect_bounded_delay(&Lie::Chatter, 3);
}

#[test]
fn chunks_nobody_asked_for_delay_an_honest_swarm_by_a_bounded_factor() {
    Town::new().expect_bounded_delay(&Lie::Unasked, 3);
}

#[test]
fn a_false_size_under_a_true_id_spoils_nothing() {
    let town = Town::new();
    let mut longer = town.content.clone();
    longer.resize(BYTES * 3, 0);
    // Registered under the id of the shorter one, by more peers than the true one has.
    let id = *blake3::hash(&town.content).as_bytes();
    let members: Vec<Client> = (0..3).map(|_| false_claim(&town.lab, id, longer.len() as u64)).collect();
    let (took, status) = town.fetch();
    println!("beside {} false claims: {took:?}", members.len());
    assert_eq!(status["bytes_total"], BYTES);
}

/// Registers a content of another size under this id; whoever asks there finds nobody.
fn false_claim(lab: &Lab, hash: [u8; 32], size: u64) -> Client {
    claim(lab, offer("file", hash, size), 1)
}
