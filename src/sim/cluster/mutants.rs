//! Rules left out one at a time.

use crate::tracker::cluster::{Rule, Rules};

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// One of those of the cluster itself.
    Without(Rule),
    /// What is said leaves before what it says is synced.
    SaidBeforeSync,
    /// What is asked is answered before what it changed is synced.
    AnsweredBeforeSync,
    /// What one step wants written is not on the disk wholly or not at all.
    BatchInParts,
    /// A client that asks again is another client.
    NoSessions,
}

impl Mutant {
    /// The rules that hold.
    pub(super) fn rules(mutant: Option<Mutant>) -> Rules {
        match mutant {
            Some(Mutant::Without(rule)) => Rules::without(rule),
            _ => Rules::default(),
        }
    }
}

/// All, each with a seed that notices it.
pub const MUTANTS: &[(Mutant, u64)] = &[
    (Mutant::SaidBeforeSync, 595),
    (Mutant::AnsweredBeforeSync, 20),
    (Mutant::BatchInParts, 547),
    (Mutant::NoSessions, 3),
    (Mutant::Without(Rule::LinkNumbers), 60),
    (Mutant::Without(Rule::Reconnected), 392),
    (Mutant::Without(Rule::EpochCompared), 7),
    (Mutant::Without(Rule::Watchdog), 15),
    (Mutant::Without(Rule::EndIsTheEnd), 7),
    (Mutant::Without(Rule::Incarnation), 61),
    (Mutant::Without(Rule::PromiseWritten), 7),
    (Mutant::Without(Rule::RoundWritten), 76),
    (Mutant::Without(Rule::LogCut), 7),
    (Mutant::Without(Rule::OldLogGoes), 7),
    (Mutant::Without(Rule::SnapshotProved), 75),
    (Mutant::Without(Rule::SnapshotAsked), 0),
    (Mutant::Without(Rule::ClusterCompared), 1),
    (Mutant::Without(Rule::Barrier), 18),
];
