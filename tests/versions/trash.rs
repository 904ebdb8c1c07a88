//! `get --delete`: what a newer version lacks goes to the trash.

use super::*;

/// Publishes `models/` with much that goes in the second version; gives what that version is.
fn publish_less(swarm: &Swarm) {
    swarm.publish(|models| {
        for gone in ["gone", "changed", "d/one", "d/e/two", "closed/file", "linked/x"] {
            fs::remove_file(models.join(gone)).expect("the file goes");
        }
        for folder in ["d/e", "d", "closed", "linked"] {
            fs::remove_dir(models.join(folder)).expect("the folder goes");
        }
        fs::remove_file(models.join("link")).expect("the link goes");
        fs::write(models.join("a"), pattern(210_000, 9)).expect("a newer file");
    });
}

fn large() -> Swarm {
    let files = ["gone", "changed", "d/one", "d/e/two", "closed/file", "linked/x", "stays/y", "gone too"];
    let mut files: Vec<(&str, Vec<u8>)> =
        files.iter().map(|name| (*name, name.as_bytes().to_vec())).collect();
    files.push(("a", pattern(200_000, 1)));
    let swarm = Swarm::new(&files);
    swarm.publish(|models| {
        symlink("a", models.join("link")).expect("a link");
        fs::remove_file(models.join("gone too")).expect("the file goes");
    });
    swarm
}

#[test]
fn what_a_newer_version_lacks_goes_to_the_trash_if_asked() {
    let swarm = large();
    let place = swarm.place.path().to_owned();
    let said = swarm.get("models/", "m", &["--delete"]).expect(0).stdout;
    assert!(said.contains("nothing deleted: no older version is noted in"), "{said}");
    publish_less(&swarm);
    let said = swarm.get("models/", "m", &[]).expect(0).stdout;
    assert!(said.contains("of an older version: 7 (`--delete` moves them to the trash)"), "{said}");
    assert!(trash_of(&place.join("m")).is_empty());

    swarm.write("m/mine", "mine");
    swarm.write("m/d/mine", "mine, too");
    swarm.write("m/changed", "by me");
    fs::set_permissions(place.join("m/closed"), fs::Permissions::from_mode(0o500)).expect("a mode");
    // A folder that was replaced by a link leads out: what is there is nobody's business.
    let outside = TempDir::new().expect("a temporary folder");
    fs::rename(place.join("m/linked/x"), outside.path().join("x")).expect("the file moves");
    fs::remove_dir(place.join("m/linked")).expect("the folder goes");
    symlink(outside.path(), place.join("m/linked")).expect("a link");

    let before =
        fs::metadata(place.join("m/stays")).and_then(|metadata| metadata.modified()).expect("a time");
    let record = fs::read(place.join("m/.p2p/got")).expect("a record");
    let report = swarm.get("models/", "m", &["--delete", "--json"]).expect(0).stdout;
    let report: Value = serde_json::from_str(report.lines().last().expect("a line")).expect("JSON");
    let report = &report["done"][0];
    let moved: Vec<&str> =
        report["trashed"]["paths"].as_array().expect("paths").iter().filter_map(Value::as_str).collect();
    assert_eq!(moved, ["closed/file", "d/e/two", "d/one", "gone", "link"]);
    assert_eq!(report["left_alone"], serde_json::json!(["changed", "d/mine", "linked", "mine"]));
    assert_eq!(report["left_older"], 1);
    assert_eq!(
        trash_of(&place.join("m")),
        ["closed/", "closed/file", "d/", "d/e/", "d/e/two", "d/one", "gone", "link"]
    );
    let folder = Path::new(report["trashed"]["folder"].as_str().expect("a folder"));
    assert_eq!(fs::read(folder.join("d/e/two")).expect("it is there"), b"d/e/two");
    assert_eq!(
        all_in(&place.join("m")),
        ["a", "changed", "d/", "d/mine", "linked", "mine", "stays/", "stays/y"],
        "folders that were made here and are empty go, and nothing else"
    );
    assert_eq!(fs::read(outside.path().join("x")).expect("it is there"), b"linked/x");
    let after = fs::metadata(place.join("m/stays")).and_then(|metadata| metadata.modified()).expect("a time");
    assert_eq!(before, after);

    // Again, and as after a kill before it was noted what went.
    fs::write(place.join("m/.p2p/got"), record).expect("the record");
    let said = swarm.get("models/", "m", &["--delete"]).expect(0).stdout;
    assert!(!said.contains("moved") && said.contains("left alone: 4 files"), "{said}");
    assert!(said.contains("of an older version, but changed here or left out at the source: 1"), "{said}");
    assert_eq!(fs::read_dir(place.join("m/.p2p/trash")).expect("the trash").count(), 1);
}

#[test]
fn a_running_peer_moves_it_to_the_trash_and_shares_it_no_more() {
    let swarm = large();
    let folder = TempDir::new().expect("a temporary folder");
    let _bob = peer(&swarm.tracker, folder.path(), "bob");
    let bobs = folder.path().to_str().expect("UTF-8");
    swarm.ask(&["get", "models/", bobs]).expect(0);
    eventually("bob has it", || (kind_of(&swarm.found("models/gone"), "bob") == Some(false)).then_some(()));
    publish_less(&swarm);
    swarm.ask(&["get", "models/", bobs, "--delete"]).expect(0);
    let models = folder.path().join("models");
    assert_eq!(all_in(&models), ["a", "stays/", "stays/y"]);
    assert_eq!(trash_of(&models).len(), 11);
    eventually("bob's folder is the new version", || {
        (kind_of(&swarm.found("models/"), "bob") == Some(false)).then_some(())
    });
    eventually("nobody has what went", || {
        let all = swarm.ask(&["ls", "-r"]).stdout;
        (!all.contains("gone") && !all.contains("closed") && !all.contains("trash")).then_some(())
    });
    assert_eq!(swarm.ask(&["find", "models/gone"]).code(), NOT_FOUND);
}

#[test]
fn a_record_that_somebody_wrote_leads_nowhere_else() {
    let swarm = Swarm::new(&[("a", b"a".to_vec())]);
    let (place, secret) = (swarm.place.path().to_owned(), b"precious".to_vec());
    swarm.get("models/", "m", &[]).expect(0);
    let id = blake3::hash(&secret).to_hex().to_string();
    for at in ["outside", "m/mine", "m/.p2p/state"] {
        fs::write(place.join(at), &secret).expect("a file");
    }
    fs::create_dir(place.join("empty")).expect("a folder");
    symlink("..", place.join("m/up")).expect("a link");
    let record = place.join("m/.p2p/got");
    let mut text = fs::read_to_string(&record).expect("a record");
    let outside = place.join("outside");
    for path in ["../outside", "up/outside", outside.to_str().expect("UTF-8"), ".p2p/state", "mine/", "."] {
        text += &format!("{}\n", serde_json::json!({ "path": path, "id": id, "in_tree": true }));
    }
    for folder in ["../empty", "up/empty", ".", "..", ".p2p"] {
        text += &format!("{}\n", serde_json::json!({ "folder": folder }));
    }
    fs::write(&record, text).expect("a record");
    swarm.get("models/", "m", &["--delete"]).expect(0);
    assert_eq!(trash_of(&place.join("m")), ["mine"], "only what is inside, and is what the record says");
    assert!(swarm.read("outside") == secret && swarm.read("m/.p2p/state") == secret && swarm.exists("empty"));

    // A trash that leads elsewhere gets nothing.
    fs::remove_dir_all(place.join("m/.p2p/trash")).expect("the trash goes");
    symlink("../../empty", place.join("m/.p2p/trash")).expect("a link");
    fs::write(place.join("m/mine"), &secret).expect("a file");
    let mut text = fs::read_to_string(&record).expect("a record");
    text += &format!("{}\n", serde_json::json!({ "path": "mine", "id": id, "in_tree": true }));
    fs::write(&record, text).expect("a record");
    let failure = swarm.get("models/", "m", &["--delete"]).expect(OTHER).stderr;
    assert!(failure.contains("could be moved to the trash: mine: .p2p/trash:"), "{failure}");
    assert!(swarm.read("m/mine") == secret);
    assert_eq!(fs::read_dir(place.join("empty")).expect("a folder").count(), 0);
}

#[test]
fn delete_is_refused_where_it_makes_no_sense() {
    let swarm = Swarm::new(&[("a", b"a".to_vec()), ("m/b", b"b".to_vec())]);
    let failure = swarm.get("models/a", "", &["--delete"]).expect(USAGE).stderr;
    assert!(failure.contains("--delete is for folders, and models/a is a file"), "{failure}");
    swarm.get("models/", "m", &["--delete", "--union"]).expect(USAGE);
    swarm.get("models/m/", "", &[]).expect(0);
    fs::create_dir(swarm.place.path().join("x")).expect("a folder");
    swarm.get("models/m/", "x/models", &[]).expect(0);
    let failure = swarm.get("models/", "x", &["--delete"]).expect(USAGE).stderr;
    assert!(failure.contains("was not filled by models/"), "{failure}");
    let id = swarm.found("models/")[0]["id"].as_str().expect("an id").to_owned();
    let failure = swarm.get(&format!("p2p:{id}?name=models/"), "x", &["--delete"]).expect(USAGE).stderr;
    assert!(failure.contains("nobody here said that anything in it may go"), "{failure}");
    assert!(swarm.exists("x/models/b") && swarm.exists("m/b"));
}

#[test]
fn what_the_source_could_not_list_does_not_go() {
    let swarm = Swarm::new(&[("a", b"a".to_vec()), ("d/b", b"b".to_vec()), ("gone", b"gone".to_vec())]);
    swarm.get("models/", "m", &[]).expect(0);
    swarm.publish(|models| {
        fs::remove_dir_all(models.join("d")).expect("the folder goes");
        let made = std::process::Command::new("mkfifo").arg(models.join("d")).status();
        assert!(made.expect("mkfifo").success());
        fs::remove_file(models.join("gone")).expect("the file goes");
    });
    let said = swarm.get("models/", "m", &["--delete", "--allow-partial"]).expect(0).stdout;
    assert!(said.contains("changed here or left out at the source: 1"), "{said}");
    assert!(swarm.exists("m/d/b"));
    assert_eq!(trash_of(&swarm.place.path().join("m")), ["gone"]);
}
