//! What is to happen in one run.

use std::time::Duration;

use crate::swarm::uplink::UNSENT_AHEAD;

/// A host's link, bytes a second each way, headers included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Bytes a second sent.
    pub up: f64,
    /// Bytes a second received.
    pub down: f64,
}

impl Link {
    /// The same rate both ways, in megabits a second.
    pub fn mbit(rate: f64) -> Link {
        Link { up: rate * 125e3, down: rate * 125e3 }
    }
}

/// How a peer behaves towards those who ask it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Manner {
    /// As the protocol says.
    Honest,
    /// Sends wrong bytes with this probability.
    Corrupts(f64),
    /// Says that it has everything, and refuses what it has not.
    Boasts,
    /// Takes requests and never answers.
    Silent,
}

/// How a peer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The process ends: others see their connections closed.
    Killed,
    /// The machine is gone: others hear nothing any more.
    Vanishes,
}

/// One fetching peer.
#[derive(Debug, Clone, Copy)]
pub struct Fetcher {
    /// Its link.
    pub link: Link,
    /// When it starts.
    pub joins: Duration,
    /// How it serves.
    pub manner: Manner,
    /// When and how it ends, if before the last has finished.
    pub ends: Option<(Duration, Fate)>,
}

/// What happens in one run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Bytes of the file.
    pub size: u64,
    /// The link of the one peer that has the file at the start.
    pub seeder: Link,
    /// The seeder is killed after it has sent so many copies.
    pub seeder_killed_after: Option<f64>,
    /// The others.
    pub fetchers: Vec<Fetcher>,
    /// Time from any host to any other, one way.
    pub delay: Duration,
    /// Most sources of one peer.
    pub degree: usize,
    /// Most connections that one peer serves.
    pub max_askers: usize,
    /// Bytes that a socket takes ahead of what has left the host; none: 128 KiB, with what has left and
    /// was not acknowledged.
    pub unsent_ahead: Option<u32>,
    /// The run is broken off at this time, which counts as a breach.
    pub deadline: Duration,
}

impl Scenario {
    /// One seeder and `fetchers` honest peers with the same links, all started within 20 ms.
    pub fn even(fetchers: usize, size: u64, link: Link, seed: u64) -> Scenario {
        let mut rng = fastrand::Rng::with_seed(seed);
        let fetchers = (0..fetchers).map(|_| {
            let joins = Duration::from_micros(rng.u64(..20_000));
            Fetcher { link, joins, manner: Manner::Honest, ends: None }
        });
        let mut scenario = Scenario {
            seed,
            size,
            seeder: link,
            seeder_killed_after: None,
            fetchers: fetchers.collect(),
            delay: Duration::from_micros(200),
            degree: 16,
            max_askers: 512,
            unsent_ahead: Some(UNSENT_AHEAD),
            deadline: Duration::ZERO,
        };
        scenario.deadline = scenario.bound() * 40 + Duration::from_secs(120);
        scenario
    }

    /// T*: the shortest time in which the honest fetchers that stay could all have the file, were it a
    /// fluid: as long as the seeder needs for one copy, the slowest downlink for one, all uplinks for all.
    pub fn bound(&self) -> Duration {
        let staying = || self.fetchers.iter().filter(|fetcher| fetcher.ends.is_none());
        let size = self.size as f64;
        let slowest = staying().map(|fetcher| fetcher.link.down).fold(f64::INFINITY, f64::min);
        let up: f64 = self.seeder.up + staying().map(|fetcher| fetcher.link.up).sum::<f64>();
        let all = staying().count() as f64 * size / up;
        Duration::from_secs_f64((size / self.seeder.up).max(size / slowest).max(all))
    }
}
