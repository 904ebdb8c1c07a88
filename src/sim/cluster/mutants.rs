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
    (Mutant::SaidBeforeSync, 203),
    (Mutant::AnsweredBeforeSync, 20),
    (Mutant::BatchInParts, 126),
    (Mutant::NoSessions, 1),
    (Mutant::Without(Rule::LinkNumbers), 166),
    (Mutant::Without(Rule::Reconnected), 876),
    (Mutant::Without(Rule::EpochCompared), 7),
    (Mutant::Without(Rule::Watchdog), 169),
    (Mutant::Without(Rule::EndIsTheEnd), 109),
    (Mutant::Without(Rule::Incarnation), 12),
    (Mutant::Without(Rule::PromiseWritten), 161),
    (Mutant::Without(Rule::RoundWritten), 76),
    (Mutant::Without(Rule::LogCut), 90),
    (Mutant::Without(Rule::OldLogGoes), 7),
    (Mutant::Without(Rule::SnapshotProved), 4),
    (Mutant::Without(Rule::SnapshotAsked), 0),
    (Mutant::Without(Rule::ClusterCompared), 1),
    (Mutant::Without(Rule::Barrier), 12),
];
