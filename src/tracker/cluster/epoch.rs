//! One epoch of the log, as one tracker sees it: the engine if it is one of several members, what is applied, who waits for what.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use omnipaxos::storage::Storage;

use super::durable::{Head, Identity, Kept, Write};
use super::engine::Engine;
use super::entry::{Chain, Entry, Incarnation, Mark, Members, Node, What, member};
use super::event::Ready;
use super::rules::{Rule, Rules};
use super::said::At;
use super::store::Store;
use crate::wire::DecodeError;

/// Slots of which the chain is remembered, for who says theirs late.
const CHAINS: usize = 4096;

/// Who decides.
#[derive(Debug)]
enum Voice {
    /// This tracker is the only member.
    Alone(Store),
    /// It is one of several.
    Several(Box<Engine>),
    /// It is none.
    Outside,
}

/// An office: the ballot by which this tracker leads, and how far that has come.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Office {
    ballot: (u32, u64),
    /// The entry by which it begins.
    mark: Option<Mark>,
    applied: bool,
}

/// What comes of going on.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, taken at once")]
pub(super) enum Progress {
    /// This is ready.
    Ready(Ready),
    /// An entry of this epoch was applied.
    Applied,
}

/// An epoch.
#[derive(Debug)]
pub(super) struct Epoch {
    pub(super) head: Head,
    pub(super) snapshot: Bytes,
    rules: Rules,
    voice: Voice,
    /// How many entries are applied, and the chain with the last of them.
    applied: usize,
    chains: VecDeque<Chain>,
    /// Chains that others say of slots that are not applied here yet.
    claims: BTreeMap<u64, Chain>,
    /// Who waits for which entry.
    waiting: BTreeMap<Mark, u64>,
    /// Who is answered without a barrier, where that rule is left out.
    fresh: Vec<u64>,
    office: Option<Office>,
    ending: bool,
    ended: Option<Members>,
}

impl Epoch {
    pub(super) fn new(me: &Identity, head: Head, snapshot: Bytes, kept: Kept, rules: Rules) -> Epoch {
        let this = |member: &super::entry::Member| is(member.incarnation, me.incarnation, rules);
        let voice = match member(&head.members, me.node).filter(|member| this(member)) {
            None => Voice::Outside,
            Some(_) if head.members.len() == 1 => {
                let store = Store::new(kept, rules);
                store.decide_all();
                Voice::Alone(store)
            }
            Some(_) => Voice::Several(Box::new(Engine::new(me.node, head.epoch, &head.members, kept, rules))),
        };
        let chains = VecDeque::from([head.chain]);
        Epoch {
            head,
            snapshot,
            rules,
            voice,
            applied: 0,
            chains,
            claims: BTreeMap::new(),
            waiting: BTreeMap::new(),
            fresh: Vec::new(),
            office: None,
            ending: false,
            ended: None,
        }
    }

    /// True if this node votes in this epoch, with this disk.
    pub(super) fn is_member(&self, node: Node, incarnation: Incarnation) -> bool {
        member(&self.head.members, node).is_some_and(|member| is(member.incarnation, incarnation, self.rules))
    }

    /// Up to which slot entries are applied.
    pub(super) fn slot(&self) -> u64 {
        self.head.base + self.applied as u64
    }

    /// The chain up to there.
    pub(super) fn chain(&self) -> Chain {
        self.chains.back().copied().unwrap_or_default()
    }

    /// Compares what another tracker says of a slot with what is known here.
    pub(super) fn compare(&mut self, at: &At) -> Result<(), String> {
        if at.epoch != self.head.epoch {
            return Ok(());
        }
        if at.slot > self.slot() {
            self.claims.insert(at.slot, at.chain);
            if self.claims.len() > CHAINS {
                self.claims.pop_first();
            }
            return Ok(());
        }
        let back = (self.slot() - at.slot) as usize;
        let known = self.chains.len().checked_sub(back + 1).and_then(|place| self.chains.get(place));
        differs(known, at.chain, at.slot)
    }

    pub(super) fn tick(&mut self, behind: bool) {
        if let (Voice::Several(engine), None) = (&mut self.voice, &self.ended) {
            engine.tick(behind);
        }
    }

    pub(super) fn hear(&mut self, from: Node, said: Bytes) -> Result<(), DecodeError> {
        match (&mut self.voice, &self.ended) {
            (Voice::Several(engine), None) => engine.hear(from, said),
            _ => Ok(()),
        }
    }

    pub(super) fn reconnected(&mut self, node: Node) {
        if let Voice::Several(engine) = &mut self.voice {
            engine.reconnected(node);
        }
    }

    #[cfg(feature = "lab")]
    pub(super) fn campaign(&mut self) {
        if let Voice::Several(engine) = &mut self.voice {
            engine.campaign();
        }
    }

    /// Proposes an entry for which somebody waits.
    ///
    /// # Errors
    /// This tracker does not lead; who does, if that is known.
    pub(super) fn propose(&mut self, mark: Mark, what: &What, tag: u64) -> Result<(), Option<Node>> {
        if !self.leads() || self.ending {
            return Err(self.leader());
        }
        if matches!(what, What::Barrier) && !self.rules.hold(Rule::Barrier) {
            self.fresh.push(tag);
            return Ok(());
        }
        self.waiting.insert(mark, tag);
        self.append(Entry::new(mark, what));
        Ok(())
    }

    /// Proposes the end.
    ///
    /// # Errors
    /// As of [`Epoch::propose`].
    pub(super) fn propose_end(&mut self, mark: Mark, members: Members) -> Result<(), Option<Node>> {
        if !self.leads() || self.ending {
            return Err(self.leader());
        }
        self.ending = true;
        self.append(Entry::new(mark, &What::End(members)));
        Ok(())
    }

    fn append(&mut self, entry: Entry) {
        match &mut self.voice {
            Voice::Alone(store) => {
                let _ = store.append_entry(entry); // in memory
                store.decide_all();
            }
            Voice::Several(engine) => engine.append(entry),
            Voice::Outside => {}
        }
    }

    /// The ballot by which the engine lets this tracker lead.
    fn ballot(&self) -> Option<(u32, u64)> {
        match &self.voice {
            _ if self.ended.is_some() => None,
            Voice::Alone(..) => Some((0, 0)),
            Voice::Several(engine) => engine.leads().map(|ballot| (ballot.n, ballot.pid)),
            Voice::Outside => None,
        }
    }

    /// True if the engine takes entries of this tracker.
    pub(super) fn leads(&self) -> bool {
        self.ballot().is_some()
    }

    /// True if this tracker leads and its term has begun.
    pub(super) fn in_office(&self) -> bool {
        self.leads() && self.office.is_some_and(|office| office.applied)
    }

    /// Who leads, as far as is known.
    pub(super) fn leader(&self) -> Option<Node> {
        match &self.voice {
            Voice::Alone(..) => self.head.members.first().map(|member| member.node),
            Voice::Several(engine) => engine.leader(),
            Voice::Outside => None,
        }
    }

    /// Bytes of the log.
    pub(super) fn bytes(&self) -> usize {
        match &self.voice {
            Voice::Alone(store) => store.bytes(),
            Voice::Several(engine) => engine.bytes(),
            Voice::Outside => 0,
        }
    }

    /// True if the end was proposed or applied here.
    pub(super) fn is_ending(&self) -> bool {
        self.ending || self.ended.is_some()
    }

    /// The next members, if the epoch has ended.
    pub(super) fn ended(&self) -> Option<&Members> {
        self.ended.as_ref()
    }

    /// The least term of an office that begins now, if one does.
    pub(super) fn takes_office(&mut self) -> Option<u128> {
        let ballot = self.ballot()?;
        if self.office.is_some_and(|office| office.ballot == ballot) {
            return None;
        }
        self.office = Some(Office { ballot, mark: None, applied: false });
        self.ending = false;
        Some(u128::from(self.head.epoch) << 64 | u128::from(ballot.0) << 16 | u128::from(ballot.1))
    }

    /// Begins the office with this entry.
    pub(super) fn inaugurate(&mut self, mark: Mark, what: &What) {
        if let Some(office) = &mut self.office {
            office.mark = Some(mark);
        }
        self.append(Entry::new(mark, what));
    }

    /// What the engine wants written and sent.
    pub(super) fn take_engine(&mut self) -> (Vec<Write>, Vec<(Node, Bytes)>) {
        match &mut self.voice {
            Voice::Alone(store) => (store.take_writes(), Vec::new()),
            Voice::Several(engine) => engine.take(),
            Voice::Outside => (Vec::new(), Vec::new()),
        }
    }

    /// Applies what is decided.
    pub(super) fn go_on(&mut self) -> Vec<Progress> {
        let mut out = Vec::new();
        let office = self.ballot();
        if self.office.is_some_and(|held| Some(held.ballot) != office) {
            let lost = self.office.take();
            out.extend(lost.filter(|lost| lost.applied).map(|_| Progress::Ready(Ready::Leads(false))));
            self.ending = false;
            let unknown = std::mem::take(&mut self.waiting).into_values().map(Ready::Unknown);
            out.extend(unknown.map(Progress::Ready));
        }
        let decided = match &self.voice {
            _ if self.ended.is_some() => Vec::new(),
            Voice::Alone(store) => store.decided_from(self.applied),
            Voice::Several(engine) => engine.decided_from(self.applied),
            Voice::Outside => Vec::new(),
        };
        for entry in decided {
            if self.ended.is_some() && self.rules.hold(Rule::EndIsTheEnd) {
                break;
            }
            self.apply(&entry, &mut out);
        }
        out.extend(self.fresh.drain(..).map(|tag| Progress::Ready(Ready::Passed(tag))));
        out
    }

    fn apply(&mut self, entry: &Entry, out: &mut Vec<Progress>) {
        let chain = entry.chain(self.chain());
        self.applied += 1;
        self.chains.push_back(chain);
        if self.chains.len() > CHAINS {
            self.chains.pop_front();
        }
        let slot = self.slot();
        if let Some(claimed) = self.claims.remove(&slot)
            && let Err(why) = differs(Some(&chain), claimed, slot)
        {
            out.push(Progress::Ready(Ready::Halt(format!("another tracker {why}"))));
        }
        let tag = self.waiting.remove(&entry.mark);
        let ready = match entry.what() {
            Ok(What::Command(command)) => Ready::Apply(slot, command, tag),
            Ok(What::Barrier) => match tag {
                Some(tag) => Ready::Passed(tag),
                None => return out.push(Progress::Applied),
            },
            Ok(What::End(members)) => {
                self.ended = Some(members);
                Ready::Ended
            }
            Err(error) => Ready::Halt(format!("slot {slot} holds what this version does not know ({error})")),
        };
        out.extend([Progress::Ready(ready), Progress::Applied]);
        if let Some(office) = self.office.as_mut().filter(|office| office.mark == Some(entry.mark)) {
            office.applied = true;
            out.push(Progress::Ready(Ready::Leads(true)));
        }
    }

    /// The epoch is over: nobody who waits is told more than that.
    pub(super) fn close(&mut self) -> Vec<Progress> {
        let unknown = std::mem::take(&mut self.waiting).into_values().map(Ready::Unknown);
        let lost = self.office.take().filter(|office| office.applied).map(|_| Ready::Leads(false));
        unknown.chain(lost).map(Progress::Ready).collect()
    }
}

/// True if these are the same disk.
fn is(written: Incarnation, has: Incarnation, rules: Rules) -> bool {
    written == has || !rules.hold(Rule::Incarnation)
}

fn differs(known: Option<&Chain>, said: Chain, slot: u64) -> Result<(), String> {
    match known {
        Some(known) if *known != said => Err(format!("has applied something else up to slot {slot}")),
        _ => Ok(()),
    }
}
