//! Whose page it is: a peer or a tracker, as who is in its process has it.

use crate::peer::Hand;
use crate::tracker::Inside;

/// Whose page it is.
#[derive(Debug, Clone)]
pub(crate) enum House {
    /// A peer's.
    Peer(Hand),
    /// A tracker's.
    Tracker(Inside),
}
