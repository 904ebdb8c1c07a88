//! What a kill or a stranger can leave behind, and what the disk makes of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode};
use tempfile::TempDir;

use super::*;
use crate::content::{
    Geometry, Layout, LeftOut, Looks, Manifest, Tree, TreeEntry, TreeKind, hash_chunk, proof_run,
};

const MANNER: Manner =
    Manner { force: false, noted: false, own: false, delete: false, told: false, fsync: false };
const ID: FileId = FileId([5; 32]);

/// A folder of `names` that all have `content`, and where it goes.
struct Case {
    content: Vec<u8>,
    names: Vec<&'static str>,
    folder: TempDir,
    /// Where the state is, if it is not beside the root.
    elsewhere: Option<TempDir>,
    manner: Manner,
}

impl Case {
    fn new(len: usize, names: &[&'static str]) -> Case {
        let content = (0..len).map(|at| (at / 7) as u8).collect();
        Case {
            content,
            names: names.to_vec(),
            folder: tempfile::tempdir().unwrap(),
            elsewhere: None,
            manner: MANNER,
        }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn state(&self) -> PathBuf {
        self.elsewhere.as_ref().unwrap_or(&self.folder).path().join("state")
    }

    fn partial(&self) -> PathBuf {
        self.state().join("partial").join(ID.to_string())
    }

    fn manifest(&self) -> (Manifest, FileId) {
        let geometry = Geometry::of(self.content.len() as u64).unwrap();
        let hashes = self.chunks().iter().map(|(_, _, hash)| *hash).collect();
        Manifest::new(geometry, hashes).unwrap()
    }

    fn id(&self) -> FileId {
        self.manifest().1
    }

    fn proof(&self, place: Place) -> Option<Arc<Proof>> {
        let (manifest, _) = self.manifest();
        manifest.prove(proof_run(manifest.geometry(), place.chunk)).ok().map(Arc::new)
    }

    fn chunks(&self) -> Vec<(u32, Place, ChunkHash)> {
        let geometry = Geometry::of(self.content.len() as u64).unwrap();
        let layout = Layout::new(vec![geometry]).unwrap();
        let places = (0..layout.chunks()).map(|number| (number, layout.place(Chunk(number)).unwrap()));
        places
            .map(|(number, place)| (number, place, hash_chunk(geometry, place.chunk, self.bytes(place))))
            .collect()
    }

    fn bytes(&self, place: Place) -> &[u8] {
        &self.content[place.offset as usize..][..place.len as usize]
    }

    fn open(&self) -> Result<(Disk, ChunkSet), DiskError> {
        let entry = |path: &str, kind| TreeEntry { path: SafeName::new(path).unwrap(), kind };
        let looks = Looks { mode: 0o644, mtime_ns: 1 };
        let (size, id) = (self.content.len() as u64, self.id());
        let mut entries: Vec<TreeEntry> =
            self.names.iter().map(|name| entry(name, TreeKind::File { looks, size, id })).collect();
        let folders: BTreeSet<&str> =
            self.names.iter().filter_map(|name| Some(name.rsplit_once('/')?.0)).collect();
        entries.extend(folders.iter().map(|folder| entry(folder, TreeKind::Folder(looks))));
        let tree = Tree::new(0o755, entries, LeftOut::default()).unwrap();
        let plan = Plan::tree(&tree).unwrap();
        Disk::open(plan, ID, &self.partial(), &self.root(), self.manner)
    }

    /// Stores what is missing, and looks at every name.
    fn complete(&self) {
        let (disk, had) = self.open().unwrap();
        for (number, place, hash) in
            self.chunks().into_iter().filter(|(number, ..)| !had.contains(Chunk(*number)))
        {
            if self.chunks().len() == 1 {
                disk.write_small(0, &self.content, self.id()).unwrap();
            } else {
                disk.write(place, 0, self.bytes(place)).unwrap();
                disk.keep(Chunk(number), place, hash, self.proof(place)).unwrap();
            }
        }
        assert_eq!(disk.files_done(), 1);
        disk.finish().unwrap();
        assert!(!self.partial().exists());
        for name in &self.names {
            assert!(fs::read(self.root().join(name)).unwrap() == self.content, "{name}");
        }
    }
}

#[test]
fn a_kill_between_two_names_of_a_file_leaves_no_riddle() {
    for len in [5, 70_000] {
        for there in ["a", "b", "c/d"] {
            let case = Case::new(len, &["a", "b", "c/d"]);
            fs::create_dir_all(case.root().join("c")).unwrap();
            fs::write(case.root().join(there), &case.content).unwrap();
            case.complete();
        }
    }
}

#[test]
fn a_file_that_was_found_and_then_changed_is_its_users() {
    let mut case = Case::new(200_000, &["a"]);
    case.manner.force = true;
    fs::create_dir_all(case.root()).unwrap();
    fs::write(case.root().join("a"), &case.content).unwrap();
    let (disk, _) = case.open().unwrap();
    fs::write(case.root().join("a"), "the user's").unwrap();
    let found = BTreeSet::from([0]);
    disk.finish_found(&found).unwrap();
    disk.name_left(&found).unwrap();
    assert_eq!(fs::read(case.root().join("a")).unwrap(), b"the user's");
    assert!(!case.partial().join("0").exists());
}

#[test]
fn a_different_file_under_a_name_is_not_replaced() {
    for len in [5, 70_000] {
        let case = Case::new(len, &["a", "b"]);
        fs::create_dir_all(case.root()).unwrap();
        fs::write(case.root().join("b"), "mine").unwrap();
        assert!(matches!(case.open().err(), Some(DiskError::Exists(name)) if name == "b"));
        assert_eq!(fs::read(case.root().join("b")).unwrap(), b"mine");
    }
}

#[test]
fn what_lies_where_unfinished_files_go_does_no_harm() {
    for len in [5, 70_000] {
        let longer = |case: &Case| fs::write(case.partial().join("0"), vec![1; 90_000]).unwrap();
        let folder = |case: &Case| fs::create_dir_all(case.partial().join("0/x")).unwrap();
        let link = |case: &Case| symlink("../../../precious", case.partial().join("0")).unwrap();
        let hard_link = |case: &Case| {
            fs::hard_link(case.folder.path().join("precious"), case.partial().join("0")).unwrap();
        };
        let lies: [&dyn Fn(&Case); 4] = [&longer, &folder, &link, &hard_link];
        for lie in lies {
            let case = Case::new(len, &["a", "b"]);
            fs::write(case.folder.path().join("precious"), "precious").unwrap();
            fs::create_dir_all(case.partial()).unwrap();
            lie(&case);
            case.complete();
            assert_eq!(fs::read(case.folder.path().join("precious")).unwrap(), b"precious");
        }
    }
}

#[test]
fn what_is_journalled_is_not_believed_of_a_file_that_has_another_name() {
    let case = Case::new(200_000, &["a"]);
    let (disk, _) = case.open().unwrap();
    let (number, place, hash) = case.chunks()[0];
    disk.write(place, 0, case.bytes(place)).unwrap();
    disk.keep(Chunk(number), place, hash, case.proof(place)).unwrap();
    drop(disk);
    let other = case.folder.path().join("other");
    fs::hard_link(case.partial().join("0"), &other).unwrap();
    assert_eq!(case.open().unwrap().1.count(), 0);
    let before = fs::read(&other).unwrap();
    case.complete();
    assert!(fs::read(&other).unwrap() == before, "nothing was written to the other name");
}

#[test]
fn what_had_arrived_and_was_taken_away_gets_no_name() {
    let case = Case::new(200_000, &["a"]);
    let (disk, _) = case.open().unwrap();
    let keep = |(number, place, hash): (u32, Place, ChunkHash)| {
        disk.write(place, 0, case.bytes(place))?;
        disk.keep(Chunk(number), place, hash, case.proof(place))
    };
    let chunks = case.chunks();
    keep(chunks[0]).unwrap();
    // As if many others had been opened since.
    disk.unfinished.close(0);
    fs::remove_file(case.partial().join("0")).unwrap();
    assert!(chunks[1..].iter().all(|chunk| keep(*chunk).is_err()));
    assert!(!case.root().join("a").exists());
}

#[test]
fn a_folder_that_is_a_file_is_named_as_such() {
    let case = Case::new(5, &["a"]);
    fs::write(case.root(), "mine").unwrap();
    assert!(matches!(case.open().err(), Some(DiskError::NotAFolder(_))));
}

/// A folder on another file system than temporary files, if there is one.
fn other_file_system() -> Option<TempDir> {
    let here = tempfile::tempdir().unwrap();
    let device = |path: &Path| std::os::unix::fs::MetadataExt::dev(&fs::metadata(path).unwrap());
    let other = ["/dev/shm", "/run", env!("CARGO_MANIFEST_DIR")].into_iter().find_map(|folder| {
        let other = TempDir::new_in(folder).ok()?;
        (device(other.path()) != device(here.path())).then_some(other)
    });
    if other.is_none() {
        eprintln!("SKIPPED: there is one file system only");
    }
    other
}

#[test]
fn what_is_unfinished_may_lie_on_another_file_system() {
    for len in [5, 70_000, 3 << 20] {
        let Some(other) = other_file_system() else { return };
        let case = Case { elsewhere: Some(other), ..Case::new(len, &["a", "b", "c/d"]) };
        case.complete();
        let left = fs::read_dir(case.root()).unwrap().count();
        assert_eq!(left, 3, "two files and a folder, nothing else");
    }
}

#[test]
fn force_replaces_files_and_links_and_nothing_else() {
    let forced = |len| Case { manner: Manner { force: true, ..MANNER }, ..Case::new(len, &["a", "b"]) };
    for len in [5, 70_000] {
        let file = |path: &Path| fs::write(path, "old").unwrap();
        let link = |path: &Path| symlink("elsewhere", path).unwrap();
        for there in [&file as &dyn Fn(&Path), &link] {
            let case = forced(len);
            fs::create_dir_all(case.root()).unwrap();
            fs::write(case.root().join("elsewhere"), "precious").unwrap();
            there(&case.root().join("b"));
            case.complete();
            assert!(fs::symlink_metadata(case.root().join("b")).unwrap().is_file());
            assert_eq!(fs::read(case.root().join("elsewhere")).unwrap(), b"precious");
        }
        let folder = |path: &Path| fs::create_dir(path).unwrap();
        let socket = |path: &Path| drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        let pipe = |path: &Path| {
            rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        };
        for there in [&folder as &dyn Fn(&Path), &socket, &pipe] {
            let case = forced(len);
            fs::create_dir_all(case.root()).unwrap();
            // Before the fetch it is seen at once, and afterwards it does no harm.
            let (disk, _) = case.open().unwrap();
            there(&case.root().join("b"));
            assert!(matches!(case.open().err(), Some(DiskError::InTheWay(name, _)) if name == "b"));
            let named = match len {
                5 => disk.write_small(0, &case.content, case.id()),
                _ => case.chunks().into_iter().try_for_each(|(number, place, hash)| {
                    disk.write(place, 0, case.bytes(place))?;
                    disk.keep(Chunk(number), place, hash, case.proof(place)).map(drop)
                }),
            };
            assert!(matches!(named, Err(DiskError::InTheWay(name, _)) if name == "b"));
            assert!(!fs::symlink_metadata(case.root().join("b")).unwrap().is_file());
        }
    }
}

#[test]
fn a_file_that_gets_no_name_leaves_nothing() {
    let case = Case::new(5, &["a"]);
    let (disk, _) = case.open().unwrap();
    fs::write(case.root().join("a"), "mine").unwrap();
    assert!(matches!(disk.write_small(0, &case.content, case.id()), Err(DiskError::Exists(_))));
    drop(disk);
    assert_eq!(fs::read_dir(case.root()).unwrap().count(), 1);
}

#[test]
fn no_bytes_get_a_name_whose_id_is_another() {
    for data in [&b""[..], b"hello", b"other"] {
        let case = Case::new(5, &["a"]);
        let (disk, _) = case.open().unwrap();
        let refused = disk.write_small(0, data, FileId::of(data)).unwrap_err();
        assert!(matches!(refused, DiskError::Integrity(name) if name == "a"));
        assert!(!case.root().join("a").exists());
    }
}

#[test]
fn a_size_that_its_id_cannot_have_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (state, root) = (folder.path().join("state"), folder.path().join("root"));
    for (id, size) in [(FileId::of(b"x"), 0), (FileId::NOTHING, 1)] {
        let plan = Plan::file(id, Geometry::of(size).unwrap(), "a").unwrap();
        let refused = Disk::open(plan, id, &state.join("key"), &root, Manner { force: true, ..MANNER });
        assert!(matches!(refused.err(), Some(DiskError::Impossible(name)) if name == "a"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn what_was_a_hole_is_one_again_whatever_was_written_there_before() {
    const SIZE: usize = 8 << 20;
    let mut case = Case::new(SIZE, &["a", "b"]);
    case.content.fill(0);
    case.content[3 << 20..][..5000].fill(7);
    *case.content.last_mut().unwrap() = 1;
    let (disk, _) = case.open().unwrap();
    let wrong = vec![9; 64 << 10];
    let (_, place, _) = case.chunks()[5];
    disk.write(place, 0, &wrong).unwrap();
    for (number, place, hash) in case.chunks() {
        // As they come: in pieces that begin and end anywhere.
        for (part, bytes) in case.bytes(place).chunks(30_000).enumerate() {
            disk.write(place, part as u64 * 30_000, bytes).unwrap();
        }
        disk.keep(Chunk(number), place, hash, case.proof(place)).unwrap();
    }
    for name in ["a", "b"] {
        let path = case.root().join(name);
        assert!(fs::read(&path).unwrap() == case.content, "{name}");
        let taken = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap()) * 512;
        assert!(taken < 1 << 20, "{name} takes {taken} bytes");
    }
}

/// Runs a test as somebody whom modes bind.
fn as_plain_user(test: impl FnOnce() + Send) {
    const NOBODY: u32 = 65534;
    std::thread::scope(|scope| {
        let test = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(NOBODY);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            test();
        });
        test.join().unwrap();
    });
}

#[test]
fn what_a_listing_closes_to_its_own_user_is_fetched_and_found_again() {
    as_plain_user(|| {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let closed = Looks { mode: 0, mtime_ns: 1 };
        let entry = |path: &str, kind| TreeEntry { path: SafeName::new(path).unwrap(), kind };
        let file = || TreeKind::File { looks: closed, size: 5, id: FileId::of(b"hello") };
        let entries = || {
            let again = TreeKind::HardLink(SafeName::new("a").unwrap());
            let folders = ["d", "d/e"].map(|path| entry(path, TreeKind::Folder(closed)));
            [entry("a", file()), entry("d/e/f", file()), entry("z", again)].into_iter().chain(folders)
        };
        let open = || {
            let tree = Tree::new(0o755, entries().collect(), LeftOut::default()).unwrap();
            let (plan, partial) = (Plan::tree(&tree).unwrap(), folder.path().join("partial/x"));
            Disk::open(plan, ID, &partial, &root, MANNER)
        };
        let mode = |path: &str| {
            std::os::unix::fs::MetadataExt::mode(&fs::symlink_metadata(root.join(path)).unwrap()) & 0o777
        };
        let (disk, had) = open().unwrap();
        assert!(had.is_empty());
        disk.write_small(0, b"hello", FileId::of(b"hello")).unwrap();
        disk.finish().unwrap();
        assert_eq!((mode("a"), mode("z"), mode("d")), (0, 0, 0));
        let (disk, had) = open().unwrap();
        assert_eq!((had.count(), disk.files_done()), (1, 1));
        disk.finish().unwrap();
        assert_eq!((mode("a"), mode("z"), mode("d")), (0, 0, 0));
        for folder in ["d", "d/e"] {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            fs::set_permissions(root.join(folder), open).unwrap();
        }
        assert_eq!(mode("d/e/f"), 0);
    });
}
