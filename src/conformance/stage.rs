//! What an asker sees: a scripted tracker that names one server, and that server, in the hands of a check.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use tempfile::TempDir;

use super::check::{Checked, Fault, eventually, holds, same};
use super::client::{Client, Frame, Hello, frame};
use super::command::{Asker, Running, fetched};
use super::fields::{Body, Fields};
use super::numbers::{ANY_CHUNK, ASK, MEMBER, SERVE, TRACKER, id, refusal};
use super::proof::{Hash, Manifest, Proof, chunk_len, chunk_size, chunks};
use super::relay::Node;
use super::target::pattern;
use crate::threads;

/// The name under which the content is found.
const NAME: &str = "file";

/// A fetch in vain waits for this part of what anything may take.
const PART_IN_VAIN: u32 = 5;

/// What an asker told its tracker of a peer: the content, the chunk, the complaint.
pub(super) type Report = (Hash, u32, u8);

/// What tracker and server say in HELLO.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub(super) versions: (u16, u16),
    pub(super) features: u64,
}

impl Dialect {
    fn hello(self, role: u8) -> Hello {
        Hello { versions: self.versions, features: self.features, ..Hello::new(role) }
    }
}

/// A content, a tracker that knows one holder of it, and that holder's door.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) content: Vec<u8>,
    pub(super) id: Hash,
    pub(super) manifest: Manifest,
    reports: Receiver<Report>,
    tracker: String,
    door: TcpListener,
    peer: [u8; 16],
    place: TempDir,
    asker: &'a Asker,
    dialect: Dialect,
}

impl<'a> Stage<'a> {
    pub(super) fn new(asker: &'a Asker, bytes: usize) -> Checked<Stage<'a>> {
        Stage::speaking(asker, bytes, Dialect { versions: (1, 1), features: 0 })
    }

    pub(super) fn speaking(asker: &'a Asker, bytes: usize, dialect: Dialect) -> Checked<Stage<'a>> {
        let content = pattern(bytes, 7);
        let (manifest, id) = Manifest::of(&content);
        let (door, tracker) = (listen()?, listen()?);
        door.set_nonblocking(true).map_err(unset)?;
        let (patience, mut addr, mut at) = (asker.patience, address(&tracker)?, address(&door)?);
        let (mut peer, mut hello) = (Hello::new(SERVE).peer, dialect.hello(TRACKER));
        if let Some(secret) = &asker.secret {
            let (tracks, serves) = (Node::new(secret)?, Node::new(secret)?);
            (addr, at) = (tracks.before(addr, patience)?, serves.before(at, patience)?);
            (hello.peer, peer) = (tracks.peer, serves.peer);
        }
        let located = located(id, bytes as u64, peer, at.port());
        let (told, reports) = mpsc::channel();
        // These threads end with the process.
        let tracking = threads::named("tracker").connection(move || {
            for stream in tracker.incoming().flatten() {
                let (located, told, hello) = (located.clone(), told.clone(), hello.clone());
                let _ = threads::named("tracker")
                    .connection(move || drop(track(stream, &located, &told, &hello, patience)));
            }
        });
        tracking.map_err(unset)?;
        let place = TempDir::new().map_err(unset)?;
        Ok(Stage {
            content,
            id,
            manifest,
            reports,
            tracker: addr.to_string(),
            door,
            peer,
            place,
            asker,
            dialect,
        })
    }

    /// Starts a fetch of the content, which waits for who is not there as long as anything may take: that it is slow is no fault.
    pub(super) fn get(&self) -> Checked<Running> {
        self.get_within(self.asker.patience)
    }

    /// Starts a fetch that nobody lets succeed, which is to fail before it is too late.
    pub(super) fn get_in_vain(&self) -> Checked<Running> {
        self.get_within(self.asker.patience / PART_IN_VAIN)
    }

    fn get_within(&self, wait: Duration) -> Checked<Running> {
        let id = blake3::Hash::from_bytes(self.id).to_hex();
        let size = self.content.len().to_string();
        let dest = self.place.path().to_string_lossy();
        let wait = wait.as_secs().max(1).to_string();
        let content = [("{name}", NAME), ("{id}", id.as_str()), ("{size}", &*size)];
        let around = [("{tracker}", &*self.tracker), ("{dest}", &*dest), ("{wait}", &*wait)];
        self.asker.start(&[content, around].concat())
    }

    /// Waits until it ends well, and looks at what it fetched.
    pub(super) fn expect_content(&self, get: Running) -> Checked {
        get.ends_well()?;
        let copy = fetched(&self.place.path().join(NAME))?;
        holds!(copy == self.content, "the bytes of the content in the folder");
        Ok(())
    }

    /// The mode of what was fetched.
    pub(super) fn mode(&self) -> Checked<u32> {
        let metadata = self.place.path().join(NAME).metadata();
        metadata.map(|metadata| metadata.mode()).map_err(|error| Fault::new("a file", error.to_string()))
    }

    /// The next connection of an asker, which has shaken hands.
    pub(super) fn accept(&self) -> Checked<Serving<'_>> {
        let patience = self.asker.patience;
        let stream =
            eventually("that the asker dials the server", patience, || Ok(self.door.accept().ok()))?.0;
        stream.set_nonblocking(false).map_err(unset)?;
        let hello = Hello { peer: self.peer, ..self.dialect.hello(SERVE) };
        let (client, theirs) = Client::welcome(stream, &hello, patience)?;
        same!(theirs.role, ASK, "HELLO with the role");
        Ok(Serving::new(self, client, theirs.listen_port))
    }

    /// A server that dials the asker.
    pub(super) fn dial(&self, port: u16) -> Checked<Serving<'_>> {
        if port == 0 {
            return Err(Fault::Skipped("the asker listens nowhere"));
        }
        let (mut addr, mut hello) = (SocketAddr::from(([127, 0, 0, 1], port)), Hello::new(SERVE));
        if let Some(secret) = &self.asker.secret {
            let node = Node::new(secret)?;
            (addr, hello.peer) = (node.towards(addr, self.asker.patience)?, node.peer);
        }
        let client = Client::dial_within(&addr.to_string(), self.asker.patience)?;
        let (mut client, theirs) = client.shake(&hello)?;
        same!(theirs.role, ASK, "HELLO with the role");
        client.send(&frame(id::HERE, 0, &Body::new().raw(&self.id).u8(0)));
        Ok(Serving::new(self, client, 0))
    }

    /// What the asker tells its tracker next.
    pub(super) fn report(&self) -> Checked<Report> {
        eventually("a REPORT to the tracker", self.asker.patience, || Ok(self.reports.try_recv().ok()))
    }

    pub(super) fn chunks(&self) -> u32 {
        chunks(self.content.len() as u64)
    }

    /// The bytes of a chunk.
    pub(super) fn data(&self, chunk: u32) -> Vec<u8> {
        let size = self.content.len() as u64;
        let start = (u64::from(chunk) * chunk_size(size)) as usize;
        self.content[start..start + chunk_len(size, chunk) as usize].to_vec()
    }

    /// The proof that goes with a chunk, section 5.5.
    pub(super) fn proof(&self, chunk: u32) -> Proof {
        let first = chunk / 16 * 16;
        self.manifest.prove(first, (self.chunks() - first).min(16))
    }
}

fn listen() -> Checked<TcpListener> {
    TcpListener::bind("127.0.0.1:0").map_err(unset)
}

fn address(listener: &TcpListener) -> Checked<SocketAddr> {
    listener.local_addr().map_err(unset)
}

/// This side is not what it takes.
fn unset(error: io::Error) -> Fault {
    Fault::new("a stage for the check", error.to_string())
}

/// A LOCATED with one holder of a file.
fn located(hash: Hash, size: u64, peer: [u8; 16], port: u16) -> Body {
    let holder = Body::new().raw(&peer).text("scripted").list(&[Body::new().address([127, 0, 0, 1], port)]);
    let holder = holder.u32(chunks(size)).u16(0).u16(0).u8(1);
    let variant = Body::new().text(NAME).raw(&hash).u64(size).u64(size).u32(chunks(size));
    let variant = variant.u32(1).u32(0).u8(1).u8(1).u64(0).u32(0).u8(0).list(&[holder]);
    Body::new().list(&[variant]).list(&[])
}

/// A tracker's side of one connection: it takes everything, and says the same to every question.
fn track(
    stream: TcpStream,
    located: &Body,
    told: &Sender<Report>,
    hello: &Hello,
    patience: Duration,
) -> Checked {
    let (mut client, theirs) = Client::welcome(stream, hello, patience)?;
    same!(theirs.role, MEMBER);
    while let Some(Frame { id, request, body }) = client.try_read()? {
        let (answer, fields) = match id {
            id::REGISTER => (id::REGISTERED, Body::new().u32(30_000).u64(1)),
            id::LOCATE => (id::LOCATED, located.clone()),
            id::PING => (id::PONG, Body::new()),
            _ => (id::OK, Body::new()),
        };
        if id == id::REPORT {
            let mut fields = Fields::new(&body);
            fields.peer();
            let _ = told.send((fields.hash(), fields.u32(), fields.u8()));
        }
        client.send(&frame(answer, request, &fields));
    }
    Ok(())
}

/// A request for one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) request: u32,
    pub(super) chunk: u32,
}

/// The serving side of one connection of an asker.
#[derive(Debug)]
pub(super) struct Serving<'a> {
    stage: &'a Stage<'a>,
    pub(super) client: Client,
    /// Where the asker listens.
    pub(super) listen_port: u16,
    waiting: VecDeque<Ask>,
    /// The chunks of which it was told that they were wrong.
    pub(super) wrong: Vec<u32>,
    /// The code of the ERROR with which the asker ended the connection.
    pub(super) error: Option<u16>,
    /// The answers that came to requests of this side.
    pub(super) answers: Vec<(u8, u32)>,
}

impl<'a> Serving<'a> {
    fn new(stage: &'a Stage<'a>, client: Client, listen_port: u16) -> Serving<'a> {
        let (waiting, wrong, answers) = (VecDeque::new(), Vec::new(), Vec::new());
        Serving { stage, client, listen_port, waiting, wrong, error: None, answers }
    }

    pub(super) fn send(&mut self, id: u8, request: u32, body: &Body) {
        self.client.send(&frame(id, request, body));
    }

    /// Waits for OPEN; the number of the GET_LOAD before it, if there was one, and of the OPEN.
    pub(super) fn hear_open(&mut self) -> Checked<(Option<u32>, u32)> {
        let mut load = None;
        loop {
            let heard = self.client.read()?;
            match heard.id {
                id::GET_LOAD => load = Some(heard.request),
                id::OPEN => {
                    let opens = heard.fields(|fields| (fields.u16(), fields.hash(), fields.u8()))?;
                    same!(opens, (0, self.stage.id, 0), "OPEN of slot, id and view");
                    return Ok((load, heard.request));
                }
                other => self.answers.push((other, heard.request)),
            }
        }
    }

    /// Says that all is here, in answer to OPEN.
    pub(super) fn opened(&mut self, request: u32) {
        self.opened_with(request, true, None);
    }

    /// Says that all is here, or nothing, and mode and time.
    pub(super) fn opened_with(&mut self, request: u32, all: bool, looks: Option<(u16, u64)>) {
        let (size, chunks) = (self.stage.content.len() as u64, self.stage.chunks());
        let body = Body::new().u64(size).u32(chunks).u8(u8::from(all));
        let body = match looks {
            Some((mode, mtime_ns)) => body.u8(1).u16(mode).u64(mtime_ns),
            None => body.u8(0),
        };
        self.send(id::OPENED, request, &body);
    }

    /// Waits until the content is opened once more, in another slot: the number of that request.
    pub(super) fn hear_reopen(&mut self) -> Checked<u32> {
        loop {
            let heard = self.client.read()?;
            match heard.id {
                id::OPEN => {
                    let (slot, hash, view) =
                        heard.fields(|fields| (fields.u16(), fields.hash(), fields.u8()))?;
                    holds!(slot != 0, "OPEN in a slot that is not open");
                    same!((hash, view), (self.stage.id, 0), "OPEN of id and view");
                    return Ok(heard.request);
                }
                id::GET_CHUNK => return Err(Fault::new("OPEN before a chunk is asked for", "GET_CHUNK")),
                other => self.answers.push((other, heard.request)),
            }
        }
    }

    /// Answers OPEN as a server does that has all.
    pub(super) fn open(&mut self) -> Checked {
        let (load, open) = self.hear_open()?;
        if let Some(load) = load {
            self.load(load);
        }
        self.opened(open);
        Ok(())
    }

    fn load(&mut self, request: u32) {
        self.send(id::LOAD, request, &Body::new().u16(0).u16(0).u32(0).u64(0));
    }

    /// The next request for a chunk by number; none once the asker has left.
    pub(super) fn next(&mut self) -> Checked<Option<Ask>> {
        while self.waiting.is_empty() {
            let Some(Frame { id, request, body }) = self.client.try_read()? else { return Ok(None) };
            let mut fields = Fields::new(&body);
            match id {
                id::GET_CHUNK => {
                    let (_slot, first, count) = (fields.u16(), fields.u32(), u32::from(fields.u16()));
                    if first == ANY_CHUNK {
                        (request..request + count).for_each(|at| self.refuse(at, refusal::NOTHING_BETTER));
                    } else {
                        let asks = (0..count).map(|at| Ask { request: request + at, chunk: first + at });
                        self.waiting.extend(asks);
                    }
                }
                id::CORRUPT => {
                    fields.u16();
                    self.wrong.push(fields.u32());
                }
                id::ERROR if request == 0 => self.error = Some(fields.u16()),
                id::GET_LOAD => self.load(request),
                id::PING => self.send(id::PONG, request, &Body::new()),
                id::LEAVE => {
                    self.send(id::OK, request, &Body::new());
                    return Ok(None);
                }
                id::CANCEL | id::ASKER_HAVE => {}
                other => self.answers.push((other, request)),
            }
        }
        Ok(self.waiting.pop_front())
    }

    /// The next request, which has to come.
    pub(super) fn request(&mut self) -> Checked<Ask> {
        self.next()?.ok_or_else(|| Fault::new("a request for a chunk", "the end of the connection"))
    }

    pub(super) fn refuse(&mut self, request: u32, reason: u8) {
        self.send(id::REFUSED, request, &Body::new().u8(reason));
    }

    /// Tells of a chunk.
    pub(super) fn have(&mut self, slot: u16, chunk: u32) {
        self.send(id::SERVER_HAVE, 0, &Body::new().u16(slot).ranges(&[(chunk, 1)]));
    }

    pub(super) fn chunk(&mut self, request: u32, index: u32, proof: &Proof, data: &[u8]) {
        self.send(id::CHUNK, request, &Body::new().u32(index).raw(&proof.body().0).raw(data));
    }

    /// Gives what was asked for.
    pub(super) fn give(&mut self, ask: Ask) {
        let (proof, data) = (self.stage.proof(ask.chunk), self.stage.data(ask.chunk));
        self.chunk(ask.request, ask.chunk, &proof, &data);
    }

    /// Gives all that is asked for, until the asker leaves.
    pub(super) fn give_all(&mut self) -> Checked {
        while let Some(ask) = self.next()? {
            self.give(ask);
        }
        Ok(())
    }
}
