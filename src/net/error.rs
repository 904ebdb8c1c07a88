//! Why a connection is of no use any more, and what the other side is told of it.

use std::io;

use super::secure::{Broken, SecureError};
use crate::content::shown;
use crate::threads::Panicked;
use crate::wire::{self, Common, ErrorCode, FrameError, PrefaceError, Role, limits};

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The other side closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// Nothing came in time.
    #[error("no answer came in time")]
    TimedOut,
    /// The socket failed.
    #[error("{0}")]
    Io(io::Error),
    /// The bytes are not frames.
    #[error("{0}")]
    Frame(FrameError),
    /// A frame is not a message.
    #[error("{0}")]
    Decode(#[from] wire::DecodeError),
    /// The preface is not ours.
    #[error("{0}")]
    Preface(#[from] PrefaceError),
    /// The dialler speaks plain, and this side does not.
    #[error("this swarm is closed; `p2p join LINK` joins it, with a link from who runs it")]
    SwarmIsClosed,
    /// The dialler does not speak plain, and this side does nothing else.
    #[error("this swarm is open and speaks plain; `--open` joins it")]
    SwarmIsOpen,
    /// The handshake failed, or what is behind it.
    #[error("{0}")]
    Secure(#[from] SecureError),
    /// No version in common: theirs.
    #[error("the other side speaks protocol versions {0} to {1}, this one {min} to {max}", min = limits::MIN_VERSION, max = limits::MAX_VERSION)]
    Version(u16, u16),
    /// The message is not allowed now.
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    /// The other side plays another part than the one dialled for.
    #[error("the other side is not a {}", .0.label())]
    Role(Role),
    /// The other side said ERROR.
    #[error("the other side says {code}: {}", shown(detail))]
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        detail: String,
    },
    /// Both ends are the same peer.
    #[error("the other side is this very peer")]
    Myself,
    /// This side has a fault, which has been told.
    #[error("an internal error ended it: {0}")]
    Panicked(Panicked),
}

impl From<io::Error> for NetError {
    fn from(error: io::Error) -> NetError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => NetError::TimedOut,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                NetError::Closed
            }
            _ => NetError::Io(error),
        }
    }
}

impl From<Broken> for NetError {
    fn from(broken: Broken) -> NetError {
        NetError::Secure(broken.into())
    }
}

impl From<FrameError> for NetError {
    fn from(error: FrameError) -> NetError {
        match error {
            FrameError::Io(error) => error.into(),
            other => NetError::Frame(other),
        }
    }
}

impl From<wire::Problem> for NetError {
    fn from(error: wire::Problem) -> NetError {
        NetError::Refused { code: error.code, detail: error.detail.into_string() }
    }
}

impl NetError {
    /// True if the other side says that it does not know the key that it was dialled with.
    pub(crate) fn lacks_the_key(&self) -> bool {
        matches!(self, NetError::Refused { code: ErrorCode::UnknownSwarm, .. })
    }

    /// The code with which the other side is told, if it should be.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            NetError::Frame(FrameError::TooLarge { .. }) => Some(ErrorCode::TooLarge),
            NetError::Frame(_) => Some(ErrorCode::Malformed),
            NetError::Decode(wire::DecodeError::UnknownMessage(_))
            | NetError::Unexpected(_)
            | NetError::Role(_) => Some(ErrorCode::Unexpected),
            NetError::Decode(_) => Some(ErrorCode::Malformed),
            NetError::Preface(PrefaceError::Magic) => Some(ErrorCode::BadMagic),
            NetError::Preface(PrefaceError::Version(_)) | NetError::Version(..) => {
                Some(ErrorCode::UnsupportedVersion)
            }
            NetError::Preface(PrefaceError::Mode(_)) | NetError::SwarmIsClosed | NetError::SwarmIsOpen => {
                Some(ErrorCode::UnsupportedMode)
            }
            NetError::Secure(SecureError::UnknownSwarm) => Some(ErrorCode::UnknownSwarm),
            NetError::Secure(SecureError::Impostor) => Some(ErrorCode::Impostor),
            NetError::Secure(SecureError::Revoked) => Some(ErrorCode::Revoked),
            NetError::TimedOut => Some(ErrorCode::TimedOut),
            NetError::Myself => Some(ErrorCode::Myself),
            // Whoever changes what is sealed learns nothing of what was made of it.
            NetError::Secure(SecureError::Handshake | SecureError::Record(_)) => None,
            NetError::Closed | NetError::Io(_) | NetError::Refused { .. } | NetError::Panicked(_) => None,
        }
    }

    /// The message that tells the other side, if it should be told.
    pub(super) fn to_message(&self) -> Option<Common> {
        let words = match self {
            // It is the other side that hears this.
            NetError::Secure(SecureError::Revoked) => "this key was put out of the swarm".to_owned(),
            _ => self.to_string(),
        };
        self.code().map(|code| Common::error(code, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DecodeError;

    #[test]
    fn the_other_side_is_told_what_it_did_and_no_more() {
        for (error, code) in [
            (NetError::Frame(FrameError::TooLarge { got: 9, limit: 8 }), Some(ErrorCode::TooLarge)),
            (NetError::Decode(DecodeError::Truncated), Some(ErrorCode::Malformed)),
            (NetError::Decode(DecodeError::UnknownMessage(200)), Some(ErrorCode::Unexpected)),
            (NetError::Unexpected("HELLO"), Some(ErrorCode::Unexpected)),
            (NetError::Role(Role::Tracker), Some(ErrorCode::Unexpected)),
            (NetError::Preface(PrefaceError::Magic), Some(ErrorCode::BadMagic)),
            (NetError::Preface(PrefaceError::Version(2)), Some(ErrorCode::UnsupportedVersion)),
            (NetError::Version(8, 9), Some(ErrorCode::UnsupportedVersion)),
            (NetError::Preface(PrefaceError::Mode(9)), Some(ErrorCode::UnsupportedMode)),
            (NetError::SwarmIsClosed, Some(ErrorCode::UnsupportedMode)),
            (NetError::SwarmIsOpen, Some(ErrorCode::UnsupportedMode)),
            (NetError::Secure(SecureError::UnknownSwarm), Some(ErrorCode::UnknownSwarm)),
            (NetError::Secure(SecureError::Impostor), Some(ErrorCode::Impostor)),
            (NetError::Secure(SecureError::Revoked), Some(ErrorCode::Revoked)),
            (NetError::TimedOut, Some(ErrorCode::TimedOut)),
            (NetError::Myself, Some(ErrorCode::Myself)),
            (NetError::Secure(SecureError::Handshake), None),
            (NetError::Closed, None),
            (NetError::Io(io::ErrorKind::Other.into()), None),
            (NetError::Refused { code: ErrorCode::Malformed, detail: String::new() }, None),
        ] {
            assert_eq!(error.code(), code, "{error:?}");
            assert_eq!(error.to_message().is_some(), code.is_some(), "{error:?}");
        }
    }

    #[test]
    fn who_was_put_out_hears_that_of_itself() {
        let told = |error: NetError| match error.to_message() {
            Some(Common::Error(problem)) => problem.detail.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(NetError::Secure(SecureError::Revoked)), "this key was put out of the swarm");
        assert_eq!(told(NetError::Version(8, 9)), NetError::Version(8, 9).to_string());
    }

    #[test]
    fn how_a_socket_ends_is_silence_or_an_end_or_a_fault() {
        let met = |kind: io::ErrorKind| NetError::from(io::Error::from(kind));
        for late in [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut] {
            assert!(matches!(met(late), NetError::TimedOut), "{late}");
        }
        for end in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe] {
            assert!(matches!(met(end), NetError::Closed), "{end}");
        }
        assert!(matches!(met(io::ErrorKind::ConnectionRefused), NetError::Io(_)));
        let within_a_frame = FrameError::Io(io::ErrorKind::ConnectionReset.into());
        assert!(matches!(NetError::from(within_a_frame), NetError::Closed));
    }

    #[test]
    fn words_of_the_other_side_do_no_more_than_be_read() {
        let detail = "red\u{1b}[31m\nand a line".to_owned();
        let said = NetError::Refused { code: ErrorCode::Malformed, detail }.to_string();
        assert!(!said.contains(char::is_control), "{said:?}");
    }
}
