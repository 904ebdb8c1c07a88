//! What a walk found, against what is known. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::content::{Looks, Reason};

use super::super::record::{Found, Record, Symlink, is_below_one, range_at};
use super::super::scan::Scan;
use super::entries::Entries;

/// How a walk differs from the catalogue.
#[derive(Debug, Default)]
pub(in crate::peer::share) struct Differences {
    /// Files that are not there any more, or hold something else now, with what they were.
    pub(in crate::peer::share) gone: Vec<(Arc<str>, Record)>,
    /// Files that are new or hold something else now.
    pub(in crate::peer::share) unknown: Vec<(Arc<str>, Found)>,
    /// Files that may be what they were, which only their bytes tell.
    pub(in crate::peer::share) doubted: Vec<(Arc<str>, Found)>,
    /// Files that are longer now. What is known of them may still be true of their beginning.
    pub(in crate::peer::share) grown: Vec<(Arc<str>, Found)>,
    /// Files of which only the mode, or whether they have other names, changed.
    pub(in crate::peer::share) touched: Vec<(Arc<str>, Record)>,
    pub(in crate::peer::share) folders_gone: Vec<Arc<str>>,
    pub(in crate::peer::share) folders_new: Vec<(Arc<str>, Looks)>,
    pub(in crate::peer::share) links: Vec<(Arc<str>, Option<Symlink>)>,
    pub(in crate::peer::share) left_out: Vec<(Arc<str>, Option<Reason>)>,
}

impl Differences {
    /// True if there are none.
    pub(in crate::peer::share) fn is_empty(&self) -> bool {
        let Differences {
            gone,
            unknown,
            doubted,
            grown,
            touched,
            folders_gone,
            folders_new,
            links,
            left_out,
        } = self;
        let files = gone.is_empty() && unknown.is_empty() && doubted.is_empty() && grown.is_empty();
        let folders = folders_gone.is_empty() && folders_new.is_empty();
        files && touched.is_empty() && folders && links.is_empty() && left_out.is_empty()
    }

    /// Adds what another scan found.
    pub(in crate::peer::share) fn extend(&mut self, more: Differences) {
        let Differences {
            gone,
            unknown,
            doubted,
            grown,
            touched,
            folders_gone,
            folders_new,
            links,
            left_out,
        } = more;
        self.gone.extend(gone);
        self.unknown.extend(unknown);
        self.doubted.extend(doubted);
        self.grown.extend(grown);
        self.touched.extend(touched);
        self.folders_gone.extend(folders_gone);
        self.folders_new.extend(folders_new);
        self.links.extend(links);
        self.left_out.extend(left_out);
    }

    /// Forgets what is new at paths of which nobody is to hear yet.
    pub(in crate::peer::share) fn ignore_new(&mut self, is_ignored: impl Fn(&str) -> bool) {
        let Differences {
            gone: _,
            unknown,
            doubted,
            grown,
            touched: _,
            folders_gone: _,
            folders_new,
            links,
            left_out,
        } = self;
        unknown.retain(|(path, _)| !is_ignored(path));
        doubted.retain(|(path, _)| !is_ignored(path));
        grown.retain(|(path, _)| !is_ignored(path));
        folders_new.retain(|(path, _)| !is_ignored(path));
        links.retain(|(path, _)| !is_ignored(path));
        left_out.retain(|(path, _)| !is_ignored(path));
    }
}

/// What `scan` saw that is not in `known`, and the reverse, within its scope.
pub(super) fn compare(known: &Entries, scan: &Scan) -> Differences {
    let unseen: BTreeSet<&str> = scan.unseen.iter().map(|(path, _)| &**path).collect();
    let is_unseen = |path: &str| is_below_one(&unseen, path);
    let mut out = Differences::default();
    compare_files(known, scan, is_unseen, &mut out);
    compare_folders(known, scan, is_unseen, &mut out);
    out.links = changes(&known.links, &scan.scope, &scan.links);
    out.links.retain(|(path, link)| link.is_some() || !is_unseen(path));
    out.left_out = changes(&known.left_out, &scan.scope, &scan.left_out);
    out.left_out.retain(|(path, reason)| reason.is_some() || !is_unseen(path));
    let new = scan.unseen.iter().map(|(path, _)| path).filter(|path| !known.knows(path));
    out.left_out.extend(new.map(|path| (path.clone(), Some(Reason::Changing))));
    // A file that is there and not known is left out until its bytes are, whatever came of it so far.
    out.left_out.retain(|(path, reason)| {
        reason.is_some() || out.unknown.binary_search_by(|(at, _)| at.cmp(path)).is_err()
    });
    let changing = out.unknown.iter().filter(|(path, _)| !known.left_out.contains_key(path));
    out.left_out.extend(changing.map(|(path, _)| (path.clone(), Some(Reason::Changing))));
    out
}

fn compare_files(known: &Entries, scan: &Scan, is_unseen: impl Fn(&str) -> bool, out: &mut Differences) {
    let mut found = scan.files.iter().peekable();
    for (path, record) in range_at(&known.files, &scan.scope) {
        while let Some(new) = found.next_if(|(at, _)| at < path) {
            out.unknown.push(new.clone());
        }
        match found.next_if(|(at, _)| at == path) {
            None if is_unseen(path) => {}
            None => out.gone.push((path.clone(), *record)),
            Some((_, now)) if now.stamp != record.stamp && now.stamp.may_be(&record.stamp) => {
                out.doubted.push((path.clone(), *now));
            }
            Some((_, now)) if now.stamp.may_have_grown_from(&record.stamp) => {
                out.grown.push((path.clone(), *now));
            }
            Some((_, now)) if now.stamp != record.stamp => {
                out.gone.push((path.clone(), *record));
                out.unknown.push((path.clone(), *now));
            }
            Some((_, now)) if now.with_id(record.id) != *record => {
                out.touched.push((path.clone(), now.with_id(record.id)));
            }
            Some(_) => {}
        }
    }
    out.unknown.extend(found.cloned());
}

fn compare_folders(known: &Entries, scan: &Scan, is_unseen: impl Fn(&str) -> bool, out: &mut Differences) {
    let seen: BTreeSet<&str> = scan.folders.iter().map(|(path, _)| &**path).collect();
    let before = range_at(&known.folders, &scan.scope).map(|(path, _)| path);
    out.folders_gone = before.filter(|path| !seen.contains(&***path) && !is_unseen(path)).cloned().collect();
    let is_new = |(path, looks): &&(Arc<str>, Looks)| known.folders.get(path) != Some(looks);
    out.folders_new = scan.folders.iter().filter(is_new).cloned().collect();
    let above = scan.above.iter().filter(|(path, _)| known.folders.contains_key(path));
    out.folders_new.extend(above.filter(is_new).cloned());
}

/// How to get from what is known to what was seen, within `scope`.
fn changes<V: Clone + PartialEq>(
    known: &BTreeMap<Arc<str>, V>,
    scope: &str,
    seen: &[(Arc<str>, V)],
) -> Vec<(Arc<str>, Option<V>)> {
    let paths: BTreeMap<&str, &V> = seen.iter().map(|(path, value)| (&**path, value)).collect();
    let gone = range_at(known, scope).filter(|(path, _)| !paths.contains_key(&***path));
    let gone = gone.map(|(path, _)| (path.clone(), None));
    let new = seen.iter().filter(|(path, value)| known.get(path) != Some(value));
    gone.chain(new.map(|(path, value)| (path.clone(), Some(value.clone())))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::FileId;
    use crate::peer::stamp::Stamp;

    fn path(path: &str) -> Arc<str> {
        Arc::from(path)
    }

    fn found(size: u64) -> Found {
        Found { stamp: Stamp { size, mtime_ns: 1, inode: 1, ctime_ns: 1 }, mode: 0o644, linked: false }
    }

    fn record(size: u64) -> Record {
        found(size).with_id(FileId([size as u8; 32]))
    }

    fn paths<V>(list: &[(Arc<str>, V)]) -> Vec<&str> {
        list.iter().map(|(path, _)| &**path).collect()
    }

    #[test]
    fn a_file_differs_by_what_may_still_be_true_of_it() {
        let known = Entries {
            files: ["doubted", "gone", "grown", "mode", "other", "same"]
                .map(|at| (path(at), record(5)))
                .into(),
            ..Entries::default()
        };
        let stamp = found(5).stamp;
        let doubted = Found { stamp: Stamp { ctime_ns: 2, ..stamp }, ..found(5) };
        let other = Found { stamp: Stamp { mtime_ns: 2, ..stamp }, ..found(5) };
        let mode = Found { mode: 0o755, ..found(5) };
        let grown = found(6);
        let seen = [
            ("before", found(5)),
            ("doubted", doubted),
            ("grown", grown),
            ("mode", mode),
            ("new", found(5)),
            ("other", other),
            ("same", found(5)),
            ("zzz", found(5)),
        ];
        let scan = Scan { files: seen.map(|(at, found)| (path(at), found)).into(), ..Scan::default() };
        let out = compare(&known, &scan);
        assert_eq!(out.gone, [(path("gone"), record(5)), (path("other"), record(5))]);
        let unknown = [("before", found(5)), ("new", found(5)), ("other", other), ("zzz", found(5))];
        assert_eq!(out.unknown, unknown.map(|(at, found)| (path(at), found)));
        assert_eq!(out.doubted, [(path("doubted"), doubted)]);
        assert_eq!(out.grown, [(path("grown"), grown)]);
        assert_eq!(out.touched, [(path("mode"), mode.with_id(record(5).id))]);
        let changing = ["before", "new", "other", "zzz"].map(|at| (path(at), Some(Reason::Changing)));
        assert_eq!(out.left_out, changing);
    }

    #[test]
    fn folders_links_and_what_is_left_out_differ_by_their_looks() {
        let looks = |mode| Looks { mode, mtime_ns: 1 };
        let link = |text: &str| Symlink { text: text.into(), target: "x".into() };
        let known = Entries {
            folders: ["", "d", "d/gone", "d/new looks", "d/same"].map(|at| (path(at), looks(7))).into(),
            links: ["d/l", "d/m", "d/n"].map(|at| (path(at), link("x"))).into(),
            left_out: [("d/a", Reason::Special), ("d/b", Reason::Special), ("d/c", Reason::Special)]
                .map(|(at, why)| (path(at), why))
                .into(),
            ..Entries::default()
        };
        let folders = [("d", 7), ("d/new", 7), ("d/new looks", 5), ("d/same", 7)];
        let scan = Scan {
            scope: path("d"),
            folders: folders.map(|(at, mode)| (path(at), looks(mode))).into(),
            above: vec![(path(""), looks(5)), (path("unknown"), looks(5))],
            links: vec![(path("d/l"), link("x")), (path("d/m"), link("y")), (path("d/o"), link("x"))],
            left_out: vec![(path("d/a"), Reason::Special), (path("d/b"), Reason::Name)],
            ..Scan::default()
        };
        let out = compare(&known, &scan);
        assert_eq!(out.folders_gone, [path("d/gone")]);
        assert_eq!(paths(&out.folders_new), ["d/new", "d/new looks", ""]);
        let links = [("d/n", None), ("d/m", Some(link("y"))), ("d/o", Some(link("x")))];
        assert_eq!(out.links, links.map(|(at, link)| (path(at), link)));
        assert_eq!(out.left_out, [(path("d/c"), None), (path("d/b"), Some(Reason::Name))]);
    }

    #[test]
    fn of_what_is_new_nobody_hears_where_it_is_ignored_and_of_the_rest_all() {
        let looks = Looks { mode: 7, mtime_ns: 1 };
        let one = || Differences {
            gone: vec![(path("a"), record(1))],
            unknown: vec![(path("a"), found(1))],
            doubted: vec![(path("a"), found(1))],
            grown: vec![(path("a"), found(1))],
            touched: vec![(path("a"), record(1))],
            folders_gone: vec![path("a")],
            folders_new: vec![(path("a"), looks)],
            links: vec![(path("a"), None)],
            left_out: vec![(path("a"), None)],
        };
        let mut all = one();
        all.extend(one());
        all.ignore_new(|path| path == "b");
        let lengths = |all: &Differences| {
            [
                all.gone.len(),
                all.touched.len(),
                all.folders_gone.len(),
                all.unknown.len(),
                all.doubted.len(),
                all.grown.len(),
                all.folders_new.len(),
                all.links.len(),
                all.left_out.len(),
            ]
        };
        assert_eq!(lengths(&all), [2; 9]);
        all.ignore_new(|path| path == "a");
        assert_eq!(lengths(&all), [2, 2, 2, 0, 0, 0, 0, 0, 0]);
    }
}
