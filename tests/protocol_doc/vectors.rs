//! `docs/vectors.json`: what `docs/PROTOCOL.md` gives as examples, and more of it, for programs to read. It is made here
//! from the code, and what is bad in it is refused by the code.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use p2p::content::{FileId, Geometry, SafeName, Tree};
use p2p::net::secure::Suite;
use p2p::net::secure::vectors::{KEYS, TEXT, exchange};
use p2p::wire::{
    BetweenNodes, ChunkHead, Common, FromServer, FromTracker, HEADER_BYTES, Message, RawHeader, ToServer,
    ToTracker,
};
use serde_json::{Value, json};

use crate::doc::{blocks, section, unhex};
use crate::{heading_of, manifest_of, pattern_of, stated_proofs, tables};

/// Sizes around every boundary that is small enough to be hashed here: leaves, chunks, runs of 16 of them.
const SIZES: [u64; 17] = [
    0, 1, 5, 1023, 1024, 1025, 65_535, 65_536, 65_537, 131_072, 131_073, 200_000, 300_000, 450_000,
    1_048_576, 1_048_577, 1_100_000,
];
/// Sizes around the boundaries of geometry.
const LARGE: [u64; 9] = [
    (1 << 28) - 1,
    1 << 28,
    (1 << 28) + 1,
    1 << 29,
    (1 << 29) + 1,
    1 << 36,
    (1 << 36) + 1,
    (1 << 44) - 1,
    1 << 44,
];
/// Names, and whether they are safe.
const NAMES: [(&str, bool); 19] = [
    ("a", true),
    ("photos/", true),
    ("a b/ünïcode\n", true),
    ("...", true),
    ("a/..b", true),
    (".p2pignore", true),
    ("", false),
    ("/", false),
    ("/a", false),
    ("a//b", false),
    ("a//", false),
    (".", false),
    ("..", false),
    ("a/../b", false),
    ("./a", false),
    ("a\0b", false),
    (".p2p/x", false),
    ("a/.P2P. ", false),
    ("a/.p2p/", false),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Ids and chunk hashes of the pattern.
fn contents() -> Vec<Value> {
    let of = |bytes: &u64| {
        let (manifest, id) = manifest_of(&pattern_of(*bytes));
        let hashes: Vec<String> = manifest.hashes().iter().map(ToString::to_string).collect();
        json!({"bytes": bytes, "id": id.to_string(), "chunk_hashes": hashes})
    };
    let empty = json!({"bytes": 0, "id": FileId::of(b"").to_string(), "chunk_hashes": []});
    std::iter::once(empty).chain(SIZES[1..].iter().map(of)).collect()
}

fn geometry() -> Vec<Value> {
    let of = |bytes: &u64| {
        let geometry = Geometry::of(*bytes).expect("a size");
        json!({"bytes": bytes, "chunk_size": geometry.chunk_size(), "chunks": geometry.chunks()})
    };
    let refused = json!({"bytes": Geometry::MAX_SIZE + 1, "chunk_size": null, "chunks": null});
    assert!(Geometry::of(Geometry::MAX_SIZE + 1).is_none());
    SIZES.iter().chain(&LARGE).map(of).chain([refused]).collect()
}

/// Every run of small contents that can be proved, and what the document says is no proof.
fn proofs() -> Vec<Value> {
    let mut all = Vec::new();
    for bytes in [65_537, 200_000, 300_000, 450_000, 1_100_000] {
        let (manifest, id) = manifest_of(&pattern_of(bytes));
        let chunks = manifest.hashes().len() as u32;
        for first in 0..chunks {
            for count in 1..=chunks - first {
                let Ok(proof) = manifest.prove(first..first + count) else { continue };
                assert_eq!(proof.check(id, manifest.geometry()), Ok(()));
                all.push(json!({
                    "pattern": bytes, "size": bytes, "first": first, "count": count,
                    "proof": hex(&bytes_of(&proof)), "ok": true,
                }));
            }
        }
    }
    for stated in stated_proofs("bad-proof") {
        let (first, count) = (stated.proof.first, stated.proof.hashes.len());
        all.push(json!({
            "pattern": stated.bytes, "size": stated.size, "first": first, "count": count,
            "proof": hex(&bytes_of(&stated.proof)), "ok": false,
        }));
    }
    all
}

/// A Proof as it is on the wire.
fn bytes_of(proof: &p2p::content::Proof) -> Vec<u8> {
    let mut out = proof.first.to_be_bytes().to_vec();
    out.extend((proof.hashes.len() as u16).to_be_bytes());
    out.push(proof.path.len() as u8);
    proof.hashes.iter().chain(&proof.path).for_each(|hash| out.extend(hash.0));
    out
}

/// What the first line of a block says of it.
fn remark(block: &str) -> &str {
    block.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default()
}

fn trees() -> Vec<Value> {
    let text = section("### 5.6 Trees");
    let good = blocks(text, "tree").into_iter().map(|block| {
        let bytes = unhex(block);
        let tree = Tree::decode(&bytes).expect("a tree");
        let members = tree.layout().expect("members");
        let files = members.ids.iter().zip(members.layout.files());
        let files: Vec<Value> =
            files.map(|(id, file)| json!({"id": id.to_string(), "bytes": file.size(), "chunks": file.chunks()})).collect();
        let (total, chunks) = (members.layout.size(), members.layout.chunks());
        json!({"listing": hex(&bytes), "id": FileId::of(&bytes).to_string(), "total": total, "chunks": chunks, "members": files, "ok": true})
    });
    let bad = blocks(text, "bad-tree").into_iter().map(|block| {
        assert!(Tree::decode(&unhex(block)).is_err());
        json!({"listing": hex(&unhex(block)), "what": remark(block), "ok": false})
    });
    good.chain(bad).collect()
}

/// Whether a frame is one of its direction.
fn is_good(direction: &str, bytes: &[u8]) -> bool {
    let Ok(Some(header)) = RawHeader::peek(bytes) else { return false };
    let body = Bytes::copy_from_slice(&bytes[HEADER_BYTES..]);
    match direction {
        _ if header.id == ChunkHead::ID => matches!(ChunkHead::peek(&body), Ok(Some(_))),
        "any" => Common::decode(header.id, body).is_ok(),
        "member to tracker" => ToTracker::decode(header.id, body).is_ok(),
        "tracker to member" => FromTracker::decode(header.id, body).is_ok(),
        "asker to server" => ToServer::decode(header.id, body).is_ok(),
        "node to node" => BetweenNodes::decode(header.id, body).is_ok(),
        _ => FromServer::decode(header.id, body).is_ok(),
    }
}

/// The same message with another body, and the length that goes with it.
fn with_body(frame: &[u8], body: &[u8]) -> Vec<u8> {
    let length = (5 + body.len() as u32).to_be_bytes();
    [&length, &frame[4..HEADER_BYTES], body].concat()
}

fn frames() -> Vec<Value> {
    let mut all = Vec::new();
    for (direction, table) in tables() {
        for (id, name) in table {
            for block in blocks(section(&heading_of(*id, name)), "hex") {
                let good = unhex(block);
                let body = &good[HEADER_BYTES..];
                let mut cases = vec![(good.clone(), "")];
                // What is behind the fields of a CHUNK is its data.
                if *id != ChunkHead::ID {
                    cases.push((with_body(&good, &[body, &[0]].concat()), "a byte too many"));
                    if let Some((_, short)) = body.split_last() {
                        cases.push((with_body(&good, &body[..short.len()]), "a byte too few"));
                    }
                }
                cases.push((
                    with_body(&[&good[..4], &[0xff], &good[5..]].concat(), body),
                    "no message of this direction",
                ));
                for (frame, what) in cases {
                    let ok = is_good(direction, &frame);
                    assert_eq!(ok, what.is_empty(), "{name}: {what}");
                    let line =
                        json!({"direction": direction, "message": name, "frame": hex(&frame), "ok": ok});
                    all.push(if ok { line } else { with(line, "what", what) });
                }
            }
        }
    }
    all
}

fn with(mut value: Value, key: &str, said: &str) -> Value {
    value[key] = said.into();
    value
}

/// The exchanges of section 3.7, with their keys.
fn sealed() -> Vec<Value> {
    let of = |suite: Suite| {
        let made = exchange(suite).expect("an exchange");
        let [secret, dialler, accepter, near, far] = KEYS.map(|byte| hex(&[byte; 32]));
        json!({
            "mode": suite.mode(), "secret": secret, "static": [dialler, accepter], "ephemeral": [near, far],
            "public": made.keys.map(|key| hex(&key.0)), "peers": made.keys.map(|key| key.peer_id().to_string()),
            "messages": made.messages.map(|message| hex(&message)), "plain": hex(TEXT),
            "records": made.records.map(|record| hex(&record)),
        })
    };
    Suite::ALL.into_iter().map(of).collect()
}

fn names() -> Vec<Value> {
    let of = |(name, ok): &(&str, bool)| {
        assert_eq!(SafeName::new(*name).is_ok(), *ok, "{name:?}");
        json!({"name": name, "ok": ok})
    };
    NAMES.iter().map(of).collect()
}

/// One vector a line, so that a change shows as the lines that it changes.
fn render(parts: &[(&str, Vec<Value>)]) -> String {
    let lines = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n    ");
    let parts: Vec<String> =
        parts.iter().map(|(name, values)| format!("  \"{name}\": [\n    {}\n  ]", lines(values))).collect();
    format!(
        "{{\n  \"about\": \"Vectors of docs/PROTOCOL.md. The pattern: byte i is (i + i / 251) mod 256; hex is without spaces.\",\n{}\n}}\n",
        parts.join(",\n")
    )
}

#[test]
fn the_file_of_vectors_is_what_the_code_says() {
    let parts = [
        ("contents", contents()),
        ("geometry", geometry()),
        ("proofs", proofs()),
        ("trees", trees()),
        ("names", names()),
        ("frames", frames()),
        ("sealed", sealed()),
    ];
    let made = render(&parts);
    assert!(serde_json::from_str::<Value>(&made).is_ok());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/vectors.json");
    if std::env::var_os("P2P_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &made).expect("the file of vectors");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let differs =
        made.lines().zip(there.lines().chain(std::iter::repeat(""))).find(|(made, there)| made != there);
    assert!(
        made == there,
        "docs/vectors.json is not what the code says; P2P_WRITE_VECTORS=1 cargo test --test protocol_doc renews it: {differs:#?}"
    );
}
