//! What a walk found, against what is known. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::content::{Looks, Reason};

use super::super::record::{Found, Record, Symlink, is_below_one};
use super::super::scan::Scan;
use super::entries::{Entries, range_at};

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
