//! Asks one tracker for duties, again and again, and does what it says. What has to be fetched is fetched elsewhere.

use std::sync::Arc;
use std::time::Duration;

use super::agenda::Told;
use super::fetch;
use super::link::Link;
use super::remember;
use super::store::{Store, kind_of};
use super::vault::{Kept, Owner, VaultError};
use crate::content::ChunkSet;
use crate::net::NetError;
use crate::net::wake::Wake;
use crate::peer::questions::Questions;
use crate::swarm::backoff::Backoff;
use crate::threads::{self, lock};
use crate::wire::{Check, Discard, Duties, Duty, Keep, Look, Remember, Term};

/// First and longest pause after a connection that ended.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often it is looked whether the tracker gives duties now.
const LOOK: Duration = Duration::from_millis(200);

/// What asks the tracker of one link for duties.
pub(super) struct Asker {
    pub(super) store: Arc<Store>,
    /// The store's link to it.
    pub(super) link: Arc<Link>,
    pub(super) wake: Arc<Wake>,
}

impl Asker {
    /// Until the peer stops, or the tracker is not one of its any more.
    pub(super) fn run(self) {
        let mut backoff = Backoff::default();
        while !self.is_stopping() {
            if self.term().is_none() {
                let _ = self.wake.wait_alone(LOOK);
                continue;
            }
            match self.serve(&mut backoff) {
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!("duties of {}: {error}", self.link.line.addr());
                    let pause = backoff.next(FIRST_PAUSE, LONGEST_PAUSE, &mut fastrand::Rng::new());
                    let _ = self.wake.wait_alone(pause);
                }
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.store.means.stop.is_stopping() || self.link.line.is_over()
    }

    fn term(&self) -> Option<Term> {
        self.link.term()
    }

    /// Asks on a connection of its own, for as long as the tracker gives duties.
    fn serve(&self, backoff: &mut Backoff) -> Result<(), NetError> {
        let (addr, means) = (self.link.line.addr(), &self.store.means);
        let mut questions = Questions::dial(addr, &means.identity, (&self.wake, &means.stop))?;
        while let Some(term) = self.term() {
            let Some(Duties { term: theirs, duties }) = questions.ask(term)? else { return Ok(()) };
            *backoff = Backoff::default();
            threads::may_panic("lend-duties");
            // What is said in another term, this store has not heard of yet; a call is none of its business.
            let heard = |duty: &Duty| theirs == term || matches!(duty, Duty::Call(_));
            duties.into_vec().into_iter().filter(heard).for_each(|duty| self.obey(term, duty));
            fetch::start_next(&self.store); // once all are known, of which some may come together
            if theirs != term {
                self.link.meets_again();
            }
        }
        Ok(())
    }

    fn obey(&self, term: Term, duty: Duty) {
        let store = &self.store;
        let outcome = match duty {
            Duty::Call(call) => {
                store.called(call);
                Ok(())
            }
            Duty::Keep(keep) => {
                keep_told(store, &keep);
                Ok(())
            }
            Duty::Look(look) => {
                let Look { id, view, chunks, .. } = look;
                let none = Kept { id, kind: kind_of(view), chunks: ChunkSet::empty(chunks) };
                store.changed([store.vault.of(id, kind_of(view)).unwrap_or(none)]);
                Ok(())
            }
            Duty::Check(Check { id, view, chunk }) => {
                store.vault.check(id, kind_of(view), chunk).map(|less| {
                    store.rotted(less);
                    store.changed(store.vault.of(id, kind_of(view)));
                })
            }
            Duty::Discard(discard) => self.discard(term, &discard),
            Duty::Remember(Remember { id, view, published }) => {
                store.vault.remember(id, kind_of(view), &remember::write(&published))
            }
        };
        if let Err(error) = outcome {
            tracing::warn!("a duty is not done: {error}");
        }
    }

    fn discard(&self, term: Term, Discard { id, view, chunks }: &Discard) -> Result<(), VaultError> {
        let (store, kind) = (&self.store, kind_of(*view));
        lock(&store.agenda).forget((*id, *view));
        let Some(held) = store.vault.of(*id, kind) else {
            return Ok(()); // and the report has said so
        };
        let Some(chunks) = chunks.to_set(held.chunks.len()) else { return Ok(()) };
        let by = store.vault.owner().map(|ours| Owner { term: term.0.to_be_bytes(), ..ours });
        let by = by.ok_or(VaultError::Foreign)?;
        store.changed([store.vault.delete(by, *id, kind, &chunks)?]);
        Ok(())
    }
}

/// A content, or a part of it, is to be kept.
fn keep_told(store: &Arc<Store>, keep: &Keep) {
    let told = lock(&store.agenda).told(keep);
    match told {
        Told::Runs => fetch::more_sources(store, keep),
        Told::Waits | Told::PassedOver => {}
    }
}
