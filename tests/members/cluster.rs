//! Three trackers of a closed swarm that are one: the first founds it, those of the others join to be trackers. Who is in and
//! who is put out they know as one, whichever of them is dead.

use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Daemon, Output, Port, Sample, eventually};
use crate::user::User;
use crate::{shared, text};

/// The trackers, each of a user of its own; the first of them is the swarm's first admin.
struct Cluster {
    ports: Vec<Port>,
    users: Vec<User>,
    trackers: Vec<Option<Daemon>>,
    /// More to say to each tracker.
    more: Vec<String>,
}

impl Cluster {
    fn found() -> Cluster {
        let ports: Vec<Port> = (0..4).map(|_| Port::reserve()).collect();
        let (users, trackers) = (vec![User::new()], (0..4).map(|_| None).collect());
        let mut cluster = Cluster { ports, users, trackers, more: Vec::new() };
        cluster.found_three();
        cluster
    }

    /// And a fourth that takes the place of who is away for a moment.
    fn found_with_a_spare() -> Cluster {
        let ports: Vec<Port> = (0..4).map(|_| Port::reserve()).collect();
        let (users, trackers) = (vec![User::new()], (0..4).map(|_| None).collect());
        let spare = format!("4={}", ports[3].target());
        let more = ["--spare", &spare, "--replace-after", "2s"].map(str::to_owned).to_vec();
        let mut cluster = Cluster { ports, users, trackers, more };
        cluster.found_three();
        cluster.joins(4);
        cluster
    }

    fn found_three(&mut self) {
        self.run(1, 1);
        for node in 2..=3 {
            self.joins(node);
            self.owner().run(&["cluster", "add", &format!("{node}={}", self.at(node))]).expect(0);
        }
    }

    /// Somebody joins to be a tracker, and runs one.
    fn joins(&mut self, node: usize) {
        let joins = User::new();
        joins.run(&["join", &self.owner().invite(&["--role", "tracker"])]).expect(0);
        self.users.push(joins);
        self.run(node, node);
    }

    fn at(&self, node: usize) -> String {
        self.ports[node - 1].target()
    }

    /// Who has a vote, as one of them says.
    fn members(&self, asked: usize) -> Vec<u64> {
        let said =
            self.owner().run(&["cluster", "status", "--json", "--wait", "0s", "--tracker", &self.at(asked)]);
        let Ok(status) = serde_json::from_str::<serde_json::Value>(said.stdout.trim()) else {
            return Vec::new();
        };
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let votes = nodes.iter().filter(|node| node["state"] != "newcomer");
        votes.filter_map(|node| node["node"].as_u64()).collect()
    }

    fn owner(&self) -> &User {
        &self.users[0]
    }

    fn data(&self, node: usize) -> PathBuf {
        self.users[node - 1].home.path().join("records")
    }

    /// Starts a tracker that knows of the first so many.
    fn run(&mut self, node: usize, known: usize) {
        let places = (1..=known).map(|node| format!("{node}={}", self.at(node)));
        let (places, data, number) =
            (places.collect::<Vec<_>>().join(","), self.data(node), node.to_string());
        let user = &self.users[node - 1];
        let (listen, keys) = (self.at(node), user.keys());
        let args = ["tracker", "--listen", &listen, "--data", text(&data), "--node", &number];
        let more: Vec<&str> = self.more.iter().map(String::as_str).collect();
        let args = [&args[..], &["--cluster", &places, "--swarm", text(&keys)], &more].concat();
        self.trackers[node - 1] = Some(user.start(&args));
    }

    /// Kills a tracker, as the system does that has no memory left.
    fn kill(&mut self, node: usize) {
        let tracker = self.trackers[node - 1].take().expect("a tracker that runs");
        tracker.signal(Signal::KILL);
        tracker.wait();
    }
}

/// A member fetches what is shared.
#[track_caller]
fn fetches(user: &User, shared: &Sample) {
    let dest = TempDir::new().unwrap();
    eventually("it is fetched", || {
        (user.run(&["get", "zebra", text(dest.path()), "--wait", "30s"]).code() == 0).then_some(())
    });
    shared.expect_copy("", dest.path());
}

/// A tracker comes to know who was put out, and lets the other in.
#[track_caller]
fn lets_in_but(tracker: &str, member: &User, put_out: &User) {
    eventually("it knows who is out", || {
        let said = put_out.run(&["ls", "--tracker", tracker, "--wait", "0s"]);
        said.stderr.contains("put out").then_some(())
    });
    member.run(&["ls", "--tracker", tracker, "--wait", "30s"]).expect(0);
}

#[test]
fn three_trackers_of_a_closed_swarm_are_one_and_go_on_without_any_of_them() {
    let mut cluster = Cluster::found();
    let (publisher, reader) = (cluster.owner().invites("publisher"), cluster.owner().invites("reader"));
    let folder = shared("zebra");
    let _peer = publisher.start(&["peer", text(folder.path())]);
    fetches(&reader, &folder);
    // The one that founded the swarm is dead: who is in, the others know, and let others join.
    cluster.kill(1);
    fetches(&reader, &folder);
    let late = cluster.owner().invites("reader");
    fetches(&late, &folder);
    cluster.run(1, 3);
    cluster.kill(2);
    let before = reader.secret();
    cluster.owner().run(&["revoke", "publisher", "--wait", "60s"]).expect(0);
    let out = |user: &User| user.run(&["ls", "--wait", "0s"]).stderr.contains("put out");
    eventually("it is out", || out(&publisher).then_some(()));
    reader.run(&["ls", "--wait", "30s"]).expect(0);
    assert_ne!(reader.secret(), before, "it has heard of the new key");
    // Who was dead then hears of it from the others, and lets nobody in by the old key.
    cluster.run(2, 3);
    cluster.kill(3);
    lets_in_but(&cluster.at(2), &reader, &publisher);
    // The first, which dials no other, sleeps through two keys: it is dialled by the one that it knows.
    cluster.run(3, 3);
    cluster.kill(1);
    for _ in 0..2 {
        cluster.owner().run(&["swarm", "rotate", "--grace", "0s", "--wait", "60s"]).expect(0);
    }
    cluster.run(1, 3);
    cluster.kill(2);
    let first = cluster.at(1);
    eventually("it is one of two that agree", || {
        let status = ["cluster", "status", "--tracker", &first, "--wait", "0s"];
        (cluster.owner().run(&status).code() == 0).then_some(())
    });
}

/// A tracker does not know whether who asks is in the swarm.
#[track_caller]
fn assert_no_quorum(said: &Output) {
    assert!(said.stderr.contains("does not know who is in the swarm"), "{}", said.stderr);
    assert_ne!(said.code(), 0);
}

#[test]
fn a_tracker_that_has_met_no_other_since_it_started_lets_nobody_in_and_who_has_lost_them_goes_on() {
    let mut cluster = Cluster::found();
    let reader = cluster.owner().invites("reader");
    let at = cluster.at(3);
    let listed = |wait| reader.run(&["ls", "--tracker", &at, "--wait", wait]);
    listed("30s").expect(0);
    cluster.kill(1);
    cluster.kill(2);
    listed("0s").expect(0);
    cluster.kill(3);
    cluster.run(3, 3);
    assert_no_quorum(&listed("0s"));
    cluster.run(1, 3);
    listed("30s").expect(0);
}

#[test]
fn a_lost_tracker_of_a_closed_swarm_gives_its_place_to_a_spare_that_members_find_and_trust() {
    let mut cluster = Cluster::found_with_a_spare();
    let (publisher, reader) = (cluster.owner().invites("publisher"), cluster.owner().invites("reader"));
    let folder = shared("zebra");
    let _peer = publisher.start(&["peer", text(folder.path())]);
    fetches(&reader, &folder);
    // The one that founded the swarm is lost, and does not come back.
    cluster.kill(1);
    eventually("the spare has its place", || (cluster.members(2) == [2, 3, 4]).then_some(()));
    // It needs no other of the first three but one: who is in it knows, and puts out whom an admin names.
    cluster.kill(2);
    let late = cluster.owner().invites("reader");
    fetches(&late, &folder);
    cluster.owner().run(&["revoke", "publisher", "--wait", "60s"]).expect(0);
    lets_in_but(&cluster.at(4), &reader, &publisher);
    // Who was replaced is no member when it is back, and has not heard who was put out since.
    cluster.run(1, 4);
    let replaced = cluster.at(1);
    let listed = || publisher.run(&["ls", "--tracker", &replaced, "--wait", "0s"]);
    assert_ne!(listed().code(), 0);
    eventually("it finds that it has no vote", || (cluster.members(1) == [2, 3, 4]).then_some(()));
    assert_ne!(listed().code(), 0);
}
