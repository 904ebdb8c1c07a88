//! What a walk found, against what is known.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::content::{Looks, Reason};

use super::super::record::{Found, Record, Symlink, is_within};
use super::{Catalogue, range_at};

/// What a walk found at and below one path, each list in order of path.
#[derive(Debug, Default)]
pub(in crate::peer::share) struct Scan {
    /// Where the walk began; empty for everything.
    pub(in crate::peer::share) scope: Arc<str>,
    pub(in crate::peer::share) files: Vec<(Arc<str>, Found)>,
    pub(in crate::peer::share) folders: Vec<(Arc<str>, Looks)>,
    /// The folders on the way to the scope: what changes in a folder changes its time.
    pub(in crate::peer::share) above: Vec<(Arc<str>, Looks)>,
    /// Symbolic links, also those on the way to the scope, with what is to be written in them.
    pub(in crate::peer::share) links: Vec<(Arc<str>, Symlink)>,
    /// What cannot be shared.
    pub(in crate::peer::share) left_out: Vec<(Arc<str>, Reason)>,
    /// What could not be looked at, with all below it: nothing was learned of that.
    pub(in crate::peer::share) unseen: Vec<(Arc<str>, io::Error)>,
}

impl Scan {
    fn is_unseen(&self, path: &str) -> bool {
        self.unseen.iter().any(|(unseen, _)| is_within(path, unseen))
    }
}

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

impl Catalogue {
    /// What `scan` saw that is not in the catalogue, and the reverse, within its scope.
    pub(in crate::peer::share) fn compare(&self, scan: &Scan) -> Differences {
        let mut out = Differences::default();
        self.compare_files(scan, &mut out);
        let seen: BTreeMap<&str, Looks> =
            scan.folders.iter().map(|(path, looks)| (&**path, *looks)).collect();
        let known = range_at(&self.folders, &scan.scope).map(|(path, _)| path);
        out.folders_gone =
            known.filter(|path| !seen.contains_key(&***path) && !scan.is_unseen(path)).cloned().collect();
        let is_new = |(path, looks): &(Arc<str>, Looks)| {
            self.folders.get(path).is_none_or(|known| known.looks != *looks)
        };
        out.folders_new = scan.folders.iter().filter(|folder| is_new(folder)).cloned().collect();
        let above = scan.above.iter().filter(|(path, _)| self.folders.contains_key(path));
        out.folders_new.extend(above.filter(|folder| is_new(folder)).cloned());
        out.links = changes(&self.links, &scan.scope, &scan.links);
        out.links.retain(|(path, link)| link.is_some() || !scan.is_unseen(path));
        out.left_out = changes(&self.left_out, &scan.scope, &scan.left_out);
        out.left_out.retain(|(path, reason)| reason.is_some() || !scan.is_unseen(path));
        let unseen = scan.unseen.iter().map(|(path, _)| path).filter(|path| !self.knows(path));
        out.left_out.extend(unseen.map(|path| (path.clone(), Some(Reason::Changing))));
        // A file that is there and not known is left out until its bytes are, whatever came of it so far.
        out.left_out.retain(|(path, reason)| {
            reason.is_some() || out.unknown.binary_search_by(|(at, _)| at.cmp(path)).is_err()
        });
        let known = |path: &Arc<str>| self.left_out.contains_key(path);
        let changing = out.unknown.iter().filter(|(path, _)| !known(path));
        out.left_out.extend(changing.map(|(path, _)| (path.clone(), Some(Reason::Changing))));
        out
    }

    /// True if there is something to say of a path already.
    fn knows(&self, path: &Arc<str>) -> bool {
        path.is_empty()
            || self.files.contains_key(path)
            || self.folders.contains_key(path)
            || self.links.contains_key(path)
            || self.left_out.contains_key(path)
    }

    fn compare_files(&self, scan: &Scan, out: &mut Differences) {
        let mut found = scan.files.iter().peekable();
        for (path, record) in range_at(&self.files, &scan.scope) {
            while let Some(new) = found.next_if(|(at, _)| at < path) {
                out.unknown.push(new.clone());
            }
            match found.next_if(|(at, _)| at == path) {
                None if scan.is_unseen(path) => {}
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
