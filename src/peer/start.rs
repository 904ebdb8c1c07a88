//! Starts a peer: its folder, its sockets, its trackers, its threads. And stops it.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use super::addresses::Addresses;
use super::called;
use super::callers::Called;
use super::config::{Config, Lending, MAX_CONNECTIONS, PeerError, control_folder, state_of};
use super::duties::{self, TakeUp};
use super::holdings::Holdings;
use super::home::kept_id;
use super::job::{self, Dest, Job, Jobs, Means, Want};
use super::lend::{self, Store};
use super::news::{Board, News};
use super::node::Node;
use super::ops::Hand;
use super::page::Page;
use super::serve::Uploads;
use super::share::{self, Share};
use super::stop::Stop;
use super::trackers::{Registry, Trackers};
use super::transfer::Inlet;
use super::{accept, control, disk};
use crate::content::{FileId, Layout, PeerId};
use crate::descriptors;
use crate::net::guests::Guests;
use crate::net::wake::Wake;
use crate::net::{self, Identity};
use crate::threads;
use crate::wire::{Offer, View};

/// Descriptors of one asker: its socket, a wake, the file it is sent.
const DESCRIPTORS_EACH: usize = 3;
/// A guest that has been silent for so long makes room for another when there are too many.
const GUEST_PATIENCE: Duration = Duration::from_secs(5);
/// How long the transfers together may take to end when a peer stops.
const JOB_PATIENCE: Duration = Duration::from_millis(500);
/// How long LEAVE and the ends of connections may take then; others see connections end in any case.
const LEAVE_PATIENCE: Duration = Duration::from_millis(200);

/// A running peer. Dropping it does not stop it; [`Peer::stop`] does.
#[derive(Debug)]
pub struct Peer {
    node: Arc<Node>,
    /// Those that never wait for anybody else.
    threads: Vec<JoinHandle<()>>,
}

/// Starts a peer: indexes the folder (`progress` hears how far it is), listens, registers.
///
/// # Errors
/// [`PeerError`] when the folder cannot be shared or the address not be listened on.
pub fn start(
    config: Config,
    progress: &mut dyn FnMut(share::Progress) -> ControlFlow<()>,
) -> Result<Peer, PeerError> {
    let listener =
        net::listen(&config.listen).map_err(|error| PeerError::Listen(config.listen.clone(), error))?;
    listener.set_nonblocking(true)?;
    let state = match (&config.state, &config.folder) {
        (Some(state), _) => Some(state.clone()),
        (None, Some(folder)) => Some(state_of(folder)?),
        (None, None) => None,
    };
    // Before the folder is hashed, which may take long: a place for the state is missed at once.
    let id = match &state {
        Some(state) => kept_id(state).map_err(|error| PeerError::State { path: state.clone(), error })?,
        None => PeerId::random(),
    };
    if let Some(state) = &state {
        disk::sweep(state, config.limits.keep_partial);
    }
    let share = open_share(&config, state.as_ref(), progress)?;
    let addr = listener.local_addr()?;
    let addresses = Addresses::new(addr, config.advertise.as_deref())?;
    let asked = config.limits.max_connections;
    let guests = match share.is_some() {
        true => descriptors::carried(asked, MAX_CONNECTIONS, DESCRIPTORS_EACH),
        false => asked.unwrap_or(MAX_CONNECTIONS),
    };
    let (guests, folder) = (Guests::new(guests, GUEST_PATIENCE), config.folder.clone());
    let trackers = Trackers::new(&config.trackers)?;
    let means = Means {
        identity: Identity::new(config.keyring, id, config.name, addresses.port()),
        state,
        dials: Mutex::default(),
        inlet: Arc::new(Inlet::new(config.limits.down)),
        holdings: Holdings::new(share, trackers),
        jobs: Jobs::default(),
        stop: Stop::new(),
        news: Board::default(),
        limits: config.limits,
    };
    let means = Arc::new(means);
    let store = open_store(config.lending.as_ref(), &means)?;
    let node = Arc::new(Node {
        addr,
        addresses,
        uploads: Arc::new(Uploads::new(means.limits.up)),
        called: Called::default(),
        complaints: Mutex::default(),
        faults: config.faults,
        latencies: config.latencies,
        page: Page::default(),
        store,
        means,
    });
    let mut threads = start_threads(&node)?;
    if let (Some(folder), Some(state)) = (&folder, &node.means.state) {
        let refused = |error| PeerError::State { path: state.clone(), error };
        let home = control_folder(folder, state).map_err(refused)?;
        let listener = control::listen(&home).map_err(refused)?;
        let (asked, wake) = (node.clone(), new_wake(&node.means.stop)?);
        let asked = move || accept::requests(&asked, &listener, &home, &wake);
        threads.push(threads::named("control").essential(asked)?);
    }
    let (dialled, wake) = (node.clone(), new_wake(&node.means.stop)?);
    let dialled = move || accept::connections(&dialled, &listener, &guests, &wake);
    threads.push(threads::named("accept").essential(dialled)?);
    Ok(Peer { node, threads })
}

/// What is lent, if anything is.
fn open_store(lending: Option<&Lending>, means: &Arc<Means>) -> Result<Option<Arc<Store>>, PeerError> {
    let (Some(lending), Some(state)) = (lending, &means.state) else { return Ok(None) };
    lend::open(state, lending, means).map(Some).map_err(|error| PeerError::Lend(error.to_string()))
}

/// Those that tell the trackers.
fn start_threads(node: &Arc<Node>) -> io::Result<Vec<JoinHandle<()>>> {
    let registry: Arc<dyn Registry> = node.clone();
    let Means { identity, stop, holdings, .. } = &*node.means;
    holdings.trackers.start(identity, &registry, stop)?;
    let dutiful = node.clone();
    let take_up = TakeUp::new(move |call| called::take_up(&dutiful, call));
    let mut threads = match &node.store {
        // It asks for its duties anyway, of which a call is one.
        Some(store) => {
            store.takes_calls(take_up);
            lend::start(store)?
        }
        None => {
            let (identity, stop) = (identity.clone(), stop.clone());
            holdings.trackers.follow(move |line| duties::start(line.linked(), &identity, &take_up, &stop))?;
            Vec::new()
        }
    };
    if let Some(share) = node.means.holdings.share.clone() {
        let following = node.clone();
        threads.push(threads::named("changes").essential(move || follow(&following, &share))?);
    }
    Ok(threads)
}

fn new_wake(stop: &Stop) -> io::Result<Arc<Wake>> {
    let wake = Arc::new(Wake::new()?);
    stop.wakes(&wake);
    Ok(wake)
}

fn open_share(
    config: &Config,
    state: Option<&PathBuf>,
    progress: &mut dyn FnMut(share::Progress) -> ControlFlow<()>,
) -> Result<Option<Arc<Share>>, PeerError> {
    let (Some(folder), Some(state)) = (&config.folder, state) else { return Ok(None) };
    let prefix = match config.prefix && folder.is_dir() {
        true => std::fs::canonicalize(folder)?.file_name().map(|name| format!("{}/", name.to_string_lossy())),
        false => None,
    };
    let (folder, state) = (folder.clone(), state.clone());
    let selection = config.selection.clone();
    let share = share::Config { folder, prefix, state, selection, watch: config.watch, threads: 0 };
    Ok(Some(Share::open(share, progress)?))
}

/// Tells the trackers what changes in the folder, until the peer stops.
fn follow(node: &Node, share: &Share) {
    let changes = share.changes();
    loop {
        select! {
            recv(changes) -> change => {
                let Ok(change) = change else { return };
                threads::may_panic("changes");
                node.means.holdings.share_changed(change);
            }
            recv(node.means.stop.stopped()) -> _ => return,
        }
    }
}

impl Peer {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.node.addr
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.node.means.identity.name
    }

    /// Bytes of chunks that have left it.
    pub fn sent(&self) -> u64 {
        self.node.uploads.sent.load(Ordering::Relaxed)
    }

    /// What it shares from its folder.
    pub fn summary(&self) -> share::Summary {
        let share = self.node.means.holdings.share.as_ref();
        share.map_or_else(share::Summary::default, |share| share.summary())
    }

    /// Everything it offers now.
    pub fn offers(&self) -> Vec<Offer> {
        self.node.offers()
    }

    /// How the chunks of the members of a folder that it shares are numbered, and where each member lies.
    pub fn members(&self, id: FileId) -> Option<(Layout, Vec<PathBuf>)> {
        let share = self.node.means.holdings.share.as_ref()?;
        let share::Holding::Members(members) = share.find(id, View::Members)? else { return None };
        let paths = members.sources.iter().map(|source| share.root().join(&*source.path)).collect();
        Some((members.layout.layout.clone(), paths))
    }

    /// What others in this process may ask of it and have it do, and its page does.
    pub fn hand(&self) -> Hand {
        Hand(self.node.clone())
    }

    /// Fetches `want` into `dest`; what happens is told by the returned job.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn fetch(&self, want: Want, dest: Dest) -> io::Result<Job> {
        job::start(&self.node.means, want, dest)
    }

    /// What happens, as it happens; each of several hearers hears a part.
    pub fn news(&self) -> Receiver<News> {
        self.node.means.news.heard()
    }

    /// What returns only while others can be served and fetches can begin.
    pub fn touch(&self) -> impl Fn() + Send + use<> {
        let node = self.node.clone();
        move || {
            node.uploads.busy();
            node.means.jobs.live();
        }
    }

    /// The trackers, and whether each is connected.
    pub fn trackers(&self) -> Vec<(String, bool)> {
        self.node.means.holdings.trackers.states()
    }

    /// Trackers that were one with a given one the last time that it was asked: there are links to them, too.
    pub fn remembers(&self, tracker: &str, others: &[String]) {
        self.node.means.holdings.trackers.remembered(tracker, others);
    }

    /// Stops: transfers end with what is proved kept, LEAVE is sent, connections are closed.
    pub fn stop(self) {
        let jobs = || self.node.means.jobs.live();
        for job in jobs() {
            job.cancel();
        }
        // What is proved is on the disk, whatever a job still does; a slow disk is not waited for.
        let until = Instant::now() + JOB_PATIENCE;
        for job in jobs() {
            job.leave(until.saturating_duration_since(Instant::now()));
        }
        self.node.means.stop.stop();
        self.node.means.holdings.trackers.end();
        for thread in self.threads {
            let _ = thread.join();
        }
        self.node.means.stop.wait(LEAVE_PATIENCE);
    }
}
