//! Has a spare take the place of a tracker of the cluster that stays away, when this one leads: carries out what `spares`
//! decides.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::member::Service;
use crate::content::{Host, PublicKey};
use crate::threads;
use crate::tracker::cluster::Member;
use crate::tracker::records::Nodes;
use crate::tracker::spares::{Replacement, SpareTerms, Spares};

/// How often it is looked who is away.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the thread, which ends when the connections are to close; none where there are no spares.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(service: Arc<Service>, terms: SpareTerms) -> io::Result<Option<JoinHandle<()>>> {
    if terms.places.is_empty() {
        return Ok(None);
    }
    let (mut spares, mut said) = (Spares::new(terms), String::new());
    let run = move || {
        while service.guests.pause(LOOK) {
            // The same is said once, however often it is tried.
            match look(&service, &mut spares) {
                Some(words) if words != said => {
                    tracing::warn!("{words}");
                    said = words;
                }
                _ => {}
            }
        }
    };
    threads::small("tracker-spares").essential(run).map(Some)
}

/// What came of it if somebody was to be replaced, in words.
fn look(service: &Service, spares: &mut Spares) -> Option<String> {
    let several = service.shared.several()?;
    let view = several.view();
    let is_left_alone = |member: &Member| is_left_alone(service.shared.records().nodes(), &member.address);
    let Replacement { away, spare, mut members } = spares.step(&view, is_left_alone, Instant::now())?;
    for (node, _, key) in members.iter_mut().filter(|(_, _, key)| *key == PublicKey::NONE) {
        *key = several.key_of(*node);
    }
    Some(match several.change(members) {
        Ok(()) => format!("tracker {away} stays away: tracker {spare} has its place in the cluster now"),
        Err(why) => format!("tracker {away} stays away, and tracker {spare} cannot replace it yet: {why}"),
    })
}

/// True if nobody is to be brought back, or nobody at this place: a person says so.
fn is_left_alone(nodes: &Nodes, address: &str) -> bool {
    let host = Host::with_port(address).map(|(host, _)| host);
    let ledger = nodes.ledger();
    let mut drained = ledger.nodes().iter().filter(|(_, node)| node.drained);
    ledger.is_paused()
        || drained
            .any(|(id, _)| nodes.called(*id).is_some_and(|called| Some(&*called.host) == host.as_deref()))
}
