//! The README's five minutes, word for word: what its console blocks say is typed, in order, in one folder, and what it
//! says is read comes. Numbers, ids, ports and times may be others.
//!
//! A tracker listens on a free port here, and everybody is told where.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::{Daemon, command, eventually};
use tempfile::TempDir;

const README: &str = include_str!("../README.md");
/// Commands that go on until they are stopped.
const GO_ON: &[&str] = &["p2p tracker", "p2p peer ", "p2p share "];
/// Digits of what is taken for an id.
const ID_DIGITS: usize = 12;

/// What is typed, and what is read then.
struct Step {
    typed: String,
    read: String,
}

/// The steps of all console blocks.
fn steps() -> Vec<Step> {
    let blocks = README.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(typed), _) => steps.push(Step { typed: typed.to_owned(), read: String::new() }),
            (None, Some(step)) => step.read += &format!("{line}\n"),
            (None, None) => panic!("{line:?} is read before anything was typed"),
        }
    }
    steps
}

/// A text in which what differs from time to time is the same.
fn usual(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_alphanumeric());
    let word = |word: &str| {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let rest = &word[bare.len()..];
        let usual = match bare {
            id if id.len() >= ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => "ID",
            number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => "1",
            "ms" | "µs" => "s",
            "KiB" | "MiB" | "GiB" => "B",
            "peers" => "peer",
            other => other,
        };
        format!("{usual}{rest}")
    };
    let text: String = words.map(word).collect();
    let lines = text.lines().map(|line| {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        // The name of this machine is in the name of a peer that has no other.
        let line = line.split_once('@').map_or(line.clone(), |(start, rest)| {
            format!("{start}@HOST{}", &rest[rest.find(' ').unwrap_or(rest.len())..])
        });
        // So is the key of a share.
        let line = line.split_once("#s=").map_or(line.clone(), |(start, _)| format!("{start}#s=KEY'"));
        line.replace("1.1.1.1", "ADDRESS").replace("[::]", "ADDRESS").replace("1.1 ", "1 ")
    });
    // Said of a tracker that is younger than a few seconds, and of what takes longer on a busy machine.
    let now_and_then = |line: &String| line.contains("; waiting, --wait is") || line.contains(" left, ");
    lines.filter(|line| !now_and_then(line)).collect::<Vec<_>>().join("\n")
}

/// The words of a command, without the program's name.
fn words(typed: &str) -> Vec<&str> {
    typed.split_whitespace().skip(1).collect()
}

/// Starts what goes on: a tracker on a free port, which everybody is told of; nobody is in anybody's way.
fn start(typed: &str, folder: &Path, tracker: Option<&str>) -> Daemon {
    let more: &[&str] = match typed {
        _ if typed.starts_with("p2p tracker") => &["--listen", "127.0.0.1:0"],
        _ if typed.starts_with("p2p share ") => &["--tracker-listen", "0.0.0.0:0"],
        _ => &[],
    };
    let typed_words = words(typed.split(" --listen ").next().unwrap_or(typed));
    Daemon::start_with(&[&typed_words[..], more].concat(), |command| {
        command.current_dir(folder);
        if let (Some(tracker), false) = (tracker, typed.starts_with("p2p share ")) {
            command.env("P2P_TRACKER", tracker);
        }
    })
}

/// Types a line that comes to an end, in a shell that finds the program.
fn type_in(typed: &str, folder: &Path, home: &Path, tracker: Option<&str>) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_p2p")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    // The environment of a command of these tests, for a shell.
    let ours = command(&[], home);
    let mut shell = Command::new("sh");
    shell.args(["-c", typed]).current_dir(folder).stdin(Stdio::null());
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env("PATH", path).envs(tracker.map(|tracker| ("P2P_TRACKER", tracker)));
    let output = shell.output().expect("a shell");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn the_five_minutes_are_as_written() {
    let (place, home) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let mut running: Vec<Daemon> = Vec::new();
    let mut tracker: Option<String> = None;
    let steps = steps();
    assert!(steps.len() > 15, "{} steps", steps.len());
    for Step { typed, read } in steps {
        let said = if GO_ON.iter().any(|start| typed.starts_with(start)) {
            let daemon = start(&typed, place.path(), tracker.as_deref());
            eventually("all that is read", || {
                (daemon.stdout().lines().count() >= read.lines().count()).then_some(())
            });
            tracker = tracker.or_else(|| Some(daemon.target()));
            running.push(daemon);
            running.last().map(Daemon::stdout).unwrap_or_default()
        } else if typed == "p2p stores" {
            // A store is known a moment after it is there.
            eventually("all stores are there", || {
                let said = type_in(&typed, place.path(), home.path(), tracker.as_deref());
                (said.matches("lending").count() == read.matches("lending").count()).then_some(said)
            })
        } else {
            type_in(&typed, place.path(), home.path(), tracker.as_deref())
        };
        assert_eq!(usual(&said), usual(&read), "$ {typed}\n{said}");
    }
    assert!(place.path().join("carol/big.iso").exists());
}
