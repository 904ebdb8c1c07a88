//! What stores keep, and who is to keep what: the planner.
//!
//! Stores say what they hold for good, and nothing of that is on the tracker's disk; the records say what is promised. What
//! is missing is given to stores in units of a run of chunks, until they say that they have it. Pure: no socket, no lock,
//! no clock; `now` is an argument, and the same events have the same effects.
//!
//! `state` is all that is known, and the one way to change it; `events` what stores say, `uploading` what is asked for
//! and promised, `working` goes over what is on the `agenda` (`steps` at a time), `plan` who is to keep what (`place` draws),
//! `surplus` what is kept too often, `balance` where, `leaving` who is to be taken away, `duties` what a store is told, `health` what people
//! and fetchers are told, `leading` when a term begins that may be another tracker's. `store`, `row`, `upload` and `part` are what it is made of.

mod agenda;
mod balance;
mod coded;
mod duties;
mod events;
mod health;
mod leading;
mod leaving;
mod part;
mod place;
mod plan;
mod row;
mod shards;
mod state;
mod steps;
mod store;
mod surplus;
#[cfg(test)]
mod tests;
mod upload;
mod uploading;
mod working;

pub use duties::{Order, Promises};
pub use events::NotTaken;
pub use health::Tally;
pub use state::{Keeping, Terms};
pub use upload::{Asked, Progress, Shortage, UploadKey};
