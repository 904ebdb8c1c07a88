//! Rules of the cluster that can be left out one at a time, to see that the simulation notices. In a program without the
//! laboratory all hold.

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A frame whose number is not the next one ends the connection.
    LinkNumbers,
    /// The engine is told `reconnected`.
    Reconnected,
    /// What is said in another epoch is dropped.
    EpochCompared,
    /// A leader that gets not into its office campaigns again, and who lags asks again.
    Watchdog,
    /// Entries behind the end of an epoch mean nothing.
    EndIsTheEnd,
    /// A member has the incarnation that is written.
    Incarnation,
    /// A promise is written.
    PromiseWritten,
    /// The ballot of the log is written.
    RoundWritten,
    /// A log that gets another end is cut.
    LogCut,
    /// The log of an epoch goes when the next begins.
    OldLogGoes,
    /// A snapshot is checked as a whole.
    SnapshotProved,
    /// Who hears of a later epoch asks for its snapshot.
    SnapshotAsked,
    /// The cluster's id is compared.
    ClusterCompared,
    /// A barrier is passed before a fresh read is answered.
    Barrier,
}

/// Which rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    #[cfg(feature = "lab")]
    without: Option<Rule>,
}

impl Rules {
    /// All but one.
    #[cfg(feature = "lab")]
    pub fn without(rule: Rule) -> Rules {
        Rules { without: Some(rule) }
    }

    /// True if this one holds.
    #[cfg(feature = "lab")]
    pub(super) fn hold(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// True if this one holds.
    #[cfg(not(feature = "lab"))]
    pub(super) fn hold(self, _: Rule) -> bool {
        true
    }
}
