//! The page of a peer or tracker: HTML, a JSON API, events, and metrics, from a thread for each connection.
//!
//! In front of every route stands one guard. What can be seen and done is what the command line and the local socket can
//! see and do, by the same functions and structs. Who reads: `docs/WEB.md` is what programs may rely on.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::service::service_fn;

use crate::content::{FileId, SafeName};
use crate::net;
use crate::net::guests::{Guest, Guests};
use crate::threads::{self, lock};
use accounts::Accounts;
use doorbell::Doorbell;
pub(crate) use doorbell::SOCKET;
use guard::Names;
pub(crate) use house::House;
use keep::Keep;
use service::Way;
use site::{Also, Site};
pub(crate) use tls::Certificate;
use tls::Tls;

mod accounts;
mod accounts_api;
mod answer;
mod assets;
mod bring;
mod cluster_api;
mod common_api;
mod doorbell;
mod download;
mod drive;
mod gathered;
mod gifts;
mod guard;
mod handed_in;
mod handed_out;
mod house;
mod hub;
mod keep;
mod members_api;
mod metrics;
mod passing;
mod peer_api;
mod picture;
mod request;
mod routes;
mod series;
mod service;
mod site;
mod stored_api;
mod storing;
mod swarm;
mod ticket;
mod tls;
mod tracker_api;
mod upload;
mod zip;

/// Connections at a time of those who have logged in; of others as many as [`crate::net::door`] says, the oldest of whom
/// makes room for who comes, so that a flood of them keeps nobody out.
const MAX_CONNECTIONS: usize = 256;
/// One on which nothing moved for so long makes room for another; longer than between two signs of life of a stream.
const GUEST_PATIENCE: Duration = Duration::from_secs(20);
/// Room for the stack of a connection's thread.
const STACK_BYTES: usize = 512 << 10;
/// How often a picture of what there is is taken, while somebody looks; and a sample for the plots.
const TICK: Duration = Duration::from_secs(1);
/// Ports that are tried one after the other when the usual one is taken.
const PORTS: u16 = 20;

/// How a page is set up.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// True if another port will do.
    pub(crate) any_port: bool,
    /// What it is called beside its address.
    pub(crate) hosts: Vec<String>,
    /// Who passes on to it what comes from other machines.
    pub(crate) proxy: Option<IpAddr>,
    /// By what connections are sealed; none: they are not.
    pub(crate) certificate: Option<Certificate>,
    /// True if others may read what is said.
    pub(crate) open: bool,
    /// Where this machine is found by others.
    pub(crate) outward: Vec<IpAddr>,
    /// Other pages, which go on when this one is gone.
    pub(crate) also: Vec<String>,
    /// What those pages and this one share.
    pub(crate) secret: Option<Vec<u8>>,
    /// The folder in which tokens and users are kept.
    pub(crate) keeps: Option<PathBuf>,
    /// The folder in which a tracker's owner asks for another link; none: nowhere.
    pub(crate) bell: Option<PathBuf>,
    /// Bytes that may lie about of what is fetched for who reads it here.
    pub(crate) cache: u64,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    /// Strangers could come, and read what is said.
    #[error(
        "a page at {0} could be read by others on the way; let it listen on 127.0.0.1 and reach it by `ssh -L`, or give it a \
         certificate with --web-cert and --web-key (--web-cert self makes one), or put a proxy with TLS in front of it and \
         name its address with --web-proxy"
    )]
    Open(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// There is no certificate that can be used.
    #[error("no certificate can be used: {0}")]
    Certificate(io::Error),
    /// Who may come in cannot be read.
    #[error("cannot read {0}: {1}; move it away, and all tokens and users are gone")]
    Kept(PathBuf, io::Error),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl Config {
    /// Whether it can be served so.
    ///
    /// # Errors
    /// Strangers could read what is said.
    pub(crate) fn check(&self) -> Result<(), WebError> {
        let sealed = self.certificate.is_some() || self.proxy.is_some();
        match self.listen.ip().is_loopback() || sealed || self.open {
            true => Ok(()),
            false => Err(WebError::Open(self.listen)),
        }
    }
}

/// A page that is served; it is to be stopped.
pub(crate) struct Web {
    site: Arc<Site>,
    guests: Arc<Guests>,
    listener: Arc<TcpListener>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("addr", &self.site.addr).finish_non_exhaustive()
    }
}

/// Serves a page.
///
/// # Errors
/// [`WebError`] says why there is none.
pub(crate) fn start(config: &Config, house: House) -> Result<Web, WebError> {
    config.check()?;
    let keeps = Keep::new(&house, config.keeps.as_deref());
    let kept = keeps.read().map_err(|(path, error)| WebError::Kept(path, error))?;
    let listener = listen(config)?;
    let addr = listener.local_addr().map_err(|error| WebError::Listen(config.listen, error))?;
    let is_alone = config.proxy.is_some() && config.certificate.is_none();
    let names = Names { hosts: config.hosts.clone(), proxy: config.proxy, is_alone };
    let make = |certificate| Tls::new(certificate, config.keeps.as_deref(), (&config.hosts, &config.outward));
    let tls = config.certificate.as_ref().map(make).transpose().map_err(WebError::Certificate)?;
    let outward = config.outward.iter().find(|ip| ip.is_ipv4() || addr.is_ipv6()).copied();
    let shown = match outward.filter(|_| addr.ip().is_unspecified()) {
        Some(outward) => SocketAddr::new(outward, addr.port()),
        None => addr,
    };
    let also = Also::new(&config.also, config.secret.as_deref());
    let accounts = (Accounts::new(kept), keeps);
    let site = Arc::new(Site::new(house, names, (addr, shown), tls, also, accounts, config.cache));
    let web = Web {
        site,
        guests: Guests::new(MAX_CONNECTIONS, GUEST_PATIENCE),
        listener: Arc::new(listener),
        threads: Mutex::default(),
    };
    let bell = config.bell.as_deref().map(Doorbell::hang).transpose();
    let bell = bell.unwrap_or_else(|error| {
        tracing::warn!("`p2p web login` cannot ask for links to the page at {}: {error}", web.url());
        None
    });
    match web.start_threads(bell) {
        Ok(()) => Ok(web),
        Err(error) => {
            web.stop();
            Err(WebError::Thread(error))
        }
    }
}

/// Listens where it is to, or at one of the next ports.
fn listen(config: &Config) -> Result<TcpListener, WebError> {
    let first = config.listen;
    let more = if config.any_port && first.port() != 0 { PORTS } else { 0 };
    let mut refused = None;
    for port in first.port()..=first.port().saturating_add(more) {
        let addr = SocketAddr::new(first.ip(), port);
        match net::listen(&addr.to_string()) {
            Ok(listener) => return Ok(listener),
            Err(error) => _ = refused.get_or_insert(error),
        }
    }
    Err(WebError::Listen(first, refused.unwrap_or_else(|| io::Error::other("no port"))))
}

impl Web {
    /// Where it is, as others type it.
    pub(crate) fn url(&self) -> String {
        self.site.url()
    }

    /// SHA-256 of the certificate by which it is sealed, as browsers show it.
    pub(crate) fn fingerprint(&self) -> Option<&str> {
        self.site.tls.as_ref().map(|tls| &*tls.fingerprint)
    }

    /// What makes links that let the owner in, each once.
    pub(crate) fn login(&self) -> impl Fn() -> String + Send + Sync + 'static {
        let site = self.site.clone();
        move || site.login_link()
    }

    /// A link that gives one content to whoever has it, by a browser that has nothing installed.
    pub(crate) fn hand_out(&self, id: FileId, name: &SafeName, size: u64, valid: Duration) -> String {
        handed_out::link(&self.site, (id, name.clone(), size), valid)
    }

    /// Ends all connections and threads. Calling it twice does no harm.
    pub(crate) fn stop(&self) {
        self.guests.begin_to_close();
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both); // it may be over already
        self.guests.close();
        self.site.storing.stop();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            let _ = thread.join();
        }
    }

    fn start_threads(&self, bell: Option<Doorbell>) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        let (site, guests, listener) = (self.site.clone(), self.guests.clone(), self.listener.clone());
        threads.push(threads::named("web-accept").essential(move || accept(&site, &guests, &listener))?);
        let (site, guests) = (self.site.clone(), self.guests.clone());
        threads.push(threads::named("web-hub").essential(move || watch(&site, &guests, bell.as_ref()))?);
        Ok(())
    }
}

/// Takes connections, and gives each a thread; one that finds no room is closed.
fn accept(site: &Arc<Site>, guests: &Arc<Guests>, listener: &TcpListener) {
    loop {
        let (stream, addr) = match net::accept(listener) {
            Ok(accepted) => accepted,
            Err(_) if guests.is_closing() => return,
            Err(error) => {
                tracing::debug!("page: {error}");
                if !guests.pause(Duration::from_millis(50)) {
                    return;
                }
                continue;
            }
        };
        let Ok(guest) = guests.let_in(stream, addr) else { continue };
        let site = site.clone();
        let serve = move || serve(&site, &guest);
        if let Err(error) = threads::named("web").stack(STACK_BYTES).connection(serve) {
            tracing::warn!("no thread for a connection to the page: {error}");
        }
    }
}

/// Serves one connection until it ends.
fn serve(site: &Arc<Site>, guest: &Guest) {
    let stream = guest.handle.socket();
    let Ok(ours) = stream.local_addr() else { return };
    let theirs = guest.addr;
    threads::may_panic("web");
    let service = |clock| {
        service_fn(move |request| {
            let way = Way { theirs, ours, clock: drive::Clock::clone(&clock), guest };
            service::serve(site.clone(), way, request)
        })
    };
    if let Err(error) = drive::serve(stream, site.tls.as_ref(), &guest.activity, service) {
        tracing::debug!("page, {theirs}: {error}");
    }
}

/// Once a second: a sample for the plots, what changed for those who look, and a link for who asks for one.
fn watch(site: &Site, guests: &Guests, bell: Option<&Doorbell>) {
    let mut sampler = picture::Sampler::default();
    while guests.pause(TICK) {
        threads::may_panic("web-hub");
        let sample = sampler.sample(site);
        lock(&site.series).add(sample);
        site.gathered.sweep();
        site.keeps.refresh(&site.accounts);
        site.passing.sweep(Instant::now());
        bell.iter().for_each(|bell| bell.answer(|| site.login_link()));
        if site.hub.listeners() > 0 {
            site.hub.show(picture::picture(site));
        }
    }
}

#[cfg(test)]
mod tests;
