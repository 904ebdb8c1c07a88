//! Our tracker, peer and `get` are checked as those of others are: by `p2p::conformance`, which speaks raw bytes.

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use p2p::conformance::{self, ASK, Body, Client, Fault, Fields, Hello, MEMBER, Outcome, Shared, frame, id};
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

/// What somebody between does to the frames of the one that is checked, behind its HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// HELLO has another role.
    Role,
    /// Each body is a byte longer.
    Longer,
    /// Each message is another one.
    Kind,
    /// Each answers another request.
    Number,
    /// Errors and refusals have another reason.
    Reason,
    /// The last bytes of each body are others.
    Bytes,
    /// Each is said twice.
    Twice,
    /// Nothing is said.
    Silence,
    /// All is well, and goes on when it should have ended.
    Endless,
}

const LIES: [Lie; 9] = [
    Lie::Role,
    Lie::Longer,
    Lie::Kind,
    Lie::Number,
    Lie::Reason,
    Lie::Bytes,
    Lie::Twice,
    Lie::Silence,
    Lie::Endless,
];

impl Lie {
    /// What is sent in the place of a frame.
    fn instead(self, (kind, request, mut body): (u8, u32, Vec<u8>)) -> Vec<u8> {
        let of = |kind, request, body: &[u8]| frame(kind, request, &Body::new().raw(body));
        if kind == id::HELLO {
            if self == Lie::Role {
                body[12] ^= 7; // behind two versions and the features
            }
            return of(kind, request, &body);
        }
        match self {
            Lie::Longer => of(kind, request, &[&body[..], &[0]].concat()),
            Lie::Kind => of(if kind == id::OK { id::PONG } else { id::OK }, request, &body),
            Lie::Number => of(kind, request ^ 0x100, &body),
            Lie::Reason if matches!(kind, id::ERROR | id::REFUSED) => {
                body.iter_mut().take(2).for_each(|byte| *byte ^= 1);
                of(kind, request, &body)
            }
            Lie::Bytes => {
                body.iter_mut().rev().take(8).for_each(|byte| *byte ^= 1);
                of(kind, request, &body)
            }
            Lie::Twice => [of(kind, request, &body), of(kind, request, &body)].concat(),
            Lie::Silence => Vec::new(),
            Lie::Role | Lie::Reason | Lie::Endless => of(kind, request, &body),
        }
    }

    /// Carries what one side says to the other, until it has said all.
    fn carry(self, mut from: &TcpStream, mut to: &TcpStream) -> std::io::Result<()> {
        let mut preface = [0; 8];
        from.read_exact(&mut preface)?;
        to.write_all(&preface)?;
        loop {
            let mut header = [0; 9];
            from.read_exact(&mut header)?;
            let mut fields = Fields::new(&header);
            let (length, kind, request) = (fields.u32(), fields.u8(), fields.u32());
            let mut body = vec![0; length as usize - 5];
            from.read_exact(&mut body)?;
            to.write_all(&self.instead((kind, request, body)))?;
        }
    }

    /// Somebody who passes on to `target` all that is said, and back what this makes of the answers: where he listens. His
    /// threads end with the process.
    fn before(self, target: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("an address").to_string();
        let target = target.to_owned();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&target) else { continue };
                let (said, heard) = (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
                thread::spawn(move || {
                    let _ = std::io::copy(&mut &said, &mut &heard);
                    let _ = heard.shutdown(Shutdown::Write);
                });
                thread::spawn(move || {
                    let _ = self.carry(&far, &near); // it ends as the connection does
                    if self == Lie::Endless {
                        let _ = (&near).read(&mut [0]); // until who is there goes
                    } else {
                        let _ = near.shutdown(Shutdown::Write);
                    }
                });
            }
        });
        addr
    }
}

/// Checks somebody through each lie: no check holds at all of them, and none of these holds all checks.
#[track_caller]
fn each_can_fail(target: &str, check: impl Fn(&str, &mut dyn FnMut(Outcome)) + Sync) {
    let checked = |lie: Lie| {
        let mut outcomes = Vec::new();
        check(&lie.before(target), &mut |outcome: Outcome| outcomes.push(outcome));
        outcomes
    };
    let (mut all, mut noticed) = (BTreeSet::new(), BTreeSet::new());
    thread::scope(|scope| {
        let checked = LIES.map(|lie| (lie, scope.spawn(move || checked(lie))));
        for (lie, outcomes) in checked {
            let outcomes = outcomes.join().expect("all checks end");
            let failed = outcomes.iter().filter(|outcome| matches!(outcome.result, Err(Fault::Other { .. })));
            let failed: BTreeSet<String> = failed.map(|outcome| outcome.name.clone()).collect();
            assert!(failed.len() > 2, "{lie:?}: {failed:?}");
            all.extend(outcomes.into_iter().map(|outcome| outcome.name));
            noticed.extend(failed);
        }
    });
    let never: Vec<&String> = all.difference(&noticed).collect();
    assert!(never.is_empty(), "these hold whatever comes: {never:#?}");
}

/// Who waits for what does not come waits so long.
const IMPATIENCE: Duration = Duration::from_millis(300);

#[test]
fn no_check_of_a_tracker_holds_whatever_comes() {
    let tracker = Daemon::tracker(&[]);
    each_can_fail(&tracker.target(), |addr, tell| conformance::tracker(addr, IMPATIENCE, tell));
}

#[test]
fn no_check_of_a_peer_holds_whatever_comes() {
    let mut folder = Sample::awkward();
    folder.add("pattern", pattern(200_000, 0));
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    let (tree, ..) = eventually("the peer registers its tree", || tree(&tracker.target()));
    let shared = Shared { tree: Some(tree), ..Shared::default() };
    each_can_fail(&peer.target(), |addr, tell| conformance::server(addr, &shared, IMPATIENCE, tell));
}
