//! Times to a table and a plot.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::support::machine::Machine;
use crate::support::plot::{self, Series};
use crate::support::table::Table;
use crate::support::{document, stats};
use crate::{HOLDERS, ORACLE, POLICIES};

/// Everything one run found.
#[derive(Serialize)]
pub(crate) struct Results {
    machine: Machine,
    /// Seconds of each fetch, by holders, policy and seed.
    times: BTreeMap<usize, BTreeMap<String, BTreeMap<u64, Vec<f64>>>>,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl Results {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, times: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, seed: u64, holders: usize, policy: &str, seconds: f64) {
        let of_policy = self.times.entry(holders).or_default().entry(policy.to_owned()).or_default();
        of_policy.entry(seed).or_default().push(seconds);
    }

    /// The mean of each seed.
    fn seeds(&self, holders: usize, policy: &str) -> Vec<f64> {
        let seeds = self.times.get(&holders).and_then(|policies| policies.get(policy));
        seeds.map_or_else(Vec::new, |seeds| seeds.values().map(|times| mean(times)).collect())
    }

    /// A seed while it is still warm, for standard error.
    pub(crate) fn line(&self, seed: u64) -> String {
        let cells = POLICIES.map(|policy| {
            let times = HOLDERS.map(|holders| {
                let times = &self.times[&holders][policy][&seed];
                format!("{:.2}", mean(times))
            });
            format!("{policy} {}", times.join(" "))
        });
        cells.join("; ")
    }

    pub(crate) fn markdown(&self) -> String {
        let header = ["holders"].into_iter().chain(POLICIES).chain(["both / oracle", "both / next best"]);
        let mut table = Table::with_header(header.map(str::to_owned).collect());
        for holders in HOLDERS {
            let mean_of = |policy: &str| mean(&self.seeds(holders, policy));
            let cell = |policy: &&str| {
                let seeds = self.seeds(holders, policy);
                format!("{:.2} s ± {:.2}", mean(&seeds), standard_error(&seeds))
            };
            let ratios: Vec<f64> = self
                .seeds(holders, "both")
                .iter()
                .zip(self.seeds(holders, ORACLE))
                .map(|(ours, best)| ours / best)
                .collect();
            let others = ["random", "latency", "load"].map(mean_of).into_iter().fold(f64::INFINITY, f64::min);
            let mut row = vec![holders.to_string()];
            row.extend(POLICIES.iter().map(cell));
            row.push(format!(
                "{:.2} (median of seeds {:.2})",
                mean_of("both") / mean_of(ORACLE),
                stats::median(&ratios).unwrap_or(f64::NAN)
            ));
            row.push(format!("{:.2}", mean_of("both") / others));
            table.push(row);
        }
        let seeds = self.seeds(HOLDERS[0], ORACLE).len();
        let what = "Mean time of a fetch, whole command, in seconds, ± the standard error over draws";
        format!(
            "{}\n\n{what} ({seeds} draws of latencies and loads).\n\n{}",
            self.machine.sentence(),
            table.markdown()
        )
    }

    /// Puts table and plot into the document.
    pub(crate) fn write(&self) -> Result<()> {
        let series = POLICIES.map(|policy| Series {
            label: policy.to_owned(),
            points: HOLDERS.map(|holders| (holders as f64, mean(&self.seeds(holders, policy)))).to_vec(),
        });
        let title = "Time to fetch a chunk against the number of peers that have it (lower is better)";
        document::write_plot("selection", &plot::lines(title, "holders", "seconds", &series)?)?;
        let text = format!("{}\n\n![Times](selection.svg)", self.markdown());
        document::write_section_of("docs/SELECTION.md", "selection", &text)
    }
}

fn standard_error(values: &[f64]) -> f64 {
    let (count, mean) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0).max(1.0) / count.max(1.0)).sqrt()
}
