//! Three real trackers that are one: what any of them acknowledges is there when one is killed, and when all were.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Daemon, Output, Port, eventually, run};
use tempfile::TempDir;

/// Trackers on free ports of this machine, with a folder each.
struct Cluster {
    ground: TempDir,
    ports: Vec<Port>,
    trackers: Vec<Option<Daemon>>,
}

impl Cluster {
    fn start(count: usize) -> Cluster {
        let ports: Vec<Port> = (0..count).map(|_| Port::reserve()).collect();
        let trackers = (0..count).map(|_| None).collect();
        let mut cluster = Cluster { ground: TempDir::new().expect("a folder"), ports, trackers };
        (1..=count).for_each(|node| cluster.run(node));
        cluster
    }

    fn data(&self, node: usize) -> PathBuf {
        self.ground.path().join(format!("t{node}"))
    }

    fn list(&self) -> String {
        let places = (1..).zip(&self.ports).map(|(node, port)| format!("{node}={}", port.target()));
        places.collect::<Vec<_>>().join(",")
    }

    /// Starts a tracker.
    fn run(&mut self, node: usize) {
        let (data, list, number) = (self.data(node), self.list(), node.to_string());
        let listen = self.ports[node - 1].target();
        let args = ["--listen", &listen, "--data", path(&data), "--node", &number, "--cluster", &list];
        self.trackers[node - 1] = Some(Daemon::tracker(&args));
    }

    /// Kills a tracker, as the system does that has no memory left.
    fn kill(&mut self, node: usize) {
        let tracker = self.trackers[node - 1].take().expect("a tracker that runs");
        tracker.signal(Signal::KILL);
        tracker.wait();
    }

    fn at(&self, node: usize) -> String {
        self.ports[node - 1].target()
    }

    /// Publishes something under a name; nobody has to have it.
    fn publish(&self, node: usize, name: &str) -> Output {
        let link = format!("p2p:{}?name=a&size={}", blake3::hash(name.as_bytes()), name.len());
        run(&["publish", &link, "--as", name, "--tracker", &self.at(node)])
    }

    /// Fails unless this tracker tells of a version of a name.
    #[track_caller]
    fn has(&self, node: usize, name: &str) {
        let has = || (run(&["versions", name, "--tracker", &self.at(node)]).code() == 0).then_some(());
        eventually("who leads is found", has);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn what_any_of_three_trackers_acknowledges_is_there_after_one_is_killed_and_after_all_were() {
    let mut cluster = Cluster::start(3);
    eventually("the trackers agree", || (cluster.publish(2, "first").code() == 0).then_some(()));
    for node in 1..=3 {
        cluster.has(node, "first");
    }
    // Whoever leads is among them.
    for killed in 1..=3 {
        cluster.kill(killed);
        let name = format!("without {killed}");
        let other = killed % 3 + 1;
        let begun = Instant::now();
        eventually("the others go on", || (cluster.publish(other, &name).code() == 0).then_some(()));
        eprintln!("without {killed}: published after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(60));
        cluster.run(killed);
        cluster.has(killed, &name);
    }
    (1..=3).for_each(|node| cluster.kill(node));
    (1..=3).for_each(|node| cluster.run(node));
    for name in ["first", "without 1", "without 2", "without 3"] {
        (1..=3).for_each(|node| cluster.has(node, name));
    }
}
