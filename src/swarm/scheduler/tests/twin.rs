//! A slow scheduler that decides by the same rules, with nothing kept that can be counted: it goes through all sources
//! and chunks each time. What it decides over random events is what the scheduler decides.
//!
//! How fast a source is, is taken from [`Pace`], which has tests of its own.

mod member;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::super::load::{FIRST_RATE, HORIZON};
use super::super::pace::Pace;
use super::super::*;
use crate::content::PeerId;
use member::{Asked, Member};

/// Chunks that so many partial sources have, or more, are equally common.
const COMMON: usize = 15;

pub(super) struct Twin {
    layout: Arc<Layout>,
    most: u64,
    had: BTreeSet<Chunk>,
    moved: BTreeMap<Chunk, i32>,
    members: BTreeMap<SourceId, Member>,
    /// Who chooses, and whether that is over for good.
    chooser: (Option<PeerId>, bool),
    cursor: Chunk,
    asks: u64,
    rng: fastrand::Rng,
    out: Vec<Effect>,
}

impl Twin {
    pub(super) fn new(layout: Arc<Layout>, most: u64, seed: u64) -> Twin {
        let cursor = Chunk((seed % u64::from(layout.chunks())) as u32);
        let (had, moved, members) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let rng = fastrand::Rng::with_seed(seed);
        let chooser = (None, false);
        Twin { layout, most, had, moved, members, chooser, cursor, asks: 0, rng, out: Vec::new() }
    }

    fn chunks(&self) -> u32 {
        self.layout.chunks()
    }

    fn bytes(&self, chunk: Chunk) -> u64 {
        self.layout.place(chunk).map_or(0, |place| place.len)
    }

    fn is_whole(&self, member: &Member) -> bool {
        member.have.len() as u32 == self.chunks()
    }

    /// Who owes a chunk, in the order in which they were asked.
    fn owing(&self, chunk: Chunk) -> Vec<SourceId> {
        let mut owing: Vec<(u64, SourceId)> = Vec::new();
        for (id, member) in &self.members {
            let asked = member.asked.iter().find(|asked| asked.chunk == chunk);
            owing.extend(asked.map(|asked| (asked.nth, *id)));
        }
        owing.sort();
        owing.into_iter().map(|(_, id)| id).collect()
    }

    fn wanted(&self) -> Vec<Chunk> {
        (0..self.chunks()).map(Chunk).filter(|chunk| !self.had.contains(chunk)).collect()
    }

    fn open(&self) -> Vec<Chunk> {
        self.wanted().into_iter().filter(|chunk| self.owing(*chunk).is_empty()).collect()
    }

    fn choices(&self) -> usize {
        self.members
            .values()
            .filter(|member| !member.pace.is_stalled())
            .map(|member| member.choices.len())
            .sum()
    }

    pub(super) fn is_helped(&self) -> bool {
        self.members.values().any(|member| member.have.iter().any(|chunk| !self.had.contains(chunk)))
    }

    pub(super) fn is_behind(&self) -> bool {
        let mine = self.had.len() as i64;
        let leads = self
            .members
            .values()
            .filter_map(|member| member.head_start.map(|start| mine - member.have.len() as i64 - start));
        leads.sum::<i64>() < 0
    }

    pub(super) fn unavailable(&self) -> Vec<Chunk> {
        if self.members.is_empty() || self.members.values().any(|member| self.is_whole(member)) {
            return Vec::new();
        }
        let held = |chunk: &Chunk| self.members.values().any(|member| member.have.contains(chunk));
        self.open().into_iter().filter(|chunk| !held(chunk)).collect()
    }

    pub(super) fn step(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        match event {
            Event::Joined { source, have, may_choose, round_trip, load } => {
                self.join(source, &have, may_choose, round_trip, load, now);
            }
            Event::Loaded(id, load) => {
                let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
                let owes = member.owes();
                member.pace.told(load, owes, now);
                member.pace.answered(owes, now);
                self.fill_all(now);
            }
            Event::Gained(id, runs) => {
                let chunks = self.chunks();
                let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
                for chunk in runs.iter().flat_map(|run| run.below(chunks)) {
                    member.doubted.remove(&chunk);
                    member.have.insert(chunk);
                }
                self.fill(id, now);
            }
            Event::Left(id) => {
                if self.members.remove(&id).is_some() {
                    self.believe_the_last();
                    self.fill_all(now);
                }
            }
            Event::Arriving(id, chunk) => self.arriving(id, chunk, now),
            Event::Progress(id, bytes) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.pace.delivered(bytes, now);
                }
            }
            Event::Arrived(id, chunk) => {
                self.forget(id, chunk);
                let others = self.owing(chunk);
                self.had.insert(chunk);
                self.out.extend(others.into_iter().map(|other| Effect::Cancel(other, chunk)));
                self.moved.remove(&chunk);
                self.fill(id, now);
            }
            Event::Corrupt(id, chunk) => {
                self.forget(id, chunk);
                let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
                member.corrupt += 1;
                member.doubted.insert(chunk);
                if member.corrupt >= MAX_CORRUPT {
                    self.out.push(Effect::Close(id));
                }
                self.disbelieve(id, chunk);
                self.believe_the_last();
                self.fill_all(now);
            }
            Event::Settled(id, chunk) => self.refused(id, Some(chunk), Refusal::Cancelled, now),
            Event::Refused(id, chunk, why) => self.refused(id, chunk, why, now),
            // Its histories spare nobody, and all is wanted from their beginning, in no order.
            Event::Spare(_) | Event::Wanted(_) | Event::InOrder => {}
            Event::Tick => self.tick(now),
        }
        std::mem::take(&mut self.out)
    }

    fn join(
        &mut self,
        source: SourceId,
        have: &ChunkSet,
        may_choose: Option<PeerId>,
        round_trip: Duration,
        load: Option<SourceLoad>,
        now: Instant,
    ) {
        let have: BTreeSet<Chunk> = have.iter().collect();
        let head = self.had.len() as i64 - have.len() as i64;
        let mut pace = Pace::new(round_trip, now);
        load.into_iter().for_each(|load| pace.told(load, 0, now));
        let whole = have.len() as u32 == self.chunks();
        self.members.insert(
            source,
            Member {
                came: now,
                head_start: (!whole).then_some(head),
                have,
                may_choose,
                choices: Vec::new(),
                asked: Vec::new(),
                corrupt: 0,
                doubted: BTreeSet::new(),
                lost: BTreeSet::new(),
                excused: false,
                pace,
                last_steal: None,
            },
        );
        self.fill(source, now);
    }

    fn forget(&mut self, id: SourceId, chunk: Chunk) {
        if let Some(member) = self.members.get_mut(&id) {
            member.asked.retain(|asked| asked.chunk != chunk);
        }
    }

    fn arriving(&mut self, id: SourceId, chunk: Chunk, now: Instant) {
        let (others, wanted, nth) = (self.owing(chunk), !self.had.contains(&chunk), self.asks);
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Some(asked) = member.asked.iter_mut().find(|asked| asked.chunk == chunk) {
            asked.begun = true;
        } else if let Some(bytes) = member.choices.pop() {
            self.asks += 1;
            member.asked.push(Asked { chunk, bytes, at: now, begun: true, cancelled: false, nth });
            if wanted {
                self.out.extend(others.into_iter().map(|other| Effect::Cancel(other, chunk)));
            }
        }
    }

    fn refused(&mut self, id: SourceId, chunk: Option<Chunk>, why: Refusal, now: Instant) {
        if !self.members.contains_key(&id) {
            return;
        }
        let without =
            matches!(why, Refusal::NotHere | Refusal::NotYet | Refusal::Gone | Refusal::NothingBetter);
        if let Some(chunk) = chunk {
            self.forget(id, chunk);
            if without {
                self.disbelieve(id, chunk);
            }
        }
        let Some(member) = self.members.get_mut(&id) else { return };
        match (chunk, why) {
            (None, _) => {
                member.choices.pop();
                match why {
                    Refusal::NothingBetter => {
                        let peer = member.may_choose;
                        self.chooser.1 |= peer.is_some() && peer == self.chooser.0;
                    }
                    _ if without => member.may_choose = None,
                    _ => member.pace.back_off(now),
                }
            }
            (Some(_), Refusal::Busy) => member.pace.back_off(now),
            (Some(chunk), Refusal::Gone) => {
                if member.corrupt > 0 && !member.excused {
                    member.corrupt -= 1;
                    member.excused = true;
                }
                if !member.lost.insert(chunk) {
                    member.pace.back_off(now);
                }
            }
            _ => {}
        }
        if chunk.is_some() {
            self.fill_all(now);
        }
        if let Some(member) = self.members.get_mut(&id) {
            let owes = member.owes();
            member.pace.answered(owes, now);
        }
        self.fill(id, now);
    }

    fn disbelieve(&mut self, id: SourceId, chunk: Chunk) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.have.remove(&chunk) {
            member.may_choose = None;
        }
    }

    /// True if the member may choose, and none of another peer does.
    fn chooses(&mut self, id: SourceId) -> bool {
        let mut may = self.members.values().filter_map(|member| member.may_choose);
        let first = may.next();
        if first != self.chooser.0 && !may.any(|peer| Some(peer) == self.chooser.0) {
            self.chooser.0 = first;
        }
        let may_choose = self.members.get(&id).and_then(|member| member.may_choose);
        !self.chooser.1 && may_choose.is_some() && may_choose == self.chooser.0
    }

    fn believe_the_last(&mut self) {
        for chunk in self.wanted() {
            if self.members.values().any(|member| member.have.contains(&chunk)) {
                continue;
            }
            for member in self.members.values_mut().filter(|member| member.doubted.contains(&chunk)) {
                member.doubted.remove(&chunk);
                member.have.insert(chunk);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        for id in Vec::from_iter(self.members.keys().copied()) {
            let Some(member) = self.members.get_mut(&id) else { continue };
            let owes = member.owes();
            if member.pace.is_lost(owes, now) {
                self.out.push(Effect::Close(id));
            } else if member.pace.stalls(owes, now) {
                for chunk in Vec::from_iter(self.members[&id].asked.iter().map(|asked| asked.chunk)) {
                    let elsewhere = self.members.iter().any(|(other, member)| {
                        *other != id && !member.pace.is_stalled() && member.have.contains(&chunk)
                    });
                    if self.owing(chunk) == [id] && !self.had.contains(&chunk) && elsewhere {
                        self.out.push(Effect::Cancel(id, chunk));
                        self.forget(id, chunk);
                    }
                }
            }
            self.ask_load(id, now);
        }
        self.fill_all(now);
    }

    fn fill_all(&mut self, now: Instant) {
        let mut costs = Vec::new();
        for (id, member) in &self.members {
            let some = 1.0 + 0.1 * self.rng.f64();
            costs.push((
                member.expected(self.layout.place(Chunk(0)).map_or(0, |place| place.len)).mul_f64(some),
                *id,
            ));
        }
        costs.sort();
        costs.into_iter().for_each(|(_, id)| self.fill(id, now));
    }

    fn fill(&mut self, id: SourceId, now: Instant) {
        let chooses = self.chooses(id);
        while self.members.values().map(Member::owes).sum::<u64>() < self.most {
            let Some(member) = self.members.get(&id) else { return };
            let busy = !member.asked.is_empty() || !member.choices.is_empty();
            if !member.pace.is_well(now) || (busy && !member.pace.has_room(member.owes())) {
                return;
            }
            let open = self.open();
            if !open.is_empty() && open.len() <= self.choices() {
                return;
            }
            if !open.is_empty() && chooses && self.chunks() > 4 {
                let bytes = self.layout.size().div_ceil(u64::from(self.chunks())).max(1);
                self.ask_any(id, bytes, now);
                continue;
            }
            let round =
                |chunk: Chunk| (chunk.0 + self.chunks() - self.cursor.0 % self.chunks()) % self.chunks();
            let copies = |chunk: &Chunk| {
                let partial = self.members.values().filter(|member| !self.is_whole(member));
                partial.filter(|member| member.have.contains(chunk)).count().min(COMMON)
            };
            let rarest = open.into_iter().filter(|chunk| member.have.contains(chunk));
            match rarest.min_by_key(|chunk| (copies(chunk), round(*chunk))) {
                None => {
                    if !self.steal(id, now) {
                        return;
                    }
                }
                Some(chunk) => {
                    if self.is_better_elsewhere(id, chunk, now) {
                        return;
                    }
                    self.ask(id, chunk, now);
                    self.cursor = match self.members.values().all(|member| self.is_whole(member)) {
                        true => chunk.plus(1),
                        false => Chunk(self.rng.u32(..self.layout.chunks())),
                    };
                }
            }
        }
    }

    fn is_better_elsewhere(&self, id: SourceId, chunk: Chunk, now: Instant) -> bool {
        let here = &self.members[&id];
        let here_takes = here.expected(self.bytes(chunk));
        let all = (self.open().len() as u64 * self.bytes(Chunk(0))).max(self.bytes(chunk));
        here.pace.speed().is_some()
            && here_takes >= Duration::from_millis(40)
            && self.members.iter().any(|(other, member)| {
                *other != id
                    && member.pace.is_well(now)
                    && member.have.contains(&chunk)
                    && member.pace.speed().is_some()
                    && member.expected(all) < (here_takes - Duration::from_millis(40)) / 2
            })
    }

    fn ask_any(&mut self, id: SourceId, bytes: u64, now: Instant) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let owes = member.owes();
        member.pace.asks(owes, now);
        member.choices.push(bytes);
        self.out.push(Effect::AskAny(id));
    }

    fn ask(&mut self, id: SourceId, chunk: Chunk, now: Instant) {
        let (bytes, nth) = (self.bytes(chunk), self.asks);
        self.asks += 1;
        let Some(member) = self.members.get_mut(&id) else { return };
        let owes = member.owes();
        member.pace.asks(owes, now);
        member.asked.push(Asked { chunk, bytes, at: now, begun: false, cancelled: false, nth });
        self.out.push(Effect::Ask(id, chunk));
        self.ask_load(id, now);
    }

    fn ask_load(&mut self, id: SourceId, now: Instant) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let (owes, first) = (member.owes(), member.asked.first().map(|asked| asked.at));
        if member.pace.should_tell(owes, first, now) {
            self.out.push(Effect::AskLoad(id));
        }
    }

    /// What each owes that nobody has cancelled, and how long until it is here.
    fn owed(&self, id: SourceId, now: Instant) -> Vec<(Chunk, u64, bool, Duration)> {
        let member = &self.members[&id];
        let trip = member.pace.round_trip();
        let rate = member.pace.speed().unwrap_or(FIRST_RATE);
        let mut owed = Vec::new();
        for (at, asked) in member.asked.iter().enumerate().filter(|(_, asked)| !asked.cancelled) {
            let queue = rate.time_for(member.asked[..=at].iter().map(|asked| asked.bytes).sum());
            let due = if member.pace.is_new() {
                let at = asked.at + trip + queue;
                at.saturating_duration_since(now) + now.saturating_duration_since(at + HORIZON)
            } else {
                let late = member.pace.silent(now).saturating_sub(trip + HORIZON);
                late + (asked.at + trip).saturating_duration_since(now) + queue
            };
            owed.push((asked.chunk, asked.bytes, asked.begun, due));
        }
        owed
    }

    fn steal(&mut self, id: SourceId, now: Instant) -> bool {
        let thief = &self.members[&id];
        let rested = Duration::from_millis(20).max(thief.pace.round_trip() * 2);
        let rested = thief.last_steal.is_none_or(|last| now.saturating_duration_since(last) >= rested);
        let fresh = now.saturating_duration_since(thief.came) < Duration::from_millis(20);
        let last = self.open().is_empty() && self.wanted().len() <= self.members.len();
        let mut best: Option<(Duration, SourceId, Chunk, bool)> = None;
        for (victim_id, victim) in self.members.iter().filter(|(other, _)| **other != id) {
            let new = victim.pace.is_new() && victim.pace.speed().is_some() && thief.pace.speed().is_some();
            for (chunk, bytes, begun, due) in self.owed(*victim_id, now) {
                let copies = self.owing(chunk).len();
                let may = (new || rested)
                    && thief.have.contains(&chunk)
                    && !thief.asked(chunk)
                    && !self.had.contains(&chunk)
                    && (copies < 2 || (new && !begun));
                let moved = if fresh { 0 } else { self.moved.get(&chunk).copied().unwrap_or(0).min(8) };
                let (times, least) = match (begun, new, last) {
                    (true, _, true) => (2.0, 40),
                    (true, _, false) => (8.0, 160),
                    (false, true, _) => (1.1 * 1.5_f64.powi(moved), 10),
                    (false, false, true) => (1.5, 10),
                    (false, false, false) => (2.0, 40),
                };
                let gain = due.saturating_sub(thief.expected(bytes).mul_f64(times));
                let better = best.is_none_or(|(most, ..)| gain > most);
                if may && better && gain > Duration::from_millis(least) {
                    best = Some((gain, *victim_id, chunk, begun));
                }
            }
        }
        let Some((_, victim, chunk, begun)) = best else { return false };
        self.out.push(Effect::Cancel(victim, chunk));
        let far = self.members[&victim].pace.round_trip() > Duration::from_millis(75);
        for asked in self.members.get_mut(&victim).into_iter().flat_map(|victim| &mut victim.asked) {
            asked.cancelled |= asked.chunk == chunk;
        }
        *self.moved.entry(chunk).or_default() += 1;
        if let Some(thief) = self.members.get_mut(&id) {
            thief.last_steal = Some(now);
        }
        let at_once = begun || far || last;
        if at_once {
            self.ask(id, chunk, now);
        }
        at_once
    }
}
