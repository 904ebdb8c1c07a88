//! A look at paths that may have changed: they are scanned, what went is taken back, and what is to be hashed is
//! sorted out. Reads the folder here, and leaves every decision to [`State`](super::state::State).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::core::Core;
use super::reading::open_like;
use super::record::{Found, Record, below, is_below_one, parent};
use super::scan::Scan;
use super::state::{ToDo, Unsure};
use crate::content::Geometry;
use crate::peer::got::Got;

/// Looks at paths that may have changed: takes back what is not there any more, and gives what is to be done.
pub(super) fn look(core: &Core, paths: &[Arc<str>]) -> ToDo {
    let scans = scan(core, paths);
    let got = got_of_new(core, &scans);
    let unsure = core.step(|state| state.take_in(paths, scans, got, Instant::now()));
    if let (Some(watches), false) = (&core.watches, unsure.folders_gone.is_empty()) {
        let gone: BTreeSet<&str> = unsure.folders_gone.iter().map(|path| &**path).collect();
        watches.forget(|folder| gone.contains(folder));
    }
    let came_back = came_back(core, &unsure);
    core.step(|state| state.sort_out(unsure, came_back, (Instant::now(), SystemTime::now())))
}

/// Scans each path, the places it is linked from, and nothing twice.
fn scan(core: &Core, paths: &[Arc<str>]) -> Vec<Scan> {
    let wanted = core.read().with_linked(paths);
    if wanted.contains("")
        && let Some(watches) = &core.watches
    {
        watches.open_eyes();
    }
    let mut covered: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut scans = Vec::new();
    for path in wanted {
        if is_covered(&covered, &path) {
            continue;
        }
        let scan = core.walker.scan(&path);
        // What is a folder, or is not there, has nothing more to say about what is below it.
        if !scan.is_of_a_file() {
            covered.insert(path);
        }
        scans.push(scan);
    }
    let others = core.read().other_names(paths, &scans);
    scans.extend(others.iter().filter(|path| !is_covered(&covered, path)).map(|path| core.walker.scan(path)));
    scans
}

fn is_covered(covered: &BTreeSet<Arc<str>>, path: &str) -> bool {
    !path.is_empty() && is_below_one(covered, parent(path))
}

/// What was fetched into folders that are new here.
fn got_of_new(core: &Core, scans: &[Scan]) -> Vec<(Arc<str>, Got)> {
    let new = core.read().new_folders(scans);
    let read = |folder: Arc<str>| {
        let got = Got::read(&below(&core.walker.root, &folder));
        (folder, got)
    };
    new.into_iter().map(read).collect()
}

/// Which of the unknown files are known under another name, can be read, and still have their chunk hashes here.
fn came_back(core: &Core, unsure: &Unsure) -> Vec<(Arc<str>, Record)> {
    let known = |(path, found): &(Arc<str>, Found)| Some((path.clone(), core.read().ghost_of(found)?));
    unsure.unknown.iter().filter_map(known).filter(|(path, record)| is_whole(core, path, record)).collect()
}

fn is_whole(core: &Core, path: &str, record: &Record) -> bool {
    let opened = open_like(&core.walker.root, path, record.stamp);
    let chunks = Geometry::of(record.stamp.size).map_or(0, Geometry::chunks);
    opened.is_ok_and(|file| file.is_some()) && (chunks <= 1 || core.index.hashes(record.id).is_some())
}

/// Makes the trees of these folders again. Nobody waits meanwhile; what changes while a tree is made has it made once
/// more.
pub(super) fn renew_trees(core: &Core, folders: &[Arc<str>]) {
    let mut measured = Vec::new();
    for folder in folders {
        if core.is_stopping() {
            return;
        }
        let below = core.read().catalogue.below(folder);
        measured.extend(below.map(|below| below.measure()));
    }
    core.step(|state| ((), state.renew(measured)));
}
