//! One fetch from beginning to end: locate, for a tree fetch its listing, then the transfer itself.
//!
//! Owns the thread that finds neighbours and gives the scheduler its time.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::chunk_set::ChunkSet;
use super::fetch::{self, FetchEnd};
use super::neighbours::{ANNOUNCE_INTERVAL, FIRST_RELOCATE, Outcome, USELESS_FOR};
use super::scheduler::{Event, TICK};
use super::serving::NEWS_INTERVAL;
use super::share::Adopted;
use super::store::{Manner, Plan, Store, StoreError, remove_if_empty};
use super::transfer::{End, Transfer, TransferStatus};
use super::{Inner as Peer, LedgerView, left, lock, offered_name};
use crate::content::{FileId, Geometry, PeerId, SafeName, Tree, TreeError};
use crate::net::trace::Side;
use crate::net::{self, NetError};
use crate::wire::{Complaint, Locate, Name, Offer, Purpose, Report as Complain, Role, Variant, View};

/// What to fetch.
#[derive(Debug, Clone)]
pub struct Want {
    /// The content.
    pub id: FileId,
    /// Its name; a tree's ends with `/`.
    pub name: SafeName,
}

/// Where to put it, and how.
#[derive(Debug, Clone)]
pub struct Dest {
    /// The file or folder to make.
    pub path: PathBuf,
    /// Different files that are in the way are replaced.
    pub force: bool,
    /// How long to wait while no tracker or source can be reached; none: for ever.
    pub wait: Option<Duration>,
}

/// Why a fetch failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// No tracker knows the content.
    #[error("no tracker knows {0}")]
    NotFound(String),
    /// No tracker, or no peer that has what is missing, could be reached in time.
    #[error("{0}")]
    NobodyReached(String),
    /// What arrived cannot be what was asked for.
    #[error("{0}")]
    Integrity(String),
    /// A different file is in the way.
    #[error("{0} exists and is different (`--force` replaces it)")]
    Exists(String),
    /// The listing of a tree has a name that would leave the destination, or is damaged.
    #[error("the listing is refused: {0}")]
    BadTree(#[from] TreeError),
    /// The disk, or something on it, is in the way.
    #[error("{0}")]
    Disk(String),
    /// It was cancelled; what is proved is kept for next time.
    #[error("interrupted; what has arrived is kept for next time")]
    Interrupted,
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> FetchError {
        match error {
            StoreError::Exists(path) => FetchError::Exists(path),
            StoreError::Integrity(_) => FetchError::Integrity(error.to_string()),
            other => FetchError::Disk(other.to_string()),
        }
    }
}

/// What a finished fetch did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The state at the end.
    pub status: TransferStatus,
    /// Where it was put.
    pub path: String,
}

/// A fetch under way or done; clones are the same fetch.
#[derive(Debug, Clone)]
pub struct Job(Arc<Inner>);

#[derive(Debug)]
enum Stage {
    Locating,
    Fetching,
    Ended(Box<Result<Report, FetchError>>),
}

#[derive(Debug)]
pub(super) struct Inner {
    want: Want,
    dest: Dest,
    started: Instant,
    stage: Mutex<Stage>,
    changed: Condvar,
    /// The listing of a tree, then the content itself.
    transfers: Mutex<Vec<Arc<Transfer>>>,
    cancelled: std::sync::atomic::AtomicBool,
    offer: Mutex<Option<Offer>>,
    /// The listing of a tree, as a file to serve it from while this runs.
    listing: Mutex<Option<PathBuf>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl From<Arc<Inner>> for Job {
    fn from(inner: Arc<Inner>) -> Job {
        Job(inner)
    }
}

impl Job {
    pub(super) fn start(peer: &Arc<Peer>, want: Want, dest: Dest) -> io::Result<Job> {
        let inner = Arc::new(Inner {
            want,
            dest,
            started: Instant::now(),
            stage: Mutex::new(Stage::Locating),
            changed: Condvar::new(),
            transfers: Mutex::new(Vec::new()),
            cancelled: std::sync::atomic::AtomicBool::new(false),
            offer: Mutex::new(None),
            listing: Mutex::new(None),
            thread: Mutex::new(None),
        });
        lock(&peer.jobs).push(inner.clone());
        let running = Running { peer: peer.clone(), job: inner.clone() };
        let thread = std::thread::Builder::new().name("fetch".into()).spawn(move || running.run())?;
        *lock(&inner.thread) = Some(thread);
        Ok(Job(inner))
    }

    /// How far it is.
    pub fn status(&self) -> TransferStatus {
        let fetching = lock(&self.0.transfers).last().cloned();
        let mut status = fetching.map_or_else(|| self.0.empty_status(), |transfer| transfer.status());
        self.0.want.name.as_str().clone_into(&mut status.name);
        status
    }

    /// Waits for the end, but not past `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<Result<Report, FetchError>> {
        let stage = lock(&self.0.stage);
        let (stage, _) = self
            .0
            .changed
            .wait_timeout_while(stage, timeout, |stage| !matches!(stage, Stage::Ended(_)))
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*stage {
            Stage::Ended(outcome) => Some(Result::clone(outcome)),
            _ => None,
        }
    }

    /// True while nobody who has it is known or can be reached.
    pub fn is_waiting(&self) -> bool {
        matches!(*lock(&self.0.stage), Stage::Locating)
    }

    /// Ends it; what is proved is kept for next time.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, std::sync::atomic::Ordering::Release);
        for transfer in lock(&self.0.transfers).iter() {
            transfer.finish(End::Cancelled);
        }
    }

    pub(super) fn join(&self) {
        if let Some(thread) = lock(&self.0.thread).take() {
            let _ = thread.join();
        }
        if let Some(listing) = lock(&self.0.listing).take() {
            let _ = fs::remove_file(&listing);
            remove_if_empty(listing.ancestors().skip(1).take(2));
        }
    }
}

impl Inner {
    /// The transfer of the content itself, unless it failed.
    pub(super) fn fetching(&self) -> Option<Arc<Transfer>> {
        let transfer = lock(&self.transfers).last().cloned()?;
        let main = (transfer.view == View::Members) == self.want.name.is_tree();
        (main && matches!(transfer.end(), None | Some(End::Done))).then_some(transfer)
    }

    /// The transfer that can serve this.
    pub(super) fn serving(&self, id: FileId, view: View) -> Option<Arc<Transfer>> {
        let transfers = lock(&self.transfers);
        transfers
            .iter()
            .find(|transfer| {
                transfer.id == id && transfer.view == view && matches!(transfer.end(), None | Some(End::Done))
            })
            .cloned()
    }

    /// What the trackers are told of it.
    pub(super) fn offer(&self) -> Option<Offer> {
        lock(&self.offer).clone()
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(std::sync::atomic::Ordering::Acquire)
    }

    fn empty_status(&self) -> TransferStatus {
        TransferStatus {
            id: self.want.id.to_string(),
            name: String::new(),
            state: "locating".to_owned(),
            bytes_total: 0,
            bytes_done: 0,
            bytes_resumed: 0,
            files_total: 0,
            files_done: 0,
            seconds: self.started.elapsed().as_secs_f64(),
            rate: 0.0,
            sources: Vec::new(),
            ledger: LedgerView::default(),
        }
    }

    fn set_stage(&self, stage: Stage) {
        *lock(&self.stage) = stage;
        self.changed.notify_all();
    }
}

/// The thread of a job.
struct Running {
    peer: Arc<Peer>,
    job: Arc<Inner>,
}

impl Running {
    fn run(&self) {
        let outcome = self.fetch();
        if outcome.is_err() {
            let offer = lock(&self.job.offer).take();
            if let Some(offer) = offer {
                self.peer.trackers().update(&[], &[(offer.name, offer.id)]);
            }
        }
        self.job.set_stage(Stage::Ended(Box::new(outcome)));
    }

    fn fetch(&self) -> Result<Report, FetchError> {
        let Want { id, name } = &self.job.want;
        let variant = self.locate()?;
        let geometry = Geometry::of(variant.size)
            .ok_or_else(|| FetchError::Integrity(format!("{name} is said to be larger than any file")))?;
        let transfer = match name.is_tree() {
            false => self.file_transfer(geometry, &variant)?,
            true => self.tree_transfer(geometry, &variant)?,
        };
        self.job.set_stage(Stage::Fetching);
        self.offer(&transfer, &variant);
        self.drive(&transfer, &variant)?;
        self.adopt(&transfer);
        let path = self.job.dest.path.display().to_string();
        tracing::debug!("{id} is done");
        let mut status = transfer.status();
        status.seconds = self.job.started.elapsed().as_secs_f64();
        Ok(Report { status, path })
    }

    /// Asks the trackers until one knows the content.
    fn locate(&self) -> Result<Variant, FetchError> {
        let deadline = self.job.dest.wait.map(|wait| Instant::now() + wait);
        let mut pause = FIRST_RELOCATE;
        let mut answered = false;
        loop {
            let answers = self.peer.trackers().locate(&self.question(Vec::new()));
            while let Some(located) = self.receive(&answers, deadline) {
                answered = true;
                if let Some(variant) = located.variants.iter().find(|variant| variant.id == self.job.want.id)
                {
                    return Ok(variant.clone());
                }
            }
            if self.job.is_cancelled() {
                return Err(FetchError::Interrupted);
            }
            if left(deadline).is_some_and(|left| left.is_zero()) {
                let name = self.job.want.name.to_string();
                return Err(match answered {
                    true => FetchError::NotFound(name),
                    false => {
                        FetchError::NobodyReached(format!("no tracker could be reached to ask for {name}"))
                    }
                });
            }
            std::thread::park_timeout(left(deadline).map_or(pause, |left| left.min(pause)));
            pause = (pause * 2).min(self.peer.limits.refresh);
        }
    }

    fn question(&self, missing: Vec<(u32, u32)>) -> Locate {
        Locate {
            name: Name::default(),
            id: self.job.want.id,
            purpose: Purpose::Fetch,
            max: (self.peer.limits.max_neighbours * 2).min(64) as u16,
            missing: crate::wire::List::new(missing),
        }
    }

    /// The next answer, unless the deadline or a cancel comes first.
    fn receive(
        &self,
        answers: &crossbeam_channel::Receiver<crate::wire::Located>,
        deadline: Option<Instant>,
    ) -> Option<crate::wire::Located> {
        const LOOK: Duration = Duration::from_millis(50);
        loop {
            match answers.recv_timeout(LOOK) {
                Ok(located) => return Some(located),
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return None,
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => {
                    if self.job.is_cancelled() || left(deadline).is_some_and(|left| left.is_zero()) {
                        return None;
                    }
                }
            }
        }
    }

    fn state_for(&self, beside: &std::path::Path) -> PathBuf {
        self.peer.state.clone().unwrap_or_else(|| beside.join(SafeName::STATE_FOLDER))
    }

    fn manner(&self) -> Manner {
        Manner { force: self.job.dest.force, fsync: self.peer.limits.fsync }
    }

    fn begin(&self, view: View, store: Store, had: ChunkSet) -> Result<Arc<Transfer>, FetchError> {
        let name = self.job.want.name.clone();
        let limits = &self.peer.limits;
        let transfer = Arc::new(Transfer::new(self.job.want.id, view, name, store, had, limits));
        lock(&self.job.transfers).push(transfer.clone());
        if self.job.is_cancelled() {
            return Err(FetchError::Interrupted);
        }
        Ok(transfer)
    }

    fn file_transfer(&self, geometry: Geometry, variant: &Variant) -> Result<Arc<Transfer>, FetchError> {
        let path = &self.job.dest.path;
        let folder =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| ".".as_ref());
        let base = path.file_name().and_then(|base| base.to_str());
        let base = base.ok_or_else(|| FetchError::Disk(format!("{} is not a file name", path.display())))?;
        let plan = Plan::file(variant.id, geometry, base).ok_or(FetchError::BadTree(TreeError::TooLarge))?;
        let (store, had) = Store::open(plan, variant.id, folder, &self.state_for(folder), self.manner())?;
        self.begin(View::Bytes, store, had)
    }

    /// Fetches the listing, then prepares the transfer of what it lists.
    fn tree_transfer(&self, geometry: Geometry, variant: &Variant) -> Result<Arc<Transfer>, FetchError> {
        if geometry.size() > Tree::MAX_BYTES {
            return Err(FetchError::BadTree(TreeError::TooLarge));
        }
        let state = self.state_for(&self.job.dest.path);
        let listings = state.join("trees");
        let file = listings.join(variant.id.to_string());
        let plan = Plan::file(variant.id, geometry, &variant.id.to_string())
            .ok_or(FetchError::BadTree(TreeError::TooLarge))?;
        let manner = Manner { force: true, fsync: false };
        let (store, had) = Store::open(plan, variant.id, &listings, &state, manner)?;
        *lock(&self.job.listing) = Some(file.clone());
        let listing = self.begin(View::Bytes, store, had)?;
        self.drive(&listing, variant)?;
        let bytes =
            std::fs::read(&file).map_err(|error| FetchError::Disk(format!("{}: {error}", file.display())))?;
        let plan = Plan::tree(&Tree::decode(&bytes)?)?;
        let (store, had) = Store::open(plan, variant.id, &self.job.dest.path, &state, self.manner())?;
        self.begin(View::Members, store, had)
    }

    /// Registers this peer as one that will have the content.
    fn offer(&self, transfer: &Transfer, variant: &Variant) {
        let offer = Offer {
            name: offered_name(&self.job.want.name),
            id: transfer.id,
            size: variant.size,
            total: transfer.layout.size(),
            chunks: transfer.layout.chunks(),
            complete: false,
        };
        *lock(&self.job.offer) = Some(offer.clone());
        self.peer.trackers().update(&[offer], &[]);
    }

    /// Finds neighbours and gives the scheduler its time until the transfer ends.
    fn drive(&self, transfer: &Arc<Transfer>, variant: &Variant) -> Result<(), FetchError> {
        let mut driver = Driver::new(self, transfer.clone());
        driver.suggest(variant);
        loop {
            if let Some(end) = transfer.wait_news(NEWS_INTERVAL) {
                transfer.tell_news();
                driver.announce();
                driver.join();
                return match end {
                    End::Done => Ok(()),
                    End::Cancelled => Err(FetchError::Interrupted),
                    End::Failed(error) => Err(error.to_fetch_error()),
                };
            }
            driver.turn()?;
        }
    }

    /// Enters the finished files into the share, if they lie in the shared folder.
    fn adopt(&self, transfer: &Transfer) {
        let Some(share) = &self.peer.share else { return };
        let dest = &self.job.dest.path;
        let folder = if self.job.want.name.is_tree() { Some(dest.as_path()) } else { dest.parent() };
        let below = folder.and_then(|folder| fs::canonicalize(folder).ok());
        let Some(below) = below.as_ref().and_then(|folder| folder.strip_prefix(share.root()).ok()) else {
            return;
        };
        let mut adopted = Vec::new();
        for (name, id, hashes) in transfer.store.finished_files() {
            let path = below.join(name);
            let metadata = fs::metadata(share.root().join(&path));
            let path = path.to_str().and_then(|path| SafeName::new(path).ok());
            adopted.extend(path.zip(metadata.ok()).map(|(path, metadata)| (path, id, hashes, metadata)));
        }
        let adopted: Vec<Adopted<'_>> = adopted
            .iter()
            .map(|(path, id, hashes, metadata)| Adopted { path, id: *id, hashes: hashes.clone(), metadata })
            .collect();
        share.adopt(&adopted);
    }
}

/// What the driving of one transfer remembers between turns.
struct Driver<'a> {
    running: &'a Running,
    transfer: Arc<Transfer>,
    announced: ChunkSet,
    next_tick: Instant,
    next_announce: Instant,
    next_locate: Instant,
    locate_pause: Duration,
    answers: Option<crossbeam_channel::Receiver<crate::wire::Located>>,
    threads: Vec<JoinHandle<()>>,
    alone_since: Option<Instant>,
    next_exchange: Instant,
}

impl<'a> Driver<'a> {
    fn new(running: &'a Running, transfer: Arc<Transfer>) -> Driver<'a> {
        let now = Instant::now();
        Driver {
            running,
            announced: ChunkSet::empty(transfer.layout.chunks()),
            transfer,
            next_tick: now,
            next_announce: now + ANNOUNCE_INTERVAL,
            // At once: peers that start together have all registered by now, and find each other.
            next_locate: now,
            locate_pause: FIRST_RELOCATE / 2,
            answers: None,
            threads: Vec::new(),
            alone_since: None,
            next_exchange: now + USELESS_FOR,
        }
    }

    fn peer(&self) -> &Arc<Peer> {
        &self.running.peer
    }

    fn suggest(&mut self, variant: &Variant) {
        for holder in variant
            .holders
            .iter()
            .filter(|holder| holder.port != 0 && holder.peer != self.peer().identity.peer)
        {
            let host = if holder.host.contains(':') {
                format!("[{}]", &*holder.host)
            } else {
                holder.host.to_string()
            };
            self.transfer.suggest(holder.peer, format!("{host}:{}", holder.port));
        }
    }

    fn turn(&mut self) -> Result<(), FetchError> {
        let now = Instant::now();
        self.transfer.tell_news();
        if now >= self.next_tick {
            self.transfer.step([Event::Tick], None);
            self.next_tick = now + TICK;
        }
        self.take_answers();
        for (peer, addr) in self.transfer.neighbours(|neighbours| neighbours.dial(now)) {
            self.dial(peer, addr);
        }
        self.close_exchanged();
        if now >= self.next_announce {
            self.announce();
            self.next_announce = now + ANNOUNCE_INTERVAL;
        }
        if now >= self.next_locate {
            self.locate(now);
        }
        if now >= self.next_exchange {
            self.exchange(now);
            self.next_exchange = now + USELESS_FOR;
        }
        self.give_up_if_alone(now)
    }

    fn dial(&mut self, peer: PeerId, addr: String) {
        let transfer = self.transfer.clone();
        let local = self.peer().clone();
        self.threads.retain(|thread| !thread.is_finished());
        let spawned = std::thread::Builder::new().name(format!("fetch {addr}")).spawn(move || {
            let end = source(&local, &transfer, &addr);
            let outcome = judge(&local, &transfer, peer, &addr, end);
            transfer.neighbours(|neighbours| neighbours.ended(peer, outcome, Instant::now()));
        });
        match spawned {
            Ok(thread) => self.threads.push(thread),
            Err(_) => {
                self.transfer.neighbours(|neighbours| neighbours.ended(peer, Outcome::Failed, Instant::now()))
            }
        }
    }

    fn locate(&mut self, now: Instant) {
        let missing = self.transfer.unavailable();
        self.answers = Some(self.peer().trackers().locate(&self.running.question(missing.clone())));
        self.locate_pause = (self.locate_pause * 2).min(self.peer().limits.refresh);
        self.next_locate = now + self.locate_pause;
    }

    fn take_answers(&mut self) {
        let answers: Vec<_> = self.answers.iter().flat_map(|answers| answers.try_iter()).collect();
        for located in answers {
            let id = self.transfer.id;
            located
                .variants
                .iter()
                .filter(|variant| variant.id == id)
                .for_each(|variant| self.suggest(variant));
        }
    }

    /// Tells the trackers which chunks came since last time.
    fn announce(&mut self) {
        if self.running.job.offer().is_none() {
            return;
        }
        let had = self.transfer.had();
        let gained: Vec<u32> = had.iter().filter(|chunk| !self.announced.contains(*chunk)).collect();
        if !gained.is_empty() {
            self.peer().trackers().have(self.transfer.id, &super::chunk_set::ranges(gained));
            self.announced = had;
        }
    }

    /// Closes connections whose places others have taken.
    fn close_exchanged(&self) {
        let closing = self.transfer.neighbours(|neighbours| neighbours.to_close());
        if closing.is_empty() {
            return;
        }
        let connected = self.transfer.connected();
        for peer in closing {
            // Of several connections the last one: the same one however often this is said.
            if let Some((id, _)) = connected.iter().rev().find(|(_, other)| *other == peer) {
                self.transfer.close(*id);
            }
        }
    }

    /// Closes neighbours that have nothing we want, if there are others to try.
    fn exchange(&self, now: Instant) {
        let full = self.transfer.connected().len() >= self.peer().limits.max_neighbours;
        if !full || self.transfer.neighbours(|neighbours| neighbours.spare(now)) == 0 {
            return;
        }
        if let Some((id, _)) = self.transfer.source_views().into_iter().find(|(_, view)| view.useful == 0) {
            self.transfer.close(id);
        }
    }

    fn give_up_if_alone(&mut self, now: Instant) -> Result<(), FetchError> {
        let helped = self.transfer.source_views().iter().any(|(_, view)| view.useful > 0);
        if helped {
            self.alone_since = None;
            return Ok(());
        }
        let since = *self.alone_since.get_or_insert(now);
        let job = &self.running.job;
        if job.dest.wait.is_some_and(|wait| now.saturating_duration_since(since) >= wait.max(FIRST_RELOCATE))
        {
            self.transfer.finish(End::Cancelled);
            let name = &job.want.name;
            return Err(match self.peer().trackers().any_connected() {
                true => FetchError::NobodyReached(format!(
                    "nobody who has what is missing of {name} could be reached; what has arrived is kept for next time"
                )),
                false => FetchError::NobodyReached(format!(
                    "no tracker and no source of {name} could be reached; what has arrived is kept for next time"
                )),
            });
        }
        Ok(())
    }

    /// Waits for the connections of a transfer that has ended; each sees that soon.
    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One connection to a source, from dial to end.
fn source(peer: &Peer, transfer: &Transfer, addr: &str) -> Result<fetch::Trust, FetchEnd> {
    let stream = net::dial(addr).map_err(NetError::from)?;
    let session = net::greet(stream, &peer.identity, Role::Ask, Role::Serve, Side::Fetch)?;
    transfer.neighbours(|neighbours| neighbours.works(session.theirs.peer));
    fetch::run(transfer, session, addr, peer.throttle_down.as_ref())
}

/// What the end of a connection says about the neighbour; complaints go to the trackers.
fn judge(
    peer: &Peer,
    transfer: &Transfer,
    who: PeerId,
    addr: &str,
    end: Result<fetch::Trust, FetchEnd>,
) -> Outcome {
    let complain =
        |complaint| peer.trackers().report(&Complain { peer: who, id: transfer.id, chunk: 0, complaint });
    match end {
        Ok(fetch::Trust::Kept) => Outcome::Useless,
        Ok(fetch::Trust::Lost) => {
            complain(Complaint::Corrupt);
            tracing::warn!("{addr} sent wrong bytes; it is not asked any more");
            Outcome::Banned
        }
        Err(FetchEnd::Net(NetError::Io(error))) if error.kind() == io::ErrorKind::ConnectionRefused => {
            complain(Complaint::Dead);
            Outcome::Failed
        }
        Err(
            FetchEnd::Net(NetError::Decode(_) | NetError::Frame(_) | NetError::Unexpected(_))
            | FetchEnd::Geometry,
        ) => {
            tracing::warn!("{addr} breaks the protocol; it is not asked any more");
            Outcome::Banned
        }
        Err(error) => {
            tracing::debug!("{addr}: {error}");
            Outcome::Failed
        }
    }
}
