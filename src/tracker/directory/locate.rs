//! LOCATE: which contents a name or id stands for, and which of their holders to suggest.
//!
//! For fetching, the choice makes a random graph: every asker gets other neighbours, seeders and
//! leechers mixed, so that no part of a swarm is cut off; among the drawn, the less loaded win. Whoever
//! is doubted comes behind the others, but is named like them where places are left.

use std::cell::Cell;
use std::time::Instant;

use fastrand::Rng;

use super::addresses::Origin;
use super::crowd;
use super::draw::{Draws, draw, mix, some};
use super::fair;
use super::names::last_part;
use super::roll::Roll;
use super::rows::{ContentRow, PairRow, PeerRow};
use crate::content::{ChunkSet, FileId, PeerId};
use crate::wire::{List, Name, Purpose, Variant, limits};

/// Holders suggested when the asker names no number.
const DEFAULT_NEIGHBOURS: usize = 16;
/// Holders drawn for each one suggested, so that there is a choice by load.
const DRAWN_PER_PLACE: usize = 2;
/// Most contents of an id looked at to find those with the most seeders.
const MAX_CLAIMS_SEEN: usize = 1024;
/// Most names of a content looked at to find the first in order; with more it is not agreed on.
const MAX_NAMES_SEEN: usize = 64;
/// Most holders in one answer, all variants together, so that it stays within a frame.
const MAX_HOLDERS_IN_ALL: usize = 1024;
/// Most holders looked at for one answer that shows them in order, of each kind, all variants together.
const MAX_HOLDERS_SEEN: usize = 1 << 11;
/// Most holders that chance offers for one answer, of each kind, all variants together.
const MAX_HOLDERS_DRAWN: usize = 1 << 12;
/// Most holders looked at, of each kind and content, to find some that cannot be dialled.
const MAX_HIDDEN_SEEN: usize = 64;
/// Most bytes of bitmaps compared with the missing chunks for one answer, all variants together.
const MAX_BYTES_COMPARED: usize = 4 << 20;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Every content under a name.
    Name(&'a str),
    /// One content, whatever its names.
    Id(FileId),
}

/// A question for holders.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// What is looked for.
    pub wanted: Wanted<'a>,
    /// What the answer is for.
    pub purpose: Purpose,
    /// Most holders of each variant; 0 for the default.
    pub max: usize,
    /// Only holders of one of these chunks. Made once and before the directory is asked: it is as many as a stranger
    /// likes.
    pub missing: Option<&'a ChunkSet>,
    /// Who asks; never suggested to itself.
    pub asker: PeerId,
    /// Where it asks from.
    pub from: Origin,
}

impl Query<'_> {
    /// Most holders of each variant.
    pub fn places(&self) -> usize {
        match (self.purpose, self.max) {
            (Purpose::Inspect, 0) => limits::MAX_HOLDERS,
            (Purpose::Fetch, 0) => DEFAULT_NEIGHBOURS,
            (_, max) => max.min(limits::MAX_HOLDERS),
        }
    }
}

/// A holder, and how many chunks it has.
type Chosen = (PeerRow, u32);

/// A content that was found, under a name or by its id alone.
#[derive(Debug, Clone, Copy)]
struct Found {
    content: ContentRow,
    pair: Option<PairRow>,
}

/// Under what a content is shown.
#[derive(Debug, Clone, Copy)]
struct Shown {
    content: ContentRow,
    /// The pair whose name is shown.
    pair: PairRow,
    /// True if all who make a name for it call it alike.
    agreed: bool,
}

/// Some of the holders of an id that nobody there can dial.
pub(super) fn hidden(roll: &Roll, rng: &mut Rng, (id, to): (FileId, Origin), most: usize) -> Vec<PeerRow> {
    let contents = roll.contents();
    let mut found = Vec::new();
    for content in contents.with_id(&id).take(most) {
        let (seeders, leechers) = contents.counts(content);
        let seeders = some(rng, seeders, MAX_HIDDEN_SEEN).filter_map(|nth| contents.seeder(content, nth));
        found.extend(seeders);
        let leechers = some(rng, leechers, MAX_HIDDEN_SEEN).filter_map(|nth| contents.leecher(content, nth));
        found.extend(leechers.filter(|leecher| leecher.have() > 0).map(|leecher| leecher.peer));
    }
    found.retain(|peer| roll[*peer].id.is_some() && !roll[*peer].can_be_dialled_from(to));
    rng.shuffle(&mut found);
    found.truncate(most);
    found
}

/// A question on its way to its answer.
pub(super) struct Search<'a> {
    roll: &'a mut Roll,
    rng: &'a mut Rng,
    query: &'a Query<'a>,
    now: Instant,
    /// Bytes of bitmaps that may still be compared.
    budget: Cell<usize>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        roll: &'a mut Roll,
        rng: &'a mut Rng,
        query: &'a Query<'a>,
        now: Instant,
    ) -> Search<'a> {
        Search { roll, rng, query, now, budget: Cell::new(MAX_BYTES_COMPARED) }
    }

    /// Every content that is looked for, the one with the most seeders first, with some of its
    /// holders. A name means its originals; only where there is none, its copies. By id there is one
    /// variant for each claim about the id, under the first of the names that originals make.
    pub(super) fn answer(mut self) -> Vec<Variant> {
        let mut found = self.find();
        crowd::thin_out(self.roll, self.rng, &mut found, |found| found.content);
        let shown: Vec<Shown> = found.iter().filter_map(|found| self.shown(*found)).collect();
        let variants = shown.len().max(1);
        shown.into_iter().map(|shown| self.variant(shown, variants)).collect()
    }

    fn find(&mut self) -> Vec<Found> {
        let (names, contents) = (self.roll.names(), self.roll.contents());
        match self.query.wanted {
            Wanted::Name(name) => {
                let pairs = names.meant_by(name.as_bytes(), |crowd| self.rng.usize(..crowd));
                let found = |pair| Found { content: names.content(pair), pair: Some(pair) };
                pairs.into_iter().map(found).collect()
            }
            Wanted::Id(id) => {
                let all: Vec<ContentRow> = contents.with_id(&id).collect();
                let seen = some(self.rng, all.len(), MAX_CLAIMS_SEEN);
                seen.map(|nth| Found { content: all[nth], pair: None }).collect()
            }
        }
    }

    /// A content under its name; one that was found by its id, under the first of its names.
    fn shown(&self, Found { content, pair }: Found) -> Option<Shown> {
        if let Some(pair) = pair {
            return Some(Shown { content, pair, agreed: true });
        }
        let names = self.roll.names();
        let mut all = names.of_content(self.roll.contents(), content);
        let mut pairs: Vec<PairRow> = all.by_ref().take(MAX_NAMES_SEEN).collect();
        names.that_count(&mut pairs);
        let pair = pairs.iter().copied().min_by_key(|pair| names.text(*pair))?;
        let ends = |pair: PairRow| last_part(names.text(pair));
        let agreed = all.next().is_none() && pairs.iter().all(|other| ends(*other) == ends(pair));
        Some(Shown { content, pair, agreed })
    }

    /// What the answer says of one content, if it has so many.
    fn variant(&mut self, shown: Shown, variants: usize) -> Variant {
        let Shown { content, pair, agreed } = shown;
        let chosen = self.choose(shown, variants);
        let holders =
            chosen.into_iter().filter_map(|(peer, have)| self.roll[peer].holder(pair, have, self.query.from));
        let holders = List::new(holders.collect());
        let (names, contents) = (self.roll.names(), self.roll.contents());
        let ((seeders, leechers), claim) = (contents.counts(content), contents.claim(content));
        Variant {
            name: Name::new(String::from_utf8_lossy(names.text(pair))),
            id: *contents.id(content),
            size: claim.size,
            total: claim.total,
            chunks: claim.chunks,
            seeders: seeders as u32,
            leechers: leechers as u32,
            original: names.has_original(pair),
            agreed,
            modified: names.modified(pair),
            version: 0,
            code: None,
            holders,
        }
    }

    fn choose(&mut self, shown: Shown, variants: usize) -> Vec<Chosen> {
        let max = self.query.places().min(MAX_HOLDERS_IN_ALL / variants);
        match self.query.purpose {
            Purpose::Inspect => self.inspect(shown, max, variants),
            Purpose::Fetch => self.suggest(shown.content, max, variants),
        }
    }

    /// Holders in order: seeders, then leechers, in each originals first, then who is not doubted, then by id.
    fn inspect(&mut self, shown: Shown, max: usize, variants: usize) -> Vec<Chosen> {
        let Shown { content, pair, .. } = shown;
        let (seeders, leechers) = self.roll.contents().counts(content);
        let chunks = self.roll.contents().claim(content).chunks;
        let seen = MAX_HOLDERS_SEEN / variants;
        let seeders = some(self.rng, seeders, seen)
            .filter_map(|nth| Some((self.roll.contents().seeder(content, nth)?, chunks)));
        let seeders = seeders.collect();
        let mut all = self.in_order(seeders, pair, max);
        let parts = some(self.rng, leechers, seen).filter_map(|nth| self.part(content, nth));
        let parts = parts.collect();
        let mut parts = self.in_order(parts, pair, max - all.len());
        all.append(&mut parts);
        all
    }

    /// So many of the holders, in order. Where there are more of one rank than places, those of every address in
    /// turn and at random: whoever asks again sees others.
    fn in_order(&mut self, mut holders: Vec<Chosen>, pair: PairRow, max: usize) -> Vec<Chosen> {
        let mixed = self.roll.names().is_mixed(pair);
        holders.retain(|(peer, _)| self.roll[*peer].id.is_some());
        let too_many = holders.len() > max;
        if too_many {
            self.rng.shuffle(&mut holders);
        }
        let rank = |(peer, _): &Chosen| {
            let peer = &self.roll[*peer];
            (mixed && !peer.has_original(pair), peer.doubt.is_suspect(self.now))
        };
        if too_many {
            holders = fair::in_turn(
                holders.into_iter().map(|chosen| (chosen, vec![self.roll[chosen.0].network()])),
            );
            holders.sort_by_cached_key(rank);
            holders.truncate(max);
        }
        holders.sort_by_cached_key(|chosen| (rank(chosen), self.roll[chosen.0].id));
        holders
    }

    /// The `nth` leecher if it has one of the wanted chunks.
    fn part(&self, content: ContentRow, nth: usize) -> Option<Chosen> {
        let leecher = self.roll.contents().leecher(content, nth)?;
        let useful = self.query.missing.is_none_or(|wanted| {
            let bytes = leecher.bitmap_bytes();
            let left = self.budget.get();
            self.budget.set(left.saturating_sub(bytes));
            bytes <= left && leecher.has_any(wanted)
        });
        useful.then_some((leecher.peer, leecher.have()))
    }

    /// A random choice of holders that can be dialled: half of the places for seeders, the rest for
    /// leechers, and what one kind leaves free for the other.
    fn suggest(&mut self, content: ContentRow, max: usize, variants: usize) -> Vec<Chosen> {
        let (roll, now) = (&*self.roll, self.now);
        let Query { asker, from, .. } = *self.query;
        let contents = roll.contents();
        let (seeders, leechers) = contents.counts(content);
        let chunks = contents.claim(content).chunks;
        let draws = Draws { places: max * DRAWN_PER_PLACE, most: MAX_HOLDERS_DRAWN / variants };
        let mut rng = self.rng.fork();
        let missed = self.missed_by(asker, contents.id(content));
        let can = |peer: PeerRow| roll[peer].can_be_suggested(asker, from);
        let last = |(peer, _): &Chosen| missed.contains(peer) || roll[*peer].doubt.is_suspect(now);
        let seeds = draw(&mut rng, seeders, draws, last, |nth| {
            contents.seeder(content, nth).filter(|peer| can(*peer)).map(|peer| (peer, chunks))
        });
        let parts = draw(&mut rng, leechers, draws, last, |nth| {
            self.part(content, nth).filter(|(peer, _)| can(*peer))
        });
        // Stable sorts: where the cost is equal, the order of drawing stands, and that is random.
        let cheapest_first = |mut drawn: Vec<Chosen>| {
            drawn.sort_by_key(|chosen| (last(chosen), roll[chosen.0].cost(now)));
            drawn
        };
        let mut chosen = mix(&cheapest_first(seeds), &cheapest_first(parts), max);
        // Behind all others only now: half of the places are the seeders', doubted or not.
        chosen.sort_by_key(last);
        for (peer, _) in &chosen {
            self.roll[*peer].is_suggested();
        }
        chosen
    }

    /// Holders of `id` that refused `asker` what they had announced, and have said nothing new since.
    fn missed_by(&self, asker: PeerId, id: &FileId) -> Vec<PeerRow> {
        let Some(asker) = self.roll.find(asker) else { return Vec::new() };
        let refused = self.roll[asker].missed.of(id);
        let holders = refused.filter_map(|(holder, at)| Some((self.roll.find(holder)?, at)));
        let still = holders.filter(|(holder, at)| !self.roll[*holder].has_stated_since(*at));
        still.map(|(holder, _)| holder).collect()
    }
}
