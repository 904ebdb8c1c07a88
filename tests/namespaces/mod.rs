//! Machines that are not there: network namespaces on one bridge.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

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
        let lab = Lab { bridge: format!("p2pt{}-b", std::process::id()) };
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

impl Host {
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

    /// From now on nobody can dial this port: what would answer does not leave. Dials from here are not touched.
    #[allow(dead_code, reason = "not all tests refuse dials")]
    pub(crate) fn refuses_dials_at(&self, port: u16) {
        for kind in ["-4", "-6"] {
            ip(&format!("-n {} {kind} rule add ipproto tcp sport {port} prohibit", self.namespace));
        }
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
