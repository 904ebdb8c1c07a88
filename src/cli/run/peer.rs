//! `p2p peer`: shares a folder, and fetches for it, until it is stopped.

#[cfg(feature = "web")]
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::failure::Failure;
use crate::cli::reach::swarm;
#[cfg(feature = "web")]
use crate::cli::run::page;
use crate::cli::run::signals::Stop;
use crate::cli::run::{engine, news};
use crate::cli::show::output;
use crate::cli::show::words::{count, size};
use crate::cli::typed::args::PeerArgs;
use crate::cli::typed::fault;
use crate::peer::{Lending, Peer};
use crate::say;
#[cfg(feature = "web")]
use crate::web::{Config, House};
use crate::wire::MemberRole;

/// How long a tracker is waited for before it is said that a peer is ready; one that is away is told later.
const REGISTER_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether they know.
const LOOK: Duration = Duration::from_millis(5);

/// `p2p peer FOLDER`
pub(crate) fn peer(args: PeerArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let service = stop.service()?;
    if !args.folder.is_dir() {
        let remedy =
            if args.folder.exists() { "; `p2p share` shares a single file" } else { "; make it first" };
        return Err(Failure::usage(format!("there is no folder {}{remedy}", args.folder.display())));
    }
    if swarm::role() == Some(MemberRole::Reader) {
        say::note("this member is a reader: what it has is listed only if others brought it in");
    }
    let selection = args.selection.of(&args.folder)?;
    #[cfg(feature = "web")]
    let wanted = page::wanted(&args.page, false)?.map(|page| Config { cache: args.web_cache.0, ..page });
    let mut config = engine::config(&args.engine, args.trackers.trackers, Some(args.folder));
    config.selection = selection;
    config.faults = fault::plan(&args.fault, args.fault_seed);
    if let Some(faults) = &config.faults {
        say::note(&format!("warning: this peer misbehaves on purpose: {faults}"));
    }
    config.lending = args.store.map(|bytes| Lending {
        bytes: bytes.0,
        zone: args.zone.unwrap_or_default(),
        machine: engine::machine(),
        adopts: args.adopt,
        scrub: args.scrub.0,
        repair_rate: args.repair_rate,
    });
    let peer = engine::start_as(&service, config)?;
    stop.graceful();
    let ready = ready(&peer, &stop);
    output::ready(&ready);
    service.ready(&ready);
    service.watch(peer.touch()).map_err(Failure::no_thread)?;
    #[cfg(feature = "web")]
    let page = {
        let hand = peer.hand();
        let keeps = hand.state().map(Path::to_owned);
        page::serve(wanted, House::Peer(hand), keeps)
    };
    news::follow(&peer, &stop, None);
    service.stopping();
    #[cfg(feature = "web")]
    page::stop(page);
    peer.stop();
    Ok(())
}

/// Waits until the trackers that are there know what it shares.
pub(crate) fn registered(peer: &Peer, stop: &Stop) {
    let until = Instant::now() + REGISTER_PATIENCE;
    while peer.trackers().iter().any(|(_, registered)| !registered) && Instant::now() < until {
        if stop.wait_until(Some(Instant::now() + LOOK)) {
            break;
        }
    }
}

/// The line that says it is ready, once the trackers that are there know what it shares.
pub(crate) fn ready(peer: &Peer, stop: &Stop) -> String {
    registered(peer, stop);
    let summary = peer.summary();
    format!(
        "peer {} listening on {}, sharing {} ({})",
        peer.name(),
        peer.addr(),
        count(summary.files, "file"),
        size(summary.bytes)
    )
}
