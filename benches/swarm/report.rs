//! Outcomes to a table and a plot.

use anyhow::Result;
use serde::Serialize;

use crate::contender::Ledger;
use crate::race::{Fetched, Outcome};
use crate::support::document;
use crate::support::machine::Machine;
use crate::support::plot::{self, Series};
use crate::support::stats;
use crate::support::table::Table;

/// Everything one run of the benchmark found.
#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) outcomes: Vec<Outcome>,
    /// Contenders that could not take part, and why.
    pub(crate) missing: Vec<String>,
}

impl Outcome {
    fn times(&self) -> Vec<f64> {
        self.fetchers.iter().filter_map(|fetcher| fetcher.seconds).collect()
    }

    /// Fetchers that were left alone, and how many of them have everything.
    fn finished(&self) -> (usize, usize) {
        let left_alone = self.fetchers.iter().filter(|fetcher| !fetcher.killed);
        (left_alone.clone().filter(|fetcher| fetcher.seconds.is_some()).count(), left_alone.count())
    }

    /// T_last; None unless everybody who was left alone has everything.
    pub(crate) fn last(&self) -> Option<f64> {
        let (finished, all) = self.finished();
        (finished == all && all > 0).then(|| self.times().into_iter().fold(0.0, f64::max))
    }

    /// T* / T_last with T* from the raw rate of the links.
    pub(crate) fn eta(&self) -> Option<f64> {
        Some(self.bound / self.last()?)
    }

    fn ledger(&self) -> Option<Ledger> {
        let ledgers: Vec<Ledger> = self.fetchers.iter().filter_map(|fetcher| fetcher.ledger).collect();
        let sum = |of: fn(&Ledger) -> u64| ledgers.iter().map(of).sum();
        (!ledgers.is_empty()).then(|| Ledger {
            bytes: sum(|ledger| ledger.bytes),
            duplicate: sum(|ledger| ledger.duplicate),
            rejected: sum(|ledger| ledger.rejected),
            overhead: sum(|ledger| ledger.overhead),
        })
    }

    /// All that came down the fetchers' links, beyond what they wanted, in percent; headers and
    /// acknowledgements are in it, 4.6 of them unavoidable.
    fn wire_extra(&self) -> Option<f64> {
        self.last()?;
        let whole = self.fetchers.iter().filter(|fetcher| !fetcher.killed);
        let received: u64 = whole.clone().map(|fetcher| fetcher.received).sum();
        Some((received as f64 / (whole.count() as f64 * self.scenario.size as f64) - 1.0) * 100.0)
    }

    /// The scenario, and what of it did not come about.
    fn label(&self) -> String {
        let spared = self.scenario.kill_seeder_after.is_some() && !self.seeder_killed;
        let label = self.scenario.label();
        if spared { format!("{label} (done before that, so it was not killed)") } else { label }
    }

    /// For standard error, as soon as it is known.
    pub(crate) fn line(&self) -> String {
        let (finished, all) = self.finished();
        let eta = self.eta().map_or("-".to_owned(), |eta| format!("{eta:.3}"));
        let failures = self.fetchers.iter().filter_map(|fetcher| fetcher.failure.as_deref());
        let failure = failures.take(1).map(|failure| format!("\n  {failure}")).collect::<String>();
        format!(
            "{}, {}, N = {}: {finished} of {all} finished, eta {eta}, {:.2} copies, machine {:.0} % busy{failure}",
            self.contender,
            self.label(),
            self.scenario.fetchers,
            self.copies,
            self.machine_busy * 100.0
        )
    }
}

impl Results {
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}\n\n{}\n{}", self.machine.sentence(), self.times(), self.costs());
        for missing in &self.missing {
            text.push_str(&format!("\nMissing: {missing}\n"));
        }
        text
    }

    fn times(&self) -> String {
        let mut table = Table::new([
            "scenario",
            "N",
            "program",
            "runs",
            "T* s",
            "T_first",
            "T_mean",
            "T_last",
            "η",
            "η of plain TCP",
            "copies",
        ]);
        for same in self.groups() {
            let outcome = middle(&same);
            let times = outcome.times();
            let (finished, all) = outcome.finished();
            let seconds = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
            let mean = (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64);
            let unfinished = format!("{finished} of {all} finished");
            table.row([
                outcome.label(),
                outcome.scenario.fetchers.to_string(),
                outcome.contender.clone(),
                same.len().to_string(),
                format!("{:.2}", outcome.bound),
                seconds(times.iter().copied().reduce(f64::min)),
                seconds(mean),
                outcome.last().map_or(unfinished, |last| format!("{last:.2}")),
                eta(&same),
                outcome.eta().map_or("-".to_owned(), |eta| format!("{:.3}", eta / outcome.tcp_share)),
                format!("{:.2}", outcome.copies),
            ]);
        }
        table.markdown()
    }

    fn costs(&self) -> String {
        let mut table = Table::new([
            "scenario",
            "N",
            "program",
            "duplicate %",
            "duplicate + rejected + protocol %",
            "on the wire beyond payload %",
            "CPU s: seeder, fetcher",
            "peak memory: seeder, fetcher",
            "machine busy %",
        ]);
        for same in self.groups() {
            let outcome = middle(&same);
            let percent = |of: fn(&Ledger) -> u64| {
                let part = |ledger: Ledger| of(&ledger) as f64 * 100.0 / ledger.bytes.max(1) as f64;
                outcome.ledger().map_or("-".to_owned(), |ledger| format!("{:.2}", part(ledger)))
            };
            let (cpu, memory) = (mean_cpu(&outcome.fetchers), peak(&outcome.fetchers));
            table.row([
                outcome.label(),
                outcome.scenario.fetchers.to_string(),
                outcome.contender.clone(),
                percent(|ledger| ledger.duplicate),
                percent(|ledger| ledger.duplicate + ledger.rejected + ledger.overhead),
                outcome.wire_extra().map_or("-".to_owned(), |extra| format!("{extra:.1}")),
                format!("{:.2}, {cpu:.2}", outcome.seeder.cpu_seconds),
                format!("{}, {}", mib(outcome.seeder.peak_kib), mib(memory)),
                format!("{:.0}", outcome.machine_busy * 100.0),
            ]);
        }
        table.markdown()
    }

    /// Runs of the same thing, in the order in which the things came first.
    fn groups(&self) -> Vec<Vec<&Outcome>> {
        let key = |outcome: &Outcome| (outcome.contender.clone(), outcome.label(), outcome.scenario.fetchers);
        let mut groups: Vec<Vec<&Outcome>> = Vec::new();
        for outcome in &self.outcomes {
            match groups.iter_mut().find(|group| key(group[0]) == key(outcome)) {
                Some(group) => group.push(outcome),
                None => groups.push(vec![outcome]),
            }
        }
        groups
    }

    /// Puts the tables and the plot into the document.
    pub(crate) fn write(&self) -> Result<()> {
        let mut series: Vec<Series> = Vec::new();
        for same in self.groups().into_iter().filter(|same| same[0].scenario.is_plain()) {
            let outcome = middle(&same);
            let Some(eta) = outcome.eta().filter(|_| outcome.scenario.size == self.outcomes[0].scenario.size)
            else {
                continue;
            };
            let point = (outcome.scenario.fetchers as f64, 1.0 / eta);
            match series.iter_mut().find(|line| line.label == outcome.contender) {
                Some(line) => line.points.push(point),
                None => series.push(Series { label: outcome.contender.clone(), points: vec![point] }),
            }
        }
        let title = "Time until the last of N has everything, in multiples of T* (lower is better)";
        document::write_plot("swarm", &plot::lines(title, "fetchers", "T_last / T*", &series)?)?;
        document::write_section("swarm", &format!("{}\n![T_last / T*](swarm.svg)", self.markdown()))
    }
}

/// The run in the middle by T_last; one that did not finish counts as the slowest.
fn middle<'a>(same: &[&'a Outcome]) -> &'a Outcome {
    let mut sorted = same.to_vec();
    let time = |outcome: &Outcome| outcome.last().unwrap_or(f64::INFINITY);
    sorted.sort_by(|a, b| time(a).total_cmp(&time(b)));
    sorted[sorted.len() / 2]
}

fn eta(same: &[&Outcome]) -> String {
    let etas: Vec<f64> = same.iter().filter_map(|outcome| outcome.eta()).collect();
    match (middle(same).eta(), stats::Sample::new(etas)) {
        (Some(eta), Some(sample)) if same.len() > 1 => {
            format!("{eta:.3} ({:.3} to {:.3})", sample.min, sample.max)
        }
        (Some(eta), _) => format!("{eta:.3}"),
        _ => "-".into(),
    }
}

fn mean_cpu(fetchers: &[Fetched]) -> f64 {
    fetchers.iter().map(|fetcher| fetcher.usage.cpu_seconds).sum::<f64>() / fetchers.len().max(1) as f64
}

fn peak(fetchers: &[Fetched]) -> u64 {
    fetchers.iter().map(|fetcher| fetcher.usage.peak_kib).max().unwrap_or(0)
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}
