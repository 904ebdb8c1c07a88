//! Three trackers of a closed swarm that are one: the first founds it, those of the others join to be trackers. Who is in and
//! who is put out they know as one, whichever of them is dead.

use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Daemon, Port, eventually};
use crate::user::User;
use crate::{shared, text};

/// The trackers, each of a user of its own; the first of them is the swarm's first admin.
struct Cluster {
    ports: Vec<Port>,
    users: Vec<User>,
    trackers: Vec<Option<Daemon>>,
}

impl Cluster {
    fn found() -> Cluster {
        let ports: Vec<Port> = (0..3).map(|_| Port::reserve()).collect();
        let mut cluster = Cluster { ports, users: vec![User::new()], trackers: vec![None, None, None] };
        cluster.run(1, 1);
        for node in 2..=3 {
            let joins = User::new();
            joins.run(&["join", &cluster.owner().invite(&["--role", "tracker"])]).expect(0);
            cluster.users.push(joins);
            cluster.run(node, node);
            let place = format!("{node}={}", cluster.ports[node - 1].target());
            cluster.owner().run(&["cluster", "add", &place]).expect(0);
        }
        cluster
    }

    fn owner(&self) -> &User {
        &self.users[0]
    }

    fn data(&self, node: usize) -> PathBuf {
        self.users[node - 1].home.path().join("records")
    }

    /// Starts a tracker that knows of the first so many.
    fn run(&mut self, node: usize, known: usize) {
        let places = (1..=known).map(|node| format!("{node}={}", self.ports[node - 1].target()));
        let (places, data, number) =
            (places.collect::<Vec<_>>().join(","), self.data(node), node.to_string());
        let user = &self.users[node - 1];
        let (listen, keys) = (self.ports[node - 1].target(), user.keys());
        let args = ["tracker", "--listen", &listen, "--data", text(&data), "--node", &number];
        let args = [&args[..], &["--cluster", &places, "--swarm", text(&keys)]].concat();
        self.trackers[node - 1] = Some(user.start(&args));
    }

    /// Kills a tracker, as the system does that has no memory left.
    fn kill(&mut self, node: usize) {
        let tracker = self.trackers[node - 1].take().expect("a tracker that runs");
        tracker.signal(Signal::KILL);
        tracker.wait();
    }
}

#[test]
fn three_trackers_of_a_closed_swarm_are_one_and_go_on_without_any_of_them() {
    let mut cluster = Cluster::found();
    let (publisher, reader) = (cluster.owner().invites("publisher"), cluster.owner().invites("reader"));
    let folder = shared("zebra");
    let _peer = publisher.start(&["peer", text(folder.path())]);
    let get = |user: &User| {
        let dest = TempDir::new().unwrap();
        eventually("it is fetched", || {
            (user.run(&["get", "zebra", text(dest.path()), "--wait", "30s"]).code() == 0).then_some(())
        });
        folder.expect_copy("", dest.path());
    };
    get(&reader);
    // The one that founded the swarm is dead: who is in, the others know, and let others join.
    cluster.kill(1);
    get(&reader);
    let late = cluster.owner().invites("reader");
    get(&late);
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
    let second = cluster.ports[1].target();
    eventually("the second knows, too", || {
        let said = publisher.run(&["ls", "--tracker", &second, "--wait", "0s"]);
        said.stderr.contains("put out").then_some(())
    });
    reader.run(&["ls", "--tracker", &second, "--wait", "30s"]).expect(0);
}
