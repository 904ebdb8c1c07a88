//! Which chunks are coded together.
//!
//! The chunks of the data are dealt out in runs: a group has `k` of them, one a data shard, each as long as a run that is
//! proved as one, or shorter if the content is so small that one group is enough. To each group belong `m` parity shards
//! of the same number of bytes, which lie one after the other in the parity. What would lie behind the end of the data
//! is zeros, which nobody keeps; and so is what chunks of a folder's members lack to the size of the largest.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::content::{ChunkSize, Geometry, PROOF_RUN};

/// How many shards suffice, and how many beside them may be lost: 2 to 16, and 1 to 8, no more than suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    k: u8,
    m: u8,
}

impl Shape {
    /// Most data shards of a group.
    pub const MOST_DATA: u8 = 16;
    /// Most parity shards of a group.
    pub const MOST_PARITY: u8 = 8;

    /// Any `k` of `k + m`; `None` out of bounds. With `m` no more than `k` the parity's chunks are never so large that one
    /// is of two shards.
    pub fn new(k: u8, m: u8) -> Option<Shape> {
        let possible = (2..=Shape::MOST_DATA).contains(&k) && (1..=Shape::MOST_PARITY.min(k)).contains(&m);
        possible.then_some(Shape { k, m })
    }

    /// How many shards of a group suffice.
    pub fn k(self) -> u32 {
        self.k.into()
    }

    /// How many shards of a group may be lost.
    pub fn m(self) -> u32 {
        self.m.into()
    }

    /// Shards of a group.
    pub fn shards(self) -> u32 {
        self.k() + self.m()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.k, self.m)
    }
}

/// Why a text is no [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code is K+M, as 4+2: any K of K + M shards suffice; K is 2 to 16, M 1 to 8 and no more than K")]
pub struct ShapeError;

impl FromStr for Shape {
    type Err = ShapeError;
    fn from_str(text: &str) -> Result<Shape, ShapeError> {
        let (k, m) = text.split_once('+').ok_or(ShapeError)?;
        let shape = k.parse().ok().zip(m.parse().ok()).and_then(|(k, m)| Shape::new(k, m));
        shape.filter(|shape| shape.to_string() == text).ok_or(ShapeError)
    }
}

/// How so many chunks are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stripes {
    shape: Shape,
    /// Chunks of the data.
    chunks: u32,
    /// Bytes of each but those that end a file.
    chunk_size: ChunkSize,
    parity: Geometry,
    /// Chunks of the data in a shard.
    reach: u32,
    groups: u32,
}

/// A shard of a group: the first `k` are data, the other `m` parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    /// Its group.
    pub group: u32,
    /// Its number in the group.
    pub index: u32,
}

/// The same part of each shard of a group, which is decoded as one: it consists of whole chunks of data and of parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column {
    /// The group.
    pub group: u32,
    /// Its number in the group.
    pub number: u32,
}

impl Stripes {
    /// How a file of `size` bytes is coded; `None` if it has fewer chunks than a group has data shards, or is too large.
    pub fn new(shape: Shape, size: u64) -> Option<Stripes> {
        let data = Geometry::of(size)?;
        Stripes::of(shape, data.chunks(), data.size_of_chunks())
    }

    /// How the chunks of a folder's members are coded, of which the largest have this size. `None` also if those who keep data of
    /// a group are so few that all of them may be lost: they have the folder's listing, too, and nobody else does.
    pub fn of_members(shape: Shape, chunks: u32, chunk_size: ChunkSize) -> Option<Stripes> {
        let stripes = Stripes::of(shape, chunks, chunk_size)?;
        let of_data = stripes.shards(0).filter(|shard| !stripes.is_parity(*shard));
        (of_data.count() as u32 > shape.m()).then_some(stripes)
    }

    fn of(shape: Shape, chunks: u32, chunk_size: ChunkSize) -> Option<Stripes> {
        if chunks < shape.k() {
            return None;
        }
        let mut reach = chunks.div_ceil(shape.k()).min(PROOF_RUN);
        loop {
            let groups = chunks.div_ceil(shape.k() * reach);
            let shard_bytes = u64::from(reach) * chunk_size.bytes();
            let parity = Geometry::of(u64::from(groups * shape.m()) * shard_bytes)?;
            if shard_bytes.is_multiple_of(parity.chunk_size()) {
                return Some(Stripes { shape, chunks, chunk_size, parity, reach, groups });
            }
            // A folder may have more chunks of its size than any file: those of its parity are larger than a run of them then.
            reach *= 2;
        }
    }

    /// How many shards suffice, and how many may be lost.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How many chunks the data has.
    pub fn data_chunks(&self) -> u32 {
        self.chunks
    }

    /// Bytes of each chunk of the data, or of the parity, but for those that end a file.
    pub fn chunk_bytes(&self, parity: bool) -> u64 {
        if parity { self.parity.chunk_size() } else { self.chunk_size.bytes() }
    }

    /// The chunks of the parity.
    pub fn parity(&self) -> Geometry {
        self.parity
    }

    /// How many groups there are; at least one.
    pub fn groups(&self) -> u32 {
        self.groups
    }

    /// Bytes of a shard that is all there.
    pub fn shard_bytes(&self) -> u64 {
        u64::from(self.reach) * self.chunk_size.bytes()
    }

    /// The shards of a group of which something is to be kept; of the last group data shards may be missing, which are zeros.
    pub fn shards(&self, group: u32) -> impl Iterator<Item = Shard> + use<> {
        let (k, all) = (self.shape.k(), self.shape.shards());
        let here = self.chunks.saturating_sub(group * k * self.reach).div_ceil(self.reach).min(k);
        (0..all).filter(move |index| *index < here || *index >= k).map(move |index| Shard { group, index })
    }

    /// True if it is one of the parity.
    pub fn is_parity(&self, shard: Shard) -> bool {
        shard.index >= self.shape.k()
    }

    /// The chunks of a shard: of the data, or of the parity.
    pub fn chunks(&self, shard: Shard) -> Range<u32> {
        let (k, m) = (self.shape.k(), self.shape.m());
        if self.is_parity(shard) {
            let each = (self.shard_bytes() / self.parity.chunk_size()) as u32;
            let first = (shard.group * m + shard.index - k) * each;
            return first..first + each;
        }
        let (first, chunks) = ((shard.group * k + shard.index) * self.reach, self.chunks);
        first.min(chunks)..(first + self.reach).min(chunks)
    }

    /// The shard that a chunk is of: of the parity, or of the data.
    pub fn shard_of(&self, parity: bool, chunk: u32) -> Shard {
        let (k, m) = (self.shape.k(), self.shape.m());
        if parity {
            let nth = chunk / (self.shard_bytes() / self.parity.chunk_size()) as u32;
            return Shard { group: nth / m, index: k + nth % m };
        }
        let nth = chunk / self.reach;
        Shard { group: nth / k, index: nth % k }
    }

    /// Bytes of a column in each shard.
    pub fn column_bytes(&self) -> u64 {
        self.chunk_bytes(false).max(self.chunk_bytes(true))
    }

    /// The column that a chunk is of: of the parity, or of the data.
    pub fn column_of(&self, parity: bool, chunk: u32) -> Column {
        let shard = self.shard_of(parity, chunk);
        let within = chunk - self.chunks(shard).start;
        let each = (self.column_bytes() / self.chunk_bytes(parity)) as u32;
        Column { group: shard.group, number: within / each }
    }

    /// The chunks of one shard in a column: none where the data has ended.
    pub fn column_chunks(&self, column: Column, index: u32) -> Range<u32> {
        let shard = Shard { group: column.group, index };
        let all = self.chunks(shard);
        let each = (self.column_bytes() / self.chunk_bytes(self.is_parity(shard))) as u32;
        let first = all.start + column.number * each;
        first.min(all.end)..(first + each).min(all.end)
    }

    /// All columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = Column> + use<> {
        let each = (self.shard_bytes() / self.column_bytes()) as u32;
        (0..self.groups).flat_map(move |group| (0..each).map(move |number| Column { group, number }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Layout;

    const CHUNK: u64 = 64 << 10;

    fn stripes(k: u8, m: u8, size: u64) -> Stripes {
        Stripes::new(Shape::new(k, m).unwrap(), size).unwrap()
    }

    /// Shapes and sizes around every border that there is.
    fn many() -> impl Iterator<Item = Stripes> {
        let shapes = [(2, 1), (2, 2), (3, 2), (3, 3), (4, 2), (5, 5), (8, 3), (8, 8), (10, 4), (16, 8)];
        let chunks =
            [2, 3, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 160, 255, 256, 257, 4095, 4096, 4097, 6000];
        let sizes = chunks.map(|chunks| chunks * CHUNK);
        let around = |size: u64| [size - 1, size, size + 1, size * 64 + 7];
        let large = [3 << 30, (64 << 30) + 1, (100 << 30) - 5];
        let sizes: Vec<u64> = sizes.into_iter().flat_map(around).chain(large).collect();
        shapes.into_iter().flat_map(move |(k, m)| {
            let shape = Shape::new(k, m).unwrap();
            let files = sizes.clone().into_iter().filter_map(move |size| Stripes::new(shape, size));
            files.chain(folders(shape))
        })
    }

    /// Of few chunks and of as many as there may be, of the least and of the greatest size.
    fn folders(shape: Shape) -> impl Iterator<Item = Stripes> {
        let chunks = [16, 17, 33, 255, 257, 40_000, 300_001, Layout::MAX_CHUNKS];
        let sizes = [16, 18, 24].map(|bits| ChunkSize::of_bits(bits).unwrap());
        let all = chunks.into_iter().flat_map(move |chunks| sizes.map(|size| (chunks, size)));
        all.filter_map(move |(chunks, size)| Stripes::of_members(shape, chunks, size))
    }

    #[test]
    fn a_shape_is_within_its_bounds() {
        let of = |k, m| Shape::new(k, m).map(|shape| (shape.k(), shape.m()));
        assert_eq!([of(2, 1), of(4, 2), of(16, 8)], [Some((2, 1)), Some((4, 2)), Some((16, 8))]);
        assert_eq!([of(1, 1), of(17, 2), of(4, 0), of(3, 4), of(16, 9)], [None; 5]);
        assert_eq!("10+4".parse(), Ok(Shape::new(10, 4).unwrap()));
        assert_eq!(Shape::new(4, 2).unwrap().to_string(), "4+2");
        for text in ["", "4", "4+", "+2", "4+2+1", "4 + 2", "04+2", "+4+2", "1+1", "300+2"] {
            assert_eq!(text.parse::<Shape>(), Err(ShapeError), "{text}");
        }
    }

    #[test]
    fn a_gibibyte_in_four_and_two() {
        let stripes = stripes(4, 2, 1 << 30);
        assert_eq!((stripes.chunk_bytes(false), stripes.data_chunks()), (256 << 10, 4096));
        assert_eq!((stripes.groups(), stripes.shard_bytes()), (64, 4 << 20));
        assert_eq!((stripes.parity().size(), stripes.chunk_bytes(true)), (1 << 29, 128 << 10));
        let shard = |group, index| Shard { group, index };
        assert_eq!(stripes.chunks(shard(1, 2)), 96..112);
        assert_eq!(stripes.chunks(shard(1, 5)), 96..128, "of the parity");
        assert_eq!(stripes.shard_of(false, 97), shard(1, 2));
        assert_eq!(stripes.shard_of(true, 97), shard(1, 5));
        let column = Column { group: 1, number: 3 };
        assert_eq!((stripes.column_of(false, 99), stripes.column_of(true, 103)), (column, column));
        assert_eq!((stripes.column_chunks(column, 2), stripes.column_chunks(column, 5)), (99..100, 102..104));
    }

    #[test]
    fn a_small_content_is_one_group_of_short_shards() {
        let five = stripes(4, 2, 5 * CHUNK - 9);
        assert_eq!((five.groups(), five.shard_bytes(), five.parity().chunks()), (1, 2 * CHUNK, 4));
        let chunks: Vec<_> = five.shards(0).map(|shard| five.chunks(shard)).collect();
        assert_eq!(chunks, [0..2, 2..4, 4..5, 0..2, 2..4], "the fourth would be zeros alone");
        let ends = Column { group: 0, number: 1 };
        assert_eq!(
            [0, 1, 2, 3, 4].map(|index| five.column_chunks(ends, index)),
            [1..2, 3..4, 5..5, 5..5, 1..2]
        );
        assert_eq!(Stripes::new(Shape::new(4, 2).unwrap(), 3 * CHUNK), None, "fewer chunks than shards");
    }

    #[test]
    fn a_folder_of_more_chunks_than_a_file_has_groups_of_more() {
        let size = ChunkSize::of_bits(16).unwrap();
        let of = |k, m, chunks| Stripes::of_members(Shape::new(k, m).unwrap(), chunks, size);
        let many = of(4, 2, 400_000).unwrap();
        assert_eq!((many.chunk_bytes(true), many.shard_bytes()), (4 << 20, 64 * CHUNK), "and not 16");
        assert_eq!(many.groups(), 400_000_u32.div_ceil(4 * 64));
        assert_eq!(many.column_chunks(Column { group: 1, number: 0 }, 1), 320..384);
        assert_eq!(many.column_chunks(Column { group: 1, number: 0 }, 5), 3..4);
        let few = of(4, 2, 6000).unwrap();
        assert_eq!((few.shard_bytes(), Some(few)), (16 * CHUNK, Stripes::of(few.shape, 6000, size)));
    }

    #[test]
    fn who_keeps_data_of_a_folder_is_more_than_may_be_lost() {
        let of = |k, m, chunks| {
            let shape = Shape::new(k, m).unwrap();
            Stripes::of_members(shape, chunks, ChunkSize::of_bits(16).unwrap()).is_some()
        };
        assert!(of(4, 2, 5) && of(4, 2, 1000) && of(2, 1, 2));
        assert!(!of(2, 2, 1000) && !of(4, 2, 3), "two of two, and fewer chunks than shards");
        assert!(!of(3, 2, 4) && of(3, 2, 5), "of four chunks two shards have data");
    }

    #[test]
    fn every_chunk_is_of_one_shard_and_one_column() {
        for stripes in many().filter(|stripes| stripes.data_chunks() < 7000) {
            for parity in [false, true] {
                let chunks = if parity { stripes.parity().chunks() } else { stripes.data_chunks() };
                let shards = (0..stripes.groups()).flat_map(|group| stripes.shards(group));
                let of_kind = shards.filter(|shard| stripes.is_parity(*shard) == parity);
                let in_order: Vec<u32> = of_kind.flat_map(|shard| stripes.chunks(shard)).collect();
                assert!(in_order.into_iter().eq(0..chunks), "{stripes:?}");
                for chunk in [0, chunks / 3, chunks - 1] {
                    let (shard, column) = (stripes.shard_of(parity, chunk), stripes.column_of(parity, chunk));
                    assert!(stripes.chunks(shard).contains(&chunk), "{stripes:?}");
                    assert!(stripes.column_chunks(column, shard.index).contains(&chunk), "{stripes:?}");
                }
            }
        }
    }

    #[test]
    fn columns_are_whole_chunks_of_both_kinds() {
        for stripes in many() {
            let column = stripes.column_bytes();
            let (data, parity) = (stripes.chunk_bytes(false), stripes.chunk_bytes(true));
            assert!(stripes.shard_bytes().is_multiple_of(column), "{stripes:?}");
            assert!(column.is_multiple_of(data) && column.is_multiple_of(parity), "{stripes:?}");
            assert!(stripes.parity().size().is_multiple_of(parity), "{stripes:?}");
        }
    }

    #[test]
    fn large_contents_cost_what_the_code_says() {
        for stripes in many().filter(|stripes| stripes.data_chunks() >= 2048) {
            let data = u64::from(stripes.data_chunks()) * stripes.chunk_bytes(false);
            let share = stripes.parity().size() as f64 / data as f64;
            let ideal = f64::from(stripes.shape().m()) / f64::from(stripes.shape().k());
            assert!(share >= ideal && share <= ideal * 1.13, "{stripes:?}: {share}, and not {ideal}");
        }
    }

    #[test]
    fn columns_are_all_that_there_is_in_order() {
        for stripes in many().filter(|stripes| stripes.data_chunks() < 300) {
            let each = (stripes.shard_bytes() / stripes.column_bytes()) as u32;
            let all: Vec<Column> = stripes.columns().collect();
            assert!(all.is_sorted() && all.len() as u32 == stripes.groups() * each, "{stripes:?}");
            for shard in (0..stripes.groups()).flat_map(|group| stripes.shards(group)) {
                let of_group = all.iter().filter(|column| column.group == shard.group);
                let chunks = of_group.flat_map(|column| stripes.column_chunks(*column, shard.index));
                assert!(chunks.eq(stripes.chunks(shard)), "{stripes:?} {shard:?}");
            }
        }
    }
}
