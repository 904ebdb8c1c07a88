//! The links to the trackers: one thread each, to those that were given and to those that say they are one with them.
//!
//! What a peer registers is soft state: whenever a link is made anew, all of it is told again.

mod family;
mod link;
mod registry;
mod seats;
mod worker;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crossbeam_channel::{Receiver, bounded};

use super::stop::Stop;
use crate::content::{FileId, Run};
use crate::net::Identity;
use crate::threads;
use crate::threads::lock;
use crate::wire::{Locate, Located, Name, Offer, Report, View};
use family::{Families, Step};
pub(super) use link::Line;
use link::{Link, Order};
pub(super) use registry::{Part, Registry};
use seats::Seats;
pub(super) use worker::cut_off;
use worker::{Told, Worker};

/// All trackers of a peer, each of which has one link, however many addresses of it were given.
#[derive(Debug)]
pub(super) struct Trackers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    links: Mutex<Vec<Arc<Link>>>,
    families: Mutex<Families>,
    seats: Arc<Seats>,
    /// What links are started with, once they are.
    means: OnceLock<Means>,
    /// What else there is to be for each tracker. Held while links come, so that each has it once.
    followers: Mutex<Vec<Follower>>,
}

struct Means {
    me: Identity,
    registry: Arc<dyn Registry>,
    stop: Arc<Stop>,
}

/// Has something done for a tracker that there is a link to.
struct Follower(Box<dyn Fn(Line) -> io::Result<()> + Send>);

impl Trackers {
    /// What there is to tell each tracker is kept until its link is there.
    pub(super) fn new(addrs: &[String]) -> io::Result<Trackers> {
        let inner = Inner::default();
        for addr in addrs {
            lock(&inner.families).given(addr);
            lock(&inner.links).push(Link::new(addr)?);
        }
        Ok(Trackers(Arc::new(inner)))
    }

    /// Starts a link to each tracker; when the peer stops, each tells LEAVE if it can.
    pub(super) fn start(
        &self,
        me: &Identity,
        registry: &Arc<dyn Registry>,
        stop: &Arc<Stop>,
    ) -> io::Result<()> {
        let means = Means { me: me.clone(), registry: registry.clone(), stop: stop.clone() };
        let means = self.0.means.get_or_init(|| means);
        self.links().iter().try_for_each(|link| self.0.start(means, link))
    }

    /// From now on `begin` is called for each tracker that there is, and for each that there will be.
    ///
    /// # Errors
    /// The first of `begin`.
    pub(super) fn follow(&self, begin: impl Fn(Line) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let mut followers = lock(&self.0.followers);
        self.links().into_iter().map(Line).try_for_each(&begin)?;
        followers.push(Follower(Box::new(begin)));
        Ok(())
    }

    /// The peer stops: nobody begins anything more.
    pub(super) fn end(&self) {
        lock(&self.0.followers).clear();
    }

    /// Addresses that were one with a given one the last time that it was asked.
    pub(super) fn remembered(&self, given: &str, others: &[String]) {
        for other in others {
            let step = lock(&self.0.families).remembered(given, other);
            self.0.carry_out(step);
        }
    }

    fn links(&self) -> Vec<Arc<Link>> {
        lock(&self.0.links).clone()
    }

    /// Each tracker.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line> {
        self.links().into_iter().map(Line)
    }

    /// The trackers and whether they are connected.
    pub(super) fn states(&self) -> Vec<(String, bool)> {
        self.links().iter().map(|link| (link.addr.clone(), link.connected.get())).collect()
    }

    pub(super) fn any_connected(&self) -> bool {
        self.links().iter().any(|link| link.connected.get())
    }

    /// What one of them said that refused the last question.
    pub(super) fn refusal(&self) -> Option<String> {
        self.links().iter().find_map(|link| lock(&link.refusal).clone())
    }

    pub(super) fn update(&self, added: &[Offer], removed: &[(Name, FileId)]) {
        for link in self.links() {
            link.order(Order::Update { added: added.to_vec(), removed: removed.to_vec() });
        }
    }

    pub(super) fn have(&self, content: (FileId, View), gained: &[Run]) {
        for link in self.links() {
            link.order(Order::Have(content, gained.to_vec()));
        }
    }

    pub(super) fn report(&self, report: &Report) {
        for link in self.links() {
            link.order(Order::Report(report.clone()));
        }
    }

    /// Asks every tracker; answers come as they arrive, none from a tracker that is away.
    pub(super) fn locate(&self, locate: &Locate) -> Receiver<Located> {
        let links = self.links();
        let (sender, receiver) = bounded(links.len());
        for link in links {
            link.order(Order::Locate(locate.clone(), sender.clone()));
        }
        receiver
    }
}

impl Inner {
    fn start(self: &Arc<Self>, means: &Means, link: &Arc<Link>) -> io::Result<()> {
        means.stop.wakes(&link.wake);
        let inner: Weak<Inner> = Arc::downgrade(self);
        let told: Told = Arc::new(move |addr, cluster| {
            let Some(inner) = inner.upgrade() else { return };
            let step = lock(&inner.families).heard(addr, cluster);
            inner.carry_out(step);
        });
        let worker = Worker {
            link: link.clone(),
            seats: self.seats.clone(),
            me: means.me.clone(),
            registry: means.registry.clone(),
            told,
            stop: means.stop.clone(),
            _present: means.stop.enter(),
        };
        threads::named("tracker").essential(move || worker.run())?;
        Ok(())
    }

    /// Links come and go.
    fn carry_out(self: &Arc<Self>, Step { added, removed }: Step) {
        for (addr, key) in added {
            if let (Some(key), Some(means)) = (key, self.means.get()) {
                means.me.keyring.pin(&addr, key);
            }
            if let Err(error) = self.begin(&addr) {
                tracing::warn!("no link to the tracker {addr}: {error}");
            }
        }
        for addr in removed {
            let mut links = lock(&self.links);
            links.extract_if(.., |link| link.addr == addr).for_each(|link| link.end());
        }
    }

    /// Makes a link to one more tracker. Without a thread for its followers it goes on: what it registers is of use alone.
    fn begin(self: &Arc<Self>, addr: &str) -> io::Result<()> {
        let link = Link::new(addr)?;
        let followers = lock(&self.followers);
        lock(&self.links).push(link.clone());
        if let Some(means) = self.means.get() {
            self.start(means, &link)?;
        }
        followers.iter().try_for_each(|Follower(begin)| begin(Line(link.clone())))
    }
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Means")
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Follower")
    }
}

#[cfg(test)]
mod tests;
