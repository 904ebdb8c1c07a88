//! Several trackers as one: the same records in each, as long as a majority of them lives. `docs/CLUSTER.md` has the rules.
//!
//! `seam` is what the rest of the tracker sees (`event`: what goes in and out; `succession`: from epoch to epoch; `members`: who
//! is in the next); `epoch` is one log with its members, `engine` the crate that agrees on it (with
//! `store`, its memory, and `translation`, its messages as bytes), `said` what trackers say to each other and on which
//! connections, `durable` what is on the disk, `entry` what is agreed on, `rules` which rule can be left out.

mod durable;
mod engine;
mod entry;
mod epoch;
mod event;
mod members;
mod rules;
mod said;
mod seam;
mod store;
mod succession;
#[cfg(test)]
mod tests;
mod translation;

pub use durable::{Found, Head, Identity, Write};
pub use entry::{Address, Chain, ClusterId, Entry, Incarnation, MAX_NODE, Member, Members, Node, What};
pub use event::{Event, Other, Ready, Reason, Settings, Step, TICK};
pub use rules::{Rule, Rules};
pub use said::{At, Greeting};
pub use seam::Seam;
