//! What the trackers agree on: entries of a log, and who they are.

use crate::content::PublicKey;
use bytes::{BufMut, Bytes, BytesMut};

use crate::tracker::records::Command;
pub use crate::wire::Incarnation;
use crate::wire::{Cursor, DecodeError, Field, List, Text, layout, limits};

/// A tracker's number in its cluster; 1 and up.
pub type Node = u16;
/// Largest number of a node: tables of the engine are as long.
pub const MAX_NODE: Node = 99;
/// Most members of a cluster.
pub(super) const MAX_MEMBERS: usize = limits::MAX_NODES;
/// Bytes of an address, as people type it.
const MAX_ADDRESS_BYTES: usize = 300;

/// Numbers that a `u128` on the wire stands for.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u128);

        impl Field for $name {
            fn put(&self, out: &mut BytesMut) {
                out.put_u128(self.0);
            }
            fn take(from: &mut Cursor) -> Result<$name, DecodeError> {
                let (high, low) = <(u64, u64)>::take(from)?;
                Ok($name(u128::from(high) << 64 | u128::from(low)))
            }
        }
    };
}
id! {
    /// A cluster: the hash of its first members. 0 before there is one.
    ClusterId
}
id! {
    /// The hash of all entries up to one.
    Chain
}

layout! {
    /// A member of an epoch.
    Member {
        /// Its number.
        node: Node,
        /// Where it is reached: `HOST:PORT`.
        address: Address,
        /// Its disk.
        incarnation: Incarnation,
        /// Its public key; zeros in an open network.
        key: PublicKey,
    }
}

/// `HOST:PORT`.
pub type Address = Text<MAX_ADDRESS_BYTES>;
/// The members of an epoch, in order of their numbers.
pub type Members = List<Member, MAX_MEMBERS>;

/// Who proposed an entry, and which of his it is: no other entry has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// A random number of the process.
    pub process: u64,
    /// Counts up.
    pub number: u64,
}

impl Field for Mark {
    fn put(&self, out: &mut BytesMut) {
        (self.process, self.number).put(out);
    }
    fn take(from: &mut Cursor) -> Result<Mark, DecodeError> {
        let (process, number) = Field::take(from)?;
        Ok(Mark { process, number })
    }
}

/// An entry of the log. What it says is bytes until it is applied, so that it is cheap to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its mark.
    pub mark: Mark,
    said: Bytes,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nothing.
    Barrier,
    /// The epoch ends here; these are the members of the next.
    End(Members),
    /// A command to the records.
    Command(Command),
}

const BARRIER: u8 = 0;
const END: u8 = 1;
const COMMAND: u8 = 2;

impl Entry {
    /// An entry that says this.
    pub fn new(mark: Mark, what: &What) -> Entry {
        let mut said = BytesMut::new();
        match what {
            What::Barrier => said.put_u8(BARRIER),
            What::End(members) => (END, members.clone()).put(&mut said),
            What::Command(command) => {
                let (number, body) = command.encode();
                (COMMAND, number).put(&mut said);
                said.put_slice(&body);
            }
        }
        Entry { mark, said: said.freeze() }
    }

    /// What it says.
    ///
    /// # Errors
    /// This version does not know it.
    pub fn what(&self) -> Result<What, DecodeError> {
        let mut said = self.said.clone();
        let mut from = Cursor::new(said.split_to(said.len().min(1)));
        match u8::take(&mut from)? {
            BARRIER => Ok(What::Barrier),
            END => {
                let mut from = Cursor::new(said);
                let members = Members::take(&mut from)?;
                from.finish().map(|()| What::End(members))
            }
            COMMAND => {
                let mut number = Cursor::new(said.split_to(said.len().min(1)));
                Command::decode(u8::take(&mut number)?, said).map(What::Command)
            }
            other => Err(DecodeError::BadValue { what: "an entry", got: other.into() }),
        }
    }

    /// The chain with this entry behind it.
    pub fn chain(&self, before: Chain) -> Chain {
        let mut bytes = BytesMut::new();
        (before, self.mark).put(&mut bytes);
        bytes.put_slice(&self.said);
        Chain(short(&bytes))
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.said.len() + 32
    }
}

impl Field for Entry {
    fn put(&self, out: &mut BytesMut) {
        (self.mark, self.said.len() as u32).put(out);
        out.put_slice(&self.said);
    }
    fn take(from: &mut Cursor) -> Result<Entry, DecodeError> {
        let (mark, len) = <(Mark, u32)>::take(from)?;
        Ok(Entry { mark, said: from.take(len as usize)? })
    }
}

/// A cluster that these found.
pub(super) fn cluster_of(first: &Members) -> ClusterId {
    let mut bytes = BytesMut::new();
    first.put(&mut bytes);
    ClusterId(short(&bytes))
}

/// Half of a hash.
fn short(bytes: &[u8]) -> u128 {
    let hash = blake3::hash(bytes);
    hash.as_bytes()[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The member with this number.
pub(super) fn member(members: &Members, node: Node) -> Option<&Member> {
    members.iter().find(|member| member.node == node)
}
