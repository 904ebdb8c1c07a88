//! `p2p cluster`: trackers that are one, and who of them is to be.

use std::time::Duration;

use super::nodes;
use crate::api::{ClusterReport, Exit, NodeReport};
use crate::cli::failure::Failure;
use crate::cli::reach::asking::Wait;
use crate::cli::reach::client::{Client, strange};
use crate::cli::reach::tracker;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{count, shown};
use crate::cli::typed::cluster::{Changing, ClusterAct, ClusterCommand, Place};
use crate::cli::typed::options::Asking;
use crate::content::PublicKey;
use crate::wire::{
    ChangeMembers, Cluster, Common, ErrorCode, FromTracker, GetCluster, List, NodePlace, TrackerAddress,
    limits,
};

/// `p2p cluster status|add|remove`
pub(crate) fn cluster(args: &ClusterCommand) -> Result<(), Failure> {
    match &args.act {
        ClusterAct::Status(asking) => status(asking),
        ClusterAct::Add { place, changing } => {
            let Place { node, address } = place;
            change(changing, &Change::Add(place), || format!("tracker {node} at {address} is one of them"))
        }
        ClusterAct::Remove { node, changing } => {
            change(changing, &Change::Remove(*node), || format!("tracker {node} is not one of them any more"))
        }
        ClusterAct::Nodes(asking) => nodes::nodes(asking),
        ClusterAct::Pause(asking) => nodes::pause(asking),
        ClusterAct::Resume(asking) => nodes::resume(asking),
        ClusterAct::Forget(args) => nodes::forget(args),
    }
}

fn status(asking: &Asking) -> Result<(), Failure> {
    let mut tracker = tracker::connect_to_one(&asking.trackers.trackers, asking.wait)?;
    let report = ClusterReport::new(&tracker.cluster()?, &tracker.address);
    output::answer(asking.json, &report, || shown_as_table(&report))?;
    let (here, all) = (members(&report, true), members(&report, false));
    match here * 2 > all {
        true if report.leader.is_some() => Ok(()),
        true => Err(Failure::new(Exit::NoQuorum, "no tracker leads yet; try again in a moment")),
        false => Err(Failure::new(
            Exit::NoQuorum,
            format!("the trackers cannot agree: {here} of {all} are here, and more than half must be"),
        )),
    }
}

/// How many have a vote; if need be, and are connected.
fn members(report: &ClusterReport, only_here: bool) -> u64 {
    let votes = |node: &&NodeReport| match &*node.state {
        "newcomer" => false,
        "away" | "replaced" => !only_here,
        _ => true,
    };
    report.nodes.iter().filter(votes).count() as u64
}

fn shown_as_table(report: &ClusterReport) -> String {
    if report.epoch == 0 && report.nodes.len() == 1 {
        let applied = report.nodes[0].applied;
        return format!("this tracker is not one of several; it has applied {}", count(applied, "entry"))
            .replace("entrys", "entries");
    }
    let mut table = Table::new([
        ("NODE", Align::Right),
        ("STATE", Align::Left),
        ("EPOCH", Align::Right),
        ("APPLIED", Align::Right),
        ("HEARD", Align::Right),
        ("ADDRESS", Align::Left),
    ]);
    for node in &report.nodes {
        let heard = match node.heard_ms {
            _ if node.node == report.asked => "asked".to_owned(),
            Some(ms) => format!("{ms} ms ago"),
            None => "-".to_owned(),
        };
        table.row([
            node.node.to_string(),
            node.state.clone(),
            node.epoch.to_string(),
            node.applied.to_string(),
            heard,
            shown(&node.address),
        ]);
    }
    table.render(output::columns()).trim_end().to_owned()
}

/// A change of who is one of them.
enum Change<'a> {
    Add(&'a Place),
    Remove(u16),
}

/// Asks for the change until it is made: also where the answer was lost, or another change came before.
fn change(asking: &Changing, change: &Change<'_>, words: impl Fn() -> String) -> Result<(), Failure> {
    let mut wait = Wait::new(asking.wait);
    let mut client = Client::new(&asking.trackers.trackers, asking.wait);
    loop {
        let cluster = match client.ask(&GetCluster {}.into())? {
            FromTracker::Cluster(cluster) => cluster,
            other => return Err(strange(&other)),
        };
        let Some(members) = wanted(&cluster, change)? else {
            let address = asking.trackers.trackers.first().map_or("", String::as_str);
            return output::answer(asking.json, &ClusterReport::new(&cluster, address), words);
        };
        let wait_ms = asking.wait.limit().map_or(limits::MAX_WAIT_MS, |most: Duration| {
            u32::try_from(most.as_millis()).unwrap_or(u32::MAX).min(limits::MAX_WAIT_MS)
        });
        let question = ChangeMembers { epoch: cluster.epoch, members: List::new(members), wait_ms };
        let detail = match client.put(&question.into())? {
            FromTracker::Cluster(_) => continue, // which says whether it is as it was to be
            FromTracker::Common(Common::Error(error))
                if matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound) =>
            {
                error.detail
            }
            answer => return client.accept(answer).and_then(|answer| Err(strange(&answer))),
        };
        if !wait.again(&shown(&detail)) {
            return Err(Failure::other(format!("nothing has changed: {}", shown(&detail))));
        }
    }
}

/// The members of the next epoch; none if it is so already.
fn wanted(cluster: &Cluster, change: &Change<'_>) -> Result<Option<Vec<NodePlace>>, Failure> {
    if cluster.epoch == 0 {
        return Err(Failure::other(
            "this tracker is not one of several, or they have not all met yet; start them with --node and --cluster",
        ));
    }
    let of = |node: &crate::wire::NodeInfo| NodePlace {
        node: node.node,
        address: node.address.clone(),
        key: node.key,
    };
    let members = || cluster.nodes.iter().filter(|node| node.votes);
    let mut next: Vec<NodePlace> = members().map(of).collect();
    match change {
        Change::Add(Place { node, address }) => {
            if let Some(member) = members().find(|member| member.node == *node) {
                return match () {
                    () if member.replaced => Err(Failure::other(format!(
                        "tracker {node} has another disk than it was taken in with; remove it first, then add it again"
                    ))),
                    () if *member.address == **address => Ok(None),
                    () => Err(Failure::usage(format!(
                        "tracker {node} is one of them already, at {}",
                        shown(&member.address)
                    ))),
                };
            }
            if next.len() >= limits::MAX_NODES {
                return Err(Failure::usage(format!("more than {} cannot be one", limits::MAX_NODES)));
            }
            let known = cluster.nodes.iter().find(|newcomer| newcomer.node == *node);
            let key = known.map_or(PublicKey::NONE, |newcomer| newcomer.key);
            next.push(NodePlace { node: *node, address: TrackerAddress::new(address), key });
            next.sort_by_key(|place| place.node);
        }
        Change::Remove(node) => {
            next.retain(|place| place.node != *node);
            if next.len() == members().count() {
                return Ok(None);
            }
            if next.is_empty() {
                return Err(Failure::usage("this is the last of them: nobody would have what is on record"));
            }
        }
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Incarnation, NodeInfo};

    fn node(node: u16, votes: bool) -> NodeInfo {
        NodeInfo {
            node,
            address: TrackerAddress::new(format!("t{node}:1")),
            key: PublicKey([node as u8; 32]),
            votes,
            incarnation: Incarnation(1),
            replaced: false,
            heard_ms: 5,
            epoch: 2,
            applied: 7,
        }
    }

    fn cluster(nodes: Vec<NodeInfo>) -> Cluster {
        Cluster { epoch: 2, leader: 1, node: 1, nodes: List::new(nodes) }
    }

    fn next(cluster: &Cluster, change: &Change<'_>) -> Option<Vec<(u16, String, u8)>> {
        let of = |place: NodePlace| (place.node, place.address.to_string(), place.key.0[0]);
        wanted(cluster, change).unwrap().map(|places| places.into_iter().map(of).collect())
    }

    fn place(node: u16, address: &str) -> Place {
        Place { node, address: address.to_owned() }
    }

    #[test]
    fn who_comes_has_the_key_that_it_has_shown_and_the_others_stay_as_they_are() {
        let cluster = cluster(vec![node(1, true), node(2, false), node(3, true)]);
        let both = vec![(1, "t1:1".to_owned(), 1), (3, "t3:1".to_owned(), 3)];
        let with = |new: (u16, String, u8), at: usize| {
            let mut all = both.clone();
            all.insert(at, new);
            Some(all)
        };
        assert_eq!(next(&cluster, &Change::Add(&place(2, "b:2"))), with((2, "b:2".to_owned(), 2), 1));
        assert_eq!(next(&cluster, &Change::Add(&place(4, "d:4"))), with((4, "d:4".to_owned(), 0), 2));
        assert_eq!(next(&cluster, &Change::Remove(1)), Some(vec![(3, "t3:1".to_owned(), 3)]));
    }

    #[test]
    fn what_is_so_already_is_done_and_what_cannot_be_is_told() {
        let cluster = |nodes| cluster(nodes);
        let one = cluster(vec![node(1, true)]);
        assert_eq!(next(&one, &Change::Remove(2)), None);
        assert_eq!(next(&one, &Change::Add(&place(1, "t1:1"))), None);
        let refused = |cluster: &Cluster, change: &Change<'_>| wanted(cluster, change).unwrap_err().exit;
        assert_eq!(refused(&one, &Change::Remove(1)), Exit::Usage);
        assert_eq!(refused(&one, &Change::Add(&place(1, "b:2"))), Exit::Usage);
        let full = cluster((1..=limits::MAX_NODES as u16).map(|number| node(number, true)).collect());
        assert_eq!(refused(&full, &Change::Add(&place(50, "b:2"))), Exit::Usage);
        let replaced = cluster(vec![node(1, true), NodeInfo { replaced: true, ..node(2, true) }]);
        assert_eq!(refused(&replaced, &Change::Add(&place(2, "t2:1"))), Exit::Other);
        let alone = Cluster { epoch: 0, leader: 1, node: 1, nodes: List::new(vec![node(1, true)]) };
        assert_eq!(refused(&alone, &Change::Remove(1)), Exit::Other);
    }

    #[test]
    fn the_states_of_members_are_told_apart() {
        let mut nodes = vec![node(1, true), node(2, true), node(3, true), node(4, false), node(5, true)];
        nodes[2].heard_ms = u32::MAX;
        nodes[4].replaced = true;
        nodes[0].address = TrackerAddress::default();
        let report = ClusterReport::new(&cluster(nodes), "dialled:1");
        let states: Vec<&str> = report.nodes.iter().map(|node| &*node.state).collect();
        assert_eq!(states, ["leads", "follows", "away", "newcomer", "replaced"]);
        assert_eq!((members(&report, true), members(&report, false), report.leader), (2, 4, Some(1)));
        let table = shown_as_table(&report);
        assert!(table.contains("dialled:1") && table.contains("5 ms ago"), "{table}");
        let gone = Cluster { leader: 3, ..cluster(vec![NodeInfo { heard_ms: u32::MAX, ..node(3, true) }]) };
        assert_eq!(ClusterReport::new(&gone, "").leader, None, "who is away does not lead");
    }
}
