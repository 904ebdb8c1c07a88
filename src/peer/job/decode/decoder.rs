//! Sees what nobody has of a transfer, and decodes it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::columns::{Columns, View};
use super::hashes;
use super::side::Side;
use super::solver::{Ready, Solver, read, solve};
use crate::content::code::{CodecError, Column, Stripes};
use crate::content::{Chunk, ChunkSet, Manifest, Place, hash_chunk, proof_run};
use crate::peer::job::means::Means;
use crate::peer::transfer::{Inlet, Transfer};
use crate::swarm::shards::{Block, Missed};
use crate::threads;
use crate::wire::{Coding, Side as Of};

/// What nobody has for so long is decoded,
const PATIENCE: Duration = Duration::from_millis(250);
/// or for so long, if all have said what they have whom trackers named.
const ALL_SAID: Duration = Duration::from_millis(40);
/// For so long the first source is waited for: before, nobody has anything.
const FIRST_SOURCE: Duration = Duration::from_secs(3);
/// How often it is looked what nobody has,
const LOOK: Duration = Duration::from_millis(20);
/// and while something is on its way, what has come: often enough for what is decoded at a time to be a small part of what may
/// be on its way.
const STEP: Duration = Duration::from_millis(5);
/// Bytes that are on their way or here only to decode others, beyond what one column needs: so much room is taken beside
/// what is fetched itself. It is enough to keep all sources busy while a column is decoded.
const WINDOW_BYTES: u64 = 64 << 20;
/// So long is decoded before it is looked again what has come: a small part of what it takes to fetch as much as may be on its way.
const DECODE_FOR: Duration = Duration::from_millis(20);
/// Most threads that decode at a time; one where nobody waits for what comes of it.
const MOST_THREADS: usize = 4;
/// What nobody had who was asked is asked for again after so long, and so are the hashes of chunks.
const FORGETS: Duration = Duration::from_secs(12);

/// What a transfer is of, and with what it may do to decode what is missing.
#[derive(Debug)]
pub(in crate::peer) struct Decoder {
    pub(in crate::peer) means: Arc<Means>,
    pub(in crate::peer) transfer: Arc<Transfer>,
    /// What the transfer's content is of which code.
    pub(in crate::peer) code: Coding,
    /// Where what is needed only for this may be for a while.
    pub(in crate::peer) folder: PathBuf,
    /// Through these comes what may come at a time.
    pub(in crate::peer) inlets: Vec<Arc<Inlet>>,
    /// Through this, too, if nobody waits for it: others are served first then.
    pub(in crate::peer) slow: Option<Arc<Inlet>>,
}

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
        let stripes = self.code.stripes(self.transfer.layout.files().first()?.size())?;
        let works = Arc::new(AtomicBool::new(false));
        let flag = works.clone();
        let (over, ended) = crossbeam_channel::bounded(0);
        let run = move || Work::new(&self, stripes, &flag).run(&ended);
        match threads::named("decode").connection(run) {
            Ok(thread) => Some(Decoding { works, over: Some(over), thread: Some(thread) }),
            Err(error) => {
                tracing::warn!("no thread to decode what nobody has: {error}");
                None
            }
        }
    }
}

/// Why a decoder does not go on.
enum Stop {
    /// The transfer has ended.
    Over,
    /// What came of it is not what it should be, or could not be read or written.
    Failed(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Failed(error.to_string())
    }
}

impl From<CodecError> for Stop {
    fn from(error: CodecError) -> Stop {
        Stop::Failed(error.to_string())
    }
}

/// How a decoder was left by a turn.
enum Turn {
    /// There is nothing to decode, or what it needs is nowhere.
    Idle,
    /// Something is on its way.
    Waits,
    /// It could go on at once.
    More,
}

/// The work of one decoder. Of the two contents of a code the transfer's own is the first, and the other the second.
struct Work<'a> {
    of: &'a Decoder,
    columns: Columns,
    works: &'a AtomicBool,
    started: Instant,
    missed: Missed,
    /// The transfer was told to ask for neighbouring chunks one after the other.
    in_order: bool,
    /// The chunk hashes of the own content, and when others are asked for them again.
    manifest: Option<Manifest>,
    asks: Instant,
    solver: Solver,
    /// So many decode at a time.
    threads: usize,
    /// What is fetched to decode with, of either content.
    sides: [Option<Side<'a>>; 2],
    /// Columns that are being fetched for, and bytes that are.
    begun: BTreeMap<Column, u64>,
    /// Chunks of either content that nobody had who was asked for them, and when that is forgotten.
    gone: [ChunkSet; 2],
    forgets: Instant,
}

impl<'a> Work<'a> {
    fn new(of: &'a Decoder, stripes: Stripes, works: &'a AtomicBool) -> Work<'a> {
        let (columns, now) = (Columns::new(stripes, of.code.of != Of::Data), Instant::now());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Work {
            of,
            columns,
            works,
            started: now,
            missed: Missed::new(columns.own().chunks(), now),
            in_order: false,
            manifest: None,
            asks: now,
            solver: Solver::new(stripes.shape()),
            threads: if of.slow.is_some() { 1 } else { cores.min(MOST_THREADS) },
            sides: [None, None],
            begun: BTreeMap::new(),
            gone: columns.nothing(),
            forgets: now,
        }
    }

    fn run(mut self, ended: &Receiver<()>) {
        let mut pause = LOOK;
        while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) && !self.is_over() {
            let outcome = self.turn(Instant::now());
            self.works.store(matches!(outcome, Ok(Turn::Waits | Turn::More)), Ordering::Release);
            pause = match outcome {
                Ok(Turn::Idle) => LOOK,
                Ok(Turn::Waits) => STEP,
                Ok(Turn::More) => Duration::ZERO,
                Err(Stop::Over) => return,
                Err(Stop::Failed(why)) => {
                    tracing::warn!("what nobody has of {} is not decoded: {why}", self.of.transfer.id);
                    return;
                }
            };
        }
    }

    fn is_over(&self) -> bool {
        self.of.transfer.is_over() || self.of.means.stop.is_stopping()
    }

    /// Fetches for columns of which something is lost, and decodes those of which enough is here.
    fn turn(&mut self, now: Instant) -> Result<Turn, Stop> {
        self.hear(now)?;
        let lost = self.lost(now);
        if lost.is_empty() {
            self.begun.clear();
            self.sides = [None, None];
            return Ok(Turn::Idle);
        }
        if now > self.forgets {
            self.forget(now);
        }
        if self.manifest.is_none() && now > self.asks {
            self.works.store(true, Ordering::Release);
            self.manifest = hashes::learn(&self.of.means, self.of.transfer.id, self.columns.own());
            self.asks = Instant::now() + FORGETS;
        }
        let view = self.view(lost);
        if self.manifest.is_none() {
            return self.learn_by_decoding(&view);
        }
        if !self.begin_more(&view)? {
            return Ok(Turn::Waits);
        }
        let idle = self.begun.is_empty();
        let in_time = self.decode_ready(&view, now + DECODE_FOR)?;
        Ok(match in_time {
            _ if idle => Turn::Idle,
            true => Turn::Waits,
            false => Turn::More,
        })
    }

    fn forget(&mut self, now: Instant) {
        self.gone = self.columns.nothing();
        self.forgets = now + FORGETS;
    }

    /// Gives those time who fetch, and hears of what they do not find.
    fn hear(&mut self, now: Instant) -> Result<(), Stop> {
        for (side, gone) in self.sides.iter_mut().zip(&mut self.gone) {
            if let Some(side) = side {
                side.turn(now).map_err(Stop::Failed)?;
                *gone = gone.union(&side.missing(now));
            }
        }
        Ok(())
    }

    /// What nobody has had of the transfer for long enough.
    fn lost(&mut self, now: Instant) -> ChunkSet {
        let transfer = &self.of.transfer;
        let lost = match transfer.sources.any() {
            true => transfer.lacks_of_sources(),
            false if now < self.started + FIRST_SOURCE => ChunkSet::empty(self.columns.own().chunks()),
            false => transfer.lacks_all(),
        };
        let expects = transfer.neighbours(|neighbours| neighbours.expects());
        let patience = if expects { PATIENCE } else { ALL_SAID };
        let long = self.missed.look(&lost, patience, now);
        if !long.is_empty() && !self.in_order {
            // Columns are to be whole soon, one after the other.
            self.in_order = true;
            transfer.goes_in_order();
        }
        long.clone()
    }

    fn view(&self, lost: ChunkSet) -> View {
        let mut fetched = self.columns.nothing();
        for (fetched, side) in fetched.iter_mut().zip(&self.sides) {
            side.iter().for_each(|side| *fetched = side.here());
        }
        View { own: self.of.transfer.had(), lost, fetched }
    }

    /// Fetches what columns need of which something is lost, as far as there is room beside those begun before; of those, what
    /// they need now: others may not have had what was chosen first. False if some of it is to come anew.
    fn begin_more(&mut self, view: &View) -> Result<bool, Stop> {
        let (mut wanted, mut bytes) = (self.columns.nothing(), 0);
        let begun = std::mem::take(&mut self.begun);
        let fresh = self.columns.of(&view.lost).into_iter().filter(|column| !begun.contains_key(column));
        let all: Vec<(Column, Option<u64>)> =
            begun.iter().map(|(column, bytes)| (*column, Some(*bytes))).collect();
        for (column, begun) in all.into_iter().chain(fresh.map(|column| (column, None))) {
            if begun.is_none() && bytes >= WINDOW_BYTES {
                break;
            }
            let blocks = self.blocks(column, view);
            match self.columns.needed(column, &blocks).filter(|_| blocks.contains(&Block::Lost)) {
                // What is on its way comes first: what is fetched beside it would lie there for long.
                Some(_) if begun.is_none() && blocks.contains(&Block::Comes) => {}
                Some(indexes) => {
                    let fetched = begun.unwrap_or(indexes.len() as u64 * self.columns.block_bytes());
                    bytes += fetched;
                    self.begun.insert(column, fetched);
                    self.columns.note(column, indexes, &mut wanted);
                }
                None if begun.is_some() => self.spend(column)?,
                None => {}
            }
        }
        self.fetch(wanted)
    }

    fn blocks(&self, column: Column, view: &View) -> Vec<Block> {
        self.columns.blocks(column, view, (&self.gone, |chunk| self.of.transfer.wants(chunk)))
    }

    /// Has these fetched. False if some of them were here before, and are not any more: all that is here comes anew then.
    fn fetch(&mut self, wanted: [ChunkSet; 2]) -> Result<bool, Stop> {
        for (at, wanted) in wanted.into_iter().enumerate().filter(|(_, wanted)| !wanted.is_empty()) {
            if self.sides[at].as_ref().is_some_and(|side| side.has_spent(&wanted)) {
                self.sides[at] = None;
                self.begun.clear();
                return Ok(false);
            }
            let mut side = match self.sides[at].take() {
                Some(side) => side,
                None => self.begin(at)?,
            };
            side.want(wanted);
            self.sides[at] = Some(side);
        }
        Ok(true)
    }

    /// Begins to look for who has some of a content.
    fn begin(&self, at: usize) -> io::Result<Side<'a>> {
        let Decoder { means, transfer, code, folder, inlets, slow } = self.of;
        let id = if at == 0 { transfer.id } else { code.with };
        Side::begin(means, folder, (id, self.columns.geometries()[at]), (inlets.clone(), slow.clone()))
    }

    /// Keeps no more what was fetched for a column.
    fn spend(&mut self, column: Column) -> Result<(), Stop> {
        for index in 0..self.columns.shards() {
            let (side, chunks) = self.columns.chunks(column, index);
            if let Some(side) = &mut self.sides[side] {
                side.spend(chunks)?;
            }
        }
        Ok(())
    }

    /// Decodes columns of which enough is here, several at a time, and what is lost of them is handed to the transfer, which proves
    /// it. False if that took until then: there may be more.
    fn decode_ready(&mut self, view: &View, until: Instant) -> Result<bool, Stop> {
        let mut ready: Vec<Ready> = Vec::new();
        for column in self.begun.keys().copied() {
            let blocks = self.blocks(column, view);
            if let Some(given) = self.columns.enough(&blocks) {
                let lost = (0..blocks.len()).filter(|index| blocks[*index] == Block::Lost).collect();
                ready.push(Ready::new(column, (given, lost), &mut self.solver)?);
            }
        }
        let (work, next) = (&*self, AtomicUsize::new(0));
        let help = || -> Result<(), Stop> {
            while let Some(ready) = ready.get(next.fetch_add(1, Ordering::Relaxed)) {
                for (index, bytes) in ready.wanted.iter().zip(work.solve(ready, view)?) {
                    work.supply(ready.column, *index, &bytes)?;
                }
                if Instant::now() >= until {
                    break;
                }
            }
            Ok(())
        };
        let threads = self.threads.min(ready.len());
        thread::scope(|scope| {
            let helpers: Vec<_> =
                (1..threads).filter_map(|_| threads::named("decode").helper(scope, help)).collect();
            let mine = help();
            helpers.into_iter().map(threads::join).fold(mine, Result::and)
        })?;
        let done = next.into_inner().min(ready.len());
        for Ready { column, .. } in &ready[..done] {
            self.begun.remove(column);
            self.spend(*column)?;
        }
        Ok(done == ready.len())
    }

    /// The chunk hashes of a small content of which nobody knows them, for who kept it is gone: all of it is decoded, and its id tells
    /// whether that is right.
    fn learn_by_decoding(&mut self, view: &View) -> Result<Turn, Stop> {
        let (own, mut wanted) = (self.columns.own(), self.columns.nothing());
        if own.size() > WINDOW_BYTES {
            return Ok(Turn::Idle);
        }
        let all: Vec<(Column, Vec<Block>)> =
            self.columns.all().map(|column| (column, self.blocks(column, view))).collect();
        for (column, blocks) in &all {
            match self.columns.needed(*column, blocks).filter(|_| !blocks.contains(&Block::Comes)) {
                None => return Ok(Turn::Idle),
                Some(indexes) => self.columns.note(*column, indexes, &mut wanted),
            }
        }
        let here = all.iter().map(|(column, blocks)| Some((*column, self.columns.enough(blocks)?)));
        let here: Option<Vec<(Column, Vec<usize>)>> = here.collect();
        let Some(here) = here.filter(|_| wanted.iter().all(ChunkSet::is_empty)) else {
            self.fetch(wanted)?;
            return Ok(Turn::Waits);
        };
        let mut hashes = BTreeMap::new();
        for (column, given) in here {
            let mine: Vec<usize> = (0..self.columns.shards())
                .filter(|index| self.columns.chunks(column, *index).0 == 0)
                .collect();
            let ready = Ready::new(column, (given, mine), &mut self.solver)?;
            for (index, block) in ready.wanted.iter().zip(self.solve(&ready, view)?) {
                for (chunk, place, data) in self.chunks_in(column, *index, &block) {
                    hashes.insert(chunk, hash_chunk(own, place.chunk, data));
                }
            }
        }
        let manifest = Manifest::new(own, hashes.into_values().collect()).ok();
        self.manifest = manifest.filter(|(_, id)| *id == self.of.transfer.id).map(|(manifest, _)| manifest);
        Ok(if self.manifest.is_some() { Turn::More } else { Turn::Idle })
    }

    /// The wanted blocks of a column.
    fn solve(&self, ready: &Ready, view: &View) -> Result<Vec<Vec<u8>>, Stop> {
        if self.is_over() {
            return Err(Stop::Over);
        }
        let from = |side: usize, chunk, place| match &self.sides[side] {
            // What was fetched for this is read where it lies: the other may be on its way yet.
            Some(fetched) if view.fetched[side].contains(chunk) => fetched.bytes(place),
            _ if side == 0 => self.of.transfer.landing.bytes(place),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let read = |index, part: Range<u64>, into: &mut [u8]| {
            read(&self.columns, (ready.column, index), (part, into), from).map_err(Stop::from)
        };
        let size = (ready.wanted.len(), self.columns.block_bytes());
        solve(&ready.recovery, size, &ready.given, read)
    }

    /// Hands the chunks of a decoded block to the transfer.
    fn supply(&self, column: Column, index: usize, bytes: &[u8]) -> Result<(), Stop> {
        let (transfer, own) = (&self.of.transfer, self.columns.own());
        for (chunk, place, data) in self.chunks_in(column, index, bytes) {
            if !transfer.wants(chunk) || transfer.has(chunk) {
                continue;
            }
            let manifest = self.manifest.as_ref().filter(|_| own.chunks() > 1);
            let proof = manifest.and_then(|manifest| manifest.prove(proof_run(own, place.chunk)).ok());
            if !transfer.supply(chunk, place, proof.unwrap_or_default(), data) {
                return Err(Stop::Failed(
                    "what came of it is something else: the parity is not that of this".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// The chunks of an own block of which these are the bytes.
    fn chunks_in<'b>(
        &self,
        column: Column,
        index: usize,
        bytes: &'b [u8],
    ) -> impl Iterator<Item = (Chunk, Place, &'b [u8])> + use<'b> {
        let start = self.columns.offset(column, index);
        self.columns.places(column, index).map(move |(chunk, place)| {
            let from = (place.offset - start) as usize;
            (chunk, place, &bytes[from..from + place.len as usize])
        })
    }
}
