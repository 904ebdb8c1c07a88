//! This machine's other users: what one of them puts where all may write is not believed, and a running peer takes
//! orders of its own user only. These tests play two users, which needs root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::lab::{DONE, Lab, OTHER, one_file};
use crate::support::{Daemon, Output, Sample, pattern, run_with};

/// Who wants to fetch.
const VICTIM: u32 = 51_001;
/// Who wants something else.
const ATTACKER: u32 = 51_002;
const BYTES: usize = 3 << 20;

/// A swarm with a file, and places of two users.
struct Users {
    lab: Lab,
    place: TempDir,
    _seeder: (Daemon, Sample),
}

impl Users {
    fn new() -> Option<Users> {
        let place = TempDir::new().expect("a temporary folder");
        set_mode(place.path(), 0o755);
        let binary =
            Command::new(env!("CARGO_BIN_EXE_p2p")).arg("--version").uid(VICTIM).gid(VICTIM).output();
        if !binary.is_ok_and(|said| said.status.success()) {
            eprintln!("SKIPPED: this needs root, and a binary that all users may run");
            return None;
        }
        let lab = Lab::new();
        let sample = one_file("file", pattern(BYTES, 4));
        let seeder = lab.peer(&sample, "seeder", &[]);
        lab.wait_for_seeders("file", 1);
        for user in [VICTIM, ATTACKER] {
            fs::create_dir(place.path().join(format!("home-{user}"))).expect("a folder");
            give(&place.path().join(format!("home-{user}")), user);
        }
        Some(Users { lab, place, _seeder: (seeder, sample) })
    }

    /// Where all may write, as in `/tmp`.
    fn common(&self) -> PathBuf {
        let common = self.place.path().join("common");
        fs::create_dir(&common).expect("a folder");
        set_mode(&common, 0o1777);
        common
    }

    fn prepare(&self, user: u32) -> impl FnOnce(&mut Command) {
        let home = self.place.path().join(format!("home-{user}"));
        move |command| {
            for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
                command.env(variable, &home);
            }
            command.uid(user).gid(user).current_dir("/");
        }
    }

    fn get(&self, user: u32, dest: &Path, more: &[&str]) -> Output {
        let (tracker, dest) = (self.lab.tracker.target(), dest.to_str().expect("a UTF-8 path"));
        let common = ["get", "file", dest, "--listen", "127.0.0.1:0", "--tracker", &tracker, "--wait", "5s"];
        run_with(&[&common, more].concat(), self.prepare(user))
    }

    fn peer(&self, user: u32, folder: &Path) -> Daemon {
        let (tracker, folder) = (self.lab.tracker.target(), folder.to_str().expect("a UTF-8 path"));
        let args = ["peer", folder, "--listen", "127.0.0.1:0", "--tracker", &tracker];
        Daemon::start_with(&args, self.prepare(user))
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("root may");
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o777
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root may");
}

#[track_caller]
fn expect_fetched(dest: &Path) {
    assert_eq!(fs::metadata(dest).expect("the file").uid(), VICTIM);
    assert!(fs::read(dest).expect("the file") == pattern(BYTES, 4));
}

#[test]
fn a_planted_peer_is_not_believed() {
    let Some(users) = Users::new() else { return };
    let common = users.common();
    let _planted = users.peer(ATTACKER, &common);
    let state = common.join(".p2p");
    set_mode(&state, 0o777);
    set_mode(&state.join("control.sock"), 0o777);
    let dest = common.join("got");
    let said = users.get(VICTIM, &dest, &[]).expect(DONE);
    expect_fetched(&dest);
    assert!(said.stderr.contains("belongs to another user"), "{}", said.stderr);
    // Below it nothing is in the way, and nothing to be said.
    let own = common.join("own");
    fs::create_dir(&own).expect("a folder");
    give(&own, VICTIM);
    let said = users.get(VICTIM, &own.join("got"), &[]).expect(DONE);
    expect_fetched(&own.join("got"));
    assert!(!said.stderr.contains("another user"), "{}", said.stderr);
    assert_eq!(mode(&own.join(".p2p")), 0o700);
    let place = common.to_str().expect("a UTF-8 path");
    run_with(&["status", place], users.prepare(VICTIM)).expect(4);
}

#[test]
fn a_planted_place_for_what_is_unfinished_is_not_used() {
    let Some(users) = Users::new() else { return };
    let common = users.common();
    let partial = common.join(".p2p/partial").join(users.lab.id_of("file").expect("an id"));
    fs::create_dir_all(&partial).expect("folders");
    for folder in partial.ancestors().take(3) {
        give(folder, ATTACKER);
        set_mode(folder, 0o777);
    }
    users.get(VICTIM, &common.join("got"), &[]).expect(DONE);
    expect_fetched(&common.join("got"));
    assert_eq!(fs::read_dir(&partial).expect("it is there").count(), 0);
}

#[test]
fn a_peer_takes_orders_of_its_own_user_only() {
    let Some(users) = Users::new() else { return };
    let share = users.place.path().join("share");
    fs::create_dir(&share).expect("a folder");
    fs::write(share.join("precious"), "mine").expect("a file");
    [&*share, &share.join("precious")].into_iter().for_each(|path| give(path, VICTIM));
    let _peer = users.peer(VICTIM, &share);
    let socket = share.join(".p2p/control.sock");
    assert_eq!((mode(&share.join(".p2p")), mode(&socket)), (0o700, 0o600));
    // As on a file system that knows no modes.
    set_mode(&share.join(".p2p"), 0o777);
    set_mode(&socket, 0o777);
    let said = users.get(ATTACKER, &share.join("precious"), &["--force"]).expect(OTHER);
    assert!(
        said.stderr.contains("this peer is another user's, and does nothing for others"),
        "{}",
        said.stderr
    );
    assert_eq!(fs::read(share.join("precious")).expect("the file"), b"mine");
    users.get(VICTIM, &share.join("got"), &[]).expect(DONE);
    expect_fetched(&share.join("got"));
}
