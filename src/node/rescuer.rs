//! What an agent does for lost siblings: whose orders it heeds, which of them it may carry out, and with which words. Pure.
//!
//! Trackers that keep the same records say so by their authority, and any of them may give orders. Of trackers that do not,
//! the first in the list that ever answered is the one that is heeded: two that know nothing of each other would each give
//! the duty to somebody else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::content::shown;
use crate::rescue::executor::{Effect, Event};
use crate::rescue::{Duty, Executor};
use crate::wire::{Authority, NodeDuty, NodeOrders};

/// The shortest and longest lease that is taken from a tracker.
const LEAST_LEASE: Duration = Duration::from_secs(1);
const MOST_LEASE: Duration = Duration::from_secs(3600);
/// What stands in a hook's words for the node, and for where it is.
const NODE: &str = "{node}";
const HOST: &str = "{host}";

/// What a configuration says about bringing others back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revive {
    /// The program and its arguments; none: this node brings nobody back.
    pub run: Vec<String>,
    /// Whom it may bring back, by name; none: anybody who is a member of the same closed swarm.
    pub nodes: BTreeSet<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Ask this tracker for the duty.
    Claim(usize, Duty),
    /// Tell this tracker that it was done.
    Tell(usize, Duty),
    /// Run these words for so long at most.
    Run(NodeDuty, Vec<String>, Duration),
    /// End what runs.
    Kill,
    /// Say why nothing is done.
    Say(String),
}

/// A duty that a tracker gave.
#[derive(Debug, Clone)]
struct Given {
    tracker: usize,
    duty: NodeDuty,
}

/// The part of an agent that brings others back.
#[derive(Debug)]
pub(super) struct Rescuer {
    revive: Revive,
    /// The first tracker that ever answered, and the authority that it told last.
    heeds: Option<(usize, Authority)>,
    /// Of this authority, with leases of this length.
    executor: Option<(Authority, Duration, Executor)>,
    given: Option<Given>,
    /// Until when what runs may run.
    until: Option<Instant>,
    /// The duty that it was said of last that it is not carried out.
    refused: Option<Duty>,
}

impl Rescuer {
    /// One that heeds nobody yet.
    pub(super) fn new(revive: Revive) -> Rescuer {
        Rescuer { revive, heeds: None, executor: None, given: None, until: None, refused: None }
    }

    /// The configuration is another.
    pub(super) fn reconfigure(&mut self, revive: Revive) {
        self.revive = revive;
    }

    /// True if it can bring others back.
    pub(super) fn is_able(&self) -> bool {
        !self.revive.run.is_empty()
    }

    /// When [`Rescuer::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.executor.as_ref().and_then(|(.., executor)| executor.deadline())
    }

    /// The tracker of this number, which is proved to be of this swarm or is not, gives orders.
    pub(super) fn ordered(
        &mut self,
        tracker: usize,
        (orders, is_closed): (&NodeOrders, bool),
        now: Instant,
    ) -> Vec<Deed> {
        if self.heeds.is_none_or(|(first, _)| tracker <= first) {
            self.heeds = Some((tracker, orders.authority));
        }
        if self.heeds.is_none_or(|(_, authority)| authority != orders.authority) {
            return Vec::new();
        }
        let mut deeds = self.go_over(orders);
        let duty = orders.duties.first().filter(|duty| match self.may(duty, is_closed) {
            Ok(()) => true,
            Err(why) => {
                if self.refused.replace(duty.duty) != Some(duty.duty) {
                    deeds.push(Deed::Say(why));
                }
                false
            }
        });
        if let Some(duty) = duty {
            self.given = Some(Given { tracker, duty: duty.clone() });
        }
        let told = duty.map(|duty| (duty.duty, duty.node));
        deeds.extend(self.step(Event::Told(told), now));
        deeds
    }

    /// Whether a duty is carried out here, and if not, why.
    fn may(&self, duty: &NodeDuty, is_closed: bool) -> Result<(), String> {
        let name = shown(&duty.name);
        if !self.is_able() {
            return Err(format!("node: {name} is lost; this node has no [revive] to bring it back with"));
        }
        let named = self.revive.nodes.contains(&*duty.name);
        if !named && !self.revive.nodes.is_empty() {
            return Err(format!("node: {name} is lost, and [revive] does not name it: it is left alone"));
        }
        if !named && !is_closed {
            return Err(format!(
                "node: {name} is lost, and anybody can say so in an open swarm: only what `nodes` of [revive] names is \
                 brought back"
            ));
        }
        match is_plain(&duty.name) && is_plain(&duty.host) {
            true => Ok(()),
            false => Err(format!(
                "node: {name} at {} is lost, and that can be no word of a command",
                shown(&duty.host)
            )),
        }
    }

    /// Another authority numbers its duties anew: what was begun for the one before is given up.
    fn go_over(&mut self, orders: &NodeOrders) -> Vec<Deed> {
        let lease = orders.duties.first().map(|duty| Duration::from_millis(duty.lease_ms.into()));
        let same = |(authority, of, _): &(Authority, Duration, Executor)| {
            *authority == orders.authority
                && lease.is_none_or(|lease| lease.clamp(LEAST_LEASE, MOST_LEASE) == *of)
        };
        if self.executor.as_ref().is_some_and(same) {
            return Vec::new();
        }
        let lease = lease.unwrap_or(MOST_LEASE).clamp(LEAST_LEASE, MOST_LEASE);
        self.executor = Some((orders.authority, lease, Executor::new(lease)));
        self.given = None;
        self.until.take().map(|_| Deed::Kill).into_iter().collect()
    }

    /// Something else happens.
    pub(super) fn step(&mut self, event: Event, now: Instant) -> Option<Deed> {
        let (_, lease, executor) = self.executor.as_mut()?;
        let (lease, effect) = (*lease, executor.step(event, now));
        let until = executor.deadline();
        if event == Event::Ended {
            self.until = None;
        }
        let given = self.given.as_ref()?;
        Some(match effect? {
            Effect::Claim(duty) => Deed::Claim(given.tracker, duty),
            Effect::Tell(duty) => Deed::Tell(given.tracker, duty),
            Effect::Kill => Deed::Kill,
            Effect::Run(duty, _) if duty == given.duty.duty => {
                self.until = until;
                let left = until.map_or(lease, |until| until.saturating_duration_since(now));
                Deed::Run(given.duty.clone(), self.words(&given.duty), left)
            }
            Effect::Run(..) => return None,
        })
    }

    /// The words of the hook for a node.
    fn words(&self, duty: &NodeDuty) -> Vec<String> {
        self.revive.run.iter().map(|word| word.replace(NODE, &duty.name).replace(HOST, &duty.host)).collect()
    }
}

/// True of what can be a word of a command: of a host name, and no option.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    !text.is_empty() && text.chars().all(plain) && !text.starts_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Label, List, NodeId};

    const FIRST: Authority = Authority(1);
    const SECOND: Authority = Authority(2);

    fn revive(nodes: &[&str]) -> Revive {
        let run = ["ssh", "{host}", "start-{node}"].map(str::to_owned).to_vec();
        Revive { run, nodes: nodes.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn orders(authority: Authority, duty: Option<(u64, &str, &str)>) -> NodeOrders {
        let duty = duty.map(|(duty, name, host)| NodeDuty {
            duty,
            node: NodeId([9; 16]),
            name: Label::new(name),
            host: Label::new(host),
            lease_ms: 30_000,
        });
        NodeOrders { authority, beat_ms: 1, paused: false, duties: List::new(duty.into_iter().collect()) }
    }

    #[test]
    fn a_duty_is_claimed_run_and_told_of_where_it_was_given() {
        let (mut rescuer, now) = (Rescuer::new(revive(&["b"])), Instant::now());
        let given = orders(FIRST, Some((7, "b", "b.lan")));
        assert_eq!(rescuer.ordered(0, (&given, false), now), [Deed::Claim(0, 7)]);
        let later = now + Duration::from_secs(1);
        let Some(Deed::Run(duty, words, left)) = rescuer.step(Event::Claimed(7, true), later) else {
            panic!("it is run");
        };
        assert_eq!((duty.duty, left), (7, Duration::from_secs(29)));
        assert_eq!(words, ["ssh", "b.lan", "start-b"]);
        assert_eq!(rescuer.deadline(), Some(now + Duration::from_secs(30)));
        assert_eq!(rescuer.step(Event::Tick, now + Duration::from_secs(30)), Some(Deed::Kill));
        assert_eq!(rescuer.step(Event::Ended, now + Duration::from_secs(31)), Some(Deed::Tell(0, 7)));
        assert_eq!(rescuer.step(Event::Noted(7), now + Duration::from_secs(31)), None);
    }

    #[test]
    fn in_an_open_swarm_only_who_is_named_is_brought_back_and_nothing_strange_anywhere() {
        let now = Instant::now();
        let said = |nodes: &[&str], is_closed, name, host| {
            let given = orders(FIRST, Some((7, name, host)));
            match &Rescuer::new(revive(nodes)).ordered(0, (&given, is_closed), now)[..] {
                [Deed::Claim(0, 7)] => String::new(),
                [Deed::Say(why)] => why.clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(said(&["b"], false, "b", "h"), "");
        assert_eq!(said(&[], true, "b", "h"), "");
        assert!(said(&[], false, "b", "h").contains("anybody can say so"));
        assert!(said(&["c"], true, "b", "h").contains("does not name it"));
        for host in ["-oProxyCommand=x", "a b", "", "$(x)", "h;x", "../h"] {
            assert!(said(&["b"], true, "b", host).contains("no word of a command"), "{host}");
        }
        let none =
            Rescuer::new(Revive::default()).ordered(0, (&orders(FIRST, Some((7, "b", "h"))), true), now);
        assert!(matches!(&none[..], [Deed::Say(_)]));
    }

    #[test]
    fn of_trackers_that_know_nothing_of_each_other_the_first_is_heeded() {
        let (mut rescuer, now) = (Rescuer::new(revive(&["b"])), Instant::now());
        let other = orders(SECOND, Some((3, "b", "h")));
        assert_eq!(rescuer.ordered(1, (&other, false), now), [Deed::Claim(1, 3)], "nobody else has answered");
        assert_eq!(rescuer.ordered(0, (&orders(FIRST, None), false), now), []);
        assert_eq!(rescuer.ordered(1, (&other, false), now), [], "it is not heeded any more");
        let same = orders(FIRST, Some((9, "b", "h")));
        assert_eq!(rescuer.ordered(2, (&same, false), now), [Deed::Claim(2, 9)], "it keeps the same records");
    }

    #[test]
    fn what_runs_for_an_authority_that_is_gone_is_ended() {
        let (mut rescuer, now) = (Rescuer::new(revive(&["b"])), Instant::now());
        assert_eq!(
            rescuer.ordered(0, (&orders(FIRST, Some((7, "b", "h"))), false), now),
            [Deed::Claim(0, 7)]
        );
        assert!(matches!(rescuer.step(Event::Claimed(7, true), now), Some(Deed::Run(..))));
        assert_eq!(rescuer.ordered(0, (&orders(SECOND, None), false), now), [Deed::Kill]);
    }
}
