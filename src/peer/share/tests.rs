//! Shares of real folders, and what tests of the parts need to have one. Nothing sleeps: changes are waited for through
//! the channel.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::content::{Geometry, Tree, TreeKind, hash_chunk};
use crate::peer::stamp::Stamp;

/// What a change may take until it is told, on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn config(folder: &Path) -> Config {
    Config {
        folder: folder.to_owned(),
        prefix: None,
        state: folder.join(".p2p"),
        selection: Default::default(),
        watch: false,
        threads: 2,
    }
}

pub(super) fn open(config: Config) -> (Arc<Share>, Progress) {
    let mut last = Progress::default();
    let share = Share::open(config, &mut |progress| {
        last = progress;
        ControlFlow::Continue(())
    });
    (share.unwrap(), last)
}

pub(super) fn write(folder: &TempDir, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

pub(super) fn offered(share: &Share) -> BTreeMap<String, FileId> {
    share.offers().into_iter().map(|offer| (offer.name.to_string(), offer.id)).collect()
}

pub(super) fn names(share: &Share) -> Vec<String> {
    offered(share).into_keys().collect()
}

fn id_at(share: &Share, path: &str) -> Option<FileId> {
    share.core.read().catalogue.file(path).map(|record| record.id)
}

/// A share that is followed through its changes alone.
pub(super) struct Followed {
    pub(super) share: Arc<Share>,
    pub(super) told: BTreeMap<String, FileId>,
}

impl Followed {
    pub(super) fn new(folder: &TempDir) -> Followed {
        let (share, _) = open(Config { watch: true, ..config(folder.path()) });
        let told = offered(&share);
        Followed { share, told }
    }

    /// Takes in changes until what was told is as wanted, and gives the removals on the way.
    pub(super) fn until(
        &mut self,
        what: &str,
        wanted: impl Fn(&BTreeMap<String, FileId>) -> bool,
    ) -> Vec<String> {
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

    pub(super) fn until_names(&mut self, what: &str, names: &[&str]) -> Vec<String> {
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
    assert_eq!(id_at(&share, "d/y"), Some(FileId::of(b"22")));
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
    assert_eq!(id_at(&share, "d"), Some(FileId::of(large.as_bytes())));
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
    let alone = Noted::Alone("got/it".to_owned(), id);
    followed.share.adopt("", vec![Adopted { path, id, hashes, stamp }], &[], alone);
    assert_eq!(id_at(&followed.share, "got/it"), Some(id));
    followed.until_names("adopted", &["got/", "got/it"]);
    assert!(followed.share.offers_of(id).iter().all(|offer| !offer.original), "no record was read for that");
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
        Noted::Nothing,
    );
    followed.until_names("hashed", &["got"]);
    assert_eq!(id_at(&followed.share, "got"), Some(FileId::of(b"fetched")));
}

#[test]
fn where_the_state_cannot_be_kept_files_are_shared_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1"), ("file", "")]);
    let state = folder.path().join("file/state");
    let (share, _) = open(Config { state, ..config(folder.path()) });
    assert_eq!(names(&share), ["a", "file"]);
}
