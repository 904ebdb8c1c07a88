//! One serving connection at the desk that all share: what it asks there, and what follows for others.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::uploads::{Content, Uploads};
use crate::content::{Chunk, Network, PeerId, Rate};
use crate::net::wake::Wake;
use crate::swarm::backlog::Backlog;
use crate::swarm::desk::Wish;
use crate::threads::lock;

/// Chunks that an asker says it has or wants and that are noted in one step: the desk is not held for as long as a stranger likes.
const NOTED_AT_ONCE: usize = 1024;

/// The place of one connection. It leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Asker {
    uploads: Arc<Uploads>,
    number: u32,
    network: Network,
    /// Its requests that wait.
    queued: u32,
    /// What is counted of the bytes that wait for it.
    unsent: usize,
    /// It leaves in order: it goes on to share what it said it has.
    orderly: bool,
}

impl Asker {
    /// A new connection with `peer` at `ip`, which `wake` wakes when it is its turn.
    pub(super) fn join(uploads: &Arc<Uploads>, peer: PeerId, ip: IpAddr, wake: Arc<Wake>) -> Asker {
        let number = uploads.enlist(wake);
        let network = Network::of(ip);
        uploads.desk(|desk| desk.join(number, peer, network));
        Asker { uploads: uploads.clone(), number, network, queued: 0, unsent: 0, orderly: false }
    }

    /// The connection's number: each has another.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// It will leave in order.
    pub(super) fn leaves(&mut self) {
        self.orderly = true;
    }

    /// A content of so many chunks that is whole here is opened.
    pub(super) fn open(&self, slot: u16, content: Content, chunks: u32) {
        self.uploads.desk(|desk| desk.open(self.number, slot, content, chunks));
    }

    /// A content is closed. True if the peer leaves in order, has all of it, and has it open on no other connection.
    pub(super) fn close(&self, slot: u16) -> bool {
        self.uploads.desk(|desk| desk.close(self.number, slot, self.orderly))
    }

    /// It says that it has these chunks.
    pub(super) fn has(&self, slot: u16, chunks: impl Iterator<Item = Chunk>) {
        in_parts(chunks, |part| self.uploads.desk(|desk| desk.has(self.number, slot, part)));
    }

    /// It will ask for these chunks and no others.
    pub(super) fn wants(&self, slot: u16, chunks: impl Iterator<Item = Chunk>) {
        self.uploads.desk(|desk| desk.narrow(self.number, slot));
        in_parts(chunks, |part| self.uploads.desk(|desk| desk.wants(self.number, slot, part)));
    }

    /// A chunk that it wants and that no asker has or passes on, if there is one.
    pub(super) fn choose(&self, slot: u16, now: Instant) -> Option<Chunk> {
        self.uploads.desk(|desk| desk.choose(self.number, slot, now))
    }

    /// A chunk of `bytes` begins to leave.
    pub(super) fn begin(&self, slot: u16, chunk: Chunk, bytes: usize, now: Instant) {
        self.uploads.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.uploads.desk(|desk| desk.begin(self.number, slot, chunk, bytes, now));
    }

    /// How long the rate limit, if there is one, keeps a chunk of `bytes` from leaving.
    pub(super) fn pay(&self, bytes: usize, now: Instant) -> Option<Duration> {
        self.uploads.desk(|desk| desk.pay(self.number, bytes, now))
    }

    /// True if it may send; else it is woken when it may.
    pub(super) fn turn(&self, wish: Wish, now: Instant) -> bool {
        self.uploads.desk(|desk| desk.turn(self.number, wish, now))
    }

    /// It got rid of `bytes`.
    pub(super) fn sent(&self, bytes: usize, now: Instant) {
        self.uploads.desk(|desk| desk.sent(self.number, bytes as u64, now));
    }

    /// Its socket has no room: until when it keeps its turn, if it has one.
    pub(super) fn stuck(&self, now: Instant) -> Option<Instant> {
        let (ends, effects) = self.uploads.desk(|desk| desk.stuck(self.number, now));
        self.uploads.carry_out(effects);
        ends
    }

    /// What it had begun has left.
    pub(super) fn done(&self) {
        let effects = self.uploads.desk(|desk| desk.done(self.number));
        self.uploads.carry_out(effects);
    }

    /// It has nothing to send.
    pub(super) fn rest(&self) {
        let effects = self.uploads.desk(|desk| desk.rest(self.number));
        self.uploads.carry_out(effects);
    }

    /// So many of its requests wait now.
    pub(super) fn set_queued(&mut self, queued: usize) {
        let queued = queued as u32;
        let before = std::mem::replace(&mut self.queued, queued);
        // Wraps to what it was when the same is taken away again.
        self.uploads.queued.fetch_add(queued.wrapping_sub(before), Ordering::Relaxed);
    }

    /// True if so many bytes wait for it that it is not asked on.
    pub(super) fn is_choked(&mut self, unsent: usize) -> bool {
        let counted = Backlog::counted(unsent);
        let before = std::mem::replace(&mut self.unsent, counted);
        if counted == 0 && before == 0 {
            return false; // as always with who reads
        }
        let mut backlog = lock(&self.uploads.backlog);
        backlog.note(self.network, before, counted);
        backlog.is_choked(self.network, counted)
    }

    /// Bytes to give to a socket at a time.
    pub(super) fn piece(&self) -> Option<usize> {
        self.uploads.desk(|desk| desk.piece())
    }

    /// How busy this peer is with others than this one: connections with something to send, requests that wait,
    /// what all together can get.
    pub(super) fn load(&self) -> (u16, u32, Option<Rate>) {
        let (others, rate) = self.uploads.desk(|desk| (desk.busy(Some(self.number)), desk.rate()));
        (others.min(u32::from(u16::MAX)) as u16, self.uploads.queued.load(Ordering::Relaxed), rate)
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.set_queued(0);
        self.is_choked(0);
        let effects = self.uploads.desk(|desk| desk.leave(self.number, self.orderly));
        self.uploads.delist(self.number);
        self.uploads.carry_out(effects);
    }
}

/// Hands over so many at a time, whatever becomes of them.
fn in_parts(mut chunks: impl Iterator<Item = Chunk>, mut note: impl FnMut(Vec<Chunk>)) {
    loop {
        let part: Vec<Chunk> = chunks.by_ref().take(NOTED_AT_ONCE).collect();
        if part.is_empty() {
            return;
        }
        note(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::FileId;
    use crate::wire::{Urgency, View};

    const WISH: Wish = Wish { choice: None, urgency: Urgency::Normal };

    fn asker(uploads: &Arc<Uploads>) -> (Asker, Arc<Wake>) {
        let wake = Arc::new(Wake::new().unwrap());
        (Asker::join(uploads, PeerId([1; 16]), IpAddr::from([127, 0, 0, 1]), wake.clone()), wake)
    }

    /// Waits until it is woken.
    fn is_woken(wake: &Wake) -> bool {
        let patience = Duration::from_secs(60);
        let start = Instant::now();
        wake.wait_alone(patience).unwrap();
        start.elapsed() < patience
    }

    #[test]
    fn who_ends_without_a_word_hands_its_turn_on() {
        let (uploads, now) = (Arc::new(Uploads::new(None)), Instant::now());
        let mut sending: Vec<_> =
            (0..8).map(|_| asker(&uploads)).take_while(|(asker, _)| asker.turn(WISH, now)).collect();
        let (next, wake) = asker(&uploads);
        assert!(!next.turn(WISH, now));
        drop(sending.pop());
        assert!(is_woken(&wake));
        assert!(next.turn(WISH, now));
    }

    #[test]
    fn requests_that_wait_are_counted_over_all_and_leave_with_their_connection() {
        let uploads = Arc::new(Uploads::new(None));
        let ((mut one, _), (mut other, _)) = (asker(&uploads), asker(&uploads));
        one.set_queued(5);
        other.set_queued(2);
        one.set_queued(3);
        assert_eq!(other.load(), (0, 5, None));
        drop(one);
        assert_eq!(other.load(), (0, 2, None));
    }

    #[test]
    fn all_that_an_asker_says_it_has_is_noted() {
        let uploads = Arc::new(Uploads::new(None));
        let ((one, _), (other, _)) = (asker(&uploads), asker(&uploads));
        let chunks = 3 * NOTED_AT_ONCE as u32;
        let content = (FileId::of(b"x"), View::Members);
        one.open(4, content, chunks);
        other.open(0, content, chunks);
        one.has(4, (0..chunks - 1).map(Chunk));
        assert_eq!(other.choose(0, Instant::now()), Some(Chunk(chunks - 1)));
        assert_eq!(other.choose(0, Instant::now()), None);
    }

    #[test]
    fn what_is_said_of_a_content_that_is_not_whole_here_is_passed_over() {
        let uploads = Arc::new(Uploads::new(None));
        let (one, _) = asker(&uploads);
        one.has(4, (0..9).map(Chunk));
        one.wants(4, (0..9).map(Chunk));
        assert_eq!(one.choose(4, Instant::now()), None);
    }

    #[test]
    fn all_that_an_asker_says_it_wants_is_noted() {
        let uploads = Arc::new(Uploads::new(None));
        let (one, _) = asker(&uploads);
        let chunks = 3 * NOTED_AT_ONCE as u32;
        one.open(4, (FileId::of(b"x"), View::Members), chunks);
        one.wants(4, (1..chunks - 1).map(Chunk));
        assert_eq!((0..).map_while(|_| one.choose(4, Instant::now())).count() as u32, chunks - 2);
    }
}
