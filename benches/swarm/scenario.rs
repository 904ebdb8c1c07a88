//! What happens in one measurement, and the bound it is measured against. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::lab::Link;
use crate::support::stats;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Scenario {
    pub(crate) fetchers: usize,
    /// Bytes in all.
    pub(crate) size: u64,
    /// Files in the folder that is moved; 0 for a single file.
    pub(crate) files: u64,
    /// Bits per second, each way.
    pub(crate) rate: u64,
    /// Every second fetcher has a quarter of the upload rate.
    pub(crate) slow_half: bool,
    /// Fetchers start one by one over T* instead of together.
    pub(crate) join: bool,
    /// This share of the fetchers is killed after half of T*.
    pub(crate) kill_fetchers: f64,
    /// The seeder is killed once it has sent this many copies.
    pub(crate) kill_seeder_after: Option<f64>,
}

impl Scenario {
    /// Seeder first.
    pub(crate) fn links(&self) -> Vec<Link> {
        let full = Link { up: self.rate, down: self.rate };
        let fetcher = |number: usize| {
            if self.slow_half && number % 2 == 1 { Link { up: self.rate / 4, ..full } } else { full }
        };
        std::iter::once(full).chain((0..self.fetchers).map(fetcher)).collect()
    }

    /// T*: no protocol can be done earlier on links of which `share` of the raw rate carries payload.
    pub(crate) fn bound(&self, share: f64) -> Duration {
        let bytes = |bits: u64| bits as f64 / 8.0 * share;
        let links = self.links();
        let size = self.size as f64;
        let seeder = bytes(links[0].up);
        let slowest = links[1..].iter().map(|link| bytes(link.down)).fold(f64::INFINITY, f64::min);
        let all: f64 = links.iter().map(|link| bytes(link.up)).sum();
        let seconds = (size / seeder).max(size / slowest).max(self.fetchers as f64 * size / all);
        Duration::from_secs_f64(seconds)
    }

    /// When fetcher `number` starts.
    pub(crate) fn start_of(&self, number: usize) -> Duration {
        if !self.join {
            return Duration::ZERO;
        }
        self.bound(1.0).mul_f64(number as f64 / self.fetchers.saturating_sub(1).max(1) as f64)
    }

    /// Whether fetcher `number` is one of those killed half way.
    pub(crate) fn is_doomed(&self, number: usize) -> bool {
        let doomed = (self.kill_fetchers * self.fetchers as f64).round() as usize;
        number >= self.fetchers - doomed
    }

    /// What makes it differ from everybody starting together on equal links with one file.
    pub(crate) fn label(&self) -> String {
        let mut parts = Vec::new();
        if self.files > 0 {
            parts.push(format!("{} files", self.files));
        }
        if self.slow_half {
            parts.push("half upload at a quarter".into());
        }
        if self.join {
            parts.push("joining over T*".into());
        }
        if self.kill_fetchers > 0.0 {
            parts.push(format!("{:.0} % killed half way", self.kill_fetchers * 100.0));
        }
        if let Some(copies) = self.kill_seeder_after {
            parts.push(format!("seeder killed after {copies} copies"));
        }
        let what = if parts.is_empty() { "uniform".to_owned() } else { parts.join(", ") };
        format!("{what}; {} at {} Mbit/s", stats::bytes(self.size), self.rate as f64 / 1e6)
    }

    /// Whether it belongs on the plot of T_last against N.
    pub(crate) fn is_plain(&self) -> bool {
        !(self.slow_half || self.join)
            && self.files == 0
            && self.kill_fetchers == 0.0
            && self.kill_seeder_after.is_none()
    }
}
