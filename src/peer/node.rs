//! The state of a running peer, as its threads share it: each part has its owner, and this holds them together.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::addresses::Addresses;
use super::callers::Called;
use super::job::Means;
use super::lend::{Found, Store};
use super::mischief::{FaultPlan, Latencies, Mischief};
use super::news::News;
use super::page::Page;
use super::serve::{Complaints, Held, Host, Shared, Uploads};
use super::trackers::{Part, Registry};
use crate::content::{Address, FileId, PeerId};
use crate::net::wake::Wake;
use crate::threads::lock;
use crate::wire::{Offer, ToServer, View};

/// What the threads of a peer share.
#[derive(Debug)]
pub(super) struct Node {
    /// What it has, and what jobs may use.
    pub(super) means: Arc<Means>,
    /// Where it listens.
    pub(super) addr: SocketAddr,
    /// Where others are told to dial it.
    pub(super) addresses: Addresses,
    pub(super) uploads: Arc<Uploads>,
    /// What it lends, if it is a store.
    pub(super) store: Option<Arc<Store>>,
    /// Connections to those who cannot dial this peer.
    pub(super) called: Called,
    pub(super) complaints: Mutex<Complaints>,
    pub(super) faults: Option<FaultPlan>,
    pub(super) latencies: Latencies,
    pub(super) page: Page,
}

impl Host for Node {
    fn find(&self, id: FileId, view: View) -> Option<Held> {
        let holdings = &self.means.holdings;
        // The share first: what it has is whole.
        let shared = holdings.share.as_ref().and_then(|share| Shared::find(share, id, view));
        let shared = shared.map(Held::Shared);
        let fetched = || shared.or_else(|| holdings.serving(id, view).map(Held::Fetching));
        fetched().or_else(|| match self.store.as_ref()?.find(id, view)? {
            Found::Coming(transfer) => Some(Held::Fetching(transfer)),
            Found::Kept(kept) => Some(Held::Kept(kept)),
        })
    }

    fn met(&self, id: FileId, view: View, peer: PeerId, addr: String) {
        let kept = || self.store.as_ref()?.fetch_of((id, view));
        if let Some(transfer) = self.means.holdings.serving(id, view).or_else(kept) {
            transfer.met(peer, addr);
        }
    }

    fn join(&self, wake: &Arc<Wake>) {
        self.means.stop.wakes(wake);
    }

    fn uploads(&self) -> &Arc<Uploads> {
        &self.uploads
    }

    fn downloads(&self) -> u16 {
        self.load().1
    }

    fn finished(&self, (id, view): (FileId, View), name: &str, addr: IpAddr) {
        // A listing is fetched for what it lists, and that is told when it has come.
        let Some(share) = &self.means.holdings.share else { return };
        let is_it = |offer: &Offer| offer.name.ends_with('/') == (view == View::Members);
        if let Some(offer) = share.offers_of(id).into_iter().find(is_it) {
            let (what, to) = (offer.name.to_string(), name.to_owned());
            self.means.news.tell(News::Sent { name: what, bytes: offer.total, to, addr });
        }
    }

    fn hears(&self, addr: IpAddr) -> bool {
        lock(&self.complaints).admit(addr, Instant::now())
    }

    fn mischief(&self, name: &str, number: u32) -> Mischief<(u32, ToServer)> {
        let latency = self.latencies.between(&self.means.identity.name, name);
        Mischief::new(self.faults.as_ref(), latency, number)
    }
}

impl Registry for Node {
    fn offers(&self) -> Vec<Offer> {
        self.means.holdings.offers()
    }

    fn parts(&self) -> Vec<Part> {
        self.means.holdings.parts()
    }

    fn load(&self) -> (u16, u16) {
        (self.uploads.busy(), self.means.holdings.running().len().min(usize::from(u16::MAX)) as u16)
    }

    fn listens(&self) -> (u16, Vec<Address>) {
        self.addresses.now()
    }
}
