//! One measurement: a swarm is started on fresh links, watched until the last has everything, and weighed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::contender::{Contender, Ledger, Seeding};
use crate::lab::{Host, Lab, Traffic};
use crate::link_rate;
use crate::scenario::Scenario;
use crate::support::process::{Running, Usage};
use crate::support::{files, interrupt};
use crate::timeline::{self, Watch};

/// How often the swarm is looked at. Arrivals are stamped by the threads that read them, not by this.
const TICK: Duration = Duration::from_millis(5);
/// The part of a full packet that is payload: 1448 of 1514 bytes.
const PAYLOAD_SHARE: f64 = 1448.0 / 1514.0;

/// What became of one fetcher.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fetched {
    /// Seconds from its own start until it had everything; None if it never did.
    pub(crate) seconds: Option<f64>,
    pub(crate) killed: bool,
    pub(crate) failure: Option<String>,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) usage: Usage,
    /// All bytes its link brought, headers included.
    pub(crate) received: u64,
}

/// What one measurement gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) contender: String,
    pub(crate) scenario: Scenario,
    /// T* in seconds, from the raw rate of the links.
    pub(crate) bound: f64,
    /// The part of the raw rate that a plain TCP connection reached on these links.
    pub(crate) tcp_share: f64,
    pub(crate) fetchers: Vec<Fetched>,
    /// Payload the seeder's link carried, in copies of what was shared.
    pub(crate) copies: f64,
    pub(crate) seeder: Usage,
    /// Whether the seeder was killed: it may never come to send as much as the scenario waits for.
    pub(crate) seeder_killed: bool,
    /// Part of all cores' time that was used: near 1, the machine and not the links was the limit.
    pub(crate) machine_busy: f64,
}

/// Runs one scenario with one contender.
pub(crate) fn run(
    contender: Contender,
    scenario: &Scenario,
    payload: &Path,
    offload: bool,
    wants_timeline: bool,
) -> Result<Outcome> {
    let scratch = files::scratch(payload.parent().and_then(Path::parent).context("a scratch folder")?)?;
    let lab = Lab::new(&scenario.links(), offload)?;
    let length = Duration::from_millis(2500);
    let rate = link_rate::measure(&lab.hosts[0], &lab.hosts[1], length)?;
    let tcp_share = rate * 8.0 / scenario.rate as f64;
    let seeding = contender.seed(&lab, payload, scratch.path())?;
    let mut race = Race::prepare(contender, scenario, &lab, seeding, payload, scratch.path())?;
    let before = Weights::read(&lab)?;
    race.go(wants_timeline)?;
    let after = Weights::read(&lab)?;
    race.outcome(tcp_share, &before, &after, payload)
}

/// Counters that are read before and after.
struct Weights {
    traffic: Vec<Traffic>,
    busy: (u64, u64),
}

impl Weights {
    fn read(lab: &Lab) -> Result<Self> {
        let traffic = lab.hosts.iter().map(|host| lab.traffic(host)).collect::<Result<_>>()?;
        Ok(Self { traffic, busy: busy_ticks() })
    }
}

/// Ticks of all cores since start-up: used, and in all.
fn busy_ticks() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.filter_map(|field| field.parse().ok()).take(8).collect();
    let all: u64 = ticks.iter().sum();
    // Idle and waiting for the disk are fields 4 and 5.
    (all - ticks.iter().skip(3).take(2).sum::<u64>(), all)
}

/// A fetcher and what is known of it.
struct Runner {
    process: Running,
    destination: PathBuf,
    started: Option<Instant>,
    done: Option<Instant>,
    killed: bool,
    failure: Option<String>,
    ledger: Option<Ledger>,
    usage: Usage,
}

struct Race<'a> {
    contender: Contender,
    scenario: &'a Scenario,
    seeding: Seeding,
    seeder_usage: Usage,
    seeder_killed: bool,
    runners: Vec<Runner>,
    hosts: Vec<Host>,
}

impl<'a> Race<'a> {
    fn prepare(
        contender: Contender,
        scenario: &'a Scenario,
        lab: &Lab,
        seeding: Seeding,
        payload: &Path,
        scratch: &Path,
    ) -> Result<Self> {
        let mut runners = Vec::new();
        for (number, host) in lab.hosts[1..].iter().enumerate() {
            let destination = scratch.join(format!("got-{number}"));
            let process = contender.fetcher(host, &seeding, payload, &destination, scratch)?;
            runners.push(Runner::new(process, destination));
        }
        for runner in &runners {
            runner.process.wait_line(Duration::from_secs(60), |line| line == "gate")?;
        }
        let hosts = lab.hosts.clone();
        let seeder_usage = Usage::default();
        Ok(Self { contender, scenario, seeding, seeder_usage, seeder_killed: false, runners, hosts })
    }

    /// From the opening of the gate until everybody who lives has everything, or nobody will.
    fn go(&mut self, wants_timeline: bool) -> Result<()> {
        let watched = if wants_timeline { self.hosts.len() } else { 1 };
        let watches = self.hosts[..watched].iter().map(Watch::start).collect::<Result<Vec<_>>>()?;
        let bound = self.scenario.bound(1.0);
        let limit = bound * 20 + Duration::from_secs(30);
        let begin = Instant::now();
        while self.runners.iter().any(Runner::is_running) && begin.elapsed() < limit {
            interrupt::check()?;
            self.open_gates(begin)?;
            for runner in &mut self.runners {
                runner.listen(self.contender);
            }
            if begin.elapsed() > bound / 2 {
                self.kill_doomed();
            }
            let copies = watches[0].sent() as f64 / self.scenario.size as f64;
            if !self.seeder_killed && self.scenario.kill_seeder_after.is_some_and(|after| copies >= after) {
                self.seeder_usage = self.seeding.seeder.usage();
                self.seeding.seeder.kill();
                self.seeder_killed = true;
            }
            thread::sleep(TICK); // gates open by the clock, and what a link has carried is only counted
        }
        if wants_timeline {
            eprintln!("{}", timeline::table(watches)?);
        }
        if !self.seeder_killed {
            self.seeder_usage = self.seeding.seeder.usage();
        }
        for runner in self.runners.iter_mut().filter(|runner| !runner.killed) {
            runner.usage = runner.process.usage();
        }
        Ok(())
    }

    fn open_gates(&mut self, begin: Instant) -> Result<()> {
        let elapsed = begin.elapsed();
        for (number, runner) in self.runners.iter_mut().enumerate() {
            if runner.started.is_none() && elapsed >= self.scenario.start_of(number) {
                // Together means one clock; joining means a clock for each.
                runner.started = Some(if self.scenario.join { Instant::now() } else { begin });
                runner.process.release()?;
            }
        }
        Ok(())
    }

    fn kill_doomed(&mut self) {
        for (number, runner) in self.runners.iter_mut().enumerate() {
            if self.scenario.is_doomed(number) && runner.is_running() {
                runner.usage = runner.process.usage();
                runner.process.kill();
                runner.killed = true;
            }
        }
    }

    fn outcome(self, tcp_share: f64, before: &Weights, after: &Weights, payload: &Path) -> Result<Outcome> {
        let moved =
            |host: usize, of: fn(&Traffic) -> u64| of(&after.traffic[host]) - of(&before.traffic[host]);
        let copies = moved(0, |traffic| traffic.up) as f64 * PAYLOAD_SHARE / self.scenario.size as f64;
        let (used, all) = (after.busy.0 - before.busy.0, after.busy.1 - before.busy.1);
        let mut fetchers = Vec::new();
        for (number, mut runner) in self.runners.into_iter().enumerate() {
            runner.process.stop();
            runner.check(payload)?;
            fetchers.push(Fetched {
                seconds: runner.seconds(),
                killed: runner.killed,
                failure: runner.failure,
                ledger: runner.ledger,
                usage: runner.usage,
                received: moved(number + 1, |traffic| traffic.down),
            });
        }
        Ok(Outcome {
            contender: self.contender.name().to_owned(),
            scenario: self.scenario.clone(),
            bound: self.scenario.bound(1.0).as_secs_f64(),
            tcp_share,
            fetchers,
            copies,
            seeder: self.seeder_usage,
            seeder_killed: self.seeder_killed,
            machine_busy: used as f64 / all.max(1) as f64,
        })
    }
}

impl Runner {
    fn new(process: Running, destination: PathBuf) -> Self {
        let usage = Usage::default();
        Self {
            process,
            destination,
            started: None,
            done: None,
            killed: false,
            failure: None,
            ledger: None,
            usage,
        }
    }

    fn is_running(&self) -> bool {
        self.done.is_none() && !self.killed && self.failure.is_none()
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.done?.duration_since(self.started?).as_secs_f64())
    }

    /// Takes in what it has said since the last look.
    fn listen(&mut self, contender: Contender) {
        for line in self.process.lines().try_iter() {
            if self.done.is_none() && contender.is_done(&line.text) {
                self.done = Some(line.at);
                self.ledger = Ledger::parse(&line.text);
            }
        }
        if self.is_running() && self.process.try_wait().is_some() {
            self.failure = Some(format!("ended early: {}", self.process.log_tail()));
        }
    }

    /// Trusts nobody's word for it: what arrived is compared with what was shared.
    fn check(&mut self, payload: &Path) -> Result<()> {
        let name = payload.file_name().context("the payload's name")?;
        if self.done.is_some()
            && let Err(error) = files::same(payload, &self.destination.join(name))
        {
            self.failure = Some(format!("says it is done, but {error:#}"));
            self.done = None;
        }
        Ok(fs::remove_dir_all(&self.destination)?)
    }
}
