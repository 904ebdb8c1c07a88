//! A swarm in virtual time: the production scheduler, neighbours, serving policy and directory on a
//! model of links, from a seed.
//!
//! What is real: `swarm::scheduler`, `swarm::neighbours`, `swarm::turns`, `tracker::directory`, and the
//! sizes of messages. What is modelled is what threads and the kernel do:
//!
//! - A host has an uplink and a downlink, each a queue served at its rate, headers included. The uplink
//!   takes a quantum of 16 KiB from each connection with something to send in turn; the downlink takes
//!   them as they come. A quantum flows on while it is still arriving.
//! - A connection has a window that doubles while it is young and then grows by a quantum each
//!   round trip, and shrinks when its bytes waited too long at the downlink: TCP in outline. A
//!   socket takes a bounded number of bytes ahead of the network; messages wait behind them.
//! - Acknowledgements, requests and announcements take link time too; they wait for no bulk but that
//!   of their own connection and direction.
//!
//! Time to hash and to write is none. The same scenario gives the same outcome, whatever the machine.
//!
//! After each step it is asserted that a chunk counts as had only if it was delivered whole and true,
//! and that none is lost; at the end, that everyone who stayed has everything, if every chunk is
//! alive somewhere.
//!
//! `cluster` is another simulation: several trackers as one.

mod asking;
pub mod cluster;
mod connection;
mod happening;
mod life;
mod network;
mod outcome;
mod peer;
mod queue;
mod run;
mod scenario;
mod serving;
mod world;

pub use outcome::{Breach, Outcome};
pub use scenario::{Fate, Fetcher, Link, Manner, Scenario};
