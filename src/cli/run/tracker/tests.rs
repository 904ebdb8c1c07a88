//! What a tracker is to be by what was typed and what lies about.

use clap::Parser;

use super::*;
use crate::api::Exit;
use crate::cli::typed::args::{Cli, Command};

fn typed(line: &str) -> (TrackerArgs, SwarmArgs) {
    let words = ["p2p", "tracker"].into_iter().chain(line.split_whitespace());
    let Cli { command: Command::Tracker(args), keys, .. } = Cli::parse_from(words) else { panic!("{line}") };
    (args, keys)
}

#[test]
fn one_of_several_trackers_has_a_number_that_is_its_own_and_a_folder() {
    let founders = |line: &str| founders(&typed(line).0);
    assert!(founders("").unwrap().is_none());
    for (line, says) in [
        ("--node 1 --cluster 1=a", "name it with --data DIR"),
        ("--data d --node 1 --cluster 1=a,2=b,1=c", "have the same number"),
        ("--data d --node 3 --cluster 1=a,2=b", "where tracker 3 is reached"),
    ] {
        let refused = founders(line).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.to_string().contains(says), "{line}: {refused}");
    }
    let founders = founders("--data d --node 2 --cluster 2=b:7,1=a").unwrap().unwrap();
    let places: Vec<(u16, String)> =
        founders.first.iter().map(|(node, address, _)| (*node, address.to_string())).collect();
    assert_eq!((founders.node, places), (2, vec![(2, "b:7".to_owned()), (1, "a:9700".to_owned())]));
    assert!(founders.first.iter().all(|(.., key)| *key == PublicKey::NONE));
}

#[test]
fn spares_are_taken_in_the_order_in_which_they_are_named() {
    let line = "--node 1 --cluster 1=a --spare 5=e,4=d --replace-after 7s";
    let SpareTerms { places, patience } = spares(&typed(line).0.cluster);
    assert_eq!(places.iter().map(|(node, _)| *node).collect::<Vec<_>>(), [5, 4]);
    assert_eq!(patience, Duration::from_secs(7));
}

#[test]
fn a_closed_swarm_is_founded_by_one_tracker_whose_key_is_on_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity_in(folder.path()).unwrap();
    let key = identity.public();
    let admin = (PublicKey([7; 32]), "me".to_owned());
    let closed = Closed { identity, swarm: "lab".into(), admin, hosts: vec![] };
    let founders = |line: &str| founders(&typed(line).0).unwrap().unwrap();
    let mut two = founders("--data d --node 1 --cluster 1=a,2=b");
    assert_eq!(found_alone(&mut two, &closed, false).unwrap_err().exit, Exit::Usage);
    found_alone(&mut two, &closed, true).unwrap();
    assert_eq!(two.first.iter().map(|(.., key)| *key).collect::<Vec<_>>(), [key, PublicKey::NONE]);
    let mut one = founders("--data d --node 1 --cluster 1=a");
    found_alone(&mut one, &closed, false).unwrap();
    assert_eq!(one.first[0].2, key);
}

/// The door of a tracker that listens here, with records and keys in a folder.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Records of a closed swarm.
    fn founded(self) -> Scene {
        let closed = Closed {
            identity: identity_in(&self.data()).unwrap(),
            swarm: "lab".into(),
            admin: (PublicKey([7; 32]), "me".into()),
            hosts: vec!["127.0.0.1".into()],
        };
        let listen = "127.0.0.1:0".to_owned();
        let config =
            tracker::Config { listen, data: Some(self.data()), closed: Some(closed), ..Default::default() };
        tracker::start(config).unwrap().stop();
        self
    }

    /// A file of keys of the swarm whose tracker has this key.
    fn keys(self, role: MemberRole, key: PublicKey) -> Scene {
        let trackers = vec![("127.0.0.1:9".to_owned(), key)];
        let file = SwarmFile::new("lab", role, trackers, (1, Secret::from([3; 32])));
        swarm::create(&self.folder.path().join("keys"), &file).unwrap();
        self
    }

    fn own_key(&self) -> PublicKey {
        identity_in(&self.data()).unwrap().public()
    }

    /// What the door is, or why there is none. `K` is where keys are looked for, `D` where records are.
    fn door(&self, line: &str) -> String {
        let place = |name: &str| self.folder.path().join(name).display().to_string();
        let words = line.split(' ').map(|word| match word {
            "K" => place("keys"),
            "D" => place("data"),
            other => other.to_owned(),
        });
        let line = words.collect::<Vec<_>>().join(" ");
        let (args, keys) = typed(&line);
        match door(&args, &keys) {
            Ok(Door::Open) => "open".to_owned(),
            Ok(Door::Keyed) => "keyed".to_owned(),
            Ok(Door::Closed(data)) => format!("closed in {}", data.file_name().unwrap().display()),
            Err(failure) => failure.to_string(),
        }
    }
}

const NEAR: &str = "--listen 127.0.0.1:0";
const FAR: &str = "--listen 10.0.0.1:0";

#[test]
fn who_listens_beyond_this_machine_founds_a_closed_swarm_unless_it_is_to_be_open() {
    let scene = Scene::new();
    for (line, door) in [
        (format!("{FAR} --data D --swarm K"), "closed in data"),
        (format!("{NEAR} --data D --swarm K"), "closed in data"), // keys are to be written
        (format!("{FAR} --data D --open"), "open"),
        (format!("{NEAR} --data D --open"), "open"),
    ] {
        assert_eq!(scene.door(&line), door, "{line}");
    }
}

#[test]
fn records_of_a_closed_swarm_are_never_served_to_everybody() {
    let scene = Scene::new().founded();
    assert_eq!(scene.door(&format!("{NEAR} --data D --swarm K")), "closed in data");
    assert_eq!(scene.door(&format!("{NEAR} --data D")), "closed in data", "though it listens here alone");
    let refused = scene.door(&format!("{NEAR} --data D --open"));
    assert!(refused.contains("are those of a closed swarm"), "{refused}");
    assert_eq!(scene.door(&format!("{NEAR} --data D --node 1 --cluster 1=a --swarm K")), "closed in data");
}

#[test]
fn keys_of_another_swarm_do_not_make_a_tracker_of_that_but_of_who_named_its_records() {
    let own = Scene::new().founded();
    let key = own.own_key();
    let own = own.keys(MemberRole::Admin, key);
    assert_eq!(own.door(&format!("{FAR} --data D --swarm K")), "closed in data");
    assert!(is_its(&own.data(), &own.folder.path().join("keys")).unwrap());
    let other = Scene::new().founded().keys(MemberRole::Admin, PublicKey([9; 32]));
    assert!(!is_its(&other.data(), &other.folder.path().join("keys")).unwrap());
    assert_eq!(other.door(&format!("{FAR} --data D --swarm K")), "closed in data", "they were named");
    let none = Scene::new().keys(MemberRole::Reader, PublicKey([9; 32]));
    assert_eq!(none.door(&format!("{FAR} --data D --swarm K")), "keyed");
    let joined = Scene::new().founded().keys(MemberRole::Tracker, PublicKey([9; 32]));
    let several = "--node 2 --cluster 1=a,2=b";
    assert_eq!(
        joined.door(&format!("{FAR} --data D --swarm K {several}")),
        "keyed",
        "it joined as a tracker"
    );
}

#[test]
fn the_tracker_of_a_share_takes_another_port_only_where_none_was_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = built_in(&taken.local_addr().unwrap().to_string()).unwrap_err();
    assert!(refused.to_string().contains(&taken.local_addr().unwrap().to_string()), "{refused}");
    let tracker = built_in("127.0.0.1:0").unwrap();
    assert!(tracker.addr().port() > 0);
    tracker.stop();
}
