//! How files get their names: whole and over nothing, whether the file system can make files without names or not.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::mknodat;
use tempfile::TempDir;

use super::*;

const MODE: Mode = Mode::from_raw_mode(0o640);

fn place() -> (TempDir, Arc<OwnedFd>) {
    let folder = tempfile::tempdir().unwrap();
    let fd = openat(CWD, folder.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    (folder, Arc::new(fd))
}

/// A file with these bytes; with a name for the time being, as where there can be none without, or as this system has it.
fn draft(folder: &Arc<OwnedFd>, is_named: bool, bytes: &str) -> Draft {
    let draft = if is_named {
        let temporary = temporary_name();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = Arc::new(File::from(openat(folder, &temporary, flags, MODE).unwrap()));
        Draft { file, folder: folder.clone(), temporary: Some(temporary) }
    } else {
        Draft::new(folder.clone(), MODE).unwrap()
    };
    (&**draft.file()).write_all(bytes.as_bytes()).unwrap();
    draft
}

/// All names in a folder but those that are for the time being, and whether there are such.
fn names(folder: &TempDir) -> (Vec<String>, bool) {
    let names = fs::read_dir(folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let (temporary, mut others): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with(TEMPORARY));
    others.sort();
    (others, !temporary.is_empty())
}

fn has(folder: &TempDir, all: &[&str]) {
    assert_eq!(names(folder), (all.iter().map(ToString::to_string).collect(), false));
}

#[test]
fn a_file_gets_its_name_whole_and_one_that_gets_none_is_gone() {
    for is_named in [false, true] {
        let (folder, fd) = place();
        drop(draft(&fd, is_named, "never finished"));
        has(&folder, &[]);
        let draft = draft(&fd, is_named, "all of it");
        assert_eq!(names(&folder).0, Vec::<String>::new(), "nobody sees it under a name that it will have");
        draft.name("a", false).unwrap();
        has(&folder, &["a"]);
        assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "all of it");
    }
}

#[test]
fn what_has_the_name_is_replaced_only_if_told_to() {
    for is_named in [false, true] {
        let (folder, fd) = place();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "old").unwrap();
        fs::write(at("aim"), "of the link").unwrap();
        symlink("aim", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        let all = ["aim", "dangling", "file", "link"];
        for name in all {
            let refused = draft(&fd, is_named, "new").name(name, false).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        has(&folder, &all);
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "old");
        for name in ["dangling", "file", "link"] {
            draft(&fd, is_named, "new").name(name, true).unwrap();
            assert!(at(name).symlink_metadata().unwrap().is_file(), "{name}");
            assert_eq!(fs::read_to_string(at(name)).unwrap(), "new");
        }
        has(&folder, &all);
        assert_eq!(fs::read_to_string(at("aim")).unwrap(), "of the link", "what a link leads to stays");
    }
}

#[test]
fn a_folder_is_never_replaced() {
    for is_named in [false, true] {
        let (folder, fd) = place();
        fs::create_dir(folder.path().join("a")).unwrap();
        for replace in [false, true] {
            assert!(draft(&fd, is_named, "new").name("a", replace).is_err());
            has(&folder, &["a"]);
            assert!(folder.path().join("a").is_dir());
        }
    }
}

#[test]
fn a_file_is_moved_over_another_only_if_told_to() {
    let ((from, old), (to, new)) = (place(), place());
    fs::write(from.path().join("a"), "moved").unwrap();
    fs::write(to.path().join("b"), "there").unwrap();
    let moved = |replace| rename(old.as_fd(), "a", &new, "b", replace);
    assert_eq!(moved(false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(to.path().join("b")).unwrap(), "there");
    has(&from, &["a"]);
    moved(true).unwrap();
    assert_eq!(fs::read_to_string(to.path().join("b")).unwrap(), "moved");
    has(&from, &[]);
    rename(new.as_fd(), "b", &old, "c", false).unwrap();
    has(&from, &["c"]);
}

#[test]
fn only_files_and_links_are_ever_replaced() {
    let (folder, fd) = place();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink("folder", at("link")).unwrap();
    mknodat(&fd, "pipe", FileType::Fifo, MODE, 0).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let found =
        ["file", "link", "nothing", "folder", "pipe", "socket"].map(|name| obstacle(&fd, name).unwrap());
    assert_eq!(found, [None, None, None, Some("a folder"), Some("a pipe"), Some("a socket")]);
    assert_eq!(irreplaceable(FileType::BlockDevice), Some("a device"));
}
