//! What an asker sees: a scripted tracker that names one server, and that server, in the hands of a test.

use std::collections::VecDeque;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use tempfile::TempDir;

use crate::client::{ANY_CHUNK, ASK, Body, Client, Frame, Hello, MEMBER, SERVE, TRACKER, frame, id, refusal};
use crate::proof::{Hash, Manifest, Proof, chunk_len, chunk_size, chunks};
use crate::support::{Daemon, eventually, pattern};

/// The name under which the content is found.
const NAME: &str = "file";

/// What an asker told its tracker of a peer: the content, the chunk, the complaint.
pub type Report = (Hash, u32, u8);

/// A content, a tracker that knows one holder of it, and that holder's door.
#[derive(Debug)]
pub struct Stage {
    pub content: Vec<u8>,
    pub id: Hash,
    pub manifest: Manifest,
    reports: Receiver<Report>,
    tracker: String,
    door: TcpListener,
    peer: [u8; 16],
    place: TempDir,
}

impl Stage {
    #[track_caller]
    pub fn new(bytes: usize) -> Stage {
        let content = pattern(bytes, 7);
        let (manifest, id) = Manifest::of(&content);
        let door = TcpListener::bind("127.0.0.1:0").expect("a free port");
        door.set_nonblocking(true).expect("a socket");
        let tracker = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (addr, peer) = (tracker.local_addr().expect("an address"), Hello::new(SERVE).peer);
        let located = located(id, bytes as u64, peer, door.local_addr().expect("an address").port());
        let (told, reports) = mpsc::channel();
        // Both end with the test program.
        thread::spawn(move || {
            for stream in tracker.incoming().flatten() {
                let (located, told) = (located.clone(), told.clone());
                thread::spawn(move || track(stream, &located, &told));
            }
        });
        let place = TempDir::new().expect("a temporary folder");
        Stage { content, id, manifest, reports, tracker: addr.to_string(), door, peer, place }
    }

    /// A real `get` of the content.
    #[track_caller]
    pub fn get(&self) -> Daemon {
        let dest = self.place.path().to_str().expect("a UTF-8 path");
        let common = ["get", NAME, dest, "--json", "--listen", "127.0.0.1:0", "--wait", "2s"];
        Daemon::launch(&[&common[..], &["--tracker", &self.tracker]].concat())
    }

    /// Waits until it ends well, and looks at what it fetched.
    #[track_caller]
    pub fn expect_content(&self, get: Daemon) {
        get.wait().expect(0);
        let copy = std::fs::read(self.place.path().join(NAME)).expect("the file");
        assert!(copy == self.content, "it differs");
    }

    /// The next connection of an asker, which has shaken hands.
    #[track_caller]
    pub fn accept(&self) -> Serving<'_> {
        let stream = eventually("somebody dials", || self.door.accept().ok()).0;
        stream.set_nonblocking(false).expect("a socket");
        let (client, theirs) = Client::welcome(stream, &Hello { peer: self.peer, ..Hello::new(SERVE) });
        assert_eq!(theirs.role, ASK);
        Serving::new(self, client, theirs.listen_port)
    }

    /// A server that dials the asker.
    #[track_caller]
    pub fn dial(&self, port: u16) -> Serving<'_> {
        let (client, theirs) = Client::greet(&format!("127.0.0.1:{port}"), &Hello::new(SERVE));
        assert_eq!(theirs.role, ASK);
        Serving::new(self, client, 0)
    }

    /// What the asker tells its tracker next.
    #[track_caller]
    pub fn report(&self) -> Report {
        eventually("a report", || self.reports.try_recv().ok())
    }

    pub fn chunks(&self) -> u32 {
        chunks(self.content.len() as u64)
    }

    /// The bytes of a chunk.
    pub fn data(&self, chunk: u32) -> Vec<u8> {
        let size = self.content.len() as u64;
        let start = (u64::from(chunk) * chunk_size(size)) as usize;
        self.content[start..start + chunk_len(size, chunk) as usize].to_vec()
    }

    /// The proof that goes with a chunk, section 5.5.
    pub fn proof(&self, chunk: u32) -> Proof {
        let first = chunk / 16 * 16;
        self.manifest.prove(first, (self.chunks() - first).min(16))
    }
}

/// A LOCATED with one holder of a file.
fn located(hash: Hash, size: u64, peer: [u8; 16], port: u16) -> Body {
    let holder = Body::new().raw(&peer).text("scripted").text("127.0.0.1").u16(port);
    let holder = holder.u32(chunks(size)).u16(0).u16(0).u8(1);
    let variant = Body::new().text(NAME).raw(&hash).u64(size).u64(size).u32(chunks(size));
    let variant = variant.u32(1).u32(0).u8(1).u8(1).u64(0).list(&[holder]);
    Body::new().list(&[variant]).list(&[])
}

/// A tracker's side of one connection: it takes everything, and says the same to every question.
fn track(stream: TcpStream, located: &Body, told: &Sender<Report>) {
    let (mut client, theirs) = Client::welcome(stream, &Hello::new(TRACKER));
    assert_eq!(theirs.role, MEMBER);
    while let Some(Frame { id, request, body }) = client.try_read() {
        let (answer, fields) = match id {
            id::REGISTER => (id::REGISTERED, Body::new().u32(30_000).u64(1)),
            id::LOCATE => (id::LOCATED, located.clone()),
            id::PING => (id::PONG, Body::new()),
            _ => (id::OK, Body::new()),
        };
        if id == id::REPORT {
            let mut fields = crate::client::Fields(&body);
            fields.peer();
            let _ = told.send((fields.hash(), fields.u32(), fields.u8()));
        }
        client.send(&frame(answer, request, &fields));
    }
}

/// A request for one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub request: u32,
    pub chunk: u32,
}

/// The serving side of one connection of an asker.
#[derive(Debug)]
pub struct Serving<'a> {
    stage: &'a Stage,
    pub client: Client,
    /// Where the asker listens.
    pub listen_port: u16,
    waiting: VecDeque<Ask>,
    /// The chunks of which it was told that they were wrong.
    pub wrong: Vec<u32>,
    /// The code of the ERROR with which the asker ended the connection.
    pub error: Option<u16>,
    /// The answers that came to requests of this side.
    pub answers: Vec<(u8, u32)>,
}

impl<'a> Serving<'a> {
    fn new(stage: &'a Stage, client: Client, listen_port: u16) -> Serving<'a> {
        let (waiting, wrong, answers) = (VecDeque::new(), Vec::new(), Vec::new());
        Serving { stage, client, listen_port, waiting, wrong, error: None, answers }
    }

    pub fn send(&mut self, id: u8, request: u32, body: &Body) {
        self.client.send(&frame(id, request, body));
    }

    /// Waits for OPEN; the number of the GET_LOAD before it, if there was one, and of the OPEN.
    #[track_caller]
    pub fn hear_open(&mut self) -> (Option<u32>, u32) {
        let mut load = None;
        loop {
            let heard = self.client.read();
            match heard.id {
                id::GET_LOAD => load = Some(heard.request),
                id::OPEN => {
                    heard.fields(|fields| {
                        assert_eq!((fields.u16(), fields.hash(), fields.u8()), (0, self.stage.id, 0));
                    });
                    return (load, heard.request);
                }
                other => self.answers.push((other, heard.request)),
            }
        }
    }

    /// Says that all is here, in answer to OPEN.
    pub fn opened(&mut self, request: u32) {
        let (size, chunks) = (self.stage.content.len() as u64, self.stage.chunks());
        self.send(id::OPENED, request, &Body::new().u64(size).u32(chunks).u8(1).u8(0));
    }

    /// Answers OPEN as a server does that has all.
    #[track_caller]
    pub fn open(&mut self) {
        let (load, open) = self.hear_open();
        if let Some(load) = load {
            self.load(load);
        }
        self.opened(open);
    }

    fn load(&mut self, request: u32) {
        self.send(id::LOAD, request, &Body::new().u16(0).u16(0).u32(0).u64(0));
    }

    /// The next request for a chunk by number; none once the asker has left.
    #[track_caller]
    pub fn next(&mut self) -> Option<Ask> {
        while self.waiting.is_empty() {
            let Frame { id, request, body } = self.client.try_read()?;
            let mut fields = crate::client::Fields(&body);
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
                    return None;
                }
                id::CANCEL | id::ASKER_HAVE => {}
                other => self.answers.push((other, request)),
            }
        }
        self.waiting.pop_front()
    }

    pub fn refuse(&mut self, request: u32, reason: u8) {
        self.send(id::REFUSED, request, &Body::new().u8(reason));
    }

    /// Tells of a chunk.
    pub fn have(&mut self, slot: u16, chunk: u32) {
        self.send(id::SERVER_HAVE, 0, &Body::new().u16(slot).ranges(&[(chunk, 1)]));
    }

    pub fn chunk(&mut self, request: u32, index: u32, proof: &Proof, data: &[u8]) {
        self.send(id::CHUNK, request, &Body::new().u32(index).raw(&proof.body().0).raw(data));
    }

    /// Gives what was asked for.
    pub fn give(&mut self, ask: Ask) {
        let (proof, data) = (self.stage.proof(ask.chunk), self.stage.data(ask.chunk));
        self.chunk(ask.request, ask.chunk, &proof, &data);
    }

    /// Gives all that is asked for, until the asker leaves.
    #[track_caller]
    pub fn give_all(&mut self) {
        while let Some(ask) = self.next() {
            self.give(ask);
        }
    }
}
