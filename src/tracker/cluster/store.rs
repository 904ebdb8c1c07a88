//! The engine's storage: its log in memory, and what of it is to be written.

use std::sync::{Arc, Mutex};

use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::storage::{Entry as Stored, NoSnapshot, StopSign, Storage, StorageOp, StorageResult};

use super::durable::{Kept, Write};
use super::entry::Entry;
use super::rules::{Rule, Rules};
use crate::threads::lock;

impl Stored for Entry {
    type Snapshot = NoSnapshot;
}

/// A storage; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Store {
    state: Arc<Mutex<State>>,
    rules: Rules,
}

#[derive(Debug, Default)]
struct State {
    kept: Kept,
    /// Bytes of the log.
    bytes: usize,
    writes: Vec<Write>,
}

impl Store {
    pub(super) fn new(kept: Kept, rules: Rules) -> Store {
        let bytes = kept.log.iter().map(Entry::bytes).sum();
        Store { state: Arc::new(Mutex::new(State { kept, bytes, writes: Vec::new() })), rules }
    }

    /// What is to be written since the last time.
    pub(super) fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut lock(&self.state).writes)
    }

    /// What is decided from this place on.
    pub(super) fn decided_from(&self, place: usize) -> Vec<Entry> {
        let state = lock(&self.state);
        state.kept.log.get(place..state.kept.decided.min(state.kept.log.len())).unwrap_or_default().to_vec()
    }

    /// Everything in the log is decided: nobody else has a voice.
    pub(super) fn decide_all(&self) {
        let state = &mut *lock(&self.state);
        state.kept.decided = state.kept.log.len();
    }

    /// Bytes of the log.
    pub(super) fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }

    fn put(&self, from: usize, entries: Vec<Entry>, cut: bool) {
        let state = &mut *lock(&self.state);
        let log = &mut state.kept.log;
        if cut && self.rules.hold(Rule::LogCut) {
            let gone = log.drain(from.min(log.len())..);
            state.bytes -= gone.map(|entry| entry.bytes()).sum::<usize>();
        }
        state.bytes += entries.iter().map(Entry::bytes).sum::<usize>();
        for (at, entry) in (from..).zip(entries.iter().cloned()) {
            match log.get_mut(at) {
                Some(old) => *old = entry,
                None => log.push(entry),
            }
        }
        state.writes.push(Write::Entries(from, entries));
    }
}

impl Storage<Entry> for Store {
    fn write_atomically(&mut self, ops: Vec<StorageOp<Entry>>) -> StorageResult<()> {
        for op in ops {
            match op {
                StorageOp::AppendEntry(entry) => self.append_entry(entry)?,
                StorageOp::AppendEntries(entries) => self.append_entries(entries)?,
                StorageOp::AppendOnPrefix(from, entries) => self.append_on_prefix(from, entries)?,
                StorageOp::SetPromise(ballot) => self.set_promise(ballot)?,
                StorageOp::SetDecidedIndex(count) => self.set_decided_idx(count)?,
                StorageOp::SetAcceptedRound(ballot) => self.set_accepted_round(ballot)?,
                StorageOp::SetCompactedIdx(_)
                | StorageOp::Trim(_)
                | StorageOp::SetStopsign(_)
                | StorageOp::SetSnapshot(_) => return Err("not used".into()),
            }
        }
        Ok(())
    }

    fn append_entry(&mut self, entry: Entry) -> StorageResult<()> {
        self.append_entries(vec![entry])
    }

    fn append_entries(&mut self, entries: Vec<Entry>) -> StorageResult<()> {
        if !entries.is_empty() {
            let end = self.get_log_len()?;
            self.put(end, entries, false);
        }
        Ok(())
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Entry>) -> StorageResult<()> {
        self.put(from, entries, true);
        Ok(())
    }

    fn set_promise(&mut self, ballot: Ballot) -> StorageResult<()> {
        let state = &mut *lock(&self.state);
        let known = state.kept.promise.unwrap_or_default();
        if ballot != known {
            state.kept.promise = Some(ballot);
            if self.rules.hold(Rule::PromiseWritten) {
                state.writes.push(Write::Promise(ballot));
            }
        }
        Ok(())
    }

    fn set_decided_idx(&mut self, count: usize) -> StorageResult<()> {
        let state = &mut *lock(&self.state);
        if count != state.kept.decided {
            state.kept.decided = count;
            state.writes.push(Write::Decided(count));
        }
        Ok(())
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        Ok(lock(&self.state).kept.decided)
    }

    fn set_accepted_round(&mut self, ballot: Ballot) -> StorageResult<()> {
        let state = &mut *lock(&self.state);
        state.kept.round = Some(ballot);
        if self.rules.hold(Rule::RoundWritten) {
            state.writes.push(Write::Round(ballot));
        }
        Ok(())
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        Ok(lock(&self.state).kept.round)
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Entry>> {
        Ok(lock(&self.state).kept.log.get(from..to).unwrap_or_default().to_vec())
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        Ok(lock(&self.state).kept.log.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Entry>> {
        Ok(lock(&self.state).kept.log.get(from..).unwrap_or_default().to_vec())
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        Ok(lock(&self.state).kept.promise)
    }

    fn set_stopsign(&mut self, _: Option<StopSign>) -> StorageResult<()> {
        Err("not used".into())
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(None)
    }

    fn trim(&mut self, _: usize) -> StorageResult<()> {
        Err("not used".into())
    }

    fn set_compacted_idx(&mut self, _: usize) -> StorageResult<()> {
        Err("not used".into())
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        Ok(0)
    }

    fn set_snapshot(&mut self, _: Option<NoSnapshot>) -> StorageResult<()> {
        Err("not used".into())
    }

    fn get_snapshot(&self) -> StorageResult<Option<NoSnapshot>> {
        Ok(None)
    }
}
