//! Whether a history is linearizable: whether each operation could have taken effect at one instant between its beginning
//! and its end, in an order in which the object gives the answers that were given.
//!
//! The search of Wing and Gong (1993) with the memory of Lowe (2017): what has been done, together with the state it led
//! to, is looked at once. Objects are independent (Herlihy and Wing 1990, theorem 1), so each is searched alone.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// What operations are carried out on, one after the other.
pub(crate) trait Object {
    /// What it is between two operations; it begins with the default.
    type State: Clone + Eq + Hash + Default;
    /// What may be asked of it.
    type Call: Debug;
    /// What it may say.
    type Answer: Debug;

    /// The state after a call; `None` if in this state the answer would have been another one. Of a call whose
    /// answer nobody heard, any answer will do.
    fn step(state: &Self::State, call: &Self::Call, answer: Option<&Self::Answer>) -> Option<Self::State>;
}

/// One operation of a history. Times are numbers of one clock; of operations that meet in one instant, either may be first.
#[derive(Debug, Clone)]
pub(crate) struct Operation<C, A> {
    /// What was asked.
    pub(crate) call: C,
    /// When it was asked.
    pub(crate) begun: u64,
    /// What was answered, and when; `None` if nobody heard: it may take effect at any time after its beginning, or never.
    pub(crate) ended: Option<(A, u64)>,
}

/// What there is to say of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none. The most operations that could be put in order, by their places in the history.
    Impossible(Vec<usize>),
    /// It was not found out in so many steps.
    Undecided,
}

/// An operation that was put in order, and where the search for the next one is.
struct Frame<S> {
    state: S,
    /// Its place; `None` of the beginning.
    placed: Option<usize>,
    /// What may be next, the most likely last.
    next: Vec<usize>,
}

/// Searches an order, in at most so many steps.
pub(crate) fn check<O: Object>(history: &[Operation<O::Call, O::Answer>], most_steps: usize) -> Verdict {
    let answered = history.iter().filter(|operation| operation.ended.is_some()).count();
    let mut done = Set::new(history.len());
    let mut seen = HashSet::new();
    let (mut left, mut best) = (answered, (answered, Vec::new()));
    let mut stack =
        vec![Frame { state: O::State::default(), placed: None, next: candidates(history, &done) }];
    for _ in 0..most_steps {
        if left == 0 {
            return Verdict::Linearizable;
        }
        let Some(frame) = stack.last_mut() else { return Verdict::Impossible(best.1) };
        let Some(at) = frame.next.pop() else {
            if let Some(placed) = stack.pop().and_then(|frame| frame.placed) {
                done.remove(placed);
                left += usize::from(history[placed].ended.is_some());
            }
            continue;
        };
        let operation = &history[at];
        let answer = operation.ended.as_ref().map(|(answer, _)| answer);
        let Some(state) = O::step(&frame.state, &operation.call, answer) else { continue };
        if answer.is_none() && state == frame.state {
            continue; // it may as well never have happened
        }
        done.insert(at);
        if !seen.insert((done.clone(), state.clone())) {
            done.remove(at);
            continue;
        }
        left -= usize::from(answer.is_some());
        if left < best.0 {
            best = (left, done.iter().collect());
        }
        stack.push(Frame { state, placed: Some(at), next: candidates(history, &done) });
    }
    Verdict::Undecided
}

/// What may come next: what had begun before anything ended that is still to come. Those without an answer are tried last,
/// of the others the one that ended first is tried first.
fn candidates<C, A>(history: &[Operation<C, A>], done: &Set) -> Vec<usize> {
    let end = |at: usize| history[at].ended.as_ref().map_or(u64::MAX, |(_, end)| *end);
    let open = || (0..history.len()).filter(|at| !done.has(*at));
    let first_end = open().map(end).min().unwrap_or(u64::MAX);
    let mut next: Vec<usize> = open().filter(|at| history[*at].begun <= first_end).collect();
    next.sort_by_key(|at| std::cmp::Reverse(end(*at)));
    next
}

/// Places in a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Set(Vec<u64>);

impl Set {
    fn new(places: usize) -> Set {
        Set(vec![0; places.div_ceil(64)])
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn insert(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn remove(&mut self, at: usize) {
        self.0[at / 64] &= !(1 << (at % 64));
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len() * 64).filter(|at| self.has(*at))
    }
}
