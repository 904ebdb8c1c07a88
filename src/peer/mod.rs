//! A peer: shares a folder, serves chunks, fetches files.
//!
//! This file wires the parts together and owns the threads: one that accepts connections, one for each
//! connection, one for each tracker, one for each transfer. What is decided, is decided elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

mod config;
mod control;
pub(crate) mod disk;
mod got;
mod home;
mod job;
mod mischief;
mod registrations;
mod serve;
pub mod share;
mod stamp;
mod state_folder;
mod trackers;
mod transfer;

pub use config::{Config, Limits, PeerError, control_folders};
pub use disk::DiskError;
pub use got::Got;
pub use job::{Dest, FetchError, Job, Want};
pub use mischief::{FaultPlan, Latencies, LatencyError};

use crate::content::{FileId, PeerId, SafeName};
use crate::descriptors;
use crate::net::bulk::Wake;
use crate::net::guests::{Guest, Guests};
use crate::net::trace::Side;
use crate::net::{self, Identity};
use crate::say;
use crate::swarm::throttle::Throttle;
use crate::threads::{self, lock};
use crate::wire::{Offer, Role, View};
use config::{control_folder, endpoint, state_of};
use home::kept_id;
use job::Jobs;
use registrations::{Registrations, Step};
use serve::{Asker, Complaints, Held, Host, Shared, Uploads};
use share::Share;
use trackers::{Part, Registry, Trackers};

/// Descriptors of one asker: its socket, a wake, the file it is sent.
const DESCRIPTORS_EACH: usize = 3;
/// How long to wait before accepting again when the system has no more descriptors or threads.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the transfers together may take to end when a peer stops.
const JOB_PATIENCE: Duration = Duration::from_millis(500);

/// A running peer. Dropping it does not stop it; [`Peer::stop`] does.
#[derive(Debug)]
pub struct Peer {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads of a peer share.
#[derive(Debug)]
struct Inner {
    identity: Identity,
    addr: SocketAddr,
    advertise: (crate::content::Host, u16),
    limits: Limits,
    faults: Option<FaultPlan>,
    latencies: Latencies,
    state: Option<PathBuf>,
    share: Option<Arc<Share>>,
    uploads: Arc<Uploads>,
    throttle_down: Option<Mutex<Throttle>>,
    trackers: OnceLock<Trackers>,
    jobs: Jobs,
    registrations: Registrations,
    askers: Mutex<Vec<Weak<Asker>>>,
    guests: Arc<Guests>,
    complaints: Mutex<Complaints>,
    stopping: AtomicBool,
    wake: Wake,
    control_wake: Wake,
    /// Dropped when the peer stops, which threads that wait on channels see as `quitting`.
    quit: Mutex<Option<Sender<()>>>,
    quitting: Receiver<()>,
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
    let addr = listener.local_addr()?;
    let state = match (&config.state, &config.folder) {
        (Some(state), _) => Some(state.clone()),
        (None, Some(folder)) => Some(state_of(folder)?),
        (None, None) => None,
    };
    // Before the folder is hashed, which may take long: a place for the state is missed at once.
    let peer = match &state {
        Some(state) => kept_id(state).map_err(|error| PeerError::State { path: state.clone(), error })?,
        None => net::random_id(),
    };
    if let Some(state) = &state {
        disk::sweep(state, config.limits.keep_partial);
    }
    let share = open_share(&config, progress)?;
    let advertise = endpoint(config.advertise.as_deref(), addr)?;
    let identity = Identity { peer: peer.into(), name: config.name, listen_port: advertise.1 };
    let (quit, quitting) = crossbeam_channel::bounded(0);
    let inner = Arc::new(Inner {
        identity,
        addr,
        advertise,
        state,
        share,
        uploads: Arc::new(Uploads::new(config.limits.up)),
        throttle_down: config.limits.down.map(|rate| Mutex::new(Throttle::new(rate, Instant::now()))),
        guests: Guests::new(match config.folder.is_some() {
            true => descriptors::carried(config.limits.max_connections, DESCRIPTORS_EACH),
            false => config.limits.max_connections,
        }),
        limits: config.limits,
        complaints: Mutex::default(),
        faults: config.faults,
        latencies: config.latencies,
        trackers: OnceLock::new(),
        jobs: Jobs::default(),
        registrations: Registrations::default(),
        askers: Mutex::new(Vec::new()),
        stopping: AtomicBool::new(false),
        wake: Wake::new()?,
        control_wake: Wake::new()?,
        quit: Mutex::new(Some(quit)),
        quitting,
    });
    let registry: Arc<dyn Registry> = inner.clone();
    let trackers = Trackers::start(&config.trackers, &inner.identity, &registry)?;
    let _ = inner.trackers.set(trackers);
    let mut threads = Vec::new();
    let accepting = inner.clone();
    threads.push(threads::named("accept").essential(move || accepting.accept(&listener))?);
    if let Some(share) = inner.share.clone() {
        let following = inner.clone();
        threads.push(threads::named("changes").essential(move || following.follow(&share))?);
    }
    if let (Some(folder), Some(state)) = (&config.folder, &inner.state) {
        let refused = |error| PeerError::State { path: state.clone(), error };
        let home = control_folder(folder, state).map_err(refused)?;
        let listener = control::listen(&home).map_err(refused)?;
        let controlled = inner.clone();
        threads.push(threads::named("control").essential(move || controlled.control(&listener, &home))?);
    }
    Ok(Peer { inner, threads })
}

fn open_share(
    config: &Config,
    progress: &mut dyn FnMut(share::Progress) -> ControlFlow<()>,
) -> Result<Option<Arc<Share>>, PeerError> {
    let Some(folder) = &config.folder else { return Ok(None) };
    let prefix = match config.prefix && folder.is_dir() {
        true => std::fs::canonicalize(folder)?.file_name().map(|name| format!("{}/", name.to_string_lossy())),
        false => None,
    };
    let state = config.state.clone().map_or_else(|| state_of(folder), Ok)?;
    let share = share::Config { folder: folder.clone(), prefix, state, watch: config.watch, threads: 0 };
    Ok(Some(Share::open(share, progress)?))
}

impl Peer {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.inner.addr
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.identity.name
    }

    /// What it shares from its folder.
    pub fn summary(&self) -> share::Summary {
        self.inner.share.as_ref().map_or_else(share::Summary::default, |share| share.summary())
    }

    /// Everything it offers now.
    pub fn offers(&self) -> Vec<Offer> {
        self.inner.offers()
    }

    /// Fetches `want` into `dest`; what happens is told by the returned job.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn fetch(&self, want: Want, dest: Dest) -> io::Result<Job> {
        Job::start(&self.inner, want, dest)
    }

    /// The trackers, and whether each is connected.
    pub fn trackers(&self) -> Vec<(String, bool)> {
        self.inner.trackers().states()
    }

    /// Uploads served and downloads running now.
    pub fn load(&self) -> (u16, u16) {
        self.inner.load()
    }

    /// Fetches that are under way or lend what they fetched, the oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        self.inner.jobs.live().into_iter().map(Job::from).collect()
    }

    /// Stops: transfers end with what is proved kept, LEAVE is sent, connections are closed.
    pub fn stop(self) {
        for job in self.jobs() {
            job.cancel();
        }
        // What is proved is on the disk, whatever a job still does; a slow disk is not waited for.
        let until = Instant::now() + JOB_PATIENCE;
        for job in self.jobs() {
            job.leave(until.saturating_duration_since(Instant::now()));
        }
        self.inner.stopping.store(true, Ordering::Release);
        self.inner.trackers().stop();
        self.inner.wake.wake();
        self.inner.control_wake.wake();
        drop(lock(&self.inner.quit).take());
        for asker in lock(&self.inner.askers).drain(..).filter_map(|asker| asker.upgrade()) {
            asker.wake.wake();
        }
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn trackers(&self) -> &Trackers {
        self.trackers.get().expect("set before any thread that uses it is started")
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        let mut said = say::Seldom::default();
        while !self.is_stopping() {
            match listener.accept() {
                Ok((stream, addr)) => self.clone().take_connection(stream, addr),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = self.wake.wait_with(listener, Duration::from_secs(60));
                }
                Err(error) => {
                    // No descriptors left, most likely: others may close some.
                    if said.is_due(Instant::now()) {
                        tracing::warn!("cannot accept a connection: {error}; trying again");
                    }
                    let _ = self.wake.wait_alone(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Takes requests on the local socket, a thread each.
    fn control(self: Arc<Self>, listener: &UnixListener, home: &Path) {
        while !self.is_stopping() {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = self.control_wake.wait_with(listener, Duration::from_secs(60));
                    continue;
                }
                Err(_) => {
                    let _ = self.control_wake.wait_alone(ACCEPT_PAUSE);
                    continue;
                }
            };
            let inner = self.clone();
            let answering = move || {
                if let Err(error) = control::answer(&inner, stream) {
                    tracing::debug!("a request on the local socket ended: {error}");
                }
            };
            threads::may_panic("control");
            if let Err(error) = threads::named("control-answer").connection(answering) {
                tracing::warn!("no thread for a request: {error}");
            }
        }
        control::remove(home);
    }

    fn take_connection(self: Arc<Self>, stream: TcpStream, addr: SocketAddr) {
        let stream = Arc::new(stream);
        let Some(guest) = self.guests.let_in(&stream, addr) else { return };
        let inner = self.clone();
        threads::may_panic("accept");
        if let Err(error) = threads::named("serve").connection(move || inner.serve(stream, &guest)) {
            tracing::warn!("no thread for a connection: {error}");
        }
    }

    fn serve(&self, stream: Arc<TcpStream>, guest: &Guest) {
        let part = |theirs| match theirs {
            Role::Ask => Some(Role::Serve),
            Role::Serve => Some(Role::Ask),
            Role::Member | Role::Tracker => None,
        };
        let outcome = stream.set_nonblocking(false).map_err(net::NetError::from).and_then(|()| {
            let session = net::welcome(stream, &self.identity, Side::Serve, part)?;
            guest.greeted();
            match session.theirs.role {
                Role::Serve => self.fetch_from(session),
                _ => serve::run(self, session, &guest.activity, &|| self.is_stopping()),
            }
        });
        if let Err(error) = outcome {
            tracing::debug!("a serving connection ended: {error}");
        }
    }

    /// A peer that cannot be dialled offers to serve: the youngest running transfer asks it.
    fn fetch_from(&self, session: net::Session<Arc<TcpStream>>) -> Result<(), net::NetError> {
        let running = self.jobs.running().next_back().map(|(_, transfer)| transfer);
        let addr = session.addr.to_string();
        match running
            .map(|transfer| transfer::connection::run(&transfer, session, &addr, self.throttle_down.as_ref()))
        {
            Some(Err(transfer::connection::FetchEnd::Net(error))) => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells the trackers what changes in the folder.
    fn follow(self: Arc<Self>, share: &Share) {
        let changes = share.changes();
        loop {
            select! {
                recv(changes) -> change => match change {
                    Ok(change) => {
                        threads::may_panic("changes");
                        self.registrations.share_changed(change, &|id| self.shared(id), &|step| self.tell(step));
                    }
                    Err(_) => return,
                },
                recv(self.quitting) -> _ => return,
            }
        }
    }
}

/// What the trackers are told.
impl Inner {
    /// A transfer registers what it will have.
    fn register(&self, job: u64, offer: Offer) {
        self.registrations.enter(job, offer, &|step| self.tell(step));
    }

    /// A transfer gives up its registration; what the share or another transfer has stays.
    fn withdraw(&self, job: u64) {
        self.registrations.withdraw(job, &|id| self.shared(id), &|step| self.tell(step));
    }

    fn shared(&self, id: FileId) -> Vec<Offer> {
        self.share.as_ref().map_or_else(Vec::new, |share| share.offers_of(id))
    }

    fn tell(&self, step: Step) {
        self.trackers().update(&step.added, &step.removed);
        for (_, transfer) in self.jobs.held().filter(|(_, transfer)| step.parts.contains(&transfer.content()))
        {
            self.trackers().have(transfer.content(), &transfer.had().ranges());
        }
    }
}

impl Host for Inner {
    fn find(&self, id: FileId, view: View) -> Option<Held> {
        // The share first: what it has is whole.
        let shared = self.share.as_ref().and_then(|share| Shared::find(share, id, view)).map(Held::Shared);
        shared.or_else(|| self.jobs.serving(id, view).map(Held::Fetching))
    }

    fn met(&self, id: FileId, view: View, peer: PeerId, addr: String) {
        if let Some(transfer) = self.jobs.serving(id, view) {
            transfer.met(peer, addr);
        }
    }

    fn join(&self, asker: &Arc<Asker>) {
        let mut askers = lock(&self.askers);
        askers.retain(|asker| asker.strong_count() > 0);
        askers.push(Arc::downgrade(asker));
    }

    fn uploads(&self) -> &Arc<Uploads> {
        &self.uploads
    }

    fn downloads(&self) -> u16 {
        self.load().1
    }

    fn faults(&self) -> Option<&FaultPlan> {
        self.faults.as_ref()
    }

    fn hears(&self, addr: IpAddr) -> bool {
        lock(&self.complaints).admit(addr, Instant::now())
    }

    fn latency(&self, name: &str) -> Duration {
        let delay = self.faults.as_ref().map_or(Duration::ZERO, |plan| plan.delay);
        self.latencies.between(&self.identity.name, name) + delay
    }
}

impl Registry for Inner {
    fn offers(&self) -> Vec<Offer> {
        self.registrations.with_shared(self.share.as_ref().map_or_else(Vec::new, |share| share.offers()))
    }

    fn parts(&self) -> Vec<Part> {
        let registered = self.jobs.held().filter(|(job, _)| self.registrations.has(*job));
        registered.map(|(_, transfer)| (transfer.content(), transfer.had().ranges())).collect()
    }

    fn load(&self) -> (u16, u16) {
        let uploads = self.uploads.busy.load(Ordering::Relaxed).min(u32::from(u16::MAX)) as u16;
        (uploads, self.jobs.running().count().min(usize::from(u16::MAX)) as u16)
    }

    fn endpoint(&self) -> (crate::content::Host, u16) {
        self.advertise.clone()
    }
}

/// What a name is called at a tracker.
fn offered_name(name: &SafeName) -> crate::wire::Name {
    crate::wire::Name::new(name.as_str())
}

/// How long until `deadline`, if there is one.
fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}
