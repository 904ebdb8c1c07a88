//! What happens when something breaks: real processes, a network that is made to fail, full and vanishing
//! disks, trackers and peers that are killed, and strangers who mean harm.
//!
//! `docs/RELIABILITY.md` lists what is promised and which of these tests holds it.

#![allow(unreachable_pub, reason = "the modules of one test program")]

mod changed;
mod claims;
mod disk;
mod doubt;
mod elsewhere;
mod false_tracker;
mod gone;
mod hostile;
mod kept;
mod lab;
mod liar;
mod network;
mod peer;
#[path = "../support/mod.rs"]
mod support;
mod tracker;
mod twice;
mod users;

use p2p::conformance as client;
