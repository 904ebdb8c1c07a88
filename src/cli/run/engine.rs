//! From what was typed to what a peer needs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::failure::Failure;
use crate::cli::reach::{known, swarm};
use crate::cli::run::enter;
use crate::cli::run::scan::Scan;
use crate::cli::typed::options::EngineArgs;
use crate::content::Address;
use crate::net::secure::Keyring;
use crate::node::Service;
use crate::peer::share::Selection;
use crate::peer::{self, Peer, PeerError};

/// How often a service says that it is still getting ready.
const STILL_AT_IT: Duration = Duration::from_secs(5);
const MACHINE_ID: &str = "/etc/machine-id";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// Any free port, at every address of this machine, and at those that only it can dial.
const EVERYWHERE: &str = "[::]:0";
const HERE: &str = "127.0.0.1:0";

/// The configuration of a peer that shares `folder`, or nothing.
pub(crate) fn config(args: &EngineArgs, trackers: Vec<String>, folder: Option<PathBuf>) -> peer::Config {
    let name = args.name.clone().unwrap_or_else(|| default_name(folder.as_deref()));
    peer::Config {
        watch: folder.is_some(),
        folder,
        prefix: false,
        selection: Selection::default(),
        state: args.temp.clone(),
        trackers,
        listen: args.listen.clone().unwrap_or_else(|| listen().to_owned()),
        name,
        keyring: Keyring::none(),
        advertise: args.advertise.clone(),
        limits: peer::Limits {
            max_connections: args.max_connections,
            max_inflight_bytes: args.max_in_flight.0,
            max_neighbours: args.max_neighbours,
            up: args.up,
            down: args.down,
            refresh: args.refresh.0,
            fsync: args.fsync,
            keep_partial: args.keep_partial.0,
        },
        lending: None,
        faults: None,
        latencies: args.latency_file.clone().unwrap_or_default(),
    }
}

/// The same address, and any free port.
pub(crate) fn any_port(listen: &str) -> String {
    listen.rsplit_once(':').map_or_else(|| listen.to_owned(), |(host, _)| format!("{host}:0"))
}

/// Where a peer listens of which nothing else was typed: what is in the clear stays on this machine.
fn listen() -> &'static str {
    if swarm::is_closed() || swarm::is_open() { EVERYWHERE } else { HERE }
}

/// Starts a peer with the keys of this process, telling of a long scan on standard error.
pub(crate) fn start(config: peer::Config) -> Result<Peer, Failure> {
    let config = with_keys(config)?;
    let clusters = known::clusters(&config.trackers, &config.keyring);
    let mut scan = Scan::new();
    let peer = peer::start(config, &mut |progress| scan.tell(progress));
    drop(scan);
    remembering(peer?, &clusters)
}

/// The same as a service, which may need longer than others to get ready.
pub(crate) fn start_as(service: &Service, config: peer::Config) -> Result<Peer, Failure> {
    let config = with_keys(config)?;
    let clusters = known::clusters(&config.trackers, &config.keyring);
    let mut scan = Scan::new();
    let mut told = Instant::now();
    let peer = peer::start(config, &mut |progress| {
        if told.elapsed() >= STILL_AT_IT {
            told = Instant::now();
            service.needs(STILL_AT_IT * 6);
        }
        scan.tell(progress)
    });
    drop(scan);
    remembering(peer?, &clusters)
}

/// The peer, with links also to those trackers that were one with its own when these were asked last.
fn remembering(peer: Peer, clusters: &[Vec<String>]) -> Result<Peer, Failure> {
    for cluster in clusters {
        if let Some((given, others)) = cluster.split_first() {
            peer.remembers(given, others);
        }
    }
    Ok(peer)
}

/// With the keys of this process, if it has none of its own: who a peer is lies where the state of its folder is. The roster
/// hears of it.
fn with_keys(mut config: peer::Config) -> Result<peer::Config, PeerError> {
    if !config.keyring.is_closed() && swarm::is_closed() {
        let (name, trackers) = (&*config.name, &*config.trackers);
        config.keyring = match (&config.folder, &config.state) {
            (Some(_), Some(state)) => enter::keys_in(state, name, trackers)?,
            (Some(folder), None) => enter::keys_in(&peer::state_of(folder)?, name, trackers)?,
            (None, _) => enter::spare_keys(name, trackers)?,
        };
    }
    Ok(config)
}

/// A peer that shares nothing but what it fetches.
pub(crate) fn start_fetcher(args: &EngineArgs, trackers: Vec<String>) -> Result<Peer, Failure> {
    start(config(args, trackers, None))
}

/// What tells this machine from others: its id, or its name.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let ids = [MACHINE_ID, HOST_NAME].into_iter().filter_map(read);
    ids.into_iter().find(|id| !id.is_empty()).unwrap_or_default()
}

/// What this machine is called.
pub(crate) fn host_name() -> String {
    match fs::read_to_string(HOST_NAME).unwrap_or_default().trim() {
        "" => "host".to_owned(),
        host => host.to_owned(),
    }
}

/// `FOLDER@HOST`, or `HOST` without a folder.
fn default_name(folder: Option<&Path>) -> String {
    let host = host_name();
    let folder = folder.and_then(|folder| fs::canonicalize(folder).ok());
    match folder.as_deref().and_then(Path::file_name) {
        Some(base) => format!("{}@{host}", base.to_string_lossy()),
        None => host,
    }
}

/// Addresses of this machine that others can dial, one of each kind: that of the default route, else any that reaches
/// further than this machine; the loopback if there is none.
pub(crate) fn outward_addresses() -> Vec<IpAddr> {
    // Of nets that are reserved for documentation (RFC 5737, RFC 3849).
    let [v4, v6] =
        [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()];
    let each = |elsewhere: IpAddr| {
        let listed = || {
            let listed = if_addrs::get_if_addrs().ok()?.into_iter().map(|interface| interface.ip());
            listed.filter(|ip| ip.is_ipv4() == elsewhere.is_ipv4()).find(|ip| reaches_far(*ip))
        };
        routed(elsewhere).or_else(listed)
    };
    let found: Vec<IpAddr> = [v4, v6].into_iter().filter_map(each).collect();
    if found.is_empty() { vec![IpAddr::V4(Ipv4Addr::LOCALHOST)] } else { found }
}

/// This machine's address on the way to there. Connecting a datagram socket sends nothing, but chooses the route.
fn routed(elsewhere: IpAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if elsewhere.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((elsewhere, 9)).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| reaches_far(*ip))
}

fn reaches_far(ip: IpAddr) -> bool {
    Address::new(ip, 1).is_some_and(|address| !address.is_near_only())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_after_folder_and_host() {
        let host = default_name(None);
        assert_eq!(default_name(Some(Path::new("/usr"))), format!("usr@{host}"));
        assert_eq!(default_name(Some(Path::new("/"))), host);
    }

    #[test]
    fn the_same_place_has_another_port() {
        for (listen, any) in [
            ("127.0.0.1:9701", "127.0.0.1:0"),
            ("[::]:0", "[::]:0"),
            ("[::1]:7", "[::1]:0"),
            ("lab:1", "lab:0"),
        ] {
            assert_eq!(any_port(listen), any);
        }
    }

    #[test]
    fn only_what_others_can_dial_reaches_far() {
        for far in ["10.0.0.1", "192.168.1.2", "8.8.8.8", "2001:db8::1", "fd00::1"] {
            assert!(reaches_far(far.parse().unwrap()), "{far}");
        }
        for near in ["127.0.0.1", "::1", "0.0.0.0", "::", "169.254.1.1", "fe80::1"] {
            assert!(!reaches_far(near.parse().unwrap()), "{near}");
        }
        let own = outward_addresses();
        assert!((1..=2).contains(&own.len()), "{own:?}");
        let kinds = own.iter().filter(|ip| ip.is_ipv4()).count();
        assert!(kinds <= 1, "one of each kind: {own:?}");
    }
}
