//! Finds neighbours for one transfer and gives its scheduler time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::Receiver;

use super::contest::Contest;
use super::decode::{Decoder, Decoding};
use super::dialled::Gate;
use super::error::{FetchError, Halt};
use super::handle::Course;
use super::means::Means;
use super::succession::Succession;
use super::want::Want;
use crate::peer::transfer::{End, Transfer};
use crate::swarm::errands::{Company, Errand, Errands};
use crate::swarm::patience::Patience;
use crate::swarm::scheduler::{Event, TICK};
use crate::wire::{Coding, Located, Name, Variant, View};

/// Of so many peers that were not reached it is told what was dialled.
const MOST_TOLD: usize = 3;

/// What the driving of one transfer remembers between turns.
pub(super) struct Driver<'a> {
    means: &'a Arc<Means>,
    job: &'a Course,
    patience: &'a mut Patience,
    transfer: Arc<Transfer>,
    errands: Errands,
    answers: Option<Receiver<Located>>,
    /// Open for as long as the transfer runs.
    gate: Gate,
    /// Bytes of the content, as far as is known: who claims something else is nobody to ask.
    size: u64,
    contest: &'a mut Contest,
    succession: Succession,
    /// What trackers call it.
    known_as: Option<Name>,
    /// Who decodes what nobody has, if it is kept as shards of a code.
    decoding: Option<Decoding>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        means: &'a Arc<Means>,
        job: &'a Course,
        (transfer, size): (Arc<Transfer>, u64),
        contest: &'a mut Contest,
        patience: &'a mut Patience,
    ) -> Driver<'a> {
        let (now, limits) = (Instant::now(), &means.limits);
        Driver {
            means,
            job,
            patience,
            errands: Errands::new(
                limits.max_neighbours,
                job.refresh(limits.refresh),
                transfer.layout.chunks(),
                now,
            ),
            transfer,
            answers: None,
            gate: Gate::new(),
            size,
            contest,
            succession: Succession::new(now),
            known_as: None,
            decoding: None,
        }
    }

    /// Begins to look for what has to be decoded, by the code that a tracker says stores keep it by.
    fn decodes(&mut self, code: Coding) {
        if self.decoding.is_some() {
            return;
        }
        let decoder = Decoder {
            means: self.means.clone(),
            transfer: self.transfer.clone(),
            size: self.size,
            code,
            folder: self.job.dest.path.parent().map_or_else(PathBuf::new, PathBuf::from),
            inlets: vec![self.means.inlet.clone(), self.job.inlet.clone()],
            slow: None,
        };
        self.decoding = decoder.start();
    }

    /// Takes in what a tracker says: more neighbours, or that others claim something else.
    fn consider(&mut self, variant: &Variant) {
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
            true if tree || !members => {
                self.suggest(variant);
                variant.code.into_iter().for_each(|code| self.decodes(code));
            }
            _ => {}
        }
    }

    fn suggest(&mut self, variant: &Variant) {
        let claims = self.contest.claims();
        for holder in self.means.others(variant).filter(|holder| !claims.is_banned(holder.peer)) {
            self.transfer.suggest(holder.peer, &holder.addresses);
        }
    }

    /// Sees the transfer to its end.
    pub(super) fn run(mut self, variants: &[Variant]) -> Result<(), Halt> {
        variants.iter().for_each(|variant| self.consider(variant));
        let outcome = loop {
            if let Some(end) = self.transfer.wait_news(TICK) {
                break self.finish(end);
            }
            if let Err(error) = self.turn() {
                break Err(error);
            }
        };
        // Whoever goes on with what is unfinished must be its only writer.
        self.transfer.sources.wait_for_all();
        if let Some(decoding) = &mut self.decoding {
            decoding.wait();
        }
        outcome
    }

    /// Everybody hears of the last chunks, and the connections end.
    fn finish(&mut self, end: End) -> Result<(), Halt> {
        self.transfer.tell_news();
        self.announce();
        self.gate.close();
        match end {
            End::Done => {
                self.contest.prove(self.size);
                Ok(())
            }
            End::Cancelled => Err(FetchError::Interrupted.into()),
            End::Failed(error) => Err(FetchError::from(&*error).into()),
        }
    }

    fn turn(&mut self) -> Result<(), Halt> {
        let now = Instant::now();
        self.transfer.tell_news();
        self.transfer.sources.step([Event::Tick], None);
        self.take_answers();
        self.contend(now)?;
        self.means.report_missing(&self.transfer);
        let transfer = self.transfer.clone();
        for errand in transfer.neighbours(|neighbours| self.errands.turn(neighbours, now)) {
            match errand {
                Errand::Dial(peer, addr) => self.gate.dial(self.means, &transfer, peer, &addr),
                Errand::Close(peer) => transfer.sources.close_last_of(peer),
                Errand::Announce => self.announce(),
                Errand::Locate => self.locate(),
                Errand::Exchange => self.exchange(now),
            }
        }
        self.give_up_if_alone(now)
    }

    fn locate(&mut self) {
        let question =
            self.job.want.question(self.transfer.sources.unavailable(), self.means.limits.max_neighbours);
        self.answers = Some(self.means.trackers().locate(&question));
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

    fn announce(&mut self) {
        if self.means.holdings.is_registered(self.job.number) {
            let gained = self.errands.gained(&self.transfer.had());
            if !gained.is_empty() {
                self.means.trackers().have(self.transfer.content(), &gained);
            }
        }
    }

    fn exchange(&self, now: Instant) {
        let sources = self.transfer.sources.views().into_iter().map(|(source, view)| (source, view.useful));
        let useless = self.transfer.neighbours(|neighbours| self.errands.useless(sources, neighbours, now));
        if let Some(source) = useless {
            self.transfer.sources.close(source);
        }
    }

    fn give_up_if_alone(&mut self, now: Instant) -> Result<(), Halt> {
        // Whoever makes a false claim may look like a source, but proves nothing.
        let disputed = self.contest.claims().is_disputed();
        // Who waits to go on waits for nobody.
        let helped = self.job.inlet.is_held()
            || self.decoding.as_ref().is_some_and(Decoding::works)
            || self.transfer.sources.is_helped() && (!disputed || self.transfer.has_proved());
        let arrived = self.transfer.ledger.useful.load(Ordering::Relaxed);
        let Company { alone, over } = self.errands.company(self.patience, helped, arrived, now);
        self.transfer.set_alone(alone);
        self.end_if_succeeded(now)?;
        if over {
            self.transfer.finish(End::Cancelled);
            return Err(self.nobody().into());
        }
        Ok(())
    }

    /// Why nobody is left who could give what is missing.
    fn nobody(&self) -> FetchError {
        let name = &self.job.want.name;
        if self.transfer.sources.gave_only_wrong_bytes() {
            return FetchError::Integrity(format!(
                "only wrong bytes came of {name}, and nobody else who has it could be reached"
            ));
        }
        let why = if !self.means.trackers().any_connected() {
            format!("no tracker and no source of {name} could be reached")
        } else if self.transfer.has_changed() {
            format!("{name} changed at its source while it was fetched, and what it is now is not known yet")
        } else {
            format!("nobody who has what is missing of {name} could be reached")
        };
        let tried = self.transfer.unreached();
        let tried: Vec<&str> = tried.iter().take(MOST_TOLD).map(|unreached| &*unreached.tried).collect();
        let tried = if tried.is_empty() { String::new() } else { format!(" ({})", tried.join("; ")) };
        FetchError::NobodyReached(format!("{why}{tried}; what has arrived is kept for next time"))
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
}
