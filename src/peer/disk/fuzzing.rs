//! Promises of the disk about bytes and names from outside, for [`crate::fuzzing`].

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::naming;
use super::place::Folder;
use super::plan::Plan;
use crate::content::{Chunk, ChunkHash, FileId, SafeName, Tree};

/// Whose journal the fuzzer writes.
const ID: FileId = FileId([7; FileId::BYTES]);
/// Longer paths cannot be asked for by name in one step, so that the fuzzer could not look.
const MAX_LOOK_BYTES: usize = 3000;

/// A listing with a layout has a plan, with a name for each path.
pub(crate) fn plan(tree: &Tree) {
    let Ok(plan) = Plan::tree(tree) else { panic!("a tree with a layout has a plan") };
    let names: usize = plan.slots.iter().map(|slot| slot.names.len()).sum();
    let others = plan.folders.len() + plan.links.len() + plan.hard_links.len();
    assert_eq!(names + others, tree.entries().len());
}

/// A journal of any bytes opens, takes a record, and has it and all it had when it is opened again.
pub(crate) fn journal(bytes: &[u8], scratch: &Path) {
    let path = scratch.join("journal");
    fs::write(&path, bytes).expect("the fuzzer's folder can be written");
    let open = || Journal::open(&path, ID).expect("a journal of any bytes opens");
    let (journal, mut records) = open();
    let record = (Chunk(3), ChunkHash([9; ChunkHash::BYTES]));
    journal.append(record.0, record.1).expect("a journal takes a record");
    records.push(record);
    drop(journal);
    assert_eq!(open().1, records);
    fs::remove_file(&path).expect("the journal is there");
}

/// A folder with what could lead astray, and one beside it that nothing may reach.
struct Ground {
    root: PathBuf,
    outside: PathBuf,
}

impl Ground {
    fn at(scratch: &Path) -> std::io::Result<Ground> {
        let scratch = scratch.canonicalize()?;
        let ground = Ground { root: scratch.join("root"), outside: scratch.join("outside") };
        if !ground.root.exists() {
            fs::create_dir_all(ground.root.join("d/e"))?;
            fs::create_dir_all(&ground.outside)?;
            fs::write(ground.root.join("f"), "inside")?;
            fs::write(ground.outside.join("secret"), "outside")?;
            symlink("../outside", ground.root.join("l"))?;
            symlink("/", ground.root.join("d/l"))?;
            symlink("../f", ground.root.join("d/f"))?;
            symlink("../../outside/secret", ground.root.join("d/s"))?;
            symlink("nowhere", ground.root.join("n"))?;
        }
        Ok(ground)
    }

    /// The first part of `path` that is not there: what has to go afterwards.
    fn missing(&self, path: &str) -> Option<PathBuf> {
        let mut at = self.root.clone();
        path.split('/').find_map(|part| {
            at.push(part);
            fs::symlink_metadata(&at).is_err().then(|| at.clone())
        })
    }

    #[track_caller]
    fn expect_inside(&self, opened: &impl AsRawFd) {
        let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let real = fs::read_link(link).expect("an open file has a path");
        assert!(real.starts_with(&self.root), "{} was opened", real.display());
    }
}

/// What is opened, made or renamed under a safe path is below the folder, and nothing beside it changes.
pub(crate) fn place(bytes: &[u8], scratch: &Path) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = SafeName::new(text) else { return };
    let path = name.path();
    if path.len() > MAX_LOOK_BYTES {
        return;
    }
    let ground = Ground::at(scratch).expect("the fuzzer's folder can be written");
    let missing = ground.missing(path);
    let root = Folder::open(&ground.root).expect("the root is a folder");
    if let Ok(file) = root.open_file(path) {
        ground.expect_inside(&file);
    }
    let (folder, base) = path.rsplit_once('/').map_or((None, path), |(folder, base)| (Some(folder), base));
    let folder = folder.map_or_else(|| Ok(root.itself()), |folder| root.folder(folder));
    if let Ok(folder) = folder {
        ground.expect_inside(&*folder);
        put(&ground, &root, &folder, base, path);
    }
    if let Some(made) = missing.filter(|made| fs::symlink_metadata(made).is_ok()) {
        let removed = if made.is_dir() { fs::remove_dir_all(&made) } else { fs::remove_file(&made) };
        removed.expect("what the fuzzer made can go");
    }
    let beside = fs::read_dir(&ground.outside).expect("the other folder").count();
    let secret = fs::read(ground.outside.join("secret")).expect("the other folder's file");
    assert!(beside == 1 && secret == b"outside", "something beside the folder changed");
    assert_eq!(fs::read(ground.root.join("f")).ok().as_deref(), Some(&b"inside"[..]), "nothing is replaced");
}

/// Renames a file to `base`, where nothing may be replaced.
fn put(ground: &Ground, root: &Folder, folder: &std::os::fd::OwnedFd, base: &str, path: &str) {
    const TEMPORARY: &str = SafeName::STATE_FOLDER; // the one name that no safe path has
    let temporary = ground.root.join(TEMPORARY);
    File::create(&temporary).expect("a temporary file");
    match naming::rename(root.fd(), TEMPORARY, folder, base, false) {
        Ok(()) => {
            let real = ground.root.join(path).canonicalize().expect("the file is where it was put");
            assert_eq!(real, ground.root.join(path));
        }
        Err(_) => fs::remove_file(temporary).expect("the temporary file"),
    }
}
