//! `p2p load`: how busy a peer is, asked of the peer itself.

use crate::cli::reach::swarm;
use crate::net::secure::Expected;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::failure::{Failure, net_reason};
use crate::cli::reach::tracker;
use crate::cli::show::output;
use crate::cli::show::words::{count, elapsed, shown};
use crate::cli::typed::args::LoadArgs;
use crate::cli::typed::values::Patience;
use crate::content::{Address, Endpoint, PeerId, Rate};
use crate::net::trace::Side;
use crate::net::{self, Identity, Messages, NetError};
use crate::wire::{FromServer, GetLoad, Load, Message, PeerInfo, Role, ToServer};

/// How long a peer may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// `load --json`
#[derive(Debug, Serialize)]
struct Line {
    peer: String,
    name: String,
    address: String,
    uploads: u16,
    downloads: u16,
    /// Chunk requests waiting, of all connections.
    queued: u32,
    /// Bytes a second that all uploads together can get; 0 if not known.
    rate: u64,
    /// Round trip of the question.
    latency_us: u64,
}

/// `p2p load PEER`
pub(crate) fn load(args: &LoadArgs) -> Result<(), Failure> {
    let dialled = match is_address(&args.peer) {
        true => net::dial(&args.peer),
        false => net::dial_any(&addresses_of(&args.peer, &args.trackers.trackers)?),
    };
    let line = dialled.map_err(NetError::Io).and_then(ask).map_err(|error| {
        Failure::unreachable(format!(
            "the peer {} cannot be asked: {}",
            shown(&args.peer),
            net_reason(&error)
        ))
    })?;
    output::answer(args.json, &line, || render(&line))
}

fn render(line: &Line) -> String {
    format!(
        "{} at {}: {}, {}, {} waiting, answered in {}",
        shown(&line.name),
        line.address,
        count(u64::from(line.uploads), "upload"),
        count(u64::from(line.downloads), "download"),
        count(u64::from(line.queued), "request"),
        elapsed(Duration::from_micros(line.latency_us)),
    )
}

fn is_address(peer: &str) -> bool {
    peer.parse::<Endpoint>().is_ok()
}

/// Where the only peer with this name can be dialled.
fn addresses_of(name: &str, trackers: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let mut trackers = tracker::connect(trackers, Patience::For(Duration::ZERO))?;
    let mut peers = BTreeMap::<PeerId, PeerInfo>::new();
    for tracker in &mut trackers {
        let named = tracker.peers()?.into_iter().filter(|peer| &*peer.name == name);
        named.for_each(|peer| _ = peers.entry(peer.peer).or_insert(peer));
    }
    let nothing = format!("no peer called {} is known", shown(name));
    let peers = Some(peers).filter(|peers| !peers.is_empty());
    let Some(peers) = tracker::as_far_as_known(&trackers, peers, &nothing)? else {
        let asked: Vec<&str> = trackers.iter().map(|tracker| &*tracker.address).collect();
        return Err(Failure::not_found(format!(
            "the tracker at {} knows no peer called {}; `p2p status` lists them",
            asked.join(", "),
            shown(name)
        )));
    };
    let named: Vec<&PeerInfo> = peers.values().collect();
    match named.as_slice() {
        [peer] if peer.addresses.is_empty() => {
            Err(Failure::unreachable(format!("{} cannot be dialled", shown(name))))
        }
        [peer] => Ok(peer.addresses.iter().map(|address| address.socket()).collect()),
        several => {
            let firsts = several.iter().filter_map(|peer| peer.addresses.first());
            let addresses: Vec<_> = firsts.map(Address::to_string).collect();
            let addresses = shown(&addresses.join(", "));
            Err(Failure::usage(format!(
                "several peers are called {}: ask for one of {addresses}",
                shown(name)
            )))
        }
    }
}

fn ask(stream: TcpStream) -> Result<Line, NetError> {
    let me = Identity::tool(swarm::keyring().map_err(NetError::Io)?);
    let session = net::greet(stream, (&me, Role::Ask), Expected::Anybody, Side::Fetch, net::HELLO_TIMEOUT)?;
    let (peer, name, addr) = (session.theirs.peer, session.theirs.name.to_string(), session.addr);
    let mut link = Messages::<FromServer, ToServer>::new(session, Side::Fetch);
    link.set_timeout(Some(ANSWER_TIMEOUT))?;
    let asked = Instant::now();
    match link.call(&GetLoad {}.into())? {
        FromServer::Load(Load { uploads, downloads, queued, rate }) => Ok(Line {
            peer: peer.to_string(),
            name,
            address: addr.to_string(),
            uploads,
            downloads,
            queued,
            rate: rate.map_or(0, Rate::get),
            latency_us: asked.elapsed().as_micros() as u64,
        }),
        other => Err(NetError::Unexpected(other.label())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_anything_else_is_a_name() {
        assert!(is_address("h:1") && is_address("[::1]:9700"));
        assert!(!is_address("alice") && !is_address(":1") && !is_address("h:x") && !is_address("photos@lab"));
    }

    #[test]
    fn load_is_one_line() {
        let line = Line {
            peer: String::new(),
            name: "alice".to_owned(),
            address: "h:1".to_owned(),
            uploads: 1,
            downloads: 0,
            queued: 12,
            rate: 0,
            latency_us: 310,
        };
        assert_eq!(
            render(&line),
            "alice at h:1: 1 upload, 0 downloads, 12 requests waiting, answered in 310 µs"
        );
    }
}
