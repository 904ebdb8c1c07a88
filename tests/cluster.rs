//! Three real trackers that are one: what any of them acknowledges is there when one is killed, and when all were.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use p2p::content::{PeerId, PublicKey};
use p2p::net::secure::{Expected, Keyring};
use p2p::net::{self, Identity, Messages, trace::Side};
use p2p::wire::{
    BetweenNodes, ChangeMembers, Common, ErrorCode, FromTracker, GetCluster, LinkNodes, List, NodePlace,
    Role, Text, ToTracker,
};
use rustix::process::Signal;
use support::{Daemon, Output, Port, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// Trackers on free ports of this machine, with a folder each.
struct Cluster {
    ground: TempDir,
    ports: Vec<Port>,
    trackers: Vec<Option<Daemon>>,
    /// What each is told besides.
    more: Vec<String>,
}

impl Cluster {
    fn start(count: usize) -> Cluster {
        let ports: Vec<Port> = (0..count).map(|_| Port::reserve()).collect();
        let trackers = (0..count).map(|_| None).collect();
        let ground = TempDir::new().expect("a folder");
        let mut cluster = Cluster { ground, ports, trackers, more: Vec::new() };
        (1..=count).for_each(|node| cluster.run(node));
        cluster
    }

    /// Three that are one, and a fourth that takes the place of who is away for a moment.
    fn with_a_spare() -> Cluster {
        let mut cluster = Cluster::start(0);
        cluster.ports.extend((0..3).map(|_| Port::reserve()));
        let three = cluster.list();
        cluster.ports.push(Port::reserve());
        cluster.trackers.extend((0..4).map(|_| None));
        let spare = format!("4={}", cluster.at(4));
        cluster.more = ["--spare", &spare, "--replace-after", "2s"].map(str::to_owned).to_vec();
        (1..=3).for_each(|node| cluster.run_with(node, &three));
        cluster.run(4);
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
        let list = self.list();
        self.run_with(node, &list);
    }

    fn run_with(&mut self, node: usize, list: &str) {
        let (data, number) = (self.data(node), node.to_string());
        let listen = self.ports[node - 1].target();
        let args = ["--listen", &listen, "--data", path(&data), "--node", &number, "--cluster", list];
        let more: Vec<&str> = self.more.iter().map(String::as_str).collect();
        self.trackers[node - 1] = Some(Daemon::tracker(&[&args, &more[..]].concat()));
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

    /// What a tracker answers to this; none if it is not there.
    fn ask(&self, node: usize, question: impl Into<ToTracker>) -> Option<FromTracker> {
        let me = Identity::new(Keyring::none(), PeerId::random(), "asks".into(), 0);
        let stream = net::dial(&self.at(node)).ok()?;
        let session =
            net::greet(stream, (&me, Role::Member), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT);
        let mut link = Messages::<FromTracker, ToTracker>::new(session.ok()?, Side::Tracker);
        link.call(&question.into()).ok()
    }

    /// What a tracker says to a stranger who says that he is one of them; and the connection.
    #[track_caller]
    fn claim(&self, at: usize, node: u16) -> (Common, Messages<BetweenNodes, BetweenNodes>) {
        let me = Identity::new(Keyring::none(), PeerId::random(), "a stranger".into(), 0);
        let stream = net::dial(&self.at(at)).expect("the tracker");
        let session =
            net::greet(stream, (&me, Role::Node), Expected::Anybody, Side::Tracker, net::HELLO_TIMEOUT);
        let mut line = Messages::new(session.expect("HELLO"), Side::Tracker);
        let link = LinkNodes { node, to: at as u16, token: fastrand::u64(..) };
        match line.call(&link.into()).expect("an answer") {
            BetweenNodes::Common(answer) => (answer, line),
            other => panic!("{other:?}"),
        }
    }

    /// How a tracker sees the cluster.
    fn seen(&self, node: usize) -> Option<p2p::wire::Cluster> {
        match self.ask(node, GetCluster {})? {
            FromTracker::Cluster(cluster) => Some(cluster),
            other => panic!("{other:?}"),
        }
    }

    /// Which tracker leads, once one does, as this one sees it.
    fn leader(&self, node: usize) -> usize {
        eventually("somebody leads", || {
            let leader = usize::from(self.seen(node)?.leader);
            (leader > 0 && self.trackers[leader - 1].is_some()).then_some(leader)
        })
    }

    /// Makes these the members, as the tracker that led then sees it.
    #[track_caller]
    fn change(&self, at: usize, nodes: &[usize]) -> p2p::wire::Cluster {
        let place = |node: &usize| NodePlace {
            node: *node as u16,
            address: Text::new(self.at(*node)),
            key: PublicKey::NONE,
        };
        let members: List<_, 9> = List::new(nodes.iter().map(place).collect());
        // What this tracker knows of epochs may be a moment old.
        eventually("they are the members", || {
            let epoch = self.seen(at)?.epoch;
            match self.ask(at, ChangeMembers { epoch, members: members.clone(), wait_ms: 10_000 })? {
                FromTracker::Cluster(cluster) => Some(cluster),
                other => {
                    eprintln!("{other:?}");
                    None
                }
            }
        })
    }

    /// All trackers, as an argument.
    fn all(&self) -> String {
        (1..=self.ports.len()).map(|node| self.at(node)).collect::<Vec<_>>().join(",")
    }

    /// Publishes something under a name; nobody has to have it.
    fn publish(&self, node: usize, name: &str) -> Output {
        self.publish_within(node, name, "30s")
    }

    fn publish_within(&self, node: usize, name: &str, wait: &str) -> Output {
        let link = format!("p2p:{}?name=a&size={}", blake3::hash(name.as_bytes()), name.len());
        run(&["publish", &link, "--as", name, "--tracker", &self.at(node), "--wait", wait])
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

#[test]
fn what_is_uploaded_to_three_trackers_is_kept_and_had_without_the_one_that_led() {
    let mut cluster = Cluster::start(3);
    let mut made = Sample::empty();
    let (first, second) =
        (made.add("first", pattern(3_000_000, 1)), made.add("second", pattern(2_000_000, 2)));
    let folders: Vec<TempDir> = (0..3).map(|_| TempDir::new().expect("a folder")).collect();
    let all = cluster.all();
    let lend = |(number, folder): (usize, &TempDir)| {
        let name = format!("store{number}");
        Daemon::peer(folder.path(), &["--tracker", &all, "--name", &name, "--store", "60MB"])
    };
    let _stores: Vec<Daemon> = folders.iter().enumerate().map(lend).collect();
    let upload = |file: &Path| run(&["upload", path(file), "--tracker", &all, "--wait", "60s"]).code() == 0;
    eventually("stores keep it", || upload(&first).then_some(()));
    let leader = cluster.leader(1);
    cluster.kill(leader);
    eventually("the next leader's stores keep it", || upload(&second).then_some(()));
    for (name, file) in [("first", &first), ("second", &second)] {
        let target = cluster.ground.path().join(name);
        run(&["download", name, path(&target), "--tracker", &all, "--wait", "60s"]).expect(0);
        assert!(fs::read(&target).expect("a file") == fs::read(file).expect("a file"), "{name}");
    }
}

#[test]
fn trackers_come_and_go_and_one_with_an_empty_disk_has_no_vote() {
    let mut cluster = Cluster::start(1);
    eventually("it is one by itself", || (cluster.publish(1, "first").code() == 0).then_some(()));
    for node in [2, 3] {
        cluster.ports.push(Port::reserve());
        cluster.trackers.push(None);
        cluster.run(node);
        let members: Vec<usize> = (1..=node).collect();
        let seen = cluster.change(1, &members);
        assert_eq!(seen.nodes.iter().filter(|node| node.votes).count(), node);
        cluster.has(node, "first");
    }
    cluster.kill(2);
    fs::remove_dir_all(cluster.data(2)).expect("its disk");
    cluster.run(2);
    let replaced = |cluster: &Cluster| {
        let seen = cluster.seen(2)?;
        seen.nodes.iter().any(|node| node.node == 2 && node.replaced).then_some(())
    };
    eventually("it knows that it has no vote", || replaced(&cluster));
    eventually("it says what to do", || {
        cluster.trackers[1].as_ref()?.log().contains("p2p cluster remove").then_some(())
    });
    assert_eq!(cluster.publish(2, "meanwhile").code(), 0, "it passes on");
    cluster.change(1, &[1, 3]);
    let seen = cluster.change(1, &[1, 2, 3]);
    assert!(seen.nodes.iter().all(|node| node.votes && !node.replaced), "{seen:?}");
    cluster.kill(3);
    eventually("it votes", || (cluster.publish(1, "with two").code() == 0).then_some(()));
    cluster.has(2, "with two");
}

#[test]
fn a_tracker_that_stays_away_gives_its_place_to_a_spare_and_has_no_vote_when_it_is_back() {
    let mut cluster = Cluster::with_a_spare();
    eventually("the trackers agree", || (cluster.publish(1, "first").code() == 0).then_some(()));
    cluster.kill(3);
    let members = |cluster: &Cluster, at: usize| {
        let seen = cluster.seen(at)?;
        Some(seen.nodes.iter().filter(|node| node.votes).map(|node| node.node).collect::<Vec<_>>())
    };
    let are = |cluster: &Cluster, at: usize| (members(cluster, at)? == [1, 2, 4]).then_some(());
    eventually("the spare has its place", || are(&cluster, 1));
    cluster.has(4, "first");
    cluster.run(3);
    cluster.kill(1);
    eventually("two of the three go on", || (cluster.publish(2, "second").code() == 0).then_some(()));
    cluster.has(4, "second");
    eventually("who is back finds that it has no vote", || are(&cluster, 3));
}

#[test]
fn without_a_majority_nothing_is_promised_and_what_is_missing_is_named_but_lists_are_answered() {
    let mut cluster = Cluster::start(3);
    eventually("the trackers agree", || (cluster.publish(1, "first").code() == 0).then_some(()));
    (2..=3).for_each(|node| cluster.kill(node));
    let begun = Instant::now();
    let listed = run(&["ls", "--tracker", &cluster.at(1)]).expect(0);
    assert!(listed.stdout.contains("first") && begun.elapsed() < Duration::from_secs(30), "{listed:?}");
    let refused = cluster.publish_within(1, "second", "8s").expect(7);
    assert!(refused.stderr.contains("tracker 2"), "{refused:?}");
    cluster.run(2);
    eventually("two are a majority", || (cluster.publish(1, "third").code() == 0).then_some(()));
}

#[test]
fn who_says_that_he_is_one_of_them_is_believed_where_that_one_is_dialled_and_nowhere_else() {
    let mut cluster = Cluster::start(3);
    eventually("the trackers agree", || (cluster.publish(1, "first").code() == 0).then_some(()));
    let refused = |answer: &Common, why| matches!(answer, Common::Error(problem) if problem.code == why);
    for at in 1..=3 {
        for node in (1..=3).filter(|node| *node != at) {
            let (answer, _) = cluster.claim(at, node as u16);
            assert!(refused(&answer, ErrorCode::NotAllowed), "at {at}: {answer:?}");
        }
    }
    // Nor while the one is away whose number it is; and who was there first with a number that nobody has stays.
    cluster.kill(3);
    assert!(refused(&cluster.claim(1, 3).0, ErrorCode::NotAllowed));
    let (first, _line) = cluster.claim(1, 9);
    assert_eq!(first, Common::Ok);
    let second = eventually("he is there", || {
        let (answer, _) = cluster.claim(1, 9);
        (answer != Common::Ok).then_some(answer)
    });
    assert!(refused(&second, ErrorCode::InUse), "{second:?}");
    cluster.run(3);
    cluster.has(3, "first");
}

#[test]
fn a_leader_that_hangs_holds_nobody_up_for_long_and_answers_nothing_stale() {
    let cluster = Cluster::start(3);
    eventually("the trackers agree", || (cluster.publish(1, "before").code() == 0).then_some(()));
    let leader = cluster.leader(1);
    let other = leader % 3 + 1;
    cluster.trackers[leader - 1].as_ref().expect("it runs").signal(Signal::STOP);
    let begun = Instant::now();
    assert_eq!(cluster.publish(other, "meanwhile").code(), 0);
    eprintln!("published after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(9), "no answer of who hangs was waited for");
    cluster.trackers[leader - 1].as_ref().expect("it runs").signal(Signal::CONT);
    // Whatever it believes of itself: it answers with all that was acknowledged, or finds out.
    run(&["versions", "meanwhile", "--tracker", &cluster.at(leader)]).expect(0);
}
