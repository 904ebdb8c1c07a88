//! What came of a command of the records.

use bytes::BytesMut;

use crate::wire::{Cursor, DecodeError, Field, Term, limits};

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is published, as the version of this number.
    Published {
        /// The version's number.
        number: u32,
        /// False if it was the latest before.
        fresh: bool,
    },
    /// So many versions are gone.
    Removed(u32),
    /// So many versions were not known.
    Imported(u32),
    /// The term that has begun.
    Started(Term),
    /// Who is a member, or by which keys, has changed.
    Members,
    /// The swarm has another key: the epoch's number.
    Rotated(u32),
    /// A store or node is on record, or as it is to be.
    Noted,
    /// Nothing has changed.
    Refused(Refused),
}

/// Why a command changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The latest version is not the one that was expected.
    #[error("the latest version is {latest}, not the one that was expected")]
    Conflict {
        /// Its number; 0 if there is none.
        latest: u32,
    },
    /// The client has sent a later command.
    #[error("a later command of the same client has been carried out")]
    Late,
    /// There is no such name.
    #[error("nothing is published under this name")]
    NoName,
    /// There is no such version.
    #[error("there is no version {0}")]
    NoVersion(u32),
    /// The name has [`limits::MAX_VERSIONS`].
    #[error("this name has {} versions, more than which there cannot be", limits::MAX_VERSIONS)]
    TooManyVersions,
    /// The records have no room for more.
    #[error("the tracker's records are full")]
    Full,
    /// There is no such store on record.
    #[error("no such store is on record")]
    NoStore,
    /// It is so already, or it is another's, or over.
    #[error("that is another's, or over")]
    Over,
    /// There is no such node that could be forgotten.
    #[error("no such node is lost, or somebody is bringing it back just now")]
    NoLostNode,
    /// This tracker's swarm is open, or has been founded.
    #[error("this swarm is open: it has no members")]
    Open,
    /// The role of who asks does not permit it.
    #[error("only an admin may do that")]
    NotAdmin,
    /// Somebody else has published under the name.
    #[error("somebody else published under this name: only who did, or an admin, may change it")]
    NotYours,
    /// There is no such member.
    #[error("there is no such member")]
    NoMember,
    /// There is no such invite any more.
    #[error("this invite is over: ask for another")]
    NoInvite,
    /// The key was put out of the swarm.
    #[error("this key was put out of the swarm; who may come back joins with a new one")]
    Revoked,
    /// Nobody would be left who can invite, or nobody who answers.
    #[error("a swarm has an admin and a tracker: this is the last")]
    Last,
}

impl Field for Outcome {
    fn put(&self, out: &mut BytesMut) {
        match *self {
            Outcome::Published { number, fresh } => (1_u8, (number, fresh)).put(out),
            Outcome::Removed(count) => (2_u8, count).put(out),
            Outcome::Imported(count) => (3_u8, count).put(out),
            Outcome::Started(term) => (4_u8, term).put(out),
            Outcome::Refused(refused) => (5_u8, refused).put(out),
            Outcome::Members => 6_u8.put(out),
            Outcome::Rotated(epoch) => (7_u8, epoch).put(out),
            Outcome::Noted => 8_u8.put(out),
        }
    }
    fn take(from: &mut Cursor) -> Result<Outcome, DecodeError> {
        Ok(match u8::take(from)? {
            1 => Outcome::Published { number: Field::take(from)?, fresh: Field::take(from)? },
            2 => Outcome::Removed(Field::take(from)?),
            3 => Outcome::Imported(Field::take(from)?),
            4 => Outcome::Started(Field::take(from)?),
            5 => Outcome::Refused(Field::take(from)?),
            6 => Outcome::Members,
            7 => Outcome::Rotated(Field::take(from)?),
            8 => Outcome::Noted,
            other => return Err(DecodeError::BadValue { what: "an outcome", got: other.into() }),
        })
    }
}

impl Field for Refused {
    fn put(&self, out: &mut BytesMut) {
        match *self {
            Refused::Conflict { latest } => (1_u8, latest).put(out),
            Refused::Late => 2_u8.put(out),
            Refused::NoName => 3_u8.put(out),
            Refused::NoVersion(number) => (4_u8, number).put(out),
            Refused::TooManyVersions => 5_u8.put(out),
            Refused::Full => 6_u8.put(out),
            Refused::NoStore => 14_u8.put(out),
            Refused::Over => 30_u8.put(out),
            Refused::NoLostNode => 31_u8.put(out),
            Refused::Open => 7_u8.put(out),
            Refused::NotAdmin => 8_u8.put(out),
            Refused::NotYours => 9_u8.put(out),
            Refused::NoMember => 10_u8.put(out),
            Refused::NoInvite => 11_u8.put(out),
            Refused::Revoked => 12_u8.put(out),
            Refused::Last => 13_u8.put(out),
        }
    }
    fn take(from: &mut Cursor) -> Result<Refused, DecodeError> {
        Ok(match u8::take(from)? {
            1 => Refused::Conflict { latest: Field::take(from)? },
            2 => Refused::Late,
            3 => Refused::NoName,
            4 => Refused::NoVersion(Field::take(from)?),
            5 => Refused::TooManyVersions,
            6 => Refused::Full,
            14 => Refused::NoStore,
            30 => Refused::Over,
            31 => Refused::NoLostNode,
            7 => Refused::Open,
            8 => Refused::NotAdmin,
            9 => Refused::NotYours,
            10 => Refused::NoMember,
            11 => Refused::NoInvite,
            12 => Refused::Revoked,
            13 => Refused::Last,
            other => return Err(DecodeError::BadValue { what: "a refusal", got: other.into() }),
        })
    }
}
