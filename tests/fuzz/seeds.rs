//! Inputs to begin with: real messages, from `docs/PROTOCOL.md` or from the code, and real files.

use bytes::BytesMut;
use p2p::content::{
    Address, Chunk, ChunkHash, Descriptor, FileId, Geometry, LeftOut, Link, Looks, Manifest, Missing, PeerId,
    Reason, Run, SafeName, Tree, TreeEntry, TreeKind,
};
use p2p::wire::{
    Addresses, ChunkHead, Common, Complaint, GetList, GetPeers, GetStatus, HEADER_BYTES, HaveChunks,
    Heartbeat, List, Locate, Message, Name, Offer, Preface, Purpose, Register, Report, Text, ToTracker,
    Update, View,
};

const DOC: &str = include_str!("../../docs/PROTOCOL.md");

/// The seeds of a target.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "to-tracker" => streams(0x10..0x30),
        "from-tracker" => streams(0x30..0x50),
        "to-server" => streams(0x50..0x70),
        "from-server" => streams(0x70..0x90),
        "hello" => hellos(),
        "chunk-head" => chunk_heads(),
        "bitmap" => vec![vec![0, 0, 0, 13, 0xff, 0b1100_1000], vec![0, 0, 0, 64, 1, 2, 3, 4, 5, 6, 7, 8]],
        "session" => vec![session(), [session(), session()].concat()],
        "handshake" => handshakes(),
        "opener" => vec![
            vec![0, 3, 1, 0, 0, 0, 7, 7, 0, 17],
            vec![1, 1, 0, 5, 0, 19, 1, 2, 3],
            vec![0, 0, 0xff, 0xff],
        ],
        "name" => {
            texts(&["a", "photos/", "a b/ü\n/c.txt", "../x", "/etc/passwd", "a//b", ".p2p/index", "..."])
        }
        "latencies" => texts(&[
            "default = 100\npairs = [[\"a\", \"b\", 5000], [\"a\", \"c\", 0]]\n",
            "pairs = [[\"a\", 1]]",
        ]),
        "place" => texts(&[
            "f",
            "d",
            "d/e/x",
            "l/x",
            "d/l/tmp/x",
            "d/s",
            "d/f",
            "n/x",
            "new/a/b",
            "f/x",
            "d/e/.../é",
        ]),
        "link" => [texts(&blocks("link")), vec![link().to_string().into_bytes()]].concat(),
        "descriptor" => {
            [texts(&blocks("toml")), vec![Descriptor::new(&link(), 7).to_string().into_bytes()]].concat()
        }
        "config" => {
            texts(&[include_str!("config.toml"), "[get]\nwait = \"forever\"\n", "up = 5\nfsync = true"])
        }
        "join-link" => texts(&[
            "p2p-join:10.0.0.5:9700,[fe80::1]:9/00000-00000-00000-00000-00000-0YK6P",
            "p2p:1?name=a#s=00000-00000-00000-00000-00000-0YK6P",
            "p2p-join:lab:1/0000",
        ]),
        "swarm-file" => texts(&[include_str!("swarm.toml"), "swarm = \"\"\nrole = \"admin\"\nkey = []\n"]),
        "tree" => trees(),
        "proof" => vec![
            vec![0, 4, 0, 0, 2, 0, 0, 1, 0, 2],
            vec![0, 40, 0, 9, 4, 0, 32, 1, 2, 3, 0, 5, 1],
            vec![2, 0, 0, 1, 3, 0, 64, 1, 1, 0x85, 0, 0, 1, 0, 0, 0, 9],
        ],
        "journal" => journals(),
        "index" => vec![
            vec![0],
            vec![1],
            vec![1, 0x12, 0, 16, 0, 9, 0xff, 0x32, 3, 0, 0, 1, 1],
            vec![1, 0, 3, 0, 0, 0, 0],
            vec![1, 0x44, 1, 1, 1, 255, 0],
        ],
        "got" => vec![got()],
        _ => Vec::new(),
    }
}

fn got() -> Vec<u8> {
    let id = FileId::of(b"x");
    let tree = format!("{{\"tree\":\"m/\",\"id\":\"{id}\",\"done\":true}}\n");
    let file = format!("{{\"path\":\"a/b\",\"id\":\"{id}\",\"in_tree\":true}}\n");
    let made = "{\"path\":\"a/l\",\"link\":\"../b\"}\n{\"folder\":\"a\"}\n".to_owned();
    [tree, file.clone(), file, made].concat().into_bytes()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The contents of every fenced block of a language in PROTOCOL.md.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let inside = |rest: &'static str| rest.split("```").next().unwrap_or_default().trim_end();
    DOC.match_indices(&fence).map(|(at, _)| inside(&DOC[at + fence.len()..])).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let bare = |line: &'_ str| line.split('#').next().unwrap_or_default().replace(' ', "");
    let digits: String = text.lines().map(bare).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The documented frames of one direction, each alone and all in a row, behind the byte that decides how
/// they are cut.
fn streams(ids: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    let frames: Vec<Vec<u8>> = blocks("hex").into_iter().map(unhex).collect();
    let ours = |frame: &&Vec<u8>| frame.get(4).is_some_and(|id| *id < 0x10 || ids.contains(id));
    let ours: Vec<&Vec<u8>> = frames.iter().filter(ours).collect();
    let mut seeds: Vec<Vec<u8>> = ours.iter().map(|frame| [&[1], frame.as_slice()].concat()).collect();
    seeds.push(ours.into_iter().fold(vec![2], |row, frame| [row, frame.clone()].concat()));
    seeds
}

fn hellos() -> Vec<Vec<u8>> {
    let preface = Preface::OURS.encode();
    let frames = blocks("hex").into_iter().map(unhex).filter(|frame| frame.get(4).is_some_and(|id| *id < 3));
    frames.map(|frame| [&preface[..], &frame].concat()).collect()
}

/// The documented messages of handshakes, behind the byte that decides the suite.
fn handshakes() -> Vec<Vec<u8>> {
    let sent = blocks("sealed").into_iter().map(unhex).enumerate();
    let message = |(nth, bytes): (usize, Vec<u8>)| {
        let before = [16, 8, 0].get(nth % 5)?;
        Some([&[(nth / 5) as u8], &bytes[*before..]].concat())
    };
    sent.filter_map(message).collect()
}

fn chunk_heads() -> Vec<Vec<u8>> {
    let geometry = Geometry::of(40 << 16).expect("a size");
    let hashes = (0..40).map(|byte| ChunkHash([byte; 32])).collect();
    let (manifest, _) = Manifest::new(geometry, hashes).expect("a manifest");
    let heads = [0..16, 16..32, 32..40].map(|run| {
        let proof = manifest.prove(run).expect("a run");
        let mut out = BytesMut::new();
        ChunkHead { index: Chunk(proof.first), proof }.put_frame(1, 3, &mut out);
        [&out[HEADER_BYTES..], b"abc"].concat()
    });
    heads.into_iter().chain([vec![0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 2]]).collect()
}

fn offer(name: &str, content: u8, complete: bool) -> Offer {
    let size = 4 << 16;
    let id = FileId([content; 32]);
    Offer { name: Name::new(name), id, size, total: size, chunks: 4, complete, original: true, modified: 7 }
}

fn addresses() -> Addresses {
    List::new(vec![Address::new([10, 0, 0, 1].into(), 2).expect("it can be dialled")])
}

fn session() -> Vec<u8> {
    let id = FileId([1; 32]);
    let locate = |name: &str, id, purpose| Locate {
        name: Name::new(name),
        id,
        purpose,
        max: 16,
        missing: List::new(vec![Run::new(Chunk(1), 2)]),
    };
    let messages: Vec<(u32, ToTracker)> = vec![
        (
            0,
            Register {
                port: 1,
                addresses: Addresses::default(),
                offers: List::new(vec![offer("a", 1, true)]),
            }
            .into(),
        ),
        (1, Register { port: 2, addresses: addresses(), offers: List::default() }.into()),
        (
            0x202,
            Register { port: 2, addresses: addresses(), offers: List::new(vec![offer("d/b", 1, false)]) }
                .into(),
        ),
        (
            1,
            Update {
                added: List::new(vec![offer("a", 1, false), offer("c", 2, true)]),
                removed: List::default(),
            }
            .into(),
        ),
        (
            2,
            HaveChunks {
                id,
                view: View::Bytes,
                gained: List::new(vec![Run::new(Chunk(0), 2), Run::new(Chunk(3), 1)]),
            }
            .into(),
        ),
        (0, locate("a", FileId::NONE, Purpose::Inspect).into()),
        (1, locate("", id, Purpose::Fetch).into()),
        (1, locate("aa", FileId::NONE, Purpose::Inspect).into()),
        (0, GetList { pattern: Text::new("*"), after: Text::default(), limit: 5 }.into()),
        (1, Heartbeat { uploads: 1, downloads: 2, space: 0 }.into()),
        (2, Report { peer: PeerId([0; 16]), id, chunk: Chunk(1), complaint: Complaint::Missing }.into()),
        (2, Report { peer: PeerId([0; 16]), id, chunk: Chunk(0), complaint: Complaint::Dead }.into()),
        (0, GetStatus {}.into()),
        (0, GetPeers { after: PeerId([0; 16]), limit: 1 }.into()),
        (1, Update { added: List::default(), removed: List::new(vec![(Name::new("a"), id)]) }.into()),
        (0x1f01, Common::Ping.into()),
        (2, Common::Leave.into()),
    ];
    let mut out = BytesMut::new();
    messages.iter().for_each(|(request, message)| message.put_frame(*request, &mut out));
    out.to_vec()
}

fn link() -> Link {
    Link {
        id: FileId::of(b"x"),
        name: SafeName::new("a b/50% ü&=?#\n.txt").ok(),
        size: Some(7),
        trackers: vec!["host:9700".into(), "[::1]:1".into()],
    }
}

fn trees() -> Vec<Vec<u8>> {
    let looks = Looks { mode: 0o640, mtime_ns: -5 };
    let name = |path: &str| SafeName::new(path).expect("a safe path");
    let entry = |path: &str, kind| TreeEntry { path: name(path), kind };
    let file =
        |path: &str, size| entry(path, TreeKind::File { looks, size, id: FileId::of(path.as_bytes()) });
    let entries = vec![
        file("a", 70_000),
        entry("b", TreeKind::Folder(looks)),
        file("b/run", 5),
        entry("b/link", TreeKind::Link("../a".into())),
        entry("b/same", TreeKind::HardLink(name("b/run"))),
        entry("b/nothing", TreeKind::File { looks, size: 0, id: FileId::of(b"") }),
        file("huge", Geometry::MAX_SIZE),
    ];
    let missing = |n: usize| Missing { path: format!("pipe {n}"), reason: Reason::Special };
    let tree = |entries, left_out: usize| {
        Tree::new(0o755, entries, LeftOut::new((0..left_out).map(missing))).expect("a tree").encode()
    };
    let huge =
        vec![file("a", Geometry::MAX_SIZE), file("b", Geometry::MAX_SIZE), file("c", Geometry::MAX_SIZE)];
    let made = [tree(entries, 2), tree(huge, 0), tree(vec![], 70), b"p2ptree2".to_vec()];
    blocks("tree").into_iter().map(unhex).chain(made).collect()
}

fn journals() -> Vec<Vec<u8>> {
    let id = [7; 32];
    let header = [b"p2pjrnl2".as_slice(), &id].concat();
    let record = |number: u32, hash: u8| {
        let plain = [&number.to_be_bytes()[..], &[hash; 32]].concat();
        let check = FileId::of(&[&id[..], &plain].concat());
        [&plain, &check.0[..4]].concat()
    };
    let records = [record(0, 1), record(70_000, 2), record(0, 3)].concat();
    vec![
        Vec::new(),
        header.clone(),
        [header.clone(), records.clone()].concat(),
        [header, records, vec![1; 9]].concat(),
    ]
}
