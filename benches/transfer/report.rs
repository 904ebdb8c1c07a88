//! Times to tables: what was measured, beside what was to be reached.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::contender::{CLOSED, Memory, OURS};
use crate::support::document;
use crate::support::machine::Machine;
use crate::support::plot::{self, Group};
use crate::support::stats::Sample;
use crate::support::table::Table;

/// Everything one run of the benchmark found.
#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<Row>,
}

/// One item on one medium.
#[derive(Serialize)]
pub(crate) struct Row {
    label: String,
    bytes: u64,
    /// Fetches that began while the disk was still writing for others.
    unsettled: usize,
    /// Seconds, by contender.
    pub(crate) times: BTreeMap<String, Sample>,
    /// CPU seconds of both sides, by contender.
    cpu: BTreeMap<String, Sample>,
    pub(crate) memory: Option<Memory>,
    /// Contenders that could not take part, and why.
    pub(crate) missing: Vec<String>,
}

/// One fetch.
pub(crate) struct Fetched {
    pub(crate) seconds: f64,
    /// CPU seconds of both sides, where that is of interest.
    pub(crate) cpu: Option<f64>,
    /// Whether the disk was at rest when it began.
    pub(crate) settled: bool,
}

/// The columns of the table, ours first.
const CONTENDERS: [&str; 6] = [OURS, CLOSED, "rsync", "curl + b3sum", "tar", "bare copy"];

impl Row {
    pub(crate) fn new(label: String, bytes: u64) -> Self {
        let (times, cpu) = (BTreeMap::new(), BTreeMap::new());
        Self { label, bytes, unsettled: 0, times, cpu, memory: None, missing: Vec::new() }
    }

    /// Notes one fetch; false takes the contender out of the row, with the reason.
    pub(crate) fn take(&mut self, name: &str, fetched: Result<Fetched>) -> bool {
        match fetched {
            Ok(Fetched { seconds, cpu, settled }) => {
                note(&mut self.times, name, seconds);
                if let Some(cpu) = cpu {
                    note(&mut self.cpu, name, cpu);
                }
                self.unsettled += usize::from(!settled);
                true
            }
            Err(error) => {
                self.times.remove(name);
                self.missing.push(format!("{name}: {error:#}"));
                false
            }
        }
    }

    /// How many times as much the closed one takes, by the medians: wall time, CPU.
    fn price(&self) -> Option<[f64; 2]> {
        let ratio = |of: &BTreeMap<String, Sample>| Some(of.get(CLOSED)?.median / of.get(OURS)?.median);
        Some([ratio(&self.times)?, ratio(&self.cpu)?])
    }

    /// How many times faster than `name` we are, by the medians.
    fn ratio(&self, name: &str) -> Option<f64> {
        Some(self.times.get(name)?.median / self.times.get(OURS)?.median)
    }

    /// Against the faster of rsync and curl with b3sum.
    fn best_ratio(&self) -> Option<f64> {
        [self.ratio("rsync"), self.ratio("curl + b3sum")].into_iter().flatten().reduce(f64::min)
    }

    fn gigabytes_per_second(&self, name: &str) -> Option<f64> {
        Some(self.bytes as f64 / 1e9 / self.times.get(name)?.median)
    }

    /// A row while it is still warm, for standard error.
    pub(crate) fn line(&self) -> String {
        let times: Vec<String> =
            self.times.iter().map(|(name, sample)| format!("{name} {}", sample.seconds())).collect();
        let missing: Vec<String> = self.missing.iter().map(|name| format!("missing {name}")).collect();
        format!("{}: {}", self.label, [times, missing].concat().join("; "))
    }
}

/// One more run of a contender.
fn note(samples: &mut BTreeMap<String, Sample>, name: &str, run: f64) {
    let mut runs = samples.remove(name).map_or_else(Vec::new, |sample| sample.runs);
    runs.push(run);
    samples.extend(Sample::new(runs).map(|sample| (name.to_owned(), sample)));
}

impl Results {
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}\n\n{}\n{}", self.machine.sentence(), self.times(), self.ratios());
        for row in &self.rows {
            for missing in &row.missing {
                text.push_str(&format!("\nMissing in {}: {}\n", row.label, missing.trim_end()));
            }
            if row.unsettled > 0 {
                text.push_str(&format!(
                    "\n{}: the disk was busy before {} fetches.\n",
                    row.label, row.unsettled
                ));
            }
        }
        text
    }

    fn times(&self) -> String {
        let header = ["fetch"].into_iter().chain(CONTENDERS).map(str::to_owned).collect();
        let mut table = Table::with_header(header);
        for row in &self.rows {
            let cell = |name: &&str| row.times.get(*name).map_or("-".to_owned(), Sample::seconds);
            table.push([row.label.clone()].into_iter().chain(CONTENDERS.iter().map(cell)).collect());
        }
        table.markdown()
    }

    fn ratios(&self) -> String {
        let mut table = Table::new([
            "fetch",
            "p2p",
            "times the best of rsync, curl + b3sum",
            "times the bare copy",
            "times tar",
            "closed: times the wall, CPU",
            "peak memory: seeder, leecher",
        ]);
        let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
        for row in &self.rows {
            table.row([
                row.label.clone(),
                row.gigabytes_per_second(OURS).map_or("-".to_owned(), |rate| format!("{rate:.2} GB/s")),
                show(row.best_ratio()),
                show(row.ratio("bare copy")),
                show(row.ratio("tar")),
                row.price().map_or("-".to_owned(), |[wall, cpu]| format!("{wall:.2}, {cpu:.2}")),
                row.memory.map_or("-".to_owned(), |memory| {
                    format!("{}, {}", mib(memory.seeder_kib), mib(memory.leecher_kib))
                }),
            ]);
        }
        table.markdown()
    }

    /// Puts the tables and the plot into the document.
    pub(crate) fn write(&self) -> Result<()> {
        let groups: Vec<Group> = self
            .rows
            .iter()
            .map(|row| Group {
                label: row.label.clone(),
                values: CONTENDERS.iter().map(|name| row.gigabytes_per_second(name)).collect(),
            })
            .collect();
        let title = "One peer to one peer over the loopback (longer is better)";
        document::write_plot("transfer", &plot::bars(title, "GB/s", &CONTENDERS, &groups)?)?;
        document::write_section("transfer", &format!("{}\n\n![Rates](transfer.svg)", self.markdown()))
    }
}
