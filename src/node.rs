//! A node: the roles of one host, kept running by an agent.
//!
//! An agent starts the processes of its node's roles, hears whether they are well, and starts again whoever ends or hangs.
//! It is their parent and no one else's guardian: none outlives it, and it takes over none. What is to be done is decided
//! by `role` and `roles`, without a process or a clock; `agent` carries it out. `service` is the other side, in the process
//! of a role.
//!
//! Who brings back a node whose agent is gone trackers agree on (`rescue`). `siblings` is an agent's part in that: `beats` tell
//! trackers that it lives, of which `life`; `rescuer` decides what it does for others, and a `hook` does it.

mod agent;
mod beats;
mod control;
pub mod hook;
mod life;
mod news;
mod notice;
pub mod plan;
mod process;
mod record;
mod rescuer;
pub mod role;
pub mod roles;
mod service;
mod siblings;
mod tail;

pub use agent::{Agent, AgentError, End, Ender, Reread};
pub use plan::{Defaults, Plan};
pub use rescuer::Revive;
pub use service::{Service, ServiceError};
