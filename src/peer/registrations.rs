//! What the trackers are told that is here, kept by owner: the shared folder has its registrations, each
//! transfer has one of its own, and the trackers hear of the union. Who gives up what another has too takes
//! nothing away.
//!
//! The share's own list is not repeated here: it is asked for by id. What is a file and a listing both is two
//! contents of one id, and what happens to one is no word about the other. Steps are told under the lock, so that
//! trackers hear them in the order in which they were decided.

use std::sync::Mutex;

use super::share::Change;
use crate::content::FileId;
use crate::threads::lock;
use crate::wire::{Name, Offer, View};

/// What to tell the trackers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// To be told before `added`.
    pub(super) removed: Vec<(Name, FileId)>,
    pub(super) added: Vec<Offer>,
    /// Of these the chunks that are here are to be told anew: a tracker has forgotten them.
    pub(super) parts: Vec<(FileId, View)>,
}

/// What the shared folder offers of an id.
pub(super) type Shared<'a> = dyn Fn(FileId) -> Vec<Offer> + 'a;
/// Carries a step to the trackers' links.
pub(super) type Tell<'a> = dyn Fn(Step) + 'a;

/// The registrations of transfers, each with the number of its job.
#[derive(Debug, Default)]
pub(super) struct Registrations(Mutex<Vec<(u64, Offer)>>);

impl Registrations {
    /// A transfer registers what it will have.
    pub(super) fn enter(&self, job: u64, offer: Offer, tell: &Tell<'_>) {
        let mut all = lock(&self.0);
        all.retain(|(other, _)| *other != job);
        all.push((job, offer.clone()));
        tell(Step { added: vec![offer], ..Step::default() });
    }

    /// True if the transfer has a registration.
    pub(super) fn has(&self, job: u64) -> bool {
        lock(&self.0).iter().any(|(other, _)| *other == job)
    }

    /// A transfer gives up its registration.
    pub(super) fn withdraw(&self, job: u64, shared: &Shared<'_>, tell: &Tell<'_>) {
        let mut all = lock(&self.0);
        let Some(at) = all.iter().position(|(other, _)| *other == job) else { return };
        let (_, gone) = all.remove(at);
        let mut step = Step::default();
        lose(&all, shared(gone.id), (gone.name, gone.id), &mut step);
        tell(step);
    }

    /// The shared folder has changed, which `shared` knows already.
    pub(super) fn share_changed(&self, change: Change, shared: &Shared<'_>, tell: &Tell<'_>) {
        let all = lock(&self.0);
        let mut step = Step { added: change.added, ..Step::default() };
        for gone in change.removed {
            // Of what no transfer has, the share's word is the whole truth.
            match all.iter().any(|(_, offer)| is_of(offer, &gone)) {
                true => lose(&all, shared(gone.1), gone, &mut step),
                false => step.removed.push(gone),
            }
        }
        tell(step);
    }

    /// Everything: what the shared folder offers, and what transfers add to it.
    pub(super) fn with_shared(&self, mut offers: Vec<Offer>) -> Vec<Offer> {
        // The share's first: of two registrations under one name the first counts, and its are complete.
        offers.extend(lock(&self.0).iter().map(|(_, offer)| offer.clone()));
        offers
    }
}

/// One owner has lost `gone`: it is removed unless another has it. A tracker that believes this peer to have
/// all chunks of a content goes on believing so while any name of it is left; so if nobody here has them all
/// any more, the names that are left are registered anew.
fn lose(transfers: &[(u64, Offer)], shared: Vec<Offer>, gone: (Name, FileId), step: &mut Step) {
    let mut left = shared;
    left.extend(transfers.iter().map(|(_, offer)| offer.clone()));
    left.retain(|offer| is_of(offer, &gone));
    let whole = left.iter().any(|offer| offer.complete);
    if !whole && !left.is_empty() {
        step.removed.extend(left.iter().map(|offer| (offer.name.clone(), offer.id)));
        step.parts.push((gone.1, view_of(&gone.0)));
    }
    if !left.iter().any(|offer| offer.name == gone.0) {
        step.removed.push(gone);
    }
    step.added.extend(left);
}

/// True if the offer is of the content that was given up, under whatever name.
fn is_of(offer: &Offer, (name, id): &(Name, FileId)) -> bool {
    offer.id == *id && view_of(&offer.name) == view_of(name)
}

/// What a name stands for: a tree's ends with `/`.
fn view_of(name: &Name) -> View {
    if name.ends_with('/') { View::Members } else { View::Bytes }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn offer(name: &str, id: u8, complete: bool) -> Offer {
        let (name, id) = (Name::new(name), FileId([id; 32]));
        Offer { name, id, size: 1, total: 1, chunks: 1, complete, original: complete, modified: 0 }
    }

    fn pair(name: &str, id: u8) -> (Name, FileId) {
        (Name::new(name), FileId([id; 32]))
    }

    /// What `act` has trackers told while the shared folder offers `shared`.
    fn told(shared: &[Offer], act: impl FnOnce(&Shared<'_>, &Tell<'_>)) -> Vec<Step> {
        let steps = RefCell::new(Vec::new());
        let of = |id| shared.iter().filter(|offer| offer.id == id).cloned().collect();
        act(&of, &|step| steps.borrow_mut().push(step));
        steps.into_inner()
    }

    #[test]
    fn a_transfer_that_ends_takes_nothing_from_the_share() {
        let all = Registrations::default();
        let shared = [offer("a", 1, true)];
        told(&shared, |_, tell| all.enter(7, offer("a", 1, false), tell));
        let steps = told(&shared, |of, tell| all.withdraw(7, of, tell));
        assert_eq!(steps, [Step { added: vec![offer("a", 1, true)], ..Step::default() }]);
        assert!(told(&shared, |of, tell| all.withdraw(7, of, tell)).is_empty(), "it has nothing more");
    }

    #[test]
    fn what_a_transfer_has_under_another_name_goes_when_the_share_has_taken_over() {
        let all = Registrations::default();
        let shared = [offer("mine", 1, true)];
        told(&shared, |_, tell| all.enter(7, offer("theirs", 1, false), tell));
        let steps = told(&shared, |of, tell| all.withdraw(7, of, tell));
        let step = Step { removed: vec![pair("theirs", 1)], added: shared.to_vec(), parts: Vec::new() };
        assert_eq!(steps, [step]);
    }

    #[test]
    fn the_share_takes_nothing_from_a_running_transfer() {
        let all = Registrations::default();
        told(&[], |_, tell| all.enter(7, offer("a", 1, false), tell));
        told(&[], |_, tell| all.enter(8, offer("b", 1, false), tell));
        let change = Change { removed: vec![pair("a", 1), pair("c", 2)], added: vec![offer("d", 3, true)] };
        let steps = told(&[], |of, tell| all.share_changed(change, of, tell));
        let again = [offer("a", 1, false), offer("b", 1, false)];
        let removed = vec![pair("a", 1), pair("b", 1), pair("c", 2)];
        let added = [&[offer("d", 3, true)][..], &again].concat();
        assert_eq!(steps, [Step { removed, added, parts: vec![(FileId([1; 32]), View::Bytes)] }]);
    }

    #[test]
    fn a_file_with_the_id_of_a_listing_is_another_content() {
        let all = Registrations::default();
        for (job, name) in [(7, "t/"), (8, "u/")] {
            told(&[], |_, tell| all.enter(job, offer(name, 1, false), tell));
        }
        let file = [offer("saved", 1, true)];
        let steps = told(&file, |of, tell| all.withdraw(7, of, tell));
        let removed = vec![pair("u/", 1), pair("t/", 1)];
        let parts = vec![(FileId([1; 32]), View::Members)];
        assert_eq!(steps, [Step { removed, added: vec![offer("u/", 1, false)], parts }]);
        let change = Change { removed: vec![pair("saved", 1)], added: Vec::new() };
        let steps = told(&[], |of, tell| all.share_changed(change, of, tell));
        assert_eq!(steps, [Step { removed: vec![pair("saved", 1)], ..Step::default() }]);
    }

    #[test]
    fn of_two_transfers_of_one_name_the_last_takes_it_away() {
        let all = Registrations::default();
        for job in [7, 8] {
            told(&[], |_, tell| all.enter(job, offer("a", 1, false), tell));
        }
        let first = told(&[], |of, tell| all.withdraw(7, of, tell));
        assert_eq!(first[0].added, [offer("a", 1, false)]);
        let last = told(&[], |of, tell| all.withdraw(8, of, tell));
        assert_eq!(last, [Step { removed: vec![pair("a", 1)], ..Step::default() }]);
    }
}
