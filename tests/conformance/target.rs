//! Whom the tests speak to: what the environment says, or processes of this project.

use std::env;

use crate::client::{ASK, Body, Client, Hello, MEMBER, SERVE, TRACKER, id};
use crate::support::{Daemon, Sample, eventually};

/// A program under test.
#[derive(Debug)]
pub struct Target {
    /// `host:port`.
    pub addr: String,
    /// The role to dial it with.
    pub role: u8,
    /// The role it then plays.
    pub theirs: u8,
    _daemon: Option<Daemon>,
}

impl Target {
    /// A connection that has shaken hands, under a name never seen before.
    #[track_caller]
    pub fn greet(&self) -> Client {
        self.greet_as(&Hello::new(self.role))
    }

    #[track_caller]
    pub fn greet_as(&self, hello: &Hello) -> Client {
        let (client, theirs) = Client::greet(&self.addr, hello);
        assert_eq!(theirs.role, self.theirs);
        client
    }
}

/// A tracker.
pub fn tracker() -> Target {
    let given = env::var("P2P_CONFORMANCE_TRACKER").ok();
    let daemon = given.is_none().then(|| Daemon::tracker(&[]));
    let addr = given.or(daemon.as_ref().map(Daemon::target)).expect("one of both");
    Target { addr, role: MEMBER, theirs: TRACKER, _daemon: daemon }
}

/// A peer, dialled as one asks.
#[derive(Debug)]
pub struct Peer {
    pub target: Target,
    /// A content of at least two chunks that it shares.
    pub id: [u8; 32],
    /// Its size.
    pub size: u64,
    /// A tree that it shares.
    pub tree: Option<[u8; 32]>,
    tracker: Option<Daemon>,
    _folder: Option<Sample>,
}

impl Peer {
    /// Its tracker, if it is a peer of this project.
    pub fn tracker(&self) -> Option<String> {
        self.tracker.as_ref().map(Daemon::target)
    }
}

/// A peer that shares the content of section 16.
pub fn peer() -> Peer {
    match env::var("P2P_CONFORMANCE_PEER") {
        Ok(addr) => given_peer(addr),
        Err(_) => own_peer(),
    }
}

fn given_peer(addr: String) -> Peer {
    let id_of = |name: &str| env::var(name).ok().map(|text| unhex(&text));
    let size = env::var("P2P_CONFORMANCE_SIZE").ok().map(|text| text.parse().expect("a size"));
    let tree = id_of("P2P_CONFORMANCE_TREE");
    if tree.is_none() {
        eprintln!("P2P_CONFORMANCE_TREE is not set: nothing is asked about trees");
    }
    Peer {
        target: Target { addr, role: ASK, theirs: SERVE, _daemon: None },
        id: id_of("P2P_CONFORMANCE_ID").unwrap_or_else(|| id_of_content(&pattern())),
        size: size.unwrap_or(pattern().len() as u64),
        tree,
        tracker: None,
        _folder: None,
    }
}

fn own_peer() -> Peer {
    let mut folder = Sample::awkward();
    folder.add("pattern", pattern());
    let tracker = Daemon::tracker(&[]);
    let peer = Daemon::peer(folder.path(), &["--tracker", &tracker.target()]);
    let tree = eventually("the peer registers its tree", || tree_id(&tracker.target()));
    Peer {
        target: Target { addr: peer.target(), role: ASK, theirs: SERVE, _daemon: Some(peer) },
        id: id_of_content(&pattern()),
        size: pattern().len() as u64,
        tree: Some(tree),
        tracker: Some(tracker),
        _folder: Some(folder),
    }
}

/// The id under which the tracker knows `tree/`.
fn tree_id(tracker: &str) -> Option<[u8; 32]> {
    let (mut client, _) = Client::greet(tracker, &Hello::new(MEMBER));
    let locate = Body::new().text("tree/").raw(&[0; 32]).u8(0).u16(1).ranges(&[]);
    let located = client.call(id::LOCATE, &locate, id::LOCATED);
    let mut fields = crate::client::Fields(&located.body);
    (fields.u32() > 0).then(|| {
        assert_eq!(fields.text(), "tree/");
        fields.hash()
    })
}

/// The pattern of section 5.1, 200,000 bytes of it.
pub fn pattern() -> Vec<u8> {
    crate::support::pattern(200_000, 0)
}

fn id_of_content(content: &[u8]) -> [u8; 32] {
    *blake3::hash(content).as_bytes()
}

fn unhex(text: &str) -> [u8; 32] {
    *blake3::Hash::from_hex(text.trim()).expect("64 hexadecimal digits").as_bytes()
}
