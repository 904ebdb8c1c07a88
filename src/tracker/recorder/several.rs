//! The recorder of one of several trackers: one thread that owns what makes them one, the log, and what is said to the others.
//!
//! What has come while it wrote is taken in together, and what comes of that is one batch: so the disk is synced once for
//! many commands. Nothing is said and nothing answered before that.
//!
//! When the thread ends, what was ordered and not taken in is dropped, and whoever waits for that hears so: the channel is
//! that of `std`, since one of `crossbeam` keeps it as long as somebody could order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};

use super::changes::Changes;
use super::end::{end, halt};
use super::ledger::{Ledger, Opened, Unwritten};
use super::order::{JoinError, Unrecorded};
use super::outlet::Outlet;
use super::view::View;
use crate::content::PublicKey;
use crate::say;
use crate::threads::{self, lock};
use crate::tracker::cluster::{
    Address, Event, Incarnation, Member, Node, Ready, Reason, Rules, Seam, Settings, Step, TICK,
};
use crate::tracker::records::{Applied, Command, Records};
use crate::wire::Authority;

/// Most events that are taken in together; more wait.
const MAX_TOGETHER: usize = 512;
/// How often it is tried to write what the disk did not take.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long others are waited for where the same can be asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a piece of a snapshot.
const PIECE_BYTES: usize = 256 << 10;
/// Least and most bytes of a log that ends its epoch.
const LOG_BYTES: (usize, usize) = (4 << 20, 32 << 20);

/// An epoch also ends when of a snapshot of at least as many bytes less than this part is left.
const SHRUNK_TO: u64 = 4;

/// Which of which trackers this one is.
#[derive(Debug, Clone)]
pub struct Founders {
    /// Its number.
    pub node: Node,
    /// The first members.
    pub first: Vec<(Node, Address, PublicKey)>,
}

/// The thread, to order from; and how this tracker stands.
#[derive(Debug)]
pub struct Several {
    orders: SyncSender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
    view: Arc<Mutex<View>>,
    changes: Arc<Changes>,
    first: Vec<Member>,
    /// By which keys those are known who are connected, or were.
    keys: Mutex<BTreeMap<Node, PublicKey>>,
}

type Reply<T> = Sender<Result<T, Unrecorded>>;
type Replied<T> = crossbeam_channel::Receiver<Result<T, Unrecorded>>;

#[derive(Debug)]
enum Order {
    Submit(Box<Command>, Reply<Applied>),
    Barrier(Reply<()>),
    Change(Vec<(Node, Address, PublicKey)>, Reply<()>),
    Up(Node, Outlet),
    Node(Event),
    Stop,
}

/// Who waits for what was proposed.
#[derive(Debug)]
enum Waiter {
    Command(Reply<Applied>),
    Other(Reply<()>),
}

impl Several {
    /// Also whether there were records.
    pub(super) fn start(
        folder: &Path,
        Founders { node, first }: Founders,
        records: &Arc<RwLock<Records>>,
    ) -> Result<(Arc<Several>, bool), JoinError> {
        let Opened { ledger, found, before } = Ledger::open(folder)?;
        if let Some(identity) = found.identity.as_ref().filter(|identity| identity.node != node) {
            return Err(JoinError::OtherNode { is: identity.node, asked: node });
        }
        if before.is_some() && first.len() > 1 {
            return Err(JoinError::NotEmpty(folder.to_owned()));
        }
        let had_records = found.begun.is_some() || before.is_some();
        let settings = Settings {
            node,
            first: first.clone(),
            process: fastrand::u64(..),
            incarnation: Incarnation(fastrand::u128(1..)),
            records: before.unwrap_or_else(|| Records::default().snapshot()),
            authority: Authority::random(),
            piece_bytes: PIECE_BYTES,
            log_bytes: LOG_BYTES,
            rules: Rules::default(),
        };
        let incarnation = Incarnation::default();
        let first: Vec<Member> = first
            .into_iter()
            .map(|(node, address, key)| Member { node, address, incarnation, key })
            .collect();
        let (seam, step) = Seam::new(settings, found);
        let (orders, ordered) = sync_channel(MAX_TOGETHER);
        let (view, changes) = (Arc::default(), Arc::default());
        let mut desk = Desk {
            seam,
            ledger,
            records: Arc::clone(records),
            outlets: BTreeMap::new(),
            waiters: BTreeMap::new(),
            asked: 0,
            first: first.clone(),
            view: Arc::clone(&view),
            changes: Arc::clone(&changes),
            began_with: 0,
            told: 0,
        };
        // What was on the disk is there from the first moment.
        if let Err(Held(_, why)) = desk.carry_out(step) {
            end(&why);
        }
        let thread = threads::named("tracker-recorder").essential(move || desk.run(&ordered));
        let thread = Mutex::new(Some(thread.map_err(JoinError::Thread)?));
        let several = Several { orders, thread, view, changes, first, keys: Mutex::default() };
        Ok((Arc::new(several), had_records))
    }

    /// The first members, as this tracker was started: a place to look for others.
    pub fn first(&self) -> &[Member] {
        &self.first
    }

    /// How this tracker stands.
    pub fn view(&self) -> View {
        lock(&self.view).clone()
    }

    /// True if this tracker leads.
    pub fn leads(&self) -> bool {
        lock(&self.view).leads
    }

    /// What others' commands have changed.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(super) fn submit(&self, command: Command) -> Result<Applied, Unrecorded> {
        self.ask(|reply| Order::Submit(Box::new(command), reply))
    }

    /// The same, waiting no longer than [`PATIENCE`].
    pub(super) fn submit_in_time(&self, command: Command) -> Result<Applied, Unrecorded> {
        self.ask_in_time(|reply| Order::Submit(Box::new(command), reply))
    }

    /// Waits until everything is applied that was acknowledged before this was called.
    ///
    /// # Errors
    /// This tracker does not lead, or does not any more; or too few others are there to tell within [`PATIENCE`].
    pub fn catch_up(&self) -> Result<(), Unrecorded> {
        self.ask_in_time(Order::Barrier)
    }

    /// Makes these the members, and waits until they have gone on as such.
    ///
    /// # Errors
    /// [`Unrecorded`].
    pub fn change(&self, members: Vec<(Node, Address, PublicKey)>) -> Result<(), Unrecorded> {
        self.ask(|reply| Order::Change(members, reply))
    }

    fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, Unrecorded> {
        let replied = self.order(order)?;
        replied.recv().unwrap_or(Err(Unrecorded::Unknown)) // it stopped; others may have it all the same
    }

    fn ask_in_time<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, Unrecorded> {
        self.order(order)?.recv_timeout(PATIENCE).unwrap_or_else(|ended| match ended {
            crossbeam_channel::RecvTimeoutError::Timeout => Err(Unrecorded::Late),
            crossbeam_channel::RecvTimeoutError::Disconnected => Err(Unrecorded::Unknown),
        })
    }

    fn order<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<Replied<T>, Unrecorded> {
        let (reply, replied) = bounded(1);
        self.orders.send(order(reply)).map_err(|_| Unrecorded::Stopping)?;
        Ok(replied)
    }

    /// By which key a tracker is known; zeros in an open network, and as long as it has not been there.
    pub fn key_of(&self, node: Node) -> PublicKey {
        let member = self.view().member(node).map(|member| member.key);
        let known = member.filter(|key| *key != PublicKey::NONE);
        known.or_else(|| lock(&self.keys).get(&node).copied()).unwrap_or_default()
    }

    /// There is a connection to a tracker with this key, if it has proved one; what is to be said on it goes there.
    pub fn up(&self, node: Node, key: Option<PublicKey>, outlet: Outlet) {
        lock(&self.keys).insert(node, key.unwrap_or_default());
        let _ = self.orders.send(Order::Up(node, outlet));
    }

    /// This connection to a tracker is gone.
    pub fn down(&self, node: Node, id: u64) {
        let _ = self.orders.send(Order::Node(Event::Down(node, id)));
    }

    /// A frame came on this connection. False if the tracker stops.
    pub fn frame(&self, node: Node, id: u64, frame: Bytes) -> bool {
        self.orders.send(Order::Node(Event::Frame(node, id, frame))).is_ok()
    }

    pub(super) fn stop(&self) {
        if let Some(thread) = lock(&self.thread).take() {
            let _ = self.orders.send(Order::Stop);
            let _ = thread.join(); // its panic has ended the process
        }
    }
}

/// A step of which nothing is on the disk, and why.
struct Held(Step, String);

/// What the thread owns.
struct Desk {
    seam: Seam,
    ledger: Ledger,
    records: Arc<RwLock<Records>>,
    /// Of each connection to another.
    outlets: BTreeMap<(Node, u64), Outlet>,
    waiters: BTreeMap<u64, Waiter>,
    /// Numbers of what was asked for.
    asked: u64,
    first: Vec<Member>,
    view: Arc<Mutex<View>>,
    changes: Arc<Changes>,
    /// What the records cost when the epoch began ([`Records::bytes`]).
    began_with: u64,
    /// The epoch of which it was told that another disk has this tracker's vote.
    told: u32,
}

impl Desk {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut tick = Instant::now() + TICK;
        loop {
            threads::may_panic("tracker-recorder");
            let first = match orders.recv_timeout(tick.saturating_duration_since(Instant::now())) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            for order in first.into_iter().chain(orders.try_iter()).take(MAX_TOGETHER) {
                if matches!(order, Order::Stop) {
                    return;
                }
                self.take_in(order);
            }
            let now = Instant::now();
            if now >= tick {
                tick = now + TICK; // however long the process stood still, this is one
                self.seam.feed(Event::Tick);
                if self.has_shrunk() {
                    self.seam.feed(Event::Shrunk);
                }
            }
            let step = self.seam.flush();
            if let Err(held) = self.carry_out(step)
                && !self.stand_still(held, orders)
            {
                return;
            }
        }
    }

    /// Waits until the disk takes what is to be written: to the others this tracker is cut off, and whoever asks it for what
    /// needs a vote hears that it has none. False if it is to stop.
    fn stand_still(&mut self, mut held: Held, orders: &Receiver<Order>) -> bool {
        say::line(&format!(
            "p2p: nothing can be written to the disk of this tracker ({}); the others have to agree without it until that is mended",
            held.1
        ));
        for ((node, id), outlet) in std::mem::take(&mut self.outlets) {
            outlet.end();
            self.seam.feed(Event::Down(node, id));
        }
        let waiting: Vec<u64> = self.waiters.keys().copied().collect();
        waiting.into_iter().for_each(|tag| self.answer(tag, Err(Unrecorded::Unknown)));
        loop {
            {
                let mut view = lock(&self.view);
                (view.leads, view.leader, view.unwritable) = (false, None, Some(held.1));
            }
            self.changes.note(|changed| changed.term = true);
            if !refuse(orders, Instant::now() + TRY_AGAIN) {
                return false;
            }
            held = match self.carry_out(held.0) {
                Ok(()) => break,
                Err(held) => held,
            };
        }
        say::line("p2p: the disk of this tracker can be written again");
        self.changes.note(|changed| changed.term = true);
        true
    }

    /// True if the snapshot with which the epoch began is large, and most of what it has is gone.
    fn has_shrunk(&self) -> bool {
        self.began_with >= LOG_BYTES.0 as u64
            && threads::read(&self.records).bytes() < self.began_with / SHRUNK_TO
    }

    fn take_in(&mut self, order: Order) {
        let event = match order {
            Order::Submit(command, reply) => {
                Event::Propose(self.waits(Waiter::Command(reply)), Some(*command))
            }
            Order::Barrier(reply) => Event::Propose(self.waits(Waiter::Other(reply)), None),
            Order::Change(members, reply) => Event::Change(self.waits(Waiter::Other(reply)), members),
            Order::Up(node, outlet) => {
                let id = outlet.id;
                self.outlets.insert((node, id), outlet);
                Event::Up(node, id)
            }
            Order::Node(event) => {
                if let Event::Down(node, id) = event {
                    self.outlets.remove(&(node, id));
                }
                event
            }
            Order::Stop => return,
        };
        self.seam.feed(event);
    }

    fn waits(&mut self, waiter: Waiter) -> u64 {
        self.asked += 1;
        self.waiters.insert(self.asked, waiter);
        self.asked
    }

    /// Writes what a step wants written; then says what is to be said, and does what is ready. The end of an epoch is one
    /// more step.
    fn carry_out(&mut self, mut step: Step) -> Result<(), Held> {
        loop {
            match self.ledger.write(&step.writes) {
                Ok(()) => {}
                Err(Unwritten::NotYet(why)) => return Err(Held(step, why)),
                Err(Unwritten::Unknown(why)) => end(&why),
            }
            for (node, id, frame) in step.frames {
                self.outlets.get(&(node, id)).into_iter().for_each(|outlet| outlet.say(frame.clone()));
            }
            for on in step.ends {
                self.outlets.get(&on).into_iter().for_each(Outlet::end);
            }
            let leads = step.ready.iter().any(|ready| matches!(ready, Ready::Leads(_)));
            let ended = self.do_ready(step.ready);
            *lock(&self.view) = View::of(&self.seam, &self.first);
            self.tell_if_replaced();
            if leads {
                self.changes.note(|changed| changed.term = true); // who looks then sees it
            }
            if !ended {
                return Ok(());
            }
            let snapshot = self.begin_with(Records::snapshot);
            self.seam.feed(Event::Snapshot(snapshot));
            step = self.seam.flush();
        }
    }

    /// An epoch begins with these records.
    fn begin_with<T>(&mut self, with: impl FnOnce(&Records) -> T) -> T {
        let records = threads::read(&self.records);
        self.began_with = records.bytes();
        with(&records)
    }

    /// Says once what is to be done about a disk that is empty in place of a member's.
    fn tell_if_replaced(&mut self) {
        let view = lock(&self.view);
        let Some(member) = view.member(view.node).filter(|member| view.is_replaced(member)) else { return };
        if std::mem::replace(&mut self.told, view.epoch) == view.epoch {
            return;
        }
        let node = view.node;
        say::note(&format!(
            "the disk of this tracker is another than that of tracker {node} of the cluster, so it has no vote: `p2p cluster remove \
             {node}`, and then `p2p cluster add {node}={}`",
            &*member.address
        ));
    }

    /// True if the epoch has ended.
    fn do_ready(&mut self, ready: Vec<Ready>) -> bool {
        let mut ended = false;
        for ready in ready {
            match ready {
                Ready::Install(snapshot) => {
                    let restored = Records::restore(snapshot);
                    let restored = restored.unwrap_or_else(|error| halt(&format!("a snapshot: {error}")));
                    *threads::write(&self.records) = restored;
                    self.begin_with(|_| ());
                    self.changes.note(|changed| changed.all = true);
                }
                Ready::Apply(slot, command, tag) => {
                    let applied = threads::write(&self.records).apply(slot, &command);
                    match tag.and_then(|tag| self.waiters.remove(&tag)) {
                        // Who asked sees to what has changed.
                        Some(Waiter::Command(reply)) => drop(reply.send(Ok(applied))),
                        _ => self.changes.applied(&command, &applied),
                    }
                }
                Ready::Passed(tag) | Ready::Changed(tag) => self.answer(tag, Ok(())),
                Ready::Refused(tag, Reason::NotLeader(_)) => self.answer(tag, Err(Unrecorded::NotLeader)),
                Ready::Refused(tag, Reason::NotYet(why)) => self.answer(tag, Err(Unrecorded::NotYet(why))),
                Ready::Refused(tag, why) => self.answer(tag, Err(Unrecorded::Members(why.to_string()))),
                Ready::Unknown(tag) => self.answer(tag, Err(Unrecorded::Unknown)),
                Ready::Leads(_) => {}
                Ready::Ended => ended = true,
                Ready::Halt(why) => halt(&why),
            }
        }
        ended
    }

    /// Tells who waits; he may be gone.
    fn answer(&mut self, tag: u64, answer: Result<(), Unrecorded>) {
        match self.waiters.remove(&tag) {
            Some(Waiter::Other(reply)) => drop(reply.send(answer)),
            Some(Waiter::Command(reply)) => {
                drop(reply.send(Err(answer.err().unwrap_or(Unrecorded::Unknown))));
            }
            None => {}
        }
    }
}

/// Takes no order for a while. False if one is to stop.
fn refuse(orders: &Receiver<Order>, until: Instant) -> bool {
    loop {
        match orders.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Order::Submit(_, reply)) => drop(reply.send(Err(Unrecorded::NotLeader))),
            Ok(Order::Barrier(reply) | Order::Change(_, reply)) => {
                drop(reply.send(Err(Unrecorded::NotLeader)))
            }
            Ok(Order::Up(_, outlet)) => outlet.end(),
            Ok(Order::Node(_)) => {} // of a connection that has ended
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => return true,
        }
    }
}
