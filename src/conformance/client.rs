//! A client of its own: bytes in, bytes out, written from `docs/PROTOCOL.md` and nothing else.
//!
//! It uses no part of `wire` or `net`, so that a mistake made there is not made here as well.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::check::{Checked, Fault, holds, same};
use super::fields::{Body, Fields};
use super::numbers::{MAX_FRAME_BYTES, PREFACE, code, id};

/// How long the other side may take for anything, unless somebody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A frame that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message id.
    pub id: u8,
    /// The request number.
    pub request: u32,
    /// The fields.
    pub body: Vec<u8>,
}

impl Frame {
    /// Reads the body to its end.
    ///
    /// # Errors
    /// The fields are not as the document has them.
    pub fn fields<T>(&self, read: impl FnOnce(&mut Fields<'_>) -> T) -> Checked<T> {
        let mut fields = Fields::new(&self.body);
        let value = read(&mut fields);
        fields.end()?;
        Ok(value)
    }

    /// What it is, for people.
    fn label(&self) -> String {
        match self.id {
            id::ERROR => {
                let mut fields = Fields::new(&self.body);
                format!("ERROR {} {:?}, number {}", code::name(fields.u16()), fields.text(), self.request)
            }
            other => format!("{}, number {}, {:02x?}", id::name(other), self.request, self.body),
        }
    }

    /// It is of this kind.
    fn is(&self, kind: u8) -> Checked {
        match self.id == kind {
            true => Ok(()),
            false => Err(Fault::new(id::name(kind), self.label())),
        }
    }

    /// The code of an ERROR.
    ///
    /// # Errors
    /// It is none.
    pub fn error(&self) -> Checked<u16> {
        self.is(id::ERROR)?;
        let (code, words) = self.fields(|fields| (fields.u16(), fields.text().len()))?;
        holds!(words <= 1024, "a detail of at most 1024 bytes");
        Ok(code)
    }

    /// The reason of a REFUSED.
    ///
    /// # Errors
    /// It is none.
    pub fn refusal(&self) -> Checked<u8> {
        self.is(id::REFUSED)?;
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
    /// The oldest and the newest version spoken.
    pub versions: (u16, u16),
    /// Feature bits.
    pub features: u64,
    /// The role.
    pub role: u8,
    /// The peer id.
    pub peer: [u8; 16],
    /// The port on which it listens.
    pub listen_port: u16,
    /// The name.
    pub name: String,
}

impl Hello {
    /// A HELLO of somebody never seen before.
    pub fn new(role: u8) -> Hello {
        let peer = std::array::from_fn(|_| fastrand::u8(..));
        Hello { versions: (1, 1), features: 0, role, peer, listen_port: 0, name: "conformance".to_owned() }
    }

    pub(super) fn body(&self) -> Body {
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

    /// Its frame.
    pub fn frame(&self) -> Vec<u8> {
        frame(id::HELLO, 1, &self.body())
    }

    fn read(answer: &Frame) -> Checked<Hello> {
        answer.is(id::HELLO)?;
        same!(answer.request, 1, "HELLO with the number");
        let (hello, software) = answer.fields(|fields| {
            let versions = (fields.u16(), fields.u16());
            let (features, role, peer) = (fields.u64(), fields.u8(), fields.peer());
            let (listen_port, name) = (fields.u16(), fields.text().to_owned());
            (Hello { versions, features, role, peer, listen_port, name }, fields.text().len())
        })?;
        holds!(hello.name.len() <= 255 && software <= 255, "names of at most 255 bytes in HELLO");
        Ok(hello)
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
    ///
    /// # Errors
    /// Nobody listens.
    pub fn dial(target: &str) -> Checked<Client> {
        Client::dial_within(target, PATIENCE)
    }

    pub(super) fn dial_within(target: &str, patience: Duration) -> Checked<Client> {
        let stream = TcpStream::connect(target);
        let stream =
            stream.map_err(|error| Fault::new(format!("somebody who listens on {target}"), words(&error)))?;
        Client::of(stream, patience)
    }

    fn of(stream: TcpStream, patience: Duration) -> Checked<Client> {
        let set = stream.set_nodelay(true);
        let set = set.and_then(|()| stream.set_read_timeout(Some(patience)));
        let set = set.and_then(|()| stream.set_write_timeout(Some(patience)));
        set.map_err(|error| Fault::new("an open socket", words(&error)))?;
        Ok(Client { stream, next_request: 2 })
    }

    /// The bare socket.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Dials, and shakes hands: this connection, and what the other side said.
    ///
    /// # Errors
    /// Its preface or HELLO is not what it should be.
    pub fn greet(target: &str, hello: &Hello) -> Checked<(Client, Hello)> {
        Client::dial(target)?.shake(hello)
    }

    pub(super) fn shake(mut self, hello: &Hello) -> Checked<(Client, Hello)> {
        self.send(&[&PREFACE[..], &hello.frame()].concat());
        let theirs = self.hear_hello()?;
        Ok((self, theirs))
    }

    /// Takes a connection, and shakes hands: what the dialler said.
    ///
    /// # Errors
    /// Its preface or HELLO is not what it should be.
    pub fn welcome(stream: TcpStream, hello: &Hello, patience: Duration) -> Checked<(Client, Hello)> {
        let mut client = Client::of(stream, patience)?;
        let theirs = client.hear_hello()?;
        client.send(&[&PREFACE[..], &hello.frame()].concat());
        Ok((client, theirs))
    }

    /// The other side's preface and HELLO.
    ///
    /// # Errors
    /// They are not what they should be.
    pub fn hear_hello(&mut self) -> Checked<Hello> {
        self.hear_preface()?;
        let hello = Hello::read(&self.read()?)?;
        holds!(hello.versions.0 <= 1 && hello.versions.1 >= 1, "a HELLO that speaks version 1: {hello:?}");
        Ok(hello)
    }

    pub(super) fn hear_preface(&mut self) -> Checked {
        let mut preface = [0; 8];
        let heard = self.stream.read_exact(&mut preface);
        heard.map_err(|error| Fault::new("a preface", words(&error)))?;
        same!(preface, PREFACE, "the preface");
        Ok(())
    }

    /// Sends bytes. The other side may have closed already, or have stopped to read: what it says, or that it says
    /// nothing, tells.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends bytes one by one.
    pub(super) fn trickle(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.send(&[*byte]));
    }

    /// A second handle of the connection, to send with while this one reads.
    pub(super) fn second(&self) -> Checked<Client> {
        let stream = self.stream.try_clone().map_err(|error| Fault::new("a second handle", words(&error)))?;
        Ok(Client { stream, next_request: 0 })
    }

    /// Ends sending, and goes on reading.
    pub fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next frame.
    ///
    /// # Errors
    /// The connection ends, or nothing comes.
    pub fn read(&mut self) -> Checked<Frame> {
        self.try_read()?.ok_or_else(|| Fault::new("a frame", "the end of the connection"))
    }

    /// The next frame, or the end of the connection.
    ///
    /// # Errors
    /// Nothing comes, or no frame.
    pub fn try_read(&mut self) -> Checked<Option<Frame>> {
        let mut header = [0; 9];
        let (first, rest) = header.split_at_mut(1);
        match self.stream.read_exact(first) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return Ok(None);
            }
            Err(error) => return Err(Fault::new("a frame, or the end of the connection", words(&error))),
        }
        let whole = self.stream.read_exact(rest);
        whole.map_err(|error| Fault::new("a whole frame", words(&error)))?;
        let mut fields = Fields::new(&header);
        let (length, id, request) = (fields.u32() as usize, fields.u8(), fields.u32());
        let most = if id == id::CHUNK { 5 + 11 + 32 * (4096 + 20) + (16 << 20) } else { MAX_FRAME_BYTES };
        holds!((5..=most).contains(&length), "a frame of 5 to {most} bytes, and not of {length}");
        let mut body = vec![0; length - 5];
        let whole = self.stream.read_exact(&mut body);
        whole.map_err(|error| Fault::new("a whole frame", words(&error)))?;
        Ok(Some(Frame { id, request, body }))
    }

    /// Sends a request, and returns its number.
    pub fn request(&mut self, id: u8, body: &Body) -> u32 {
        let request = self.next_request;
        self.next_request += 1;
        self.send(&frame(id, request, body));
        request
    }

    /// Numbers for `count` more requests: the first of them.
    pub(super) fn take_numbers(&mut self, count: u32) -> u32 {
        let first = self.next_request;
        self.next_request += count;
        first
    }

    /// Sends a request, and returns its answer, which must be of this kind.
    ///
    /// # Errors
    /// It is of another kind, or does not come.
    pub fn call(&mut self, id: u8, body: &Body, answer: u8) -> Checked<Frame> {
        let frame = self.ask(id, body)?;
        let expected = format!("{} in answer to {}", id::name(answer), id::name(id));
        if frame.id == answer { Ok(frame) } else { Err(Fault::new(expected, frame.label())) }
    }

    /// Sends a request, and returns its answer, whatever it is. Notices are passed over.
    ///
    /// # Errors
    /// None comes.
    pub fn ask(&mut self, id: u8, body: &Body) -> Checked<Frame> {
        let request = self.request(id, body);
        self.answer_to(request)
    }

    /// The next frame that is no HAVE notice; it must be the answer to this request.
    pub(super) fn answer_to(&mut self, request: u32) -> Checked<Frame> {
        let frame = self.answer()?;
        match frame.request == request {
            true => Ok(frame),
            false => Err(Fault::new(format!("the answer with number {request}"), frame.label())),
        }
    }

    /// The next frame that is no HAVE notice.
    pub(super) fn answer(&mut self) -> Checked<Frame> {
        loop {
            let frame = self.read()?;
            if (frame.id, frame.request) != (id::SERVER_HAVE, 0) {
                return Ok(frame);
            }
        }
    }

    /// Shows that the connection goes on.
    ///
    /// # Errors
    /// It does not.
    pub fn is_alive(&mut self) -> Checked {
        self.call(id::PING, &Body::new(), id::PONG).map(drop)
    }

    /// The last frame is an ERROR with this code and number 0, and then the connection ends. Answers to
    /// requests before it are passed over.
    ///
    /// # Errors
    /// It goes on, or ends otherwise.
    pub fn ends_with(mut self, code: u16) -> Checked {
        loop {
            let frame = self.read().map_err(|fault| match fault {
                Fault::Other { came, .. } => Fault::new(format!("ERROR {}", code::name(code)), came),
                skipped => skipped,
            })?;
            if frame.id == id::ERROR && frame.request == 0 {
                same!(code::name(frame.error()?), code::name(code), "ERROR");
                return self.has_ended();
            }
        }
    }

    /// The preface and an ERROR with this code, whatever its number, and then the connection ends.
    pub(super) fn turned_away(mut self, code: u16) -> Checked {
        self.hear_preface()?;
        same!(code::name(self.read()?.error()?), code::name(code), "ERROR");
        self.has_ended()
    }

    /// Nothing comes any more.
    ///
    /// # Errors
    /// Something does.
    pub fn has_ended(mut self) -> Checked {
        match self.try_read()? {
            None => Ok(()),
            Some(frame) => Err(Fault::new("the end of the connection", frame.label())),
        }
    }
}

/// What an I/O error means here.
fn words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "nothing, for as long as was waited".to_owned(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => "the end of the connection".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A client that hears these bytes, and then the end of the connection.
    fn hears(bytes: &[u8]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::dial(&listener.local_addr().unwrap().to_string()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        other.write_all(bytes).unwrap();
        client
    }

    fn empty(id: u8, request: u32) -> Vec<u8> {
        frame(id, request, &Body::new())
    }

    #[test]
    fn a_frame_is_whole_and_of_a_length_that_may_be_and_part_of_one_is_no_end() {
        let pong = empty(id::PONG, 2);
        let mut client = hears(&pong);
        assert_eq!(client.try_read(), Ok(Some(Frame { id: id::PONG, request: 2, body: vec![] })));
        assert_eq!(client.has_ended(), Ok(()));
        for torn in 1..pong.len() {
            assert!(hears(&pong[..torn]).has_ended().is_err(), "{torn} bytes");
        }
        let error = frame(id::ERROR, 0, &Body::new().u16(code::LIMIT).text("x"));
        assert!(hears(&error[..error.len() - 1]).read().is_err());
        for length in [0, 4, MAX_FRAME_BYTES as u32 + 1] {
            let wrong = Body::new().u32(length).u8(id::PONG).u32(2).0;
            let Err(Fault::Other { expected, .. }) = hears(&wrong).try_read() else { panic!("{length}") };
            assert!(expected.starts_with("a frame of 5 to "), "{expected}");
        }
    }

    #[test]
    fn an_answer_has_its_question_s_number_and_the_fitting_kind() {
        let notice = empty(id::SERVER_HAVE, 0);
        let after_one = hears(&[notice, empty(id::PONG, 7)].concat()).answer_to(7);
        assert_eq!(after_one, Ok(Frame { id: id::PONG, request: 7, body: vec![] }));
        assert!(hears(&empty(id::PONG, 8)).answer_to(7).is_err());
        assert!(hears(&empty(id::PONG, 0)).answer_to(7).is_err(), "no notice, whatever its number");
        assert!(hears(&empty(id::PONG, 2)).is_alive().is_ok());
        assert!(hears(&empty(id::OK, 2)).is_alive().is_err());
    }

    #[test]
    fn a_connection_ends_with_the_error_that_was_to_come_and_with_nothing_behind_it() {
        let error = |number, body: &Body| frame(id::ERROR, number, body);
        let limit = Body::new().u16(code::LIMIT).text("too much");
        let good = error(0, &limit);
        let ends = |parts: &[&[u8]]| hears(&parts.concat()).ends_with(code::LIMIT);
        assert_eq!(ends(&[&good]), Ok(()));
        assert_eq!(ends(&[&empty(id::PONG, 2), &good]), Ok(()), "answers may come before it");
        let longer = error(0, &Body::new().raw(&limit.0).u8(0));
        let wordy = error(0, &Body::new().u16(code::LIMIT).text(&"x".repeat(1025)));
        let other = error(0, &Body::new().u16(code::MALFORMED).text("too much"));
        for bad in [&[][..], &good[..5], &error(2, &limit), &longer, &wordy, &other] {
            assert!(ends(&[bad]).is_err(), "{bad:02x?}");
        }
        assert!(ends(&[&good, &empty(id::PONG, 2)]).is_err());
    }

    #[test]
    fn a_hello_says_what_is_to_be_said_and_nothing_else() {
        let said = |number, body: &Body| [&PREFACE[..], &frame(id::HELLO, number, body)].concat();
        let hello = Hello::new(crate::conformance::MEMBER);
        let heard = hears(&said(1, &hello.body())).hear_hello().unwrap();
        assert_eq!((heard.peer, heard.name), (hello.peer, hello.name.clone()));
        let named = |name: String| Hello { name, ..hello.clone() }.body();
        assert!(hears(&said(1, &named("x".repeat(255)))).hear_hello().is_ok());
        let newer = Hello { versions: (2, 3), ..hello.clone() };
        for (number, body) in [
            (2, hello.body()),
            (1, Body::new().raw(&hello.body().0).u8(0)),
            (1, named("x".repeat(256))),
            (1, newer.body()),
        ] {
            assert!(hears(&said(number, &body)).hear_hello().is_err(), "{number} {:02x?}", body.0);
        }
        let mut other = said(1, &hello.body());
        other[0] ^= 1;
        assert!(hears(&other).hear_hello().is_err(), "another preface");
        assert!(hears(&[&PREFACE[..], &empty(id::PING, 1)].concat()).hear_hello().is_err(), "no HELLO");
    }
}
