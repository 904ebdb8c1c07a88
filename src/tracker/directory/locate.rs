//! LOCATE: which contents a name or id stands for, and which of their holders to suggest.
//!
//! For fetching, the choice makes a random graph: every asker gets other neighbours, seeders and
//! leechers mixed, so that no part of a swarm is cut off; among the drawn, the less loaded win. Whoever
//! is doubted comes behind the others, but is named like them where places are left.

use std::time::Instant;

use super::holders::Runs;
use super::listing::base;
use super::{Directory, Peer};
use crate::content::{ChunkSet, FileId, PeerId};
use crate::wire::{Holder, Label, List, Name, Purpose, Variant, limits};

/// Holders suggested when the asker names no number.
const DEFAULT_NEIGHBOURS: usize = 16;
/// Holders drawn for each one suggested, so that there is a choice by load.
const DRAWN_PER_PLACE: usize = 2;
/// Most contents of a name looked at to find its originals, and those with the most seeders.
pub(super) const MAX_VARIANTS_SEEN: usize = 1024;
/// Most names of a content looked at to find the first in order; with more it is not agreed on.
const MAX_NAMES_SEEN: usize = 64;
/// Most holders in one answer, all variants together, so that it stays within a frame.
const MAX_HOLDERS_IN_ALL: usize = 1024;
/// Most bytes of bitmaps compared with the missing chunks for one answer.
const MAX_BYTES_COMPARED: usize = 8 << 20;
/// By how many uploads each peer that complained of corrupt chunks makes a holder dearer.
const CORRUPT_COST: u32 = 64;

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
    /// If not empty: only holders of one of these chunks.
    pub missing: &'a Runs,
    /// Who asks; never suggested to itself.
    pub asker: PeerId,
}

/// A holder, and how many chunks it has.
type Chosen = (u32, u32);

/// A content that was found, and under what it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) content: u32,
    /// The pair whose name is shown.
    pair: u32,
    /// True if all who make a name for it call it alike.
    agreed: bool,
}

impl Directory {
    /// Every content that is looked for, the one with the most seeders first, with some of its
    /// holders. A name means its originals; only where there is none, its copies. By id there is one
    /// variant for each claim about the id, under the first of the names that originals make.
    pub fn locate(&mut self, query: &Query<'_>, now: Instant) -> Vec<Variant> {
        self.located += 1;
        let mut found: Vec<Shown> = match query.wanted {
            Wanted::Name(name) => {
                let mut pairs = self.names.with_name(name.as_bytes()).take(MAX_VARIANTS_SEEN).collect();
                self.names.that_count(&mut pairs);
                let shown = |pair| Shown { content: self.names.content(pair), pair, agreed: true };
                pairs.into_iter().map(shown).collect()
            }
            Wanted::Id(id) => {
                let contents = self.contents.with_id(&id).take(MAX_VARIANTS_SEEN);
                contents.filter_map(|content| self.shown(content)).collect()
            }
        };
        found.sort_by_key(|shown| std::cmp::Reverse(self.contents.counts(shown.content).0));
        self.choose_fairly(&mut found);
        let share = MAX_HOLDERS_IN_ALL / found.len().max(1);
        found.into_iter().map(|shown| self.variant(shown, query, share, now)).collect()
    }

    fn variant(&mut self, shown: Shown, query: &Query<'_>, share: usize, now: Instant) -> Variant {
        let Shown { content, pair, agreed } = shown;
        let wanted = (!query.missing.is_empty()).then(|| self.wanted(query.missing, content));
        let most = share.min(limits::MAX_HOLDERS);
        let chosen = match (query.purpose, query.max) {
            (Purpose::Inspect, 0) => self.inspect(shown, most, wanted.as_ref(), now),
            (Purpose::Inspect, max) => self.inspect(shown, max.min(most), wanted.as_ref(), now),
            (Purpose::Fetch, 0) => {
                self.suggest(content, DEFAULT_NEIGHBOURS.min(most), wanted, query.asker, now)
            }
            (Purpose::Fetch, max) => self.suggest(content, max.min(most), wanted, query.asker, now),
        };
        let holder = |(peer, have): Chosen| self.peers[peer].holder(pair, have);
        let holders = chosen.into_iter().filter_map(holder).collect();
        let ((seeders, leechers), claim) = (self.contents.counts(content), self.contents.claim(content));
        Variant {
            name: Name::new(String::from_utf8_lossy(self.names.text(pair))),
            id: *self.contents.id(content),
            size: claim.size,
            total: claim.total,
            chunks: claim.chunks,
            seeders: seeders as u32,
            leechers: leechers as u32,
            original: self.names.has_original(pair),
            agreed,
            modified: self.names.modified(pair),
            holders: List::new(holders),
        }
    }

    fn wanted(&self, runs: &Runs, content: u32) -> ChunkSet {
        let mut wanted = ChunkSet::empty(self.contents.claim(content).chunks);
        wanted.add_runs(runs);
        wanted
    }

    /// A content under the first of its names.
    fn shown(&self, content: u32) -> Option<Shown> {
        let mut names = self.names.of_content(&self.contents, content);
        let mut pairs: Vec<u32> = names.by_ref().take(MAX_NAMES_SEEN).collect();
        self.names.that_count(&mut pairs);
        let pair = pairs.iter().copied().min_by_key(|pair| self.names.text(*pair))?;
        let ends = |pair: u32| base(self.names.text(pair));
        let agreed = names.next().is_none() && pairs.iter().all(|other| ends(*other) == ends(pair));
        Some(Shown { content, pair, agreed })
    }

    /// Holders in order: seeders, then leechers, in each originals first, then who is not doubted, then by id.
    fn inspect(&self, shown: Shown, max: usize, wanted: Option<&ChunkSet>, now: Instant) -> Vec<Chosen> {
        let Shown { content, pair, .. } = shown;
        let (seeders, leechers) = self.contents.counts(content);
        let chunks = self.contents.claim(content).chunks;
        let seeders = (0..seeders).filter_map(|nth| Some((self.contents.seeder(content, nth)?, chunks)));
        let mut all: Vec<Chosen> = seeders.collect();
        self.first_in_order(&mut all, pair, max, now);
        let mut budget = MAX_BYTES_COMPARED;
        let leechers = (0..leechers).filter_map(|nth| self.part(content, nth, wanted, &mut budget));
        let mut parts: Vec<Chosen> = leechers.collect();
        self.first_in_order(&mut parts, pair, max - all.len(), now);
        all.append(&mut parts);
        all
    }

    fn first_in_order(&self, holders: &mut Vec<Chosen>, pair: u32, max: usize, now: Instant) {
        let mixed = self.names.is_mixed(pair);
        holders.retain(|(peer, _)| self.peers[*peer].id.is_some());
        holders.sort_by_cached_key(|(peer, _)| {
            let peer = &self.peers[*peer];
            (mixed && !peer.has_original(pair), peer.doubt.is_suspect(now), peer.id)
        });
        holders.truncate(max);
    }

    /// The `nth` leecher if it has one of the wanted chunks.
    fn part(
        &self,
        content: u32,
        nth: usize,
        wanted: Option<&ChunkSet>,
        budget: &mut usize,
    ) -> Option<Chosen> {
        let leecher = self.contents.leecher(content, nth)?;
        let useful = wanted.is_none_or(|wanted| {
            let bytes = ChunkSet::bytes_of(wanted.len());
            let affordable = *budget >= bytes;
            *budget = budget.saturating_sub(bytes);
            affordable && leecher.has_any(wanted)
        });
        useful.then_some((leecher.peer, leecher.have()))
    }

    /// A random choice of holders that can be dialled: half of the places for seeders, the rest for
    /// leechers, and what one kind leaves free for the other.
    fn suggest(
        &mut self,
        content: u32,
        max: usize,
        wanted: Option<ChunkSet>,
        asker: PeerId,
        now: Instant,
    ) -> Vec<Chosen> {
        let (seeders, leechers) = self.contents.counts(content);
        let chunks = self.contents.claim(content).chunks;
        let places = max * DRAWN_PER_PLACE;
        let mut budget = MAX_BYTES_COMPARED;
        let mut rng = self.rng.fork();
        let missed = self.missed_by(asker, self.contents.id(content));
        let can = |peer: u32| self.peers[peer].can_be_suggested(asker);
        let last = |(peer, _): &Chosen| missed.contains(peer) || self.peers[*peer].doubt.is_suspect(now);
        let seeds = draw(&mut rng, seeders, places, last, |nth| {
            self.contents.seeder(content, nth).filter(|peer| can(*peer)).map(|peer| (peer, chunks))
        });
        let parts = draw(&mut rng, leechers, places, last, |nth| {
            self.part(content, nth, wanted.as_ref(), &mut budget).filter(|(peer, _)| can(*peer))
        });
        // Stable sorts: where the cost is equal, the order of drawing stands, and that is random.
        let cheapest_first = |mut drawn: Vec<Chosen>| {
            drawn.sort_by_key(|chosen| (last(chosen), self.peers[chosen.0].cost(now)));
            drawn
        };
        let mut chosen = mix(&cheapest_first(seeds), &cheapest_first(parts), max);
        // Behind all others only now: half of the places are the seeders', doubted or not.
        chosen.sort_by_key(last);
        for (peer, _) in &chosen {
            self.peers[*peer].suggested += 1;
        }
        chosen
    }
}

impl Peer {
    fn can_be_suggested(&self, asker: PeerId) -> bool {
        self.profile.port != 0 && self.id.is_some_and(|id| id != asker)
    }

    fn cost(&self, now: Instant) -> u32 {
        let load = u32::from(self.load.uploads).saturating_add(self.suggested);
        load.saturating_add(self.doubt.corrupt(now) as u32 * CORRUPT_COST)
    }

    /// As it stands in an answer; `None` for a peer that is gone.
    fn holder(&self, pair: u32, have: u32) -> Option<Holder> {
        Some(Holder {
            peer: self.id?,
            name: Label::new(&*self.profile.name),
            host: self.profile.host.clone(),
            port: self.profile.port,
            have,
            uploads: self.load.uploads,
            downloads: self.load.downloads,
            original: self.has_original(pair),
        })
    }
}

/// Draws up to `places` of `count` candidates in random order, passing over those that `pick` refuses; those
/// that are to come `last` take the places that the others leave.
fn draw(
    rng: &mut fastrand::Rng,
    count: usize,
    places: usize,
    last: impl Fn(&Chosen) -> bool,
    pick: impl FnMut(usize) -> Option<Chosen>,
) -> Vec<Chosen> {
    /// Up to this many candidates a shuffle of all costs less than a walk.
    const SHUFFLED: usize = 256;
    if count <= SHUFFLED {
        let mut order: [u8; SHUFFLED] = std::array::from_fn(|nth| nth as u8);
        let order = &mut order[..count];
        rng.shuffle(order);
        return first_drawn(order.iter().map(|nth| usize::from(*nth)).filter_map(pick), places, last);
    }
    first_drawn(walk(rng, count).filter_map(pick), places, last)
}

fn first_drawn(
    drawn: impl Iterator<Item = Chosen>,
    places: usize,
    last: impl Fn(&Chosen) -> bool,
) -> Vec<Chosen> {
    let (mut first, mut behind) = (Vec::new(), Vec::new());
    for chosen in drawn {
        match last(&chosen) {
            false => first.push(chosen),
            true if behind.len() < places => behind.push(chosen),
            true => {}
        }
        if first.len() >= places {
            break;
        }
    }
    first.append(&mut behind);
    first.truncate(places);
    first
}

/// Every number below `count` once: from a random start, in random steps that share no factor with it.
fn walk(rng: &mut fastrand::Rng, count: usize) -> impl Iterator<Item = usize> + use<> {
    let step = loop {
        let step = rng.usize(1..count.max(2));
        if shared_factor(step, count) == 1 {
            break step;
        }
    };
    let start = rng.usize(..count.max(1));
    (0..count).scan(start, move |at, _| {
        let here = *at;
        *at = (*at + step) % count;
        Some(here)
    })
}

fn shared_factor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { shared_factor(b, a % b) }
}

/// At most `max`, seeders and leechers in turn.
fn mix(seeds: &[Chosen], parts: &[Chosen], max: usize) -> Vec<Chosen> {
    let longer = seeds.len().max(parts.len());
    let in_turn = (0..longer).flat_map(|nth| [seeds.get(nth), parts.get(nth)]);
    in_turn.flatten().copied().take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_passes_everyone_once() {
        let mut rng = fastrand::Rng::with_seed(5);
        for count in [1, 2, 3, 257, 1000] {
            let mut seen: Vec<usize> = walk(&mut rng, count).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }
}
