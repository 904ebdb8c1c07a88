//! Panics, and outputs that cannot be written: whatever thread one comes from, somebody notices, and nothing hangs or lives on deaf.
//!
//! In builds for tests the variable `P2P_PANIC_IN` names the place where a thread panics.
#![cfg(debug_assertions)]

mod support;

use std::process::Command;

use rustix::process::Signal;
use support::{Daemon, Output, Sample, eventually, pattern, run, run_with};
use tempfile::TempDir;

const DONE: i32 = 0;
const FAILED: i32 = 1;
const UNREACHABLE: i32 = 4;

fn panics_in(place: &str) -> impl FnOnce(&mut Command) {
    move |command| _ = command.env("P2P_PANIC_IN", place)
}

/// The process ended with one sentence about its thread.
#[track_caller]
fn expect_sentence(ended: Output, thread: &str) {
    let ended = ended.expect(FAILED);
    let sentence = format!("p2p: internal error in thread {thread} at src/");
    assert_eq!(ended.stderr.matches("internal error").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(&sentence), "{}", ended.stderr);
    assert!(ended.stderr.contains("as it was told to; "), "{}", ended.stderr);
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// A folder with a file, a peer that shares it and panics in `place`, and its tracker.
struct Scene {
    tracker: Daemon,
    folder: Sample,
    peer: Daemon,
    dest: TempDir,
}

impl Scene {
    #[track_caller]
    fn with(place: &str) -> Scene {
        let mut folder = Sample::empty();
        folder.add("file", pattern(1 << 20, 1));
        let tracker = Daemon::tracker(&[]);
        let args = ["peer", text(folder.path()), "--listen", "127.0.0.1:0", "--tracker", &tracker.target()];
        let peer = Daemon::start_with(&args, panics_in(place));
        Scene { tracker, peer, folder, dest: TempDir::new().expect("a temporary folder") }
    }

    fn is_registered(&self) {
        eventually("the peer is registered", || {
            let found = run(&["find", "file", "--tracker", &self.tracker.target(), "--wait", "0"]);
            (found.code() == DONE).then_some(())
        });
    }

    fn get(&self, place: &str) -> Output {
        let to = text(self.dest.path());
        let args = ["get", "file", to, "--tracker", &self.tracker.target(), "--wait", "2s"];
        run_with(&args, panics_in(place))
    }
}

#[test]
fn a_peer_ends_with_any_thread_that_it_cannot_do_without() {
    let scene = Scene::with("accept");
    let _ = run(&["load", &scene.peer.target()]);
    expect_sentence(scene.peer.wait(), "accept");

    let scene = Scene::with("control");
    let _ = run(&["status", text(scene.folder.path())]);
    expect_sentence(scene.peer.wait(), "control");

    // It is ready when it is registered, and gets there no more.
    let target = scene.tracker.target();
    let args = ["peer", text(scene.folder.path()), "--listen", "127.0.0.1:0", "--tracker", &target];
    expect_sentence(run_with(&args, panics_in("tracker")), "tracker");

    for (place, thread) in
        [("changes", "changes"), ("share-keeper", "share-keeper"), ("hash-lane", "hash-small")]
    {
        let mut scene = Scene::with(place);
        scene.folder.add("another", b"new".to_vec());
        expect_sentence(scene.peer.wait(), thread);
    }

    let scene = Scene::with("signals");
    scene.peer.signal(Signal::TERM);
    expect_sentence(scene.peer.wait(), "signals");
}

/// Standard error as `2>/dev/full` and as a pipe whose reader is gone or has stopped.
fn unwritable() -> [(std::process::Stdio, Option<std::io::PipeReader>); 3] {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let (reader, closed) = std::io::pipe().expect("a pipe");
    drop(reader);
    let (reader, mut stuck) = std::io::pipe().expect("a pipe");
    let room = rustix::pipe::fcntl_setpipe_size(&stuck, 4096).expect("a small pipe");
    std::io::Write::write_all(&mut stuck, &vec![b'x'; room]).expect("room");
    [(full.into(), None), (closed.into(), None), (stuck.into(), Some(reader))]
}

#[test]
fn an_unwritable_standard_error_costs_the_lines_only() {
    for (error, _reader) in unwritable() {
        let mut folder = Sample::empty();
        folder.add("file", pattern(1 << 20, 1));
        // Everything is logged and traced, and it has a reason to warn: its tracker is not there yet.
        let port = support::Port::reserve();
        let args =
            ["peer", text(folder.path()), "--listen", "127.0.0.1:0", "--tracker", &port.target(), "-vv"];
        let peer = Daemon::start_with(&args, |command| _ = command.stderr(error).env("RUST_LOG", "trace"));
        let tracker = Daemon::start_with(&["tracker", "--listen", &port.target()], |command| {
            _ = command.stderr(std::fs::File::options().write(true).open("/dev/full").expect("/dev/full"));
        });
        let dest = TempDir::new().expect("a temporary folder");
        eventually("the peer is registered", || {
            let found = run(&["find", "file", "--tracker", &tracker.target(), "--wait", "0"]);
            (found.code() == DONE).then_some(())
        });
        run(&["get", "file", text(dest.path()), "--tracker", &tracker.target()]).expect(DONE);
        peer.stop().expect(DONE);
        tracker.stop().expect(DONE);
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_a_ready_line_is_none() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let scene = Scene::with("");
    scene.is_registered();
    let tracker = scene.tracker.target();
    let to = text(scene.dest.path());
    for args in [
        &["ls", "--tracker", &tracker][..],
        &["status", text(scene.folder.path())],
        &["get", "file", to, "--tracker", &tracker],
        &["get", "file", to, "--tracker", &tracker, "--json"],
    ] {
        let said = run_with(args, |command| _ = command.stdout(full())).expect(FAILED).stderr;
        assert!(said.contains("p2p: cannot write the answer: no space left on device"), "{args:?}: {said}");
    }
    assert!(scene.dest.path().join("file").exists(), "it was fetched nevertheless");
    run_with(&["--help"], |command| _ = command.stdout(full())).expect(FAILED);
    run_with(&["completions", "bash"], |command| _ = command.stdout(full())).expect(FAILED);
    let args = ["tracker", "--listen", "127.0.0.1:0"];
    let tracker = Daemon::launch_with(&args, |command| _ = command.stdout(full()));
    tracker.wait_for_log("cannot say on standard output that it is ready");
    tracker.stop().expect(DONE);
}

#[test]
fn a_start_ends_with_what_helps_it() {
    let mut folder = Sample::empty();
    folder.add("file", pattern(1 << 20, 1));
    for (place, thread) in [("walk", ""), ("hash-worker", "hash"), ("main", "main")] {
        let ended = run_with(&["peer", text(folder.path()), "--listen", "127.0.0.1:0"], panics_in(place));
        let ended = ended.expect(FAILED);
        assert!(
            ended.stderr.contains(&format!("p2p: internal error in thread {thread}")),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_tracker_ends_with_any_thread_that_it_cannot_do_without() {
    let listen = ["tracker", "--listen", "127.0.0.1:0", "--lease", "100ms", "--max-connections", "0"];
    let start = |place| Daemon::start_with(&listen, panics_in(place));
    let ask = |tracker: &Daemon| run(&["ls", "--tracker", &tracker.target(), "--wait", "0"]);
    let tracker = start("tracker-accept");
    let _ = ask(&tracker);
    expect_sentence(tracker.wait(), "tracker-accept");
    expect_sentence(start("tracker-lease").wait(), "tracker-lease");
    let tracker = start("tracker-refuse");
    let _ = ask(&tracker);
    expect_sentence(tracker.wait(), "tracker-refuse");
}

#[test]
fn a_connection_ends_alone() {
    let tracker = Daemon::start_with(&["tracker", "--listen", "127.0.0.1:0"], panics_in("tracker-member"));
    for _ in 0..2 {
        run(&["ls", "--tracker", &tracker.target(), "--wait", "0"]).expect(UNREACHABLE);
    }
    tracker.wait_for_log("thread tracker-member");
    tracker.wait_for_log("its connection ends");
    tracker.stop().expect(DONE);

    let scene = Scene::with("control-answer");
    run(&["status", text(scene.folder.path())]).expect(UNREACHABLE);
    run(&["status", text(scene.folder.path())]).expect(UNREACHABLE);
    scene.peer.stop().expect(DONE);
}

#[test]
fn who_panics_while_it_serves_gives_back_what_it_held() {
    let scene = Scene::with("serve");
    scene.is_registered();
    // Who comes and goes is nobody to wait for longer.
    scene.get("").expect(UNREACHABLE);
    let args = ["--tracker", &scene.tracker.target(), "--up", "500KB/s"];
    let mut copy = Sample::empty();
    copy.add("file", pattern(1 << 20, 1));
    let _sound = Daemon::peer(copy.path(), &args);
    scene.get("").expect(DONE);
    scene.peer.wait_for_log("thread serve");
    eventually("nothing is served any more", || {
        let status = run(&["status", text(scene.folder.path()), "--json"]).expect(DONE);
        status.stdout.contains("\"uploads\":0").then_some(())
    });
    scene.peer.stop().expect(DONE);
}

#[test]
fn a_fetch_ends_when_its_own_thread_does_and_goes_on_without_a_connection() {
    let scene = Scene::with("");
    scene.is_registered();
    let file = scene.dest.path().join("file");
    for (place, thread) in [("fetch", "fetch"), ("prove", "")] {
        if place == "prove" {
            std::fs::write(&file, pattern(1 << 20, 1)).expect("a file that is here already");
        }
        let ended = scene.get(place).expect(FAILED);
        assert!(ended.stderr.contains(&format!("internal error in thread {thread}")), "{}", ended.stderr);
        assert!(ended.stderr.contains("the fetch ended by an internal error"), "{}", ended.stderr);
    }
    std::fs::remove_file(&file).expect("the file");
    for (place, thread) in [("fetch-source", "fetch-source"), ("fetch-chunk", "fetch-source")] {
        let ended = scene.get(place).expect(UNREACHABLE);
        assert!(ended.stderr.contains(&format!("internal error in thread {thread}")), "{}", ended.stderr);
    }
    scene.get("").expect(DONE);
}

#[test]
fn a_running_peer_outlives_the_fetch_that_panics_in_it() {
    let scene = Scene::with("");
    scene.is_registered();
    let fetcher = Sample::empty();
    let args =
        ["peer", text(fetcher.path()), "--listen", "127.0.0.1:0", "--tracker", &scene.tracker.target()];
    let fetcher_peer = Daemon::start_with(&args, panics_in("fetch"));
    let to = fetcher.path().join("copy");
    let got = run(&["get", "file", text(&to), "--tracker", &scene.tracker.target()]).expect(FAILED);
    assert!(got.stderr.contains("the fetch ended by an internal error"), "{}", got.stderr);
    let status = run(&["status", text(fetcher.path())]).expect(DONE);
    assert!(status.stdout.contains("0 downloads"), "{}", status.stdout);
    fetcher_peer.stop().expect(DONE);
}
