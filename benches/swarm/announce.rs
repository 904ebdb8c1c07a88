//! The least BitTorrent tracker that aria2 and libtorrent accept: one swarm, everybody told of everybody.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::lab::Host;
use crate::support::interrupt;

/// Seconds between announcements: short, so that nobody's first answer decides the graph.
const INTERVAL: u32 = 2;

/// A tracker on a thread of its own, until dropped.
pub(crate) struct Announce {
    pub(crate) url: String,
    known: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Announce {
    pub(crate) fn start(host: &Host) -> Result<Self> {
        let listener = host.inside(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}:{}/announce", host.address, listener.local_addr()?.port());
        let stop = Arc::new(AtomicBool::new(false));
        let known = Arc::new(AtomicUsize::new(0));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&known));
        let thread = std::thread::spawn(move || serve(&listener, &stopped, &counter));
        Ok(Self { url, known, stop, thread: Some(thread) })
    }

    /// Waits until `count` peers have announced themselves.
    pub(crate) fn wait_for(&self, count: usize, limit: Duration) -> Result<()> {
        let known = || Ok(self.known.load(Ordering::Relaxed) >= count);
        ensure!(
            interrupt::poll(limit, Duration::from_millis(10), known)?,
            "the seeder did not announce itself in {limit:?}"
        );
        Ok(())
    }
}

impl Drop for Announce {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, stop: &AtomicBool, known: &AtomicUsize) -> Result<()> {
    let mut peers = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        known.store(peers.len(), Ordering::Relaxed);
        match listener.accept() {
            // A client that goes away in the middle spoils its own announcement only.
            Ok((socket, from)) => drop(answer(socket, from, &mut peers)),
            Err(_) => std::thread::sleep(Duration::from_millis(2)), // accept waits for no flag
        }
    }
    Ok(())
}

fn answer(mut socket: TcpStream, from: SocketAddr, peers: &mut BTreeSet<SocketAddrV4>) -> Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let field = |name: &str| {
        let query = request.split([' ', '?', '&']);
        query.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let port = field("port").and_then(|port| port.parse().ok());
    if let (SocketAddr::V4(from), Some(port)) = (from, port) {
        let me = SocketAddrV4::new(*from.ip(), port);
        if field("event") == Some("stopped") {
            peers.remove(&me)
        } else {
            peers.insert(me)
        };
        let others: Vec<u8> = peers.iter().filter(|peer| **peer != me).flat_map(compact).collect();
        let mut body =
            format!("d8:intervali{INTERVAL}e12:min intervali1e5:peers{}:", others.len()).into_bytes();
        body.extend(others);
        body.push(b'e');
        write!(
            socket,
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        socket.write_all(&body)?;
    }
    Ok(())
}

fn compact(peer: &SocketAddrV4) -> Vec<u8> {
    [&peer.ip().octets()[..], &peer.port().to_be_bytes()].concat()
}
