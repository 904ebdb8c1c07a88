//! What is moved, and what it takes to take part.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::support::files;

/// The name of this project's own contender.
pub(crate) const OURS: &str = "p2p";
/// The same in a closed swarm.
pub(crate) const CLOSED: &str = "p2p, closed";

/// What is moved.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// One file of so many bytes.
    File(u64),
    /// A folder of `count` files of `size` bytes.
    Folder { count: u64, size: u64 },
}

impl Item {
    pub(crate) fn file(size: u64) -> Self {
        Self { kind: Kind::File(size) }
    }

    pub(crate) fn folder(count: u64, size: u64) -> Self {
        Self { kind: Kind::Folder { count, size } }
    }

    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder { .. })
    }

    /// Its name inside the shared folder, and inside the destination.
    pub(crate) fn name(&self) -> &'static str {
        if self.is_folder() { "many" } else { "one.bin" }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self.kind {
            Kind::File(size) => size,
            Kind::Folder { count, size } => count * size,
        }
    }

    /// Makes it below `source`, written out to the disk and read back into the page cache.
    pub(crate) fn make(&self, source: &Path) -> Result<()> {
        fs::create_dir_all(source)?;
        let path = source.join(self.name());
        match self.kind {
            Kind::File(size) => files::make_file(&path, size, 1)?,
            Kind::Folder { count, size } => files::make_folder(&path, count, size, 1)?,
        }
        rustix::fs::syncfs(fs::File::open(source)?)?;
        files::warm(&path)
    }
}

/// Highest resident sizes of both sides of our transfer.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Memory {
    pub(crate) seeder_kib: u64,
    pub(crate) leecher_kib: u64,
}

/// One way to move an item.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// Moves `item` into the empty folder `destination`; returns the seconds it took.
    fn fetch(&mut self, item: &Item, destination: &Path) -> Result<f64>;

    /// CPU seconds that its servers have used so far, where that is of interest.
    fn served_cpu(&self) -> Option<f64> {
        None
    }

    /// Highest resident size of both sides over one untimed fetch, where that is of interest.
    fn memory(&mut self, _item: &Item, _destination: &Path) -> Result<Option<Memory>> {
        Ok(None)
    }
}
