//! What is sought and where it is to go, and which claims of others can be it. Pure.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::content::{FileId, Filter, Rate, Run, SafeName};
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
    /// What of a tree is wanted, if not all: the file at this path, or the folder, if it ends with `/`.
    pub inside: Option<SafeName>,
    /// What of all that is in the tree.
    pub filter: Filter,
}

impl Want {
    /// True if a folder is made of it, and not a single file.
    pub(super) fn makes_folder(&self) -> bool {
        self.inside.as_ref().unwrap_or(&self.name).is_tree()
    }

    /// True if all of it is wanted.
    pub(super) fn is_whole(&self) -> bool {
        self.inside.is_none() && self.filter.is_open()
    }

    /// What trackers are asked: who has it, above all what is `missing`, and no more than are of use to so many places for neighbours.
    pub(super) fn question(&self, missing: Vec<Run>, places: usize) -> Locate {
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
    /// How fast it may come; none: as it does.
    pub down: Option<Rate>,
    /// How often trackers are asked for other sources; none: as often as the peer does.
    pub refresh: Option<Duration>,
}

impl Dest {
    /// True if both are the same, whenever they were thought of and however fast they are to be.
    pub(super) fn is(&self, other: &Dest) -> bool {
        let Dest { path, force, own, delete, wait, waited: _, down: _, refresh: _ } = self;
        let theirs = (&other.path, &other.force, &other.own, &other.delete, &other.wait);
        (path, force, own, delete, wait) == theirs
    }
}

/// A file to be fetched, and where to.
#[cfg(test)]
pub(super) fn sought(name: &str, path: impl Into<PathBuf>) -> (Want, Dest) {
    let (size, inside, filter) = (None, None, Filter::default());
    let (id, name) = (FileId([1; 32]), SafeName::new(name).unwrap());
    let want = Want { id, name, size, inside, filter };
    let (wait, waited) = (None, Duration::ZERO);
    let (down, refresh) = (None, None);
    (want, Dest { path: path.into(), force: false, own: false, delete: false, wait, waited, down, refresh })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Chunk;

    fn want(name: &str, size: Option<u64>) -> Want {
        let (inside, filter) = (None, Filter::default());
        Want { id: FileId([1; 32]), name: SafeName::new(name).unwrap(), size, inside, filter }
    }

    /// Of one chunk, or a listing of one chunk.
    fn variant(id: u8, name: &str, size: u64, total: u64) -> Variant {
        let (name, id) = (Name::new(name), FileId([id; 32]));
        let (seeders, leechers, holders) = (1, 0, List::default());
        let (original, agreed, modified, version) = (true, true, 0, 0);
        Variant {
            name,
            id,
            size,
            total,
            chunks: 1,
            seeders,
            leechers,
            original,
            agreed,
            modified,
            version,
            code: None,
            holders,
        }
    }

    /// Sizes of what is usable, with their totals.
    fn usable(want: &Want, variants: &[Variant]) -> Vec<(u64, u64)> {
        let located = Located { variants: List::new(variants.to_vec()), near: List::default() };
        want.usable(located).iter().map(|variant| (variant.size, variant.total)).collect()
    }

    #[test]
    fn another_id_or_an_impossible_size_is_not_it() {
        let variants = [variant(1, "f", 5, 5), variant(2, "f", 6, 6), variant(1, "f", 1 << 30, 1 << 30)];
        assert_eq!(usable(&want("f", None), &variants), [(5, 5)]);
    }

    #[test]
    fn a_file_has_the_size_that_was_asked_for() {
        let variants = [variant(1, "f", 5, 5), variant(1, "g", 6, 6)];
        assert_eq!(usable(&want("f", Some(6)), &variants), [(6, 6)]);
        assert_eq!(usable(&want("f", Some(7)), &variants), []);
    }

    #[test]
    fn a_folder_is_asked_for_by_what_its_files_have_and_any_claim_of_that_listing_counts() {
        let listing = [variant(1, "t/", 70, 5), variant(1, "t/", 71, 6), variant(1, "saved", 70, 70)];
        assert_eq!(usable(&want("t/", Some(5)), &listing), [(70, 5), (70, 70)]);
        assert_eq!(usable(&want("t/", Some(70)), &listing), [], "a file of that size is no folder");
        assert_eq!(usable(&want("t/", None), &listing).len(), 3);
    }

    #[test]
    fn trackers_are_asked_by_id_for_what_is_missing() {
        let question = want("f", None).question(vec![Run::new(Chunk(3), 2)], 16);
        let (name, missing) = (Name::default(), List::new(vec![Run::new(Chunk(3), 2)]));
        let id = FileId([1; 32]);
        assert_eq!(question, Locate { name, id, purpose: Purpose::Fetch, max: 32, missing });
    }

    #[test]
    fn the_same_place_and_manner_is_the_same_fetch_whenever_it_was_thought_of() {
        let path = PathBuf::from("d");
        let (wait, waited) = (Some(Duration::from_secs(1)), Duration::ZERO);
        let (down, refresh) = (None, None);
        let dest = Dest { path, force: false, own: false, delete: false, wait, waited, down, refresh };
        assert!(dest.is(&Dest { down: Rate::new(5), ..dest.clone() }));
        assert!(dest.is(&Dest { waited: Duration::from_secs(9), ..dest.clone() }));
        let others = [
            Dest { path: "e".into(), ..dest.clone() },
            Dest { force: true, ..dest.clone() },
            Dest { own: true, ..dest.clone() },
            Dest { delete: true, ..dest.clone() },
            Dest { wait: None, ..dest.clone() },
        ];
        assert!(others.iter().all(|other| !dest.is(other)));
    }
}
