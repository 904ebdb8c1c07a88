//! Executes `docs/PROTOCOL.md`: its ids, limits, numbers, field names and hex are the code's, and
//! the code's are in it. Whoever changes a number in one place alone is told here.

#![allow(unreachable_pub, reason = "the modules of one test program")]

#[path = "protocol_doc/doc.rs"]
mod doc;
#[path = "protocol_doc/vectors.rs"]
mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use p2p::content::{
    Chunk, ChunkHash, Descriptor, FileId, Geometry, Link, Manifest, Proof, Reason, SafeName, Tree, hash_chunk,
};
use p2p::net::secure::Suite;
use p2p::net::secure::vectors::{Exchange, exchange};
use p2p::wire::{
    BetweenNodes, ChunkHead, Common, Complaint, Duty, ErrorCode, FromServer, FromTracker, HEADER_BYTES,
    MemberRole, Message, NodeState, NodesChange, Preface, Purpose, RawHeader, Refusal, Reluctance, Role,
    RoleState, StoreChange, StoreState, ToServer, ToTracker, Urgency, View,
};

use doc::{DOC, blocks, rows, section, unhex};

const LIMITS: &str = include_str!("../src/wire/limits.rs");
const MESSAGES: &str = concat!(
    include_str!("../src/wire/common.rs"),
    include_str!("../src/wire/to_tracker.rs"),
    include_str!("../src/wire/from_tracker.rs"),
    include_str!("../src/wire/peer.rs"),
    include_str!("../src/wire/records.rs"),
    include_str!("../src/wire/stores.rs"),
    include_str!("../src/wire/members.rs"),
    include_str!("../src/wire/cluster.rs"),
    include_str!("../src/wire/node.rs"),
    include_str!("../src/wire/nodes.rs"),
);

fn tables() -> [(&'static str, &'static [(u8, &'static str)]); 6] {
    [
        ("any", Common::TABLE),
        ("member to tracker", ToTracker::TABLE),
        ("tracker to member", FromTracker::TABLE),
        ("asker to server", ToServer::TABLE),
        ("server to asker", FromServer::TABLE),
        ("node to node", BetweenNodes::TABLE),
    ]
}

#[test]
fn message_ids_are_those_of_the_code() {
    let overview = section("## 8. Messages").split("\n### ").next().unwrap_or_default();
    let documented: BTreeSet<(String, String, String)> =
        rows(overview).into_iter().map(|row| (row[0].clone(), row[1].clone(), row[2].clone())).collect();
    let coded: BTreeSet<(String, String, String)> = tables()
        .iter()
        .flat_map(|(direction, table)| table.iter().map(move |(id, name)| (*direction, id, name)))
        .map(|(direction, id, name)| (format!("{id:02x}"), (*name).to_owned(), direction.to_owned()))
        .collect();
    assert_eq!(documented, coded);
    let ids: BTreeSet<&String> = coded.iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), coded.len(), "no id has two meanings");
}

/// The value of an integer constant's expression: numbers and shifts.
fn value_of(expression: &str) -> u64 {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().expect("a number");
    let mut parts = expression.split("<<").map(number);
    let first = parts.next().expect("an expression");
    parts.fold(first, |value, shift| value << shift)
}

#[test]
fn limits_are_those_of_the_code() {
    let coded: BTreeMap<String, u64> = LIMITS
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix(';')?.split_once(" = "))
        .map(|(name, value)| (name.split(':').next().unwrap_or(name).to_owned(), value_of(value)))
        .collect();
    assert_eq!(coded.len(), LIMITS.matches("pub const ").count(), "every constant was read");
    let documented: BTreeMap<String, u64> = rows(section("## 7. Limits"))
        .into_iter()
        .map(|row| (row[0].clone(), row[1].parse().unwrap_or_else(|_| panic!("{row:?}"))))
        .collect();
    assert_eq!(documented, coded);
}

fn numbers_agree(heading: &str, coded: impl Iterator<Item = (u64, &'static str)>) {
    let coded: BTreeMap<u64, String> = coded.map(|(number, name)| (number, name.to_owned())).collect();
    let documented: BTreeMap<u64, String> = rows(section(heading))
        .into_iter()
        .map(|row| (row[0].parse().unwrap_or_else(|_| panic!("{row:?}")), row[1].clone()))
        .collect();
    assert_eq!(documented, coded, "{heading}");
}

#[test]
fn numbers_are_those_of_the_code() {
    numbers_agree("### 9.1 Roles", Role::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.2 Refusals", Refusal::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.3 Complaints", Complaint::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.4 Views", View::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.5 Purposes", Purpose::ALL.iter().map(|v| (v.number().into(), v.label())));
    let reluctance = Reluctance::ALL.iter().map(|v| (v.number().into(), v.label()));
    numbers_agree("### 9.6 Reluctance", reluctance);
    numbers_agree("### 9.7 States", StoreState::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.11 What", StoreChange::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.8 Duties", Duty::TABLE.iter().map(|(number, name)| (u64::from(*number), *name)));
    let roles = MemberRole::ALL.iter().map(|v| (v.number().into(), v.label()));
    numbers_agree("### 9.9 Roles of members", roles);
    numbers_agree("### 9.12 States", NodeState::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.13 States", RoleState::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.14 What", NodesChange::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("### 9.10 Urgencies", Urgency::ALL.iter().map(|v| (v.number().into(), v.label())));
    numbers_agree("## 11. Error codes", ErrorCode::ALL.iter().map(|v| (v.number().into(), v.label())));
}

fn heading_of(id: u8, name: &str) -> String {
    format!("#### {name} ({id:02x})")
}

/// Decodes one frame of a direction and encodes it again.
fn reencode<M: Message + Debug>(bytes: &[u8], header: RawHeader) -> Vec<u8> {
    let body = Bytes::copy_from_slice(&bytes[HEADER_BYTES..]);
    let message = M::decode(header.id, body).unwrap_or_else(|error| panic!("{error}: {bytes:02x?}"));
    let mut out = BytesMut::new();
    message.put_frame(header.request, &mut out);
    out.to_vec()
}

fn reencode_chunk(bytes: &[u8], header: RawHeader) -> Vec<u8> {
    let body = &bytes[HEADER_BYTES..];
    let (head, len) = ChunkHead::peek(body).expect("a good head").expect("a whole head");
    let data = &body[len..];
    let mut out = BytesMut::new();
    head.put_frame(header.request, data.len(), &mut out);
    out.extend_from_slice(data);
    out.to_vec()
}

fn check_frame(bytes: &[u8], direction: &str) -> RawHeader {
    let header = RawHeader::peek(bytes).expect("a length").expect("a header");
    assert_eq!(header.body_bytes + HEADER_BYTES, bytes.len(), "stated length of {bytes:02x?}");
    let again = match direction {
        _ if header.id == ChunkHead::ID => reencode_chunk(bytes, header),
        "any" => reencode::<Common>(bytes, header),
        "member to tracker" => reencode::<ToTracker>(bytes, header),
        "tracker to member" => reencode::<FromTracker>(bytes, header),
        "asker to server" => reencode::<ToServer>(bytes, header),
        "node to node" => reencode::<BetweenNodes>(bytes, header),
        _ => reencode::<FromServer>(bytes, header),
    };
    assert_eq!(again, bytes, "id {:02x}", header.id);
    header
}

#[test]
fn every_message_has_golden_hex_that_reads_back() {
    for (direction, table) in tables() {
        for (id, name) in table {
            let hex = blocks(section(&heading_of(*id, name)), "hex");
            assert!(!hex.is_empty(), "{name} ({id:02x}) has no hex");
            for block in hex {
                assert_eq!(check_frame(&unhex(block), direction).id, *id, "{name}");
            }
        }
    }
}

#[test]
fn no_hex_stands_outside_the_messages() {
    let in_messages: usize = tables()
        .iter()
        .flat_map(|(_, table)| table.iter())
        .map(|(id, name)| blocks(section(&heading_of(*id, name)), "hex").len())
        .sum();
    let frame = blocks(section("## 4. Frame"), "hex");
    frame.iter().for_each(|block| assert_eq!(check_frame(&unhex(block), "any").id, 0x03));
    assert_eq!(blocks(DOC, "hex").len(), in_messages + frame.len());
}

/// The names of the fields declared behind `declaration`, in order.
fn coded_fields(declaration: &str) -> Vec<String> {
    let start =
        MESSAGES.find(declaration).unwrap_or_else(|| panic!("no {declaration:?}")) + declaration.len();
    let body = MESSAGES[start..].split('}').next().unwrap_or_default();
    let field = |line: &str| Some(line.trim().strip_suffix(',')?.split_once(": ")?.0.to_owned());
    body.lines().filter(|line| !line.trim().starts_with("//")).filter_map(field).collect()
}

/// The field names of the last table before the first hex in `text` whose rows fit `column`.
fn documented_fields(text: &str, column: usize) -> Vec<String> {
    let before = text.split("```").next().unwrap_or_default();
    let table = before.split("\n\n").filter(|part| part.starts_with('|')).last().unwrap_or_default();
    rows(table).into_iter().map(|row| row[column].clone()).collect()
}

#[test]
fn fields_stand_in_the_order_of_the_code() {
    for (_, table) in tables() {
        for (id, name) in table {
            let declaration = match *id {
                0x01 => "    Hello {\n".to_owned(),
                0x02 => "    Problem {\n".to_owned(),
                0x03..0x10 => continue,
                _ => {
                    let start = format!("0x{id:02x} \"{name}\" ");
                    let at = MESSAGES.find(&start).expect("a declaration");
                    MESSAGES[at..].split_inclusive('{').next().unwrap_or_default().to_owned()
                }
            };
            let mut coded = coded_fields(&declaration);
            if *id == ChunkHead::ID {
                coded.push("data".to_owned());
            }
            assert_eq!(documented_fields(section(&heading_of(*id, name)), 2), coded, "{name}");
        }
    }
    let kinds = ["Call", "Keep", "Look", "Check", "Discard", "Remember"];
    for name in [
        "Offer",
        "Holder",
        "Variant",
        "Entry",
        "PeerInfo",
        "Version",
        "Published",
        "KeptPart",
        "DutySource",
        "StoreInfo",
        "Standing",
        "Epoch",
        "TrackerKey",
        "MemberInfo",
        "NodePlace",
        "NodeInfo",
        "NodeRole",
        "NodeDuty",
        "SeenNode",
        "DutyInfo",
    ] {
        let at = DOC.find(&format!("\n**{name}**")).unwrap_or_else(|| panic!("no {name}"));
        let table = DOC[at..].split("\n\n").nth(1).unwrap_or_default();
        let documented: Vec<String> = rows(table).into_iter().map(|row| row[1].clone()).collect();
        assert_eq!(documented, coded_fields(&format!("    {name} {{\n")), "{name}");
    }
    for (name, (_, label)) in kinds.iter().zip(Duty::TABLE) {
        let at = DOC.find(&format!("\n**{name}**")).unwrap_or_else(|| panic!("no {name}"));
        let table = DOC[at..].split("\n\n").nth(1).unwrap_or_default();
        let documented: Vec<String> = rows(table).into_iter().map(|row| row[1].clone()).collect();
        assert_eq!(documented, coded_fields(&format!("\"{label}\" {name} {{\n")), "{name}");
    }
}

#[test]
fn the_preface_is_ours() {
    let preface = blocks(section("### 3.1 Preface"), "preface");
    assert_eq!(preface.iter().map(|block| unhex(block)).collect::<Vec<_>>(), [Preface::OURS.encode()]);
}

#[test]
fn the_exchange_of_a_closed_swarm_is_that_of_the_code() {
    let stated = blocks(section("### 3.7 Closed connections"), "sealed");
    let stated: Vec<Vec<u8>> = stated.into_iter().map(unhex).collect();
    let coded: Vec<Exchange> = Suite::ALL.into_iter().filter_map(exchange).collect();
    let sent = coded.iter().flat_map(|exchange| exchange.messages.iter().chain(&exchange.records));
    assert_eq!(stated, sent.cloned().collect::<Vec<_>>());
    for key in coded.iter().flat_map(|exchange| exchange.keys) {
        let [key, peer] =
            [key.0.iter().map(|byte| format!("{byte:02x}")).collect(), key.peer_id().to_string()];
        assert!(DOC.contains(&key) && DOC.contains(&peer), "{key} {peer}");
    }
    for suite in Suite::ALL {
        assert!(DOC.contains(&format!("| {} | `{}` |", suite.mode(), suite.noise())));
    }
}

/// So many bytes of the pattern of section 5.1.
fn pattern_of(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|i| (i + i / 251) as u8).collect()
}

fn pattern() -> Vec<u8> {
    pattern_of(200_000)
}

fn manifest_of(data: &[u8]) -> (Manifest, FileId) {
    let geometry = Geometry::of(data.len() as u64).expect("a size");
    let chunks = (0..geometry.chunks()).filter_map(|number| geometry.index(number));
    let hashes = chunks.map(|chunk| {
        let start = geometry.offset(chunk) as usize;
        hash_chunk(geometry, chunk, &data[start..start + geometry.len(chunk) as usize])
    });
    Manifest::new(geometry, hashes.collect()).expect("a manifest")
}

#[test]
fn the_pattern_has_the_stated_id_and_hashes() {
    let (manifest, id) = manifest_of(&pattern());
    assert_eq!(blocks(section("### 5.1"), "text").concat().trim(), id.to_string());
    let listed: String = (0..).zip(manifest.hashes()).map(|(n, hash)| format!("{n} {hash}\n")).collect();
    assert_eq!(blocks(section("### 5.3"), "text").concat(), listed);
}

#[test]
fn the_geometry_table_is_true() {
    for row in rows(section("### 5.2")) {
        let [size, chunk_size, chunks] = [0, 1, 2].map(|at| row[at].parse::<u64>().expect("a number"));
        let geometry = Geometry::of(size).expect("a size");
        assert_eq!((geometry.chunk_size(), u64::from(geometry.chunks())), (chunk_size, chunks), "{size}");
    }
    assert_eq!((Geometry::MAX_CHUNKS, Geometry::MAX_SIZE), (1 << 20, 1 << 44), "as the text says");
}

/// A proof of the document: of so many bytes of the pattern, to be checked with this size.
struct Stated {
    bytes: u64,
    size: u64,
    proof: Proof,
}

/// The number behind `words` in the first line of a block.
fn number_behind(block: &str, words: &str) -> Option<u64> {
    let rest = block.lines().next()?.split_once(words)?.1.trim_start();
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn stated_proofs(language: &str) -> Vec<Stated> {
    let read = |block: &'static str| {
        let bytes = number_behind(block, "pattern of").expect("whose proof it is");
        let size = number_behind(block, "as if it had").unwrap_or(bytes);
        let raw = unhex(block);
        let (first, hashes) = (raw[..4].try_into().expect("4 bytes"), u16::from_be_bytes([raw[4], raw[5]]));
        let all: Vec<ChunkHash> =
            raw[7..].chunks(32).map(|hash| ChunkHash(hash.try_into().expect("32 bytes"))).collect();
        let (hashes, path) = all.split_at(hashes.into());
        assert_eq!(path.len(), usize::from(raw[6]), "siblings in {block}");
        let proof = Proof { first: u32::from_be_bytes(first), hashes: hashes.to_vec(), path: path.to_vec() };
        Stated { bytes, size, proof }
    };
    blocks(section("### 5.5"), language).into_iter().map(read).collect()
}

#[test]
fn proofs_are_what_the_pattern_gives() {
    let stated = stated_proofs("proof");
    let runs: Vec<(u64, u32, usize)> =
        stated.iter().map(|one| (one.bytes, one.proof.first, one.proof.hashes.len())).collect();
    assert_eq!(
        runs,
        [(200_000, 3, 1), (300_000, 0, 5), (300_000, 4, 1), (450_000, 4, 3), (1_100_000, 16, 1)]
    );
    for Stated { bytes, proof, .. } in stated {
        let (manifest, id) = manifest_of(&pattern_of(bytes));
        let given = manifest.prove(proof.run()).expect("a run");
        assert_eq!(proof, given, "{bytes}");
        assert_eq!(proof.check(id, manifest.geometry()), Ok(()), "{bytes}");
    }
}

#[test]
fn bad_proofs_are_refused() {
    let bad = stated_proofs("bad-proof");
    assert_eq!(bad.len(), 6);
    for Stated { bytes, size, proof } in bad {
        let id = FileId::of(&pattern_of(bytes));
        let geometry = Geometry::of(size).expect("a size");
        assert!(proof.check(id, geometry).is_err(), "{bytes} as {size}: {proof:?}");
    }
}

#[test]
fn ids_of_patterns_are_stated() {
    for row in rows(section("### 5.5")) {
        let bytes = row[0].parse().expect("a number");
        let (manifest, id) = manifest_of(&pattern_of(bytes));
        assert_eq!((row[1].parse(), &row[2]), (Ok(manifest.hashes().len()), &id.to_string()));
    }
}

#[test]
fn several_members_are_numbered_as_stated() {
    let text = section("### 5.6 Trees");
    let listings = blocks(text, "tree");
    assert_eq!(listings.len(), 2);
    let bytes = unhex(listings[1]);
    let tree = Tree::decode(&bytes).expect("a tree");
    assert_eq!(tree.encode(), bytes);
    assert!(text.contains(&FileId::of(&bytes).to_string()), "{}", FileId::of(&bytes));
    let members = tree.layout().expect("members");
    assert_eq!(members.ids, [FileId::of(&pattern_of(70_000)), FileId::of(b""), FileId::of(b"hello")]);
    let layout = &members.layout;
    assert_eq!((layout.chunks(), layout.size()), (3, 70_005));
    let places = (0..3).filter_map(|chunk| layout.place(Chunk(chunk)));
    let places: Vec<(usize, u32, u64)> =
        places.map(|place| (place.file, place.chunk.get(), place.len)).collect();
    assert_eq!(places, [(0, 0, 65_536), (0, 1, 4_464), (2, 0, 5)]);
}

#[test]
fn bad_listings_are_refused() {
    let bad = blocks(section("### 5.6 Trees"), "bad-tree");
    assert_eq!(bad.len(), 7);
    for block in bad {
        assert!(Tree::decode(&unhex(block)).is_err(), "{block}");
    }
}

#[test]
fn the_listing_is_a_tree_with_the_stated_id_and_members() {
    let text = section("### 5.6 Trees");
    let bytes = unhex(blocks(text, "tree")[0]);
    let tree = Tree::decode(&bytes).expect("a tree");
    assert_eq!(tree.encode(), bytes);
    assert!(text.contains(&FileId::of(&bytes).to_string()));
    let members = tree.layout().expect("members");
    assert_eq!(members.ids, [FileId::of(b"hello")]);
    assert_eq!((members.layout.chunks(), members.layout.size()), (1, 5));
    let paths: Vec<&str> = tree.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["bin", "bin/latest", "bin/run", "hello.txt", "hi"]);
    let missing: Vec<String> = tree.left_out().named().iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["pipe is a pipe, socket or device"]);
    for limit in [Tree::MAX_ENTRIES, Tree::MAX_FOLDERS, Tree::MAX_DEPTH] {
        assert!(text.contains(&format!("at most {limit} ")), "{limit}");
    }
    let numbers = [Reason::Unreadable, Reason::TooLarge].map(|reason| reason as u8);
    assert_eq!(numbers, [1, 6]);
}

#[test]
fn link_and_descriptor_say_the_same() {
    let text = blocks(section("### 6.2"), "link")[0].trim();
    let link: Link = text.parse().expect("a link");
    assert_eq!(link.to_string(), text);
    assert_eq!(link.name.as_ref().map(SafeName::as_str), Some("my notes/hello.txt"));
    let toml = blocks(section("### 6.3"), "toml")[0];
    assert_eq!(Descriptor::parse(toml), Ok(link.clone()));
    assert_eq!(Descriptor::new(&link, 5).to_string(), toml);
}

#[test]
fn the_empty_contents_id_is_stated() {
    assert!(section("## 12. Verification").contains(&FileId::of(b"").to_string()));
}
