//! Sixteen peers, a tracker, and those who keep the peers busy, for one draw of latencies and loads.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::support::p2p::{self, Place, Server};
use crate::support::process::{self, Running};
use crate::support::{files, interrupt};
use crate::{HOLDERS, ORACLE};

/// Bytes of the file: one chunk.
const FILE: u64 = 64 << 10;
/// Bytes a second that a holder sends.
const RATE: u64 = 150_000;
/// Latencies towards the fetcher, in milliseconds.
const LATENCY: std::ops::Range<u64> = 100..1000;
/// Most background fetches at one holder. Each has two connections, for it knows of no other holder.
const MOST_BUSY: u64 = 2;
const CONNECTIONS: u64 = 2;
/// A holder is busy for at least so long.
const BUSY: Duration = Duration::from_secs(180);
/// How long all may take to be registered and busy.
const READY: Duration = Duration::from_secs(60);

/// One holder, as it was drawn.
#[derive(Clone, Copy, Debug)]
struct Draw {
    latency_ms: u64,
    busy: u64,
}

impl Draw {
    /// Seconds until a chunk is here: OPEN and GET_CHUNK each take the latency, and it is sent in turn with
    /// those of the background.
    fn cost(&self) -> f64 {
        let turns = CONNECTIONS * self.busy + 1;
        2.0 * self.latency_ms as f64 / 1e3 + (turns * FILE) as f64 / RATE as f64
    }
}

/// What runs while fetches are measured. Children end when it is dropped.
pub(crate) struct Lab {
    draws: Vec<Draw>,
    tracker: Server,
    _holders: Vec<Server>,
    _busy: Vec<Running>,
    latencies: PathBuf,
    scratch: TempDir,
}

impl Lab {
    pub(crate) fn start(seed: u64) -> Result<Self> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = HOLDERS[HOLDERS.len() - 1];
        let draws: Vec<Draw> =
            (0..count).map(|_| Draw { latency_ms: rng.u64(LATENCY), busy: rng.u64(..=MOST_BUSY) }).collect();
        let scratch = files::scratch(&files::memory())?;
        let root = scratch.path();
        let latencies = root.join("latencies.toml");
        fs::write(&latencies, latency_file(&draws)?)?;
        let tracker = Server::tracker(&Place::here(), "127.0.0.1", root)?;
        let mut holders = Vec::new();
        for (nth, draw) in draws.iter().enumerate() {
            let folder = root.join(format!("holder-{nth}"));
            fill(&folder, nth, draw, seed)?;
            holders.push(holder(nth, &folder, &latencies, &tracker.address, root)?);
        }
        let busy = keep_busy(&draws, &tracker.address, root)?;
        let lab = Self { draws, tracker, _holders: holders, _busy: busy, latencies, scratch };
        lab.wait_until_busy()?;
        Ok(lab)
    }

    /// Waits until the tracker knows that every holder serves those who keep it busy.
    fn wait_until_busy(&self) -> Result<()> {
        let are_busy = || {
            let mut ask = Place::here().command(&p2p::binary());
            ask.args(["status", "--json", "--tracker", &self.tracker.address]);
            p2p::isolate(&mut ask, self.scratch.path());
            let answer: serde_json::Value = serde_json::from_slice(&ask.output()?.stdout)?;
            let peers = answer["peers"].as_array().context("the tracker's peers")?;
            Ok(self.draws.iter().enumerate().all(|(nth, draw)| {
                let name = format!("holder-{nth}");
                let uploads = peers.iter().find(|peer| peer["name"] == *name).map(|peer| &peer["uploads"]);
                uploads.and_then(serde_json::Value::as_u64) == Some(CONNECTIONS * draw.busy)
            }))
        };
        let in_time = interrupt::poll(READY, Duration::from_millis(100), are_busy)?;
        ensure!(in_time, "the holders are not as busy as drawn");
        Ok(())
    }

    /// Seconds that one fetch by `policy` takes, from one of the first `holders`. One during which this
    /// machine stood still is made again, when everybody is busy again.
    pub(crate) fn fetch(&self, policy: &str, holders: usize) -> Result<f64> {
        loop {
            let (seconds, stood_still) = watched(|| self.fetch_once(policy, holders));
            if !stood_still {
                return seconds;
            }
            eprintln!("the machine stood still; the fetch is made again");
            self.wait_until_busy()?;
        }
    }

    fn fetch_once(&self, policy: &str, holders: usize) -> Result<f64> {
        let destination = self.scratch.path().join("destination");
        let _ = fs::remove_dir_all(&destination);
        fs::create_dir_all(&destination)?;
        let what = match self.chosen(policy, &self.draws[..holders]) {
            Some(nth) => format!("only-{nth}"),
            None => format!("file-{holders}"),
        };
        let mut get =
            p2p::get(&Place::here(), &what, &destination, &self.tracker.address, self.scratch.path());
        get.args(["--name", "fetcher"]);
        get.arg("--latency-file").arg(&self.latencies);
        process::timed(&mut get)
    }

    /// The one holder that `policy` chooses, who then is the only one; none if the fetch chooses for itself.
    fn chosen(&self, policy: &str, holders: &[Draw]) -> Option<usize> {
        let best = |cost: &dyn Fn(&Draw) -> f64| {
            let least = holders.iter().map(cost).fold(f64::INFINITY, f64::min);
            let equal = holders.iter().enumerate().filter(|(_, draw)| cost(draw) <= least);
            fastrand::choice(equal.map(|(nth, _)| nth).collect::<Vec<usize>>())
        };
        match policy {
            "random" => best(&|_| 0.0),
            "load" => best(&|draw| draw.busy as f64),
            "latency" => best(&|draw| draw.latency_ms as f64),
            ORACLE => best(&Draw::cost),
            _ => None,
        }
    }
}

/// Does something, and tells whether this process could not run for a while meanwhile.
fn watched<T>(what: impl FnOnce() -> T) -> (T, bool) {
    const TICK: Duration = Duration::from_millis(20);
    const STILL: Duration = Duration::from_millis(400);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut last, mut still) = (Instant::now(), false);
            while !done.load(Ordering::Relaxed) {
                thread::sleep(TICK); // what is measured: waking late shows that nobody could run
                still |= last.elapsed() > STILL;
                last = Instant::now();
            }
            still
        });
        let outcome = what();
        done.store(true, Ordering::Relaxed);
        (outcome, watch.join().unwrap_or(true))
    })
}

fn latency_file(draws: &[Draw]) -> Result<String> {
    let mut text = String::from("pairs = [\n");
    for (nth, draw) in draws.iter().enumerate() {
        writeln!(text, "    [\"fetcher\", \"holder-{nth}\", {}],", draw.latency_ms)?;
    }
    text.push_str("]\n");
    Ok(text)
}

/// The files of a holder: that of each number of holders it is among, its own, and one for each of those who keep
/// it busy.
fn fill(folder: &Path, nth: usize, draw: &Draw, seed: u64) -> Result<()> {
    fs::create_dir_all(folder)?;
    for holders in HOLDERS.into_iter().filter(|holders| nth < *holders) {
        files::make_file(&folder.join(format!("file-{holders}")), FILE, seed * 1000 + holders as u64)?;
    }
    files::make_file(&folder.join(format!("only-{nth}")), FILE, seed * 2000 + nth as u64)?;
    for other in 0..draw.busy {
        let size = RATE * BUSY.as_secs() / draw.busy;
        let name = folder.join(format!("busy-{nth}-{other}"));
        files::make_file(&name, size, seed * 3000 + nth as u64 * 10 + other)?;
    }
    Ok(())
}

fn holder(nth: usize, folder: &Path, latencies: &Path, tracker: &str, scratch: &Path) -> Result<Server> {
    let mut command = Place::here().command(&p2p::binary());
    let (name, rate) = (format!("holder-{nth}"), RATE.to_string());
    command.arg("peer").arg(folder).arg("--latency-file").arg(latencies);
    command.args(["--tracker", tracker, "--listen", "127.0.0.1:0", "--name", &name, "--up", &rate]);
    Server::start(command, &name, scratch, " listening on ")
}

fn keep_busy(draws: &[Draw], tracker: &str, scratch: &Path) -> Result<Vec<Running>> {
    let mut all = Vec::new();
    for (nth, draw) in draws.iter().enumerate() {
        for other in 0..draw.busy {
            let what = format!("busy-{nth}-{other}");
            let destination = scratch.join("busy").join(&what);
            fs::create_dir_all(&destination)?;
            let command = p2p::get(&Place::here(), &what, &destination, tracker, scratch);
            all.push(Running::start(command, &what, scratch)?);
        }
    }
    Ok(all)
}
