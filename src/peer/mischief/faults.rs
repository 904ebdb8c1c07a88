//! How a peer misbehaves on purpose, for tests and demonstrations: what happens to each answer. Pure.
//!
//! The serving side asks once for each chunk it is about to send, and only if faults were asked for. What
//! happens follows from the seed and the number of the connection alone. Nothing here touches what is
//! on disk: a peer with faults lies to others, never to itself.

use std::fmt;
use std::time::Duration;

/// Which faults, how often. Probabilities are from 0 to 1, for each chunk asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultPlan {
    /// A byte of the chunk is changed.
    pub corrupt: f64,
    /// The connection is cut in the middle of the chunk.
    pub drop: f64,
    /// Every answer leaves so much later.
    pub delay: Duration,
    /// The chunk is refused: BUSY.
    pub refuse: f64,
    /// Every content that is on its way here is said to be here, and a chunk is refused: NOT_HERE.
    pub lie: f64,
    /// The connection stays, and no chunk is answered on it any more.
    pub stall: f64,
    /// Decides everything that is left to chance.
    pub seed: u64,
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares = [
            ("corrupt", self.corrupt),
            ("drop", self.drop),
            ("refuse", self.refuse),
            ("lie", self.lie),
            ("stall", self.stall),
        ];
        for (kind, share) in shares.into_iter().filter(|(_, share)| *share > 0.0) {
            write!(f, "{kind}={share}, ")?;
        }
        if !self.delay.is_zero() {
            write!(f, "delay={}, ", humantime::format_duration(self.delay))?;
        }
        write!(f, "seed {}", self.seed)
    }
}

/// What becomes of the answer to one request for a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) enum Fate {
    /// It is as it should be.
    Sound,
    /// The chunk with a wrong byte.
    Corrupt,
    /// Half of the chunk, then the end of the connection.
    Cut,
    /// REFUSED, BUSY.
    Refused,
    /// REFUSED, NOT_HERE.
    Denied,
    /// No answer, to this and all that follow.
    Silent,
}

impl Fate {
    /// Makes a chunk's bytes what they are to be; how many of them are sent.
    pub(in crate::peer) fn spoil(self, bytes: &mut [u8]) -> usize {
        let len = bytes.len();
        if matches!(self, Fate::Corrupt | Fate::Cut)
            && let Some(middle) = bytes.get_mut(len / 2)
        {
            *middle ^= 1;
        }
        if self == Fate::Cut { len / 2 } else { len }
    }
}

/// The faults of one connection.
#[derive(Debug)]
pub(in crate::peer) struct Faults {
    plan: FaultPlan,
    rng: fastrand::Rng,
    /// What ended it, if something has.
    end: Option<Fate>,
}

impl Faults {
    /// The faults of the connection with this number.
    pub(in crate::peer) fn new(plan: &FaultPlan, connection: u32) -> Faults {
        let mut seeds = fastrand::Rng::with_seed(plan.seed);
        (0..connection % 1024).for_each(|_| _ = seeds.u64(..));
        Faults { plan: plan.clone(), rng: seeds.fork(), end: None }
    }

    /// What becomes of the next answer.
    pub(in crate::peer) fn next(&mut self) -> Fate {
        if self.end.is_some() {
            return Fate::Silent;
        }
        // Every kind is drawn for each time, so that one kind's share does not shift another's draws.
        let kinds = [
            (self.plan.stall, Fate::Silent),
            (self.plan.drop, Fate::Cut),
            (self.plan.refuse, Fate::Refused),
            (self.plan.lie, Fate::Denied),
            (self.plan.corrupt, Fate::Corrupt),
        ];
        let drawn = kinds.map(|(share, fate)| (self.rng.f64() < share).then_some(fate));
        let fate = drawn.into_iter().flatten().next().unwrap_or(Fate::Sound);
        self.end = Some(fate).filter(|fate| matches!(fate, Fate::Silent | Fate::Cut));
        fate
    }

    /// True once the connection is to end as soon as what was queued has left.
    pub(in crate::peer) fn has_cut(&self) -> bool {
        self.end == Some(Fate::Cut)
    }

    /// True if it says that it has what it has not.
    pub(in crate::peer) fn lies(&self) -> bool {
        self.plan.lie > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(plan: &FaultPlan, connection: u32, count: usize) -> Vec<Fate> {
        let mut faults = Faults::new(plan, connection);
        (0..count).map(|_| faults.next()).collect()
    }

    #[test]
    fn a_seed_and_a_connection_decide() {
        let plan = FaultPlan { corrupt: 0.3, refuse: 0.3, seed: 5, ..FaultPlan::default() };
        assert_eq!(fates(&plan, 1, 100), fates(&plan, 1, 100));
        assert_ne!(fates(&plan, 1, 100), fates(&plan, 2, 100));
        assert_ne!(fates(&plan, 1, 100), fates(&FaultPlan { seed: 6, ..plan.clone() }, 1, 100));
        let corrupt = fates(&plan, 3, 10_000).iter().filter(|fate| **fate == Fate::Corrupt).count();
        assert!((1_900..2_300).contains(&corrupt), "0.3 of the 0.7 that are not refused: {corrupt}");
    }

    #[test]
    fn nothing_follows_a_cut_or_silence() {
        for (plan, fate) in [
            (FaultPlan { drop: 0.2, corrupt: 0.5, ..FaultPlan::default() }, Fate::Cut),
            (FaultPlan { stall: 0.2, corrupt: 0.5, ..FaultPlan::default() }, Fate::Silent),
        ] {
            let fates = fates(&plan, 0, 200);
            let first = fates.iter().position(|other| *other == fate).unwrap();
            assert!(fates[first + 1..].iter().all(|other| *other == Fate::Silent));
        }
    }

    #[test]
    fn no_plan_does_nothing() {
        assert!(fates(&FaultPlan::default(), 0, 100).iter().all(|fate| *fate == Fate::Sound));
    }

    #[test]
    fn a_chunk_is_spoilt_in_its_middle_or_cut_there() {
        let spoilt = |fate: Fate| {
            let mut bytes = [0; 5];
            (fate.spoil(&mut bytes), bytes)
        };
        assert_eq!(spoilt(Fate::Sound), (5, [0; 5]));
        assert_eq!(spoilt(Fate::Corrupt), (5, [0, 0, 1, 0, 0]));
        assert_eq!(spoilt(Fate::Cut).0, 2);
        assert_eq!(Fate::Corrupt.spoil(&mut []), 0);
    }

    #[test]
    fn a_plan_can_be_read() {
        let delay = Duration::from_millis(20);
        let plan = FaultPlan { corrupt: 0.01, lie: 1.0, delay, seed: 7, ..FaultPlan::default() };
        assert_eq!(plan.to_string(), "corrupt=0.01, lie=1, delay=20ms, seed 7");
    }
}
