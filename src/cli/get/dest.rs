//! DEST: where a content goes, by the rules of `cp`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::content::SafeName;

/// Refuses, before anybody is asked, a DEST that no content could go to.
pub(super) fn check(dest: &Path) -> Result<(), Failure> {
    if inside(dest) {
        // Without its slash, or a file would not be seen.
        let bare: PathBuf = dest.components().collect();
        return match bare.exists() && !bare.is_dir() {
            true => Err(Failure::usage(format!("{} is no folder", bare.display()))),
            false => Ok(()),
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

/// The file or folder to make: inside DEST if that is a folder or ends with `/`, else DEST itself.
pub(super) fn path(dest: &Path, name: &SafeName) -> Result<PathBuf, Failure> {
    let path = match inside(dest) {
        true => dest.join(name.base()),
        false => dest.to_owned(),
    };
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
        assert_eq!(path(here.path(), &name("a/b.iso")).unwrap(), at("b.iso"));
        assert_eq!(path(&at("new/"), &name("a/b.iso")).unwrap(), at("new/b.iso"));
        assert_eq!(path(&at("new"), &name("a/b.iso")).unwrap(), at("new"));
        assert_eq!(path(here.path(), &name("a/photos/")).unwrap(), at("photos"));
        assert_eq!(path(&at("pics"), &name("photos/")).unwrap(), at("pics"));
    }

    #[test]
    fn refuses_what_cannot_be() {
        let here = tempfile::tempdir().unwrap();
        let at = |rest: &str| PathBuf::from(format!("{}/{rest}", here.path().display()));
        std::fs::write(at("file"), "").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        assert!(path(&at("file"), &name("photos/")).is_err());
        assert!(path(here.path(), &name("folder")).is_err());
        assert!(check(&at("file/")).is_err());
        assert!(check(&at("none/x")).is_err());
        assert!(check(&at("none/")).is_ok());
        assert!(check(&at("none")).is_ok());
        assert!(check(Path::new("x")).is_ok());
    }
}
