//! What this program put into the destination before: it gives way to a newer version, and what its user changed or
//! added does not.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::FileType;

use super::files::id_of;
use super::place::Folder;
use super::plan::Plan;
use super::trash::{self, MAX_LEFT, Trash};
use crate::api::Trashed;
use crate::content::{FileId, SafeName};
use crate::peer::got::{Got, Noted};
use crate::peer::made::Made;
use crate::peer::stamp::Stamp;
use crate::threads::lock;

/// What is in a folder of which an older version was there, and not in this one.
#[derive(Debug, Default)]
pub(in crate::peer) struct Spared {
    pub(in crate::peer) paths: Vec<String>,
    /// How many of them are of an older version.
    pub(in crate::peer) older: u64,
}

/// The record of a destination, kept by the transfer that fills it.
#[derive(Debug)]
pub(super) struct Own {
    root: PathBuf,
    /// Own files may be replaced.
    replace: bool,
    /// Read when it is needed: for a file that comes alone, where nothing stands, it is not.
    got: Made<Arc<Got>>,
    /// A version of the folder was there before.
    updates: OnceLock<bool>,
    /// The record could not be written.
    failed: AtomicBool,
    /// Files that were found to be own, as they looked then.
    found: Mutex<HashMap<String, Stamp>>,
    /// Paths whose user put the right bytes there.
    theirs: Mutex<HashSet<String>>,
    /// What went to the trash before the newer version was there, and its folder.
    early: Mutex<Trash>,
}

impl Own {
    pub(super) fn open(root: &Path, replace: bool) -> Own {
        Own {
            root: root.to_owned(),
            replace,
            got: Made::default(),
            updates: OnceLock::new(),
            failed: AtomicBool::new(false),
            found: Mutex::default(),
            theirs: Mutex::default(),
            early: Mutex::default(),
        }
    }

    /// The record as it is now.
    fn record(&self) -> Arc<Got> {
        let Ok(got) = self.got.get_or_make(|| Ok::<_, Infallible>(Arc::new(Got::read(&self.root))));
        got
    }

    /// Writes a changed record, which one thread does at a time.
    fn change(&self, got: Got) {
        if let Err(error) = got.write(&self.root) {
            self.complain(&error);
        }
        self.got.set(Arc::new(got));
    }

    fn complain(&self, error: &io::Error) {
        self.failed.store(true, Ordering::Relaxed);
        let at = self.root.display();
        tracing::warn!(
            "what was fetched into {at} cannot be noted, it will be taken for its user's: {error}"
        );
    }

    /// The right bytes are there already. Unless they were put there before, they are their user's and stay so.
    pub(super) fn is_right(&self, path: &str, id: FileId) {
        if !self.record().owns(path, id) {
            lock(&self.theirs).insert(path.to_owned());
        }
    }

    /// The right link is there already.
    pub(super) fn is_right_link(&self, path: &str, target: &str) {
        if !self.record().owns_link(path, target) {
            lock(&self.theirs).insert(path.to_owned());
        }
    }

    /// True if a link to `target` at this path may give way: it is what was put there.
    pub(super) fn link_gives_way(&self, path: &str, target: &str) -> bool {
        self.replace && self.record().owns_link(path, target)
    }

    /// True if a folder was made here, and all that is in it still is what was put there. Reads all of it. `new` are the
    /// inodes of the newer version's files.
    pub(super) fn folder_gives_way(&self, path: &str, root: &Folder, new: HashSet<u64>) -> io::Result<bool> {
        Ok(self.replace && trash::is_all_own(&self.record(), root, new, path)?)
    }

    /// Moves such a folder to the trash. True if it is gone.
    pub(super) fn retire_folder(&self, path: &str, root: &Folder, new: HashSet<u64>) -> io::Result<bool> {
        let mut early = std::mem::take(&mut *lock(&self.early));
        let gone = trash::retire_folder(&self.record(), root, new, &mut early, path);
        *lock(&self.early) = early;
        gone
    }

    /// True if the file may give way: it is still what was put there. Reads all of it.
    pub(super) fn gives_way(&self, path: &str, file: &File) -> io::Result<bool> {
        let got = self.record();
        if !self.replace || !got.knows(path) {
            return Ok(false);
        }
        let stamp = Stamp::of(&file.metadata()?);
        let Some(id) = id_of(file)? else { return Ok(false) };
        let own = got.owns(path, id) && Stamp::of(&file.metadata()?) == stamp;
        if own {
            lock(&self.found).insert(path.to_owned(), stamp);
        }
        Ok(own)
    }

    /// True if the file that has this name was found to give way and was not changed since.
    pub(super) fn still_gives_way(&self, path: &str) -> bool {
        let Some(stamp) = lock(&self.found).get(path).copied() else { return false };
        let now = fs::symlink_metadata(self.root.join(path));
        now.is_ok_and(|now| now.is_file() && Stamp::of(&now) == stamp)
    }

    /// To be told before the first file gets its name.
    pub(super) fn begin(&self, plan: &Plan, id: FileId, root: &Folder) {
        let theirs = lock(&self.theirs).clone();
        let mut ours = plan.all().filter(|(path, _)| !theirs.contains(*path));
        if plan.named.is_some() {
            let mut got = Got::clone(&self.record());
            let _ = self.updates.set(got.has_tree());
            got.begin(plan.named.as_deref(), id, ours);
            let links = plan.links.iter().filter(|(path, _)| !theirs.contains(path));
            links.for_each(|(path, target)| got.put_link(path, target));
            // Those that are there now, somebody else has made, or it is noted already.
            let is_there = |path: &str| root.kind(path).is_ok_and(|kind| kind == FileType::Directory);
            let folders = plan.folders.iter().map(|(path, _)| &**path);
            got.make_folders(folders.filter(|path| !is_there(path)));
            self.change(got);
        } else if let Some((path, id)) = ours.next().filter(|(path, id)| !self.is_noted(path, *id))
            && let Err(error) = Got::append(&self.root, path, id)
        {
            self.complain(&error);
        }
    }

    /// True if it is known that this was put there before.
    fn is_noted(&self, path: &str, id: FileId) -> bool {
        self.got.get().is_some_and(|got| got.owns(path, id))
    }

    /// What the transfer of a plan, begun before, changed of the record.
    pub(super) fn noted(&self, plan: &Plan) -> Noted {
        if self.failed.load(Ordering::Relaxed) {
            return Noted::Nothing;
        }
        if plan.named.is_some() {
            return Noted::All(Got::clone(&self.record()));
        }
        let theirs = lock(&self.theirs);
        let mut ours = plan.all().filter(|(path, _)| !theirs.contains(*path));
        ours.next().map_or(Noted::Nothing, |(path, id)| Noted::Alone(path.to_owned(), id))
    }

    /// All files have their names.
    pub(super) fn finish(&self, plan: &Plan) {
        if plan.named.is_some() {
            let mut got = Got::clone(&self.record());
            got.finish(plan.all());
            plan.folders.iter().for_each(|(path, _)| got.finish_folder(path));
            plan.links.iter().for_each(|(path, target)| got.finish_link(path, target));
            self.change(got);
        }
    }

    /// Moves what this version lacks, and was put there before, to the trash; `new` are the inodes of its files. `stop`
    /// is asked now and then.
    pub(super) fn retire(
        &self,
        plan: &Plan,
        root: &Folder,
        new: HashSet<u64>,
        stop: &dyn Fn() -> bool,
    ) -> Trashed {
        let mut got = Got::clone(&self.record());
        let early = lock(&self.early).clone();
        let (trashed, gone) = trash::retire(&got, plan, root, new, early, stop);
        if !gone.is_empty() {
            got.forget(gone.iter().map(|path| &**path));
            self.change(got);
        }
        Trashed { no_record: !self.is_update(), ..trashed }
    }

    /// True if a version of the folder was there before this one.
    fn is_update(&self) -> bool {
        self.updates.get().copied().unwrap_or_default()
    }

    /// After a newer version of a folder: what is there and not in it.
    pub(super) fn left_alone(&self, plan: &Plan) -> Spared {
        if !self.is_update() || plan.named.is_none() || plan.filtered {
            return Spared::default();
        }
        let known = plan.paths();
        let mut left = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(self.root.join(&folder)) else { continue };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && name != SafeName::STATE_FOLDER => folders.push(path),
                    Ok(kind) if !kind.is_dir() && !known.contains(&*path) && left.len() < MAX_LEFT => {
                        left.push(path);
                    }
                    _ => {}
                }
            }
        }
        left.sort();
        let got = self.record();
        let older: HashSet<&str> = got.in_tree().collect();
        let older = left.iter().filter(|path| older.contains(&***path)).count() as u64;
        Spared { paths: left, older }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Geometry;

    const ID: FileId = FileId([1; 32]);

    fn plan() -> Plan {
        Plan::file(ID, Geometry::of(5).unwrap(), "a").unwrap()
    }

    fn begun(root: &Path, see: impl FnOnce(&Own)) -> Own {
        let own = Own::open(root, true);
        see(&own);
        own.begin(&plan(), ID, &Folder::open(root).unwrap());
        own
    }

    #[test]
    fn the_record_is_read_only_if_something_stands_there() {
        let folder = tempfile::tempdir().unwrap();
        let own = begun(folder.path(), |_| {});
        assert!(own.got.get().is_none(), "nothing was read");
        assert_eq!(own.noted(&plan()), Noted::Alone("a".into(), ID));
        assert!(Got::read(folder.path()).owns("a", ID));
        let before = fs::read(folder.path().join(".p2p/got")).unwrap();
        let own = begun(folder.path(), |own| own.is_right("a", ID));
        assert_eq!(own.noted(&plan()), Noted::Alone("a".into(), ID), "it was put there before");
        assert_eq!(fs::read(folder.path().join(".p2p/got")).unwrap(), before, "which is not said twice");
    }

    #[test]
    fn what_its_user_put_there_is_not_noted() {
        let folder = tempfile::tempdir().unwrap();
        let own = begun(folder.path(), |own| own.is_right("a", ID));
        assert_eq!(own.noted(&plan()), Noted::Nothing);
        assert!(Got::read(folder.path()).is_empty());
    }

    #[test]
    fn a_file_gives_way_while_it_is_what_was_put_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "hello").unwrap();
        let gives_way = |own: &Own| own.gives_way("a", &File::open(&path).unwrap()).unwrap();
        assert!(!gives_way(&Own::open(folder.path(), true)), "nobody knows of it");
        Got::append(folder.path(), "a", FileId::of(b"hello")).unwrap();
        assert!(!gives_way(&Own::open(folder.path(), false)), "nothing is to be replaced");
        let own = Own::open(folder.path(), true);
        assert!(!own.still_gives_way("a"), "it was not looked at");
        assert!(gives_way(&own) && own.still_gives_way("a"));
        fs::write(&path, "other").unwrap();
        assert!(!own.still_gives_way("a") && !gives_way(&own));
    }
}
