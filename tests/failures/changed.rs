//! A file that changes at its only source while it is fetched.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::lab::{DONE, Lab, UNREACHABLE, outcome};
use crate::support::{Daemon, Proxy, Sample, Way, pattern};

/// What the source sends a second: slow enough to change things in the middle.
const UP: &str = "1500KB/s";
/// The large file.
const BYTES: usize = 3_000_000;
/// So much has left the source when something is changed.
const BEGUN: u64 = 400_000;
/// Far below the time that a `get` waits for somebody to come back.
const SOON: Duration = Duration::from_secs(20);

/// A folder `tree/` with a large file and a small one, shared by one peer.
struct Scene {
    lab: Lab,
    _peer: Daemon,
    link: Proxy,
    sample: Sample,
    content: Vec<u8>,
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let lab = Lab::new();
        let mut sample = Sample::empty();
        let content = pattern(BYTES, 5);
        sample.add("tree/large", content.clone());
        sample.add("tree/small", pattern(1000, 6));
        let (peer, link) = lab.peer_behind_proxy(&sample, "source", &["--up", UP]);
        lab.wait_for_seeders("tree/large", 1);
        lab.wait_for_seeders("tree/", 1);
        Scene { lab, _peer: peer, link, sample, content }
    }

    fn large(&self) -> PathBuf {
        self.sample.path().join("tree/large")
    }

    /// Starts a `get`; returns when a part has left.
    #[track_caller]
    fn begin(&self, what: &str) -> Daemon {
        let before = self.link.carried(Way::Out);
        let fetch = self.lab.fetching(what, &["--wait", "30s"]);
        crate::support::eventually("a part has arrived", || {
            (self.link.carried(Way::Out) > before + BEGUN).then_some(())
        });
        fetch
    }

    fn touch(&self) {
        let file = fs::File::options().write(true).open(self.large()).expect("the file");
        file.set_modified(SystemTime::now()).expect("another time");
    }

    /// Appends to the large file, and waits until it is known under its new id.
    #[track_caller]
    fn grow(&self, what: &str) {
        let before = self.lab.id_of(what);
        let mut file = fs::File::options().append(true).open(self.large()).expect("the file");
        file.write_all(b"one more line").expect("a line");
        crate::support::eventually("it is hashed again", || (self.lab.id_of(what) != before).then_some(()));
    }

    /// Overwrites the large file in place with other bytes.
    fn edit(&self) -> Vec<u8> {
        let edited = pattern(BYTES, 7);
        fs::write(self.large(), &edited).expect("other bytes");
        edited
    }

    /// The `get` ends soon, and says what the name stands for now.
    #[track_caller]
    fn expect_changed(&self, fetch: Daemon, what: &str) {
        let start = Instant::now();
        let output = fetch.wait().expect(UNREACHABLE);
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        let said = &output.stderr;
        assert!(said.contains(&format!("{what} changed at its source")), "{said}");
        let now_is = self.lab.id_of(what).expect("an id");
        assert!(said.contains(&now_is), "{now_is} is not in: {said}");
    }
}

#[test]
fn a_file_that_is_touched_is_hashed_again_and_goes_on_over_the_same_connections() {
    let scene = Scene::new();
    let fetch = scene.begin("tree/large");
    let connections = scene.link.accepted();
    scene.touch();
    let status = outcome(&fetch.wait().expect(DONE));
    scene.lab.expect_file("large", &scene.content);
    assert_eq!(scene.link.accepted(), connections, "{status}");
}

#[test]
fn a_file_that_is_renamed_goes_on_by_its_id() {
    let scene = Scene::new();
    let fetch = scene.begin("tree/large");
    fs::rename(scene.large(), scene.sample.path().join("elsewhere")).expect("another name");
    fetch.wait().expect(DONE);
    scene.lab.expect_file("large", &scene.content);
}

#[test]
fn a_file_that_is_edited_ends_the_fetch_with_its_new_id_and_the_same_command_fetches_that() {
    let scene = Scene::new();
    let fetch = scene.begin("tree/large");
    let edited = scene.edit();
    scene.expect_changed(fetch, "tree/large");
    assert!(!scene.lab.fetched("large").exists());
    scene.lab.get("tree/large", &[]).expect(DONE);
    scene.lab.expect_file("large", &edited);
}

#[test]
fn a_member_of_a_folder_that_is_touched_goes_on() {
    let scene = Scene::new();
    let fetch = scene.begin("tree/");
    scene.touch();
    fetch.wait().expect(DONE);
    scene.lab.expect_file("tree/large", &scene.content);
}

#[test]
fn a_member_of_a_folder_that_is_edited_ends_the_fetch_with_the_folders_new_id() {
    let scene = Scene::new();
    let fetch = scene.begin("tree/");
    let edited = scene.edit();
    scene.expect_changed(fetch, "tree/");
    scene.lab.get("tree/", &[]).expect(DONE);
    scene.lab.expect_file("tree/large", &edited);
}

#[test]
fn a_file_that_grows_is_fetched_as_what_it_was_when_it_was_asked_for() {
    let scene = Scene::new();
    let fetch = scene.begin("tree/large");
    scene.grow("tree/large");
    fetch.wait().expect(DONE);
    scene.lab.expect_file("large", &scene.content);
}

#[test]
fn a_member_of_a_folder_that_grows_arrives_as_what_it_was() {
    let scene = Scene::new();
    let fetch = scene.begin("tree/");
    scene.grow("tree/large");
    fetch.wait().expect(DONE);
    scene.lab.expect_file("tree/large", &scene.content);
}
