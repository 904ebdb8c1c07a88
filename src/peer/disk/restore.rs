//! What a tree has besides its files' bytes: folders with their modes and times, symbolic and hard links.
//!
//! Folders are made first, open to this user alone. Links come when all files have their names, so that
//! nothing is ever written through one, and modes and times of folders last, innermost first. Each step
//! looks at what is there, so a run that is repeated or goes on after a kill ends with the same.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, Stat, fchmod, fstat, linkat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::dest::Dest;
use super::error::{DiskError, folder_error};
use super::files::set_looks;
use super::ground::{is_link_to, look};
use super::place::FILL;
use super::plan::{HardLink, Plan};
use crate::content::{Looks, SafeName};

/// What is done to a destination for a plan, beside its files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restore<'a> {
    pub(super) dest: &'a Dest,
    pub(super) plan: &'a Plan,
}

impl Restore<'_> {
    /// Makes the folders, open to this user until they get their modes. What is in their way was seen, and goes.
    pub(super) fn make_folders(self) -> Result<(), DiskError> {
        self.retire_folders()?;
        self.prepare_root();
        self.plan.folders.iter().try_for_each(|(path, _)| self.make_folder(path))
    }

    /// All files have their names: makes the links, then finishes the folders.
    pub(super) fn complete(self) -> Result<(), DiskError> {
        for (path, target) in &self.plan.links {
            self.make_link(path, target)?;
        }
        for link in &self.plan.hard_links {
            self.make_hard_link(link)?;
        }
        self.note_links()?;
        self.finish_folders()
    }

    /// Gives the folders their modes and times, when nothing is put into them any more.
    pub(super) fn finish_folders(self) -> Result<(), DiskError> {
        for (path, looks) in self.plan.folders.iter().rev() {
            let folder = self.dest.ground.root.folder(path).map_err(|error| folder_error(path, error))?;
            set_looks(&*folder, Some(*looks)).map_err(DiskError::at(path))?;
            self.dest.ground.sync(&folder, path)?;
        }
        Ok(())
    }

    /// Nothing is to be written into the destination any more.
    pub(super) fn finish_root(self) {
        let Some(mode) = self.plan.root_mode.map(u32::from) else { return };
        let root = self.dest.ground.root.fd();
        let now = fstat(root).map(|stat| stat.st_mode & u32::from(Looks::MODE));
        if now == Ok(mode | FILL) {
            let _ = fchmod(root, Mode::from_raw_mode(mode));
        }
    }

    /// Moves folders that give way to files or links to the trash.
    fn retire_folders(self) -> Result<(), DiskError> {
        let Some(own) = &self.dest.ground.own else { return Ok(()) };
        for path in &self.dest.seen.folded {
            let gone = own.retire_folder(path, &self.dest.ground.root, self.dest.names.inodes());
            if !gone.map_err(DiskError::at(path))? {
                return Err(DiskError::InTheWay(path.clone(), "a folder"));
            }
        }
        Ok(())
    }

    /// A destination with nothing in it but our own state was made for this tree, by this run or an earlier
    /// one: nobody else is to look into it who may not look into the source.
    fn prepare_root(self) {
        let Some(mode) = self.plan.root_mode else { return };
        let root = &self.dest.ground.root;
        let entries = std::fs::read_dir(root.path()).map(|entries| entries.flatten());
        let is_new =
            entries.is_ok_and(|mut entries| entries.all(|entry| entry.file_name() == SafeName::STATE_FOLDER));
        if is_new {
            let _ = fchmod(root.fd(), Mode::from_raw_mode(u32::from(mode) | FILL));
        }
    }

    fn make_folder(self, path: &str) -> Result<(), DiskError> {
        self.clear_for_folder(path)?;
        let folder = self.dest.ground.root.folder(path).map_err(|error| folder_error(path, error))?;
        let mode = fstat(&*folder).map_err(|error| folder_error(path, error.into()))?.st_mode;
        if mode & FILL != FILL {
            // If it is not ours to open, what has to be written there will say so.
            let _ = fchmod(&*folder, Mode::from_raw_mode(mode & u32::from(Looks::MODE) | FILL));
        }
        Ok(())
    }

    /// Removes what stands in a folder's place, if it still is what was seen to give way.
    fn clear_for_folder(self, path: &str) -> Result<(), DiskError> {
        let (ground, turned) = (&self.dest.ground, &self.dest.seen.turned);
        if turned.contains(path) && !matches!(ground.kind(path, turned)?, None | Some(FileType::Directory)) {
            ground.expect_own(path)?;
            let (folder, base) = ground.spot(path)?;
            unlinkat(&folder, base, AtFlags::empty()).map_err(|error| DiskError::at(path)(error.into()))?;
        }
        Ok(())
    }

    fn make_link(self, path: &str, target: &str) -> Result<(), DiskError> {
        let at = |error: Errno| DiskError::at(path)(error.into());
        let (folder, base) = self.dest.ground.spot(path)?;
        if is_link_to(&folder, base, target) {
            return Ok(());
        }
        self.clear(&folder, base, path)?;
        symlinkat(target, &folder, base).map_err(at)?;
        self.dest.ground.sync(&folder, path)
    }

    fn make_hard_link(self, link: &HardLink) -> Result<(), DiskError> {
        let path = &link.name.path;
        let at = |error: Errno| DiskError::at(path)(error.into());
        let (from, old) = self.dest.ground.spot(&link.of)?;
        let (to, new) = self.dest.ground.spot(path)?;
        let place = |stat: Stat| (stat.st_dev, stat.st_ino);
        if look(&from, old).map(place) == look(&to, new).map(place) {
            return Ok(());
        }
        if !self.has_bytes(link)? {
            self.clear(&to, new, path)?;
        } else {
            unlinkat(&to, new, AtFlags::empty()).map_err(at)?;
        }
        match linkat(&from, old, &to, new, AtFlags::empty()) {
            // Not between these folders, or not on this file system, or it has too many names.
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP) => {
                return self.copy_again(link);
            }
            linked => linked.map_err(at)?,
        }
        self.dest.ground.sync(&to, path)
    }

    /// With another name the system counts a file as changed; so only now they all look as they will.
    fn note_links(self) -> Result<(), DiskError> {
        for link in &self.plan.hard_links {
            let first = self.plan.slots[link.file].names.iter().find(|name| name.path == link.of);
            for name in first.into_iter().chain([&link.name]) {
                let file = self.dest.ground.root.peek(&name.path);
                let noted = file.and_then(|file| self.dest.names.note_now(name, &file));
                noted.map_err(DiskError::at(&name.path))?;
            }
        }
        Ok(())
    }

    /// A file that has its name and was proved, once more under another.
    fn copy_again(self, link: &HardLink) -> Result<(), DiskError> {
        let from = self.dest.ground.root.open_closed(&link.of).map_err(DiskError::at(&link.of))?;
        let slot = &self.plan.slots[link.file];
        self.dest.give_draft(self.dest.copy_of(&from, &link.name)?, slot.id, (&link.name, slot))
    }

    /// True if the file's bytes are under this name too, whatever its inode.
    fn has_bytes(self, link: &HardLink) -> Result<bool, DiskError> {
        match self.dest.in_place(&link.name, &self.plan.slots[link.file]) {
            // What is in the way is judged by whoever wants to replace it.
            Err(error) if error.is_in_the_way() => Ok(false),
            right => right,
        }
    }

    /// Makes a name free, if what has it may be replaced.
    fn clear(self, folder: &OwnedFd, base: &str, path: &str) -> Result<(), DiskError> {
        if look(folder, base).is_some() {
            self.dest.ground.expect_replaceable(folder, base, path)?;
            unlinkat(folder, base, AtFlags::empty()).map_err(|error| DiskError::at(path)(error.into()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::super::ground::Ground;
    use super::super::place::Folder;
    use super::super::plan::Manner;
    use super::super::survey;
    use super::*;
    use crate::content::{FileId, LeftOut, Tree, TreeEntry, TreeKind};

    const LOOKS: Looks = Looks { mode: 0o640, mtime_ns: 7_000_000_000 };
    const CLOSED: Looks = Looks { mode: 0o555, mtime_ns: 9_000_000_000 };

    fn plan(mode: u16) -> Plan {
        let file = TreeKind::File { looks: LOOKS, size: 5, id: FileId::of(b"hello") };
        let entries = [
            ("a", file),
            ("again", TreeKind::HardLink(SafeName::new("a").unwrap())),
            ("d", TreeKind::Folder(CLOSED)),
            ("d/e", TreeKind::Folder(LOOKS)),
            ("l", TreeKind::Link("a".into())),
        ];
        let entry = |(path, kind)| TreeEntry { path: SafeName::new(path).unwrap(), kind };
        let tree = Tree::new(mode, entries.map(entry).into(), LeftOut::default()).unwrap();
        Plan::tree(&tree).unwrap()
    }

    fn dest(root: &Path, plan: &Plan, force: bool) -> Dest {
        let manner = Manner { force, noted: false, own: false, delete: false, told: false, fsync: false };
        let ground = Ground { root: Folder::open(root).unwrap(), manner, own: None };
        let seen = survey::look(&ground, plan).unwrap();
        Dest::new(ground, seen, plan)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_tree_is_made_from_the_outside_in_and_finished_from_the_inside_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let plan = plan(0o511);
        let dest = dest(root, &plan, false);
        let restore = Restore { dest: &dest, plan: &plan };
        restore.make_folders().unwrap();
        assert_eq!(mode(root), 0o711, "to be filled");
        assert_eq!((mode(&root.join("d")) & FILL, mode(&root.join("d/e")) & FILL), (FILL, FILL));
        fs::write(root.join("a"), "hello").unwrap();
        for _ in 0..2 {
            restore.complete().unwrap();
            restore.finish_root();
            assert_eq!((mode(root), mode(&root.join("d")), mode(&root.join("d/e"))), (0o511, 0o555, 0o640));
            assert_eq!(fs::metadata(root.join("d")).unwrap().mtime(), 9);
            assert_eq!(fs::metadata(root.join("d/e")).unwrap().mtime(), 7);
            assert_eq!(fs::read_link(root.join("l")).unwrap(), Path::new("a"));
            let inode = |name: &str| fs::metadata(root.join(name)).unwrap().ino();
            assert_eq!(inode("a"), inode("again"));
            let stamps: Vec<_> = plan.names().filter_map(|name| dest.names.stamp(name)).collect();
            assert!(stamps.len() == 2 && stamps[0] == stamps[1], "both names, as they look with both");
        }
        // One that is open to others by now was not made for this.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        restore.finish_root();
        assert_eq!(mode(root), 0o755);
    }

    #[test]
    fn the_same_bytes_under_another_inode_become_a_link_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let plan = plan(0o755);
        let dest = dest(root, &plan, false);
        let restore = Restore { dest: &dest, plan: &plan };
        fs::write(root.join("a"), "hello").unwrap();
        fs::write(root.join("again"), "hello").unwrap();
        restore.make_hard_link(&plan.hard_links[0]).unwrap();
        let inode = |name: &str| fs::metadata(root.join(name)).unwrap().ino();
        assert_eq!(inode("a"), inode("again"));
        fs::remove_file(root.join("again")).unwrap();
        fs::write(root.join("again"), "mine!").unwrap();
        let refused = restore.make_hard_link(&plan.hard_links[0]);
        assert!(matches!(refused, Err(DiskError::Exists(path)) if path == "again"));
        symlink("elsewhere", root.join("l")).unwrap();
        assert!(matches!(restore.make_link("l", "a"), Err(DiskError::Exists(path)) if path == "l"));
        assert_eq!(fs::read(root.join("again")).unwrap(), b"mine!");
        assert_eq!(fs::read_link(root.join("l")).unwrap(), Path::new("elsewhere"));
    }

    #[test]
    fn by_force_links_go_over_files_and_links_and_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let plan = plan(0o755);
        let dest = dest(root, &plan, true);
        let restore = Restore { dest: &dest, plan: &plan };
        fs::write(root.join("a"), "hello").unwrap();
        fs::write(root.join("again"), "mine!").unwrap();
        symlink("elsewhere", root.join("l")).unwrap();
        restore.make_hard_link(&plan.hard_links[0]).unwrap();
        restore.make_link("l", "a").unwrap();
        assert_eq!(fs::read(root.join("again")).unwrap(), b"hello");
        assert_eq!(fs::read_link(root.join("l")).unwrap(), Path::new("a"));
        fs::remove_file(root.join("l")).unwrap();
        fs::create_dir(root.join("l")).unwrap();
        assert!(
            matches!(restore.make_link("l", "a"), Err(DiskError::InTheWay(path, "a folder")) if path == "l")
        );
    }
}
