//! A connection between two simulated peers: the stream to the asker, and what each side remembers.

use std::collections::VecDeque;

use super::happening::{Job, Message, Nanos};
use crate::content::{Chunk, ChunkSet};
use crate::swarm::scheduler::{SourceId, SourceLoad};
use crate::swarm::telling::Telling;

/// Bytes taken from a connection in turn.
pub(super) const QUANTUM: u32 = 16 << 10;
/// The first window of a connection: ten full segments.
const FIRST_WINDOW: u32 = 14_480;
/// The largest window.
const MAX_WINDOW: u32 = 1 << 20;
/// Waiting longer than this at a downlink shrinks the window.
const LONG_QUEUE: Nanos = 25_000_000;

/// What a stream carries.
#[derive(Debug)]
pub(super) enum Load {
    Chunk { chunk: Chunk, corrupt: bool, bytes: u32 },
    Message(Message),
}

/// A frame on its way.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) load: Load,
    pub(super) undelivered: u32,
    pub(super) begun: bool,
    /// For a chunk that has begun to arrive: its data is wanted.
    pub(super) wanted: bool,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) server: u32,
    pub(super) asker: u32,
    /// The number it has in the asker's scheduler, once opened.
    pub(super) source: Option<SourceId>,
    pub(super) asker_open: bool,
    pub(super) server_open: bool,
    /// What OPENED says, and LOAD in front of it, on their way.
    pub(super) opening: Option<(ChunkSet, SourceLoad)>,
    // The stream.
    pub(super) items: VecDeque<Item>,
    /// Bytes written that have not left the host.
    pub(super) unsent: u32,
    pub(super) in_network: u32,
    pub(super) window: u32,
    pub(super) slow_start: bool,
    pub(super) last_cut: Nanos,
    /// It waits for the uplink.
    pub(super) ready: bool,
    // Serving.
    pub(super) jobs: VecDeque<Job>,
    /// The server said that it has everything.
    pub(super) whole: bool,
    /// Runs whose proof has been sent.
    pub(super) proved: ChunkSet,
    pub(super) telling: Telling,
    pub(super) news_due: bool,
    /// A chunk is being written to the socket.
    pub(super) writing: bool,
    /// Bytes of it that the socket takes as soon as little enough is unsent.
    pub(super) taken: u32,
    pub(super) patience_due: bool,
    /// Asking: the source wants to know what is here.
    pub(super) wants_news: bool,
}

impl Connection {
    pub(super) fn new(server: u32, asker: u32, chunks: u32) -> Connection {
        Connection {
            server,
            asker,
            source: None,
            asker_open: true,
            server_open: false,
            opening: None,
            items: VecDeque::new(),
            unsent: 0,
            in_network: 0,
            window: FIRST_WINDOW,
            slow_start: true,
            last_cut: 0,
            ready: false,
            jobs: VecDeque::new(),
            whole: false,
            proved: ChunkSet::empty(chunks),
            telling: Telling::new(),
            news_due: false,
            writing: false,
            taken: 0,
            patience_due: false,
            wants_news: false,
        }
    }

    /// Bytes arrived after they waited `waited` at the downlink: the window follows.
    pub(super) fn acknowledged(&mut self, bytes: u32, waited: Nanos, now: Nanos) {
        self.in_network -= bytes;
        if waited > LONG_QUEUE {
            self.slow_start = false;
            if now.saturating_sub(self.last_cut) > LONG_QUEUE {
                self.last_cut = now;
                self.window = (self.window / 10 * 7).max(FIRST_WINDOW);
            }
        } else if self.slow_start {
            self.window = (self.window + bytes).min(MAX_WINDOW);
        } else {
            let more = u64::from(bytes) * u64::from(QUANTUM) / u64::from(self.window.max(1));
            self.window = (self.window + more as u32).min(MAX_WINDOW);
        }
    }

    /// Forgets all that a closed connection needs no more.
    pub(super) fn clear(&mut self) {
        self.items = VecDeque::new();
        self.jobs = VecDeque::new();
        self.telling = Telling::new();
        self.unsent = 0;
        self.proved = ChunkSet::empty(0);
    }
}
