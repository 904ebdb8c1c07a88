//! What an agent has to do with other nodes: it beats to trackers, and brings back whom they say. Carries out what `rescuer`
//! decides.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::beats::{Act, Beats, Who};
use super::hook::{self, Hook};
use super::life;
use super::news::{News, Told};
use super::plan::Plan;
use super::rescuer::{Deed, Rescuer, Revive};
use crate::net::SOFTWARE;
use crate::rescue::Duty;
use crate::rescue::executor::Event;
use crate::say;
use crate::wire::{Label, List, NodeBeat, NodeRole, limits};

/// An agent among others.
#[derive(Debug)]
pub(super) struct Siblings {
    beats: Beats,
    rescuer: Rescuer,
    hook: Option<(Duty, Hook)>,
    program: PathBuf,
    base: PathBuf,
    tell: Sender<News>,
}

impl Siblings {
    /// Counts this start, and beats from now on.
    ///
    /// # Errors
    /// The start cannot be counted, or the system refuses a thread.
    pub(super) fn start(
        plan: &Plan,
        who: Who,
        (program, drained): (&Path, bool),
        tell: &Sender<News>,
    ) -> io::Result<Siblings> {
        let rescuer = Rescuer::new(plan.revive.clone());
        let first = NodeBeat {
            life: life::begin(&plan.state)?,
            name: Label::new(&*plan.name),
            host: Label::new(&*plan.host),
            able: rescuer.is_able(),
            drained,
            free: 0,
            load: 0,
            roles: List::default(),
            software: Label::new(SOFTWARE),
        };
        let beats = Beats::start(&plan.trackers, (who, first), &plan.state, tell)?;
        let (program, base) = (program.to_owned(), plan.base.clone());
        Ok(Siblings { beats, rescuer, hook: None, program, base, tell: tell.clone() })
    }

    /// Whom it brings back, and how, is another matter from now on.
    pub(super) fn reconfigure(&mut self, revive: Revive) {
        self.rescuer.reconfigure(revive);
        let able = self.rescuer.is_able();
        self.beats.say(|beat| beat.able = able);
    }

    /// How the node is, for the next beats.
    pub(super) fn say(&self, drained: bool, mut roles: Vec<NodeRole>) {
        roles.truncate(limits::MAX_NODE_ROLES);
        self.beats.say(|beat| (beat.drained, beat.roles) = (drained, List::new(roles)));
    }

    /// When [`Siblings::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.rescuer.deadline()
    }

    /// A tracker tells something; false if this agent is to end, for a later start of its node was let in.
    pub(super) fn told(&mut self, tracker: usize, told: Told, now: Instant) -> bool {
        match told {
            Told::Orders(orders, is_closed) => {
                let deeds = self.rescuer.ordered(tracker, (&orders, is_closed), now);
                deeds.into_iter().for_each(|deed| self.carry_out(deed, now));
            }
            Told::Claimed(duty, granted) => self.step(Event::Claimed(duty, granted), now),
            Told::Noted(duty) => self.step(Event::Noted(duty), now),
            Told::Fenced => return false,
        }
        true
    }

    /// A hook has ended.
    pub(super) fn ended(&mut self, duty: Duty, how: &str, now: Instant) {
        say::note(&format!("node: the hook of duty {duty} ended with {how}"));
        if self.hook.as_ref().is_some_and(|(its, _)| *its == duty) {
            self.hook = None;
            self.step(Event::Ended, now);
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.deadline().is_some_and(|due| due <= now) {
            self.step(Event::Tick, now);
        }
    }

    fn step(&mut self, event: Event, now: Instant) {
        if let Some(deed) = self.rescuer.step(event, now) {
            self.carry_out(deed, now);
        }
    }

    fn carry_out(&mut self, deed: Deed, now: Instant) {
        match deed {
            Deed::Claim(tracker, duty) => self.beats.act(tracker, Act::Claim(duty)),
            Deed::Tell(tracker, duty) => self.beats.act(tracker, Act::Done(duty)),
            Deed::Say(words) => say::note(&words),
            Deed::Kill => {
                if let Some((duty, hook)) = &mut self.hook {
                    say::note(&format!("node: the time for duty {duty} is over: its hook is ended"));
                    hook.end();
                }
            }
            Deed::Run(duty, words, left) => {
                say::note(&format!(
                    "node: {} is lost, and this node brings it back (duty {})",
                    &*duty.name, duty.duty
                ));
                if let Err(error) = self.run(&duty.name, &duty.host, duty.duty, (&words, left)) {
                    say::line(&format!("node: the hook of [revive] cannot be run: {error}"));
                    self.step(Event::Ended, now);
                }
            }
        }
    }

    fn run(
        &mut self,
        node: &str,
        host: &str,
        duty: Duty,
        (argv, left): (&[String], Duration),
    ) -> io::Result<()> {
        let left = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        let order = hook::Order {
            program: &self.program,
            base: &self.base,
            argv,
            duty,
            node,
            host,
            until: hook::clock().saturating_add(left),
        };
        self.hook = Some((duty, Hook::start(&order, &self.tell)?));
        Ok(())
    }
}
