//! Names: what a name means when several say it, what a content is called, and what can be typed.

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Daemon, Output, Sample, eventually, pattern, run};
use tempfile::TempDir;

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;

/// A peer's name, and the paths and contents it shares.
type Shared<'a> = (&'a str, &'a [(&'a str, Vec<u8>)]);

/// A tracker, peers that share a sample each, and a place for what is fetched.
struct Swarm {
    tracker: Daemon,
    peers: Vec<(Daemon, Sample)>,
    place: TempDir,
}

impl Swarm {
    #[track_caller]
    fn of(peers: &[Shared<'_>]) -> Swarm {
        let tracker = Daemon::tracker(&[]);
        let start = |(name, files): &Shared<'_>| {
            let mut sample = Sample::empty();
            files.iter().for_each(|(path, content)| drop(sample.add(path, content.clone())));
            (Daemon::peer(sample.path(), &["--all", "--tracker", &tracker.target(), "--name", name]), sample)
        };
        let peers = peers.iter().map(start).collect();
        let swarm = Swarm { tracker, peers, place: TempDir::new().expect("a temporary folder") };
        eventually("the tracker knows the peers and what they have", || {
            let status = json(&swarm.ask(&["status", "--json"]).stdout);
            let known = status["peers"].as_array()?;
            (known.len() == swarm.peers.len() && known.iter().all(|peer| peer["offers"] != 0)).then_some(())
        });
        swarm
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> Output {
        run(&[args, &["--tracker", &self.tracker.target()]].concat())
    }

    /// `get` into this swarm's place, or a path below it.
    #[track_caller]
    fn get(&self, what: &str, to: &str, args: &[&str]) -> Output {
        let place = self.place.path().join(to);
        self.ask(&[&["get", what, place.to_str().expect("a UTF-8 path"), "--wait", "10s"], args].concat())
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.place.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

#[track_caller]
fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn id(content: &[u8]) -> String {
    blake3::hash(content).to_string()
}

fn set_age(path: &Path, seconds: u64) {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
    fs::File::options().append(true).open(path).and_then(|file| file.set_modified(then)).expect("a time");
}

#[test]
fn two_originals_are_a_table_and_can_be_chosen_between() {
    let (old, new) = (pattern(70_000, 1), pattern(90_000, 2));
    let swarm = Swarm::of(&[("alice", &[("models/m", new.clone())]), ("bob", &[("other", vec![1])])]);
    let folder = swarm.peers[1].1.path();
    fs::create_dir(folder.join("made")).expect("a folder");
    fs::write(folder.join("made/m"), &old).expect("a file");
    set_age(&folder.join("made/m"), 7200);
    fs::rename(folder.join("made"), folder.join("models")).expect("a name");
    let choices = eventually("both are known", || {
        let asked = swarm.get("models/", "m", &["--json"]);
        let error = json(asked.stdout.lines().last()?)["error"].clone();
        if asked.code() != USAGE {
            fs::remove_dir_all(swarm.place.path().join("m")).ok();
            return None;
        }
        let choices = error["choices"].as_array()?;
        // Where hashing takes very long, a folder is told of without the file that it lacks.
        choices.iter().all(|choice| choice["size"] != 0).then(|| choices.clone())
    });
    let of = |name: &str| choices.iter().find(|choice| choice["holders"][0] == name).expect(name).clone();
    assert_eq!((&of("alice")["size"], &of("bob")["size"]), (&90_000.into(), &70_000.into()));
    assert!(
        of("bob")["age"].as_u64() >= Some(7200) && of("alice")["age"].as_u64() < Some(7200),
        "{choices:?}"
    );
    let words = swarm.get("models/", "m", &[]).expect(USAGE).stderr;
    for part in
        ["HOLDER", "SIZE", "AGE", "ID", "alice", "bob", "2 h", of("bob")["id"].as_str().unwrap_or("?")]
    {
        assert!(words.contains(part), "{part} in {words}");
    }
    assert!(!swarm.place.path().join("m").exists(), "nothing was fetched");
    swarm.get("models/", "newest", &["--newest"]).expect(0);
    assert!(swarm.read("newest/m") == new);
    swarm.get("models/", "bob", &["--from", "bob"]).expect(0);
    assert!(swarm.read("bob/m") == old);
    let failure = swarm.get("models/", "m", &["--from", "carol"]).expect(NOT_FOUND).stderr;
    assert!(failure.contains("no peer `carol` has models/; there are: alice, bob"), "{failure}");
}

#[test]
fn what_looks_like_an_id_or_a_link_can_be_fetched_by_its_name() {
    let target = id(b"x");
    let names = [&*target, "p2p:x", "name:x", "name:photos", "id:x"];
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (*name, name.as_bytes().to_vec())).collect();
    let swarm = Swarm::of(&[("alice", &files)]);
    let listed = swarm.ask(&["ls"]).expect(0).stdout;
    for name in names {
        let typed = listed.split_whitespace().find(|word| *word == format!("name:{name}"));
        swarm.get(typed.unwrap_or_else(|| panic!("{name} in {listed}")), "", &[]).expect(0);
        assert_eq!(swarm.read(name), name.as_bytes());
    }
    let failure = swarm.ask(&["find", "name:photos", "--wait", "0"]).expect(NOT_FOUND).stderr;
    assert!(failure.contains("did you mean name:name:photos?"), "{failure}");
    let by_id = format!("id:{}", id(b"p2p:x"));
    swarm.get(&by_id, "by id", &[]).expect(0);
    assert_eq!(swarm.read("by id"), b"p2p:x");
}

#[test]
fn by_id_strangers_do_not_choose_where_it_goes() {
    let (profile, agreed, disputed) = (pattern(100, 1), pattern(100, 2), pattern(100, 3));
    let swarm = Swarm::of(&[
        ("alice", &[(".profile", profile.clone()), ("a/tool", agreed.clone()), ("one", disputed.clone())]),
        ("bob", &[("b/tool", agreed.clone()), ("two", disputed.clone())]),
    ]);
    for hidden in [id(&profile), format!("p2p:{}?name=.profile", id(&profile))] {
        let said = swarm.get(&hidden, "", &[]).expect(0).stderr;
        assert!(said.contains("`.profile` would be hidden"), "{said}");
        assert!(swarm.read(&id(&profile)) == profile);
        assert!(!swarm.place.path().join(".profile").exists());
    }
    swarm.get(&id(&profile), "", &["--as", ".profile"]).expect(0);
    assert!(swarm.read(".profile") == profile);
    let said = swarm.get(&id(&disputed), "", &[]).expect(0).stderr;
    assert!(said.contains("called by its id"), "{said}");
    assert!(swarm.read(&id(&disputed)) == disputed);

    fs::write(swarm.place.path().join("tool"), "mine").expect("my own file");
    let failure = swarm.get(&id(&agreed), "", &["--force"]).expect(USAGE).stderr;
    assert!(failure.contains("nobody here said that it may be replaced"), "{failure}");
    assert_eq!(swarm.read("tool"), b"mine");
    swarm.get(&id(&agreed), "", &["--as", "tool", "--force"]).expect(0);
    assert!(swarm.read("tool") == agreed);
    swarm.get(&id(&agreed), "tool2", &[]).expect(0);
}

#[test]
fn nothing_hidden_comes_with_a_union() {
    let swarm =
        Swarm::of(&[("alice", &[("src/a", vec![1])]), ("eve", &[("src/.git/hooks/pre-commit", vec![2])])]);
    swarm.get("src/", "s", &[]).expect(USAGE);
    let failure = swarm.get("src/", "s", &["--union"]).expect(USAGE).stderr;
    assert!(failure.contains(".git/hooks/pre-commit"), "{failure}");
    assert!(!swarm.place.path().join("s").exists(), "nothing was fetched");
}
