//! What happens in a shared folder, as it is told to trackers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::content::FileId;
use crate::peer::share::job::{Job, Outcome};
use crate::peer::share::reading::disk_failure;
use crate::peer::share::record::Found;
use crate::peer::share::state::Unsure;
use crate::peer::share::tests::{DEADLINE, Followed, config, names, offered, open, write};
use crate::peer::share::{Config, Share, doubt};
use crate::peer::stamp::Stamp;

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
fn another_mode_or_name_withdraws_nothing_and_is_hashed_again() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1"), ("b", "2")]);
    let mut followed = Followed::new(&folder);
    let stamp = |followed: &Followed, path: &str, content: &[u8]| {
        doubt::stamp_of(&followed.share.core, path, FileId::of(content))
    };
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
fn a_file_that_cannot_be_hashed_for_now_stays_what_it_was_and_a_new_one_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1")]);
    let mut followed = Followed::new(&folder);
    let fail = |share: &Share, path: &str| {
        let path: Arc<str> = Arc::from(path);
        let found = Found::of(&folder.path().join(&*path).metadata().unwrap());
        let unsure = Unsure { doubted: vec![(path.clone(), found)], ..Unsure::default() };
        let failed = vec![(Job { path, found }, Outcome::Failed(disk_failure()))];
        let now = Instant::now();
        share.core.step(|state| state.sort_out(unsure, Vec::new(), (now, SystemTime::now())));
        share.core.step(|state| ((), state.settle(failed, now)));
    };
    fail(&followed.share, "a");
    assert_eq!(names(&followed.share), ["a"]);
    write(&folder, &[("b", "2")]);
    fail(&followed.share, "b");
    let removed = followed.until_names("the new one is tried again", &["a", "b"]);
    assert!(removed.is_empty(), "{removed:?}");
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
