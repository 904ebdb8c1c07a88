//! A vault under everything that can happen to it: random work checked against a model, while it is killed, loses its
//! power, or is as full as it may be.
//!
//! After each end of the process or the power: what was acknowledged is there and right, what was deleted is gone, no
//! slot is lost or has two chunks, and the disk has given no more than was lent.
//!
//! The long runs: `cargo test --test vault -- --ignored --nocapture`. `P2P_VAULT_SEED` chooses another course of events.

mod disk;
mod kill;
#[path = "../support/mounts.rs"]
mod mounts;
mod power;
mod quota;
mod world;
