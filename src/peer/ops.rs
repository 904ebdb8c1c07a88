//! What a running peer does for others on this machine: what its local socket is asked, and what its page is.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::job::{self, Dest, Job, Want};
use super::node::Node;
use super::reading::{Member, Reading};
use super::serve::Host;
use super::trackers::Registry;
use super::transfer::Transfer;
use crate::api::control::{Fault, Get, Limit, Order, Steer};
use crate::api::{Exit, PeerStatus, TrackerStatus, TransferStatus, Underway};
use crate::content::{Chunk, FileId, Filter, Rate, SafeName, Tree};
use crate::wire::{Common, ErrorCode, FromTracker, Offer, ToTracker, View};

/// How long the end of fetches that are cancelled is waited for.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// How long who has what is to be read here is waited for.
const BRING_PATIENCE: Duration = Duration::from_secs(60);
/// The fewest digits of an id that stand for it.
const LEAST_OF_ID: usize = 6;

/// A running peer, for who is in its process; it may have ended.
#[derive(Debug, Clone)]
pub struct Hand(pub(super) Arc<Node>);

impl Hand {
    /// How the peer is, without its fetches.
    pub fn status(&self) -> PeerStatus {
        status_alone(&self.0)
    }

    /// What its shared folder calls a content, if it is in it.
    pub fn holds(&self, id: &str) -> Option<String> {
        holds(&self.0, id)
    }

    /// What a content is called of which something is here, in the shared folder or by a fetch.
    pub fn calls(&self, id: FileId) -> Option<String> {
        let holdings = &self.0.means.holdings;
        let shared = holdings.shared(id).into_iter().next().map(|offer| offer.name.to_string());
        let named = || self.0.means.jobs.live().into_iter().find(|job| job.want().id == id);
        shared.or_else(|| named().map(|job| job.want().name.to_string()))
    }

    /// Starts a fetch.
    ///
    /// # Errors
    /// It makes no sense, leads out of the shared folder, or cannot be started.
    pub fn get(&self, get: Get) -> Result<Job, Fault> {
        self::get(&self.0, get)
    }

    /// Starts one of its fetches again: the same, into the same place, where it replaces what differs. None if there is no such,
    /// or it ended long ago.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn again(&self, number: u64) -> Option<Result<Job, Fault>> {
        let (want, dest) = self.0.means.jobs.sought(number)?;
        let dest = Dest { force: true, waited: Duration::ZERO, ..dest };
        Some(job::start(&self.0.means, want, dest).map_err(not_started))
    }

    /// Its fetches, those that ended lately among them, the oldest first.
    pub fn transfers(&self) -> Vec<Underway> {
        self.0.means.jobs.listed()
    }

    /// Has one fetch that is under way go on in another way; how it is then, if it is.
    pub fn steer_one(&self, number: u64, order: Order) -> Option<TransferStatus> {
        steer_jobs(&[self.under_way(number)?], order).pop()
    }

    /// Which parts of a fetch that is here are: for each of so many cells at most, how many ninths of its chunks.
    pub fn strip(&self, number: u64, cells: u32) -> Option<Vec<u8>> {
        let transfer = self.transfer(number)?;
        let (had, chunks) = (transfer.had(), transfer.layout.chunks());
        let cells = cells.min(chunks);
        let bound = |cell: u32| (u64::from(cell) * u64::from(chunks) / u64::from(cells.max(1))) as u32;
        let ninths = |cell: u32| {
            let chunks = bound(cell)..bound(cell + 1);
            let here = chunks.clone().filter(|chunk| had.contains(Chunk(*chunk))).count();
            (here * 9 / chunks.len().max(1)) as u8
        };
        Some((0..cells).map(ninths).collect())
    }

    /// The files of a fetch that is under way, each with its size and how much of it is here; none before its listing is.
    pub fn files(&self, number: u64) -> Option<Vec<(String, u64, u64)>> {
        let transfer = self.transfer(number)?;
        let had = transfer.had();
        let paths = transfer.disk().map_or_else(Vec::new, |disk| disk.plan().files_by_path());
        let here = |file: usize| -> u64 {
            let chunks = transfer.layout.chunks_of(file).filter(|chunk| had.contains(*chunk));
            chunks.filter_map(|chunk| transfer.layout.place(chunk)).map(|place| place.len).sum()
        };
        let files = paths.into_iter().map(|(path, file)| {
            let size = transfer.layout.files().get(file).map_or(0, |geometry| geometry.size());
            (path, size, here(file))
        });
        Some(files.collect())
    }

    fn transfer(&self, number: u64) -> Option<Arc<Transfer>> {
        self.under_way(number)?.transfer()
    }

    fn under_way(&self, number: u64) -> Option<Job> {
        let jobs = self.0.means.jobs.live();
        jobs.into_iter().find(|job| job.number() == number && job.is_under_way())
    }

    /// Has the peer send or receive at other rates.
    pub fn limit(&self, limit: &Limit) {
        self::limit(&self.0, limit);
    }

    /// Everything it offers from its folder.
    pub fn shared(&self) -> Vec<Offer> {
        self.0.means.holdings.share.as_ref().map_or_else(Vec::new, |share| share.offers())
    }

    /// The folder that it shares, where links on the way to it lead.
    pub fn folder(&self) -> Option<PathBuf> {
        self.0.means.holdings.share.as_ref().map(|share| share.place())
    }

    /// A file's content, to be read here, if some of it is.
    pub fn open(&self, id: FileId) -> Option<Reading> {
        Some(Reading::new(id, self.0.find(id, View::Bytes)?))
    }

    /// The files of a folder, to be read here, if its listing is here.
    pub fn open_folder(&self, id: FileId) -> Option<(Reading, Vec<Member>)> {
        let mut listing = self.open(id)?;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < listing.size() {
            bytes.extend(listing.read(0, bytes.len() as u64).ok()?);
        }
        Reading::of_tree(&Tree::decode(&bytes).ok()?, self.0.find(id, View::Members)?)
    }

    /// Fetches what is to be read here into a place that is no part of what is shared; the very same is fetched once.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn bring(&self, id: FileId, name: SafeName, path: PathBuf) -> Result<Job, Fault> {
        let want = Want { id, name, size: None, inside: None, filter: Filter::default() };
        let dest = Dest {
            path,
            force: true,
            own: true,
            delete: false,
            wait: Some(BRING_PATIENCE),
            waited: Duration::ZERO,
            down: None,
            refresh: None,
        };
        job::start(&self.0.means, want, dest).map_err(not_started)
    }

    /// Where it keeps its state.
    pub fn state(&self) -> Option<&Path> {
        self.0.means.state.as_deref()
    }

    /// What makes links that let its page be opened; the first who says so is believed.
    pub fn has_page(&self, login: impl Fn() -> String + Send + Sync + 'static) {
        self.0.page.is_opened_by(login);
    }

    /// Asks its trackers in turn until one answers that can agree with the others of its cluster, if it is one of several.
    pub fn ask(&self, question: &ToTracker) -> Option<FromTracker> {
        let is_alone = |answer: &FromTracker| matches!(answer, FromTracker::Common(Common::Error(error)) if error.code == ErrorCode::NoQuorum);
        let mut answers =
            self.0.means.holdings.trackers.lines().filter_map(|line| line.ask(question.clone())).peekable();
        let first = answers.peek().cloned();
        answers.find(|answer| !is_alone(answer)).or(first)
    }
}

/// A link that lets the page be opened, once.
pub(super) fn login(peer: &Node) -> Result<String, Fault> {
    let none = || fault(Exit::Unreachable, "this peer has no page; start it with --web".to_owned());
    peer.page.login().ok_or_else(none)
}

/// What the shared folder calls a content, if it is in it.
pub(super) fn holds(peer: &Node, id: &str) -> Option<String> {
    let offers = id.parse().map_or_else(|_| Vec::new(), |id| peer.means.holdings.shared(id));
    offers.first().map(|offer| offer.name.to_string())
}

/// How the peer is, and each of its fetches.
pub(super) fn status(peer: &Node) -> PeerStatus {
    PeerStatus { transfers: peer.means.jobs.statuses(), ..status_alone(peer) }
}

fn status_alone(peer: &Node) -> PeerStatus {
    let holdings = &peer.means.holdings;
    let summary = holdings.share.as_ref().map_or_else(Default::default, |share| share.summary());
    let (uploads, downloads) = peer.load();
    PeerStatus {
        name: peer.means.identity.name.clone(),
        addr: peer.addr.to_string(),
        files: summary.files,
        bytes: summary.bytes,
        uploads,
        downloads,
        sent: peer.uploads.sent.load(Ordering::Relaxed),
        down: peer.means.inlet.rate().map(Rate::get),
        up: peer.uploads.limit().map(Rate::get),
        faults: peer.faults.as_ref().map(ToString::to_string),
        trackers: holdings
            .trackers
            .states()
            .into_iter()
            .map(|(addr, connected)| TrackerStatus { addr, connected })
            .collect(),
        transfers: Vec::new(),
    }
}

/// Starts the fetch, or says why not.
pub(super) fn get(peer: &Node, get: Get) -> Result<Job, Fault> {
    let Get { id, name, size, inside, include, exclude, dest: path, force, own, delete, .. } = get;
    let inside = inside.map(SafeName::new).transpose();
    let patterns = |texts: Vec<String>| texts.iter().map(|text| text.parse()).collect::<Result<_, _>>();
    let (Ok(id), Ok(name), Ok(inside), Ok(include), Ok(exclude)) =
        (id.parse(), SafeName::new(name), inside, patterns(include), patterns(exclude))
    else {
        return Err(fault(Exit::Usage, "the id, the name or a pattern is not one".to_owned()));
    };
    let filter = Filter { include, exclude };
    let shared = peer.means.holdings.share.as_ref().map(|share| share.place());
    if !shared.is_some_and(|shared| is_within(&shared, &path)) {
        let refusal = format!("{} is not in what this peer shares", path.display());
        return Err(fault(Exit::Usage, refusal));
    }
    let Get { wait_ms, waited_ms, down, refresh_ms, .. } = get;
    let (wait, waited) = (wait_ms.map(Duration::from_millis), Duration::from_millis(waited_ms));
    let refresh = refresh_ms.map(Duration::from_millis);
    let down = down.and_then(Rate::new);
    let dest = Dest { path, force, own, delete, wait, waited, down, refresh };
    job::start(&peer.means, Want { id, name, size, inside, filter }, dest).map_err(not_started)
}

fn not_started(error: io::Error) -> Fault {
    fault(Exit::Other, format!("cannot start the fetch: {error}"))
}

/// Has fetches that are under way go on in another way; how they are then.
pub(super) fn steer(peer: &Node, Steer { which, order }: &Steer) -> Result<Vec<TransferStatus>, Fault> {
    let mut jobs = peer.means.jobs.live();
    jobs.retain(|job| {
        job.is_under_way() && which.as_deref().is_none_or(|which| is_called(job.want(), which))
    });
    if jobs.is_empty() {
        let what = which
            .as_ref()
            .map_or_else(String::new, |which| format!(" that is called {which} or has that id"));
        return Err(fault(Exit::NotFound, format!("this peer is fetching nothing{what}")));
    }
    Ok(steer_jobs(&jobs, *order))
}

/// Has these fetches go on in another way; how they are then.
fn steer_jobs(jobs: &[Job], order: Order) -> Vec<TransferStatus> {
    for job in jobs {
        match order {
            Order::Cancel => job.cancel(),
            Order::Pause => job.inlet().hold(true),
            Order::Resume => job.inlet().hold(false),
            Order::Down(rate) => job.inlet().set_rate(rate.and_then(Rate::new)),
        }
    }
    let until = Instant::now() + END_PATIENCE;
    let status = |job: &Job| {
        if order == Order::Cancel {
            let _ = job.wait(until.saturating_duration_since(Instant::now()));
        }
        job.status()
    };
    jobs.iter().map(status).collect()
}

/// True if it has this name, with or without a folder's `/`, or an id that begins so.
fn is_called(want: &Want, which: &str) -> bool {
    let name = want.name.as_str();
    let begins = which.len() >= LEAST_OF_ID && want.id.to_string().starts_with(&which.to_ascii_lowercase());
    name == which || name.strip_suffix('/') == Some(which) || begins
}

/// Has the peer send or receive at other rates.
pub(super) fn limit(peer: &Node, Limit { down, up }: &Limit) {
    if let Some(rate) = down {
        peer.means.inlet.set_rate(Rate::new(*rate));
    }
    if let Some(rate) = up {
        peer.uploads.set_limit(Rate::new(*rate));
    }
}

/// True if an absolute path is in `folder`, wherever links on the way to it lead.
fn is_within(folder: &Path, path: &Path) -> bool {
    let there = path.ancestors().find_map(|part| Some((part, fs::canonicalize(part).ok()?)));
    let Some((part, real)) = there.filter(|_| path.is_absolute()) else { return false };
    let new = path.strip_prefix(part).unwrap_or(path);
    real.starts_with(folder) && new.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Why something was not done, and the exit code of a tool that fails with it.
pub(super) fn fault(code: Exit, message: String) -> Fault {
    Fault { code, message, no_folder: false }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_fetch_goes_into_what_is_shared_and_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(place.path()).unwrap();
        let at = |path: &str| place.join(path);
        fs::create_dir_all(at("share/d")).unwrap();
        fs::create_dir(at("secret")).unwrap();
        fs::write(at("secret/file"), "").unwrap();
        symlink("../secret", at("share/out")).unwrap();
        symlink("../secret/file", at("share/file")).unwrap();
        symlink("d", at("share/in")).unwrap();
        let is_within = |path: &str| is_within(&at("share"), &at(path));
        for path in ["share", "share/new", "share/d/e/f", "share/in/f", "share/d/../f", "secret/../share/x"] {
            assert!(is_within(path), "{path}");
        }
        for path in [
            "secret/x",
            "share/out/x",
            "share/out",
            "share/file",
            "share/../x",
            "share/new/../../x",
            "sharex",
            "/",
        ] {
            assert!(!is_within(path), "{path}");
        }
        assert!(!super::is_within(&at("share"), Path::new("new")));
    }
}
