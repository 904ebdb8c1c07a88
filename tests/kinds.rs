//! A folder's listing is bytes like any others: shared as a file, too, it is two contents with one id.

mod support;

use std::fs;
use std::path::Path;

use support::{Daemon, Output, Sample, eventually, pattern, run};
use tempfile::TempDir;

/// Chunks of the folder; its listing has one.
const CHUNKS: usize = 4;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn get(tracker: &Daemon, what: &str, dest: &Path) -> Output {
    run(&["get", what, text(dest), "--tracker", &tracker.target(), "--wait", "20s"])
}

/// What the tracker knows by a name or id: name, id, seeders.
fn found(tracker: &Daemon, what: &str) -> Vec<(String, String, u64)> {
    let found = run(&["find", what, "--tracker", &tracker.target(), "--json"]).stdout;
    let rows = found.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows: Vec<_> = rows
        .map(|row| (text(&row["name"]), text(&row["id"]), row["seeders"].as_u64().unwrap_or_default()))
        .collect();
    rows.sort();
    rows
}

#[test]
fn a_listing_saved_as_a_file_and_its_folder_are_two_contents() {
    let mut sample = Sample::empty();
    sample.add("t/large", pattern(CHUNKS << 16, 1));
    let tracker = Daemon::tracker(&[]);
    let _alice = Daemon::peer(sample.path(), &["--tracker", &tracker.target()]);
    let id = found(&tracker, "t/")[0].1.clone();

    // The bytes of the listing, as a file, from who has the folder.
    let bob = TempDir::new().unwrap();
    let by_name = |name: &str| format!("p2p:{id}?name={name}");
    get(&tracker, &by_name("saved"), bob.path()).expect(0);
    let listing = fs::read(bob.path().join("saved")).unwrap();
    assert_eq!(blake3::hash(&listing).to_hex().as_str(), id);

    let peer = Daemon::peer(bob.path(), &["--tracker", &tracker.target()]);
    let carol = Sample::empty();
    fs::write(carol.path().join("saved"), &listing).unwrap();
    let _carol = Daemon::peer(carol.path(), &["--tracker", &tracker.target()]);
    let both = [("saved".to_owned(), id.clone(), 2), ("t/".to_owned(), id.clone(), 1)];
    eventually("two contents of one id", || (found(&tracker, &id) == both).then_some(()));

    let place = TempDir::new().unwrap();
    let at = |name: &str| place.path().join(name);
    get(&tracker, &id, &at("by id")).expect(0);
    get(&tracker, "t/", &at("by name")).expect(0);
    get(&tracker, &by_name("t/"), &at("by link")).expect(0);
    for folder in ["by id", "by name", "by link"] {
        sample.expect_copy("t/", &at(folder));
    }
    get(&tracker, &by_name("saved"), &at("file by link")).expect(0);
    get(&tracker, "saved", &at("file by name")).expect(0);
    for file in ["file by link", "file by name"] {
        assert_eq!(fs::read(at(file)).unwrap(), listing);
    }

    // A peer that shares the file fetches the folder: what it gains of one is not said of the other.
    get(&tracker, "t/", bob.path()).expect(0);
    sample.expect_copy("t/", &bob.path().join("t"));
    let both = [("saved".to_owned(), id.clone(), 2), ("t/".to_owned(), id.clone(), 2)];
    eventually("two holders of each", || (found(&tracker, &id) == both).then_some(()));
    assert!(!peer.log().contains("refuse"), "{}", peer.log());
}
