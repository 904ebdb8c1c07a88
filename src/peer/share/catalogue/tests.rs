//! The catalogue against one built anew, and the offers it makes.

use super::super::record::{Found, Symlink};
use super::*;
use crate::content::TreeKind;
use crate::peer::stamp::Stamp;

fn record(content: &str) -> Record {
    let stamp = Stamp { size: content.len() as u64, mtime_ns: 1, inode: 1, ctime_ns: 1 };
    Record { stamp, mode: 0o644, linked: false, id: FileId::of(content.as_bytes()) }
}

fn entered(files: &[(&str, &str)]) -> Vec<(Arc<str>, Record)> {
    files.iter().map(|(path, content)| (Arc::from(*path), record(content))).collect()
}

/// Takes a step, and makes the trees again.
fn step(catalogue: &mut Catalogue, delta: Delta) -> Change {
    let mut change = catalogue.apply(delta);
    let trees = catalogue.renew_all();
    assert!(catalogue.is_fresh());
    change.added.extend(trees.added);
    change.removed.extend(trees.removed);
    change
}

fn names(offers: &[Offer]) -> Vec<&str> {
    offers.iter().map(|offer| &*offer.name).collect()
}

fn removed(change: &Change) -> Vec<&str> {
    change.removed.iter().map(|(name, _)| &**name).collect()
}

#[test]
fn every_folder_but_the_root_is_a_tree() {
    let mut catalogue = Catalogue::new(None);
    let folders_new = vec![(Arc::from("a/empty"), UNSEEN)];
    let change = step(
        &mut catalogue,
        Delta {
            entered: entered(&[("top", "x"), ("a/b/f", "yy"), ("a/g", "x")]),
            folders_new,
            ..Delta::default()
        },
    );
    assert_eq!(names(&change.added), ["top", "a/b/f", "a/g", "a/", "a/b/", "a/empty/"]);
    assert_eq!(change.removed, []);
    let mut offers = change.added.clone();
    offers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut all = catalogue.offers();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(all, offers);
    let tree = catalogue.below("a").unwrap().tree().unwrap();
    let listed: Vec<_> = tree.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(listed, ["b", "b/f", "empty", "g"]);
    let offer = offers.iter().find(|offer| &*offer.name == "a/").unwrap();
    assert_eq!((offer.id, offer.total, offer.chunks), (FileId::of(&tree.encode()), 3, 2));
    assert_eq!(catalogue.summary(), Summary { files: 3, bytes: 4 });
}

#[test]
fn with_a_prefix_the_root_is_a_tree_too() {
    let mut catalogue = Catalogue::new(Some("photos/".to_owned()));
    let change = step(&mut catalogue, Delta { entered: entered(&[("a/b", "x")]), ..Delta::default() });
    assert_eq!(names(&change.added), ["photos/a/b", "photos/", "photos/a/"]);
    let below = catalogue.below_with(change.added[1].id).unwrap();
    assert_eq!(FileId::of(&below.tree().unwrap().encode()), change.added[1].id);
    assert!(!below.is_stale() && catalogue.below_with(FileId::of(b"x")).is_none());
}

#[test]
fn a_changed_file_changes_the_trees_above_it_and_no_others() {
    let mut catalogue = Catalogue::new(None);
    step(
        &mut catalogue,
        Delta { entered: entered(&[("a/b/f", "1"), ("a/c/g", "2"), ("d/h", "3")]), ..Delta::default() },
    );
    let change = step(&mut catalogue, Delta { entered: entered(&[("a/b/f", "new")]), ..Delta::default() });
    assert_eq!(removed(&change), ["a/b/f", "a/", "a/b/"]);
    assert_eq!(names(&change.added), ["a/b/f", "a/", "a/b/"]);
    let same = step(&mut catalogue, Delta { entered: entered(&[("a/b/f", "new")]), ..Delta::default() });
    assert!(same.is_empty());
}

#[test]
fn equal_contents_have_one_id_and_several_paths() {
    let mut catalogue = Catalogue::new(None);
    step(&mut catalogue, Delta { entered: entered(&[("a", "same"), ("b", "same")]), ..Delta::default() });
    let id = FileId::of(b"same");
    let paths =
        |catalogue: &Catalogue| catalogue.files_of(id).map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&catalogue), [Arc::from("a"), Arc::from("b")]);
    step(&mut catalogue, Delta { gone: vec![Arc::from("a")], ..Delta::default() });
    assert_eq!(paths(&catalogue), [Arc::from("b")]);
    step(&mut catalogue, Delta { gone: vec![Arc::from("b")], ..Delta::default() });
    assert!(!catalogue.has_file(id));
}

#[test]
fn of_what_could_not_be_looked_at_nothing_is_gone() {
    let mut catalogue = Catalogue::new(None);
    step(
        &mut catalogue,
        Delta {
            entered: ["d/a", "d/sub/b", "e", "f"].map(|path| (Arc::from(path), record("1"))).to_vec(),
            folders_new: ["d", "d/sub"].map(|path| (Arc::from(path), UNSEEN)).to_vec(),
            left_out: vec![(Arc::from("d/pipe"), Some(Reason::Special))],
            ..Delta::default()
        },
    );
    let unseen = ["d", "f", "new"].map(|path| (Arc::from(path), std::io::Error::other("the disk fails")));
    let differences = catalogue.compare(&Scan { unseen: unseen.into(), ..Scan::default() });
    let gone: Vec<&str> = differences.gone.iter().map(|(path, _)| &**path).collect();
    assert_eq!(gone, ["e"]);
    assert!(differences.folders_gone.is_empty(), "{differences:?}");
    assert_eq!(differences.left_out, [(Arc::from("new"), Some(Reason::Changing))]);
}

#[test]
fn a_scan_differs_only_within_its_scope() {
    let mut catalogue = Catalogue::new(None);
    let all = [("a", "0"), ("a-b", "1"), ("d/f", "2"), ("d/g", "3"), ("d/s/h", "4"), ("d0", "5")];
    step(&mut catalogue, Delta { entered: entered(&all), ..Delta::default() });
    let found = |content| {
        let Record { stamp, mode, linked, .. } = record(content);
        Found { stamp, mode, linked }
    };
    let scan = Scan {
        scope: Arc::from("d"),
        files: vec![
            (Arc::from("d/a"), found("9")),
            (Arc::from("d/f"), found("")),
            (Arc::from("d/g"), Found { mode: 0o755, ..found("3") }),
        ],
        folders: vec![(Arc::from("d"), UNSEEN), (Arc::from("d/new"), UNSEEN)],
        left_out: vec![(Arc::from("d/pipe"), Reason::Special)],
        ..Scan::default()
    };
    let differences = catalogue.compare(&scan);
    let paths =
        |list: &[(Arc<str>, Record)]| list.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&differences.gone), ["d/f", "d/s/h"]);
    assert_eq!(paths(&differences.touched), ["d/g"]);
    let unknown: Vec<_> = differences.unknown.iter().map(|(path, _)| &**path).collect();
    assert_eq!(unknown, ["d/a", "d/f"]);
    assert_eq!(differences.folders_gone, [Arc::from("d/s")]);
    assert_eq!(differences.folders_new, [(Arc::from("d/new"), UNSEEN)]);
    let left_out: Vec<_> = differences.left_out.iter().map(|(path, reason)| (&**path, *reason)).collect();
    let changing = Some(Reason::Changing);
    assert_eq!(left_out, [("d/pipe", Some(Reason::Special)), ("d/a", changing), ("d/f", changing)]);
}

/// Steps at random give what the same files give in one step, and changes add up to the offers; whenever trees are
/// made again, and however late their makers come back with them.
#[test]
fn many_steps_are_as_good_as_one() {
    let seed = std::env::var("P2P_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut catalogue = Catalogue::new(Some("root/".to_owned()));
    let mut files: BTreeMap<Arc<str>, Record> = BTreeMap::new();
    let mut told: BTreeMap<String, FileId> = BTreeMap::new();
    let mut making: Vec<Measured> = Vec::new();
    for step in 0..600 {
        let change = match rng.u8(..4) {
            0 => {
                let folder = rng.choice(catalogue.stale());
                making.extend(folder.and_then(|folder| Some(catalogue.below(&folder)?.measure())));
                continue;
            }
            1 => catalogue.renew(std::mem::take(&mut making)),
            _ => catalogue.apply(some_change(&mut rng, &mut files)),
        };
        take_in(&mut told, change);
        let offered = |catalogue: &Catalogue| -> BTreeMap<_, _> {
            catalogue.offers().into_iter().map(|offer| (offer.name.to_string(), offer.id)).collect()
        };
        assert_eq!(offered(&catalogue), told, "seed {seed}, step {step}");
        if step % 3 > 0 {
            continue;
        }
        take_in(&mut told, catalogue.renew_all());
        assert!(catalogue.is_fresh() && catalogue.renew_all().is_empty());
        let mut anew = Catalogue::new(Some("root/".to_owned()));
        let folders_new = catalogue.there.folders.keys().map(|path| (path.clone(), UNSEEN)).collect();
        let entered = files.clone().into_iter().collect();
        anew.apply(Delta { entered, folders_new, ..Delta::default() });
        anew.renew_all();
        assert_eq!(anew.offers(), catalogue.offers(), "seed {seed}, step {step}");
        assert_eq!(anew.by_id, catalogue.by_id, "seed {seed}, step {step}");
        assert_eq!(offered(&catalogue), told, "seed {seed}, step {step}");
    }
}

fn take_in(told: &mut BTreeMap<String, FileId>, change: Change) {
    for (name, id) in change.removed {
        assert_eq!(told.remove(&*name), Some(id), "{name:?}");
    }
    for offer in change.added {
        assert_eq!(told.insert(offer.name.to_string(), offer.id), None, "{:?}", offer.name);
    }
}

fn some_change(rng: &mut fastrand::Rng, files: &mut BTreeMap<Arc<str>, Record>) -> Delta {
    let mut delta = Delta::default();
    for _ in 0..rng.usize(1..4) {
        let path: Vec<_> = (0..rng.usize(1..4)).map(|_| *rng.choice(&["x", "y", "z"]).unwrap()).collect();
        let path: Arc<str> = format!("{}.f", path.join("/")).into(); // no file is ever a folder
        if rng.bool() && files.remove(&path).is_some() {
            delta.gone.push(path);
        } else {
            let record = record(rng.choice(["1", "22", "333"]).unwrap());
            delta.gone.retain(|gone| *gone != path);
            delta.entered.retain(|(entered, _)| *entered != path); // a path once in a step
            delta.entered.push((path.clone(), record));
            files.insert(path, record);
        }
    }
    delta.entered.retain(|(path, _)| files.contains_key(path));
    delta
}

#[test]
fn a_tree_that_was_made_of_what_has_changed_meanwhile_is_not_told_of() {
    let mut catalogue = Catalogue::new(None);
    step(&mut catalogue, Delta { entered: entered(&[("d/a", "1"), ("e/b", "1")]), ..Delta::default() });
    let old = catalogue.offers().into_iter().find(|offer| &*offer.name == "d/").unwrap().id;
    let change =
        catalogue.apply(Delta { entered: entered(&[("d/a", "2"), ("e/b", "2")]), ..Delta::default() });
    assert_eq!((removed(&change), names(&change.added)), (vec!["d/a", "e/b"], vec!["d/a", "e/b"]));
    assert_eq!(catalogue.stale(), [Arc::from("d"), Arc::from("e")]);
    let made: Vec<Measured> = ["d", "e"].map(|folder| catalogue.below(folder).unwrap().measure()).into();
    assert!(catalogue.below_with(old).unwrap().is_stale());
    catalogue.apply(Delta { entered: entered(&[("d/a", "3")]), ..Delta::default() });
    let change = catalogue.renew(made);
    assert_eq!((removed(&change), names(&change.added)), (vec!["e/"], vec!["e/"]));
    assert_eq!(catalogue.stale(), [Arc::from("d")]);
    let change = catalogue.renew_all();
    assert_eq!((removed(&change), names(&change.added)), (vec!["d/"], vec!["d/"]));
    let fresh = catalogue.below("d").unwrap().measure();
    assert!(catalogue.renew(vec![fresh]).is_empty(), "nobody asked for that");
}

#[test]
fn a_tree_that_turns_out_to_be_the_same_is_told_to_nobody() {
    let mut catalogue = Catalogue::new(None);
    step(&mut catalogue, Delta { entered: entered(&[("d/a", "1")]), ..Delta::default() });
    let steps = catalogue.steps();
    let stamp = Stamp { ctime_ns: 9, ..record("1").stamp };
    let again = vec![(Arc::from("d/a"), Record { stamp, ..record("1") })];
    assert!(catalogue.apply(Delta { entered: again, ..Delta::default() }).is_empty());
    assert_eq!((catalogue.stale(), catalogue.steps()), (vec![Arc::from("d")], steps + 1));
    assert!(catalogue.renew_all().is_empty() && catalogue.is_fresh());
}

#[test]
fn a_folder_that_went_has_no_tree_however_late_it_comes() {
    let mut catalogue = Catalogue::new(None);
    step(&mut catalogue, Delta { entered: entered(&[("d/a", "1")]), ..Delta::default() });
    catalogue.apply(Delta { entered: entered(&[("d/a", "2")]), ..Delta::default() });
    let made = catalogue.below("d").unwrap().measure();
    let gone = Delta { gone: vec![Arc::from("d/a")], folders_gone: vec![Arc::from("d")], ..Delta::default() };
    assert_eq!(removed(&catalogue.apply(gone)), ["d/a", "d/"]);
    assert!(catalogue.is_fresh() && catalogue.renew(vec![made]).is_empty() && catalogue.offers().is_empty());
}

/// What is listed at each path of a folder's tree.
fn listed(catalogue: &Catalogue, folder: &str) -> Vec<(String, String)> {
    let tree = catalogue.below(folder).unwrap().tree().unwrap();
    let entries = tree.entries().iter().map(|entry| {
        let kind = match &entry.kind {
            TreeKind::File { .. } => "file".to_owned(),
            TreeKind::Folder(_) => "folder".to_owned(),
            TreeKind::Link(target) => format!("-> {target}"),
            TreeKind::HardLink(of) => format!("= {of}"),
        };
        (entry.path.to_string(), kind)
    });
    let missing = tree.left_out().named().iter();
    entries.chain(missing.map(|missing| (missing.path.clone(), missing.reason.to_string()))).collect()
}

fn told(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, kind)| (path.to_string(), kind.to_string())).collect()
}

#[test]
fn a_link_stays_one_where_its_target_is_and_is_what_it_leads_to_elsewhere() {
    let mut catalogue = Catalogue::new(Some("all/".to_owned()));
    let link = |path: &str, text: &str, target: &str| {
        (Arc::from(path), Some(Symlink { text: text.into(), target: target.into() }))
    };
    step(
        &mut catalogue,
        Delta {
            // As the walk finds them: what a link leads to is there under the link's path too.
            entered: entered(&[
                ("lib/a", "1"),
                ("lib64/a", "1"),
                ("d/one", "1"),
                ("d/lib/a", "1"),
                ("d/x", "2"),
            ]),
            folders_new: ["", "lib", "lib64", "d", "d/lib"].map(|path| (Arc::from(path), UNSEEN)).to_vec(),
            links: vec![
                link("lib64", "lib", "lib"),
                link("d/one", "../lib/a", "lib/a"),
                link("d/lib", "../lib", "lib"),
                link("d/y", "x", "d/x"),
                link("d/z", "../d/x", "d/x"),
                link("d/gone", "../gone", "gone"),
            ],
            ..Delta::default()
        },
    );
    assert_eq!(
        listed(&catalogue, ""),
        told(&[
            ("d", "folder"),
            ("d/gone", "-> ../gone"),
            ("d/lib", "-> ../lib"),
            ("d/one", "-> ../lib/a"),
            ("d/x", "file"),
            ("d/y", "-> x"),
            ("d/z", "-> ../d/x"),
            ("lib", "folder"),
            ("lib/a", "file"),
            ("lib64", "-> lib"),
        ])
    );
    assert_eq!(
        listed(&catalogue, "d"),
        told(&[
            ("lib", "folder"),
            ("lib/a", "file"),
            ("one", "file"),
            ("x", "file"),
            ("y", "-> x"),
            ("z", "-> x"),
            ("gone", "is a link that leads outside"),
        ])
    );
    assert_eq!(listed(&catalogue, "lib64"), told(&[("a", "file")]));
}

#[test]
fn names_of_one_file_are_hard_links_if_both_are_in_the_tree() {
    let mut catalogue = Catalogue::new(Some("all/".to_owned()));
    let linked = |path: &str| (Arc::from(path), Record { linked: true, ..record("x") });
    let alone = (Arc::from("d/c"), record("x"));
    let folders_new = vec![(Arc::from(""), UNSEEN)];
    let entered = vec![linked("a"), linked("d/b"), alone];
    step(&mut catalogue, Delta { entered, folders_new, ..Delta::default() });
    let all = [("a", "file"), ("d", "folder"), ("d/b", "= a"), ("d/c", "file")];
    assert_eq!(listed(&catalogue, ""), told(&all));
    assert_eq!(listed(&catalogue, "d"), told(&[("b", "file"), ("c", "file")]));
}

#[test]
fn what_is_left_out_is_in_the_tree_until_it_is_there() {
    let mut catalogue = Catalogue::new(Some("all/".to_owned()));
    let left_out =
        vec![(Arc::from("d/a"), Some(Reason::Changing)), (Arc::from("pipe"), Some(Reason::Special))];
    let folders_new = vec![(Arc::from(""), UNSEEN), (Arc::from("d"), UNSEEN)];
    step(&mut catalogue, Delta { left_out, folders_new, ..Delta::default() });
    assert_eq!(listed(&catalogue, "d"), told(&[("a", "is still changing")]));
    let before = [("d", "folder"), ("d/a", "is still changing"), ("pipe", "is a pipe, socket or device")];
    assert_eq!(listed(&catalogue, ""), told(&before));
    let change = step(&mut catalogue, Delta { entered: entered(&[("d/a", "1")]), ..Delta::default() });
    assert_eq!(names(&change.added), ["all/d/a", "all/", "all/d/"]);
    assert_eq!(listed(&catalogue, "d"), told(&[("a", "file")]));
}

#[test]
fn a_tree_counts_equal_files_once() {
    let mut catalogue = Catalogue::new(None);
    step(
        &mut catalogue,
        Delta { entered: entered(&[("d/a", "12345"), ("d/b", "12345")]), ..Delta::default() },
    );
    let offer = catalogue.offers().into_iter().find(|offer| &*offer.name == "d/").unwrap();
    assert_eq!((offer.total, offer.chunks), (5, 1), "as a peer says that fetches it");
}

#[test]
fn what_was_fetched_is_a_copy_until_it_is_changed() {
    let mut catalogue = Catalogue::new(Some("all/".to_owned()));
    let id = |content: &str| FileId::of(content.as_bytes());
    let mut whole = Got::default();
    let files = [("a", id("1")), ("sub/b", id("2"))];
    whole.begin(Some("d/"), id("listing"), files.into_iter());
    whole.finish(files.into_iter());
    catalogue.set_got("d", whole);
    let mut alone = Got::default();
    alone.begin(None, id("3"), [("single", id("3"))].into_iter());
    catalogue.set_got("", alone);
    let all = [("d/a", "1"), ("d/sub/b", "2"), ("single", "3"), ("mine", "1")];
    step(&mut catalogue, Delta { entered: entered(&all), ..Delta::default() });
    let originals = |catalogue: &Catalogue| -> Vec<String> {
        let offers = catalogue.offers().into_iter().filter(|offer| offer.original);
        offers.map(|offer| offer.name.to_string()).collect()
    };
    assert_eq!(originals(&catalogue), ["all/mine", "all/"]);
    step(&mut catalogue, Delta { entered: entered(&[("d/a", "2")]), ..Delta::default() });
    assert_eq!(originals(&catalogue), ["all/d/a", "all/mine", "all/", "all/d/"]);
    catalogue.set_got("", Got::default());
    assert_eq!(originals(&catalogue), ["all/d/a", "all/mine", "all/single", "all/", "all/d/"]);
}

#[test]
fn a_tree_above_the_limits_is_not_offered_and_its_files_are() {
    let mut catalogue = Catalogue::new(None);
    let large = |n: u8| {
        let stamp = Stamp { size: Geometry::MAX_SIZE, ..record("x").stamp };
        (Arc::from(format!("d/{n}")), Record { stamp, id: FileId([n; 32]), ..record("x") })
    };
    let change = step(&mut catalogue, Delta { entered: vec![large(1), large(2)], ..Delta::default() });
    assert_eq!(names(&change.added), ["d/1", "d/2", "d/"]);
    let change = step(&mut catalogue, Delta { entered: vec![large(3)], ..Delta::default() });
    assert_eq!((removed(&change), names(&change.added)), (vec!["d/"], vec!["d/3"]));
    assert!(catalogue.offers().iter().all(|offer| &*offer.name != "d/"));
    let change = step(&mut catalogue, Delta { gone: vec![Arc::from("d/3")], ..Delta::default() });
    assert_eq!((removed(&change), names(&change.added)), (vec!["d/3"], vec!["d/"]));
}

#[test]
fn contents_of_several_chunks_are_counted_once() {
    let mut catalogue = Catalogue::new(None);
    let sized = |path: &str, id: u8, size: u64| {
        let stamp = Stamp { size, ..record("x").stamp };
        (Arc::from(path), Record { stamp, id: FileId([id; 32]), ..record("x") })
    };
    let entered =
        vec![sized("a", 1, 70_000), sized("b", 1, 70_000), sized("c", 2, 65_536), sized("d", 3, 65_537)];
    catalogue.apply(Delta { entered, ..Delta::default() });
    assert_eq!(catalogue.hashed_contents(), 2);
    assert_eq!(catalogue.summary(), Summary { files: 4, bytes: 70_000 * 2 + 65_536 + 65_537 });
}

#[test]
fn a_tree_tells_the_newest_time_of_its_files_and_how_it_looks() {
    let mut catalogue = Catalogue::new(None);
    let at = |path: &str, mtime_ns: i64| {
        let stamp = Stamp { mtime_ns, ..record("x").stamp };
        (Arc::from(path), Record { stamp, ..record("x") })
    };
    let entered = vec![at("d/old", 5_999_999_999), at("d/new", 7_000_000_000), at("d/none", -5)];
    let folders_new = vec![(Arc::from("d"), UNSEEN)];
    step(&mut catalogue, Delta { entered, folders_new, ..Delta::default() });
    let modified = |name: &str| {
        let offer = catalogue.offers().into_iter().find(|offer| &*offer.name == name).unwrap();
        offer.modified
    };
    assert_eq!(["d/", "d/old", "d/none"].map(modified), [7, 5, 0]);
    let shut = vec![(Arc::from("d"), Looks { mode: 0o700, ..UNSEEN })];
    let change = step(&mut catalogue, Delta { folders_new: shut.clone(), ..Delta::default() });
    assert_eq!(
        (removed(&change), names(&change.added)),
        (vec!["d/"], vec!["d/"]),
        "another mode is another tree"
    );
    catalogue.apply(Delta { folders_new: shut, ..Delta::default() });
    assert!(catalogue.is_fresh(), "nothing is new");
}

#[test]
fn a_folder_is_coming_until_it_was_told_of_or_its_files_are_hashed() {
    let mut catalogue = Catalogue::new(None);
    let missing = |path: &str, reason| (Arc::from(path), Some(reason));
    let left_out = vec![missing("d/e/a", Reason::Changing), missing("f/b", Reason::Special)];
    let folders_new = ["d/e", "d/g", "f"].map(|folder| (Arc::from(folder), UNSEEN)).into();
    catalogue.apply(Delta { folders_new, left_out, ..Delta::default() });
    let coming = |catalogue: &Catalogue| {
        ["d", "d/e", "d/g", "f"].into_iter().filter(|folder| catalogue.is_coming(folder)).collect::<Vec<_>>()
    };
    assert_eq!(coming(&catalogue), ["d", "d/e"]);
    let told = catalogue.below("d").unwrap().measure();
    catalogue.renew(vec![told]);
    assert_eq!(coming(&catalogue), ["d/e"]);
    catalogue.apply(Delta { entered: entered(&[("d/e/a", "x")]), ..Delta::default() });
    assert_eq!(coming(&catalogue), Vec::<&str>::new());
}
