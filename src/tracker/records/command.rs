//! What can be asked of the records, and what came of it: as the machine takes it, and as the journal has it.

use bytes::{Bytes, BytesMut};

use crate::content::SafeName;
use crate::wire::{
    Authority, ClientId, Cursor, DecodeError, Field, List, Published, Term, Version, layout, limits,
};

layout! {
    /// Makes a version, unless the latest is like it.
    Publish {
        /// Who asks.
        client: ClientId,
        /// Which of its commands this is.
        seq: u64,
        /// The name.
        name: SafeName,
        /// The version; its number is not looked at.
        version: Version,
        /// The number that the latest version must have; 0 if any will do.
        expect: u32,
    }
}

layout! {
    /// Takes a version away, or all.
    Remove {
        /// Who asks.
        client: ClientId,
        /// Which of its commands this is.
        seq: u64,
        /// The name.
        name: SafeName,
        /// The version's number; 0 for all.
        number: u32,
    }
}

layout! {
    /// Takes in what stores remember of earlier records.
    Import {
        /// Names and versions.
        list: List<Published, { limits::MAX_RECORDS }>,
    }
}

layout! {
    /// A tracker begins to answer from these records: a new term.
    Start {
        /// Whose records they are, if they are nobody's yet.
        authority: Authority,
        /// The term is at least this, and greater than the last.
        least: Term,
    }
}

/// A change to the records. The numbers are in journals, and never used for two things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Number 1.
    Publish(Publish),
    /// Number 2.
    Remove(Remove),
    /// Number 8.
    Import(Import),
    /// Number 9.
    Start(Start),
}

impl Command {
    /// Its number, and the rest of it as bytes.
    pub fn encode(&self) -> (u8, Bytes) {
        let mut out = BytesMut::new();
        let number = match self {
            Command::Publish(publish) => {
                publish.put(&mut out);
                1
            }
            Command::Remove(remove) => {
                remove.put(&mut out);
                2
            }
            Command::Import(import) => {
                import.put(&mut out);
                8
            }
            Command::Start(start) => {
                start.put(&mut out);
                9
            }
        };
        (number, out.freeze())
    }

    /// The command of which this is the number and the rest.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(number: u8, body: Bytes) -> Result<Command, DecodeError> {
        let mut from = Cursor::new(body);
        let command = match number {
            1 => Command::Publish(Field::take(&mut from)?),
            2 => Command::Remove(Field::take(&mut from)?),
            8 => Command::Import(Field::take(&mut from)?),
            9 => Command::Start(Field::take(&mut from)?),
            unknown => return Err(DecodeError::UnknownMessage(unknown)),
        };
        from.finish()?;
        Ok(command)
    }
}

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
}

impl Field for Outcome {
    fn put(&self, out: &mut BytesMut) {
        match *self {
            Outcome::Published { number, fresh } => (1_u8, (number, fresh)).put(out),
            Outcome::Removed(count) => (2_u8, count).put(out),
            Outcome::Imported(count) => (3_u8, count).put(out),
            Outcome::Started(term) => (4_u8, term).put(out),
            Outcome::Refused(refused) => (5_u8, refused).put(out),
        }
    }
    fn take(from: &mut Cursor) -> Result<Outcome, DecodeError> {
        Ok(match u8::take(from)? {
            1 => Outcome::Published { number: Field::take(from)?, fresh: Field::take(from)? },
            2 => Outcome::Removed(Field::take(from)?),
            3 => Outcome::Imported(Field::take(from)?),
            4 => Outcome::Started(Field::take(from)?),
            5 => Outcome::Refused(Field::take(from)?),
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
            other => return Err(DecodeError::BadValue { what: "a refusal", got: other.into() }),
        })
    }
}
