//! Works out the parity of a file that is to be kept as shards of a code.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::failure::{Failure, reason};
use crate::cli::run::scratch;
use crate::cli::run::sharer::Source;
use crate::cli::run::signals::Stop;
use crate::cli::typed::published::UploadArgs;
use crate::content::SafeName;
use crate::content::code::{SLICE_BYTES, Shard, Stripes, encode};
use crate::wire::Policy;

/// The parity of a file, shared until it is stored.
pub(super) struct Parity {
    pub(super) source: Source,
    _folder: TempDir,
}

impl Parity {
    /// Works it out and shares it.
    pub(super) fn share(
        args: &UploadArgs,
        path: &Path,
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
        match write(path, &at, stripes, stop) {
            Ok(true) => {}
            Ok(false) => {
                return Err(Failure::other(format!(
                    "{name} changed while it was read; the same command begins again"
                )));
            }
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

    /// What is promised of the file with it.
    pub(super) fn policy(&self, stripes: &Stripes) -> Policy {
        Policy::coded(stripes.shape(), self.source.id)
    }
}

/// What tells that a file is still what it was.
fn stamp(file: &File) -> io::Result<(u64, i64, i64)> {
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Writes the parity of the file at `path` to a new file; false if it is another file meanwhile.
fn write(path: &Path, at: &Path, stripes: &Stripes, stop: &Stop) -> io::Result<bool> {
    let (data, parity) = (File::open(path)?, File::create_new(at)?);
    let before = stamp(&data)?;
    parity.set_len(stripes.parity().size())?;
    let (k, m) = (stripes.shape().k(), stripes.shape().m());
    let (shard_bytes, size) = (stripes.shard_bytes(), stripes.data().size());
    for group in 0..stripes.groups() {
        let mut from = 0;
        while from < shard_bytes {
            if stop.asked() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = (shard_bytes - from).min(SLICE_BYTES as u64);
            let mut slices: Vec<Vec<u8>> = Vec::with_capacity(k as usize);
            for index in 0..k {
                let start = u64::from(group * k + index) * shard_bytes + from;
                let mut slice = vec![0; len as usize];
                let here = size.saturating_sub(start).min(len) as usize;
                data.read_exact_at(&mut slice[..here], start)?;
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
    Ok(stamp(&data)? == before && before.0 == size)
}
