//! How contents are cut into chunks: a function of size alone, and the numbering of many files' chunks.

use std::fmt;

/// The chunks of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    size: u64,
    chunk_bits: u32,
}

/// How many bytes every chunk of a file has but the last: a power of two from 64 KiB to 16 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize {
    bits: u8,
}

impl ChunkSize {
    /// The smallest.
    pub const LEAST: ChunkSize = ChunkSize { bits: Geometry::MIN_CHUNK_BITS as u8 };

    /// Two to the power of `bits`; `None` out of bounds.
    pub fn of_bits(bits: u8) -> Option<ChunkSize> {
        let possible = (Geometry::MIN_CHUNK_BITS..=Geometry::MAX_CHUNK_BITS).contains(&bits.into());
        possible.then_some(ChunkSize { bits })
    }

    /// The power of two that it is.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// The bytes.
    pub fn bytes(self) -> u64 {
        1 << self.bits
    }
}

/// A chunk by its number among those of all files of a view. Whether the view has so many, [`Layout::place`] tells.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk(pub u32);

impl Chunk {
    /// Its place in a list that has an entry for every chunk of the view.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The one so many after it. After the largest number comes 0.
    #[must_use]
    pub fn plus(self, count: u32) -> Chunk {
        Chunk(self.0.wrapping_add(count))
    }

    /// How many after `start` it is: not before it.
    pub fn since(self, start: Chunk) -> u32 {
        self.0 - start.0
    }

    /// The first of those that it goes with when all are taken `together` at a time.
    #[must_use]
    pub fn first_of(self, together: u32) -> Chunk {
        Chunk(self.0 / together * together)
    }
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A chunk of one file, by its number there: one that exists in the geometry it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkIndex(u32);

impl ChunkIndex {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Geometry {
    /// Most chunks of a file, as long as chunks can grow.
    const AIM_CHUNKS: u64 = 4096;
    const MIN_CHUNK_BITS: u32 = 16; // 64 KiB
    const MAX_CHUNK_BITS: u32 = 24; // 16 MiB
    /// Bytes of the largest chunks.
    pub const MAX_CHUNK_SIZE: u64 = 1 << Geometry::MAX_CHUNK_BITS;
    /// Most chunks of any file.
    pub const MAX_CHUNKS: u64 = 1 << 20;
    /// The largest file: [`Geometry::MAX_CHUNKS`] of the largest chunks, 16 TiB.
    pub const MAX_SIZE: u64 = Geometry::MAX_CHUNKS << Geometry::MAX_CHUNK_BITS;

    /// The geometry of a file of `size` bytes: the smallest power of two from 64 KiB to 16 MiB that
    /// gives at most 4096 chunks, or else 16 MiB. `None` if it is larger than [`Geometry::MAX_SIZE`].
    pub fn of(size: u64) -> Option<Geometry> {
        if size > Geometry::MAX_SIZE {
            return None;
        }
        let bits = (Geometry::MIN_CHUNK_BITS..Geometry::MAX_CHUNK_BITS)
            .find(|bits| size.div_ceil(1 << bits) <= Geometry::AIM_CHUNKS)
            .unwrap_or(Geometry::MAX_CHUNK_BITS);
        Some(Geometry { size, chunk_bits: bits })
    }

    /// Bytes of the file.
    pub fn size(self) -> u64 {
        self.size
    }

    /// Bytes of every chunk but the last.
    pub fn chunk_size(self) -> u64 {
        1 << self.chunk_bits
    }

    /// The same as what sizes chunks may have.
    pub fn size_of_chunks(self) -> ChunkSize {
        ChunkSize { bits: self.chunk_bits as u8 }
    }

    /// Chunks of the file; an empty file has none.
    pub fn chunks(self) -> u32 {
        self.size.div_ceil(self.chunk_size()) as u32
    }

    /// The chunk with this number, if there is one.
    pub fn index(self, number: u32) -> Option<ChunkIndex> {
        (number < self.chunks()).then_some(ChunkIndex(number))
    }

    /// Where a chunk begins in the file.
    pub fn offset(self, chunk: ChunkIndex) -> u64 {
        u64::from(chunk.0) << self.chunk_bits
    }

    /// Bytes of a chunk.
    pub fn len(self, chunk: ChunkIndex) -> u64 {
        (self.size - self.offset(chunk)).min(self.chunk_size())
    }

    /// True if the file has no bytes.
    pub fn is_empty(self) -> bool {
        self.size == 0
    }
}

/// Where a chunk of a [`Layout`] lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file, by its place in the layout.
    pub file: usize,
    /// The chunk within the file.
    pub chunk: ChunkIndex,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
}

/// The chunks of several files, numbered through in order.
///
/// One file is a layout of one, so every transfer has the same shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    files: Vec<Geometry>,
    /// For each file, the number of its first chunk; one more at the end.
    starts: Vec<u32>,
    size: u64,
}

impl Layout {
    /// Most chunks of all files: what a bitmap has room for. A listing of a few hundred bytes could
    /// otherwise make its reader set up billions of them.
    pub const MAX_CHUNKS: u32 = 1 << 21;

    /// Numbers the chunks of `files`. `None` if there are more than [`Layout::MAX_CHUNKS`].
    pub fn new(files: Vec<Geometry>) -> Option<Layout> {
        let mut starts = Vec::with_capacity(files.len() + 1);
        let mut next: u32 = 0;
        starts.push(next);
        for file in &files {
            next = next.checked_add(file.chunks()).filter(|next| *next <= Layout::MAX_CHUNKS)?;
            starts.push(next);
        }
        let size = files.iter().map(|file| file.size()).sum();
        Some(Layout { files, starts, size })
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Chunks of all files.
    pub fn chunks(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The size of the largest chunks of any file.
    pub fn size_of_chunks(&self) -> ChunkSize {
        self.files.iter().map(|file| file.size_of_chunks()).max().unwrap_or(ChunkSize::LEAST)
    }

    /// The files.
    pub fn files(&self) -> &[Geometry] {
        &self.files
    }

    /// The chunks of a file.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn chunks_of(&self, file: usize) -> impl Iterator<Item = Chunk> + use<> {
        (self.starts[file]..self.starts[file + 1]).map(Chunk)
    }

    /// The chunk that lies there.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn chunk(&self, place: Place) -> Chunk {
        self.first_of(place.file).plus(place.chunk.get())
    }

    /// The first chunk of a file, or what would be.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn first_of(&self, file: usize) -> Chunk {
        Chunk(self.starts[file])
    }

    /// Where a chunk lies, if there is one of that number.
    pub fn place(&self, Chunk(number): Chunk) -> Option<Place> {
        if number >= self.chunks() {
            return None;
        }
        // The last file that starts at or before the chunk; empty files share a start with the next.
        let file = self.starts.partition_point(|start| *start <= number) - 1;
        let geometry = self.files[file];
        let chunk = geometry.index(number - self.starts[file])?;
        Some(Place { file, chunk, offset: geometry.offset(chunk), len: geometry.len(chunk) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_counted_from_one_to_another() {
        let chunk = Chunk(38);
        assert_eq!((chunk.index(), chunk.plus(3), chunk.since(Chunk(5))), (38, Chunk(41), 33));
        assert_eq!((chunk.since(chunk), Chunk(u32::MAX).plus(2)), (0, Chunk(1)));
        let firsts = [31, 32, 47, 48].map(|number| Chunk(number).first_of(16));
        assert_eq!(firsts, [Chunk(16), Chunk(32), Chunk(32), Chunk(48)]);
    }

    #[test]
    fn chunk_size_is_the_smallest_that_gives_at_most_4096_chunks() {
        let size_of = |size| Geometry::of(size).map(Geometry::chunk_size);
        assert_eq!(size_of(0), Some(64 << 10));
        assert_eq!(size_of(256 << 20), Some(64 << 10));
        assert_eq!(size_of((256 << 20) + 1), Some(128 << 10));
        assert_eq!(size_of(1 << 30), Some(256 << 10));
        assert_eq!(size_of(64 << 30), Some(16 << 20));
        assert_eq!(size_of(Geometry::MAX_SIZE), Some(16 << 20));
        assert_eq!(size_of(Geometry::MAX_SIZE + 1), None);
    }

    #[test]
    fn the_largest_chunks_of_several_files_are_those_of_the_largest() {
        let layout = |sizes: &[u64]| {
            Layout::new(sizes.iter().filter_map(|size| Geometry::of(*size)).collect()).unwrap()
        };
        assert_eq!(layout(&[5, 1 << 30, 7]).size_of_chunks().bytes(), 256 << 10);
        assert_eq!(layout(&[]).size_of_chunks(), ChunkSize::LEAST);
        let bits = [15, 16, 24, 25].map(|bits| ChunkSize::of_bits(bits).map(ChunkSize::bits));
        assert_eq!(bits, [None, Some(16), Some(24), None]);
    }

    #[test]
    fn chunks_cover_the_file_without_gap_or_overlap() {
        for size in [0, 1, 65_535, 65_536, 65_537, (10 << 20) + 123] {
            let geometry = Geometry::of(size).unwrap();
            let mut next = 0;
            for chunk in (0..geometry.chunks()).filter_map(|n| geometry.index(n)) {
                assert_eq!(geometry.offset(chunk), next);
                next += geometry.len(chunk);
            }
            assert_eq!(next, size);
            assert_eq!(geometry.index(geometry.chunks()), None);
        }
    }

    #[test]
    fn a_layout_skips_empty_files() {
        let sizes = [0, 70_000, 0, 0, 5, 0];
        let layout = Layout::new(sizes.iter().filter_map(|size| Geometry::of(*size)).collect()).unwrap();
        let files: Vec<_> =
            (0..4).map(|n| layout.place(Chunk(n)).map(|place| (place.file, place.len))).collect();
        assert_eq!(files, [Some((1, 65_536)), Some((1, 4_464)), Some((4, 5)), None]);
        assert!(layout.chunks_of(1).eq([Chunk(0), Chunk(1)]));
        assert!((0..3).map(Chunk).all(|chunk| layout.chunk(layout.place(chunk).unwrap()) == chunk));
    }
}
