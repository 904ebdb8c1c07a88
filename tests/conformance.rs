//! Speaks raw bytes over TCP to a running tracker and a running peer: what `docs/PROTOCOL.md` promises,
//! and what it says happens to those who break it.
//!
//! Section 16 of the document says how to point these tests at another implementation.

#![allow(unreachable_pub, reason = "the modules of one test program")]

#[path = "conformance/client.rs"]
mod client;
#[path = "conformance/framing.rs"]
mod framing;
#[path = "conformance/handshake.rs"]
mod handshake;
#[path = "conformance/peer.rs"]
mod peer;
#[path = "conformance/proof.rs"]
mod proof;
mod support;
#[path = "conformance/target.rs"]
mod target;
#[path = "conformance/tracker.rs"]
mod tracker;
