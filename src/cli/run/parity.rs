//! Works out the parity of what is to be kept as shards of a code.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::cli::failure::{Failure, reason};
use crate::cli::run::scratch::{self, Scratch};
use crate::cli::run::sharer::{Files, Source, changed};
use crate::cli::run::signals::Stop;
use crate::cli::typed::published::UploadArgs;
use crate::content::code::{SLICE_BYTES, Shard, Stripes, encode};
use crate::content::{Chunk, SafeName};
use crate::wire::Policy;

/// Files of a folder that are open at a time.
const MOST_OPEN: usize = 64;

/// The parity of a file or folder, shared until it is stored.
pub(super) struct Parity {
    pub(super) source: Source,
    _folder: Scratch,
}

impl Parity {
    /// Works it out and shares it.
    pub(super) fn share(
        args: &UploadArgs,
        files: &Files,
        (name, stripes): (&SafeName, &Stripes),
        stop: &Stop,
    ) -> Result<Parity, Failure> {
        let folder = scratch::folder()?;
        let named = SafeName::new(format!("{}.parity", name.base()));
        let named = named.map_err(|error| Failure::usage(format!("that is no name: {error}")))?;
        let at: PathBuf = folder.path().join(named.path());
        let failed = |error: &io::Error| {
            let parent = folder.path().display();
            Failure::other(format!(
                "the parity of {name} cannot be worked out in {parent}: {}",
                reason(error)
            ))
        };
        match write(files, &at, stripes, stop) {
            Ok(true) => {}
            Ok(false) => return Err(changed(name)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Err(Failure::new(crate::api::Exit::Interrupted, format!("{name} is not stored")));
            }
            Err(error) => return Err(failed(&error)),
        }
        let source = Source::beside(args, at, &named)?;
        Ok(Parity { source, _folder: folder })
    }

    /// Shares it no more; the bytes that left for its sake.
    pub(super) fn end(self) -> u64 {
        let Parity { source, _folder } = self;
        source.end()
    }

    /// What is promised of the data with it.
    pub(super) fn policy(&self, stripes: &Stripes, files: &Files) -> Policy {
        let members = files.of_folder.then(|| files.layout.size_of_chunks());
        Policy::coded(stripes.shape(), self.source.id, members)
    }
}

/// What tells that a file is still what it was.
type Stamp = (u64, i64, i64);

fn stamps(files: &Files) -> io::Result<Vec<Stamp>> {
    let stamp = |path: &PathBuf| {
        let metadata = fs::metadata(path)?;
        Ok((metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    };
    files.paths.iter().map(stamp).collect()
}

/// Files that are read, a few of them open.
struct Reader<'a> {
    files: &'a Files,
    open: BTreeMap<usize, File>,
}

impl Reader<'_> {
    fn open(&mut self, file: usize) -> io::Result<&File> {
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(&file) {
            self.open.clear();
        }
        Ok(match self.open.entry(file) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(free) => free.insert(File::open(&self.files.paths[file])?),
        })
    }

    /// Reads a part of a shard, from so many bytes on, into zeros: chunks at multiples of so many bytes.
    fn read(&mut self, chunks: Range<u32>, each: u64, from: u64, into: &mut [u8]) -> io::Result<()> {
        let to = from + into.len() as u64;
        let files = self.files;
        for (chunk, at) in chunks.zip((0..).map(|nth| nth * each)).skip((from / each) as usize) {
            let Some(place) = files.layout.place(Chunk(chunk)).filter(|_| at < to) else { break };
            let (first, end) = (from.max(at), to.min(at + place.len));
            if first < end {
                let into = &mut into[(first - from) as usize..(end - from) as usize];
                self.open(place.file)?.read_exact_at(into, place.offset + first - at)?;
            }
        }
        Ok(())
    }
}

/// Writes the parity of these files to a new file; false if they are others meanwhile.
fn write(files: &Files, at: &Path, stripes: &Stripes, stop: &Stop) -> io::Result<bool> {
    let before = stamps(files)?;
    let parity = File::create_new(at)?;
    parity.set_len(stripes.parity().size())?;
    let mut data = Reader { files, open: BTreeMap::new() };
    let (k, m) = (stripes.shape().k(), stripes.shape().m());
    let (shard_bytes, each) = (stripes.shard_bytes(), stripes.chunk_bytes(false));
    for group in 0..stripes.groups() {
        let mut from = 0;
        while from < shard_bytes {
            if stop.asked() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = (shard_bytes - from).min(SLICE_BYTES as u64);
            let mut slices: Vec<Vec<u8>> = Vec::with_capacity(k as usize);
            for index in 0..k {
                let mut slice = vec![0; len as usize];
                data.read(stripes.chunks(Shard { group, index }), each, from, &mut slice)?;
                slices.push(slice);
            }
            let coded = encode(stripes.shape(), &slices).map_err(io::Error::other)?;
            for (index, slice) in (0..m).zip(coded) {
                let first = stripes.chunks(Shard { group, index: k + index }).start;
                let start = u64::from(first) * stripes.parity().chunk_size();
                parity.write_all_at(&slice, start + from)?;
            }
            from += len;
        }
    }
    let sizes = files.layout.files().iter().map(|file| file.size());
    Ok(stamps(files)? == before && before.iter().map(|(size, ..)| *size).eq(sizes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::code::Shape;
    use crate::content::{Geometry, Layout};

    /// Files of these sizes, and their bytes.
    fn made(folder: &Path, sizes: &[u64]) -> (Files, Vec<Vec<u8>>) {
        let mut rng = fastrand::Rng::with_seed(7);
        let all: Vec<Vec<u8>> =
            sizes.iter().map(|size| (0..*size).map(|_| rng.u8(..)).collect::<Vec<u8>>()).collect();
        let paths: Vec<PathBuf> = (0..sizes.len()).map(|nth| folder.join(nth.to_string())).collect();
        paths.iter().zip(&all).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        let layout = sizes.iter().map(|size| Geometry::of(*size).unwrap()).collect();
        (Files { of_folder: sizes.len() > 1, layout: Layout::new(layout).unwrap(), paths }, all)
    }

    fn stripes(files: &Files, (k, m): (u8, u8)) -> Stripes {
        let shape = Shape::new(k, m).unwrap();
        let stripes = match files.of_folder {
            true => Stripes::of_members(shape, files.layout.chunks(), files.layout.size_of_chunks()),
            false => Stripes::new(shape, files.layout.size()),
        };
        stripes.unwrap()
    }

    /// The parity, from shards that are put together whole.
    fn simply(files: &Files, bytes: &[Vec<u8>], stripes: &Stripes) -> Vec<u8> {
        let shape = stripes.shape();
        let mut parity = vec![0; stripes.parity().size() as usize];
        for group in 0..stripes.groups() {
            let shard = |index| {
                let mut shard = vec![0; stripes.shard_bytes() as usize];
                for (nth, chunk) in stripes.chunks(Shard { group, index }).enumerate() {
                    let place = files.layout.place(Chunk(chunk)).unwrap();
                    let (from, len) = (place.offset as usize, place.len as usize);
                    let at = nth * stripes.chunk_bytes(false) as usize;
                    shard[at..at + len].copy_from_slice(&bytes[place.file][from..from + len]);
                }
                shard
            };
            let data: Vec<Vec<u8>> = (0..shape.k()).map(shard).collect();
            for (nth, coded) in encode(shape, &data).unwrap().into_iter().enumerate() {
                let at = (group * shape.m()) as usize * coded.len() + nth * coded.len();
                parity[at..at + coded.len()].copy_from_slice(&coded);
            }
        }
        parity
    }

    #[test]
    fn parity_is_that_of_shards_which_end_where_files_do() {
        const CHUNK: u64 = 64 << 10;
        let small: Vec<u64> = (0..2 * MOST_OPEN as u64).map(|nth| 1 + nth * 500).collect();
        for (sizes, shape) in [
            (&[3 * CHUNK][..], (2, 1)),
            (&[40 * CHUNK + 5], (2, 1)),
            (&[70 * CHUNK - 1], (3, 2)),
            (&[CHUNK, 5, 0, 2 * CHUNK + 1, 1], (2, 1)),
            (&small, (4, 2)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (files, bytes) = made(folder.path(), sizes);
            let stripes = stripes(&files, shape);
            let at = folder.path().join("parity");
            assert!(write(&files, &at, &stripes, &Stop::default()).unwrap());
            let written = fs::read(&at).unwrap();
            assert_eq!(written.len() as u64, stripes.parity().size());
            assert!(written == simply(&files, &bytes, &stripes), "{shape:?} of {} files", sizes.len());
        }
    }

    #[test]
    fn files_that_are_not_what_they_were_have_no_parity() {
        let folder = tempfile::tempdir().unwrap();
        let (files, bytes) = made(folder.path(), &[200_000, 100_000]);
        let stripes = stripes(&files, (2, 1));
        let at = |name: &str| folder.path().join(name);
        let written = |name: &str| write(&files, &at(name), &stripes, &Stop::default());
        assert!(written("first").unwrap());
        assert_eq!(written("first").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::write(&files.paths[1], [&bytes[1][..], b"more"].concat()).unwrap();
        assert!(!written("grown").unwrap());
        fs::write(&files.paths[1], &bytes[1][1..]).unwrap();
        assert!(written("cut").is_err());
        fs::remove_file(&files.paths[0]).unwrap();
        assert!(written("gone").is_err());
    }
}
