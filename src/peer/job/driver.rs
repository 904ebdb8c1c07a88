//! Finds neighbours for one transfer and gives its scheduler time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::contest::Contest;
use super::dialled::Gate;
use super::error::{FetchError, Halt};
use super::handle::Course;
use super::means::Means;
use super::patience::Patience;
use super::succession::Succession;
use super::want::Want;
use crate::content::{ChunkSet, runs};
use crate::peer::transfer::{End, Transfer};
use crate::swarm::neighbours::{ANNOUNCE_INTERVAL, FIRST_RELOCATE, USELESS_FOR};
use crate::swarm::scheduler::{Event, Policy, TICK};
use crate::wire::{Complaint, Holder, Name, Report as Complain, Variant, View};

/// Being without a source for so long is no passing thing any more.
const ALONE_AFTER: Duration = Duration::from_millis(500);

/// What the driving of one transfer remembers between turns.
pub(super) struct Driver<'a> {
    means: &'a Arc<Means>,
    job: &'a Course,
    patience: &'a mut Patience,
    transfer: Arc<Transfer>,
    announced: ChunkSet,
    next_tick: Instant,
    next_announce: Instant,
    next_locate: Instant,
    locate_pause: Duration,
    answers: Option<Receiver<crate::wire::Located>>,
    /// Open for as long as the transfer runs.
    gate: Gate,
    alone_since: Option<Instant>,
    /// Bytes that had been proved at the last look.
    arrived: u64,
    next_exchange: Instant,
    /// Bytes of the content, as far as is known: who claims something else is nobody to ask.
    size: u64,
    contest: &'a mut Contest,
    succession: Succession,
    /// What trackers call it.
    known_as: Option<Name>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        means: &'a Arc<Means>,
        job: &'a Course,
        (transfer, size): (Arc<Transfer>, u64),
        contest: &'a mut Contest,
        patience: &'a mut Patience,
    ) -> Driver<'a> {
        let now = Instant::now();
        Driver {
            means,
            job,
            patience,
            announced: ChunkSet::empty(transfer.layout.chunks()),
            transfer,
            next_tick: now,
            next_announce: now + ANNOUNCE_INTERVAL,
            // At once: peers that start together have all registered by now, and find each other.
            next_locate: now,
            locate_pause: FIRST_RELOCATE / 2,
            answers: None,
            gate: Gate::new(),
            alone_since: None,
            arrived: 0,
            next_exchange: now + USELESS_FOR,
            size,
            contest,
            succession: Succession::new(now),
            known_as: None,
        }
    }

    /// Takes in what a tracker says: more neighbours, or that others claim something else.
    pub(super) fn consider(&mut self, variant: &Variant) {
        self.contest.hear(variant);
        let wanted = self.job.want.name.as_str();
        if self.known_as.is_none() || *variant.name == *wanted {
            self.known_as = Some(variant.name.clone());
        }
        let members = self.transfer.view == View::Members;
        let tree = variant.name.ends_with('/');
        match variant.size == self.size {
            true if members && tree && variant.chunks != self.transfer.layout.chunks() => {
                self.contest.refuse(variant);
            }
            true if tree || !members => self.suggest(variant),
            _ => {}
        }
    }

    fn suggest(&mut self, variant: &Variant) {
        let me = self.means.identity.peer.get();
        let claims = self.contest.claims();
        let usable =
            |holder: &&Holder| holder.port != 0 && holder.peer != me && !claims.is_banned(holder.peer);
        let holders: Vec<&Holder> = variant.holders.iter().filter(usable).collect();
        for holder in self.chosen(holders) {
            self.transfer.suggest(holder.peer, holder.host.endpoint(holder.port).to_string());
        }
    }

    /// Policies that choose one source before any is asked keep to it.
    fn chosen<'h>(&self, holders: Vec<&'h Holder>) -> Vec<&'h Holder> {
        let one = match self.means.limits.policy {
            Policy::Both | Policy::Latency => return holders,
            _ if self.transfer.neighbours(|neighbours| neighbours.knows_any()) => None,
            Policy::Load => holders
                .into_iter()
                .min_by_key(|holder| u32::from(holder.uploads) + u32::from(holder.downloads)),
            Policy::Random => fastrand::choice(holders),
        };
        one.into_iter().collect()
    }

    pub(super) fn turn(&mut self) -> Result<(), Halt> {
        let now = Instant::now();
        self.transfer.tell_news();
        if now >= self.next_tick {
            self.transfer.sources.step([Event::Tick], None);
            self.next_tick = now + TICK;
        }
        self.take_answers();
        self.contend(now)?;
        for (peer, addr) in self.transfer.neighbours(|neighbours| neighbours.dial(now)) {
            self.gate.dial(self.means, &self.transfer, peer, addr);
        }
        self.close_exchanged();
        self.report_missing();
        if now >= self.next_announce {
            self.announce();
            self.next_announce = now + ANNOUNCE_INTERVAL;
        }
        if now >= self.next_locate {
            self.locate(now);
        }
        if now >= self.next_exchange {
            self.exchange(now);
            self.next_exchange = now + USELESS_FOR;
        }
        self.give_up_if_alone(now)
    }

    fn locate(&mut self, now: Instant) {
        let missing = self.transfer.sources.unavailable();
        self.answers = Some(
            self.means
                .trackers()
                .locate(&self.job.want.question(missing, self.means.limits.holders_wanted())),
        );
        self.locate_pause = (self.locate_pause * 2).min(self.means.limits.refresh);
        self.next_locate = now + self.locate_pause;
    }

    fn take_answers(&mut self) {
        let answers: Vec<_> = self.answers.iter().flat_map(|answers| answers.try_iter()).collect();
        for located in answers {
            self.job.want.usable(located).iter().for_each(|variant| self.consider(variant));
        }
    }

    /// Sees to it that the size is proved, if others claim another.
    fn contend(&mut self, now: Instant) -> Result<(), Halt> {
        if self.contest.claims().is_disputed() && self.transfer.has_proved_its_size() {
            self.contest.prove(self.size);
        }
        self.contest.turn(now);
        match self.contest.claims().proved() {
            Some(proved) if proved != self.size => {
                tracing::debug!("{} has {proved} bytes, and not {}", self.transfer.id, self.size);
                self.transfer.finish(End::Cancelled);
                Err(Halt::Superseded)
            }
            _ => Ok(()),
        }
    }

    /// Tells the trackers which chunks came since last time.
    pub(super) fn announce(&mut self) {
        if !self.means.holdings.is_registered(self.job.number) {
            return;
        }
        let had = self.transfer.had();
        let gained: Vec<u32> = had.iter().filter(|chunk| !self.announced.contains(*chunk)).collect();
        if !gained.is_empty() {
            self.means.trackers().have(self.transfer.content(), &runs::ranges(gained));
            self.announced = had;
        }
    }

    /// Tells the trackers of chunks that peers have announced and do not have.
    fn report_missing(&self) {
        for (peer, chunk) in self.transfer.take_missing() {
            let complaint = Complaint::Missing;
            self.means.trackers().report(&Complain { peer, id: self.transfer.id, chunk, complaint });
        }
    }

    /// Closes connections whose places others have taken.
    fn close_exchanged(&self) {
        let closing = self.transfer.neighbours(|neighbours| neighbours.to_close());
        if closing.is_empty() {
            return;
        }
        let connected = self.transfer.sources.connected();
        for peer in closing {
            // Of several connections the last one: the same one however often this is said.
            if let Some((id, _)) = connected.iter().rev().find(|(_, other)| *other == peer) {
                self.transfer.sources.close(*id);
            }
        }
    }

    /// Closes neighbours that have nothing we want, if there are others to try.
    fn exchange(&self, now: Instant) {
        let full = self.transfer.sources.connected().len() >= self.means.limits.max_neighbours;
        if !full || self.transfer.neighbours(|neighbours| neighbours.spare(now)) == 0 {
            return;
        }
        if let Some((id, _)) = self.transfer.sources.views().into_iter().find(|(_, view)| view.useful == 0) {
            self.transfer.sources.close(id);
        }
    }

    fn give_up_if_alone(&mut self, now: Instant) -> Result<(), Halt> {
        // Whoever makes a false claim may look like a source, but proves nothing.
        let disputed = self.contest.claims().is_disputed();
        let helped = self.transfer.sources.is_helped() && (!disputed || self.transfer.has_proved());
        let arrived = self.transfer.ledger.useful.load(Ordering::Relaxed);
        let came = std::mem::replace(&mut self.arrived, arrived) != arrived;
        let over = self.patience.is_over(helped, came, now);
        if helped {
            self.alone_since = None;
            self.transfer.set_alone(false);
            return Ok(());
        }
        let since = *self.alone_since.get_or_insert(now);
        self.transfer.set_alone(now.saturating_duration_since(since) >= ALONE_AFTER);
        self.end_if_succeeded(now)?;
        if over {
            self.transfer.finish(End::Cancelled);
            let name = &self.job.want.name;
            let error = match self.means.trackers().any_connected() {
                true if self.transfer.has_changed() => FetchError::NobodyReached(format!(
                    "{name} changed at its source while it was fetched, and what it is now is not known yet; what has arrived is kept for next time"
                )),
                true => FetchError::NobodyReached(format!(
                    "nobody who has what is missing of {name} could be reached; what has arrived is kept for next time"
                )),
                false => FetchError::NobodyReached(format!(
                    "no tracker and no source of {name} could be reached; what has arrived is kept for next time"
                )),
            };
            return Err(error.into());
        }
        Ok(())
    }

    /// Gives up what nobody has any more, if it is another content now where it came from.
    fn end_if_succeeded(&mut self, now: Instant) -> Result<(), Halt> {
        let Some(known_as) = self.known_as.as_ref().filter(|_| self.transfer.is_alone()) else {
            return Ok(());
        };
        let transfer = &self.transfer;
        let had = |peer| transfer.neighbours(|neighbours| neighbours.knows(peer));
        match self.succession.turn(self.means.trackers(), (self.job.want.id, known_as), had, now) {
            None => Ok(()),
            Some(now_is) => {
                self.transfer.finish(End::Cancelled);
                let Want { id, name, .. } = &self.job.want;
                Err(FetchError::Changed { name: name.to_string(), id: *id, now_is }.into())
            }
        }
    }

    /// Waits for the connections of a transfer that has ended.
    pub(super) fn join(&self) {
        self.gate.close();
    }
}
