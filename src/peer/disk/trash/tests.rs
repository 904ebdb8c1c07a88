//! What goes to the trash, and what does not: nothing that its user made, changed or led elsewhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::content::{FileId, LeftOut, Missing, Reason, SafeName, Tree, TreeEntry, TreeKind};

const FOLDERS: [&str; 2] = ["d", "d/e"];
/// Each holds its own path.
const FILES: [&str; 3] = ["a", "d/b", "d/e/c"];
const LINKS: [(&str, &str); 2] = [("d/l", "../a"), ("l", "a")];

/// A folder as it was fetched, with the record of that.
fn fetched() -> (TempDir, Got) {
    let place = tempfile::tempdir().unwrap();
    let mut record = String::new();
    for path in FOLDERS {
        fs::create_dir(place.path().join(path)).unwrap();
        record += &format!("{{\"folder\":\"{path}\"}}\n");
    }
    for path in FILES {
        fs::write(place.path().join(path), path).unwrap();
        let id = FileId::of(path.as_bytes());
        record += &format!("{{\"path\":\"{path}\",\"id\":\"{id}\",\"in_tree\":true}}\n");
    }
    for (path, target) in LINKS {
        symlink(target, place.path().join(path)).unwrap();
        record += &format!("{{\"path\":\"{path}\",\"link\":\"{target}\"}}\n");
    }
    (place, Got::parse(record.as_bytes()))
}

/// The new version: only `a` is left of it, and this its source could not list.
fn plan(missing: Option<&str>) -> Plan {
    let looks = Looks { mode: 0o644, mtime_ns: 1 };
    let kind = TreeKind::File { looks, size: 1, id: FileId::of(b"a") };
    let entries = vec![TreeEntry { path: SafeName::new("a").unwrap(), kind }];
    let missing = missing.map(|path| Missing { path: path.to_owned(), reason: Reason::Unreadable });
    Plan::tree(&Tree::new(0o755, entries, LeftOut::new(missing)).unwrap()).unwrap()
}

fn retired(got: &Got, plan: &Plan, root: &Path) -> (Trashed, Vec<String>) {
    let root = Folder::open(root).unwrap();
    retire(got, plan, &root, HashSet::new(), Trash::default(), &|| false)
}

/// All that lies in a folder but the state, in order of paths.
fn all(folder: &Path) -> Vec<String> {
    fn within(folder: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() && path != ".p2p" {
                within(&entry.path(), &format!("{path}/"), found);
            }
            if path != ".p2p" {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    within(folder, "", &mut found);
    found.sort();
    found
}

#[test]
fn what_the_new_version_lacks_goes_at_its_path_with_folders_that_are_empty_then() {
    let (place, got) = fetched();
    let (trashed, gone) = retired(&got, &plan(None), place.path());
    assert_eq!((trashed.files, &*trashed.trouble), (4, ""));
    assert_eq!(trashed.paths, ["d/b", "d/e/c", "d/l", "l"]);
    assert_eq!(gone, ["d/b", "d/e/c", "d/l", "l", "d/e", "d"]);
    assert_eq!(all(place.path()), ["a"]);
    let trash = Path::new(&trashed.folder);
    assert_eq!(trash.parent(), Some(&*place.path().join(TRASH)));
    assert_eq!(all(trash), ["d", "d/b", "d/e", "d/e/c", "d/l", "l"]);
    assert_eq!(fs::read_to_string(trash.join("d/e/c")).unwrap(), "d/e/c");
    assert_eq!(fs::read_link(trash.join("d/l")).unwrap(), Path::new("../a"));
}

#[test]
fn what_its_user_made_or_changed_stays_with_the_folders_it_lies_in() {
    let (place, got) = fetched();
    let at = |path: &str| place.path().join(path);
    fs::write(at("d/b"), "changed").unwrap();
    fs::write(at("d/e/mine"), "mine").unwrap();
    fs::remove_file(at("l")).unwrap();
    symlink("elsewhere", at("l")).unwrap();
    let (trashed, gone) = retired(&got, &plan(None), place.path());
    assert_eq!(trashed.paths, ["d/e/c", "d/l"]);
    assert_eq!(gone, ["d/e/c", "d/l"]);
    assert_eq!(all(place.path()), ["a", "d", "d/b", "d/e", "d/e/mine", "l"]);
}

#[test]
fn what_is_there_no_more_is_forgotten_and_makes_no_trash() {
    let (place, got) = fetched();
    fs::remove_dir_all(place.path().join("d")).unwrap();
    fs::remove_file(place.path().join("l")).unwrap();
    let (trashed, gone) = retired(&got, &plan(None), place.path());
    assert_eq!(trashed, Trashed::default());
    assert_eq!(gone, ["d/b", "d/e/c", "d/l", "l", "d/e", "d"]);
    assert!(!place.path().join(TRASH).exists());
}

#[test]
fn no_link_leads_to_what_lies_elsewhere() {
    let (place, got) = fetched();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(place.path().join("d"), elsewhere.path().join("d")).unwrap();
    symlink(elsewhere.path().join("d"), place.path().join("d")).unwrap();
    let (trashed, gone) = retired(&got, &plan(None), place.path());
    assert_eq!((trashed.paths, gone), (vec!["l".to_owned()], vec!["l".to_owned()]));
    assert_eq!(all(elsewhere.path()), ["d", "d/b", "d/e", "d/e/c", "d/l"]);
    let root = Folder::open(place.path()).unwrap();
    assert!(!retire_folder(&got, &root, HashSet::new(), &mut Trash::default(), "d").unwrap());
    assert_eq!(all(elsewhere.path()).len(), 5);
}

#[test]
fn what_the_source_may_have_and_could_not_list_stays() {
    let (place, got) = fetched();
    let (trashed, gone) = retired(&got, &plan(Some("d")), place.path());
    assert_eq!((trashed.paths, gone), (vec!["l".to_owned()], vec!["l".to_owned()]));
    assert_eq!(all(place.path()), ["a", "d", "d/b", "d/e", "d/e/c", "d/l"]);
}

#[test]
fn who_stops_it_finds_what_has_not_gone_where_it_was() {
    let (place, got) = fetched();
    let root = Folder::open(place.path()).unwrap();
    let left = std::cell::Cell::new(3);
    let stop = || left.replace(left.get() - 1) == 1;
    let (trashed, gone) = retire(&got, &plan(None), &root, HashSet::new(), Trash::default(), &stop);
    assert_eq!(
        (trashed.paths, gone),
        (vec!["d/b".into(), "d/e/c".into()], ["d/b", "d/e/c", "d/e"].map(String::from).into())
    );
    assert_eq!(all(place.path()), ["a", "d", "d/l", "l"]);
}

#[test]
fn each_fetch_has_a_folder_of_its_own_in_the_trash() {
    let (place, got) = fetched();
    let (first, _) = retired(&got, &plan(None), place.path());
    symlink("a", place.path().join("l")).unwrap();
    let (second, _) = retired(&got, &plan(None), place.path());
    assert_ne!(first.folder, second.folder);
    assert_eq!(
        (all(Path::new(&first.folder)).len(), all(Path::new(&second.folder))),
        (6, vec!["l".to_owned()])
    );
}

#[test]
fn a_folder_that_was_closed_is_closed_again() {
    let (place, got) = fetched();
    fs::write(place.path().join("d/mine"), "").unwrap();
    let mode = |mode| fs::set_permissions(place.path().join("d"), fs::Permissions::from_mode(mode));
    mode(0o500).unwrap();
    let (trashed, _) = retired(&got, &plan(None), place.path());
    assert_eq!((trashed.files, &*trashed.trouble), (4, ""));
    assert_eq!(fs::metadata(place.path().join("d")).unwrap().mode() & 0o777, 0o500);
    assert_eq!(all(place.path()), ["a", "d", "d/mine"]);
}

#[test]
fn a_file_of_the_new_version_stays_under_its_only_name() {
    let (place, got) = fetched();
    let inode = fs::metadata(place.path().join("d/b")).unwrap().ino();
    let root = Folder::open(place.path()).unwrap();
    let of_new = || HashSet::from([inode]);
    let (trashed, _) = retire(&got, &plan(None), &root, of_new(), Trash::default(), &|| false);
    assert_eq!(trashed.paths, ["d/e/c", "d/l", "l"]);
    fs::hard_link(place.path().join("d/b"), place.path().join("b")).unwrap();
    let (trashed, _) = retire(&got, &plan(None), &root, of_new(), Trash::default(), &|| false);
    assert_eq!(trashed.paths, ["d/b"], "the other name is that of the new version");
    assert_eq!(all(place.path()), ["a", "b"]);
}

#[test]
fn a_folder_is_all_own_only_if_nothing_in_it_is_anybody_elses() {
    let is_own = |change: &dyn Fn(&Path)| {
        let (place, got) = fetched();
        change(&place.path().join("d"));
        is_all_own(&got, &Folder::open(place.path()).unwrap(), HashSet::new(), "d").unwrap()
    };
    assert!(is_own(&|_| {}));
    assert!(is_own(&|d| fs::remove_file(d.join("b")).unwrap()), "what is missing is nobody's");
    assert!(!is_own(&|d| fs::write(d.join("e/mine"), "").unwrap()));
    assert!(!is_own(&|d| fs::write(d.join("b"), "changed").unwrap()));
    assert!(!is_own(&|d| fs::create_dir(d.join("e/made")).unwrap()));
    assert!(!is_own(&|d| {
        fs::remove_file(d.join("l")).unwrap();
        symlink("../other", d.join("l")).unwrap();
    }));
}

#[test]
fn a_folder_goes_with_what_was_put_into_it_and_nothing_beside_it() {
    let (place, got) = fetched();
    let root = Folder::open(place.path()).unwrap();
    let mut trash = Trash::default();
    assert!(retire_folder(&got, &root, HashSet::new(), &mut trash, "d/e").unwrap());
    assert!(retire_folder(&got, &root, HashSet::new(), &mut trash, "d").unwrap());
    assert_eq!(trash.trashed.paths, ["d/e/c", "d/b", "d/l"]);
    assert_eq!(all(place.path()), ["a", "l"]);
    assert_eq!(all(Path::new(&trash.trashed.folder)), ["d", "d/b", "d/e", "d/e/c", "d/l"], "one run has one");
    assert!(retire_folder(&got, &root, HashSet::new(), &mut trash, "d").unwrap(), "it is gone already");
    let (place, got) = fetched();
    fs::write(place.path().join("d/mine"), "").unwrap();
    let root = Folder::open(place.path()).unwrap();
    assert!(!retire_folder(&got, &root, HashSet::new(), &mut Trash::default(), "d").unwrap());
    assert_eq!(all(place.path()), ["a", "d", "d/mine", "l"]);
}
