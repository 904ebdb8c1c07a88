//! The processes: trackers that are one, or one alone, which die, hang, and come back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::namespaces::Host;
use crate::support::{Daemon, Port, command, eventually};

/// A tracker, and whether it can be reached.
#[derive(Debug)]
enum Tracker {
    Up(Daemon),
    /// It is there, and does nothing.
    Frozen(Daemon),
    Down,
}

/// The port at which those listen that have a machine of their own.
const PORT: u16 = 9700;

/// Where a tracker is.
pub(crate) enum Ground {
    /// A port of this machine.
    Here(Port),
    /// A machine of its own, at this address.
    Host(Host, String),
}

/// All of them.
pub(crate) struct Trackers {
    place: TempDir,
    grounds: Vec<Ground>,
    all: Vec<Tracker>,
    /// Pairs of which the first does not reach the second.
    cuts: BTreeSet<(usize, usize)>,
}

impl Trackers {
    /// So many, which are one.
    #[track_caller]
    pub(crate) fn start(count: usize) -> Trackers {
        Trackers::start_on((0..count).map(|_| Ground::Here(Port::reserve())).collect())
    }

    /// One on each ground, which are one.
    #[track_caller]
    pub(crate) fn start_on(grounds: Vec<Ground>) -> Trackers {
        let place = TempDir::new().expect("a temporary folder");
        let all = grounds.iter().map(|_| Tracker::Down).collect();
        let mut trackers = Trackers { place, grounds, all, cuts: BTreeSet::new() };
        (0..trackers.count()).for_each(|which| trackers.bring_back(which));
        trackers
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Where one of them listens.
    pub(crate) fn address(&self, which: usize) -> String {
        match &self.grounds[which] {
            Ground::Here(port) => port.target(),
            Ground::Host(_, address) => format!("{address}:{PORT}"),
        }
    }

    /// Where it keeps its records.
    pub(crate) fn data(&self, which: usize) -> PathBuf {
        self.place.path().join(format!("tracker{which}"))
    }

    /// Its process, if it is up.
    pub(crate) fn process(&self, which: usize) -> Option<&Daemon> {
        match &self.all[which] {
            Tracker::Up(daemon) | Tracker::Frozen(daemon) => Some(daemon),
            Tracker::Down => None,
        }
    }

    /// From now on the first does not reach the second, which have machines of their own.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        if let (Ground::Host(host, _), Ground::Host(_, address)) = (&self.grounds[from], &self.grounds[to])
            && self.cuts.insert((from, to))
        {
            host.reaches(address, false);
        }
    }

    /// Everybody reaches everybody again.
    pub(crate) fn mend(&mut self) {
        for (from, to) in std::mem::take(&mut self.cuts) {
            if let (Ground::Host(host, _), Ground::Host(_, address)) =
                (&self.grounds[from], &self.grounds[to])
            {
                host.reaches(address, true);
            }
        }
    }

    fn args(&self, which: usize) -> Vec<String> {
        let data = self.data(which);
        let data = data.to_str().expect("a path in UTF-8").to_owned();
        let mut args = vec!["--listen".to_owned(), self.address(which), "--data".to_owned(), data];
        if self.count() > 1 {
            let nodes = (0..self.count()).map(|node| format!("{}={}", node + 1, self.address(node)));
            let cluster = nodes.collect::<Vec<_>>().join(",");
            args.extend(["--node".to_owned(), (which + 1).to_string(), "--cluster".to_owned(), cluster]);
        }
        args
    }

    /// True if each has a machine of its own.
    pub(crate) fn are_apart(&self) -> bool {
        self.grounds.iter().all(|ground| matches!(ground, Ground::Host(..)))
    }

    /// Kills it without warning.
    #[track_caller]
    pub(crate) fn kill(&mut self, which: usize) {
        if let Tracker::Up(daemon) | Tracker::Frozen(daemon) = self.take(which) {
            daemon.kill();
        }
    }

    /// Stops it as a person would.
    #[track_caller]
    pub(crate) fn stop(&mut self, which: usize) {
        if let Tracker::Up(daemon) = self.take(which) {
            daemon.stop().expect(0);
        }
    }

    /// Has it hang.
    pub(crate) fn freeze(&mut self, which: usize) {
        if let Tracker::Up(daemon) = self.take(which) {
            daemon.signal(Signal::STOP);
            self.all[which] = Tracker::Frozen(daemon);
        }
    }

    /// Has it go on, or starts it with what is on its disk.
    #[track_caller]
    pub(crate) fn bring_back(&mut self, which: usize) {
        let up = match self.take(which) {
            Tracker::Up(daemon) => daemon,
            Tracker::Frozen(daemon) => {
                daemon.signal(Signal::CONT);
                daemon
            }
            Tracker::Down => {
                let args = self.args(which);
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                match &self.grounds[which] {
                    Ground::Here(_) => Daemon::tracker(&args),
                    Ground::Host(host, _) => {
                        let args = [&["tracker", "--open"][..], &args].concat();
                        Daemon::start_with(&args, |command| host.start(command))
                    }
                }
            }
        };
        self.all[which] = Tracker::Up(up);
    }

    fn take(&mut self, which: usize) -> Tracker {
        std::mem::replace(&mut self.all[which], Tracker::Down)
    }

    /// What one of them says of all of them, if it answers.
    pub(crate) fn status(&self, which: usize) -> Option<Value> {
        let args = ["cluster", "status", "--open", "--json", "--tracker", &self.address(which)];
        let output = command(&args, self.place.path()).output().expect("the binary runs");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// The one that leads, as one says that is up.
    #[track_caller]
    pub(crate) fn leader(&self) -> usize {
        if self.count() == 1 {
            return 0;
        }
        eventually("a tracker leads", || {
            let up = (0..self.count()).filter(|which| matches!(self.all[*which], Tracker::Up(_)));
            let leaders = up.filter_map(|which| self.status(which)?["leader"].as_u64());
            leaders.map(|leader| leader as usize - 1).find(|which| matches!(self.all[*which], Tracker::Up(_)))
        })
    }

    /// Waits until each says that all are there, and that they have applied the same.
    #[track_caller]
    pub(crate) fn all_agree(&self) {
        if self.count() == 1 {
            return;
        }
        eventually("all trackers agree", || {
            let said: Vec<Value> = (0..self.count()).filter_map(|which| self.status(which)).collect();
            let here =
                |node: &Value| ["leads", "follows"].contains(&node["state"].as_str().unwrap_or_default());
            let all_here =
                |said: &Value| said["nodes"].as_array().is_some_and(|nodes| nodes.iter().all(here));
            let agree = said.iter().all(|one| all_here(one) && one["leader"] == said[0]["leader"]);
            (said.len() == self.count() && agree).then_some(())
        });
    }
}
