//! Names in byte order, each with the content it stands for.
//!
//! Owns the pairs of name and content: a pair is here exactly while somebody has it registered, and
//! is linked into its content's list of names. In order of name, then id, then claim.

use std::cmp::Ordering;

use super::contents::{Claim, Contents, NO_NAME};
use super::order::{Order, Place};
use super::slab::Slab;
use super::texts::Texts;
use crate::content::FileId;

/// A name and a content.
#[derive(Debug, Default)]
struct Pair {
    text: u32,
    content: u32,
    /// Peers that registered the pair; 0 for a freed place.
    registrations: u32,
    previous: u32,
    next: u32,
}

/// All pairs of name and content.
#[derive(Debug, Default)]
pub(super) struct Names {
    pairs: Slab<Pair>,
    texts: Texts,
    order: Order,
}

impl Names {
    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// True if `bytes` more in `names` more names fit.
    pub(super) fn has_room(&self, bytes: usize, names: usize) -> bool {
        self.texts.has_room(bytes, names) && self.pairs.len() + names < NO_NAME as usize
    }

    /// The name of a pair.
    pub(super) fn text(&self, pair: u32) -> &[u8] {
        self.texts.get(self.pairs[pair].text)
    }

    /// The content of a pair.
    pub(super) fn content(&self, pair: u32) -> u32 {
        self.pairs[pair].content
    }

    /// The pairs with this name.
    pub(super) fn with_name(&self, name: &[u8]) -> impl Iterator<Item = u32> {
        self.order.from(self.first(name)).take_while(move |pair| self.text(*pair) == name)
    }

    /// The pairs with this name and id.
    pub(super) fn with_id(&self, contents: &Contents, name: &[u8], id: &FileId) -> impl Iterator<Item = u32> {
        let compare =
            move |pair: u32| self.text(pair).cmp(name).then_with(|| contents.id(self.content(pair)).cmp(id));
        let place = self.order.partition(|pair| compare(pair) == Ordering::Less);
        self.order.from(place).take_while(move |pair| compare(*pair) == Ordering::Equal)
    }

    /// The names after one and not before `least`, in order; a name of several contents several times.
    pub(super) fn texts<'a>(
        &'a self,
        after: &[u8],
        least: &[u8],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let place = match after < least {
            true => self.first(least),
            false => self.order.partition(|pair| self.text(pair) <= after),
        };
        self.order.from(place).map(|pair| self.text(pair))
    }

    /// The names of a content.
    pub(super) fn of_content(&self, contents: &Contents, content: u32) -> impl Iterator<Item = u32> {
        let first = Some(contents.first_name(content)).filter(|pair| *pair != NO_NAME);
        std::iter::successors(first, |pair| Some(self.pairs[*pair].next).filter(|next| *next != NO_NAME))
    }

    /// The pair, or else where it would be.
    pub(super) fn find(
        &self,
        contents: &Contents,
        name: &[u8],
        id: &FileId,
        claim: &Claim,
    ) -> Result<u32, Place> {
        let compare = |pair| self.compare(contents, pair, name, id, claim);
        let place = self.order.partition(|pair| compare(pair) == Ordering::Less);
        let there = self.order.from(place).next();
        there.filter(|pair| compare(*pair) == Ordering::Equal).ok_or(place)
    }

    fn compare(&self, contents: &Contents, pair: u32, name: &[u8], id: &FileId, claim: &Claim) -> Ordering {
        let content = self.content(pair);
        let names = self.text(pair).cmp(name);
        names.then_with(|| contents.id(content).cmp(id)).then_with(|| contents.claim(content).cmp(claim))
    }

    fn first(&self, name: &[u8]) -> Place {
        self.order.partition(|pair| self.text(pair) < name)
    }

    /// Adds a pair at the place where it was not found.
    pub(super) fn add(&mut self, contents: &mut Contents, place: Place, name: &[u8], content: u32) -> u32 {
        let next = contents.first_name(content);
        let text = self.texts.add(name);
        let pair = self.pairs.add(Pair { text, content, registrations: 0, previous: NO_NAME, next });
        if next != NO_NAME {
            self.pairs[next].previous = pair;
        }
        contents.set_first_name(content, pair);
        self.order.insert(place, pair);
        pair
    }

    /// Counts one more peer that registered the pair.
    pub(super) fn register(&mut self, pair: u32) {
        self.pairs[pair].registrations += 1;
    }

    /// Counts one peer less; with the last one the pair goes. Returns the content if it has no name
    /// left.
    pub(super) fn unregister(&mut self, contents: &mut Contents, pair: u32) -> Option<u32> {
        self.pairs[pair].registrations -= 1;
        if self.pairs[pair].registrations > 0 {
            return None;
        }
        let content = self.content(pair);
        let (name, id, claim) = (self.text(pair), contents.id(content), contents.claim(content));
        let place =
            self.order.partition(|other| self.compare(contents, other, name, id, &claim) == Ordering::Less);
        self.order.remove(place);
        self.unlink(contents, pair);
        let tidy = self.texts.release(self.pairs[pair].text);
        self.pairs.take(pair);
        if tidy {
            let living = self.pairs.places_mut().filter(|pair| pair.registrations > 0);
            self.texts.tidy(living.map(|pair| &mut pair.text));
        }
        (contents.first_name(content) == NO_NAME).then_some(content)
    }

    fn unlink(&mut self, contents: &mut Contents, pair: u32) {
        let Pair { content, previous, next, .. } = self.pairs[pair];
        match previous {
            NO_NAME => contents.set_first_name(content, next),
            previous => self.pairs[previous].next = next,
        }
        if next != NO_NAME {
            self.pairs[next].previous = previous;
        }
    }
}
