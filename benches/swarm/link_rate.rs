//! What a plain TCP connection reaches on a link: the rate that a perfect protocol would have.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::lab::Host;

/// Sends for `length` from one host to another; bytes per second as the receiver saw them.
///
/// The first half second is left out: slow start belongs to the protocol that has to begin, not to the link.
pub(crate) fn measure(from: &Host, to: &Host, length: Duration) -> Result<f64> {
    let listener = to.inside(move || Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
    let target = (to.address, listener.local_addr()?.port());
    let sender = from.spawn(move || send(TcpStream::connect(target)?, length))?;
    let rate = receive(listener.accept()?.0);
    sender.join().map_err(|_| anyhow!("the sending thread panicked"))??;
    rate
}

fn send(mut socket: TcpStream, length: Duration) -> Result<()> {
    let (begin, block) = (Instant::now(), vec![0x5a; 64 << 10]);
    while begin.elapsed() < length {
        socket.write_all(&block)?;
    }
    Ok(())
}

fn receive(mut socket: TcpStream) -> Result<f64> {
    let mut block = vec![0; 256 << 10];
    let (begin, mut counted_from, mut last, mut bytes) = (Instant::now(), None, Instant::now(), 0);
    loop {
        let count = socket.read(&mut block)?;
        let now = Instant::now();
        match counted_from {
            _ if count == 0 => break,
            Some(_) => (bytes, last) = (bytes + count, now),
            None if begin.elapsed() > Duration::from_millis(500) => counted_from = Some(now),
            None => {}
        }
    }
    let from = counted_from.context("the connection ended within half a second")?;
    Ok(bytes as f64 / last.duration_since(from).as_secs_f64())
}
