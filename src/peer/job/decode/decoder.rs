//! Sees what nobody has of a transfer, and decodes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::hashes;
use super::side::Side;
use super::span::Span;
use crate::content::code::{Column, SLICE_BYTES, Shard, Stripes, decode};
use crate::content::{Chunk, ChunkSet, FileId, Geometry, Manifest, Place, hash_chunk, proof_run, runs};
use crate::peer::job::means::Means;
use crate::peer::share::read_at;
use crate::peer::transfer::{Inlet, Landing, Transfer};
use crate::swarm::shards::{Block, needed};
use crate::threads;
use crate::wire::{Coding, Side as Of};

/// What nobody has for so long is decoded.
const PATIENCE: Duration = Duration::from_millis(250);
/// For so long the first source is waited for: before, nobody has anything.
const FIRST_SOURCE: Duration = Duration::from_secs(3);
/// How often it is looked what nobody has.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes that are fetched at a time to decode others, beyond what one column needs: so much room is taken beside what is
/// fetched itself. Columns are decoded as soon as enough of them is here.
const ROUND_BYTES: u64 = 64 << 20;

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
        let geometry = *self.transfer.layout.files().first()?;
        let stripes = self.code.stripes(geometry.size())?;
        let works = Arc::new(AtomicBool::new(false));
        let flag = works.clone();
        let (over, ended) = crossbeam_channel::bounded(0);
        let run = move || Work::new(&self, geometry, stripes, &flag).run(&ended);
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

/// The work of one decoder.
struct Work<'a> {
    of: &'a Decoder,
    geometry: Geometry,
    stripes: Stripes,
    works: &'a AtomicBool,
    manifest: Option<Manifest>,
    /// Chunks of the transfer's own content and of the other one that nobody had who was asked for them, and when that is
    /// forgotten.
    gone: [ChunkSet; 2],
    forgets: Instant,
}

/// What was fetched to decode with: of the own content and of the other one, which chunks, and where they lie.
type Fetched = [(ChunkSet, Option<Arc<dyn Landing>>); 2];

impl<'a> Work<'a> {
    fn new(of: &'a Decoder, geometry: Geometry, stripes: Stripes, works: &'a AtomicBool) -> Work<'a> {
        let mut work = Work {
            of,
            geometry,
            stripes,
            works,
            manifest: None,
            gone: [ChunkSet::empty(0), ChunkSet::empty(0)],
            forgets: Instant::now(),
        };
        work.forget();
        work
    }

    fn forget(&mut self) {
        self.gone = [self.geometry, self.other().1].map(|geometry| ChunkSet::empty(geometry.chunks()));
        self.forgets = Instant::now() + 4 * FIRST_SOURCE;
    }

    /// True if the transfer is of the parity.
    fn is_parity(&self) -> bool {
        self.of.code.of != Of::Data
    }

    /// The other content of the code.
    fn other(&self) -> (FileId, Geometry) {
        let geometry = if self.is_parity() { self.stripes.data() } else { self.stripes.parity() };
        (self.of.code.with, geometry)
    }

    fn run(mut self, ended: &Receiver<()>) {
        let transfer = &self.of.transfer;
        let started = Instant::now();
        let mut since: Option<(Instant, ChunkSet)> = None;
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) && !self.is_over() {
            let now = Instant::now();
            let nobody = transfer.sources.views().is_empty();
            let lost = if nobody { transfer.lacks_all() } else { transfer.lacks_of_sources() };
            let nobody_yet = nobody && now < started + FIRST_SOURCE;
            let (from, before) = since.take().unwrap_or_else(|| (now, lost.clone()));
            let still = both(&before, &lost);
            if nobody_yet || still.is_empty() {
                continue; // it begins anew
            }
            if now < from + PATIENCE {
                since = Some((from, still));
                continue;
            }
            if now > self.forgets {
                self.forget();
            }
            self.works.store(true, Ordering::Release);
            let outcome = self.round(&still);
            self.works.store(false, Ordering::Release);
            match outcome {
                // What else has been missing for so long is not waited for again.
                Ok(()) => since = Some((from, still)),
                Err(Stop::Over) => {}
                Err(Stop::Failed(why)) => {
                    tracing::warn!("what nobody has of {} is not decoded: {why}", transfer.id);
                    return;
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.of.transfer.is_over() || self.of.means.stop.is_stopping()
    }

    /// Decodes some of what is lost, as far as others have enough.
    fn round(&mut self, lost: &ChunkSet) -> Result<(), Stop> {
        if self.manifest.is_none() {
            self.manifest = hashes::learn(&self.of.means, self.of.transfer.id, self.geometry);
        }
        if self.manifest.is_none() {
            self.manifest = self.learn_by_decoding(lost)?;
        }
        if self.manifest.is_none() {
            return Ok(()); // another time
        }
        let (mut left, wanted) = self.choose(self.columns_of(lost), lost, ROUND_BYTES);
        let fetched = self.fetch(&wanted, |fetched| self.decode_ready(&mut left, lost, fetched))?;
        self.note_gone(&wanted, &fetched);
        Ok(())
    }

    /// Which of these columns are decoded now, or so many of them as is fetched for at a time, and what is to be fetched only
    /// for that.
    fn choose(&self, columns: Vec<Column>, lost: &ChunkSet, most: u64) -> (Vec<Column>, [ChunkSet; 2]) {
        let mut wanted = [self.geometry, self.other().1].map(|geometry| ChunkSet::empty(geometry.chunks()));
        let (mut chosen_for, mut bytes, own): (Vec<Column>, u64, _) = (Vec::new(), 0, self.of.transfer.had());
        for column in columns {
            if bytes > most {
                break;
            }
            // By groups: neighbouring columns of which the same is here are decoded as one.
            let turn = column.group as usize;
            let blocks = self.blocks(column, lost, &own, None);
            // What is on its way comes first: what is fetched beside it would lie there for long.
            if blocks.contains(&Block::Comes) {
                continue;
            }
            let Some(chosen) = needed(self.stripes.shape().k() as usize, &blocks, turn) else { continue };
            for index in chosen {
                let (side, chunks) = self.chunks(Span::of(column), index as u32);
                chunks.for_each(|chunk| {
                    wanted[side].insert(Chunk(chunk));
                });
                bytes += self.stripes.column_bytes();
            }
            chosen_for.push(column);
        }
        (chosen_for, wanted)
    }

    /// What did not come of what was wanted, nobody has.
    fn note_gone(&mut self, wanted: &[ChunkSet; 2], fetched: &Fetched) {
        for (side, wanted) in wanted.iter().enumerate() {
            let missing = wanted.iter().filter(|chunk| !fetched[side].0.contains(*chunk));
            self.gone[side].add_runs(&runs::of(missing));
        }
    }

    /// The chunk hashes of a small content of which nobody knows them, for who kept it is gone: all of it is decoded, and its id tells
    /// whether that is right.
    fn learn_by_decoding(&mut self, lost: &ChunkSet) -> Result<Option<Manifest>, Stop> {
        if self.geometry.size() > ROUND_BYTES {
            return Ok(None);
        }
        let all: Vec<Column> = self.stripes.columns().collect();
        let (columns, wanted) = self.choose(all.clone(), lost, u64::MAX);
        if columns != all {
            return Ok(None);
        }
        let fetched = self.fetch(&wanted, |_| Ok(()))?;
        self.note_gone(&wanted, &fetched);
        let (own, mut hashes) = (self.of.transfer.had(), BTreeMap::new());
        for span in columns.into_iter().map(Span::of) {
            let blocks = self.blocks(span.first, lost, &own, Some(&fetched));
            if !self.is_enough(&blocks) {
                return Ok(None);
            }
            let mine = |index: &usize| self.chunks(span, *index as u32).0 == 0;
            let mine: Vec<usize> = (0..blocks.len()).filter(mine).collect();
            let decoded = self.decoded(span, 0..self.stripes.column_bytes(), &blocks, &mine, &fetched)?;
            for (index, block) in mine.into_iter().zip(decoded) {
                for chunk in self.chunks(span, index as u32).1 {
                    let place = place_of(self.geometry, chunk)?;
                    let from = (place.offset - self.stripes.offset(span.first, index as u32)) as usize;
                    let data = &block[from..from + place.len as usize];
                    hashes.insert(chunk, hash_chunk(self.geometry, place.chunk, data));
                }
            }
        }
        let manifest = Manifest::new(self.geometry, hashes.into_values().collect()).ok();
        Ok(manifest.filter(|(_, id)| *id == self.of.transfer.id).map(|(manifest, _)| manifest))
    }

    /// The columns that lost chunks are of, each once, in order.
    fn columns_of(&self, lost: &ChunkSet) -> Vec<Column> {
        let columns = lost.iter().map(|chunk| self.stripes.column_of(self.is_parity(), chunk.0));
        columns.collect::<BTreeSet<Column>>().into_iter().collect()
    }

    /// Of which content a shard is, the own (0) or the other (1), and its chunks there in a span.
    fn chunks(&self, span: Span, index: u32) -> (usize, Range<u32>) {
        let parity = self.stripes.is_parity(Shard { group: span.first.group, index });
        let [first, last] = [span.first, span.last()].map(|column| self.stripes.column_chunks(column, index));
        (usize::from(parity != self.is_parity()), first.start..last.end)
    }

    /// How each block of a column is; `own` are the chunks of the transfer that are here.
    fn blocks(
        &self,
        column: Column,
        lost: &ChunkSet,
        own: &ChunkSet,
        fetched: Option<&Fetched>,
    ) -> Vec<Block> {
        let of = |index| {
            let (side, chunks) = self.chunks(Span::of(column), index);
            let mut chunks = chunks.map(Chunk);
            if chunks.clone().all(|chunk| {
                (side == 0 && own.contains(chunk))
                    || fetched.is_some_and(|fetched| fetched[side].0.contains(chunk))
            }) {
                return Block::Here;
            }
            match side {
                0 if chunks.clone().any(|chunk| lost.contains(chunk)) => Block::Lost,
                0 if chunks.clone().all(|chunk| self.of.transfer.wants(chunk)) => Block::Comes,
                _ if chunks.any(|chunk| self.gone[side].contains(chunk)) => Block::Gone,
                _ => Block::Open,
            }
        };
        (0..self.stripes.shape().shards()).map(of).collect()
    }

    /// True if the others follow from those that are here.
    fn is_enough(&self, blocks: &[Block]) -> bool {
        blocks.iter().filter(|block| **block == Block::Here).count() >= self.stripes.shape().k() as usize
    }

    /// Fetches what is needed only to decode with it; each time that some of it may have come, `meanwhile` is told of all that
    /// has.
    fn fetch(
        &self,
        wanted: &[ChunkSet; 2],
        mut meanwhile: impl FnMut(&Fetched) -> Result<(), Stop>,
    ) -> Result<Fetched, Stop> {
        let contents = [(self.of.transfer.id, self.geometry), self.other()];
        let mut fetched: Fetched = contents.map(|(_, geometry)| (ChunkSet::empty(geometry.chunks()), None));
        let mut sides = [None, None];
        for (at, wanted) in wanted.iter().enumerate().filter(|(_, wanted)| !wanted.is_empty()) {
            let inlets = (self.of.inlets.clone(), self.of.slow.clone());
            let side = Side::begin(&self.of.means, &self.of.folder, contents[at], wanted.clone(), inlets)?;
            sides[at] = Some(side);
        }
        let mut outcome = meanwhile(&fetched);
        while sides.iter().any(Option::is_some) {
            for (at, place) in sides.iter_mut().enumerate() {
                let Some(mut side) = place.take() else { continue };
                let (had, landing) = match side.turn() && outcome.is_ok() && !self.is_over() {
                    true => place.insert(side).so_far(),
                    false => side.end(),
                };
                fetched[at] = (had, Some(landing));
            }
            outcome = outcome.and_then(|()| meanwhile(&fetched));
        }
        outcome?;
        if self.is_over() { Err(Stop::Over) } else { Ok(fetched) }
    }

    /// Decodes those of the columns of which enough is here, and leaves the others. Of what others did not have after all
    /// nothing comes: it is another round's.
    fn decode_ready(&self, left: &mut Vec<Column>, lost: &ChunkSet, fetched: &Fetched) -> Result<(), Stop> {
        let (own, mut spans): (_, Vec<(Span, Vec<Block>)>) = (self.of.transfer.had(), Vec::new());
        let most = (SLICE_BYTES as u64 / self.stripes.column_bytes()) as u32;
        left.retain(|column| {
            let blocks = self.blocks(*column, lost, &own, Some(fetched));
            if !self.is_enough(&blocks) {
                return true;
            }
            match spans.last_mut() {
                Some((span, same)) if span.is_before(*column) && span.count < most && *same == blocks => {
                    span.count += 1;
                }
                _ => spans.push((Span::of(*column), blocks)),
            }
            false
        });
        spans.into_iter().try_for_each(|(span, blocks)| self.decode(span, &blocks, fetched))
    }

    /// Decodes the lost chunks of a span and hands them to the transfer, which proves them.
    fn decode(&self, span: Span, blocks: &[Block], fetched: &Fetched) -> Result<(), Stop> {
        let bytes = u64::from(span.count) * self.stripes.column_bytes();
        let lost: Vec<usize> = (0..blocks.len()).filter(|index| blocks[*index] == Block::Lost).collect();
        let mut decoded: Vec<Vec<u8>> = vec![Vec::with_capacity(bytes as usize); lost.len()];
        let mut from = 0;
        while from < bytes {
            if self.is_over() {
                return Err(Stop::Over);
            }
            let part = from..bytes.min(from + SLICE_BYTES as u64);
            from = part.end;
            let slices = self.decoded(span, part, blocks, &lost, fetched)?;
            decoded.iter_mut().zip(slices).for_each(|(all, slice)| all.extend_from_slice(&slice));
        }
        lost.into_iter().zip(decoded).try_for_each(|(index, bytes)| self.supply(span, index as u32, &bytes))
    }

    /// The same part of those blocks of a span that are `wanted`, of which enough are here.
    fn decoded(
        &self,
        span: Span,
        part: Range<u64>,
        blocks: &[Block],
        wanted: &[usize],
        fetched: &Fetched,
    ) -> Result<Vec<Vec<u8>>, Stop> {
        let shape = self.stripes.shape();
        let (mut slices, mut read) = (Vec::with_capacity(blocks.len()), 0);
        for (index, block) in blocks.iter().enumerate() {
            // Of data and parity no more than suffice, but what is wanted itself.
            let is_read = *block == Block::Here && (read < shape.k() || wanted.contains(&index));
            read += u32::from(is_read);
            slices.push(match is_read {
                true => Some(self.read(span, index as u32, part.clone(), fetched)?),
                false => None,
            });
        }
        decode(shape, &slices, wanted).map_err(|error| Stop::Failed(error.to_string()))
    }

    /// Reads a part of a block of a span that is here; behind the end of the data are zeros.
    fn read(&self, span: Span, index: u32, part: Range<u64>, fetched: &Fetched) -> Result<Vec<u8>, Stop> {
        let (side, chunks) = self.chunks(span, index);
        let geometry = if side == 0 { self.geometry } else { self.other().1 };
        let start = self.stripes.offset(span.first, index);
        let (first, end) = (start + part.start, start + part.end);
        let mut out = vec![0; (part.end - part.start) as usize];
        for chunk in chunks {
            let place = place_of(geometry, chunk)?;
            let (from, to) = (first.max(place.offset), end.min(place.offset + place.len));
            if from >= to {
                continue;
            }
            // What was fetched for this is read where it lies: the other may be on its way yet.
            let landing = match fetched[side].0.contains(Chunk(chunk)) {
                true => fetched[side].1.as_ref(),
                false => (side == 0).then_some(&self.of.transfer.landing),
            };
            let lying = landing.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?.bytes(place)?;
            let into = &mut out[(from - first) as usize..(to - first) as usize];
            read_at(&lying.file, into, lying.offset + from - place.offset)?;
        }
        Ok(out)
    }

    /// Hands the chunks of a decoded block to the transfer.
    fn supply(&self, span: Span, index: u32, bytes: &[u8]) -> Result<(), Stop> {
        let start = self.stripes.offset(span.first, index);
        let (_, chunks) = self.chunks(span, index);
        let transfer = &self.of.transfer;
        let lacks = |chunk: &u32| transfer.wants(Chunk(*chunk)) && !transfer.has(Chunk(*chunk));
        for chunk in chunks.filter(lacks) {
            let place = place_of(self.geometry, chunk)?;
            let from = (place.offset - start) as usize;
            let run = proof_run(self.geometry, place.chunk);
            let proof = self.manifest.as_ref().and_then(|manifest| manifest.prove(run).ok());
            let proof = proof.filter(|_| self.geometry.chunks() > 1).unwrap_or_default();
            let data = &bytes[from..from + place.len as usize];
            if !transfer.supply(Chunk(chunk), place, proof, data) {
                return Err(Stop::Failed(
                    "what came of it is something else: the parity is not that of this".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

fn place_of(geometry: Geometry, chunk: u32) -> Result<Place, Stop> {
    let index = geometry.index(chunk).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let (offset, len) = (geometry.offset(index), geometry.len(index));
    Ok(Place { file: 0, chunk: index, offset, len })
}

/// Chunks that are in both.
fn both(one: &ChunkSet, other: &ChunkSet) -> ChunkSet {
    let words = one.words().iter().zip(other.words()).map(|(one, other)| one & other);
    ChunkSet::from_words(words, one.len())
}
