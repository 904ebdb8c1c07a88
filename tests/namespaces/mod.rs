//! Machines that are not there: network namespaces on one bridge, and somebody who listens at it.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Protocol, Socket, Type};

/// Why there can be none here, if so.
pub(crate) fn obstacle() -> Option<&'static str> {
    if !rustix::process::getuid().is_root() {
        return Some("network namespaces need root");
    }
    match Command::new("ip").arg("-V").output() {
        Ok(_) => None,
        Err(_) => Some("the program ip is missing: install the package iproute2"),
    }
}

/// A bridge, and all that is plugged into it.
pub(crate) struct Lab {
    bridge: String,
}

/// A machine.
pub(crate) struct Host {
    namespace: String,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let lab = Lab { bridge: format!("p2pt{}-bridge", std::process::id()) };
        ip(&format!("netns add {}", lab.bridge));
        ip(&format!("-n {} link add br0 type bridge forward_delay 0 mcast_snooping 0", lab.bridge));
        ip(&format!("-n {} link set br0 up", lab.bridge));
        lab
    }

    /// A machine with these addresses, and none of a kind that they are not.
    pub(crate) fn host(&self, name: &str, addresses: &[&str]) -> Host {
        let (bridge, host) = (&self.bridge, Host { namespace: format!("p2pt{}-{name}", std::process::id()) });
        let namespace = &host.namespace;
        ip(&format!("netns add {namespace}"));
        ip(&format!("-n {bridge} link add v-{name} type veth peer name eth0 netns {namespace}"));
        ip(&format!("-n {bridge} link set v-{name} master br0 up"));
        if !addresses.iter().any(|address| address.contains(':')) {
            let off = "net.ipv6.conf.all.disable_ipv6=1";
            ip(&format!("netns exec {namespace} sysctl -q -w {off}"));
        }
        ip(&format!("-n {namespace} link set lo up"));
        ip(&format!("-n {namespace} link set eth0 up"));
        for address in addresses {
            let at_once = if address.contains(':') { " nodad" } else { "" };
            ip(&format!("-n {namespace} addr add {address} dev eth0{at_once}"));
        }
        host
    }
}

/// Somebody who hears all that is on the wire of a bridge.
pub(crate) struct Recorder {
    over: Arc<AtomicBool>,
    heard: JoinHandle<Vec<u8>>,
}

impl Recorder {
    /// All frames since it began, one behind the other.
    #[allow(dead_code, reason = "not all tests listen")]
    pub(crate) fn stop(self) -> Vec<u8> {
        self.over.store(true, Ordering::SeqCst);
        self.heard.join().expect("a recorder that does not panic")
    }
}

impl Lab {
    /// Hears from now on all that is said between machines.
    #[allow(dead_code, reason = "not all tests listen")]
    pub(crate) fn record(&self) -> Recorder {
        const AF_PACKET: i32 = 17;
        const ALL_PROTOCOLS: i32 = (0x0003_u16).to_be() as i32;
        const LONGEST_FRAME: usize = 128 << 10;
        let bridge = Host { namespace: self.bridge.clone() };
        let mut socket = bridge.inside(|| {
            let socket = Socket::new(Domain::from(AF_PACKET), Type::RAW, Some(Protocol::from(ALL_PROTOCOLS)));
            socket.expect("to be root")
        });
        std::mem::forget(bridge); // the namespace is the lab's
        socket.set_recv_buffer_size(64 << 20).expect("an open socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("an open socket");
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let heard = std::thread::spawn(move || {
            let (mut all, mut frame) = (Vec::new(), vec![0; LONGEST_FRAME]);
            loop {
                match socket.read(&mut frame) {
                    Ok(bytes) => all.extend_from_slice(&frame[..bytes]),
                    Err(_) if ended.load(Ordering::SeqCst) => return all,
                    Err(_) => {}
                }
            }
        });
        Recorder { over, heard }
    }
}

impl Lab {
    /// Nothing comes to a machine or leaves it, or everything does again.
    #[allow(dead_code, reason = "not all tests cut machines off")]
    pub(crate) fn cut(&self, name: &str, cut: bool) {
        ip(&format!("-n {} link set v-{name} {}", self.bridge, if cut { "down" } else { "up" }));
    }
}

impl Host {
    /// What is sent from here to this address goes astray, without a word, or arrives again.
    #[allow(dead_code, reason = "not all tests lose packets")]
    pub(crate) fn loses(&self, address: &str, loses: bool) {
        let at = format!("{address} dev eth0");
        ip(&match loses {
            true => {
                format!("-n {} neigh replace {at} lladdr 02:00:00:00:00:01 nud permanent", self.namespace)
            }
            false => format!("-n {} neigh del {at}", self.namespace),
        });
    }

    /// What its namespace is called; the machine's name is at the end.
    #[allow(dead_code, reason = "not all tests start programs there by other programs")]
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Kills all that runs on this machine, all at once as far as that can be.
    #[allow(dead_code, reason = "not all tests kill machines")]
    pub(crate) fn kill_all(&self) {
        let said = Command::new("ip").args(["netns", "pids", &self.namespace]).output();
        let pids = String::from_utf8_lossy(&said.expect("the program ip").stdout).into_owned();
        for pid in pids.lines().filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL); // it may have ended just now
        }
    }

    /// Does `work` on this machine: what it starts and dials is there.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = Path::new("/run/netns").join(&self.namespace);
        let namespace = File::open(path).expect("a namespace");
        let working = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("to be root");
            work()
        });
        working.join().expect("what is done there does not panic")
    }

    /// What is said within this machine goes over a link of so many megabits a second.
    #[allow(dead_code, reason = "not all tests slow a machine down")]
    pub(crate) fn slow_loopback(&self, mbit: u32) {
        ip(&format!(
            "netns exec {} tc qdisc add dev lo root tbf rate {mbit}mbit burst 1mb latency 50ms",
            self.namespace
        ));
    }

    /// From now on nobody can dial this port: what would answer does not leave. Dials from here are not touched.
    #[allow(dead_code, reason = "not all tests refuse dials")]
    pub(crate) fn refuses_dials_at(&self, port: u16) {
        for kind in ["-4", "-6"] {
            ip(&format!("-n {} {kind} rule add ipproto tcp sport {port} prohibit", self.namespace));
        }
    }
}

impl Host {
    /// A command as it is, started on this machine.
    #[allow(dead_code, reason = "not all tests start processes so")]
    pub(crate) fn start(&self, command: &mut Command) {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.namespace]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        *command = inside;
    }

    /// From now on nothing goes from here to this address, or it does again. What comes from there is not touched.
    #[allow(dead_code, reason = "not all tests cut networks")]
    pub(crate) fn reaches(&self, address: &str, reaches: bool) {
        let what = if reaches { "del" } else { "add" };
        ip(&format!("-n {} route {what} blackhole {address}/32", self.namespace));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.namespace));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.bridge));
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("the program ip");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || std::thread::panicking(), "ip {arguments}: {said}");
}
