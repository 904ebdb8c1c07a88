//! What the system gives a process: what runs out is no word about files or peers, and comes back.

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::inotify;
use support::{Daemon, Sample, eventually, pattern, run, run_with};
use tempfile::TempDir;

const DONE: i32 = 0;
const FILES: usize = 40;

/// The same command with so few open files.
fn with_few_descriptors(command: &mut Command) {
    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => few.env(name, value),
            None => few.env_remove(name),
        };
    }
    few.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    *command = few;
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn offered(tracker: &str) -> usize {
    run(&["ls", "--tracker", tracker, "--json"]).expect(DONE).stdout.matches("\"name\":\"file").count()
}

#[test]
fn a_peer_that_is_out_of_descriptors_withdraws_nothing_and_serves_it_all_afterwards() {
    let mut folder = Sample::empty();
    for number in 0..FILES {
        folder.add(&format!("file{number}"), pattern(100_000, number as u8));
    }
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let args = ["peer", text(folder.path()), "--listen", "127.0.0.1:0", "--tracker", &at];
    let peer = Daemon::start_with(&args, with_few_descriptors);
    eventually("all is offered", || (offered(&at) == FILES).then_some(()));
    // More come than there is room for; meanwhile the folder changes.
    let crowd: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(peer.addr()).expect("a connection")).collect();
    crowd.iter().for_each(|stream| stream.set_nonblocking(true).expect("a socket"));
    eventually("there is no room for more", || {
        crowd.iter().any(|mut stream| matches!(stream.read(&mut [0; 64]), Ok(0))).then_some(())
    });
    folder.add(&format!("file{FILES}"), b"new".to_vec());
    let wanted = TempDir::new().expect("a temporary folder");
    let early = Daemon::launch(&["get", "file1", text(wanted.path()), "--tracker", &at, "--wait", "60s"]);
    assert!(peer.log().matches("cannot accept").count() <= 1, "{}", peer.log());
    assert!(offered(&at) >= FILES, "nothing is withdrawn");
    drop(crowd);
    early.wait().expect(DONE);
    eventually("the new one is offered too", || (offered(&at) == FILES + 1).then_some(()));
    for number in [0, 7, FILES] {
        let name = format!("file{number}");
        run(&["get", &name, text(wanted.path()), "--tracker", &at]).expect(DONE);
    }
    peer.stop().expect(DONE);
}

#[test]
fn only_who_asks_for_more_connections_than_open_files_allow_hears_of_it() {
    let (folder, tracker) = (Sample::empty(), Daemon::tracker(&[]));
    let at = tracker.target();
    let peer = ["peer", text(folder.path()), "--listen", "127.0.0.1:0", "--tracker", &at];
    let another = ["tracker", "--listen", "127.0.0.1:0"];
    let started = |args: &[&str], more: &[&str]| {
        let daemon = Daemon::start_with(&[args, more].concat(), with_few_descriptors);
        daemon.stop().expect(DONE).stderr
    };
    for (args, enough) in [(&peer[..], 10), (&another[..], 16)] {
        let said = "this process may have 64 files open, which is enough for";
        let quiet = started(args, &[]);
        assert!(!quiet.contains(said), "{quiet}");
        let told = started(args, &["--max-connections", "500"]);
        assert!(told.contains(&format!("{said} {enough} connections and not for 500")), "{told}");
    }
}

#[test]
fn a_connection_that_asks_takes_three_descriptors_and_a_stranger_one() {
    const STRANGERS: u64 = 40;
    let mut folder = Sample::empty();
    folder.add("large", pattern(4 << 20, 7));
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let peer = Daemon::peer(folder.path(), &["--tracker", &at, "--up", "100kB/s"]);
    eventually("it is offered", || {
        run(&["ls", "--tracker", &at, "--json"]).stdout.contains("\"large\"").then_some(())
    });
    let open = || std::fs::read_dir(format!("/proc/{}/fd", peer.pid())).expect("a process").count() as u64;
    let at_rest = eventually("nobody is served", || {
        let before = open();
        std::thread::sleep(std::time::Duration::from_millis(50));
        (before == open()).then_some(before)
    });
    let strangers: Vec<TcpStream> =
        (0..STRANGERS).map(|_| TcpStream::connect(peer.addr()).expect("a connection")).collect();
    eventually("each stranger is one descriptor", || (open() == at_rest + STRANGERS).then_some(()));
    drop(strangers);
    eventually("they are gone", || (open() == at_rest).then_some(()));
    let wanted = TempDir::new().expect("a temporary folder");
    let get = Daemon::launch(&["get", "large", text(wanted.path()), "--tracker", &at]);
    // It connects to a lone source twice.
    eventually("a connection that asks is three", || (open() == at_rest + 2 * 3).then_some(()));
    get.kill();
}

#[test]
fn a_fetch_of_more_files_than_it_may_open_arrives_whole() {
    let mut folder = Sample::empty();
    for number in 0..160 {
        folder.add(&format!("many/{number}/file"), pattern(300_000, number as u8));
    }
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let _peer = Daemon::peer(folder.path(), &["--tracker", &at]);
    let wanted = TempDir::new().expect("a temporary folder");
    let got = run_with(
        &["get", "many/", text(wanted.path()), "--tracker", &at, "--wait", "60s"],
        with_few_descriptors,
    );
    got.expect(DONE);
    folder.expect_copy("", wanted.path());
}

#[test]
#[ignore = "takes all inotify instances of this user for a moment: cargo test --test limits -- --ignored"]
fn a_folder_that_cannot_be_watched_is_looked_at() {
    let mut folder = Sample::empty();
    folder.add("file0", b"old".to_vec());
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    // Only for as long as the peer takes to start: others need some too.
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap_or_default();
    let limit: usize = limit.trim().parse().unwrap_or(usize::MAX);
    if limit > 1024 {
        return; // not worth the descriptors
    }
    let mut taken: Vec<OwnedFd> = Vec::new();
    while let Ok(instance) = inotify::init(inotify::CreateFlags::CLOEXEC) {
        taken.push(instance);
        if taken.len() > limit {
            return; // this user has no limit
        }
    }
    let peer = Daemon::peer(folder.path(), &["--tracker", &at]);
    drop(taken);
    peer.wait_for_log("no folder can be watched (see fs.inotify.max_user_instances)");
    folder.add("file1", b"new".to_vec());
    eventually("the new one is offered too", || (offered(&at) == 2).then_some(()));
    std::fs::remove_file(folder.path().join("file0")).expect("the file");
    eventually("what went is not", || (offered(&at) == 1).then_some(()));
    peer.stop().expect(DONE);
}
