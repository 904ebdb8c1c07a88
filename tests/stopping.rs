//! Stopping, and being done: nobody waits for trackers, dials or a running peer that hang.

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Daemon, Sample, eventually, pattern, run};
use tempfile::TempDir;

const DONE: i32 = 0;
const UNREACHABLE: i32 = 4;
const INTERRUPTED: i32 = 130;
/// A second is promised; a busy machine gets another.
const SOON: Duration = Duration::from_secs(2);
/// A running peer is given up after five seconds.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// Takes connections and never says a word; or has no room for them, so that a dial hangs.
struct Hole {
    listener: TcpListener,
    _full: Vec<TcpStream>,
}

impl Hole {
    fn silent() -> Hole {
        Hole { listener: TcpListener::bind("127.0.0.1:0").expect("a port"), _full: Vec::new() }
    }

    fn full() -> Hole {
        let mut hole = Hole::silent();
        rustix::net::listen(hole.listener.as_fd(), 0).expect("no room");
        let addr = hole.addr();
        while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
            hole._full.push(stream);
        }
        hole
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    fn target(&self) -> String {
        self.addr().to_string()
    }
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[track_caller]
fn ends_soon(daemon: Daemon, signal: Signal, code: i32) {
    let start = Instant::now();
    daemon.signal(signal);
    daemon.wait().expect(code);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_peer_stops_whatever_its_trackers_hang_in() {
    for hole in [Hole::silent(), Hole::full()] {
        for signal in [Signal::TERM, Signal::HUP] {
            let folder = Sample::empty();
            let peer = Daemon::peer(folder.path(), &["--tracker", &hole.target()]);
            ends_soon(peer, signal, DONE);
        }
    }
}

#[test]
fn a_peer_stops_while_its_tracker_is_stopped_and_hears_no_leave() {
    let tracker = Daemon::tracker(&[]);
    let mut folder = Sample::empty();
    folder.add("file", b"x".to_vec());
    let peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    eventually("it is registered", || {
        (run(&["find", "file", "--tracker", &tracker.target(), "--wait", "0"]).code() == DONE).then_some(())
    });
    tracker.signal(Signal::STOP);
    ends_soon(peer, Signal::TERM, DONE);
    tracker.signal(Signal::CONT);
}

#[test]
fn a_fetch_that_is_done_waits_for_no_other_tracker() {
    let tracker = Daemon::tracker(&[]);
    let mut folder = Sample::empty();
    folder.add("file", pattern(300_000, 1));
    let _peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    eventually("it is registered", || {
        (run(&["find", "file", "--tracker", &tracker.target(), "--wait", "0"]).code() == DONE).then_some(())
    });
    let dest = TempDir::new().expect("a temporary folder");
    for (number, hole) in [Hole::silent(), Hole::full()].iter().enumerate() {
        let to = dest.path().join(number.to_string());
        for trackers in [[tracker.target(), hole.target()], [hole.target(), tracker.target()]] {
            let start = Instant::now();
            run(&["get", "file", text(&to), "--force", "--tracker", &trackers.join(",")]).expect(DONE);
            assert!(start.elapsed() < SOON, "{trackers:?}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn a_fetch_that_looks_for_somebody_stops_at_once() {
    let tracker = Daemon::tracker(&[]);
    let id = "ab".repeat(32);
    let link = format!("p2p:{id}?name=file&size=5&tracker={}", tracker.target());
    let dest = TempDir::new().expect("a temporary folder");
    let get = Daemon::launch(&["get", &link, text(dest.path()), "--wait", "forever"]);
    get.wait_for_log("waiting, --wait is forever");
    ends_soon(get, Signal::TERM, INTERRUPTED);
}

#[test]
fn who_stops_leaves_nothing_of_what_was_for_a_moment() {
    let temp = TempDir::new().expect("a temporary folder");
    let launch = |args: &[&str]| {
        let waits = Daemon::launch_with(args, |command| {
            command.env("TMPDIR", temp.path());
        });
        waits.wait_for_log("waiting, --wait is forever");
        assert_ne!(temp.path().read_dir().expect("the folder").count(), 0, "{args:?}: it needs something");
        waits
    };
    let tracker = Daemon::tracker(&[]);
    let link = format!("p2p:{}?name=file&size=5&tracker={}", "ab".repeat(32), tracker.target());
    let mut sample = Sample::empty();
    sample.add("file", pattern(200_000, 5));
    let file = sample.path().join("file");
    let gone = Hole::silent().target();
    let upload = ["upload", text(&file), "--tracker", &gone, "--wait", "forever"];
    for args in [&["get", &link, "-", "--wait", "forever"][..], &upload] {
        ends_soon(launch(args), Signal::INT, INTERRUPTED);
        assert_eq!(temp.path().read_dir().expect("the folder").count(), 0, "{args:?}");
    }
}

#[test]
fn all_that_is_waited_counts_together() {
    let folder = Sample::empty();
    let hole = Hole::silent();
    let tracker = Daemon::tracker(&[]);
    let dest = TempDir::new().expect("a temporary folder");
    let _running = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    // Nobody has it: found by nobody in a link's first stage, and in none after it. With a running peer, too.
    let link = |tracker: &str| format!("p2p:{}?name=file&size=5&tracker={tracker}", "ab".repeat(32));
    let places =
        [dest.path(), folder.path()].into_iter().flat_map(|to| [(to, tracker.target()), (to, hole.target())]);
    let start = Instant::now();
    let gets: Vec<Daemon> =
        places.map(|(to, at)| Daemon::launch(&["get", &link(&at), text(to), "--wait", "3s"])).collect();
    for get in gets {
        get.wait().expect(UNREACHABLE);
        assert!(start.elapsed() >= Duration::from_millis(2900), "{:?}", start.elapsed());
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn who_asks_a_stopped_peer_gives_up_with_a_sentence() {
    let tracker = Daemon::tracker(&[]);
    let at = tracker.target();
    let mut shared = Sample::empty();
    shared.add("file", pattern(300_000, 1));
    let _source = Daemon::peer(shared.path(), &["--tracker", &at]);
    let folder = Sample::empty();
    let path = text(folder.path());
    let peer = Daemon::peer(folder.path(), &["--tracker", &at]);
    eventually("the source is registered", || {
        (run(&["find", "file", "--tracker", &at, "--wait", "0"]).code() == DONE).then_some(())
    });
    peer.signal(Signal::STOP);
    let asks: Vec<(Instant, Daemon)> =
        [&["status", path][..], &["why", path], &["get", "file", path, "--tracker", &at]]
            .iter()
            .map(|args| (Instant::now(), Daemon::launch(args)))
            .collect();
    for (start, ask) in asks {
        let said = ask.wait().expect(UNREACHABLE).stderr;
        assert!(said.contains("the running peer has not answered for 5s"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(start.elapsed() < GIVEN_UP, "{:?}", start.elapsed());
    }
    peer.signal(Signal::CONT);
    peer.stop().expect(DONE);
}

#[test]
fn a_share_ends_when_so_many_have_all_of_it() {
    let mut sample = Sample::empty();
    sample.add("photos/a", pattern(200_000, 1));
    sample.add("photos/b", pattern(10, 2));
    let photos = sample.path().join("photos");
    let photos = photos.to_str().expect("UTF-8");
    let free = ["--listen", "127.0.0.1:0", "--tracker-listen", "127.0.0.1:0", "--advertise", "127.0.0.1"];
    let share = Daemon::start(&[&["share", photos, "--until", "2"][..], &free].concat());
    share.wait_for_stdout("p2p get '");
    let said = share.stdout();
    let link = said.split('\'').nth(1).expect("a link");
    for name in ["bob", "carol"] {
        let place = TempDir::new().expect("a temporary folder");
        run(&["get", link, place.path().to_str().expect("UTF-8"), "--name", name]).expect(0);
        if name == "bob" {
            share.wait_for_log("bob at 127.0.0.1 has all of photos/, 195.3 KiB");
        }
    }
    let ended = share.wait().expect(0);
    assert!(ended.stderr.contains("carol at 127.0.0.1 has all of photos/"), "{}", ended.stderr);
}
