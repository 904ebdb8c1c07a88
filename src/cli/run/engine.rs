//! From what was typed to what a peer needs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::run::scan::Scan;
use crate::cli::typed::args::EngineArgs;
use crate::peer::{self, Peer};

const MACHINE_ID: &str = "/etc/machine-id";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The configuration of a peer that shares `folder`, or nothing.
pub(crate) fn config(args: &EngineArgs, trackers: Vec<String>, folder: Option<PathBuf>) -> peer::Config {
    let name = args.name.clone().unwrap_or_else(|| default_name(folder.as_deref()));
    peer::Config {
        watch: folder.is_some(),
        folder,
        prefix: false,
        state: args.temp.clone(),
        trackers,
        listen: args.listen.clone(),
        name,
        advertise: args.advertise.clone(),
        limits: peer::Limits {
            max_connections: args.max_connections,
            max_inflight_bytes: args.max_in_flight.0,
            max_neighbours: args.max_neighbours,
            up: args.up.map(|rate| rate.0),
            down: args.down.map(|rate| rate.0),
            refresh: args.refresh.0,
            fsync: args.fsync,
            keep_partial: args.keep_partial.0,
        },
        lending: None,
        faults: None,
        latencies: args.latency_file.clone().unwrap_or_default(),
    }
}

/// Starts a peer, telling of a long scan on standard error.
pub(crate) fn start(config: peer::Config) -> Result<Peer, Failure> {
    let mut scan = Scan::new();
    let peer = peer::start(config, &mut |progress| scan.tell(progress));
    drop(scan);
    Ok(peer?)
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

/// `FOLDER@HOST`, or `HOST` without a folder.
fn default_name(folder: Option<&Path>) -> String {
    let host = fs::read_to_string(HOST_NAME).unwrap_or_default();
    let host = match host.trim() {
        "" => "host",
        host => host,
    };
    let folder = folder.and_then(|folder| fs::canonicalize(folder).ok());
    match folder.as_deref().and_then(Path::file_name) {
        Some(base) => format!("{}@{host}", base.to_string_lossy()),
        None => host.to_owned(),
    }
}

/// An address of this machine that others can dial: that of the default route, else any that is not the
/// loopback, else the loopback.
pub(crate) fn outward_address() -> IpAddr {
    // Connecting a datagram socket sends nothing, but chooses the route. The address is of a net that is
    // reserved for documentation (RFC 5737).
    let routed = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    let routed =
        routed.ok().map(|addr| addr.ip()).filter(|addr| !addr.is_loopback() && !addr.is_unspecified());
    routed.or_else(listed_address).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The first address that is not the loopback.
fn listed_address() -> Option<IpAddr> {
    let listed = if_addrs::get_if_addrs().ok()?.into_iter();
    listed.filter(|interface| !interface.is_loopback()).map(|interface| interface.ip()).find(IpAddr::is_ipv4)
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
}
