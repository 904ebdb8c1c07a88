//! What a page shows, and changes, of what is to stay up: trackers that are one, nodes with their roles, and stores that go.

use data_encoding::HEXLOWER;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Problem};
use super::request::Asked;
use super::site::Site;
use super::swarm::{self, Order, strange};
use crate::api::ClusterReport;
use crate::api::nodes::NodeReport;
use crate::content::PeerId;
use crate::wire::{
    ClientId, Common, FromTracker, GetCluster, GetNodes, NodeId, Nodes, NodesChange, SetNodes, SetStore,
    StoreChange, ToTracker, limits,
};

/// Nodes that are looked at for one list.
const MAX_NODES: usize = 20_000;

/// Trackers that are one, and whether nodes that are lost are brought back, which only that one knows that leads.
#[derive(Debug, Serialize)]
struct Together {
    #[serde(flatten)]
    trackers: ClusterReport,
    paused: Option<bool>,
}

/// `GET /cluster`
pub(super) fn cluster(site: &Site, _: &Asked) -> Result<Answer, Problem> {
    let FromTracker::Cluster(cluster) = site.ask(GetCluster {})? else { return Err(strange()) };
    let trackers = ClusterReport::new(&cluster, "");
    let paused = trackers.leader.and_then(|_| some(site, NodeId::NONE, 1).ok()).map(|nodes| nodes.paused);
    Ok(Answer::tagged(&Together { trackers, paused }))
}

fn some(site: &Site, after: NodeId, limit: usize) -> Result<Nodes, Problem> {
    match site.ask(GetNodes { after, limit: limit as u16 })? {
        FromTracker::Nodes(page) => Ok(page),
        _ => Err(strange()),
    }
}

/// `GET /nodes`: hosts with their roles, and who brings a lost one back.
pub(super) fn nodes(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("name")?;
    let (mut all, more) = swarm::gather(NodeId::NONE, MAX_NODES, |after| {
        let page = some(site, *after, limits::MAX_PAGE_NODES)?;
        let last = page.nodes.last().map(|node| node.id);
        Ok((page.nodes.iter().map(NodeReport::from).collect(), last, page.more))
    })?;
    all.retain(|node| swarm::has(&node.node, &part.q) || swarm::has(&node.host, &part.q));
    let orders: [Order<'_, NodeReport>; 3] = [
        ("name", |a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id))),
        ("state", |a, b| (&a.state, &a.node).cmp(&(&b.state, &b.node))),
        ("silent", |a, b| (a.silent_ms, &a.id).cmp(&(b.silent_ms, &b.id))),
    ];
    swarm::page(&all, &part, more, &orders)
}

/// Whether nodes that are lost are left alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    paused: bool,
}

/// `PATCH /nodes`
pub(super) fn pause(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let Pause { paused } = asked.json()?;
    let (change, words) = match paused {
        true => (NodesChange::Pause, "has no lost node brought back"),
        false => (NodesChange::Resume, "has lost nodes brought back again"),
    };
    change_nodes(site, asked, (change, NodeId::NONE), words)
}

/// `DELETE /nodes/{id}`: a lost node is not waited for any more.
pub(super) fn forget(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let node = NodeId(id(asked)?);
    change_nodes(site, asked, (NodesChange::Forget, node), &format!("forgets the node {}", asked.place(0)))
}

fn change_nodes(
    site: &Site,
    asked: &Asked,
    (change, node): (NodesChange, NodeId),
    words: &str,
) -> Result<Answer, Problem> {
    done(site, asked, SetNodes { client: ClientId::random(), seq: 1, change, node }, words)
}

/// What is to become of a store.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Fate {
    /// Others are to keep what it holds, so that it can be taken away.
    Leave,
    /// It does not leave after all.
    Stay,
    /// It is gone, and not waited for any more.
    Forget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    change: Fate,
}

/// `PATCH /stores/{id}`
pub(super) fn set_store(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let (Wish { change }, store) = (asked.json()?, PeerId(id(asked)?));
    let (change, words) = match change {
        Fate::Leave => (StoreChange::Leave, "has others keep what is held by the store"),
        Fate::Stay => (StoreChange::Stay, "lets stay the store"),
        Fate::Forget => (StoreChange::Forget, "forgets the store"),
    };
    let words = format!("{words} {}", asked.place(0));
    done(site, asked, SetStore { client: ClientId::random(), seq: 1, store, change }, &words)
}

/// Has the tracker do something, and notes that.
fn done(site: &Site, asked: &Asked, question: impl Into<ToTracker>, words: &str) -> Result<Answer, Problem> {
    let FromTracker::Common(Common::Ok) = site.ask_as_admin(question)? else { return Err(strange()) };
    site.note(asked, words);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// The id in the path, of a node or store.
fn id(asked: &Asked) -> Result<[u8; 16], Problem> {
    let bytes = HEXLOWER.decode(asked.place(0).as_bytes()).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Problem::bad("the id of a node or store has 32 hexadecimal digits"))
}
