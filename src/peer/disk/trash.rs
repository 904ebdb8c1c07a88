//! What an older version of a folder had and the new one lacks: it goes to `DEST/.p2p/trash`, which is never shared.
//!
//! Only what the record says was put there and still is what was put there goes, by rename, and over nothing; a
//! folder goes if it was made here and nothing is left in it. The record is a text that anybody may have written: each path
//! is reached from the destination anew, through no symbolic link.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, mkdirat, openat, readlinkat, statat, unlinkat,
};
use rustix::io::Errno;

use super::files::id_of;
use super::naming;
use super::place::{self, FILL, Folder};
use super::plan::Plan;
use crate::api::Trashed;
use crate::content::Looks;
use crate::peer::got::Got;
use crate::peer::stamp::Stamp;

/// Where it is in the destination.
const TRASH: &str = ".p2p/trash";
/// Most paths that are named of those that went, or are left alone.
pub(super) const MAX_LEFT: usize = 10_000;
/// Most fetches of one second whose trash is told apart.
const MAX_SAME_TIME: u32 = 10_000;

/// What became of one path.
enum Fate {
    Moved,
    /// There is nothing at it.
    Gone,
    /// It is not what was put there.
    Kept,
}

impl Trashed {
    fn add(&mut self, path: &str) {
        self.files += 1;
        if self.paths.len() < MAX_LEFT {
            self.paths.push(path.to_owned());
        }
    }
}

/// What one fetch has moved to the trash so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Trash {
    trashed: Trashed,
    /// The folder of this run, once there is one.
    run: Option<String>,
}

/// The way to the trash.
struct Chute<'a> {
    got: &'a Got,
    root: &'a Folder,
    /// Files of the new version: on some file systems two names are one.
    new: HashSet<u64>,
    /// The folder of this run, once there is one.
    run: Option<String>,
}

/// Moves away what `got` knows and `plan` lacks. With it, the paths at which there is nothing any more.
pub(super) fn retire(
    got: &Got,
    plan: &Plan,
    root: &Folder,
    new: HashSet<u64>,
    Trash { mut trashed, run }: Trash,
    stop: &dyn Fn() -> bool,
) -> (Trashed, Vec<String>) {
    let mut trash = Chute { got, root, new, run };
    let mut gone = Vec::new();
    let mut trouble = String::new();
    let mut say = |path: &str, error: io::Error| {
        if trouble.is_empty() {
            trouble = format!("{path}: {error}");
        }
    };
    let known = plan.paths();
    // Nor what the source may have, and could not list.
    let lacks = |path: &&str| !known.contains(path) && !plan.left_out.may_cover(path);
    for path in got.in_tree().filter(lacks) {
        if stop() {
            break;
        }
        match or_gone(trash.take(path)) {
            Ok(Fate::Moved) => {
                trashed.add(path);
                gone.push(path.to_owned());
            }
            Ok(Fate::Gone) => gone.push(path.to_owned()),
            Ok(Fate::Kept) => {}
            Err(error) => say(path, error),
        }
    }
    let folders: HashSet<&str> = plan.folders.iter().map(|(path, _)| &**path).collect();
    for path in
        got.folders_inside_out().filter(|path| !folders.contains(path) && !plan.left_out.may_cover(path))
    {
        match or_gone(trash.remove_empty(path)) {
            Ok(Fate::Moved | Fate::Gone) => gone.push(path.to_owned()),
            Ok(Fate::Kept) => {}
            Err(error) => say(path, error),
        }
    }
    trashed.trouble = trouble;
    trashed.folder = trash.run.map(|run| root.path().join(run).display().to_string()).unwrap_or_default();
    (trashed, gone)
}

/// True if the folder was made here, and all that is in it came with the whole and is what was put there.
pub(super) fn is_all_own(got: &Got, root: &Folder, new: HashSet<u64>, path: &str) -> io::Result<bool> {
    let trash = Chute { got, root, new, run: None };
    let mut folders = vec![path.to_owned()];
    while let Some(path) = folders.pop() {
        if !got.owns_folder(&path) {
            return Ok(false);
        }
        let folder = root.existing(&path)?;
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let Ok(base) = entry.file_name().to_str() else { return Ok(false) };
            if matches!(base, "." | "..") {
                continue;
            }
            let inner = format!("{path}/{base}");
            let kind = FileType::from_raw_mode(statat(&folder, base, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
            if kind == FileType::Directory {
                folders.push(inner);
            } else if !got.came_with_tree(&inner) || !trash.is_own(&folder, &inner, base)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Moves away what was put into a folder that was made here, and the folder itself. True if it is gone.
pub(super) fn retire_folder(
    got: &Got,
    root: &Folder,
    new: HashSet<u64>,
    Trash { trashed, run }: &mut Trash,
    path: &str,
) -> io::Result<bool> {
    let mut trash = Chute { got, root, new, run: run.take() };
    let within = format!("{path}/");
    let below = |inner: &&str| inner.starts_with(&within);
    let moved = got.in_tree().filter(below).try_for_each(|inner| {
        if let Fate::Moved = or_gone(trash.take(inner))? {
            trashed.add(inner);
        }
        Ok::<(), io::Error>(())
    });
    let mut fate = Fate::Gone;
    let removed = moved.and_then(|()| {
        let folders = got.folders_inside_out().filter(below).chain([path]);
        folders.map(|folder| or_gone(trash.remove_empty(folder))).try_for_each(|last| {
            fate = last?;
            Ok(())
        })
    });
    *run = trash.run;
    if let Some(run) = run {
        trashed.folder = root.path().join(run).display().to_string();
    }
    removed.map(|()| !matches!(fate, Fate::Kept))
}

/// A path that leads nowhere has nothing at it; one that leads elsewhere is none of ours.
fn or_gone(fate: io::Result<Fate>) -> io::Result<Fate> {
    match fate {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Fate::Gone),
        Err(error) if place::is_link_or_no_folder(&error) => Ok(Fate::Kept),
        fate => fate,
    }
}

impl Chute<'_> {
    /// Moves what is at `path` if it still is what was put there.
    fn take(&mut self, path: &str) -> io::Result<Fate> {
        let (above, base) = split(path);
        let folder = self.root.existing(above)?;
        if !self.is_own(&folder, path, base)? {
            return Ok(Fate::Kept);
        }
        let moved = self.place_for(above).and_then(|to| {
            self.open_for(above, &folder, || naming::rename(folder.as_fd(), base, &to, base, false))
        });
        // Whatever that says is said of the trash.
        moved.map_err(|error| io::Error::other(format!("{TRASH}: {error}")))?;
        Ok(Fate::Moved)
    }

    /// True if this file or link still is what was put there.
    fn is_own(&self, folder: &OwnedFd, path: &str, base: &str) -> io::Result<bool> {
        match FileType::from_raw_mode(statat(folder, base, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) {
            FileType::RegularFile => self.is_own_file(folder, path, base),
            FileType::Symlink => {
                let target = readlinkat(folder, base, Vec::new())?;
                Ok(target.to_str().is_ok_and(|target| self.got.owns_link(path, target)))
            }
            _ => Ok(false),
        }
    }

    /// True if the file holds what was put there, and has not been touched while that was looked at.
    fn is_own_file(&self, folder: &OwnedFd, path: &str, base: &str) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(folder, base, flags, Mode::empty())?);
        let before = Stamp::of(&file.metadata()?);
        // Another name of a file of the new version is one, unless it is the very same name in other letters.
        if self.new.contains(&before.inode) && fstat(&file)?.st_nlink == 1 {
            return Ok(false);
        }
        let Some(id) = id_of(&file)? else { return Ok(false) };
        let now = statat(folder, base, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(self.got.owns(path, id) && Stamp::of(&file.metadata()?) == before && now.st_ino == before.inode)
    }

    /// Removes a folder that was made here, if nothing is in it.
    fn remove_empty(&self, path: &str) -> io::Result<Fate> {
        let (above, base) = split(path);
        let folder = self.root.existing(above)?;
        let removed = self.open_for(above, &folder, || Ok(unlinkat(&folder, base, AtFlags::REMOVEDIR)?));
        match removed.as_ref().err().and_then(Errno::from_io_error) {
            Some(Errno::NOTEMPTY | Errno::EXIST) => Ok(Fate::Kept),
            _ => removed.map(|()| Fate::Moved),
        }
    }

    /// Does something in a folder; one that was made here may have a mode that forbids it.
    fn open_for(&self, path: &str, folder: &OwnedFd, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mode = fstat(folder)?.st_mode & u32::from(Looks::MODE);
        let closed = mode & FILL != FILL && (path.is_empty() || self.got.owns_folder(path));
        if closed {
            let _ = fchmod(folder, Mode::from_raw_mode(mode | FILL)); // what cannot be done then, will say so
        }
        let done = act();
        if closed {
            let _ = fchmod(folder, Mode::from_raw_mode(mode));
        }
        done
    }

    /// The folder in the trash for what was in this one.
    fn place_for(&mut self, folder: &str) -> io::Result<Arc<OwnedFd>> {
        let run = self.run()?;
        match folder {
            "" => self.root.folder(&run),
            folder => self.root.folder(&format!("{run}/{folder}")),
        }
    }

    /// The folder of this run, made when there is something to put into it.
    fn run(&mut self) -> io::Result<String> {
        if let Some(run) = &self.run {
            return Ok(run.clone());
        }
        let trash = self.root.folder(TRASH)?;
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(':', "-");
        for number in 1..MAX_SAME_TIME {
            let name = if number == 1 { now.clone() } else { format!("{now}.{number}") };
            match mkdirat(&trash, &name, Mode::from_raw_mode(0o777)) {
                Err(Errno::EXIST) => {}
                made => {
                    made?;
                    return Ok(self.run.insert(format!("{TRASH}/{name}")).clone());
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// The folder of a path, and its last part.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests;
