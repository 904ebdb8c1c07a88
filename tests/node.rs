//! Nodes: what an agent does about roles that end, hang, are told nonsense or outlive it; and what roles say to whoever
//! supervises them.

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use p2p::content::PeerId;
use p2p::net::secure::Keyring;
use p2p::net::trace::Side;
use p2p::net::{self, Identity, Messages};
use p2p::wire::{
    Common, FromTracker, Label, List, NodeId, NodeState, Nodes, Role, SeenNode, Status, ToTracker,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use support::{Daemon, Port, eventually, run, status_of_a_minute};
use tempfile::TempDir;

const DONE: i32 = 0;
const OTHER: i32 = 1;
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 4;
/// A moment, on a machine that has much else to do.
const SOON: Duration = Duration::from_secs(20);
/// Between the ends of roles that do not last, at first and at most.
const QUICK: &str = "pause = \"100ms\"\nlongest-pause = \"800ms\"\n";

/// A node's folder: its configuration, its state, and a folder to share.
struct Node {
    folder: TempDir,
}

impl Node {
    /// One whose agent is so, with these roles.
    fn new(node: &str, roles: &str) -> Node {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join("share")).expect("a folder");
        let made = Node { folder };
        made.describe(node, roles);
        made
    }

    fn describe(&self, node: &str, roles: &str) {
        let text = format!("[node]\nname = \"n\"\nstate = \"state\"\n{node}\n{roles}");
        fs::write(self.file(), text).expect("a configuration");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("node.toml")
    }

    fn up(&self) -> Daemon {
        Daemon::underway(&["up", text(&self.file())], "node n is up: ")
    }

    #[track_caller]
    fn ask(&self, act: &[&str], code: i32) -> support::Output {
        run(&[&["node"], act, &["--file", text(&self.file())]].concat()).expect(code)
    }

    #[track_caller]
    fn status(&self) -> Value {
        serde_json::from_str(&self.ask(&["status", "--json"], DONE).stdout).expect("JSON")
    }

    #[track_caller]
    fn role(&self, name: &str) -> Value {
        let status = self.status();
        let roles = status["roles"].as_array().expect("roles");
        roles
            .iter()
            .find(|role| role["role"] == name)
            .unwrap_or_else(|| panic!("no {name} in {status}"))
            .clone()
    }

    #[track_caller]
    fn pid(&self, name: &str) -> Pid {
        eventually("it has a process", || pid(&self.role(name)))
    }

    /// Waits until a role runs that has been started so often.
    #[track_caller]
    fn runs(&self, name: &str, starts: u64) -> Value {
        eventually("it runs", || {
            let role = self.role(name);
            (role["state"] == "running" && role["starts"].as_u64() >= Some(starts)).then_some(role)
        })
    }
}

fn pid(role: &Value) -> Option<Pid> {
    Pid::from_raw(role["pid"].as_i64()? as i32)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn is_gone(pid: Pid) -> bool {
    // A zombie is gone: it is its parent's to wait for, and that may be one of another container.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let is_zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    is_zombie || test_kill_process(pid).is_err()
}

const TRACKER: &str = "[tracker]\nlisten = \"127.0.0.1:0\"\n";
const PEER: &str = "[peer.data]\nfolder = \"share\"\nlisten = \"127.0.0.1:0\"\nafter = [\"tracker\"]\n";

#[test]
fn a_role_that_is_killed_is_back_in_a_moment_and_as_it_was() {
    let node = Node::new("", TRACKER);
    let agent = node.up();
    assert!(agent.stdout().starts_with("node n is up: tracker\n"), "{}", agent.stdout());
    let first = node.pid("tracker");
    let start = Instant::now();
    kill_process(first, Signal::KILL).expect("it is ours");
    let back = node.runs("tracker", 2);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_ne!(pid(&back), Some(first));
    assert_eq!((&back["last_end"], &back["looping"]), (&"signal 9".into(), &false.into()));
    let says = back["says"].as_str().expect("what it says").to_owned();
    let addr = says.strip_prefix("tracker listening on ").expect("where it listens");
    run(&["ls", "--tracker", addr]).expect(DONE);
    agent.wait_for_log("role=tracker tracker listening on ");
    agent.wait_for_log("node: tracker ended with signal 9; it is started again");
}

#[test]
fn who_is_killed_ten_times_comes_back_ever_later_and_is_called_looping() {
    let node = Node::new(QUICK, TRACKER);
    let agent = node.up();
    for starts in 1..=10 {
        let role = node.runs("tracker", starts);
        kill_process(pid(&role).expect("a process"), Signal::KILL).expect("it is ours");
    }
    let role = node.runs("tracker", 11);
    assert_eq!((&role["looping"], &role["starts"]), (&true.into(), &11.into()));
    assert!(role["last_lines"].as_array().is_some_and(|lines| !lines.is_empty()), "{role}");
    let log = agent.log();
    let pauses: Vec<f64> = log
        .lines()
        .filter_map(|line| line.strip_prefix("node: tracker ended with signal 9; it is started again"))
        .map(|rest| {
            rest.strip_prefix(" in ").map_or(0.0, |rest| rest.split(' ').next().unwrap().parse().unwrap())
        })
        .collect();
    let usual = [0.0, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8];
    assert_eq!(pauses.len(), usual.len(), "{log}");
    for (pause, usual) in pauses.iter().zip(usual) {
        assert!((0.8 * usual - 0.006..=1.2 * usual + 0.006).contains(pause), "{pauses:?}");
    }
}

#[test]
fn a_role_that_hangs_is_ended_and_started_again() {
    let node = Node::new("watchdog = \"3s\"\n", TRACKER);
    let _agent = node.up();
    let first = node.pid("tracker");
    kill_process(first, Signal::STOP).expect("it is ours");
    let back = node.runs("tracker", 2);
    assert!(is_gone(first) && pid(&back) != Some(first));
    assert_eq!(back["last_end"], "signal 9", "it was stopped: it could not hear of the abort");
}

#[test]
fn no_role_outlives_its_agent_not_even_one_that_is_stopped() {
    let node = Node::new("", &format!("{TRACKER}{PEER}"));
    let agent = node.up();
    let (tracker, peer) = (node.pid("tracker"), node.pid("data"));
    kill_process(tracker, Signal::STOP).expect("it is ours");
    agent.signal(Signal::KILL);
    let start = Instant::now();
    for pid in [tracker, peer] {
        eventually("it is gone", || is_gone(pid).then_some(()));
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    drop(agent);
    let again = node.up();
    node.runs("data", 1);
    assert!(!again.log().contains("in use by another process"));
}

#[test]
fn bad_usage_is_not_tried_again_and_a_reload_starts_only_what_changed() {
    let bad = |folder: &str| format!("[peer.bad]\nlisten = \"127.0.0.1:0\"\nfolder = \"{folder}\"\n");
    let node = Node::new(QUICK, &format!("{TRACKER}{}", bad("nowhere")));
    let agent = node.up();
    assert!(agent.stdout().contains("node n is up: tracker; down: bad\n"), "{}", agent.stdout());
    let role = eventually("its last words are known", || {
        Some(node.role("bad"))
            .filter(|role| role["last_lines"].as_array().is_some_and(|lines| !lines.is_empty()))
    });
    assert_eq!(
        (&role["state"], &role["starts"], &role["last_end"]),
        (&"broken".into(), &1.into(), &"exit code 2".into())
    );
    assert!(
        role["last_lines"][0].as_str().is_some_and(|line| line.contains("there is no folder nowhere")),
        "{role}"
    );
    let refused = node.ask(&["start", "bad"], OTHER);
    assert!(refused.stderr.contains("bad does not start: "), "{}", refused.stderr);
    let tracker = node.pid("tracker");
    node.describe(QUICK, &format!("{TRACKER}{}", bad("share")));
    node.ask(&["reload"], DONE);
    node.runs("bad", 3);
    assert_eq!(node.pid("tracker"), tracker, "nothing changed for it");
    node.describe(QUICK, &format!("{TRACKER}listne = 1\n"));
    let refused = node.ask(&["reload"], USAGE);
    assert!(refused.stderr.contains("nothing was changed: "), "{}", refused.stderr);
    assert!(refused.stderr.contains("unknown key `listne`"), "{}", refused.stderr);
    node.describe(QUICK, &format!("{TRACKER}{}trackers = [\"127.0.0.1:9\"]\n", bad("share")));
    let refused = node.ask(&["reload"], USAGE).stderr;
    assert!(refused.contains("which trackers the node and its peers have"), "{refused}");
    node.runs("bad", 3);
}

#[test]
fn a_role_whose_section_says_so_traces_its_messages_after_a_reload_that_starts_no_other_anew() {
    let port = Port::reserve();
    let tracker = format!("[tracker]\nlisten = \"{}\"\n", port.target());
    let peer = format!("{PEER}trackers = [\"{}\"]\n", port.target());
    let node = Node::new("", &format!("{tracker}{peer}"));
    let agent = node.up();
    let before = node.pid("tracker");
    assert!(!agent.log().contains(" tracker -> "), "nothing is traced: {}", agent.log());
    node.describe("", &format!("{tracker}{peer}trace = [\"tracker\"]\n"));
    node.ask(&["reload"], DONE);
    let traces = |role: &str, log: &str| {
        log.lines().any(|line| line.contains(&format!("role={role} ")) && line.contains(" REGISTERED "))
    };
    eventually("the peer's messages", || traces("data", &agent.log()).then_some(()));
    assert_eq!(node.pid("tracker"), before, "nothing changed for it");
    assert!(!traces("tracker", &agent.log()), "{}", agent.log());
}

#[test]
fn roles_are_stopped_started_restarted_and_drained_and_a_node_stays_drained() {
    let node = Node::new("", &format!("{TRACKER}{PEER}"));
    let agent = node.up();
    node.ask(&["stop", "data"], DONE);
    assert_eq!((&node.role("data")["state"], &node.role("data")["pid"]), (&"stopped".into(), &Value::Null));
    node.ask(&["start", "data"], DONE);
    let (tracker, peer) = (node.pid("tracker"), node.pid("data"));
    node.ask(&["restart"], DONE);
    let (tracker_2, peer_2) = (node.pid("tracker"), node.pid("data"));
    assert!(tracker != tracker_2 && peer != peer_2);
    assert_eq!(node.role("tracker")["last_end"], "exit code 0", "it was asked, and had time");
    let unknown = node.ask(&["stop", "nobody"], USAGE);
    assert!(
        unknown.stderr.contains("there is no role `nobody` here; there are data, tracker"),
        "{}",
        unknown.stderr
    );
    assert!(node.ask(&["logs", "data"], DONE).stdout.contains(" listening on "));
    node.ask(&["drain"], DONE);
    assert!(is_gone(tracker_2) && is_gone(peer_2));
    assert!(node.ask(&["start", "data"], OTHER).stderr.contains("until `p2p node undrain`"));
    agent.signal(Signal::TERM);
    agent.wait().expect(DONE);
    node.ask(&["status"], UNREACHABLE);
    let again = node.up();
    let status = node.status();
    assert_eq!((&status["drained"], &status["roles"][0]["starts"]), (&true.into(), &0.into()));
    node.ask(&["undrain"], DONE);
    node.runs("data", 1);
    again.signal(Signal::TERM);
    let said = again.wait().expect(DONE);
    assert!(said.stderr.contains("node: data ended with exit code 0"), "{}", said.stderr);
}

#[test]
fn a_node_has_one_agent_and_its_configuration_is_checked_before_anything_is_started() {
    let node = Node::new("", TRACKER);
    let _agent = node.up();
    let second = run(&["up", text(&node.file())]).expect(OTHER);
    assert!(
        second.stderr.contains("is in use by another process; an agent that runs has it"),
        "{}",
        second.stderr
    );
    let wrong = Node::new("", "[tracker]\nlease = \"soon\"\n");
    let said = run(&["up", text(&wrong.file())]).expect(USAGE).stderr;
    assert!(said.contains("role `tracker`: `soon` is no value of `lease`"), "{said}");
    let said = run(&["up", "/nowhere/node.toml"]).expect(USAGE).stderr;
    assert!(said.contains("cannot read /nowhere/node.toml"), "{said}");
}

#[test]
fn a_tracker_and_a_peer_tell_systemd_that_they_are_ready_alive_and_ending() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("notify");
    for args in [
        &["tracker", "--listen", "127.0.0.1:0"][..],
        &["peer", text(folder.path()), "--listen", "127.0.0.1:0"],
    ] {
        let _ = fs::remove_file(&path);
        let supervisor = UnixDatagram::bind(&path).expect("a socket");
        supervisor.set_read_timeout(Some(support::DEADLINE)).expect("a deadline");
        let hear = || {
            let mut bytes = [0; 4096];
            let read = supervisor.recv(&mut bytes).expect("it is told");
            String::from_utf8_lossy(&bytes[..read]).into_owned()
        };
        let daemon = Daemon::start_with(args, |command| {
            command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
        });
        let ready = hear();
        assert!(ready.starts_with("READY=1\nSTATUS=") && ready.contains(daemon.line()), "{ready}");
        assert_eq!([hear(), hear()], ["WATCHDOG=1\n", "WATCHDOG=1\n"]);
        daemon.signal(Signal::TERM);
        while hear() != "STOPPING=1\n" {}
        daemon.wait().expect(DONE);
    }
}

#[test]
fn a_demonstration_is_nodes_that_work_together_and_come_back_and_nothing_is_left_of_it() {
    let demo = Daemon::underway(&["up", "--demo", "2"], "node demo is up: node1, node2");
    demo.wait_for_log("comes back");
    let log = demo.log();
    let after = |mark: &str| {
        let rest = log.split(mark).nth(1).expect(mark);
        rest.lines().next().expect("a line").to_owned()
    };
    let (trackers, state) = (after("P2P_TRACKER="), PathBuf::from(after("p2p node status --state ")));
    let lending = || {
        let stores = run(&["stores", "--tracker", &trackers, "--json"]).stdout;
        stores.lines().filter(|line| line.contains("\"state\":\"lending\"")).count()
    };
    eventually("both stores lend", || (lending() == 2).then_some(()));
    let file = state.parent().expect("a folder").join("f");
    fs::write(&file, support::pattern(300_000, 1)).expect("a file");
    run(&["upload", text(&file), "--tracker", &trackers]).expect(DONE);
    let status = run(&["node", "status", "--state", text(&state), "--json"]).expect(DONE).stdout;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    kill_process(pid(&status["roles"][0]).expect("a process"), Signal::KILL).expect("it is ours");
    demo.wait_for_log("node: node1 ended with signal 9");
    eventually("both stores lend again", || (lending() == 2).then_some(()));
    // The other one hangs: the first has it restarted, before the agent of all nodes thinks anything of it.
    let there = || {
        let nodes = run(&["cluster", "nodes", "--json", "--tracker", &trackers]).stdout;
        let is_up = |line: &&str| line.contains("\"state\":\"up\"");
        nodes.lines().filter(is_up).count()
    };
    eventually("both nodes are there", || (there() == 2).then_some(()));
    kill_process(pid(&status["roles"][1]).expect("a process"), Signal::STOP).expect("it is ours");
    demo.wait_for_log("node: node2 is lost, and this node brings it back");
    demo.wait_for_log("node: node2 ended with signal 9");
    eventually("both nodes are there again", || (there() == 2).then_some(()));
    let fetched = state.with_file_name("g");
    run(&["download", "f", text(&fetched), "--tracker", &trackers]).expect(DONE);
    assert_eq!(fs::read(&fetched).expect("a file"), support::pattern(300_000, 1));
    demo.signal(Signal::TERM);
    demo.wait().expect(DONE);
    assert!(!state.exists());
}

#[test]
fn with_json_every_line_of_a_node_and_its_roles_is_an_object() {
    let node = Node::new("", &format!("{TRACKER}[peer.bad]\nfolder = \"nowhere\"\n"));
    let file = node.file();
    let agent =
        Daemon::underway(&["--log-format", "json", "up", text(&file)], "node n is up: tracker; down: bad");
    agent.wait_for_log("there is no folder nowhere");
    agent.wait_for_log("tracker listening on");
    agent.signal(Signal::TERM);
    let said = agent.wait().expect(DONE).stderr;
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |role: &str| lines.iter().filter(|line| line["role"] == role).collect::<Vec<_>>();
    assert!(of("bad").iter().any(|line| line["level"] == "error"), "{said}");
    assert!(of("tracker").iter().all(|line| line["ts"].is_string() && line["msg"].is_string()), "{said}");
}

#[test]
fn a_doctor_says_what_is_wrong_and_what_to_do() {
    let tracker = Daemon::tracker(&[]);
    let folder = TempDir::new().expect("a temporary folder");
    let peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    let gone = tracker.target();
    let said = run(&["doctor", text(folder.path()), "--tracker", &gone]).expect(DONE).stdout;
    let machine = ["version: p2p ", "open files: ", "clock: ", "hash: "];
    let others = ["tracker: ", "versions: p2p/", "peer: ", "reached: "];
    for what in [&machine[..], &others, &["disk: ", "space: ", "watches: "]].concat() {
        assert!(said.lines().any(|line| line[6..].starts_with(what)), "{what}: {said}");
    }
    drop(peer);
    drop(tracker);
    let quick = ["doctor", "--quick", "--json", "--tracker", &gone];
    let said = run(&quick).expect(OTHER).stdout;
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let tracker = lines.iter().find(|line| line["check"] == "tracker").expect("a tracker");
    assert_eq!(tracker["verdict"], "fail");
    assert!(tracker["remedy"].as_str().is_some_and(|remedy| remedy.contains("p2p tracker")), "{said}");
    assert!(lines.iter().all(|line| line["check"] != "hash"), "{said}");
}

/// A tracker that a test plays, whose clock is so far ahead, and which knows of a node with an older version. Where it listens.
fn tracker_of_another_time(ahead: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("its address");
    let serve = move |stream: TcpStream| -> Option<()> {
        let me = Identity::new(Keyring::none(), PeerId::random(), "played".into(), 0);
        let session = net::welcome(stream, &me, Side::Tracker, |_| Some(Role::Tracker)).ok()?;
        let mut link = Messages::<ToTracker, FromTracker>::new(session, Side::Tracker);
        loop {
            let (request, message) = link.receive().ok()?;
            let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that was set") + ahead;
            let answer: FromTracker = match message {
                ToTracker::GetStatus(_) => {
                    Status { clock_ms: clock.as_millis() as u64, ..status_of_a_minute() }.into()
                }
                ToTracker::GetNodes(_) => {
                    Nodes { paused: false, nodes: List::new(vec![older_node()]), more: false }.into()
                }
                _ => Common::Ok.into(),
            };
            link.send(request, &answer).ok()?;
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    addr.to_string()
}

fn older_node() -> SeenNode {
    SeenNode {
        id: NodeId([1; 16]),
        name: Label::new("attic"),
        host: Label::new("attic.lan"),
        state: NodeState::Up,
        start: 1,
        silent_ms: 0,
        able: false,
        free: 0,
        load: 0,
        roles: List::default(),
        tries: 0,
        duties: List::default(),
        software: Label::new("p2p/0.0.1"),
    }
}

#[test]
fn a_doctor_names_the_clock_that_is_off_and_whoever_runs_another_version() {
    let (right, played) = (Daemon::tracker(&[]), tracker_of_another_time(Duration::from_secs(3600)));
    let another = tracker_of_another_time(Duration::from_secs(3601));
    let checked = |trackers: &[&str], check: &str| -> Value {
        let said =
            run(&["doctor", "--quick", "--json", "--tracker", &trackers.join(",")]).expect(DONE).stdout;
        let mut lines = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.find(|line| line["check"] == check).unwrap_or_else(|| panic!("no {check}: {said}"))
    };
    let right = right.target();
    assert_eq!(checked(&[&right], "clock")["verdict"], "ok");
    let off = checked(&[&right, &played], "clock");
    let said = off["says"].as_str().expect("words");
    assert!(off["verdict"] == "warn" && said.contains(&format!("that of tracker {played} is ")), "{said}");
    let ahead =
        off["others"].as_array().expect("trackers").iter().find_map(|other| {
            (other["who"] == format!("tracker {played}")).then(|| other["ahead_ms"].as_i64())
        });
    // Half of what the answer took may lie between.
    assert!(ahead.flatten().is_some_and(|ahead| (ahead - 3_600_000).abs() < 30_000), "{off}");
    let remedy = |line: &Value| line["remedy"].as_str().unwrap_or_default().to_owned();
    assert!(remedy(&off).contains("that tracker's machine"), "{off}");
    let own = checked(&[&played, &another], "clock");
    assert!(remedy(&own).contains("this machine's clock"), "{own}");
    let versions = checked(&[&played], "versions");
    let said = versions["says"].as_str().expect("words");
    assert!(versions["verdict"] == "warn" && said.ends_with("; node attic runs p2p/0.0.1"), "{said}");
    assert_eq!(checked(&[&right], "versions")["verdict"], "ok");
}

/// Uploads and downloads by turns until it is over, with each of them done; what was uploaded. `done` counts them.
fn work(
    trackers: &str,
    folder: &Path,
    (over, done_so_far): (&AtomicBool, &AtomicUsize),
) -> Vec<(String, Vec<u8>)> {
    let home = TempDir::new().expect("a temporary folder");
    let done = |args: &[&str]| {
        let args = [args, &["--tracker", trackers, "--wait", "60s"]].concat();
        let output = support::command(&args, home.path()).output().expect("the binary starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        done_so_far.fetch_add(1, Ordering::SeqCst);
    };
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let (name, bytes) = (format!("f{}", all.len()), support::pattern(100_000 + all.len(), 1));
        let (file, got) = (folder.join(&name), folder.join("got"));
        fs::write(&file, &bytes).expect("a file");
        done(&["upload", text(&file)]);
        all.push((name, bytes));
        let (name, bytes) = &all[all.len() / 2];
        done(&["download", name, text(&got)]);
        assert!(fs::read(&got).expect("a file") == *bytes, "{name}");
        fs::remove_file(got).expect("a file");
    }
    all
}

#[test]
fn nodes_that_are_drained_one_after_the_other_fail_nobody_and_lose_nothing() {
    let demo = Daemon::underway(&["up", "--demo", "3"], "node demo is up: node1, node2, node3");
    demo.wait_for_log("comes back");
    let log = demo.log();
    let after = |mark: &str| log.split(mark).nth(1).and_then(|rest| rest.lines().next()).expect(mark);
    let (trackers, state) = (after("P2P_TRACKER="), Path::new(after("p2p node status --state ")));
    let all = state.parent().expect("a folder");
    let are_lending = || {
        let stores = run(&["stores", "--tracker", trackers, "--json"]).stdout;
        let lending = stores.lines().filter(|line| line.contains("\"state\":\"lending\"")).count();
        (lending == 3).then_some(())
    };
    eventually("the stores lend", are_lending);
    let (folder, over) = (TempDir::new().expect("a temporary folder"), AtomicBool::new(false));
    let done = AtomicUsize::new(0);
    let both_were_done = || {
        let before = done.load(Ordering::SeqCst);
        eventually("people go on", || (done.load(Ordering::SeqCst) > before + 2).then_some(()));
    };
    let uploaded = std::thread::scope(|scope| {
        let working = scope.spawn(|| work(trackers, folder.path(), (&over, &done)));
        let drained = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for node in ["node1", "node2", "node3"] {
                let file = all.join(node).join("node.toml");
                for act in ["drain", "undrain"] {
                    run(&["node", act, "--file", text(&file)]).expect(DONE);
                    both_were_done();
                }
                eventually("its store lends again", are_lending);
            }
        }));
        over.store(true, Ordering::SeqCst);
        let uploaded = working.join().expect("nothing fails");
        drained.unwrap_or_else(|why| std::panic::resume_unwind(why));
        uploaded
    });
    assert!(!uploaded.is_empty());
    for (name, bytes) in uploaded {
        let got = folder.path().join("got");
        run(&["download", &name, text(&got), "--tracker", trackers]).expect(DONE);
        assert!(fs::read(&got).expect("a file") == bytes, "{name}");
        fs::remove_file(got).expect("a file");
    }
}

/// What systemd makes of the services that are shipped: `systemd-analyze` says how exposed each is, from 0 to 10.
#[test]
fn services_are_shut_off_from_what_they_do_not_need() {
    const MOST_EXPOSED: f64 = 2.0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let units: Vec<PathBuf> =
        fs::read_dir(folder).expect("units").flatten().map(|entry| entry.path()).collect();
    assert_eq!(units.len(), 3);
    for unit in units {
        let said = fs::read_to_string(&unit).expect("a unit");
        assert!(
            said.contains("Type=notify\n") && said.contains("StartLimitIntervalSec=0\n"),
            "{}",
            unit.display()
        );
        let command =
            said.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/")).expect("a command");
        let words: Vec<&str> = command.split(' ').skip(1).chain(["--help"]).collect();
        run(&words).expect(DONE);
        let judged = std::process::Command::new("systemd-analyze")
            .args(["security", "--offline=yes"])
            .arg(&unit)
            .output();
        let Ok(judged) = judged.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()) else {
            eprintln!("SKIPPED: this needs systemd-analyze");
            continue;
        };
        let level =
            judged.lines().find_map(|line| line.split("exposure level for ").nth(1)?.split(": ").nth(1));
        let level: f64 = level.and_then(|level| level.split(' ').next()?.parse().ok()).expect("a level");
        assert!(level <= MOST_EXPOSED, "{}: {level}", unit.display());
    }
}
