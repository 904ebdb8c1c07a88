//! Names in byte order, each with the content it stands for.
//!
//! Owns the pairs of name and content: a pair is here exactly while somebody has it registered, and
//! is linked into its content's list of names. In order of name, then id, then claim.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::contents::Contents;
use super::crowded::Crowded;
use super::rows::{self, ContentRow, PairRow};
use crate::content::{Claim, FileId, Network};
use crate::tracker::tables::order::{Order, Place};
use crate::tracker::tables::slab::Slab;
use crate::tracker::tables::texts::Texts;

/// Most contents of a name looked at to find its originals.
const MAX_VARIANTS_SEEN: usize = 1024;
/// Contents from which on it is noted which networks registered the next ones of a name.
const CROWDED: usize = MAX_VARIANTS_SEEN / 4;
/// Bytes of names that are moved, and blocks of them that are freed, under one lock.
const MOVED_A_STEP: usize = 256 << 10;
const FREED_A_STEP: usize = 64;

/// A name and a content.
#[derive(Debug)]
struct Pair {
    text: u32,
    content: ContentRow,
    /// When the newest of its originals was last changed, in seconds since 1970; of its copies if there is none.
    modified: u32,
    previous: Option<PairRow>,
    next: Option<PairRow>,
}

/// The peers that registered a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Registered {
    originals: u32,
    copies: u32,
}

impl Registered {
    /// By far the most common: not written down.
    const ONE_ORIGINAL: Registered = Registered { originals: 1, copies: 0 };

    fn of(&mut self, original: bool) -> &mut u32 {
        if original { &mut self.originals } else { &mut self.copies }
    }
}

/// All pairs of name and content.
#[derive(Debug, Default)]
pub(super) struct Names {
    pairs: Slab<Pair, rows::Pairs>,
    /// Who registered a pair, unless it is one peer and it has the original.
    registered: HashMap<PairRow, Registered>,
    texts: Texts,
    /// While texts are moved together: the place of the next pair to look at.
    tidying: Option<usize>,
    crowded: Crowded,
    order: Order<PairRow>,
}

impl Names {
    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// True if `bytes` more in `names` more names fit.
    pub(super) fn has_room(&self, bytes: usize, names: usize) -> bool {
        self.texts.has_room(bytes, names) && self.pairs.len() + names <= Slab::<Pair, rows::Pairs>::MAX
    }

    /// The name of a pair.
    pub(super) fn text(&self, pair: PairRow) -> &[u8] {
        self.texts.get(self.pairs[pair].text)
    }

    /// The content of a pair.
    pub(super) fn content(&self, pair: PairRow) -> ContentRow {
        self.pairs[pair].content
    }

    /// The pairs with this name and id.
    pub(super) fn with_id(
        &self,
        contents: &Contents,
        name: &[u8],
        id: &FileId,
    ) -> impl Iterator<Item = PairRow> {
        let compare = move |pair: PairRow| {
            self.text(pair).cmp(name).then_with(|| contents.id(self.content(pair)).cmp(id))
        };
        let place = self.order.partition(|pair| compare(pair) == Ordering::Less);
        self.order.from(place).take_while(move |pair| compare(*pair) == Ordering::Equal)
    }

    /// The names after one and not before `least`, in order; a name of several contents several times.
    pub(super) fn texts<'a>(
        &'a self,
        after: &[u8],
        least: &[u8],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let place = if after < least {
            self.first(least)
        } else {
            self.order.partition(|pair| self.text(pair) <= after)
        };
        self.order.from(place).map(|pair| self.text(pair))
    }

    /// The names of a content.
    pub(super) fn of_content(
        &self,
        contents: &Contents,
        content: ContentRow,
    ) -> impl Iterator<Item = PairRow> {
        std::iter::successors(contents.first_name(content), |pair| self.pairs[*pair].next)
    }

    /// The pair, or else where it would be.
    pub(super) fn find(
        &self,
        contents: &Contents,
        name: &[u8],
        id: &FileId,
        claim: &Claim,
    ) -> Result<PairRow, Place> {
        let compare = |pair| self.compare(contents, pair, name, id, claim);
        let place = self.order.partition(|pair| compare(pair) == Ordering::Less);
        let there = self.order.from(place).next();
        there.filter(|pair| compare(*pair) == Ordering::Equal).ok_or(place)
    }

    fn compare(
        &self,
        contents: &Contents,
        pair: PairRow,
        name: &[u8],
        id: &FileId,
        claim: &Claim,
    ) -> Ordering {
        let content = self.content(pair);
        let names = self.text(pair).cmp(name);
        names.then_with(|| contents.id(content).cmp(id)).then_with(|| contents.claim(content).cmp(claim))
    }

    fn first(&self, name: &[u8]) -> Place {
        self.order.partition(|pair| self.text(pair) < name)
    }

    fn registered(&self, pair: PairRow) -> Registered {
        self.registered.get(&pair).copied().unwrap_or(Registered::ONE_ORIGINAL)
    }

    fn set_registered(&mut self, pair: PairRow, registered: Registered) {
        match registered {
            Registered::ONE_ORIGINAL => self.registered.remove(&pair),
            other => self.registered.insert(pair, other),
        };
    }

    /// True if a peer has it as an original.
    pub(super) fn has_original(&self, pair: PairRow) -> bool {
        self.registered(pair).originals > 0
    }

    /// True if some have it as an original and some as a copy.
    pub(super) fn is_mixed(&self, pair: PairRow) -> bool {
        let Registered { originals, copies } = self.registered(pair);
        originals > 0 && copies > 0
    }

    /// When the pair was last changed, in seconds since 1970.
    pub(super) fn modified(&self, pair: PairRow) -> u64 {
        u64::from(self.pairs[pair].modified)
    }

    /// Those of some pairs that make the name: the originals, or all if there is none.
    pub(super) fn that_count(&self, pairs: &mut Vec<PairRow>) {
        if pairs.iter().any(|pair| self.has_original(*pair)) {
            pairs.retain(|pair| self.has_original(*pair));
        }
    }

    /// The pairs that a name stands for: its originals, or all if it has none. Of so many pairs that not all can be
    /// looked at, some of each network that registered them; `choose` takes a number below another at random.
    pub(super) fn meant_by(&self, name: &[u8], mut choose: impl FnMut(usize) -> usize) -> Vec<PairRow> {
        let first = self.first(name);
        let here = |place| self.order.from(place).take_while(|pair| self.text(*pair) == name);
        let mut pairs: Vec<PairRow> = here(first).take(MAX_VARIANTS_SEEN + 1).collect();
        if pairs.len() > MAX_VARIANTS_SEEN {
            let some = self.crowded.some_of(name, MAX_VARIANTS_SEEN - CROWDED, &mut choose);
            pairs = some.into_iter().collect();
            let first = choose(pairs.len());
            pairs.rotate_left(first);
        }
        self.that_count(&mut pairs);
        pairs
    }

    /// Adds a pair at the place where it was not found. It is to be registered at once.
    pub(super) fn add(
        &mut self,
        contents: &mut Contents,
        place: Place,
        name: &[u8],
        content: ContentRow,
    ) -> PairRow {
        let next = contents.first_name(content);
        let neighbours = [self.order.before(place), self.order.from(place).next()];
        let neighbours = neighbours.map(|pair| pair.map(|pair| self.text(pair) == name));
        let text = self.texts.add(name);
        let pair = self.pairs.add(Pair { text, content, modified: 0, previous: None, next });
        if let Some(next) = next {
            self.pairs[next].previous = Some(pair);
        }
        contents.set_first_name(content, Some(pair));
        self.order.insert(place, pair);
        if neighbours.contains(&Some(true)) && !self.crowded.has(name) {
            let first = self.first(name);
            let here = self.order.from(first).take_while(|pair| self.text(*pair) == name);
            let here: Vec<PairRow> = here.take(CROWDED).collect();
            if here.len() == CROWDED {
                self.crowded.begins(name, here);
            }
        }
        self.registered.insert(pair, Registered { originals: 0, copies: 0 });
        pair
    }

    /// Counts one more peer that registered the pair, of this network.
    pub(super) fn register(&mut self, pair: PairRow, network: Network, original: bool, modified: u64) {
        self.crowded.register(self.texts.get(self.pairs[pair].text), network, pair);
        let mut registered = self.registered(pair);
        self.date(pair, registered, original, modified);
        *registered.of(original) += 1;
        self.set_registered(pair, registered);
    }

    /// Makes a peer's copy an original.
    pub(super) fn raise(&mut self, pair: PairRow, modified: u64) {
        let mut registered = self.registered(pair);
        self.date(pair, registered, true, modified);
        registered.copies -= 1;
        registered.originals += 1;
        self.set_registered(pair, registered);
    }

    /// A copy says nothing about the age of an original: fetching may have made its times.
    fn date(&mut self, pair: PairRow, before: Registered, original: bool, modified: u64) {
        let modified = u32::try_from(modified).unwrap_or(u32::MAX);
        let known = &mut self.pairs[pair].modified;
        match (before.originals > 0, original) {
            (true, false) => {}
            (false, true) => *known = modified,
            _ => *known = modified.max(*known),
        }
    }

    /// Counts one peer less, of this network; with the last one the pair goes. Returns the content if it has no name
    /// left.
    pub(super) fn unregister(
        &mut self,
        contents: &mut Contents,
        pair: PairRow,
        network: Network,
        original: bool,
    ) -> Option<ContentRow> {
        self.crowded.unregister(self.texts.get(self.pairs[pair].text), network, pair);
        let mut registered = self.registered(pair);
        *registered.of(original) -= 1;
        if registered != (Registered { originals: 0, copies: 0 }) {
            self.set_registered(pair, registered);
            return None;
        }
        self.registered.remove(&pair);
        self.crowded.forget(self.texts.get(self.pairs[pair].text), pair);
        let content = self.content(pair);
        let (name, id, claim) = (self.text(pair), contents.id(content), contents.claim(content));
        let place =
            self.order.partition(|other| self.compare(contents, other, name, id, &claim) == Ordering::Less);
        self.order.remove(place);
        self.unlink(contents, pair);
        self.texts.release(self.pairs[pair].text);
        self.pairs.take(pair);
        contents.first_name(content).is_none().then_some(content)
    }

    /// True if a name is crowded.
    #[cfg(test)]
    pub(super) fn has_crowd(&self) -> bool {
        !self.crowded.is_empty()
    }

    /// Moves some of the names together, if what was given up leaves much room between them. Returns true if there is
    /// more to do.
    pub(super) fn tidy(&mut self) -> bool {
        if self.tidying.is_none() && self.texts.is_untidy() {
            self.texts.begins_to_tidy();
            self.tidying = Some(0);
        }
        let Some(place) = self.tidying else { return self.texts.frees(FREED_A_STEP) };
        let mut moved = 0;
        self.tidying = self.pairs.next_mut(place).map(|pairs| {
            // Behind the last of this block of them.
            let mut next = place.saturating_add(1).next_multiple_of(Slab::<Pair, rows::Pairs>::BLOCK);
            for (behind, pair) in pairs {
                moved += self.texts.moves(&mut pair.text);
                if moved >= MOVED_A_STEP {
                    next = behind;
                    break;
                }
            }
            next
        });
        true
    }

    fn unlink(&mut self, contents: &mut Contents, pair: PairRow) {
        let Pair { content, previous, next, .. } = self.pairs[pair];
        if let Some(previous) = previous {
            self.pairs[previous].next = next;
        } else {
            contents.set_first_name(content, next);
        }
        if let Some(next) = next {
            self.pairs[next].previous = previous;
        }
    }
}

/// The last part of a name, without a tree's `/`.
pub(super) fn last_part(name: &[u8]) -> &[u8] {
    let path = name.strip_suffix(b"/").unwrap_or(name);
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
