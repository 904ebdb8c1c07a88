//! Machines that are not there: network namespaces joined by a bridge, every host shaped both ways.
//!
//! Owns the namespaces. Invariant: their names start with a prefix that holds this process's id, and
//! none outlives the `Lab`, however it ends. The main thread never changes namespace; threads that do
//! are made for it and end with what they were made for.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::support::p2p::Place;
use crate::support::process;

/// How long a packet may wait in a shaper. Bits beyond it are dropped, which is how TCP learns the
/// rate; 50 ms is the queue of an ordinary switch or access router, and above the round trip by far.
const QUEUE_MS: u32 = 50;

/// The least a shaper may send at once, in bytes. A bucket must hold at least one timer tick of traffic or
/// the rate is never reached, and little enough that the first burst does not flatter a short transfer:
/// this is 5.6 ms at 100 Mbit/s. It also holds the largest offloaded packet (64 KiB and headers): tbf takes
/// apart what does not fit, and then half of this machine's work was to carry single packets. tbf counts
/// the headers of all the packets that an offloaded one stands for, so offloading does not bend the rate.
const LEAST_BURST: u64 = 70_000;

/// The rate of one host's link, bits per second each way, Ethernet headers included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// A namespace with one interface, `eth0`.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) namespace: String,
    pub(crate) address: Ipv4Addr,
    /// Its other end, in the bridge's namespace.
    port: String,
    pub(crate) link: Option<Link>,
}

/// Bytes that left and reached a host by its shapers' count, all headers included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// Hosts on one bridge. `hosts[0]` is the seeder.
pub(crate) struct Lab {
    bridge: String,
    pub(crate) tracker: Host,
    pub(crate) hosts: Vec<Host>,
}

/// Why this machine cannot hold a lab, if it cannot.
pub(crate) fn obstacle() -> Option<&'static str> {
    if !rustix::process::getuid().is_root() {
        return Some("network namespaces and traffic shaping need root: run this benchmark as root");
    }
    if process::find("ip").is_none() || process::find("tc").is_none() {
        return Some("the programs ip and tc are missing: install the package iproute2");
    }
    None
}

impl Lab {
    /// Makes a bridge, a tracker's host without limits, and one shaped host for each link.
    pub(crate) fn new(links: &[Link], offload: bool) -> Result<Self> {
        let prefix = format!("p2pb{}", std::process::id());
        let host = |number: u16, name: String, link| {
            let [high, low] = (number + 1).to_be_bytes();
            Host {
                namespace: format!("{prefix}-{name}"),
                address: Ipv4Addr::new(10, 77, high, low),
                port: format!("v{number}"),
                link,
            }
        };
        let hosts =
            links.iter().zip(1u16..).map(|(link, number)| host(number, number.to_string(), Some(*link)));
        // Made before its parts, so that a failure half way is cleaned up too.
        let lab = Self {
            bridge: format!("{prefix}-b"),
            tracker: host(0, "t".into(), None),
            hosts: hosts.collect(),
        };
        lab.build(offload)?;
        Ok(lab)
    }

    fn build(&self, offload: bool) -> Result<()> {
        run("ip", &["netns", "add", &self.bridge])?;
        batch(
            "ip",
            &self.bridge,
            "link add br0 type bridge forward_delay 0 mcast_snooping 0\nlink set br0 up\n",
        )?;
        // A bridge is a cable here: no firewall looks at what crosses it, if the kernel has one at all.
        let _ = run(
            "ip",
            &["netns", "exec", &self.bridge, "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=0"],
        );
        for host in self.everyone() {
            run("ip", &["netns", "add", &host.namespace])?;
            self.attach(host)?;
            if let Some(link) = host.link {
                shape(&host.namespace, "eth0", link.up)?;
                shape(&self.bridge, &host.port, link.down)?;
            }
            if !offload {
                let off = ["-K", "eth0", "tso", "off", "gso", "off", "gro", "off"];
                let mut ethtool = Place::namespace(&host.namespace).command(Path::new("ethtool"));
                ensure!(ethtool.args(off).stdout(Stdio::null()).status()?.success(), "ethtool failed");
            }
        }
        Ok(())
    }

    fn attach(&self, host: &Host) -> Result<()> {
        let Host { namespace, address, port, .. } = host;
        batch(
            "ip",
            &self.bridge,
            &format!(
                "link add {port} type veth peer name eth0 netns {namespace}\n\
                 link set {port} master br0\nlink set {port} up\n"
            ),
        )?;
        batch("ip", namespace, &format!("addr add {address}/16 dev eth0\nlink set eth0 up\nlink set lo up\n"))
    }

    fn everyone(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.tracker).chain(&self.hosts)
    }

    /// What the shapers of `host` have passed since they were made.
    pub(crate) fn traffic(&self, host: &Host) -> Result<Traffic> {
        Ok(Traffic { up: passed(&host.namespace, "eth0")?, down: passed(&self.bridge, &host.port)? })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in self.everyone().map(|host| &host.namespace).chain([&self.bridge]) {
            if Path::new("/run/netns").join(namespace).exists() {
                let _ = run("ip", &["netns", "del", namespace]);
            }
        }
    }
}

impl Host {
    pub(crate) fn place(&self) -> Place {
        Place::namespace(&self.namespace)
    }

    /// Starts a thread that lives in this host; sockets it makes stay here.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<T>>> {
        let path = Path::new("/run/netns").join(&self.namespace);
        let namespace = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        Ok(thread::spawn(move || {
            let handle = std::os::fd::AsFd::as_fd(&namespace);
            move_into_link_name_space(handle, Some(LinkNameSpaceType::Network))?;
            work()
        }))
    }

    /// Runs `work` in this host and waits for it.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.spawn(work)?.join().map_err(|_| anyhow!("a thread in {} panicked", self.namespace))?
    }
}

/// Bytes that `eth0` of the calling thread's namespace has sent and received: cheap, but offloaded segments
/// count one header only.
pub(crate) fn counters() -> (u64, u64) {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix("eth0:")).unwrap_or_default();
    let field = |nth| line.split_whitespace().nth(nth).and_then(|field| field.parse().ok()).unwrap_or(0);
    (field(8), field(0))
}

fn shape(namespace: &str, device: &str, rate: u64) -> Result<()> {
    let burst = LEAST_BURST.max(rate / 8 / 500);
    run(
        "tc",
        &[
            "-n",
            namespace,
            "qdisc",
            "add",
            "dev",
            device,
            "root",
            "tbf",
            "rate",
            &format!("{rate}bit"),
            "burst",
            &burst.to_string(),
            "latency",
            &format!("{QUEUE_MS}ms"),
        ],
    )
}

fn passed(namespace: &str, device: &str) -> Result<u64> {
    let output =
        Command::new("tc").args(["-n", namespace, "-s", "-j", "qdisc", "show", "dev", device]).output()?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    report[0]["bytes"].as_u64().context("tc does not say how many bytes a shaper has passed")
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn batch(program: &str, namespace: &str, lines: &str) -> Result<()> {
    let mut command = Command::new(program);
    command.args(["-n", namespace, "-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {program}"))?;
    child.stdin.take().context("standard input")?.write_all(lines.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
