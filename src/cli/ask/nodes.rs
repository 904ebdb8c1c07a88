//! `p2p cluster nodes`, and what is to become of nodes: which hosts there are, which are lost, and who brings them back.

use serde::Serialize;

use crate::api::nodes::{NodeReport, id_of};
use crate::cli::failure::Failure;
use crate::cli::reach::client::{Client, strange};
use crate::cli::reach::tracker::in_pages;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{age, shown};
use crate::cli::typed::cluster::ForgetArgs;
use crate::cli::typed::options::Asking;
use crate::wire::{Common, FromTracker, GetNodes, NodeId, NodesChange, SeenNode, SetNodes, limits};

/// Digits of an id by which people know it.
const ID_DIGITS: usize = 8;

/// `cluster pause --json` and its like.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    change: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// `p2p cluster nodes`
pub(crate) fn nodes(args: &Asking) -> Result<(), Failure> {
    let (all, paused) = all(&mut client(args))?;
    if args.json {
        return all.iter().map(NodeReport::from).try_for_each(|node| output::json(&node));
    }
    if paused {
        output::line("paused: nobody is brought back until `p2p cluster resume`")?;
    }
    if all.is_empty() {
        return output::line("no node has beaten to this tracker; `p2p up` runs one");
    }
    let mut table = Table::new([
        ("NODE", Align::Left),
        ("STATE", Align::Left),
        ("HEARD", Align::Right),
        ("STARTS", Align::Right),
        ("HOST", Align::Left),
        ("ROLES", Align::Left),
    ]);
    for node in &all {
        let report = NodeReport::from(node);
        table.row([
            shown(&report.node),
            state(node, &report, &all),
            age(u64::from(report.silent_ms) / 1000),
            report.starts.to_string(),
            shown(&report.host),
            roles(&report),
        ]);
    }
    output::line(table.render(output::columns()).trim_end())
}

/// `p2p cluster pause`
pub(crate) fn pause(args: &Asking) -> Result<(), Failure> {
    set(&mut client(args), (NodesChange::Pause, None))?;
    said(args, ("pause", None), "nobody is brought back until `p2p cluster resume`")
}

/// `p2p cluster resume`
pub(crate) fn resume(args: &Asking) -> Result<(), Failure> {
    set(&mut client(args), (NodesChange::Resume, None))?;
    said(args, ("resume", None), "who is lost is brought back again")
}

/// `p2p cluster forget NODE`
pub(crate) fn forget(args: &ForgetArgs) -> Result<(), Failure> {
    let mut client = client(&args.asking);
    let (all, _) = all(&mut client)?;
    let node = meant(&all, &args.node)?;
    set(&mut client, (NodesChange::Forget, Some(node.id)))?;
    let words = format!("{} is not waited for any more", shown(&node.name));
    said(&args.asking, ("forget", Some(id_of(node.id))), &words)
}

fn client(args: &Asking) -> Client {
    Client::new(&args.trackers.trackers, args.wait)
}

/// All nodes, and whether all is paused.
pub(crate) fn all(client: &mut Client) -> Result<(Vec<SeenNode>, bool), Failure> {
    let (limit, mut paused) = (limits::MAX_PAGE_NODES as u16, false);
    let all = in_pages(
        |node: &SeenNode| node.id,
        |after| match client.ask(&GetNodes { after: after.unwrap_or(NodeId::NONE), limit }.into())? {
            FromTracker::Nodes(page) => {
                paused = page.paused;
                Ok((page.nodes.into_vec(), page.more))
            }
            other => Err(strange(&other)),
        },
    )?;
    Ok((all, paused))
}

fn set(client: &mut Client, (change, node): (NodesChange, Option<NodeId>)) -> Result<(), Failure> {
    let (id, seq) = client.change();
    let node = node.unwrap_or(NodeId::NONE);
    match client.ask(&SetNodes { client: id, seq, change, node }.into())? {
        FromTracker::Common(Common::Ok) => Ok(()),
        other => Err(strange(&other)),
    }
}

fn said(args: &Asking, (change, node): (&str, Option<String>), words: &str) -> Result<(), Failure> {
    output::answer(args.json, &Changed { change, node }, || words.to_owned())
}

/// The node of this name, or whose id begins so.
fn meant<'a>(all: &'a [SeenNode], typed: &str) -> Result<&'a SeenNode, Failure> {
    let is_it = |node: &&SeenNode| {
        *node.name == *typed || (typed.len() >= ID_DIGITS && id_of(node.id).starts_with(typed))
    };
    let mut fits = all.iter().filter(is_it);
    match (fits.next(), fits.next()) {
        (Some(node), None) => Ok(node),
        (None, _) => {
            Err(Failure::not_found(format!("no node is called `{typed}`; `p2p cluster nodes` lists them")))
        }
        (Some(one), Some(other)) => Err(Failure::usage(format!(
            "several nodes are called `{typed}`: name one by its id, {} or {}",
            id_of(one.id),
            id_of(other.id)
        ))),
    }
}

fn state(node: &SeenNode, report: &NodeReport, all: &[SeenNode]) -> String {
    let Some(duty) = node.duties.first() else {
        return match (&*report.state, report.tries) {
            ("lost", 1..) => format!("lost, tried {} ×", report.tries),
            (state, _) => state.to_owned(),
        };
    };
    let executor = all.iter().find(|other| other.id == duty.executor);
    let executor = executor.map_or_else(|| id_of(duty.executor), |executor| shown(&executor.name));
    let does = if duty.claimed { "brings it back" } else { "is to bring it back" };
    format!("{}: {executor} {does}", report.state)
}

/// What its roles are, if not running.
fn roles(report: &NodeReport) -> String {
    let role = |role: &crate::api::nodes::NodeRoleReport| {
        let looping = if role.looping { ", looping" } else { "" };
        match &*role.state {
            "running" => format!("{}{looping}", shown(&role.role)),
            state => format!("{} ({state}{looping})", shown(&role.role)),
        }
    };
    report.roles.iter().map(role).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DutyInfo, Label, List, NodeRole, NodeState, RoleState};

    fn node(byte: u8, name: &str, state: NodeState) -> SeenNode {
        let role =
            NodeRole { name: Label::new("tracker"), state: RoleState::Backoff, starts: 3, looping: true };
        SeenNode {
            id: NodeId([byte; 16]),
            name: Label::new(name),
            host: Label::new("h"),
            state,
            start: 1,
            silent_ms: 0,
            able: true,
            free: 0,
            load: 0,
            roles: List::new(vec![role]),
            tries: 0,
            duties: List::default(),
            software: Label::new("p2p/1"),
        }
    }

    #[test]
    fn a_lost_node_is_shown_with_who_brings_it_back() {
        let duty = DutyInfo { duty: 7, executor: NodeId([2; 16]), claimed: true };
        let lost = SeenNode { duties: List::new(vec![duty]), ..node(1, "a", NodeState::Lost) };
        let all = [lost.clone(), node(2, "b", NodeState::Up)];
        assert_eq!(state(&lost, &NodeReport::from(&lost), &all), "lost: b brings it back");
        let tried = SeenNode { tries: 2, ..node(1, "a", NodeState::Lost) };
        assert_eq!(state(&tried, &NodeReport::from(&tried), &all), "lost, tried 2 ×");
        assert_eq!(roles(&NodeReport::from(&lost)), "tracker (backoff, looping)");
    }

    #[test]
    fn a_node_is_meant_by_its_name_or_the_first_digits_of_its_id() {
        let all =
            [node(0xab, "a", NodeState::Up), node(2, "b", NodeState::Up), node(3, "b", NodeState::Lost)];
        assert_eq!(meant(&all, "a").unwrap().id, NodeId([0xab; 16]));
        assert_eq!(meant(&all, "abababab").unwrap().id, NodeId([0xab; 16]));
        assert!(meant(&all, "abab").is_err() && meant(&all, "b").is_err());
    }
}
