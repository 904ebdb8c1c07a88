//! What is at the destination, seen before anything there is touched. If something is in the way, all of it is named.
//!
//! Paths that were a file or a symbolic link in an older version and are a folder in the newer one, or the other way
//! round, are seen here too. What was put there before, and nobody changed, gives way; what its user put there never does, not
//! even to force. A file or link is removed when the folders are made, a folder goes to the trash, if that was asked for.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::FileType;

use super::error::DiskError;
use super::ground::{Ground, Proved, is_link_to};
use super::plan::{HardLink, Name, Plan, Slot};
use crate::content::ChunkHash;
use crate::peer::stamp::Stamp;
use crate::threads::{self, lock};

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Files that are right under all their names, and their chunks' hashes, for whoever takes them.
    pub(super) found: BTreeMap<usize, Vec<ChunkHash>>,
    /// How each looked that is right, by the number of its name.
    pub(super) right: BTreeMap<usize, Stamp>,
    /// Where files or links stand that are to be folders.
    pub(super) turned: HashSet<String>,
    /// Folders that give way to files or links.
    pub(super) folded: Vec<String>,
}

/// A look, by several threads, each of which does not wait for the others.
struct Survey<'a> {
    ground: &'a Ground,
    plan: &'a Plan,
    turned: HashSet<String>,
    found: Mutex<BTreeMap<usize, Vec<ChunkHash>>>,
    right: Mutex<BTreeMap<usize, Stamp>>,
    folded: Mutex<HashSet<String>>,
    trouble: Mutex<Vec<DiskError>>,
    /// The next file to look at.
    next: AtomicUsize,
}

/// Looks at all that is at the destination of what is planned, on all cores.
pub(super) fn look(ground: &Ground, plan: &Plan) -> Result<Seen, DiskError> {
    let (turned, trouble) = turned(ground, plan);
    let survey = Survey {
        ground,
        plan,
        turned,
        found: Mutex::default(),
        right: Mutex::default(),
        folded: Mutex::default(),
        trouble: Mutex::new(trouble),
        next: AtomicUsize::new(0),
    };
    survey.links();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let look = || survey.files();
        let helpers: Vec<_> =
            (1..cores).filter_map(|_| threads::named("prove").helper(scope, look)).collect();
        look();
        helpers.into_iter().for_each(threads::join);
    });
    survey.seen()
}

/// Where something else stands than the folder that is to be there. Seen before what should be in them.
fn turned(ground: &Ground, plan: &Plan) -> (HashSet<String>, Vec<DiskError>) {
    let (mut turned, mut trouble) = (HashSet::new(), Vec::new());
    for (path, _) in &plan.folders {
        match ground.kind(path, &turned) {
            Ok(None | Some(FileType::Directory)) => {}
            Ok(Some(_)) => {
                turned.insert(path.clone());
                trouble.extend(ground.expect_own(path).err());
            }
            Err(error) => trouble.push(error),
        }
    }
    (turned, trouble)
}

impl Survey<'_> {
    /// Whether a different thing is where a link should be.
    fn links(&self) {
        let links = self.plan.links.iter().map(|(path, target)| self.link(path, target));
        let hard_links = self.plan.hard_links.iter().map(|link| self.hard_link(link));
        let trouble: Vec<DiskError> = links.chain(hard_links).filter_map(Result::err).collect();
        lock(&self.trouble).extend(trouble);
    }

    fn link(&self, path: &str, target: &str) -> Result<(), DiskError> {
        let Some(kind) = self.ground.kind(path, &self.turned)? else { return Ok(()) };
        let (folder, base) = self.ground.spot(path)?;
        if !is_link_to(&folder, base, target) {
            self.expect_replaceable(kind, path)?;
        } else if let Some(own) = &self.ground.own {
            own.is_right_link(path, target);
        }
        Ok(())
    }

    fn hard_link(&self, link: &HardLink) -> Result<(), DiskError> {
        let path = &link.name.path;
        let Some(kind) = self.ground.kind(path, &self.turned)? else { return Ok(()) };
        match self.in_place(&link.name, &self.plan.slots[link.file]) {
            Ok(Some(_)) => Ok(()),
            // What is in the way may be replaced even so.
            Err(error) if !error.is_in_the_way() => Err(error),
            Ok(None) | Err(_) => self.expect_replaceable(kind, path),
        }
    }

    /// Looks at one file after the other, as long as there are some.
    fn files(&self) {
        loop {
            threads::may_panic("prove");
            let file = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = self.plan.slots.get(file) else { return };
            if let Some(hashes) = self.file(slot) {
                lock(&self.found).insert(file, hashes);
            }
        }
    }

    /// The hashes of a file that is there under all its names with the right bytes.
    fn file(&self, slot: &Slot) -> Option<Vec<ChunkHash>> {
        let (mut right, mut hashes) = (0, Vec::new());
        for name in &slot.names {
            match self.in_place(name, slot) {
                Ok(Some(proved)) => {
                    right += 1;
                    hashes = proved.hashes;
                }
                Ok(None) => {}
                Err(error) => lock(&self.trouble).push(error),
            }
        }
        (right > 0 && right == slot.names.len()).then_some(hashes)
    }

    /// The file if it is right under this name.
    fn in_place(&self, name: &Name, slot: &Slot) -> Result<Option<Proved>, DiskError> {
        // Looked at before it is opened: opening a device may do something.
        let Some(kind) = self.ground.kind(&name.path, &self.turned)? else { return Ok(None) };
        if kind == FileType::Directory && self.folder_gives_way(&name.path)? {
            return Ok(None);
        }
        let proved = self.ground.in_place(kind, (name, slot))?;
        if let Some(proved) = &proved {
            lock(&self.right).insert(name.number, proved.stamp);
        }
        Ok(proved)
    }

    fn expect_replaceable(&self, kind: FileType, path: &str) -> Result<(), DiskError> {
        if kind == FileType::Directory && self.folder_gives_way(path)? {
            return Ok(());
        }
        let (folder, base) = self.ground.spot(path)?;
        self.ground.expect_replaceable(&folder, base, path)
    }

    /// True if a folder that stands in the place of a file or link may go.
    fn folder_gives_way(&self, path: &str) -> Result<bool, DiskError> {
        let Some(own) = &self.ground.own else { return Ok(false) };
        if !own.folder_gives_way(path, &self.ground.root, self.inodes()).map_err(DiskError::at(path))? {
            return Ok(false);
        }
        if !self.ground.manner.delete {
            return Err(DiskError::OlderFolder(path.to_owned()));
        }
        lock(&self.folded).insert(path.to_owned());
        Ok(true)
    }

    /// The inodes of files that were found to be of this version.
    fn inodes(&self) -> HashSet<u64> {
        lock(&self.right).values().map(|stamp| stamp.inode).collect()
    }

    fn seen(self) -> Result<Seen, DiskError> {
        fn inner<T>(mutex: Mutex<T>) -> T {
            mutex.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
        if let Some(error) = DiskError::of_all(inner(self.trouble)) {
            return Err(error);
        }
        let mut folded: Vec<String> = inner(self.folded).into_iter().collect();
        folded.sort();
        Ok(Seen { found: inner(self.found), right: inner(self.right), turned: self.turned, folded })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tempfile::TempDir;

    use super::super::own::Own;
    use super::super::place::Folder;
    use super::super::plan::Manner;
    use super::*;
    use crate::content::{FileId, LeftOut, Looks, SafeName, Tree, TreeEntry, TreeKind};
    use crate::peer::got::Got;

    const MANNER: Manner =
        Manner { force: false, noted: true, own: true, delete: false, told: false, fsync: false };
    const LOOKS: Looks = Looks { mode: 0o644, mtime_ns: 1 };

    fn file(path: &str, content: &[u8]) -> (String, TreeKind) {
        let (size, id) = (content.len() as u64, FileId::of(content));
        (path.to_owned(), TreeKind::File { looks: LOOKS, size, id })
    }

    fn folder(path: &str) -> (String, TreeKind) {
        (path.to_owned(), TreeKind::Folder(LOOKS))
    }

    fn plan(entries: &[(String, TreeKind)]) -> Plan {
        let entry = |(path, kind): &(String, TreeKind)| {
            let path = SafeName::new(path.clone()).unwrap();
            TreeEntry { path, kind: kind.clone() }
        };
        let tree = Tree::new(0o755, entries.iter().map(entry).collect(), LeftOut::default()).unwrap();
        Plan::tree(&tree).unwrap().named("t/")
    }

    fn ground(root: &Path, manner: Manner) -> Ground {
        Ground { root: Folder::open(root).unwrap(), manner, own: Some(Own::open(root, manner.own)) }
    }

    /// An older version, of these entries, was put into the folder.
    fn put(root: &Path, entries: &[(String, TreeKind)]) {
        let mut got = Got::default();
        let plan = plan(entries);
        got.begin(Some("t/"), FileId([9; 32]), plan.all());
        plan.links.iter().for_each(|(path, target)| got.put_link(path, target));
        got.make_folders(plan.folders.iter().map(|(path, _)| &**path));
        got.write(root).unwrap();
    }

    /// What there is of [`entries`], and the paths whose bytes were found right.
    fn seen(
        root: &Path,
        manner: Manner,
        entries: &[(String, TreeKind)],
    ) -> Result<(Seen, Vec<String>), String> {
        let plan = plan(entries);
        let seen = look(&ground(root, manner), &plan).map_err(|error| error.to_string())?;
        let right = plan.names().filter(|name| seen.right.contains_key(&name.number));
        let right = right.map(|name| name.path.clone()).collect();
        Ok((seen, right))
    }

    fn here() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn what_is_right_under_all_its_names_is_found() {
        let here = here();
        let large: Vec<u8> = (0..200_000).map(|at| (at / 7) as u8).collect();
        let geometry = crate::content::Geometry::of(large.len() as u64).unwrap();
        let path = here.path().join("large");
        fs::write(&path, &large).unwrap();
        let (id, hashes) =
            super::super::files::hashes_of(&fs::File::open(&path).unwrap(), geometry).unwrap().unwrap();
        let kind = TreeKind::File { looks: LOOKS, size: large.len() as u64, id };
        fs::write(here.path().join("a"), "hello").unwrap();
        let entries =
            [file("a", b"hello"), file("b", b"hello"), ("large".to_owned(), kind), file("new", b"new")];
        let (seen, right) = seen(here.path(), MANNER, &entries).unwrap();
        assert_eq!(right, ["a", "large"]);
        assert_eq!(seen.found.into_values().collect::<Vec<_>>(), [hashes], "b is not there yet");
        assert!(seen.turned.is_empty() && seen.folded.is_empty());
    }

    #[test]
    fn all_that_is_in_the_way_is_named() {
        let here = here();
        fs::write(here.path().join("a"), "mine").unwrap();
        fs::write(here.path().join("d"), "mine").unwrap();
        fs::create_dir(here.path().join("f")).unwrap();
        symlink("mine", here.path().join("l")).unwrap();
        let link = ("l".to_owned(), TreeKind::Link("a".into()));
        let entries = [file("a", b"new"), folder("d"), file("d/x", b"new"), file("f", b"new"), link];
        assert_eq!(
            seen(here.path(), MANNER, &entries).unwrap_err(),
            "a, l exists and is different; d is not a folder, or is a symbolic link; \
             f is a folder; only files and links are ever replaced"
        );
        let forced = Manner { force: true, ..MANNER };
        assert_eq!(
            seen(here.path(), forced, &entries).unwrap_err(),
            "d is not a folder, or is a symbolic link; f is a folder; only files and links are ever replaced"
        );
    }

    #[test]
    fn what_was_put_there_gives_way() {
        let here = here();
        let link = |path: &str, to: &str| (path.to_owned(), TreeKind::Link(to.into()));
        let old = [file("a", b"old"), file("d", b"old"), link("l", "a"), folder("f"), file("f/x", b"old")];
        put(here.path(), &old);
        fs::write(here.path().join("a"), "old").unwrap();
        fs::write(here.path().join("d"), "old").unwrap();
        symlink("a", here.path().join("l")).unwrap();
        fs::create_dir(here.path().join("f")).unwrap();
        fs::write(here.path().join("f/x"), "old").unwrap();
        let new = [file("a", b"new"), folder("d"), file("d/x", b"x"), link("l", "d/x"), file("f", b"f")];
        assert_eq!(
            seen(here.path(), MANNER, &new).unwrap_err(),
            "f is a folder of an older version; `--delete` moves it to the trash"
        );
        let delete = Manner { delete: true, ..MANNER };
        let (seen_now, right) = seen(here.path(), delete, &new).unwrap();
        assert_eq!((right.len(), seen_now.found.len()), (0, 0));
        assert_eq!(seen_now.turned, HashSet::from(["d".to_owned()]));
        assert_eq!(seen_now.folded, ["f"]);
        fs::write(here.path().join("f/mine"), "mine").unwrap();
        let refused = seen(here.path(), delete, &new).unwrap_err();
        assert_eq!(refused, "f is a folder; only files and links are ever replaced");
    }
}
