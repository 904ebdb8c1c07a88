//! Who and what is in the world of nodes and trackers.

use std::collections::BTreeMap;

use super::super::*;
use crate::rescue::executor::{Event, Executor};

/// What is wrong, if anything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Executors do not ask before they act.
    NoClaim,
    /// The lease is counted from the answer.
    FromAnswer,
    /// Trackers count as if clocks were right.
    NoMargin,
    /// Old lives of a node go on.
    NotFenced,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Now {
    Lead,
    Beat(usize),
    Arrive { process: usize, tracker: usize },
    Fenced { process: usize },
    Hear { process: usize, event: Event },
    Decide(Entry, Option<(usize, Duty)>),
    Wake(usize),
    HookEnds { process: usize, attempt: usize },
    Rises(u8),
    Harm,
    End,
}

/// A process of an agent.
pub(super) struct Process {
    pub(super) node: u8,
    pub(super) life: Life,
    pub(super) alive: bool,
    /// Stopped until then.
    pub(super) paused: f64,
    pub(super) rate: f64,
    pub(super) executor: Executor,
    pub(super) attempt: Option<usize>,
}

/// Somebody brought somebody back, or tried.
pub(super) struct Attempt {
    pub(super) target: u8,
    pub(super) ended: Option<f64>,
    pub(super) works: bool,
    pub(super) late: bool,
}

/// A tracker: what it has applied of the log, and whom it heard.
pub(super) struct Tracker {
    pub(super) applied: usize,
    pub(super) ledger: Ledger,
    pub(super) rate: f64,
    /// When, and as whom.
    pub(super) heard: BTreeMap<u8, (f64, Life)>,
}

impl Tracker {
    pub(super) fn new(rate: f64) -> Tracker {
        Tracker { applied: 0, ledger: Ledger::default(), rate, heard: BTreeMap::new() }
    }
}
