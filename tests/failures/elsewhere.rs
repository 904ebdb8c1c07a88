//! What a peer keeps is not where it shares: on another file system, or in the user's cache.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

use crate::lab::{DONE, Lab, UNREACHABLE, one_file};
use crate::support::{Daemon, Output, eventually, pattern, run_with};

/// A folder that is not on the file system of temporary files, if there is one.
fn other_file_system() -> Option<TempDir> {
    let here = TempDir::new().expect("a temporary folder");
    let device = |path: &Path| fs::metadata(path).expect("a folder").dev();
    let other = ["/dev/shm", "/run", env!("CARGO_MANIFEST_DIR")].into_iter().find_map(|folder| {
        let other = TempDir::new_in(folder).ok()?;
        (device(other.path()) != device(here.path())).then_some(other)
    });
    if other.is_none() {
        eprintln!("SKIPPED: there is one file system only");
    }
    other
}

/// A user: commands of one share a cache.
struct User(TempDir);

impl User {
    fn new() -> User {
        User(TempDir::new().expect("a temporary folder"))
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        run_with(args, |command| {
            command.env("XDG_CACHE_HOME", self.0.path());
        })
    }

    #[track_caller]
    fn start(&self, args: &[&str]) -> Daemon {
        Daemon::start_with(args, |command| {
            command.env("XDG_CACHE_HOME", self.0.path());
        })
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// What is in a folder but for what is remembered there of what was fetched.
fn visible(folder: &Path) -> Vec<String> {
    let inside = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = inside.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| name != ".p2p");
    names.sort();
    names
}

#[test]
fn a_peer_with_its_state_elsewhere_is_found_by_its_folder_and_fetches_into_it() {
    let lab = Lab::new();
    let sample = one_file("file", pattern(3 << 20, 4));
    let _seeder = lab.peer(&sample, "seeder", &[]);
    lab.wait_for_seeders("file", 1);
    let Some(elsewhere) = other_file_system() else { return };
    let (user, folder, tracker) = (User::new(), lab.place.path(), lab.tracker.target());
    let temp = elsewhere.path().join("state");
    let share = ["peer", text(folder), "--temp", text(&temp), "--tracker", &tracker];
    let peer = user.start(&[&share[..], &["--listen", "127.0.0.1:0", "--name", "here"]].concat());
    assert!(user.run(&["status", text(folder)]).expect(DONE).stdout.contains("peer here"));
    let dest = folder.join("deep/er/got");
    fs::create_dir_all(dest.parent().expect("a folder")).expect("folders");
    let got = user.run(&["get", "file", text(&dest), "--json", "--tracker", &tracker]).expect(DONE);
    assert!(got.stdout.contains("\"done\""), "{}", got.stdout);
    assert!(fs::read(&dest).expect("the file") == pattern(3 << 20, 4));
    assert!(user.run(&["why", text(folder)]).expect(DONE).stdout.contains("file: done"));
    assert_eq!(visible(dest.parent().expect("a folder")), ["got"]);
    assert!(!folder.join(".p2p/partial").exists() && !folder.join("deep/er/.p2p/partial").exists());
    // It is gone, and another user has no such peer.
    User::new().run(&["status", text(folder)]).expect(UNREACHABLE);
    peer.kill();
    eventually("nobody answers", || {
        (user.run(&["status", text(folder)]).code() == UNREACHABLE).then_some(())
    });
}

#[test]
fn a_get_with_its_unfinished_files_elsewhere_puts_them_where_they_belong() {
    let lab = Lab::new();
    let mut sample = one_file("file", pattern(3 << 20, 4));
    for (name, len) in [("tree/a", 300_000), ("tree/b/same", 300_000), ("tree/small", 10), ("tree/none", 0)] {
        sample.add(name, pattern(len, 3));
    }
    let _seeder = lab.peer(&sample, "seeder", &[]);
    lab.wait_for_seeders("tree/", 1);
    let Some(elsewhere) = other_file_system() else { return };
    let temp = elsewhere.path().join("state");
    for (what, dest) in [("file", "got"), ("tree/", "folder")] {
        let dest = lab.place.path().join(dest);
        lab.ask(&["get", what, text(&dest), "--temp", text(&temp), "--listen", "127.0.0.1:0"]).expect(DONE);
        match what {
            "file" => assert!(fs::read(&dest).expect("the file") == pattern(3 << 20, 4)),
            _ => sample.expect_copy(what, &dest),
        }
        assert!(!temp.join("partial").exists(), "nothing unfinished is left");
    }
    assert_eq!(visible(lab.place.path()), ["folder", "got"]);
    assert!(!lab.place.path().join(".p2p/partial").exists());
}
