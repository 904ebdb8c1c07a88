//! What is to be kept, on disks that fail: journals of trackers and vaults of stores that are full, read-only, pulled out,
//! damaged, or another process's. Each is said in one sentence.
//!
//! Disks of their own need root and a mount namespace, which ends with its process; without them these tests say so
//! and pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use p2p::content::{FileId, Link, SafeName};
use tempfile::TempDir;

use crate::lab::{DONE, NO_QUORUM, OTHER, UNREACHABLE};
use crate::support::{Daemon, Output, Port, Sample, eventually, pattern, private_mounts, run};

/// A place where a disk is mounted for one process, and nobody else.
struct Disk(TempDir);

impl Disk {
    /// `None`, and a line that says so, where there are no private mounts.
    fn new() -> Option<Disk> {
        private_mounts().then(|| Disk(TempDir::new().expect("a temporary folder")))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn text(&self) -> &str {
        self.path().to_str().expect("a UTF-8 path")
    }

    /// Starts a process that has a disk here, by a script in which this place is `$D`.
    #[track_caller]
    fn start(&self, mount: &str, args: &[&str]) -> Daemon {
        Daemon::start_with(args, |command| {
            let mut inside = Command::new("unshare");
            inside.args(["--mount", "sh", "-c", &format!("{mount} && exec \"$0\" \"$@\"")]);
            inside.arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => inside.env(name, value),
                    None => inside.env_remove(name),
                };
            }
            inside.env("D", self.path());
            inside.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            *command = inside;
        })
    }

    /// A path on the disk of a process that has one.
    fn of(&self, process: &Daemon, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}/{name}", process.pid(), self.text()))
    }

    /// Does something to the disk of a process.
    #[track_caller]
    fn change(&self, process: &Daemon, script: &str) {
        let done = Command::new("nsenter")
            .args(["--mount", "--target", &process.pid().to_string(), "sh", "-c", script])
            .env("D", self.path())
            .status();
        assert!(done.is_ok_and(|status| status.success()), "{script}");
    }
}

/// A disk that can become read-only while files on it are open.
const CAN_FAIL: &str = "mount -t tmpfs -o size=80m none $D && truncate -s 64M $D/image && mkfs.ext4 -q -m 0 $D/image \
                        && mount -o loop $D/image $D";
/// As of an error that its file system has found.
const BECOMES_READ_ONLY: &str = "mount -o remount,abort $D";

/// Fails unless a command said one sentence, with these words, and ended so.
#[track_caller]
fn expect_sentence(said: Output, code: i32, words: &[&str]) {
    let said = said.expect(code).stderr;
    // The log is apart: lines that begin with a time.
    let sentences = said.lines().filter(|line| line.starts_with("p2p: "));
    assert_eq!(sentences.count(), 1, "{said}");
    assert!(!said.contains("os error") && !said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[track_caller]
fn publish(tracker: &Daemon, name: &str) -> Output {
    let id = FileId::of(name.as_bytes());
    let size = Some(name.len() as u64);
    let link = Link { id, name: SafeName::new(name).ok(), size, trackers: Vec::new() }.to_string();
    run(&["publish", &link, "--as", name, "--tracker", &tracker.target(), "--wait", "3s"])
}

/// Fills a disk to its last byte.
#[track_caller]
fn fill(path: &Path) {
    let full = Command::new("sh").args(["-c", "cat /dev/zero > \"$0\" 2> /dev/null"]).arg(path).status();
    assert!(full.is_ok_and(|status| !status.success()), "{} has no end", path.display());
}

/// Publishes one name after the other until that does not succeed; the names, and what was said then.
#[track_caller]
fn publish_until_refused(tracker: &Daemon) -> (Vec<String>, Output) {
    let mut names = Vec::new();
    loop {
        let name = format!("name{}", names.len());
        let said = publish(tracker, &name);
        if said.code() != DONE {
            return (names, said);
        }
        names.push(name);
        assert!(names.len() < 200, "there is room");
    }
}

#[track_caller]
fn expect_published(tracker: &Daemon, names: &[String]) {
    for name in names {
        run(&["versions", name, "--tracker", &tracker.target()]).expect(DONE);
    }
}

#[test]
fn a_journal_on_a_full_disk_promises_nothing_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new() else { return };
    let data = format!("{}/data", disk.text());
    let mount = "mount -t tmpfs -o size=256k none $D";
    let tracker = disk.start(mount, &["tracker", "--listen", "127.0.0.1:0", "--data", &data]);
    fill(&disk.of(&tracker, "other"));
    let (names, said) = publish_until_refused(&tracker);
    expect_sentence(said, OTHER, &["cannot write its journal", "space left on device"]);
    expect_published(&tracker, &names);
    fs::remove_file(disk.of(&tracker, "other")).expect("a file");
    publish(&tracker, "later").expect(DONE);
    expect_published(&tracker, &["later".to_owned()]);
    tracker.stop().expect(DONE);
}

#[test]
fn a_tracker_does_not_start_on_a_read_only_disk() {
    let Some(disk) = Disk::new() else { return };
    let data = format!("{}/data", disk.text());
    let args = ["tracker", "--listen", "127.0.0.1:0", "--data", &data];
    let script = "mount -t tmpfs -o size=1m none $D && mount -o remount,ro $D && exec \"$0\" \"$@\"";
    let said = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_p2p")])
        .args(args)
        .env("D", disk.path())
        .output()
        .expect("a shell");
    let said = Output {
        status: said.status,
        stdout: String::from_utf8_lossy(&said.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&said.stderr).into_owned(),
    };
    expect_sentence(said, OTHER, &["read-only"]);
}

#[test]
fn a_tracker_whose_disk_becomes_read_only_promises_nothing_more() {
    let Some(disk) = Disk::new() else { return };
    let data = format!("{}/data", disk.text());
    let tracker = disk.start(CAN_FAIL, &["tracker", "--listen", "127.0.0.1:0", "--data", &data]);
    publish(&tracker, "before").expect(DONE);
    disk.change(&tracker, BECOMES_READ_ONLY);
    expect_sentence(publish(&tracker, "after"), OTHER, &["cannot write its journal", "read-only"]);
    expect_published(&tracker, &["before".to_owned()]);
}

#[test]
fn a_journal_that_cannot_be_put_on_the_disk_ends_its_tracker() {
    let Some(disk) = Disk::new() else { return };
    // A file system whose own disk is full without its knowing.
    let mount = "mount -t tmpfs -o size=8m none $D && truncate -s 64M $D/image \
                 && mkfs.ext4 -q -m 0 -O ^has_journal $D/image && mkdir $D/disk && mount -o loop $D/image $D/disk";
    let data = format!("{}/disk/data", disk.text());
    let tracker = disk.start(mount, &["tracker", "--listen", "127.0.0.1:0", "--data", &data]);
    publish(&tracker, "before").expect(DONE);
    fill(&disk.of(&tracker, "other"));
    let (_, said) = publish_until_refused(&tracker);
    assert!([OTHER, UNREACHABLE].contains(&said.code()), "{}", said.stderr);
    expect_sentence(
        tracker.wait(),
        OTHER,
        &["could not be put on the disk", "cannot keep what it would promise"],
    );
}

/// The arguments of a tracker of a cluster of those on these ports.
fn of_cluster(ports: &[Port], node: usize, data: &str) -> Vec<String> {
    let places = (1..).zip(ports).map(|(node, port)| format!("{node}={}", port.target()));
    let (list, listen) = (places.collect::<Vec<_>>().join(","), ports[node - 1].target());
    ["tracker", "--listen", &listen, "--data", data, "--node", &node.to_string(), "--cluster", &list]
        .map(str::to_owned)
        .to_vec()
}

fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn one_of_several_whose_disk_is_full_goes_on_by_the_others_and_votes_again_when_there_is_room() {
    let Some(disk) = Disk::new() else { return };
    let ports = [Port::reserve(), Port::reserve(), Port::reserve()];
    let args = of_cluster(&ports, 1, &format!("{}/data", disk.text()));
    let full = disk.start("mount -t tmpfs -o size=256k none $D", &texts(&args));
    let folders = [(); 2].map(|()| TempDir::new().expect("a folder"));
    let other = |(folder, node): (&TempDir, usize)| {
        Daemon::start(&texts(&of_cluster(&ports, node, folder.path().to_str().expect("UTF-8"))))
    };
    let mut others: Vec<Daemon> = folders.iter().zip(2..).map(other).collect();
    let published = |name: &str| eventually(name, || (publish(&full, name).code() == DONE).then_some(()));
    published("before");
    fill(&disk.of(&full, "other"));
    let mut names = Vec::new();
    while !full.log().contains("nothing can be written to the disk of this tracker") {
        names.push(format!("name{}", names.len()));
        published(names.last().expect("a name"));
    }
    published("by the others");
    expect_published(&full, &names);
    fs::remove_file(disk.of(&full, "other")).expect("a file");
    full.wait_for_log("can be written again");
    others.pop().expect("a tracker").kill();
    published("with its vote");
    expect_published(&full, &names);
    full.stop().expect(DONE);
}

#[test]
fn the_only_tracker_of_a_cluster_says_that_its_disk_is_full_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new() else { return };
    let port = [Port::reserve()];
    let args = of_cluster(&port, 1, &format!("{}/data", disk.text()));
    let tracker = disk.start("mount -t tmpfs -o size=256k none $D", &texts(&args));
    eventually("it is one by itself", || (publish(&tracker, "before").code() == DONE).then_some(()));
    fill(&disk.of(&tracker, "other"));
    let (_, said) = publish_until_refused(&tracker);
    expect_sentence(said, NO_QUORUM, &["tracker 1", "cannot write its disk", "space left on device"]);
    run(&["ls", "--tracker", &tracker.target()]).expect(DONE);
    fs::remove_file(disk.of(&tracker, "other")).expect("a file");
    eventually("there is room", || (publish(&tracker, "later").code() == DONE).then_some(()));
}

#[test]
fn of_a_journal_a_torn_end_is_cut_off_and_damage_is_named_and_left_alone() {
    let place = TempDir::new().expect("a temporary folder");
    let data = place.path().join("data");
    let args = ["tracker", "--listen", "127.0.0.1:0", "--data", data.to_str().expect("UTF-8")];
    let start = || Daemon::start(&args);
    let tracker = start();
    let names: Vec<String> = (0..3).map(|number| format!("name{number}")).collect();
    for name in &names {
        publish(&tracker, name).expect(DONE);
    }
    expect_sentence(run(&args), OTHER, &["in use", "a tracker that runs has it"]);
    tracker.kill();
    let journal = data.join("records.log");
    let whole = fs::read(&journal).expect("a journal");
    fs::write(&journal, &whole[..whole.len() - 500]).expect("a journal");
    let tracker = start();
    expect_published(&tracker, &names[..2]);
    assert_ne!(run(&["versions", &names[2], "--tracker", &tracker.target()]).code(), DONE);
    tracker.kill();
    let mut bytes = fs::read(&journal).expect("a journal");
    bytes[512 + 40] ^= 1;
    fs::write(&journal, &bytes).expect("a journal");
    expect_sentence(run(&args), OTHER, &["is damaged at byte 512", "--recover"]);
    assert!(fs::read(&journal).expect("a journal") == bytes);
}

/// A tracker and one store, whose disk is this.
struct Kept {
    tracker: Daemon,
    store: Daemon,
    made: Sample,
}

impl Kept {
    #[track_caller]
    fn on(disk: &Disk, mount: &str) -> Kept {
        let tracker = Daemon::tracker(&[]);
        let target = tracker.target();
        let args = ["peer", disk.text(), "--listen", "127.0.0.1:0", "--tracker", &target, "--store", "60MB"];
        let store = disk.start(mount, &args);
        let kept = Kept { tracker, store, made: Sample::empty() };
        eventually("the store lends", || (kept.ask(&["stores"]).stdout.lines().count() > 1).then_some(()));
        kept
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--tracker", &self.tracker.target(), "--wait", "60s"]].concat())
    }

    #[track_caller]
    fn upload(&mut self, name: &str, bytes: usize) -> Output {
        let path = self.made.add(name, pattern(bytes, 7));
        self.ask(&["upload", path.to_str().expect("UTF-8"), "--copies", "1"])
    }

    #[track_caller]
    fn expect_there(&self, name: &str, bytes: usize) {
        let place = TempDir::new().expect("a temporary folder");
        let target = place.path().join("got");
        self.ask(&["download", name, target.to_str().expect("UTF-8")]).expect(DONE);
        assert!(fs::read(target).expect("a file") == pattern(bytes, 7));
    }
}

#[test]
fn a_store_whose_disk_is_full_says_so_and_takes_more_when_there_is_room() {
    let Some(disk) = Disk::new() else { return };
    let mut kept = Kept::on(&disk, "mount -t tmpfs -o size=12m none $D");
    kept.upload("small", 1_000_000).expect(DONE);
    fill(&disk.of(&kept.store, "other"));
    expect_sentence(kept.upload("large", 3_000_000), OTHER, &["the stores have room for"]);
    kept.expect_there("small", 1_000_000);
}

#[test]
fn a_store_whose_disk_becomes_read_only_says_so_and_gives_what_it_has() {
    let Some(disk) = Disk::new() else { return };
    let mut kept = Kept::on(&disk, CAN_FAIL);
    kept.upload("before", 1_000_000).expect(DONE);
    disk.change(&kept.store, BECOMES_READ_ONLY);
    expect_sentence(kept.upload("after", 1_200_000), OTHER, &["the stores have room for 0 B more"]);
    kept.store.wait_for_log("its file system is read-only");
    kept.expect_there("before", 1_000_000);
}

#[test]
fn a_store_whose_disk_is_pulled_out_says_so_and_others_are_told() {
    let Some(disk) = Disk::new() else { return };
    let mut kept = Kept::on(&disk, "mount -t tmpfs -o size=60m none $D");
    kept.upload("before", 1_000_000).expect(DONE);
    disk.change(&kept.store, "umount -l $D");
    // Of another size, so that a slab is needed that was not open.
    expect_sentence(kept.upload("after", 30_000), OTHER, &["the stores have room for 0 B more"]);
    kept.store.wait_for_log("cannot be used");
}

#[test]
fn a_store_does_not_start_on_what_is_no_vault_or_another_process_has() {
    let tracker = Daemon::tracker(&[]);
    let (folder, other) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let text = |folder: &TempDir| folder.path().to_str().expect("UTF-8").to_owned();
    let (here, there) = (text(&folder), text(&other));
    let target = tracker.target();
    let lend = ["--listen", "127.0.0.1:0", "--tracker", &target, "--store", "60MB"];
    let state = folder.path().join(".p2p");
    let temp = state.to_str().expect("UTF-8").to_owned();
    let store = Daemon::start(&[&["peer", &here], &lend[..]].concat());
    let twice = run(&[&["peer", &there, "--temp", &temp], &lend[..]].concat());
    expect_sentence(twice, OTHER, &["another p2p peer"]);
    store.stop().expect(DONE);
    let log = state.join("vault/log");
    let whole = fs::read(&log).expect("a log");
    fs::write(&log, b"something else").expect("a file");
    let again = || run(&[&["peer", &here], &lend[..]].concat());
    expect_sentence(again(), OTHER, &["vault/log is", "away to lend again"]);
    assert_eq!(fs::read(&log).expect("a file"), b"something else");
    fs::remove_file(&log).expect("a file");
    fs::write(state.join("vault/64k.slab"), [1; 65_536]).expect("a file");
    expect_sentence(again(), OTHER, &["has chunks and no log"]);
    fs::write(&log, whole).expect("a log");
    Daemon::start(&[&["peer", &here], &lend[..]].concat()).stop().expect(DONE);
}
