//! What trackers say, as pages of lists: contents, who has them, peers, stores, and how safe all is. A tracker's page asks
//! the tracker itself, a peer's whichever tracker answers.

use std::cmp::Ordering;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;

use super::answer::{Answer, Problem};
use super::request::{Asked, Part};
use super::site::Site;
use crate::api::{Found, HealthReport, Listed, Member, PublishedVersion, StoreReport};
use crate::content::{Descriptor, FileId, Link, PeerId, SafeName, shown};
use crate::threads::lock;
use crate::wire::{
    FromTracker, GetHealth, GetList, GetPeers, GetStores, GetVersions, List, Listing, Locate, Name, Purpose,
    Status, limits,
};

/// Names that are looked at for one list; who wants others says more of what they are called.
const MAX_LISTED: usize = 100_000;
/// Peers, and stores, likewise.
const MAX_MEMBERS: usize = 20_000;

/// A part of a list.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a, T> {
    items: Vec<&'a T>,
    /// How many there are in all.
    total: usize,
    /// True if there are more than are counted.
    more: bool,
    /// How many come before what is behind this part; none at the end.
    next: Option<usize>,
}

/// By which key a list can be sorted, and how.
pub(super) type Order<'a, T> = (&'a str, fn(&T, &T) -> Ordering);

/// The part of a list that is asked for, sorted as is asked for.
///
/// # Errors
/// There is no such key.
pub(super) fn page<T: Serialize>(
    items: &[T],
    part: &Part,
    more: bool,
    orders: &[Order<'_, T>],
) -> Result<Answer, Problem> {
    let Some((_, order)) = orders.iter().find(|(key, _)| *key == part.sort) else {
        let keys: Vec<&str> = orders.iter().map(|(key, _)| *key).collect();
        return Err(Problem::bad(format!("this list is sorted by {}", keys.join(", "))));
    };
    let total = items.len();
    let compare = |a: &usize, b: &usize| {
        let (first, second) = if part.descending { (b, a) } else { (a, b) };
        order(&items[*first], &items[*second]).then(a.cmp(b))
    };
    let mut places: Vec<usize> = (0..total).collect();
    let end = part.after.saturating_add(part.limit).min(total);
    if end < total {
        places.select_nth_unstable_by(end, compare); // what comes behind this part need not be in order
        places.truncate(end);
    }
    places.sort_unstable_by(compare);
    let items: Vec<&T> = places.into_iter().skip(part.after).map(|place| &items[place]).collect();
    let end = part.after.saturating_add(items.len());
    Ok(Answer::tagged(&Page { items, total, more, next: (end < total).then_some(end) }))
}

/// What a tracker tells page after page, each behind the last of that before: `ask` gets one, the place of its last, and
/// whether there is more. No more pages than are needed for `most`; true if there is more than that.
pub(super) fn gather<T, K: PartialOrd>(
    first: K,
    most: usize,
    mut ask: impl FnMut(&K) -> Result<(Vec<T>, Option<K>, bool), Problem>,
) -> Result<(Vec<T>, bool), Problem> {
    let (mut all, mut after) = (Vec::new(), first);
    loop {
        let (page, last, more) = ask(&after)?;
        all.extend(page);
        match last {
            // A tracker that repeats itself must not keep this loop going for ever.
            Some(last) if more && last > after && all.len() < most => after = last,
            last => return Ok((all, more && last.is_some())),
        }
    }
}

/// True if a text has what is looked for in it, whichever case its letters have.
pub(super) fn has(text: &str, q: &str) -> bool {
    q.is_empty() || text.to_lowercase().contains(&q.to_lowercase())
}

/// `GET /contents`: names and contents of the swarm.
pub(super) fn contents(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("name")?;
    if let Some(page) = first(site, &part)? {
        return Ok(page);
    }
    let (listed, more) = &*list(site, &part.q)?;
    let orders: [Order<'_, Listed>; 4] = [
        ("name", |a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id))),
        ("size", |a, b| (a.size, &a.name).cmp(&(b.size, &b.name))),
        ("seeders", |a, b| (a.seeders, &a.name).cmp(&(b.seeders, &b.name))),
        ("leechers", |a, b| (a.leechers, &a.name).cmp(&(b.leechers, &b.name))),
    ];
    page(listed, &part, *more, &orders)
}

/// The first of all names, which a tracker lists in their order: the rest is gathered only for who looks at more. None if
/// something else is asked for.
fn first(site: &Site, part: &Part) -> Result<Option<Answer>, Problem> {
    let is_first = part.q.is_empty() && part.sort == "name" && !part.descending && part.after == 0;
    if !is_first || site.gathered.has(&named("")) {
        return Ok(None);
    }
    let page = ask_list(site, "", &Name::default(), part.limit)?;
    let total = usize::try_from(status(site)?.names).unwrap_or(usize::MAX).min(MAX_LISTED);
    if !page.more || page.entries.len() < part.limit || total <= part.limit {
        return Ok(None);
    }
    let listed: Vec<Listed> = page.entries.iter().take(part.limit).map(Listed::from).collect();
    let (items, next) = (listed.iter().collect(), Some(part.limit));
    Ok(Some(Answer::tagged(&Page { items, total, more: false, next })))
}

/// A page of names that a tracker lists.
fn ask_list(site: &Site, pattern: &str, after: &Name, limit: usize) -> Result<Listing, Problem> {
    let question = GetList { pattern: Name::new(pattern), after: after.clone(), limit: limit as u16 };
    match site.ask(question)? {
        FromTracker::Listing(page) => Ok(page),
        _ => Err(strange()),
    }
}

/// What the names that match are called among what was gathered.
fn named(pattern: &str) -> String {
    format!("list {pattern}")
}

/// What is listed under names that match.
fn list(site: &Site, pattern: &str) -> Result<Arc<(Vec<Listed>, bool)>, Problem> {
    if pattern.len() > limits::MAX_NAME_BYTES {
        return Err(Problem::bad("no name is so long"));
    }
    site.gathered.get(&named(pattern), || {
        gather(String::new(), MAX_LISTED, |after| {
            let page = ask_list(site, pattern, &Name::new(after.as_str()), limits::MAX_ENTRIES)?;
            let last = page.entries.last().map(|entry| entry.name.to_string());
            Ok((page.entries.iter().map(Listed::from).collect(), last, page.more))
        })
    })
}

/// What an id or a name stands for.
pub(super) fn locate(site: &Site, what: &str) -> Result<(Vec<Found>, Vec<String>), Problem> {
    let id: Option<FileId> = what.parse().ok();
    let name = if id.is_some() { "" } else { what };
    if what.is_empty() {
        return Err(Problem::bad("`what` says what is meant: a name, an id or a link"));
    }
    if name.len() > limits::MAX_NAME_BYTES {
        return Err(Problem::bad("no name is so long"));
    }
    let question = Locate {
        name: Name::new(name),
        id: id.unwrap_or(FileId::NONE),
        purpose: Purpose::Inspect,
        max: limits::MAX_HOLDERS as u16,
        missing: List::default(),
    };
    let FromTracker::Located(located) = site.ask(question)? else { return Err(strange()) };
    let near = located.near.iter().map(|name| name.to_string()).collect();
    Ok((located.variants.iter().map(Found::from).collect(), near))
}

/// `GET /find?what=`: the contents that a name or id stands for, or names that are nearly it.
pub(super) fn find(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let what = asked.value("what").filter(|what| !what.is_empty());
    let what = what.ok_or_else(|| Problem::bad("`what` says what is looked for"))?;
    let (found, near) = locate(site, what)?;
    Ok(Answer::tagged(&serde_json::json!({ "items": found, "near": near })))
}

/// The contents of this id, of which there is one at least.
fn all_of(site: &Site, id: &str) -> Result<Vec<Found>, Problem> {
    id.parse::<FileId>().map_err(|error| Problem::bad(error.to_string()))?;
    let (found, _) = locate(site, id)?;
    if found.is_empty() { Err(nobody()) } else { Ok(found) }
}

/// The first content of this id.
pub(super) fn content(site: &Site, id: &str) -> Result<Found, Problem> {
    all_of(site, id)?.into_iter().next().ok_or_else(nobody)
}

/// There is no such content.
pub(super) fn nobody() -> Problem {
    Problem::missing("nobody shares that, and no store keeps it")
}

/// `GET /contents/{id}`: a content, all its names, and who has it.
pub(super) fn one(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let found = all_of(site, asked.place(0))?;
    Ok(Answer::tagged(&serde_json::json!({ "items": found })))
}

/// `GET /contents/{id}/holders`
pub(super) fn holders(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("name")?;
    let mut found = content(site, asked.place(0))?;
    found.holders.retain(|holder| has(&holder.name, &part.q));
    page(
        &found.holders,
        &part,
        false,
        &[
            ("name", |a, b| (&a.name, &a.peer).cmp(&(&b.name, &b.peer))),
            ("have", |a, b| (a.have, &a.name).cmp(&(b.have, &b.name))),
            ("uploads", |a, b| (a.uploads, &a.name).cmp(&(b.uploads, &b.name))),
        ],
    )
}

/// The link of a content under the name that is asked for, or the first that it has; of one that nobody has as it was handed
/// in.
fn link(site: &Site, asked: &Asked) -> Result<Link, Problem> {
    let found = content(site, asked.place(0)).map(|found| (found.name, Some(found.size)));
    let (name, size) = found.or_else(|nobody| {
        let all = lock(&site.handed_in);
        let one = all.iter().rev().find(|one| one.id == asked.place(0));
        one.map(|one| (one.name.clone(), one.size)).ok_or(nobody)
    })?;
    let name = asked.value("name").unwrap_or(&name);
    let id = asked.place(0).parse().map_err(|_| Problem::bad("an id has 64 hexadecimal digits"))?;
    let name = SafeName::new(name).map_err(|error| Problem::bad(format!("no name for a file: {error}")))?;
    let trackers = asked.value("tracker").map(str::to_owned).into_iter().collect();
    Ok(Link { id, name: Some(name), size, trackers })
}

/// `GET /contents/{id}/link`
pub(super) fn as_link(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    Ok(Answer::of("text/plain; charset=utf-8", link(site, asked)?.to_string()))
}

/// `GET /contents/{id}/descriptor`
pub(super) fn as_descriptor(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let link = link(site, asked)?;
    let size = link.size.ok_or_else(|| Problem::missing("nobody says how large it is, as descriptors do"))?;
    let base = link.name.as_ref().map_or("content", |name| name.base()).to_owned();
    let text = Descriptor::new(&link, size).to_string();
    let answer = Answer::of("application/toml", text);
    Ok(answer.attachment(&format!("{base}.{}", Descriptor::EXTENSION)))
}

/// `GET /versions?name=`
pub(super) fn versions(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let name = asked.value("name").unwrap_or_default();
    let name = SafeName::new(name)
        .map_err(|error| Problem::bad(format!("`name` says of what, and that is no name: {error}")))?;
    let question =
        GetVersions { name: Name::new(name.as_str()), before: 0, limit: limits::MAX_RECORDS as u16 };
    let (versions, more) = match site.ask(question) {
        Ok(FromTracker::Versions(page)) => (page.versions.into_vec(), page.more),
        Ok(_) => return Err(strange()),
        Err(none) if none.status == StatusCode::NOT_FOUND => (Vec::new(), false),
        Err(problem) => return Err(problem),
    };
    let versions: Vec<_> =
        versions.iter().map(|version| PublishedVersion::new(name.as_str(), version)).collect();
    Ok(Answer::tagged(&serde_json::json!({ "items": versions, "more": more })))
}

/// `GET /peers`: who is registered.
pub(super) fn peers(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("name")?;
    let all = site.gathered.get("peers", || members(site))?;
    let those: Vec<&Member> =
        all.0.iter().filter(|peer| has(&peer.name, &part.q) || has(&peer.peer, &part.q)).collect();
    page(
        &those,
        &part,
        all.1,
        &[
            ("name", |a, b| (&a.name, &a.peer).cmp(&(&b.name, &b.peer))),
            ("offers", |a, b| (a.offers, &a.peer).cmp(&(b.offers, &b.peer))),
            ("uploads", |a, b| (a.uploads, &a.peer).cmp(&(b.uploads, &b.peer))),
            ("downloads", |a, b| (a.downloads, &a.peer).cmp(&(b.downloads, &b.peer))),
            ("silent", |a, b| (a.silent_ms, &a.peer).cmp(&(b.silent_ms, &b.peer))),
        ],
    )
}

fn members(site: &Site) -> Result<(Vec<Member>, bool), Problem> {
    gather(PeerId([0; 16]), MAX_MEMBERS, |after| {
        let question = GetPeers { after: *after, limit: limits::MAX_PEERS as u16 };
        let FromTracker::Peers(page) = site.ask(question)? else { return Err(strange()) };
        let last = page.peers.last().map(|peer| peer.peer);
        Ok((page.peers.iter().map(Member::from).collect(), last, page.more))
    })
}

/// `GET /stores`: who lends space.
pub(super) fn stores(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("name")?;
    let (mut all, _) = gather(PeerId([0; 16]), MAX_MEMBERS, |after| {
        let question = GetStores { after: *after, limit: limits::MAX_PAGE_STORES as u16 };
        let FromTracker::Stores(page) = site.ask(question)? else { return Err(strange()) };
        let last = page.stores.last().map(|store| store.peer);
        Ok((page.stores.iter().map(StoreReport::from).collect(), last, page.more))
    })?;
    all.retain(|store| has(&store.name, &part.q) || has(&store.zone, &part.q));
    page(
        &all,
        &part,
        false,
        &[
            ("name", |a, b| (&a.name, &a.store).cmp(&(&b.name, &b.store))),
            ("zone", |a, b| (&a.zone, &a.store).cmp(&(&b.zone, &b.store))),
            ("state", |a, b| (&a.state, &a.store).cmp(&(&b.state, &b.store))),
            ("used", |a, b| (a.used, &a.store).cmp(&(b.used, &b.store))),
            ("capacity", |a, b| (a.capacity, &a.store).cmp(&(b.capacity, &b.store))),
        ],
    )
}

/// `GET /health`: how safe is what stores keep.
pub(super) fn health(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let name = asked.value("name").unwrap_or_default();
    if name.len() > limits::MAX_NAME_BYTES {
        return Err(Problem::bad("no name is so long"));
    }
    let FromTracker::Health(health) = site.ask(GetHealth { name: Name::new(name) })? else {
        return Err(strange());
    };
    Ok(Answer::tagged(&HealthReport::from(&health)))
}

/// How the tracker is.
pub(super) fn status(site: &Site) -> Result<Status, Problem> {
    match site.ask(crate::wire::GetStatus {})? {
        FromTracker::Status(status) => Ok(status),
        _ => Err(strange()),
    }
}

pub(super) fn strange() -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "strange", "the tracker answered with something else")
}

/// What somebody typed or dropped, as a link: an id, a `p2p:` link, or the text of a descriptor; none if it is a name.
pub(super) fn as_typed(what: &str) -> Result<Option<Link>, Problem> {
    let what = what.trim();
    let wrong = |error: crate::content::LinkError| Problem::bad(shown(&error.to_string()));
    if what.starts_with("p2p:") {
        return what.parse().map(Some).map_err(wrong);
    }
    if what.contains('\n') {
        return Descriptor::parse(what).map(Some).map_err(wrong);
    }
    let bare = what.parse().ok().map(|id| Link { id, name: None, size: None, trackers: Vec::new() });
    Ok(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::answer::Body;

    fn part(sort: &str, after: usize, limit: usize) -> Part {
        let descending = sort.starts_with('-');
        let sort = sort.trim_start_matches('-').to_owned();
        Part { q: String::new(), sort, descending, after, limit }
    }

    fn said(answer: Result<Answer, Problem>) -> String {
        match answer.map(|answer| answer.body) {
            Ok(Body::Whole(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            Ok(Body::Source(_)) => unreachable!(),
            Err(problem) => problem.detail,
        }
    }

    #[test]
    fn a_page_is_sorted_and_says_what_comes_next() {
        let items = [3, 1, 2];
        let orders: [Order<'_, i32>; 1] = [("size", i32::cmp)];
        let page = |sort, after, limit| said(page(&items, &part(sort, after, limit), false, &orders));
        assert_eq!(page("size", 0, 2), r#"{"items":[1,2],"total":3,"more":false,"next":2}"#);
        assert_eq!(page("-size", 2, 2), r#"{"items":[1],"total":3,"more":false,"next":null}"#);
        assert_eq!(page("size", usize::MAX, 2), r#"{"items":[],"total":3,"more":false,"next":null}"#);
        assert_eq!(page("colour", 0, 1), "this list is sorted by size");
    }

    #[test]
    fn what_is_typed_is_an_id_a_link_a_descriptor_or_a_name() {
        let id = FileId::of(b"x");
        let link = Link { id, name: Some(SafeName::new("a").unwrap()), size: Some(1), trackers: Vec::new() };
        let descriptor = Descriptor::new(&link, 1).to_string();
        assert_eq!(as_typed(&descriptor), Ok(Some(link.clone())));
        assert_eq!(as_typed(&format!(" {link}\n")), Ok(Some(link)));
        assert_eq!(as_typed(&id.to_string()).unwrap().unwrap().id, id);
        assert_eq!(as_typed("photos/"), Ok(None));
        assert!(as_typed("p2p:nothing").is_err() && as_typed("a\nb").is_err());
    }
}
