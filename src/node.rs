//! A node: the roles of one host, kept running by an agent.
//!
//! An agent starts the processes of its node's roles, hears whether they are well, and starts again whoever ends or hangs.
//! It is their parent and no one else's guardian: none outlives it, and it takes over none. What is to be done is decided
//! by `role` and `roles`, without a process or a clock; `agent` carries it out. `service` is the other side, in the process
//! of a role.
//!
//! Who brings back a node whose agent is gone is decided by `ledger` (what trackers agree on), `duties` (what their leader
//! proposes) and `executor` (the one that does it).

mod agent;
mod control;
pub mod duties;
pub mod executor;
pub mod ledger;
mod news;
mod notice;
mod pause;
pub mod plan;
mod process;
pub mod role;
pub mod roles;
mod service;
mod tail;

pub use agent::{Agent, AgentError, Ender, Reread};
pub use plan::{Defaults, Plan};
pub use service::{Service, ServiceError};
