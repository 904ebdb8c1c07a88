//! What clients asked and what they heard, and when: the histories of all names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::linear::{self, Operation, Verdict};
use super::names::{Answer, Call, Name};

/// Steps that the search of one name may take.
const MOST_STEPS: usize = 2_000_000;

/// What happened to each name, as clients saw it, who may be many threads.
#[derive(Debug)]
pub(crate) struct History {
    start: Instant,
    names: Mutex<BTreeMap<String, Vec<Operation<Call, Answer>>>>,
}

/// An operation that has begun. Who does not say how it ended does not know.
#[derive(Debug)]
#[must_use]
pub(crate) struct Begun {
    name: String,
    at: usize,
}

impl History {
    /// Without operations.
    pub(crate) fn new() -> History {
        History { start: Instant::now(), names: Mutex::default() }
    }

    /// Before it is asked.
    pub(crate) fn begin(&self, name: &str, call: Call) -> Begun {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let operations = names.entry(name.to_owned()).or_default();
        operations.push(Operation { call, begun: self.now(), ended: None });
        Begun { name: name.to_owned(), at: operations.len() - 1 }
    }

    /// When the answer is here.
    pub(crate) fn end(&self, Begun { name, at }: Begun, answer: Answer) {
        let now = self.now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let operation = names.get_mut(&name).and_then(|operations| operations.get_mut(at)).expect("begun");
        operation.ended = Some((answer, now));
    }

    /// The time by the clock of this history.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// When the first change was acknowledged that began at this time or later.
    pub(crate) fn write_acknowledged_since(&self, begun: u64) -> Option<u64> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |operation: &&Operation<Call, Answer>| {
            operation.begun >= begun && matches!(operation.call, Call::Publish { .. } | Call::Remove { .. })
        };
        names.values().flatten().filter(is_it).filter_map(|operation| Some(operation.ended.as_ref()?.1)).min()
    }

    /// Operations that have begun, and of them those whose end is known.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let all = || names.values().flatten();
        (all().count(), all().filter(|operation| operation.ended.is_some()).count())
    }

    /// Fails the test unless each name's history is linearizable.
    ///
    /// # Panics
    /// With the history, and how far it could be put in order.
    #[track_caller]
    pub(crate) fn check(&self) {
        for (name, operations) in &*self.names.lock().unwrap_or_else(PoisonError::into_inner) {
            match linear::check::<Name>(operations, MOST_STEPS) {
                Verdict::Linearizable => {}
                Verdict::Impossible(placed) => {
                    panic!("what happened to {name} has no order:\n{}", told(operations, &placed));
                }
                Verdict::Undecided => panic!("{name}: not decided:\n{}", told(operations, &[])),
            }
        }
    }
}

/// A history in the order of its beginnings, times in milliseconds; a star before what could be put in order.
fn told(operations: &[Operation<Call, Answer>], placed: &[usize]) -> String {
    let mut order: Vec<usize> = (0..operations.len()).collect();
    order.sort_by_key(|at| operations[*at].begun);
    let mut text = String::new();
    for at in order {
        let Operation { call, begun, ended } = &operations[at];
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let star = if placed.contains(&at) { '*' } else { ' ' };
        let _ = write!(text, "{star} {:9.2}  {call:?}", ms(*begun));
        let _ = match ended {
            Some((answer, end)) => writeln!(text, "  {:.2} {answer:?}", ms(*end)),
            None => writeln!(text, "  nobody knows"),
        };
    }
    text
}
