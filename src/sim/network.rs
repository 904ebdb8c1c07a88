//! Links: how bytes of streams leave one host and arrive at another.

use super::connection::{Item, Load, QUANTUM};
use super::happening::{Happening, Message, Nanos};
use super::peer::Peer;
use super::world::World;

/// A full segment on the link, and what of it is ours.
const SEGMENT_BYTES: f64 = 1514.0;
const SEGMENT_DATA: f64 = 1448.0;
/// Headers of a short message's only segment, and an acknowledgement.
pub(super) const HEADERS: u32 = 66;
/// Acknowledgements of one quantum: receive offload merges segments.
const ACKS: u32 = 2;

impl Peer {
    /// Bytes that jump the uplink's queue make what follows wait.
    fn owe(&mut self, bytes: u32) {
        self.debt += f64::from(bytes);
    }

    /// Debt is paid while the link has nothing else to do.
    fn pay(&mut self, now: Nanos) {
        if let Some(since) = self.idle_since.take() {
            let free = (now - since) as f64 / 1e9 * self.link.up;
            self.idle += now - since;
            self.debt = (self.debt - free).max(0.0);
        }
    }
}

impl World<'_> {
    /// A message from `from` to `to` on a connection whose stream is idle; when it arrives.
    pub(super) fn short(&mut self, from: u32, to: u32, bytes: u32) -> Nanos {
        let whole = bytes + HEADERS;
        let sender = &mut self.peers[from as usize];
        sender.owe(whole);
        sender.overhead += u64::from(bytes);
        let receiver = &mut self.peers[to as usize];
        let takes = (f64::from(whole) / receiver.link.down * 1e9) as Nanos;
        receiver.down_free = receiver.down_free.max(self.now) + takes;
        self.now + self.delay
    }

    /// Writes a message of the server into the stream, or sends it at once if the stream is idle.
    pub(super) fn say(&mut self, c: u32, message: Message, bytes: u32) {
        let connection = &mut self.connections[c as usize];
        if !connection.items.is_empty() {
            self.write(c, Load::Message(message), bytes);
            return;
        }
        let (server, asker) = (connection.server, connection.asker);
        let at = self.short(server, asker, bytes);
        let number = self.keep_message(message);
        self.queue.push(at, Happening::Message(c, number));
    }

    /// Puts a frame at the end of a stream.
    pub(super) fn write(&mut self, c: u32, load: Load, bytes: u32) {
        let connection = &mut self.connections[c as usize];
        connection.items.push_back(Item { load, undelivered: bytes, begun: false, wanted: false });
        connection.unsent += bytes;
        self.make_ready(c);
    }

    /// Gives a connection its place at the uplink, if it can send.
    pub(super) fn make_ready(&mut self, c: u32) {
        let connection = &mut self.connections[c as usize];
        if connection.ready || connection.unsent == 0 || connection.in_network >= connection.window {
            return;
        }
        connection.ready = true;
        let server = connection.server;
        let peer = &mut self.peers[server as usize];
        peer.ready.push_back(c);
        if !peer.sending {
            self.send_next(server);
        }
    }

    /// The uplink of `p` is free: takes the next quantum.
    pub(super) fn send_next(&mut self, p: u32) {
        let now = self.now;
        loop {
            let peer = &mut self.peers[p as usize];
            let Some(c) = peer.ready.pop_front() else {
                peer.sending = false;
                peer.idle_since.get_or_insert(now);
                return;
            };
            let connection = &mut self.connections[c as usize];
            connection.ready = false;
            if !peer.alive || !connection.server_open || connection.unsent == 0 {
                continue;
            }
            let bytes = connection.unsent.min(QUANTUM);
            connection.unsent -= bytes;
            connection.in_network += bytes;
            let wire = f64::from(bytes) * SEGMENT_BYTES / SEGMENT_DATA;
            peer.pay(now);
            let free = now + ((wire + peer.debt) / peer.link.up * 1e9) as Nanos;
            peer.debt = 0.0;
            peer.sending = true;
            let receiver = &mut self.peers[connection.asker as usize];
            let takes = (wire / receiver.link.down * 1e9) as Nanos;
            let start = receiver.down_free.max(now + self.delay);
            receiver.down_free = (start + takes).max(free + self.delay);
            self.queue.push(receiver.down_free, Happening::Delivered(c, bytes));
            self.queue.push(free, Happening::UplinkFree(p));
            self.make_ready(c);
            return;
        }
    }

    /// Bytes arrive: the window opens, and the asker takes in what they complete.
    pub(super) fn delivered(&mut self, c: u32, bytes: u32) {
        let connection = &mut self.connections[c as usize];
        let asker = connection.asker;
        if !self.peers[asker as usize].alive && self.peers[asker as usize].vanished {
            return; // nobody acknowledges
        }
        let receiver = &mut self.peers[asker as usize];
        // What arrived last waited as long as what is queued behind it will: near enough.
        let waits = receiver.down_free.saturating_sub(self.now);
        receiver.owe(ACKS * HEADERS);
        connection.acknowledged(bytes, waits, self.now);
        if connection.asker_open {
            self.take_in(c, bytes);
        }
        if self.connections[c as usize].server_open {
            self.written(c, bytes);
            self.make_ready(c);
        }
    }
}
