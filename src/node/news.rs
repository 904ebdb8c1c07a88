//! What an agent hears.

use crossbeam_channel::Sender;

use super::beats::Told;
use super::notice::Notice;
use super::process::Heard;
use crate::api::node::{NodeAnswer, NodeRequest};
use crate::rescue::Duty;

/// One thing that it hears.
#[derive(Debug)]
pub(super) enum News {
    /// Of a role's process of this number.
    Role(String, u32, Heard),
    /// What the process of this number says of itself.
    Told(u32, Vec<Notice>),
    /// A question, and where the answer goes.
    Asked(NodeRequest, Sender<NodeAnswer>),
    /// The tracker of this number tells something.
    Tracker(usize, Told),
    /// A line of the hook that runs for a duty.
    HookSaid(Duty, String),
    /// That hook has ended, in this way.
    HookEnded(Duty, String),
    /// It is to end.
    End,
}
