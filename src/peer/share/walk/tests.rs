//! Walks of real folders, with the exact list of what is found.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use super::*;

fn walker(folder: &TempDir) -> Walker {
    Walker {
        root: fs::canonicalize(folder.path()).unwrap(),
        only: None,
        prefix: String::new(),
        state: None,
        threads: 3,
        most: usize::MAX,
        visitor: None,
        selection: Selection::default(),
    }
}

fn write(folder: &TempDir, files: &[&str]) {
    for path in files {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, path).unwrap();
    }
}

fn links(folder: &TempDir, links: &[(&str, &str)]) {
    for (at, text) in links {
        symlink(text, folder.path().join(at)).unwrap();
    }
}

/// The paths in a list.
fn paths<T>(list: &[(Arc<str>, T)]) -> Vec<String> {
    let mut paths: Vec<String> = list.iter().map(|(path, _)| path.to_string()).collect();
    paths.sort();
    paths
}

/// Each link: its path, what is to be written in it, and where it leads in the end.
fn linked(scan: &Scan) -> Vec<(&str, &str, &str)> {
    let mut links: Vec<_> =
        scan.links.iter().map(|(path, link)| (&**path, &*link.text, &*link.target)).collect();
    links.sort_unstable();
    let mut followed: Vec<_> = scan.followed.iter().map(|link| (&*link.shown, &*link.target)).collect();
    followed.sort_unstable();
    assert_eq!(followed, links.iter().map(|(shown, _, target)| (*shown, *target)).collect::<Vec<_>>());
    links
}

fn left_out(scan: &Scan) -> Vec<(&str, Reason)> {
    let mut left_out: Vec<_> = scan.left_out.iter().map(|(path, why)| (&**path, *why)).collect();
    left_out.sort_by_key(|(path, _)| *path);
    left_out
}

#[test]
fn all_kinds_of_things_are_found_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(&outside, &["secret"]);
    write(&folder, &["file", "d/file", "d/sub/inner", ".p2p/index", "d/.p2p/got", "d/.P2P/x"]);
    let at = |path: &str| folder.path().join(path);
    fs::create_dir(at("empty")).unwrap();
    fs::set_permissions(at("d/file"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::hard_link(at("d/file"), at("d/other name")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), 0o600.into()).unwrap();
    let _socket = UnixListener::bind(at("d/socket")).unwrap();
    fs::write(at("d").join(OsStr::from_bytes(b"no \xff name")), "").unwrap();
    links(&folder, &[("to-file", "d/file"), ("d/up", ".."), ("none", "nowhere"), ("round", "round")]);
    let secret = outside.path().join("secret");
    links(&folder, &[("out", secret.to_str().unwrap()), ("own", ".p2p/index"), ("to-pipe", "pipe")]);
    let walker = walker(&folder);
    let scan = walker.scan("");
    assert_eq!(&*scan.scope, "");
    let files: Vec<_> = scan
        .files
        .iter()
        .map(|(path, found)| (&**path, found.stamp.size, found.mode, found.linked))
        .collect();
    let expected = [
        ("d/file", 6, 0o750, true),
        ("d/other name", 6, 0o750, true),
        ("d/sub/inner", 11, 0o644, false),
        ("file", 4, 0o644, false),
        ("to-file", 6, 0o750, true),
    ];
    assert_eq!(files, expected);
    let looks = |path: &str| (Arc::from(path), looks_of(&at(path).metadata().unwrap()));
    assert_eq!(scan.folders, ["d", "d/sub", "empty"].map(looks));
    let expected = [
        ("d/up", "..", ""),
        ("none", "nowhere", "nowhere"),
        ("round", "round", "round"),
        ("to-file", "d/file", "d/file"),
        ("to-pipe", "pipe", "pipe"),
    ];
    assert_eq!(linked(&scan), expected);
    let expected = [
        ("d/.P2P", Reason::Name),
        ("d/no \\xff name", Reason::Name),
        ("d/socket", Reason::Special),
        ("out", Reason::Outside),
        ("own", Reason::Outside),
        ("pipe", Reason::Special),
        ("to-pipe", Reason::Special),
    ];
    assert_eq!(left_out(&scan), expected);
    assert!(scan.above.is_empty() && scan.unseen.is_empty());
    for threads in [1, 8] {
        let again = Walker { threads, ..self::walker(&folder) }.scan("");
        assert_eq!((&again.files, &again.folders), (&scan.files, &scan.folders), "{threads} threads");
        assert_eq!((linked(&again), left_out(&again)), (linked(&scan), left_out(&scan)));
    }
}

#[test]
fn where_the_root_has_a_name_it_is_a_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["d/a"]);
    let scan = Walker { prefix: "all/".to_owned(), ..walker(&folder) }.scan("");
    assert_eq!(paths(&scan.folders), ["", "d"]);
}

#[test]
fn what_nobody_may_read_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["open", "shut", "d/shut away"]);
    let shut = |path: &str| {
        fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(0o000)).unwrap();
    };
    shut("shut");
    shut("d");
    let scan = walker(&folder).scan("");
    if rustix::process::geteuid().is_root() {
        assert_eq!((paths(&scan.files), left_out(&scan)), (owned(&["d/shut away", "open", "shut"]), vec![]));
        return;
    }
    fs::set_permissions(folder.path().join("d"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(paths(&scan.files), ["open"]);
    assert_eq!(left_out(&scan), [("d", Reason::Unreadable), ("shut", Reason::Unreadable)]);
    assert!(scan.folders.is_empty());
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_walk_that_begins_below_finds_there_what_one_from_the_root_does() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["a", "d/e/f/file", "d/e/g", "d/h"]);
    links(&folder, &[("l", "d/e"), ("d/e/f/back", "../g")]);
    let walker = walker(&folder);
    let all = walker.scan("");
    for scope in ["d", "d/e", "d/e/f", "d/e/g", "l", "l/f", "l/f/file", "a"] {
        let scan = walker.scan(scope);
        assert_eq!(&*scan.scope, scope);
        let below = |path: &Arc<str>| is_within(path, scope);
        let files: Vec<_> = all.files.iter().filter(|(path, _)| below(path)).cloned().collect();
        let folders: Vec<_> = all.folders.iter().filter(|(path, _)| below(path)).cloned().collect();
        assert_eq!((&scan.files, &scan.folders), (&files, &folders), "{scope}");
        assert_eq!(scan.is_of_a_file(), ["d/e/g", "l/f/file", "a"].contains(&scope), "{scope}");
        let above = scope.match_indices('/').map(|(at, _)| scope[..at].to_owned());
        assert_eq!(paths(&scan.above), [String::new()].into_iter().chain(above).collect::<Vec<_>>());
        let links: Vec<_> = linked(&all).into_iter().filter(|(at, ..)| is_within(at, scope)).collect();
        let on_the_way = if scope.starts_with("l/") { &[("l", "d/e", "d/e")][..] } else { &[] };
        assert_eq!(linked(&scan), [on_the_way, &links].concat(), "{scope}");
    }
    assert_eq!(linked(&all)[1], ("l", "d/e", "d/e"));
    assert_eq!(linked(&all)[2], ("l/f/back", "../../d/e/g", "d/e/g"), "it leads to the same");
    for scope in ["none", "a/none", "d/none/none", ".p2p"] {
        let scan = walker.scan(scope);
        assert!(scan.files.is_empty() && scan.folders.is_empty() && scan.left_out.is_empty(), "{scope}");
    }
}

#[test]
fn what_appears_while_it_is_looked_for_is_found_and_what_vanishes_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["d/a", "gone/b"]);
    let root = folder.path().to_owned();
    let visitor = move |path: &str| match path {
        "d" => fs::write(root.join("d/new"), "").unwrap(),
        "gone" => fs::remove_dir_all(root.join("gone")).unwrap(),
        other => assert_eq!(other, ""),
    };
    let scan = Walker { visitor: Some(Box::new(visitor)), ..walker(&folder) }.scan("");
    assert_eq!(paths(&scan.files), ["d/a", "d/new"]);
    assert_eq!(paths(&scan.folders), ["d"]);
    assert!(scan.left_out.is_empty() && scan.unseen.is_empty(), "{scan:?}");
    fs::remove_dir_all(folder.path()).unwrap();
    let scan = walker_of_nothing(&folder).scan("");
    assert!(scan.files.is_empty() && scan.left_out.is_empty() && scan.unseen.is_empty());
}

fn walker_of_nothing(folder: &TempDir) -> Walker {
    let elsewhere = tempfile::tempdir().unwrap();
    Walker { root: folder.path().to_owned(), ..walker(&elsewhere) }
}

#[test]
fn a_folder_is_visited_as_it_really_is_by_each_way_to_it() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["d/a"]);
    links(&folder, &[("l", "d")]);
    let visited = Arc::new(Mutex::new(Vec::new()));
    let visitor = {
        let visited = visited.clone();
        move |path: &str| lock(&visited).push(path.to_owned())
    };
    let scan = Walker { visitor: Some(Box::new(visitor)), ..walker(&folder) }.scan("");
    assert_eq!(paths(&scan.files), ["d/a", "l/a"]);
    let mut visited = std::mem::take(&mut *lock(&visited));
    visited.sort();
    assert_eq!(visited, ["", "d", "d"]);
}

#[test]
fn of_one_file_that_is_shared_alone_nothing_else_is_found() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["one", "other", "d/one"]);
    links(&folder, &[("link", "one")]);
    let walker = Walker { only: Some("one".to_owned()), ..walker(&folder) };
    let scan = walker.scan("");
    assert_eq!((paths(&scan.files), scan.folders.len(), scan.links.len()), (owned(&["one"]), 0, 0));
    assert!(walker.shares("one") && !walker.shares("other") && !walker.shares("d/one"));
    assert!(walker.scan("d/one").files.is_empty());
}

#[test]
fn the_state_folder_is_not_found_under_whatever_name() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["a", "state/index", "d/state"]);
    links(&folder, &[("l", "state")]);
    let walker = Walker { state: Some("state".to_owned()), ..walker(&folder) };
    let scan = walker.scan("");
    assert_eq!((paths(&scan.files), paths(&scan.folders)), (owned(&["a", "d/state"]), owned(&["d"])));
    assert!(walker.shares("a") && walker.shares("state2") && !walker.shares("state/index"));
}

#[test]
fn links_that_lead_round_in_a_circle_end() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["d/a", "e/b"]);
    links(&folder, &[("d/self", "."), ("d/e", "../e"), ("e/d", "../d"), ("d/up", "..")]);
    let scan = walker(&folder).scan("");
    assert_eq!(paths(&scan.files), ["d/a", "d/e/b", "e/b", "e/d/a"]);
    assert_eq!(paths(&scan.folders), ["d", "d/e", "e", "e/d"]);
    let links: Vec<_> = linked(&scan).into_iter().map(|(at, ..)| at).collect();
    let expected = ["d/e", "d/e/d", "d/self", "d/up", "e/d", "e/d/e", "e/d/self", "e/d/up"];
    assert_eq!(links, expected, "they are there all the same");
}

#[test]
fn too_much_is_cut_and_said() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..20 {
        write(&folder, &[&format!("{n}/a"), &format!("{n}/b")]);
    }
    let limited = |most, threads| Walker { most, threads, ..walker(&folder) }.scan("");
    let whole = limited(60, 4);
    assert_eq!((whole.files.len(), whole.folders.len(), left_out(&whole)), (40, 20, vec![]));
    for threads in [1, 4] {
        let cut = limited(59, threads);
        assert_eq!(left_out(&cut), [(THE_REST, Reason::TooLarge)], "{threads} threads count together");
        let cut = limited(30, threads);
        assert!(cut.files.len() < 20, "{} files", cut.files.len());
    }
}

#[test]
fn what_no_name_can_say_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let deep = |depth: usize| vec!["d"; depth].join("/");
    fs::create_dir_all(folder.path().join(deep(Tree::MAX_DEPTH + 1))).unwrap();
    let scan = walker(&folder).scan("");
    assert_eq!(scan.folders.len(), Tree::MAX_DEPTH);
    assert_eq!(left_out(&scan), [(&*deep(Tree::MAX_DEPTH + 1), Reason::TooLarge)]);
}

#[test]
fn a_file_that_is_too_large_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &["a", "b"]);
    let file = fs::File::options().write(true).open(folder.path().join("a")).unwrap();
    if file.set_len(Geometry::MAX_SIZE + 1).is_err() {
        return; // nor can it be made on this file system
    }
    let scan = walker(&folder).scan("");
    assert_eq!((paths(&scan.files), left_out(&scan)), (owned(&["b"]), vec![("a", Reason::TooLarge)]));
}

#[test]
fn a_link_is_written_so_that_it_leads_to_the_same_from_where_it_is_shown() {
    let folder = |shown: &str, real: &str| Folder {
        shown: Arc::from(shown),
        real: Arc::from(real),
        looks: Looks { mode: 0, mtime_ns: 0 },
        jumps: None,
    };
    let cases = [
        (folder("d", "d"), "d/l", "../x", "x", Some("../x")),
        (folder("d", "d"), "d/l", "/abs/x", "x", Some("../x")),
        (folder("d", "d"), "d/l", "../../root/x", "x", Some("../x")),
        (folder("l/d", "d"), "l/d/k", "../x", "x", Some("../../x")),
        (folder("l/d", "d"), "l/d/k", "x", "d/x", Some("x")),
    ];
    for (from, shown, text, target, expected) in cases {
        assert_eq!(written(&from, shown, text, target).as_deref(), expected, "{shown} -> {text}");
    }
}

#[test]
fn a_path_that_is_not_there_is_taken_by_its_name() {
    let taken = |path: &str| without_looking(Path::new(path)).to_str().unwrap().to_owned();
    assert_eq!(taken("/a/none/../b"), "/a/b");
    assert_eq!(taken("/a/./b"), "/a/b");
    assert_eq!(taken("/../a"), "/a");
    assert_eq!(escaped(OsStr::from_bytes(b"a\xff\x01b")), "a\\xff\x01b");
}
