//! Disks that are full, read-only or gone, and files that change under the feet of who shares them.
//!
//! Disks of a known size need root and a mount namespace of their own, which ends with its process; without
//! them these tests say so and pass.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::lab::{DONE, Lab, OTHER, one_file};
use crate::support::{Sample, Way, command, eventually, pattern, private_mounts};

const BYTES: usize = 3 << 20;
/// Names of one content in the folder that is shared.
const NAMES: usize = 10;
/// What a script may take.
const SCRIPT_SECONDS: &str = "30";

/// A seeder, and a place that is a disk of its own inside the namespace of a script.
struct Disk {
    lab: Lab,
    content: Vec<u8>,
    mount: TempDir,
    _seeder: crate::support::Daemon,
    _sample: Sample,
}

/// What a script said, and how it ended.
struct Said {
    text: String,
    code: i32,
}

impl Disk {
    /// `None`, and a line that says so, where there are no private mounts.
    fn new() -> Option<Disk> {
        if !private_mounts() {
            return None;
        }
        let lab = Lab::new();
        let content = pattern(BYTES, 5);
        let mut sample = one_file("file", content.clone());
        for name in 0..NAMES {
            sample.add(&format!("tree/{name}"), content.clone());
        }
        let seeder = lab.peer(&sample, "seeder", &[]);
        lab.wait_for_seeders("file", 1);
        let mount = TempDir::new().expect("a temporary folder");
        Some(Disk { lab, content, mount, _seeder: seeder, _sample: sample })
    }

    /// Runs a shell script in a mount namespace of its own; `$D` is where the disk goes, `$GET` fetches
    /// the file into what follows, `$P` is the binary and `$T` the tracker.
    #[track_caller]
    fn script(&self, script: &str) -> Said {
        let home = TempDir::new().expect("a temporary folder");
        let binary = command(&[], home.path());
        let binary = binary.get_program().to_str().expect("a UTF-8 path").to_owned();
        let tracker = self.lab.tracker.target();
        let get = |what| format!("{binary} get {what} --tracker {tracker} --listen 127.0.0.1:0 --wait 5s");
        let (get, get_tree) = (get("file"), get("tree/"));
        let output = Command::new("unshare")
            .args(["--mount", "timeout", "-k", "1", SCRIPT_SECONDS, "sh", "-c", script])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("XDG_CACHE_HOME", home.path().join("cache"))
            .env("D", self.mount.path())
            .env("GET", get)
            .env("GET_TREE", get_tree)
            .env("P", binary)
            .env("T", tracker)
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Said { text, code: output.status.code().unwrap_or(-1) }
    }
}

impl Said {
    #[track_caller]
    fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "{word:?} is not in:\n{}", self.text);
        }
        assert!(!self.text.contains("os error"), "{}", self.text);
        assert!(!self.text.contains("panicked"), "{}", self.text);
    }
}

#[test]
fn what_there_is_no_room_for_is_refused_before_anything_is_taken() {
    let Some(disk) = Disk::new() else { return };
    let small = "mount -t tmpfs -o size=1m none $D && $GET $D";
    disk.script(small)
        .expect(OTHER, &["no room for this on the disk of", "it needs 3.0 MiB more", "make room"]);
    let room = format!(
        "{small}; test $? = 1 && test -z \"$(ls -A $D)\" && mount -o remount,size=16m $D && $GET $D && ls -A $D"
    );
    disk.script(&room).expect(DONE, &["got file, 3.0 MiB", "file\n"]);
    // So many names for one content are as many files.
    let names = "mount -t tmpfs -o size=16m none $D && $GET_TREE $D; test $? = 1 && ls -A $D | wc -l";
    disk.script(names).expect(DONE, &["it needs 30.2 MiB more", "16.0 MiB are free", "0\n"]);
    let inodes = "mount -t tmpfs -o nr_inodes=16 none $D && $GET_TREE $D";
    disk.script(inodes).expect(OTHER, &["it needs more files than there is room for, 10 and"]);
}

#[test]
fn a_disk_that_fills_up_meanwhile_is_named_and_room_on_it_lets_the_same_command_go_on() {
    let Some(disk) = Disk::new() else { return };
    let full = "mount -t tmpfs -o size=8m none $D && { $GET $D --down 1MB/s & GOT=$!; }
                until test -n \"$(find $D -name journal -size +0)\"; do :; done
                head -c 7340032 /dev/zero > $D/other; wait $GOT";
    disk.script(full).expect(OTHER, &["no room left on the disk for file", "what has arrived is kept"]);
    let room = format!("{full}; test ! -e $D/file && rm $D/other && $GET $D && cat $D/file | cksum");
    let said = disk.script(&room);
    said.expect(DONE, &["of it already here"]);
    let whole = disk.lab.place.path().join("whole");
    fs::write(&whole, &disk.content).expect("a file");
    let sum = Command::new("cksum").stdin(fs::File::open(&whole).expect("it")).output().expect("cksum");
    assert!(said.text.contains(String::from_utf8_lossy(&sum.stdout).trim()), "{}", said.text);
}

#[test]
fn a_read_only_disk_is_named_when_something_is_fetched_to_it() {
    let Some(disk) = Disk::new() else { return };
    let said = disk.script("mount -t tmpfs none $D && mount -o remount,ro $D && $GET $D");
    said.expect(OTHER, &["cannot be written: its file system is read-only; choose another place"]);
}

#[test]
fn a_read_only_folder_is_shared_with_its_state_elsewhere() {
    let Some(disk) = Disk::new() else { return };
    let ro = "mount -t tmpfs none $D && echo hi > $D/hello && mount -o remount,ro $D &&";
    // With a cache folder that can be written, without being told.
    let shares = "timeout -s INT 2 $P peer $D --tracker $T --listen 127.0.0.1:0";
    disk.script(&format!("{ro} {shares}")).expect(124, &["sharing 1 file"]);
    // Whoever names the folder finds the peer, wherever its state is.
    let found = "{ $P peer $D --tracker $T --listen 127.0.0.1:0 & PEER=$!; }
                 until $P status $D; do :; done; $P why $D; kill -INT $PEER; wait $PEER";
    disk.script(&format!("{ro} {found}")).expect(DONE, &["sharing 1 file", "has not fetched anything"]);
    let nowhere = format!("{ro} XDG_CACHE_HOME=$D/cache {shares} --temp $D/state");
    disk.script(&nowhere).expect(
        OTHER,
        &["cannot keep this peer's state in", "read-only file system; name another folder with --temp"],
    );
}

#[test]
fn a_disk_that_is_unmounted_while_shared_is_withdrawn_and_offered_again_when_it_is_back() {
    let Some(disk) = Disk::new() else { return };
    let said = disk.script(
        "mkdir $D/state $D/m && mount -t tmpfs none $D/m && cp /proc/self/status $D/m/mine &&
         mkdir $D/keep && cp -p $D/m/mine $D/keep/ &&
         { $P peer $D/m --temp $D/state --tracker $T --listen 127.0.0.1:0 & PEER=$!; }
         until $P ls mine --tracker $T | grep -q mine; do :; done
         umount -l $D/m
         while $P ls mine --tracker $T | grep -q mine; do :; done; echo withdrawn
         mount -t tmpfs none $D/m && cp -p $D/keep/mine $D/m/
         until $P ls mine --tracker $T | grep -q mine; do :; done; echo back
         kill -INT $PEER; wait $PEER",
    );
    said.expect(DONE, &["withdrawn", "back"]);
}

#[test]
fn a_folder_that_is_removed_while_shared_is_withdrawn_and_shared_again_when_it_is_back() {
    let lab = Lab::new();
    let root = TempDir::new().expect("a temporary folder");
    let folder = root.path().join("shared");
    fs::create_dir(&folder).expect("the folder");
    fs::write(folder.join("one"), pattern(100_000, 1)).expect("a file");
    let tracker = lab.tracker.target();
    let peer = crate::support::Daemon::peer(&folder, &["--tracker", &tracker]);
    lab.wait_for_seeders("one", 1);
    fs::remove_dir_all(&folder).expect("the folder goes");
    lab.wait_for_seeders("one", 0);
    fs::create_dir(&folder).expect("the folder");
    fs::write(folder.join("two"), pattern(100_000, 2)).expect("a file");
    lab.wait_for_seeders("two", 1);
    let content = pattern(100_000, 2);
    lab.get("two", &[]).expect(DONE);
    lab.expect_file("two", &content);
    peer.stop().expect(DONE);
}

/// Starts a slow `get` of a file, does something to the file, and gives back how the `get` ended.
#[track_caller]
fn meanwhile(change: impl FnOnce(&Path)) -> (Lab, crate::support::Output, Vec<u8>) {
    let lab = Lab::new();
    let content = pattern(BYTES, 6);
    let sample = one_file("file", content.clone());
    let (_seeder, link) = lab.peer_behind_proxy(&sample, "seeder", &[]);
    link.set(|faults| faults.rate = Some(1 << 20));
    lab.wait_for_seeders("file", 1);
    let fetch = lab.fetching("file", &["--wait", "500ms"]);
    eventually("some of it is here", || (link.carried(Way::Out) > 500_000).then_some(()));
    change(&sample.path().join("file"));
    link.set(|faults| faults.rate = None);
    let output = fetch.wait();
    (lab, output, content)
}

#[test]
fn a_file_truncated_under_its_only_sharer_is_never_finished() {
    let (lab, output, _) = meanwhile(|file| {
        fs::File::options().write(true).open(file).and_then(|file| file.set_len(10)).expect("a shorter file");
    });
    assert_eq!(output.code(), crate::lab::UNREACHABLE, "{}", output.stderr);
    assert!(output.stderr.contains("kept for next time"), "{}", output.stderr);
    assert!(!lab.fetched("file").exists());
}

#[test]
fn a_file_overwritten_under_its_only_sharer_is_never_finished_with_wrong_bytes() {
    let (lab, output, content) = meanwhile(|file| fs::write(file, pattern(BYTES, 99)).expect("other bytes"));
    // What was on its way may have been all of it; if not, there is nobody to have the rest from.
    match output.code() {
        DONE => lab.expect_file("file", &content),
        code => {
            assert_eq!(code, crate::lab::UNREACHABLE, "{}", output.stderr);
            assert!(!lab.fetched("file").exists());
        }
    }
}
