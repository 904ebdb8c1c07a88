//! Files that may not be what they were hashed as, in a real folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Instant;

use crate::content::{Chunk, FileId, Geometry, Layout, Place};
use crate::peer::share::reading::disk_failure;
use crate::peer::share::tests::{DEADLINE, Followed, config, names, open, write};
use crate::peer::share::{Holding, Share, Standing, doubt};
use crate::wire::View;

/// The place of a file's only chunk.
fn only_chunk(size: u64) -> Place {
    Layout::new(vec![Geometry::of(size).unwrap()]).unwrap().place(Chunk(0)).unwrap()
}

#[test]
fn equal_contents_are_served_from_any_path_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "same"), ("b", "same")]);
    let (share, _) = open(config(folder.path()));
    let id = FileId::of(b"same");
    let path = |share: &Share| match share.find(id, View::Bytes) {
        Some(Holding::File(_, source)) => {
            assert!(matches!(share.open_source(&source.path, id).unwrap(), Standing::Sound(..)));
            Some(source.path.to_string())
        }
        _ => None,
    };
    assert_eq!(path(&share).as_deref(), Some("a"));
    write(&folder, &[("a", "other")]);
    assert_eq!(path(&share).as_deref(), Some("b"));
    fs::remove_file(folder.path().join("b")).unwrap();
    // It may have grown; that its bytes are others shows when they are asked for.
    let Standing::Doubted(file) = share.open_source("a", id).unwrap() else { panic!("not doubted") };
    assert_eq!(share.proved_chunk(id, &file, only_chunk(4)).unwrap(), None);
    share.expose("a", id);
    assert_eq!(path(&share), None);
}

#[test]
fn a_file_that_looks_otherwise_is_served_only_if_its_bytes_prove() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1"), ("b", "2"), ("c", "3")]);
    let (share, _) = open(config(folder.path()));
    let standing = |path: &str, content: &[u8]| share.open_source(path, FileId::of(content)).unwrap();
    assert!(matches!(standing("a", b"1"), Standing::Sound(..)));
    assert!(matches!(standing("a", b"2"), Standing::Gone), "another content");
    // Longer, with the old bytes at its beginning and with others, and shorter.
    let chunk = |path: &str, content: &[u8]| match standing(path, content) {
        Standing::Doubted(file) => share.proved_chunk(FileId::of(content), &file, only_chunk(1)).unwrap(),
        standing => panic!("not doubted but {standing:?}"),
    };
    write(&folder, &[("a", "12")]);
    assert_eq!(chunk("a", b"1").unwrap(), b"1");
    write(&folder, &[("a", "21")]);
    assert_eq!(chunk("a", b"1"), None);
    write(&folder, &[("a", "")]);
    assert!(matches!(standing("a", b"1"), Standing::Gone));
    // Another mode: only the bytes can tell, and they do.
    fs::set_permissions(folder.path().join("b"), fs::Permissions::from_mode(0o755)).unwrap();
    let Standing::Doubted(file) = standing("b", b"2") else { panic!("not doubted") };
    assert_eq!(share.proved_chunk(FileId::of(b"2"), &file, only_chunk(1)).unwrap().unwrap(), b"2");
    assert!(matches!(share.find(FileId::of(b"2"), View::Bytes), Some(Holding::File(..))));
    // Written in place, with its time put back.
    let file = fs::File::options().write(true).open(folder.path().join("c")).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    std::io::Write::write_all(&mut &file, b"4").unwrap();
    file.set_modified(time).unwrap();
    let Standing::Doubted(file) = standing("c", b"3") else { panic!("not doubted") };
    assert!(share.proved_chunk(FileId::of(b"3"), &file, only_chunk(1)).unwrap().is_none());
    let before = share.withdrawals();
    share.expose("c", FileId::of(b"3"));
    assert!(share.withdrawals() > before);
    assert!(matches!(standing("c", b"3"), Standing::Gone));
}

#[test]
fn what_a_file_held_before_it_grew_is_served_and_not_offered() {
    let folder = tempfile::tempdir().unwrap();
    let old = vec![7; 300_000];
    let id = FileId::of(&old);
    fs::write(folder.path().join("log"), &old).unwrap();
    let mut followed = Followed::new(&folder);
    let manifest = followed.share.manifest(id).unwrap();
    let place = Layout::new(vec![manifest.geometry()]).unwrap().place(Chunk(1)).unwrap();
    let append = |text: &str| {
        let mut file = fs::File::options().append(true).open(folder.path().join("log")).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        FileId::of(&fs::read(folder.path().join("log")).unwrap())
    };
    for text in ["once", "twice"] {
        let new = append(text);
        followed.until("hashed anew", |told| told.get("log") == Some(&new));
        let Some(Holding::File(geometry, source)) = followed.share.find(id, View::Bytes) else {
            panic!("not found")
        };
        assert_eq!(geometry, manifest.geometry());
        let Standing::Doubted(file) = followed.share.open_source(&source.path, id).unwrap() else {
            panic!("not doubted")
        };
        assert!(followed.share.proved_chunk(id, &file, place).unwrap().is_some());
        assert!(followed.share.offers_of(id).is_empty());
    }
    // That it is something else by now is nothing against what it is offered as.
    let before = followed.share.withdrawals();
    followed.share.expose("log", id);
    assert_eq!(followed.share.withdrawals(), before);
    assert!(followed.share.find(id, View::Bytes).is_none());
    assert!(matches!(followed.share.open_source("log", id).unwrap(), Standing::Gone));
}

#[test]
fn a_withdrawn_file_is_hashed_again() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1")]);
    let mut followed = Followed::new(&folder);
    followed.share.withdraw("a");
    assert_eq!(names(&followed.share), [""; 0]);
    followed.until_names("withdrawn", &[]);
    followed.until_names("hashed again", &["a"]);
}

#[test]
fn a_disk_that_fails_once_withdraws_nothing_and_what_it_failed_at_is_proved_until_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &[("a", "1")]);
    let followed = Followed::new(&folder);
    let (share, id, path) = (&followed.share, FileId::of(b"1"), Arc::from("a"));
    assert!(matches!(share.open_source("a", id).unwrap(), Standing::Sound(..)));
    let before = share.withdrawals();
    doubt::judge(&share.core, &path, id, Err(disk_failure()));
    assert_ne!(share.withdrawals(), before, "whoever has it open looks again");
    assert_eq!(names(share), ["a"]);
    // By now it may have been read again.
    let deadline = Instant::now() + DEADLINE;
    while !matches!(share.open_source("a", id).unwrap(), Standing::Sound(..)) {
        assert_eq!(names(share), ["a"]);
        assert!(Instant::now() < deadline, "it is never read again");
        std::thread::yield_now();
    }
    assert!(share.changes().is_empty(), "nobody was told of anything");
}

#[test]
fn lost_chunk_hashes_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let content = "w".repeat(100_000);
    write(&folder, &[("a", &content)]);
    let mut followed = Followed::new(&folder);
    let id = FileId::of(content.as_bytes());
    followed.share.core.index.remove_hashes([id]);
    assert!(followed.share.manifest(id).is_none());
    followed.until_names("withdrawn", &[]);
    followed.until_names("hashed again", &["a"]);
    assert!(followed.share.manifest(id).is_some());
}
