//! The two yardsticks that no protocol can beat by much: a bare copy through a socket, and tar through one.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};

use crate::contender::{Contender, Item};
use crate::support::process;

/// The receiver's buffer: small enough to stay in the second-level cache.
const BUFFER: usize = 256 << 10;

/// Two threads and one connection: sendfile on one side, receive and write on the other; nothing is proved.
pub(crate) struct BareCopy {
    source: PathBuf,
}

impl BareCopy {
    pub(crate) fn new(source: &Path) -> Self {
        Self { source: source.to_owned() }
    }
}

impl Contender for BareCopy {
    fn name(&self) -> &'static str {
        "bare copy"
    }

    fn fetch(&mut self, item: &Item, destination: &Path) -> Result<f64> {
        let begin = Instant::now();
        let (near, far) = connection()?;
        let file = File::open(self.source.join(item.name()))?;
        let sender = thread::spawn(move || send(&far, &file));
        receive(near, &destination.join(item.name()))?;
        sender.join().map_err(|_| anyhow!("the sending thread panicked"))??;
        Ok(begin.elapsed().as_secs_f64())
    }
}

fn connection() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    Ok((near, listener.accept()?.0))
}

fn send(socket: &TcpStream, file: &File) -> Result<()> {
    let size = file.metadata()?.len();
    let mut offset = 0;
    while offset < size {
        let left = (size - offset) as usize;
        rustix::fs::sendfile(socket, file, Some(&mut offset), left)?;
    }
    Ok(socket.shutdown(std::net::Shutdown::Write)?)
}

fn receive(mut socket: TcpStream, path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = socket.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..count])?;
    }
}

/// `tar -c` into a socket, `tar -x` out of it; the sockets are the programs' own standard streams.
pub(crate) struct TarPipe {
    program: PathBuf,
    source: PathBuf,
}

impl TarPipe {
    pub(crate) fn new(source: &Path) -> Result<Self> {
        let program = process::find("tar").context("tar is not installed")?;
        Ok(Self { program, source: source.to_owned() })
    }
}

impl Contender for TarPipe {
    fn name(&self) -> &'static str {
        "tar"
    }

    fn fetch(&mut self, item: &Item, destination: &Path) -> Result<f64> {
        let begin = Instant::now();
        let (near, far) = connection()?;
        let mut pack = Command::new(&self.program);
        pack.arg("-C").arg(&self.source).args(["-cf", "-", item.name()]).stdout(OwnedFd::from(far));
        let mut unpack = Command::new(&self.program);
        unpack.arg("-C").arg(destination).args(["-xf", "-"]).stdin(OwnedFd::from(near)).stdout(Stdio::null());
        let mut packing = pack.stdin(Stdio::null()).spawn()?;
        // The commands own the sockets: as long as one lives, the other side never sees the end.
        drop(pack);
        let status = unpack.status()?;
        ensure!(packing.wait()?.success() && status.success(), "tar failed");
        Ok(begin.elapsed().as_secs_f64())
    }
}
