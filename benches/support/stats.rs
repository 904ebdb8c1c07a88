//! Medians of a few runs, and numbers as people read them.

use serde::Serialize;

/// What several runs of one thing gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    /// In the order they were measured.
    pub(crate) runs: Vec<f64>,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Sample {
    /// None without a run.
    pub(crate) fn new(runs: Vec<f64>) -> Option<Self> {
        let median = median(&runs)?;
        let min = runs.iter().copied().fold(f64::INFINITY, f64::min);
        let max = runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Self { runs, median, min, max })
    }

    /// `0.412 s (0.401 to 0.530)`.
    pub(crate) fn seconds(&self) -> String {
        format!("{:.3} s ({:.3} to {:.3})", self.median, self.min, self.max)
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// `64 MiB`, `1.5 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in units {
        if count >= unit {
            let value = count as f64 / unit as f64;
            return if value.fract() == 0.0 {
                format!("{value} {name}")
            } else {
                format!("{value:.1} {name}")
            };
        }
    }
    format!("{count} B")
}

/// `1024`, `64KiB`, `64MiB`, `1GiB`; a plain `k`, `M`, `G` counts in binary too.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 1u64,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return Err(format!("{text}: the unit is not one of KiB, MiB, GiB")),
    };
    let count: f64 = digits.parse().map_err(|_| format!("{text}: not a size"))?;
    Ok((count * unit as f64) as u64)
}
