//! Contents that are kept as shards of a code: data and parity are planned as one, group by group. Each shard is to be in one
//! place, and no other of its group there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use super::agenda::Place;
use super::part::Part;
use super::place::{Candidate, WIDTH, mixed};
use super::plan::seed;
use super::row::{Holder, Row};
use super::shards::{Bearer, count, matched, places};
use super::state::{Keeping, Rule};
use super::steps::{self, Step};
use super::store::{Level, Store, StoreRow};
use super::upload::Asked;
use crate::content::code::{Shard, Stripes};
use crate::content::{Chunk, ChunkSet};
use crate::tracker::records::Content;
use crate::wire::Side;

/// Groups that are planned at a time.
const BLOCK: u32 = 16;
/// Stores of which the emptier gets a shard.
const DRAWN: usize = 2;

/// The two contents of a code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) data: Content,
    pub(super) parity: Content,
    pub(super) stripes: Stripes,
}

impl Pair {
    fn content(&self, shard: Shard) -> Content {
        if self.stripes.is_parity(shard) { self.parity } else { self.data }
    }

    /// How many losses a group survives of whose shards so many are in places of their own; `None` if too few are there.
    fn survives(&self, shards: usize, apart: u32) -> Option<u32> {
        let zeros = self.stripes.shape().shards() - shards as u32;
        (apart + zeros).checked_sub(self.stripes.shape().k())
    }
}

/// Who is to keep which chunks, and who need not any more.
#[derive(Debug, Default)]
struct Moves {
    given: BTreeMap<(Content, StoreRow), Vec<Range<u32>>>,
    relieved: BTreeMap<(Content, StoreRow), Vec<Range<u32>>>,
    /// True if for something no store was found.
    is_short: bool,
}

impl Keeping {
    /// The code that a content is kept by now; `None` if it is kept as copies.
    pub(super) fn pair_of(&self, content: Content) -> Option<Pair> {
        let row = self.rows.get(&content)?;
        let code = row.code.as_deref()?;
        let with = code.other();
        let other = self.rows.get(&with)?;
        let (data, parity) = if code.of == Side::Data { (content, with) } else { (with, content) };
        let [of_data, of_parity] = [data, parity].map(|content| self.rows.get(&content));
        let (of_data, of_parity) = (of_data?, of_parity?);
        let turned = code.turned(content.0, of_data.size);
        let same = other.code.as_deref() == Some(&turned) && content.1 == code.own_view();
        let stripes = code
            .stripes(of_data.size, of_data.chunks)
            .filter(|_| same && row.copies() == 1 && other.copies() == 1)?;
        let fits = of_parity.chunks == stripes.parity().chunks();
        fits.then_some(Pair { data, parity, stripes })
    }

    /// True of the parity of what is kept as copies, or by another code: while that is promised, nobody needs it, and what there
    /// is of it stays for when it is.
    pub(super) fn is_idle(&self, content: Content, row: &Row) -> bool {
        let Some(code) = row.code.as_deref().filter(|code| matches!(code.of, Side::Parity(_))) else {
            return false;
        };
        let data = self.rows.get(&code.other()).filter(|data| data.promised.promises());
        data.is_some_and(|data| data.code.as_deref().is_none_or(|code| code.other() != content))
    }

    /// Who has something of either, and is to have, as far as it counts.
    fn bearers<'a>(
        &'a self,
        pair: &Pair,
        level: Level,
        counts: impl Fn(&'a Row, &'a Holder) -> Option<(&'a Part, &'a Part)>,
    ) -> Vec<Bearer<'a>> {
        let mut bearers: Vec<Bearer<'a>> = Vec::new();
        for (side, content) in [pair.data, pair.parity].iter().enumerate() {
            let Some(row) = self.rows.get(content) else { continue };
            for holder in &row.holders {
                let Some((have, want)) = counts(row, holder) else { continue };
                let at =
                    bearers.iter().position(|bearer| bearer.store == holder.store).unwrap_or_else(|| {
                        let place = self.stores.place(holder.store, level);
                        let nothing = [&Part::None; 2];
                        bearers.push(Bearer { store: holder.store, place, have: nothing, want: nothing });
                        bearers.len() - 1
                    });
                (bearers[at].have[side], bearers[at].want[side]) = (have, want);
            }
        }
        bearers
    }

    /// What they have that are one of these stores.
    fn bearers_of(&self, pair: &Pair, level: Level, of: impl Fn(&Store) -> bool) -> Vec<Bearer<'_>> {
        self.bearers(pair, level, |_, holder| {
            of(&self.stores[holder.store]).then_some((&holder.have, holder.want()))
        })
    }

    fn level_of(&self, pair: &Pair) -> Level {
        self.stores.level(pair.stripes.shape().shards() as usize)
    }

    /// Plans a code from a group on, as far as a step goes.
    pub(super) fn plan_code(&mut self, pair: &Pair, from: Place, step: &mut Step, now: Instant) -> Place {
        let groups = pair.stripes.groups();
        let mut place = from;
        while (place.word as u32) < groups {
            if step.is_over() {
                return place;
            }
            let block = place.word as u32..(place.word as u32 + BLOCK).min(groups);
            place.word = block.end as usize;
            let moves = self.moves(pair, block, step, now);
            place.is_short |= moves.is_short;
            for ((content, at), runs) in moves.relieved {
                let chunks = self.rows.get(&content).map_or(0, |row| row.chunks);
                self.change(content, at, now, |holder| holder.is_relieved(Some(&runs), chunks));
            }
            for ((content, at), runs) in moves.given {
                let Some(row) = self.rows.get(&content) else { continue };
                let (chunks, promised) = (row.chunks, row.promised.promises());
                self.change(content, at, now, |holder| {
                    holder.is_given(&runs, chunks);
                    holder.forgetful |= promised;
                });
            }
        }
        Place { is_over: true, ..place }
    }

    fn moves(&self, pair: &Pair, groups: Range<u32>, step: &mut Step, now: Instant) -> Moves {
        let (stripes, level) = (&pair.stripes, self.level_of(pair));
        let bearers = self.bearers(pair, level, |row, holder| self.counted_of(row, holder));
        let mut takers = self.takers(pair, level, &bearers, now);
        let asked = self.rows.get(&pair.data).is_some_and(|row| row.asked > 0);
        // Somebody waits for shards in places of their own, but for who said that fewer stores will do.
        let doubles = !asked || self.uploads_of(pair.data).any(|upload| upload.asked.degraded);
        let mut moves = Moves::default();
        for group in groups {
            let shards: Vec<Shard> = stripes.shards(group).collect();
            step.does(shards.len() * (bearers.len() * steps::LOT + takers.len()));
            if count(&places(&bearers, &shards, |one, shard| one.has(stripes, shard))) as usize
                == shards.len()
            {
                for (bearer, shard) in
                    bearers.iter().flat_map(|one| shards.iter().map(move |shard| (one, *shard)))
                {
                    if bearer.wants(stripes, shard) {
                        let key = (pair.content(shard), bearer.store);
                        moves.relieved.entry(key).or_default().push(stripes.chunks(shard));
                    }
                }
                continue;
            }
            let borne = places(&bearers, &shards, |one, shard| one.bears(stripes, shard));
            let matched = matched(&borne);
            let mut used: Vec<u32> = matched.iter().flatten().copied().collect();
            for ((shard, borne), _) in
                shards.iter().zip(&borne).zip(&matched).filter(|(_, place)| place.is_none())
            {
                let Some(row) = self.rows.get(&pair.content(*shard)) else { continue };
                let bytes = row.chunk_bytes() * stripes.chunks(*shard).len() as u64;
                let is_missing = borne.is_empty();
                let of = mixed(seed(&pair.data.0.0[..8]) ^ (u64::from(group) << 8) ^ u64::from(shard.index));
                let knows =
                    |at: StoreRow| bearers.iter().any(|one| one.store == at && one.has_some(stripes, *shard));
                let apart = choose(&takers, of, bytes, &knows, |taker| !used.contains(&taker.domain));
                let anywhere = || choose(&takers, of, bytes, &knows, |_| true);
                // Also of what shares a place with another: it is looked again whether there is one.
                moves.is_short |= apart.is_none();
                let doubled = || if is_missing && doubles { anywhere() } else { None };
                if let Some(at) = apart.or_else(doubled) {
                    takers[at].taken += bytes;
                    used.push(takers[at].domain);
                    let key = (pair.content(*shard), takers[at].store);
                    moves.given.entry(key).or_default().push(stripes.chunks(*shard));
                }
            }
        }
        moves
    }

    /// Stores that may be given shards: those that have some already, and as many others as a content may have; and from each place
    /// one.
    fn takers(
        &self,
        pair: &Pair,
        level: Level,
        bearers: &[Bearer<'_>],
        now: Instant,
    ) -> Vec<Candidate<'static>> {
        let is_unwilling = |at: StoreRow| {
            let rows = [pair.data, pair.parity].into_iter().filter_map(|content| self.rows.get(&content));
            rows.filter_map(|row| row.holder(at)).any(|holder| holder.is_unwilling(now))
        };
        let of = seed(&pair.data.0.0[8..16]);
        let takes = self.stores.iter().filter(|(at, store)| store.takes(now) && !is_unwilling(*at));
        let is_stranger = |at: StoreRow| !bearers.iter().any(|bearer| bearer.store == at);
        let mut takers: Vec<(bool, f64, Candidate<'static>)> = takes
            .map(|(at, store)| (is_stranger(at), self.taker(at, store, level)))
            .map(|(stranger, taker)| (stranger, taker.lot(of), taker))
            .collect();
        takers.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let width = WIDTH.max(pair.stripes.shape().shards() as usize);
        let mut domains: Vec<u32> = Vec::new();
        let mut taken = Vec::with_capacity(width);
        for (stranger, _, taker) in takers {
            let is_new = !domains.contains(&taker.domain);
            if !stranger || taken.len() < width || (is_new && domains.len() < width) {
                domains.extend(is_new.then_some(taker.domain));
                taken.push(taker);
            }
        }
        taken
    }

    /// Looks whether a code is to be planned; more endangered ones are sooner.
    pub(super) fn look_for_missing_shards(&mut self, pair: &Pair, step: &mut Step) {
        let Some(row) = self.rows.get(&pair.data) else { return };
        if row.asked == 0 && !self.mends {
            return;
        }
        let level = self.level_of(pair);
        let of = |level| self.bearers(pair, level, |row, holder| self.counted_of(row, holder));
        let (apart, here) = (of(level), of(Level::Store));
        let (mut whole, mut least) = (true, u32::MAX);
        for group in 0..pair.stripes.groups() {
            let shards: Vec<Shard> = pair.stripes.shards(group).collect();
            let on = |bearers: &[Bearer<'_>]| {
                count(&places(bearers, &shards, |one, shard| one.has(&pair.stripes, shard)))
            };
            step.does(2 * shards.len() * apart.len() * steps::LOT);
            let there = on(&apart);
            let is_whole = there as usize == shards.len();
            whole &= is_whole;
            // What is in places of its own is on stores of its own.
            let stores = if is_whole { there } else { on(&here) };
            least = least.min(pair.survives(shards.len(), stores).map_or(0, |losses| losses + 1));
        }
        let mut wants = false;
        for content in [pair.data, pair.parity] {
            if let Some(row) = self.rows.get_mut(&content) {
                row.fewest = least as u8;
                wants |= row.holders.iter().any(Holder::wants);
            }
        }
        if !whole || wants {
            self.is_due(pair.data);
        }
    }

    /// True if every shard is on a store of its own that does not leave.
    pub(super) fn is_whole_without_leaving(&self, pair: &Pair, step: &mut Step) -> bool {
        let bearers = self.bearers_of(pair, Level::Store, Store::stays);
        step.does(pair.stripes.groups() as usize * bearers.len() * steps::LOT);
        self.is_whole(pair, &bearers, None)
    }

    /// True if the shards of each group are in places of their own, or at least in so many.
    fn is_whole(&self, pair: &Pair, bearers: &[Bearer<'_>], at_least: Option<usize>) -> bool {
        let at_least = if self.heeds(Rule::ShardsAreApart) { at_least } else { Some(1) };
        (0..pair.stripes.groups()).all(|group| {
            let shards: Vec<Shard> = pair.stripes.shards(group).collect();
            let there = places(bearers, &shards, |one, shard| one.has(&pair.stripes, shard));
            let needed = at_least.map_or(shards.len(), |least| least.min(shards.len()));
            count(&there) as usize >= needed && there.iter().all(|places| !places.is_empty())
        })
    }

    /// How many chunks of the two are safe, and how many are to be.
    pub(super) fn covered(&self, pair: &Pair, asked: &Asked) -> (u32, u32) {
        let stays = |at: StoreRow| self.stores[at].stays().then_some(at.0.into());
        let rows = [pair.data, pair.parity].into_iter().filter_map(|content| self.rows.get(&content));
        let (mut covered, mut needed) = (0, 0);
        for row in rows {
            covered += row.safe(stays, 1).iter().sum::<u32>();
            needed += row.chunks;
        }
        let bearers = self.bearers_of(pair, Level::Store, Store::stays);
        let here = asked.degraded.then(|| self.here());
        if covered == needed && !self.is_whole(pair, &bearers, here) {
            covered -= 1; // all is there, but not where it is to be
        }
        (covered, needed)
    }

    /// Marks, of each group of which there is more than its shards, what is too much, on the fullest stores first.
    pub(super) fn look_for_surplus_shards(&mut self, pair: &Pair, step: &mut Step, now: Instant) {
        let Some(row) = self.rows.get(&pair.data) else { return };
        if !self.may_give_up(row) {
            return;
        }
        let mut bearers = self.spare_bearers(pair);
        bearers.sort_by_key(|bearer| std::cmp::Reverse(self.stores[bearer.store].fill()));
        let mut marked: BTreeMap<(Content, StoreRow), Vec<Range<u32>>> = BTreeMap::new();
        for group in 0..pair.stripes.groups() {
            let shards: Vec<Shard> = pair.stripes.shards(group).collect();
            step.does(shards.len() * bearers.len() * steps::LOT);
            let of_all = bearers.iter().flat_map(|one| shards.iter().map(move |shard| (one, *shard)));
            let mut gone: Vec<(StoreRow, Shard)> = Vec::new();
            for (bearer, shard) in of_all.filter(|(one, shard)| one.has_some(&pair.stripes, *shard)) {
                gone.push((bearer.store, shard));
                if is_spare(pair, &bearers, &shards, &gone) {
                    let key = (pair.content(shard), bearer.store);
                    marked.entry(key).or_default().push(pair.stripes.chunks(shard));
                } else {
                    gone.pop();
                }
            }
        }
        self.has_surplus |= !marked.is_empty();
        for ((content, at), runs) in marked {
            let chunks = self.rows.get(&content).map_or(0, |row| row.chunks);
            self.change(content, at, now, |holder| {
                let mut surplus = Part::None;
                runs.into_iter().for_each(|run| surplus.add(run, &Part::None, chunks));
                let surplus = surplus.and(&holder.have);
                holder.todo().surplus = surplus;
            });
        }
    }

    /// What of these chunks of a content a store may give up: without them each shard is elsewhere, in a place of its own.
    pub(super) fn spare_shards(&self, pair: &Pair, content: Content, at: StoreRow, asked: &Part) -> Part {
        let bearers = self.spare_bearers(pair);
        let chunks = self.rows.get(&content).map_or(0, |row| row.chunks);
        let mut spare = ChunkSet::empty(chunks);
        for group in 0..pair.stripes.groups() {
            let shards: Vec<Shard> = pair.stripes.shards(group).collect();
            let mut gone: Vec<(StoreRow, Shard)> = Vec::new();
            for shard in shards.iter().filter(|shard| pair.content(**shard) == content) {
                let asked: Vec<Chunk> =
                    pair.stripes.chunks(*shard).map(Chunk).filter(|chunk| asked.contains(*chunk)).collect();
                if asked.is_empty() {
                    continue;
                }
                gone.push((at, *shard));
                match is_spare(pair, &bearers, &shards, &gone) {
                    true => asked.into_iter().for_each(|chunk| {
                        spare.insert(chunk);
                    }),
                    false => drop(gone.pop()),
                }
            }
        }
        spare.into()
    }

    /// Those whose shards are a reason not to need another's.
    fn spare_bearers(&self, pair: &Pair) -> Vec<Bearer<'_>> {
        let strict = self.heeds(Rule::OnlyWhoStaysSpares);
        self.bearers_of(pair, self.level_of(pair), |store| store.stays() || !strict)
    }

    /// How many losses every group survives, places being what `level` says; 0 also if something is lost.
    fn losses(&self, pair: &Pair, level: Level) -> u8 {
        let bearers = self.bearers_of(pair, level, Store::counts);
        let of_group = |group| {
            let shards: Vec<Shard> = pair.stripes.shards(group).collect();
            let there = places(&bearers, &shards, |one, shard| one.has(&pair.stripes, shard));
            pair.survives(shards.len(), count(&there)).unwrap_or(0)
        };
        (0..pair.stripes.groups()).map(of_group).min().unwrap_or(0) as u8
    }

    /// How safe a code is.
    pub(super) fn safety(&self, pair: &Pair) -> Safety {
        let (stripes, bearers) = (&pair.stripes, self.bearers_of(pair, Level::Store, Store::counts));
        let chunk_bytes = self.rows.get(&pair.data).map_or(0, Row::chunk_bytes);
        let mut safety = Safety {
            losses: [Level::Store, Level::Machine, Level::Zone].map(|level| self.losses(pair, level)),
            endangered: 0,
            lost: 0,
            repairing: 0,
        };
        for group in 0..stripes.groups() {
            let shards: Vec<Shard> = stripes.shards(group).collect();
            let there = places(&bearers, &shards, |one, shard| one.has(stripes, shard));
            let apart = count(&there);
            let bytes_of = |shard: &Shard| stripes.chunks(*shard).len() as u64 * chunk_bytes;
            let data = || shards.iter().zip(&there).filter(|(shard, _)| !stripes.is_parity(**shard));
            if (apart as usize) < shards.len() {
                safety.endangered += data().map(|(shard, _)| bytes_of(shard)).sum::<u64>();
            }
            let held = there.iter().filter(|places| !places.is_empty()).count() as u32;
            if pair.survives(shards.len(), held).is_none() {
                let gone = data().filter(|(_, places)| places.is_empty());
                safety.lost += gone.map(|(shard, _)| bytes_of(shard)).sum::<u64>();
            }
        }
        for row in [pair.data, pair.parity].into_iter().filter_map(|content| self.rows.get(&content)) {
            let owed: u64 =
                row.holders.iter().map(|holder| u64::from(holder.want().weight(row.chunks))).sum();
            safety.repairing += row.bytes_of(owed);
        }
        safety
    }
}

/// How safe a code is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Safety {
    /// How many stores, machines and zones may be lost.
    pub(super) losses: [u8; 3],
    /// Bytes of data in groups that are not as safe as they are to be.
    pub(super) endangered: u64,
    pub(super) lost: u64,
    /// Bytes that stores are bringing.
    pub(super) repairing: u64,
}

/// True if the shards of a group are all in places of their own without some that stores have.
fn is_spare(pair: &Pair, bearers: &[Bearer<'_>], shards: &[Shard], gone: &[(StoreRow, Shard)]) -> bool {
    let there = places(bearers, shards, |one, shard| {
        !gone.contains(&(one.store, shard)) && one.has(&pair.stripes, shard)
    });
    count(&there) as usize == shards.len()
}

/// The emptier of those drawn that may be chosen; who has some of it already is drawn first.
fn choose(
    takers: &[Candidate<'_>],
    of: u64,
    bytes: u64,
    knows: &dyn Fn(StoreRow) -> bool,
    may: impl Fn(&Candidate<'_>) -> bool,
) -> Option<usize> {
    let mut drawn: Vec<(bool, f64, usize)> = takers
        .iter()
        .enumerate()
        .filter(|(_, taker)| taker.free() >= bytes && may(taker))
        .map(|(at, taker)| (!knows(taker.store), taker.lot(of), at))
        .collect();
    drawn.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let drawn = drawn.into_iter().take(DRAWN);
    drawn.min_by_key(|(far, _, at)| (*far, takers[*at].fill())).map(|(.., at)| at)
}
