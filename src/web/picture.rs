//! What there is to be seen at this moment: for those who look at the page, and as numbers for the plots.

use std::collections::BTreeMap;

use serde_json::json;

use super::hub::Picture;
use super::series::Sample;
use super::site::{House, Site};
use super::{swarm, tracker_api};
use crate::api::LedgerView;

/// What changes by itself, by topic.
pub(super) fn picture(site: &Site) -> Picture {
    let mut picture = Picture::new();
    match &site.house {
        House::Peer(peer) => {
            let transfers = peer.transfers().into_iter().map(|mut transfer| {
                transfer.status.sources.retain(|source| source.connected);
                (transfer.number.to_string(), json!(transfer))
            });
            picture.insert("transfers", transfers.collect());
            picture.insert("peer", BTreeMap::from([("status".to_owned(), json!(peer.status()))]));
        }
        House::Tracker(_) => {
            if let Ok(state) = tracker_api::state(site) {
                picture.insert("tracker", BTreeMap::from([("status".to_owned(), json!(state))]));
            }
        }
    }
    let latest = site.latest().map(|row| ("latest".to_owned(), json!(row)));
    picture.insert("activity", latest.into_iter().collect());
    picture
}

/// Makes rates of what was counted.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// Bytes received of each transfer, bytes sent, and questions answered, at the last look.
    received: BTreeMap<u64, u64>,
    sent: Option<u64>,
    located: Option<u64>,
}

impl Sampler {
    /// The numbers of the second since the last look.
    pub(super) fn sample(&mut self, site: &Site) -> Sample {
        match &site.house {
            House::Peer(peer) => {
                let status = peer.status();
                let all = |ledger: &LedgerView| ledger.useful + ledger.duplicate + ledger.rejected;
                let received: BTreeMap<u64, u64> = peer
                    .transfers()
                    .into_iter()
                    .map(|transfer| (transfer.number, all(&transfer.status.ledger)))
                    .collect();
                let gained = |(number, bytes): (&u64, &u64)| {
                    bytes.saturating_sub(self.received.get(number).copied().unwrap_or(0))
                };
                let down: u64 = received.iter().map(gained).sum();
                let up = since(&mut self.sent, status.sent);
                self.received = received;
                [down as f32, up, f32::from(status.downloads), status.files as f32, 0.0]
            }
            House::Tracker(_) => {
                let Ok(status) = swarm::status(site) else { return Sample::default() };
                let questions = since(&mut self.located, status.located);
                [0.0, 0.0, status.peers as f32, status.names as f32, questions]
            }
        }
    }
}

/// How much more it is than it was.
fn since(last: &mut Option<u64>, now: u64) -> f32 {
    let before = last.replace(now).unwrap_or(now);
    now.saturating_sub(before) as f32
}
