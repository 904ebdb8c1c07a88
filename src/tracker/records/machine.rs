//! The records: names, their versions, and what stores promise of them. One deterministic machine: commands in,
//! outcomes out; no clock, no randomness, and nothing that the commands alone do not say.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::clients::{Clients, Last};
use super::command::{Command, Import, Publish, PublishAs, Remove, RemoveAs, Start};
use super::nodes::Nodes;
use super::outcome::{Outcome, Refused};
use super::pages::Pages;
use super::roster::Roster;
use super::seen::{AllSeen, Seen};
use crate::content::{FileId, PeerId, PublicKey, SafeName};
use crate::rescue;
use crate::wire::{
    Authority, ClientId, Coding, MemberRole, Name, Policy, Published, Side, Term, Version, View, limits,
};

/// Most bytes that names and versions may cost.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes that a name costs beside its own, about.
const ROW_BYTES: u64 = 160;
/// Bytes that a version costs beside its publisher's name, about.
const VERSION_BYTES: u64 = 256;

/// A content, and as what it is kept: a file's bytes, or the members of a tree, which implies its listing.
pub type Content = (FileId, View);

/// What is to be kept by stores: a content with what versions claim of it, and the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Promise {
    /// The content.
    pub content: Content,
    /// Its bytes.
    pub size: u64,
    /// Bytes of all files.
    pub total: u64,
    /// Its chunks: of the file, or of all members.
    pub chunks: u32,
    /// What is promised of it. Of a parity one copy, for the sake of its data.
    pub policy: Policy,
    /// The code that it is a part of.
    pub code: Option<Coding>,
}

impl Promise {
    /// What a version of this name promises of its content; `None` if nothing.
    pub fn of(name: &str, version: &Version) -> Option<Promise> {
        version.policy.promises().then_some(Promise {
            content: (version.id, Version::view(name)),
            size: version.size,
            total: version.total,
            chunks: version.chunks,
            policy: version.policy,
            code: version.policy.coding(),
        })
    }

    /// What follows of the parity, if this promises a code.
    pub fn of_parity(&self) -> Option<Promise> {
        let code = self.code.filter(|code| code.of == Side::Data)?;
        let parity = code.stripes(self.size, self.chunks)?.parity();
        Some(Promise {
            content: code.other(),
            size: parity.size(),
            total: parity.size(),
            chunks: parity.chunks(),
            policy: Policy::copies(1)?,
            code: Some(code.turned(self.content.0, self.size)),
        })
    }

    /// All that a version of this name promises.
    fn all_of(name: &str, version: &Version) -> impl Iterator<Item = Promise> + use<> {
        let data = Promise::of(name, version);
        data.into_iter().chain(data.and_then(|data| data.of_parity()))
    }

    /// What two promises of one content come to: copies if either is of copies, for shards of a code are not enough then, of which as many
    /// may be lost as the safer of them says.
    fn and(self, other: Promise) -> Promise {
        let m = self.policy.m().max(other.policy.m());
        let copies = if self.code.is_none() { self } else { other };
        match copies.code {
            None => Promise { policy: Policy::copies(m + 1).unwrap_or(copies.policy), ..copies },
            Some(_) if other.policy.m() > self.policy.m() => other,
            Some(_) => self,
        }
    }

    /// Less or equal to every promise of this content.
    fn least(content: Content) -> Promise {
        Promise { content, size: 0, total: 0, chunks: 0, policy: Policy::NONE, code: None }
    }
}

/// What came of a command, and of which contents the promise may be another now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What came of it.
    pub outcome: Outcome,
    /// Contents whose promise was made, ended or changed.
    pub changed: BTreeSet<Content>,
}

/// A name's versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The number of the next version.
    pub(super) next: u32,
    /// In ascending order of number; never empty.
    pub(super) versions: Vec<Version>,
    /// The member that made the name; [`PublicKey::NONE`] if none did.
    pub(super) owner: PublicKey,
}

impl Default for Row {
    fn default() -> Row {
        Row { next: 0, versions: Vec::new(), owner: PublicKey::NONE }
    }
}

impl Row {
    fn is_full(&self) -> bool {
        self.versions.len() >= limits::MAX_VERSIONS
    }

    /// Where the version of this number is, or would be.
    fn find(&self, number: u32) -> Result<usize, usize> {
        self.versions.binary_search_by_key(&number, |version| version.number)
    }
}

/// The hard state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    pub(super) authority: Authority,
    pub(super) term: Term,
    /// The slot of the last command.
    pub(super) applied: u64,
    pub(super) names: BTreeMap<SafeName, Row>,
    pub(super) clients: Clients,
    pub(super) roster: Roster,
    pub(super) stores: AllSeen,
    pub(super) nodes: Nodes,
    pub(super) pages: Pages,
    /// How many versions make each promise; follows from `names`.
    promises: BTreeMap<Promise, u32>,
    /// What names and versions cost; follows from `names`.
    bytes: u64,
}

impl Records {
    /// What names and versions cost, about, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Carries out the command of a slot; slots rise.
    pub fn apply(&mut self, slot: u64, command: &Command) -> Applied {
        self.applied = slot;
        let mut changed = BTreeSet::new();
        let outcome = match command {
            Command::Publish(publish) => self
                .once((publish.client, publish.seq), slot, |records| records.publish(publish, &mut changed)),
            Command::Remove(remove) => {
                self.once((remove.client, remove.seq), slot, |records| records.remove(remove, &mut changed))
            }
            Command::SeeStore(see) => self.stores.see(see),
            Command::SetStore(set) => {
                self.once((set.client, set.seq), slot, |records| records.stores.set(set))
            }
            Command::Import(import) => Outcome::Imported(self.import(import, &mut changed)),
            Command::Start(start) => Outcome::Started(self.start(start)),
            Command::PublishAs(PublishAs { by, publish }) => {
                self.once((publish.client, publish.seq), slot, |records| {
                    records.publish_as(*by, publish, &mut changed)
                })
            }
            Command::RemoveAs(RemoveAs { by, remove }) => {
                self.once((remove.client, remove.seq), slot, |records| {
                    match records.is_theirs(*by, &remove.name) {
                        true => records.remove(remove, &mut changed),
                        false => Outcome::Refused(Refused::NotYours),
                    }
                })
            }
            Command::SetUser(set) => self.pages.set_user(set),
            Command::RemoveUser(remove) => self.pages.remove_user(remove),
            Command::AddToken(add) => self.pages.add_token(add),
            Command::EndToken(end) => self.pages.end_token(end),
            Command::Found(found) => self.roster.found(found),
            Command::Admit(admit) => of(self.roster.admit(admit)),
            Command::Expire(expire) => self.roster.expire(expire),
            Command::Invite(invite) => {
                self.once((invite.client, invite.seq), slot, |records| of(records.roster.invite(invite)))
            }
            Command::Enter(enter) => {
                self.once((enter.client, enter.seq), slot, |records| of(records.roster.enter(enter)))
            }
            Command::Revoke(revoke) => {
                self.once((revoke.client, revoke.seq), slot, |records| of(records.roster.revoke(revoke)))
            }
            Command::Rotate(rotate) => {
                self.once((rotate.client, rotate.seq), slot, |records| of(records.roster.rotate(rotate)))
            }
            Command::SetNodes(set) => {
                self.once((set.client, set.seq), slot, |records| records.nodes.set(slot, set))
            }
            about_nodes => self.apply_about_nodes(slot, about_nodes),
        };
        Applied { outcome, changed }
    }

    /// Carries out what trackers say of nodes.
    fn apply_about_nodes(&mut self, slot: u64, command: &Command) -> Outcome {
        let nodes = &mut self.nodes;
        match command {
            Command::NodeBack(back) => nodes.back(slot, back),
            Command::DutyClaimed(claim) => nodes.claim(slot, claim),
            Command::NodeLost(lost) => nodes.apply(slot, rescue::Entry::Lost(lost.node)),
            Command::NodeDrained(set) => nodes.apply(slot, rescue::Entry::Drained(set.node, set.drained)),
            Command::DutyOpened(opened) => {
                let (target, executor) = (opened.target, opened.executor);
                nodes.apply(slot, rescue::Entry::Opened { target, executor })
            }
            Command::DutyAssigned(set) => nodes.apply(slot, rescue::Entry::Assigned(set.duty, set.executor)),
            Command::DutyEnded(ended) => nodes.apply(slot, rescue::Entry::Done(ended.duty, ended.executor)),
            Command::DutyExpired(expired) => nodes.apply(slot, rescue::Entry::Expired(expired.duty)),
            _ => Outcome::Refused(Refused::Over), // the others are carried out elsewhere
        }
    }

    /// Publishes for a member: what it makes a name for is its own from then on.
    fn publish_as(&mut self, by: PublicKey, publish: &Publish, changed: &mut BTreeSet<Content>) -> Outcome {
        if !self.is_theirs(by, &publish.name) {
            return Outcome::Refused(Refused::NotYours);
        }
        let is_new = !self.names.contains_key(&publish.name);
        let outcome = self.publish(publish, changed);
        if is_new && let Some(row) = self.names.get_mut(&publish.name) {
            row.owner = self.roster.root(by);
        }
        outcome
    }

    /// True if a member may change what a name stands for: it is its own, or nobody's, or the member is an admin.
    fn is_theirs(&self, by: PublicKey, name: &SafeName) -> bool {
        let is_admin = || self.roster.standing(by).is_some_and(|standing| standing.role == MemberRole::Admin);
        self.names.get(name).is_none_or(|row| row.owner == self.roster.root(by)) || is_admin()
    }

    /// Carries out a client's command, unless that was done.
    fn once(
        &mut self,
        (client, seq): (ClientId, u64),
        slot: u64,
        carry_out: impl FnOnce(&mut Records) -> Outcome,
    ) -> Outcome {
        if let Some(outcome) = self.clients.answered((client, seq)) {
            return outcome;
        }
        let outcome = carry_out(self);
        self.clients.remember(client, Last { seq, outcome, slot });
        outcome
    }

    fn publish(&mut self, publish: &Publish, changed: &mut BTreeSet<Content>) -> Outcome {
        let row = self.names.get(&publish.name);
        let latest = row.and_then(|row| row.versions.last());
        if let Some(same) = latest.filter(|latest| latest.is_like(&publish.version)) {
            return Outcome::Published { number: same.number, fresh: false };
        }
        let latest = latest.map_or(0, |latest| latest.number);
        if publish.expect != 0 && publish.expect != latest {
            return Outcome::Refused(Refused::Conflict { latest });
        }
        let number = row.map_or(1, |row| row.next);
        if row.is_some_and(Row::is_full) {
            return Outcome::Refused(Refused::TooManyVersions);
        }
        let version = Version { number, ..publish.version.clone() };
        match self.add(&publish.name, version, changed) {
            true => Outcome::Published { number, fresh: true },
            false => Outcome::Refused(Refused::Full),
        }
    }

    fn remove(&mut self, remove: &Remove, changed: &mut BTreeSet<Content>) -> Outcome {
        let Some(row) = self.names.get_mut(&remove.name) else { return Outcome::Refused(Refused::NoName) };
        let gone = match (remove.number, row.find(remove.number)) {
            (0, _) => std::mem::take(&mut row.versions),
            (_, Ok(at)) => vec![row.versions.remove(at)],
            (number, Err(_)) => return Outcome::Refused(Refused::NoVersion(number)),
        };
        if row.versions.is_empty() {
            self.names.remove(&remove.name);
            self.bytes -= row_bytes(&remove.name);
        }
        gone.iter().for_each(|version| self.forget(&remove.name, version, changed));
        Outcome::Removed(gone.len() as u32)
    }

    /// Takes in what is not known yet; how many that were. A number that another version has is followed by the next
    /// that is free.
    fn import(&mut self, import: &Import, changed: &mut BTreeSet<Content>) -> u32 {
        let mut list: Vec<&Published> = import.list.iter().collect();
        list.sort_by_key(|published| published.version.stamp_ms);
        list.into_iter().filter(|published| self.take_in(published, changed)).count() as u32
    }

    fn take_in(&mut self, published: &Published, changed: &mut BTreeSet<Content>) -> bool {
        let (Ok(name), version) = (SafeName::new(&*published.name), &published.version) else { return false };
        if version.number == 0 || !version.is_possible(name.as_str()) {
            return false;
        }
        let row = self.names.get(&name);
        let same = |known: &Version| known.is_like(version) && known.stamp_ms == version.stamp_ms;
        if row.is_some_and(|row| row.is_full() || row.versions.iter().any(same)) {
            return false;
        }
        let number = match row {
            Some(row) if row.find(version.number).is_ok() => row.next,
            _ => version.number,
        };
        self.add(&name, Version { number, ..version.clone() }, changed)
    }

    fn start(&mut self, start: &Start) -> Term {
        if self.authority == Authority::NONE {
            self.authority = start.authority;
        }
        self.term = start.least.max(Term(self.term.0.saturating_add(1)));
        self.term
    }

    /// Adds a version whose number its name does not have; false if there is no room.
    pub(super) fn add(&mut self, name: &SafeName, version: Version, changed: &mut BTreeSet<Content>) -> bool {
        let row_cost = if self.names.contains_key(name) { 0 } else { row_bytes(name) };
        let cost = row_cost + version_bytes(&version);
        let Some(next) = version.number.checked_add(1).filter(|_| self.bytes + cost <= MAX_BYTES) else {
            return false;
        };
        self.bytes += cost;
        for promise in Promise::all_of(name.as_str(), &version) {
            *self.promises.entry(promise).or_default() += 1;
            changed.insert(promise.content);
        }
        let row = self.names.entry(name.clone()).or_default();
        let (Ok(at) | Err(at)) = row.find(version.number);
        row.versions.insert(at, version);
        row.next = row.next.max(next);
        true
    }

    /// Forgets what follows from a version that is gone.
    fn forget(&mut self, name: &SafeName, version: &Version, changed: &mut BTreeSet<Content>) {
        self.bytes -= version_bytes(version);
        for promise in Promise::all_of(name.as_str(), version) {
            changed.insert(promise.content);
            if let Entry::Occupied(mut count) = self.promises.entry(promise) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// Whose records they are.
    pub fn authority(&self) -> Authority {
        self.authority
    }

    /// The term that began last.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The slot of the last command.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Who is in the swarm, and by which keys.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Nodes, and who is to bring a lost one back.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// True if what a change of who may come in to pages is for is so.
    pub fn reflects(&self, change: &Command) -> bool {
        let Pages { users, tokens } = &self.pages;
        match change {
            Command::SetUser(set) => {
                users.get(&*set.name).is_some_and(|user| *user == (set.role, set.password.clone()))
            }
            Command::RemoveUser(remove) => !users.contains_key(&*remove.name),
            Command::AddToken(add) => tokens.contains_key(&*add.hash),
            Command::EndToken(end) => !tokens.contains_key(&*end.hash),
            _ => false,
        }
    }

    /// Who may come in to pages.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// A store on record.
    pub fn store(&self, store: PeerId) -> Option<&Seen> {
        self.stores.get(store)
    }

    /// All stores on record, in order of id.
    pub fn stores(&self) -> impl Iterator<Item = (PeerId, &Seen)> {
        self.stores.iter()
    }

    /// The versions of a name, in ascending order of number; none if it is not published.
    pub fn versions(&self, name: &str) -> &[Version] {
        self.names.get(name).map_or(&[], |row| &row.versions)
    }

    /// The version of a name with this number, 0 for the latest.
    pub fn version(&self, name: &str, number: u32) -> Option<&Version> {
        let row = self.names.get(name)?;
        match number {
            0 => row.versions.last(),
            number => row.versions.get(row.find(number).ok()?),
        }
    }

    /// Names from `start` on, in order, each with its latest version.
    pub fn names<'a>(&'a self, start: Bound<&str>) -> impl Iterator<Item = (&'a SafeName, &'a Version)> {
        let behind = (start, Bound::Unbounded);
        let latest = |(name, row): (&'a SafeName, &'a Row)| Some((name, row.versions.last()?));
        self.names.range::<str, _>(behind).filter_map(latest)
    }

    /// At most so many of the versions that promise a content. Looks at every version there is.
    pub fn published(&self, content: Content, most: usize) -> Vec<Published> {
        let of_name = |(name, row): (&SafeName, &Row)| {
            let promises = |version: &&Version| {
                Promise::all_of(name.as_str(), version).any(|promise| promise.content == content)
            };
            let name = Name::new(name.as_str());
            let published = |version: &Version| Published { name: name.clone(), version: version.clone() };
            row.versions.iter().filter(promises).map(published).collect::<Vec<_>>()
        };
        self.names.iter().flat_map(of_name).take(most).collect()
    }

    /// What is promised of a content now, the most where versions promise differently; `None` if nothing.
    pub fn promise(&self, content: Content) -> Option<Promise> {
        let of_it = self.promises.range(Promise::least(content)..).map(|(promise, _)| *promise);
        of_it.take_while(|promise| promise.content == content).reduce(Promise::and)
    }

    /// All promises, in order of content; a content may have several.
    pub fn promises(&self) -> impl Iterator<Item = Promise> {
        self.promises.keys().copied()
    }
}

fn of(outcome: Result<Outcome, Refused>) -> Outcome {
    outcome.unwrap_or_else(Outcome::Refused)
}

fn row_bytes(name: &SafeName) -> u64 {
    ROW_BYTES + name.as_str().len() as u64
}

fn version_bytes(version: &Version) -> u64 {
    VERSION_BYTES + version.publisher.len() as u64
}

#[cfg(test)]
mod tests;
