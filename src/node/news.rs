//! What an agent hears.

use crossbeam_channel::Sender;

use super::notice::Notice;
use super::process::Heard;
use crate::api::node::{NodeAnswer, NodeRequest};
use crate::rescue::Duty;
use crate::wire::NodeOrders;

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

/// What a tracker told.
#[derive(Debug)]
pub(super) enum Told {
    /// Its orders; and whether the handshake has proved who it is.
    Orders(NodeOrders, bool),
    /// A duty that was claimed is this node's, or is not.
    Claimed(Duty, bool),
    /// That a duty was done is noted.
    Noted(Duty),
    /// A later life of this node was let in.
    Fenced,
}
