//! Closed swarms, by real processes: founding, joining by one link, roles, putting out, new keys, and where keys lie.
//!
//! Each user has a home of its own; all of them are on the loopback, where `--swarm` makes a tracker a closed one.

#[path = "members/cluster.rs"]
mod cluster;
#[path = "namespaces/mod.rs"]
mod namespaces;
#[path = "members/records.rs"]
mod records;
mod support;
#[path = "members/user.rs"]
mod user;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{Daemon, Port, Sample, eventually, run_with};
use tempfile::TempDir;
use user::User;

fn shared(name: &str) -> Sample {
    let mut sample = Sample::empty();
    sample.add(name, support::pattern(200_000, 3));
    sample
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_first_start_founds_a_swarm_and_prints_the_link_by_which_others_join() {
    let (owner, other, outsider) = (User::new(), User::new(), User::new());
    let tracker = owner.tracker();
    let said = eventually("the link", || {
        let said = tracker.stdout();
        said.contains("p2p join '").then_some(said)
    });
    let link = said.split('\'').nth(1).unwrap().to_owned();
    for file in [owner.keys(), owner.home.path().join("p2p/identity.key")] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let folder = shared("zebra");
    let _peer = owner.start(&["peer", text(folder.path())]);
    let joined = other.run(&["join", &link]).expect(0);
    assert!(joined.stdout.contains("as publisher"), "{}", joined.stdout);
    let dest = TempDir::new().unwrap();
    other.run(&["get", "zebra", text(dest.path())]).expect(0);
    folder.expect_copy("", dest.path());
    // A second one finds the keys that are there, and stays as it is.
    let again = other.run(&["join", &link]).expect(2);
    assert!(again.stderr.contains("keys of a swarm already"), "{}", again.stderr);
    // Who has no key learns that there is one to be had.
    let addr = tracker.addr().to_string();
    let refused = outsider.run(&["ls", "--tracker", &addr]);
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("p2p join LINK"), "{}", refused.stderr);
}

#[test]
fn a_link_is_read_from_standard_input_and_is_good_as_often_as_it_says() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let link = owner.invite(&["--uses", "1", "--role", "reader"]);
    let (first, second) = (User::new(), User::new());
    let file = first.home.path().join("link");
    fs::write(&file, format!("{link}\n")).unwrap();
    let input = fs::File::open(&file).unwrap();
    let prepare = first.prepare();
    let joined = run_with(&["join", "-"], |command| {
        prepare(command);
        command.stdin(Stdio::from(input));
    });
    assert!(joined.expect(0).stdout.contains("as reader"));
    let late = second.run(&["join", &link]);
    assert_ne!(late.code(), 0);
    assert!(late.stderr.contains("ask for another"), "{}", late.stderr);
    assert!(!second.keys().exists());
    let mistyped = second.run(&["join", &format!("{}0", &link[..link.len() - 1])]);
    assert!(mistyped.code() == 2 || link.ends_with('0'), "{}", mistyped.stderr);
}

#[test]
fn a_role_decides_what_a_member_may_do() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let (publisher, reader) = (owner.invites("publisher"), owner.invites("reader"));
    let (theirs, own) = (shared("theirs"), shared("hippo"));
    let _peer = publisher.start(&["peer", text(theirs.path())]);
    eventually("the publisher's file", || reader.run(&["ls"]).stdout.contains("theirs").then_some(()));
    let _reader = reader.start(&["peer", text(own.path())]);
    let publish = |user: &User| user.run(&["publish", "theirs", "--as", "named"]);
    let refused = publish(&reader);
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("NOT_ALLOWED"), "{}", refused.stderr);
    publish(&publisher).expect(0);
    // What a reader has is not listed, but it helps with what is.
    let dest = own.path();
    reader.run(&["get", "theirs", text(dest)]).expect(0);
    let find = eventually("two who have it", || {
        let found = owner.run(&["find", "theirs", "--json"]).stdout;
        found.contains("\"seeders\":2").then_some(found)
    });
    assert!(!owner.run(&["ls"]).expect(0).stdout.contains("hippo"), "{find}");
    for (user, allowed) in [(&reader, false), (&publisher, false), (&owner, true)] {
        for command in [&["members"][..], &["invite"], &["swarm", "rotate"]] {
            let code = user.run(command).code();
            assert_eq!(code == 0, allowed, "{command:?}");
        }
    }
}

#[test]
fn a_member_is_given_another_role_and_what_it_has_is_listed_or_not_from_then_on() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let (member, own) = (owner.invites("reader"), shared("hippo"));
    let _peer = member.start(&["peer", text(own.path())]);
    let listed = || owner.run(&["ls"]).expect(0).stdout.contains("hippo");
    assert!(!listed());
    let said = owner.run(&["swarm", "role", "reader", "publisher", "--prefix", "h"]).expect(0).stdout;
    assert_eq!(said.trim(), "reader is a publisher of h now");
    eventually("what a publisher has", || listed().then_some(()));
    owner.run(&["swarm", "role", "reader", "reader", "--json"]).expect(0);
    eventually("what a reader has", || (!listed()).then_some(()));
    let admin = own_key(&owner);
    let refused = owner.run(&["swarm", "role", &admin[..8], "reader"]);
    assert!(refused.code() != 0 && refused.stderr.contains("the last"), "{}", refused.stderr);
    assert_ne!(member.run(&["swarm", "role", "reader", "admin"]).code(), 0);
}

/// The key by which a user is known.
fn own_key(user: &User) -> String {
    let said = user.run(&["swarm", "show"]).expect(0).stdout;
    said.lines().find_map(|line| line.strip_prefix("known by ")).unwrap().to_owned()
}

#[test]
fn who_has_the_key_of_the_swarm_and_is_in_no_roster_waits_to_be_entered() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let other = User::new();
    fs::create_dir(other.home.path().join("p2p")).unwrap();
    fs::copy(owner.keys(), other.keys()).unwrap();
    let refused = other.run(&["ls"]);
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("p2p swarm role KEY ROLE"), "{}", refused.stderr);
    owner.run(&["swarm", "role", &own_key(&other), "reader"]).expect(0);
    other.run(&["ls"]).expect(0);
}

#[test]
fn a_user_uploads_two_things_at_a_time_and_fetches_meanwhile() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let (store, folder) = (TempDir::new().unwrap(), shared("zebra"));
    let _store = owner.start(&["peer", text(store.path()), "--store", "60MB"]);
    let _peer = owner.start(&["peer", text(folder.path())]);
    eventually("a store", || owner.run(&["stores"]).stdout.contains("lending").then_some(()));
    let (one, two) = (shared("one"), shared("two"));
    let uploads: Vec<Daemon> = [(&one, "one"), (&two, "two")]
        .into_iter()
        .map(|(folder, name)| {
            let path = folder.path().join(name);
            owner.begin(&["upload", text(&path), "--copies", "1", "--wait", "60s"])
        })
        .collect();
    let dest = TempDir::new().unwrap();
    owner.run(&["get", "zebra", text(dest.path())]).expect(0);
    for upload in uploads {
        let said = upload.wait().expect(0);
        assert!(!said.stderr.contains("IN_USE"), "{}", said.stderr);
    }
    // The keys of them are kept for the next ones.
    let keys = owner.home.path().join("p2p/peers").join(own_key(&owner));
    assert!(fs::read_dir(keys).unwrap().count() <= 3);
}

#[test]
fn who_is_put_out_is_cut_by_peers_within_ten_seconds() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let (gone, stays) = (owner.invites("publisher"), owner.invites("reader"));
    let mut sample = Sample::empty();
    sample.add("zebra", support::pattern(30_000_000, 3));
    let _peer = owner.start(&["peer", text(sample.path()), "--up", "3MB"]);
    eventually("the file", || stays.run(&["ls"]).stdout.contains("zebra").then_some(()));
    let fetch = |user: &User, dest: &TempDir| {
        let fetch = user.begin(&["get", "zebra", text(dest.path()), "--wait", "3s"]);
        eventually("some of it", || (bytes_in(dest.path()) > 200_000).then_some(()));
        fetch
    };
    let (theirs, others) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (cut, goes_on) = (fetch(&gone, &theirs), fetch(&stays, &others));
    let began = Instant::now();
    owner.run(&["revoke", "publisher"]).expect(0);
    let ended = cut.wait();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_ne!(ended.code(), 0, "{}", ended.stdout);
    goes_on.wait().expect(0);
    sample.expect_copy("", others.path());
}

#[test]
fn a_folder_of_who_was_put_out_and_invited_again_is_shared_as_before() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let (member, folder) = (owner.invites("publisher"), shared("zebra"));
    let listed = || owner.run(&["ls"]).expect(0).stdout.contains("zebra");
    let peer = member.start(&["peer", text(folder.path())]);
    eventually("the file", || listed().then_some(()));
    owner.run(&["revoke", "publisher"]).expect(0);
    eventually("the end of its registration", || (!listed()).then_some(()));
    drop(peer);
    let place = TempDir::new().unwrap();
    let refused = member.run(&["get", "zebra", text(place.path()), "--wait", "forever"]).expect(4).stderr;
    assert!(refused.contains("was put out"), "{refused}");
    let refused = member.run(&["ls"]).expect(4).stderr;
    for file in [member.home.path().join("p2p/identity.key"), member.keys()] {
        assert!(refused.contains("delete"), "{refused}");
        fs::remove_file(file).unwrap();
    }
    member.run(&["join", &owner.invite(&[]), "--name", "again"]).expect(0);
    let peer = member.start(&["peer", text(folder.path())]);
    eventually("the file again", || listed().then_some(()));
    assert!(peer.log().contains("another is made in its place"), "{}", peer.log());
}

#[test]
fn a_key_of_peers_without_a_folder_that_is_put_out_alone_gives_way_to_another() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let (member, folder) = (owner.invites("publisher"), shared("zebra"));
    let _peer = owner.start(&["peer", text(folder.path())]);
    let get = || {
        let dest = TempDir::new().unwrap();
        let got = member.run(&["get", "zebra", text(dest.path()), "--wait", "20s"]).expect(0);
        folder.expect_copy("", dest.path());
        got
    };
    get();
    let place = member.home.path().join("p2p/peers").join(own_key(&member)).join("1/identity.key");
    let before = fs::read(&place).unwrap();
    // The member is in as before; of its keys this one is out, and with it whoever has taken it.
    let members = owner.run(&["members", "--json"]).expect(0).stdout;
    let members = members.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let by = own_key(&member);
    let its = members.into_iter().find(|line| line["own"] == true && line["by"] == *by).expect("its key");
    owner.run(&["revoke", its["key"].as_str().unwrap()]).expect(0);
    let said = get().stderr;
    assert!(said.contains("another is made in its place"), "{said}");
    assert_ne!(fs::read(&place).unwrap(), before);
    assert!(!get().stderr.contains("another is made"), "the new one is kept for the next");
}

#[test]
fn an_agent_has_keys_as_soon_as_its_own_tracker_has_founded_a_swarm() {
    let (owner, port) = (User::new(), Port::reserve());
    let (file, at) = (owner.home.path().join("node.toml"), port.target());
    // One that others can reach, so that it is closed.
    let listen = at.replace("127.0.0.1", "0.0.0.0");
    let node = format!("[node]\nname = \"one\"\nstate = \"state\"\ntrackers = [\"{at}\"]\n");
    fs::write(&file, format!("{node}[tracker]\nlisten = \"{listen}\"\n")).unwrap();
    let _agent = owner.begin(&["up", text(&file)]);
    eventually("the tracker hears of its node", || {
        owner.run(&["cluster", "nodes", "--json"]).stdout.contains("\"one\"").then_some(())
    });
    let members = owner.run(&["members", "--json"]).expect(0).stdout;
    assert!(members.contains("\"own\":true"), "its key is one of who runs it: {members}");
}

/// Bytes that take room in a folder, in all below it.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn who_is_put_out_is_cut_and_comes_back_by_nothing_it_has() {
    let owner = User::new();
    let tracker = owner.tracker();
    let (gone, stays) = (owner.invites("publisher"), owner.invites("reader"));
    let folder = shared("zebra");
    let peer = gone.start(&["peer", text(folder.path())]);
    eventually("the file", || stays.run(&["ls"]).stdout.contains("zebra").then_some(()));
    let old = gone.secret();
    owner.run(&["revoke", "publisher"]).expect(0);
    eventually("the end of its registration", || {
        (!owner.run(&["ls"]).expect(0).stdout.contains("zebra")).then_some(())
    });
    let refused = gone.run(&["ls"]);
    assert_ne!(refused.code(), 0);
    assert_eq!(gone.secret(), old, "it hears of no new key");
    // The others go on, and hear of it.
    stays.run(&["ls"]).expect(0);
    assert_ne!(stays.secret(), old);
    assert_eq!(stays.secret(), owner.secret());
    let members = owner.run(&["members", "--json"]).expect(0).stdout;
    assert!(!members.contains("\"publisher\""), "{members}");
    drop((peer, tracker));
}

#[test]
fn who_slept_through_two_keys_renews_by_itself() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let sleeper = owner.invites("reader");
    let old = sleeper.secret();
    owner.run(&["swarm", "rotate", "--grace", "0s"]).expect(0);
    owner.run(&["swarm", "rotate", "--grace", "0s"]).expect(0);
    sleeper.run(&["ls"]).expect(0);
    assert_ne!(sleeper.secret(), old);
    assert_eq!(sleeper.secret(), owner.secret());
}

#[test]
fn a_peer_that_runs_goes_on_through_a_new_key() {
    let owner = User::new();
    let _tracker = owner.tracker();
    let folder = shared("zebra");
    let _peer = owner.start(&["peer", text(folder.path())]);
    let reader = owner.invites("reader");
    owner.run(&["swarm", "rotate", "--grace", "0s"]).expect(0);
    let dest = TempDir::new().unwrap();
    reader.run(&["get", "zebra", text(dest.path())]).expect(0);
    folder.expect_copy("", dest.path());
}

#[test]
fn what_a_tracker_knows_of_its_members_outlives_it() {
    let owner = User::new();
    let tracker = owner.tracker();
    let reader = owner.invites("reader");
    let addr = tracker.addr().to_string();
    drop(tracker);
    let again = owner.tracker_at(&addr);
    assert!(!again.stdout().contains("p2p join"), "the link was for the founding");
    reader.run(&["ls"]).expect(0);
    assert!(owner.run(&["members"]).expect(0).stdout.contains("reader"));
}

#[test]
fn a_share_beyond_this_machine_has_a_key_of_its_own_in_its_link() {
    let (sharer, other) = (User::new(), User::new());
    let folder = shared("zebra");
    let file = folder.path().join("zebra");
    let shares =
        sharer.start(&["share", text(&file), "--tracker-listen", "0.0.0.0:0", "--advertise", "127.0.0.1"]);
    let said = eventually("the link", || {
        let said = shares.stdout();
        said.contains("p2p get '").then_some(said)
    });
    let link = said.split('\'').nth(1).unwrap();
    assert!(link.contains("#s="), "{link}");
    let dest = TempDir::new().unwrap();
    other.run(&["get", link, text(dest.path())]).expect(0);
    folder.expect_copy("", dest.path());
    assert!(!other.keys().exists() && !sharer.keys().exists(), "nothing is kept of it");
    let without = link.split('#').next().unwrap();
    let refused = other.run(&["get", without, text(&dest.path().join("x")), "--wait", "0"]);
    assert_ne!(refused.code(), 0, "{}", refused.stdout);
}

#[test]
fn keys_that_others_may_read_are_refused_with_the_command_that_helps() {
    let owner = User::new();
    let _tracker = owner.tracker();
    fs::set_permissions(owner.keys(), Permissions::from_mode(0o644)).unwrap();
    let refused = owner.run(&["ls"]).expect(2);
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    fs::set_permissions(owner.keys(), Permissions::from_mode(0o600)).unwrap();
    owner.run(&["ls"]).expect(0);
    let file = owner.keys();
    let moved = owner.home.path().join("elsewhere");
    fs::rename(&file, &moved).unwrap();
    assert_ne!(owner.run(&["ls"]).code(), 0, "no key, and another default tracker");
    owner.run(&["ls", "--swarm", text(&moved)]).expect(0);
    let prepare = owner.prepare();
    run_with(&["ls"], |command| {
        prepare(command);
        command.env("P2P_SWARM_FILE", &moved);
    })
    .expect(0);
    let credentials = owner.home.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::rename(&moved, credentials.join("swarm")).unwrap();
    let prepare = owner.prepare();
    run_with(&["ls"], |command| {
        prepare(command);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
    })
    .expect(0);
}

#[test]
fn no_secret_is_in_traces_logs_json_or_arguments() {
    let owner = User::new();
    let tracker = owner.start(&[
        "tracker",
        "--listen",
        "127.0.0.1:0",
        "--swarm",
        owner.keys().to_str().unwrap(),
        "-vv",
    ]);
    let first = owner.secret();
    let link = owner.invite(&["-vv"]);
    let code = link.rsplit('/').next().unwrap().to_owned();
    let other = User::new();
    let joined = other.run(&["join", &link, "-vv", "--json"]).expect(0);
    let rotated = owner.run(&["swarm", "rotate", "-vv", "--json"]).expect(0);
    let shown = owner.run(&["swarm", "show", "--json"]).expect(0);
    let listed = other.run(&["ls", "-vv"]).expect(0);
    let second = owner.secret();
    let mut all = [tracker.log(), shown.stdout].concat();
    for output in [joined, rotated, listed] {
        all.push_str(&output.stdout);
        all.push_str(&output.stderr);
    }
    for secret in [&first, &second, &code] {
        assert!(!all.contains(&**secret));
    }
    let told = owner.run(&["swarm", "show", "--secret"]).expect(0).stdout;
    assert!(told.contains(&second), "but where it is asked for");
}

#[test]
#[ignore = "makes network namespaces, which needs root: cargo test --test members -- --ignored"]
fn two_machines_need_a_tracker_a_join_and_a_get_and_a_share_needs_a_get() {
    if let Some(obstacle) = namespaces::obstacle() {
        eprintln!("skipped: {obstacle}");
        return;
    }
    let lab = namespaces::Lab::new();
    let (one, two) = (lab.host("one", &["10.78.0.1/24"]), lab.host("two", &["10.78.0.2/24"]));
    let (owner, other, third) = (User::new(), User::new(), User::new());
    let folder = shared("zebra");
    let recorder = lab.record();
    let prepare = owner.prepare();
    let tracker = one.inside(move || Daemon::start_with(&["tracker"], prepare));
    let (prepare, path) = (owner.prepare(), folder.path().to_owned());
    let _peer = one.inside(move || Daemon::start_with(&["peer", text(&path)], prepare));
    let link = quoted(&tracker);
    assert!(link.starts_with("p2p-join:10.78.0.1:9700/"), "{link}");
    let prepare = other.prepare();
    two.inside(move || run_with(&["join", &link], prepare)).expect(0);
    let dest = TempDir::new().unwrap();
    let (prepare, path) = (other.prepare(), dest.path().to_owned());
    two.inside(move || run_with(&["get", "zebra", text(&path)], prepare)).expect(0);
    folder.expect_copy("", dest.path());
    // And with nothing but a link.
    let (prepare, path) = (third.prepare(), folder.path().join("zebra"));
    let shares = one.inside(move || Daemon::start_with(&["share", text(&path)], prepare));
    let link = quoted(&shares);
    let dest = TempDir::new().unwrap();
    let (prepare, path) = (third.prepare(), dest.path().to_owned());
    two.inside(move || run_with(&["get", &link, text(&path)], prepare)).expect(0);
    folder.expect_copy("", dest.path());
    let told = told(&recorder.stop(), &folder);
    assert_eq!(told, [0, 0, 0], "names, ids and bytes of content that who listens learns");
    // He hears everything where it is in the clear.
    let recorder = lab.record();
    let open =
        |words: &[&str]| words.iter().chain(&["--open"]).map(|word| word.to_string()).collect::<Vec<_>>();
    let (prepare, words) = (User::new().prepare(), open(&["share", text(&folder.path().join("zebra"))]));
    let shares = one
        .inside(move || Daemon::start_with(&words.iter().map(String::as_str).collect::<Vec<_>>(), prepare));
    let (link, dest) = (quoted(&shares), TempDir::new().unwrap());
    let (prepare, words) = (User::new().prepare(), open(&["get", &link, text(dest.path())]));
    two.inside(move || run_with(&words.iter().map(String::as_str).collect::<Vec<_>>(), prepare)).expect(0);
    let told = self::told(&recorder.stop(), &folder);
    assert!(told.iter().all(|times| *times > 0), "{told:?}");
}

/// How often names, ids and bytes of what is in a folder are in there.
fn told(heard: &[u8], folder: &Sample) -> [usize; 3] {
    /// So many bytes in a row are found by chance nowhere.
    const TELLING_BYTES: usize = 8;
    let content = fs::read(folder.path().join("zebra")).unwrap();
    let times = |needle: &[u8]| heard.windows(needle.len()).filter(|window| *window == needle).count();
    let id = p2p::content::FileId::of(&content).0;
    let pieces = content.chunks(20_000).map(|piece| times(&piece[..TELLING_BYTES]));
    [times(b"zebra"), times(&id[..TELLING_BYTES]), pieces.sum()]
}

/// The link that a daemon prints.
fn quoted(daemon: &Daemon) -> String {
    eventually("a link", || daemon.stdout().split('\'').nth(1).map(str::to_owned))
}
