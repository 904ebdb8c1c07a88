//! DEST: where a content goes, by the rules of `cp`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::content::{FileId, SafeName};
use crate::owner;
use crate::peer::Got;

/// Refuses, before anybody is asked, a DEST that no content could go to.
pub(super) fn check(dest: &Path) -> Result<(), Failure> {
    if inside(dest) {
        // Without its slash, or a file would not be seen.
        let bare: PathBuf = dest.components().collect();
        return if bare.exists() && !bare.is_dir() {
            Err(Failure::usage(format!("{} is no folder", bare.display())))
        } else {
            Ok(())
        };
    }
    match dest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => Err(Failure::usage(format!(
            "there is no folder {}; make it first, or end the destination with `/`",
            parent.display()
        ))),
        _ => Ok(()),
    }
}

/// Refuses a DEST that is no folder for more than one content.
pub(super) fn check_room_for(dest: &Path, contents: usize) -> Result<(), Failure> {
    if contents > 1 && !inside(dest) {
        return Err(Failure::usage(format!(
            "{} is no folder, and {contents} contents are to go there; make it first, or end it with `/`",
            dest.display()
        )));
    }
    Ok(())
}

/// The file or folder to make: inside DEST if that is a folder or ends with `/`, else DEST itself; also
/// if DEST is the folder that a fetch of this folder, interrupted or not, has made.
pub(super) fn path(dest: &Path, name: &SafeName, ids: &[FileId]) -> Result<PathBuf, Failure> {
    let filled = || is_unfinished(dest, name, ids) || Got::read(dest).is_tree(name, ids);
    let path =
        if inside(dest) && !(name.is_tree() && filled()) { dest.join(name.base()) } else { dest.to_owned() };
    match (name.is_tree(), path.is_dir(), path.exists()) {
        (true, false, true) => Err(Failure::usage(format!(
            "{} is a file, and {name} is a folder; name another place",
            path.display()
        ))),
        (false, true, _) => Err(Failure::usage(format!(
            "{} is a folder, and {name} is a file; name another place",
            path.display()
        ))),
        _ => Ok(path),
    }
}

/// True if a fetch of the folder has begun to fill `dest` itself. A peer keeps its state where it shares, so
/// that what is unfinished there may be below; then it has its name already.
fn is_unfinished(dest: &Path, name: &SafeName, ids: &[FileId]) -> bool {
    let state = dest.join(SafeName::STATE_FOLDER);
    let partial = state.join("partial");
    owner::stranger(&state).is_none()
        && ids.iter().any(|id| partial.join(id.to_string()).is_dir())
        && !dest.join(name.base()).exists()
}

/// True if the content goes into `dest` under its own name.
fn inside(dest: &Path) -> bool {
    dest.is_dir() || dest.as_os_str().as_bytes().ends_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SafeName {
        SafeName::new(text).unwrap()
    }

    #[test]
    fn goes_into_folders_and_onto_paths() {
        let here = tempfile::tempdir().unwrap();
        let at = |rest: &str| PathBuf::from(format!("{}/{rest}", here.path().display()));
        assert_eq!(path(here.path(), &name("a/b.iso"), &[]).unwrap(), at("b.iso"));
        assert_eq!(path(&at("new/"), &name("a/b.iso"), &[]).unwrap(), at("new/b.iso"));
        assert_eq!(path(&at("new"), &name("a/b.iso"), &[]).unwrap(), at("new"));
        assert_eq!(path(here.path(), &name("a/photos/"), &[]).unwrap(), at("photos"));
        assert_eq!(path(&at("pics"), &name("photos/"), &[]).unwrap(), at("pics"));
    }

    #[test]
    fn the_same_words_mean_the_same_place_after_an_interruption() {
        let here = tempfile::tempdir().unwrap();
        let id = FileId::of(b"tree");
        let to = |ids: &[FileId]| path(here.path(), &name("a/photos/"), ids).unwrap();
        std::fs::create_dir_all(here.path().join(".p2p/partial").join(id.to_string())).unwrap();
        assert_eq!(to(&[FileId::of(b"other"), id]), here.path());
        assert_eq!(to(&[FileId::of(b"other")]), here.path().join("photos"));
        std::fs::create_dir(here.path().join("photos")).unwrap();
        assert_eq!(to(&[id]), here.path().join("photos"), "it was a peer's state");
    }

    #[test]
    fn refuses_what_cannot_be() {
        let here = tempfile::tempdir().unwrap();
        let at = |rest: &str| PathBuf::from(format!("{}/{rest}", here.path().display()));
        std::fs::write(at("file"), "").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        assert!(path(&at("file"), &name("photos/"), &[]).is_err());
        assert!(path(here.path(), &name("folder"), &[]).is_err());
        assert!(check(&at("file/")).is_err());
        assert!(check(&at("none/x")).is_err());
        assert!(check(&at("none/")).is_ok());
        assert!(check(&at("none")).is_ok());
        assert!(check(Path::new("x")).is_ok());
        assert!(check_room_for(&at("none"), 2).is_err() && check_room_for(&at("none"), 1).is_ok());
        assert!(check_room_for(&at("none/"), 2).is_ok() && check_room_for(&at("folder"), 2).is_ok());
    }
}
