//! Looks after a transfer: once nobody has some of it, that is decoded.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::columns::Columns;
use super::listing;
use super::losses::Losses;
use super::side::{Of, Side};
use super::task::{Decoder, LOOK, STEP, of_file};
use super::work::Work;
use crate::threads;
use crate::wire::{Side as Which, View};

/// A decoder that looks after a transfer.
#[derive(Debug)]
pub(in crate::peer) struct Decoding {
    works: Arc<AtomicBool>,
    /// Dropped when the transfer has ended.
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Decoding {
    /// True while something is being decoded, or fetched for that.
    pub(in crate::peer) fn works(&self) -> bool {
        self.works.load(Ordering::Acquire)
    }

    /// Waits until it has nothing more to do; the transfer has ended.
    pub(in crate::peer) fn wait(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Decoder {
    /// Looks after the transfer until its end; `None` if its content cannot be of this code.
    pub(in crate::peer) fn start(self) -> Option<Decoding> {
        if self.code.own_view() != self.transfer.view {
            return None;
        }
        let works = Arc::new(AtomicBool::new(false));
        let flag = works.clone();
        let (over, ended) = crossbeam_channel::bounded(0);
        match threads::named("decode").connection(move || self.run(&flag, &ended)) {
            Ok(thread) => Some(Decoding { works, over: Some(over), thread: Some(thread) }),
            Err(error) => {
                tracing::warn!("no thread to decode what nobody has: {error}");
                None
            }
        }
    }

    fn run(&self, works: &AtomicBool, ended: &Receiver<()>) {
        let mut losses = Losses::new(&self.transfer, Instant::now());
        let own = self.own();
        let data = match self.code.of {
            Which::Data => Some(own.clone()),
            Which::Parity(size) if self.code.view() == View::Bytes => of_file(self.code.with, size),
            Which::Parity(size) => self.members(size, &mut losses, (works, ended)),
        };
        let Some(data) = data else { return };
        let columns = self
            .code
            .stripes(data.size, data.layout.chunks())
            .and_then(|stripes| Columns::new(stripes, self.code.of != Which::Data, data.layout.clone()));
        let Some(columns) = columns.filter(|columns| *columns.own() == *own.layout) else { return };
        let other = match self.code.of {
            Which::Data => of_file(self.code.with, columns.layouts()[1].size()),
            Which::Parity(_) => Some(data),
        };
        let Some(other) = other else { return };
        Work::new(self, columns, ([own, other], losses), works).run(ended);
    }

    /// The members of the folder of which the transfer's content is the parity. Only where something is to be decoded is its
    /// listing looked for.
    fn members(
        &self,
        size: u64,
        losses: &mut Losses,
        (works, ended): (&AtomicBool, &Receiver<()>),
    ) -> Option<Of> {
        let listing = listing::of(self.code.with, size)?;
        let (mut side, mut pause) = (None, LOOK);
        while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) && !self.is_over() {
            let now = Instant::now();
            if losses.look(&self.transfer, now).is_empty() {
                (side, pause) = (None, LOOK);
                works.store(false, Ordering::Release);
                continue;
            }
            match self.look_for(&listing, side.take(), works, now) {
                Ok((_, Some(members))) => return Some(members),
                Ok((fetched, None)) => (side, pause) = (Some(fetched), STEP),
                Err(why) => {
                    tracing::warn!("what nobody has of {} is not decoded: {why}", self.transfer.id);
                    return None;
                }
            }
        }
        None
    }

    /// Goes on to fetch a listing; what it names, once it is here.
    fn look_for<'a>(
        &'a self,
        listing: &Of,
        side: Option<Side<'a>>,
        works: &AtomicBool,
        now: Instant,
    ) -> io::Result<(Side<'a>, Option<Of>)> {
        let mut side = side.map_or_else(|| self.fetch(listing), Ok)?;
        side.turn(now).map_err(io::Error::other)?;
        works.store(side.missing(now).is_empty(), Ordering::Release);
        let members = listing::read(&side, listing)?;
        Ok((side, members))
    }
}
