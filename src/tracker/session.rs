//! What a tracker answers to one connection's messages.
//!
//! Owns what a connection may do in which state. Pure but for the lock on the directory: a message
//! and `now` in, an answer out; no socket, no clock. The lock is taken for one bounded step at a time.

use std::time::{Duration, Instant};

use super::directory::{Denial, Listens, Load, Near, Origin, Profile, Query, Wanted};
use super::keeping::Keeping;
use super::recorder::Unrecorded;
use super::records::Command;
use super::shared::Shared;
use crate::content::{ChunkSet, FileId, Network, PeerId, Run, SafeName, runs};
use crate::wire::{
    self, Common, Complaint, ErrorCode, FromTracker, Hello, List, Located, Message, Purpose, Term, ToTracker,
    limits,
};
pub use cluster::{change_pages, need_of, unsure};
use listing::Listing;
pub use members::{Caller, revoked};
use party::Party;
pub use reply::{Effect, Reply};
use stores::{Step, Storing};

/// An upload that waits is looked at again after so long, if nothing happens before.
const STORING_AGAIN: Duration = Duration::from_secs(1);
/// Whether who is to be a member of the cluster has come is looked at again after so long.
const MEMBERS_AGAIN: Duration = Duration::from_millis(100);
const TOO_MUCH: &str =
    "too many names to look at for one answer; the beginning of the names in the pattern helps";

/// A question that takes more than one step.
#[derive(Debug)]
enum Asking {
    List(Listing),
    Near(Near),
    Record(Command),
    /// Duties, until then; who asks knows of this term.
    Duties(Term, Instant),
    Store(Storing),
    /// Other members of the cluster, until then.
    Members(wire::ChangeMembers, Instant),
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    party: Party,
    asking: Option<Asking>,
}

impl Session {
    /// A session of connection number `connection`, which said `hello`.
    pub fn new(connection: u64, from: Origin, hello: &Hello) -> Session {
        Session { party: Party::new(connection, from, hello), asking: None }
    }

    /// That session, with somebody of whom the handshake has proved who he is, and that he knows of this epoch.
    pub fn of(self, caller: Caller, epoch: u32) -> Session {
        Session { party: Party { caller, epoch, ..self.party }, ..self }
    }

    /// Who is at the other end, as its handshake has proved.
    pub fn caller(&self) -> Caller {
        self.party.caller
    }

    /// Who is at the other end, as it says.
    pub fn who(&self) -> (PeerId, wire::Label) {
        (self.party.sender.peer, wire::Label::new(&*self.party.name))
    }

    /// Ends the registration, if there is one, because the connection ended.
    pub fn end(&self, shared: &Shared, now: Instant) {
        self.party.end(shared, now);
    }

    /// Answers a message.
    pub fn answer(&mut self, shared: &Shared, message: ToTracker, now: Instant) -> Reply {
        let message = match self.party.permitted(shared, message) {
            Ok(message) => message,
            Err(reply) => return *reply,
        };
        if let Some(unable) = cluster::unable(shared, &message) {
            return unable.into();
        }
        let answered = match message {
            ToTracker::Common(message) => return self.answer_common(shared, &message, now),
            ToTracker::Register(message) => return self.register(shared, &message, now),
            ToTracker::Report(message) => return self.report(shared, &message, now),
            ToTracker::GetList(message) => return self.list(shared, &message, now),
            ToTracker::Locate(message) => return self.locate(shared, message, now),
            ToTracker::Update(message) => {
                let updated = self.party.update(shared, &message.removed, &message.added, now);
                updated.map(|()| Common::Ok.into())
            }
            ToTracker::HaveChunks(message) => {
                let had = self.party.change(shared, now, |directory, sender| {
                    directory.have(sender, (message.id, message.view), &message.gained, now)
                });
                match had {
                    // What of its offers was passed over it does not know.
                    Err(Denial::NotOffered(_)) if self.party.caller != Caller::Anybody => {
                        Ok(Common::Ok.into())
                    }
                    had => had,
                }
            }
            ToTracker::Heartbeat(message) => {
                let load =
                    Load { uploads: message.uploads, downloads: message.downloads, space: message.space };
                self.party.change(shared, now, |directory, sender| directory.heartbeat(sender, load, now))
            }
            ToTracker::GetStatus(_) => {
                let settling_ms = shared.peers_may_come_back(now).as_millis() as u32;
                let clock_ms = shared.clock_ms();
                Ok(wire::Status { settling_ms, clock_ms, ..self.party.step(shared, now).status(now) }.into())
            }
            ToTracker::GetPeers(message) => {
                let limit = usize::from(message.limit);
                let (peers, more) =
                    self.party.step(shared, now).peers(message.after, limit, self.party.from, now);
                Ok(wire::Peers { peers: List::new(peers), more }.into())
            }
            ToTracker::Resolve(message) => return answered(published::resolve(&shared.records(), &message)),
            ToTracker::GetVersions(message) => {
                return answered(published::versions(&shared.records(), &message));
            }
            ToTracker::Publish(message) => {
                return self.change_records(shared, published::publish(message), now);
            }
            ToTracker::Remove(message) => {
                return self.change_records(shared, published::remove(&message), now);
            }
            ToTracker::Records(message) => return self.import(shared, message, now),
            ToTracker::Lend(message) => {
                drop(self.party.step(shared, now));
                return answered(stores::lend(
                    shared,
                    self.party.sender,
                    (&message, self.party.named(true)),
                    now,
                ));
            }
            ToTracker::Kept(message) => {
                drop(self.party.step(shared, now));
                return answered(stores::kept(shared, self.party.sender, &message, now));
            }
            ToTracker::Decline(message) => {
                drop(self.party.step(shared, now));
                return answered(stores::decline(shared, self.party.sender, &message, now));
            }
            ToTracker::GetDuties(message) => {
                return self.duties(shared, (message.term, stores::until(message.wait_ms, now)), now);
            }
            ToTracker::Store(message) => return self.store(shared, message, now),
            ToTracker::GetHealth(message) => {
                let from = Network::of(self.party.from.ip);
                return answered(stores::health(shared, (&message, from), now));
            }
            ToTracker::SetStore(message) => return self.set_store(shared, message, now),
            ToTracker::GetStores(message) => return stores::stores(shared, &message).into(),
            ToTracker::GetCluster(_) => return cluster::cluster(shared).into(),
            ToTracker::ChangeMembers(message) => {
                let until = stores::until(message.wait_ms, now);
                return change_members(&mut self.asking, shared, (message, until), now);
            }
            ToTracker::NodeBeat(message) => {
                let from = Network::of(self.party.from.ip);
                return nodes::beat(shared, (self.party.sender.peer, from), message, now).into();
            }
            ToTracker::Claim(message) => {
                return nodes::claim(shared, self.party.sender.peer, message, now).into();
            }
            ToTracker::DutyDone(message) => {
                return nodes::done(shared, self.party.sender.peer, message, now).into();
            }
            ToTracker::GetNodes(message) => return nodes::list(shared, &message, now).into(),
            ToTracker::SetNodes(message) => return self.record(shared, nodes::set(&message), now),
            message @ (ToTracker::Join(_)
            | ToTracker::Renew(_)
            | ToTracker::Invite(_)
            | ToTracker::Revoke(_)
            | ToTracker::Rotate(_)
            | ToTracker::GetMembers(_)
            | ToTracker::Enter(_)) => {
                let answer = members::answer(shared, self.party.caller, message, now);
                if let FromTracker::Keys(keys) = &answer {
                    self.party.epoch = keys.epoch.number;
                }
                return answer.into();
            }
        };
        answered.map_or_else(|denial| denied(&denial).into(), Reply::from)
    }

    /// What a member is to be told, whatever it asked: that the swarm has another key.
    pub fn news(&mut self, shared: &Shared) -> Option<FromTracker> {
        let epoch = self.party.unheard(shared)?;
        self.party.epoch = epoch;
        Some(members::keys(shared))
    }

    fn answer_common(&mut self, shared: &Shared, message: &Common, now: Instant) -> Reply {
        match message {
            Common::Ping => {
                drop(self.party.step(shared, now));
                Common::Pong.into()
            }
            Common::Leave => {
                if let Some(gone) = self.party.retire(shared, now) {
                    shared.note(gone, "left");
                }
                Reply { close: true, ..Common::Ok.into() }
            }
            // Whether to a PING of ours or not: it is a sign of life.
            Common::Pong => {
                drop(self.party.step(shared, now));
                Reply { answer: None, close: false, effect: None }
            }
            Common::Error(_) => Reply { answer: None, close: true, effect: None },
            Common::Hello(_) | Common::Ok => {
                let detail = format!("unexpected {}", message.label());
                Reply { close: true, ..Common::error(ErrorCode::Unexpected, detail).into() }
            }
        }
    }

    fn register(&mut self, shared: &Shared, message: &wire::Register, now: Instant) -> Reply {
        let listens = Listens { port: message.port, stated: message.addresses.to_vec() };
        let profile = Profile { name: self.party.name.clone(), listens, from: self.party.from };
        let mut directory = shared.lock();
        let is_new = match directory.register(self.party.sender, profile, now) {
            Ok(is_new) => is_new,
            Err(contested) => {
                let detail = "a peer with this id is registered on another connection, which lives";
                let effect = contested.ping.map(Effect::Ping);
                return Reply { effect, ..Common::error(ErrorCode::InUse, detail).into() };
            }
        };
        self.party.registered = true;
        let (lease, epoch) = (directory.lease(), directory.epoch());
        drop(directory);
        if let Err(denial) = self.party.update(shared, &[], &message.offers, now) {
            self.party.retire(shared, now);
            return denied(&denial).into();
        }
        if is_new {
            shared.note(self.party.named(false), "joined");
        }
        let lease_ms = u32::try_from(lease.as_millis()).unwrap_or(u32::MAX);
        let registered = FromTracker::from(wire::Registered { lease_ms, epoch });
        Reply { effect: Some(Effect::Keep), ..registered.into() }
    }

    fn report(&self, shared: &Shared, message: &wire::Report, now: Instant) -> Reply {
        let about = (message.id, message.chunk);
        let mut directory = self.party.step(shared, now);
        let reported = directory.report(self.party.sender, message.peer, message.complaint, about, now);
        let woken = directory.take_woken();
        drop(directory);
        shared.wake(woken);
        if reported.is_ok() && matches!(message.complaint, Complaint::Missing | Complaint::Corrupt) {
            shared.keep(now, |keeping| keeping.doubts(message.peer, message.id, message.chunk, now));
        }
        match reported {
            Ok(look) => Reply { effect: look.map(Effect::Look), ..Common::Ok.into() },
            Err(denial) => denied(&denial).into(),
        }
    }

    fn locate(&mut self, shared: &Shared, message: wire::Locate, now: Instant) -> Reply {
        let name = message.name.into_string();
        let wanted = match message.id {
            FileId::NONE => {
                if let Err(denial) = check_name(&name) {
                    return denied(&denial).into();
                }
                Wanted::Name(&name)
            }
            id => Wanted::Id(id),
        };
        let missing = (!message.missing.is_empty()).then(|| chunks_of(&message.missing));
        let query = Query {
            wanted,
            purpose: message.purpose,
            max: usize::from(message.max),
            missing: missing.as_ref(),
            asker: self.party.sender.peer,
            from: self.party.from,
        };
        let published = match wanted {
            Wanted::Name(name) => shared.records().version(name, 0).cloned(),
            Wanted::Id(_) => None,
        };
        let wanted_id = published.as_ref().map(|version| Wanted::Id(version.id));
        let query = Query { wanted: wanted_id.unwrap_or(wanted), ..query };
        let network = Network::of(self.party.from.ip);
        let (mut variants, woken) = shared.asked(network, || {
            let mut directory = self.party.step(shared, now);
            (directory.locate(&query, now), directory.take_woken())
        });
        shared.wake(woken);
        stores::join(shared, &query, &mut variants);
        if let Some(version) = published {
            variants = vec![published::variant(&name, &version, variants)];
        }
        if variants.is_empty() && query.purpose == Purpose::Inspect && matches!(wanted, Wanted::Name(_)) {
            self.asking = Some(Asking::Near(Near::new(&name)));
            return self.go_on(shared, now);
        }
        FromTracker::from(Located { variants: List::new(variants), near: List::default() }).into()
    }

    fn list(&mut self, shared: &Shared, message: &wire::GetList, now: Instant) -> Reply {
        let listing = Listing::new(&message.pattern, &message.after, usize::from(message.limit));
        self.asking = Some(Asking::List(listing));
        self.go_on(shared, now)
    }

    fn change_records(&mut self, shared: &Shared, command: Result<Command, Common>, now: Instant) -> Reply {
        command.map_or_else(Reply::from, |command| self.record(shared, command, now))
    }

    /// Takes in what a store remembers, if that is wanted.
    fn import(&mut self, shared: &Shared, message: wire::Records, now: Instant) -> Reply {
        if !self.party.registered {
            return denied(&Denial::NotRegistered).into();
        }
        match shared.wants_records() {
            true => self.record(shared, published::import(message), now),
            false => {
                drop(self.party.step(shared, now));
                Common::Ok.into()
            }
        }
    }

    /// A store is to be taken away, or not, or does not come back.
    fn set_store(&mut self, shared: &Shared, message: wire::SetStore, now: Instant) -> Reply {
        match stores::set(shared, message, now) {
            Ok(Some(command)) => self.record(shared, command, now),
            Ok(None) => Common::Ok.into(),
            Err(refused) => refused.into(),
        }
    }

    /// Changes the records, once they may be changed.
    fn record(&mut self, shared: &Shared, command: Command, now: Instant) -> Reply {
        drop(self.party.step(shared, now));
        if let Some(settled) = shared.settles_at(now).filter(|_| !matches!(command, Command::Import(_))) {
            self.asking = Some(Asking::Record(command));
            return Reply { answer: None, close: false, effect: Some(Effect::Wait(settled)) };
        }
        published::recorded(shared.record(self.party.signed(command), now)).into()
    }

    /// What the store at the other end is to do; it waits for that.
    fn duties(&mut self, shared: &Shared, (term, until): (Term, Instant), now: Instant) -> Reply {
        // Who is registered elsewhere, or not yet, is called by nobody.
        let calls = shared.lock().calls(self.party.sender, self.party.from, now);
        self.party.sees(shared, now);
        match stores::duties(shared, self.party.sender, calls, now) {
            Some(duties) => duties.into(),
            None if now < until && self.party.unheard(shared).is_none() && !is_over(shared, term) => {
                self.asking = Some(Asking::Duties(term, until));
                Reply { answer: None, close: false, effect: Some(Effect::Wait(until)) }
            }
            None => stores::told(shared, self.party.sender.peer, (Vec::new(), Vec::new()), now).into(),
        }
    }

    /// Something is to be kept by stores, and published when it is safe.
    fn store(&mut self, shared: &Shared, message: wire::Store, now: Instant) -> Reply {
        let name = published::checked(&message.name, &message.version);
        match name.and_then(|name| Storing::new(message, name, now)) {
            Ok(storing) => self.go_on_storing(shared, storing, now),
            Err(error) => error.into(),
        }
    }

    fn go_on_storing(&mut self, shared: &Shared, storing: Storing, now: Instant) -> Reply {
        let waits = |until| Reply { answer: None, close: false, effect: Some(Effect::Wait(until)) };
        let step = match shared.settles_at(now) {
            _ if !shared.leads() => return cluster::elsewhere(shared, &Unrecorded::NotLeader).into(),
            Some(_) if now < storing.until => Step::Wait,
            Some(_) => Step::Done(wire::Storing { covered: 0, needed: 0 }.into()),
            None => storing.step(shared, self.party.sender.connection, now),
        };
        match step {
            Step::Done(answer) => answer.into(),
            Step::Record(command) => {
                let recorded = published::recorded(shared.record(self.party.signed(command), now));
                storing.end(shared, now);
                recorded.into()
            }
            Step::Wait => {
                // Time alone may change what there is to say.
                let again = (now + STORING_AGAIN).min(storing.until);
                self.asking = Some(Asking::Store(storing));
                waits(again)
            }
        }
    }

    /// Takes the next step of a question that takes several.
    pub fn go_on(&mut self, shared: &Shared, now: Instant) -> Reply {
        let mut asking = match self.asking.take() {
            Some(Asking::Record(command)) => return self.record(shared, command, now),
            Some(Asking::Duties(term, until)) => return self.duties(shared, (term, until), now),
            Some(Asking::Members(message, until)) => {
                return change_members(&mut self.asking, shared, (message, until), now);
            }
            Some(Asking::Store(storing)) => return self.go_on_storing(shared, storing, now),
            asking => asking,
        };
        let done = shared.asked(Network::of(self.party.from.ip), || match &mut asking {
            Some(Asking::List(listing)) => {
                listing.look_at_published(&shared.records())
                    && listing.look_at_registered(&mut self.party.step(shared, now))
            }
            Some(Asking::Near(near)) => self.party.step(shared, now).near(near),
            _ => true,
        });
        if !done {
            self.asking = asking;
            return Reply { answer: None, close: false, effect: Some(Effect::GoOn) };
        }
        match asking {
            Some(Asking::List(listing)) => match listing.page(shared) {
                Some(page) => FromTracker::from(page).into(),
                None => Common::error(ErrorCode::Limit, TOO_MUCH).into(),
            },
            Some(Asking::Near(near)) => {
                let located = Located { variants: List::default(), near: List::new(near.names()) };
                FromTracker::from(located).into()
            }
            _ => Reply { answer: None, close: false, effect: None },
        }
    }
}

/// Other trackers are to be members of the cluster, once who is new is there.
fn change_members(
    asking: &mut Option<Asking>,
    shared: &Shared,
    (message, until): (wire::ChangeMembers, Instant),
    now: Instant,
) -> Reply {
    if let Some(answer) = cluster::change(shared, &message, now >= until) {
        return answer.into();
    }
    *asking = Some(Asking::Members(message, until));
    Reply { answer: None, close: false, effect: Some(Effect::Wait((now + MEMBERS_AGAIN).min(until))) }
}

/// True if a store has to say again whom it serves: another tracker leads since.
fn is_over(shared: &Shared, term: Term) -> bool {
    term != Term::default() && term != shared.kept(Keeping::term)
}

fn answered(answer: Result<FromTracker, Common>) -> Reply {
    answer.map_or_else(Reply::from, Reply::from)
}

/// The ERROR that tells of it.
fn denied(denial: &Denial) -> Common {
    let code = match denial {
        Denial::NotRegistered | Denial::NotOffered(_) => ErrorCode::NotRegistered,
        Denial::BadName(..) => ErrorCode::BadName,
        Denial::BadOffer(_) | Denial::BadChunks => ErrorCode::Malformed,
        Denial::Full(_) => ErrorCode::Limit,
    };
    Common::error(code, denial.to_string())
}

/// The chunks of runs from outside, as far as any content has them.
fn chunks_of(runs: &[Run]) -> ChunkSet {
    let runs = runs::joined(runs);
    let mut set = ChunkSet::empty(runs.last().map_or(0, |run| run.end()).min(limits::MAX_CHUNKS));
    set.add_runs(&runs);
    set
}

fn check_name(name: &str) -> Result<(), Denial> {
    SafeName::new(name).map(drop).map_err(|error| Denial::BadName(name.to_owned(), error))
}

mod cluster;
mod listing;
mod members;
mod nodes;
mod party;
mod published;
mod reply;
mod stores;
#[cfg(test)]
mod tests;
