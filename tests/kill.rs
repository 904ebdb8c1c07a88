//! A fetching process killed at random points and started again, over and over.
//!
//! After each kill, with a reader of the journal of its own: everything that has its name is right to the
//! last byte, and every journalled chunk is on the disk. In the end everything is there, and what was
//! sent twice is no more than what was under way at the kills.
//!
//! `cargo test --test kill -- --ignored --nocapture` kills a thousand times and prints figures.
//! `P2P_KILL_SEED` chooses the points.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use p2p::content::{
    Chunk, ChunkHash, FileId, Layout, LeftOut, Looks, SafeName, Tree, TreeEntry, TreeKind, hash_chunk,
};
use support::{Daemon, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// The folder that is fetched, as a name.
const NAME: &str = "tree/";
/// Most bytes under way at once: a kill loses no more than this, and the chunks begun beyond it.
const IN_FLIGHT: u64 = 1 << 20;
/// A chunk of the sample's files.
const CHUNK: u64 = 64 << 10;
/// Received at most this much a second, so that kills land in the middle.
const RATE: &str = "40MB/s";

/// Files of many chunks, of one, of none, and one content under several names.
fn sample() -> Sample {
    let mut sample = Sample::empty();
    for (name, len) in [("tree/a.bin", 5 << 20), ("tree/b/c.bin", (2 << 20) + 77), ("tree/b/d.bin", 300_000)]
    {
        sample.add(name, pattern(len, name.len() as u8 + 3));
    }
    for copy in 0..4 {
        sample.add(&format!("tree/copy {copy}/large"), pattern(1 << 20, 99));
        sample.add(&format!("tree/copy {copy}/small"), pattern(900, 98));
    }
    for small in 0..40 {
        sample.add(&format!("tree/small/{small}"), pattern(small * 700, small as u8));
    }
    sample
}

/// What is being fetched over and over, and from whom.
struct Ground {
    tracker: Daemon,
    peer: Daemon,
    sample: Sample,
    tree: Tree,
    id: FileId,
    layout: Layout,
    place: TempDir,
}

impl Ground {
    fn new() -> Ground {
        let sample = sample();
        let tracker = Daemon::tracker(&[]);
        let peer = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
        let place = TempDir::new().expect("a temporary folder");
        let id = eventually("the tracker knows the folder", || {
            let found = run(&["find", NAME, "--json", "--wait", "0", "--tracker", &tracker.target()]);
            let found: serde_json::Value = serde_json::from_str(&found.stdout).ok()?;
            found["id"].as_str()?.parse::<FileId>().ok()
        });
        let tree = tree_of(&sample);
        assert_eq!(FileId::of(&tree.encode()), id, "the folder is listed as it is shared");
        let layout = tree.layout().expect("a small tree").layout;
        Ground { tracker, peer, sample, tree, id, layout, place }
    }

    /// Bytes of chunks sent since the start.
    fn sent(&self) -> u64 {
        let folder = self.sample.path().to_str().expect("a UTF-8 path");
        let status = run(&["status", folder, "--json"]).expect(0);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
        status["sent"].as_u64().expect("a number")
    }

    fn dest(&self) -> PathBuf {
        self.place.path().join("got")
    }

    fn partial(&self) -> PathBuf {
        self.dest().join(".p2p/partial").join(self.id.to_string())
    }

    fn start(&self) -> Daemon {
        let dest = self.dest();
        let dest = dest.to_str().expect("a UTF-8 path");
        let args = ["get", NAME, dest, "--listen", "127.0.0.1:0", "--wait", "20s", "--down", RATE];
        let more = ["--max-in-flight", &IN_FLIGHT.to_string(), "--json", "--tracker", &self.tracker.target()];
        Daemon::launch(&[&args[..], &more].concat())
    }

    /// Bytes of the chunks that are on the disk and proved.
    ///
    /// Fails the test if something has a name and is wrong, or a journalled chunk is not there.
    fn check(&self) -> u64 {
        let mut have = BTreeSet::new();
        let members = self.tree.layout().expect("a small tree");
        let mut named: BTreeMap<usize, bool> = BTreeMap::new();
        for (entry, file) in self.tree.entries().iter().zip(&members.file_of) {
            let path = self.dest().join(entry.path.as_str());
            let Some(file) = *file else { continue };
            let there = match fs::read(&path) {
                Ok(bytes) => {
                    assert!(bytes == self.content(entry.path.as_str()), "{} is wrong", path.display());
                    true
                }
                Err(_) => false,
            };
            *named.entry(file).or_insert(true) &= there;
        }
        for (file, whole) in &named {
            let chunks = whole.then(|| self.layout.chunks_of(*file));
            have.extend(chunks.into_iter().flatten());
        }
        for (chunk, hash) in journal(&self.partial().join("journal"), self.id) {
            assert!(self.holds(chunk, hash, &named), "chunk {chunk} is journalled and not on the disk");
            have.insert(chunk);
        }
        let lengths = have.iter().map(|chunk| self.layout.place(*chunk).expect("a chunk").len);
        lengths.sum()
    }

    fn content(&self, path: &str) -> &[u8] {
        let name = format!("{NAME}{path}");
        let found = self.sample.files().iter().find(|(file, _)| *file == name);
        &found.expect("a file of the sample").1
    }

    /// True if the bytes of the chunk are on the disk: in the unfinished file, or in the named one.
    fn holds(&self, chunk: Chunk, hash: ChunkHash, named: &BTreeMap<usize, bool>) -> bool {
        let place = self.layout.place(chunk).expect("a chunk of the tree");
        let geometry = self.layout.files()[place.file];
        let unfinished = fs::read(self.partial().join(place.file.to_string())).ok();
        let at = place.offset as usize..(place.offset + place.len) as usize;
        let right = |bytes: &[u8]| hash_chunk(geometry, place.chunk, &bytes[at.clone()]) == hash;
        match unfinished {
            Some(bytes) => bytes.len() as u64 == geometry.size() && right(&bytes),
            None => named[&place.file] || self.renamed(place.file, &right),
        }
    }

    /// Between two renames of one content, its unfinished file is gone and not all names are there.
    fn renamed(&self, file: usize, right: &dyn Fn(&[u8]) -> bool) -> bool {
        let members = self.tree.layout().expect("a small tree");
        let entries = self.tree.entries().iter().zip(&members.file_of);
        let mut paths = entries.filter(|(_, of)| **of == Some(file)).map(|(entry, _)| entry.path.as_str());
        paths.any(|path| fs::read(self.dest().join(path)).is_ok_and(|bytes| right(&bytes)))
    }

    /// Fetches to the end, with at most so many kills on the way; how many there were.
    fn round(&self, rng: &mut fastrand::Rng, most: u32) -> u32 {
        let mut kills = 0;
        let mut had = 0;
        while kills < most {
            let mut fetching = self.start();
            let ended = wait_for_kill_point(&mut fetching, &self.partial(), rng);
            if ended {
                let end = fetching.wait();
                assert_eq!(end.code(), 0, "{}{}", end.stdout, end.stderr);
                self.expect_resumed(&end.stdout, had);
                return kills;
            }
            fetching.kill();
            kills += 1;
            let has = self.check();
            assert!(has >= had, "{had} bytes were here, and now {has}");
            had = has;
            match (self.partial().exists(), has) {
                (true, _) => {}
                // Before anything but folders was made; `get` into one that exists is another place.
                (false, 0) => drop(fs::remove_dir_all(self.dest())),
                // All had its name, and only the process had not ended.
                (false, _) => {
                    assert_eq!(has, self.layout.size());
                    return kills;
                }
            }
        }
        let end = self.start().wait();
        assert_eq!(end.code(), 0, "{}{}", end.stdout, end.stderr);
        self.expect_resumed(&end.stdout, had);
        kills
    }

    /// What the last run began with, which is all that was here.
    fn expect_resumed(&self, stdout: &str, had: u64) {
        let last = stdout.lines().last().expect("an outcome");
        let report: serde_json::Value = serde_json::from_str(last).expect("JSON");
        let status = &report["done"][0]["status"];
        let resumed = status["bytes_resumed"].as_u64().expect("a number");
        assert_eq!(resumed, had, "everything that was here is taken up, and nothing else");
        assert_eq!(status["ledger"]["useful"].as_u64(), Some(self.layout.size() - had));
    }

    /// Looks at the outcome and clears it away.
    fn finish(&self) {
        self.sample.expect_copy(NAME, &self.dest());
        assert!(!self.partial().exists(), "nothing unfinished is left");
        fs::remove_dir_all(self.dest()).expect("what was fetched can go");
    }
}

/// The tree of the sample as a peer lists it.
fn tree_of(sample: &Sample) -> Tree {
    let looks = |path: &Path| {
        let metadata = fs::metadata(path).expect("a part of the sample");
        let mtime_ns = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        Looks { mode: (metadata.mode() & 0o777) as u16, mtime_ns }
    };
    let entry = |path: &str, kind| TreeEntry { path: SafeName::new(path).expect("a safe name"), kind };
    let root = sample.path().join(NAME);
    let mut folders = BTreeSet::new();
    let mut entries = Vec::new();
    for (name, content) in sample.files() {
        let (path, id) = (&name[NAME.len()..], FileId::of(content));
        let (looks, size) = (looks(&sample.path().join(name)), content.len() as u64);
        entries.push(entry(path, TreeKind::File { looks, size, id }));
        folders.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
    }
    entries.extend(folders.iter().map(|path| entry(path, TreeKind::Folder(looks(&root.join(path))))));
    Tree::new(looks(&root).mode, entries, LeftOut::default()).expect("a tree")
}

/// The records of a journal, read as its format says; a journal that is not there has none.
fn journal(path: &Path, id: FileId) -> Vec<(Chunk, ChunkHash)> {
    const RECORD: usize = 4 + 32 + 4;
    let Ok(bytes) = fs::read(path) else { return Vec::new() };
    let Some(records) = bytes.strip_prefix(b"p2pjrnl2").and_then(|rest| rest.strip_prefix(&id.0)) else {
        assert!(bytes.is_empty(), "the journal's header is written at once");
        return Vec::new();
    };
    assert!(records.len().is_multiple_of(RECORD), "a kill does not tear a record");
    let record = |record: &[u8]| {
        let check = FileId::of(&[&id.0, &record[..36]].concat());
        assert_eq!(record[36..], check.0[..4], "a record is whole");
        let number = u32::from_be_bytes(record[..4].try_into().expect("four bytes"));
        (Chunk(number), ChunkHash(record[4..36].try_into().expect("a hash")))
    };
    records.chunks(RECORD).map(record).collect()
}

/// Waits for a point to kill at: a time after the start, or a number of chunks more in the journal and a
/// moment. True if the process ended first.
fn wait_for_kill_point(fetching: &mut Daemon, partial: &Path, rng: &mut fastrand::Rng) -> bool {
    let journal = partial.join("journal");
    let length = || fs::metadata(&journal).map_or(0, |metadata| metadata.len());
    let begun = Instant::now();
    if rng.u8(..3) == 0 {
        let at = Duration::from_micros(rng.u64(..80_000));
        while begun.elapsed() < at && !fetching.has_ended() {
            std::thread::sleep(Duration::from_micros(200).min(at.saturating_sub(begun.elapsed())));
        }
    } else {
        let until = length() + 40 * rng.u64(1..12);
        while length() < until && !fetching.has_ended() && begun.elapsed() < support::DEADLINE {
            if fs::metadata(partial).is_err() && begun.elapsed() > Duration::from_millis(500) {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_micros(rng.u64(..2_000)));
    }
    fetching.has_ended()
}

/// What many kills cost.
#[derive(Debug, Default)]
struct Cost {
    kills: u32,
    rounds: u32,
    sent: u64,
    wanted: u64,
}

fn kill(times: u32, most_in_a_round: u32) -> Cost {
    let seed = std::env::var("P2P_KILL_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut rng = fastrand::Rng::with_seed(seed);
    let ground = Ground::new();
    let mut cost = Cost::default();
    while cost.kills < times {
        let before = ground.sent();
        let kills = ground.round(&mut rng, most_in_a_round.min(times - cost.kills));
        ground.finish();
        cost.kills += kills;
        cost.rounds += 1;
        cost.sent += ground.sent() - before;
        // The listing too, once for each start.
        cost.wanted += ground.layout.size() + u64::from(kills + 1) * ground.tree.encode().len() as u64;
    }
    let twice = cost.sent.saturating_sub(cost.wanted);
    let bound = u64::from(cost.kills) * (IN_FLIGHT + CHUNK);
    assert!(twice <= bound, "{twice} bytes sent twice at {} kills, {bound} are allowed", cost.kills);
    drop(ground.peer.stop());
    cost
}

#[test]
fn killed_at_25_points_it_finishes_with_nothing_wrong() {
    kill(25, 9);
}

#[test]
#[ignore = "a few minutes: the long run"]
fn killed_at_a_thousand_points_it_finishes_with_nothing_wrong() {
    let begun = Instant::now();
    let cost = kill(1000, 40);
    let twice = cost.sent.saturating_sub(cost.wanted);
    println!(
        "{} kills in {} fetches, {:.0} s; sent {:.1} MB for {:.1} MB wanted: {:.0} KB twice for each kill",
        cost.kills,
        cost.rounds,
        begun.elapsed().as_secs_f64(),
        cost.sent as f64 / 1e6,
        cost.wanted as f64 / 1e6,
        twice as f64 / f64::from(cost.kills) / 1e3
    );
}
