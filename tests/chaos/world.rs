//! The processes: a tracker with records on a disk, three stores, and tools that come and go.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::content::Content;
use crate::support::{Daemon, Port, eventually, run};

/// How many stores there are.
pub(crate) const STORES: usize = 4;
/// A store is missed after so long, and what nothing refers to given up.
const DELAYS: [&str; 4] = ["--repair-after", "2s", "--grace", "3s"];
const LENT: &str = "400MB";
/// As which shards files are kept that are not kept as copies: as many losses are survived.
const CODE: &str = "2+1";

/// A store, and whether it can be reached.
#[derive(Debug)]
enum Store {
    Up(Daemon),
    /// It is there, and does nothing.
    Frozen(Daemon),
    Down,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct World {
    place: TempDir,
    _port: Port,
    /// The tracker's, whichever process that is.
    address: String,
    tracker: Option<Daemon>,
    stores: [Store; STORES],
}

impl World {
    pub(crate) fn start() -> World {
        let place = TempDir::new().expect("a temporary folder");
        let stores = [const { Store::Down }; STORES];
        let port = Port::reserve();
        let mut world = World { place, address: port.target(), _port: port, tracker: None, stores };
        world.restart_tracker();
        (0..STORES).for_each(|store| world.bring_back(store));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Kills the tracker, if there is one, and starts one with what is on its disk.
    #[track_caller]
    pub(crate) fn restart_tracker(&mut self) {
        if let Some(tracker) = self.tracker.take() {
            tracker.kill();
        }
        let data = self.path("tracker");
        let options = ["--listen", &self.address, "--data", text(&data)];
        self.tracker = Some(Daemon::tracker(&[&options[..], &DELAYS].concat()));
    }

    /// The store that is down, if one is.
    pub(crate) fn down(&self) -> Option<usize> {
        self.stores.iter().position(|store| !matches!(store, Store::Up(_)))
    }

    pub(crate) fn kill(&mut self, store: usize) {
        if let Store::Up(daemon) = std::mem::replace(&mut self.stores[store], Store::Down) {
            daemon.kill();
        }
    }

    #[track_caller]
    pub(crate) fn stop(&mut self, store: usize) {
        if let Store::Up(daemon) = std::mem::replace(&mut self.stores[store], Store::Down) {
            daemon.stop().expect(0);
        }
    }

    /// All that it had is gone, and who it was.
    pub(crate) fn wipe(&mut self, store: usize) {
        std::fs::remove_dir_all(self.path(&format!("store{store}"))).expect("its folder");
    }

    /// The id of a store that is here.
    #[track_caller]
    pub(crate) fn id_of(&self, store: usize) -> String {
        let name = format!("store{store}");
        let here = self.listed().into_iter().find(|line| line["name"] == *name && line["state"] == "lending");
        here.expect("it lends")["store"].as_str().expect("an id").to_owned()
    }

    /// Has others keep what it holds, and waits until they do.
    #[track_caller]
    pub(crate) fn leaves(&self, id: &str) {
        run(&["stores", "leave", id, "--tracker", &self.address]).expect(0);
        eventually("it may be taken away", || {
            self.listed().iter().any(|line| line["store"] == id && line["state"] == "left").then_some(())
        });
    }

    /// It has been killed, and does not come back.
    #[track_caller]
    pub(crate) fn forgets(&self, id: &str) {
        eventually("its connection has ended", || {
            (run(&["stores", "forget", id, "--tracker", &self.address]).code() == 0).then_some(())
        });
    }

    /// What `p2p stores --json` says.
    #[track_caller]
    fn listed(&self) -> Vec<Value> {
        let said = run(&["stores", "--json", "--tracker", &self.address]).expect(0).stdout;
        said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Waits until all is as safe as promised with so many of the stores away.
    #[track_caller]
    pub(crate) fn becomes_whole(&self, away: usize) {
        eventually("all is whole", || {
            let here = self.listed().iter().filter(|line| line["state"] == "lending").count();
            let said = run(&["health", "--json", "--tracker", &self.address]).stdout;
            let health: Value = serde_json::from_str(said.trim()).expect("JSON");
            let whole = health["contents"] == 0 || health["survives"] == 1;
            (whole && health["repairing"] == 0 && here == STORES - away).then_some(())
        });
    }

    pub(crate) fn freeze(&mut self, store: usize) {
        if let Store::Up(daemon) = std::mem::replace(&mut self.stores[store], Store::Down) {
            daemon.signal(Signal::STOP);
            self.stores[store] = Store::Frozen(daemon);
        }
    }

    #[track_caller]
    pub(crate) fn bring_back(&mut self, store: usize) {
        let up = match std::mem::replace(&mut self.stores[store], Store::Down) {
            Store::Up(daemon) => daemon,
            Store::Frozen(daemon) => {
                daemon.signal(Signal::CONT);
                daemon
            }
            Store::Down => {
                let name = format!("store{store}");
                let folder = self.path(&name);
                std::fs::create_dir_all(&folder).expect("its folder");
                Daemon::peer(&folder, &["--store", LENT, "--name", &name, "--tracker", &self.address])
            }
        };
        self.stores[store] = Store::Up(up);
    }

    /// Uploads it; the number of the version, and whether that is new.
    #[track_caller]
    pub(crate) fn upload(&self, name: &str, content: &Content) -> (u32, bool) {
        let (_scratch, source) = self.source(content);
        let said = run(&self.upload_args(&source, name, content)).expect(0).stdout;
        let done = said.lines().rev().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let done = line.get("done")?;
            Some((done["version"].as_u64()? as u32, done["fresh"].as_bool()?))
        });
        done.unwrap_or_else(|| panic!("no version in {said}"))
    }

    /// Begins to upload it, and is killed after this time.
    pub(crate) fn upload_killed(&self, name: &str, content: &Content, after: Duration) {
        let (_scratch, source) = self.source(content);
        let upload = Daemon::launch(&self.upload_args(&source, name, content));
        thread::sleep(after); // the time is the storm's: nothing waits for anything here
        upload.kill();
    }

    fn source(&self, content: &Content) -> (TempDir, PathBuf) {
        let scratch = TempDir::new_in(self.place.path()).expect("a temporary folder");
        let source = scratch.path().join("source");
        content.write(&source);
        (scratch, source)
    }

    /// The same content is kept in the same way each time: else it is another version.
    fn upload_args<'a>(&'a self, source: &'a Path, name: &'a str, content: &Content) -> Vec<&'a str> {
        let name = name.trim_end_matches('/');
        let args = vec!["upload", text(source), "--as", name, "--json", "--tracker", &self.address];
        let code = content.is_coded().then_some(["--code", CODE]);
        args.into_iter().chain(code.into_iter().flatten()).collect()
    }

    /// Fails the test unless what comes of this version, or of the latest for 0, is this content.
    #[track_caller]
    pub(crate) fn expect_content(&self, name: &str, number: u32, content: &Content) {
        let scratch = TempDir::new_in(self.place.path()).expect("a temporary folder");
        let dest = scratch.path().join("got");
        let what = match number {
            0 => name.to_owned(),
            number => versioned(name, number),
        };
        run(&["download", &what, text(&dest), "--tracker", &self.address]).expect(0);
        content.expect_at(&dest);
    }

    /// Fails the test unless there is no such version.
    #[track_caller]
    pub(crate) fn expect_none(&self, name: &str, number: u32) {
        let scratch = TempDir::new_in(self.place.path()).expect("a temporary folder");
        let dest = scratch.path().join("got");
        run(&["download", &versioned(name, number), text(&dest), "--tracker", &self.address]).expect(3);
    }

    /// The numbers of a name's versions as they are listed.
    #[track_caller]
    pub(crate) fn versions(&self, name: &str) -> Vec<u32> {
        let listed = run(&["versions", name, "--json", "--tracker", &self.address]);
        if listed.code() == 3 {
            return Vec::new();
        }
        let number = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            line["version"].as_u64().expect("a number") as u32
        };
        listed.expect(0).stdout.lines().map(number).collect()
    }

    /// Fails the test unless every byte under the name, as people type it, survives the loss of a store.
    #[track_caller]
    pub(crate) fn expect_health(&self, name: &str) {
        eventually("all stores have said what they hold", || {
            let said = run(&["health", name.trim_end_matches('/'), "--tracker", &self.address]).expect(0);
            (said.stdout == "every byte survives the loss of any 1 store\n").then_some(())
        });
    }

    #[track_caller]
    pub(crate) fn remove(&self, name: &str, number: u32) {
        run(&["rm", &versioned(name, number), "--tracker", &self.address]).expect(0);
    }
}

/// A version, as people type it.
fn versioned(name: &str, number: u32) -> String {
    format!("{}@{number}", name.trim_end_matches('/'))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is UTF-8")
}
