//! What this peer has for others, the shared folder's and what transfers bring; and what its trackers hear of that.

use std::sync::{Arc, Mutex};

use super::registrations::{Registrations, Step};
use super::share::{Change, Share};
use super::trackers::{Part, Trackers};
use super::transfer::Transfer;
use crate::content::FileId;
use crate::threads::lock;
use crate::wire::{Offer, View};

/// What a peer has.
#[derive(Debug)]
pub(super) struct Holdings {
    pub(super) share: Option<Arc<Share>>,
    pub(super) trackers: Trackers,
    registrations: Registrations,
    /// Each with the number of its job, the oldest first: under way, or lending what came.
    transfers: Mutex<Vec<(u64, Arc<Transfer>)>>,
}

impl Holdings {
    pub(super) fn new(share: Option<Arc<Share>>, trackers: Trackers) -> Holdings {
        Holdings { share, trackers, registrations: Registrations::default(), transfers: Mutex::default() }
    }

    /// What a job's transfer has may be served from now on.
    pub(super) fn lend(&self, job: u64, transfer: Arc<Transfer>) {
        lock(&self.transfers).push((job, transfer));
    }

    /// A job registers what its transfer will have.
    pub(super) fn register(&self, job: u64, offer: Offer) {
        self.registrations.enter(job, offer, &|step| self.tell(step));
    }

    pub(super) fn is_registered(&self, job: u64) -> bool {
        self.registrations.has(job)
    }

    /// A job lends nothing any more, and gives up its registration; what the share or another job has stays.
    pub(super) fn withdraw(&self, job: u64) {
        lock(&self.transfers).retain(|(other, _)| *other != job);
        self.registrations.withdraw(job, &|id| self.shared(id), &|step| self.tell(step));
    }

    /// The shared folder has changed.
    pub(super) fn share_changed(&self, change: Change) {
        self.registrations.share_changed(change, &|id| self.shared(id), &|step| self.tell(step));
    }

    /// What the shared folder offers of an id.
    pub(super) fn shared(&self, id: FileId) -> Vec<Offer> {
        self.share.as_ref().map_or_else(Vec::new, |share| share.offers_of(id))
    }

    /// Everything that is offered.
    pub(super) fn offers(&self) -> Vec<Offer> {
        self.registrations.with_shared(self.share.as_ref().map_or_else(Vec::new, |share| share.offers()))
    }

    /// Of what is registered and here in part, the chunks that are here.
    pub(super) fn parts(&self) -> Vec<Part> {
        let contents = self.contents().into_iter().filter(|(job, _)| self.registrations.has(*job));
        contents.map(|(_, transfer)| (transfer.content(), transfer.had().runs())).collect()
    }

    /// The transfer that can serve this.
    pub(super) fn serving(&self, id: FileId, view: View) -> Option<Arc<Transfer>> {
        let all = lock(&self.transfers);
        let serves = |transfer: &Transfer| transfer.content() == (id, view) && transfer.is_servable();
        all.iter().map(|(_, transfer)| transfer).find(|transfer| serves(transfer)).cloned()
    }

    /// True while something is on its way here.
    pub(super) fn is_fetching(&self) -> bool {
        lock(&self.transfers).iter().any(|(_, transfer)| !transfer.is_over())
    }

    /// The youngest transfer that wants some of this id, as a file, a listing or what is listed.
    pub(super) fn wanting(&self, id: FileId) -> Option<Arc<Transfer>> {
        let all = lock(&self.transfers);
        let wanting = all.iter().rev().map(|(_, transfer)| transfer);
        wanting.filter(|transfer| !transfer.is_over()).find(|transfer| transfer.id == id).cloned()
    }

    /// The transfers of contents that are not over, the oldest first.
    pub(super) fn running(&self) -> Vec<Arc<Transfer>> {
        let contents = self.contents().into_iter().map(|(_, transfer)| transfer);
        contents.filter(|transfer| !transfer.is_over()).collect()
    }

    /// The transfers that can be served, but for those of listings.
    fn contents(&self) -> Vec<(u64, Arc<Transfer>)> {
        let is_content = |transfer: &Transfer| (transfer.view == View::Members) == transfer.name.is_tree();
        let mut all = lock(&self.transfers).clone();
        all.retain(|(_, transfer)| is_content(transfer) && transfer.is_servable());
        all
    }

    fn tell(&self, step: Step) {
        self.trackers.update(&step.added, &step.removed);
        for (_, transfer) in self.contents() {
            if step.parts.contains(&transfer.content()) {
                self.trackers.have(transfer.content(), &transfer.had().runs());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::transfer::{End, of_one_byte};
    use crate::wire::Name;

    fn offer(name: &str) -> Offer {
        let (name, id) = (Name::new(name), FileId([1; 32]));
        Offer { name, id, size: 1, total: 1, chunks: 1, complete: false, original: false, modified: 0 }
    }

    #[test]
    fn the_oldest_that_can_serve_serves_and_the_youngest_that_wants_gets_until_they_end() {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [old, young] = folders.each_ref().map(|folder| Arc::new(of_one_byte(folder.path())));
        let holdings = Holdings::new(None, Trackers::new(&[]).unwrap());
        let (id, view) = old.content();
        assert!(
            !holdings.is_fetching() && holdings.serving(id, view).is_none() && holdings.wanting(id).is_none()
        );
        holdings.lend(1, old.clone());
        holdings.lend(2, young.clone());
        let is =
            |found: Option<Arc<Transfer>>, one: &Arc<Transfer>| found.is_some_and(|it| Arc::ptr_eq(&it, one));
        assert!(is(holdings.serving(id, view), &old) && is(holdings.wanting(id), &young));
        assert_eq!(holdings.running().len(), 2);
        assert!(holdings.serving(id, View::Members).is_none() && holdings.wanting(FileId([9; 32])).is_none());
        young.finish(End::Cancelled);
        assert!(is(holdings.wanting(id), &old) && holdings.is_fetching());
        assert!(holdings.running().iter().all(|it| Arc::ptr_eq(it, &old)));
        old.finish(End::Cancelled);
        assert!(holdings.serving(id, view).is_none() && !holdings.is_fetching());
        holdings.withdraw(1);
        holdings.withdraw(2);
        assert!(holdings.running().is_empty());
    }

    #[test]
    fn what_is_registered_is_offered_until_it_is_withdrawn_and_only_of_that_parts_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let holdings = Holdings::new(None, Trackers::new(&[]).unwrap());
        let transfer = Arc::new(of_one_byte(folder.path()));
        holdings.lend(1, transfer.clone());
        assert!(holdings.parts().is_empty() && holdings.offers().is_empty() && !holdings.is_registered(1));
        holdings.register(1, offer("x"));
        holdings.register(2, offer("y"));
        let parts: Vec<_> = holdings.parts().into_iter().map(|(content, _)| content).collect();
        assert_eq!(parts, [transfer.content()]);
        let names = |holdings: &Holdings| {
            holdings.offers().iter().map(|one| one.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&holdings), ["x", "y"]);
        holdings.withdraw(1);
        assert_eq!((names(&holdings), holdings.is_registered(1)), (vec!["y".to_owned()], false));
        assert!(holdings.parts().is_empty());
    }
}
