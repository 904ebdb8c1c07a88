//! A client of its own: bytes in, bytes out, written from `docs/PROTOCOL.md` and nothing else.
//!
//! It uses no part of the library, so that a mistake made there is not made here as well.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::support::DEADLINE;

pub const PREFACE: [u8; 8] = *b"p2p/\x00\x01\x00\x00";
pub const MAX_HELLO_FRAME_BYTES: usize = 2048;
pub const MAX_FRAME_BYTES: usize = 1 << 20;
pub const ANY_CHUNK: u32 = u32::MAX;

pub const ASK: u8 = 1;
pub const SERVE: u8 = 2;
pub const MEMBER: u8 = 3;
pub const TRACKER: u8 = 4;

/// Message ids, section 8.
pub mod id {
    pub const HELLO: u8 = 0x01;
    pub const ERROR: u8 = 0x02;
    pub const PING: u8 = 0x03;
    pub const PONG: u8 = 0x04;
    pub const LEAVE: u8 = 0x05;
    pub const OK: u8 = 0x06;
    pub const REGISTER: u8 = 0x10;
    pub const UPDATE: u8 = 0x11;
    pub const TRACKER_HAVE: u8 = 0x12;
    pub const LOCATE: u8 = 0x13;
    pub const LIST: u8 = 0x14;
    pub const HEARTBEAT: u8 = 0x15;
    pub const REPORT: u8 = 0x16;
    pub const GET_STATUS: u8 = 0x17;
    pub const GET_PEERS: u8 = 0x18;
    pub const REGISTERED: u8 = 0x30;
    pub const LOCATED: u8 = 0x31;
    pub const LISTING: u8 = 0x32;
    pub const STATUS: u8 = 0x33;
    pub const PEERS: u8 = 0x34;
    pub const OPEN: u8 = 0x50;
    pub const CLOSE: u8 = 0x51;
    pub const GET_MANIFEST: u8 = 0x52;
    pub const GET_CHUNK: u8 = 0x53;
    pub const CANCEL: u8 = 0x54;
    pub const GET_LOAD: u8 = 0x55;
    pub const ASKER_HAVE: u8 = 0x56;
    pub const CORRUPT: u8 = 0x57;
    pub const WANT: u8 = 0x58;
    pub const OPENED: u8 = 0x70;
    pub const MANIFEST: u8 = 0x71;
    pub const CHUNK: u8 = 0x72;
    pub const REFUSED: u8 = 0x73;
    pub const LOAD: u8 = 0x74;
    pub const SERVER_HAVE: u8 = 0x75;
}

/// Error codes, section 11.
pub mod code {
    pub const BAD_MAGIC: u16 = 1;
    pub const UNSUPPORTED_VERSION: u16 = 2;
    pub const UNSUPPORTED_MODE: u16 = 3;
    pub const UNEXPECTED: u16 = 4;
    pub const MALFORMED: u16 = 5;
    pub const TOO_LARGE: u16 = 6;
    pub const LIMIT: u16 = 7;
    pub const NOT_REGISTERED: u16 = 8;
    pub const BAD_NAME: u16 = 9;
    pub const TIMED_OUT: u16 = 10;
    pub const MYSELF: u16 = 11;
    pub const IN_USE: u16 = 14;
}

/// Refusals, section 9.2.
pub mod refusal {
    pub const NOT_HERE: u8 = 1;
    pub const NOT_YET: u8 = 2;
    pub const GONE: u8 = 3;
    pub const BUSY: u8 = 4;
    pub const CANCELLED: u8 = 5;
    pub const NOTHING_BETTER: u8 = 6;
}

/// Writes the fields of a body, section 2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn new() -> Body {
        Body::default()
    }
    pub fn raw(mut self, bytes: &[u8]) -> Body {
        self.0.extend_from_slice(bytes);
        self
    }
    pub fn u8(self, value: u8) -> Body {
        self.raw(&[value])
    }
    pub fn u16(self, value: u16) -> Body {
        self.raw(&value.to_be_bytes())
    }
    pub fn u32(self, value: u32) -> Body {
        self.raw(&value.to_be_bytes())
    }
    pub fn u64(self, value: u64) -> Body {
        self.raw(&value.to_be_bytes())
    }
    pub fn text(self, text: &str) -> Body {
        self.u16(text.len() as u16).raw(text.as_bytes())
    }
    pub fn list(self, items: &[Body]) -> Body {
        let start = self.u32(items.len() as u32);
        items.iter().fold(start, |body, item| body.raw(&item.0))
    }
    pub fn ranges(self, ranges: &[(u32, u32)]) -> Body {
        let pairs: Vec<Body> =
            ranges.iter().map(|(first, count)| Body::new().u32(*first).u32(*count)).collect();
        self.list(&pairs)
    }
}

/// Reads the fields of a body; fails the test if they are not there.
#[derive(Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn raw(&mut self, len: usize) -> &'a [u8] {
        self.0.split_off(..len).unwrap_or_else(|| panic!("a field of {len} bytes in {:02x?}", self.0))
    }
    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.raw(N).try_into().expect("N bytes")
    }
    pub fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }
    pub fn flag(&mut self) -> bool {
        match self.u8() {
            0 => false,
            1 => true,
            other => panic!("{other} is no flag"),
        }
    }
    pub fn hash(&mut self) -> [u8; 32] {
        self.array()
    }
    pub fn peer(&mut self) -> [u8; 16] {
        self.array()
    }
    pub fn text(&mut self) -> &'a str {
        let len = usize::from(self.u16());
        std::str::from_utf8(self.raw(len)).expect("UTF-8")
    }
    pub fn list<T>(&mut self, most: usize, mut item: impl FnMut(&mut Fields<'a>) -> T) -> Vec<T> {
        let count = self.u32() as usize;
        assert!(count <= most, "a list of {count}");
        (0..count).map(|_| item(self)).collect()
    }
    /// Fails the test if bytes are left over.
    pub fn end(self) {
        assert!(self.0.is_empty(), "{:02x?} is left over", self.0);
    }
}

/// A frame that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub id: u8,
    pub request: u32,
    pub body: Vec<u8>,
}

impl Frame {
    /// Reads the body to its end.
    pub fn fields<T>(&self, read: impl FnOnce(&mut Fields<'_>) -> T) -> T {
        let mut fields = Fields(&self.body);
        let value = read(&mut fields);
        fields.end();
        value
    }

    /// The code of an ERROR.
    #[track_caller]
    pub fn error(&self) -> u16 {
        assert_eq!(self.id, id::ERROR, "{self:02x?}");
        self.fields(|fields| {
            let code = fields.u16();
            assert!(fields.text().len() <= 1024);
            code
        })
    }

    /// The reason of a REFUSED.
    #[track_caller]
    pub fn refusal(&self) -> u8 {
        assert_eq!(self.id, id::REFUSED, "{self:02x?}");
        self.fields(|fields| fields.u8())
    }
}

/// The bytes of a frame.
pub fn frame(id: u8, request: u32, body: &Body) -> Vec<u8> {
    Body::new().u32(5 + body.0.len() as u32).u8(id).u32(request).raw(&body.0).0
}

/// What HELLO says.
#[derive(Debug, Clone)]
pub struct Hello {
    pub versions: (u16, u16),
    pub features: u64,
    pub role: u8,
    pub peer: [u8; 16],
    pub listen_port: u16,
    pub name: String,
}

impl Hello {
    /// A HELLO of somebody never seen before.
    pub fn new(role: u8) -> Hello {
        let peer = std::array::from_fn(|_| fastrand::u8(..));
        Hello { versions: (1, 1), features: 0, role, peer, listen_port: 0, name: "conformance".to_owned() }
    }

    pub fn body(&self) -> Body {
        Body::new()
            .u16(self.versions.0)
            .u16(self.versions.1)
            .u64(self.features)
            .u8(self.role)
            .raw(&self.peer)
            .u16(self.listen_port)
            .text(&self.name)
            .text("conformance/1")
    }

    pub fn frame(&self) -> Vec<u8> {
        frame(id::HELLO, 1, &self.body())
    }

    fn read(answer: &Frame) -> Hello {
        assert_eq!((answer.id, answer.request), (id::HELLO, 1), "{answer:02x?}");
        answer.fields(|fields| {
            let versions = (fields.u16(), fields.u16());
            let (features, role, peer) = (fields.u64(), fields.u8(), fields.peer());
            let listen_port = fields.u16();
            let name = fields.text().to_owned();
            assert!(name.len() <= 255 && fields.text().len() <= 255);
            Hello { versions, features, role, peer, listen_port, name }
        })
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    next_request: u32,
}

impl Client {
    /// Dials, and says nothing yet.
    #[track_caller]
    pub fn dial(target: &str) -> Client {
        Client::of(TcpStream::connect(target).unwrap_or_else(|error| panic!("{target}: {error}")))
    }

    fn of(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("an open socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("an open socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("an open socket");
        Client { stream, next_request: 2 }
    }

    /// Dials, and shakes hands.
    #[track_caller]
    pub fn greet(target: &str, hello: &Hello) -> (Client, Hello) {
        let mut client = Client::dial(target);
        client.send(&[&PREFACE[..], &hello.frame()].concat());
        let theirs = client.hear_hello();
        (client, theirs)
    }

    /// Takes a connection, and shakes hands: what the dialler said.
    #[track_caller]
    pub fn welcome(stream: TcpStream, hello: &Hello) -> (Client, Hello) {
        let mut client = Client::of(stream);
        let theirs = client.hear_hello();
        client.send(&[&PREFACE[..], &hello.frame()].concat());
        (client, theirs)
    }

    /// The other side's preface and HELLO.
    #[track_caller]
    pub fn hear_hello(&mut self) -> Hello {
        self.hear_preface();
        let hello = Hello::read(&self.read());
        assert!(hello.versions.0 <= 1 && hello.versions.1 >= 1, "{hello:?}");
        hello
    }

    #[track_caller]
    pub fn hear_preface(&mut self) {
        let mut preface = [0; 8];
        self.stream.read_exact(&mut preface).expect("a preface");
        assert_eq!(preface, PREFACE);
    }

    /// Sends bytes. The other side may have closed already: what it said is then still to be read.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            Err(error) => panic!("cannot send: {error}"),
        }
    }

    /// Sends bytes one by one.
    pub fn trickle(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.send(&[*byte]));
    }

    /// A second handle of the connection, to send with while this one reads.
    pub fn second(&self) -> Client {
        Client { stream: self.stream.try_clone().expect("a handle"), next_request: 0 }
    }

    /// Ends sending, and goes on reading.
    pub fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next frame.
    #[track_caller]
    pub fn read(&mut self) -> Frame {
        self.try_read().expect("a frame, not the end of the connection")
    }

    /// The next frame, or the end of the connection.
    #[track_caller]
    pub fn try_read(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        match self.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return None;
            }
            Err(error) => panic!("nothing to read: {error}"),
        }
        let mut fields = Fields(&header);
        let (length, id, request) = (fields.u32() as usize, fields.u8(), fields.u32());
        let most = if id == id::CHUNK { 5 + 11 + 32 * (4096 + 20) + (16 << 20) } else { MAX_FRAME_BYTES };
        assert!((5..=most).contains(&length), "a frame of {length} bytes");
        let mut body = vec![0; length - 5];
        self.stream.read_exact(&mut body).expect("a whole frame");
        Some(Frame { id, request, body })
    }

    /// Sends a request, and returns its number.
    pub fn request(&mut self, id: u8, body: &Body) -> u32 {
        let request = self.next_request;
        self.next_request += 1;
        self.send(&frame(id, request, body));
        request
    }

    /// Numbers for `count` more requests: the first of them.
    pub fn take_numbers(&mut self, count: u32) -> u32 {
        let first = self.next_request;
        self.next_request += count;
        first
    }

    /// Sends a request, and returns the body of its answer, which must be of this kind.
    #[track_caller]
    pub fn call(&mut self, id: u8, body: &Body, answer: u8) -> Frame {
        let frame = self.ask(id, body);
        assert_eq!(frame.id, answer, "the answer to {id:02x}: {frame:02x?}");
        frame
    }

    /// Sends a request, and returns its answer, whatever it is. Notices are passed over.
    #[track_caller]
    pub fn ask(&mut self, id: u8, body: &Body) -> Frame {
        let request = self.request(id, body);
        self.answer_to(request)
    }

    /// The next frame that is no HAVE notice; it must be the answer to this request.
    #[track_caller]
    pub fn answer_to(&mut self, request: u32) -> Frame {
        let frame = self.answer();
        assert_eq!(frame.request, request, "{frame:02x?}");
        frame
    }

    /// The next frame that is no HAVE notice.
    #[track_caller]
    pub fn answer(&mut self) -> Frame {
        loop {
            let frame = self.read();
            if (frame.id, frame.request) != (id::SERVER_HAVE, 0) {
                return frame;
            }
        }
    }

    /// Shows that the connection goes on.
    #[track_caller]
    pub fn is_alive(&mut self) {
        self.call(id::PING, &Body::new(), id::PONG);
    }

    /// The last frame is an ERROR with this code and number 0, and then the connection ends. Answers to
    /// requests before it are passed over.
    #[track_caller]
    pub fn ends_with(mut self, code: u16) {
        loop {
            let frame = self.read();
            if frame.id == id::ERROR && frame.request == 0 {
                assert_eq!(frame.error(), code, "{}", String::from_utf8_lossy(&frame.body));
                return self.has_ended();
            }
        }
    }

    /// The preface and an ERROR with this code, whatever its number, and then the connection ends.
    #[track_caller]
    pub fn turned_away(mut self, code: u16) {
        self.hear_preface();
        let frame = self.read();
        assert_eq!(frame.error(), code, "{}", String::from_utf8_lossy(&frame.body));
        self.has_ended();
    }

    /// Nothing comes any more.
    #[track_caller]
    pub fn has_ended(mut self) {
        assert_eq!(self.try_read(), None);
    }
}
