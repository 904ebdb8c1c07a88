//! Decodes what is lost of a transfer, and has fetched what that needs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::columns::{Columns, View};
use super::hashes;
use super::losses::Losses;
use super::side::{Of, Side};
use super::solver::{Ready, Solver, read, solve};
use super::task::{Decoder, LOOK, STEP};
use crate::content::code::{CodecError, Column};
use crate::content::{Chunk, ChunkSet, Layout, Manifest, Place, hash_chunk, proof_run};
use crate::swarm::shards::Block;
use crate::threads;

/// Bytes that are on their way or here only to decode others, beyond what one column needs: so much room is taken beside
/// what is fetched itself. It is enough to keep all sources busy while a column is decoded.
const WINDOW_BYTES: u64 = 64 << 20;
/// So long is decoded before it is looked again what has come: a small part of what it takes to fetch as much as may be on its way.
const DECODE_FOR: Duration = Duration::from_millis(20);
/// Most threads that decode at a time; one where nobody waits for what comes of it.
const MOST_THREADS: usize = 4;
/// What nobody had who was asked is asked for again after so long, and so are the hashes of chunks.
const FORGETS: Duration = Duration::from_secs(12);

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
pub(super) struct Work<'a> {
    by: &'a Decoder,
    columns: Columns,
    of: [Of; 2],
    works: &'a AtomicBool,
    losses: Losses,
    /// The chunk hashes of own files of more than one chunk.
    manifests: BTreeMap<usize, Manifest>,
    /// What is lost of own files whose hashes are not known.
    unproved: ChunkSet,
    /// Of which files others were asked for them, and when they are asked again.
    asked: BTreeSet<usize>,
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
    /// Of what is lost of the first of two contents.
    pub(super) fn new(
        by: &'a Decoder,
        columns: Columns,
        (of, losses): ([Of; 2], Losses),
        works: &'a AtomicBool,
    ) -> Work<'a> {
        let now = Instant::now();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Work {
            by,
            gone: columns.nothing(),
            unproved: columns.nothing()[0].clone(),
            columns,
            of,
            works,
            losses,
            manifests: BTreeMap::new(),
            asked: BTreeSet::new(),
            asks: now,
            solver: Solver::new(by.code.shape),
            threads: if by.slow.is_some() { 1 } else { cores.min(MOST_THREADS) },
            sides: [None, None],
            begun: BTreeMap::new(),
            forgets: now,
        }
    }

    /// Does it until the transfer has ended.
    pub(super) fn run(mut self, ended: &Receiver<()>) {
        let mut pause = LOOK;
        while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) && !self.by.is_over() {
            let outcome = self.turn(Instant::now());
            self.works.store(matches!(outcome, Ok(Turn::Waits | Turn::More)), Ordering::Release);
            pause = match outcome {
                Ok(Turn::Idle) => LOOK,
                Ok(Turn::Waits) => STEP,
                Ok(Turn::More) => Duration::ZERO,
                Err(Stop::Over) => return,
                Err(Stop::Failed(why)) => {
                    tracing::warn!("what nobody has of {} is not decoded: {why}", self.by.transfer.id);
                    return;
                }
            };
        }
    }

    /// Fetches for columns of which something is lost, and decodes those of which enough is here.
    fn turn(&mut self, now: Instant) -> Result<Turn, Stop> {
        self.hear(now)?;
        let mut lost = self.losses.look(&self.by.transfer, now);
        if lost.is_empty() {
            self.begun.clear();
            self.sides = [None, None];
            return Ok(Turn::Idle);
        }
        if now > self.forgets {
            self.forget(now);
        }
        let unknown = self.learn(&lost);
        let [mut unproved, _] = self.columns.nothing();
        for file in &unknown {
            let chunks = self.of[0].layout.chunks_of(*file).filter(|chunk| lost.remove(*chunk));
            chunks.for_each(|chunk| _ = unproved.insert(chunk));
        }
        // Others of their columns do not wait for them.
        self.gone[0] = self.gone[0].union(&unproved);
        self.unproved = unproved;
        if lost.is_empty() {
            return self.learn_by_decoding(&unknown);
        }
        let view = self.view(lost);
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

    /// The files that lost chunks are of and whose hashes are not known, though others were asked for them.
    fn learn(&mut self, lost: &ChunkSet) -> Vec<usize> {
        let unknown: Vec<usize> =
            files_of(lost, &self.of[0].layout).into_iter().filter(|file| !self.is_known(*file)).collect();
        if Instant::now() > self.asks {
            self.asked.clear();
            self.asks = Instant::now() + FORGETS;
        }
        let to_ask: Vec<usize> = unknown.iter().copied().filter(|file| self.asked.insert(*file)).collect();
        if !to_ask.is_empty() {
            self.works.store(true, Ordering::Release);
            self.manifests.extend(hashes::learn(&self.by.means, &self.of[0], &to_ask));
        }
        unknown.into_iter().filter(|file| !self.is_known(*file)).collect()
    }

    /// True if all chunk hashes of an own file are known; of one chunk its id is.
    fn is_known(&self, file: usize) -> bool {
        self.of[0].layout.files()[file].chunks() == 1 || self.manifests.contains_key(&file)
    }

    fn view(&self, lost: ChunkSet) -> View {
        let mut fetched = self.columns.nothing();
        for (fetched, side) in fetched.iter_mut().zip(&self.sides) {
            side.iter().for_each(|side| *fetched = side.here());
        }
        View { own: self.by.transfer.had(), lost, fetched }
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
        self.columns.blocks(
            column,
            view,
            (&self.gone, |chunk| self.by.transfer.wants(chunk) && !self.unproved.contains(chunk)),
        )
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
                None => self.by.begin(&self.of[at])?,
            };
            side.want(wanted);
            self.sides[at] = Some(side);
        }
        Ok(true)
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

    /// The chunk hashes of a small file of which nobody knows them, for who kept it is gone: the first of these that can be
    /// decoded is, all of it, and its id tells whether that is right.
    fn learn_by_decoding(&mut self, files: &[usize]) -> Result<Turn, Stop> {
        let view = self.view(self.unproved.clone());
        for file in files {
            match self.decode_file(*file, &view)? {
                Turn::Idle => {}
                turn => return Ok(turn),
            }
        }
        Ok(Turn::Idle)
    }

    fn decode_file(&mut self, file: usize, view: &View) -> Result<Turn, Stop> {
        let (geometry, mut wanted) = (self.of[0].layout.files()[file], self.columns.nothing());
        if geometry.size() > WINDOW_BYTES {
            return Ok(Turn::Idle);
        }
        let [mut chunks, _] = self.columns.nothing();
        self.of[0].layout.chunks_of(file).for_each(|chunk| _ = chunks.insert(chunk));
        let all: Vec<(Column, Vec<Block>)> =
            self.columns.of(&chunks).into_iter().map(|column| (column, self.blocks(column, view))).collect();
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
                let chunks = self.chunks_in(column, *index, &block);
                for (chunk, place, data) in chunks.filter(|(_, place, _)| place.file == file) {
                    hashes.insert(chunk, hash_chunk(geometry, place.chunk, data));
                }
            }
        }
        let manifest = Manifest::new(geometry, hashes.into_values().collect()).ok();
        let manifest = manifest.filter(|(_, id)| *id == self.of[0].ids[file]).map(|(manifest, _)| manifest);
        let is_known = manifest.is_some();
        self.manifests.extend(manifest.map(|manifest| (file, manifest)));
        Ok(if is_known { Turn::More } else { Turn::Idle })
    }

    /// The wanted blocks of a column.
    fn solve(&self, ready: &Ready, view: &View) -> Result<Vec<Vec<u8>>, Stop> {
        if self.by.is_over() {
            return Err(Stop::Over);
        }
        let from = |side: usize, chunk, place| match &self.sides[side] {
            // What was fetched for this is read where it lies: the other may be on its way yet.
            Some(fetched) if view.fetched[side].contains(chunk) => fetched.bytes(place),
            _ if side == 0 => self.by.transfer.landing.bytes(place),
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
        let (transfer, own) = (&self.by.transfer, self.columns.own());
        for (chunk, place, data) in self.chunks_in(column, index, bytes) {
            if !transfer.wants(chunk) || transfer.has(chunk) {
                continue;
            }
            let manifest = self.manifests.get(&place.file);
            let run = proof_run(own.files()[place.file], place.chunk);
            let proof = manifest.and_then(|manifest| manifest.prove(run).ok());
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
        let places: Vec<(Chunk, u64, Place)> = self.columns.places(column, index).collect();
        places
            .into_iter()
            .map(|(chunk, at, place)| (chunk, place, &bytes[at as usize..(at + place.len) as usize]))
    }
}

/// The files that these chunks are of, in order.
fn files_of(chunks: &ChunkSet, layout: &Layout) -> Vec<usize> {
    let (mut files, mut from) = (Vec::new(), Chunk(0));
    let next = |from| chunks.next(from).filter(|chunk| *chunk >= from).and_then(|chunk| layout.place(chunk));
    while let Some(place) = next(from) {
        files.push(place.file);
        from = layout.first_of(place.file + 1);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Geometry;

    #[test]
    fn chunks_are_of_files_each_of_which_is_named_once() {
        let sizes = [70_000, 0, 5, 3 << 16];
        let layout = Layout::new(sizes.iter().filter_map(|size| Geometry::of(*size)).collect()).unwrap();
        let of = |chunks: &[u32]| files_of(&ChunkSet::of(6, chunks), &layout);
        assert_eq!((of(&[1, 3, 5]), of(&[0, 1, 2]), of(&[])), (vec![0, 3], vec![0, 2], vec![]));
    }
}
