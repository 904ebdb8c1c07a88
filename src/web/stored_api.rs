//! What is shared is handed to stores: it is asked for by a thread, again and again until they have all of it, as `p2p upload` does.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Deserialize;

use super::answer::{Answer, Problem};
use super::house::House;
use super::request::Asked;
use super::site::{self, Site};
use super::storing::{Storing, Upload};
use super::swarm::{self, Order, strange};
use crate::content::{FileId, version_in};
use crate::threads;
use crate::wire::{ClientId, FromTracker, Name, Offer, Policy, Store, Stored, Version};

/// Between two questions how far it is.
const AGAIN: Duration = Duration::from_secs(1);
/// How long stores may take without anything coming of it.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Copies that are kept if nothing is said.
const COPIES: u8 = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default = "usual")]
    copies: u8,
}

fn usual() -> u8 {
    COPIES
}

/// `POST /contents/{id}/stored`: what is shared from the folder is to be kept by stores.
pub(super) fn store(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let Wish { copies } = asked.json()?;
    let policy =
        Policy::copies(copies).ok_or_else(|| Problem::bad("so many copies are too many, or none"))?;
    let id: FileId = asked.place(0).parse().map_err(|_| Problem::bad("an id has 64 hexadecimal digits"))?;
    let peer = site.peer()?;
    let offer = peer.shared().into_iter().find(|offer| offer.id == id);
    let offer = offer
        .ok_or_else(|| Problem::conflict("only what this peer shares from its folder it hands to stores"))?;
    if version_in(&offer.name).is_some() {
        let detail = "its name stands for a version of another; `p2p upload --as` gives it a name";
        return Err(Problem::conflict(detail));
    }
    let (name, id) = (offer.name.to_string(), id.to_string());
    let (covered, needed, version, problem) = (0, 0, None, None);
    let upload = Upload { name: name.clone(), id: id.clone(), copies, covered, needed, version, problem };
    site.storing.begin(upload.clone())?;
    let question = question(&offer, policy, &peer.status().name);
    let (storing, house) = (site.storing.clone(), site.house.clone());
    let failed = (storing.clone(), id.clone());
    let run = move || see_to(&storing, &house, &question, &id);
    let failed = move |why: &str| failed.0.set(&failed.1, |upload| upload.problem = Some(why.to_owned()));
    let thread = threads::named("web-store").job(run, failed).map_err(|error| {
        site.storing.set(asked.place(0), |upload| upload.problem = Some(error.to_string()));
        Problem::internal(format!("no thread for that: {error}"))
    })?;
    site.storing.has(thread);
    site.note(asked, format!("has stores keep {name}"));
    Ok(Answer::json(&upload).status(StatusCode::CREATED))
}

fn question(offer: &Offer, policy: Policy, publisher: &str) -> Store {
    Store {
        client: ClientId::random(),
        seq: 1,
        name: Name::new(&*offer.name),
        version: Version::asked_for((offer.id, offer.claim()), policy, publisher),
        expect: 0,
        degraded: false,
        wait_ms: 0,
    }
}

/// Asks until it is kept, cannot be, or nothing has come of it for too long.
fn see_to(storing: &Storing, house: &House, question: &Store, id: &str) {
    threads::may_panic("web-store");
    let (mut moved, mut last, mut pause) = (Instant::now(), 0, Duration::ZERO);
    while storing.pause(std::mem::replace(&mut pause, AGAIN)) {
        let why = match site::ask(house, question.clone()) {
            Ok(FromTracker::Stored(Stored { number, .. })) => {
                return storing.set(id, |upload| upload.version = Some(number));
            }
            Ok(FromTracker::Storing(told)) => {
                if told.covered != last {
                    (last, moved) = (told.covered, Instant::now());
                }
                storing.set(id, |upload| (upload.covered, upload.needed) = (told.covered, told.needed));
                "stores did not take it in time".to_owned()
            }
            Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => problem.detail,
            Err(problem) => return storing.set(id, |upload| upload.problem = Some(problem.detail)),
            Ok(_) => return storing.set(id, |upload| upload.problem = Some(strange().detail)),
        };
        if moved.elapsed() >= PATIENCE {
            return storing.set(id, |upload| upload.problem = Some(why));
        }
    }
}

/// `GET /stored`: what was handed to stores here, and how far that is.
pub(super) fn stored(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("name")?;
    let mut uploads = site.storing.uploads();
    uploads.retain(|upload| swarm::has(&upload.name, &part.q));
    let orders: [Order<'_, Upload>; 1] = [("name", |a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)))];
    swarm::page(&uploads, &part, false, &orders)
}
