//! What every link carried when: where a swarm's time goes. The counters are read by threads that live
//! in the hosts' namespaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::lab::{self, Host, Link};
use crate::support::table::Table;

/// How often a counter is read.
const TICK: Duration = Duration::from_millis(5);
/// One row of the table; at the start, where most is lost, they are shorter.
const ROW: Duration = Duration::from_millis(500);
const EARLY_ROW: Duration = Duration::from_millis(50);
const EARLY: Duration = Duration::from_secs(1);

/// Reads one host's interface counters until dropped.
pub(crate) struct Watch {
    link: Option<Link>,
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Vec<Sample>>>>,
}

/// Bytes that have left and reached a host since the watch began.
#[derive(Clone, Copy)]
struct Sample {
    at: Duration,
    sent: u64,
    received: u64,
}

impl Watch {
    pub(crate) fn start(host: &Host) -> Result<Watch> {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (Arc::clone(&sent), Arc::clone(&stop));
        let thread = host.spawn(move || {
            let (begin, first) = (Instant::now(), lab::counters());
            let mut samples = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let (sent, received) = lab::counters();
                samples.push(Sample {
                    at: begin.elapsed(),
                    sent: sent - first.0,
                    received: received - first.1,
                });
                counter.store(sent - first.0, Ordering::Relaxed);
                thread::sleep(TICK); // a sample each tick is what a timeline is made of
            }
            Ok(samples)
        })?;
        Ok(Watch { link: host.link, sent, stop, thread: Some(thread) })
    }

    /// Bytes since the start; a little more than payload.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn end(&mut self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the watch has ended")?;
        thread.join().map_err(|_| anyhow!("a watch panicked"))?
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.end(); // whoever wanted its samples has asked for them
    }
}

/// The share of its rate at which each link worked, row by row, in percent. The first watch is the seeder's.
pub(crate) fn table(watches: Vec<Watch>) -> Result<String> {
    let mut hosts: Vec<(Link, Vec<Sample>)> = Vec::new();
    for mut watch in watches {
        if let Some(link) = watch.link {
            hosts.push((link, watch.end()?));
        }
    }
    let end = hosts.iter().filter_map(|(_, samples)| Some(samples.last()?.at)).max().unwrap_or_default();
    let mut table =
        Table::new(["until s", "seeder up", "up, mean", "up, least", "down, mean", "down, least"]);
    let mut from = Duration::ZERO;
    while from < end {
        let until = from + if from < EARLY { EARLY_ROW } else { ROW };
        let shares: Vec<(f64, f64)> = hosts
            .iter()
            .map(|(link, samples)| {
                let (first, last) = (at(samples, from), at(samples, until));
                let share = |bytes: u64, rate: u64| {
                    bytes as f64 * 8.0 / rate as f64 / (until - from).as_secs_f64() * 100.0
                };
                (share(last.sent - first.sent, link.up), share(last.received - first.received, link.down))
            })
            .collect();
        let fetchers = &shares[1..];
        let mean = |of: fn(&(f64, f64)) -> f64| fetchers.iter().map(of).sum::<f64>() / fetchers.len() as f64;
        let least = |of: fn(&(f64, f64)) -> f64| fetchers.iter().map(of).fold(f64::INFINITY, f64::min);
        let percent = |value: f64| format!("{value:.0}");
        table.row([
            format!("{:.2}", until.as_secs_f64()),
            percent(shares[0].0),
            percent(mean(|share| share.0)),
            percent(least(|share| share.0)),
            percent(mean(|share| share.1)),
            percent(least(|share| share.1)),
        ]);
        from = until;
    }
    Ok(table.markdown())
}

/// The last sample that is not later than `when`.
fn at(samples: &[Sample], when: Duration) -> Sample {
    let count = samples.partition_point(|sample| sample.at <= when);
    samples.get(count.saturating_sub(1)).copied().unwrap_or(Sample { at: when, sent: 0, received: 0 })
}
