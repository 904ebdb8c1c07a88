//! All roles of a node together: who starts after whom, who was stopped by a person, and whether the node is drained. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::plan::Assignment;
use super::role::{Effect, Event, Patience, Role, State};

/// What is to be done to the process of the role of this name.
pub type Order = (String, Effect);

/// The roles of a node.
#[derive(Debug)]
pub struct Roles {
    patience: Patience,
    known: BTreeMap<String, Known>,
    drained: bool,
    /// The agent ends.
    ending: bool,
    rng: fastrand::Rng,
}

#[derive(Debug)]
struct Known {
    role: Role,
    assigned: Assignment,
    /// A person stopped it.
    stopped: bool,
    /// The configuration has it no longer: it is forgotten as soon as it is down.
    dropped: bool,
}

impl Roles {
    /// None yet; [`Roles::assign`] gives some.
    pub fn new(patience: Patience, drained: bool, seed: u64) -> Roles {
        let rng = fastrand::Rng::with_seed(seed);
        Roles { patience, known: BTreeMap::new(), drained, ending: false, rng }
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Role)> {
        self.known.iter().map(|(name, known)| (name, &known.role))
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Role> {
        self.known.get(name).map(|known| &known.role)
    }

    /// What the one of this name is to do.
    pub fn assigned(&self, name: &str) -> Option<&Assignment> {
        self.known.get(name).map(|known| &known.assigned)
    }

    /// True if all are to be down.
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// True if no role has a process.
    pub fn are_down(&self) -> bool {
        self.iter().all(|(_, role)| {
            matches!(role.state(), State::Stopped | State::Waiting | State::Pausing { .. } | State::Broken)
        })
    }

    /// True if every role is ready, or will not be.
    pub fn are_settled(&self) -> bool {
        self.iter().all(|(_, role)| role.is_settled())
    }

    /// When [`Event::Tick`] is due for somebody.
    pub fn deadline(&self) -> Option<Instant> {
        self.iter().filter_map(|(_, role)| role.deadline()).min()
    }

    /// From now on these are the roles: what is new is started, what is gone stopped, what changed started anew; the others
    /// hear nothing of it.
    pub fn assign(&mut self, assignments: &BTreeMap<String, Assignment>, now: Instant) -> Vec<Order> {
        let mut orders = Vec::new();
        for (name, known) in &mut self.known {
            match assignments.get(name) {
                None => known.dropped = true,
                Some(assigned) => {
                    known.dropped = false;
                    let is_same = known.assigned.args == assigned.args;
                    known.assigned = assigned.clone();
                    if !is_same {
                        orders.extend(
                            known.role.step(Event::Restart, now).map(|effect| (name.clone(), effect)),
                        );
                    }
                }
            }
        }
        for (name, assigned) in assignments {
            self.known.entry(name.clone()).or_insert_with(|| Known {
                role: Role::new(self.patience, self.rng.u64(..)),
                assigned: assigned.clone(),
                stopped: false,
                dropped: false,
            });
        }
        orders.extend(self.settle(now));
        orders
    }

    /// A person has this role up, or down.
    pub fn stop(&mut self, name: &str, stopped: bool, now: Instant) -> Vec<Order> {
        if let Some(known) = self.known.get_mut(name) {
            known.stopped = stopped;
        }
        self.settle(now)
    }

    /// All are to be down, or up as they were.
    pub fn drain(&mut self, drained: bool, now: Instant) -> Vec<Order> {
        self.drained = drained;
        self.settle(now)
    }

    /// All are to be down, for the agent ends.
    pub fn end(&mut self, now: Instant) -> Vec<Order> {
        self.ending = true;
        self.settle(now)
    }

    /// Something happens to one.
    pub fn step(&mut self, name: &str, event: Event, now: Instant) -> Vec<Order> {
        let Some(known) = self.known.get_mut(name) else { return Vec::new() };
        let mut orders: Vec<Order> =
            known.role.step(event, now).map(|effect| (name.to_owned(), effect)).into_iter().collect();
        orders.extend(self.settle(now));
        orders
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Vec<Order> {
        let names: Vec<String> = self.known.keys().cloned().collect();
        names.iter().flat_map(|name| self.step(name, Event::Tick, now)).collect()
    }

    /// Tells every role whether it may start and is wanted, and forgets those that are gone.
    fn settle(&mut self, now: Instant) -> Vec<Order> {
        self.known.retain(|_, known| !(known.dropped && known.role.state() == State::Stopped));
        let wanted = |known: &Known| !(known.stopped || known.dropped || self.drained || self.ending);
        let is_awaited = |known: &Known| match known.role.state() {
            State::Stopped => wanted(known),
            _ => !known.role.is_settled(),
        };
        let awaited: BTreeSet<String> =
            self.known.iter().filter(|(_, known)| is_awaited(known)).map(|(name, _)| name.clone()).collect();
        let wanted: Vec<bool> = self.known.values().map(wanted).collect();
        let mut orders = Vec::new();
        for ((name, known), wanted) in self.known.iter_mut().zip(wanted) {
            let may_start = known.assigned.after.is_disjoint(&awaited);
            let role = &mut known.role;
            let events = [
                (!wanted && role.is_wanted()).then_some(Event::Wanted(false)),
                Some(Event::MayStart(may_start)),
                (wanted && !role.is_wanted()).then_some(Event::Wanted(true)),
            ];
            let effects = events.into_iter().flatten().filter_map(|event| role.step(event, now));
            orders.extend(effects.map(|effect| (name.clone(), effect)));
        }
        orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::role::End;

    fn assignment(args: &str, after: &[&str]) -> Assignment {
        let after = after.iter().map(|name| (*name).to_owned()).collect();
        Assignment { args: vec![args.to_owned()], after }
    }

    fn assignments(all: &[(&str, &str, &[&str])]) -> BTreeMap<String, Assignment> {
        all.iter().map(|(name, args, after)| ((*name).to_owned(), assignment(args, after))).collect()
    }

    fn order(name: &str, effect: Effect) -> Order {
        (name.to_owned(), effect)
    }

    const END: Event = Event::Ended(End::Code(0));

    /// A peer that starts after a tracker, both ready.
    fn two(now: Instant) -> Roles {
        let mut roles = Roles::new(Patience::default(), false, 1);
        let plan = assignments(&[("peer", "p", &["tracker"]), ("tracker", "t", &[])]);
        assert_eq!(roles.assign(&plan, now), [order("tracker", Effect::Start)]);
        assert_eq!(roles.step("tracker", Event::Ready, now), [order("peer", Effect::Start)]);
        assert!(!roles.are_settled());
        assert_eq!(roles.step("peer", Event::Ready, now), []);
        assert!(roles.are_settled() && !roles.are_down());
        roles
    }

    #[test]
    fn who_starts_after_another_stays_up_without_it_and_does_not_wait_for_one_that_fails() {
        let now = Instant::now();
        let mut roles = two(now);
        assert_eq!(roles.step("tracker", END, now), [order("tracker", Effect::Start)]);
        assert_eq!(roles.step("tracker", END, now), []);
        assert_eq!(roles.step("peer", END, now), [order("peer", Effect::Start)], "the tracker has failed");
    }

    #[test]
    fn a_drained_node_has_nothing_up_and_forgets_nothing() {
        let now = Instant::now();
        let mut roles = two(now);
        assert_eq!(roles.stop("tracker", true, now), [order("tracker", Effect::Terminate)]);
        assert_eq!(roles.step("tracker", END, now), []);
        assert_eq!(roles.drain(true, now), [order("peer", Effect::Terminate)]);
        assert_eq!(roles.step("peer", END, now), []);
        assert!(roles.are_down() && roles.is_drained());
        assert_eq!(roles.stop("peer", false, now), [], "what is drained is not started");
        assert_eq!(
            roles.drain(false, now),
            [order("peer", Effect::Start)],
            "the other was stopped by itself"
        );
        assert_eq!(roles.stop("tracker", false, now), [order("tracker", Effect::Start)]);
    }

    #[test]
    fn another_configuration_concerns_only_what_changed() {
        let now = Instant::now();
        let mut roles = two(now);
        let plan = assignments(&[("peer", "p", &[]), ("tracker", "t2", &[]), ("new", "n", &[])]);
        let orders = roles.assign(&plan, now);
        assert_eq!(orders, [order("tracker", Effect::Terminate), order("new", Effect::Start)]);
        assert_eq!(roles.assigned("tracker").unwrap().args, ["t2"]);
        assert_eq!(roles.step("tracker", END, now), [order("tracker", Effect::Start)]);
        let fewer = assignments(&[("tracker", "t2", &[])]);
        let orders = roles.assign(&fewer, now);
        assert_eq!(orders, [order("new", Effect::Terminate), order("peer", Effect::Terminate)]);
        assert_eq!(roles.step("new", END, now), []);
        assert!(roles.get("new").is_none() && roles.get("peer").is_some());
        let orders = roles.assign(&plan, now);
        assert_eq!(orders, [order("new", Effect::Start)], "the peer has not ended yet");
        assert_eq!(roles.step("peer", END, now), [order("peer", Effect::Start)]);
    }

    #[test]
    fn at_the_end_all_end() {
        let now = Instant::now();
        let mut roles = two(now);
        let orders = roles.end(now);
        assert_eq!(orders, [order("peer", Effect::Terminate), order("tracker", Effect::Terminate)]);
        assert_eq!(roles.step("peer", END, now), []);
        assert!(!roles.are_down());
        assert_eq!(roles.step("tracker", END, now), []);
        assert!(roles.are_down());
    }
}
