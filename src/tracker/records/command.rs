//! What can be asked of the records: as the machine takes it, and as the journal has it.

use bytes::{Bytes, BytesMut};

use super::nodes::{
    DutyAssigned, DutyClaimed, DutyEnded, DutyExpired, DutyOpened, NodeBack, NodeDrained, NodeLost, SetNodes,
};
use super::pages::{AddToken, EndToken, RemoveUser, SetUser};
use super::roster::{Admit, Enter, Expire, Found, Invite, Revoke, Rotate};
use super::seen::{SeeStore, SetStore};
use crate::content::{PublicKey, SafeName};
use crate::wire::{
    Authority, ClientId, Cursor, DecodeError, Field, List, Published, SwarmSecret, Term, Version, layout,
    limits,
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

layout! {
    /// Makes a version as a member does: of a name that is its own, or nobody's.
    PublishAs {
        /// Who asks.
        by: PublicKey,
        /// The version.
        publish: Publish,
    }
}

layout! {
    /// Takes versions away as a member does: of a name that is its own.
    RemoveAs {
        /// Who asks.
        by: PublicKey,
        /// What goes.
        remove: Remove,
    }
}

/// Declares the commands: number and variant, of which the struct has the same name.
macro_rules! commands {
    ($($(#[$doc:meta])* $number:literal $variant:ident)*) => {
        /// A change to the records. The numbers are in journals, and never used for two things.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Command { $($(#[$doc])* $variant($variant)),* }

        impl Command {
            /// Its number, and the rest of it as bytes.
            pub fn encode(&self) -> (u8, Bytes) {
                let mut out = BytesMut::new();
                let number = match self {
                    $(Command::$variant(command) => {
                        command.put(&mut out);
                        $number
                    })*
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
                    $($number => Command::$variant(Field::take(&mut from)?),)*
                    unknown => return Err(DecodeError::UnknownMessage(unknown)),
                };
                from.finish()?;
                Ok(command)
            }
        }
    };
}

commands! {
    /// Number 1.
    1 Publish
    /// Number 2.
    2 Remove
    /// Number 4.
    4 SeeStore
    /// Number 5.
    5 SetStore
    /// Number 8.
    8 Import
    /// Number 9.
    9 Start
    /// Number 10.
    10 Found
    /// Number 11.
    11 Invite
    /// Number 12.
    12 Admit
    /// Number 13.
    13 Enter
    /// Number 14.
    14 Revoke
    /// Number 15.
    15 Rotate
    /// Number 16.
    16 Expire
    /// Number 17.
    17 PublishAs
    /// Number 18.
    18 RemoveAs
    /// Number 20.
    20 SetUser
    /// Number 21.
    21 RemoveUser
    /// Number 22.
    22 AddToken
    /// Number 23.
    23 EndToken
    /// Number 30.
    30 NodeBack
    /// Number 31.
    31 NodeLost
    /// Number 32.
    32 NodeDrained
    /// Number 33.
    33 DutyOpened
    /// Number 34.
    34 DutyAssigned
    /// Number 35.
    35 DutyClaimed
    /// Number 36.
    36 DutyEnded
    /// Number 37.
    37 DutyExpired
    /// Number 38.
    38 SetNodes
}

impl Command {
    /// The change of who may come in to pages of which this is the number and the rest.
    ///
    /// # Errors
    /// It is none.
    pub fn decode_of_pages(number: u8, body: Bytes) -> Result<Command, DecodeError> {
        let command = Command::decode(number, body)?;
        match command.is_of_pages() {
            true => Ok(command),
            false => Err(DecodeError::UnknownMessage(number)),
        }
    }

    /// True of a change of who may come in to pages.
    pub fn is_of_pages(&self) -> bool {
        matches!(
            self,
            Command::SetUser(_) | Command::RemoveUser(_) | Command::AddToken(_) | Command::EndToken(_)
        )
    }

    /// Gives the command what the records have not of themselves: the time of now, in milliseconds since 1970, and a
    /// secret that nobody knows.
    pub fn stamp(&mut self, now_ms: u64, secret: impl FnOnce() -> SwarmSecret) {
        match self {
            Command::Publish(publish) | Command::PublishAs(PublishAs { publish, .. }) => {
                publish.version.stamp_ms = now_ms;
            }
            Command::Found(found) => {
                found.since_ms = now_ms;
                found.secret = secret();
            }
            Command::Invite(invite) => invite.until_ms = now_ms.saturating_add(invite.until_ms),
            Command::Admit(admit) => admit.now_ms = now_ms,
            Command::Enter(enter) => enter.since_ms = now_ms,
            Command::Expire(expire) => expire.now_ms = now_ms,
            Command::AddToken(add) => add.now_ms = now_ms,
            Command::Revoke(revoke) => revoke.secret = secret(),
            Command::Rotate(rotate) => {
                rotate.secret = secret();
                rotate.until_ms = match rotate.until_ms {
                    0 => 0,
                    grace_ms => now_ms.saturating_add(grace_ms),
                };
            }
            Command::Remove(_)
            | Command::RemoveAs(_)
            | Command::SeeStore(_)
            | Command::SetStore(_)
            | Command::Import(_)
            | Command::NodeBack(_)
            | Command::NodeLost(_)
            | Command::NodeDrained(_)
            | Command::DutyOpened(_)
            | Command::DutyAssigned(_)
            | Command::DutyClaimed(_)
            | Command::DutyEnded(_)
            | Command::DutyExpired(_)
            | Command::SetNodes(_)
            | Command::SetUser(_)
            | Command::RemoveUser(_)
            | Command::EndToken(_)
            | Command::Start(_) => {}
        }
    }
}
