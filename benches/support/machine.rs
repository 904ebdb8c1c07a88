//! What a measurement was made on: read from the kernel, never assumed.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// The machine, as it goes beside every set of results.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) congestion_control: String,
    /// One-minute load average when the benchmark began: anything above 0.3 spoils the figures.
    pub(crate) load_before: f64,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let cpuinfo = text("/proc/cpuinfo");
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            cpu: cpu.map_or("unknown".into(), |(_, model)| model.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: meminfo_kib("MemTotal") * 1024,
            kernel: text("/proc/sys/kernel/osrelease")
                .split('-')
                .next()
                .unwrap_or("unknown")
                .trim()
                .to_owned(),
            congestion_control: text("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            load_before: load_average(),
        }
    }

    /// One sentence for the document.
    pub(crate) fn sentence(&self) -> String {
        format!(
            "{} cores of {}, {} of memory, Linux {}, TCP {}; load average before the run {:.2}.",
            self.cores,
            self.cpu,
            super::stats::bytes(self.memory_bytes >> 20 << 20),
            self.kernel,
            self.congestion_control,
            self.load_before
        )
    }
}

/// The file system type that holds `path`: `ext4`, `tmpfs`.
pub(crate) fn file_system(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = text("/proc/self/mounts");
    let holding = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        path.starts_with(point).then_some((point.len(), kind))
    });
    // Of two mounts on one point the later hides the earlier, and `max_by_key` keeps the last.
    holding.max_by_key(|(length, _)| *length).map_or("unknown".into(), |(_, kind)| kind.to_owned())
}

/// One figure of /proc/meminfo, in KiB; 0 when the kernel does not say.
pub(crate) fn meminfo_kib(field: &str) -> u64 {
    let info = text("/proc/meminfo");
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

pub(crate) fn load_average() -> f64 {
    text("/proc/loadavg").split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
