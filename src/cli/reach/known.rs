//! Which trackers are one with which, as they said when they were asked last: kept in the user's cache folder, a file for
//! each, so that who was given one address finds the others when that one is dead.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::content::{Endpoint, PublicKey};
use crate::net::secure::{Expected, Keyring};
use crate::wire::{Cluster, NodeInfo, limits};

/// For how long it is believed what a tracker said; then it is asked again when it is spoken with.
const BELIEVED: Duration = Duration::from_secs(10 * 60);

/// A tracker that is one with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Other {
    /// `host:port`
    address: String,
    /// Its key, if the swarm is closed.
    key: Option<String>,
}

/// Each tracker, and behind it those that are one with it and are not in the list themselves.
/// Who dials with this keyring finds none there that has another key than was said.
pub(crate) fn clusters(trackers: &[String], keyring: &Keyring) -> Vec<Vec<String>> {
    let folder = folder();
    let of = |tracker: &String| folder.as_ref().map_or_else(Vec::new, |folder| read(folder, tracker));
    put_together(trackers, of, |other| pin(keyring, other))
}

fn put_together(
    trackers: &[String],
    others_of: impl Fn(&String) -> Vec<Other>,
    see: impl Fn(&Other),
) -> Vec<Vec<String>> {
    let mut seen = trackers.to_vec();
    let mut cluster = |tracker: &String| {
        let mut cluster = vec![tracker.clone()];
        for other in others_of(tracker) {
            if !seen.contains(&other.address) {
                see(&other);
                seen.push(other.address.clone());
                cluster.push(other.address);
            }
        }
        cluster
    };
    trackers.iter().map(&mut cluster).collect()
}

/// True if a tracker is to be asked which are one with it.
pub(crate) fn is_due(tracker: &str) -> bool {
    let Some(folder) = folder() else { return false };
    let age = fs::metadata(file_of(&folder, tracker)).and_then(|data| data.modified());
    // A time that is to come is no age.
    !age.is_ok_and(|then| then.elapsed().is_ok_and(|age| age < BELIEVED))
}

/// Remembers what a tracker said, of all that are one with it: any of them may be the one that is named next time. Where that
/// is not possible it is asked again.
pub(crate) fn remember(tracker: &str, cluster: &Cluster) {
    let Some(folder) = folder() else { return };
    let (own, others) = (own_in(cluster, tracker), others_in(cluster));
    let all: Vec<&Other> = std::iter::once(&own).chain(&others).collect();
    for one in &all {
        let others: Vec<&Other> = all.iter().copied().filter(|other| other.address != one.address).collect();
        if let Err(error) = write(&folder, &one.address, &others) {
            tracing::debug!("the trackers that are one with {tracker} are not remembered: {error}");
        }
    }
}

/// The tracker that says so, at the address at which it was dialled.
fn own_in(cluster: &Cluster, dialled: &str) -> Other {
    let own = cluster.nodes.iter().find(|node| node.node == cluster.node);
    Other { address: dialled.to_owned(), key: own.and_then(key_of) }
}

fn key_of(node: &NodeInfo) -> Option<String> {
    (node.key != PublicKey::NONE).then(|| node.key.to_string())
}

/// The members beside the tracker that says so.
fn others_in(cluster: &Cluster) -> Vec<Other> {
    let is_other = |node: &&NodeInfo| {
        node.votes && node.node != cluster.node && node.address.parse::<Endpoint>().is_ok()
    };
    let other = |node: &NodeInfo| Other { address: node.address.to_string(), key: key_of(node) };
    cluster.nodes.iter().filter(is_other).take(limits::MAX_NODES).map(other).collect()
}

/// Who answers there must have this key, unless it is known already who must.
fn pin(keyring: &Keyring, Other { address, key }: &Other) {
    if let Some(key) = key.as_ref().and_then(|key| key.parse().ok())
        && keyring.tracker_at(address) == Expected::Anybody
    {
        keyring.pin(address, key);
    }
}

fn folder() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join("p2p").join("trackers"))
}

fn file_of(folder: &Path, tracker: &str) -> PathBuf {
    folder.join(utf8_percent_encode(tracker, NON_ALPHANUMERIC).to_string())
}

fn read(folder: &Path, tracker: &str) -> Vec<Other> {
    let text = fs::read_to_string(file_of(folder, tracker)).unwrap_or_default();
    let mut others: Vec<Other> = serde_json::from_str(&text).unwrap_or_default();
    others.retain(|other| other.address.parse::<Endpoint>().is_ok());
    others.truncate(limits::MAX_NODES);
    others
}

fn write(folder: &Path, tracker: &str, others: &[&Other]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Another command may be reading it.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, others)?;
    file.persist(file_of(folder, tracker))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Incarnation, List, TrackerAddress};

    fn node(node: u16, address: &str, votes: bool) -> NodeInfo {
        NodeInfo {
            node,
            address: TrackerAddress::new(address),
            key: PublicKey::NONE,
            votes,
            incarnation: Incarnation::default(),
            replaced: false,
            heard_ms: 0,
            epoch: 1,
            applied: 1,
        }
    }

    fn other(address: &str) -> Other {
        Other { address: address.to_owned(), key: None }
    }

    #[test]
    fn others_are_the_members_that_have_an_address() {
        let nodes = vec![
            node(1, "a:1", true),
            node(2, "b:2", true),
            node(3, "", true),
            node(4, "no address", true),
            node(5, "e:5", false),
            node(6, "f:6", true),
        ];
        let cluster = Cluster { epoch: 1, leader: 1, node: 1, nodes: List::new(nodes) };
        assert_eq!(others_in(&cluster), [other("b:2"), other("f:6")]);
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_so_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("new");
        assert_eq!(read(&inside, "[fe80::1%eth0]:9700"), []);
        write(&inside, "[fe80::1%eth0]:9700", &[&other("b:2"), &other("no address")]).unwrap();
        assert_eq!(read(&inside, "[fe80::1%eth0]:9700"), [other("b:2")]);
        write(&inside, "[fe80::1%eth0]:9700", &[]).unwrap();
        assert_eq!(read(&inside, "[fe80::1%eth0]:9700"), []);
        fs::write(file_of(&inside, "a:1"), "nonsense").unwrap();
        assert_eq!(read(&inside, "a:1"), []);
    }

    #[test]
    fn nobody_is_twice_in_what_is_put_together() {
        let all = ["a:1", "b:2"].map(str::to_owned);
        let others = |tracker: &String| match &**tracker {
            "a:1" => vec![other("b:2"), other("c:3")],
            _ => vec![other("c:3"), other("d:4")],
        };
        assert_eq!(put_together(&all, others, |_| {}), [vec!["a:1", "c:3"], vec!["b:2", "d:4"]]);
    }
}
