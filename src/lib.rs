//! `p2p` shares folders and files between machines over its own framed TCP protocol.
//!
//! Code map, from what depends on nothing to what depends on everything:
//!
//! - [`content`]: ids, geometry, manifests, trees, names, links. Pure.
//! - [`wire`]: messages, ids, limits, codec. Pure; `docs/PROTOCOL.md` is its specification.
//! - [`swarm`]: what members of a swarm decide: scheduler, neighbours, turns. Pure.
//! - [`net`]: connections: preface, HELLO, framing, tracing.
//! - [`tracker`]: the directory of who has what, and the threads that serve it.
//! - [`peer`]: sharing, serving and fetching.
//! - [`sim`]: a swarm in virtual time, made of the parts above that decide.
//! - [`cli`]: one module per family of commands.
//! - [`fuzzing`]: what is promised about bytes from outside, for tests alone.
//!
//! Arrows point upwards in this list only, and never between `tracker` and `peer`.

pub mod cli;
pub mod content;
pub mod fuzzing;
pub mod net;
pub mod peer;
pub mod sim;
pub mod swarm;
pub mod tracker;
pub mod wire;
