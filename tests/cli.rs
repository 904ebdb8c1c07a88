//! The command line from outside: exit codes and sentences for what goes wrong, where options come from,
//! and what `--help` promises.

mod support;

use std::fs;
use std::net::TcpListener;

use support::{Output, run, run_with};
use tempfile::TempDir;

const USAGE: i32 = 2;
const OTHER: i32 = 1;
const UNREACHABLE: i32 = 4;

/// An address on which nobody listens, for as long as the listener lives: it is bound, but a second
/// listener cannot take it.
fn busy_address() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    (listener, address)
}

/// An address that refuses connections: port 1 belongs to nobody.
const NOBODY: &str = "127.0.0.1:1";

/// Runs with `text` as the configuration file.
#[track_caller]
fn configured(text: &str, args: &[&str], variable: Option<&str>) -> Output {
    let home = TempDir::new().expect("a temporary folder");
    fs::create_dir(home.path().join("p2p")).expect("the configuration's folder");
    fs::write(home.path().join("p2p/config.toml"), text).expect("the configuration");
    run_with(args, |command| {
        command.env("XDG_CONFIG_HOME", home.path());
        if let Some(value) = variable {
            command.env("P2P_TRACKER", value);
        }
    })
}

/// One sentence on standard error that has `words`, nothing on standard output, and this exit code.
#[track_caller]
fn fails(args: &[&str], code: i32, words: &str) {
    let output = run(args).expect(code);
    assert!(output.stderr.contains(words), "{args:?}: {}", output.stderr);
    assert_eq!(output.stdout, "", "{args:?}");
}

#[test]
fn bad_arguments_are_bad_usage() {
    fails(&[], USAGE, "Usage: p2p");
    fails(&["fly"], USAGE, "unrecognized subcommand");
    fails(&["get"], USAGE, "<WHAT>");
    fails(&["ls", "--tracker", "lab:x"], USAGE, "an address is HOST or HOST:PORT");
    fails(&["get", "a", "--wait", "soon"], USAGE, "a duration is a number with a unit");
    fails(&["peer", ".", "--up", "fast"], USAGE, "a size is a number with a unit");
    fails(&["ls", "--trace", "all"], USAGE, "the sides are tracker, serve and fetch");
    fails(&["get", "a", "--seed", "--seed-for", "1m"], USAGE, "cannot be used with");
}

#[test]
fn what_would_never_get_anywhere_is_bad_usage() {
    for (command, option) in [("get", "--up"), ("get", "--down"), ("peer", "--up"), ("share", "--down")] {
        fails(&[command, ".", option, "0"], USAGE, "without the option there is no limit");
        fails(&[command, ".", option, "0MB/s"], USAGE, "without the option there is no limit");
    }
    fails(&["tracker", "--lease", "0"], USAGE, "it is 100ms at least");
    fails(&["get", "a", "--refresh", "0"], USAGE, "it is 100ms at least");
    fails(&["get", "a", "--max-neighbours", "0"], USAGE, "with 0 nothing could ever be fetched");
    fails(&["get", "a", "--max-in-flight", "0"], USAGE, "with 0 nothing could ever be fetched");
    for advertised in [":0", "lab:0", "", "0.0.0.0", "[::]:7"] {
        fails(
            &["peer", ".", "--advertise", advertised],
            USAGE,
            "others can dial a HOST, a HOST:PORT, or a :PORT",
        );
    }
    let refused = configured("down = 0", &["get", "a"], None).expect(USAGE).stderr;
    assert!(refused.contains("`0` is no value of `down`: at a rate of 0 nothing ever arrives"), "{refused}");
}

#[test]
fn what_cannot_be_meant_is_bad_usage() {
    fails(&["get", "../secret"], USAGE, "is no name: it has a part that is empty, `.` or `..`");
    fails(&["get", "/etc/passwd"], USAGE, "it is an absolute path");
    fails(&["get", "p2p:12"], USAGE, "is not a link: an id is 64 hexadecimal digits");
    fails(&["find", ""], USAGE, "it is empty");
    let folder = TempDir::new().expect("a temporary folder");
    let descriptor = folder.path().join("bad.p2p");
    fs::write(&descriptor, "version = 1\n").expect("a descriptor");
    let descriptor = descriptor.to_str().expect("a UTF-8 path");
    fails(&["get", descriptor], USAGE, "is not a descriptor: the descriptor is not valid: missing field");
}

#[test]
fn places_that_are_not_there_are_bad_usage() {
    fails(&["peer", "/nonexistent/folder"], USAGE, "there is no folder /nonexistent/folder; make it first");
    fails(&["share", "/nonexistent/file"], USAGE, "there is no file or folder /nonexistent/file");
    fails(&["create", "/nonexistent/file"], USAGE, "there is no file or folder /nonexistent/file");
    fails(&["status", "/nonexistent/folder"], USAGE, "there is no folder /nonexistent/folder");
    fails(
        &["get", "a", "/nonexistent/folder/b"],
        USAGE,
        "there is no folder /nonexistent/folder; make it first",
    );
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let file = file.to_str().expect("a UTF-8 path");
    fails(&["peer", file], USAGE, "`p2p share` shares a single file");
    fails(&["get", "a", &format!("{file}/")], USAGE, "is no folder");
}

#[test]
fn a_busy_port_is_named() {
    let (_held, address) = busy_address();
    let words = format!("cannot listen on {address}: address already in use; choose another with --listen");
    fails(&["tracker", "--listen", &address], OTHER, &words);
}

#[test]
fn a_tracker_that_is_not_there_is_named() {
    let words =
        format!("no tracker can be reached at {NOBODY} (connection refused); start one with `p2p tracker`");
    fails(&["ls", "--tracker", NOBODY], UNREACHABLE, &words);
    fails(&["get", "a", "--tracker", NOBODY, "--wait", "0"], UNREACHABLE, &words);
    fails(&["find", "a", "--tracker", NOBODY, "--wait", "0"], UNREACHABLE, &words);
    fails(&["status", "--tracker", NOBODY], UNREACHABLE, &words);
    fails(&["load", NOBODY], UNREACHABLE, "cannot be asked: connection refused");
}

#[test]
fn waiting_for_a_tracker_is_said() {
    let words = format!("no tracker at {NOBODY} (connection refused); waiting, --wait is 300ms");
    fails(&["get", "a", "--tracker", NOBODY, "--wait", "300ms"], UNREACHABLE, &words);
}

#[test]
fn a_folder_nobody_shares_is_named() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().to_str().expect("a UTF-8 path");
    fails(
        &["status", path],
        UNREACHABLE,
        &format!("no peer is sharing {path}; start one with `p2p peer {path}`"),
    );
}

#[test]
fn options_beat_the_environment_beats_the_file_beats_the_default() {
    let asked = |output: Output| output.expect(UNREACHABLE).stderr;
    let file = "trackers = [\"127.0.0.1:2\"]\n";
    let variable = Some("127.0.0.1:3,127.0.0.1:4");
    assert!(asked(configured(file, &["ls"], None)).contains("127.0.0.1:2 "));
    assert!(asked(configured(file, &["ls"], Some(""))).contains("127.0.0.1:2 "));
    let both = asked(configured(file, &["ls"], variable));
    assert!(
        both.contains("127.0.0.1:3 (") && both.contains("127.0.0.1:4 (") && !both.contains("127.0.0.1:2 ")
    );
    let option = asked(configured(file, &["ls", "--tracker", "127.0.0.1:5"], variable));
    assert!(option.contains("127.0.0.1:5 (") && !option.contains("127.0.0.1:3 "));
    let help = run(&["ls", "--help"]).expect(0).stdout;
    assert!(help.contains("[default: 127.0.0.1:9700]"), "{help}");
}

#[test]
fn a_bad_configuration_file_is_named() {
    let fault = |text| configured(text, &["ls"], None).expect(USAGE).stderr;
    assert!(
        fault("tracker = \"a\"\n").contains("p2p/config.toml: unknown key `tracker`; there are trackers, ")
    );
    assert!(fault("trackers = [\"a:b\"]\n").contains("`a:b` is no value of `trackers`: an address is HOST"));
    assert!(fault("[get]\nwait = \"soon\"\n").contains("`soon` is no value of `wait`"));
    assert!(fault("trackers = [\n").contains("config.toml: line "));
    configured("nonsense", &["--help"], None).expect(0);
}

#[test]
fn help_shows_what_the_configuration_file_says() {
    let help = configured("[get]\nwait = \"5m\"\n", &["get", "--help"], None).expect(0).stdout;
    assert!(help.contains("[default: 5m]"), "{help}");
}

#[test]
fn help_shows_every_default_and_the_exit_codes() {
    let commands = [
        "tracker", "peer", "share", "ls", "find", "get", "create", "load", "status", "why", "cancel",
        "pause", "resume", "limit",
    ];
    for command in commands {
        let help = run(&[command, "--help"]).expect(0).stdout;
        // An option that takes a value says what holds without it, except those that then do nothing.
        let wrapped = help.replace("\n", " ");
        let options = wrapped.split("  --").skip(1);
        for option in
            options.filter(|option| option.split(' ').nth(1).is_some_and(|word| word.starts_with('<')))
        {
            let silent = option.starts_with("seed-for");
            assert!(silent || option.contains("[default"), "{command} --{option}");
        }
    }
    let help = run(&["--help"]).expect(0).stdout;
    assert!(help.contains("Exit codes: 0 done, 1 other failure, 2 bad usage, 3 not found"), "{help}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).expect(0).stdout;
        assert!(script.contains("tracker") && script.contains("--wait") | script.contains("wait"), "{shell}");
    }
}
