//! Who brings back a node whose agent is gone, so that exactly one does. Pure.
//!
//! `ledger` is what trackers agree on, `leader` what the first of them proposes, `executor` the agent that does it, `pause`
//! the curve by which what has failed is tried again. Trackers run the first two and agents the third; neither knows the
//! other, and both meet here as they do in `wire`.

pub mod executor;
pub mod leader;
pub mod ledger;
mod pause;

pub use executor::Executor;
pub use leader::{Heard, Leader, Terms};
pub use ledger::{Duty, Entry, Held, Ledger, Life, Node, NodeId};
pub use pause::pause;
