//! What a tracker answers to stores, and to those who want something kept: between the wire and the planner.

use std::time::{Duration, Instant};

use crate::content::{Network, PeerId, SafeName};
use crate::tracker::chronicle::Who;
use crate::tracker::directory::{Directory, Query, Sender, Wanted};
use crate::tracker::keeping::{Asked, Keeping, NotTaken, Order, Progress, Shortage, Tally};
use crate::tracker::records::{self, Command, Content, Promise, SetStore};
use crate::tracker::shared::Shared;
use crate::wire::{
    self, Call, Check, Common, Discard, Duties, DutySource, ErrorCode, FromTracker, Holder, Keep, Label,
    List, Look, Name, Purpose, Remember, StoreChange, Variant, Version, View, limits,
};

/// Bytes of versions that a store is to remember with one content: with all that is told at a time they fit a frame.
const REMEMBERED_BYTES: usize = 8 << 10;
/// What a version takes beside its texts, and a little more.
const VERSION_BYTES: usize = 112;

/// Contents of a report that are taken in under one lock.
const PARTS: usize = 64;

/// How long an answer may wait, from now on.
pub(super) fn until(wait_ms: u32, now: Instant) -> Instant {
    now + Duration::from_millis(wait_ms.min(limits::MAX_WAIT_MS).into())
}

pub(super) fn lend(
    shared: &Shared,
    sender: Sender,
    (message, store): (&wire::Lend, Who),
    now: Instant,
) -> Result<FromTracker, Common> {
    let who = registered(shared, sender)?;
    let (was_here, lent) = shared.keep(now, |keeping| {
        (keeping.is_here(sender.peer), keeping.lend(who, message, Label::new(&*store.name), now))
    });
    let lent = lent.map_err(not_taken)?;
    if !was_here {
        shared.note(store, "lends space");
    }
    Ok(lent.into())
}

/// The command that says what is to become of a store, if that is on record.
pub(super) fn set(shared: &Shared, message: wire::SetStore, now: Instant) -> Result<Option<Command>, Common> {
    let wire::SetStore { client, seq, store, change } = message;
    if change == StoreChange::Rebalance {
        shared.keep(now, Keeping::rebalances);
        return Ok(None);
    }
    if change == StoreChange::Forget && shared.kept(|keeping| keeping.is_here(store)) {
        let detail = "this store is here: it can be forgotten when it has left and is away";
        return Err(Common::error(ErrorCode::Conflict, detail));
    }
    shared.knows(store, now);
    Ok(Some(Command::SetStore(SetStore { client, seq, store, change })))
}

pub(super) fn kept(
    shared: &Shared,
    sender: Sender,
    message: &wire::Kept,
    now: Instant,
) -> Result<FromTracker, Common> {
    let who = registered(shared, sender)?;
    for some in message.parts.chunks(PARTS) {
        shared.keep(now, |keeping| keeping.kept(who, some, false, now)).map_err(not_taken)?;
    }
    if message.last || message.parts.is_empty() {
        shared.keep(now, |keeping| keeping.kept(who, &[], message.last, now)).map_err(not_taken)?;
    }
    Ok(Common::Ok.into())
}

pub(super) fn decline(
    shared: &Shared,
    sender: Sender,
    message: &wire::Decline,
    now: Instant,
) -> Result<FromTracker, Common> {
    let who = registered(shared, sender)?;
    let declined = shared.keep(now, |keeping| keeping.decline(who, message, now));
    declined.map(|()| Common::Ok.into()).map_err(not_taken)
}

/// Duties are for who is registered; on which connection it says what it keeps.
fn registered(shared: &Shared, sender: Sender) -> Result<(PeerId, u64), Common> {
    match shared.lock().is_registered(sender) {
        true => Ok((sender.peer, sender.connection)),
        false => Err(Common::error(ErrorCode::NotRegistered, "this connection has no registration")),
    }
}

fn not_taken(why: NotTaken) -> Common {
    let code = match why {
        NotTaken::NotLent => ErrorCode::NotRegistered,
        NotTaken::NotMet => ErrorCode::NoQuorum,
        NotTaken::Full => ErrorCode::Limit,
    };
    Common::error(code, why.to_string())
}

/// What a peer is to do now, if there is something: dial those who called it, and what it is to do as a store.
pub(super) fn duties(shared: &Shared, sender: Sender, calls: Vec<Call>, now: Instant) -> Option<FromTracker> {
    let orders = shared.duties(sender.peer, sender.connection, now);
    let nothing = calls.is_empty() && orders.is_empty();
    (!nothing).then(|| told(shared, sender.peer, (calls, orders), now))
}

/// DUTIES that say this.
pub(super) fn told(
    shared: &Shared,
    peer: PeerId,
    (calls, orders): (Vec<Call>, Vec<Order>),
    now: Instant,
) -> FromTracker {
    let term = shared.kept(Keeping::term);
    let orders = orders.into_iter().map(|order| duty(shared, peer, order, now));
    let duties = calls.into_iter().map(wire::Duty::from).chain(orders).collect();
    Duties { term, duties: List::new(duties) }.into()
}

fn duty(shared: &Shared, store: PeerId, order: Order, now: Instant) -> wire::Duty {
    match order {
        Order::Keep { content, size, total, chunks, keep, urgent, code, stores } => {
            let sources = sources(&mut shared.lock(), (content, size), &stores, store, now);
            let ((id, view), sources) = (content, List::new(sources));
            Keep { id, view, size, total, chunks, keep, urgent, code, sources }.into()
        }
        Order::Look { content, size, total, chunks, stores } => {
            let sources = sources(&mut shared.lock(), (content, size), &stores, store, now);
            let ((id, view), sources) = (content, List::new(sources));
            Look { id, view, size, total, chunks, sources }.into()
        }
        Order::Check { content: (id, view), chunk } => Check { id, view, chunk }.into(),
        Order::Remember((id, view)) => {
            let mut bytes = 0;
            let mut published = shared.records().published((id, view), limits::MAX_REMEMBERED);
            published.retain(|published| {
                bytes += published.name.len() + published.version.publisher.len() + VERSION_BYTES;
                bytes <= REMEMBERED_BYTES
            });
            Remember { id, view, published: List::new(published) }.into()
        }
        Order::Discard { content: (id, view), chunks } => Discard { id, view, chunks }.into(),
    }
}

/// From whom a store may fetch: other stores, and whoever shares it, who is to be spared if there are stores.
fn sources(
    directory: &mut Directory,
    (content, size): (Content, u64),
    stores: &[PeerId],
    asker: PeerId,
    now: Instant,
) -> Vec<DutySource> {
    let from = directory.origin(asker).unwrap_or_default();
    let source = |holder: Holder, spare| {
        let Holder { peer, addresses, .. } = holder;
        DutySource { peer, addresses, spare }
    };
    let others: Vec<DutySource> = stores
        .iter()
        .filter_map(|peer| directory.keeper(*peer, 0, from))
        .map(|holder| source(holder, false))
        .collect();
    let query = Query {
        wanted: Wanted::Id(content.0),
        purpose: Purpose::Fetch,
        max: limits::MAX_DUTY_SOURCES,
        missing: None,
        asker,
        from,
    };
    let same = |variant: &Variant| Version::view(&variant.name) == content.1 && variant.size == size;
    let found = directory.locate(&query, now).into_iter().filter(same);
    let sharers = found.flat_map(|variant| variant.holders.into_vec());
    let mut sources: Vec<DutySource> = sharers.map(|holder| source(holder, !others.is_empty())).collect();
    sources.retain(|source| !stores.contains(&source.peer));
    // Half of the places for either, and what one leaves free for the other.
    sources.truncate(limits::MAX_DUTY_SOURCES - others.len().min(limits::MAX_DUTY_SOURCES / 2));
    sources.extend(others);
    sources
}

/// An upload on its way.
#[derive(Debug)]
pub(super) struct Storing {
    publish: records::Publish,
    promise: Promise,
    degraded: bool,
    pub(super) until: Instant,
}

/// What became of a step of an upload.
pub(super) enum Step {
    /// The answer.
    Done(FromTracker),
    /// All is safe: this is to be recorded.
    Record(Command),
    /// There is nothing to say yet.
    Wait,
}

impl Storing {
    /// The upload that a STORE asks for.
    pub(super) fn new(message: wire::Store, name: SafeName, now: Instant) -> Result<Storing, Common> {
        let wire::Store { client, seq, version, expect, degraded, wait_ms, .. } = message;
        let malformed = |detail: &str| Err(Common::error(ErrorCode::Malformed, detail));
        let Some(promise) = Promise::of(name.as_str(), &version) else {
            return malformed("no copies are asked for; PUBLISH promises nothing");
        };
        let publish = records::Publish { client, seq, name, version, expect };
        Ok(Storing { publish, promise, degraded, until: until(wait_ms, now) })
    }

    fn key(&self) -> (wire::ClientId, u64) {
        (self.publish.client, self.publish.seq)
    }

    pub(super) fn step(&self, shared: &Shared, connection: u64, now: Instant) -> Step {
        let asked = Asked { key: self.key(), promise: self.promise, degraded: self.degraded };
        let name = self.publish.name.as_str();
        let before = shared.records().version(name, 0).map(|version| (version.id, Version::view(name)));
        match shared.keep(now, |keeping| keeping.store(asked, before, connection, now)) {
            Progress::Safe => Step::Record(Command::Publish(self.publish.clone())),
            Progress::Storing { .. } if now < self.until => Step::Wait,
            Progress::Storing { covered, needed } => Step::Done(wire::Storing { covered, needed }.into()),
            Progress::Refused(why) => Step::Done(short(why).into()),
        }
    }

    /// What came of it is on record.
    pub(super) fn end(&self, shared: &Shared, now: Instant) {
        shared.keep(now, |keeping| keeping.stored(self.key(), now));
    }
}

fn short(why: Shortage) -> Common {
    let code = match why {
        Shortage::Stores { .. } | Shortage::Shards { .. } => ErrorCode::NoStores,
        Shortage::Room { .. } => ErrorCode::NoSpace,
        Shortage::Uploads => ErrorCode::Limit,
    };
    Common::error(code, why.to_string())
}

/// How safe is what is published, all of it or a name's versions. Those of one network ask one after the other: it is gone
/// over in steps, and may be much.
pub(super) fn health(
    shared: &Shared,
    (message, from): (&wire::GetHealth, Network),
    now: Instant,
) -> Result<FromTracker, Common> {
    let name = &*message.name;
    let versions = shared.records().versions(name).to_vec();
    if !name.is_empty() && versions.is_empty() {
        return Err(Common::error(ErrorCode::NotFound, "nothing is published under this name"));
    }
    let contents: Vec<Content> = versions.iter().map(|version| (version.id, Version::view(name))).collect();
    let mut tally = if name.is_empty() { Tally::of_all() } else { Tally::of(contents) };
    Ok(shared.asked(from, || {
        while shared.kept(|keeping| keeping.tally(&mut tally)) {}
        shared.kept(|keeping| keeping.health(tally, now)).into()
    }))
}

pub(super) fn stores(shared: &Shared, message: &wire::GetStores) -> FromTracker {
    let limit = usize::from(message.limit);
    let (stores, more) = shared.kept(|keeping| keeping.stores(message.after, limit));
    wire::Stores { stores: List::new(stores), more }.into()
}

/// Adds the stores that hold what was asked for to the answer, which register nothing of what they keep, and the code that
/// it is kept by.
pub(super) fn join(shared: &Shared, query: &Query<'_>, variants: &mut Vec<Variant>) {
    if let Wanted::Id(id) = query.wanted {
        for view in [View::Bytes, View::Members] {
            let known = variants.iter().any(|variant| Version::view(&variant.name) == view);
            if !known && let Some(promise) = shared.kept(|keeping| keeping.promised((id, view))) {
                variants.push(kept_alone(&promise));
            }
        }
        variants.truncate(limits::MAX_VARIANTS);
    }
    for variant in variants {
        let content = (variant.id, Version::view(&variant.name));
        let (holders, promise) =
            shared.kept(|keeping| (keeping.holders(content, query.missing), keeping.promised(content)));
        variant.code = promise.and_then(|promise| promise.code);
        if !holders.is_empty() {
            add(shared, query, variant, holders);
        }
    }
}

/// A content that nobody has registered, under its id.
fn kept_alone(promise: &Promise) -> Variant {
    let end = if promise.content.1 == View::Members { "/" } else { "" };
    Variant {
        name: Name::new(format!("{}{end}", promise.content.0)),
        id: promise.content.0,
        size: promise.size,
        total: promise.total,
        chunks: promise.chunks,
        seeders: 0,
        leechers: 0,
        original: false,
        agreed: true,
        modified: 0,
        version: 0,
        code: promise.code,
        holders: List::default(),
    }
}

/// How many stores hold all of a content, and how many a part.
pub(super) fn counts(shared: &Shared, content: Content, chunks: u32) -> (u32, u32) {
    let holders = shared.kept(|keeping| keeping.holders(content, None));
    let whole = holders.iter().filter(|(_, have)| *have == chunks).count();
    (whole as u32, (holders.len() - whole) as u32)
}

fn add(shared: &Shared, query: &Query<'_>, variant: &mut Variant, stores: Vec<(PeerId, u32)>) {
    let whole = stores.iter().filter(|(_, have)| *have == variant.chunks).count() as u32;
    variant.seeders += whole;
    variant.leechers += stores.len() as u32 - whole;
    let mut named = std::mem::take(&mut variant.holders).into_vec();
    let directory = shared.lock();
    let fetches = query.purpose == Purpose::Fetch;
    let new = stores
        .into_iter()
        .filter(|(peer, _)| *peer != query.asker && named.iter().all(|holder| holder.peer != *peer));
    let keepers = new.filter_map(|(peer, have)| directory.keeper(peer, have, query.from));
    let mut keepers: Vec<Holder> =
        keepers.filter(|holder| !fetches || !holder.addresses.is_empty()).collect();
    let places = query.places();
    keepers.sort_by_cached_key(|holder| distance(holder.peer, query.asker));
    named.truncate(places.saturating_sub(keepers.len().min(places / 2)));
    keepers.truncate(places.saturating_sub(named.len()));
    named.extend(keepers);
    variant.holders = List::new(named);
}

/// An order of stores that is another one for each asker.
fn distance(store: PeerId, asker: PeerId) -> [u8; 16] {
    std::array::from_fn(|at| store.0[at] ^ asker.0[at])
}
