//! The programs that take part: each starts its servers when made, fetches when told, and is gone when dropped.
//!
//! A program that is not installed is reported as missing; it never fails the benchmark.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::contender::{CLOSED, Contender, Item, Memory, OURS};
use crate::support::files;
use crate::support::p2p::{self, Place, Server};
use crate::support::process::{self, Running};

fn installed(program: &str) -> Result<PathBuf> {
    process::find(program).with_context(|| format!("{program} is not installed"))
}

/// A tracker, a peer that shares the folder, and `p2p get`.
pub(crate) struct P2p {
    name: &'static str,
    tracker: Server,
    peer: Server,
    scratch: PathBuf,
}

impl P2p {
    /// In a closed swarm.
    pub(crate) fn start_closed(source: &Path, scratch: &Path) -> Result<Self> {
        let scratch = scratch.join("closed");
        fs::create_dir(&scratch)?;
        p2p::close(&scratch)?;
        // One folder has one peer: this one shares the same files from another.
        let twin = scratch.join("source");
        files::link_all(source, &twin)?;
        Ok(Self { name: CLOSED, ..Self::start(&twin, &scratch)? })
    }

    pub(crate) fn start(source: &Path, scratch: &Path) -> Result<Self> {
        let place = Place::here();
        let tracker = Server::tracker(&place, "127.0.0.1", scratch)?;
        let peer = Server::peer(&place, "127.0.0.1", source, &tracker.address, "seeder", scratch)?;
        Ok(Self { name: OURS, tracker, peer, scratch: scratch.to_owned() })
    }

    fn get(&self, item: &Item, destination: &Path) -> Command {
        let what = if item.is_folder() { format!("{}/", item.name()) } else { item.name().to_owned() };
        p2p::get(&Place::here(), &what, destination, &self.tracker.address, &self.scratch)
    }
}

impl Contender for P2p {
    fn name(&self) -> &'static str {
        self.name
    }

    fn served_cpu(&self) -> Option<f64> {
        Some(self.tracker.process.usage().cpu_seconds + self.peer.process.usage().cpu_seconds)
    }

    fn fetch(&mut self, item: &Item, destination: &Path) -> Result<f64> {
        process::timed(&mut self.get(item, destination))
    }

    fn memory(&mut self, item: &Item, destination: &Path) -> Result<Option<Memory>> {
        // Writing 5 resets the peak, so that hashing the share at start-up does not count as serving.
        fs::write(format!("/proc/{}/clear_refs", self.peer.process.pid()), "5")?;
        let leecher_kib = process::peak_of(&mut self.get(item, destination))?;
        Ok(Some(Memory { seeder_kib: self.peer.process.usage().peak_kib, leecher_kib }))
    }
}

/// An rsync daemon and `rsync --whole-file`: no delta search, no compression, no checksum of its own.
pub(crate) struct Rsync {
    program: PathBuf,
    port: u16,
    _daemon: Running,
}

impl Rsync {
    pub(crate) fn start(source: &Path, scratch: &Path) -> Result<Self> {
        let program = installed("rsync")?;
        let port = process::free_port()?;
        let configuration = scratch.join("rsyncd.conf");
        // A daemon started by root would otherwise change to a user who may not read the scratch folder.
        let user = if rustix::process::getuid().is_root() { "uid = root\ngid = root\n" } else { "" };
        fs::write(
            &configuration,
            format!(
                "use chroot = no\nlog file = {}\n{user}[data]\npath = {}\nread only = yes\n",
                scratch.join("rsyncd.txt").display(),
                source.display()
            ),
        )?;
        let mut command = Command::new(&program);
        command.args(["--daemon", "--no-detach", "--address=127.0.0.1"]);
        command.arg(format!("--port={port}")).arg(format!("--config={}", configuration.display()));
        let daemon = Running::start(command, "rsyncd", scratch)?;
        process::wait_port(port, Duration::from_secs(10))?;
        Ok(Self { program, port, _daemon: daemon })
    }
}

impl Contender for Rsync {
    fn name(&self) -> &'static str {
        "rsync"
    }

    fn fetch(&mut self, item: &Item, destination: &Path) -> Result<f64> {
        let mut command = Command::new(&self.program);
        // Permissions and times, as `p2p get` keeps them.
        command.args(["--recursive", "--perms", "--times", "--whole-file"]);
        command.arg(format!("rsync://127.0.0.1:{}/data/{}", self.port, item.name())).arg(destination);
        process::timed(&mut command)
    }
}

/// nginx, curl, and then `b3sum` over what arrived, since curl alone proves nothing.
pub(crate) struct Curl {
    curl: PathBuf,
    b3sum: PathBuf,
    port: u16,
    _nginx: Running,
}

impl Curl {
    pub(crate) fn start(source: &Path, scratch: &Path) -> Result<Self> {
        let (nginx, curl, b3sum) = (installed("nginx")?, installed("curl")?, installed("b3sum")?);
        let port = process::free_port()?;
        let home = scratch.join("nginx");
        fs::create_dir_all(&home)?;
        let configuration = home.join("nginx.conf");
        fs::write(&configuration, nginx_configuration(&home, source, port))?;
        let mut command = Command::new(nginx);
        command
            .arg("-p")
            .arg(&home)
            .arg("-c")
            .arg(&configuration)
            .args(["-g", "daemon off; master_process off;"]);
        command.arg("-e").arg(home.join("error.log"));
        let nginx = Running::start(command, "nginx", scratch)?;
        process::wait_port(port, Duration::from_secs(10))?;
        Ok(Self { curl, b3sum, port, _nginx: nginx })
    }
}

fn nginx_configuration(home: &Path, source: &Path, port: u16) -> String {
    let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
    let home = home.display();
    format!(
        "{user}worker_processes 1;\npid {home}/pid;\nerror_log {home}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; sendfile_max_chunk 2m;\n\
         client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;\n\
         uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;\n\
         server {{ listen 127.0.0.1:{port}; root {}; }} }}\n",
        source.display()
    )
}

impl Contender for Curl {
    fn name(&self) -> &'static str {
        "curl + b3sum"
    }

    fn fetch(&mut self, item: &Item, destination: &Path) -> Result<f64> {
        let file = destination.join(item.name());
        let mut curl = Command::new(&self.curl);
        curl.args(["--silent", "--fail", "--output"]).arg(&file);
        curl.arg(format!("http://127.0.0.1:{}/{}", self.port, item.name()));
        Ok(process::timed(&mut curl)? + process::timed(Command::new(&self.b3sum).arg(&file))?)
    }
}
