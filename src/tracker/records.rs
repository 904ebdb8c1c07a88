//! The hard state: what would be lost with the tracker. Names that are published, their versions, and what stores
//! promise of them.
//!
//! `machine` is all of it, `roster` the part about who is in a closed swarm, `seen` that about stores, `nodes` that about nodes,
//! `pages` that about who may come in to pages, `command` what can be asked of it and `outcome` what came of that, `clients` what makes a command that comes twice
//! harmless, `snapshot` all of it as bytes, `journal` what is on the disk of a tracker that is alone.

mod clients;
mod command;
mod journal;
mod machine;
mod nodes;
mod outcome;
mod pages;
mod roster;
#[cfg(test)]
pub(super) mod samples;
mod seen;
mod snapshot;

pub use command::{Command, Import, Publish, PublishAs, Remove, RemoveAs, Start};
pub use journal::{Journal, JournalError};
pub use machine::{Applied, Content, Promise, Records};
pub use nodes::{
    Called, DutyAssigned, DutyClaimed, DutyEnded, DutyExpired, DutyOpened, NodeBack, NodeDrained, NodeLost,
    Nodes, SetNodes,
};
pub use outcome::{Outcome, Refused};
pub use pages::{AddToken, EndToken, KeptPassword, Pages, RemoveUser, SetUser};
pub use roster::{Admit, Enter, Expire, Found, Founder, Invite, Key, Revoke, Roster, Rotate, invite_id};
pub use seen::{SeeStore, Seen, SetStore};
