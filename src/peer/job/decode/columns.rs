//! The columns of a code, as one of its two contents sees them: which chunks they are of, what is here of them, and what is to
//! be fetched so that the rest follows. Pure.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::content::code::{Column, Shard, Stripes};
use crate::content::{Chunk, ChunkSet, Layout, Place};
use crate::swarm::shards::{Block, needed};

/// What is here and what is lost, at one time.
pub(super) struct View {
    /// Chunks of the own content that are here.
    pub(super) own: ChunkSet,
    /// What is to be decoded of it.
    pub(super) lost: ChunkSet,
    /// What was fetched to decode with, of the own content and of the other one.
    pub(super) fetched: [ChunkSet; 2],
}

/// How a content is coded with another: the data with the parity, or the parity with the data. The own content is the first of
/// the two, and the other the second.
#[derive(Debug)]
pub(super) struct Columns {
    stripes: Stripes,
    is_parity: bool,
    /// Of each of the two, where its chunks lie in its files.
    layouts: [Arc<Layout>; 2],
}

impl Columns {
    /// Those of the data, which lies like this, or of its parity; `None` if that is not what these stripes are of.
    pub(super) fn new(stripes: Stripes, is_parity: bool, data: Arc<Layout>) -> Option<Columns> {
        let size = data.size_of_chunks().bytes();
        if data.chunks() != stripes.data_chunks() || size > stripes.chunk_bytes(false) {
            return None;
        }
        let parity = Arc::new(Layout::new(vec![stripes.parity()])?);
        let layouts = if is_parity { [parity, data] } else { [data, parity] };
        Some(Columns { stripes, is_parity, layouts })
    }

    /// How the two are cut.
    pub(super) fn layouts(&self) -> &[Arc<Layout>; 2] {
        &self.layouts
    }

    /// How the own one is.
    pub(super) fn own(&self) -> &Layout {
        &self.layouts[0]
    }

    /// Blocks of a column.
    pub(super) fn shards(&self) -> usize {
        self.stripes.shape().shards() as usize
    }

    /// No chunk of either.
    pub(super) fn nothing(&self) -> [ChunkSet; 2] {
        self.layouts.each_ref().map(|layout| ChunkSet::empty(layout.chunks()))
    }

    /// Bytes of a block: the part of a shard that is in a column.
    pub(super) fn block_bytes(&self) -> u64 {
        self.stripes.column_bytes()
    }

    /// The columns that own chunks are of, each once, in order.
    pub(super) fn of(&self, chunks: &ChunkSet) -> BTreeSet<Column> {
        chunks.iter().map(|chunk| self.stripes.column_of(self.is_parity, chunk.0)).collect()
    }

    /// Of which content a block of a column is, and its chunks there.
    pub(super) fn chunks(&self, column: Column, index: usize) -> (usize, Range<u32>) {
        let index = index as u32;
        let is_parity = self.stripes.is_parity(Shard { group: column.group, index });
        (usize::from(is_parity != self.is_parity), self.stripes.column_chunks(column, index))
    }

    /// How each block of a column is; chunks of either content are gone, and own ones wanted in any case.
    pub(super) fn blocks(
        &self,
        column: Column,
        view: &View,
        (gone, wants): (&[ChunkSet; 2], impl Fn(Chunk) -> bool),
    ) -> Vec<Block> {
        let of = |index| {
            let (side, chunks) = self.chunks(column, index);
            let mut chunks = chunks.map(Chunk);
            let is_here =
                |chunk| view.fetched[side].contains(chunk) || (side == 0 && view.own.contains(chunk));
            match side {
                _ if chunks.clone().all(is_here) => Block::Here,
                0 if chunks.clone().any(|chunk| view.lost.contains(chunk)) => Block::Lost,
                0 if chunks.clone().all(&wants) => Block::Comes,
                _ if chunks.any(|chunk| gone[side].contains(chunk)) => Block::Gone,
                _ => Block::Open,
            }
        };
        (0..self.shards()).map(of).collect()
    }

    /// Which blocks of a column are to be fetched so that the others follow; none if too few are to be had.
    pub(super) fn needed(&self, column: Column, blocks: &[Block]) -> Option<Vec<usize>> {
        needed(self.stripes.shape().k() as usize, blocks, column.group as usize)
    }

    /// As many blocks that are here as the others follow from, if there are.
    pub(super) fn enough(&self, blocks: &[Block]) -> Option<Vec<usize>> {
        let k = self.stripes.shape().k() as usize;
        let here = (0..blocks.len()).filter(|index| blocks[*index] == Block::Here);
        Some(here.take(k).collect::<Vec<usize>>()).filter(|here| here.len() == k)
    }

    /// Notes the chunks of these blocks of a column.
    pub(super) fn note(&self, column: Column, indexes: Vec<usize>, wanted: &mut [ChunkSet; 2]) {
        for index in indexes {
            let (side, chunks) = self.chunks(column, index);
            chunks.for_each(|chunk| {
                wanted[side].insert(Chunk(chunk));
            });
        }
    }

    /// The chunks of a block: where each begins in it, and where it lies in its content. What is between them is zeros.
    pub(super) fn places(
        &self,
        column: Column,
        index: usize,
    ) -> impl Iterator<Item = (Chunk, u64, Place)> + use<'_> {
        let (side, chunks) = self.chunks(column, index);
        let each = self.stripes.chunk_bytes((side == 0) == self.is_parity);
        let places = chunks.zip(0..).map(move |(chunk, nth)| (Chunk(chunk), nth * each));
        places.filter_map(move |(chunk, at)| Some((chunk, at, self.layouts[side].place(chunk)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::code::Shape;
    use crate::content::{ChunkSize, Geometry};
    use crate::swarm::shards::Block::{Comes, Gone, Here, Lost, Open};

    const CHUNK: u64 = 64 << 10;

    /// Five chunks, the last of them short, in shards of two: the fourth shard is zeros, and so is half of the third.
    fn columns(is_parity: bool) -> Columns {
        let shape = Shape::new(4, 2).unwrap();
        let size = 5 * CHUNK - 9;
        let data = Layout::new(vec![Geometry::of(size).unwrap()]).unwrap();
        Columns::new(Stripes::new(shape, size).unwrap(), is_parity, Arc::new(data)).unwrap()
    }

    #[test]
    fn each_block_is_here_or_comes_or_is_lost_or_is_to_be_had_or_not() {
        let (of_data, column) = (columns(false), Column { group: 0, number: 0 });
        let view = View {
            own: ChunkSet::of(5, &[0]),
            lost: ChunkSet::of(5, &[2]),
            fetched: [ChunkSet::of(5, &[]), ChunkSet::of(4, &[0])],
        };
        let gone = [ChunkSet::of(5, &[]), ChunkSet::of(4, &[2])];
        let blocks = of_data.blocks(column, &view, (&gone, |_| true));
        assert_eq!(blocks, [Here, Lost, Comes, Here, Here, Gone]);
        assert_eq!((of_data.needed(column, &blocks), of_data.enough(&blocks)), (Some(vec![]), None));
        // A store that is to have the second shard alone.
        let blocks = of_data.blocks(column, &view, (&gone, |chunk: Chunk| chunk.0 == 2));
        assert_eq!(blocks, [Here, Lost, Open, Here, Here, Gone]);
        assert_eq!(of_data.needed(column, &blocks), Some(vec![2]));
        let blocks = [Here, Lost, Here, Here, Here, Gone];
        assert_eq!(of_data.enough(&blocks), Some(vec![0, 2, 3, 4]));
        // Of the parity, whose first shard is lost.
        let view = View {
            own: ChunkSet::of(4, &[]),
            lost: ChunkSet::of(4, &[0]),
            fetched: [ChunkSet::of(4, &[2]), ChunkSet::of(5, &[0])],
        };
        let gone = [ChunkSet::of(4, &[]), ChunkSet::of(5, &[2])];
        let blocks = columns(true).blocks(column, &view, (&gone, |chunk: Chunk| chunk.0 == 0));
        assert_eq!(blocks, [Here, Gone, Open, Here, Lost, Here]);
    }

    #[test]
    fn the_chunks_of_a_block_are_of_one_content_each_at_its_place() {
        let (of_data, last) = (columns(false), Column { group: 0, number: 1 });
        let places = |index| {
            let places = of_data.places(last, index);
            places.map(|(chunk, at, place)| (chunk.0, at, place.offset, place.len)).collect::<Vec<_>>()
        };
        assert_eq!(places(1), [(3, 0, 3 * CHUNK, CHUNK)]);
        assert_eq!((places(2), places(3)), (vec![], vec![]), "zeros");
        assert_eq!((places(4), of_data.chunks(last, 4)), (vec![(1, 0, CHUNK, CHUNK)], (1, 1..2)));
        let first = Column { group: 0, number: 0 };
        let short = of_data.places(first, 2).next().map(|(_, _, place)| place.len);
        assert_eq!(short, Some(CHUNK - 9));
        let mut wanted = of_data.nothing();
        of_data.note(last, vec![1, 4], &mut wanted);
        assert_eq!(wanted, [ChunkSet::of(5, &[3]), ChunkSet::of(4, &[1])]);
        assert_eq!(of_data.of(&ChunkSet::of(5, &[0, 2, 3])).into_iter().collect::<Vec<_>>(), [first, last]);
    }

    #[test]
    fn chunks_of_members_lie_in_their_files_and_are_filled_up_in_a_block() {
        let sizes = [CHUNK + 5, 0, 7, (256 << 20) + 1];
        let members = Layout::new(sizes.iter().filter_map(|size| Geometry::of(*size)).collect()).unwrap();
        let (chunks, members) = (members.chunks(), Arc::new(members));
        let stripes = |bits| {
            let shape = Shape::new(4, 2).unwrap();
            Stripes::of_members(shape, chunks, ChunkSize::of_bits(bits).unwrap()).unwrap()
        };
        assert!(Columns::new(stripes(16), false, members.clone()).is_none(), "a chunk is larger than that");
        let of_data = Columns::new(stripes(18), false, members).unwrap();
        let first = |number| Column { group: 0, number };
        let places = |number| {
            let places = of_data.places(first(number), 0);
            places.map(|(chunk, at, place)| (chunk.0, at, place.file, place.offset, place.len)).collect()
        };
        let in_turn: [Vec<_>; 4] = [0, 1, 2, 3].map(places);
        assert_eq!(in_turn[0], [(0, 0, 0, 0, CHUNK)]);
        assert_eq!(in_turn[1], [(1, 0, 0, CHUNK, 5)]);
        assert_eq!(in_turn[2], [(2, 0, 2, 0, 7)]);
        assert_eq!(in_turn[3], [(3, 0, 3, 0, 2 * CHUNK)]);
        assert_eq!(of_data.block_bytes(), 4 * CHUNK);
    }
}
