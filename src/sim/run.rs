//! A run from its start to its outcome.

use std::time::Duration;

use super::happening::Happening;
use super::outcome::{Breach, Outcome};
use super::peer::Peer;
use super::scenario::{Fate, Scenario};
use super::world::{CURVE, LEASE_INTERVAL, World};
use crate::content::ChunkSet;

impl Scenario {
    /// Runs it.
    ///
    /// # Errors
    /// What should never happen and did.
    ///
    /// # Panics
    /// If the size is larger than any file may be.
    pub fn run(&self) -> Result<Outcome, Breach> {
        World::new(self).run()
    }
}

impl World<'_> {
    fn set_off(&mut self) {
        self.peers[0].alive = true;
        self.peers[0].idle_since = Some(0);
        self.register(0, true);
        self.queue.push(LEASE_INTERVAL.as_nanos() as u64, Happening::Leases);
        for (fetcher, p) in self.scenario.fetchers.iter().zip(1..) {
            self.queue.push(fetcher.joins.as_nanos() as u64, Happening::Join(p));
            if let Some((at, fate)) = fetcher.ends {
                self.queue.push(at.as_nanos() as u64, Happening::End(p, fate == Fate::Vanishes));
            }
        }
    }

    /// Lets things happen until everyone is done, or nothing helps.
    pub(super) fn run(mut self) -> Result<Outcome, Breach> {
        self.set_off();
        let deadline = self.scenario.deadline.as_nanos() as u64;
        while self.waiting > 0 {
            let Some((at, what)) = self.queue.pop() else { break };
            if at > deadline {
                break;
            }
            self.now = at;
            self.happen(what);
        }
        self.conclude()
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Join(p) => self.join(p),
            Happening::End(p, vanishes) => self.end(p, if vanishes { Fate::Vanishes } else { Fate::Killed }),
            Happening::Turn(p) => self.turn(p),
            Happening::UplinkFree(p) => self.send_next(p),
            Happening::Delivered(c, bytes) => self.delivered(c, bytes),
            Happening::Open(c) => self.open(c),
            Happening::Opened(c) => self.opened(c),
            Happening::Asked(c, job) => self.asked(c, job),
            Happening::LoadAsked(c) => self.load_asked(c),
            Happening::Cancelled(c, chunk) => self.cancelled(c, chunk),
            Happening::Told(c, chunk) => self.told(c, chunk),
            Happening::News(c) => self.news(c),
            Happening::Message(c, number) => {
                if let Some(message) = self.take_message(number) {
                    self.message(c, message);
                }
            }
            Happening::Patience(c) => self.patience(c),
            Happening::EndedForAsker(c) => self.ended_for_asker(c),
            Happening::EndedForServer(c) => self.server_ends(c),
            Happening::Located(p) => self.located(p),
            Happening::Leases => self.leases(),
        }
    }

    /// Every chunk is with somebody honest who is alive.
    fn all_alive(&self) -> bool {
        let mut somewhere = ChunkSet::empty(self.chunks);
        for peer in self.peers.iter().filter(|peer| peer.alive && peer.is_honest()) {
            peer.have(self.chunks).iter().for_each(|chunk| {
                somewhere.insert(chunk);
            });
        }
        somewhere.is_full()
    }

    fn conclude(self) -> Result<Outcome, Breach> {
        let seed = self.scenario.seed;
        for (peer, number) in self.peers.iter().zip(0..) {
            if peer.fetch.as_ref().is_some_and(|fetch| *fetch.scheduler.had() != fetch.kept) {
                return Err(Breach::Had { seed, peer: number });
            }
        }
        if self.waiting > 0 && self.all_alive() {
            let after = Duration::from_nanos(self.now);
            return Err(Breach::Unfinished { seed, unfinished: self.waiting, after });
        }
        Ok(self.outcome())
    }

    fn outcome(self) -> Outcome {
        let staying = || (1..self.peers.len()).filter(|p| self.stays(*p)).map(|p| &self.peers[p]);
        let lost = self.waiting > 0;
        let times = staying().filter_map(|peer| Some(Duration::from_nanos(peer.done? - peer.joined)));
        let last = staying().filter_map(|peer| peer.done).max().unwrap_or(self.now);
        let sum = |of: fn(&Peer) -> u64| self.peers.iter().map(of).sum::<u64>();
        let idle = |peer: &Peer| {
            let more = peer.idle_since.map_or(0, |since| self.now.saturating_sub(since));
            (peer.idle + more) as f64 / (self.now - peer.joined).max(1) as f64
        };
        let whole = |part: &u64| {
            let rates: f64 = staying().map(|peer| peer.link.down).sum();
            *part as f64 / (rates * self.bound as f64 / 1e9 / CURVE as f64)
        };
        Outcome {
            bound: self.scenario.bound(),
            times: if lost { Vec::new() } else { times.collect() },
            last: Duration::from_nanos(last),
            seeder_copies: self.peers[0].sent as f64 / self.layout.size() as f64,
            useful: sum(|peer| peer.useful),
            duplicate: sum(|peer| peer.duplicate),
            rejected: sum(|peer| peer.rejected),
            overhead: sum(|peer| peer.overhead),
            idle: staying().map(idle).sum::<f64>() / staying().count().max(1) as f64,
            seeder_idle: idle(&self.peers[0]),
            most_askers: self.peers[1..].iter().map(|peer| peer.askers.len()).max().unwrap_or(0),
            happenings: self.queue.pushed(),
            digest: self.digest,
            curve: self.curve.iter().map(whole).collect(),
        }
    }
}
