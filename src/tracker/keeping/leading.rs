//! One of several planners, of which that of the tracker that leads gives duties: what becomes of what is known when a term
//! begins.

use std::time::Instant;

use super::agenda::Walk;
use super::state::Keeping;
use super::store::{Presence, StoreRow};
use crate::content::PeerId;
use crate::tracker::records::Content;
use crate::wire::{Authority, Term};

impl Keeping {
    /// In which term duties are given.
    pub fn term(&self) -> Term {
        self.terms.term
    }

    /// A store waits on this connection for what the next term brings: here it has no duties.
    pub fn waits(&mut self, peer: PeerId, connection: u64) {
        if let Some(at) = self.stores.find(peer) {
            self.stores[at].asks(connection);
        }
    }

    /// Everything of which something is known.
    pub fn contents(&self) -> Vec<Content> {
        self.rows.keys().copied().collect()
    }

    /// A term begins, in which this planner gives duties, or another one does. What stores have said counts when they have heard of it and
    /// said it again: until then one may obey who led before. Connections that wait have something to hear.
    pub fn begins(&mut self, authority: Authority, term: Term, leads: bool, now: Instant) {
        let new = (authority, term) != (self.terms.authority, self.terms.term);
        (self.terms.authority, self.terms.term) = (authority, term);
        if !new && leads == self.leads {
            return;
        }
        self.leads = leads;
        (self.started, self.mends, self.calm_since) = (now, false, None);
        let here: Vec<(StoreRow, u64)> = self
            .stores
            .iter()
            .filter_map(|(at, store)| match store.presence {
                Presence::Here { connection, .. } => Some((at, connection)),
                Presence::Away | Presence::Foreign { .. } => None,
            })
            .collect();
        for (at, connection) in here {
            let counted = self.stores[at].counts();
            self.stores[at].presence = Presence::Foreign { connection };
            self.agenda.stop(Walk::Reported(at));
            if counted {
                self.lost(at, now);
            }
        }
        let waiting = self.stores.iter().filter_map(|(_, store)| store.waiting);
        let uploads = self.uploads.values().filter_map(|upload| upload.waiting);
        self.wakes.extend(waiting.chain(uploads).collect::<Vec<_>>());
    }
}
