//! Speaks raw bytes over TCP to a running tracker and a running peer: what `docs/PROTOCOL.md` promises,
//! and what it says happens to those who break it.
//!
//! Section 16 of the document says how to point these tests at another implementation.

#![allow(unreachable_pub, reason = "the modules of one test program")]

#[path = "conformance/asker.rs"]
mod asker;
#[path = "conformance/client.rs"]
mod client;
#[path = "conformance/directory.rs"]
mod directory;
#[path = "conformance/framing.rs"]
mod framing;
#[path = "conformance/handshake.rs"]
mod handshake;
#[path = "conformance/listing.rs"]
mod listing;
#[path = "conformance/locating.rs"]
mod locating;
#[path = "conformance/notices.rs"]
mod notices;
#[path = "conformance/peer.rs"]
mod peer;
#[path = "conformance/pipelining.rs"]
mod pipelining;
#[path = "conformance/proof.rs"]
mod proof;
#[path = "conformance/registering.rs"]
mod registering;
#[path = "conformance/stage.rs"]
mod stage;
mod support;
#[path = "conformance/target.rs"]
mod target;
