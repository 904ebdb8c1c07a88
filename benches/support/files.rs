//! Files to move: made from a seed, compared, and cleared away between runs.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::machine::{self, meminfo_kib};

/// The smallest chunk.
const BLOCK: u64 = 64 << 10;

/// A scratch folder below `parent`, removed when dropped.
pub(crate) fn scratch(parent: &Path) -> Result<TempDir> {
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    Ok(tempfile::Builder::new().prefix("p2p-bench-").tempdir_in(parent)?)
}

/// A scratch folder on the disk that holds the build.
pub(crate) fn disk() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// A scratch folder in memory.
pub(crate) fn memory() -> PathBuf {
    PathBuf::from("/dev/shm")
}

/// Free bytes on the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |fs| fs.f_bavail * fs.f_frsize)
}

/// Writes `size` bytes that nothing can compress or deduplicate.
pub(crate) fn make_file(path: &Path, size: u64, seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut file =
        BufWriter::new(File::create(path).with_context(|| format!("creating {}", path.display()))?);
    let mut block = vec![0u8; 1 << 20];
    let mut left = size;
    while left > 0 {
        let count = left.min(block.len() as u64) as usize;
        random.fill(&mut block[..count]);
        file.write_all(&block[..count])?;
        left -= count as u64;
    }
    Ok(file.flush()?)
}

/// Makes `count` files of `size` bytes below `root`, a hundred to a folder.
pub(crate) fn make_folder(root: &Path, count: u64, size: u64, seed: u64) -> Result<()> {
    for number in 0..count {
        let folder = root.join(format!("part-{:04}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        make_file(&folder.join(format!("file-{number:06}.bin")), size, seed.wrapping_add(number))?;
    }
    Ok(())
}

/// Reads a file or folder once, so that the page cache has it.
pub(crate) fn warm(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            warm(&entry?.path())?;
        }
        return Ok(());
    }
    let mut file = File::open(path)?;
    let mut buffer = vec![0u8; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// An error unless `copy` holds, byte for byte, what `original` holds. Extra files in `copy` are ignored.
pub(crate) fn same(original: &Path, copy: &Path) -> Result<()> {
    if original.is_dir() {
        for entry in fs::read_dir(original)? {
            let entry = entry?;
            if entry.file_name() != ".p2p" {
                same(&entry.path(), &copy.join(entry.file_name()))?;
            }
        }
        return Ok(());
    }
    if digest(original)? == digest(copy)? {
        return Ok(());
    }
    bail!("{} differs from {}: {}", copy.display(), original.display(), difference(original, copy)?)
}

/// Where two files differ, in blocks of the smallest chunk: what a proof should have caught, and its shape.
fn difference(original: &Path, copy: &Path) -> Result<String> {
    let (left, right) = (File::open(original)?, File::open(copy)?);
    let (sizes, mut wrong, mut empty) = ((left.metadata()?.len(), right.metadata()?.len()), Vec::new(), 0);
    for block in 0..sizes.0.div_ceil(BLOCK) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        (&left).take(BLOCK).read_to_end(&mut a)?;
        (&right).take(BLOCK).read_to_end(&mut b)?;
        if a != b {
            wrong.push(block);
            empty += usize::from(b.iter().all(|byte| *byte == 0));
        }
    }
    Ok(format!(
        "{} bytes instead of {}; {} blocks of 64 KiB differ, {empty} of them all zeros: {:?}",
        sizes.1,
        sizes.0,
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    ))
}

fn digest(path: &Path) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).with_context(|| format!("opening {}", path.display()))?)?;
    Ok(hasher.finalize())
}

/// Empties a destination, and lets the disk finish what earlier runs left to write.
///
/// No `sync`: removed files need not be written at all, and a sync would give the next contender a
/// cleaner disk than users have. Returns whether the disk came to rest: on a machine that others use it may not.
pub(crate) fn settle(destination: &Path) -> Result<bool> {
    if destination.exists() {
        fs::remove_dir_all(destination)?;
    }
    fs::create_dir_all(destination)?;
    if machine::file_system(destination) == "tmpfs" {
        return Ok(true);
    }
    let rests = || Ok(meminfo_kib("Writeback") <= 1024 && meminfo_kib("Dirty") <= 64 * 1024);
    super::interrupt::poll(Duration::from_secs(10), Duration::from_millis(20), rests)
}

/// The same files in another folder, but for what a peer keeps there.
pub(crate) fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (here, there) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()?.is_dir() {
            true if entry.file_name() == ".p2p" => {}
            true => link_all(&here, &there)?,
            false => fs::hard_link(&here, &there)?,
        }
    }
    Ok(())
}
