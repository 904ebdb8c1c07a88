//! A source as the slow scheduler sees it: all that it has and owes, in lists.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::super::Chunk;
use super::super::super::pace::Pace;
use crate::content::PeerId;

pub(super) struct Asked {
    pub(super) chunk: Chunk,
    pub(super) bytes: u64,
    pub(super) at: Instant,
    pub(super) begun: bool,
    pub(super) cancelled: bool,
    /// The how-manieth of all that were ever asked for.
    pub(super) nth: u64,
}

pub(super) struct Member {
    pub(super) came: Instant,
    pub(super) head_start: Option<i64>,
    pub(super) have: BTreeSet<Chunk>,
    pub(super) may_choose: Option<PeerId>,
    pub(super) choices: Vec<u64>,
    pub(super) asked: Vec<Asked>,
    pub(super) corrupt: u32,
    pub(super) doubted: BTreeSet<Chunk>,
    pub(super) lost: BTreeSet<Chunk>,
    pub(super) excused: bool,
    pub(super) pace: Pace,
    pub(super) last_steal: Option<Instant>,
}

impl Member {
    pub(super) fn owes(&self) -> u64 {
        self.asked.iter().map(|asked| asked.bytes).chain(self.choices.iter().copied()).sum()
    }

    pub(super) fn asked(&self, chunk: Chunk) -> bool {
        self.asked.iter().any(|asked| asked.chunk == chunk)
    }

    pub(super) fn expected(&self, bytes: u64) -> Duration {
        self.pace.expected(self.owes(), bytes)
    }
}
