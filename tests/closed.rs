//! Closed swarms, with real processes: everything works with a key as it does without, and who listens on the way or has no
//! key learns nothing.

mod support;
#[path = "closed/wiretap.rs"]
mod wiretap;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use p2p::content::{FileId, base32};
use p2p::net::secure::Secret;
use support::{DEADLINE, Daemon, Output, Sample, eventually, run, run_with};
use tempfile::TempDir;
use wiretap::Wiretap;

const USAGE: i32 = 2;
const UNREACHABLE: i32 = 4;
/// So many bytes in a row are found by chance nowhere.
const TELLING_BYTES: usize = 8;

/// A file with the key of a swarm.
struct Swarm {
    folder: TempDir,
    file: PathBuf,
}

impl Swarm {
    fn new() -> Swarm {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("swarm.toml");
        let secret = base32::encode(Secret::random().expect("random bytes").expose());
        fs::write(&file, format!("[[key]]\nepoch = 1\nsecret = \"{}\"\n", *secret)).expect("a file");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("its owner");
        Swarm { folder, file }
    }

    fn member(&self) -> impl Fn(&mut Command) {
        let file = self.file.clone();
        move |command| {
            command.env("P2P_SWARM_FILE", &file);
        }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }
}

/// Bytes that no other file has anywhere.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| random.u8(..)).collect()
}

/// A tracker and a peer behind relays, and what goes through them.
struct Town {
    swarm: Option<Swarm>,
    taps: [Wiretap; 2],
    _tracker: Daemon,
    peer: Daemon,
    sample: Sample,
}

impl Town {
    /// Closed, or open: then all of it can be read.
    #[track_caller]
    fn new(closed: bool) -> Town {
        let swarm = closed.then(Swarm::new);
        let prepare = |command: &mut Command| {
            if let Some(swarm) = &swarm {
                swarm.member()(command);
            }
        };
        let mut sample = Sample::empty();
        sample.add("confidential-film", noise(3_000_000, 1));
        sample.add("confidential-folder/confidential-note", noise(40_000, 2));
        let taps = [Wiretap::new(), Wiretap::new()];
        let tracker = Daemon::start_with(&["tracker", "--listen", "127.0.0.1:0"], prepare);
        taps[0].point_at(tracker.addr());
        let folder = sample.path().to_str().expect("UTF-8");
        let peer = Daemon::start_with(
            &[
                "peer",
                folder,
                "--tracker",
                &taps[0].target(),
                "--listen",
                "127.0.0.1:0",
                "--advertise",
                &taps[1].target(),
                "--name",
                "confidential-peer",
                "--store",
                "60MB",
            ],
            prepare,
        );
        taps[1].point_at(peer.addr());
        Town { swarm, taps, _tracker: tracker, peer, sample }
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> Output {
        let tracker = self.taps[0].target();
        let args = [args, &["--tracker", &tracker]].concat();
        run_with(&args, |command| {
            if let Some(swarm) = &self.swarm {
                swarm.member()(command);
            }
        })
    }

    /// Uses everything that there is.
    #[track_caller]
    fn live(&self) {
        let place = TempDir::new().expect("a temporary folder");
        let to = format!("{}/", place.path().display());
        eventually("it is registered", || {
            self.ask(&["ls"]).stdout.contains("confidential-film").then_some(())
        });
        self.ask(&["find", "confidential-film"]).expect(0);
        self.ask(&["status"]).expect(0);
        self.ask(&["get", "confidential-film", &to, "--wait", "60s"]).expect(0);
        self.ask(&["get", "confidential-folder", &to, "--wait", "60s"]).expect(0);
        let got = fs::read(place.path().join("confidential-film")).expect("it is there");
        assert!(got == noise(3_000_000, 1));
        let got = fs::read(place.path().join("confidential-folder/confidential-note")).expect("it is there");
        assert!(got == noise(40_000, 2));
        let own = place.path().join("confidential-upload");
        fs::write(&own, noise(200_000, 3)).expect("a file");
        let own = own.to_str().expect("UTF-8").to_owned();
        // Stores say that they lend when they are known, which is a moment later than that they are there.
        eventually("there are stores", || {
            let said = self.ask(&["upload", &own, "--copies", "1", "--wait", "60s"]);
            (said.code() != UNREACHABLE).then(|| said.expect(0))
        });
        self.ask(&["download", "confidential-upload", &format!("{to}again"), "--wait", "60s"]).expect(0);
        assert!(fs::read(place.path().join("again")).expect("it is there") == noise(200_000, 3));
    }

    /// What was carried that somebody should not read, and how often.
    fn told(&self) -> Vec<(&'static str, usize)> {
        let tape: Vec<Vec<u8>> = self.taps.iter().flat_map(Wiretap::tape).collect();
        let film = noise(3_000_000, 1);
        let secrets: [(&'static str, Vec<Vec<u8>>); 4] = [
            ("names", vec![b"confidential".to_vec()]),
            ("ids", vec![FileId::of(&film).0.to_vec(), FileId::of(&noise(40_000, 2)).0.to_vec()]),
            ("bytes", film.chunks(50_000).map(|piece| piece[..TELLING_BYTES].to_vec()).collect()),
            (
                "uploads",
                noise(200_000, 3).chunks(50_000).map(|piece| piece[..TELLING_BYTES].to_vec()).collect(),
            ),
        ];
        let count = |needle: &[u8]| tape.iter().map(|way| find(way, needle)).sum::<usize>();
        secrets.into_iter().map(|(what, all)| (what, all.iter().map(|one| count(one)).sum())).collect()
    }
}

/// How often `needle` is in there.
fn find(way: &[u8], needle: &[u8]) -> usize {
    let first = needle[0];
    let mut at = 0;
    let mut found = 0;
    while let Some(next) = way[at..].iter().position(|byte| *byte == first) {
        found += usize::from(way[at + next..].starts_with(needle));
        at += next + 1;
    }
    found
}

#[test]
fn who_listens_to_a_whole_session_finds_no_name_no_id_and_no_byte_of_content() {
    let open = Town::new(false);
    open.live();
    assert!(open.told().iter().all(|(_, times)| *times > 0), "the relays hear everything: {:?}", open.told());
    let closed = Town::new(true);
    closed.live();
    let carried: usize = closed.taps.iter().flat_map(Wiretap::tape).map(|way| way.len()).sum();
    assert!(carried > 3_000_000, "all of it came past them: {carried}");
    assert!(closed.told().iter().all(|(_, times)| *times == 0), "{:?}", closed.told());
    let identity = closed.sample.path().join(".p2p/identity.key");
    assert_eq!(fs::metadata(identity).expect("its key").permissions().mode() & 0o777, 0o600);
}

#[test]
fn who_has_no_key_or_another_is_told_so_and_a_file_that_others_can_read_is_refused() {
    let swarm = Swarm::new();
    let tracker = Daemon::start_with(&["tracker", "--listen", "127.0.0.1:0"], swarm.member());
    let target = tracker.target();
    let ask =
        |prepare: &dyn Fn(&mut Command)| run_with(&["ls", "--tracker", &target, "--wait", "0s"], prepare);
    let stranger = ask(&|_| {}).expect(UNREACHABLE).stderr;
    assert!(stranger.contains("closed") && stranger.contains("p2p join"), "{stranger}");
    let other = Swarm::new();
    let stranger = ask(&other.member()).expect(UNREACHABLE).stderr;
    assert!(stranger.contains("UNKNOWN_SWARM"), "{stranger}");
    ask(&swarm.member()).expect(0);
    let file = swarm.file.to_str().expect("UTF-8");
    run(&["ls", "--tracker", &target, "--swarm", file]).expect(0);
    let open = Daemon::tracker(&[]);
    let refused =
        run(&["ls", "--tracker", &open.target(), "--swarm", file, "--wait", "0s"]).expect(UNREACHABLE);
    assert!(refused.stderr.contains("open"), "{}", refused.stderr);
    fs::set_permissions(&swarm.file, PermissionsExt::from_mode(0o644)).expect("its owner");
    let refused = ask(&swarm.member()).expect(USAGE).stderr;
    assert!(refused.contains("chmod 600"), "{refused}");
    fs::set_permissions(&swarm.file, PermissionsExt::from_mode(0o600)).expect("its owner");
    fs::write(&swarm.file, "[[key]]\nepoch = 1\nsecret = \"SECRET\"\n").expect("a file");
    let refused = ask(&swarm.member()).expect(USAGE).stderr;
    assert!(!refused.contains("SECRET"), "{refused}");
    ask(&|command| {
        command.env("P2P_SWARM_FILE", swarm.at("nothing"));
    })
    .expect(USAGE);
}

#[test]
fn of_two_processes_with_one_key_the_second_is_refused_and_both_are_told() {
    let swarm = Swarm::new();
    let tracker = Daemon::start_with(&["tracker", "--listen", "127.0.0.1:0"], swarm.member());
    let target = tracker.target();
    let start = |folder: &Path, name: &str| {
        let folder = folder.to_str().expect("UTF-8");
        let args = ["peer", folder, "--tracker", &target, "--listen", "127.0.0.1:0", "--name", name];
        Daemon::start_with(&args, swarm.member())
    };
    let (one, two) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    fs::write(one.path().join("first"), "1").expect("a file");
    fs::write(two.path().join("second"), "2").expect("a file");
    let first = start(one.path(), "first");
    eventually("it is registered", || {
        let said = run_with(&["ls", "--tracker", &target], swarm.member()).stdout;
        said.contains("first").then_some(())
    });
    fs::create_dir(two.path().join(".p2p")).expect("a folder");
    fs::copy(one.path().join(".p2p/identity.key"), two.path().join(".p2p/identity.key")).expect("a copy");
    let second = start(two.path(), "second");
    second.wait_for_log("another peer with the id of this one");
    let said = run_with(&["ls", "--tracker", &target], swarm.member()).expect(0).stdout;
    assert!(said.contains("first") && !said.contains("second"), "{said}");
    first.stop().expect(0);
    eventually("the other one takes its place", || {
        let said = run_with(&["ls", "--tracker", &target], swarm.member()).stdout;
        said.contains("second").then_some(())
    });
}

/// How a stranger tries.
#[derive(Clone, Copy)]
enum Trial {
    WrongKey,
    KnownKeyId,
    Replay,
    ByteByByte,
    Garbage,
    Silence,
}

impl Trial {
    const ALL: [Trial; 6] = [
        Trial::WrongKey,
        Trial::KnownKeyId,
        Trial::Replay,
        Trial::ByteByByte,
        Trial::Garbage,
        Trial::Silence,
    ];

    /// `seen` is what a member sent first.
    fn run(self, target: SocketAddr, seen: &[u8; 66]) {
        let Ok(mut stream) = TcpStream::connect(target) else { return };
        let _ = stream.set_read_timeout(Some(DEADLINE));
        let mut bytes = *seen;
        match self {
            Trial::WrongKey => bytes[8..].fill(7),
            Trial::KnownKeyId => bytes[18..].fill(7),
            Trial::Garbage => bytes.fill(7),
            Trial::Replay | Trial::ByteByByte | Trial::Silence => {}
        }
        match self {
            Trial::Silence => {}
            Trial::ByteByByte => {
                for byte in bytes {
                    let _ = stream.write_all(&[byte]);
                }
            }
            _ => drop(stream.write_all(&bytes)),
        }
        if !matches!(self, Trial::Silence) {
            let mut said = Vec::new();
            let _ = Read::take(&mut stream, 106).read_to_end(&mut said);
        }
    }
}

#[test]
fn a_thousand_strangers_cost_little_and_honest_ones_are_served_meanwhile() {
    const EACH: usize = 250;
    let town = Town::new(true);
    eventually("it is registered", || town.ask(&["ls"]).stdout.contains("confidential-film").then_some(()));
    let fetch = || {
        let place = TempDir::new().expect("a temporary folder");
        let (to, began) = (format!("{}/", place.path().display()), Instant::now());
        town.ask(&["get", "confidential-film", &to, "--wait", "60s"]).expect(0);
        began.elapsed()
    };
    let before = fetch().max(fetch());
    let peak = town.peer.proc_status("VmHWM");
    let seen =
        town.taps[1].tape().iter().find_map(|way| way.first_chunk::<66>().copied()).expect("a greeting");
    let target = town.peer.addr();
    let crowd: Vec<_> = (0..4)
        .map(|thread| {
            thread::spawn(move || {
                (0..EACH).for_each(|nth| Trial::ALL[(nth + thread) % Trial::ALL.len()].run(target, &seen));
            })
        })
        .collect();
    let during = fetch();
    crowd.into_iter().for_each(|thread| thread.join().expect("a stranger"));
    assert!(during <= 2 * before + Duration::from_secs(2), "{during:?}, and {before:?} without them");
    let grown = town.peer.proc_status("VmHWM").saturating_sub(peak);
    assert!(grown <= 32 * 256 + (8 << 10), "{grown} KiB");
    fetch();
}
