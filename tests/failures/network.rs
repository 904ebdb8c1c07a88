//! A network that cuts, falls silent, delays, trickles and garbles, between peers and to the tracker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::lab::{DONE, Lab, UNREACHABLE, one_file, outcome};
use crate::support::{Cut, Proxy, Sample, Way, eventually, pattern, run};

/// How many fetches run side by side where many are needed.
const SIDE_BY_SIDE: usize = 4;
/// Two chunks and a bit: a conversation that has all kinds of messages.
const SMALL: usize = 140_000;

/// Runs `each` for every position that is given out, with a lab of its own for each of some threads.
fn at_every_position(positions: &[(Way, u64)], each: impl Fn(&Bench, Way, u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                let bench = Bench::new();
                while let Some((way, at)) = positions.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    each(&bench, *way, *at);
                }
            });
        }
    });
}

/// A seeder of a small file behind a proxy, and a tracker with another before it.
struct Bench {
    lab: Lab,
    peer_proxy: Proxy,
    tracker_proxy: Proxy,
    content: Vec<u8>,
    _seeder: crate::support::Daemon,
    _sample: Sample,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(SMALL)
    }

    fn of(bytes: usize) -> Bench {
        let lab = Lab::new();
        let content = pattern(bytes, 7);
        let sample = one_file("small", content.clone());
        let (seeder, peer_proxy) = lab.peer_behind_proxy(&sample, "seeder", &[]);
        let tracker_proxy = Proxy::to(lab.tracker.addr());
        lab.wait_for_seeders("small", 1);
        Bench { lab, peer_proxy, tracker_proxy, content, _seeder: seeder, _sample: sample }
    }

    /// A `get` by way of both proxies, which must succeed.
    #[track_caller]
    fn expect_get(&self, why: &str) {
        let args = ["get", "small", self.lab.dest(), "--listen", "127.0.0.1:0", "--wait", "20s"];
        let output = run(&[&args[..], &["--tracker", &self.tracker_proxy.target()]].concat());
        assert_eq!(output.code(), DONE, "{why}: {}", output.stderr);
        self.lab.expect_file("small", &self.content);
        std::fs::remove_file(self.lab.fetched("small")).expect("the file goes");
        assert!(!self.lab.fetched(".p2p/partial").exists(), "{why}: nothing is left behind");
    }
}

/// Every `step`th position of the first `most` bytes either way.
fn positions(most_in: u64, most_out: u64, step: usize) -> Vec<(Way, u64)> {
    let each = |way, most| (0..most).step_by(step).map(move |at| (way, at));
    each(Way::In, most_in).chain(each(Way::Out, most_out)).collect()
}

fn cut_between_peers(positions: &[(Way, u64)]) {
    at_every_position(positions, |bench, way, at| {
        let how = if at % 2 == 0 { Cut::Reset } else { Cut::End };
        // Both connections to the only source.
        bench.peer_proxy.set(|faults| (faults.cut, faults.cuts_left) = (Some((way, at, how)), Some(2)));
        bench.expect_get(&format!("between peers, {way:?} {at}, {how:?}"));
    });
}

fn cut_before_the_tracker(positions: &[(Way, u64)]) {
    at_every_position(positions, |bench, way, at| {
        let how = if at % 2 == 0 { Cut::Reset } else { Cut::End };
        bench.tracker_proxy.set(|faults| (faults.cut, faults.cuts_left) = (Some((way, at, how)), Some(2)));
        bench.expect_get(&format!("before the tracker, {way:?} {at}, {how:?}"));
    });
}

/// A step that is coprime to the sizes of fields, so that successive runs of messages are hit all over.
const STEP: usize = 23;

#[test]
fn a_cut_between_peers_anywhere_costs_another_try_and_no_more() {
    let mut positions = positions(260, 420, STEP);
    // Within the data, and around the end of the first chunk.
    positions.extend([5_000, 65_535, 65_936, 66_000, 100_001].map(|at| (Way::Out, at)));
    cut_between_peers(&positions);
}

#[test]
#[ignore = "every byte: a minute and a half; cargo test --test failures -- --ignored every_single_byte"]
fn every_single_byte_between_peers() {
    cut_between_peers(&positions(260, 1200, 1));
}

#[test]
fn a_cut_before_the_tracker_anywhere_costs_another_try_and_no_more() {
    cut_before_the_tracker(&positions(400, 460, STEP));
}

#[test]
#[ignore = "every byte: a minute and a half; cargo test --test failures -- --ignored every_single_byte"]
fn every_single_byte_before_the_tracker() {
    cut_before_the_tracker(&positions(400, 460, 1));
}

/// Two seeders of a file, each behind a proxy that carries so many bytes a second.
struct Two {
    lab: Lab,
    first: Proxy,
    second: Proxy,
    content: Vec<u8>,
    _peers: [crate::support::Daemon; 2],
    _samples: [Sample; 2],
}

impl Two {
    fn new(bytes: usize, rate: u64) -> Two {
        let lab = Lab::new();
        let content = pattern(bytes, 9);
        let sample = one_file("file", content.clone());
        let other = one_file("file", content.clone());
        let (one, first) = lab.peer_behind_proxy(&sample, "first", &[]);
        let (two, second) = lab.peer_behind_proxy(&other, "second", &[]);
        first.set(|faults| faults.rate = Some(rate));
        second.set(|faults| faults.rate = Some(rate));
        lab.wait_for_seeders("file", 2);
        Two { lab, first, second, content, _peers: [one, two], _samples: [sample, other] }
    }
}

/// Far below what waiting for a lost source takes (10 s), far above what the rest does.
const SOON: Duration = Duration::from_secs(7);

#[test]
fn a_half_open_connection_is_replaced_by_another_source() {
    let two = Two::new(8 << 20, 8 << 20);
    let fetch = two.lab.fetching("file", &[]);
    eventually("both have begun", || {
        let both = two.first.carried(Way::Out).min(two.second.carried(Way::Out));
        (both > 500_000).then_some(())
    });
    two.first.set(|faults| faults.held = true);
    let start = Instant::now();
    fetch.wait().expect(DONE);
    let took = start.elapsed();
    assert!(took < SOON, "the rest took {took:?}");
    two.lab.expect_file("file", &two.content);
}

#[test]
fn a_lone_half_open_source_is_waited_for_and_dialled_again() {
    let bench = Bench::new();
    bench.peer_proxy.set(|faults| faults.rate = Some(50_000));
    let fetch = bench.lab.fetching("small", &["--wait", "60s"]);
    eventually("it has begun", || (bench.peer_proxy.carried(Way::Out) > 30_000).then_some(()));
    // What is open now never carries a byte again; what is dialled from now on does.
    bench.peer_proxy.hold_open_ones();
    bench.peer_proxy.set(|faults| faults.rate = None);
    fetch.wait().expect(DONE);
    bench.lab.expect_file("small", &bench.content);
}

#[test]
fn a_half_open_source_alone_ends_in_giving_up_with_what_is_proved_kept() {
    let bench = Bench::of(1 << 20);
    bench.peer_proxy.set(|faults| faults.rate = Some(300_000));
    let fetch = bench.lab.fetching("small", &["--wait", "500ms"]);
    eventually("it has begun", || (bench.peer_proxy.carried(Way::Out) > 300_000).then_some(()));
    bench.peer_proxy.set(|faults| faults.held = true);
    let output = fetch.wait().expect(UNREACHABLE);
    assert!(output.stderr.contains("kept for next time"), "{}", output.stderr);
    bench.peer_proxy.cut_all(Cut::Reset);
    bench.peer_proxy.set(|faults| (faults.held, faults.rate) = (false, None));
    let again = outcome(&bench.lab.get("small", &[]).expect(DONE));
    assert!(again["bytes_resumed"].as_u64() > Some(0), "{again}");
    bench.lab.expect_file("small", &bench.content);
}

#[test]
fn delay_both_ways_costs_time_and_nothing_else() {
    let bench = Bench::new();
    bench.peer_proxy.set(|faults| faults.delay = Duration::from_millis(150));
    let status = outcome(&bench.lab.get("small", &[]).expect(DONE));
    bench.lab.expect_file("small", &bench.content);
    assert_eq!(status["ledger"]["duplicate"], 0, "{status}");
    assert_eq!(status["ledger"]["rejected"], 0, "{status}");
}

#[test]
fn a_source_that_trickles_does_not_hold_up_a_good_one() {
    let two = Two::new(8 << 20, 8 << 20);
    two.first.set(|faults| faults.rate = Some(2_000));
    let start = Instant::now();
    let status = outcome(&two.lab.get("file", &[]).expect(DONE));
    let took = start.elapsed();
    two.lab.expect_file("file", &two.content);
    assert!(took < SOON, "{took:?}: the trickle alone takes 70 minutes\n{status}");
}

#[test]
fn a_garbled_byte_is_thrown_away_and_fetched_again() {
    let bench = Bench::new();
    // Of the first chunk's data, in each connection.
    bench.peer_proxy.set(|faults| faults.corrupt = Some((Way::Out, 20_000)));
    let status = outcome(&bench.lab.get("small", &[]).expect(DONE));
    bench.lab.expect_file("small", &bench.content);
    assert!(status["ledger"]["rejected"].as_u64() >= Some(65_536), "{status}");
}
