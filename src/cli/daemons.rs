//! What runs until it is stopped: `p2p tracker`, `p2p peer`, `p2p share`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::args::{EngineArgs, PeerArgs, ShareArgs, TRACKER_LISTEN, TrackerArgs};
use super::scan::Scan;
use super::signals::Stop;
use super::units::{count, size};
use super::{Exit, Failure, engine, fault, output};
use crate::content::{Link, SafeName};
use crate::peer::{self, Peer};
use crate::say;
use crate::tracker::{self, Tracker};
use crate::wire::Offer;

/// `p2p tracker`
pub(super) fn tracker(args: &TrackerArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let config = tracker::Config {
        listen: args.listen.clone(),
        lease: args.lease.0,
        max_connections: args.max_connections,
        ..tracker::Config::default()
    };
    let tracker = tracker::start(config)?;
    stop.graceful();
    output::ready(&format!("tracker listening on {}", tracker.addr()));
    stop.wait_until(None);
    tracker.stop();
    Ok(())
}

/// `p2p peer FOLDER`
pub(super) fn peer(args: PeerArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    if !args.folder.is_dir() {
        let remedy =
            if args.folder.exists() { "; `p2p share` shares a single file" } else { "; make it first" };
        return Err(Failure::usage(format!("there is no folder {}{remedy}", args.folder.display())));
    }
    let mut config = engine::config(&args.engine, args.trackers.trackers, Some(args.folder));
    config.faults = fault::plan(&args.fault, args.fault_seed);
    if let Some(faults) = &config.faults {
        say::line(&format!("warning: this peer misbehaves on purpose: {faults}"));
    }
    let peer = start_peer(config)?;
    stop.graceful();
    output::ready(&ready(&peer));
    stop.wait_until(None);
    peer.stop();
    Ok(())
}

/// `p2p share PATH`
pub(super) fn share(args: ShareArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    let path = std::fs::canonicalize(&args.path)
        .map_err(|_| Failure::usage(format!("there is no file or folder {}", args.path.display())))?;
    let name = link_name(&path)?;
    let built_in = match args.trackers.is_empty() {
        true => Some(built_in_tracker(&args.tracker_listen)?),
        false => None,
    };
    let (config, trackers) = share_config(&args, path, built_in.as_ref());
    let peer = start_peer(config)?;
    stop.graceful();
    if let Some(tracker) = &built_in {
        output::ready(&format!("tracker listening on {}", tracker.addr()));
    }
    output::ready(&ready(&peer));
    let offer = offer_of(&peer, &name)?;
    let link = Link { id: offer.id, name: Some(name), size: Some(offer.total), trackers };
    output::ready(&format!("on the other side:\n  p2p get '{link}'"));
    stop.wait_until(None);
    peer.stop();
    if let Some(tracker) = built_in {
        tracker.stop();
    }
    Ok(())
}

/// The peer's configuration, and the trackers for the link: a built-in one is dialled here on the
/// loopback, by others at the address that is advertised.
fn share_config(args: &ShareArgs, path: PathBuf, built_in: Option<&Tracker>) -> (peer::Config, Vec<String>) {
    let mut config = engine::config(&args.engine, args.trackers.clone(), Some(path));
    config.prefix = true;
    let Some(tracker) = built_in else {
        return (config, args.trackers.clone());
    };
    let addr = tracker.addr();
    config.trackers = vec![reachable(addr, IpAddr::from([127, 0, 0, 1])).to_string()];
    let outward = reachable(addr, engine::outward_address());
    let host = match &args.engine.advertise {
        Some(advertised) => host_of(advertised).to_owned(),
        None => host_of(&outward.to_string()).to_owned(),
    };
    config.advertise.get_or_insert_with(|| host.clone());
    (config, vec![format!("{host}:{}", addr.port())])
}

/// `addr`, with `host` in the place of an address that stands for all.
fn reachable(addr: SocketAddr, host: IpAddr) -> SocketAddr {
    match addr.ip().is_unspecified() {
        true => SocketAddr::new(host, addr.port()),
        false => addr,
    }
}

/// The host of `HOST[:PORT]`, with its brackets if it has some.
fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => address,
    }
}

/// The tracker inside `share`: the usual port if it is free, else any.
fn built_in_tracker(listen: &str) -> Result<Tracker, Failure> {
    let usual = tracker::Config { listen: listen.to_owned(), ..tracker::Config::default() };
    match tracker::start(usual) {
        Ok(tracker) => Ok(tracker),
        Err(_) if listen == TRACKER_LISTEN => Ok(tracker::start(tracker::Config {
            listen: format!("{}:0", host_of(listen)),
            ..Default::default()
        })?),
        Err(error) => Err(error.into()),
    }
}

/// Starts a peer, telling of a long scan on standard error.
pub(super) fn start_peer(config: peer::Config) -> Result<Peer, Failure> {
    let mut scan = Scan::new();
    let peer = peer::start(config, &mut |progress| scan.tell(progress));
    drop(scan);
    Ok(peer?)
}

fn ready(peer: &Peer) -> String {
    let summary = peer.summary();
    format!(
        "peer {} listening on {}, sharing {} ({})",
        peer.name(),
        peer.addr(),
        count(summary.files, "file"),
        size(summary.bytes)
    )
}

/// The name under which `path` is shared.
pub(super) fn link_name(path: &Path) -> Result<SafeName, Failure> {
    let base = path.file_name().and_then(|base| base.to_str()).unwrap_or_default();
    let name = if path.is_dir() { format!("{base}/") } else { base.to_owned() };
    SafeName::new(name).map_err(|error| {
        Failure::usage(format!(
            "{} cannot be shared under its name: {error}; rename it first",
            path.display()
        ))
    })
}

fn offer_of(peer: &Peer, name: &SafeName) -> Result<Offer, Failure> {
    let offer = peer.offers().into_iter().find(|offer| *offer.name == *name.as_str());
    offer.ok_or_else(|| Failure::new(Exit::Other, format!("{name} cannot be read, so it is not shared")))
}

pub(super) fn start_fetcher(args: &EngineArgs, trackers: Vec<String>) -> Result<Peer, Failure> {
    start_peer(engine::config(args, trackers, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_cut_from_addresses() {
        assert_eq!(host_of("lab"), "lab");
        assert_eq!(host_of("lab:5"), "lab");
        assert_eq!(host_of("[::1]:5"), "[::1]");
        assert_eq!(host_of("[::1]"), "[::1]");
    }

    #[test]
    fn an_address_for_all_is_replaced() {
        let host = IpAddr::from([10, 0, 0, 1]);
        let replaced = |addr: &str| reachable(addr.parse().unwrap(), host).to_string();
        assert_eq!(replaced("0.0.0.0:7"), "10.0.0.1:7");
        assert_eq!(replaced("127.0.0.1:7"), "127.0.0.1:7");
    }
}
