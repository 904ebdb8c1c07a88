//! `p2p` shares folders and files between machines over its own framed TCP protocol.
//!
//! Code map, from what depends on nothing to what depends on everything:
//!
//! - [`content`]: ids, geometry, manifests, trees, names, links. Pure.
//! - [`api`]: what is said of a transfer and a peer to people and programs; the local socket; exit codes.
//! - [`wire`]: messages, ids, limits, codec. Pure; `docs/PROTOCOL.md` is its specification.
//! - [`rescue`]: who brings back a node that is lost. Pure.
//! - [`swarm`]: what members of a swarm decide: scheduler, neighbours, turns. Pure.
//! - `clock`: the time since 1970.
//! - `threads`, `say`, `program`, `descriptors`, `owner`: what the end of a thread means; what is written for people,
//!   whatever becomes of it; what is said of a panic; how many files and sockets may be open; whose something is.
//! - [`storage`]: checked logs, and folders that one process has.
//! - `local`: sockets by which processes of one machine speak to each other.
//! - [`net`]: connections: preface, HELLO, framing, tracing.
//! - [`tracker`]: the directory of who has what, and the threads that serve it.
//! - [`peer`]: sharing, serving and fetching.
//! - [`conformance`]: whether a program keeps to `docs/PROTOCOL.md`; it uses nothing of `wire`, `net` and `content`.
//! - [`node`]: the agent of a host, which keeps trackers and peers running; what these say to it.
//! - `web`, with the feature `web`: the page of a peer or tracker, its API and metrics.
//! - [`cli`]: one module per family of commands.
//! - `sim`, with the feature `lab`: a swarm in virtual time, made of the parts above that decide.
//! - `fuzzing`, with the feature `lab`: what is promised about bytes from outside.
//!
//! Arrows point upwards in this list only, and never between `tracker` and `peer`.

#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr))]

pub mod api;
pub mod cli;
mod clock;
pub mod conformance;
pub mod content;
mod descriptors;
#[cfg(feature = "lab")]
pub mod fuzzing;
mod local;
pub mod net;
pub mod node;
mod owner;
pub mod peer;
mod program;
pub mod rescue;
mod say;
#[cfg(feature = "lab")]
pub mod sim;
pub mod storage;
pub mod swarm;
mod threads;
pub mod tracker;
mod warnings;
#[cfg(feature = "web")]
mod web;
pub mod wire;

pub use program::program;
