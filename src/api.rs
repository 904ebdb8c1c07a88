//! What is said of a transfer, a peer, a tracker and its stores: the same structs for `--json` and for the local socket.
//!
//! Values only: nobody here asks, decides or writes. A key is never renamed or removed, for programs read them.

mod cluster;
mod content;
pub mod control;
mod enrolled;
mod exit;
pub mod node;
pub mod nodes;
mod peer;
mod store;
mod tracker;
mod transfer;

pub use cluster::{ClusterReport, NodeReport};
pub use content::{Found, HolderReport, Listed, PublishedVersion};
pub use enrolled::{Enrolled, role_of, role_word};
pub use exit::Exit;
pub use peer::{PeerStatus, TrackerStatus};
pub use store::{HealthReport, StoreReport};
pub use tracker::{Member, TrackerReport};
pub use transfer::{
    LedgerView, Report, SourceReason, SourceReport, TransferState, TransferStatus, Trashed, Underway,
    Unreached,
};
