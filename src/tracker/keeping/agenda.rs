//! What is to be gone over, and how far that is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::store::StoreRow;
use crate::tracker::records::Content;

/// When a content is planned: the smaller the sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// Somebody waits for it.
    Urgent,
    /// There are so many copies of what fewest stores have.
    Copies(u8),
}

/// Contents that are looked at one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// Those that somebody waits for.
    Uploads,
    /// What a store holds that has said all that it holds: what it has not named it does not hold.
    Reported(StoreRow),
    /// What a store holds, or is to hold.
    Of(StoreRow),
    /// What a leaving store holds: what is not safe without it?
    Leaving(StoreRow),
    /// All, for copies that are missing.
    All,
    /// All, for copies that are too many.
    Surplus,
    /// All, for what stores that are too full may pass on.
    Balance,
}

/// How far a content has been planned.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// The next word of the bitmaps.
    pub(super) word: usize,
    /// True if there is a unit for which no store was found.
    pub(super) is_short: bool,
    pub(super) is_over: bool,
}

/// What is to be gone over.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Contents that are to be planned.
    pub(super) due: BTreeSet<(Turn, Content)>,
    /// The first of them, if it has been planned in part: up to where, and whether something found no place.
    pub(super) halfway: Option<(Content, Place)>,
    /// Each with the last content that was looked at.
    pub(super) walks: VecDeque<(Walk, Option<Content>)>,
    /// Contents that are not safe without the store that is leaving, as far as has been looked.
    pub(super) needed: u64,
    /// Bytes that stores are to give up of what is kept too often, as far as has been looked.
    pub(super) spare: BTreeMap<StoreRow, u64>,
    /// Bytes that stores that were too full pass on.
    pub(super) passed_on: BTreeMap<StoreRow, u64>,
}

impl Agenda {
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.walks.is_empty()
    }

    /// Walks that way, unless one is about to begin; `first` before all others.
    pub(super) fn walk(&mut self, walk: Walk, first: bool) {
        if self.walks.contains(&(walk, None)) {
            return;
        }
        match first {
            true => self.walks.push_front((walk, None)),
            false => self.walks.push_back((walk, None)),
        }
    }

    /// Ends the walks of this kind: they are begun anew, or are of no use any more.
    pub(super) fn stop(&mut self, walk: Walk) {
        self.walks.retain(|(other, _)| *other != walk);
    }
}
