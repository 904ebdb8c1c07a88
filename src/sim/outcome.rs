//! What a run came to.

use std::time::Duration;

/// What should never happen, and did. The scenario's seed brings it back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// Some did not finish although every chunk was alive somewhere.
    #[error(
        "seed {seed}: {unfinished} of those who stayed did not finish within {after:?}, though every chunk is alive"
    )]
    Unfinished {
        /// The scenario's seed.
        seed: u64,
        /// How many.
        unfinished: usize,
        /// In virtual time.
        after: Duration,
    },
    /// A scheduler says that it has what was never delivered, or lost what was.
    #[error("seed {seed}: peer {peer} does not have exactly what it was given")]
    Had {
        /// The scenario's seed.
        seed: u64,
        /// The peer's number.
        peer: u32,
    },
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The fluid lower bound.
    pub bound: Duration,
    /// For each honest fetcher that stayed: from its start until it had everything. Empty if chunks
    /// were lost to everyone.
    pub times: Vec<Duration>,
    /// When the last of them had everything, since the first one's start.
    pub last: Duration,
    /// Copies of the file that left the seeder.
    pub seeder_copies: f64,
    /// Bytes of chunks that were kept, of all fetchers.
    pub useful: u64,
    /// Bytes of chunks that came twice.
    pub duplicate: u64,
    /// Bytes of chunks that were wrong.
    pub rejected: u64,
    /// Bytes of all else that is ours: heads, proofs, requests, announcements.
    pub overhead: u64,
    /// The share of the time until the end that the uplinks of fetchers that stayed were idle.
    pub idle: f64,
    /// The same of the seeder's.
    pub seeder_idle: f64,
    /// Most connections that one fetcher served at once.
    pub most_askers: usize,
    /// How much happened.
    pub happenings: u64,
    /// A digest of everything that happened, in order.
    pub digest: u64,
    /// Bytes kept by all in each twentieth of the bound, as a share of what they could be.
    pub curve: Vec<f64>,
}

impl Outcome {
    /// The bound's share of the time until the last had everything, its start being the first one's.
    pub fn eta(&self) -> f64 {
        self.bound.as_secs_f64() / self.last.as_secs_f64()
    }

    /// The bound's share of the longest time that one fetcher took from its own start.
    pub fn eta_each(&self) -> f64 {
        self.times.iter().max().map_or(0.0, |time| self.bound.as_secs_f64() / time.as_secs_f64())
    }

    /// Duplicate, rejected and protocol bytes, as a share of the useful ones.
    pub fn waste(&self) -> f64 {
        (self.duplicate + self.rejected + self.overhead) as f64 / self.useful.max(1) as f64
    }
}
