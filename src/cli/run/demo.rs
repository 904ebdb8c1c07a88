//! `p2p up --demo N`: nodes of a tracker and a store each, on free ports of this machine, in a folder that goes away with
//! them. Each node is an agent of its own, and all of them are roles of one: whatever is killed comes back. One that hangs
//! another node has restarted before that notices.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use toml::Value;

use crate::cli::failure::{Failure, reason};
use crate::cli::run::scratch::{self, Scratch};
use crate::node::plan::Assignment;
use crate::node::role::Patience;
use crate::node::{Plan, Revive};
use crate::say;

/// What each store lends.
const LENT: &str = "1GB";
/// How long a node may be silent: nobody likes to wait in a demonstration.
const SILENCE: &str = "4s";
/// Where the agent of all nodes has its state, in the folder.
const STATE: &str = "demo";

/// The nodes of a demonstration.
#[derive(Debug)]
pub(crate) struct Demo {
    folder: Scratch,
    trackers: Vec<String>,
}

impl Demo {
    /// Makes the folder, and in it the configuration of each node.
    pub(crate) fn prepare(nodes: u16) -> Result<Demo, Failure> {
        let failed =
            |error: io::Error| Failure::other(format!("cannot prepare the nodes: {}", reason(&error)));
        let folder = scratch::folder()?;
        let trackers: Vec<String> =
            free_ports(nodes).map_err(failed)?.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let restart = restart(&folder.path().join(STATE)).map_err(failed)?;
        for number in 1..=trackers.len() {
            describe(&folder.path().join(name(number)), number, &trackers, &restart).map_err(failed)?;
        }
        Ok(Demo { folder, trackers })
    }

    /// The nodes, as roles of one agent.
    pub(crate) fn plan(&self) -> Plan {
        let roles: BTreeMap<String, Assignment> = (1..=self.trackers.len())
            .map(|number| {
                let file = self.folder.path().join(name(number)).join("node.toml");
                let args = vec!["up".to_owned(), file.display().to_string()];
                (name(number), Assignment { args, after: BTreeSet::new() })
            })
            .collect();
        Plan {
            name: "demo".to_owned(),
            host: "demo".to_owned(),
            trackers: Vec::new(),
            revive: Revive::default(),
            state: self.folder.path().join(STATE),
            base: self.folder.path().to_owned(),
            patience: Patience::default(),
            roles,
        }
    }

    /// Says what can be done with them.
    pub(crate) fn tell(&self) {
        let (folder, trackers) = (self.folder.path(), self.trackers.join(","));
        say::note(&format!(
            "all of it is in {} and goes away at the end; in another terminal:\n  \
             export P2P_TRACKER={trackers}\n  \
             p2p stores\n  \
             p2p cluster nodes\n  \
             p2p node status --state {}\n  \
             p2p node status --file {}\n\
             kill what you like: it comes back",
            folder.display(),
            folder.join(STATE).display(),
            folder.join(name(1)).join("node.toml").display(),
        ));
    }
}

fn name(number: usize) -> String {
    format!("node{number}")
}

/// So many ports that nobody listens on: all at once, so that no two are the same.
fn free_ports(count: u16) -> io::Result<Vec<u16>> {
    let taken: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    taken.iter().map(|listener| listener.local_addr().map(|addr| addr.port())).collect()
}

/// What a node runs to have another restarted: it asks the agent of all nodes for it.
fn restart(state: &Path) -> io::Result<String> {
    let program = std::env::current_exe()?;
    let words = [
        &program.display().to_string(),
        "node",
        "restart",
        "{node}",
        "--state",
        &state.display().to_string(),
    ];
    Ok(list(words))
}

/// A list of texts, as a configuration has it.
fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    Value::Array(texts.into_iter().map(Value::from).collect()).to_string()
}

/// So many trackers go on when one of them is gone: they are one.
const SEVERAL: usize = 3;

/// Writes the configuration of a node into its folder. Three trackers or more are one. Two would stand still whenever one of
/// them is killed, and have records of their own each; a store keeps for one tracker then: so all stores are at the first,
/// where an upload finds all of them, and which learns from them what there is when it comes back. For the same reason the
/// first decides about nodes.
fn describe(folder: &Path, number: usize, trackers: &[String], restart: &str) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::create_dir(folder.join("store"))?;
    let others: Vec<String> = (1..=trackers.len()).filter(|other| *other != number).map(name).collect();
    let (name, own) = (name(number), &trackers[number - 1]);
    let all = list(trackers.iter().map(String::as_str));
    let places: Vec<String> =
        (1..).zip(trackers).map(|(number, place)| format!("{number}={place}")).collect();
    let (records, kept_for) = match trackers.len() >= SEVERAL {
        true => {
            (format!("node = {number}\ncluster = {}", list(places.iter().map(String::as_str))), all.clone())
        }
        false => ("data = false".to_owned(), list([&*trackers[0]])),
    };
    let others = list(others.iter().map(String::as_str));
    fs::write(
        folder.join("node.toml"),
        format!(
            "[node]\nname = \"{name}\"\nstate = \"state\"\ntrackers = {all}\n\n\
             [revive]\nrun = {restart}\nnodes = {others}\n\n\
             [tracker]\nlisten = \"{own}\"\n{records}\nnode-silence = \"{SILENCE}\"\n\n\
             [peer.store]\nfolder = \"store\"\nname = \"store{number}\"\nstore = \"{LENT}\"\nzone = \"{name}\"\n\
             listen = \"127.0.0.1:0\"\ntrackers = {kept_for}\nafter = [\"tracker\"]\n"
        ),
    )
}
