//! What a store is to keep: as it was told last, and what of that is being fetched. Pure.
//!
//! Duties say what should be, and are told again until it is so. Of each content one fetch runs at a time, for each
//! chunk has one writer.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::FileId;
use crate::wire::{Bits, Keep, View};

/// A content, as its bytes or as the files that it lists.
pub(super) type Content = (FileId, View);

/// Most fetches at once.
pub(super) const MOST_RUNNING: usize = 8;
/// Most small contents that one fetch brings: each takes a slot of the connections to its sources.
pub(super) const MOST_TOGETHER: usize = 64;
/// Most contents that wait: what is told above it comes again.
const MOST_WAITING: usize = 4096;

/// What is to be done about a duty that was told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It waits for its turn: look for the next.
    Waits,
    /// It is being done: who has it may have changed.
    Runs,
    /// There are too many.
    PassedOver,
}

/// What waits and what runs.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// In the order in which they were told first.
    waiting: Vec<Keep>,
    /// What each content is to have that is being fetched.
    running: BTreeMap<Content, Bits>,
    /// How many fetches that are.
    fetches: usize,
    /// The small ones, which one fetch brings: others gather until it has ended.
    together: BTreeSet<Content>,
}

/// True of what may come along with others of its kind: a file of one chunk, that nobody waits for.
/// Who has it must be dialled: he who is called says for the sake of which content he comes.
fn is_small(keep: &Keep) -> bool {
    let is_one =
        keep.chunks == 1 && keep.view == View::Bytes && keep.keep == Bits::All && keep.code.is_none();
    is_one && !keep.urgent && keep.sources.iter().any(|source| !source.addresses.is_empty())
}

impl Agenda {
    /// A duty was told, for the first time or again; it takes the place of what was told of its content before.
    pub(super) fn told(&mut self, keep: &Keep) -> Told {
        let content = (keep.id, keep.view);
        if self.running.get(&content) == Some(&keep.keep) {
            self.waiting.retain(|other| (other.id, other.view) != content);
            return Told::Runs;
        }
        if let Some(waiting) = self.waiting.iter_mut().find(|other| (other.id, other.view) == content) {
            waiting.clone_from(keep);
            return Told::Waits;
        }
        if self.waiting.len() >= MOST_WAITING {
            return Told::PassedOver;
        }
        self.waiting.push(keep.clone());
        Told::Waits
    }

    /// What the next fetch is to bring, if there is room for one more: first what somebody waits for, then what waits
    /// longest; with a small content others that are.
    pub(super) fn next(&mut self) -> Option<Vec<Keep>> {
        if self.fetches >= MOST_RUNNING {
            return None;
        }
        let gathers = !self.together.is_empty();
        let ready =
            |keep: &Keep| !(self.running.contains_key(&(keep.id, keep.view)) || gathers && is_small(keep));
        let first = |urgent: bool| self.waiting.iter().position(|keep| keep.urgent == urgent && ready(keep));
        let at = first(true).or_else(|| first(false))?;
        let mut keeps = vec![self.waiting.remove(at)];
        if is_small(&keeps[0]) {
            let others = self.waiting.extract_if(.., |keep| is_small(keep) && ready(keep));
            keeps.extend(others.take(MOST_TOGETHER - 1));
            self.together = keeps.iter().map(|keep| (keep.id, keep.view)).collect();
        }
        for keep in &keeps {
            self.running.insert((keep.id, keep.view), keep.keep.clone());
        }
        self.fetches += 1;
        Some(keeps)
    }

    /// True if something is being fetched.
    pub(super) fn is_fetching(&self) -> bool {
        self.fetches > 0
    }

    /// A fetch of these has ended, however.
    pub(super) fn ended(&mut self, contents: &[Content]) {
        for content in contents {
            self.running.remove(content);
            self.together.remove(content);
        }
        self.fetches -= 1;
    }

    /// A content is not to be kept any more, or other chunks of it: what waits is not so any more.
    pub(super) fn forget(&mut self, content: Content) {
        self.waiting.retain(|keep| (keep.id, keep.view) != content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Address, PeerId};
    use crate::wire::{DutySource, List};

    fn keep(id: u8, keep: Bits, urgent: bool) -> Keep {
        let (id, view, sources) = (FileId([id; 32]), View::Bytes, List::default());
        Keep { id, view, size: 9, total: 9, chunks: 2, keep, urgent, code: None, sources }
    }

    /// The one that is next.
    fn next(agenda: &mut Agenda) -> Option<u8> {
        let keeps = agenda.next()?;
        assert_eq!(keeps.len(), 1);
        Some(keeps[0].id.0[0])
    }

    #[test]
    fn small_contents_that_nobody_waits_for_come_together() {
        let mut agenda = Agenda::default();
        let addresses = List::new(vec![Address::new([127, 0, 0, 1].into(), 1).unwrap()]);
        let source = DutySource { peer: PeerId([7; 16]), addresses, spare: false };
        let sources = List::new(vec![source]);
        let small = |id, urgent| Keep { chunks: 1, sources: sources.clone(), ..keep(id, Bits::All, urgent) };
        let all = MOST_TOGETHER as u8 + 4;
        (0..all).for_each(|id| assert_eq!(agenda.told(&small(id, id == 9)), Told::Waits));
        assert_eq!(agenda.told(&keep(200, Bits::All, false)), Told::Waits);
        let ids = |keeps: Option<Vec<Keep>>| -> Vec<u8> {
            keeps.unwrap().iter().map(|keep| keep.id.0[0]).collect()
        };
        assert_eq!(ids(agenda.next()), [9], "somebody waits for it");
        let first = ids(agenda.next());
        assert_eq!((first.len(), first[0], first.contains(&9)), (MOST_TOGETHER, 0, false));
        assert_eq!(ids(agenda.next()), [200]);
        assert_eq!(agenda.next(), None, "the others gather");
        let contents: Vec<Content> = first.iter().map(|id| (FileId([*id; 32]), View::Bytes)).collect();
        assert_eq!(agenda.told(&small(first[5], false)), Told::Runs);
        agenda.ended(&contents);
        assert_eq!(agenda.told(&small(first[5], false)), Told::Waits);
        assert_eq!(ids(agenda.next()), [all - 3, all - 2, all - 1, first[5]]);
    }

    #[test]
    fn what_somebody_waits_for_comes_first_and_then_what_was_told_first() {
        let mut agenda = Agenda::default();
        for (id, urgent) in [(1, false), (2, false), (3, true), (4, true)] {
            assert_eq!(agenda.told(&keep(id, Bits::All, urgent)), Told::Waits);
        }
        let order: Vec<u8> = std::iter::from_fn(|| next(&mut agenda)).collect();
        assert_eq!(order, [3, 4, 1, 2]);
    }

    #[test]
    fn of_each_content_one_fetch_runs_and_what_is_told_last_counts() {
        let mut agenda = Agenda::default();
        assert_eq!(agenda.told(&keep(1, Bits::None, false)), Told::Waits);
        assert_eq!(agenda.told(&keep(1, Bits::All, false)), Told::Waits);
        assert_eq!(agenda.next(), Some(vec![keep(1, Bits::All, false)]));
        assert_eq!(agenda.told(&keep(1, Bits::None, false)), Told::Waits, "it is to be another");
        assert_eq!(next(&mut agenda), None);
        assert_eq!(agenda.told(&keep(1, Bits::All, false)), Told::Runs, "it is to be this one after all");
        agenda.ended(&[(FileId([1; 32]), View::Bytes)]);
        assert_eq!(next(&mut agenda), None);
        assert_eq!(agenda.told(&keep(1, Bits::All, false)), Told::Waits);
        agenda.forget((FileId([1; 32]), View::Bytes));
        assert_eq!(next(&mut agenda), None);
    }

    #[test]
    fn so_many_run_at_once_and_so_many_wait() {
        let mut agenda = Agenda::default();
        let all = MOST_RUNNING as u8 + 2;
        (0..all).for_each(|id| assert_eq!(agenda.told(&keep(id, Bits::All, false)), Told::Waits));
        assert_eq!(std::iter::from_fn(|| next(&mut agenda)).count(), MOST_RUNNING);
        agenda.ended(&[(FileId([3; 32]), View::Bytes)]);
        assert_eq!(next(&mut agenda), Some(MOST_RUNNING as u8));
        let many = |at: usize| FileId(*blake3::hash(&at.to_be_bytes()).as_bytes());
        let told =
            (0..=MOST_WAITING).map(|at| agenda.told(&Keep { id: many(at), ..keep(0, Bits::All, false) }));
        assert_eq!(told.filter(|told| *told == Told::PassedOver).count(), 2);
    }
}
