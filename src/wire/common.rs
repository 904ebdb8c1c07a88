//! The messages that any side may send.

use bytes::{Bytes, BytesMut};

use super::codes::{ErrorCode, Role};
use super::field::{Cursor, DecodeError, Field, Label, Text};
use super::limits::MAX_DETAIL_BYTES;
use super::macros::layout;
use super::message::Message;
use crate::content::PeerId;

/// Ids below this one are [`Common`], whatever the direction.
pub(super) const FIRST_DIRECTED_ID: u8 = 0x10;

const HELLO: u8 = 0x01;
const ERROR: u8 = 0x02;
const PING: u8 = 0x03;
const PONG: u8 = 0x04;
const LEAVE: u8 = 0x05;
const OK: u8 = 0x06;

layout! {
    /// The first message of either side.
    Hello {
        /// The oldest protocol version spoken.
        min_version: u16,
        /// The newest protocol version spoken.
        max_version: u16,
        /// Feature bits; unknown bits are ignored.
        features: u64,
        /// The part this side plays.
        role: Role,
        /// Who speaks.
        peer: PeerId,
        /// Where this side accepts connections; 0 if nowhere.
        listen_port: u16,
        /// Its name.
        name: Label,
        /// Program and version.
        software: Label,
    }
}

layout! {
    /// Something was wrong; with request 0, or before the connection closes, with the whole connection.
    Problem {
        /// What was wrong.
        code: ErrorCode,
        /// For people.
        detail: Text<MAX_DETAIL_BYTES>,
    }
}

/// A message that both sides of any connection may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Common {
    /// The first message of either side.
    Hello(Hello),
    /// Something was wrong.
    Error(Problem),
    /// Answered with PONG, to measure the round trip and to show life.
    Ping,
    /// The answer to PING.
    Pong,
    /// The sender is going away; answered with OK, then both close.
    Leave,
    /// Done; the answer to requests that have nothing else to say.
    Ok,
}

impl Common {
    /// Id and name of every common message.
    pub const TABLE: &[(u8, &'static str)] =
        &[(HELLO, "HELLO"), (ERROR, "ERROR"), (PING, "PING"), (PONG, "PONG"), (LEAVE, "LEAVE"), (OK, "OK")];

    /// An ERROR with these words, cut to what fits.
    pub fn error(code: ErrorCode, detail: impl Into<String>) -> Common {
        Common::Error(Problem { code, detail: Text::new(detail) })
    }
}

impl From<Hello> for Common {
    fn from(hello: Hello) -> Common {
        Common::Hello(hello)
    }
}

impl Message for Common {
    fn id(&self) -> u8 {
        match self {
            Common::Hello(_) => HELLO,
            Common::Error(_) => ERROR,
            Common::Ping => PING,
            Common::Pong => PONG,
            Common::Leave => LEAVE,
            Common::Ok => OK,
        }
    }

    fn label(&self) -> &'static str {
        let row = Common::TABLE.iter().find(|(id, _)| *id == self.id());
        row.map_or("?", |(_, label)| label)
    }

    fn put_body(&self, out: &mut BytesMut) {
        match self {
            Common::Hello(hello) => hello.put(out),
            Common::Error(error) => error.put(out),
            Common::Ping | Common::Pong | Common::Leave | Common::Ok => {}
        }
    }

    fn decode(id: u8, body: Bytes) -> Result<Common, DecodeError> {
        let mut from = Cursor::new(body);
        let message = match id {
            HELLO => Common::Hello(Hello::take(&mut from)?),
            ERROR => Common::Error(Problem::take(&mut from)?),
            PING => Common::Ping,
            PONG => Common::Pong,
            LEAVE => Common::Leave,
            OK => Common::Ok,
            unknown => return Err(DecodeError::UnknownMessage(unknown)),
        };
        from.finish()?;
        Ok(message)
    }
}
