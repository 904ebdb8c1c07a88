//! What is sought and where it is to go, and which claims of others can be it. Pure.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::content::{FileId, SafeName};
use crate::swarm::errands::holders_wanted;
use crate::wire::{List, Locate, Located, Name, Purpose, Variant};

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The content.
    pub id: FileId,
    /// Its name; a tree's ends with `/`.
    pub name: SafeName,
    /// Bytes of all its files, if that was said along with the id: what has another size is not it.
    pub size: Option<u64>,
}

impl Want {
    /// What trackers are asked: who has it, above all what is `missing`, and no more than are of use to so many places for neighbours.
    pub(super) fn question(&self, missing: Vec<(u32, u32)>, places: usize) -> Locate {
        let (max, missing) = (holders_wanted(places) as u16, List::new(missing));
        Locate { name: Name::default(), id: self.id, purpose: Purpose::Fetch, max, missing }
    }

    /// What of an answer can be it: it is possible, and has the size that was asked for, if one was.
    pub(super) fn usable(&self, located: Located) -> Vec<Variant> {
        let mut variants = located.variants.into_vec();
        variants.retain(|variant| variant.id == self.id && variant.is_possible());
        if let Some(size) = self.size {
            // A tree's is that of its files, and they tell which listing it is.
            let fits = |variant: &&Variant| {
                let total = if self.name.is_tree() { variant.total } else { variant.size };
                total == size && (variant.name.ends_with('/') || !self.name.is_tree())
            };
            let sizes: BTreeSet<u64> = variants.iter().filter(fits).map(|variant| variant.size).collect();
            variants.retain(|variant| sizes.contains(&variant.size));
        }
        variants
    }
}

/// Where to put it, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dest {
    /// The file or folder to make.
    pub path: PathBuf,
    /// Different files that are in the way are replaced.
    pub force: bool,
    /// What was fetched there before, and nobody changed since, is replaced.
    pub own: bool,
    /// What an older version put there, and nobody changed since, goes to the trash if this one lacks it.
    pub delete: bool,
    /// How long to wait while no tracker or source can be reached; none: for ever.
    pub wait: Option<Duration>,
    /// How much of that has been waited already.
    pub waited: Duration,
}

impl Dest {
    /// True if both are the same, whenever they were thought of.
    pub(super) fn is(&self, other: &Dest) -> bool {
        let Dest { path, force, own, delete, wait, waited: _ } = self;
        let theirs = (&other.path, &other.force, &other.own, &other.delete, &other.wait);
        (path, force, own, delete, wait) == theirs
    }
}
