//! What an agent hears.

use crossbeam_channel::Sender;

use super::notice::Notice;
use super::process::Heard;
use crate::api::node::{NodeAnswer, NodeRequest};

/// One thing that it hears.
#[derive(Debug)]
pub(super) enum News {
    /// Of a role's process of this number.
    Role(String, u32, Heard),
    /// What the process of this number says of itself.
    Told(u32, Vec<Notice>),
    /// A question, and where the answer goes.
    Asked(NodeRequest, Sender<NodeAnswer>),
    /// It is to end.
    End,
}
