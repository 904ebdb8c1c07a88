//! `/metrics`: what is counted elsewhere, as Prometheus reads it. Nothing is counted for it twice, and no text of
//! strangers is in it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering;

use hyper::header::ACCEPT;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::answer::{Answer, Problem};
use super::request::Asked;
use super::site::{House, Site};
use super::swarm;
use crate::api::TransferState;
use crate::threads::lock;
use crate::tracker::recorder::View;

/// One number.
#[derive(Debug, Clone)]
struct Row {
    name: &'static str,
    help: &'static str,
    counts: bool,
    /// A label and its value, if it has one.
    label: Option<(&'static str, String)>,
    value: f64,
}

/// All numbers of now; those of one name come one after the other.
#[derive(Debug, Clone)]
struct Snapshot(Vec<Row>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for rows in self.0.chunk_by(|a, b| a.name == b.name) {
            let [first, ..] = rows else { continue };
            let kind = if first.counts { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(first.name, first.help, None, kind)?;
            for row in rows {
                let labels: Vec<_> = row.label.clone().into_iter().collect();
                encode(&mut metric, row, &labels)?;
            }
        }
        Ok(())
    }
}

fn encode(
    metric: &mut MetricEncoder<'_>,
    row: &Row,
    labels: &Vec<(&'static str, String)>,
) -> Result<(), std::fmt::Error> {
    let mut metric = metric.encode_family(labels)?;
    match row.counts {
        true => metric.encode_counter::<NoLabelSet, f64, u64>(&row.value, None),
        false => metric.encode_gauge(&row.value),
    }
}

#[derive(Default)]
struct Rows(Vec<Row>);

impl Rows {
    fn put(&mut self, (name, help, counts): (&'static str, &'static str, bool), value: f64) {
        self.0.push(Row { name, help, counts, label: None, value });
    }

    fn labelled(
        &mut self,
        (name, help, counts): (&'static str, &'static str, bool),
        label: (&'static str, &str),
        value: f64,
    ) {
        self.0.push(Row { name, help, counts, label: Some((label.0, label.1.to_owned())), value });
    }
}

/// What who reads OpenMetrics says that he takes.
const OPEN: &str = "application/openmetrics-text";

/// `GET /metrics`: as OpenMetrics for who takes that, else in the text format that came before it.
pub(super) fn metrics(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let mut rows = Rows::default();
    let version = env!("CARGO_PKG_VERSION");
    rows.labelled(("p2p_build_info", "The version of the program", false), ("version", version), 1.0);
    rows.put(("p2p_uptime_seconds", "Seconds since the page was there", false), site.uptime().as_secs_f64());
    match &site.house {
        House::Peer(peer) => of_peer(&mut rows, peer),
        House::Tracker(tracker) => {
            of_tracker(&mut rows, site)?;
            tracker.view().iter().for_each(|view| of_cluster(&mut rows, view));
        }
    }
    let answered = ("p2p_web_requests", "Requests to the page, by the class of the answer", true);
    for (class, count) in ["other", "1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(&site.answered) {
        rows.labelled(answered, ("class", class), count.load(Ordering::Relaxed) as f64);
    }
    let refused = lock(&site.accounts).refused as f64;
    rows.put(("p2p_web_guesses_refused", "Wrong guesses of who is to be let in", true), refused);
    rows.put(("p2p_web_listeners", "Streams of events", false), site.hub.listeners() as f64);
    process(&mut rows);
    let text = text(rows).map_err(|error| Problem::internal(error.to_string()))?;
    match asked.header(ACCEPT.as_str()).is_some_and(|takes| takes.contains(OPEN)) {
        true => Ok(Answer::of("application/openmetrics-text; version=1.0.0; charset=utf-8", text)),
        false => Ok(Answer::of("text/plain; version=0.0.4; charset=utf-8", classic(&text))),
    }
}

fn text(rows: Rows) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(rows.0)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The same in the format 0.0.4 of Prometheus: there a counter is explained under the name that its values have.
fn classic(text: &str) -> String {
    let name = |line: &str| line.split(' ').nth(2).unwrap_or_default().to_owned();
    let types = text.lines().filter(|line| line.starts_with("# TYPE ") && line.ends_with(" counter"));
    let counters: BTreeSet<String> = types.map(name).collect();
    let mut out = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        let called = name(line);
        let line = match line.starts_with("# ") && counters.contains(&called) {
            true => line.replacen(&called, &format!("{called}_total"), 1),
            false => line.to_owned(),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn of_peer(rows: &mut Rows, peer: &crate::peer::Hand) {
    let (status, transfers) = (peer.status(), peer.transfers());
    let bytes = ("p2p_peer_bytes", "Bytes of the transfers that are told of, and of all that was sent", true);
    let ledger = |of: fn(&crate::api::LedgerView) -> u64| -> f64 {
        transfers.iter().map(|transfer| of(&transfer.status.ledger)).sum::<u64>() as f64
    };
    rows.labelled(bytes, ("kind", "useful"), ledger(|ledger| ledger.useful));
    rows.labelled(bytes, ("kind", "duplicate"), ledger(|ledger| ledger.duplicate));
    rows.labelled(bytes, ("kind", "rejected"), ledger(|ledger| ledger.rejected));
    rows.labelled(bytes, ("kind", "overhead"), ledger(|ledger| ledger.overhead));
    rows.labelled(bytes, ("kind", "sent"), status.sent as f64);
    let states = [
        TransferState::Locating,
        TransferState::Joined,
        TransferState::Fetching,
        TransferState::Paused,
        TransferState::Done,
        TransferState::Cancelled,
        TransferState::Failed,
    ];
    for state in states {
        let count = transfers.iter().filter(|transfer| transfer.status.state == state).count();
        let of = ("p2p_peer_transfers", "Transfers by their state", false);
        rows.labelled(of, ("state", &state.to_string()), count as f64);
    }
    rows.put(("p2p_peer_uploads", "Uploads served now", false), f64::from(status.uploads));
    rows.put(("p2p_peer_downloads", "Downloads running now", false), f64::from(status.downloads));
    rows.put(("p2p_peer_files", "Files shared", false), status.files as f64);
    rows.put(("p2p_peer_shared_bytes", "Bytes of the files shared", false), status.bytes as f64);
    let connected = status.trackers.iter().filter(|tracker| tracker.connected).count();
    rows.put(("p2p_peer_trackers", "Trackers of this peer", false), status.trackers.len() as f64);
    rows.put(("p2p_peer_trackers_connected", "Those that are connected", false), connected as f64);
}

fn of_tracker(rows: &mut Rows, site: &Site) -> Result<(), Problem> {
    let status = swarm::status(site)?;
    rows.put(("p2p_tracker_peers", "Registered peers", false), f64::from(status.peers));
    rows.put(("p2p_tracker_names", "Pairs of name and content", false), f64::from(status.names));
    let registrations = status.registrations as f64;
    rows.put(("p2p_tracker_registrations", "Names and contents at peers", false), registrations);
    rows.put(("p2p_tracker_located", "Questions for contents answered", true), status.located as f64);
    Ok(())
}

/// How the tracker stands in its cluster.
fn of_cluster(rows: &mut Rows, view: &View) {
    let yes = |is: bool| if is { 1.0 } else { 0.0 };
    let quorum = ("p2p_cluster_quorum", "1 while the trackers can agree, as this one sees it", false);
    rows.put(quorum, yes(view.stuck().is_none()));
    rows.put(("p2p_cluster_leader", "1 while this tracker leads", false), yes(view.leads));
    rows.put(("p2p_cluster_members", "Trackers that are one", false), view.members.len() as f64);
    rows.put(("p2p_cluster_connected", "Other trackers that are connected", false), view.others.len() as f64);
    rows.put(
        ("p2p_cluster_applied", "The slot of the log up to which all is applied", false),
        view.slot as f64,
    );
}

/// What the system says of this process.
fn process(rows: &mut Rows) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
    };
    if let Some(kib) = number("VmRSS:") {
        rows.put(("process_resident_memory_bytes", "Memory in use", false), kib * 1024.0);
    }
    if let Some(threads) = number("Threads:") {
        rows.put(("process_threads", "Threads", false), threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        rows.put(("process_open_fds", "Open descriptors", false), open.count() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_explained_once_and_counters_are_told_from_what_goes_up_and_down() {
        let mut rows = Rows::default();
        let bytes = ("p2p_bytes", "Bytes", true);
        rows.labelled(bytes, ("kind", "useful"), 1048576.0);
        rows.labelled(bytes, ("kind", "a \"name\"\n"), 2.0);
        rows.put(("p2p_peers", "Peers", false), 3.0);
        let text = text(rows).unwrap();
        let expected = [
            "# HELP p2p_bytes Bytes",
            "# TYPE p2p_bytes counter",
            "p2p_bytes_total{kind=\"useful\"} 1048576.0",
            "p2p_bytes_total{kind=\"a \\\"name\\\"\\n\"} 2.0",
            "# HELP p2p_peers Peers",
            "# TYPE p2p_peers gauge",
            "p2p_peers{} 3.0",
            "# EOF",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        let mut before = expected.map(str::to_owned).to_vec();
        before[0] = "# HELP p2p_bytes_total Bytes".to_owned();
        before[1] = "# TYPE p2p_bytes_total counter".to_owned();
        before.pop();
        assert_eq!(classic(&text).lines().collect::<Vec<_>>(), before);
    }

    #[test]
    fn what_the_system_says_of_this_process_is_told() {
        let mut rows = Rows::default();
        process(&mut rows);
        let of = |name: &str| rows.0.iter().find(|row| row.name == name).map(|row| row.value);
        assert!(of("process_resident_memory_bytes").unwrap() > 1e6, "it is counted in bytes");
        assert!(of("process_threads").unwrap() >= 1.0);
        assert!(of("process_open_fds").unwrap() >= 3.0);
    }
}
