//! What a serving connection needs from its peer.

use std::net::IpAddr;
use std::sync::Arc;

use super::held::Held;
use super::uploads::{Content, Uploads};
use crate::content::{FileId, PeerId};
use crate::net::wake::Wake;
use crate::peer::mischief::Mischief;
use crate::wire::{ToServer, View};

/// What a serving connection needs from its peer.
pub(in crate::peer) trait Host: Sync {
    /// The content, if it is here.
    fn find(&self, id: FileId, view: View) -> Option<Held>;
    /// A connection from a peer that listens on `addr` opened a content that is on its way here too.
    fn met(&self, id: FileId, view: View, peer: PeerId, addr: String);
    /// A serving connection has begun; it is woken when the peer stops.
    fn join(&self, wake: &Arc<Wake>);
    /// The state shared by all serving connections.
    fn uploads(&self) -> &Arc<Uploads>;
    /// Downloads that run now.
    fn downloads(&self) -> u16;
    /// The peer of this name and address left with all of a content that is whole here.
    fn finished(&self, content: Content, name: &str, addr: IpAddr);
    /// True if a complaint of this address about a chunk is to be looked into.
    fn hears(&self, addr: IpAddr) -> bool;
    /// How this peer misbehaves towards the peer of this name on its connection of this number.
    fn mischief(&self, name: &str, number: u32) -> Mischief<(u32, ToServer)>;
}
