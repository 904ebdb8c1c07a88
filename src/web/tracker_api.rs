//! What a tracker's page can see and do beside what every tracker says: how it is, and descriptors that are handed in.

use hyper::StatusCode;
use serde::Serialize;

use super::answer::{Answer, Problem};
use super::handed_in::HandedIn;
use super::request::Asked;
use super::site::{House, Site};
use super::swarm;
use crate::content::Link;
use crate::threads::lock;

/// Descriptors that are kept, the oldest of which goes first.
pub(super) const MAX_HANDED_IN: usize = 10_000;

/// How the tracker is.
#[derive(Debug, Serialize)]
pub(super) struct TrackerState {
    uptime_ms: u64,
    peers: u32,
    names: u32,
    registrations: u64,
    located: u64,
}

pub(super) fn state(site: &Site) -> Result<TrackerState, Problem> {
    let status = swarm::status(site)?;
    Ok(TrackerState {
        uptime_ms: status.uptime_ms,
        peers: status.peers,
        names: status.names,
        registrations: status.registrations,
        located: status.located,
    })
}

/// `GET /tracker`: how the tracker is.
pub(super) fn tracker(site: &Site, _: &Asked) -> Result<Answer, Problem> {
    Ok(Answer::json(&state(site)?))
}

/// `GET /descriptors`
pub(super) fn descriptors(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("-at")?;
    let all = lock(&site.handed_in);
    let those: Vec<&HandedIn> = all.iter().filter(|one| swarm::has(&one.name, &part.q)).collect();
    swarm::page(
        &those,
        &part,
        false,
        &[
            ("at", |a, b| (a.at, &a.name).cmp(&(b.at, &b.name))),
            ("name", |a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id))),
            ("size", |a, b| (a.size, &a.name).cmp(&(b.size, &b.name))),
        ],
    )
}

/// `POST /descriptors`: the text of a descriptor, or a link. It is listed here until the process ends, whoever has it.
pub(super) fn hand_in(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let text = std::str::from_utf8(&asked.body).map_err(|_| Problem::bad("a descriptor is UTF-8"))?;
    let link = swarm::as_typed(text)?;
    let wanted = || Problem::bad("a descriptor or a link that has a name is wanted");
    let link = link.filter(|link| link.name.is_some()).ok_or_else(wanted)?;
    let one = handed_in(&link, asked);
    let mut all = lock(&site.handed_in);
    let other = all.iter().position(|other| other.name == one.name);
    match other {
        Some(at) if all[at].id != one.id && asked.header("if-match").is_none() => {
            return Err(Problem::conflict("another content was handed in under this name"));
        }
        Some(at) => all[at] = one.clone(),
        None => {
            if all.len() >= MAX_HANDED_IN {
                all.remove(0);
            }
            all.push(one.clone());
        }
    }
    drop(all);
    site.note(asked, format!("hands in {}", one.name));
    Ok(Answer::json(&one).status(StatusCode::CREATED))
}

fn handed_in(link: &Link, asked: &Asked) -> HandedIn {
    HandedIn {
        name: link.name.as_ref().map_or_else(String::new, |name| name.as_str().to_owned()),
        id: link.id.to_string(),
        size: link.size,
        by: asked.account().to_owned(),
        at: super::site::now(),
        link: link.to_string(),
    }
}

/// Whether this process does what it is for; else why not.
pub(super) fn is_ready(site: &Site) -> Result<(), String> {
    match &site.house {
        House::Peer(peer) => super::peer_api::is_ready(peer),
        House::Tracker(tracker) => {
            swarm::status(site).map_err(|problem| problem.detail)?;
            tracker.view().and_then(|view| view.stuck()).map_or(Ok(()), Err)
        }
    }
}
