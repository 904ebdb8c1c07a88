//! Several trackers as one, in virtual time: the production records, journal encoding, seam and engine on simulated disks and
//! connections, from a seed.
//!
//! What is modelled is what breaks: processes that end between any write, sync, word and answer; batches that never reached
//! the disk; slow disks; connections that lose, repeat and reorder, are replaced, or cut one way; leaders that are made to duel;
//! disks that are emptied, members that come and go; clients that ask again elsewhere.
//!
//! Checked are: that all apply the same in the same slot and begin the same epochs; that what was acknowledged is there, and
//! once; that a fresh read sees it; that everybody ends with the same records once nothing breaks any more, who comes late too.
//!
//! `mutants` leaves out one rule at a time and has the seeds that notice.

mod clients;
mod disk;
mod faults;
mod judge;
mod mutants;
mod net;
mod node;
mod run;
mod season;
mod world;

pub use mutants::{MUTANTS, Mutant};
pub use run::run;
pub use world::Done;
