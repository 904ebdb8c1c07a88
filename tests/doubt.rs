//! Files that are not what they seem to be: changed with their times put back, or changed without any sign of it.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;
use support::{Daemon, Output, Sample, eventually, pattern, run};
use tempfile::TempDir;

const BYTES: usize = 300_000;

struct Swarm {
    tracker: Daemon,
    place: TempDir,
    sample: Sample,
}

impl Swarm {
    #[track_caller]
    fn of(content: Vec<u8>) -> Swarm {
        let mut sample = Sample::empty();
        sample.add("file", content);
        let place = TempDir::new().expect("a temporary folder");
        Swarm { tracker: Daemon::tracker(&[]), place, sample }
    }

    #[track_caller]
    fn sharer(&self) -> Daemon {
        Daemon::peer(self.sample.path(), &["--tracker", &self.tracker.target(), "--name", "sharer"])
    }

    #[track_caller]
    fn seeders(&self, content: &[u8]) -> u64 {
        let id = blake3::hash(content).to_string();
        let found = run(&["find", &id, "--json", "--wait", "0", "--tracker", &self.tracker.target()]);
        let lines = found.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["seeders"].as_u64()).sum()
    }

    #[track_caller]
    fn wait_for_seeders(&self, content: &[u8], seeders: u64) {
        eventually("so many seeders", || (self.seeders(content) == seeders).then_some(()));
    }

    #[track_caller]
    fn get(&self, content: &[u8], name: &str, wait: &str) -> Output {
        let dest = self.place.path().join(name);
        let id = blake3::hash(content).to_string();
        let tracker = self.tracker.target();
        run(&["get", &id, dest.to_str().expect("UTF-8"), "--wait", wait, "--tracker", &tracker])
    }
}

/// Writes other bytes into a file and puts its modification time back.
#[track_caller]
fn change_in_place(path: &Path, content: &[u8]) {
    let mut file = fs::File::options().write(true).open(path).expect("the file");
    let time = file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
    file.write_all(content).expect("written");
    file.set_modified(time).expect("put back");
}

#[test]
fn a_file_changed_with_its_time_put_back_is_offered_as_what_it_is_now() {
    let (old, new) = (pattern(BYTES, 1), pattern(BYTES, 2));
    let swarm = Swarm::of(old.clone());
    let sharer = swarm.sharer();
    swarm.wait_for_seeders(&old, 1);
    change_in_place(&swarm.sample.path().join("file"), &new);
    swarm.wait_for_seeders(&new, 1);
    swarm.wait_for_seeders(&old, 0);
    sharer.wait_for_log("its bytes have changed although its size and time have not");
    swarm.get(&new, "copy", "30s").expect(0);
    assert!(fs::read(swarm.place.path().join("copy")).expect("the copy") == new);
}

#[test]
fn another_mode_or_name_takes_a_file_from_nobody() {
    let content = pattern(BYTES, 1);
    let swarm = Swarm::of(content.clone());
    let _sharer = swarm.sharer();
    swarm.wait_for_seeders(&content, 1);
    let (file, other) = (swarm.sample.path().join("file"), swarm.sample.path().join("other"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("another mode");
    swarm.get(&content, "first", "30s").expect(0);
    fs::hard_link(&file, &other).expect("another name");
    swarm.get(&content, "second", "30s").expect(0);
    assert_eq!(swarm.seeders(&content), 1);
}

/// Makes the index believe that the file was hashed as it looks now: as if it had changed without a sign of it.
#[track_caller]
fn hide_the_change(index: &Path, file: &Path) {
    const MAGIC: usize = 8;
    const HEAD: usize = 13;
    const CTIME: usize = 24;
    let mut bytes = fs::read(index).expect("the index");
    let metadata = file.metadata().expect("the file");
    let ctime = metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec();
    let mut at = MAGIC;
    while at < bytes.len() {
        let len = u32::from_be_bytes(bytes[at + 1..at + 5].try_into().expect("four bytes")) as usize;
        let (kind, body) = (bytes[at], at + HEAD);
        if kind == 1 {
            bytes[body + CTIME..body + CTIME + 8].copy_from_slice(&ctime.to_be_bytes());
            let mut hasher = blake3::Hasher::new();
            hasher.update(&[kind]).update(&bytes[body..body + len]);
            bytes[at + 5..body].copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        }
        at = body + len;
    }
    fs::write(index, bytes).expect("the index");
}

#[test]
fn who_is_told_that_bytes_do_not_prove_looks_again_and_tells_its_user() {
    let (old, new) = (pattern(BYTES, 1), pattern(BYTES, 2));
    let swarm = Swarm::of(old.clone());
    let file = swarm.sample.path().join("file");
    let sharer = swarm.sharer();
    swarm.wait_for_seeders(&old, 1);
    sharer.stop().expect(0);
    change_in_place(&file, &new);
    hide_the_change(&swarm.sample.path().join(".p2p/index"), &file);
    let sharer = swarm.sharer();
    swarm.wait_for_seeders(&old, 1);
    assert_ne!(swarm.get(&old, "copy", "3s").code(), 0);
    sharer.wait_for_log("its bytes have changed although its size and time have not");
    swarm.wait_for_seeders(&new, 1);
    swarm.wait_for_seeders(&old, 0);
    swarm.get(&new, "copy", "30s").expect(0);
    assert!(fs::read(swarm.place.path().join("copy")).expect("the copy") == new);
}

#[test]
fn a_file_that_only_looks_changed_proves_and_stays() {
    let (content, other) = (pattern(BYTES, 1), pattern(BYTES, 3));
    let mut swarm = Swarm::of(content.clone());
    swarm.sample.add("other", other.clone());
    swarm.sharer().stop().expect(0);
    // All rows get the time of this file: the other one looks changed by that.
    hide_the_change(&swarm.sample.path().join(".p2p/index"), &swarm.sample.path().join("file"));
    let sharer = swarm.sharer();
    swarm.wait_for_seeders(&other, 1);
    swarm.get(&other, "other", "30s").expect(0);
    assert!(!sharer.log().contains("its bytes have changed"), "{}", sharer.log());
}

#[test]
fn what_is_here_and_does_not_prove_is_fetched_from_others() {
    let (old, new) = (pattern(BYTES, 1), pattern(BYTES, 2));
    let swarm = Swarm::of(old.clone());
    let file = swarm.sample.path().join("file");
    swarm.sharer().stop().expect(0);
    change_in_place(&file, &new);
    hide_the_change(&swarm.sample.path().join(".p2p/index"), &file);
    let mut sound = Sample::empty();
    sound.add("sound", old.clone());
    let _other = Daemon::peer(sound.path(), &["--tracker", &swarm.tracker.target(), "--name", "other"]);
    let _sharer = swarm.sharer();
    swarm.wait_for_seeders(&old, 2);
    let copy = swarm.sample.path().join("copy");
    let (id, tracker) = (blake3::hash(&old).to_string(), swarm.tracker.target());
    run(&["get", &id, copy.to_str().expect("UTF-8"), "--tracker", &tracker]).expect(0);
    assert!(fs::read(&copy).expect("the copy") == old);
}
