//! Our tracker, peer and `get` are checked as those of others are: by `p2p::conformance`, which speaks raw bytes.

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use p2p::conformance::{self, ASK, Body, Client, Fault, Hello, MEMBER, Outcome, Shared, id};
use p2p::content::base32;
use support::{DEADLINE, Daemon, Sample, eventually, pattern, run};
use tempfile::{NamedTempFile, TempDir};

const PROTOCOL: &str = include_str!("../docs/PROTOCOL.md");

/// Fails the test unless all checks hold, and none is skipped.
#[track_caller]
fn all_hold(check: impl FnOnce(&mut dyn FnMut(Outcome))) {
    let mut outcomes = Vec::new();
    check(&mut |outcome| outcomes.push(outcome));
    assert!(outcomes.len() > 5);
    for Outcome { section, .. } in &outcomes {
        let heading = [format!("\n## {section}. "), format!("\n### {section} ")];
        assert!(heading.iter().any(|heading| PROTOCOL.contains(heading)), "there is no section {section}");
    }
    let bad: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.result.is_err()).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// What the tracker says of the tree that [`Sample::awkward`] has: id, total and chunks.
fn tree(tracker: &str) -> Option<([u8; 32], u64, u32)> {
    let (mut client, _) = Client::greet(tracker, &Hello::new(MEMBER)).expect("a tracker");
    let locate = Body::new().text("tree/").raw(&[0; 32]).u8(0).u16(1).ranges(&[]);
    let located = client.call(id::LOCATE, &locate, id::LOCATED).expect("an answer");
    let mut fields = conformance::Fields::new(&located.body);
    (fields.u32() > 0).then(|| {
        assert_eq!(fields.text(), "tree/");
        let (id, _size) = (fields.hash(), fields.u64());
        (id, fields.u64(), fields.u32())
    })
}

#[test]
fn our_tracker_keeps_to_the_protocol() {
    let tracker = Daemon::tracker(&[]);
    all_hold(|tell| conformance::tracker(&tracker.target(), DEADLINE, tell));
}

/// A file with the secret of a swarm, and that secret.
fn swarm() -> (NamedTempFile, [u8; 32]) {
    let secret = [0x5a; 32];
    let mut file = NamedTempFile::new().expect("a temporary file"); // for its owner alone
    let key = base32::encode(&secret);
    write!(file, "[[key]]\nepoch = 1\nsecret = \"{}\"\n", *key).expect("a file");
    (file, secret)
}

#[test]
fn our_closed_tracker_and_peer_keep_to_the_protocol() {
    let (file, secret) = swarm();
    let file = file.path().to_str().expect("UTF-8");
    let tracker = Daemon::tracker(&["--swarm", file]);
    all_hold(|tell| conformance::closed(&tracker.target(), MEMBER, secret, DEADLINE, tell));
    let folder = Sample::awkward();
    let peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target(), "--swarm", file]);
    all_hold(|tell| conformance::closed(&peer.target(), ASK, secret, DEADLINE, tell));
    let said = run(&["conformance", &peer.target(), "--role", "server", "--swarm", file]).expect(0);
    assert!(said.stdout.contains("ok       3.7   a member is welcomed in both modes"), "{}", said.stdout);
    let open = Daemon::tracker(&[]);
    run(&["conformance", &open.target(), "--role", "tracker", "--swarm", file]).expect(1);
}

#[test]
fn our_peer_keeps_to_the_protocol() {
    let mut folder = Sample::awkward();
    folder.add("pattern", pattern(200_000, 0));
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    let (tree, total, chunks) = eventually("the peer registers its tree", || tree(&tracker.target()));
    // Two paths of it have the same bytes, which count once.
    assert_eq!((total, chunks), (70_000 + 5 + 200_000 + 20, 2 + 1 + 4 + 1));
    let shared = Shared { tree: Some(tree), ..Shared::default() };
    all_hold(|tell| conformance::server(&peer.target(), &shared, DEADLINE, tell));
}

#[test]
fn our_get_keeps_to_the_protocol() {
    let home = TempDir::new().expect("a folder");
    all_hold(|tell| conformance::asker(&our_get(&home, &[]), None, DEADLINE, tell));
}

/// Our `get`, as the conformance runs it, of somebody with this home.
fn our_get(home: &TempDir, more: &[&str]) -> Vec<String> {
    let homes = ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"];
    let homes = homes.map(|name| format!("{name}={}", home.path().display()));
    let ours = env!("CARGO_BIN_EXE_p2p");
    let command = [ours, "get", "{name}", "{dest}", "--tracker", "{tracker}", "--listen", "127.0.0.1:0"];
    let command = command.iter().chain(&["--wait", "{wait}"]).chain(more).map(|part| (*part).to_owned());
    std::iter::once("env".to_owned()).chain(homes).chain(command).collect()
}

#[test]
fn our_get_keeps_to_the_protocol_in_a_closed_swarm() {
    let ((file, secret), home) = (swarm(), TempDir::new().expect("a folder"));
    let command = our_get(&home, &["--swarm", file.path().to_str().expect("UTF-8")]);
    all_hold(|tell| conformance::asker(&command, Some(secret), DEADLINE, tell));
}

#[test]
fn by_link_it_fetches_as_well() {
    let ours = env!("CARGO_BIN_EXE_p2p");
    let link = "p2p:{id}?name={name}&size={size}&tracker={tracker}";
    let first =
        run(&["conformance", "--role", "asker", "--json", "--", ours, "get", link, "{dest}", "--wait", "0"]);
    let line = first.stdout.lines().next().expect("a line");
    assert_eq!(
        line,
        r#"{"check":"an asker fetches and leaves","section":"15.1","ok":true,"expected":null,"came":null,"skipped":null}"#
    );
}

#[test]
fn what_is_no_tracker_fails_check_by_check() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || listener.incoming().for_each(drop));
    let output = run(&["conformance", &target, "--role", "tracker"]).expect(1);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines.len() > 40, "{lines:#?}");
    let first = "FAILED   3.2   a good hello is answered with the fitting role: expected a preface; came the end of the connection";
    assert_eq!(lines[0], first);
    let failed = lines.iter().filter(|line| line.starts_with("FAILED")).count();
    assert_eq!(output.stderr, format!("p2p: {failed} of {} checks failed\n", lines.len()));
}

#[test]
fn what_cannot_be_checked_is_bad_usage() {
    for args in [
        &["--role", "tracker"][..],
        &["127.0.0.1:1", "--role", "asker"],
        &["--role", "server", "--", "x"],
        &["127.0.0.1:1", "--role", "server", "--size", "5"],
    ] {
        run(&[&["conformance"], args].concat()).expect(2);
    }
    assert!(matches!(Client::dial("127.0.0.1:1").map(drop), Err(Fault::Other { .. })));
}
