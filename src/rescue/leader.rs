//! What the leader of the trackers proposes about nodes: who is lost, who is back, who is to bring whom back. Pure.
//!
//! A leader hears nodes through all trackers that hear it, and it leads only while most do: a node that it does not hear is
//! one that most trackers do not hear, and one cut link is not enough. What is proposed counts only once it is decided: there
//! the `ledger` has the last word, and a leader that was wrong, or is none any more, does no harm. Times are those of this
//! leader's clock, and none is counted from before it became one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::ledger::{Duty, Entry, Ledger, Life, NodeId};
use super::pause::pause;

/// How patient a leader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A node is missed that was not heard for so long.
    pub silence: Duration,
    /// An executor may be at it for so long from when it asked for it, by its own clock.
    pub lease: Duration,
    /// After so long from when the claim was applied, by this leader's clock, it cannot be at it any more.
    pub expiry: Duration,
    /// How long an executor may take to claim.
    pub claim: Duration,
    /// The pause after the first try; each that follows is twice the one before.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// Clocks may be wrong by a twentieth either way: 1.05 / 0.95 is 1.105.
const DRIFT: f64 = 1.12;
/// And the granularity of all that is between a clock and an act.
const MARGIN: Duration = Duration::from_secs(1);
/// Beats in the time after which a node is missed.
const BEATS: u32 = 5;

impl Terms {
    /// Those by which a node may be silent for so long, and a duty lasts so long. The others follow the silence.
    pub fn of(silence: Duration, lease: Duration) -> Terms {
        Terms {
            silence,
            lease,
            expiry: lease.mul_f64(DRIFT) + MARGIN,
            claim: silence / 2,
            pause: silence,
            longest: silence * 30,
        }
    }

    /// Between two beats of an agent.
    pub fn beat(&self) -> Duration {
        self.silence / BEATS
    }
}

impl Default for Terms {
    fn default() -> Terms {
        Terms::of(Duration::from_secs(10), Duration::from_secs(30))
    }
}

/// How a node is heard that was not silent for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The greatest life of it that was heard.
    pub life: Life,
    /// It can bring others back.
    pub able: bool,
}

/// A leader, from when it became one.
#[derive(Debug)]
pub struct Leader {
    terms: Terms,
    /// What was said before went to another.
    since: Instant,
    /// How each duty was seen, and since when it is so.
    seen: BTreeMap<NodeId, (Seen, Instant)>,
    rng: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// After so many tries there is no duty.
    None(u32),
    Open(Duty, NodeId),
    Claimed(Duty),
}

impl Leader {
    /// One that leads from now on.
    pub fn new(terms: Terms, seed: u64, now: Instant) -> Leader {
        Leader { terms, since: now, seen: BTreeMap::new(), rng: fastrand::Rng::with_seed(seed) }
    }

    /// What is to be proposed now. What was proposed before and is not decided yet is proposed again: a second entry says
    /// nothing.
    pub fn step(&mut self, ledger: &Ledger, heard: &BTreeMap<NodeId, Heard>, now: Instant) -> Vec<Entry> {
        let mut entries = self.presence(ledger, heard, now);
        let lost: Vec<NodeId> =
            ledger.nodes().iter().filter(|(_, node)| node.lost).map(|(id, _)| *id).collect();
        let mut busy: Vec<NodeId> = ledger.duties().values().map(|held| held.executor).collect();
        // A claimed duty of one that is back must run out as well.
        let targets = lost.iter().chain(ledger.duties().keys().filter(|target| !lost.contains(target)));
        for target in targets {
            let entry = self.duty(ledger, heard, *target, &busy, now);
            if let Some(Entry::Opened { executor, .. }) = entry {
                busy.push(executor);
            }
            entries.extend(entry);
        }
        self.seen.retain(|target, _| lost.contains(target) || ledger.duties().contains_key(target));
        entries
    }

    /// Who is lost, and who is back.
    fn presence(&self, ledger: &Ledger, heard: &BTreeMap<NodeId, Heard>, now: Instant) -> Vec<Entry> {
        let has_listened = now.saturating_duration_since(self.since) >= self.terms.silence;
        let lost =
            ledger.nodes().iter().filter(|(id, node)| has_listened && !node.lost && !heard.contains_key(id));
        let back = heard.iter().filter(|(id, heard)| {
            let is_new = |known: &super::ledger::Node| known.lost || heard.life > known.incarnation;
            !ledger.is_fenced(**id, heard.life) && ledger.nodes().get(id).is_none_or(is_new)
        });
        let lost = lost.map(|(id, _)| Entry::Lost(*id));
        lost.chain(back.map(|(id, heard)| Entry::Back(*id, heard.life))).collect()
    }

    /// What is to become of the duty to bring this one back.
    fn duty(
        &mut self,
        ledger: &Ledger,
        heard: &BTreeMap<NodeId, Heard>,
        target: NodeId,
        busy: &[NodeId],
        now: Instant,
    ) -> Option<Entry> {
        let node = ledger.nodes().get(&target)?;
        let held = ledger.duties().get(&target);
        let seen = match held {
            None => Seen::None(node.tries),
            Some(held) if held.claimed.is_some() => Seen::Claimed(held.duty),
            Some(held) => Seen::Open(held.duty, held.executor),
        };
        let since = match self.seen.get(&target) {
            Some((before, since)) if *before == seen => *since,
            _ => {
                let pause = if let Seen::None(tries) = seen { self.pause(tries) } else { Duration::ZERO };
                // The pause is put on here, so that it is drawn once.
                self.seen.insert(target, (seen, now + pause));
                now + pause
            }
        };
        let waited = now.saturating_duration_since(since);
        match seen {
            Seen::None(_) if ledger.is_paused() || node.drained || now < since => None,
            Seen::None(_) => {
                let executor = self.executor(ledger, heard, target, busy)?;
                Some(Entry::Opened { target, executor })
            }
            Seen::Open(duty, before) if waited >= self.terms.claim => {
                let mut busy = busy.to_vec();
                busy.push(before);
                self.executor(ledger, heard, target, &busy).map(|executor| Entry::Assigned(duty, executor))
            }
            Seen::Claimed(duty) if waited >= self.terms.expiry => Some(Entry::Expired(duty)),
            Seen::Open(..) | Seen::Claimed(_) => None,
        }
    }

    /// None before the first try; 10, 20, 40 s … 5 min after those that came to nothing, a fifth more or less.
    fn pause(&mut self, tries: u32) -> Duration {
        pause(tries, self.terms.pause, self.terms.longest, &mut self.rng)
    }

    /// Whoever is up, is able, and has nothing else to do; drawn, so that one that always fails is not always asked.
    fn executor(
        &mut self,
        ledger: &Ledger,
        heard: &BTreeMap<NodeId, Heard>,
        target: NodeId,
        busy: &[NodeId],
    ) -> Option<NodeId> {
        let fits = |(id, heard): &(&NodeId, &Heard)| {
            let up = ledger.nodes().get(id).is_some_and(|node| !node.lost && !node.drained);
            heard.able && up && **id != target && !busy.contains(id)
        };
        let all: Vec<NodeId> = heard.iter().filter(fits).map(|(id, _)| *id).collect();
        self.rng.choice(all)
    }
}

#[cfg(test)]
mod tests;
