//! What a recorder is told, and why something was not carried out.

use std::io;
use std::path::PathBuf;

use rustix::rand::GetRandomFlags;

use super::end::end;
use crate::clock::since_1970_ms;
use crate::tracker::cluster::Node;
use crate::tracker::records::{Command, JournalError};
use crate::wire::SwarmSecret;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrecorded {
    /// The tracker is stopping. Nothing of it will be.
    #[error("the tracker is stopping")]
    Stopping,
    /// It cannot be written. Nothing of it will be.
    #[error("the tracker cannot write its journal: {0}")]
    Journal(String),
    /// Another tracker of the cluster leads, or none. Nothing of it will be.
    #[error("this tracker does not lead its cluster")]
    NotLeader,
    /// It is not known whether it was carried out, or will be: the same may be asked again.
    #[error("the tracker has lost the lead of its cluster meanwhile")]
    Unknown,
    /// It was not agreed on in time. Nobody knows whether it will be.
    #[error(
        "too few trackers of the cluster are there to agree; it may be done all the same when they are back"
    )]
    Late,
    /// Who is to be a member is not there yet. Nothing of it will be.
    #[error("{0}")]
    NotYet(String),
    /// The members of the cluster cannot be as is asked. Nothing of it will be.
    #[error("{0}")]
    Members(String),
}

/// Why a tracker cannot be one of several.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// What is in its folder cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was another of them.
    #[error(
        "the records are those of tracker {is} of a cluster, and not of {asked}; start it with --node {is}"
    )]
    OtherNode {
        /// Which it was.
        is: Node,
        /// Which it is to be.
        asked: Node,
    },
    /// It has records, and a cluster of several begins with none.
    #[error(
        "{} has the records of a tracker that was alone: start it with itself alone in --cluster, and then add the others with \
         `p2p cluster add`", .0.display()
    )]
    NotEmpty(PathBuf),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Gives a command the time that it speaks of, which is now, and the secrets that it makes, which are new.
pub(super) fn stamp(command: &mut Command) {
    command.stamp(since_1970_ms(), random_secret);
}

/// A secret that nobody else has, of the system's own randomness.
fn random_secret() -> SwarmSecret {
    let mut bytes = [0; 32];
    let mut left = &mut bytes[..];
    while !left.is_empty() {
        match rustix::rand::getrandom(&mut *left, GetRandomFlags::empty()) {
            Ok(got) => left = left.split_at_mut(got).1,
            Err(rustix::io::Errno::INTR) => {}
            // What follows would be a key that others can guess.
            Err(error) => end(&format!("the system gives no randomness: {error}")),
        }
    }
    SwarmSecret::new(bytes)
}
