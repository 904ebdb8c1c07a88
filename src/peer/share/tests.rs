//! Shares of real folders. Nothing sleeps: changes are waited for through the channel.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::doubt::disk_failure;
use super::*;
use crate::content::{Place, Tree, TreeKind};

/// What a change may take until it is told, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn config(folder: &Path) -> Config {
    Config { folder: folder.to_owned(), prefix: None, state: folder.join(".p2p"), watch: false, threads: 2 }
}

fn open(config: Config) -> (Arc<Share>, Progress) {
    let mut last = Progress::default();
    let share = Share::open(config, &mut |progress| {
        last = progress;
        ControlFlow::Continue(())
    });
    (share.unwrap(), last)
}

fn write(folder: &TempDir, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn offered(share: &Share) -> BTreeMap<String, FileId> {
    share.offers().into_iter().map(|offer| (offer.name.to_string(), offer.id)).collect()
}

fn names(share: &Share) -> Vec<String> {
    offered(share).into_keys().collect()
}

/// A share that is followed through its changes alone.
struct Followed {
    share: Arc<Share>,
    told: BTreeMap<String, FileId>,
}

impl Followed {
    fn new(folder: &TempDir) -> Followed {
        let (share, _) = open(Config { watch: true, ..config(folder.path()) });
        let told = offered(&share);
        Followed { share, told }
    }

    /// Takes in changes until what was told is as wanted, and gives the removals on the way.
    fn until(&mut self, what: &str, wanted: impl Fn(&BTreeMap<String, FileId>) -> bool) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        let mut removed = Vec::new();
        while !wanted(&self.told) {
            let Ok(change) = self.share.changes().recv_deadline(deadline) else {
                panic!("{what}: told {:?}, offered {:?}", self.told.keys(), names(&self.share));
            };
            for (name, id) in change.removed {
                assert_eq!(self.told.remove(&*name), Some(id), "{what}");
                removed.push(name.into_string());
            }
            for offer in change.added {
                assert_eq!(self.told.insert(offer.name.into_string(), offer.id), None, "{what}");
            }
        }
        removed
    }

    fn until_names(&mut self, what: &str, names: &[&str]) -> Vec<String> {
        self.until(what, |told| told.keys().eq(names))
    }
}

#[test]
fn files_and_folders_are_offered_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let long = "l".repeat(255);
    write(&folder, &[("a b'\"\n", "1"), ("d/ü/x", "22"), ("d/y", "22"), (".p2p/secret", "no"), (&long, "")]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    let (share, progress) = open(config(folder.path()));
    assert_eq!(names(&share), ["a b'\"\n", "d/", "d/y", "d/ü/", "d/ü/x", "empty/", &long]);
    assert_eq!(share.summary(), Summary { files: 4, bytes: 5 });
    assert_eq!((progress.files, progress.files_done, progress.bytes_done), (4, 4, 5));
    assert_eq!(share.id_at("d/y"), Some(FileId::of(b"22")));
}

#[test]
fn a_restart_hashes_only_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let large = "x".repeat(200_000);
    write(&folder, &[("same", &large), ("renamed", &large), ("changed", "1"), ("removed", "2")]);
    let (share, progress) = open(config(folder.path()));
    assert_eq!(progress.files, 4);
    let before = offered(&share);
    drop(share);
    let (share, progress) = open(config(folder.path()));
    assert_eq!(progress.files, 0);
    assert_eq!(offered(&share), before);
    drop(share);
    write(&folder, &[("changed", "new"), ("added", "3")]);
    fs::rename(folder.path().join("renamed"), folder.path().join("d")).unwrap();
    fs::remove_file(folder.path().join("removed")).unwrap();
    let (share, progress) = open(config(folder.path()));
    assert_eq!(progress.files, 2);
    assert_eq!(names(&share), ["added", "changed", "d", "same"]);
    assert_eq!(share.id_at("d"), Some(FileId::of(large.as_bytes())));
    assert_eq!(share.manifest(FileId::of(large.as_bytes())).unwrap().hashes().len(), 4);
}

#[test]
fn a_second_share_of_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(config(folder.path()));
    let second = Share::open(config(folder.path()), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(second, Err(ShareError::Busy { .. })));
}

#[test]
fn what_cannot_be_shared_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let open = |config| Share::open(config, &mut |_| ControlFlow::Continue(())).err();
    let missing = Config { folder: folder.path().join("missing"), ..config(folder.path()) };
    assert!(matches!(open(missing), Some(ShareError::Folder { .. })));
    let prefix = Config { prefix: Some("../".to_owned()), ..config(folder.path()) };
    assert!(matches!(open(prefix), Some(ShareError::Prefix { .. })));
    let null = Config { folder: PathBuf::from("/dev/null"), ..config(folder.path()) };
    assert!(matches!(open(null), Some(ShareError::Unsuitable { .. })));
}

#[test]
fn breaking_off_keeps_what_was_hashed() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1")]);
    let broken = Share::open(config(folder.path()), &mut |_| ControlFlow::Break(()));
    assert!(matches!(broken, Err(ShareError::Stopped)));
    assert_eq!(open(config(folder.path())).1.files_done, 1);
}

#[test]
fn what_some_file_systems_take_for_our_state_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("d/a", "1"), ("d/.P2P/index", "2"), ("d/.p2p/index", "3")]);
    let (share, _) = open(config(folder.path()));
    let tree = share.offers().into_iter().find(|offer| &*offer.name == "d/").unwrap();
    let Some(Holding::Listing(_, bytes)) = share.find(tree.id, View::Bytes) else { panic!("no listing") };
    let tree = Tree::decode(&bytes).unwrap();
    assert_eq!(tree.entries().len(), 1);
    let left_out: Vec<_> = tree.left_out().named().iter().map(|missing| &*missing.path).collect();
    assert_eq!(left_out, [".P2P"], "nobody is to miss our own");
}

#[test]
fn links_are_followed_inside_the_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(&outside, &[("secret", "no")]);
    write(&folder, &[("d/file", "1"), (".p2p/state", "no")]);
    let at = |path: &str| folder.path().join(path);
    symlink("d/file", at("to-file")).unwrap();
    symlink("../d", at("d/loop")).unwrap();
    symlink("d", at("to-folder")).unwrap();
    symlink(outside.path().join("secret"), at("out")).unwrap();
    symlink(outside.path(), at("out-folder")).unwrap();
    symlink(".p2p", at("state")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("self", at("self")).unwrap();
    symlink("..", at("d/up")).unwrap();
    fs::create_dir(at("e")).unwrap();
    symlink("../f", at("e/there")).unwrap();
    fs::create_dir(at("f")).unwrap();
    symlink("../e", at("f/back")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), 0o600.into()).unwrap();
    let (share, _) = open(config(folder.path()));
    let expected =
        ["d/", "d/file", "e/", "e/there/", "f/", "f/back/", "to-file", "to-folder/", "to-folder/file"];
    assert_eq!(names(&share), expected);
}

#[test]
fn equal_contents_are_served_from_any_path_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "same"), ("b", "same")]);
    let (share, _) = open(config(folder.path()));
    let id = FileId::of(b"same");
    let path = |share: &Share| match share.find(id, View::Bytes) {
        Some(Holding::File(_, source)) => {
            assert!(matches!(share.open_source(&source.path, id).unwrap(), Standing::Sound(..)));
            Some(source.path.to_string())
        }
        _ => None,
    };
    assert_eq!(path(&share).as_deref(), Some("a"));
    write(&folder, &[("a", "other")]);
    assert_eq!(path(&share).as_deref(), Some("b"));
    fs::remove_file(folder.path().join("b")).unwrap();
    // It may have grown; that its bytes are others shows when they are asked for.
    let Standing::Doubted(file) = share.open_source("a", id).unwrap() else { panic!("not doubted") };
    assert_eq!(share.proved_chunk(id, &file, only_chunk(4)).unwrap(), None);
    share.expose("a", id);
    assert_eq!(path(&share), None);
}

/// The place of a file's only chunk.
fn only_chunk(size: u64) -> Place {
    crate::content::Layout::new(vec![Geometry::of(size).unwrap()]).unwrap().place(0).unwrap()
}

#[test]
fn a_file_that_looks_otherwise_is_served_only_if_its_bytes_prove() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1"), ("b", "2"), ("c", "3")]);
    let (share, _) = open(config(folder.path()));
    let standing = |path: &str, content: &[u8]| share.open_source(path, FileId::of(content)).unwrap();
    assert!(matches!(standing("a", b"1"), Standing::Sound(..)));
    assert!(matches!(standing("a", b"2"), Standing::Gone), "another content");
    // Longer, with the old bytes at its beginning and with others, and shorter.
    let chunk = |path: &str, content: &[u8]| match standing(path, content) {
        Standing::Doubted(file) => share.proved_chunk(FileId::of(content), &file, only_chunk(1)).unwrap(),
        standing => panic!("not doubted but {standing:?}"),
    };
    write(&folder, &[("a", "12")]);
    assert_eq!(chunk("a", b"1").unwrap(), b"1");
    write(&folder, &[("a", "21")]);
    assert_eq!(chunk("a", b"1"), None);
    write(&folder, &[("a", "")]);
    assert!(matches!(standing("a", b"1"), Standing::Gone));
    // Another mode: only the bytes can tell, and they do.
    fs::set_permissions(folder.path().join("b"), fs::Permissions::from_mode(0o755)).unwrap();
    let Standing::Doubted(file) = standing("b", b"2") else { panic!("not doubted") };
    assert_eq!(share.proved_chunk(FileId::of(b"2"), &file, only_chunk(1)).unwrap().unwrap(), b"2");
    assert!(matches!(share.find(FileId::of(b"2"), View::Bytes), Some(Holding::File(..))));
    // Written in place, with its time put back.
    let file = fs::File::options().write(true).open(folder.path().join("c")).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    std::io::Write::write_all(&mut &file, b"4").unwrap();
    file.set_modified(time).unwrap();
    let Standing::Doubted(file) = standing("c", b"3") else { panic!("not doubted") };
    assert!(share.proved_chunk(FileId::of(b"3"), &file, only_chunk(1)).unwrap().is_none());
    let before = share.withdrawals();
    share.expose("c", FileId::of(b"3"));
    assert!(share.withdrawals() > before);
    assert!(matches!(standing("c", b"3"), Standing::Gone));
}

#[test]
fn what_a_file_held_before_it_grew_is_served_and_not_offered() {
    let folder = tempfile::tempdir().unwrap();
    let old = vec![7; 300_000];
    let id = FileId::of(&old);
    fs::write(folder.path().join("log"), &old).unwrap();
    let mut followed = Followed::new(&folder);
    let manifest = followed.share.manifest(id).unwrap();
    let place = crate::content::Layout::new(vec![manifest.geometry()]).unwrap().place(1).unwrap();
    let append = |text: &str| {
        let mut file = fs::File::options().append(true).open(folder.path().join("log")).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        FileId::of(&fs::read(folder.path().join("log")).unwrap())
    };
    for text in ["once", "twice"] {
        let new = append(text);
        followed.until("hashed anew", |told| told.get("log") == Some(&new));
        let Some(Holding::File(geometry, source)) = followed.share.find(id, View::Bytes) else {
            panic!("not found")
        };
        assert_eq!(geometry, manifest.geometry());
        let Standing::Doubted(file) = followed.share.open_source(&source.path, id).unwrap() else {
            panic!("not doubted")
        };
        assert!(followed.share.proved_chunk(id, &file, place).unwrap().is_some());
        assert!(followed.share.offers_of(id).is_empty());
    }
    // That it is something else by now is nothing against what it is offered as.
    let before = followed.share.withdrawals();
    followed.share.expose("log", id);
    assert_eq!(followed.share.withdrawals(), before);
    assert!(followed.share.find(id, View::Bytes).is_none());
    assert!(matches!(followed.share.open_source("log", id).unwrap(), Standing::Gone));
}

#[test]
fn another_mode_or_name_withdraws_nothing_and_is_hashed_again() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1"), ("b", "2")]);
    let mut followed = Followed::new(&folder);
    let stamp =
        |followed: &Followed, path: &str, content: &[u8]| followed.share.stamp_of(path, FileId::of(content));
    let before = stamp(&followed, "a", b"1");
    fs::set_permissions(folder.path().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(folder.path().join("b"), folder.path().join("c")).unwrap();
    let now = Stamp::of(&folder.path().join("a").metadata().unwrap());
    followed.until_names("renamed", &["a", "c"]);
    let deadline = Instant::now() + DEADLINE;
    while stamp(&followed, "a", b"1") == before {
        assert!(Instant::now() < deadline, "it is hashed again");
        std::thread::yield_now();
    }
    assert_eq!(stamp(&followed, "a", b"1"), Some(now));
    assert!(followed.share.changes().try_iter().all(|change| change.is_empty()), "nothing was told of it");
}

#[test]
fn what_changed_with_its_time_put_back_is_offered_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "old")]);
    let mut followed = Followed::new(&folder);
    let file = fs::File::options().write(true).open(folder.path().join("a")).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    std::io::Write::write_all(&mut &file, b"new").unwrap();
    file.set_modified(time).unwrap();
    followed.until("hashed anew", |told| told.get("a") == Some(&FileId::of(b"new")));
}

#[test]
fn an_index_of_an_older_version_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1")]);
    drop(open(config(folder.path())));
    let index = folder.path().join(".p2p/index");
    let mut bytes = fs::read(&index).unwrap();
    bytes[7] = b'1';
    fs::write(&index, bytes).unwrap();
    let (share, progress) = open(config(folder.path()));
    assert_eq!((progress.files, names(&share)), (1, vec!["a".to_owned()]));
    drop(share);
    assert_eq!(open(config(folder.path())).1.files, 0);
    assert_eq!(fs::read_dir(folder.path().join(".p2p")).unwrap().count(), 1, "nothing was set aside");
}

#[test]
fn trees_are_served_as_listings_and_as_members() {
    let folder = tempfile::tempdir().unwrap();
    let large = "y".repeat(70_000);
    write(&folder, &[("t/a", "same"), ("t/b/c", &large), ("t/d", "same")]);
    fs::set_permissions(folder.path().join("t/d"), fs::Permissions::from_mode(0o755)).unwrap();
    let (share, _) = open(Config { prefix: Some("all/".to_owned()), ..config(folder.path()) });
    let id = offered(&share)["all/t/"];
    let Some(Holding::Listing(geometry, bytes)) = share.find(id, View::Bytes) else { panic!("no listing") };
    assert_eq!((FileId::of(&bytes), geometry.size()), (id, bytes.len() as u64));
    let tree = crate::content::Tree::decode(&bytes).unwrap();
    let paths: Vec<&str> = tree.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "b", "b/c", "d"]);
    let modes = tree.entries().iter().map(|entry| match entry.kind {
        TreeKind::File { looks, .. } | TreeKind::Folder(looks) => looks.mode,
        _ => panic!("no links"),
    });
    assert_eq!(modes.collect::<Vec<_>>()[3], 0o755);
    let Some(Holding::Members(members)) = share.find(id, View::Members) else { panic!("no members") };
    assert_eq!(members.layout.ids, [FileId::of(b"same"), FileId::of(large.as_bytes())]);
    let paths: Vec<_> = members.sources.iter().map(|source| &*source.path).collect();
    assert_eq!(paths, ["t/a", "t/b/c"]);
    assert!(matches!(share.find(offered(&share)["all/"], View::Members), Some(Holding::Members(_))));
    assert!(share.find(FileId::of(b"same"), View::Members).is_none());
    for (id, chunks) in [(id, 1), (FileId::of(b"same"), 1), (FileId::of(large.as_bytes()), 2)] {
        assert_eq!(share.manifest(id).unwrap().hashes().len(), chunks);
    }
    assert!(share.manifest(FileId::of(b"unknown")).is_none());
}

#[test]
fn a_single_file_is_shared_alone() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("one", "1"), ("other", "2"), ("d/one", "3")]);
    let (share, _) = open(Config { folder: folder.path().join("one"), watch: true, ..config(folder.path()) });
    let mut followed = Followed { told: offered(&share), share };
    assert_eq!(names(&followed.share), ["one"]);
    write(&folder, &[("third", "3"), ("one", "new")]);
    followed.until("changed", |told| told.get("one") == Some(&FileId::of(b"new")));
    assert_eq!(names(&followed.share), ["one"]);
}

#[test]
fn additions_changes_renames_and_removals_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1"), ("d/b", "2")]);
    let at = |path: &str| folder.path().join(path);
    let mut followed = Followed::new(&folder);
    write(&folder, &[("new", "3")]);
    followed.until_names("added", &["a", "d/", "d/b", "new"]);
    write(&folder, &[("a", "changed")]);
    let removed = followed.until("changed", |told| told.get("a") == Some(&FileId::of(b"changed")));
    assert_eq!(removed, ["a"]);
    fs::rename(at("new"), at("d/moved")).unwrap();
    followed.until_names("renamed", &["a", "d/", "d/b", "d/moved"]);
    write(&folder, &[("x/y/z/deep", "4")]);
    followed.until_names("deep", &["a", "d/", "d/b", "d/moved", "x/", "x/y/", "x/y/z/", "x/y/z/deep"]);
    fs::rename(at("x"), at("d/x")).unwrap();
    let moved = ["a", "d/", "d/b", "d/moved", "d/x/", "d/x/y/", "d/x/y/z/", "d/x/y/z/deep"];
    followed.until_names("folder moved", &moved);
    write(&folder, &[("d/x/y/late", "5")]);
    followed.until("in the moved folder", |told| told.contains_key("d/x/y/late"));
    fs::remove_dir_all(at("d")).unwrap();
    followed.until_names("removed", &["a"]);
    fs::create_dir(at("empty")).unwrap();
    followed.until_names("empty folder", &["a", "empty/"]);
}

#[test]
fn a_folder_moved_out_is_no_longer_followed() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(&folder, &[("d/a", "1"), ("b", "2")]);
    let mut followed = Followed::new(&folder);
    fs::rename(folder.path().join("d"), outside.path().join("d")).unwrap();
    followed.until_names("moved out", &["b"]);
    write(&outside, &[("d/c", "3")]);
    fs::rename(outside.path().join("d"), folder.path().join("e")).unwrap();
    followed.until_names("moved in", &["b", "e/", "e/a", "e/c"]);
}

#[test]
fn changes_are_seen_through_links() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("d/file", "1")]);
    symlink("d", folder.path().join("link")).unwrap();
    symlink("d/later", folder.path().join("dangling")).unwrap();
    symlink("/etc/passwd", folder.path().join("d/out")).unwrap();
    symlink("link/out", folder.path().join("led out")).unwrap();
    let mut followed = Followed::new(&folder);
    write(&folder, &[("d/file", "2"), ("d/later", "3")]);
    followed.until("through links", |told| {
        told.get("link/file") == Some(&FileId::of(b"2"))
            && told.get("link/later") == Some(&FileId::of(b"3"))
            && told.get("dangling") == Some(&FileId::of(b"3"))
    });
    assert!(!followed.told.contains_key("led out"));
    fs::remove_file(folder.path().join("d/out")).unwrap();
    write(&folder, &[("d/out", "4")]);
    followed.until("inside now", |told| told.get("led out") == Some(&FileId::of(b"4")));
    fs::remove_dir_all(folder.path().join("d")).unwrap();
    followed.until("removed", BTreeMap::is_empty);
}

#[test]
fn a_mode_changes_the_tree_and_not_the_file() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("d/run", "1")]);
    let mut followed = Followed::new(&folder);
    let tree = followed.told["d/"];
    fs::set_permissions(folder.path().join("d/run"), fs::Permissions::from_mode(0o755)).unwrap();
    let removed = followed.until("mode", |told| told.get("d/").is_some_and(|id| *id != tree));
    assert_eq!(removed, ["d/"]);
}

#[test]
fn a_flood_of_files_is_seen_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut followed = Followed::new(&folder);
    for n in 0..3000 {
        write(&folder, &[(&format!("{}/{}/f{n}", n % 7, n % 5), "x")]);
    }
    let whole =
        |told: &BTreeMap<String, FileId>| told.keys().filter(|name| !name.ends_with('/')).count() == 3000;
    followed.until("flood", whole);
    fs::rename(folder.path().join("3"), folder.path().join("moved")).unwrap();
    followed.until("moved", |told| {
        whole(told) && told.contains_key("moved/") && !told.keys().any(|name| name.starts_with("3/"))
    });
    assert_eq!(followed.told, offered(&followed.share));
}

#[test]
fn an_adopted_file_is_offered_without_hashing() {
    let folder = tempfile::tempdir().unwrap();
    let mut followed = Followed::new(&folder);
    let content = "z".repeat(100_000);
    write(&folder, &[("got/it", &content)]);
    let geometry = Geometry::of(100_000).unwrap();
    let hash = |n: u32, data: &[u8]| hash_chunk(geometry, geometry.index(n).unwrap(), data);
    let bytes = content.as_bytes();
    let hashes = vec![hash(0, &bytes[..65_536]), hash(1, &bytes[65_536..])];
    let path = SafeName::new("got/it").unwrap();
    let stamp = Stamp::of(&folder.path().join("got/it").metadata().unwrap());
    let id = FileId::of(bytes);
    followed.share.adopt("", vec![Adopted { path, id, hashes, stamp }], &[]);
    assert_eq!(followed.share.id_at("got/it"), Some(id));
    followed.until_names("adopted", &["got/", "got/it"]);
    assert_eq!(followed.share.manifest(id).unwrap().hashes().len(), 2);
    drop(followed);
    assert_eq!(open(config(folder.path())).1.files, 0);
}

#[test]
fn an_adopted_file_that_has_changed_is_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let mut followed = Followed::new(&folder);
    write(&folder, &[("got", "fetched")]);
    let mut stamp = Stamp::of(&folder.path().join("got").metadata().unwrap());
    stamp.mtime_ns -= 1;
    let path = SafeName::new("got").unwrap();
    followed.share.adopt(
        "",
        vec![Adopted { path, id: FileId::of(b"what came"), hashes: Vec::new(), stamp }],
        &[],
    );
    followed.until_names("hashed", &["got"]);
    assert_eq!(followed.share.id_at("got"), Some(FileId::of(b"fetched")));
}

#[test]
fn a_withdrawn_file_is_hashed_again() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1")]);
    let mut followed = Followed::new(&folder);
    followed.share.withdraw("a");
    assert_eq!(names(&followed.share), [""; 0]);
    followed.until_names("withdrawn", &[]);
    followed.until_names("hashed again", &["a"]);
}

#[test]
fn a_disk_that_fails_once_withdraws_nothing_and_what_it_failed_at_is_proved_until_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1")]);
    let followed = Followed::new(&folder);
    let (share, id, path) = (&followed.share, FileId::of(b"1"), Arc::from("a"));
    assert!(matches!(share.open_source("a", id).unwrap(), Standing::Sound(..)));
    let before = share.withdrawals();
    share.judge(&path, id, Err(disk_failure()));
    assert_ne!(share.withdrawals(), before, "whoever has it open looks again");
    assert_eq!(names(share), ["a"]);
    // By now it may have been read again.
    let deadline = Instant::now() + DEADLINE;
    while !matches!(share.open_source("a", id).unwrap(), Standing::Sound(..)) {
        assert_eq!(names(share), ["a"]);
        assert!(Instant::now() < deadline, "it is never read again");
        std::thread::yield_now();
    }
    assert!(share.changes().is_empty(), "nobody was told of anything");
}

#[test]
fn a_file_that_cannot_be_hashed_for_now_stays_what_it_was_and_a_new_one_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1")]);
    let mut followed = Followed::new(&folder);
    let fail = |share: &Share, path: &str| {
        let path: Arc<str> = Arc::from(path);
        let found = Found::of(&folder.path().join(&*path).metadata().unwrap());
        share.core.write().hashing.insert(path.clone(), found.stamp);
        share.core.settle(vec![(hash::Job { path, found }, hash::Outcome::Failed(disk_failure()))]);
    };
    fail(&followed.share, "a");
    assert_eq!(names(&followed.share), ["a"]);
    write(&folder, &[("b", "2")]);
    fail(&followed.share, "b");
    let removed = followed.until_names("the new one is tried again", &["a", "b"]);
    assert!(removed.is_empty(), "{removed:?}");
}

#[test]
fn a_short_read_of_a_file_that_is_as_long_as_it_was_is_a_failure_of_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "123")]);
    let file = fs::File::open(folder.path().join("a")).unwrap();
    let shorter = read_at(&file, &mut [0; 4], 0).unwrap_err();
    assert!(!is_passing(&shorter), "it is shorter");
    // Files of the kernel say that they are a page long and end before.
    let Ok(kernel) = fs::File::open("/sys/kernel/uevent_seqnum") else { return };
    let short = read_at(&kernel, &mut [0; 4000], 0).unwrap_err();
    assert!(is_passing(&short), "{short}");
}

#[test]
fn where_the_state_cannot_be_kept_files_are_shared_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1"), ("file", "")]);
    let state = folder.path().join("file/state");
    let (share, _) = open(Config { state, ..config(folder.path()) });
    assert_eq!(names(&share), ["a", "file"]);
}

#[test]
fn lost_chunk_hashes_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let content = "w".repeat(100_000);
    write(&folder, &[("a", &content)]);
    let mut followed = Followed::new(&folder);
    let id = FileId::of(content.as_bytes());
    followed.share.core.index.remove_hashes([id]);
    assert!(followed.share.manifest(id).is_none());
    followed.until_names("withdrawn", &[]);
    followed.until_names("hashed again", &["a"]);
    assert!(followed.share.manifest(id).is_some());
}
