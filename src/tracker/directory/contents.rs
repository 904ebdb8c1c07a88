//! Contents by id, each with its swarm.
//!
//! Owns the rule that a content is an id together with what is claimed of it: whether it is a file or a tree, size,
//! total and chunks. So a listing that is shared as a file, too, is two contents, and a false claim makes a content of
//! its own and spoils nobody else's. Most contents are files with one seeder, and cost no more than their own row.
//!
//! The order of the hash table is nobody's: it is asked for one content of an id, and the others of the id are in order.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::holders::{Leecher, Swarm};
use super::rows::{self, ContentRow, PairRow, PeerRow};
use crate::content::{ChunkSet, Claim, FileId, Geometry, Run};
use crate::tracker::tables::slab::{Row, Slab};

/// Less than every claim.
const LEAST: Claim = Claim { size: 0, total: 0, chunks: 0, tree: false };

/// One content.
#[derive(Debug)]
struct Content {
    id: FileId,
    size: u64,
    /// None for a file, whose claim follows from its size.
    shape: Option<Row<Shape>>,
    holders: Holders,
    /// The first of its names; none only between its birth and that of its first name.
    first_name: Option<PairRow>,
}

/// What is claimed of a tree beside the size of its listing.
#[derive(Debug)]
struct Shape {
    total: u64,
    chunks: u32,
}

#[derive(Debug, Clone, Copy)]
enum Holders {
    Nobody,
    /// One seeder with one name.
    One(PeerRow),
    Many(Row<Swarm>),
}

/// All contents.
#[derive(Debug, Default)]
pub(super) struct Contents {
    rows: Slab<Content, rows::Contents>,
    shapes: Slab<Shape>,
    swarms: Slab<Swarm>,
    /// One content of each id.
    by_id: HashTable<ContentRow>,
    /// The others of an id of which several things are claimed.
    rivals: BTreeMap<(FileId, Claim), ContentRow>,
    /// Keyed anew in each process, so that ids cannot be made to collide.
    hasher: RandomState,
}

impl Contents {
    /// The contents with this id, one for each different claim: that which has been there for longest first, then the
    /// others in order of claim.
    pub(super) fn with_id(&self, id: &FileId) -> impl Iterator<Item = ContentRow> + use<'_> {
        let id = *id;
        let rivals = self.rivals.range((id, LEAST)..).take_while(move |((other, _), _)| *other == id);
        self.first(&id).into_iter().chain(rivals.map(|(_, content)| *content))
    }

    /// The content with this id and claim.
    pub(super) fn find(&self, id: &FileId, claim: &Claim) -> Option<ContentRow> {
        let first = self.first(id).filter(|content| self.claim(*content) == *claim);
        first.or_else(|| self.rivals.get(&(*id, *claim)).copied())
    }

    fn first(&self, id: &FileId) -> Option<ContentRow> {
        let there = |content: &ContentRow| self.rows[*content].id == *id;
        self.by_id.find(self.hasher.hash_one(id), there).copied()
    }

    /// Adds a content that is not there yet. It is to be given a name at once.
    pub(super) fn add(&mut self, id: FileId, claim: Claim) -> ContentRow {
        let Claim { size, total, chunks, tree } = claim;
        let shape = tree.then(|| self.shapes.add(Shape { total, chunks }));
        let first = self.first(&id);
        let content = Content { id, size, shape, holders: Holders::Nobody, first_name: None };
        let content = self.rows.add(content);
        if first.is_some() {
            self.rivals.insert((id, claim), content);
        } else {
            let (rows, hasher) = (&self.rows, &self.hasher);
            let hash = |content: &ContentRow| hasher.hash_one(rows[*content].id);
            self.by_id.insert_unique(hash(&content), content, hash);
        }
        content
    }

    /// Forgets a content.
    pub(super) fn remove(&mut self, content: ContentRow) {
        self.unlist(content);
        let row = self.rows.take(content);
        if let Some(shape) = row.shape {
            self.shapes.take(shape);
        }
        if let Holders::Many(swarm) = row.holders {
            self.swarms.take(swarm);
        }
    }

    /// Takes a content out of what is found by its id; a rival comes to its place.
    fn unlist(&mut self, content: ContentRow) {
        let id = self.rows[content].id;
        if self.rivals.remove(&(id, self.claim(content))).is_some() {
            return;
        }
        let next = self.with_id(&id).nth(1);
        let Ok(mut first) = self.by_id.find_entry(self.hasher.hash_one(id), |first| *first == content) else {
            return;
        };
        if let Some(next) = next {
            *first.get_mut() = next;
            self.rivals.remove(&(id, self.claim(next)));
        } else {
            first.remove();
        }
    }

    /// How many contents there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The content's id.
    pub(super) fn id(&self, content: ContentRow) -> &FileId {
        &self.rows[content].id
    }

    /// What is claimed of the content.
    pub(super) fn claim(&self, content: ContentRow) -> Claim {
        let row = &self.rows[content];
        if let Some(shape) = row.shape {
            let Shape { total, chunks } = self.shapes[shape];
            return Claim { size: row.size, total, chunks, tree: true };
        }
        let chunks = Geometry::of(row.size).map_or(0, Geometry::chunks);
        Claim { size: row.size, total: row.size, chunks, tree: false }
    }

    /// The first of the content's names.
    pub(super) fn first_name(&self, content: ContentRow) -> Option<PairRow> {
        self.rows[content].first_name
    }

    /// Puts another name first.
    pub(super) fn set_first_name(&mut self, content: ContentRow, name: Option<PairRow>) {
        self.rows[content].first_name = name;
    }

    /// How many peers hold all, and how many hold a part.
    pub(super) fn counts(&self, content: ContentRow) -> (usize, usize) {
        match self.rows[content].holders {
            Holders::Nobody => (0, 0),
            Holders::One(_) => (1, 0),
            Holders::Many(swarm) => (self.swarms[swarm].seeders.len(), self.swarms[swarm].leechers.len()),
        }
    }

    /// The `nth` peer that holds all; `nth` is below the count.
    pub(super) fn seeder(&self, content: ContentRow, nth: usize) -> Option<PeerRow> {
        match self.rows[content].holders {
            Holders::Nobody => None,
            Holders::One(peer) => Some(peer),
            Holders::Many(swarm) => self.swarms[swarm].seeders.get(nth).map(|seeder| seeder.peer),
        }
    }

    /// The `nth` peer that holds a part; `nth` is below the count.
    pub(super) fn leecher(&self, content: ContentRow, nth: usize) -> Option<&Leecher> {
        match self.rows[content].holders {
            Holders::Nobody | Holders::One(_) => None,
            Holders::Many(swarm) => self.swarms[swarm].leechers.get(nth),
        }
    }

    /// True if the peer holds some of the content, or wants to.
    pub(super) fn holds(&self, content: ContentRow, peer: PeerRow) -> bool {
        match self.rows[content].holders {
            Holders::Nobody => false,
            Holders::One(one) => one == peer,
            Holders::Many(swarm) => self.swarms[swarm].holds(peer),
        }
    }

    /// Bytes of the peer's bitmap of this content.
    pub(super) fn bitmap(&self, content: ContentRow, peer: PeerRow) -> usize {
        match self.rows[content].holders {
            Holders::Many(swarm) => self.swarms[swarm].bitmap(peer),
            _ => 0,
        }
    }

    /// Bytes that a bitmap of this content takes.
    pub(super) fn bitmap_bytes(&self, content: ContentRow) -> usize {
        ChunkSet::bytes_of(self.claim(content).chunks)
    }

    /// Counts one more name under which the peer holds the content.
    pub(super) fn add_name(&mut self, content: ContentRow, peer: PeerRow, complete: bool) {
        match self.rows[content].holders {
            Holders::Nobody if complete => self.rows[content].holders = Holders::One(peer),
            _ => self.with_swarm(content, |swarm, _| swarm.add_name(peer, complete)),
        }
    }

    /// Counts one name less under which the peer holds the content.
    pub(super) fn remove_name(&mut self, content: ContentRow, peer: PeerRow) {
        match self.rows[content].holders {
            Holders::One(one) if one == peer => self.rows[content].holders = Holders::Nobody,
            Holders::Many(_) => self.with_swarm(content, |swarm, _| swarm.remove_name(peer)),
            _ => {}
        }
    }

    /// Makes a leecher a seeder.
    pub(super) fn complete(&mut self, content: ContentRow, peer: PeerRow) {
        if let Holders::Many(_) = self.rows[content].holders {
            self.with_swarm(content, |swarm, _| swarm.complete(peer));
        }
    }

    /// Gives chunks to a leecher.
    pub(super) fn gain(&mut self, content: ContentRow, peer: PeerRow, gained: &[Run]) {
        if let Holders::Many(_) = self.rows[content].holders {
            self.with_swarm(content, |swarm, chunks| swarm.gain(peer, gained, chunks));
        }
    }

    /// Changes the swarm, and folds it away when it is as small as can be.
    fn with_swarm(&mut self, content: ContentRow, change: impl FnOnce(&mut Swarm, u32)) {
        let chunks = self.claim(content).chunks;
        let number = match self.rows[content].holders {
            Holders::Nobody => self.swarms.add(Swarm::default()),
            Holders::One(peer) => self.swarms.add(Swarm::of_one(peer)),
            Holders::Many(swarm) => swarm,
        };
        let swarm = &mut self.swarms[number];
        change(swarm, chunks);
        let holders = match swarm.only_one() {
            Some(peer) => Holders::One(peer),
            None if swarm.is_empty() => Holders::Nobody,
            None => Holders::Many(number),
        };
        self.rows[content].holders = holders;
        if !matches!(holders, Holders::Many(_)) {
            self.swarms.take(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Chunk;

    const ID: FileId = FileId([1; 32]);

    fn claims(contents: &Contents, id: &FileId) -> Vec<Claim> {
        contents.with_id(id).map(|content| contents.claim(content)).collect()
    }

    fn of_tree(total: u64) -> Claim {
        Claim { size: 100, total, chunks: 7, tree: true }
    }

    #[test]
    fn rivals_of_an_id_come_in_order_whatever_the_hash_and_take_the_first_ones_place() {
        let file = Claim::of_file(100).unwrap();
        let mut contents = Contents::default();
        let added: Vec<ContentRow> =
            [of_tree(5), of_tree(9), file, of_tree(2)].map(|claim| contents.add(ID, claim)).into();
        let other = contents.add(FileId([2; 32]), file);
        assert_eq!(claims(&contents, &ID), [of_tree(5), of_tree(2), of_tree(9), file]);
        assert_eq!(claims(&contents, &FileId([2; 32])), [file]);
        assert_eq!(contents.find(&ID, &of_tree(5)), Some(added[0]));
        assert_eq!(contents.find(&ID, &of_tree(9)), Some(added[1]));
        assert_eq!(contents.find(&ID, &of_tree(4)), None);
        contents.remove(added[0]);
        assert_eq!(claims(&contents, &ID), [of_tree(2), of_tree(9), file]);
        contents.remove(added[1]);
        assert_eq!(claims(&contents, &ID), [of_tree(2), file], "a rival goes alone");
        contents.remove(added[3]);
        contents.remove(added[2]);
        assert_eq!((claims(&contents, &ID), contents.find(&ID, &file)), (vec![], None));
        contents.remove(other);
        assert_eq!((contents.rows.len(), contents.shapes.len()), (0, 0));
        assert!(contents.by_id.is_empty() && contents.rivals.is_empty());
    }

    #[test]
    fn a_content_costs_no_more_than_its_row() {
        assert_eq!(size_of::<Option<Content>>(), 56);
    }

    #[test]
    fn a_swarm_that_is_as_small_as_can_be_folds_away() {
        let mut contents = Contents::default();
        let mut peers = Slab::<u8, rows::Peers>::default();
        let (one, other) = (peers.add(1), peers.add(2));
        let content = contents.add(ID, Claim::of_file(100).unwrap());
        let folded = |contents: &Contents| contents.swarms.len() == 0;
        contents.add_name(content, one, true);
        assert!(folded(&contents) && contents.counts(content) == (1, 0));
        contents.add_name(content, one, true);
        assert!(!folded(&contents), "two names");
        contents.remove_name(content, one);
        assert!(folded(&contents) && contents.seeder(content, 0) == Some(one));
        contents.add_name(content, other, false);
        assert_eq!((contents.counts(content), folded(&contents)), ((1, 1), false));
        assert!(contents.holds(content, one) && contents.holds(content, other));
        contents.remove_name(content, one);
        assert_eq!((contents.counts(content), folded(&contents)), ((0, 1), false));
        contents.gain(content, other, &[Run::new(Chunk(0), 1)]);
        assert_eq!((contents.counts(content), folded(&contents)), ((1, 0), true), "it has all");
        contents.remove_name(content, other);
        assert_eq!((contents.counts(content), contents.seeder(content, 0)), ((0, 0), None));
        contents.add_name(content, other, false);
        contents.remove_name(content, other);
        assert!(folded(&contents), "nobody is left");
        contents.add_name(content, other, false);
        contents.remove(content);
        assert!(folded(&contents), "it goes with its content");
    }
}
