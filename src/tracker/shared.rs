//! What all sessions share: directory and planner behind their locks, which are taken for one bounded step at a time, and
//! the records. Who takes several locks takes that of the directory first, and reads the records last.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::allowance::Allowance;
use super::chronicle::{Chronicle, Who};
use super::delays::Delays;
use super::directory::Directory;
use super::keeping::{Keeping, Order, Terms};
use super::keys;
use super::nodes::Nodes;
use super::presence::{Cut, Presence};
use super::recorder::{Changed, Recorder, Several, Unrecorded};
use super::records::{Applied, Command, Content, Expire, Outcome, Records, SeeStore};
use crate::content::{Network, PeerId, PublicKey};
use crate::net::secure::Keyring;
use crate::threads::{self, Reading};
use crate::wire::{TrackerAddress, TrackerKey};
use queue::{Askers, Queued};

/// Contents of a peer that is gone cleared away under one lock.
const SWEEP: usize = 128;

/// Contents whose promise is looked up under one lock.
const CONTENTS: usize = 256;

/// Peers that a tracker had before it started again are registered after so long: they dial it every 3 s at the latest.
const COMING_BACK: Duration = Duration::from_secs(5);

/// Most steps of the planner's work that whoever gave it some does itself; the rest is done by the thread that ends
/// leases.
const MOST_STEPS: usize = 64;

/// What all sessions share.
#[derive(Debug)]
pub struct Shared {
    directory: Queued<Directory>,
    askers: Askers,
    recorder: Recorder,
    keeping: Queued<Keeping>,
    /// Connections whose answers wait, and may not have to any more.
    wakes: Mutex<Vec<u64>>,
    /// Until then stores may remember what the records do not have.
    settled: Option<Instant>,
    /// When it started again, if its records say that it had been there.
    came_back: Option<Instant>,
    /// The trackers of the swarm, as members are told of them.
    trackers: Vec<TrackerKey>,
    /// By what this tracker can be dialled.
    keyring: Keyring,
    presence: Mutex<Presence>,
    /// Connections that are to end.
    cuts: Mutex<Vec<Cut>>,
    /// How many stores of an address have come on record.
    seen: Mutex<Allowance>,
    nodes: Mutex<Nodes>,
    chronicle: Mutex<Chronicle>,
}

impl Shared {
    /// Shares a directory, with records that are nowhere else.
    pub fn new(directory: Directory) -> Shared {
        Shared::with_records(directory, (Recorder::forgetful(), None), Delays::default())
    }

    /// Shares a directory and records, which are not changed before they are settled.
    pub fn with_records(
        directory: Directory,
        (recorder, settled): (Recorder, Option<Instant>),
        delays: Delays,
    ) -> Shared {
        let now = Instant::now();
        let keeping = Queued::new(keeping(&recorder, delays, now));
        Shared {
            directory: Queued::new(directory),
            came_back: recorder.had_records().then_some(now),
            askers: Askers::default(),
            recorder,
            keeping,
            wakes: Mutex::default(),
            settled,
            trackers: Vec::new(),
            keyring: Keyring::none(),
            presence: Mutex::default(),
            cuts: Mutex::default(),
            seen: Mutex::default(),
            nodes: Mutex::new(Nodes::new(delays.nodes, fastrand::u64(..), now)),
            chronicle: Mutex::default(),
        }
    }

    /// The same, with the keys that follow from the records, and whose members are told of these trackers.
    pub fn of_swarm(self, keyring: Keyring, trackers: Vec<TrackerKey>) -> Shared {
        Shared { keyring, trackers, ..self }
    }

    /// The directory, for one bounded step.
    pub fn lock(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock()
    }

    /// A step of a question that anybody may ask as often as he likes. Those of one network wait for each other before
    /// they wait for the directory: however many they are, others find one of them there.
    pub fn asked<T>(&self, from: Network, step: impl FnOnce() -> T) -> T {
        self.askers.asked(from, step)
    }

    /// Clears away what peers that are gone have left.
    pub fn sweep(&self) {
        while self.lock().sweep(SWEEP) {}
    }

    /// The records, for one bounded step. Where several are locked, these come last.
    pub(crate) fn records(&self) -> Reading<'_, Records> {
        self.recorder.read()
    }

    /// Changes the records, and waits until that is on the disk; so nothing may be locked.
    ///
    /// # Errors
    /// It could not be written down.
    pub fn record(&self, command: Command, now: Instant) -> Result<Applied, Unrecorded> {
        let store = match &command {
            Command::SetStore(set) => Some(set.store),
            Command::SeeStore(see) => Some(see.store),
            _ => None,
        };
        let applied = self.recorder.submit(command)?;
        if let Some(store) = store.filter(|_| applied.outcome == Outcome::Noted) {
            self.store_changed(store, now);
        }
        if matches!(applied.outcome, Outcome::Members | Outcome::Rotated(_)) {
            self.members_changed();
        }
        if !applied.changed.is_empty() {
            self.promises_changed(&applied.changed, now);
        }
        Ok(applied)
    }

    /// Changes who may come in to pages, which concerns nobody else; the same may be asked for again. Nothing may be locked.
    ///
    /// # Errors
    /// It could not be written down, or not in time.
    pub fn change_pages(&self, change: Command) -> Result<Applied, Unrecorded> {
        self.recorder.submit_in_time(change)
    }

    /// What a store is to do now, that is registered on one connection and asks on another; which is woken when there is
    /// something. So nothing may be locked.
    pub fn duties(&self, store: PeerId, connection: u64, now: Instant) -> Vec<Order> {
        if !self.leads() {
            self.keep(now, |keeping| keeping.waits(store, connection));
            return Vec::new();
        }
        let orders = self.keep(now, |keeping| keeping.duties(store, connection, None, now));
        let gives_up = orders.is_empty() && self.kept(|keeping| keeping.gives_up(store));
        if !gives_up || self.recorder.barrier().is_err() {
            return orders;
        }
        self.keep(now, |keeping| {
            let records = self.records();
            keeping.duties(store, connection, Some(&|content| records.promise(content)), now)
        })
    }

    /// Puts a store on record that lends and is not there as it is, if `from` that address another one may come; else that
    /// is tried again later. So nothing may be locked.
    pub fn see(&self, store: PeerId, from: Option<Network>, now: Instant) {
        if !self.leads() {
            return; // who leads hears of it, too
        }
        let Some((name, zone, machine)) = self.kept(|keeping| keeping.unrecorded(store, now)) else { return };
        self.keep_once(|keeping| keeping.tries_to_record(store, now));
        if from.is_some_and(|from| !threads::lock(&self.seen).takes(from, now)) {
            return;
        }
        self.put_on_record(SeeStore { store, name, zone, machine }, now);
    }

    fn put_on_record(&self, see: SeeStore, now: Instant) {
        let store = see.store;
        match self.record(Command::SeeStore(see), now) {
            Ok(Applied { outcome: Outcome::Noted, .. }) => {}
            Ok(_) => tracing::warn!("store {store} is not on record: there are too many"),
            Err(error) => tracing::warn!("store {store} is not on record: {error}"),
        }
    }

    /// A store that is known here is on record from then on, whatever it holds: somebody speaks of it.
    pub fn knows(&self, store: PeerId, now: Instant) {
        if self.records().store(store).is_none()
            && let Some((name, zone, machine)) = self.kept(|keeping| keeping.labels(store))
        {
            self.put_on_record(SeeStore { store, name, zone, machine }, now);
        }
    }

    /// What is on record of a store is another than before.
    fn store_changed(&self, store: PeerId, now: Instant) {
        self.keep(now, |keeping| match self.records().store(store) {
            Some(seen) => {
                keeping.leaves(store, seen.leaving, now);
                keeping.is_recorded(store, now);
            }
            None => keeping.forgets(store, now),
        });
    }

    fn promises_changed(&self, contents: &BTreeSet<Content>, now: Instant) {
        // Read under the planner's lock: of two who change a promise, the one who tells last tells what it is now.
        self.keep(now, |keeping| {
            let records = self.records();
            for content in contents {
                keeping.promise(*content, records.promise(*content).as_ref(), now);
            }
        });
    }

    /// What makes this tracker one of several, if it is.
    pub fn several(&self) -> Option<&Arc<Several>> {
        self.recorder.several()
    }

    /// True if this tracker is alone, or leads the others, and its planner has heard so.
    pub fn leads(&self) -> bool {
        self.several()
            .is_none_or(|several| several.leads() && self.kept(Keeping::term) == self.records().term())
    }

    /// Sees to what other trackers have changed in the records, as [`Shared::record`] does for what this one was asked.
    pub fn follow(&self, changed: &Changed, now: Instant) {
        let (mut contents, mut stores) = (changed.contents.clone(), changed.stores.clone());
        if changed.all {
            contents.extend(self.kept(Keeping::contents));
            let records = self.records();
            contents.extend(records.promises().map(|promise| promise.content));
            stores.extend(records.stores().map(|(store, _)| store));
        }
        for some in contents.into_iter().collect::<Vec<_>>().chunks(CONTENTS) {
            self.promises_changed(&some.iter().copied().collect(), now);
        }
        for store in stores {
            let seen = self.records().store(store).cloned();
            if let Some(seen) = seen {
                self.keep(now, |keeping| keeping.expects(store, (seen.name, seen.zone, seen.machine), now));
            }
            self.store_changed(store, now);
        }
        if changed.members || changed.all {
            self.members_changed();
        }
        if changed.term || changed.all {
            self.term_begins(now);
        }
    }

    fn term_begins(&self, now: Instant) {
        let records = self.records();
        let (authority, term) = (records.authority(), records.term());
        drop(records);
        let leads = self.several().is_none_or(|several| several.leads());
        self.keep(now, |keeping| keeping.begins(authority, term, leads, now));
    }

    /// Who was put out is cut, and whoever waits for something hears of the new key.
    fn members_changed(&self) {
        keys::renew(&self.keyring, self.records().roster(), self.clock_ms());
        let presence = threads::lock(&self.presence);
        let (cuts, all) = (presence.cuts(self.records().roster()), presence.connections());
        drop(presence);
        threads::lock(&self.cuts).extend(cuts);
        self.wake(all);
    }

    /// True if a node with this key may speak for members, and hear what is on record: in an open network everybody may, who
    /// could say the same for himself. To who has joined a closed swarm and has no roster yet, those it was told of then.
    pub fn is_tracker(&self, key: Option<PublicKey>) -> bool {
        let records = self.records();
        let roster = records.roster();
        let is_told_of = !roster.is_closed() && self.keyring.is_told_of(key);
        is_told_of || key.is_some_and(|key| roster.is_tracker(key))
    }

    /// True if this tracker cannot know who is in its closed swarm now: who was put out it has heard of as one of several alone.
    pub fn is_unsure(&self) -> bool {
        self.keyring.is_closed() && self.several().is_some_and(|several| !several.view().in_touch)
    }

    /// A connection of somebody with this key has begun.
    pub fn comes(&self, connection: u64, key: PublicKey) {
        threads::lock(&self.presence).comes(connection, key);
    }

    /// A connection has ended.
    pub fn goes(&self, connection: u64) {
        threads::lock(&self.presence).goes(connection);
    }

    /// Who is here with this key may do more or less now: it is cut, and tells anew all that it has.
    pub fn comes_again(&self, key: PublicKey) {
        let cuts = threads::lock(&self.presence).of(key);
        threads::lock(&self.cuts).extend(cuts);
    }

    /// The keys of all who are connected, and of this tracker.
    pub fn members_here(&self) -> BTreeSet<PublicKey> {
        let own = self.keyring.identity().map(|identity| identity.public());
        threads::lock(&self.presence).keys().into_iter().chain(own).collect()
    }

    /// Connections that are to end.
    pub fn take_cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut *threads::lock(&self.cuts))
    }

    /// The trackers of the swarm.
    pub fn trackers(&self) -> Vec<TrackerKey> {
        let members = self.several().map_or(Vec::new(), |several| several.view().members);
        let known = members.into_iter().filter(|member| member.key != PublicKey::NONE);
        let told: Vec<TrackerKey> = known
            .map(|member| {
                let address = TrackerAddress::new(&*member.address);
                TrackerKey { address, key: member.key }
            })
            .collect();
        if told.is_empty() { self.trackers.clone() } else { told }
    }

    /// By what this tracker can be dialled.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The time of the records, in milliseconds since 1970.
    pub fn clock_ms(&self) -> u64 {
        self.recorder.clock_ms()
    }

    /// Ends keys that are over, if there are any.
    pub fn end_keys(&self, now: Instant) {
        let due = self.records().roster().next_end_ms();
        if due.is_some_and(|due| due <= self.clock_ms())
            && self.leads()
            && let Err(error) = self.record(Command::Expire(Expire { now_ms: 0 }), now)
        {
            tracing::warn!("a key that is over goes on to let in: {error}");
        }
    }

    /// Nodes as they are heard, for one bounded step; the records may be read meanwhile.
    pub fn nodes(&self) -> MutexGuard<'_, Nodes> {
        threads::lock(&self.nodes)
    }

    /// Puts on record what time brings for nodes: who is lost or back, and who is to bring whom back. The tracker that leads
    /// does so; it hears nodes through the others as well, so that one that it hears by none of them most do not hear.
    pub fn watch_nodes(&self, now: Instant) {
        if !self.leads() {
            return self.nodes().follow();
        }
        let commands = {
            let mut nodes = self.nodes();
            nodes.lead(self.records().nodes(), now)
        };
        for command in commands {
            if let Err(error) = self.record(command, now) {
                tracing::warn!("what became of a node is not on record: {error}");
            }
        }
    }

    /// What happened last, for one bounded step. Nothing else is locked under it.
    pub fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        threads::lock(&self.chronicle)
    }

    /// Notes what somebody has done.
    pub(super) fn note(&self, who: Who, what: &'static str) {
        let now_ms = self.clock_ms();
        self.chronicle().note(who, what, now_ms);
    }

    /// The planner, for one bounded step, and then for some of what follows from it, the lock free between them. Whom
    /// that lets go on is in [`Shared::take_wakes`].
    pub fn keep<T>(&self, now: Instant, step: impl FnOnce(&mut Keeping) -> T) -> T {
        let (out, mut more) = self.keep_once(|keeping| (step(keeping), keeping.has_work(now)));
        for _ in 0..MOST_STEPS {
            if !more {
                break;
            }
            more = self.keep_once(|keeping| keeping.work(now));
        }
        out
    }

    fn keep_once<T>(&self, step: impl FnOnce(&mut Keeping) -> T) -> T {
        let (out, wakes) = {
            let mut keeping = self.keeping.lock();
            (step(&mut keeping), keeping.take_wakes())
        };
        self.wake(wakes);
        out
    }

    /// What the planner knows, for one bounded look.
    pub fn kept<T>(&self, look: impl FnOnce(&Keeping) -> T) -> T {
        look(&self.keeping.lock())
    }

    /// Does what time brings for the planner, to the end.
    pub fn tend(&self, now: Instant) {
        self.keep_once(|keeping| keeping.tick(now));
        while self.keep_once(|keeping| keeping.work(now)) {}
    }

    /// The answers of these connections may not have to wait any more.
    pub fn wake(&self, connections: Vec<u64>) {
        if !connections.is_empty() {
            threads::lock(&self.wakes).extend(connections);
        }
    }

    /// Connections whose answers may not have to wait any more.
    pub fn take_wakes(&self) -> Vec<u64> {
        std::mem::take(&mut *threads::lock(&self.wakes))
    }

    /// True if the records take in what stores remember.
    pub fn wants_records(&self) -> bool {
        self.recorder.wants_records()
    }

    /// When the records may be changed, if that is not now.
    pub fn settles_at(&self, now: Instant) -> Option<Instant> {
        self.settled.filter(|settled| now < *settled)
    }

    /// For how much longer peers may come back that were registered before this tracker started again.
    pub fn peers_may_come_back(&self, now: Instant) -> Duration {
        let until = self.came_back.map(|came| came + COMING_BACK);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Returns once each lock without which no request is answered was had.
    pub fn touch(&self) {
        drop(self.lock());
        self.kept(|_| drop(self.records()));
    }

    /// Ends what changes the records.
    pub fn stop(&self) {
        self.recorder.stop();
    }
}

/// The planner of what these records promise.
fn keeping(recorder: &Recorder, delays: Delays, now: Instant) -> Keeping {
    let records = recorder.read();
    let terms = Terms {
        authority: records.authority(),
        term: records.term(),
        lasting: recorder.is_lasting(),
        recovers: recorder.is_lasting() && recorder.wants_records(),
        grace: delays.grace,
        repair_after: delays.repair_after,
    };
    let mut keeping = Keeping::new(terms, now);
    if recorder.several().is_some() {
        keeping.begins(terms.authority, terms.term, false, now); // until it is known who leads
    }
    for (store, seen) in records.stores() {
        keeping.expects(store, (seen.name.clone(), seen.zone.clone(), seen.machine.clone()), now);
        keeping.leaves(store, seen.leaving, now);
    }
    for promise in records.promises() {
        keeping.promise(promise.content, records.promise(promise.content).as_ref(), now);
    }
    keeping
}

mod queue;
