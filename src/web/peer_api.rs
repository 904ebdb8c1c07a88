//! What a peer's page can see and do beside what trackers say: its transfers, what it shares, its rates.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Problem};
use super::request::Asked;
use super::site::Site;
use super::swarm::{self, Order};
use crate::api::control::{self, Get, Limit};
use crate::api::{Found, SourceReport, Underway};
use crate::content::SafeName;
use crate::peer::Hand;

/// Cells of the strip that shows which parts of a transfer are here.
const CELLS: u32 = 512;
/// How long a fetch that is asked for here waits for somebody who has it, in milliseconds.
const WAIT_MS: u64 = 3_600_000;

/// `GET /status`: how the peer is, without its transfers.
pub(super) fn status(site: &Site, _: &Asked) -> Result<Answer, Problem> {
    Ok(Answer::tagged(&site.peer()?.status()))
}

/// `GET /transfers`
pub(super) fn transfers(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("-number")?;
    let mut all = site.peer()?.transfers();
    all.retain(|transfer| swarm::has(&transfer.status.name, &part.q));
    all.iter_mut().for_each(|transfer| transfer.status.sources.retain(|source| source.connected));
    let orders: [Order<'_, Underway>; 5] = [
        ("number", |a, b| a.number.cmp(&b.number)),
        ("name", |a, b| (&a.status.name, a.number).cmp(&(&b.status.name, b.number))),
        ("size", |a, b| (a.status.bytes_total, a.number).cmp(&(b.status.bytes_total, b.number))),
        ("rate", |a, b| a.status.rate.total_cmp(&b.status.rate)),
        ("state", |a, b| (a.status.state.to_string(), a.number).cmp(&(b.status.state.to_string(), b.number))),
    ];
    swarm::page(&all, &part, false, &orders)
}

/// The transfer of the number in the path.
fn one(site: &Site, asked: &Asked) -> Result<Underway, Problem> {
    let number: u64 = asked.place(0).parse().map_err(|_| Problem::missing("transfers have numbers"))?;
    let found = site.peer()?.transfers().into_iter().find(|transfer| transfer.number == number);
    found.ok_or_else(|| Problem::missing("there is no such transfer, or it ended long ago"))
}

/// `GET /transfers/{number}`
pub(super) fn transfer(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    Ok(Answer::tagged(&one(site, asked)?))
}

/// `GET /transfers/{number}/sources`: each with the reason why it is asked or not.
pub(super) fn sources(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("-rate")?;
    let sources = one(site, asked)?.status.sources;
    let orders: [Order<'_, SourceReport>; 4] = [
        ("rate", |a, b| a.rate.total_cmp(&b.rate)),
        ("name", |a, b| (&a.name, &a.addr).cmp(&(&b.name, &b.addr))),
        ("bytes", |a, b| (a.bytes, &a.addr).cmp(&(b.bytes, &b.addr))),
        ("cost", |a, b| a.cost_ms.total_cmp(&b.cost_ms)),
    ];
    swarm::page(&sources, &part, false, &orders)
}

/// A file of a transfer.
#[derive(Debug, Serialize)]
struct Part {
    path: String,
    size: u64,
    done: u64,
}

/// `GET /transfers/{number}/files`
pub(super) fn files(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let (part, number) = (asked.part("path")?, one(site, asked)?.number);
    let peer = site.peer()?;
    let all = site.gathered.get(&format!("files {number}"), || {
        let files = peer.files(number).unwrap_or_default().into_iter();
        Ok(files.map(|(path, size, done)| Part { path, size, done }).collect::<Vec<_>>())
    })?;
    let files: Vec<&Part> = all.iter().filter(|file| swarm::has(&file.path, &part.q)).collect();
    let orders: [Order<'_, &Part>; 3] = [
        ("path", |a, b| a.path.cmp(&b.path)),
        ("size", |a, b| (a.size, &a.path).cmp(&(b.size, &b.path))),
        ("done", |a, b| (a.done, &a.path).cmp(&(b.done, &b.path))),
    ];
    swarm::page(&files, &part, false, &orders)
}

/// `GET /transfers/{number}/chunks`: for each part of it a digit, 9 if all of that part is here.
pub(super) fn chunks(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let number = one(site, asked)?.number;
    let strip = site.peer()?.strip(number, CELLS).unwrap_or_default();
    let digits: String = strip.iter().map(|ninths| char::from(b'0' + ninths)).collect();
    Ok(Answer::tagged(&serde_json::json!({ "strip": digits })))
}

/// What is to be fetched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// A name, an id, a link, or the text of a descriptor.
    what: String,
    /// Of several contents under a name: the one with this id.
    id: Option<String>,
    /// What to call it in the shared folder.
    dest: Option<String>,
    /// Of a folder only what one of these patterns covers, if there are any, and not what one of those does.
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    /// Different files that are in the way are replaced.
    #[serde(default)]
    force: bool,
    /// Bytes a second that it may receive.
    down: Option<u64>,
}

/// What would be fetched, and where to.
#[derive(Debug, Clone)]
struct Choice {
    id: String,
    name: SafeName,
    size: Option<u64>,
    found: Vec<Found>,
}

/// What is meant: one content, or the several that a name stands for.
fn choose(site: &Site, what: &str, id: Option<&str>) -> Result<Choice, Problem> {
    let typed = swarm::as_typed(what)?;
    let sought = typed.as_ref().map_or_else(|| what.trim().to_owned(), |link| link.id.to_string());
    let (mut found, near) = swarm::locate(site, &sought)?;
    found.retain(|found| id.is_none_or(|id| found.id == id));
    let name_of = |name: &str| {
        SafeName::new(name).map_err(|error| Problem::bad(format!("no name for a file: {error}")))
    };
    if let Some(link) = typed {
        let name = match (&link.name, found.first()) {
            (Some(name), _) => name.clone(),
            (None, Some(found)) => name_of(&found.name)?,
            (None, None) => return Err(swarm::nobody()),
        };
        return Ok(Choice { id: link.id.to_string(), name, size: link.size, found });
    }
    match &found[..] {
        [] if near.is_empty() => Err(Problem::missing("nothing is called so")),
        [] => Err(Problem::missing(format!("nothing is called so; nearly: {}", near.join(", ")))),
        [one] => Ok(Choice { id: one.id.clone(), name: name_of(&one.name)?, size: Some(one.size), found }),
        _ => Err(Problem::conflict("several contents are called so; say which by its id")),
    }
}

/// Where something of this name goes if nobody says otherwise: into the shared folder, under the last part of its name.
fn place_of(
    peer: &Hand,
    name: &SafeName,
    dest: Option<&str>,
) -> Result<(SafeName, std::path::PathBuf), Problem> {
    let folder = peer.folder();
    let folder = folder.ok_or_else(|| Problem::conflict("this peer shares no folder to fetch into"))?;
    let called = dest.filter(|dest| !dest.is_empty()).unwrap_or_else(|| name.base());
    let called = SafeName::new(called.trim_end_matches('/'));
    let called = called.map_err(|error| Problem::bad(format!("no name in the shared folder: {error}")))?;
    let path = folder.join(called.path());
    Ok((called, path))
}

/// `GET /preview?what=`: what would be fetched, from whom, and where to.
pub(super) fn preview(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let what = asked.value("what").unwrap_or_default();
    let peer = site.peer()?;
    let choice = match choose(site, what, asked.value("id")) {
        Ok(choice) => choice,
        Err(problem) if problem.status == 409 => {
            let (found, _) = swarm::locate(site, what.trim())?;
            return Ok(Answer::json(&serde_json::json!({ "several": found })));
        }
        Err(problem) => return Err(problem),
    };
    let (called, path) = place_of(peer, &choice.name, None)?;
    let here = peer.holds(&choice.id);
    let size = choice.size.or_else(|| choice.found.first().map(|found| found.size));
    Ok(Answer::json(&serde_json::json!({
        "id": choice.id,
        "name": choice.name.as_str(),
        "size": size,
        "found": choice.found,
        "dest": called.as_str(),
        "exists": path.symlink_metadata().is_ok(),
        "here": here,
    })))
}

/// `POST /transfers`
pub(super) fn fetch(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let wish: Wish = asked.json()?;
    let peer = site.peer()?;
    let choice = choose(site, &wish.what, wish.id.as_deref())?;
    let (called, dest) = place_of(peer, &choice.name, wish.dest.as_deref())?;
    let name = choice.name.as_str().to_owned();
    peer.get(Get {
        id: choice.id.clone(),
        name,
        size: choice.size,
        inside: None,
        include: wish.include,
        exclude: wish.exclude,
        dest,
        force: wish.force,
        own: true,
        delete: false,
        wait_ms: Some(WAIT_MS),
        waited_ms: 0,
        down: wish.down,
        refresh_ms: None,
    })?;
    site.note(asked, format!("fetches {} as {}", choice.name, called));
    Ok(newest(peer, &choice.id))
}

/// The fetch of a content that was begun last.
fn newest(peer: &Hand, id: &str) -> Answer {
    let newest = peer.transfers().into_iter().rev().find(|transfer| transfer.status.id == id);
    Answer::json(&newest).status(StatusCode::CREATED)
}

/// `POST /transfers/{number}/again`: the same, into the same place, where it replaces what differs.
pub(super) fn again(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let (peer, transfer) = (site.peer()?, one(site, asked)?);
    let gone = || Problem::missing("there is no such transfer, or it ended long ago");
    peer.again(transfer.number).ok_or_else(gone)??;
    site.note(asked, format!("fetches {} again", transfer.status.name));
    Ok(newest(peer, &transfer.status.id))
}

/// An order to a transfer.
fn steer(site: &Site, asked: &Asked, order: control::Order, words: &str) -> Result<Answer, Problem> {
    let transfer = one(site, asked)?;
    let steered = site.peer()?.steer_one(transfer.number, order);
    if steered.is_none() {
        return Err(Problem::conflict("it has ended"));
    }
    site.note(asked, format!("{words} {}", transfer.status.name));
    Ok(Answer::json(&one(site, asked)?))
}

/// `POST /transfers/{number}/pause`
pub(super) fn pause(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    steer(site, asked, control::Order::Pause, "pauses")
}

/// `POST /transfers/{number}/resume`
pub(super) fn resume(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    steer(site, asked, control::Order::Resume, "resumes")
}

/// `DELETE /transfers/{number}`: it ends, and what is proved is kept for next time.
pub(super) fn cancel(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    steer(site, asked, control::Order::Cancel, "cancels")
}

/// A rate of one transfer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    /// Bytes a second; none for no limit.
    down: Option<u64>,
}

/// `PATCH /transfers/{number}`
pub(super) fn limit_one(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let Rate { down } = asked.json()?;
    let words = down.map_or_else(|| "no longer limits".to_owned(), |down| format!("limits to {down} B/s"));
    steer(site, asked, control::Order::Down(down.filter(|down| *down > 0)), &words)
}

/// `GET /limits`
pub(super) fn limits(site: &Site, _: &Asked) -> Result<Answer, Problem> {
    let status = site.peer()?.status();
    Ok(Answer::tagged(&serde_json::json!({ "down": status.down, "up": status.up })))
}

/// `PATCH /limits`: bytes a second, 0 for no limit; what is not said stays.
pub(super) fn set_limits(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let limit: Limit = asked.json()?;
    site.peer()?.limit(&limit);
    let words = |rate: Option<u64>| match rate {
        None => "as before".to_owned(),
        Some(0) => "no limit".to_owned(),
        Some(rate) => format!("{rate} B/s"),
    };
    site.note(asked, format!("limits rates: down {}, up {}", words(limit.down), words(limit.up)));
    limits(site, asked)
}

/// What is shared from the folder.
#[derive(Debug, Serialize)]
struct Shared {
    name: String,
    id: String,
    size: u64,
    /// When it was last changed, in seconds since 1970.
    modified: u64,
    original: bool,
}

/// `GET /shared`
pub(super) fn shared(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("name")?;
    let peer = site.peer()?;
    let all = site.gathered.get("shared", || {
        let offers = peer.shared().into_iter();
        let shared = offers.map(|offer| Shared {
            name: offer.name.to_string(),
            id: offer.id.to_string(),
            size: offer.total,
            modified: offer.modified,
            original: offer.original,
        });
        Ok(shared.collect::<Vec<_>>())
    })?;
    let those: Vec<&Shared> = all.iter().filter(|shared| swarm::has(&shared.name, &part.q)).collect();
    swarm::page(
        &those,
        &part,
        false,
        &[
            ("name", |a, b| a.name.cmp(&b.name)),
            ("size", |a, b| (a.size, &a.name).cmp(&(b.size, &b.name))),
            ("modified", |a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name))),
        ],
    )
}

/// Whether a tracker knows of this peer, if it is to be known.
pub(super) fn is_ready(peer: &Hand) -> Result<(), String> {
    let trackers = peer.status().trackers;
    match trackers.is_empty() || trackers.iter().any(|tracker| tracker.connected) {
        true => Ok(()),
        false => Err("no tracker of this peer can be reached".to_owned()),
    }
}
