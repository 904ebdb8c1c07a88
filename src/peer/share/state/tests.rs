//! Each thing that can happen, with the exact list of its effects.

use std::time::{Duration, UNIX_EPOCH};

use super::super::reading::disk_failure;
use super::super::record::Symlink;
use super::*;
use crate::content::Reason;

/// When files were written, by the wall's clock.
const WRITTEN: i64 = 1_000_000_000;

fn path(path: &str) -> Arc<str> {
    Arc::from(path)
}

/// A file of so many bytes.
fn found(inode: u64, size: u64) -> Found {
    Found { stamp: Stamp { size, mtime_ns: WRITTEN, inode, ctime_ns: WRITTEN }, mode: 0o644, linked: false }
}

fn id(n: u8) -> FileId {
    FileId([n; 32])
}

/// Long after the files were written.
fn late() -> (Instant, SystemTime) {
    (Instant::now(), UNIX_EPOCH + Duration::from_secs(100))
}

/// While the files are written.
fn early() -> (Instant, SystemTime) {
    (Instant::now(), UNIX_EPOCH + Duration::from_secs(1))
}

fn job(at: &str, found: Found) -> Job {
    Job { path: path(at), found }
}

fn unknown(files: &[(&str, Found)]) -> Unsure {
    Unsure { unknown: files.iter().map(|(at, found)| (path(at), *found)).collect(), ..Unsure::default() }
}

fn grown(at: &str, found: Found) -> Unsure {
    Unsure { grown: vec![(path(at), found)], ..Unsure::default() }
}

/// With files that are offered: `a` is `id(1)`.
fn with(files: &[(&str, Record)]) -> State {
    let mut state = State::default();
    let entered = files.iter().map(|(at, record)| (path(at), *record)).collect();
    state.catalogue.apply(Delta { entered, ..Delta::default() });
    state
}

fn with_a() -> State {
    with(&[("a", found(1, 5).with_id(id(1)))])
}

/// What trackers are told, by name.
fn told(effects: &[Effect]) -> (Vec<String>, Vec<String>) {
    let changes = effects.iter().filter_map(|effect| match effect {
        Effect::Tell(change) => Some(change),
        _ => None,
    });
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for change in changes {
        added.extend(change.added.iter().map(|offer| offer.name.to_string()));
        removed.extend(change.removed.iter().map(|(name, _)| name.to_string()));
    }
    (added, removed)
}

/// The effects but for what trackers are told, which must be `added` and `removed`.
fn rest(effects: Vec<Effect>, added: &[&str], removed: &[&str]) -> Vec<Effect> {
    assert_eq!(told(&effects), (owned(added), owned(removed)));
    effects.into_iter().filter(|effect| !matches!(effect, Effect::Tell(_))).collect()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn hashed(state: &mut State, at: &str, found: Found, outcome: Outcome) -> Vec<Effect> {
    state.hashing.insert(path(at), found.stamp);
    state.settle(vec![(job(at, found), outcome)], Instant::now())
}

fn scan(scope: &str, files: &[(&str, Found)]) -> Scan {
    let files = files.iter().map(|(at, found)| (path(at), *found)).collect();
    Scan { scope: path(scope), files, ..Scan::default() }
}

fn take_in(state: &mut State, paths: &[&str], scan: Scan) -> (Unsure, Vec<Effect>) {
    let paths: Vec<Arc<str>> = paths.iter().map(|at| path(at)).collect();
    state.take_in(&paths, vec![scan], Vec::new(), Instant::now())
}

#[test]
fn what_was_hashed_is_offered_if_it_is_still_wanted() {
    let mut state = State::default();
    let record = found(1, 5).with_id(id(1));
    let hashes = vec![ChunkHash([1; 32]); 2];
    let done = || vec![(job("a", found(1, 5)), Outcome::Hashed(record, hashes.clone()))];
    assert_eq!(state.settle(done(), Instant::now()), [], "nobody asked for it");
    state.hashing.insert(path("a"), found(1, 6).stamp);
    assert_eq!(state.settle(done(), Instant::now()), [], "it has changed again");
    assert!(state.hashing.contains_key("a"), "and is being hashed");
    state.hashing.insert(path("a"), found(1, 5).stamp);
    let effects = state.settle(done(), Instant::now());
    assert_eq!(rest(effects, &["a"], &[]), [Effect::Remember(path("a"), record, hashes.clone())]);
    assert_eq!(state.settle(done(), Instant::now()), [], "once");
}

#[test]
fn what_cannot_be_hashed_is_looked_at_left_out_or_tried_again() {
    let mut state = with_a();
    assert_eq!(hashed(&mut state, "a", found(1, 5), Outcome::Unstable), [Effect::Look(path("a"))]);
    assert_eq!(hashed(&mut state, "a", found(1, 5), Outcome::Stopped), []);
    let failed = || Outcome::Failed(disk_failure());
    let effects = hashed(&mut state, "a", found(1, 5), failed());
    assert_eq!(effects, [Effect::SayPutOff(path("a"), disk_failure().to_string())]);
    assert_eq!(hashed(&mut state, "b", found(2, 5), failed()), [], "that was said");
    assert!(state.waits("a") && state.waits("b") && state.next_due().is_some());
    assert!(state.catalogue.file("a").is_some(), "it stays what it was");
    let denied = || Outcome::Failed(io::ErrorKind::PermissionDenied.into());
    let effects = hashed(&mut state, "a", found(1, 5), denied());
    assert_eq!(rest(effects, &[], &["a"]), [Effect::Forget(path("a"))]);
    assert!(!state.waits("a"));
    assert_eq!(hashed(&mut state, "c", found(3, 5), denied()), []);
    let left_out: Vec<_> = state.catalogue.left_out().iter().map(|(at, why)| (&**at, *why)).collect();
    assert_eq!(left_out, [("a", Reason::Unreadable), ("c", Reason::Unreadable)]);
    hashed(&mut state, "c", found(3, 5), Outcome::Failed(io::ErrorKind::NotFound.into()));
    assert_eq!(state.catalogue.left_out().len(), 1, "what vanished is not there to be left out");
}

#[test]
fn what_was_put_off_is_due_once() {
    let mut state = State::default();
    let now = Instant::now();
    state.put_off(&path("a"), &disk_failure(), now);
    assert!(state.take_due(now).is_empty());
    let due = state.next_due().unwrap();
    assert_eq!(state.take_due(due), [path("a")]);
    assert_eq!(state.take_due(due), []);
}

#[test]
fn a_withdrawn_file_is_forgotten_and_looked_at() {
    let mut state = with_a();
    let forgotten = [Effect::Forget(path("a")), Effect::Look(path("a"))];
    assert_eq!(rest(state.withdraw("a"), &[], &["a"]), forgotten);
    assert_eq!(state.withdraw("a"), forgotten, "nobody is told twice");
    assert_eq!(state.ghost_of(&found(1, 5)), None, "only hashing can tell what it is");
}

#[test]
fn a_file_is_exposed_only_as_what_it_is_offered_as() {
    let mut state = with_a();
    let stamp = found(1, 5).stamp;
    assert_eq!(state.expose("a", id(2), Some(stamp)), []);
    assert_eq!(state.expose("b", id(1), Some(stamp)), []);
    let forgotten = || [Effect::Forget(path("a")), Effect::Look(path("a"))];
    assert_eq!(rest(state.expose("a", id(1), Some(found(1, 6).stamp)), &[], &["a"]), forgotten());
    let hidden = Stamp { ctime_ns: 7, ..stamp };
    let effects = rest(with_a().expose("a", id(1), Some(hidden)), &[], &["a"]);
    let [forget, look] = forgotten();
    assert_eq!(effects, [forget, look, Effect::SayHidden(path("a"))]);
}

#[test]
fn what_was_fetched_is_offered_whatever_is_being_hashed_there() {
    let mut state = State::default();
    state.hashing.insert(path("d/a"), found(1, 5).stamp);
    let record = found(1, 5).with_id(id(1));
    let looks = Looks { mode: 0o755, mtime_ns: 1 };
    let files = vec![(path("d/a"), record, Vec::new())];
    let effects = state.adopt("d", Noted::Nothing, files, vec![(path("d"), looks)]);
    assert_eq!(rest(effects, &["d/a"], &[]), [Effect::RememberFetched(path("d/a"), record, Vec::new())]);
    assert!(state.hashing.is_empty() && state.catalogue.has_folder("d"));
    assert_eq!(state.catalogue.stale(), [path("d")]);
    let measured = vec![state.catalogue.below("d").unwrap().measure()];
    assert_eq!(told(&state.renew(measured)), (owned(&["d/"]), vec![]));
}

#[test]
fn what_was_fetched_is_known_as_a_copy_before_it_is_entered() {
    let mut got = Got::default();
    got.begin(None, id(1), [("a", id(1)), ("b", id(2))].into_iter());
    let mut state = State::default();
    let files = vec![(path("d/a"), found(1, 5).with_id(id(1)), Vec::new())];
    state.adopt("d", Noted::All(got.clone()), files, Vec::new());
    assert!(!state.catalogue.offers_of(id(1))[0].original);
    let found_later = vec![(path("e"), got)];
    state.take_in(&[], Vec::new(), found_later, Instant::now());
    hashed(&mut state, "e/b", found(2, 5), Outcome::Hashed(found(2, 5).with_id(id(2)), Vec::new()));
    assert!(!state.catalogue.offers_of(id(2))[0].original);
}

#[test]
fn what_went_is_taken_back_and_known_when_it_comes_again() {
    let mut state = with_a();
    state.hashing.insert(path("a"), found(1, 5).stamp);
    let (unsure, effects) = take_in(&mut state, &["b"], scan("", &[("b", found(1, 5))]));
    assert_eq!(unsure, unknown(&[("b", found(1, 5))]));
    assert_eq!(rest(effects, &[], &["a"]), [Effect::Forget(path("a"))]);
    assert!(state.hashing.is_empty());
    let renamed = Found { stamp: Stamp { ctime_ns: 9, ..found(1, 5).stamp }, ..found(1, 5) };
    let record = state.ghost_of(&renamed).unwrap();
    assert_eq!(record, found(1, 5).with_id(id(1)), "under the stamp with which it was hashed");
    assert_eq!(state.ghost_of(&found(1, 6)), None);
    let came_back = vec![(path("b"), record)];
    let (todo, effects) = state.sort_out(unknown(&[("b", renamed)]), came_back, late());
    assert_eq!(todo, ToDo { again: vec![job("b", renamed)], ..ToDo::default() });
    assert_eq!(rest(effects, &["b"], &[]), [Effect::Remember(path("b"), record, Vec::new())]);
}

#[test]
fn what_a_fetch_fills_is_not_looked_at_before_it_is_over() {
    let mut state = with(&[("d/old", found(1, 5).with_id(id(1)))]);
    state.expect(path("d"));
    state.expect(path("d"));
    let seen = || scan("", &[("d/new", found(2, 5)), ("e", found(3, 5))]);
    let (unsure, effects) = take_in(&mut state, &[""], seen());
    assert_eq!(unsure.unknown, [(path("e"), found(3, 5))]);
    assert_eq!(rest(effects, &[], &["d/old"]), [Effect::Forget(path("d/old"))], "what went is no secret");
    assert_eq!(state.catalogue.left_out().keys().collect::<Vec<_>>(), [&path("e")]);
    state.expect_no_more("other");
    state.expect_no_more("d");
    assert_eq!(take_in(&mut state, &[""], seen()).0.unknown.len(), 1, "another fetch fills it too");
    state.expect_no_more("d");
    assert_eq!(take_in(&mut state, &[""], seen()).0.unknown.len(), 2);
}

#[test]
fn a_new_file_is_hashed_when_it_rests_and_only_once() {
    let mut state = State::default();
    let now = early();
    let (todo, effects) = state.sort_out(unknown(&[("a", found(1, 5))]), Vec::new(), now);
    assert_eq!(todo, ToDo { later: vec![(path("a"), now.0 + QUIET)], ..ToDo::default() });
    assert_eq!(effects, []);
    let (todo, effects) = state.sort_out(unknown(&[("a", found(1, 5))]), Vec::new(), late());
    assert_eq!(todo, ToDo { jobs: vec![job("a", found(1, 5))], ..ToDo::default() });
    assert_eq!(effects, []);
    let (todo, _) = state.sort_out(unknown(&[("a", found(1, 5))]), Vec::new(), late());
    assert_eq!(todo, ToDo::default(), "it is being hashed");
    let (todo, _) = state.sort_out(unknown(&[("a", found(2, 5))]), Vec::new(), late());
    assert_eq!(todo.jobs, [job("a", found(2, 5))], "that is another one");
}

#[test]
fn what_may_be_what_it_was_is_hashed_again() {
    let mut state = with_a();
    let now = Found { stamp: Stamp { ctime_ns: 9, ..found(1, 5).stamp }, ..found(1, 5) };
    let (unsure, effects) = take_in(&mut state, &["a"], scan("a", &[("a", now)]));
    assert_eq!(effects, [], "it stays what it was");
    assert_eq!(unsure, Unsure { doubted: vec![(path("a"), now)], ..Unsure::default() });
    let (todo, _) = state.sort_out(unsure, Vec::new(), late());
    assert_eq!(todo, ToDo { again: vec![job("a", now)], ..ToDo::default() });
    // What only its bytes tell: it is something else.
    let record = now.with_id(id(2));
    let effects = state.settle(vec![(job("a", now), Outcome::Hashed(record, Vec::new()))], Instant::now());
    assert!(
        matches!(&effects[..], [Effect::SayHidden(at), Effect::Remember(..), Effect::Tell(_)] if **at == *"a")
    );
    assert_eq!(state.sources_of(id(1)).count(), 0, "nothing of it is left");
}

#[test]
fn what_grows_is_read_ever_less_often_and_serves_what_it_was() {
    let mut state = with_a();
    let (now, wall) = late();
    let (todo, _) = state.sort_out(grown("a", found(1, 6)), Vec::new(), (now, wall));
    assert_eq!(todo, ToDo { again: vec![job("a", found(1, 6))], ..ToDo::default() });
    let (todo, _) = state.sort_out(grown("a", found(1, 7)), Vec::new(), (now, wall));
    assert_eq!(
        todo.later,
        [(path("a"), now + QUIET)],
        "what comes of reading it will be true of its beginning"
    );
    let record = found(1, 6).with_id(id(2));
    let done = vec![(job("a", found(1, 6)), Outcome::Hashed(record, Vec::new()))];
    let effects = state.settle(done, now);
    assert_eq!(rest(effects, &["a"], &["a"]), [Effect::Remember(path("a"), record, Vec::new())]);
    let earlier = Source { path: path("a"), stamp: found(1, 5).stamp };
    assert_eq!(state.sources_of(id(1)).collect::<Vec<_>>(), [earlier]);
    assert_eq!(state.sources_of(id(2)).count(), 1);
    let (todo, _) = state.sort_out(grown("a", found(1, 7)), Vec::new(), (now, wall));
    assert!(todo.again.is_empty() && todo.later[0].1 > now + QUIET, "{todo:?}");
    state.expose("a", id(1), None);
    assert_eq!(state.sources_of(id(1)).count(), 0, "its beginning is something else");
}

#[test]
fn what_never_rests_is_read_after_all_and_told_of_if_that_was_in_vain() {
    let mut state = State::default();
    let (start, wall) = early();
    let look = |state: &mut State, seconds: u64| {
        let now = start + Duration::from_secs(seconds);
        state.sort_out(unknown(&[("log", found(1, seconds + 1))]), Vec::new(), (now, wall)).0
    };
    assert!(look(&mut state, 0).never_rest.is_empty());
    let todo = look(&mut state, 11);
    assert_eq!((todo.jobs.len(), todo.never_rest.len()), (1, 0));
    assert_eq!(look(&mut state, 12).never_rest, [path("log")]);
}

#[test]
fn what_could_not_be_read_is_read_again_though_it_looks_the_same() {
    let mut state = with_a();
    let now = Instant::now();
    assert_eq!(take_in(&mut state, &["a"], scan("a", &[("a", found(1, 5))])).0, Unsure::default());
    state.put_off(&path("a"), &disk_failure(), now);
    let doubted = Unsure { doubted: vec![(path("a"), found(1, 5))], ..Unsure::default() };
    assert_eq!(take_in(&mut state, &["a"], scan("a", &[("a", found(1, 5))])).0, doubted);
    assert!(state.waits("a"), "until it could be read");
    // A folder that could not be listed.
    let unseen = Scan { unseen: vec![(path("d"), disk_failure())], ..scan("d", &[]) };
    let (unsure, effects) = take_in(&mut state, &["d"], unseen);
    assert_eq!(
        (unsure, effects),
        (Unsure::default(), Vec::new()),
        "it was said that something cannot be read"
    );
    assert!(state.waits("d"));
    take_in(&mut state, &["d"], scan("d", &[]));
    assert!(!state.waits("d"));
}

#[test]
fn what_happens_behind_a_link_happens_at_the_link() {
    let mut state = State::default();
    let link = |shown: &str, target: &str| Followed { shown: path(shown), target: path(target) };
    let followed = vec![link("l", "d"), link("m/f", "d/f"), link("n", "dd")];
    let links = followed.iter().map(|link| {
        let symlink = Symlink { text: link.target.clone(), target: link.target.clone() };
        (link.shown.clone(), symlink)
    });
    let scanned = Scan { links: links.collect(), followed: followed.clone(), ..Scan::default() };
    take_in(&mut state, &[""], scanned);
    let linked = |state: &State, at: &str| -> Vec<String> {
        state.with_linked(&[path(at)]).iter().map(ToString::to_string).collect()
    };
    assert_eq!(linked(&state, "d/f"), ["d/f", "l/f", "m/f"]);
    assert_eq!(linked(&state, "d"), ["d", "l", "m/f"]);
    assert_eq!(linked(&state, "dd/x"), ["dd/x", "n/x"]);
    assert_eq!(linked(&state, ""), [""]);
    assert_eq!(linked(&state, "x"), ["x"]);
    take_in(&mut state, &["l"], scan("l", &[]));
    assert_eq!(linked(&state, "d/f"), ["d/f", "m/f"], "that link went");
    assert_eq!(linked(&State::new(Catalogue::default(), followed), "d"), ["d", "l", "m/f"]);
}

#[test]
fn all_names_of_a_file_with_several_are_looked_at_when_one_changed() {
    let linked = |inode, size| Found { linked: true, ..found(inode, size) };
    let files = ["a", "b", "c"].map(|at| (at, linked(1, 5).with_id(id(1))));
    let state = with(&[&files[..], &[("d", linked(2, 5).with_id(id(2)))]].concat());
    let others = |paths: &[&str], seen: &[(&str, Found)]| -> Vec<String> {
        let paths: Vec<Arc<str>> = paths.iter().map(|at| path(at)).collect();
        let others = state.other_names(&paths, &[scan("", seen)]);
        others.iter().map(ToString::to_string).collect()
    };
    assert_eq!(others(&["a"], &[("a", linked(1, 5))]), owned(&[]), "nothing changed");
    assert_eq!(others(&["a"], &[("a", linked(1, 6))]), ["b", "c"]);
    assert_eq!(others(&["a"], &[("a", linked(1, 6)), ("b", linked(1, 6))]), ["c"]);
    assert_eq!(others(&["a"], &[]), ["a", "b", "c"], "it went");
    assert_eq!(others(&["e"], &[("e", linked(2, 5))]), ["d"], "a new name");
    assert_eq!(others(&["e"], &[("e", found(2, 5))]), owned(&[]), "it has one name");
}

#[test]
fn folders_are_new_until_they_are_known() {
    let mut state = State::default();
    let looks = Looks { mode: 0o755, mtime_ns: 1 };
    let seen = || Scan { folders: vec![(path("d"), looks)], ..Scan::default() };
    assert_eq!(state.new_folders(&[seen()]), [path("d")]);
    take_in(&mut state, &[""], seen());
    assert_eq!(state.new_folders(&[seen()]), []);
    let (unsure, _) = take_in(&mut state, &[""], scan("", &[]));
    assert_eq!(unsure, Unsure { folders_gone: vec![path("d")], ..Unsure::default() });
}

#[test]
fn files_that_went_are_remembered_up_to_a_number() {
    let files: Vec<(String, Record)> = (0..=MAX_GHOSTS as u64)
        .map(|n| (format!("{n:06}"), found(n, 5).with_id(id((n % 200) as u8))))
        .collect();
    let files: Vec<(&str, Record)> = files.iter().map(|(at, record)| (&**at, *record)).collect();
    let (last, most) = files.split_last().unwrap();
    let mut state = with(&files);
    let stays = |file: &(&str, Record)| scan("", &[(file.0, found(file.1.stamp.inode, 5))]);
    let (_, effects) = take_in(&mut state, &[""], stays(last));
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::ForgetHashes(_))));
    assert!(state.ghost_of(&found(0, 5)).is_some());
    let (_, effects) = take_in(&mut state, &[""], scan("", &[]));
    let forgotten = effects.iter().filter(|effect| matches!(effect, Effect::ForgetHashes(_))).count();
    let others = most.iter().filter(|(_, record)| record.id != last.1.id).count();
    assert_eq!(forgotten, others, "what the last file has was still wanted");
    assert!(
        state.ghost_of(&found(0, 5)).is_none() && state.ghost_of(&found(last.1.stamp.inode, 5)).is_some()
    );
    assert_eq!(state.lay_ghosts(), [Effect::ForgetHashes(last.1.id)]);
    assert_eq!(state.lay_ghosts(), []);
}
